//! What happens to a room in a random history. Every step means something in every history, so that a failing one shrinks.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::room::Role;

/// Devices in a history; the first two belong to one user, the last is an idempotency key's.
pub const DEVICES: [(&str, &str); 5] =
    [("ann", "phone"), ("ann", "desk"), ("bob", "phone"), ("cid", "phone"), ("bob", "key:1")];

#[derive(Debug, Clone)]
pub enum Step {
    /// A device makes a new write, and sends it or not yet.
    Write {
        device: usize,
        what: What,
        prev: Prev,
        gap: u64,
        sent: bool,
        conditions: Conditions,
    },
    /// A copy of some write of the device arrives: a retry, a late or doubled one, one that was dropped, one with another prev.
    Copy {
        device: usize,
        which: Index,
        prev: Option<Prev>,
        other_content: bool,
        conditions: Conditions,
    },
    /// All writes of the device arrive again, in order, as after a reconnect.
    CopyAll {
        device: usize,
    },
    /// So many messages at once.
    Burst {
        device: usize,
        count: usize,
    },
    SetRole {
        device: usize,
        role: Option<Role>,
    },
    MembersOnly(bool),
    /// The clock moves, back too.
    Clock(i64),
    Commit,
    CommitAll,
    /// The log takes nothing now.
    Reject,
    /// Another owner came and went.
    Fence(Start),
    /// The outcome of the append stays unknown: it was stored, or not.
    Lose {
        stored: bool,
        start: Start,
    },
    /// The process dies, before or after the append was stored; nobody is answered.
    Crash {
        stored: bool,
        start: Start,
    },
    Drain(Start),
}

#[derive(Debug, Clone)]
pub enum What {
    Send(u8),
    Edit(About, u8),
    Redact(About),
    React(About, u8),
}

/// Which entry a write is about.
#[derive(Debug, Clone)]
pub enum About {
    /// One of the user's own messages and edits, if there is one.
    Own(Index),
    /// Any number up to the one after the head.
    Any(Index),
}

/// What a device takes for its last accepted n.
#[derive(Debug, Clone, Copy)]
pub enum Prev {
    /// What it is: an earlier write that was not accepted is dropped.
    Accepted,
    /// The write before this one, accepted or not.
    Previous,
    /// Nonsense.
    Any(u64),
}

#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    pub may_write: bool,
    pub may_moderate: bool,
    /// Whether the log can be asked for the target.
    pub readable: bool,
}

/// From what the next owner rebuilds the state.
#[derive(Debug, Clone)]
pub enum Start {
    Log,
    Snapshot(Index),
}

pub fn history() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..150)
}

fn step() -> impl Strategy<Value = Step> {
    let write = (device(), what(), prev(), 1..3_u64, prop::bool::weighted(0.85), conditions()).prop_map(
        |(device, what, prev, gap, sent, conditions)| Step::Write { device, what, prev, gap, sent, conditions },
    );
    let copy = (device(), any::<Index>(), prop::option::of(prev()), prop::bool::weighted(0.15), conditions()).prop_map(
        |(device, which, prev, other_content, conditions)| Step::Copy {
            device,
            which,
            prev,
            other_content,
            conditions,
        },
    );
    let roles = [None, None, Some(Role::Member), Some(Role::Member), Some(Role::Moderator), Some(Role::Banned)];
    prop_oneof![
        30 => write,
        15 => copy,
        2 => device().prop_map(|device| Step::CopyAll { device }),
        3 => (device(), 1..70_usize).prop_map(|(device, count)| Step::Burst { device, count }),
        3 => (device(), prop::sample::select(roles.to_vec())).prop_map(|(device, role)| Step::SetRole { device, role }),
        1 => prop::bool::weighted(0.2).prop_map(Step::MembersOnly),
        2 => (-50..200_i64).prop_map(Step::Clock),
        20 => Just(Step::Commit),
        6 => Just(Step::CommitAll),
        2 => Just(Step::Reject),
        1 => start().prop_map(Step::Fence),
        2 => (any::<bool>(), start()).prop_map(|(stored, start)| Step::Lose { stored, start }),
        2 => (any::<bool>(), start()).prop_map(|(stored, start)| Step::Crash { stored, start }),
        1 => start().prop_map(Step::Drain),
    ]
}

fn device() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0_usize), 5 => 0..DEVICES.len()]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        5 => (0..3_u8).prop_map(What::Send),
        3 => (about(), 0..3_u8).prop_map(|(target, text)| What::Edit(target, text)),
        2 => about().prop_map(What::Redact),
        1 => (about(), 0..3_u8).prop_map(|(target, text)| What::React(target, text)),
    ]
}

fn about() -> impl Strategy<Value = About> {
    prop_oneof![4 => any::<Index>().prop_map(About::Own), 1 => any::<Index>().prop_map(About::Any)]
}

fn prev() -> impl Strategy<Value = Prev> {
    prop_oneof![7 => Just(Prev::Accepted), 3 => Just(Prev::Previous), 1 => (0..9_u64).prop_map(Prev::Any)]
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let (may_write, may_moderate) = (prop::bool::weighted(0.95), prop::bool::weighted(0.3));
    (may_write, may_moderate, prop::bool::weighted(0.95)).prop_map(|(may_write, may_moderate, readable)| Conditions {
        may_write,
        may_moderate,
        readable,
    })
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![Just(Start::Log), any::<Index>().prop_map(Start::Snapshot)]
}
