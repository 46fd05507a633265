//! This machine: where the data lies, and how much of the machine a server may have.

use std::path::Path;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use rlimit::Resource;

use super::Finding;
use crate::config::{Config, LogKind};
use crate::limits::FILES_RESERVED;

/// Fewer connections than this are soon used up.
const CONNECTIONS_FEW: u64 = 10_000;

const MIB: u64 = 1024 * 1024;

/// Looks at the data folder, its disk and the limit of open files. Changes nothing.
pub fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![folder(&config.data.dir)];
    if config.log.kind == LogKind::Embedded {
        findings.push(space(&config.data.dir, config.data.free_space_reserve_bytes));
    }
    let (soft, hard) = Resource::NOFILE.get().unwrap_or((0, 0));
    findings.push(files(soft, hard, config.limits.connections_max));
    findings
}

fn folder(dir: &Path) -> Finding {
    const CHECK: &str = "data.folder";
    let shown = dir.display();
    if dir.exists() && !dir.is_dir() {
        return Finding::fail(CHECK, format!("{shown} is no folder"), "set `data.dir` to a folder");
    }
    let place = nearest(dir);
    if access(place, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        let text = format!("this user may not write to {}", place.display());
        return Finding::fail(
            CHECK,
            text,
            "run as the user whose folder it is, or set `data.dir` to a folder of this user's",
        );
    }
    if place == dir {
        Finding::ok(CHECK, format!("{shown} can be written to"))
    } else {
        Finding::ok(CHECK, format!("{shown} is not there yet; the first start makes it"))
    }
}

fn space(dir: &Path, reserve_bytes: u64) -> Finding {
    match statvfs(nearest(dir)) {
        Ok(stat) => judge_space(stat.blocks_available().saturating_mul(stat.fragment_size()), reserve_bytes),
        Err(error) => Finding::warn("data.space", format!("the disk does not say how full it is: {error}"), "watch it"),
    }
}

fn judge_space(free_bytes: u64, reserve_bytes: u64) -> Finding {
    const CHECK: &str = "data.space";
    let (free_mib, reserve_mib) = (free_bytes / MIB, reserve_bytes / MIB);
    let text = format!("{free_mib} MiB are free, of which {reserve_mib} are kept free");
    let advice = "make room, or set `data.dir` to a larger disk: below the reserve every write is refused";
    match free_bytes {
        _ if free_bytes < reserve_bytes => Finding::fail(CHECK, text, advice),
        _ if free_bytes / 4 < reserve_bytes => Finding::warn(CHECK, text, advice),
        _ => Finding::ok(CHECK, text),
    }
}

fn files(soft: u64, hard: u64, connections_max: Option<usize>) -> Finding {
    const CHECK: &str = "machine.files";
    let connections = hard.saturating_sub(FILES_RESERVED);
    let text = format!(
        "{hard} files may be open at once ({soft} until a server raises its limit), which is enough for {connections} connections"
    );
    let advice = "raise the hard limit: LimitNOFILE= in a systemd unit, `ulimit -Hn` in a shell";
    match connections_max.map(|max| max as u64) {
        Some(max) if max > connections => {
            Finding::fail(CHECK, format!("{text}, and `limits.connections_max` is {max}"), advice)
        }
        None if connections < CONNECTIONS_FEW => Finding::warn(CHECK, text, advice),
        _ => Finding::ok(CHECK, text),
    }
}

/// Returns the path itself, or the nearest folder above it that is there.
fn nearest(path: &Path) -> &Path {
    let found = path.ancestors().find(|ancestor| ancestor.exists());
    found.unwrap_or(if path.is_absolute() { Path::new("/") } else { Path::new(".") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn the_disk_is_judged_by_the_reserve() {
        let status = |free| judge_space(free * MIB, 256 * MIB).status;
        assert_eq!([255, 256, 1023, 1024].map(status), [Status::Fail, Status::Warn, Status::Warn, Status::Ok]);
    }

    #[test]
    fn the_limit_of_files_is_the_hard_one() {
        let status = |hard, max| files(1_024, hard, max).status;
        assert_eq!(status(1_048_576, None), Status::Ok);
        assert_eq!(status(1_024, None), Status::Warn);
        assert_eq!(status(1_024, Some(800)), Status::Ok, "it is all that is wanted");
        assert_eq!(status(1_024, Some(1_000)), Status::Fail);
    }

    #[test]
    fn a_folder_that_is_not_there_is_judged_by_the_one_above_it() {
        let parent = tempfile::tempdir().unwrap();
        assert_eq!(nearest(&parent.path().join("a/b")), parent.path());
        assert!(folder(&parent.path().join("a/b")).text.contains("the first start makes it"));
        assert!(folder(parent.path()).text.ends_with("can be written to"));
        std::fs::write(parent.path().join("file"), "").unwrap();
        assert_eq!(folder(&parent.path().join("file")).status, Status::Fail);
        assert_eq!(nearest(Path::new("nowhere/at/all")), Path::new("."));
    }
}
