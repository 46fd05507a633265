//! The free-space reserve: writes are refused before the disk is full.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How old a look at the disk may be. A group has at most a few MiB, so that the reserve outlasts what is written meanwhile.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Knows whether the disk has room for a write.
#[derive(Debug)]
pub(super) struct FreeSpace {
    folder: PathBuf,
    reserve_bytes: u64,
    looked: Option<(Instant, u64)>,
}

/// What the disk has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Entries and snapshots.
    pub for_entries: bool,
    /// Fences and floors, a few bytes each: they may use up the reserve to a quarter, so that rooms can still be read.
    pub for_fences: bool,
    /// Free for us, in bytes.
    pub free_bytes: u64,
}

impl FreeSpace {
    /// Watches the disk of a folder.
    pub fn new(folder: &Path, reserve_bytes: u64) -> Self {
        Self { folder: folder.to_owned(), reserve_bytes, looked: None }
    }

    /// Says what there is room for; asks the system at most every 100 ms.
    pub fn room(&mut self) -> Room {
        let free_bytes = match self.looked {
            Some((at, free_bytes)) if at.elapsed() < LOOK_AGAIN_AFTER => free_bytes,
            _ => self.look(),
        };
        Room {
            for_entries: free_bytes >= self.reserve_bytes,
            for_fences: free_bytes >= self.reserve_bytes / 4,
            free_bytes,
        }
    }

    fn look(&mut self) -> u64 {
        // A file system that cannot be asked is taken to have room: a write to it fails by itself where it has none.
        let free_bytes = nix::sys::statvfs::statvfs(&self.folder)
            .map_or(u64::MAX, |stat| stat.blocks_available().saturating_mul(stat.fragment_size()));
        self.looked = Some((Instant::now(), free_bytes));
        free_bytes
    }
}
