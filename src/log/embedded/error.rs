//! Why an embedded log could not be opened, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a folder could not be opened as a log. Each text says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another log in this one, has it open.
    #[error("the data folder {} is in use{}: stop that one first, or name another folder",
            folder.display(), by_process(*pid))]
    Locked {
        /// Which folder.
        folder: PathBuf,
        /// The process that holds it, where it said so.
        pid: Option<u32>,
    },
    /// A later version wrote it.
    #[error("the data folder {} is written in format {found}, and this version of rollcall reads up to format {supported}: \
             start it with the version that wrote it or a later one", folder.display())]
    NewerFormat {
        /// Which folder.
        folder: PathBuf,
        /// The folder's format.
        found: u32,
        /// The newest format that this version reads.
        supported: u32,
    },
    /// It is on a file system that takes no writes.
    #[error("the data folder {} is on a read-only file system: mount it writable, or name another folder", folder.display())]
    ReadOnly {
        /// Which folder.
        folder: PathBuf,
    },
    /// This user may not write there.
    #[error("no permission to write {}: give it to the user that runs rollcall, or name another folder", path.display())]
    Permission {
        /// Which file or folder.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("the disk of the data folder {} is full: free some space and start again", folder.display())]
    DiskFull {
        /// Which folder.
        folder: PathBuf,
    },
    /// What is stored cannot be what was written.
    #[error("the data folder {} is damaged: {reason}; keep a copy of it, and restore a backup or another node's copy",
            folder.display())]
    Damaged {
        /// Which folder.
        folder: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The system could not do it.
    #[error("failed to use {}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    /// Finds the error of a system call on `path` within the data folder.
    pub(super) fn from_io(folder: &Path, path: &Path, source: io::Error) -> Self {
        let folder = folder.to_owned();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { folder },
            io::ErrorKind::PermissionDenied => Self::Permission { path: path.to_owned() },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { folder },
            _ => Self::Io { path: path.to_owned(), source },
        }
    }

    /// Finds the error of the store, which lies at `path` within the data folder.
    pub(super) fn from_store(folder: &Path, path: &Path, error: fjall::Error) -> Self {
        match error {
            fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source)) => match source.kind() {
                // The store has just been found to exist: a part of it is gone, or was cut.
                io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                    Self::Damaged { folder: folder.to_owned(), reason: source.to_string() }
                }
                _ => Self::from_io(folder, path, source),
            },
            fjall::Error::Locked => Self::Locked { folder: folder.to_owned(), pid: None },
            other => Self::Damaged { folder: folder.to_owned(), reason: other.to_string() },
        }
    }
}

fn by_process(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
}
