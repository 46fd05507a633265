//! What a write may be about, and what becomes of one that may not.

use rollcall_protocol::{Entry, Kind, Seq, WriteOp};

use super::test_room::{
    MAY_MODERATE, MAY_WRITE, TestRoom, about, ack, ann, bob, duplicate, found, replies, send, unavailable, user,
};
use crate::room::{Answer, Effect, Refusal, Rights, Role, Submit, Target};

const NOT_THE_AUTHOR: Answer = Err(Refusal::Forbidden("only the author may do this, or a moderator redact"));

fn no_target(seq: u64) -> Answer {
    Err(Refusal::Target(Seq::new(seq)))
}

fn redacted(seq: u64, kind: Kind, sender: &str) -> Target {
    Target::Found { seq: Seq::new(seq), kind, sender: user(sender), redacted: true }
}

/// Every case is Ann's first write to a room of four entries; the accepted ones get number 5.
#[test]
fn each_target_has_its_answer() {
    use Kind::{Edit, Member, Message, React, Redact, Room};
    let everything = [WriteOp::Edit, WriteOp::Redact, WriteOp::React];
    let absent = Target::Absent(Seq::new(9));
    let expired = Target::Expired(Seq::new(2));
    let unreadable = Target::Unreadable(Seq::new(2));
    let mut table: Vec<(WriteOp, Target, Rights, Answer)> = Vec::new();
    for op in everything {
        table.push((op, absent.clone(), MAY_MODERATE, no_target(9)));
        table.push((op, expired.clone(), MAY_MODERATE, Err(Refusal::TargetExpired(Seq::new(2)))));
        table.push((op, unreadable.clone(), MAY_MODERATE, unavailable("the target cannot be read now")));
        table.push((op, found(2, Message, "ann"), MAY_WRITE, ack(5)));
        for kind in [Redact, React, Member, Room] {
            table.push((op, found(3, kind, "ann"), MAY_MODERATE, no_target(3)));
        }
    }
    table.extend([
        (WriteOp::Edit, found(2, Message, "bob"), MAY_WRITE, NOT_THE_AUTHOR),
        (WriteOp::Edit, found(2, Message, "bob"), MAY_MODERATE, NOT_THE_AUTHOR),
        (WriteOp::Edit, found(3, Edit, "ann"), MAY_WRITE, no_target(3)),
        (WriteOp::Edit, redacted(2, Message, "ann"), MAY_WRITE, no_target(2)),
        (WriteOp::React, found(2, Message, "bob"), MAY_WRITE, ack(5)),
        (WriteOp::React, found(3, Edit, "bob"), MAY_WRITE, no_target(3)),
        (WriteOp::React, redacted(2, Message, "bob"), MAY_WRITE, no_target(2)),
        (WriteOp::Redact, found(3, Edit, "ann"), MAY_WRITE, ack(5)),
        (WriteOp::Redact, found(2, Message, "bob"), MAY_WRITE, NOT_THE_AUTHOR),
        (WriteOp::Redact, found(3, Edit, "bob"), MAY_WRITE, NOT_THE_AUTHOR),
        (WriteOp::Redact, found(2, Message, "bob"), MAY_MODERATE, ack(5)),
        (WriteOp::Redact, redacted(2, Message, "ann"), MAY_WRITE, ack(5)),
    ]);
    for (op, target, rights, answer) in table {
        let mut room = TestRoom::new();
        for n in 1..=3 {
            room.write(send(&bob(), n, "first"));
        }
        let mut effects = room.submit(Submit { rights, ..about(&ann(), 1, op, target.clone()) });
        effects.extend(room.commit_all());
        assert_eq!(replies(&effects), [(1, answer)], "{op:?} of {target:?} with {rights:?}");
    }
}

#[test]
fn a_write_about_something_names_it() {
    let mut room = TestRoom::with_writes(1);
    let nothing = Submit { target: None, ..about(&ann(), 2, WriteOp::React, Target::Absent(Seq::ZERO)) };
    assert_eq!(room.submit(nothing), [Effect::Reply(2, no_target(0))]);
}

#[test]
fn a_moderator_of_the_room_may_redact_but_not_edit() {
    let mut room = TestRoom::with_writes(1);
    room.set_role(&bob().user, Some(Role::Moderator));
    let message = room.log.look_at(Seq::new(2));
    assert_eq!(replies(&room.submit(about(&bob(), 1, WriteOp::Edit, message.clone()))), [(1, NOT_THE_AUTHOR)]);
    room.write(about(&bob(), 1, WriteOp::Redact, message));
    assert!(room.log.entry(Seq::new(2)).is_some_and(Entry::is_redacted));
}

/// The target of a write that is known is of no interest: it may have expired since.
#[test]
fn a_retry_is_answered_whatever_became_of_its_target() {
    let mut room = TestRoom::with_writes(1);
    let message = room.log.look_at(Seq::new(2));
    let edit = |target| about(&ann(), 2, WriteOp::Edit, target);
    assert_eq!(room.write(edit(message)), Seq::new(3));
    let again = |room: &mut TestRoom, target| replies(&room.submit(edit(target)));
    let first = vec![(2, duplicate(3))];
    assert_eq!(again(&mut room, Target::Expired(Seq::new(2))), first);
    assert_eq!(again(&mut room, Target::Unreadable(Seq::new(2))), first);
    assert_eq!(again(&mut room, redacted(2, Kind::Message, "ann")), first);
    assert_eq!(again(&mut room, found(1, Kind::Message, "ann")), [(2, Err(Refusal::Conflict))], "another target");
    let reaction = about(&ann(), 2, WriteOp::React, found(2, Kind::Message, "ann"));
    assert_eq!(replies(&room.submit(reaction)), [(2, Err(Refusal::Conflict))], "another operation");
}

/// The room cannot tell any more what the redacted write said, and so takes any content for it.
#[test]
fn a_redacted_write_tried_again_gets_its_number() {
    let mut room = TestRoom::with_writes(1);
    room.write(about(&ann(), 2, WriteOp::Edit, room.log.look_at(Seq::new(2))));
    room.submit(about(&ann(), 3, WriteOp::Redact, room.log.look_at(Seq::new(2))));
    room.commit();
    for owner in ["the one that redacted", "the next one"] {
        assert_eq!(replies(&room.submit(send(&ann(), 1, "text 1"))), [(1, duplicate(2))], "{owner}");
        assert_eq!(replies(&room.submit(send(&ann(), 2, "no edit"))), [(2, duplicate(3))], "{owner}");
        assert_eq!(replies(&room.submit(send(&ann(), 3, "no redaction"))), [(3, Err(Refusal::Conflict))], "{owner}");
        room.activate();
    }
}

/// The look at the target came before its redaction, the edit's turn after it: the log takes the edit's body away, and the
/// state knows nothing of it either.
#[test]
fn an_edit_that_overtook_a_redaction_leaves_no_trace_of_its_content() {
    let mut room = TestRoom::with_writes(1);
    let message = room.log.look_at(Seq::new(2));
    room.submit(Submit { rights: MAY_MODERATE, ..about(&bob(), 1, WriteOp::Redact, message.clone()) });
    room.submit(about(&ann(), 2, WriteOp::Edit, message));
    assert_eq!(replies(&room.commit_all()), [(1, ack(3)), (2, ack(4))]);
    assert!(room.log.entry(Seq::new(4)).is_some_and(Entry::is_redacted));
    assert_eq!(room.log.replay(), *room.core.committed());
}

/// The same after a slow look at the target in a busy room.
#[test]
fn an_edit_that_overtook_a_redaction_long_ago_leaves_no_trace_either() {
    let mut room = TestRoom::with_writes(1);
    let message = room.log.look_at(Seq::new(2));
    room.write(Submit { rights: MAY_MODERATE, ..about(&bob(), 1, WriteOp::Redact, message.clone()) });
    for n in 2..=70 {
        room.write(send(&bob(), n, "busy"));
    }
    let edit = room.write(about(&ann(), 2, WriteOp::Edit, message));
    assert!(room.log.entry(edit).is_some_and(Entry::is_redacted));
    assert_eq!(room.log.replay(), *room.core.committed());
}

/// Until the redaction is committed, the message still says what it says.
#[test]
fn a_redaction_under_way_lets_no_other_content_pass() {
    let mut room = TestRoom::with_writes(1);
    let message = room.log.look_at(Seq::new(2));
    room.submit(about(&ann(), 2, WriteOp::Redact, message));
    let other = || Submit { reply: 9, ..send(&ann(), 1, "other") };
    assert_eq!(replies(&room.submit(other())), [(9, Err(Refusal::Conflict))]);
    room.reject_full();
    assert_eq!(replies(&room.submit(other())), [(9, Err(Refusal::Conflict))]);
}

/// The same of an edit that is not committed itself.
#[test]
fn a_redaction_under_way_takes_a_copy_of_a_write_under_way_with_it() {
    let mut room = TestRoom::with_writes(1);
    let message = room.log.look_at(Seq::new(2));
    room.submit(about(&ann(), 2, WriteOp::Edit, message.clone()));
    room.submit(about(&ann(), 3, WriteOp::Redact, message.clone()));
    let other = || Submit { reply: 9, body: None, ..about(&ann(), 2, WriteOp::Edit, message.clone()) };
    assert_eq!(room.submit(other()), []);
    assert_eq!(replies(&room.commit()), [(2, ack(3))], "the edit, but not its redaction");
    assert_eq!(replies(&room.reject_full()).len(), 2);
    assert_eq!(replies(&room.submit(other())), [(9, Err(Refusal::Conflict))]);
}
