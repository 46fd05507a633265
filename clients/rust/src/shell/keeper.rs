//! Brings what must outlive a restart to the storage.

use std::time::Duration;

use crate::storage::{Change, Saved, Storage, StorageError};

/// How long a change that is not urgent may wait for others, so that one save keeps them all.
pub(super) const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Brings what must outlive a restart to the storage.
pub(crate) struct Keeper {
    /// None while a save is under way on another thread.
    storage: Option<Box<dyn Storage>>,
    saved: Saved,
    is_dirty: bool,
    is_urgent: bool,
}

impl Keeper {
    /// Takes a storage and what it has.
    pub(crate) fn new(storage: Box<dyn Storage>, saved: Saved) -> Self {
        Self { storage: Some(storage), saved, is_dirty: false, is_urgent: false }
    }

    /// Takes a change.
    pub(super) fn remember(&mut self, change: Change) {
        self.is_dirty = true;
        self.is_urgent |= change.is_urgent();
        self.saved.apply(change);
    }

    /// Tells whether there is something to save.
    pub(super) fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Tells whether nothing may be sent before a save.
    pub(super) fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// Saves what has changed, on a thread that may block.
    pub(super) async fn save(&mut self) -> Result<(), StorageError> {
        if !self.is_dirty {
            return Ok(());
        }
        let Some(mut storage) = self.storage.take() else { return Ok(()) };
        let saved = self.saved.clone();
        let task = tokio::task::spawn_blocking(move || {
            let outcome = storage.save(&saved);
            (storage, outcome)
        });
        let (storage, outcome) = task.await.map_err(|error| StorageError::Io {
            what: "finish a save to",
            place: "the client's storage".to_owned(),
            source: std::io::Error::other(error),
        })?;
        self.storage = Some(storage);
        outcome?;
        (self.is_dirty, self.is_urgent) = (false, false);
        Ok(())
    }
}
