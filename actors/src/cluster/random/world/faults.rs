//! What goes wrong in a random run.

use rollcall_protocol::{Epoch, RoomId};

use super::{NODES, ROOMS, World};
use crate::cluster::random::nodes::SimNode;
use crate::cluster::test_rooms::room;
use crate::cluster::{Incarnation, NodeRef};

impl World {
    /// Ends all faults.
    pub fn heal(&mut self) {
        self.healed = true;
        self.paused_until_ms = [self.now_ms; 3];
        self.unaware_until_ms = [self.now_ms; 3];
        let (bus, cuts) = (self.bus_down_until_ms.is_some(), self.cut_until_ms);
        self.bus_down_until_ms = None;
        self.cut_until_ms = [None; 3];
        for (at, cut) in cuts.into_iter().enumerate() {
            if bus || cut.is_some() {
                self.on_node(at, SimNode::reconnected);
            }
        }
    }

    /// Lets something go wrong, now and then.
    pub(super) fn fail(&mut self) {
        let at = usize::try_from(self.dice.range(0, 3)).unwrap();
        let room = room(self.dice.pick(&ROOMS[..]));
        match self.dice.range(0, 2_000) {
            0..8 if self.now_ms >= self.paused_until_ms[at] => {
                self.totals.pauses += 1;
                self.paused_until_ms[at] = self.now_ms + self.dice.range(100, 3_000);
            }
            8..16 => self.cut_until_ms[at] = Some(self.now_ms + self.dice.range(50, 2_500)),
            16..20 => self.bus_down_until_ms = Some(self.now_ms + self.dice.range(50, 3_000)),
            20..26 => self.restart(at),
            26..36 => self.hand_over(&room, at),
            36..46 => self.activate(&room, at),
            _ => {}
        }
    }

    pub(super) fn end_cuts(&mut self) {
        let now_ms = self.now_ms;
        let bus_is_back = self.bus_down_until_ms.take_if(|until| now_ms >= *until).is_some();
        for at in 0..NODES.len() {
            if self.cut_until_ms[at].take_if(|until| now_ms >= *until).is_some() || bus_is_back {
                self.on_node(at, SimNode::reconnected);
            }
        }
    }

    /// A node crashes and begins another life.
    fn restart(&mut self, at: usize) {
        self.totals.restarts += 1;
        self.collect_gaps(at);
        let me = &self.nodes[at].me;
        let me = NodeRef { incarnation: Incarnation(me.incarnation.0 + 1), ..me.clone() };
        self.nodes[at] = SimNode::new(me, self.now_ms);
        self.paused_until_ms[at] = 0;
        self.owners.values_mut().for_each(|owner| *owner = owner.filter(|&owner| owner != at));
        self.on_node(at, |node, now_ms, wants| {
            ROOMS.iter().for_each(|name| node.show(now_ms, &room(name), wants));
        });
    }

    /// The owner gives a room to another node.
    fn hand_over(&mut self, room: &RoomId, to: usize) {
        let Some(owner) = self.owners[room] else { return };
        if owner == to || [owner, to].iter().any(|&at| self.now_ms < self.paused_until_ms[at]) {
            return;
        }
        self.totals.hand_overs += 1;
        let hint = self.dice.percent(50).then(|| self.nodes[to].me.clone());
        self.on_node(owner, |node, now_ms, wants| node.give_up(now_ms, room, hint.as_ref(), wants));
        self.begin_to_own(room, to);
    }

    /// A node fences the room, and whoever owned it does not notice by itself.
    pub(super) fn activate(&mut self, room: &RoomId, at: usize) {
        if self.owners[room] == Some(at) || self.now_ms < self.paused_until_ms[at] {
            return;
        }
        self.totals.takeovers += 1;
        if let Some(before) = self.owners[room] {
            self.unaware_until_ms[before] = self.now_ms + self.dice.range(0, 6_000);
        }
        if self.dice.percent(50) {
            let until_ms = self.now_ms + self.dice.range(500, 5_000);
            self.rewound.insert(room.clone(), (until_ms, self.owner_of(room)));
        }
        self.begin_to_own(room, at);
        self.takeovers.push((room.clone(), Epoch::new(self.epochs[room])));
    }
}
