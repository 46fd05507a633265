//! A log whose calls a test holds back and lets fail, on top of any other log.

mod gate;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use rollcall::server::WrapLog;
use rollcall_actors::ports::{
    Activate, Activated, Append, AppendOutcome, Fence, Log, LogError, LogTail, NotCommitted, PortFuture, ReadRange,
    StoredSnapshot,
};
use rollcall_actors::room::Buckets;
use rollcall_protocol::{Entry, RoomId, Seq};
use tokio::sync::oneshot;

pub use gate::Gate;

/// What becomes of an append, where the log under it is not simply asked.
#[derive(Debug)]
pub enum Fate {
    /// Nothing is stored, for a reason that passes.
    Refused,
    /// Nothing is stored, and the owner is told that it is none.
    Fenced,
    /// It is stored, and nobody hears of it.
    UnknownStored,
    /// It is not stored, and nobody hears of it.
    UnknownNotStored,
    /// Nobody hears of it, and it reaches the log when the test says so: see [`ControlledLog::deliver_late`].
    UnknownLate,
    /// The call itself panics, in the room's actor, when the test says so: see [`Stuck`].
    PanicInCall(Panic),
    /// The call returns, and what waits for its outcome panics.
    PanicInTask,
}

/// An append that waits in its call, and its actor with it, until it is told to panic.
#[derive(Debug)]
pub struct Panic {
    entered: oneshot::Sender<()>,
    told: mpsc::Receiver<()>,
}

/// The test's end of an append that panics in its call.
#[derive(Debug)]
pub struct Stuck {
    entered: oneshot::Receiver<()>,
    tell: mpsc::Sender<()>,
}

impl Stuck {
    /// Waits until the append was called. Its actor takes nothing out of its mailbox from then on.
    pub async fn entered(&mut self) {
        gate::in_time(&mut self.entered).await.expect("the append's fate was dropped");
    }

    /// Lets the call panic.
    pub fn panic(self) {
        self.tell.send(()).expect("the append's fate was dropped");
    }
}

/// The log. Only one append of a room may be under way at a time, as it is with a room's actor: held appends keep no order.
pub struct ControlledLog {
    shared: Arc<Shared>,
    /// Holds appends back before they reach the log.
    pub appends: Arc<Gate>,
    /// Holds activations back before they reach the log.
    pub activations: Arc<Gate>,
    /// Holds reads back before they reach the log.
    pub reads: Arc<Gate>,
    /// Holds the answers to reads back.
    pub read_answers: Arc<Gate>,
}

#[derive(Default)]
struct Shared {
    log: OnceLock<Arc<dyn Log>>,
    fates: Mutex<VecDeque<Fate>>,
    late: Mutex<Vec<Append>>,
    failing_activations: AtomicUsize,
    failing_reads: AtomicUsize,
    failing_expiries: AtomicUsize,
    lost_snapshots: AtomicUsize,
    activations: AtomicUsize,
    appends: AtomicUsize,
    tails: AtomicUsize,
    reads_take_ms: AtomicU64,
    ranges_read: Mutex<Vec<ReadRange>>,
    damaged: Mutex<Option<(RoomId, Seq)>>,
}

impl ControlledLog {
    /// Stands over a log; as long as nothing is controlled, it adds nothing.
    pub fn over(log: Arc<dyn Log>) -> Arc<Self> {
        let controlled = Self::unplaced();
        controlled.place(log);
        controlled
    }

    /// Will stand over the log of the server that it is given to: see [`ControlledLog::into_server`].
    pub fn unplaced() -> Arc<Self> {
        let [appends, activations, reads, read_answers] = [(); 4].map(|()| Arc::new(Gate::new()));
        Arc::new(Self { shared: Arc::default(), appends, activations, reads, read_answers })
    }

    /// Puts it between a server's rooms and their log; the test keeps its own end.
    pub fn into_server(self: &Arc<Self>) -> WrapLog {
        let controlled = Arc::clone(self);
        Box::new(move |log| {
            controlled.place(log);
            controlled
        })
    }

    fn place(&self, log: Arc<dyn Log>) {
        assert!(self.shared.log.set(log).is_ok(), "it stands over one log");
    }

    /// Lets the next deletions of what has expired fail.
    pub fn fail_expiries(&self, count: usize) {
        self.shared.failing_expiries.store(count, Ordering::SeqCst);
    }

    /// Says of the next snapshots that they are stored, and stores them not.
    pub fn lose_snapshots(&self, count: usize) {
        self.shared.lost_snapshots.store(count, Ordering::SeqCst);
    }

    /// Decides about the next append that nothing was decided about yet, of whatever room.
    pub fn next_append(&self, fate: Fate) {
        locked(&self.shared.fates).push_back(fate);
    }

    /// Lets the next append panic in its call, when told to.
    pub fn panic_in_next_append(&self) -> Stuck {
        let (entered, has_entered) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        self.next_append(Fate::PanicInCall(Panic { entered, told }));
        Stuck { entered: has_entered, tell }
    }

    /// Lets the next append panic in its call at once.
    pub fn panic_at_next_append(&self) {
        drop(self.panic_in_next_append());
    }

    /// Lets each read take at least this long.
    pub fn slow_reads(&self, each: Duration) {
        self.shared.reads_take_ms.store(each.as_millis().try_into().unwrap(), Ordering::SeqCst);
    }

    /// Gives the log the appends that were late, and returns what became of them.
    pub async fn deliver_late(&self) -> Vec<AppendOutcome> {
        let late = std::mem::take(&mut *locked(&self.shared.late));
        let mut outcomes = Vec::new();
        for append in late {
            outcomes.push(self.shared.log().append(append).await);
        }
        outcomes
    }

    /// Lets this many activations fail.
    pub fn fail_activations(&self, count: usize) {
        self.shared.failing_activations.store(count, Ordering::SeqCst);
    }

    /// Lets this many reads of entries fail.
    pub fn fail_reads(&self, count: usize) {
        self.shared.failing_reads.store(count, Ordering::SeqCst);
    }

    /// Damages an entry of a room: reads end before it, and one that begins with it fails.
    pub fn damage(&self, room: &RoomId, entry: u64) {
        *locked(&self.shared.damaged) = Some((room.clone(), Seq::new(entry)));
    }

    /// Restores the entry that was damaged.
    pub fn restore(&self) {
        *locked(&self.shared.damaged) = None;
    }

    /// Returns how many activations reached the log.
    pub fn activations_so_far(&self) -> usize {
        self.shared.activations.load(Ordering::SeqCst)
    }

    /// Returns how many appends were called.
    pub fn appends_so_far(&self) -> usize {
        self.shared.appends.load(Ordering::SeqCst)
    }

    /// Returns how often the end of a room's log was read.
    pub fn tails_so_far(&self) -> usize {
        self.shared.tails.load(Ordering::SeqCst)
    }

    /// Returns the ranges that were read since the last call.
    pub fn take_ranges_read(&self) -> Vec<ReadRange> {
        std::mem::take(&mut *locked(&self.shared.ranges_read))
    }
}

impl Shared {
    fn log(&self) -> &Arc<dyn Log> {
        self.log.get().expect("it stands over a log")
    }

    /// Cuts what was read off before the entry that is damaged.
    fn cut(&self, room: &RoomId, mut entries: Vec<Entry>) -> Result<Vec<Entry>, LogError> {
        let damaged = locked(&self.damaged).clone().filter(|(damaged, _)| damaged == room);
        let at = damaged.and_then(|(_, seq)| entries.iter().position(|entry| entry.seq == seq));
        match at {
            Some(0) => Err(LogError::Damaged(format!("entry {} of {room}: by a test", entries[0].seq))),
            Some(at) => {
                entries.truncate(at);
                Ok(entries)
            }
            None => Ok(entries),
        }
    }

    async fn append(&self, append: Append, fate: Option<Fate>) -> AppendOutcome {
        let unknown = || AppendOutcome::Unknown("the answer was lost".to_owned());
        match fate {
            None => self.log().append(append).await,
            Some(Fate::Refused) => AppendOutcome::NotCommitted(NotCommitted::Refused("the disk is full".to_owned())),
            Some(Fate::Fenced) => AppendOutcome::NotCommitted(NotCommitted::Fenced),
            Some(Fate::UnknownNotStored) => unknown(),
            Some(Fate::UnknownStored) => {
                assert_eq!(self.log().append(append).await, AppendOutcome::Committed);
                unknown()
            }
            Some(Fate::UnknownLate) => {
                locked(&self.late).push(append);
                unknown()
            }
            Some(Fate::PanicInTask) => panic!("a log that panics while it commits"),
            Some(Fate::PanicInCall(_)) => unreachable!("the call panicked"),
        }
    }
}

impl Log for ControlledLog {
    fn activate<'a>(&'a self, room: &'a RoomId, with: Activate) -> PortFuture<'a, Result<Activated, LogError>> {
        Box::pin(async move {
            self.activations.pass().await;
            if count_down(&self.shared.failing_activations) {
                return Err(away());
            }
            self.shared.activations.fetch_add(1, Ordering::SeqCst);
            self.shared.log().activate(room, with).await
        })
    }

    fn release(&self, room: &RoomId, fence: Fence) {
        self.shared.log().release(room, fence);
    }

    fn append(&self, append: Append) -> PortFuture<'static, AppendOutcome> {
        self.shared.appends.fetch_add(1, Ordering::SeqCst);
        let fate = locked(&self.shared.fates).pop_front();
        if let Some(Fate::PanicInCall(Panic { entered, told })) = fate {
            // A test that does not wait for either has dropped its end.
            let _ = entered.send(());
            let _ = told.recv();
            panic!("a log that panics when it is called");
        }
        let (shared, appends) = (Arc::clone(&self.shared), Arc::clone(&self.appends));
        Box::pin(async move {
            appends.pass().await;
            shared.append(append, fate).await
        })
    }

    fn read<'a>(&'a self, room: &'a RoomId, range: ReadRange) -> PortFuture<'a, Result<Vec<Entry>, LogError>> {
        Box::pin(async move {
            self.reads.pass().await;
            if count_down(&self.shared.failing_reads) {
                return Err(away());
            }
            locked(&self.shared.ranges_read).push(range);
            let each = Duration::from_millis(self.shared.reads_take_ms.load(Ordering::SeqCst));
            if each > Duration::ZERO {
                tokio::time::sleep(each).await; // pace: a slow disk
            }
            let entries = self.shared.log().read(room, range).await;
            self.read_answers.pass().await;
            entries.and_then(|entries| self.shared.cut(room, entries))
        })
    }

    fn tail<'a>(&'a self, room: &'a RoomId) -> PortFuture<'a, Result<Option<LogTail>, LogError>> {
        self.shared.tails.fetch_add(1, Ordering::SeqCst);
        self.shared.log().tail(room)
    }

    fn write_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        snapshot: StoredSnapshot,
    ) -> PortFuture<'a, Result<(), LogError>> {
        if count_down(&self.shared.lost_snapshots) {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.shared.log().write_snapshot(room, snapshot)
    }

    fn read_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        at_most: Seq,
    ) -> PortFuture<'a, Result<Option<StoredSnapshot>, LogError>> {
        self.shared.log().read_snapshot(room, at_most)
    }

    fn expires_in(&self) -> Buckets {
        self.shared.log().expires_in()
    }

    fn expire_before<'a>(&'a self, room: &'a RoomId, floor: Seq) -> PortFuture<'a, Result<(), LogError>> {
        if count_down(&self.shared.failing_expiries) {
            return Box::pin(std::future::ready(Err(away())));
        }
        self.shared.log().expire_before(room, floor)
    }
}

fn away() -> LogError {
    LogError::Unavailable("held back by a test".to_owned())
}

/// Takes one off, if there is one.
fn count_down(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1)).is_ok()
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
