//! What is checked of a write by itself: whether its n is known, and whether it may be about what it names.

use rollcall_protocol::{Ack, Kind, Seq, UserId, WriteOp};

use crate::room::io::{Answer, Target};
use crate::room::refusal::Refusal;
use crate::room::senders::Known;
use crate::room::tag::Tag;

/// Answers a write whose n is no new one, by a state with this head, and says on which number the answer rests. That a write's
/// content is gone may be the doing of any entry after it.
pub(super) fn answer_known(known: &Known<'_>, tag: Tag, head: Seq) -> (Seq, Answer) {
    match known {
        Known::Written(record) if record.matches(tag) => {
            let rests_on = if record.tag.is_some() { record.seq } else { head };
            (rests_on, Ok(Ack { seq: record.seq, duplicate: true }))
        }
        Known::Written(record) => (record.seq, Err(Refusal::Conflict)),
        Known::Skipped => (head, Err(Refusal::Skipped)),
        Known::TooOld => (head, Err(Refusal::TooOld)),
        Known::UnknownDevice => (head, Err(Refusal::UnknownDevice)),
        Known::New(_) => unreachable!("a new n is checked further"),
    }
}

pub(super) const fn kind_of(op: WriteOp) -> Kind {
    match op {
        WriteOp::Send => Kind::Message,
        WriteOp::Edit => Kind::Edit,
        WriteOp::Redact => Kind::Redact,
        WriteOp::React => Kind::React,
    }
}

/// Checks what a write is about: an edit a message of one's own, a reaction a message, neither of them a redacted one; a
/// redaction a message or an edit of one's own or, for a moderator, anybody's.
pub(super) fn check_target(
    op: WriteOp,
    target: Option<&Target>,
    sender: &UserId,
    moderates: bool,
) -> Result<(), Refusal> {
    let (seq, kind, author) = match (op, target) {
        (WriteOp::Send, _) => return Ok(()),
        (_, None) => return Err(Refusal::Target(Seq::ZERO)),
        (_, Some(Target::Absent(seq))) => return Err(Refusal::Target(*seq)),
        (_, Some(Target::Expired(seq))) => return Err(Refusal::TargetExpired(*seq)),
        (_, Some(Target::Unreadable(_))) => {
            return Err(Refusal::Unavailable("the target cannot be read now".to_owned()));
        }
        (WriteOp::Edit | WriteOp::React, Some(Target::Found { seq, redacted: true, .. })) => {
            return Err(Refusal::Target(*seq));
        }
        (_, Some(Target::Found { seq, kind, sender, .. })) => (*seq, *kind, sender),
    };
    let (fits, allowed) = match op {
        WriteOp::Send => (true, true),
        WriteOp::Edit => (kind == Kind::Message, author == sender),
        WriteOp::React => (kind == Kind::Message, true),
        WriteOp::Redact => (kind.is_redactable(), author == sender || moderates),
    };
    if !fits {
        Err(Refusal::Target(seq))
    } else if !allowed {
        Err(Refusal::Forbidden("only the author may do this, or a moderator redact"))
    } else {
        Ok(())
    }
}
