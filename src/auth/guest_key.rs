//! The key of guests' tokens: a file of the data folder that only its owner can read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::AuthSetupError;

/// The key's file in the data folder.
pub const GUEST_KEY_FILE: &str = "guest.key";

const KEY_BYTES: usize = 32;

/// Reads the key, and makes one first where there is none. The folder is made too.
pub fn open_guest_key(data_dir: &Path) -> Result<[u8; KEY_BYTES], AuthSetupError> {
    let path = data_dir.join(GUEST_KEY_FILE);
    let failed = |source| AuthSetupError::GuestKey { path: path.clone(), source };
    let key = match read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create(data_dir, &path).map_err(failed)?;
            read(&path)
        }
        read => read,
    }
    .map_err(failed)?;
    if fs::metadata(&path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(AuthSetupError::GuestKeyExposed { path });
    }
    key.as_slice().try_into().map_err(|_| AuthSetupError::GuestKeyDamaged { path, bytes: key.len() })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
}

/// Writes a new key aside and links it to its name, so that a crash leaves no half of one and a key that another process
/// made meanwhile stays.
fn create(data_dir: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(data_dir)?;
    let mut key = [0u8; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    let aside = path.with_extension(format!("key.{}", std::process::id()));
    let result = write_private(&aside, &key).and_then(|()| match fs::hard_link(&aside, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&aside);
    result.and(removed)?;
    File::open(data_dir)?.sync_all()
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("new");
        let key = open_guest_key(&data_dir).unwrap();
        assert_ne!(key, [0; KEY_BYTES]);
        assert_eq!(open_guest_key(&data_dir).unwrap(), key);
        let mode = fs::metadata(data_dir.join(GUEST_KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 1);
        assert_ne!(open_guest_key(&folder.path().join("other")).unwrap(), key);
    }

    #[test]
    fn a_key_that_is_cut_or_shown_to_others_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(GUEST_KEY_FILE);
        write_private(&path, b"short").unwrap();
        let error = open_guest_key(folder.path()).unwrap_err();
        assert!(matches!(error, AuthSetupError::GuestKeyDamaged { bytes: 5, .. }), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = open_guest_key(folder.path()).unwrap_err();
        assert!(matches!(error, AuthSetupError::GuestKeyExposed { .. }), "{error}");
    }
}
