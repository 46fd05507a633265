//! What a test needs of the machine: small disks, and files to break.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Says loudly that a test could not run on this machine. Where everything must run, in CI, that is a failure.
///
/// # Panics
/// Where the environment says `CI=true`.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must run everything, but {reason}");
    // Not the captured output of the test: whoever runs it should see it.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("\nSKIPPED: {reason}\n").as_bytes());
}

/// A disk of a few MiB in memory, mounted for as long as it lives.
#[derive(Debug)]
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts a disk; none, said loudly, where the machine does not let us.
    pub fn mount(mib: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={mib}m");
        let mounted = mount(Some("tmpfs"), folder.path(), Some("tmpfs"), MsFlags::empty(), Some(options.as_str()));
        match mounted {
            Ok(()) => Some(Self { folder }),
            Err(error) => {
                skip(&format!("a small disk needs root and the right to mount: {error}"));
                None
            }
        }
    }

    /// Returns where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes no more writes from now on.
    pub fn make_read_only(&self) {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, self.path(), None::<&str>, flags, None::<&str>).unwrap();
    }

    /// Fills the disk until `free_bytes` are left; returns the file that does.
    pub fn fill(&self, free_bytes: u64) -> PathBuf {
        let filler = self.path().join("filler");
        let bytes = self.free_bytes().saturating_sub(free_bytes);
        let file = fs::File::create(&filler).unwrap();
        nix::fcntl::fallocate(&file, nix::fcntl::FallocateFlags::empty(), 0, i64::try_from(bytes).unwrap()).unwrap();
        filler
    }

    /// Returns how much is free, in bytes.
    pub fn free_bytes(&self) -> u64 {
        let stat = nix::sys::statvfs::statvfs(self.path()).unwrap();
        stat.blocks_available() * stat.fragment_size()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(self.folder.path(), MntFlags::MNT_DETACH);
    }
}

/// Returns every file below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Returns the files below a folder that contain some bytes. A file that is removed while the folder is searched, as a log does
/// with tables that it has merged, contains nothing.
pub fn files_with(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let contains = |path: &PathBuf| match fs::read(path) {
        Ok(content) => content.windows(bytes.len()).any(|window| window == bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => panic!("failed to read {}: {error}", path.display()),
    };
    files_below(folder).into_iter().filter(contains).collect()
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, &target).unwrap();
    }
}

/// Waits until `condition` gives something; asks again every few milliseconds.
///
/// # Panics
/// After 20 seconds.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited 20 s in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await; // pace: between looks at the condition
    }
}
