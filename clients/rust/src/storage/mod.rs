//! What outlives a restart of the program: the device's name, a guest's proof, writes without an answer, places in rooms.
//!
//! What is not stored cannot be tried again: without a storage, a write whose answer is outstanding when the program ends is
//! of unknown outcome, and the next life of the program is a new device.

mod file;
mod memory;
mod saved;
mod storage_trait;

pub use file::FileStorage;
pub use memory::MemoryStorage;
pub use saved::{Change, Saved, SavedRoom, SavedWrite};
pub use storage_trait::{Storage, StorageError};
