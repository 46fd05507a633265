//! Several nodes over one log: whichever is asked, a room has one owner, one order and no holes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rollcall_actors::cluster::node_core::RoomRole;
use rollcall_actors::cluster::ownership::{RedisAnswer, RedisCommand};
use rollcall_actors::ports::{Bus, LogError, NodeId, Ownership, PortFuture, Takeover, Takeovers};
use rollcall_actors::shell::RoomSettings;
use rollcall_it::together::Together;
use rollcall_protocol::{Ack, ErrorCode, Hash, Seq, SignalKind, UserId};
use tokio::sync::watch;

use super::desk::{Desk, ack, duplicate};
use super::node::{NOON_MS, Node, ROOMY, SHORT_RING, in_time, room};
use super::reader::Reader;

pub async fn two() -> (Together, Node, Node) {
    let together = Together::at(NOON_MS);
    let (a, b) = (Node::join(&together, "a", ROOMY).await, Node::join(&together, "b", ROOMY).await);
    a.see(|view| view.peers.len() == 1).await;
    b.see(|view| view.peers.len() == 1).await;
    (together, a, b)
}

async fn role(node: &Node, name: &str) -> Option<RoomRole> {
    node.directory.cluster().unwrap().room(&room(name)).await.map(|report| report.role)
}

pub async fn owns(node: &Node, name: &str) -> bool {
    role(node, name).await == Some(RoomRole::Owner)
}

/// Returns the owner of a room, and the other node.
pub async fn by_role<'a>(a: &'a Node, b: &'a Node, name: &str) -> (&'a Node, &'a Node) {
    if owns(a, name).await { (a, b) } else { (b, a) }
}

#[tokio::test]
async fn whichever_node_is_asked_a_room_has_one_order() {
    let (_together, a, b) = two().await;
    for name in ["general", "random", "help"] {
        let (mut ann, mut bob) = (Desk::at(&a, name, "ann"), Desk::at(&b, name, "bob"));
        let (mut here, mut there) = (Reader::join(&a, name, 0).await, Reader::join(&b, name, 0).await);
        for n in 1..=50 {
            let (one, other) = (ann.send(n, "a"), bob.send(n, "b"));
            ann.outcome(one).await.unwrap();
            bob.outcome(other).await.unwrap();
        }
        let stored = a.history(&room(name)).await;
        assert_eq!(stored.len(), 101);
        assert_eq!(here.read_to(101).await, stored);
        assert_eq!(there.read_to(101).await, stored);
        assert!(owns(&a, name).await != owns(&b, name).await, "one of them owns it");
    }
}

#[tokio::test]
async fn a_node_that_does_not_own_a_room_answers_as_its_owner_would() {
    let (_together, a, b) = two().await;
    let mut ann = Desk::at(&a, "general", "ann");
    for n in 1..=3 {
        ann.persist(n, "hello").await;
    }
    let (owner, other) = by_role(&a, &b, "general").await;
    let (mut at_owner, mut at_other) = (Desk::at(owner, "general", "ann"), Desk::at(other, "general", "ann"));
    let (id, other_id) = (at_owner.ask_join(None, None), at_other.ask_join(None, None));
    let (one, two) = (at_owner.joined(id).await.unwrap(), at_other.joined(other_id).await.unwrap());
    let (one, two) = (&one.joined, &two.joined);
    assert_eq!(one, two);
    assert_eq!((one.head, one.last_n), (Seq::new(4), 3));
    assert_eq!(at_owner.view().await, at_other.view().await);
    for (after, hash) in [(9, None), (2, Some(Hash([7; 32])))] {
        let id = at_other.ask_join(Some(after), hash);
        assert_eq!(at_other.joined(id).await.unwrap_err().code, ErrorCode::Diverged);
    }
    // A write that is sent again is known, wherever it comes in.
    let id = at_other.send(3, "hello");
    assert_eq!(at_other.outcome(id).await, Ok(duplicate(4)));
    let id = at_other.send(3, "something else");
    assert_eq!(at_other.outcome(id).await.unwrap_err().code, ErrorCode::Conflict);
    at_other.rights.read = false;
    let id = at_other.ask_join(None, None);
    assert_eq!(at_other.joined(id).await.unwrap_err().code, ErrorCode::Forbidden);
}

#[tokio::test]
async fn a_node_that_drains_hands_its_rooms_over_and_loses_nothing() {
    let (_together, a, b) = two().await;
    let (mut ann, mut reader) = (Desk::at(&a, "general", "ann"), Reader::join(&b, "general", 0).await);
    ann.persist(1, "before").await;
    let (owner, other) = by_role(&a, &b, "general").await;
    let mut writer = Desk::at(owner, "general", "bob");
    let drained = tokio::spawn({
        let directory = owner.directory.clone();
        async move { directory.drain().await }
    });
    // Those who are still connected to it go on.
    for n in 1..=20 {
        writer.persist(n, "during").await;
    }
    in_time(drained).await.unwrap();
    assert!(owns(other, "general").await);
    writer.persist(21, "after").await;
    reader.read_to(23).await;
    assert_eq!(reader.seen, other.history(&room("general")).await);
}

/// Who owns what, as a node sees it that can be cut off.
struct Cut {
    pub ownership: Arc<dyn Ownership>,
    pub is_cut: watch::Receiver<bool>,
}

impl Ownership for Cut {
    fn run<'a>(&'a self, command: &'a RedisCommand) -> PortFuture<'a, RedisAnswer> {
        if *self.is_cut.borrow() {
            return Box::pin(std::future::ready(RedisAnswer::Failed("cut off".to_owned())));
        }
        self.ownership.run(command)
    }
}

/// Joins a node that is cut off from what says who owns what as long as it is told so.
pub async fn join_cuttable(together: &Together, name: &str, rooms: RoomSettings) -> (Node, watch::Sender<bool>) {
    let (cut, is_cut) = watch::channel(false);
    let ownership = Arc::new(Cut { ownership: Arc::new(together.ownership.clone()), is_cut });
    (Node::join_with(together, name, rooms, ownership).await, cut)
}

/// Where take-overs are noted, which at first does not take any.
struct Reluctant {
    takeovers: Arc<dyn Takeovers>,
    refusals: AtomicU64,
}

impl Takeovers for Reluctant {
    fn insert<'a>(&'a self, takeover: &'a Takeover) -> PortFuture<'a, Result<(), LogError>> {
        let taken = self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if taken.is_ok() {
            return Box::pin(std::future::ready(Err(LogError::Unavailable("not now".to_owned()))));
        }
        self.takeovers.insert(takeover)
    }

    fn recent(&self) -> PortFuture<'_, Result<Vec<Takeover>, LogError>> {
        self.takeovers.recent()
    }
}

#[tokio::test]
async fn an_owner_that_is_cut_off_is_replaced_and_fenced_and_nothing_is_lost() {
    let together = Together::at(NOON_MS);
    let (old, cut) = join_cuttable(&together, "old", ROOMY).await;
    let mut ann = Desk::at(&old, "general", "ann");
    ann.persist(1, "first").await;
    assert!(owns(&old, "general").await);
    let mut ports = together.ports("new");
    ports.takeovers = Arc::new(Reluctant { takeovers: ports.takeovers, refusals: AtomicU64::new(2) });
    let new = Node::come(&together, ports, ROOMY, 0).await;
    let mut reader = Reader::join(&new, "general", 0).await;

    cut.send_replace(true);
    together.cut_off("old");
    let mut bob = Desk::at(&new, "general", "bob");
    assert_eq!(bob.persist(1, "by the new owner").await, ack(3));
    assert!(owns(&new, "general").await);
    // What the old one takes is refused by the log, and it learns that it is not the owner. A write may make it take the room back.
    let id = ann.send(2, "too late");
    let outcome = ann.outcome(id).await;
    assert!(
        outcome.as_ref().is_ok_and(|ack| ack.seq == Seq::new(4))
            || outcome.as_ref().is_err_and(|error| error.retryable)
    );
    // Counted once, though it took three tries to say so.
    assert_eq!(new.directory.cluster().unwrap().stats().takeovers.get(), 1);
    let old_stats = old.directory.cluster().unwrap().stats();
    assert_eq!((old_stats.rooms_fenced.get(), old_stats.rooms_yielded.get(), old_stats.rooms_lost.get()), (1, 0, 0));
    let mut ann = Desk::at(&new, "general", "ann");
    assert_eq!(ann.persist(2, "too late").await, Ack { seq: Seq::new(4), duplicate: outcome.is_ok() });
    reader.read_to(4).await;
    assert_eq!(reader.seen, new.history(&room("general")).await);
}

#[tokio::test]
async fn a_replica_that_gets_nothing_reads_the_log_within_two_seconds() {
    let (together, a, b) = two().await;
    let mut ann = Desk::at(&a, "general", "ann");
    ann.persist(1, "1").await;
    let (owner, other) = by_role(&a, &b, "general").await;
    let mut reader = Reader::join(other, "general", 0).await;
    reader.read_to(2).await;
    together.bus.cut_off(&other.directory.cluster().unwrap().me().node);
    let mut ann = Desk::at(owner, "general", "ann");
    ann.persist(2, "the tail").await;
    tokio::time::timeout(Duration::from_secs(2), reader.read_to(3)).await.expect("the tail comes within two seconds");
    assert!(other.directory.cluster().unwrap().stats().repair_reads.get() > 0);
}

#[tokio::test]
async fn nothing_is_lost_where_what_says_who_owns_what_is_wiped() {
    let (together, a, b) = two().await;
    let mut reader = Reader::join(&b, "general", 0).await;
    let mut ann = Desk::at(&a, "general", "ann");
    for n in 1..=20 {
        if n % 5 == 0 {
            together.ownership.wipe();
        }
        ann.persist(n, "on and on").await;
    }
    reader.read_to(21).await;
    assert_eq!(reader.seen, a.history(&room("general")).await);
}

#[tokio::test]
async fn a_room_that_no_owner_answers_for_can_still_be_read() {
    let together = Together::at(NOON_MS);
    let owner = Node::join(&together, "owner", ROOMY).await;
    let (other, cut) = join_cuttable(&together, "other", SHORT_RING).await;
    let mut ann = Desk::at(&owner, "general", "ann");
    ann.persist(1, "1").await;
    assert!(owns(&owner, "general").await);
    cut.send_replace(true);
    // Without Redis the other node cannot find the owner; it reads the log, and takes the room from nobody.
    let mut reader = Reader::join(&other, "general", 0).await;
    reader.read_to(2).await;
    ann.persist(2, "2").await;
    reader.read_to(3).await;
    assert!(owns(&owner, "general").await);
    assert_eq!(reader.seen, owner.history(&room("general")).await);
}

#[tokio::test]
async fn a_room_that_others_watch_is_not_idle() {
    let together = Together::at(NOON_MS);
    let restless = RoomSettings { idle: Duration::from_millis(50), ..ROOMY };
    let owner = Node::join(&together, "owner", restless).await;
    let mut ann = Desk::at(&owner, "general", "ann");
    ann.persist(1, "1").await;
    assert!(owns(&owner, "general").await);
    let other = Node::join(&together, "other", restless).await;
    let mut reader = Reader::join(&other, "general", 0).await;
    reader.read_to(2).await;
    tokio::time::sleep(Duration::from_millis(500)).await; // pace: ten times what makes a room idle
    assert!(owns(&owner, "general").await, "somebody watches it");
    assert_eq!(owner.log.activations_so_far(), 1);
    drop(reader);
    in_time(async {
        while role(&owner, "general").await.is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await; // pace: a look now and then
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_ephemeral_reaches_everybody_else_on_every_node() {
    let together = Together::at(NOON_MS);
    let nodes = [
        Node::join(&together, "a", ROOMY).await,
        Node::join(&together, "b", ROOMY).await,
        Node::join(&together, "c", ROOMY).await,
    ];
    Desk::at(&nodes[0], "general", "ann").persist(1, "hello").await;
    let mut readers = Vec::new();
    for node in &nodes {
        let mut reader = Reader::join(node, "general", 0).await;
        reader.read_to(2).await;
        readers.push(reader);
        // What is ephemeral gets lost where the owner has not confirmed yet that it sends everything.
        in_time(async {
            while !matches!(
                role(node, "general").await,
                Some(RoomRole::Owner | RoomRole::Replica { is_confirmed: true })
            ) {
                tokio::time::sleep(Duration::from_millis(5)).await; // pace: between two looks
            }
        })
        .await;
    }
    for (from, node) in nodes.iter().enumerate() {
        let (room, inbox) = (Arc::clone(&readers[from].subscribed.room), Arc::clone(&readers[from].desk.inbox));
        let user = UserId::parse(&format!("user{from}")).unwrap();
        node.directory.signal(&room, user.clone(), SignalKind::Typing, &inbox);
        for (at, reader) in readers.iter().enumerate().filter(|(at, _)| *at != from) {
            let signals = in_time(async {
                loop {
                    let signals = reader.desk.inbox.take().signals;
                    if !signals.is_empty() {
                        return signals;
                    }
                    reader.desk.inbox.rung().await;
                }
            })
            .await;
            assert_eq!(signals.iter().map(|signal| &signal.user).collect::<Vec<_>>(), [&user], "{from} to {at}");
        }
        assert!(inbox.take().signals.is_empty(), "nobody hears itself");
    }
}

/// A bus that loses what a node sends, and says so.
struct Losing {
    bus: Arc<dyn Bus>,
    is_losing: watch::Receiver<bool>,
    lost: AtomicU64,
}

impl Bus for Losing {
    fn send(&self, to: &NodeId, envelope: Bytes) {
        if *self.is_losing.borrow() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        } else {
            self.bus.send(to, envelope);
        }
    }

    fn losses(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_bus_that_loses_everything_is_not_flooded_with_what_is_lost_again() {
    const ROOMS: u64 = 20;
    let together = Together::at(NOON_MS);
    let owner = Node::join(&together, "owner", ROOMY).await;
    for number in 0..ROOMS {
        Desk::at(&owner, &format!("room{number}"), "ann").persist(1, "1").await;
    }
    let (losing, is_losing) = watch::channel(false);
    let mut ports = together.ports("other");
    ports.bus = Arc::new(Losing { bus: Arc::clone(&ports.bus), is_losing, lost: AtomicU64::new(0) });
    let other = Node::come(&together, ports, ROOMY, 0).await;
    let mut readers = Vec::new();
    for number in 0..ROOMS {
        let mut reader = Reader::join(&other, &format!("room{number}"), 0).await;
        reader.read_to(2).await;
        readers.push(reader);
    }
    let stats = || other.directory.cluster().unwrap().stats().sent.get();
    losing.send_replace(true);
    together.cut_off("other");
    let (before, began) = (stats(), Instant::now());
    for n in 2..=11 {
        for (number, reader) in readers.iter_mut().enumerate() {
            Desk::at(&owner, &format!("room{number}"), "ann").persist(n, "more").await;
            reader.desk.inbox.take();
        }
    }
    for reader in &mut readers {
        reader.read_to(12).await;
    }
    let watches = stats()[2] - before[2];
    // Each room is watched anew when its doubt begins, with each loss that is told, and with each read of its tail.
    let most = ROOMS * (began.elapsed().as_secs() + 1) * 6;
    assert!(watches <= most, "{watches} watches in {:?}", began.elapsed());
}
