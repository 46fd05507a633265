//! Nodes that all want one room, between them and the store a network without mercy.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rollcall_protocol::{Entry, Epoch, Kind, OwnerId, Seq};

use super::desk::entry_of;
use super::store::Store;
use super::totals::Totals;
use crate::fencing::{
    Answer, Buckets, Effect, Fencing, Input, Retention, RetentionStep, Start, Statement, Stop, Ticket,
};
use crate::ports::{Activated, AppendOutcome, LogTail, NotCommitted, Replaced};

pub const NODES: usize = 3;
const BUCKETS: Buckets = Buckets::of_entries(3);

/// What happens to the statement that a node has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is carried out, and so the answer says.
    Answered,
    /// It is carried out, and the answer is lost.
    AnswerLost,
    /// It is lost.
    Lost,
    /// It is given up, and may be carried out at any time later.
    Delayed,
    /// It is carried out twice; the answer is that of the second time.
    Twice,
    /// The store refuses it.
    Refused,
}

#[derive(Debug)]
struct Node {
    machine: Fencing,
    owner: OwnerId,
    sent: Option<Statement>,
    active: Option<LogTail>,
    /// The next number to append under.
    next: Seq,
    waiting: VecDeque<(Ticket, Arc<[Entry]>)>,
}

#[derive(Debug)]
pub struct World {
    store: Store,
    nodes: [Option<Node>; NODES],
    /// Statements that were given up and are still under way.
    late: Vec<Statement>,
    acked: BTreeMap<Seq, Entry>,
    /// Entries that were answered as not committed, by owner and number; what is stored there by that owner is another.
    failed: Vec<Entry>,
    lost: Vec<Entry>,
    /// What an owner has sent under a number, unless it was refused.
    sent: BTreeMap<(OwnerId, Seq), Entry>,
    unknown_tickets: BTreeSet<Ticket>,
    snapshot: Seq,
    /// The epochs of all activations that found the room to exist.
    owned: BTreeSet<Epoch>,
    drawn: u64,
    pub totals: Totals,
}

impl World {
    pub fn new() -> Self {
        Self {
            store: Store::new(BUCKETS),
            nodes: std::array::from_fn(|_| None),
            late: Vec::new(),
            acked: BTreeMap::new(),
            failed: Vec::new(),
            lost: Vec::new(),
            sent: BTreeMap::new(),
            unknown_tickets: BTreeSet::new(),
            snapshot: Seq::ZERO,
            owned: BTreeSet::new(),
            drawn: 0,
            totals: Totals::default(),
        }
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    /// A node begins to activate the room, with whatever hint and epoch it was told.
    pub fn start(&mut self, at: usize, epoch: u64, hint: u64) {
        let owner = OwnerId(u128::from(self.draw()));
        let start = Start { owner, epoch: Epoch::new(epoch), snapshot: self.snapshot, hint };
        let mut effects = Vec::new();
        let machine = Fencing::new(BUCKETS, start, &mut effects);
        let (active, next) = (None, Seq::FIRST);
        self.nodes[at] = Some(Node { machine, owner, sent: None, active, next, waiting: VecDeque::new() });
        self.carry_out(at, effects);
    }

    pub fn crash(&mut self, at: usize) {
        // What it had sent may be carried out at any time, and nobody is told of its appends.
        let Some(node) = self.nodes[at].take() else { return };
        self.late.extend(node.sent);
        self.lost.extend(node.waiting.iter().flat_map(|(_, entries)| entries.iter().cloned()));
    }

    /// A node that owns the room, as it thinks, appends entries.
    pub fn append(&mut self, at: usize, kinds: &[(Kind, u64)]) {
        let text = self.draw();
        let last_seq = self.store.last_seq();
        let Some(node) = &mut self.nodes[at] else { return };
        let Some(LogTail { fence, .. }) = node.active else { return };
        let mut entries = Vec::new();
        for (index, &(kind, about)) in kinds.iter().enumerate() {
            let seq = node.next.plus(index as u64);
            if BUCKETS.of(seq) != BUCKETS.of(node.next) {
                break;
            }
            let target = (1 + about % last_seq.get().max(1)).min(seq.get() - 1);
            let target = (kind != Kind::Message && target > 0).then_some(target);
            let kind = if target.is_some() { kind } else { Kind::Message };
            entries.push(entry_of(seq.get(), fence, kind, target, &format!("{text}.{index}")));
        }
        let entries: Arc<[Entry]> = entries.into();
        node.next = node.next.plus(entries.len() as u64);
        node.waiting.push_back((text, Arc::clone(&entries)));
        self.feed(at, Input::Append { ticket: text, entries });
    }

    pub fn deadline(&mut self, at: usize) {
        let Some(&(ticket, _)) = self.nodes[at].as_ref().and_then(|node| node.waiting.front()) else { return };
        self.feed(at, Input::Deadline { ticket });
    }

    /// Decides about the statement that a node has sent.
    pub fn decide(&mut self, at: usize, fate: Fate) {
        let Some(statement) = self.nodes[at].as_mut().and_then(|node| node.sent.take()) else { return };
        let answer = match fate {
            Fate::Answered => self.store.run(&statement),
            Fate::Twice => {
                self.store.run(&statement);
                self.store.run(&statement)
            }
            Fate::Refused => Answer::Refused("refused".to_owned()),
            Fate::AnswerLost => {
                self.store.run(&statement);
                Answer::Unknown("lost".to_owned())
            }
            Fate::Lost => Answer::Unknown("lost".to_owned()),
            Fate::Delayed => {
                self.late.push(statement.clone());
                Answer::Unknown("delayed".to_owned())
            }
        };
        let is_unknown = matches!(answer, Answer::Unknown(_));
        if let (Statement::Append { .. }, true, Some(node)) = (&statement, is_unknown, &self.nodes[at]) {
            self.unknown_tickets.extend(node.waiting.front().map(|(ticket, _)| *ticket));
        }
        self.feed(at, Input::Answer(answer));
    }

    /// A statement that was given up long ago is carried out.
    pub fn land(&mut self, which: usize) {
        if self.late.is_empty() {
            return;
        }
        let statement = self.late.swap_remove(which % self.late.len());
        let before = self.store.last_seq();
        self.store.run(&statement);
        self.totals.late += u64::from(self.store.last_seq() > before);
    }

    /// An owner's state is stored as a snapshot: that of what it was told to be committed.
    pub fn snapshot(&mut self) {
        self.snapshot = self.acked.last_key_value().map_or(Seq::ZERO, |(&seq, _)| seq);
    }

    /// Somebody expires entries, and dies after so many statements.
    pub fn expire(&mut self, floor: u64, statements: usize) {
        let (mut retention, mut statement) =
            Retention::start(BUCKETS, Seq::new(floor), self.snapshot, self.store.last_seq());
        for _ in 0..statements {
            let answer = self.store.run(&statement);
            match retention.take(answer) {
                RetentionStep::Run(next) => statement = next,
                RetentionStep::Finished(floor) => {
                    self.totals.expired += u64::from(floor.is_some());
                    return;
                }
                RetentionStep::Failed(stop) => panic!("{stop:?}"),
            }
        }
    }

    fn feed(&mut self, at: usize, input: Input) {
        let mut effects = Vec::new();
        if let Some(node) = &mut self.nodes[at] {
            node.machine.handle(input, &mut effects);
        }
        self.carry_out(at, effects);
    }

    fn carry_out(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            let node = self.nodes[at].as_mut().expect("it has effects");
            match effect {
                Effect::Run { statement, .. } => {
                    if let Statement::Append { entries, .. } = &statement {
                        for entry in entries.iter() {
                            let before = self.sent.insert((node.owner, entry.seq), entry.clone());
                            assert!(
                                before.is_none_or(|before| before == *entry),
                                "a number of an unresolved append was used again"
                            );
                        }
                    }
                    self.totals.rolls += u64::from(matches!(&statement, Statement::CreateBucket { bucket: 1.., .. }));
                    assert!(node.sent.replace(statement).is_none(), "one statement is under way at a time");
                }
                Effect::Activated(Activated { tail, replaced }) => {
                    node.active = Some(tail);
                    node.next = tail.last_seq.next();
                    self.check_replaced(tail, replaced);
                }
                Effect::Settled { ticket, outcome } => self.settle(at, ticket, &outcome),
                Effect::Stop(stop) => {
                    assert!(!matches!(stop, Stop::Damaged(_)), "{stop:?}");
                    assert!(node.waiting.is_empty(), "every append is settled before the end");
                    self.late.extend(node.sent.take());
                    self.nodes[at] = None;
                }
            }
        }
        let owners = self.nodes.iter().flatten().filter(|node| node.active.is_some()).count();
        self.totals.two_owners += u64::from(owners > 1);
    }

    /// Nobody owned the room between the owner that was replaced and the one that replaced it.
    fn check_replaced(&mut self, tail: LogTail, replaced: Replaced) {
        let of = match replaced {
            Replaced::Nothing => {
                assert_eq!(tail.last_seq, Seq::ZERO, "nobody was replaced in a room that somebody wrote to");
                return;
            }
            Replaced::Fence(fence) => fence.epoch,
            Replaced::Unknown => panic!("this log says whose fence it was"),
        };
        let between = self.owned.range(..tail.fence.epoch).next_back();
        assert!(between.is_none_or(|owned| *owned <= of), "{between:?} was passed over, and {of} replaced");
        self.totals.replaced += u64::from(self.owned.contains(&of));
        assert!(self.owned.insert(tail.fence.epoch), "an epoch was owned twice");
    }

    fn settle(&mut self, at: usize, ticket: Ticket, outcome: &AppendOutcome) {
        let node = self.nodes[at].as_mut().expect("it has effects");
        let place = node.waiting.iter().position(|(other, _)| *other == ticket).expect("it is settled once");
        let (_, entries) = node.waiting.remove(place).unwrap();
        let was_unknown = self.unknown_tickets.contains(&ticket);
        match outcome {
            AppendOutcome::Committed => {
                self.totals.committed += 1;
                self.totals.acked_after_unknown += u64::from(was_unknown);
                let is_still_owner = self.store.fence() == node.active.map(|tail| tail.fence);
                self.totals.committed_and_fenced += u64::from(!is_still_owner);
                self.acked.extend(entries.iter().map(|entry| (entry.seq, entry.clone())));
            }
            AppendOutcome::NotCommitted(why) => {
                if *why == NotCommitted::Fenced {
                    self.totals.fenced += 1;
                    self.totals.fenced_after_unknown += u64::from(was_unknown);
                } else {
                    self.totals.refused += 1;
                    node.next = node.next.min(entries[0].seq);
                    for entry in entries.iter() {
                        self.sent.remove(&(node.owner, entry.seq));
                    }
                }
                self.failed.extend(entries.iter().cloned());
            }
            AppendOutcome::Unknown(_) => {
                self.totals.unknown += 1;
                self.lost.extend(entries.iter().cloned());
            }
        }
    }

    /// Checks what must hold at every moment.
    pub fn check(&self) {
        let mut expected = self.store.floor();
        for entry in self.store.entries().filter(|entry| entry.seq >= self.store.floor()) {
            assert_eq!(entry.seq, expected, "numbers have no gap");
            expected = expected.next();
        }
        assert!(expected == self.store.last_seq().next() || self.store.last_seq() < self.store.floor());
        for (seq, entry) in self.acked.range(self.store.floor()..) {
            let stored = self.store.entry(*seq).expect("what was acked is there");
            assert!(is_same(stored, entry), "what was acked is what is there");
        }
        for entry in &self.failed {
            let stored = self.store.entry(entry.seq);
            assert!(stored.is_none_or(|stored| !is_same(stored, entry)), "what was refused is there");
        }
        self.check_redacted(&redactions_among(self.acked.values()));
    }

    /// Lets everything that is under way end, and one node take over without trouble.
    pub fn heal(mut self) -> Totals {
        (0..NODES).for_each(|at| self.crash(at));
        while !self.late.is_empty() {
            self.land(0);
            self.check();
        }
        self.start(0, 0, 0);
        for _ in 0..10_000 {
            self.decide(0, Fate::Answered);
            if self.nodes[0].as_ref().is_some_and(|node| node.active.is_some()) {
                break;
            }
        }
        let last_seq = self.store.last_seq();
        let node = self.nodes[0].as_ref().expect("it is alone");
        assert_eq!(node.active.expect("it owns the room").last_seq, last_seq);
        // Also those that nobody was told of.
        let redactions = redactions_among(self.store.entries());
        self.totals.redactions += redactions.len() as u64;
        self.check_redacted(&redactions);
        self.append(0, &[(Kind::Message, 0)]);
        for _ in 0..10 {
            self.decide(0, Fate::Answered);
        }
        assert_eq!(self.store.last_seq(), last_seq.next(), "the room goes on");
        self.check();
        let stored = self.lost.iter().filter(|entry| self.store.entry(entry.seq).is_some_and(|it| is_same(it, entry)));
        self.totals.unknown_and_stored += stored.count() as u64;
        self.totals
    }

    /// What these redactions have taken is gone, and so are their targets' edits. Of a target that has expired nobody knows
    /// whether it was redacted, so a later edit of it may show; the room's core refuses such an edit.
    fn check_redacted(&self, redactions: &[(Seq, Seq)]) {
        let floor = self.store.floor();
        for entry in self.store.entries().filter(|entry| entry.seq >= floor) {
            let is_taken = redactions.iter().any(|&(redaction, target)| {
                let is_edit = entry.kind == Kind::Edit && entry.target == Some(target);
                let is_edit = is_edit && (entry.seq < redaction || target >= floor);
                is_edit || entry.kind.is_redactable() && entry.seq == target
            });
            assert!(!is_taken || entry.body.is_none(), "{} was redacted", entry.seq);
        }
    }
}

/// Number and target of each redaction.
fn redactions_among<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<(Seq, Seq)> {
    let redactions = entries.filter(|entry| entry.kind == Kind::Redact);
    redactions.filter_map(|entry| Some((entry.seq, entry.target?))).collect()
}

/// The same write: its content hash stays when its body goes.
fn is_same(stored: &Entry, written: &Entry) -> bool {
    let of = |entry: &Entry| (entry.seq, entry.owner, entry.epoch, entry.kind, entry.target, entry.content_hash);
    of(stored) == of(written) && (stored.body.is_none() || stored.body == written.body)
}
