//! Pages: what a reader behind the ring gets from the log. Readers of the same range share one read and its encodings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rollcall_protocol::Seq;
use rollcall_protocol::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};
use tokio::sync::OnceCell;

use super::frame::Frame;
use super::tail::Tail;
use crate::ports::{Log, LogError, ReadRange};

/// The reads of one room's log that are under way.
#[derive(Debug, Default)]
pub struct Pages {
    under_way: Mutex<BTreeMap<Which, Weak<Page>>>,
}

/// Names a page: its cursor, and how many redactions had been shown. Who comes after one of them must not share a read that
/// began before it.
type Which = (Seq, u64);

type Page = OnceCell<Result<Vec<Arc<Frame>>, LogError>>;

impl Pages {
    /// Reads the page after `cursor`, at most up to `head`. Pages end at multiples of 256, so that readers that began in different
    /// places soon ask for the same ones.
    ///
    /// # Errors
    /// Where the log is unavailable or damaged, or the page lies below the floor.
    ///
    /// # Cancel safety
    /// Dropping the future ends the read if nobody else waits for it.
    pub async fn read(&self, log: &dyn Log, tail: &Tail, cursor: Seq, head: Seq) -> Result<Vec<Arc<Frame>>, LogError> {
        let room = tail.room();
        let page = self.page((cursor, tail.redactions()));
        let size = BATCH_ENTRIES_MAX as u64;
        let end = Seq::new((cursor.get() / size + 1) * size);
        let range = ReadRange {
            after: cursor,
            through: end.min(head),
            entries_max: BATCH_ENTRIES_MAX,
            bytes_max: BATCH_BYTES_MAX,
        };
        let read = async { log.read(room, range).await.map(|entries| Frame::cut(room, entries)) };
        page.get_or_init(|| read).await.clone()
    }

    fn page(&self, which: Which) -> Arc<Page> {
        // No code that holds the lock panics half-way through a change.
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = under_way.get(&which).and_then(Weak::upgrade) {
            return page;
        }
        under_way.retain(|_, page| page.strong_count() > 0);
        let page = Arc::new(Page::new());
        under_way.insert(which, Arc::downgrade(&page));
        page
    }
}
