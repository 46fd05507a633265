//! A log that becomes another one under a server, as where an old backup is restored while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rollcall::log::MemoryLog;
use rollcall_actors::ports::{
    Activate, Activated, Append, AppendOutcome, Fence, Log, LogError, LogTail, PortFuture, ReadRange, StoredSnapshot,
};
use rollcall_actors::shell::TailEnd;
use rollcall_it::log_watch;
use rollcall_it::raw::room;
use rollcall_it::scribe::Scribe;
use rollcall_it::server::TestServer;
use rollcall_protocol::{Entry, ErrorCode, Format, RoomId, Seq};

use super::EXPECTED;

#[derive(Default)]
struct Restored {
    logs: [MemoryLog; 2],
    is_restored: AtomicBool,
}

impl Restored {
    fn log(&self) -> &MemoryLog {
        &self.logs[usize::from(self.is_restored.load(Ordering::SeqCst))]
    }
}

impl Log for Restored {
    fn activate<'a>(&'a self, room: &'a RoomId, with: Activate) -> PortFuture<'a, Result<Activated, LogError>> {
        self.log().activate(room, with)
    }

    fn release(&self, room: &RoomId, fence: Fence) {
        self.log().release(room, fence);
    }

    fn append(&self, append: Append) -> PortFuture<'static, AppendOutcome> {
        self.log().append(append)
    }

    fn read<'a>(&'a self, room: &'a RoomId, range: ReadRange) -> PortFuture<'a, Result<Vec<Entry>, LogError>> {
        self.log().read(room, range)
    }

    fn tail<'a>(&'a self, room: &'a RoomId) -> PortFuture<'a, Result<Option<LogTail>, LogError>> {
        self.log().tail(room)
    }

    /// Never stores one: it would be of the log that was there before.
    fn write_snapshot<'a>(&'a self, _: &'a RoomId, _: StoredSnapshot) -> PortFuture<'a, Result<(), LogError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn read_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        at_most: Seq,
    ) -> PortFuture<'a, Result<Option<StoredSnapshot>, LogError>> {
        self.log().read_snapshot(room, at_most)
    }

    fn expire_before<'a>(&'a self, room: &'a RoomId, floor: Seq) -> PortFuture<'a, Result<(), LogError>> {
        self.log().expire_before(room, floor)
    }
}

#[tokio::test]
async fn a_reader_is_told_that_its_history_differs_where_what_it_was_shown_is_not_in_the_log() {
    log_watch::watch(EXPECTED);
    let log = Arc::new(Restored::default());
    let under = Arc::clone(&log);
    let server = TestServer::build().tuning(|tuning| tuning.wrap_log = Box::new(|_| under)).start().await;
    let (mut alice, mut bob) = (server.user(Format::Json, "alice").await, server.user(Format::Json, "bob").await);
    bob.join("general", Some(0)).await.unwrap();
    alice.send_all("general", 1..=3).await;
    bob.entries_through("general", 0, 4).await;

    Scribe::activate(&log.logs[1], "general", 1).await.commit_messages(&log.logs[1], 6).await;
    log.is_restored.store(true, Ordering::SeqCst);
    // As a room is ended that is shown here and found to be another one.
    server.inner().directory().room(&room("general")).unwrap().tail().end(TailEnd::Diverged);
    server.inner().directory().give_up(&room("general"));
    let left = bob.left().await;
    assert_eq!((left.room.as_str(), left.error.code), ("general", ErrorCode::Diverged));
    assert_eq!(bob.pushes_so_far(), [], "nothing of the other history is shown");
}
