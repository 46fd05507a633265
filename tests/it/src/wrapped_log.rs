//! A log between the rooms and theirs, in which single calls are slowed down, counted or made to fail.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rollcall::server::WrapLog;
use rollcall_actors::ports::{Append, AppendOutcome, Log, LogError, LogTail, PortFuture, ReadRange, StoredSnapshot};
use rollcall_protocol::{Entry, OwnerId, RoomId, Seq};

/// What a test does to the log. Clones share it: one goes into the server, the test keeps the other.
#[derive(Clone, Default)]
pub struct WrappedLog {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    inner: OnceLock<Arc<dyn Log>>,
    panic_at_append: AtomicBool,
    fail_activations: AtomicBool,
    reads_take_ms: AtomicUsize,
    tails: AtomicUsize,
}

impl WrappedLog {
    /// Puts this between a server's rooms and their log.
    pub fn into_server(&self) -> WrapLog {
        let shared = Arc::clone(&self.shared);
        Box::new(move |inner| {
            assert!(shared.inner.set(inner).is_ok(), "it stands before one log");
            Arc::new(Self { shared })
        })
    }

    /// Lets whoever appends next panic.
    pub fn panic_at_next_append(&self) {
        self.shared.panic_at_append.store(true, Ordering::SeqCst);
    }

    /// Lets activations fail, or succeed again.
    pub fn fail_activations(&self, fail: bool) {
        self.shared.fail_activations.store(fail, Ordering::SeqCst);
    }

    /// Lets each read take at least this long.
    pub fn slow_reads(&self, each: Duration) {
        self.shared.reads_take_ms.store(usize::try_from(each.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Returns how often the end of a room's log was read.
    pub fn tails(&self) -> usize {
        self.shared.tails.load(Ordering::SeqCst)
    }

    fn inner(&self) -> &Arc<dyn Log> {
        self.shared.inner.get().expect("the log is in its server")
    }
}

impl Log for WrappedLog {
    fn activate<'a>(&'a self, room: &'a RoomId, owner: OwnerId) -> PortFuture<'a, Result<LogTail, LogError>> {
        if self.shared.fail_activations.load(Ordering::SeqCst) {
            return Box::pin(async { Err(LogError::Unavailable("a test says so".to_owned())) });
        }
        self.inner().activate(room, owner)
    }

    fn append(&self, append: Append) -> PortFuture<'static, AppendOutcome> {
        let panics = self.shared.panic_at_append.swap(false, Ordering::SeqCst);
        assert!(!panics, "a test makes the append panic");
        self.inner().append(append)
    }

    fn read<'a>(&'a self, room: &'a RoomId, range: ReadRange) -> PortFuture<'a, Result<Vec<Entry>, LogError>> {
        let each = Duration::from_millis(self.shared.reads_take_ms.load(Ordering::SeqCst) as u64);
        let read = self.inner().read(room, range);
        Box::pin(async move {
            if each > Duration::ZERO {
                tokio::time::sleep(each).await; // pace: a slow disk
            }
            read.await
        })
    }

    fn tail<'a>(&'a self, room: &'a RoomId) -> PortFuture<'a, Result<Option<LogTail>, LogError>> {
        self.shared.tails.fetch_add(1, Ordering::SeqCst);
        self.inner().tail(room)
    }

    fn write_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        snapshot: StoredSnapshot,
    ) -> PortFuture<'a, Result<(), LogError>> {
        self.inner().write_snapshot(room, snapshot)
    }

    fn read_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        at_most: Seq,
    ) -> PortFuture<'a, Result<Option<StoredSnapshot>, LogError>> {
        self.inner().read_snapshot(room, at_most)
    }

    fn expire_before<'a>(&'a self, room: &'a RoomId, floor: Seq) -> PortFuture<'a, Result<(), LogError>> {
        self.inner().expire_before(room, floor)
    }
}
