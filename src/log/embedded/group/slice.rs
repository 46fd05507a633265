//! How much of a long task goes into one group.

use crate::log::embedded::options::EmbeddedOptions;

/// What one group may still read of what is to be deleted or redacted, so that no append waits long behind it.
#[derive(Debug, Clone, Copy)]
pub(in crate::log::embedded) struct Slice {
    entries: usize,
    bytes: usize,
}

impl Slice {
    /// Returns a whole slice.
    pub fn of(options: &EmbeddedOptions) -> Self {
        Self { entries: options.tidied_entries_max.max(1), bytes: options.tidied_bytes_max.max(1) }
    }

    /// Takes an entry out of it; false, and nothing taken, where none is left. An entry may exceed what is left of the bytes, so
    /// that the greatest one finds its slice.
    pub fn take(&mut self, bytes: usize) -> bool {
        if self.entries == 0 || self.bytes == 0 {
            return false;
        }
        self.entries -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }
}
