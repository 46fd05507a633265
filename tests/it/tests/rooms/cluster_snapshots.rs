//! Nodes of two versions side by side, the later of which stores snapshots in a format that the earlier one does not know.

use std::sync::Arc;

use rollcall_actors::ports::{
    Activate, Activated, Append, AppendOutcome, Fence, Log, LogError, LogTail, PortFuture, ReadRange, StoredSnapshot,
};
use rollcall_actors::room::snapshot::SNAPSHOT_FORMAT;
use rollcall_it::machine::eventually;
use rollcall_it::together::Together;
use rollcall_protocol::{Entry, RoomId, Seq};

use super::cluster::owns;
use super::desk::{Desk, duplicate};
use super::node::{NOON_MS, Node, ROOMY, room};

/// The log as the later version sees it, which reads both formats and writes its own.
struct Later(Arc<dyn Log>);

fn in_format(mut stored: StoredSnapshot, format: u8) -> StoredSnapshot {
    for part in &mut stored.parts {
        part[0] = format;
    }
    stored
}

impl Log for Later {
    fn activate<'a>(&'a self, room: &'a RoomId, with: Activate) -> PortFuture<'a, Result<Activated, LogError>> {
        self.0.activate(room, with)
    }

    fn release(&self, room: &RoomId, fence: Fence) {
        self.0.release(room, fence);
    }

    fn append(&self, append: Append) -> PortFuture<'static, AppendOutcome> {
        self.0.append(append)
    }

    fn read<'a>(&'a self, room: &'a RoomId, range: ReadRange) -> PortFuture<'a, Result<Vec<Entry>, LogError>> {
        self.0.read(room, range)
    }

    fn tail<'a>(&'a self, room: &'a RoomId) -> PortFuture<'a, Result<Option<LogTail>, LogError>> {
        self.0.tail(room)
    }

    fn write_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        snapshot: StoredSnapshot,
    ) -> PortFuture<'a, Result<(), LogError>> {
        self.0.write_snapshot(room, in_format(snapshot, SNAPSHOT_FORMAT + 1))
    }

    fn read_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        at_most: Seq,
    ) -> PortFuture<'a, Result<Option<StoredSnapshot>, LogError>> {
        Box::pin(async move {
            let stored = self.0.read_snapshot(room, at_most).await?;
            Ok(stored.map(|stored| in_format(stored, SNAPSHOT_FORMAT)))
        })
    }

    fn expire_before<'a>(&'a self, room: &'a RoomId, floor: Seq) -> PortFuture<'a, Result<(), LogError>> {
        self.0.expire_before(room, floor)
    }
}

/// Two nodes of a cluster, the first of the later version.
async fn two_versions() -> (Together, Node, Node) {
    let together = Together::at(NOON_MS);
    let log = Arc::new(Later(Arc::clone(&together.log) as Arc<dyn Log>));
    let later = Node::join_with_log(&together, "later", ROOMY, log).await;
    let earlier = Node::join(&together, "earlier", ROOMY).await;
    later.see(|view| view.peers.len() == 1).await;
    earlier.see(|view| view.peers.len() == 1).await;
    (together, later, earlier)
}

/// Gives the room to a node, whoever has it.
async fn move_to(to: &Node, from: &Node) {
    eventually("the room is where it was moved to", async || {
        let node = to.directory.cluster().unwrap().me().node.clone();
        from.directory.cluster().unwrap().move_to(room("general"), node);
        owns(to, "general").await.then_some(())
    })
    .await;
}

/// Lets the owner end, and waits for its snapshot.
async fn give_up(owner: &Node, log: &Arc<dyn Log>, head: u64, format: u8) {
    owner.directory.cluster().unwrap().give_up(room("general"));
    eventually("a snapshot was stored", async || {
        let stored = log.read_snapshot(&room("general"), Seq::new(head)).await.unwrap();
        stored.filter(|stored| stored.seq == Seq::new(head) && stored.parts[0][0] == format).map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn snapshots_of_two_versions_lie_side_by_side_and_each_node_uses_what_it_knows() {
    let (together, later, earlier) = two_versions().await;
    let log = Arc::clone(&together.log) as Arc<dyn Log>;
    let (mut ann, mut bob) = (Desk::at(&later, "general", "ann"), Desk::at(&earlier, "general", "bob"));
    for n in 1..=3 {
        ann.persist(n, "there").await;
    }
    move_to(&later, &earlier).await;
    give_up(&later, &log, 4, SNAPSHOT_FORMAT + 1).await;
    ann.persist(3, "there").await;
    move_to(&earlier, &later).await;
    assert_eq!(ann.persist(3, "there").await, duplicate(4), "what the other version knows is known from the log");
    assert_eq!(bob.persist(1, "here").await.seq, Seq::new(5));
    give_up(&earlier, &log, 5, SNAPSHOT_FORMAT).await;
    bob.persist(1, "here").await;
    move_to(&later, &earlier).await;
    assert_eq!(ann.persist(4, "there").await.seq, Seq::new(6));
    give_up(&later, &log, 6, SNAPSHOT_FORMAT + 1).await;
    ann.persist(4, "there").await;
    earlier.log.take_ranges_read();
    move_to(&earlier, &later).await;
    let ranges = earlier.log.take_ranges_read();
    assert_eq!(ranges.first().map(|range| range.after), Some(Seq::new(5)), "its own is the newest that it can read");
    assert_eq!(ann.persist(4, "there").await, duplicate(6));
    assert_eq!(earlier.history(&room("general")).await.len(), 6);
}

/// Below the floor nothing can be replayed.
#[tokio::test]
async fn a_room_that_only_the_later_version_can_rebuild_is_left_to_it() {
    let (together, later, earlier) = two_versions().await;
    let log = Arc::clone(&together.log) as Arc<dyn Log>;
    let (mut ann, mut bob) = (Desk::at(&later, "general", "ann"), Desk::at(&earlier, "general", "bob"));
    for n in 1..=2 {
        ann.persist(n, "there").await;
        move_to(&later, &earlier).await;
        give_up(&later, &log, n + 1, SNAPSHOT_FORMAT + 1).await;
    }
    log.expire_before(&room("general"), Seq::new(3)).await.unwrap();
    ann.persist(3, "there").await;
    move_to(&later, &earlier).await;
    let before = earlier.log.activations_so_far();
    later.directory.cluster().unwrap().move_to(room("general"), earlier.directory.cluster().unwrap().me().node.clone());
    eventually("it was asked to take the room", async || (earlier.log.activations_so_far() > before).then_some(()))
        .await;
    assert_eq!(bob.persist(1, "here").await.seq, Seq::new(5), "the other one takes it back");
    assert!(owns(&later, "general").await);
}
