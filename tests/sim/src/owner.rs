//! The owner of a room on a node: the shipped room core over the shipped fencing machine, as the room's actor and the CQL log put
//! them together.

use std::sync::Arc;

use rollcall_actors::cluster::node_core::{Life, OwnerEvent, OwnerWrite, Writer};
use rollcall_actors::cluster::ownership::ActivateWith;
use rollcall_actors::cluster::{Question, RoomFacts, RoomStanding};
use rollcall_actors::fencing::{
    Answer, Effect as FencingEffect, Fencing, Input as FencingInput, Start, Statement, Ticket,
};
use rollcall_actors::ports::{Activated, AppendOutcome, LogError, StoredSnapshot};
use rollcall_actors::room::{
    Answer as Reply, Change, ChangeKind, Effect, Expirable, Input, RecentRedactions, RoomCore, RoomState, SenderKey,
    StopReason, Submit, Target,
};
use rollcall_actors::shell::ActivationError;
use rollcall_protocol::{Entry, Kind, OwnerId, RoomId, Salt, Seq, UserId};

use crate::deletion::Deletion;
use crate::event::{ToOwner, Token};
use crate::rebuild::rebuild;
use crate::sabotage::Sabotage;
use crate::store::{BUCKETS, RoomStore};

/// What an owner wants.
#[derive(Debug)]
pub enum Want {
    /// Run this, as the statement of this number, after so many attempts.
    Run(u64, Statement, u32),
    /// Read what the room's state is rebuilt from.
    Replay,
    /// Say so when ten seconds have passed.
    Deadline(Ticket),
    /// Tell the node.
    Event(OwnerEvent),
    /// Answer a connection of this node.
    Reply(Token, Reply),
    /// Show these to the connections of this node.
    Show(Arc<[Entry]>),
    /// Store this.
    Snapshot(StoredSnapshot),
    /// Ask the log what may expire.
    FindExpirable(Expirable),
    /// Store this, and read it back.
    KeepSnapshot(StoredSnapshot),
    /// The room has said that entries have expired, and they are to be deleted.
    Expired,
    /// Have the room look again after so many milliseconds: a deletion has failed.
    LookAgain(u64),
    /// An append was settled whose outcome was unknown for a while.
    Resolved(AppendOutcome),
    /// The log is damaged.
    Damaged(String),
    /// Nothing is left of it.
    Gone,
}

/// What an owner looks at.
pub struct Around<'a> {
    /// The time of day of its node, in milliseconds.
    pub wall_ms: i64,
    /// Drawn for this input.
    pub draw: u64,
    /// What the log has, for the targets of writes and for rebuilding.
    pub rows: Option<&'a RoomStore>,
    /// What is spoilt.
    pub sabotage: Option<Sabotage>,
}

/// The owner of a room.
#[derive(Debug)]
pub struct Owner {
    room: RoomId,
    /// Numbers the owner on its node.
    pub life: Life,
    with: ActivateWith,
    fencing: Option<Fencing>,
    core: Option<RoomCore<Writer<Token>>>,
    activated: Option<Activated>,
    statements: u64,
    tickets: Ticket,
    append_was_unknown: bool,
    settled_early: u32,
    redactions: RecentRedactions,
    /// The deletion of what has expired.
    deletion: Deletion,
    is_gone: bool,
}

impl Owner {
    /// Begins; first it is to be told which snapshot is the newest.
    pub fn new(room: RoomId, life: Life, with: ActivateWith) -> Self {
        Self {
            room,
            life,
            with,
            fencing: None,
            core: None,
            activated: None,
            statements: 0,
            tickets: 0,
            append_was_unknown: false,
            settled_early: 0,
            redactions: RecentRedactions::default(),
            deletion: Deletion::default(),
            is_gone: false,
        }
    }

    /// Tells a device's last accepted n, once the room is active.
    pub fn last_n(&self, key: &SenderKey) -> u64 {
        self.core.as_ref().map_or(0, |core| core.committed().last_n(key))
    }

    /// Answers what somebody on another node wants to know.
    pub fn examine(&self, question: &Question) -> Option<RoomFacts> {
        let (core, activated) = self.core.as_ref().zip(self.activated)?;
        let state = core.committed();
        let device = question.join.as_ref().map(|join| join.device.clone());
        let last_n = device.map_or(0, |device| self.last_n(&SenderKey { user: question.user.clone(), device }));
        let RoomState { head, floor, hash, floor_hash, .. } = *state;
        Some(RoomFacts { epoch: activated.tail.fence.epoch, head, floor, hash, floor_hash, last_n })
    }

    /// Takes an input and adds what is wanted.
    pub fn handle(&mut self, input: ToOwner, around: &Around<'_>, wants: &mut Vec<Want>) {
        if self.is_gone {
            return;
        }
        match input {
            ToOwner::Began(None) | ToOwner::Replay(false) => self.not_activated(wants),
            ToOwner::Began(Some(snapshot)) => {
                let hint = self.with.hint.max(snapshot);
                let hint = if hint > Seq::ZERO { BUCKETS.of(hint) } else { 0 };
                let owner = match around.sabotage {
                    Some(Sabotage::NoOwnerNonce) => OwnerId(1),
                    _ => OwnerId((u128::from(around.draw) << 64) | u128::from(self.life)),
                };
                let mut effects = Vec::new();
                let start = Start { owner, epoch: self.with.epoch, snapshot, hint };
                self.fencing = Some(Fencing::new(BUCKETS, start, &mut effects));
                self.fencing_wants(effects, around, wants);
            }
            ToOwner::Answer(number, answer) if Deletion::has_asked(number) => {
                if let Some((before, is_done)) = self.deletion.take(number, answer, wants) {
                    self.tell_core(Input::Dropped { before, is_done }, around, wants);
                }
            }
            ToOwner::Answer(number, answer) => self.answer(number, answer, around, wants),
            ToOwner::Deadline(ticket) => self.tell_fencing(FencingInput::Deadline { ticket }, around, wants),
            ToOwner::Replay(true) => self.activated(around, wants),
            ToOwner::Submit(write) => self.submit(write, around, wants),
            ToOwner::Expire(before) => {
                // Nobody waits for this.
                let reply = Writer::Here(Token { conn: 0, id: 0 });
                let sender = UserId::parse("operator").expect("a name");
                let change = Change { reply, sender, what: ChangeKind::Expire(before), salt: salt(around) };
                self.tell_core(Input::Change(change), around, wants);
            }
            ToOwner::Retain => self.tell_core(Input::Retain, around, wants),
            ToOwner::Found(found) => self.tell_core(Input::ExpirableFound(found), around, wants),
            ToOwner::Kept(seq) => self.tell_core(Input::SnapshotKept { seq, salt: salt(around) }, around, wants),
            ToOwner::Stop { goes_on } => self.tell_core(Input::Drain { goes_on }, around, wants),
        }
    }

    fn not_activated(&mut self, wants: &mut Vec<Want>) {
        self.is_gone = true;
        wants.extend([Want::Event(OwnerEvent::NotActivated), Want::Gone]);
    }

    fn answer(&mut self, number: u64, answer: Answer, around: &Around<'_>, wants: &mut Vec<Want>) {
        // What the machine does not wait for any more comes to nobody.
        if number != self.statements {
            return;
        }
        let answer = match answer {
            Answer::Unknown(why) if around.sabotage == Some(Sabotage::UnresolvedBatchForgotten) => {
                if self.core.is_some() { Answer::Refused(why) } else { Answer::Unknown(why) }
            }
            answer => answer,
        };
        self.append_was_unknown |= matches!(answer, Answer::Unknown(_)) && self.core.is_some();
        self.tell_fencing(FencingInput::Answer(answer), around, wants);
    }

    fn tell_fencing(&mut self, input: FencingInput, around: &Around<'_>, wants: &mut Vec<Want>) {
        let Some(fencing) = &mut self.fencing else { return };
        if fencing.is_stopped() && matches!(input, FencingInput::Answer(_)) {
            return;
        }
        let mut effects = Vec::new();
        fencing.handle(input, &mut effects);
        self.fencing_wants(effects, around, wants);
    }

    fn fencing_wants(&mut self, effects: Vec<FencingEffect>, around: &Around<'_>, wants: &mut Vec<Want>) {
        for effect in effects {
            match effect {
                FencingEffect::Run { statement, attempt } => {
                    self.statements += 1;
                    wants.push(Want::Run(self.statements, statement, attempt));
                }
                FencingEffect::Activated(activated) => {
                    self.activated = Some(activated);
                    wants.push(Want::Replay);
                }
                FencingEffect::Settled { outcome, .. } => {
                    if std::mem::take(&mut self.append_was_unknown) {
                        wants.push(Want::Resolved(outcome.clone()));
                    }
                    if self.settled_early > 0 {
                        self.settled_early -= 1;
                        continue;
                    }
                    let input = match outcome {
                        AppendOutcome::Committed => Input::Committed,
                        AppendOutcome::NotCommitted(reason) => Input::NotCommitted(reason),
                        AppendOutcome::Unknown(_) => Input::Unknown,
                    };
                    self.tell_core(input, around, wants);
                }
                FencingEffect::Stop(reason) => {
                    if let rollcall_actors::fencing::Stop::Damaged(reason) = reason {
                        wants.push(Want::Damaged(format!("{}: {reason}", self.room)));
                    }
                    if self.core.is_none() {
                        self.not_activated(wants);
                    }
                }
            }
        }
    }

    fn activated(&mut self, around: &Around<'_>, wants: &mut Vec<Want>) {
        let Some(Activated { tail, replaced }) = self.activated else { return };
        let mut activation = match rebuild(around.rows, &self.room, tail, around.sabotage) {
            Ok(activation) => activation,
            Err(error) => {
                // An owner that came after it may have let expire what it was about to read.
                let is_fenced = around.rows.and_then(RoomStore::tail).is_some_and(|now| now.fence != tail.fence);
                if !(is_fenced && matches!(error, ActivationError::Log(LogError::Expired { .. }))) {
                    wants.push(Want::Damaged(error.to_string()));
                }
                return self.not_activated(wants);
            }
        };
        if around.sabotage == Some(Sabotage::RedisEpochTrusted) {
            activation.fence.epoch = self.with.epoch;
        }
        let state = &activation.state;
        let standing =
            RoomStanding { epoch: activation.fence.epoch, head: state.head, hash: state.hash, floor: state.floor };
        let core = RoomCore::new(activation.fence, activation.state, activation.last_snapshot);
        self.core = Some(core.in_buckets(BUCKETS));
        wants.push(Want::Event(OwnerEvent::Activated { fence: activation.fence, replaced, standing }));
    }

    fn submit(&mut self, write: OwnerWrite<Token>, around: &Around<'_>, wants: &mut Vec<Want>) {
        let OwnerWrite { writer, user, device, rights, mut write } = write;
        if around.sabotage == Some(Sabotage::ForwardedAgainIsNew) && matches!(writer, Writer::Node(_)) {
            let last_n = self.last_n(&SenderKey { user: user.clone(), device: device.clone() });
            if write.n <= last_n {
                (write.n, write.prev) = (last_n + 1, last_n);
            }
        }
        let target = write.target.map(|seq| self.look_up(seq, around));
        let submit = Submit {
            reply: writer,
            sender: user,
            device,
            n: write.n,
            prev: write.prev,
            since: write.since,
            op: write.op,
            target,
            body: write.body,
            salt: salt(around),
            rights,
        };
        self.tell_core(Input::Submit(submit), around, wants);
    }

    fn look_up(&self, seq: Seq, around: &Around<'_>) -> Target {
        let head = self.core.as_ref().map_or(Seq::ZERO, |core| core.committed().head);
        let floor = self.core.as_ref().map_or(Seq::FIRST, |core| core.committed().floor);
        if seq > Seq::ZERO && seq < floor {
            return Target::Expired(seq);
        }
        let entry = around.rows.filter(|_| seq <= head).and_then(|rows| rows.entry(seq));
        entry.map_or(Target::Absent(seq), |entry| Target::Found {
            seq,
            kind: entry.kind,
            sender: entry.sender.clone(),
            redacted: entry.is_redacted(),
        })
    }

    fn tell_core(&mut self, input: Input<Writer<Token>>, around: &Around<'_>, wants: &mut Vec<Want>) {
        let Some(core) = &mut self.core else { return };
        let mut effects = Vec::new();
        core.handle(around.wall_ms, input, &mut effects);
        let floor = core.committed().floor;
        let mut committed = None;
        let mut replies = Vec::new();
        let mut appended = None;
        let mut stopped = None;
        for effect in effects {
            match effect {
                Effect::Append(entries) => appended = Some(entries),
                Effect::Deliver(entries) => {
                    let entries = self.as_shown(entries);
                    if around.sabotage != Some(Sabotage::PushBeforeCommit) {
                        wants.push(Want::Show(Arc::clone(&entries)));
                    }
                    committed = Some(entries);
                }
                Effect::Reply(Writer::Here(token), answer) => wants.push(Want::Reply(token, answer)),
                Effect::Reply(Writer::Node(writer), answer) => {
                    let (node, mut reply) = writer.reply(answer);
                    if around.sabotage == Some(Sabotage::UnknownToldAsFailed)
                        && let Err(error) = &mut reply.result
                        && error.code == rollcall_protocol::ErrorCode::OutcomeUnknown
                    {
                        *error = crate::gateway::told_as_failed();
                    }
                    replies.push((node, reply));
                }
                Effect::Snapshot(snapshot) => wants.push(Want::Snapshot(snapshot)),
                Effect::FindExpirable(expirable) => wants.push(Want::FindExpirable(expirable)),
                Effect::KeepSnapshot(snapshot) => {
                    if around.sabotage == Some(Sabotage::DeletedBeforeFloor) {
                        self.deletion.begin(BUCKETS.last_ended(snapshot.seq).next(), around, wants);
                    }
                    wants.push(Want::KeepSnapshot(snapshot));
                }
                Effect::DropExpired(floor) => {
                    wants.push(Want::Expired);
                    self.deletion.begin(floor, around, wants);
                }
                Effect::LookAgain { after_ms } => wants.push(Want::LookAgain(after_ms)),
                Effect::Stop(reason) => stopped = Some(reason),
            }
        }
        match committed {
            Some(entries) => wants.push(Want::Event(OwnerEvent::Committed { entries, floor, replies })),
            None if replies.is_empty() => {}
            None => wants.push(Want::Event(OwnerEvent::Replied(replies))),
        }
        if let Some(entries) = appended {
            self.append(entries, around, wants);
        }
        if let Some(reason) = stopped {
            self.stopped(reason, wants);
        }
    }

    fn append(&mut self, entries: Arc<[Entry]>, around: &Around<'_>, wants: &mut Vec<Want>) {
        self.tickets += 1;
        let ticket = self.tickets;
        wants.push(Want::Deadline(ticket));
        if around.sabotage == Some(Sabotage::PushBeforeCommit) {
            wants.push(Want::Show(Arc::clone(&entries)));
        }
        self.append_was_unknown = false;
        self.tell_fencing(FencingInput::Append { ticket, entries }, around, wants);
        if around.sabotage == Some(Sabotage::AckBeforeCommit) && !self.is_gone {
            self.settled_early += 1;
            self.tell_core(Input::Committed, around, wants);
        }
    }

    fn stopped(&mut self, reason: StopReason, wants: &mut Vec<Want>) {
        self.is_gone = true;
        wants.extend([Want::Event(OwnerEvent::Stopped { reason }), Want::Gone]);
    }

    /// Returns committed entries as they may be shown: an edit that was numbered after the redaction of its target has lost its
    /// body in the log.
    fn as_shown(&mut self, entries: Arc<[Entry]>) -> Arc<[Entry]> {
        for entry in entries.iter().filter(|entry| entry.kind == Kind::Redact) {
            if let Some(target) = entry.target {
                self.redactions.push(entry.seq, target);
            }
        }
        let is_late =
            |entry: &Entry| entry.kind == Kind::Edit && entry.target.is_some_and(|target| self.redactions.hold(target));
        if !entries.iter().any(is_late) {
            return entries;
        }
        let mut shown = entries.to_vec();
        shown.iter_mut().filter(|entry| is_late(entry)).for_each(Entry::redact);
        shown.into()
    }
}

fn salt(around: &Around<'_>) -> Salt {
    let mut salt = [0; 16];
    salt[..8].copy_from_slice(&around.draw.to_be_bytes());
    Salt(salt)
}
