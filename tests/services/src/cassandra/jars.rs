//! Cassandra's jars: brought by Maven once, then kept.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::error::{DuringExt as _, ServiceError};
use crate::process::{find_program, log_tail};
use crate::wait::wait_for;

/// What Maven is asked to bring.
const POM: &str = include_str!("../../cassandra/pom.xml");

/// The version in it.
const VERSION: &str = "5.0.8";

/// Lists names and sizes of the jars, and is written last: a folder without it is not whole.
const LIST: &str = "jars.list";

/// How long Maven may take. It took a minute where it had nothing yet.
const FETCH_LIMIT: Duration = Duration::from_secs(900);

/// Returns the folder with Cassandra's jars: `rollcall/cassandra-VERSION` in the user's cache folder (`XDG_CACHE_HOME`, else
/// `~/.cache`). Brings them by Maven (67 MB) if they are not there or not all of their former size; of two processes at once, one
/// does it and the other waits.
///
/// # Errors
///
/// [`ServiceError::Skipped`] if there is no Maven, or it cannot bring them.
pub fn fetch_jars() -> Result<PathBuf, ServiceError> {
    let folder = cache_folder()?.join(format!("cassandra-{VERSION}"));
    fetch_into(&folder, run_maven)?;
    Ok(folder)
}

fn cache_folder() -> Result<PathBuf, ServiceError> {
    let of_user = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let of_home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
    let cache = of_user.or_else(of_home);
    let cache = cache.ok_or_else(|| ServiceError::Skipped("neither XDG_CACHE_HOME nor HOME is set".to_owned()))?;
    Ok(cache.join("rollcall"))
}

/// Sees to it that the folder holds what `bring` brings, whole.
fn fetch_into(folder: &Path, bring: impl FnOnce(&Path) -> Result<(), ServiceError>) -> Result<(), ServiceError> {
    if is_whole(folder) {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent).during("make the folder", parent)?;
    let lock_path = folder.with_added_extension("lock");
    let lock = File::create(&lock_path).during("make", &lock_path)?;
    lock.lock().during("lock", &lock_path)?;
    if is_whole(folder) {
        return Ok(());
    }
    let partial = folder.with_added_extension("partial");
    remove_folder(&partial)?;
    fs::create_dir_all(&partial).during("make the folder", &partial)?;
    bring(&partial)?;
    let list = list_of(&partial).during("list", &partial)?;
    fs::write(partial.join(LIST), list).during("list", &partial)?;
    remove_folder(folder)?;
    fs::rename(&partial, folder).during("put the jars into", folder)
}

fn run_maven(folder: &Path) -> Result<(), ServiceError> {
    let maven = find_program("mvn").ok_or_else(|| {
        ServiceError::Skipped(
            "Maven is missing; install it with `apt-get install maven`, or let `cargo xtask services up` do it"
                .to_owned(),
        )
    })?;
    let work = folder.join("maven");
    fs::create_dir_all(&work).during("make the folder", &work)?;
    let pom = work.join("pom.xml");
    fs::write(&pom, POM).during("write", &pom)?;
    let log_path = work.join("maven.log");
    let log = File::create(&log_path).during("make", &log_path)?;
    let errors = log.try_clone().during("make", &log_path)?;
    eprintln!("Maven brings the jars of Cassandra {VERSION} into {} (67 MB, once)", folder.display());
    let mut child = Command::new(&maven)
        .args(["-B", "--strict-checksums", "-f"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", folder.display()))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .during("run", &maven)?;
    let ended = wait_for(FETCH_LIMIT, || match child.try_wait() {
        Ok(None) => Err("it still ran".to_owned()),
        ended => Ok(ended),
    });
    let reason = match ended {
        Ok(Ok(Some(status))) if status.success() => {
            return fs::remove_dir_all(&work).during("remove", &work);
        }
        Ok(Ok(status)) => status.map_or_else(String::new, |status| status.to_string()),
        Ok(Err(error)) => error.to_string(),
        Err(reason) => {
            drop(child.kill());
            drop(child.wait());
            format!("{reason} after {} s", FETCH_LIMIT.as_secs())
        }
    };
    let tail = log_tail(&log_path);
    Err(ServiceError::Skipped(format!("Maven could not bring the jars of Cassandra ({reason}); it said:\n{tail}")))
}

/// Returns a line `SIZE NAME` for each jar, by name.
fn list_of(folder: &Path) -> std::io::Result<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".jar") {
            lines.push((name, entry.metadata()?.len()));
        }
    }
    lines.sort();
    Ok(lines.iter().map(|(name, size)| format!("{size} {name}\n")).collect())
}

/// Tells whether the folder holds exactly the jars that were listed when it was filled, of the same sizes.
fn is_whole(folder: &Path) -> bool {
    let (listed, found) = (fs::read_to_string(folder.join(LIST)), list_of(folder));
    matches!((listed, found), (Ok(listed), Ok(found)) if listed == found && !listed.is_empty())
}

fn remove_folder(folder: &Path) -> Result<(), ServiceError> {
    if folder.exists() { fs::remove_dir_all(folder).during("remove", folder) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::path::Path;

    use super::{POM, VERSION, fetch_into, is_whole};
    use crate::error::ServiceError;

    #[test]
    fn the_version_is_the_one_in_the_pom() {
        assert!(POM.contains(&format!("<version>{VERSION}</version>")));
    }

    #[test]
    fn what_is_whole_is_kept_and_what_is_not_is_brought_again() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("cassandra-1.2");
        let brought = Cell::new(0);
        let fetch = || {
            fetch_into(&folder, |partial: &Path| {
                brought.set(brought.get() + 1);
                fs::write(partial.join("a.jar"), "aa").unwrap();
                fs::write(partial.join("b.jar"), "bbb").unwrap();
                Ok(())
            })
        };
        fetch().unwrap();
        fetch().unwrap();
        assert_eq!(brought.get(), 1);

        fs::write(folder.join("b.jar"), "b").unwrap();
        fetch().unwrap();
        assert_eq!((brought.get(), fs::read(folder.join("b.jar")).unwrap()), (2, b"bbb".to_vec()));

        fs::remove_file(folder.join("a.jar")).unwrap();
        fetch().unwrap();
        assert_eq!(brought.get(), 3);
    }

    #[test]
    fn what_was_brought_in_part_does_not_count() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("cassandra-1.2");
        let failed = fetch_into(&folder, |partial| {
            fs::write(partial.join("a.jar"), "a").unwrap();
            Err(ServiceError::Skipped("the line was cut".to_owned()))
        });
        assert_eq!(failed.unwrap_err().to_string(), "skipped: the line was cut");
        assert!(!is_whole(&folder));
        let nothing = fetch_into(&folder, |_| Ok(()));
        assert!(nothing.is_ok() && !is_whole(&folder), "no jar at all is not whole");
    }
}
