//! Where the server keeps its log while it is measured.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};

use crate::clock::micros;
use crate::latency::{Latency, Quantiles};

/// What is written before each sync of the probe, in bytes: about one small group of entries.
const PROBE_WRITE_BYTES: usize = 4096;

/// Syncs of the probe.
const PROBE_SYNCS: usize = 400;

/// The magic number of ramfs, which `nix` does not name.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// A fresh folder on a disk that keeps what is synced to it.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    file_system: String,
    /// Whether the folder is removed when the run went well.
    is_ours: bool,
}

impl DataFolder {
    /// Makes a fresh folder: the named one, which must be empty or not there, or one under the build's target folder.
    ///
    /// # Errors
    /// Where it cannot be made, is not empty, or lies in memory.
    pub fn make(named: Option<&Path>) -> anyhow::Result<Self> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => folder_under_target()?,
        };
        // Looked at before anything is made: a refusal leaves nothing behind.
        let there = path.ancestors().find(|folder| folder.exists()).filter(|folder| !folder.as_os_str().is_empty());
        let there = there.unwrap_or(Path::new("."));
        let kind = statfs(there).context("failed to learn the file system")?.filesystem_type();
        if kind == TMPFS_MAGIC || kind == RAMFS_MAGIC {
            bail!(
                "{} is on {}, in memory: a sync there proves nothing; name another --data-dir",
                path.display(),
                file_system_of_folder(there)?
            );
        }
        fs::create_dir_all(&path).with_context(|| format!("failed to make the folder {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("failed to find the folder {}", path.display()))?;
        let mut inside = path.read_dir().with_context(|| format!("failed to look into {}", path.display()))?;
        ensure!(inside.next().is_none(), "{} is not empty: name a fresh folder", path.display());

        let file_system = file_system_of_folder(&path)?;
        Ok(Self { path, file_system, is_ours: named.is_none() })
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names the file system.
    pub fn file_system(&self) -> &str {
        &self.file_system
    }

    /// Measures the bare disk: small writes at the end of a file, each made durable as a log would.
    ///
    /// # Errors
    /// Where the file cannot be written or synced.
    pub fn probe_sync(&self) -> anyhow::Result<Option<Quantiles>> {
        let path = self.path.join("sync-probe");
        let probe = || -> std::io::Result<Latency> {
            let mut file = OpenOptions::new().create_new(true).append(true).open(&path)?;
            let mut latency = Latency::new();
            for _ in 0..PROBE_SYNCS {
                file.write_all(&[0x5a; PROBE_WRITE_BYTES])?;
                let start = Instant::now();
                file.sync_data()?;
                latency.record_us(micros(start.elapsed()));
            }
            Ok(latency)
        };
        let latency = probe().context("failed to measure the disk's sync");
        fs::remove_file(&path).context("failed to remove the file of the disk's measurement")?;
        Ok(latency?.quantiles())
    }

    /// Removes the folder if the harness chose it.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove(&self) -> anyhow::Result<()> {
        if self.is_ours {
            fs::remove_dir_all(&self.path).with_context(|| format!("failed to remove {}", self.path.display()))?;
        }
        Ok(())
    }
}

/// `target/rollcall-load/<pid>`, wherever the target folder of this very program is.
fn folder_under_target() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    let target = program.ancestors().nth(2).context("this program lies in no folder")?;
    Ok(target.join("rollcall-load").join(std::process::id().to_string()))
}

fn file_system_of_folder(folder: &Path) -> anyhow::Result<String> {
    let folder = folder.canonicalize().with_context(|| format!("failed to find the folder {}", folder.display()))?;
    Ok(file_system_of(&folder, &fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()))
}

/// Finds the mount that a path lies under, and names its type and source.
fn file_system_of(path: &Path, mountinfo: &str) -> String {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mount_point = place.split(' ').nth(4)?;
        let mut kind = kind.split(' ');
        let (name, source) = (kind.next()?, kind.next()?);
        path.starts_with(mount_point).then(|| (mount_point.len(), format!("{name} ({source})")))
    });
    // Of mounts over one another the last one holds.
    mounts.max_by_key(|(length, _)| *length).map_or_else(|| "an unknown file system".to_owned(), |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_innermost_mount() {
        let mountinfo = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
                         30 22 0:26 / /run rw shared:1 - tmpfs tmpfs rw\n\
                         31 30 0:27 / /run/deep rw - xfs /dev/vdb rw\n";
        let of = |path: &str| file_system_of(Path::new(path), mountinfo);
        assert_eq!(of("/run/deep/er"), "xfs (/dev/vdb)");
        assert_eq!(of("/run/deeper"), "tmpfs (tmpfs)");
        assert_eq!(of("/srv"), "ext4 (/dev/vda)");
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("somebody's"), "").unwrap();
        let error = DataFolder::make(Some(folder.path())).unwrap_err();
        assert!(error.to_string().contains("not empty"), "{error}");
    }

    #[test]
    fn memory_is_refused() {
        // Every Linux that can run the server has it; where it is no tmpfs there is nothing to refuse.
        let shm = Path::new("/dev/shm");
        if statfs(shm).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC) {
            let folder = tempfile::tempdir_in(shm).unwrap();
            for refused in [folder.path().to_owned(), folder.path().join("not/there")] {
                let error = DataFolder::make(Some(&refused)).unwrap_err();
                assert!(error.to_string().contains("in memory"), "{error}");
            }
            assert_eq!(folder.path().read_dir().unwrap().count(), 0, "a refusal left a folder behind");
        }
    }
}
