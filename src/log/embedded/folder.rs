//! The data folder: who holds it, in which format it is, and how the store in it is opened.
//!
//! ```text
//! lock     held by the process that has the folder open; holds its id
//! format   the number of the format, written once the folder was made
//! store/   the tables and journals of fjall
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::journal;
use super::options::EmbeddedOptions;
use super::store::Store;

/// The format that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;

const LOCK_FILE: &str = "lock";
const FORMAT_FILE: &str = "format";
const STORE_FOLDER: &str = "store";

/// Who may enter the folder: the user that runs rollcall, and nobody else. What lies in it needs no mode of its own then.
#[cfg(unix)]
const FOLDER_MODE: u32 = 0o700;

/// How much less of a busy processor fjall's workers get: about a third of what another thread gets.
#[cfg(target_os = "linux")]
const WORKERS_NICE: i32 = 5;

/// The keyspace of its own, number 0, in which fjall keeps what the others are.
const FJALL_KEYSPACES: usize = 1;

/// A data folder that this process holds.
#[derive(Debug)]
pub(super) struct DataFolder {
    path: PathBuf,
    /// Held for as long as the file is open; the system lets it go when the process ends, however it ends.
    _lock: File,
}

impl DataFolder {
    /// Takes the folder for this process; makes it if it does not exist.
    ///
    /// # Errors
    /// Where somebody else holds it, a later version wrote it, or the system does not let us write there.
    pub fn acquire(path: &Path) -> Result<Self, OpenError> {
        make_private_folder(path).map_err(|error| OpenError::from_io(path, path, error))?;
        let lock = acquire_lock(path)?;
        let folder = Self { path: path.to_owned(), _lock: lock };
        if let Some(found) = folder.format()?
            && found > FORMAT
        {
            return Err(OpenError::NewerFormat { folder: folder.path, found, supported: FORMAT });
        }
        Ok(folder)
    }

    /// Returns where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the store, and makes it on the first time. Everything that the journals held is in synced tables when this
    /// returns, and new entries go to a new journal: after a failed sync the system may show us, and later sync without an
    /// error, what never reached the disk.
    ///
    /// # Errors
    /// Where the store is damaged, or the system does not let us read or write it.
    pub fn open_store(&self, options: &EmbeddedOptions) -> Result<Store, OpenError> {
        let path = self.path.join(STORE_FOLDER);
        let is_new = self.format()?.is_none();
        let is_there = path.join("version").try_exists().map_err(|error| self.io_error(&path, error))?;
        match (is_new, is_there) {
            (false, false) => return Err(self.damaged(format!("{} has no store", path.display()))),
            (true, false) => self.remove_unfinished_store(&path)?,
            (true, true) => self.renew_journal(&path, options)?,
            (false, true) => {
                self.check_keyspaces(&path)?;
                self.renew_journal(&path, options)?;
            }
        }

        let store = open_in_background(&path, options)
            .map_err(|error| self.io_error(&path, error))?
            .ok_or_else(|| self.damaged("the store's files are not what was written".to_owned()))?
            .map_err(|error| OpenError::from_store(&self.path, &path, error))?;
        store.wait_until_flushed().map_err(|error| self.flush_error(error))?;

        if is_new {
            if store.has_rooms() {
                return Err(self.damaged(format!("{} is missing", self.path.join(FORMAT_FILE).display())));
            }
            self.write_format()?;
        }
        Ok(store)
    }

    /// Deletes the journals before the newest. Only right after `open_store`, once its store was closed without a commit:
    /// all that they held is in tables then.
    pub fn remove_flushed_journals(&self) -> Result<(), OpenError> {
        let path = self.path.join(STORE_FOLDER);
        let journals = journal::list(&path).map_err(|error| self.io_error(&path, error))?;
        for (_, old) in journals.iter().rev().skip(1) {
            fs::remove_file(old).map_err(|error| self.io_error(old, error))?;
        }
        sync_folder(&path).map_err(|error| self.io_error(&path, error))
    }

    /// Checks what the journals hold, and makes a new one if the newest holds anything.
    fn renew_journal(&self, store: &Path, options: &EmbeddedOptions) -> Result<(), OpenError> {
        let journals = journal::list(store).map_err(|error| self.io_error(store, error))?;
        let Some((newest, path)) = journals.last() else { return Ok(()) };
        let mut holds_anything = false;
        for (number, path) in &journals {
            let scan = journal::scan(path).map_err(|error| self.io_error(path, error))?;
            if let Some(reason) = scan.damage(options.group_bytes_max) {
                return Err(self.damaged(format!("the journal {} {reason}", path.display())));
            }
            if number == newest {
                journal::cut(path, &scan).map_err(|error| self.io_error(path, error))?;
                holds_anything = scan.whole_bytes > 0;
            }
        }
        if holds_anything {
            let next = path.with_file_name(journal::file_name(newest + 1));
            File::create_new(&next).and_then(|file| file.sync_all()).map_err(|error| self.io_error(&next, error))?;
            sync_folder(store).map_err(|error| self.io_error(store, error))?;
        }
        Ok(())
    }

    /// Finds out whether a keyspace is gone. fjall would make an empty one in its place, and where its own is gone, would delete
    /// all the others.
    fn check_keyspaces(&self, store: &Path) -> Result<(), OpenError> {
        let keyspaces = store.join("keyspaces");
        let mut found = 0;
        for keyspace in fs::read_dir(&keyspaces).map_err(|error| self.missing_or_io_error(&keyspaces, error))? {
            let current = keyspace.map_err(|error| self.io_error(&keyspaces, error))?.path().join("current");
            found += usize::from(current.try_exists().map_err(|error| self.io_error(&current, error))?);
        }
        if found < FJALL_KEYSPACES + Store::KEYSPACES || !keyspaces.join("0/current").is_file() {
            return Err(self.damaged(format!("a keyspace is missing from {}", keyspaces.display())));
        }
        Ok(())
    }

    /// Clears away what a first start left that ended before the store was made. Nothing was ever stored in it: that takes
    /// tables of rooms, and it has none.
    fn remove_unfinished_store(&self, store: &Path) -> Result<(), OpenError> {
        let tables = store.join("keyspaces");
        let has_tables = match fs::read_dir(&tables) {
            Ok(mut tables) => tables.next().is_some(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(self.io_error(&tables, error)),
        };
        if has_tables {
            return Err(self.damaged(format!("{} is missing", store.join("version").display())));
        }
        match fs::remove_dir_all(store) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(self.io_error(store, error)),
            _ => Ok(()),
        }
    }

    fn format(&self) -> Result<Option<u32>, OpenError> {
        let path = self.path.join(FORMAT_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(format) => Ok(Some(format)),
                Err(_) => Err(self.damaged(format!("{} holds no number", path.display()))),
            },
            Err(error) => match error.kind() {
                std::io::ErrorKind::NotFound => Ok(None),
                std::io::ErrorKind::InvalidData => Err(self.damaged(format!("{} holds no number", path.display()))),
                _ => Err(self.io_error(&path, error)),
            },
        }
    }

    fn write_format(&self) -> Result<(), OpenError> {
        let path = self.path.join(FORMAT_FILE);
        let unfinished = self.path.join("format.new");
        let write = || {
            let mut file = File::create(&unfinished)?;
            writeln!(file, "{FORMAT}")?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            sync_folder(&self.path)
        };
        write().map_err(|error| self.io_error(&path, error))
    }

    fn flush_error(&self, error: fjall::Error) -> OpenError {
        let is_full = nix::sys::statvfs::statvfs(&self.path).is_ok_and(|stat| stat.blocks_available() < 256);
        if is_full {
            OpenError::DiskFull { folder: self.path.clone() }
        } else {
            OpenError::from_store(&self.path, &self.path.join(STORE_FOLDER), error)
        }
    }

    fn missing_or_io_error(&self, path: &Path, error: std::io::Error) -> OpenError {
        match error.kind() {
            std::io::ErrorKind::NotFound => self.damaged(format!("{} is missing", path.display())),
            _ => self.io_error(path, error),
        }
    }

    fn io_error(&self, path: &Path, error: std::io::Error) -> OpenError {
        OpenError::from_io(&self.path, path, error)
    }

    fn damaged(&self, reason: String) -> OpenError {
        OpenError::Damaged { folder: self.path.clone(), reason }
    }
}

/// Makes the folder if it does not exist, and keeps other users out of it: chats lie there in the clear.
fn make_private_folder(path: &Path) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    builder.mode(FOLDER_MODE);
    builder.recursive(true).create(path)?;
    #[cfg(unix)]
    keep_others_out(path, &fs::metadata(path)?);
    Ok(())
}

/// Takes an existing folder's permissions from everybody but its owner, where that is us; warns where it cannot.
#[cfg(unix)]
fn keep_others_out(path: &Path, metadata: &fs::Metadata) {
    let mode = metadata.mode() & 0o7777;
    if mode & !FOLDER_MODE & 0o777 == 0 {
        return;
    }
    let folder = path.display();
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        tracing::warn!(%folder, "other users can read the data folder, and it is not ours to close: make its mode 0700");
    } else if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(FOLDER_MODE)) {
        tracing::warn!(%folder, %error, "other users can read the data folder: make its mode 0700");
    } else {
        tracing::info!(%folder, "other users could read the data folder; its mode is 0700 now");
    }
}

fn acquire_lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK_FILE);
    let to_error = |error| OpenError::from_io(folder, &path, error);
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(to_error)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(OpenError::Locked { folder: folder.to_owned(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(to_error(error)),
    }
    // The lock holds without the number, which only helps people: a full disk must not keep a log from being read.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// Opens the store on a thread of its own, for two reasons. fjall asserts where it finds names that it never wrote: that is a
/// damaged folder (none) and not the end of a process. And fjall's workers inherit the thread's priority, which is lowered: one
/// of them turns in a circle while another merges tables, and neither may keep commits from the processor.
fn open_in_background(path: &Path, options: &EmbeddedOptions) -> std::io::Result<Option<fjall::Result<Store>>> {
    let (path, options) = (path.to_owned(), options.clone());
    let opening = std::thread::Builder::new().name("log-opener".to_owned()).spawn(move || {
        // On Linux this is the thread's alone. Where it cannot be set, merges are merely less polite.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::nice(WORKERS_NICE);
        Store::open(&path, &options)
    })?;
    Ok(opening.join().ok())
}

/// Makes the names in a folder durable.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}
