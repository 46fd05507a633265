//! What an activation is asked with, and what it tells.

use rollcall_actors::ports::{Activate, Activated, AppendOutcome, Fence, LogTail, NotCommitted, Replaced};
use rollcall_protocol::{Epoch, OwnerId, RoomId, Seq};

use super::LogUnderTest;
use crate::scribe::{Scribe, assert_chained, read_all};

/// *The epoch is the one that was asked for where that is above every one that the room has seen, else the next after those.*
pub async fn an_epoch_above_all_seen_is_used_as_asked(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let room = RoomId::parse(&under_test.room("room")).unwrap();
    let asked = |epoch: u64, owner: u128| Activate { epoch: Epoch::new(epoch), ..Activate::by(OwnerId(owner)) };
    for (asked_for, given) in [(0, 1), (1, 1), (40, 40)] {
        let activated = log.activate(&room, asked(asked_for, 1)).await.unwrap();
        assert_eq!(activated.tail.fence, Fence { epoch: Epoch::new(given), owner: OwnerId(1) }, "in an empty room");
    }
    let tail = log.activate(&room, asked(7, 1)).await.unwrap().tail;
    let mut scribe = Scribe::resume(&*log, room.clone(), tail).await.unwrap();
    let mut stored = scribe.commit_messages(&*log, 2).await;
    // Lower ones and the present one are those of a Redis that was wiped or set back.
    let cases = [(8, 8), (100, 100), (0, 101), (99, 102), (102, 103), (103, 104), (1 << 40, 1 << 40)];
    for (owner, (asked_for, given)) in (2..).zip(cases) {
        let tail = log.activate(&room, asked(asked_for, owner)).await.unwrap().tail;
        assert_eq!(tail.fence, Fence { epoch: Epoch::new(given), owner: OwnerId(owner) });
        assert_eq!(log.tail(&room).await, Ok(Some(tail)));
        scribe = Scribe::resume(&*log, room.clone(), tail).await.unwrap();
        stored.extend(scribe.commit_messages(&*log, 1).await);
    }
    assert_eq!(read_all(&*log, &room).await, stored);
}

/// *A wrong hint costs time and nothing else.*
pub async fn a_wrong_hint_costs_nothing_but_time(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let room = RoomId::parse(&under_test.room("room")).unwrap();
    let hints = [0, 1, 2, 9, 4_096, 4_097, 1_000_000, (1 << 53) - 1].map(Seq::new);
    for tip_hint in hints {
        let activated = log.activate(&room, Activate { tip_hint, ..Activate::by(OwnerId(1)) }).await.unwrap();
        assert_eq!((activated.tail.last_seq, activated.replaced), (Seq::ZERO, Replaced::Nothing));
    }
    let mut stored = Vec::new();
    for (owner, tip_hint) in (1..).zip(hints.into_iter().cycle().take(16)) {
        let with = Activate { tip_hint, ..Activate::by(OwnerId(owner)) };
        let tail = log.activate(&room, with).await.unwrap().tail;
        assert_eq!(tail.last_seq, Seq::new(stored.len() as u64), "hinted at {tip_hint}");
        let mut scribe = Scribe::resume(&*log, room.clone(), tail).await.unwrap();
        stored.extend(scribe.commit_messages(&*log, 1 + stored.len() % 3).await);
    }
    assert_eq!(read_all(&*log, &room).await, stored);
    assert_chained(&room, &stored);
}

/// *Returns whose fence was replaced.*
pub async fn an_activation_tells_whose_fence_it_replaced(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let room = RoomId::parse(&under_test.room("room")).unwrap();
    // Whoever has written nothing has stored no fence.
    for owner in 1..3 {
        let activated = log.activate(&room, Activate::by(OwnerId(owner))).await.unwrap();
        assert_eq!(activated.replaced, Replaced::Nothing);
    }
    let mut scribe = Scribe::activate(&*log, room.as_str(), 3).await;
    for owner in 4..20 {
        // Without an append too: the fence of the last owner is replaced, not that of the last who wrote.
        if owner % 3 == 0 {
            scribe.commit_messages(&*log, 3).await;
        } else if owner == 4 {
            scribe.commit_messages(&*log, 1).await;
        }
        let Activated { tail, replaced } = log.activate(&room, Activate::by(OwnerId(owner))).await.unwrap();
        assert_eq!(replaced, Replaced::Fence(scribe.fence));
        scribe = Scribe::resume(&*log, room.clone(), tail).await.unwrap();
    }
}

/// *An ownership is over here: what was appended before goes on; an append that comes after it all the same may be `Fenced`.*
pub async fn a_released_fence_appends_nothing_more(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    let stored = scribe.commit_messages(&*log, 2).await;
    // Others' fences, and rooms that are not there, change nothing.
    log.release(&scribe.room, Fence { owner: OwnerId(2), ..scribe.fence });
    log.release(&scribe.room, Fence { epoch: scribe.fence.epoch.next(), ..scribe.fence });
    log.release(&RoomId::parse(&under_test.room("nowhere")).unwrap(), scribe.fence);
    let under_way = scribe.messages(3);
    let append = log.append(scribe.append(under_way.clone()));
    log.release(&scribe.room, scribe.fence);
    assert_eq!(append.await, AppendOutcome::Committed);
    let mut stored = [stored, under_way].concat();
    let late = scribe.clone().messages(1);
    match log.append(scribe.append(late.clone())).await {
        AppendOutcome::NotCommitted(NotCommitted::Fenced) => {}
        AppendOutcome::Committed => stored.extend(late),
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(read_all(&*log, &scribe.room).await, stored);

    // The next owner finds all of it, and is not released by its predecessor's.
    let Activated { tail, replaced } = log.activate(&scribe.room, Activate::by(OwnerId(2))).await.unwrap();
    assert_eq!(tail, LogTail { last_seq: Seq::new(stored.len() as u64), ..tail });
    assert_eq!(replaced, Replaced::Fence(scribe.fence));
    log.release(&scribe.room, scribe.fence);
    let mut next = Scribe::resume(&*log, scribe.room.clone(), tail).await.unwrap();
    stored.extend(next.commit_messages(&*log, 1).await);
    assert_eq!(read_all(&*log, &scribe.room).await, stored);
}
