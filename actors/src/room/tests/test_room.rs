//! A room core with a log beside it, and short names for what goes in and comes out.

use std::sync::Arc;

use rollcall_protocol::{Ack, Body, DeviceId, Entry, Kind, Salt, Seq, UserId, WriteOp};

use super::test_log::TestLog;
use crate::ports::NotCommitted;
use crate::room::{
    Answer, Buckets, Change, ChangeKind, Effect, Input, MemberChange, Refusal, Retention, Rights, Role, RoomCore,
    RoomState, SenderKey, StopReason, Submit, Target,
};

pub type Effects = Vec<Effect<u32>>;

pub const MAY_WRITE: Rights = Rights { read: true, write: true, moderate: false };
pub const MAY_READ: Rights = Rights { read: true, write: false, moderate: false };
pub const MAY_MODERATE: Rights = Rights { read: true, write: true, moderate: true };

/// A room that this node owns, with the log that it writes to.
#[derive(Debug)]
pub struct TestRoom {
    pub core: RoomCore<u32>,
    pub log: TestLog,
    pub now_ms: i64,
    in_flight: Option<Arc<[Entry]>>,
}

impl TestRoom {
    /// A room that nobody wrote to.
    pub fn new() -> Self {
        let mut log = TestLog::new();
        let core = RoomCore::new(log.activate(), RoomState::empty(&log.room), Seq::ZERO);
        Self { core, log, now_ms: 1_000, in_flight: None }
    }

    /// A room in which Ann's phone wrote n = 1 to `count`: the numbers 2 to `count` + 1.
    pub fn with_writes(count: u64) -> Self {
        let mut room = Self::new();
        for n in 1..=count {
            room.write(send(&ann(), n, &format!("text {n}")));
        }
        room
    }

    /// Has the room keep so much.
    pub fn retain(&mut self, entries_max: Option<u64>, age_max_ms: Option<u64>) {
        self.core = self.core.clone().retaining(Retention { entries_max, age_max_ms });
    }

    /// Cuts the log into other partitions.
    pub fn cut_into(&mut self, buckets: Buckets) {
        self.core = self.core.clone().in_buckets(buckets);
    }

    pub fn handle(&mut self, input: Input<u32>) -> Effects {
        let mut effects = Vec::new();
        self.core.handle(self.now_ms, input, &mut effects);
        for effect in &effects {
            match effect {
                Effect::Append(batch) => {
                    assert!(self.in_flight.replace(Arc::clone(batch)).is_none(), "one append is in flight at most");
                }
                Effect::Snapshot(snapshot) => self.log.snapshots.push(snapshot.clone()),
                Effect::KeepSnapshot(snapshot) => self.log.snapshots.push(snapshot.clone()),
                Effect::Deliver(_)
                | Effect::Reply(..)
                | Effect::Stop(_)
                | Effect::FindExpirable(_)
                | Effect::DropExpired(_)
                | Effect::LookAgain { .. } => {}
            }
        }
        effects
    }

    pub fn submit(&mut self, write: Submit<u32>) -> Effects {
        self.handle(Input::Submit(write))
    }

    pub fn change(&mut self, reply: u32, what: ChangeKind) -> Effects {
        self.handle(Input::Change(Change { reply, sender: user("root"), what, salt: Salt([reply as u8; 16]) }))
    }

    pub fn in_flight(&self) -> Option<&[Entry]> {
        self.in_flight.as_deref()
    }

    /// Stores the append in flight and says so.
    pub fn commit(&mut self) -> Effects {
        self.store();
        let effects = self.handle(Input::Committed);
        self.assert_nothing_remains();
        effects
    }

    /// Commits until nothing is pending.
    pub fn commit_all(&mut self) -> Effects {
        let mut effects = Vec::new();
        while self.in_flight.is_some() {
            effects.extend(self.commit());
        }
        effects
    }

    /// Stores the append in flight, of which the core hears nothing yet.
    pub fn store(&mut self) {
        let batch = self.in_flight.take().expect("an append is in flight");
        self.log.append(&batch);
    }

    /// Reports that nothing of the append in flight is stored.
    pub fn reject(&mut self, reason: NotCommitted) -> Effects {
        self.in_flight = None;
        let effects = self.handle(Input::NotCommitted(reason));
        self.assert_nothing_remains();
        effects
    }

    /// Where nothing is pending, what the next write is checked against is the committed state and nothing else.
    fn assert_nothing_remains(&self) {
        if self.core.pending() == 0
            && let Some(tentative) = self.core.second_state()
        {
            assert!(tentative == self.core.committed(), "something remains of what did not come about");
        }
    }

    pub fn reject_full(&mut self) -> Effects {
        self.reject(NotCommitted::Refused("the disk is full".to_owned()))
    }

    /// Reports that nobody knows what became of the append in flight.
    pub fn lose(&mut self) -> Effects {
        self.in_flight = None;
        self.handle(Input::Unknown)
    }

    /// Begins a new ownership from the log, after whatever happened to the old one.
    pub fn activate(&mut self) {
        let state = self.log.replay();
        self.activate_with(state);
    }

    pub fn activate_with(&mut self, state: RoomState) {
        self.in_flight = None;
        let last_snapshot = self.log.snapshots.last().map_or(Seq::ZERO, |snapshot| snapshot.seq);
        self.core = RoomCore::new(self.log.activate(), state, last_snapshot);
    }

    /// Has a write accepted and committed, and returns its number.
    pub fn write(&mut self, write: Submit<u32>) -> Seq {
        let reply = write.reply;
        let mut effects = self.submit(write);
        effects.extend(self.commit_all());
        match replies(&effects).as_slice() {
            [(to, Ok(Ack { seq, duplicate: false }))] if *to == reply => *seq,
            other => panic!("the write was not accepted: {other:?}"),
        }
    }

    /// Has a user's role changed, and the change committed.
    pub fn set_role(&mut self, user: &UserId, role: Option<Role>) {
        self.change(0, ChangeKind::Member(MemberChange { user: user.clone(), role }));
        self.commit_all();
    }
}

pub fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

pub fn device(user_name: &str, device: &str) -> SenderKey {
    SenderKey { user: user(user_name), device: DeviceId::parse(device).unwrap() }
}

pub fn ann() -> SenderKey {
    device("ann", "phone")
}

pub fn bob() -> SenderKey {
    device("bob", "desk")
}

pub fn text(text: &str) -> Body {
    Body::text(text).unwrap()
}

/// A message of a device that sends one after the other; the answer goes to its n.
pub fn send(who: &SenderKey, n: u64, said: &str) -> Submit<u32> {
    Submit {
        reply: u32::try_from(n).unwrap(),
        sender: who.user.clone(),
        device: who.device.clone(),
        n,
        prev: n - 1,
        since: Seq::ZERO,
        op: WriteOp::Send,
        target: None,
        body: Some(text(said)),
        salt: Salt([n as u8; 16]),
        rights: MAY_WRITE,
    }
}

/// An edit, a redaction or a reaction.
pub fn about(who: &SenderKey, n: u64, op: WriteOp, target: Target) -> Submit<u32> {
    let body = (op != WriteOp::Redact).then(|| text("+"));
    Submit { op, target: Some(target), body, ..send(who, n, "") }
}

/// An entry as the log shows it before a write about it.
pub fn found(seq: u64, kind: Kind, sender: &str) -> Target {
    Target::Found { seq: Seq::new(seq), kind, sender: user(sender), redacted: false }
}

pub fn ack(seq: u64) -> Answer {
    Ok(Ack { seq: Seq::new(seq), duplicate: false })
}

pub fn duplicate(seq: u64) -> Answer {
    Ok(Ack { seq: Seq::new(seq), duplicate: true })
}

pub fn replies(effects: &[Effect<u32>]) -> Vec<(u32, Answer)> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Reply(to, answer) = effect { Some((*to, answer.clone())) } else { None })
        .collect()
}

/// The numbers in the appends among the effects.
pub fn appended(effects: &[Effect<u32>]) -> Vec<Vec<u64>> {
    let batches =
        effects.iter().filter_map(|effect| if let Effect::Append(batch) = effect { Some(batch) } else { None });
    batches.map(|batch| batch.iter().map(|entry| entry.seq.get()).collect()).collect()
}

pub fn stopped(effects: &[Effect<u32>]) -> Option<StopReason> {
    effects.iter().find_map(|effect| if let Effect::Stop(reason) = effect { Some(*reason) } else { None })
}

pub fn unavailable(why: &str) -> Answer {
    Err(Refusal::Unavailable(why.to_owned()))
}
