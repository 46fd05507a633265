//! The bus: carries envelopes at most once as a rule, late, in any order, or not at all.

use bytes::Bytes;
use rollcall_actors::cluster::node_core::NodeInput;
use rollcall_actors::cluster::{Envelope, Payload};
use rollcall_actors::ports::NodeId;

use crate::event::Event;
use crate::faults::FaultKind;
use crate::sabotage::Sabotage;
use crate::world::World;

impl World {
    /// Publishes an envelope.
    pub fn put_on_bus(&mut self, from: usize, to: &NodeId, bytes: &Bytes) {
        let Some(to) = self.nodes.iter().position(|node| node.me().node == *to) else { return };
        self.totals.count("envelopes sent");
        let is_lossy = self.strikes(FaultKind::BusLossy, None);
        let lost = if self.is_healed {
            0
        } else if is_lossy {
            300
        } else {
            3
        };
        if self.is_cut_off(from) || self.strikes(FaultKind::BusMute, Some(from)) || self.dice.permille(lost) {
            return self.totals.count("envelopes lost");
        }
        let repeated = if self.is_healed {
            0
        } else if is_lossy {
            150
        } else {
            5
        };
        let copies = if self.dice.permille(repeated) { 2 } else { 1 };
        self.totals.add("envelopes repeated", copies - 1);
        for _ in 0..copies {
            let is_late = !self.is_healed && self.dice.permille(if is_lossy { 250 } else { 20 });
            let delay_ms = if is_late { self.dice.range(5, 400) } else { self.dice.range(1, 4) };
            self.after(delay_ms, Event::Arrive(to, bytes.clone()));
        }
    }

    fn is_cut_off(&self, node: usize) -> bool {
        self.is_redis_away(node) || self.strikes(FaultKind::BusCut, Some(node))
    }

    /// An envelope arrives where a node listens.
    pub fn envelope_arrives(&mut self, node: usize, bytes: &Bytes) {
        if self.is_cut_off(node) || self.strikes(FaultKind::BusDeaf, Some(node)) {
            return self.totals.count("envelopes lost");
        }
        let Some(life) = self.life_of(node) else { return };
        let mut envelope = Envelope::decode(bytes).expect("what was sealed can be read");
        if !envelope.is_for(&self.nodes[node].me()) {
            self.totals.count("envelopes for another life");
        }
        if self.sabotage == Some(Sabotage::NotOwnerIgnored) {
            envelope.payloads.retain(|payload| !matches!(payload, Payload::NotOwner { .. }));
            for payload in &mut envelope.payloads {
                if let Payload::Beacon(beacon) = payload {
                    beacon.released.clear();
                }
            }
        }
        if self.sabotage == Some(Sabotage::BufferDeliversOutOfOrder) {
            for payload in &envelope.payloads {
                if let Payload::Batch(batch) = payload {
                    self.show(life, &batch.room, &batch.entries);
                }
            }
        }
        // A node that stands still finds it when it goes on.
        self.after(0, Event::ToNode(life, Box::new(NodeInput::Received(envelope))));
    }

    /// The subscription of a node is confirmed again; a little later it hears of that.
    pub fn bus_returns(&mut self, node: usize) {
        let delay_ms = self.dice.range(0, 300);
        if let Some(life) = self.life_of(node) {
            self.after(delay_ms, Event::ToNode(life, Box::new(NodeInput::BusReturned)));
        }
    }
}
