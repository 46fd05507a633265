//! Pages: what a reader behind the ring, or one who asks for history, gets from the log. Readers of the same range share one
//! read, and those behind the ring its encodings, too.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rollcall_protocol::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};
use rollcall_protocol::{Entry, Seq};
use tokio::sync::OnceCell;

use super::frame::Frame;
use super::tail::Tail;
use crate::limits::HISTORY_PAGE_BYTES_MAX;
use crate::ports::{Log, LogError, ReadRange};

/// The reads of one room's log that are under way.
#[derive(Debug, Default)]
pub struct Pages {
    frames: UnderWay<Vec<Arc<Frame>>>,
    entries: UnderWay<Arc<[Entry]>>,
}

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
        let size = BATCH_ENTRIES_MAX as u64;
        let end = Seq::new((cursor.get() / size + 1) * size);
        let range = ReadRange {
            after: cursor,
            through: end.min(head),
            entries_max: BATCH_ENTRIES_MAX,
            bytes_max: BATCH_BYTES_MAX,
        };
        let read = async { log.read(tail.room(), range).await.map(|entries| Frame::cut(tail.room(), entries.into())) };
        // Whoever comes while the page is read is content with its end, be the head further on or not.
        self.frames.share((cursor, end, tail.redactions()), read).await
    }

    /// Reads entries after `after` and up to `through`, the first and no further one once their bodies have the size of a page of
    /// history.
    ///
    /// # Errors
    /// Where the log is unavailable or damaged, or the first entry lies below the floor.
    ///
    /// # Cancel safety
    /// Dropping the future ends the read if nobody else waits for it.
    pub async fn entries(
        &self,
        log: &dyn Log,
        tail: &Tail,
        after: Seq,
        through: Seq,
    ) -> Result<Arc<[Entry]>, LogError> {
        let entries_max = usize::try_from(through.since(after)).unwrap_or(usize::MAX);
        let range = ReadRange { after, through, entries_max, bytes_max: HISTORY_PAGE_BYTES_MAX };
        let read = async { log.read(tail.room(), range).await.map(Arc::from) };
        self.entries.share((after, through, tail.redactions()), read).await
    }
}

/// Reads that are under way, and who waits for them.
#[derive(Debug)]
struct UnderWay<T>(Mutex<BTreeMap<Which, Weak<Page<T>>>>);

/// Names a page: between which numbers, and how many redactions had been shown. Who comes after one of them must not share a
/// read that began before it.
type Which = (Seq, Seq, u64);

type Page<T> = OnceCell<Result<T, LogError>>;

impl<T> Default for UnderWay<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> UnderWay<T> {
    /// Reads, or waits for the one who reads the same already.
    async fn share(&self, which: Which, read: impl Future<Output = Result<T, LogError>>) -> Result<T, LogError> {
        let page = self.page(which);
        page.get_or_init(|| read).await.clone()
    }

    fn page(&self, which: Which) -> Arc<Page<T>> {
        // No code that holds the lock panics half-way through a change.
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = under_way.get(&which).and_then(Weak::upgrade) {
            return page;
        }
        under_way.retain(|_, page| page.strong_count() > 0);
        let page = Arc::new(Page::new());
        under_way.insert(which, Arc::downgrade(&page));
        page
    }
}
