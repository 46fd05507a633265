//! Rows that are not what was written: past the log, by somebody else's plain writes.

use rollcall_actors::ports::{Activate, Log, LogError};
use rollcall_actors::room::{RoomState, snapshot};
use rollcall_actors::shell::ActivationError;
use rollcall_cql_tests::Keyspace;
use rollcall_it::log_contract::LogUnderTest as _;
use rollcall_it::scribe::{Scribe, after_up_to, read_all};
use rollcall_protocol::{OwnerId, Seq};

/// Makes a room of ten entries.
async fn room_of_ten(keyspace: &Keyspace, name: &str) -> Scribe {
    let mut scribe = Scribe::activate(&*keyspace.log(), name, 1).await;
    scribe.commit_messages(&*keyspace.log(), 10).await;
    scribe
}

/// Activates a damaged room as its actor does; returns its last good entry, and the ownership that is told with it.
async fn what_is_left(keyspace: &Keyspace, scribe: &Scribe) -> (u64, u64) {
    let log = keyspace.log();
    let activated = rollcall_actors::shell::activate(&*log, &scribe.room, Activate::by(OwnerId(2))).await;
    let Err(ActivationError::Damaged(damaged)) = activated else { panic!("{activated:?}") };
    assert!(damaged.reason.contains(scribe.room.as_str()), "{}", damaged.reason);
    (damaged.state.head.get(), damaged.epoch.get())
}

/// What comes before the damage stays readable, however the pages lie; it and nothing after it is shown as if it followed.
async fn reads_stop_before_the_seventh(keyspace: &Keyspace, scribe: &Scribe) {
    let log = keyspace.log();
    for (after, shown) in [(0, 6), (3, 3), (5, 1)] {
        let entries = log.read(&scribe.room, after_up_to(Seq::new(after), 10, 10)).await.unwrap();
        assert_eq!(entries.len(), shown, "after {after}");
    }
    let at_it = log.read(&scribe.room, after_up_to(Seq::new(6), 10, 10)).await;
    assert!(matches!(at_it, Err(LogError::Damaged(_))), "{at_it:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_does_not_fit_ends_what_can_be_read() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    for (number, change) in [
        "SET hash = 0x0000000000000000000000000000000000000000000000000000000000000000",
        "SET hash = 0x00",
        "SET sender_id = 'mallory'",
        "SET sender_id = ''",
        "SET created_at = 7",
        "SET body = 0x2273616964206f746865727769736522",
        "SET body = 0xff",
        "SET salt = null",
        "SET kind = 9",
        "SET target = 3",
        "SET n = -1",
        "SET w_owner = null",
    ]
    .iter()
    .enumerate()
    {
        let room = keyspace.room(&format!("room{number}"));
        let scribe = room_of_ten(&keyspace, &room).await;
        let seventh = format!("WHERE channel_id = '{room}' AND bucket = 0 AND message_id = 7");
        keyspace.query(&format!("UPDATE {{}}.messages {change} {seventh}"));
        reads_stop_before_the_seventh(&keyspace, &scribe).await;
        let (left, _) = what_is_left(&keyspace, &scribe).await;
        assert_eq!(left, 6, "{change}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_gone_ends_what_can_be_read() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let scribe = room_of_ten(&keyspace, &keyspace.room("room")).await;
    let seventh = format!("WHERE channel_id = '{}' AND bucket = 0 AND message_id = 7", scribe.room);
    keyspace.query(&format!("DELETE FROM {{}}.messages {seventh}"));
    reads_stop_before_the_seventh(&keyspace, &scribe).await;
    let activated = keyspace.log().activate(&scribe.room, Activate::by(OwnerId(2))).await;
    assert_eq!(activated, Err(LogError::Damaged(format!("{}: entry 7 is missing", scribe.room))));
    assert_eq!(what_is_left(&keyspace, &scribe).await.0, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_numbered_after_a_last_entry_that_does_not_fit() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let scribe = room_of_ten(&keyspace, &keyspace.room("room")).await;
    let log = keyspace.log();
    let mut state = RoomState::empty(&scribe.room);
    for entry in &read_all(&*log, &scribe.room).await {
        state.apply(entry);
    }
    let tenth = format!("WHERE channel_id = '{}' AND bucket = 0 AND message_id = 10", scribe.room);
    keyspace.query(&format!("UPDATE {{}}.messages SET n = 1 {tenth}"));
    assert_eq!(log.read(&scribe.room, after_up_to(Seq::ZERO, 10, 10)).await.unwrap().len(), 9);
    assert_eq!(what_is_left(&keyspace, &scribe).await.0, 9, "whoever rebuilds the state finds it");
    // Under a snapshot nobody rebuilds anything from it, and the log itself looks.
    log.write_snapshot(&scribe.room, snapshot::encode(&state)).await.unwrap();
    let activated = log.activate(&scribe.room, Activate::by(OwnerId(2))).await;
    assert!(matches!(activated, Err(LogError::Damaged(_))), "{activated:?}");
    let activated = rollcall_actors::shell::activate(&*log, &scribe.room, Activate::by(OwnerId(2))).await;
    let Err(ActivationError::Damaged(damaged)) = activated else { panic!("{activated:?}") };
    assert_eq!(damaged.entry, Seq::new(10), "{}", damaged.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_that_cannot_be_is_damage() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let log = keyspace.log();
    let changes = ["SET owner = null", "SET last_seq = null", "SET last_seq = 5000", "SET last_seq = -1"];
    for (number, change) in changes.iter().enumerate() {
        let room = keyspace.room(&format!("room{number}"));
        let mut scribe = room_of_ten(&keyspace, &room).await;
        keyspace.query(&format!("UPDATE {{}}.messages {change} WHERE channel_id = '{room}' AND bucket = 0"));
        let late = scribe.messages(1);
        let outcome = log.append(scribe.append(late)).await;
        let is_told =
            matches!(&outcome, rollcall_actors::ports::AppendOutcome::Unknown(why) if why.contains("damaged"));
        assert!(is_told, "{change}: {outcome:?}");
        let activated = log.activate(&scribe.room, Activate::by(OwnerId(2))).await;
        assert!(matches!(activated, Err(LogError::Damaged(_))), "{change}: {activated:?}");
        let (left, epoch) = what_is_left(&keyspace, &scribe).await;
        assert!(left == 10 && epoch >= 1, "{change}: {left} entries, epoch {epoch}");
    }
}
