//! The CQL log itself: the port's calls.

use std::collections::HashMap;
use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rollcall_actors::fencing::{
    Answer, Buckets, Effect, Fencing, FloorRow, Input, Retention, RetentionStep, Start, Stop, Tip, TipSearch,
};
use rollcall_actors::ports::{
    Activate, Activated, Append, AppendOutcome, Fence, Log, LogError, LogTail, NotCommitted, PortFuture, ReadRange,
    StoredSnapshot,
};
use rollcall_protocol::{Entry, RoomId, Seq};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::{check_keyspace, connect, prepare_error};
use super::error::CqlError;
use super::examine::check_mutations;
use super::health::Health;
use super::history::History;
use super::options::CqlOptions;
use super::ownership::{Ownership, log_stop};
use super::ownerships::Ownerships;
use super::snapshots::Snapshots;
use super::statements::{Levels, Statements};
use super::store::Store;
use super::{pause, schema};
use crate::log::stats::{Counters, LogStats};

/// Rooms whose last bucket is remembered; past it all are forgotten, and looked for again.
const HINTS_MAX: usize = 100_000;

const CLOSED: &str = "the log is closed";

/// The log in ScyllaDB or Apache Cassandra, shared by many nodes.
///
/// An ownership lives in the process that activated it: after a restart a room is activated again, and never appended to under
/// the old fence, whose last statements may still be under way.
pub struct CqlLog {
    pub(super) store: Arc<Store>,
    options: Arc<CqlOptions>,
    ownerships: Arc<Ownerships>,
    pub(super) history: History,
    snapshots: Snapshots,
    /// The last bucket of rooms that have more than one, as it was seen: where the search for the tip begins.
    hints: Mutex<HashMap<RoomId, u64>>,
    counters: Arc<Counters>,
    health: Arc<Health>,
    is_closed: AtomicBool,
}

impl CqlLog {
    /// Connects to the servers and checks that keyspace and tables are those that this version needs.
    ///
    /// # Errors
    /// Where they are not, or nobody answers; the text says what to do.
    pub async fn open(options: CqlOptions) -> Result<Self, CqlError> {
        let session = connect(&options).await?;
        check_keyspace(&session, &options).await?;
        schema::version(&session, &options).await?;
        check_mutations(&session).await?;
        let statements = Statements::prepare(&session, &options.keyspace, Levels::from(options.consistency)).await;
        let statements = statements.map_err(|error| prepare_error(&options.keyspace, &error))?;
        let store = Arc::new(Store { session, statements });
        Ok(Self {
            ownerships: Arc::new(Ownerships::new(options.ownerships_max)),
            history: History::new(Arc::clone(&store), options.buckets),
            snapshots: Snapshots::new(Arc::clone(&store), options.buckets),
            hints: Mutex::new(HashMap::new()),
            counters: Arc::default(),
            health: Health::watch(&store, &options),
            is_closed: AtomicBool::new(false),
            options: Arc::new(options),
            store,
        })
    }

    /// Returns what was counted since the log was opened.
    pub fn stats(&self) -> LogStats {
        self.counters.snapshot()
    }

    /// Says why the log cannot be used at the moment; none where it can. Looked at once a second.
    pub fn away(&self) -> Option<String> {
        if self.is_closed.load(Ordering::SeqCst) { Some(CLOSED.to_owned()) } else { self.health.away() }
    }

    /// Takes no more appends and activations. What is under way goes on until it is answered or its deadline comes.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.ownerships.clear();
    }

    async fn activate_now(&self, room: &RoomId, with: Activate) -> Result<Activated, LogError> {
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(LogError::Unavailable(CLOSED.to_owned()));
        }
        let snapshot = self.snapshots.newest(room).await?;
        let (machine, activated) = self.fence(room, with, snapshot).await?;
        let tail = activated.tail;
        // Of the entries after a snapshot each is checked by whoever rebuilds the state from it.
        if tail.last_seq > Seq::ZERO && snapshot >= tail.last_seq {
            self.check_last_entry(room, tail.last_seq).await?;
        }
        self.remember(room, tail.last_seq);
        let (store, options) = (Arc::clone(&self.store), Arc::clone(&self.options));
        let counters = Arc::clone(&self.counters);
        counters.activations.fetch_add(1, Ordering::Relaxed);
        let ownership = Ownership::new(room.clone(), tail, machine, store, options, counters);
        self.ownerships.insert(room, ownership);
        self.finish_expiry(room, tail.last_seq);
        Ok(activated)
    }

    /// Runs an activation's statements until the room is ours.
    async fn fence(&self, room: &RoomId, with: Activate, snapshot: Seq) -> Result<(Fencing, Activated), LogError> {
        let Activate { owner, epoch, tip_hint } = with;
        let hinted = if tip_hint > Seq::ZERO { self.options.buckets.of(tip_hint) } else { 0 };
        let start = Start { owner, epoch, snapshot, hint: self.hint(room).max(hinted) };
        let mut effects = Vec::new();
        let mut machine = Fencing::new(self.options.buckets, start, &mut effects);
        loop {
            let effect = effects.pop().expect("an activation goes on until it has ended");
            assert!(effects.is_empty(), "an activation does one thing at a time");
            let answer = match effect {
                Effect::Run { statement, attempt } => {
                    sleep(pause::before_attempt(attempt, self.options.retry_pause)).await;
                    self.store.run(room, &statement).await
                }
                Effect::Activated(activated) => return Ok((machine, activated)),
                Effect::Stop(stop) => return Err(log_error(room, stop)),
                Effect::Settled { .. } => unreachable!("nothing was appended"),
            };
            machine.handle(Input::Answer(answer), &mut effects);
        }
    }

    /// Numbers nothing after an entry that is not what was written.
    async fn check_last_entry(&self, room: &RoomId, last: Seq) -> Result<(), LogError> {
        let range = ReadRange { after: last.previous(), through: last, entries_max: 1, bytes_max: 1 };
        match self.history.read(room, range).await {
            Ok(entries) if entries.is_empty() => Err(LogError::Damaged(format!("entry {last} of {room} is missing"))),
            Ok(_) | Err(LogError::Expired { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Finishes what an expiry has left undone, if it has, while nobody waits for it.
    fn finish_expiry(&self, room: &RoomId, last_seq: Seq) {
        let (store, room, buckets) = (Arc::clone(&self.store), room.clone(), self.options.buckets);
        let (pauses, deadline) = (self.options.retry_pause, Instant::now() + self.options.activation_deadline);
        tokio::spawn(async move {
            let floor = store.floor(&store.statements.look_at_floor, &room).await;
            if let Ok(Some(row)) = floor
                && is_undone(buckets, row)
                && let Err(error) =
                    expire(&store, &room, (buckets, Seq::ZERO, Seq::ZERO, last_seq), pauses, deadline).await
            {
                tracing::warn!(%room, %error, "failed to delete entries that have expired; the next activation tries again");
            }
        });
    }

    async fn tail_now(&self, room: &RoomId) -> Result<Option<LogTail>, LogError> {
        let mut search = TipSearch::new(self.options.buckets, self.hint(room));
        loop {
            let read = match self.store.run(room, &search.statement()).await {
                Answer::Fence(read) => read,
                Answer::Garbled(reason) => return Err(LogError::Damaged(format!("{room}: {reason}"))),
                Answer::Unknown(reason) | Answer::Refused(reason) => return Err(LogError::Unavailable(reason)),
                answer => unreachable!("{answer:?} is no answer to a read of a fence"),
            };
            match search.take(read) {
                None => {}
                Some(Tip::Empty) => return Ok(None),
                Some(Tip::Bucket { tail, .. }) => {
                    self.remember(room, tail.last_seq);
                    return Ok(Some(tail));
                }
            }
        }
    }

    async fn expire_now(&self, room: &RoomId, floor: Seq) -> Result<(), LogError> {
        // Each activation of a room asks for what was done long ago.
        let row = self.store.floor(&self.store.statements.look_at_floor, room).await;
        if let Ok(Some(row)) = row
            && row.floor >= floor
            && !is_undone(self.options.buckets, row)
        {
            return Ok(());
        }
        let Some(tail) = self.tail_now(room).await? else { return Ok(()) };
        let snapshot = self.snapshots.newest_sealed(room).await?;
        let wanted = (self.options.buckets, floor, snapshot, tail.last_seq);
        let deadline = Instant::now() + self.options.activation_deadline;
        expire(&self.store, room, wanted, self.options.retry_pause, deadline).await
    }

    fn hint(&self, room: &RoomId) -> u64 {
        self.hints().get(room).copied().unwrap_or(0)
    }

    fn remember(&self, room: &RoomId, last_seq: Seq) {
        if last_seq == Seq::ZERO {
            return;
        }
        let bucket = self.options.buckets.of(last_seq);
        let mut hints = self.hints();
        if bucket > 0 && hints.get(room) != Some(&bucket) {
            if hints.len() >= HINTS_MAX {
                hints.clear();
            }
            hints.insert(room.clone(), bucket);
        }
    }

    fn hints(&self) -> MutexGuard<'_, HashMap<RoomId, u64>> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an append over to the room's ownership; answers at once where there is none.
    fn append_now(&self, append: Append) -> Result<oneshot::Receiver<AppendOutcome>, NotCommitted> {
        append.assert_well_formed();
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(NotCommitted::Refused(CLOSED.to_owned()));
        }
        let Append { room, fence, entries } = append;
        let ownership = self.ownerships.get(&room, fence).ok_or(NotCommitted::Fenced)?;
        let (answer, answered) = oneshot::channel();
        if let Some(last) = entries.last().map(|entry: &Entry| entry.seq) {
            self.remember(&room, last.previous());
        }
        ownership.append(entries, answer);
        Ok(answered)
    }
}

/// Tells whether there may be something to delete in full buckets below a floor.
fn is_undone(buckets: Buckets, row: FloorRow) -> bool {
    buckets.last(row.swept) < row.floor
}

/// Raises a room's floor as far as it may rise, and deletes what lies in full buckets below it.
async fn expire(
    store: &Store,
    room: &RoomId,
    (buckets, wanted, snapshot, last_seq): (Buckets, Seq, Seq, Seq),
    pauses: (Duration, Duration),
    deadline: Instant,
) -> Result<(), LogError> {
    let (mut retention, mut statement) = Retention::start(buckets, wanted, snapshot, last_seq);
    let mut attempt = 0;
    loop {
        sleep(pause::before_attempt(attempt, pauses)).await;
        let answer = store.run(room, &statement).await;
        let unknown = match &answer {
            Answer::Unknown(reason) => Some(reason.clone()),
            _ => None,
        };
        attempt = if unknown.is_some() { attempt + 1 } else { 0 };
        if let Some(reason) = unknown
            && Instant::now() >= deadline
        {
            return Err(LogError::Unavailable(reason));
        }
        statement = match retention.take(answer) {
            RetentionStep::Run(next) => next,
            RetentionStep::Finished(_) => return Ok(()),
            RetentionStep::Failed(stop) => return Err(log_error(room, stop)),
        };
    }
}

fn log_error(room: &RoomId, stop: Stop) -> LogError {
    log_stop(room, &stop);
    match stop {
        Stop::Fenced => LogError::Unavailable("another node activates the room at the same time".to_owned()),
        Stop::OutcomeUnknown => LogError::Unavailable("the store did not answer in time".to_owned()),
        Stop::Unavailable(reason) => LogError::Unavailable(reason),
        Stop::Damaged(reason) => LogError::Damaged(format!("{room}: {reason}")),
    }
}

impl Log for CqlLog {
    fn activate<'a>(&'a self, room: &'a RoomId, with: Activate) -> PortFuture<'a, Result<Activated, LogError>> {
        let deadline = Instant::now() + self.options.activation_deadline;
        Box::pin(async move {
            let activated = timeout_at(deadline, self.activate_now(room, with)).await;
            activated.unwrap_or_else(|_| Err(LogError::Unavailable("the servers did not answer in time".to_owned())))
        })
    }

    fn release(&self, room: &RoomId, fence: Fence) {
        self.ownerships.release(room, fence);
    }

    fn append(&self, append: Append) -> PortFuture<'static, AppendOutcome> {
        match self.append_now(append) {
            // Only a machine that panicked drops an answer; what it had sent by then nobody knows.
            Ok(answered) => Box::pin(async move {
                answered.await.unwrap_or_else(|_| AppendOutcome::Unknown("the log has failed".to_owned()))
            }),
            Err(why) => Box::pin(ready(AppendOutcome::NotCommitted(why))),
        }
    }

    fn read<'a>(&'a self, room: &'a RoomId, range: ReadRange) -> PortFuture<'a, Result<Vec<Entry>, LogError>> {
        Box::pin(self.history.read(room, range))
    }

    fn tail<'a>(&'a self, room: &'a RoomId) -> PortFuture<'a, Result<Option<LogTail>, LogError>> {
        Box::pin(self.tail_now(room))
    }

    fn write_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        snapshot: StoredSnapshot,
    ) -> PortFuture<'a, Result<(), LogError>> {
        Box::pin(self.snapshots.write(room, snapshot))
    }

    fn read_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        at_most: Seq,
    ) -> PortFuture<'a, Result<Option<StoredSnapshot>, LogError>> {
        Box::pin(self.snapshots.read(room, at_most))
    }

    fn expires_in(&self) -> Buckets {
        self.options.buckets
    }

    fn expire_before<'a>(&'a self, room: &'a RoomId, floor: Seq) -> PortFuture<'a, Result<(), LogError>> {
        Box::pin(self.expire_now(room, floor))
    }
}
