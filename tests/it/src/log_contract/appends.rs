//! Atomicity, fencing and order.

use rollcall_actors::ports::{Activate, AppendOutcome, LogTail, NotCommitted};
use rollcall_protocol::{Epoch, OwnerId, RoomId, Seq};
use tokio::task::JoinSet;

use super::LogUnderTest;
use crate::scribe::{Scribe, assert_chained, read_all};

const FENCED: AppendOutcome = AppendOutcome::NotCommitted(NotCommitted::Fenced);

/// *An append is stored as a whole or not at all.*
pub async fn an_append_is_stored_whole_or_not_at_all(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    let stored = scribe.commit_messages(&*log, 3).await;
    // The last of these would be the next entry, the others overlap.
    let mut overlapping = stored[1..].to_vec();
    overlapping.push(scribe.clone().message("four"));
    assert_eq!(log.append(scribe.append(overlapping)).await, FENCED);
    assert_eq!(read_all(&*log, &scribe.room).await, stored);
    let large = scribe.messages(256);
    scribe.commit(&*log, large.clone()).await;
    assert_eq!(read_all(&*log, &scribe.room).await, [stored, large].concat());
}

/// *`activate` on a room that exists makes every earlier fence fail.*
pub async fn activation_fences_earlier_owners(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut first = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    let mut expected = first.commit_messages(&*log, 2).await;
    let mut second = Scribe::activate(&*log, &under_test.room("room"), 2).await;
    let late = first.clone().messages(1);
    assert_eq!(log.append(first.append(late)).await, FENCED);
    expected.extend(second.commit_messages(&*log, 2).await);
    // The first one's numbers are now wrong as well; neither that nor the same node's return lets it in.
    let late = first.clone().messages(3);
    assert_eq!(log.append(first.append(late[2..].to_vec())).await, FENCED);
    let third = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    assert_ne!(third.fence, first.fence, "an owner's second activation is another fence");
    let late = second.clone().messages(1);
    assert_eq!(log.append(second.append(late)).await, FENCED);
    assert_eq!(read_all(&*log, &first.room).await, expected);
}

/// *Also for appends that are under way: each of them either was committed, and is below the returned `last_seq`, or never will
/// be.*
pub async fn activation_decides_about_appends_under_way(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    let mut expected = scribe.commit_messages(&*log, 1).await;
    for owner in 2..30 {
        let before = scribe.last_seq;
        let mut appends = Vec::new();
        let mut batches = Vec::new();
        let mut taken_over = None;
        for at in 0..8 {
            if at == owner % 8 {
                // Polled from another task, so that it runs while the appends do.
                let (log, room) = (under_test.log(), scribe.room.clone());
                taken_over =
                    Some(tokio::spawn(
                        async move { log.activate(&room, Activate::by(OwnerId(owner))).await.unwrap().tail },
                    ));
                tokio::task::yield_now().await;
            }
            let batch = scribe.messages(3);
            appends.push(log.append(scribe.append(batch.clone())));
            batches.push(batch);
        }
        let tail: LogTail = taken_over.unwrap().await.unwrap();
        let mut committed = before;
        for (append, batch) in appends.into_iter().zip(batches) {
            match append.await {
                AppendOutcome::Committed => {
                    committed = batch[2].seq;
                    expected.extend(batch);
                }
                outcome => assert_eq!(outcome, FENCED),
            }
        }
        assert_eq!(tail.last_seq, committed, "the activation knew of every append that was committed");
        assert_eq!(read_all(&*log, &scribe.room).await, expected);
        scribe = Scribe::resume(&*log, scribe.room, tail).await.unwrap();
    }
    assert_chained(&scribe.room, &expected);
}

/// Two owners that found a room not to exist cannot both write its first entry.
pub async fn two_activations_of_an_unknown_room_have_one_winner(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut first = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    let mut second = Scribe::activate(&*log, &under_test.room("room"), 2).await;
    let expected = second.commit_messages(&*log, 1).await;
    let late = first.messages(1);
    assert_eq!(log.append(first.append(late)).await, FENCED);
    assert_eq!(read_all(&*log, &first.room).await, expected);
}

/// *An epoch grows with each activation that found the room to exist.*
pub async fn epochs_grow_with_each_activation(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    scribe.commit_messages(&*log, 1).await;
    let mut epoch = scribe.fence.epoch;
    for owner in 2..10 {
        let tail = log.activate(&scribe.room, Activate::by(OwnerId(owner))).await.unwrap().tail;
        assert!(tail.fence.epoch > epoch, "{} is not above {epoch}", tail.fence.epoch);
        assert_eq!((tail.fence.owner, tail.last_seq), (OwnerId(owner), Seq::FIRST));
        assert_eq!(log.tail(&scribe.room).await, Ok(Some(tail)));
        epoch = tail.fence.epoch;
    }
}

/// *A room that nobody wrote to is answered with `last_seq` 0 and nothing is stored: its first append stores the fence.*
pub async fn an_unknown_room_is_stored_by_its_first_append(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let room = RoomId::parse(&under_test.room("room")).unwrap();
    for owner in 1..4 {
        let tail = log.activate(&room, Activate::by(OwnerId(owner))).await.unwrap().tail;
        assert_eq!((tail.last_seq, tail.fence.owner), (Seq::ZERO, OwnerId(owner)));
        assert!(tail.fence.epoch > Epoch::ZERO, "an ownership has a number from 1");
        assert_eq!(log.tail(&room).await, Ok(None));
        assert_eq!(read_all(&*log, &room).await, []);
    }
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 4).await;
    scribe.commit_messages(&*log, 1).await;
    assert_eq!(log.tail(&room).await, Ok(Some(LogTail { fence: scribe.fence, last_seq: Seq::FIRST })));
}

/// *Appends of one room are committed in the order in which they were called.*
pub async fn appends_are_committed_in_the_order_of_their_calls(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    let batches = (0..50).map(|at| scribe.messages(1 + at % 5)).collect::<Vec<_>>();
    let appends = batches.iter().map(|batch| log.append(scribe.append(batch.clone()))).collect::<Vec<_>>();
    // Awaited from the last to the first: their places were taken when they were called.
    for append in appends.into_iter().rev() {
        assert_eq!(append.await, AppendOutcome::Committed);
    }
    assert_eq!(read_all(&*log, &scribe.room).await, batches.concat());
}

/// *An entry's number is one more than the last committed one, or the append is `Fenced`.*
pub async fn a_number_follows_the_last_or_the_append_is_fenced(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    let skipping = scribe.clone().messages(2);
    assert_eq!(log.append(scribe.append(skipping[1..].to_vec())).await, FENCED, "a room starts with 1");
    let stored = scribe.commit_messages(&*log, 3).await;
    let repeated = scribe.append(stored[2..].to_vec());
    assert_eq!(log.append(repeated).await, FENCED, "a number is never stored twice");
    let skipping = scribe.clone().messages(2);
    assert_eq!(log.append(scribe.append(skipping[1..].to_vec())).await, FENCED, "a number is never left out");
    assert_eq!(read_all(&*log, &scribe.room).await, stored);
    scribe.commit_messages(&*log, 1).await;
}

/// Many rooms written at once: each is as if it were alone, whatever is committed together.
pub async fn rooms_are_independent(under_test: &mut impl LogUnderTest) {
    let mut owners = JoinSet::new();
    for number in 0..40 {
        let log = under_test.log();
        // Names of which one starts with another are neighbours in an ordered store.
        let name = under_test.room(&format!("r{}", "0".repeat(number % 7) + &number.to_string()));
        owners.spawn(async move {
            let mut scribe = Scribe::activate(&*log, &name, 1).await;
            let mut expected = Vec::new();
            for count in 1..12 {
                expected.extend(scribe.commit_messages(&*log, count).await);
                if count % 4 == 0 {
                    scribe = Scribe::activate(&*log, &name, u128::try_from(count).unwrap()).await;
                }
            }
            assert_eq!(read_all(&*log, &scribe.room).await, expected);
            assert_chained(&scribe.room, &expected);
        });
    }
    owners.join_all().await;
}

/// *Dropping a future does not undo what it began.*
pub async fn a_dropped_future_undoes_nothing(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    let mut expected = scribe.messages(3);
    drop(log.append(scribe.append(expected.clone())));
    expected.extend(scribe.commit_messages(&*log, 1).await);
    assert_eq!(read_all(&*log, &scribe.room).await, expected);
}
