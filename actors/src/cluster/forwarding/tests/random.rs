//! Devices that write over a bus which loses, repeats, delays and reorders, to owners that change.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use rollcall_protocol::{Ack, ErrorCode, ErrorFrame, Seq};

use super::support::{feed, large, life, room, write};
use crate::cluster::envelope::{Submit, SubmitReply};
use crate::cluster::forwarding::{Correlations, ForwardEffect, ForwardInput, Forwarding, IN_FLIGHT_BYTES_MAX};
use crate::cluster::{Incarnation, NodeRef};
use crate::room::Refusal;

const DEVICES: [&str; 2] = ["phone", "laptop"];

#[derive(Debug, Clone, Copy)]
enum Step {
    Write { device: usize, is_large: bool, forbidden: bool },
    Submits { which: usize, fate: Fate },
    Replies { which: usize, fate: Fate },
    Owner { node: u64, known: bool },
    Pass(u64),
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Comes,
    ComesTwice,
    Lost,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![8 => Just(Fate::Comes), 1 => Just(Fate::ComesTwice), 2 => Just(Fate::Lost)]
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly in order.
    let which = || prop_oneof![6 => Just(0_usize), 1 => any::<usize>()];
    prop_oneof![
        8 => (0..DEVICES.len(), prop::bool::weighted(0.1), prop::bool::weighted(0.05))
            .prop_map(|(device, is_large, forbidden)| Step::Write { device, is_large, forbidden }),
        8 => (which(), fate()).prop_map(|(which, fate)| Step::Submits { which, fate }),
        8 => (which(), fate()).prop_map(|(which, fate)| Step::Replies { which, fate }),
        1 => (1..4_u64, any::<bool>()).prop_map(|(node, known)| Step::Owner { node, known }),
        2 => (1..1_500_u64).prop_map(Step::Pass),
    ]
}

/// The naive reference: what an owner stores of one device.
#[derive(Debug, Default)]
struct Stored {
    by_n: BTreeMap<u64, u64>,
    last: u64,
}

/// A device as its client knows it.
#[derive(Debug, Default)]
struct Client {
    last_n: u64,
    /// The n that the next write follows.
    prev: u64,
    waiting: BTreeMap<u64, u64>,
    acked: BTreeMap<u64, u64>,
    finally_refused: BTreeSet<u64>,
}

struct World {
    now_ms: u64,
    forwarding: Forwarding<u64>,
    owner: u64,
    submits: Vec<(NodeRef, Submit)>,
    replies: Vec<SubmitReply>,
    not_owners: Vec<NodeRef>,
    stored: [Stored; 2],
    head: u64,
    forbidden: BTreeSet<(usize, u64)>,
    clients: [Client; 2],
    /// Which device and n each reply is about.
    about: Vec<(usize, u64)>,
}

impl World {
    fn new() -> Self {
        Self {
            now_ms: 0,
            forwarding: Forwarding::new(room(), Correlations::new(Incarnation(7), 1)),
            owner: 1,
            submits: Vec::new(),
            replies: Vec::new(),
            not_owners: Vec::new(),
            stored: Default::default(),
            head: 0,
            forbidden: BTreeSet::new(),
            clients: Default::default(),
            about: Vec::new(),
        }
    }

    fn feed(&mut self, input: ForwardInput<u64>) {
        let is_submit = matches!(input, ForwardInput::Submit(_));
        for effect in feed(&mut self.forwarding, self.now_ms, input) {
            match effect {
                ForwardEffect::Send { to, submits } => {
                    let weigh = |submit: &Submit| -> usize {
                        submit.writes.iter().map(|it| it.body.as_ref().unwrap().as_str().len()).sum()
                    };
                    let writes: usize = submits.iter().map(|submit| submit.writes.len()).sum();
                    let bytes: usize = submits.iter().map(weigh).sum();
                    assert!(writes == 1 || bytes <= IN_FLIGHT_BYTES_MAX, "an envelope is too large");
                    self.submits.extend(submits.into_iter().map(|submit| (to.clone(), submit)));
                }
                ForwardEffect::Answer { reply, answer } => self.answered(reply, answer, is_submit),
                ForwardEffect::FindOwner => self.feed(ForwardInput::Owner(Some(life("n", self.owner)))),
                ForwardEffect::Stray => {}
            }
        }
    }

    fn answered(&mut self, reply: u64, answer: Result<Ack, ErrorFrame>, is_submit: bool) {
        let (at, n) = self.about[usize::try_from(reply).unwrap()];
        let client = &mut self.clients[at];
        let prev = client.waiting.remove(&n).expect("an answer comes once");
        match answer {
            Ok(ack) => {
                assert_eq!(self.stored[at].by_n.get(&n), Some(&ack.seq.get()), "an ack names what is stored");
                client.acked.insert(n, ack.seq.get());
            }
            Err(error) => {
                if error.code == ErrorCode::OutOfOrder {
                    let last = error.details["last"].as_u64().unwrap();
                    let held = last < prev && client.waiting.contains_key(&prev);
                    assert!(!held, "{n} was refused for {prev}, which is held");
                    client.prev = client.prev.max(last);
                }
                if error.code == ErrorCode::TooManyUnanswered {
                    assert!(is_submit && client.waiting.len() >= 64);
                }
                if error.is_final {
                    client.finally_refused.insert(n);
                }
                if client.prev == n {
                    client.prev = client.acked.last_key_value().map_or(0, |(&n, _)| n);
                }
            }
        }
        assert!(client.waiting.len() <= 64 + usize::from(is_submit));
    }

    fn write(&mut self, at: usize, is_large: bool, forbidden: bool) {
        let client = &mut self.clients[at];
        client.last_n += 1;
        let (n, prev) = (client.last_n, client.prev);
        client.prev = n;
        client.waiting.insert(n, prev);
        if forbidden {
            self.forbidden.insert((at, n));
        }
        let mut forward = if is_large { large(DEVICES[at], n, prev) } else { write(DEVICES[at], n, prev) };
        forward.reply = self.about.len() as u64;
        self.about.push((at, n));
        self.feed(ForwardInput::Submit(forward));
    }

    /// A node takes a submit.
    fn submitted(&mut self, to: &NodeRef, submit: &Submit) {
        if *to != life("n", self.owner) {
            self.not_owners.push(to.clone());
            return;
        }
        let at = DEVICES.iter().position(|name| *name == submit.device.as_str()).unwrap();
        for write in &submit.writes {
            let stored = &mut self.stored[at];
            let result = if let Some(&seq) = stored.by_n.get(&write.n) {
                Ok(Ack { seq: Seq::new(seq), duplicate: true })
            } else if write.n <= stored.last {
                Err(Refusal::Skipped.to_frame(false))
            } else if self.forbidden.contains(&(at, write.n)) {
                Err(Refusal::Forbidden("no").to_frame(false))
            } else if write.prev != stored.last {
                Err(Refusal::OutOfOrder { last: stored.last }.to_frame(false))
            } else {
                self.head += 1;
                stored.by_n.insert(write.n, self.head);
                stored.last = write.n;
                Ok(Ack { seq: Seq::new(self.head), duplicate: false })
            };
            self.replies.push(SubmitReply {
                correlation: submit.correlation,
                room: room(),
                user: submit.user.clone(),
                device: submit.device.clone(),
                n: write.n,
                result,
            });
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write { device, is_large, forbidden } => self.write(device, is_large, forbidden),
            Step::Submits { which, fate } if !self.submits.is_empty() => {
                let (to, submit) = self.submits.remove(which % self.submits.len());
                for _ in 0..fate.times() {
                    self.submitted(&to, &submit);
                }
            }
            Step::Replies { which, fate } if !self.replies.is_empty() => {
                let reply = self.replies.remove(which % self.replies.len());
                for _ in 0..fate.times() {
                    self.feed(ForwardInput::Reply(reply.clone()));
                }
            }
            Step::Submits { .. } | Step::Replies { .. } => {
                if let Some(from) = self.not_owners.pop() {
                    self.feed(ForwardInput::NotOwner { from });
                }
            }
            Step::Owner { node, known } => {
                self.owner = node;
                let owner = known.then(|| life("n", node));
                self.feed(ForwardInput::Owner(owner));
            }
            Step::Pass(ms) => {
                self.now_ms += ms;
                self.feed(ForwardInput::Tick);
            }
        }
    }

    fn heal(&mut self) {
        for _ in 0..40 {
            while !(self.submits.is_empty() && self.replies.is_empty() && self.not_owners.is_empty()) {
                self.step(Step::Submits { which: 0, fate: Fate::Comes });
                self.step(Step::Replies { which: 0, fate: Fate::Comes });
            }
            self.step(Step::Pass(1_000));
        }
    }
}

impl Fate {
    fn times(self) -> usize {
        match self {
            Self::Comes => 1,
            Self::ComesTwice => 2,
            Self::Lost => 0,
        }
    }
}

proptest! {
    #[test]
    fn every_write_is_answered_in_order_and_truly(steps in vec(step(), 1..300)) {
        let mut world = World::new();
        for &step in &steps {
            world.step(step);
        }
        world.heal();
        prop_assert_eq!(world.forwarding.unanswered(), 0);
        for (client, stored) in world.clients.iter().zip(&world.stored) {
            prop_assert!(client.waiting.is_empty());
            prop_assert!(client.finally_refused.iter().all(|n| !stored.by_n.contains_key(n)), "final was not");
            let seqs: Vec<u64> = stored.by_n.values().copied().collect();
            prop_assert!(seqs.is_sorted(), "a device's order was lost");
        }
    }
}
