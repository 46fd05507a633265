//! The room core: numbers writes, has them committed in batches, answers and delivers. Pure: what happens comes in as an
//! [`Input`], what is to be done comes out as [`Effect`]s.

mod expiry;
mod outcomes;
mod rules;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rollcall_protocol::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, UNANSWERED_WRITES_MAX};
use rollcall_protocol::{Ack, Body, Entry, Kind, Salt, Seq, UserId, hash};
use sha2::{Digest, Sha256};

use self::expiry::Expiry;
use self::rules::{answer_known, check_target, kind_of};
use super::buckets::Buckets;
use super::io::{Answer, Change, ChangeKind, Effect, Input, StopReason, Submit, Target};
use super::refusal::Refusal;
use super::senders::{Known, SenderKey};
use super::snapshot;
use super::state::{Role, RoomChange, RoomState};
use super::tag::Tag;
use crate::ports::Fence;

/// The log grows by at least this many entries between two snapshots.
const SNAPSHOT_ENTRIES_MIN: u64 = 1_000;

/// A room that goes on elsewhere at once leaves a snapshot behind where so many entries are new: fewer are read faster than it is written.
const SNAPSHOT_HANDED_ON_MIN: u64 = 256;

/// A room that this node owns.
///
/// The state is held twice. The *committed* one changes only when the log has committed, and is what snapshots, heads and
/// answers come from; the *tentative* one has all that was numbered, committed or not, and is what the next write is checked
/// against. A room that is only read, or at rest, holds it once. A refusal that rests on the tentative state waits until that state is committed; when it is not, whoever waits is told to try again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoomCore<T> {
    fence: Fence,
    /// How the log is cut into partitions; no batch crosses from one into the next.
    buckets: Buckets,
    committed: RoomState,
    /// None while it is the committed one: nothing was numbered since the room was activated, or has come to rest. It is made by a
    /// copy, which costs as much as the state holds, and so is kept while the room is written to.
    tentative: Option<RoomState>,
    in_flight: Option<Batch<T>>,
    queue: VecDeque<Numbered<T>>,
    /// Answers that rest on entries up to this number, and go out when it is committed.
    held: BTreeMap<Seq, Vec<(T, Answer)>>,
    /// Writes of each device that are numbered and not committed.
    unanswered: BTreeMap<SenderKey, usize>,
    last_snapshot: Seq,
    /// How far the log grows before the next snapshot.
    snapshot_every: u64,
    expiry: Expiry<T>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Active,
    Draining {
        /// Whether another owner takes the room at once.
        goes_on: bool,
    },
    Stopped,
}

/// An entry that has a number and waits for its commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Numbered<T> {
    entry: Entry,
    tag: Option<Tag>,
    reply: Option<T>,
}

/// The entries that the log is committing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Batch<T> {
    entries: Arc<[Entry]>,
    /// Tag and reply of each entry.
    rest: Vec<(Option<Tag>, Option<T>)>,
}

impl<T> RoomCore<T> {
    /// Begins to own a room, whose state was rebuilt from its log. `last_snapshot` is the number of the newest stored snapshot.
    pub fn new(fence: Fence, state: RoomState, last_snapshot: Seq) -> Self {
        let mut core = Self {
            fence,
            buckets: Buckets::STORED,
            committed: state,
            tentative: None,
            in_flight: None,
            queue: VecDeque::new(),
            held: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            last_snapshot,
            snapshot_every: SNAPSHOT_ENTRIES_MIN,
            expiry: Expiry::new(),
            phase: Phase::Active,
        };
        core.plan_snapshot();
        core
    }

    /// Takes other buckets than those of the store: a model explores small ones faster.
    #[must_use]
    pub fn in_buckets(self, buckets: Buckets) -> Self {
        Self { buckets, ..self }
    }

    /// Takes one input at the time `now_ms` (milliseconds since 1970) and appends what is to be done to `effects`.
    ///
    /// # Panics
    /// Where an outcome is reported and no append is in flight: the caller mixed up rooms.
    pub fn handle(&mut self, now_ms: i64, input: Input<T>, effects: &mut Vec<Effect<T>>) {
        match input {
            Input::Submit(Submit { reply, .. }) | Input::Change(Change { reply, .. })
                if self.phase != Phase::Active =>
            {
                effects.push(Effect::Reply(reply, Err(Refusal::Unavailable("the room is moving".to_owned()))));
            }
            Input::Submit(submit) => self.submit(now_ms, submit, effects),
            Input::Change(change) => self.change(now_ms, change, effects),
            Input::Committed => self.commit(now_ms, effects),
            Input::NotCommitted(reason) => self.roll_back(&reason, effects),
            Input::Unknown => self.lose(effects),
            Input::Rest if self.pending() == 0 => self.tentative = None,
            Input::Rest => {}
            Input::Retain => self.retain(now_ms, effects),
            Input::ExpirableFound(found) => self.expirable_found(&found, effects),
            Input::SnapshotKept { seq, salt } => self.snapshot_kept(now_ms, seq, salt, effects),
            Input::Dropped { before, is_done } => self.dropped(before, is_done, effects),
            Input::Drain { goes_on } => {
                if self.phase == Phase::Active {
                    self.phase = Phase::Draining { goes_on };
                    self.abandon_expiry(effects);
                    self.finish_drain(effects);
                }
            }
        }
    }

    /// Returns the committed state.
    pub fn committed(&self) -> &RoomState {
        &self.committed
    }

    /// Returns the fence under which the room is numbered.
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// Returns how many entries are numbered and not committed.
    pub fn pending(&self) -> usize {
        self.queue.len() + self.in_flight.as_ref().map_or(0, |batch| batch.rest.len())
    }

    /// Returns the tentative state, where it is held beside the committed one.
    #[cfg(test)]
    pub(super) fn second_state(&self) -> Option<&RoomState> {
        self.tentative.as_ref()
    }

    fn tentative(&self) -> &RoomState {
        self.tentative.as_ref().unwrap_or(&self.committed)
    }

    fn tentative_mut(&mut self) -> &mut RoomState {
        self.tentative.get_or_insert_with(|| self.committed.clone())
    }

    fn submit(&mut self, now_ms: i64, submit: Submit<T>, effects: &mut Vec<Effect<T>>) {
        let kind = kind_of(submit.op);
        let target = submit.target.as_ref().map(Target::seq);
        let tag = Tag::of(kind, target, submit.body.as_ref());
        let key = SenderKey { user: submit.sender, device: submit.device };
        let last = match self.tentative().know(&key, submit.n, submit.since) {
            Known::New(last) => last,
            known => {
                // What is committed decides where it can: it waits for nothing and is not taken back.
                let (rests_on, answer) = match self.committed.know(&key, submit.n, submit.since) {
                    Known::New(_) | Known::UnknownDevice => answer_known(&known, tag, self.tentative().head),
                    settled => answer_known(&settled, tag, self.committed.head),
                };
                return self.answer_after(rests_on, submit.reply, answer, effects);
            }
        };
        let role = self.tentative().role(&key.user);
        if !submit.rights.write || !self.tentative().admits(&key.user) {
            return self.refuse(submit.reply, Refusal::Forbidden("writing to this room is not allowed"), effects);
        }
        if submit.prev != last {
            return self.refuse(submit.reply, Refusal::OutOfOrder { last }, effects);
        }
        let moderates = submit.rights.moderate || role == Some(Role::Moderator);
        if let Err(refusal) = check_target(submit.op, submit.target.as_ref(), &key.user, moderates) {
            return self.refuse(submit.reply, refusal, effects);
        }
        if self.unanswered.get(&key).is_some_and(|&count| count >= UNANSWERED_WRITES_MAX) {
            effects.push(Effect::Reply(submit.reply, Err(Refusal::TooManyUnanswered)));
            return;
        }
        self.create_if_new(now_ms, &key.user, &submit.salt);
        let draft = Draft { kind, sender: key.user.clone(), n: submit.n, target, body: submit.body, salt: submit.salt };
        self.number(now_ms, draft, Some(&key), Some(tag), Some(submit.reply));
        *self.unanswered.entry(key).or_default() += 1;
        self.append_next(effects);
    }

    fn change(&mut self, now_ms: i64, change: Change<T>, effects: &mut Vec<Effect<T>>) {
        let is_new = self.tentative().head == Seq::ZERO;
        let (kind, body, holds) = match change.what {
            ChangeKind::Member(member) => {
                (Kind::Member, Body::from_value(&member), self.tentative().role(&member.user) == member.role)
            }
            ChangeKind::Room(mut room) => {
                room.creator = is_new.then(|| change.sender.clone());
                let members_only = room.members_only.is_none_or(|wanted| wanted == self.tentative().members_only);
                let floor = room.floor.is_none_or(|wanted| wanted <= self.tentative().floor);
                (Kind::Room, Body::from_value(&room), !is_new && members_only && floor)
            }
            ChangeKind::Expire(before) => return self.expire((change.reply, change.sender), before, effects),
        };
        if holds {
            let ack = Ack { seq: self.tentative().head, duplicate: true };
            return self.answer_after(self.tentative().head, change.reply, Ok(ack), effects);
        }
        let body = body.expect("a change is small and of plain fields");
        if kind != Kind::Room {
            self.create_if_new(now_ms, &change.sender, &change.salt);
        }
        let draft = Draft { kind, sender: change.sender, n: 0, target: None, body: Some(body), salt: change.salt };
        let tag = Tag::of(kind, None, draft.body.as_ref());
        self.number(now_ms, draft, None, Some(tag), Some(change.reply));
        self.append_next(effects);
    }

    /// Lets a room begin with its creation, which is committed together with the first write.
    fn create_if_new(&mut self, now_ms: i64, creator: &UserId, salt: &Salt) {
        if self.tentative().head > Seq::ZERO {
            return;
        }
        let change = RoomChange { creator: Some(creator.clone()), ..RoomChange::default() };
        let body = Body::from_value(&change).expect("a change is small and of plain fields");
        let salt = creation_salt(salt);
        let draft = Draft { kind: Kind::Room, sender: creator.clone(), n: 0, target: None, body: Some(body), salt };
        let tag = Tag::of(Kind::Room, None, draft.body.as_ref());
        self.number(now_ms, draft, None, Some(tag), None);
    }

    /// Gives an entry the next number, a time and its place in the hash chain, and queues it.
    fn number(&mut self, now_ms: i64, draft: Draft, key: Option<&SenderKey>, tag: Option<Tag>, reply: Option<T>) {
        let content_hash = hash::content(&draft.salt, draft.body.as_ref().map(Body::as_str));
        let mut entry = Entry {
            seq: self.tentative().head.next(),
            kind: draft.kind,
            created_at_ms: now_ms.max(self.tentative().last_at_ms),
            sender: draft.sender,
            device: key.map(|key| key.device.clone()),
            n: draft.n,
            target: draft.target,
            body: draft.body,
            salt: Some(draft.salt),
            content_hash,
            hash: content_hash,
            epoch: self.fence.epoch,
            owner: self.fence.owner,
        };
        entry.hash = entry.expected_hash(self.tentative().hash);
        self.tentative_mut().apply_tagged(&entry, tag);
        self.queue.push_back(Numbered { entry, tag, reply });
    }

    /// Gives the log the next batch, unless it is busy with one.
    fn append_next(&mut self, effects: &mut Vec<Effect<T>>) {
        let Some(first) = self.queue.front() else { return };
        if self.in_flight.is_some() {
            return;
        }
        let buckets = self.buckets;
        let bucket = buckets.of(first.entry.seq);
        // A room is created together with its first write, be that one as large as it may.
        let alone = if first.entry.seq == Seq::FIRST { 2 } else { 1 };
        let mut bytes = 0;
        let fits = |numbered: &Numbered<T>, at: usize, bytes: &mut usize| {
            *bytes += numbered.entry.weight_bytes();
            at < alone || *bytes <= BATCH_BYTES_MAX && buckets.of(numbered.entry.seq) == bucket
        };
        let count = self
            .queue
            .iter()
            .take(BATCH_ENTRIES_MAX)
            .enumerate()
            .take_while(|(at, numbered)| fits(numbered, *at, &mut bytes))
            .count();
        let (entries, rest): (Vec<Entry>, Vec<_>) =
            self.queue.drain(..count).map(|numbered| (numbered.entry, (numbered.tag, numbered.reply))).unzip();
        let entries: Arc<[Entry]> = entries.into();
        effects.push(Effect::Append(Arc::clone(&entries)));
        self.in_flight = Some(Batch { entries, rest });
    }

    fn commit(&mut self, now_ms: i64, effects: &mut Vec<Effect<T>>) {
        let head_before = self.committed.head;
        let batch = self.in_flight.take().expect("a commit is reported while an append is in flight");
        self.append_next(effects);
        effects.push(Effect::Deliver(Arc::clone(&batch.entries)));
        for (entry, (tag, reply)) in batch.entries.iter().zip(batch.rest) {
            self.committed.apply_tagged(entry, tag);
            self.count_answered(entry);
            if let Some(reply) = reply {
                effects.push(Effect::Reply(reply, Ok(Ack { seq: entry.seq, duplicate: false })));
            }
            for (reply, answer) in self.held.remove(&entry.seq).into_iter().flatten() {
                effects.push(Effect::Reply(reply, answer));
            }
        }
        if self.committed.head.since(self.last_snapshot) >= self.snapshot_every {
            self.take_snapshot(effects);
        }
        self.drop_expired(effects);
        if self.buckets.last_ended(self.committed.head) != self.buckets.last_ended(head_before) {
            self.retain(now_ms, effects);
        }
        self.finish_drain(effects);
    }

    fn count_answered(&mut self, entry: &Entry) {
        let Some(device) = entry.device.clone() else { return };
        let key = SenderKey { user: entry.sender.clone(), device };
        if let Some(count) = self.unanswered.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.unanswered.remove(&key);
            }
        }
    }

    /// Refuses a write, once everything on which the refusal may rest is committed.
    fn refuse(&mut self, reply: T, refusal: Refusal, effects: &mut Vec<Effect<T>>) {
        self.answer_after(self.tentative().head, reply, Err(refusal), effects);
    }

    fn answer_after(&mut self, seq: Seq, reply: T, answer: Answer, effects: &mut Vec<Effect<T>>) {
        if seq <= self.committed.head {
            effects.push(Effect::Reply(reply, answer));
        } else {
            self.held.entry(seq).or_default().push((reply, answer));
        }
    }

    fn take_snapshot(&mut self, effects: &mut Vec<Effect<T>>) {
        self.last_snapshot = self.committed.head;
        self.plan_snapshot();
        effects.push(Effect::Snapshot(snapshot::encode(&self.committed)));
    }

    /// A snapshot costs what it holds: the log grows by four times that before the next one.
    fn plan_snapshot(&mut self) {
        self.snapshot_every = SNAPSHOT_ENTRIES_MIN.max(4 * self.committed.records() as u64);
    }

    fn finish_drain(&mut self, effects: &mut Vec<Effect<T>>) {
        let Phase::Draining { goes_on } = self.phase else { return };
        if self.in_flight.is_some() {
            return;
        }
        let new = self.committed.head.since(self.last_snapshot);
        if new >= if goes_on { SNAPSHOT_HANDED_ON_MIN } else { 1 } {
            self.take_snapshot(effects);
        }
        self.stop(StopReason::Drained, effects);
    }

    fn stop(&mut self, reason: StopReason, effects: &mut Vec<Effect<T>>) {
        self.phase = Phase::Stopped;
        self.abandon_expiry(effects);
        effects.push(Effect::Stop(reason));
    }
}

/// What an entry says before it has a number.
struct Draft {
    kind: Kind,
    sender: UserId,
    n: u64,
    target: Option<Seq>,
    body: Option<Body>,
    salt: Salt,
}

/// Draws the salt of a room's creation from that of the write which creates it, so that one write needs one salt. Knowing it
/// gives nothing away of the other.
fn creation_salt(salt: &Salt) -> Salt {
    let digest = Sha256::new().chain_update(b"rollcall.v1 creation").chain_update(salt.0).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Salt(bytes)
}
