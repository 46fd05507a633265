//! When a refusal is final, and how each is told.

use rollcall_protocol::{ErrorCode, Seq};

use super::test_room::{TestRoom, ann, duplicate, replies, send};
use crate::room::{Refusal, Submit};

#[test]
fn each_refusal_is_told_with_its_code_and_finality() {
    use Finality::{Always, Never, OnlyCopy};
    let target = Seq::new(7);
    let table = [
        (Refusal::Conflict, ErrorCode::Conflict, Always),
        (Refusal::Skipped, ErrorCode::Skipped, Always),
        (Refusal::TooOld, ErrorCode::TooOld, Always),
        (Refusal::UnknownDevice, ErrorCode::UnknownDevice, OnlyCopy),
        (Refusal::Forbidden("no"), ErrorCode::Forbidden, OnlyCopy),
        (Refusal::OutOfOrder { last: 3 }, ErrorCode::OutOfOrder, OnlyCopy),
        (Refusal::Target(target), ErrorCode::NotFound, OnlyCopy),
        (Refusal::TargetExpired(target), ErrorCode::Expired, OnlyCopy),
        (Refusal::TooManyUnanswered, ErrorCode::TooManyUnanswered, Never),
        (Refusal::Unavailable("the disk is full".to_owned()), ErrorCode::Unavailable, Never),
        (Refusal::OutcomeUnknown, ErrorCode::OutcomeUnknown, Never),
    ];
    for (refusal, code, finality) in table {
        for only_copy in [true, false] {
            let frame = refusal.to_frame(only_copy);
            let is_final = finality == Always || finality == OnlyCopy && only_copy;
            assert_eq!((frame.code, frame.is_final), (code, is_final), "{refusal:?}, only copy: {only_copy}");
            assert_eq!(frame.retryable, finality == Never, "{refusal:?}");
            assert_eq!(frame.retry_after_ms.is_some(), finality == Never, "{refusal:?} says when to try again");
            assert_eq!(refusal.is_final_for_every_copy(), finality == Always, "{refusal:?}");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finality {
    /// From any owner, however stale.
    Always,
    /// If one copy of the write was sent in all.
    OnlyCopy,
    /// It is to be tried again.
    Never,
}

#[test]
fn details_name_what_a_client_goes_on_from() {
    let details = |refusal: Refusal| -> Vec<(String, Option<u64>)> {
        refusal.to_frame(true).details.into_iter().map(|(name, value)| (name, value.as_u64())).collect()
    };
    assert_eq!(details(Refusal::OutOfOrder { last: 3 }), [("last".to_owned(), Some(3))]);
    assert_eq!(details(Refusal::Target(Seq::new(7))), [("target".to_owned(), Some(7))]);
    assert_eq!(details(Refusal::TargetExpired(Seq::new(7))), [("target".to_owned(), Some(7))]);
    assert_eq!(details(Refusal::Skipped), []);
}

/// A refusal that is final only for the only copy: until a higher n is accepted, another copy may still be stored.
#[test]
fn a_refusal_of_one_copy_becomes_final_with_a_higher_n() {
    let mut room = TestRoom::with_writes(2);
    let third = || send(&ann(), 3, "third");
    let too_early = Submit { prev: 1, ..third() };
    assert_eq!(replies(&room.submit(too_early)), [(3, Err(Refusal::OutOfOrder { last: 2 }))]);
    assert!(!Refusal::OutOfOrder { last: 2 }.to_frame(false).is_final);
    assert_eq!(room.write(third()), Seq::new(4), "the other copy is stored");

    let fourth = || send(&ann(), 4, "fourth");
    let mut room = TestRoom::with_writes(3);
    assert_eq!(replies(&room.submit(Submit { prev: 2, ..fourth() })), [(4, Err(Refusal::OutOfOrder { last: 3 }))]);
    room.write(Submit { prev: 3, ..send(&ann(), 5, "fifth") });
    assert_eq!(replies(&room.submit(fourth())), [(4, Err(Refusal::Skipped))]);
    room.activate();
    assert_eq!(replies(&room.submit(fourth())), [(4, Err(Refusal::Skipped))], "for ever, under every owner");
}

/// What a paused owner still says from its old state stays true under the owners after it.
#[test]
fn a_stale_owner_s_final_refusals_hold() {
    let mut stale = TestRoom::with_writes(65);
    stale.write(Submit { prev: 65, ..send(&ann(), 70, "a gap") });
    let mut next = TestRoom::with_writes(65);
    next.write(Submit { prev: 65, ..send(&ann(), 70, "a gap") });
    for n in 71..=75 {
        next.write(send(&ann(), n, "more"));
    }
    let copies = [(send(&ann(), 70, "other"), Refusal::Conflict), (send(&ann(), 68, "?"), Refusal::Skipped)];
    for (copy, refusal) in copies.into_iter().chain([(send(&ann(), 1, "text 1"), Refusal::TooOld)]) {
        let answer = [(copy.reply, Err(refusal))];
        assert_eq!(replies(&stale.submit(copy.clone())), answer);
        assert_eq!(replies(&next.submit(copy)), answer);
    }
    assert_eq!(replies(&next.submit(send(&ann(), 70, "a gap"))), [(70, duplicate(67))]);
}
