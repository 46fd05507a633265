//! The committer: the one thread that writes.
//!
//! ```text
//! append, activate, … ──▶ queue ──▶ group ──▶ one atomic batch, one sync ──▶ all answers
//!                                                  │ failed
//!                                                  ▼
//!                         all unknown, store closed, reopened with growing pauses
//! ```

use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, RwLock, TryLockError};
use std::time::Instant;

use fjall::PersistMode;
use rollcall_actors::ports::{AppendOutcome, LogError, NotCommitted};
use rollcall_protocol::RoomId;

use super::command::{Answer, Answerer, Command, Compacted};
use super::error::OpenError;
use super::fault::Injected;
use super::folder::DataFolder;
use super::gather::Gather;
use super::group::{Group, Planned, Slice};
use super::options::EmbeddedOptions;
use super::queue::Queue;
use super::space::{FreeSpace, Room};
use super::store::{Store, to_log_error};
use crate::log::stats::Counters;

/// What the committer shares with those who call the log.
pub(super) struct Shared {
    pub queue: Queue<Command>,
    pub counters: Counters,
    slot: RwLock<Slot>,
}

/// The store, while there is one.
enum Slot {
    Open(Store),
    /// Closed, and why.
    Away(String),
}

impl Shared {
    /// Shares an open store.
    pub fn new(store: Store) -> Self {
        Self { queue: Queue::new(), counters: Counters::default(), slot: RwLock::new(Slot::Open(store)) }
    }

    /// Reads from the store, unless it is away.
    pub fn read<T>(&self, work: impl FnOnce(&Store) -> Result<T, LogError>) -> Result<T, LogError> {
        match &*self.slot.read().unwrap_or_else(PoisonError::into_inner) {
            Slot::Open(store) => work(store),
            Slot::Away(reason) => Err(LogError::Unavailable(reason.clone())),
        }
    }

    /// Says why the store cannot be used at the moment; none where it can. Does not block.
    pub fn away(&self) -> Option<String> {
        match self.slot.try_read() {
            Ok(slot) => match &*slot {
                Slot::Open(_) => None,
                Slot::Away(reason) => Some(reason.clone()),
            },
            Err(TryLockError::Poisoned(_) | TryLockError::WouldBlock) => Some("the log is being reopened".to_owned()),
        }
    }

    /// Closes the store, once nobody reads from it any more.
    fn take_away(&self, reason: &str) -> Option<Store> {
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *slot, Slot::Away(reason.to_owned())) {
            Slot::Open(store) => Some(store),
            Slot::Away(_) => None,
        }
    }

    /// Closes the log for good and refuses what is queued: the committer has panicked, and what it was at nobody knows.
    pub fn abandon(&self) {
        const REASON: &str = "the log's committer panicked";
        tracing::error!("{REASON}; the log stays closed until the process is started again");
        self.queue.close();
        drop(self.take_away(REASON));
        self.queue.drain_until(Instant::now(), |command| command.refuse(REASON));
    }

    fn put_back(&self, store: Store) {
        *self.slot.write().unwrap_or_else(PoisonError::into_inner) = Slot::Open(store);
    }
}

/// The committer's own state.
pub(super) struct Committer {
    shared: Arc<Shared>,
    folder: DataFolder,
    options: EmbeddedOptions,
    space: FreeSpace,
    gather: Gather,
    /// Rooms with an append of unknown outcome that were not activated since: their owners number nothing more.
    unknown: HashSet<RoomId>,
    redactions: Redactions,
}

/// Where the redactions stand that have bodies to take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Redactions {
    /// There are none.
    Done,
    /// They are to go on.
    Due,
    /// The command to go on is in the queue.
    Queued,
    /// The disk has no room to go on: to be tried again after the next group that does anything else.
    PutOff,
    /// Something is damaged, and they do not go on until the log is opened again. Reads hide the bodies.
    Stuck,
}

impl Committer {
    /// Makes the committer of a folder whose store is open.
    pub fn new(shared: Arc<Shared>, folder: DataFolder, options: EmbeddedOptions) -> Self {
        let space = FreeSpace::new(folder.path(), options.disk_reserve_bytes);
        let gather = Gather::new(options.gather);
        Self { shared, folder, options, space, gather, unknown: HashSet::new(), redactions: Redactions::Done }
    }

    /// Commits until the queue is closed and empty, then closes the store and lets the folder go.
    pub fn run(mut self) {
        self.find_redactions();
        self.queue_redactions();
        while let Some(mut commands) = self.next_group() {
            if let [Command::Compact { .. }] = commands[..]
                && let Some(Command::Compact { answer }) = commands.pop()
            {
                self.compact(answer);
            } else {
                self.commit(commands);
            }
            self.queue_redactions();
        }
        drop(self.shared.take_away("the log is closed"));
    }

    fn next_group(&mut self) -> Option<Vec<Command>> {
        let (mut entries, mut bytes, mut alone) = (0, 0, false);
        let wait = self.gather.wait();
        let group = self.shared.queue.take_group(wait, |command| {
            let is_compact = matches!(command, Command::Compact { .. });
            entries += command.entries();
            bytes += command.bytes();
            let fits =
                entries <= self.options.group_entries_max && bytes <= self.options.group_bytes_max && !is_compact;
            let fits = fits && !alone;
            alone |= is_compact;
            fits
        })?;
        self.gather.learn(group.len());
        Some(group)
    }

    /// Commits one group, and answers it.
    fn commit(&mut self, commands: Vec<Command>) {
        let planned = self
            .shared
            .read(|store| store.check_health().and_then(|()| store.wait_until_writable()).map_err(to_log_error));
        if let Err(error) = planned {
            let reason = error.to_string();
            commands.into_iter().for_each(|command| command.refuse(&reason));
            return self.reopen(&reason);
        }

        let room = self.space.room();
        let shared = Arc::clone(&self.shared);
        let planned = shared.read(|store| {
            let mut group = Group::new(store, Slice::of(&self.options));
            for command in commands {
                self.plan(&mut group, command, room);
            }
            Ok(group.finish())
        });
        let Ok((batch, planned)) = planned else { return };
        if batch.is_empty() {
            return self.answer(planned);
        }

        let started = Instant::now();
        let committed = match self.options.faults.before_commit() {
            None => batch.durability(Some(PersistMode::SyncData)).commit().map_err(|error| error.to_string()),
            Some(Injected::Commit) => {
                drop(batch);
                Err("a test made the commit fail".to_owned())
            }
            Some(Injected::Panic) => panic!("a test made the committer panic"),
            Some(Injected::Sync) => {
                // What was not synced must not be read: the store goes before the group comes.
                let store = self.shared.take_away("a test made the sync fail");
                drop(batch.durability(Some(PersistMode::Buffer)).commit());
                drop(store);
                Err("a test made the sync fail".to_owned())
            }
        };
        match committed {
            Ok(()) => {
                self.shared.counters.committed(started.elapsed());
                self.answer(planned);
            }
            Err(reason) => self.fail(planned, &format!("the log failed to commit: {reason}")),
        }
    }

    fn plan(&mut self, group: &mut Group<'_>, command: Command, room: Room) {
        let has_room = match &command {
            Command::Append { .. } | Command::SnapshotPart { .. } => room.for_entries,
            _ => room.for_fences,
        };
        if !has_room {
            if matches!(command, Command::RedactMore) {
                self.redactions = Redactions::PutOff;
            }
            self.shared.counters.refused.fetch_add(u64::from(command.entries() > 0), Relaxed);
            let (free, reserve) = (room.free_bytes >> 20, self.options.disk_reserve_bytes >> 20);
            return command
                .refuse(&format!("the disk has {free} MiB left, and {reserve} MiB of it are kept in reserve"));
        }
        match command {
            Command::Append { append, answer } => {
                let outcome = if self.unknown.contains(&append.room) {
                    AppendOutcome::NotCommitted(NotCommitted::Fenced)
                } else {
                    group.append(&append)
                };
                group.answer(Answer::Append(answer, outcome));
            }
            Command::Activate { room, with, answer } => {
                let result = group.activate(&room, with);
                group.answer(Answer::Activate(answer, result));
            }
            Command::SnapshotPart { part, answer } => {
                let result = group.snapshot_part(&part);
                group.answer(Answer::Done(answer, result));
            }
            Command::Expire { room, floor, answer } => {
                let result = group.expire(&room, floor);
                group.answer(Answer::Done(answer, result));
            }
            Command::PruneSnapshots { room, newest } => log_failure(group.prune_snapshots(&room, newest)),
            Command::Sweep { room } => log_failure(group.sweep(&room)),
            Command::RedactMore => {
                self.redactions = Redactions::Done;
                if let Err(error) = group.redact_more() {
                    tracing::error!(%error, "redacted bodies are hidden from reads, but cannot be taken off the disk");
                    self.redactions = Redactions::Stuck;
                }
            }
            Command::Compact { answer } => {
                // Takes a group of its own; here it would only be a mistake in how groups are taken.
                drop(answer.send(Err(LogError::Unavailable("the log is busy".to_owned()))));
            }
        }
    }

    /// Answers a group that has committed.
    fn answer(&mut self, planned: Planned) {
        let counters = &self.shared.counters;
        counters.appends.fetch_add(planned.appends, Relaxed);
        counters.entries.fetch_add(planned.entries, Relaxed);
        counters.activations.fetch_add(planned.activated.len() as u64, Relaxed);
        counters.bytes.fetch_add(planned.bytes, Relaxed);
        counters.redacted.fetch_add(planned.redacted, Relaxed);
        match (planned.redacting, self.redactions) {
            (Some(true), Redactions::Queued) => {}
            (Some(true), _) => self.redactions = Redactions::Due,
            (None, Redactions::PutOff) if !planned.answers.is_empty() => self.redactions = Redactions::Due,
            (Some(false) | None, _) => {}
        }
        if !self.unknown.is_empty() {
            self.unknown.retain(|room| !planned.activated.contains(room));
        }
        planned.answers.into_iter().for_each(Answer::send);
        for room in planned.to_sweep {
            // A queue that was closed meanwhile leaves the rest to the next expiry.
            drop(self.shared.queue.push(Command::Sweep { room }));
        }
    }

    /// Answers a group of which nobody knows whether it committed. The store goes first, so that nobody who has read the
    /// answer sees the log as it was before.
    fn fail(&mut self, planned: Planned, reason: &str) {
        self.shared.counters.failures.fetch_add(1, Relaxed);
        drop(self.shared.take_away(reason));
        self.unknown.extend(planned.appended);
        planned.answers.into_iter().for_each(|answer| answer.send_unknown(reason));
        self.reopen(reason);
    }

    /// Closes the store and opens it again, with growing pauses, refusing meanwhile what arrives; returns once it is open, or
    /// the log was closed.
    fn reopen(&mut self, reason: &str) {
        tracing::error!(reason, "the log is closed and reopened");
        drop(self.shared.take_away(reason));
        let (mut pause, pause_max) = self.options.reopen_pause;
        loop {
            let deadline = Instant::now() + pause;
            if self.shared.queue.drain_until(deadline, |command| command.refuse(reason)) {
                return;
            }
            match self.folder.open_store(&self.options) {
                Ok(store) => {
                    self.shared.put_back(store);
                    self.find_redactions();
                    self.shared.counters.reopens.fetch_add(1, Relaxed);
                    tracing::info!("the log is open again");
                    return;
                }
                Err(error) => tracing::warn!(%error, "failed to reopen the log"),
            }
            pause = (pause * 2).min(pause_max);
        }
    }

    /// Finds out whether a crash or a failure has left redactions behind.
    fn find_redactions(&mut self) {
        let found = self.shared.read(|store| Ok(store.redactions().next().is_some()));
        self.redactions = if found == Ok(true) { Redactions::Due } else { Redactions::Done };
    }

    /// Has redactions go on behind what waits, so that other rooms' groups come in between.
    fn queue_redactions(&mut self) {
        // A queue that was closed meanwhile leaves the rest to the next opening.
        if self.redactions == Redactions::Due && self.shared.queue.push(Command::RedactMore).is_ok() {
            self.redactions = Redactions::Queued;
        }
    }

    /// Takes the bodies of all redacted entries away.
    fn finish_redactions(&mut self) -> Result<(), LogError> {
        let failures = self.shared.counters.failures.load(Relaxed);
        while self.shared.read(|store| Ok(store.redactions().next().is_some()))? {
            self.commit(vec![Command::RedactMore]);
            let reason = match self.redactions {
                Redactions::PutOff => "the disk has no room to take redacted bodies away",
                Redactions::Stuck => "redacted bodies cannot be taken away",
                _ if self.shared.counters.failures.load(Relaxed) > failures => "taking redacted bodies away failed",
                Redactions::Done | Redactions::Due | Redactions::Queued => continue,
            };
            return Err(LogError::Unavailable(reason.to_owned()));
        }
        Ok(())
    }

    /// Takes what was deleted and redacted off the disk; nothing is read meanwhile.
    fn compact(&mut self, answer: Answerer<Compacted>) {
        if let Err(error) = self.finish_redactions() {
            return drop(answer.send(Err(error)));
        }
        match self.try_compact() {
            Ok(compacted) => drop(answer.send(Ok(compacted))),
            Err(error) => {
                let reason = format!("failed to compact: {error}");
                drop(answer.send(Err(LogError::Unavailable(reason.clone()))));
                self.reopen(&reason);
            }
        }
    }

    fn try_compact(&mut self) -> Result<Compacted, OpenError> {
        // Closed and opened, so that all the journals' content is in tables: journals cannot be merged, only left behind.
        let closed = self.shared.take_away("the log is being compacted");
        let bytes_before = closed.as_ref().map_or(0, size_bytes);
        drop(closed);
        let store = self.folder.open_store(&self.options)?;
        for keyspace in store.keyspaces() {
            let to_error = |error| OpenError::from_store(self.folder.path(), self.folder.path(), error);
            keyspace.major_compact().map_err(to_error)?;
        }
        drop(store);
        self.folder.remove_flushed_journals()?;
        let store = self.folder.open_store(&self.options)?;
        let bytes_after = size_bytes(&store);
        self.shared.put_back(store);
        Ok(Compacted { bytes_before, bytes_after })
    }
}

/// What the tables take, in bytes. Journals are left out: they set space aside.
fn size_bytes(store: &Store) -> u64 {
    store.keyspaces().into_iter().map(fjall::Keyspace::disk_space).sum()
}

fn log_failure(result: Result<(), LogError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "failed to tidy the log up");
    }
}
