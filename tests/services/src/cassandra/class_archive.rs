//! Cassandra's classes as Java keeps them in memory, in a file: with it a node starts with a third less work.
//!
//! Java calls it a dynamic archive of application class-data sharing. It is written once, when a node ends by itself. A Java or
//! jars for which it was not written ignore it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{DuringExt as _, ServiceError};

/// Lies beside the jars.
const NAME: &str = "classes.jsa";

/// Without these Java neither writes nor reads an archive beside the agent that Cassandra needs.
const WITH_AGENT: [&str; 2] = ["-XX:+UnlockDiagnosticVMOptions", "-XX:+AllowArchivingWithJavaAgent"];

/// What a node does with the archive.
#[derive(Debug, Clone)]
pub(super) enum ClassArchive {
    Read(PathBuf),
    /// Write it when it ends by itself.
    Write(PathBuf),
    /// None could be written.
    None,
}

impl ClassArchive {
    /// Returns the archive of these jars. If there is none, lets `record` start and end a node in the folder that it is given,
    /// with the archive that it is given; two processes do not do so at once. A node starts without one, too: if it cannot be
    /// had, says why.
    pub(super) fn of(jars: &Path, record: impl FnOnce(&Path, Self) -> Result<(), ServiceError>) -> Self {
        let path = jars.join(NAME);
        match write_if_missing(&path, record) {
            Ok(()) => Self::Read(path),
            Err(error) => {
                eprintln!("Cassandra starts slower than it could, without an archive of its classes: {error}");
                Self::None
            }
        }
    }

    /// Returns the arguments of Java.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let (option, path) = match self {
            Self::Read(path) => ("-XX:SharedArchiveFile=", path),
            Self::Write(path) => ("-XX:ArchiveClassesAtExit=", path),
            Self::None => return Vec::new(),
        };
        let mut option = OsString::from(option);
        option.push(path);
        WITH_AGENT.iter().map(Into::into).chain([option]).collect()
    }
}

fn write_if_missing(
    path: &Path,
    record: impl FnOnce(&Path, ClassArchive) -> Result<(), ServiceError>,
) -> Result<(), ServiceError> {
    if path.is_file() {
        return Ok(());
    }
    let lock_path = path.with_added_extension("lock");
    let lock = File::create(&lock_path).during("make", &lock_path)?;
    lock.lock().during("lock", &lock_path)?;
    if path.is_file() {
        return Ok(());
    }
    eprintln!("Cassandra is started and ended once, to keep its classes in {} (once)", path.display());
    let folder = path.with_added_extension("recording");
    let partial = path.with_added_extension("partial");
    let recorded = record(&folder, ClassArchive::Write(partial.clone()));
    if folder.exists() {
        fs::remove_dir_all(&folder).during("remove", &folder)?;
    }
    recorded?;
    fs::rename(&partial, path).during("keep", &partial)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::ClassArchive;
    use crate::error::ServiceError;

    #[test]
    fn an_archive_is_written_once_and_read_from_then_on() {
        let jars = tempfile::tempdir().unwrap();
        let failed = ClassArchive::of(jars.path(), |_, _| Err(ServiceError::Skipped("no memory".to_owned())));
        assert!(failed.arguments().is_empty(), "a node starts without one");
        for expected_records in [1, 0] {
            let mut records = 0;
            let archive = ClassArchive::of(jars.path(), |folder, archive| {
                records += 1;
                fs::create_dir(folder).unwrap();
                let option = archive.arguments()[2].to_str().unwrap().to_owned();
                fs::write(option.strip_prefix("-XX:ArchiveClassesAtExit=").unwrap(), "classes").unwrap();
                Ok(())
            });
            let expected = format!("-XX:SharedArchiveFile={}", jars.path().join("classes.jsa").display());
            assert_eq!((archive.arguments()[2].to_str(), records), (Some(expected.as_str()), expected_records));
        }
        let mut left: Vec<_> = fs::read_dir(jars.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["classes.jsa", "classes.jsa.lock"]);
    }
}
