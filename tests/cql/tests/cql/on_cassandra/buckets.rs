//! A log of many buckets, of four entries each here.

use rollcall::log::CqlOptions;
use rollcall_actors::fencing::Buckets;
use rollcall_actors::ports::{
    Activate, Activated, AppendOutcome, Log, LogError, NotCommitted, Replaced, StoredSnapshot,
};
use rollcall_cql_tests::Keyspace;
use rollcall_it::log_contract::LogUnderTest as _;
use rollcall_it::scribe::{Scribe, after_up_to, assert_chained, read_all};
use rollcall_protocol::{Entry, Epoch, OwnerId, RoomId, Seq};

fn small(options: CqlOptions) -> CqlOptions {
    CqlOptions { buckets: Buckets::of_entries(4), ..options }
}

/// Commits entries one by one, and in twos where a bucket has room for two.
async fn commit(log: &dyn Log, scribe: &mut Scribe, count: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    while entries.len() < count {
        let has_room_for_two = !(scribe.last_seq.get() + 1).is_multiple_of(4) && entries.len() + 2 <= count;
        entries.extend(scribe.commit_messages(log, if has_room_for_two { 2 } else { 1 }).await);
    }
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbering_goes_on_over_buckets_and_owners() {
    let Some(keyspace) = Keyspace::shared_with(small).await else { return };
    let mut expected = Vec::new();
    let room = RoomId::parse(&keyspace.room("room")).unwrap();
    // Owners leave at every place of a bucket; each one is another node, which does not know where the log ends.
    for (owner, count) in (1..).zip([3, 1, 4, 5, 2, 16, 1]) {
        let log = keyspace.open(small).await;
        let mut scribe = Scribe::activate(&log, room.as_str(), owner).await;
        expected.extend(commit(&log, &mut scribe, count).await);
    }
    let log = keyspace.log();
    assert_eq!(read_all(&*log, &room).await, expected);
    assert_chained(&room, &expected);
    assert_eq!(log.tail(&room).await.unwrap().unwrap().last_seq, Seq::new(32));
    for (after, through, max) in [(0, 32, 5), (3, 9, 100), (4, 5, 1), (7, 8, 1), (31, 40, 9), (32, 40, 9)] {
        let read = log.read(&room, after_up_to(Seq::new(after), through, max)).await.unwrap();
        let wanted: Vec<_> = expected.iter().filter(|entry| (after + 1..=through).contains(&entry.seq.get())).collect();
        assert!(read.iter().eq(wanted.into_iter().take(max)), "after {after} through {through}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_found_from_any_hint() {
    let Some(keyspace) = Keyspace::shared_with(small).await else { return };
    let room = RoomId::parse(&keyspace.room("room")).unwrap();
    let mut before = Replaced::Nothing;
    let mut expected = Vec::new();
    // Owners leave a bucket full and not full; each one is another node, which knows the hint alone.
    for (owner, (count, hint)) in
        (1..).zip([(3, 90), (1, 1), (13, 4), (2, 17), (1, 16), (12, 1 << 52), (1, 0), (5, 33)])
    {
        let log = keyspace.open(small).await;
        let with = Activate { owner: OwnerId(owner), epoch: Epoch::ZERO, tip_hint: Seq::new(hint) };
        let Activated { tail, replaced } = log.activate(&room, with).await.unwrap();
        assert_eq!((tail.last_seq.get(), replaced), (expected.len() as u64, before), "hinted at {hint}");
        let mut scribe = Scribe::resume(&log, room.clone(), tail).await.unwrap();
        expected.extend(commit(&log, &mut scribe, count).await);
        before = Replaced::Fence(tail.fence);
    }
    assert_eq!(read_all(&*keyspace.log(), &room).await, expected);
    assert_chained(&room, &expected);
}

/// A log of many rooms would otherwise keep all ownerships that are over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_released_ownership_is_forgotten() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let log = keyspace.log();
    for count in [0, 2] {
        let mut scribe = Scribe::activate(&*log, &keyspace.room("room"), 1).await;
        if count > 0 {
            scribe.commit_messages(&*log, count).await;
        }
        log.release(&scribe.room, scribe.fence);
        let late = scribe.messages(1);
        let outcome = log.append(scribe.append(late)).await;
        assert_eq!(outcome, AppendOutcome::NotCommitted(NotCommitted::Fenced));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_buckets_below_the_floor_are_deleted() {
    let Some(keyspace) = Keyspace::shared_with(small).await else { return };
    let log = keyspace.log();
    let mut scribe = Scribe::activate(&*log, &keyspace.room("room"), 1).await;
    commit(&*log, &mut scribe, 13).await;
    let edit = scribe.edit(2, "an edit that expires");
    scribe.commit(&*log, vec![edit]).await;
    commit(&*log, &mut scribe, 6).await;
    let room = scribe.room.clone();
    let snapshot = StoredSnapshot { seq: Seq::new(19), parts: vec![b"state".to_vec()] };
    log.write_snapshot(&room, snapshot).await.unwrap();
    let edits = || keyspace.query(&format!("SELECT seq FROM {{}}.edits WHERE channel_id = '{room}' AND target = 2"));
    assert_eq!(edits().len(), 1);

    log.expire_before(&room, Seq::new(18)).await.unwrap();
    let of_buckets = |columns: &str, limit: &str| {
        let partitions = format!("channel_id = '{room}' AND bucket IN (0, 1, 2, 3, 4, 5)");
        let rows = keyspace.query(&format!("SELECT {columns} FROM {{}}.messages WHERE {partitions} {limit}"));
        rows.into_iter().flatten().flatten().collect::<Vec<_>>()
    };
    // A partition of which only the static row is left shows none.
    let kept = of_buckets("message_id", "");
    assert_eq!(kept.len(), 4, "the bucket of the floor is kept: {kept:?}");
    assert!(edits().is_empty(), "edits of what is deleted are forgotten");
    let fences = of_buckets("last_seq", "PER PARTITION LIMIT 1");
    assert_eq!(fences.len(), 6, "a static row stays for ever");

    // A node that knew nothing of it.
    let other = keyspace.open(small).await;
    let below = other.read(&room, after_up_to(Seq::new(2), 20, 20)).await;
    assert_eq!(below, Err(LogError::Expired { floor: Seq::new(18) }));
    let above = other.read(&room, after_up_to(Seq::new(17), 20, 20)).await.unwrap();
    assert_eq!(above.iter().map(|entry| entry.seq.get()).collect::<Vec<_>>(), [18, 19, 20]);
    let mut scribe = Scribe::activate(&other, room.as_str(), 2).await;
    commit(&other, &mut scribe, 3).await;
    assert_eq!(other.tail(&room).await.unwrap().unwrap().last_seq, Seq::new(23));
}

/// A snapshot that a crash has cut short is none: it is not read, and nothing expires because of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_without_its_seal_is_none() {
    let Some(keyspace) = Keyspace::shared_with(small).await else { return };
    let log = keyspace.log();
    let mut scribe = Scribe::activate(&*log, &keyspace.room("room"), 1).await;
    commit(&*log, &mut scribe, 10).await;
    let whole = StoredSnapshot { seq: Seq::new(3), parts: vec![b"whole".to_vec()] };
    log.write_snapshot(&scribe.room, whole.clone()).await.unwrap();
    let columns = "(channel_id, seq, part, state)";
    keyspace.query(&format!("INSERT INTO {{}}.snapshots {columns} VALUES ('{}', 9, 0, 0x00)", scribe.room));
    assert_eq!(log.read_snapshot(&scribe.room, Seq::new(10)).await, Ok(Some(whole.clone())));
    log.expire_before(&scribe.room, Seq::new(9)).await.unwrap();
    let read = log.read(&scribe.room, after_up_to(Seq::ZERO, 10, 10)).await;
    assert_eq!(read, Err(LogError::Expired { floor: Seq::new(4) }));
    // It does not keep the next owner from its work either, nor outlive the next snapshot.
    let mut scribe = Scribe::activate(&*log, &keyspace.room("room"), 2).await;
    commit(&*log, &mut scribe, 1).await;
    let next = StoredSnapshot { seq: Seq::new(11), parts: vec![b"next".to_vec()] };
    log.write_snapshot(&scribe.room, next.clone()).await.unwrap();
    assert_eq!(log.read_snapshot(&scribe.room, Seq::new(11)).await, Ok(Some(next)));
    assert_eq!(log.read_snapshot(&scribe.room, Seq::new(10)).await, Ok(Some(whole)));
}

/// Of more ownerships than may be kept, those that were used least recently are given up: their next append is fenced, and the
/// room is activated again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ownerships_are_bounded() {
    let few = |options| CqlOptions { ownerships_max: 4, ..options };
    let Some(keyspace) = Keyspace::shared_with(few).await else { return };
    let log = keyspace.log();
    let mut scribes = Vec::new();
    for number in 0..5 {
        let mut scribe = Scribe::activate(&*log, &keyspace.room(&format!("room{number}")), 1).await;
        scribe.commit_messages(&*log, 1).await;
        scribes.push(scribe);
    }
    let mut kept = Vec::new();
    for mut scribe in scribes {
        let entries = scribe.messages(1);
        let outcome = log.append(scribe.append(entries)).await;
        kept.push(outcome == rollcall_actors::ports::AppendOutcome::Committed);
    }
    assert_eq!(kept, [false, false, true, true, true]);
    Scribe::activate(&*log, &keyspace.room("room0"), 2).await.commit_messages(&*log, 1).await;
}
