//! A machine on a desk: buckets of four, one input at a time, short names for what goes in and comes out.

use std::sync::Arc;

use rollcall_protocol::{Body, Entry, Epoch, Hash, Kind, OwnerId, Salt, Seq, hash};

use crate::fencing::{Answer, Buckets, Effect, Fencing, Input, Mark, Row, Start, Statement, Stop, Ticket};
use crate::ports::{Activated, AppendOutcome, Fence, LogTail, NotCommitted, Replaced};

pub const BUCKETS: Buckets = Buckets::of_entries(4);
/// The owner whose machine it is.
pub const ME: u128 = 7;

pub fn fence(epoch: u64, owner: u128) -> Fence {
    Fence { epoch: Epoch::new(epoch), owner: OwnerId(owner) }
}

pub fn tail(epoch: u64, owner: u128, last_seq: u64) -> LogTail {
    LogTail { fence: fence(epoch, owner), last_seq: Seq::new(last_seq) }
}

/// The answer to R.
pub fn found(epoch: u64, owner: u128, last_seq: u64) -> Answer {
    Answer::Fence(Some(tail(epoch, owner, last_seq)))
}

pub const NOBODY: Answer = Answer::Fence(None);

pub fn not_applied(epoch: u64, owner: u128, last_seq: u64) -> Answer {
    Answer::NotApplied(Some(tail(epoch, owner, last_seq)))
}

pub fn unknown() -> Answer {
    Answer::Unknown("timed out".to_owned())
}

pub fn refused() -> Answer {
    Answer::Refused("unauthorized".to_owned())
}

/// An entry under an epoch of our own.
pub fn entry(seq: u64, epoch: u64, kind: Kind, target: Option<u64>) -> Entry {
    entry_of(seq, fence(epoch, ME), kind, target, &format!("text {seq}"))
}

/// An entry with a text of at most 16 bytes, by which it is told from others even when its body is gone.
pub fn entry_of(seq: u64, fence: Fence, kind: Kind, target: Option<u64>, text: &str) -> Entry {
    let body = (kind != Kind::Redact).then(|| Body::text(text).unwrap());
    let mut salt = [0; 16];
    salt[..text.len()].copy_from_slice(text.as_bytes());
    let salt = Salt(salt);
    Entry {
        seq: Seq::new(seq),
        kind,
        created_at_ms: 0,
        sender: "ann".parse().unwrap(),
        device: None,
        n: 0,
        target: target.map(Seq::new),
        content_hash: hash::content(&salt, body.as_ref().map(Body::as_str)),
        body,
        salt: Some(salt),
        hash: Hash([0; 32]),
        epoch: fence.epoch,
        owner: fence.owner,
    }
}

/// Messages numbered from `first` through `last`, under an epoch of our own.
pub fn messages(first: u64, last: u64, epoch: u64) -> Arc<[Entry]> {
    (first..=last).map(|seq| entry(seq, epoch, Kind::Message, None)).collect()
}

/// What stands in an answer for entries without a mark.
pub fn plain_rows(first: u64, last: u64) -> Answer {
    Answer::Rows((first..=last).map(|seq| Row { seq: Seq::new(seq), mark: None }).collect())
}

/// What stands in an answer for these entries.
pub fn rows_of(entries: &[Entry]) -> Answer {
    Answer::Rows(entries.iter().map(|entry| Row { seq: entry.seq, mark: Mark::of(entry) }).collect())
}

pub fn run(statement: Statement) -> Effect {
    Effect::Run { statement, attempt: 0 }
}

pub fn again(statement: Statement, attempt: u32) -> Effect {
    Effect::Run { statement, attempt }
}

pub fn r(bucket: u64) -> Statement {
    Statement::ReadFence { bucket }
}

pub fn c(bucket: u64, epoch: u64) -> Statement {
    Statement::CreateBucket { bucket, fence: fence(epoch, ME), last_seq: BUCKETS.before(bucket) }
}

pub fn f(bucket: u64, expected: Fence, epoch: u64) -> Statement {
    Statement::TakeFence { bucket, expected, fence: fence(epoch, ME) }
}

pub fn a(epoch: u64, entries: &Arc<[Entry]>) -> Statement {
    let first = entries[0].seq;
    Statement::Append {
        bucket: BUCKETS.of(first),
        fence: fence(epoch, ME),
        last_seq: first.previous(),
        entries: Arc::clone(entries),
    }
}

pub fn settled(ticket: Ticket, outcome: AppendOutcome) -> Effect {
    Effect::Settled { ticket, outcome }
}

pub fn committed(ticket: Ticket) -> Effect {
    settled(ticket, AppendOutcome::Committed)
}

pub fn fenced(ticket: Ticket) -> Effect {
    settled(ticket, AppendOutcome::NotCommitted(NotCommitted::Fenced))
}

pub fn refused_append(ticket: Ticket, why: &str) -> Effect {
    settled(ticket, AppendOutcome::NotCommitted(NotCommitted::Refused(why.to_owned())))
}

pub fn lost(ticket: Ticket, why: &str) -> Effect {
    settled(ticket, AppendOutcome::Unknown(why.to_owned()))
}

/// A room is ours under this epoch, in the place of another's fence.
pub fn activated(epoch: u64, last_seq: u64, replaced: Fence) -> Effect {
    Effect::Activated(Activated { tail: tail(epoch, ME, last_seq), replaced: Replaced::Fence(replaced) })
}

/// A room that nobody wrote to is ours.
pub fn activated_empty(epoch: u64) -> Effect {
    Effect::Activated(Activated { tail: tail(epoch, ME, 0), replaced: Replaced::Nothing })
}

pub const LATE: &str = "the store did not answer in time";
pub const STOP_FENCED: Effect = Effect::Stop(Stop::Fenced);

pub fn stop_damaged(reason: &str) -> Effect {
    Effect::Stop(Stop::Damaged(reason.to_owned()))
}

/// A machine and what it wants.
#[derive(Debug, Clone)]
pub struct Desk {
    pub machine: Fencing,
}

impl Desk {
    /// Begins an activation of a room without a snapshot and without an epoch from elsewhere.
    pub fn begin(hint: u64) -> (Self, Vec<Effect>) {
        Self::begin_with(Start { owner: OwnerId(ME), epoch: Epoch::ZERO, snapshot: Seq::ZERO, hint })
    }

    pub fn begin_with(start: Start) -> (Self, Vec<Effect>) {
        let mut effects = Vec::new();
        let machine = Fencing::new(BUCKETS, start, &mut effects);
        (Self { machine }, effects)
    }

    /// An owner by epoch 2 of a room that ends with this number, a snapshot there.
    pub fn owner(last_seq: u64) -> Self {
        let snapshot = Seq::new(last_seq);
        let hint = BUCKETS.of(snapshot.next());
        let (mut desk, _) = Self::begin_with(Start { owner: OwnerId(ME), epoch: Epoch::ZERO, snapshot, hint });
        desk.answer(found(1, 1, last_seq));
        desk.answer(Answer::Applied);
        assert_eq!(desk.answer(found(2, ME, last_seq)), [activated(2, last_seq, fence(1, 1))]);
        desk
    }

    /// The owner of a room that nobody wrote to.
    pub fn empty() -> Self {
        let (mut desk, _) = Self::begin(0);
        assert_eq!(desk.answer(NOBODY), [activated_empty(1)]);
        desk
    }

    pub fn handle(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.machine.handle(input, &mut effects);
        effects
    }

    pub fn answer(&mut self, answer: Answer) -> Vec<Effect> {
        self.handle(Input::Answer(answer))
    }

    pub fn append(&mut self, ticket: Ticket, entries: &Arc<[Entry]>) -> Vec<Effect> {
        self.handle(Input::Append { ticket, entries: Arc::clone(entries) })
    }

    pub fn deadline(&mut self, ticket: Ticket) -> Vec<Effect> {
        self.handle(Input::Deadline { ticket })
    }

    /// Plays answers, each with the effects that must follow.
    pub fn play(&mut self, script: impl IntoIterator<Item = (Answer, Vec<Effect>)>) {
        for (step, (answer, expected)) in script.into_iter().enumerate() {
            let told = format!("step {step}: {answer:?}");
            assert_eq!(self.answer(answer), expected, "{told}");
        }
    }
}
