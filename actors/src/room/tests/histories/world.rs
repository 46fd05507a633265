//! A room, its devices and its log in a random history, beside the reference: every effect is what the reference says.

use std::collections::BTreeMap;

use rollcall_protocol::{Ack, Body, Salt, Seq, UserId, WriteOp};

use super::naive::{Naive, Promise};
use super::steps::{About, Conditions, DEVICES, Prev, Start, Step, What};
use crate::ports::{NotCommitted, StoredSnapshot};
use crate::room::snapshot;
use crate::room::tests::test_room::{Effects, TestRoom, device, replies, stopped, text, user};
use crate::room::{
    Answer, ChangeKind, Effect, Input, MemberChange, Refusal, Rights, RoomChange, SenderKey, StopReason, Submit, Target,
};

/// A write as its device has it.
#[derive(Debug, Clone)]
struct Composed {
    n: u64,
    previous_n: u64,
    op: WriteOp,
    body: Option<Body>,
    /// What the log said of the target when the write was made.
    look: Option<Target>,
}

/// A copy of a write that arrived at the room. Its place is the token for its answer.
#[derive(Debug)]
pub struct Copy {
    /// Who wrote it; the server's own changes have nobody.
    pub key: Option<SenderKey>,
    pub n: u64,
    pub target: Option<Seq>,
    pub body: Option<Body>,
    /// The last committed number when it arrived.
    pub head: Seq,
    /// None where the process died before.
    pub answer: Option<Answer>,
}

#[derive(Debug)]
pub struct World {
    pub room: TestRoom,
    pub copies: Vec<Copy>,
    /// A snapshot after each commit.
    pub snapshots: Vec<StoredSnapshot>,
    naive: Naive,
    devices: Vec<Device>,
    /// Promises of the reference that were not due yet, in the order in which they were made.
    promises: Vec<(u32, Promise)>,
}

#[derive(Debug)]
struct Device {
    key: SenderKey,
    writes: Vec<Composed>,
    /// The head that it saw before its first write.
    since: Seq,
}

impl World {
    pub fn new() -> Self {
        let device =
            |&(user, name): &(&str, &str)| Device { key: device(user, name), writes: Vec::new(), since: Seq::ZERO };
        Self {
            room: TestRoom::new(),
            copies: Vec::new(),
            snapshots: Vec::new(),
            naive: Naive::default(),
            devices: DEVICES.iter().map(device).collect(),
            promises: Vec::new(),
        }
    }

    pub fn take(&mut self, step: Step) {
        match step {
            Step::Write { device, what, prev, gap, sent, conditions } => {
                self.compose(device, &what, gap);
                if sent {
                    self.arrive(device, self.devices[device].writes.len() - 1, prev, false, conditions);
                }
            }
            Step::Copy { device, which, prev, other_content, conditions } => {
                let writes = self.devices[device].writes.len();
                if writes > 0 {
                    self.arrive(device, which.index(writes), prev.unwrap_or(Prev::Previous), other_content, conditions);
                }
            }
            Step::CopyAll { device } => {
                for which in 0..self.devices[device].writes.len() {
                    self.arrive(device, which, Prev::Previous, false, Conditions::GOOD);
                }
            }
            Step::Burst { device, count } => {
                for number in 0..count {
                    self.compose(device, &What::Send(number as u8), 1);
                    let prev = if number == 0 { Prev::Accepted } else { Prev::Previous };
                    self.arrive(device, self.devices[device].writes.len() - 1, prev, false, Conditions::GOOD);
                }
            }
            Step::SetRole { device, role } => {
                self.change(ChangeKind::Member(MemberChange { user: self.devices[device].key.user.clone(), role }));
            }
            Step::MembersOnly(wanted) => {
                self.change(ChangeKind::Room(RoomChange { members_only: Some(wanted), ..RoomChange::default() }));
            }
            Step::Clock(by_ms) => self.room.now_ms += by_ms,
            Step::Commit => self.commit(),
            Step::CommitAll => self.commit_all(),
            Step::Reject => self.reject(),
            Step::Fence(start) => self.fence(&start),
            Step::Lose { stored, start } => self.lose(stored, &start),
            Step::Crash { stored, start } => self.crash(stored, &start),
            Step::Drain(start) => self.drain(&start),
        }
    }

    fn compose(&mut self, at: usize, what: &What, gap: u64) {
        let about = |about: &About| Some(self.pick(&self.devices[at].key.user, about));
        let (op, target, said) = match what {
            What::Send(said) => (WriteOp::Send, None, Some(said)),
            What::Edit(target, said) => (WriteOp::Edit, about(target), Some(said)),
            What::React(target, said) => (WriteOp::React, about(target), Some(said)),
            What::Redact(target) => (WriteOp::Redact, about(target), None),
        };
        let log = &self.room.log;
        let look = target.map(|target| log.look_at(target));
        let device = &mut self.devices[at];
        let previous_n = device.writes.last().map_or(0, |write| write.n);
        if device.writes.is_empty() {
            device.since = log.head();
        }
        let body = said.map(|said| text(&format!("{said}")));
        device.writes.push(Composed { n: previous_n + gap, previous_n, op, body, look });
    }

    fn pick(&self, user: &UserId, about: &About) -> Seq {
        let entries = &self.room.log.entries;
        let own = entries.iter().filter(|entry| entry.sender == *user && entry.kind.is_redactable());
        let own: Vec<_> = own.map(|entry| entry.seq).collect();
        match about {
            About::Own(which) if !own.is_empty() => *which.get(&own),
            About::Own(which) | About::Any(which) => Seq::new(which.index(entries.len() + 2) as u64),
        }
    }

    fn arrive(&mut self, at: usize, which: usize, prev: Prev, other_content: bool, conditions: Conditions) {
        let device = &self.devices[at];
        let Composed { n, previous_n, op, mut body, look } = device.writes[which].clone();
        let (key, since) = (device.key.clone(), device.since);
        if other_content {
            body = Some(text("something else"));
        }
        let prev = match prev {
            Prev::Accepted => self.naive.last_n(&key.user, &key.device),
            Prev::Previous => previous_n,
            Prev::Any(any) => any,
        };
        let target = look.map(|look| if conditions.readable { look } else { Target::Unreadable(look.seq()) });
        let reply = u32::try_from(self.copies.len()).unwrap();
        let rights = Rights { read: true, write: conditions.may_write, moderate: conditions.may_moderate };
        let (sender, device) = (key.user.clone(), key.device.clone());
        let salt = Salt(u128::from(reply).to_be_bytes());
        let write = Submit { reply, sender, device, n, prev, since, op, target, body: body.clone(), salt, rights };
        let target = write.target.as_ref().map(Target::seq);
        self.copies.push(Copy { key: Some(key), n, target, body, head: self.room.log.head(), answer: None });
        self.promises.push((reply, self.naive.submit(&write)));
        let effects = self.room.submit(write);
        self.compare_due(&effects);
    }

    fn change(&mut self, what: ChangeKind) {
        let reply = u32::try_from(self.copies.len()).unwrap();
        self.copies.push(Copy { key: None, n: 0, target: None, body: None, head: self.room.log.head(), answer: None });
        self.promises.push((reply, self.naive.change(&user("root"), &what)));
        let effects = self.room.change(reply, what);
        self.compare_due(&effects);
    }

    fn commit(&mut self) {
        let Some(batch) = self.room.in_flight().map(<[_]>::to_vec) else { return };
        let effects = self.room.commit();
        let delivered =
            effects.iter().find_map(|effect| if let Effect::Deliver(batch) = effect { Some(&**batch) } else { None });
        assert_eq!(delivered, Some(&*batch), "what is committed is delivered as it was numbered");
        self.naive.commit(self.room.log.head());
        self.compare_due(&effects);
        assert!(*self.room.core.committed() == self.room.log.replay(), "the state is a function of the log");
        self.snapshots.push(snapshot::encode(self.room.core.committed()));
    }

    pub fn commit_all(&mut self) {
        while self.room.in_flight().is_some() {
            self.commit();
        }
    }

    fn reject(&mut self) {
        if self.room.in_flight().is_some() {
            let effects = self.room.reject_full();
            self.naive.forget_after(self.room.log.head());
            self.compare_failed(&effects, Seq::ZERO);
        }
    }

    fn fence(&mut self, start: &Start) {
        if self.room.in_flight().is_some() {
            let effects = self.room.reject(NotCommitted::Fenced);
            self.compare_failed(&effects, Seq::ZERO);
            self.start(start);
        }
    }

    fn lose(&mut self, stored: bool, start: &Start) {
        let Some(last) = self.room.in_flight().map(|batch| batch.last().unwrap().seq) else { return };
        if stored {
            self.room.store();
        }
        let effects = self.room.lose();
        self.compare_failed(&effects, last);
        self.start(start);
    }

    fn crash(&mut self, stored: bool, start: &Start) {
        if stored && self.room.in_flight().is_some() {
            self.room.store();
        }
        self.promises.clear();
        self.start(start);
    }

    fn drain(&mut self, start: &Start) {
        let effects = self.room.handle(Input::Drain { goes_on: false });
        self.compare_due(&effects);
        let mut stop = stopped(&effects);
        while self.room.in_flight().is_some() {
            let effects = self.room.commit();
            self.naive.commit(self.room.log.head());
            self.compare_due(&effects);
            stop = stopped(&effects);
        }
        assert_eq!(stop, Some(StopReason::Drained));
        assert!(self.promises.is_empty(), "everybody was answered");
        let state = snapshot::encode(&self.room.log.replay());
        assert!(self.room.log.head() == Seq::ZERO || self.room.log.snapshots.last() == Some(&state));
        self.start(start);
    }

    /// A new owner takes the room over.
    fn start(&mut self, start: &Start) {
        self.naive.forget_after(self.room.log.head());
        match start {
            Start::Snapshot(which) if !self.snapshots.is_empty() => {
                let state = self.room.log.replay_from(which.get(&self.snapshots));
                assert!(state == self.room.log.replay(), "a snapshot and what follows it are the whole log");
                self.room.activate_with(state);
            }
            Start::Snapshot(_) | Start::Log => self.room.activate(),
        }
    }

    /// Compares the replies with those that the reference promised for what is committed now, in their order.
    fn compare_due(&mut self, effects: &Effects) {
        let head = self.room.log.head();
        let mut due: Vec<_> = self.promises.extract_if(.., |(_, promise)| promise.rests_on <= head).collect();
        due.sort_by_key(|(_, promise)| promise.rests_on);
        let due = due.into_iter().map(|(reply, promise)| (reply, promise.answer));
        assert_eq!(self.take_replies(effects), due.collect::<Vec<_>>());
    }

    /// Compares the replies with those after a failed append: unknown for what may be stored up to the number, else to be
    /// tried again.
    fn compare_failed(&mut self, effects: &Effects, unknown_through: Seq) {
        let failed: BTreeMap<u32, Answer> = std::mem::take(&mut self.promises)
            .into_iter()
            .map(|(reply, promise)| match promise.answer {
                Ok(Ack { seq, .. }) if seq <= unknown_through => (reply, Err(Refusal::OutcomeUnknown)),
                _ => (reply, Err(Refusal::Unavailable(String::new()))),
            })
            .collect();
        let replies = self.take_replies(effects);
        assert_eq!(replies.len(), failed.len(), "everybody is answered once");
        assert_eq!(BTreeMap::from_iter(replies), failed);
    }

    /// Notes the answers, and returns them without their texts for people.
    fn take_replies(&mut self, effects: &Effects) -> Vec<(u32, Answer)> {
        let mut replies = replies(effects);
        for (reply, answer) in &mut replies {
            match answer {
                Err(Refusal::Unavailable(text)) => text.clear(),
                Err(Refusal::Forbidden(text)) => *text = "",
                Ok(_) | Err(_) => {}
            }
            let noted = self.copies[*reply as usize].answer.replace(answer.clone());
            assert_eq!(noted, None, "nobody is answered twice");
        }
        replies
    }
}

impl Conditions {
    const GOOD: Self = Self { may_write: true, may_moderate: false, readable: true };
}
