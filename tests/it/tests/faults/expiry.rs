//! A reader that is so slow that what it wants expires meanwhile is told so.

use std::time::Duration;

use rollcall_actors::room::{ChangeKind, RoomChange};
use rollcall_actors::shell::{Ask, Asker, ChangeRequest, Inbox};
use rollcall_it::controlled_log::ControlledLog;
use rollcall_it::log_watch;
use rollcall_it::raw::room;
use rollcall_it::server::TestServer;
use rollcall_protocol::{ErrorCode, Format, Incoming, Seq, UserId};

use super::EXPECTED;

#[tokio::test]
async fn a_reader_that_falls_below_the_floor_is_told_what_is_gone_and_joins_behind_it() {
    log_watch::watch(EXPECTED);
    let log = ControlledLog::unplaced();
    let server = TestServer::build().tuning(|tuning| tuning.wrap_log = log.into_server()).start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    alice.send_all("general", 1..=2_999).await;
    let floor = Seq::new(1_500);
    let before = alice.history("general", |h| (h.before, h.limit) = (Some(floor), Some(1))).await.unwrap();

    log.slow_reads(Duration::from_millis(200));
    let mut bob = server.user(Format::MsgPack, "bob").await;
    bob.join("general", Some(0)).await.unwrap();
    let first = bob.entries().await.list.last().unwrap().seq.get();
    let change = RoomChange { floor: Some(floor), floor_hash: before.hash, ..RoomChange::default() };
    let inbox = Inbox::new();
    let asker = Asker { inbox: inbox.clone(), id: 1, began: std::time::Instant::now() };
    let request = ChangeRequest { user: UserId::parse("operator").unwrap(), what: ChangeKind::Room(change) };
    server.inner().directory().ask(&room("general"), Ask::Change(Box::new(request)), &asker);
    inbox.rung().await;
    server.inner().log().expire_before(&room("general"), floor).await.unwrap();

    let mut last = first;
    let left = loop {
        match bob.push().await {
            Incoming::Entries(frame) => {
                assert_eq!(frame.list[0].seq.get(), last + 1);
                last = frame.list.last().unwrap().seq.get();
            }
            Incoming::Left(left) => break left,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((left.room.as_str(), left.error.code), ("general", ErrorCode::Expired));
    assert_eq!((&left.error.details["from"], &left.error.details["to"]), (&(last + 1).into(), &1_499.into()));
    log.slow_reads(Duration::ZERO);
    bob.join("general", Some(1_499)).await.unwrap();
    bob.entries_through("general", 1_499, 3_001).await;
}
