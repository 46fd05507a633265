//! A storage that lives as long as the process.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Saved, Storage, StorageError};

/// Keeps a client's state in memory: a later client of the same process goes on from it. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    saved: Arc<Mutex<Saved>>,
}

impl MemoryStorage {
    /// Returns what was saved last.
    pub fn saved(&self) -> Saved {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Storage for MemoryStorage {
    fn load(&mut self) -> Result<Saved, StorageError> {
        Ok(self.saved())
    }

    fn save(&mut self, saved: &Saved) -> Result<(), StorageError> {
        saved.clone_into(&mut self.saved.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}
