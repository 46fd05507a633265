//! Makes things go wrong, and right again.

use rollcall_actors::cluster::node_core::NodeInput;
use rollcall_actors::cluster::ownership::{RedisKeys, epoch_key, owner_key, seq_key};
use rollcall_client::session::Input;

use rollcall_protocol::Seq;

use crate::event::{Event, ToOwner};
use crate::faults::{Fault, FaultKind};
use crate::world::World;

impl World {
    /// Tells whether a fault of this kind strikes now: this node, where one is given.
    pub fn strikes(&self, kind: FaultKind, node: Option<usize>) -> bool {
        let meets = |fault: &Fault| node.is_none_or(|node| self.node_of(fault) == node);
        self.weather.now.iter().any(|fault| fault.kind == kind && meets(fault))
    }

    fn node_of(&self, fault: &Fault) -> usize {
        fault.whom % self.nodes.len()
    }

    fn client_of(&self, fault: &Fault) -> usize {
        fault.whom % self.clients.len()
    }

    /// A fault begins.
    pub fn fault_begins(&mut self, fault: Fault) {
        self.totals.fault(fault.kind);
        self.say(|| format!("*** begins: {fault:?}"));
        // What Redis goes back to lies at any distance.
        if self.dice.permille(400) {
            self.redis.saved = self.redis.keys.clone();
        }
        let node = self.node_of(&fault);
        let client = self.client_of(&fault);
        match fault.kind {
            FaultKind::Crash => self.kill_node(node),
            FaultKind::Pause => {
                if self.nodes[node].alive.is_some() {
                    let until_ms = self.nodes[node].paused_until_ms;
                    self.nodes[node].paused_until_ms = until_ms.max(Some(self.now_ms + fault.lasts_ms));
                }
            }
            FaultKind::Drain => {
                if let Some(life) = self.life_of(node) {
                    self.going_away(life);
                    self.after(0, Event::ToNode(life, Box::new(NodeInput::Drain)));
                }
            }
            FaultKind::GiveUp => {
                let room = self.rooms[fault.whom % self.rooms.len()].clone();
                for at in 0..self.nodes.len() {
                    if let Some(life) = self.life_of(at) {
                        self.after(0, Event::ToNode(life, Box::new(NodeInput::GiveUp(room.clone()))));
                    }
                }
            }
            FaultKind::ClockWrong => {
                let by = self.dice.range(500, 20_000).cast_signed();
                self.nodes[node].clock_ahead_ms = if self.dice.permille(500) { by } else { -by };
            }
            FaultKind::RedisWiped => self.redis.keys = RedisKeys::default(),
            FaultKind::RedisRewound => self.redis.keys = self.redis.saved.clone(),
            FaultKind::RedisGarbled => self.garble(fault.whom),
            FaultKind::Expire => self.expire(fault.whom),
            FaultKind::ClientCut => self.cut_client(client),
            FaultKind::ClientStalled => {
                let until_ms = self.now_ms + fault.lasts_ms;
                if let Some(conn) = self.clients[client].conn
                    && let Some(connection) = self.connections.get_mut(conn)
                {
                    connection.stalled_until_ms = until_ms + 60_000;
                }
            }
            FaultKind::ClientRestart => self.kill_client(client, false),
            FaultKind::ClientLost => self.kill_client(client, true),
            FaultKind::BusCut
            | FaultKind::BusDeaf
            | FaultKind::BusMute
            | FaultKind::BusLossy
            | FaultKind::RedisDown
            | FaultKind::RedisCut
            | FaultKind::RedisFlaky
            | FaultKind::StoreDown
            | FaultKind::StoreCut
            | FaultKind::StoreFlaky
            | FaultKind::StoreLate => {}
        }
        self.weather.now.push(fault);
        self.after(fault.lasts_ms, Event::End(fault));
    }

    /// A fault ends.
    pub fn fault_ends(&mut self, fault: Fault) {
        self.say(|| format!("*** ends: {fault:?}"));
        if let Some(place) = self.weather.now.iter().position(|now| *now == fault) {
            self.weather.now.remove(place);
        }
        let node = self.node_of(&fault);
        match fault.kind {
            FaultKind::Crash => self.start_node(node),
            FaultKind::Pause => {
                let now_ms = self.now_ms;
                let node = &mut self.nodes[node];
                // Another may have begun meanwhile that lasts longer.
                if node.paused_until_ms.take_if(|until_ms| *until_ms <= now_ms).is_some() {
                    node.awake_since_ms = now_ms;
                }
            }
            FaultKind::Drain => {
                self.kill_node(node);
                self.start_node(node);
            }
            FaultKind::ClockWrong => self.nodes[node].clock_ahead_ms = 0,
            FaultKind::BusCut | FaultKind::BusDeaf | FaultKind::BusMute | FaultKind::RedisCut => self.bus_returns(node),
            FaultKind::RedisDown => (0..self.nodes.len()).for_each(|at| self.bus_returns(at)),
            FaultKind::ClientStalled => {
                let client = self.client_of(&fault);
                self.cut_client(client);
            }
            FaultKind::ClientRestart | FaultKind::ClientLost => {
                let client = self.client_of(&fault);
                if self.clients[client].session.is_none() {
                    self.start_client(client);
                }
            }
            _ => {}
        }
    }

    /// Asks every owner of a room, of which there may be several that think so, to let all but some of its entries expire.
    fn expire(&mut self, whom: usize) {
        let room = self.rooms[whom % self.rooms.len()].clone();
        let head = self.store.get(&room).map_or(0, |rows| rows.head().get());
        let before = Seq::new(head.saturating_sub(self.dice.range(0, 40)));
        for at in 0..self.nodes.len() {
            let owner = self.nodes[at].alive.as_ref().and_then(|alive| Some(alive.owners.get(&room)?.life));
            if let Some((life, owner)) = self.life_of(at).zip(owner) {
                self.after(0, Event::ToOwner(life, room.clone(), owner, Box::new(ToOwner::Expire(before))));
            }
        }
    }

    /// Puts what is not so under a room's keys.
    fn garble(&mut self, whom: usize) {
        let room = self.rooms[whom % self.rooms.len()].clone();
        let head = self.store.get(&room).map_or(0, |rows| rows.head().get());
        let beyond = head + self.dice.range(1, 2_000);
        let epoch = ["no number", "-7", "1", "9007199254740991", "99999999999999999999"][self.dice.place(5)];
        let somebody = self.nodes[self.dice.place(self.nodes.len())].me();
        let owner = match self.dice.range(0, 4) {
            0 => "who knows".to_owned(),
            1 => format!("{} {} {}", self.dice.range(1, 1_000), somebody.node.0, somebody.incarnation),
            2 => format!("1 {} {}", somebody.node.0, somebody.incarnation),
            _ => String::new(),
        };
        self.redis.keys.set(seq_key(&room), beyond.to_string().into());
        self.redis.keys.set(epoch_key(&room), epoch.into());
        self.redis.keys.set(owner_key(&room), owner.into());
    }

    fn cut_client(&mut self, client: usize) {
        let life = self.clients[client].life;
        if let Some(conn) = self.clients[client].conn {
            self.after(0, Event::ToClient(client, life, Some(conn), Box::new(Input::Closed { code: None })));
        }
    }
}
