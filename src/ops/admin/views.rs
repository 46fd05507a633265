//! What is answered, as it stands on the wire.

use rollcall_actors::cluster::node_core::{BeaconReport, RoomReport, RoomRole};
use rollcall_actors::cluster::{NodeRef, Standing};
use rollcall_actors::ports::LogTail;
use rollcall_actors::shell::{Cluster, ClusterView, DamageFound};
use rollcall_protocol::{Epoch, RoomId, Seq};
use serde::Serialize;

/// The cluster as this node sees it.
#[derive(Debug, Serialize)]
pub struct Nodes {
    /// This node's name; none where the server is by itself.
    pub me: Option<String>,
    /// `alone`, `claiming`, `member`, `clock_wrong` or `name_taken`.
    pub standing: &'static str,
    /// This node and the others that live, by their names.
    pub nodes: Vec<Node>,
}

/// A node.
#[derive(Debug, Serialize)]
pub struct Node {
    /// Its name.
    pub node: String,
    /// Its present life.
    pub incarnation: String,
    /// Whether it takes rooms.
    pub takes_rooms: bool,
    /// Where clients find it; none where they are not sent to it.
    pub connect: Option<String>,
}

impl Nodes {
    /// A server by itself.
    pub fn alone() -> Self {
        Self { me: None, standing: "alone", nodes: Vec::new() }
    }

    /// A node and those that it sees.
    pub fn of(cluster: &Cluster, view: &ClusterView, connect: Option<&str>) -> Self {
        let me = cluster.me();
        let own = Node {
            node: me.node.0.to_string(),
            incarnation: me.incarnation.to_string(),
            takes_rooms: view.takes_rooms,
            connect: connect.map(str::to_owned),
        };
        let others = view.peers.iter().map(|peer| Node {
            node: peer.node.node.0.to_string(),
            incarnation: peer.node.incarnation.to_string(),
            takes_rooms: peer.takes_rooms,
            connect: peer.connect.as_deref().map(str::to_owned),
        });
        let mut nodes: Vec<Node> = others.chain([own]).collect();
        nodes.sort_by(|a, b| a.node.cmp(&b.node));
        let standing = match view.standing {
            Standing::Claiming => "claiming",
            Standing::Member => "member",
            Standing::ClockWrong { .. } => "clock_wrong",
            Standing::NameTaken { .. } => "name_taken",
        };
        Self { me: Some(me.node.0.to_string()), standing, nodes }
    }
}

/// A page of rooms.
#[derive(Debug, Serialize)]
pub struct Rooms {
    /// By their names.
    pub rooms: Vec<Room>,
    /// What to ask `after` for the next page; none on the last.
    pub next: Option<RoomId>,
}

/// What this node is to a room.
#[derive(Debug, Serialize)]
pub struct Room {
    /// Which.
    pub room: RoomId,
    /// `owner`, `moving`, `replica` or `seeking`.
    pub role: &'static str,
    /// Of a replica: whether the owner has confirmed that it sends every batch; else the log is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_confirmed: Option<bool>,
    /// Whether clients of this node have joined it. None where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_read: Option<bool>,
    /// The ownership, as far as it is known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The last committed number that is known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Seq>,
    /// The node that owns it, as far as is known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Of an owner: the nodes that have a replica.
    pub replicas: Vec<String>,
    /// Whether its log was found damaged by this node.
    pub is_damaged: bool,
}

impl Room {
    /// A room that a server by itself has in memory.
    pub fn alone(room: RoomId) -> Self {
        let replicas = Vec::new();
        let (role, is_damaged) = ("owner", false);
        Self {
            room,
            role,
            is_confirmed: None,
            is_read: None,
            epoch: None,
            head: None,
            owner: None,
            replicas,
            is_damaged,
        }
    }
}

impl Room {
    /// With what this node has found of its log.
    #[must_use]
    pub fn found_damaged(self, is_damaged: bool) -> Self {
        Self { is_damaged, ..self }
    }
}

impl From<RoomReport> for Room {
    fn from(report: RoomReport) -> Self {
        let RoomReport { room, role, is_read, epoch, head, owner, watchers } = report;
        let (role, is_confirmed) = match role {
            RoomRole::Owner => ("owner", None),
            RoomRole::Moving => ("moving", None),
            RoomRole::Replica { is_confirmed } => ("replica", Some(is_confirmed)),
            RoomRole::Seeking => ("seeking", None),
        };
        Self {
            room,
            role,
            is_confirmed,
            is_read: Some(is_read),
            epoch: (epoch > Epoch::ZERO).then_some(epoch),
            head,
            owner: owner.as_ref().map(name),
            replicas: watchers.iter().map(name).collect(),
            is_damaged: false,
        }
    }
}

/// A room, and where its log stands.
#[derive(Debug, Serialize)]
pub struct RoomDetails {
    /// What this node is to it; none where nobody wants it here.
    pub here: Option<Room>,
    /// Where the log stands; none where nobody wrote to the room.
    pub log: Option<Tail>,
    /// What this node has found to be wrong with the log; none where nothing is known to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damage>,
}

/// Why a room takes no writes.
#[derive(Debug, Serialize)]
pub struct Damage {
    /// The first entry that is not what was written, as far as anybody has looked.
    pub entry: Seq,
    /// The last such entry.
    pub last: Seq,
    /// What is wrong with the first.
    pub reason: String,
}

impl From<DamageFound> for Damage {
    fn from(DamageFound { entry, last, reason }: DamageFound) -> Self {
        Self { entry, last, reason }
    }
}

/// Where a room's log stands.
#[derive(Debug, Serialize)]
pub struct Tail {
    /// The last ownership.
    pub epoch: Epoch,
    /// Its random name, in hexadecimal digits.
    pub owner: String,
    /// The last committed number.
    pub head: Seq,
}

impl From<LogTail> for Tail {
    fn from(tail: LogTail) -> Self {
        Self { epoch: tail.fence.epoch, owner: format!("{:032x}", tail.fence.owner.0), head: tail.last_seq }
    }
}

/// The beacons between this node and others.
#[derive(Debug, Serialize)]
pub struct Beacons {
    /// To nodes that have replicas of rooms that are owned here.
    pub sent: Vec<Sent>,
    /// From nodes that own rooms of which replicas are here.
    pub heard: Vec<Heard>,
}

/// Beacons to a node.
#[derive(Debug, Serialize)]
pub struct Sent {
    /// To whom.
    pub to: String,
    /// The number of the last one.
    pub number: u64,
    /// How many rooms it watches here.
    pub rooms: usize,
}

/// Beacons from a node.
#[derive(Debug, Serialize)]
pub struct Heard {
    /// From whom.
    pub from: String,
    /// The number of the last one; none where none came yet.
    pub number: Option<u64>,
    /// How many rooms are watched there.
    pub rooms: usize,
}

impl From<BeaconReport> for Beacons {
    fn from(report: BeaconReport) -> Self {
        let sent = report.sent.iter().map(|(to, number, rooms)| Sent { to: name(to), number: *number, rooms: *rooms });
        let heard =
            report.heard.iter().map(|(from, number, rooms)| Heard { from: name(from), number: *number, rooms: *rooms });
        Self { sent: sent.collect(), heard: heard.collect() }
    }
}

fn name(node: &NodeRef) -> String {
    node.node.0.to_string()
}
