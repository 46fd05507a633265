//! The key of guests' tokens: a file of the data folder that only its owner can read.

use std::path::Path;

use super::AuthSetupError;
use super::private_file::{PrivateFileError, open_or_make};

/// The key's file in the data folder.
pub const GUEST_KEY_FILE: &str = "guest.key";

const KEY_BYTES: usize = 32;

/// Reads the key, and makes one first where there is none. The folder is made too.
pub fn open_guest_key(data_dir: &Path) -> Result<[u8; KEY_BYTES], AuthSetupError> {
    let path = data_dir.join(GUEST_KEY_FILE);
    let key = open_or_make(&path, || {
        let mut key = vec![0; KEY_BYTES];
        getrandom::fill(&mut key)?;
        Ok(key)
    });
    let key = key.map_err(|error| match error {
        PrivateFileError::Io { path, source } => AuthSetupError::GuestKey { path, source },
        PrivateFileError::Exposed { path } => AuthSetupError::GuestKeyExposed { path },
    })?;
    key.as_slice().try_into().map_err(|_| AuthSetupError::GuestKeyDamaged { path, bytes: key.len() })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("new");
        let key = open_guest_key(&data_dir).unwrap();
        assert_ne!(key, [0; KEY_BYTES]);
        assert_eq!(open_guest_key(&data_dir).unwrap(), key);
        assert_ne!(open_guest_key(&folder.path().join("other")).unwrap(), key);
    }

    #[test]
    fn a_key_that_is_cut_or_shown_to_others_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(GUEST_KEY_FILE);
        fs::write(&path, b"short").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = open_guest_key(folder.path()).unwrap_err();
        assert!(matches!(error, AuthSetupError::GuestKeyDamaged { bytes: 5, .. }), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = open_guest_key(folder.path()).unwrap_err();
        assert!(matches!(error, AuthSetupError::GuestKeyExposed { .. }), "{error}");
    }
}
