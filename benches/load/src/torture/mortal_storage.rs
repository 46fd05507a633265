//! A storage whose program can die.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rollcall_client::storage::{MemoryStorage, Saved, Storage, StorageError};

/// One life's access to what a client keeps. After death nothing more is kept, whatever the client's tasks still do: as with a
/// program that was killed, what was not saved by then is lost, and the client sends nothing that it could not save.
#[derive(Debug, Clone)]
pub struct MortalStorage {
    kept: MemoryStorage,
    is_dead: Arc<AtomicBool>,
}

impl MortalStorage {
    /// Begins a life on what earlier lives have kept.
    pub fn born(kept: &MemoryStorage) -> Self {
        Self { kept: kept.clone(), is_dead: Arc::default() }
    }

    /// Ends the life.
    pub fn die(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
    }
}

impl Storage for MortalStorage {
    fn load(&mut self) -> Result<Saved, StorageError> {
        self.kept.load()
    }

    fn save(&mut self, saved: &Saved) -> Result<(), StorageError> {
        if self.is_dead.load(Ordering::SeqCst) {
            let (what, place) = ("save to", "a program that was killed".to_owned());
            return Err(StorageError::Io { what, place, source: io::ErrorKind::BrokenPipe.into() });
        }
        self.kept.save(saved)
    }
}

#[cfg(test)]
mod tests {
    use rollcall_client::DeviceId;

    use super::*;

    #[test]
    fn what_a_dead_program_saves_is_lost() {
        let kept = MemoryStorage::default();
        let saved = |name: &str| Saved { device: Some(DeviceId::parse(name).unwrap()), ..Saved::default() };
        let mut first = MortalStorage::born(&kept);
        first.save(&saved("one")).unwrap();
        first.die();
        assert!(first.save(&saved("two")).is_err());
        assert_eq!(MortalStorage::born(&kept).load().unwrap(), saved("one"));
    }
}
