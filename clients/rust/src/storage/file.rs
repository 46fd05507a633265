//! A storage in a file of JSON.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::{Saved, Storage, StorageError};

/// Keeps a client's state in a file of JSON, which only its owner may read: it may hold a guest's proof.
///
/// A save writes a new file beside the old one, syncs it, renames it over the old one and syncs the folder: after a crash of
/// the program or the machine the old state or the new one is there. It costs a sync a save, and is written whole: it suits
/// the client of a person, not a load generator. A lock beside the file keeps a second client away while this one lives.
#[derive(Debug)]
pub struct FileStorage {
    path: PathBuf,
    /// Held, and so locked, as long as the storage lives.
    _lock: File,
}

impl FileStorage {
    /// Takes the file at a path for one client; it need not exist yet, the folder must.
    ///
    /// # Errors
    /// Where the lock file cannot be made, or another client has it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let path = path.into();
        let lock_path = with_suffix(&path, ".lock");
        let lock = private_file(&lock_path, false).map_err(io_error("make the lock", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(StorageError::InUse { place: path.display().to_string() }),
            Err(fs::TryLockError::Error(source)) => Err(io_error("lock", &lock_path)(source)),
        }
    }
}

impl Storage for FileStorage {
    fn load(&mut self) -> Result<Saved, StorageError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|source| StorageError::Damaged { place: self.path.display().to_string(), source }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Saved::default()),
            Err(source) => Err(io_error("read", &self.path)(source)),
        }
    }

    fn save(&mut self, saved: &Saved) -> Result<(), StorageError> {
        let text = serde_json::to_vec(saved).expect("a client's state can always be written as JSON");
        let new_path = with_suffix(&self.path, ".new");
        let mut new = private_file(&new_path, true).map_err(io_error("make", &new_path))?;
        new.write_all(&text).and_then(|()| new.sync_all()).map_err(io_error("write", &new_path))?;
        fs::rename(&new_path, &self.path).map_err(io_error("replace", &self.path))?;
        sync_folder_of(&self.path).map_err(io_error("sync the folder of", &self.path))
    }
}

/// Opens a file for writing that only its owner may read.
fn private_file(path: &Path, truncate: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(truncate);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a rename in a folder outlive a crash of the machine.
fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StorageError {
    let place = path.display().to_string();
    move |source| StorageError::Io { what, place, source }
}

#[cfg(test)]
mod tests {
    use rollcall_protocol::DeviceId;

    use super::*;
    use crate::storage::Change;

    #[test]
    fn what_was_saved_is_loaded_by_the_next_life_and_by_one_client_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.json");
        let mut storage = FileStorage::open(&path).unwrap();
        let mut saved = storage.load().unwrap();
        assert_eq!(saved, Saved::default());
        saved.apply(Change::Device(DeviceId::parse("phone").unwrap()));
        storage.save(&saved).unwrap();
        saved.apply(Change::GuestToken(Some("proof".into())));
        storage.save(&saved).unwrap();
        assert!(matches!(FileStorage::open(&path), Err(StorageError::InUse { .. })));
        drop(storage);
        assert_eq!(FileStorage::open(&path).unwrap().load().unwrap(), saved);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap()) & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_and_a_missing_folder_are_errors_that_name_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.json");
        fs::write(&path, "{\"device\":").unwrap();
        let error = FileStorage::open(&path).unwrap().load().unwrap_err();
        assert!(matches!(&error, StorageError::Damaged { place, .. } if place.ends_with("client.json")), "{error}");
        let error = FileStorage::open(folder.path().join("none/client.json")).unwrap_err();
        assert!(matches!(&error, StorageError::Io { what: "make the lock", .. }), "{error}");
    }
}
