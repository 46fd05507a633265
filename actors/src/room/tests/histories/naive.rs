//! The reference: keeps everything that was ever numbered, and decides by looking through all of it.

use rollcall_protocol::limits::UNANSWERED_WRITES_MAX;
use rollcall_protocol::{Ack, Body, DeviceId, Kind, Seq, UserId, WriteOp};

use crate::room::{Answer, ChangeKind, MemberChange, Refusal, Role, RoomChange, Submit, Target};

/// What an entry says; its number is its place.
#[derive(Debug, Clone)]
pub struct Fact {
    pub sender: UserId,
    pub device: Option<DeviceId>,
    pub n: u64,
    pub kind: Kind,
    pub target: Option<Seq>,
    pub body: Option<Body>,
}

/// The answer that is given once the entry on which it rests is committed.
#[derive(Debug, Clone)]
pub struct Promise {
    pub rests_on: Seq,
    pub answer: Answer,
}

/// Every entry of a room, committed or not.
#[derive(Debug, Default)]
pub struct Naive {
    facts: Vec<Fact>,
    committed: usize,
}

impl Naive {
    pub fn head(&self) -> Seq {
        Seq::new(self.facts.len() as u64)
    }

    /// What is there up to the number is committed.
    pub fn commit(&mut self, head: Seq) {
        self.committed = usize::try_from(head.get()).unwrap();
    }

    /// What is there up to the number is committed, and all else never came about.
    pub fn forget_after(&mut self, head: Seq) {
        self.commit(head);
        self.facts.truncate(self.committed);
    }

    /// The last n of a device, committed or not.
    pub fn last_n(&self, sender: &UserId, device: &DeviceId) -> u64 {
        self.facts_of(sender, device).last().map_or(0, |(_, fact)| fact.n)
    }

    pub fn submit(&mut self, write: &Submit<u32>) -> Promise {
        let known = self.answer_known(write, self.committed).or_else(|| self.answer_known(write, self.facts.len()));
        if let Some(promise) = known {
            return promise;
        }
        match self.check_new(write) {
            Err(Refusal::TooManyUnanswered) => Promise { rests_on: Seq::ZERO, answer: Err(Refusal::TooManyUnanswered) },
            Err(refusal) => Promise { rests_on: self.head(), answer: Err(refusal) },
            Ok(()) => {
                let kind = match write.op {
                    WriteOp::Send => Kind::Message,
                    WriteOp::Edit => Kind::Edit,
                    WriteOp::Redact => Kind::Redact,
                    WriteOp::React => Kind::React,
                };
                self.create_by(&write.sender);
                self.number(Fact {
                    sender: write.sender.clone(),
                    device: Some(write.device.clone()),
                    n: write.n,
                    kind,
                    target: write.target.as_ref().map(Target::seq),
                    body: write.body.clone(),
                })
            }
        }
    }

    pub fn change(&mut self, sender: &UserId, what: &ChangeKind) -> Promise {
        let (kind, body, holds) = match what {
            ChangeKind::Member(change) => {
                (Kind::Member, Body::from_value(change), self.role(&change.user) == change.role)
            }
            ChangeKind::Room(change) => {
                (Kind::Room, Body::from_value(change), change.members_only == Some(self.members_only()))
            }
            ChangeKind::Expire(_) => unreachable!("these histories keep everything"),
        };
        if holds && (kind == Kind::Member || !self.facts.is_empty()) {
            return Promise { rests_on: self.head(), answer: Ok(Ack { seq: self.head(), duplicate: true }) };
        }
        if kind == Kind::Member {
            self.create_by(sender);
        }
        self.number(Fact { sender: sender.clone(), device: None, n: 0, kind, target: None, body: Some(body.unwrap()) })
    }

    fn number(&mut self, fact: Fact) -> Promise {
        self.facts.push(fact);
        Promise { rests_on: self.head(), answer: Ok(Ack { seq: self.head(), duplicate: false }) }
    }

    fn create_by(&mut self, creator: &UserId) {
        if self.facts.is_empty() {
            let sender = creator.clone();
            self.facts.push(Fact { sender, device: None, n: 0, kind: Kind::Room, target: None, body: None });
        }
    }

    fn numbered(&self) -> impl DoubleEndedIterator<Item = (Seq, &Fact)> {
        self.facts.iter().enumerate().map(|(at, fact)| (Seq::new(at as u64 + 1), fact))
    }

    fn facts_of(&self, sender: &UserId, device: &DeviceId) -> Vec<(Seq, &Fact)> {
        self.numbered().filter(|(_, fact)| fact.sender == *sender && fact.device.as_ref() == Some(device)).collect()
    }

    /// The answer to an n that is known or passed, as far as the first so many entries tell.
    fn answer_known(&self, write: &Submit<u32>, entries: usize) -> Option<Promise> {
        let head = Seq::new(entries as u64);
        let mut own = self.facts_of(&write.sender, &write.device);
        own.retain(|(seq, _)| *seq <= head);
        let (old, kept) = own.split_at(own.len().saturating_sub(UNANSWERED_WRITES_MAX));
        if let Some((seq, fact)) = kept.iter().find(|(_, fact)| fact.n == write.n) {
            let ack = Ok(Ack { seq: *seq, duplicate: true });
            return Some(if self.is_redacted(*seq, fact, entries) {
                Promise { rests_on: head, answer: ack }
            } else {
                Promise {
                    rests_on: *seq,
                    answer: if is_content_of(write, fact) { ack } else { Err(Refusal::Conflict) },
                }
            });
        }
        let refusal = if old.iter().any(|(_, fact)| fact.n >= write.n) {
            Refusal::TooOld
        } else if kept.iter().any(|(_, fact)| fact.n > write.n) {
            Refusal::Skipped
        } else {
            return None;
        };
        Some(Promise { rests_on: head, answer: Err(refusal) })
    }

    fn is_redacted(&self, seq: Seq, fact: &Fact, entries: usize) -> bool {
        let mut redactions = self.facts[..entries].iter().filter(|other| other.kind == Kind::Redact);
        redactions.any(|redaction| {
            redaction.target == Some(seq) || fact.kind == Kind::Edit && redaction.target == fact.target
        })
    }

    fn check_new(&self, write: &Submit<u32>) -> Result<(), Refusal> {
        let role = self.role(&write.sender);
        let admitted = role != Some(Role::Banned) && (role.is_some() || !self.members_only());
        if !write.rights.write || !admitted {
            return Err(Refusal::Forbidden(""));
        }
        let last = self.last_n(&write.sender, &write.device);
        if write.prev != last {
            return Err(Refusal::OutOfOrder { last });
        }
        if let Some(target) = &write.target {
            self.check_target(write, target, write.rights.moderate || role == Some(Role::Moderator))?;
        }
        let own = self.facts_of(&write.sender, &write.device);
        let unanswered = own.iter().filter(|(seq, _)| seq.get() > self.committed as u64).count();
        if unanswered >= UNANSWERED_WRITES_MAX { Err(Refusal::TooManyUnanswered) } else { Ok(()) }
    }

    /// Knows kind and author of a target from what was written, not from what the write says of it.
    fn check_target(&self, write: &Submit<u32>, target: &Target, moderates: bool) -> Result<(), Refusal> {
        let (seq, redacted) = match target {
            Target::Found { seq, redacted, .. } => (*seq, *redacted),
            Target::Unreadable(_) => return Err(Refusal::Unavailable(String::new())),
            Target::Absent(seq) | Target::Expired(seq) => return Err(Refusal::Target(*seq)),
        };
        let (_, fact) = self.numbered().find(|(other, _)| *other == seq).unwrap();
        let is_author = fact.sender == write.sender;
        match (write.op, fact.kind) {
            (WriteOp::Edit | WriteOp::React, Kind::Message) if redacted => Err(Refusal::Target(seq)),
            (WriteOp::Edit, Kind::Message) if is_author => Ok(()),
            (WriteOp::React, Kind::Message) => Ok(()),
            (WriteOp::Redact, Kind::Message | Kind::Edit) if is_author || moderates => Ok(()),
            (WriteOp::Edit, Kind::Message) | (WriteOp::Redact, Kind::Message | Kind::Edit) => {
                Err(Refusal::Forbidden(""))
            }
            _ => Err(Refusal::Target(seq)),
        }
    }

    fn role(&self, user: &UserId) -> Option<Role> {
        let bodies =
            self.facts.iter().rev().filter(|fact| fact.kind == Kind::Member).filter_map(|fact| fact.body.as_ref());
        bodies.map(|body| body.parse::<MemberChange>().unwrap()).find(|change| change.user == *user)?.role
    }

    fn members_only(&self) -> bool {
        let bodies =
            self.facts.iter().rev().filter(|fact| fact.kind == Kind::Room).filter_map(|fact| fact.body.as_ref());
        bodies.map(|body| body.parse::<RoomChange>().unwrap()).find_map(|change| change.members_only).unwrap_or(false)
    }
}

fn is_content_of(write: &Submit<u32>, fact: &Fact) -> bool {
    let op = match fact.kind {
        Kind::Message => WriteOp::Send,
        Kind::Edit => WriteOp::Edit,
        Kind::Redact => WriteOp::Redact,
        Kind::React => WriteOp::React,
        Kind::Member | Kind::Room => unreachable!("a device does not write these"),
    };
    op == write.op && fact.target == write.target.as_ref().map(Target::seq) && fact.body == write.body
}
