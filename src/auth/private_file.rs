//! Files of the data folder that hold a secret which the server has drawn itself: made once, for their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why such a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// It cannot be read or made.
    #[error("failed to use {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others on this machine may read it.
    #[error("others may read {}: take their rights away with `chmod 600`, or remove the file to get another one", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
}

/// Reads the file, and writes what `make` draws first where there is none. The folder is made too.
pub fn open_or_make(
    path: &Path,
    make: impl FnOnce() -> Result<Vec<u8>, getrandom::Error>,
) -> Result<Vec<u8>, PrivateFileError> {
    let failed = |source| PrivateFileError::Io { path: path.to_owned(), source };
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let drawn = make().map_err(|error| failed(io::Error::other(error.to_string())))?;
            create(path, &drawn).map_err(failed)?;
            fs::read(path)
        }
        read => read,
    };
    let bytes = bytes.map_err(failed)?;
    if fs::metadata(path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(PrivateFileError::Exposed { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Writes a new file aside and links it to its name, so that a crash leaves no half of one and one that another process
/// made meanwhile stays.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let aside = path.with_extension(format!("new.{}", std::process::id()));
    let result = write_private(&aside, bytes).and_then(|()| match fs::hard_link(&aside, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&aside);
    result.and(removed)?;
    File::open(folder)?.sync_all()
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
    fn it_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/secret");
        assert_eq!(open_or_make(&path, || Ok(b"first".to_vec())).unwrap(), b"first");
        assert_eq!(open_or_make(&path, || Ok(b"second".to_vec())).unwrap(), b"first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = open_or_make(&path, || Ok(Vec::new())).unwrap_err();
        assert!(matches!(error, PrivateFileError::Exposed { .. }), "{error}");
    }
}
