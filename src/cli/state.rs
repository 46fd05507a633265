//! What the client commands remember on this machine: a guest's proof, devices, unanswered writes.
//!
//! ```text
//! $XDG_STATE_HOME/rollcall/<server>/guest-0.json  guest-1.json  …  token-0.json  …
//! ```
//! A client's state belongs to one process at a time, so that each of several commands at once takes the first slot that is
//! free, with a device of its own. All of them are one guest: the proof in slot 0 is the one that counts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rollcall_client::storage::{Change, FileStorage, Saved, Storage, StorageError};

use super::failure::{Failure, Kind, kind_of};

/// Commands at once on one machine as one user.
const SLOTS_MAX: usize = 32;

/// Takes a free slot for a server. `group` keeps guests and holders of tokens apart. None where the machine has no place for
/// it: no home folder.
///
/// # Errors
/// Where the folder or a slot cannot be used.
pub fn open(url: &str, group: &str) -> Result<Option<FileStorage>, Failure> {
    let Some(base) = state_folder() else { return Ok(None) };
    open_in(&base.join(folder_name(url)), group).map(Some)
}

fn state_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(base.join("rollcall"))
}

/// Turns an address into the name of a folder. No two addresses share one: what is not plain is written by its number.
fn folder_name(url: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-');
    url.chars()
        .map(|character| match character {
            _ if plain(character) => character.to_string(),
            _ => format!("_{:x}_", u32::from(character)),
        })
        .collect()
}

fn open_in(folder: &Path, group: &str) -> Result<FileStorage, Failure> {
    let failed = |error: &io::Error| {
        let text = format!("failed to make {}: {error}; set XDG_STATE_HOME to a folder of yours", folder.display());
        Failure::new(kind_of(error), text)
    };
    make_private(folder).map_err(|error| failed(&error))?;
    let path = |slot: usize| folder.join(format!("{group}-{slot}.json"));
    for slot in 0..SLOTS_MAX {
        match FileStorage::open(path(slot)) {
            Ok(mut storage) => {
                share_guest(&mut storage, slot, &path).map_err(unusable)?;
                return Ok(storage);
            }
            Err(StorageError::InUse { .. }) => {}
            Err(error) => return Err(unusable(error)),
        }
    }
    Err(Failure::new(Kind::Unavailable, format!("{SLOTS_MAX} commands use {} already", folder.display())))
}

/// Takes over the guest's proof of slot 0, or, into slot 0, that of any other slot.
fn share_guest(storage: &mut FileStorage, slot: usize, path: &dyn Fn(usize) -> PathBuf) -> Result<(), StorageError> {
    let mut saved = storage.load()?;
    let others = if slot == 0 { 1..SLOTS_MAX } else { 0..1 };
    let needs_one = slot != 0 || saved.guest_token.is_none();
    let shared = others.filter(|_| needs_one).find_map(|other| guest_token(&path(other)));
    if shared.is_some() && shared != saved.guest_token {
        saved.apply(Change::GuestToken(shared));
        storage.save(&saved)?;
    }
    Ok(())
}

/// Reads the proof in a slot that another process may have: it is replaced as a whole, so that half of one is never read.
fn guest_token(path: &Path) -> Option<String> {
    serde_json::from_str::<Saved>(&fs::read_to_string(path).ok()?).ok()?.guest_token
}

fn unusable(error: StorageError) -> Failure {
    let kind = match &error {
        StorageError::Io { source, .. } => kind_of(source),
        StorageError::InUse { .. } => Kind::Unavailable,
        StorageError::Damaged { .. } => Kind::Io,
    };
    match error {
        StorageError::Damaged { .. } => {
            Failure::new(kind, format!("{error}; remove it to begin afresh, as a new guest"))
        }
        _ => Failure::new(kind, error),
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn with_token(storage: &mut FileStorage, token: &str) {
        let mut saved = storage.load().unwrap();
        saved.apply(Change::GuestToken(Some(token.to_owned())));
        storage.save(&saved).unwrap();
    }

    fn token_of(storage: &mut FileStorage) -> Option<String> {
        storage.load().unwrap().guest_token
    }

    #[test]
    fn commands_at_once_are_one_guest_with_devices_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("server");
        let mut first = open_in(&folder, "guest").unwrap();
        assert_eq!(token_of(&mut first), None);
        with_token(&mut first, "proof");
        let mut second = open_in(&folder, "guest").unwrap();
        assert_eq!(token_of(&mut second).as_deref(), Some("proof"));
        assert_eq!(token_of(&mut open_in(&folder, "token").unwrap()), None);
        with_token(&mut first, "newer");
        drop((first, second));
        let mut first = open_in(&folder, "guest").unwrap();
        assert_eq!(token_of(&mut first).as_deref(), Some("newer"));
        assert_eq!(token_of(&mut open_in(&folder, "guest").unwrap()).as_deref(), Some("newer"));
        for file in fs::read_dir(&folder).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0);
        }
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn slot_0_learns_the_guest_from_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let first = open_in(folder.path(), "guest").unwrap();
        with_token(&mut open_in(folder.path(), "guest").unwrap(), "proof");
        drop(first);
        assert_eq!(token_of(&mut open_in(folder.path(), "guest").unwrap()).as_deref(), Some("proof"));
    }

    #[test]
    fn each_server_has_a_folder() {
        let names = ["ws://a:1/v1/ws", "ws://a_1/v1/ws", "ws://a/1/v1/ws", "../../x"].map(folder_name);
        assert_eq!(names[0], "ws_3a__2f__2f_a_3a_1_2f_v1_2f_ws");
        assert!(
            names.iter().all(|name| !name.contains('/'))
                && names.iter().collect::<std::collections::BTreeSet<_>>().len() == 4
        );
    }
}
