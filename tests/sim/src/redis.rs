//! Redis: one server that answers at once, late, or not at all.

use rollcall_actors::cluster::node_core::{Asker, NodeInput};
use rollcall_actors::cluster::ownership::{RedisAnswer, RedisCommand, RedisKeys};

use crate::event::{Event, Fate, NodeLife};
use crate::faults::FaultKind;
use crate::world::World;

/// A command that is not answered for this long has failed, in milliseconds.
const TIMEOUT_MS: u64 = 1_000;

/// What Redis holds, and what it held a while ago.
#[derive(Debug, Default)]
pub struct Redis {
    /// What it holds.
    pub keys: RedisKeys,
    /// What it will hold when it goes back.
    pub saved: RedisKeys,
}

impl World {
    /// Sends a command on its way.
    pub fn send_to_redis(&mut self, life: NodeLife, asker: Asker, command: RedisCommand) {
        if self.is_redis_away(life.node) {
            let delay_ms = self.dice.range(1, 200);
            return self.redis_failed(life, asker, delay_ms);
        }
        let is_flaky = self.strikes(FaultKind::RedisFlaky, Some(life.node));
        let chance = if self.is_healed {
            0
        } else if is_flaky {
            250
        } else {
            2
        };
        let fate = self.draw_fate(chance);
        if fate != Fate::Answered {
            self.totals.count("answers of Redis lost");
            self.redis_failed(life, asker.clone(), TIMEOUT_MS);
        }
        let delay_ms = if is_flaky { self.dice.range(1, 700) } else { self.dice.range(1, 4) };
        self.after(delay_ms, Event::AtRedis(life, asker, command, fate));
    }

    /// Tells whether Redis does not answer a node.
    pub fn is_redis_away(&self, node: usize) -> bool {
        self.strikes(FaultKind::RedisDown, None) || self.strikes(FaultKind::RedisCut, Some(node))
    }

    /// Draws what becomes of a request, at this chance of a loss out of a thousand.
    pub fn draw_fate(&mut self, chance: u64) -> Fate {
        match self.dice.permille(chance) {
            false => Fate::Answered,
            true if self.dice.permille(500) => Fate::AnswerLost,
            true => Fate::Lost,
        }
    }

    fn redis_failed(&mut self, life: NodeLife, asker: Asker, delay_ms: u64) {
        let answer = RedisAnswer::Failed("no answer".to_owned());
        self.after(delay_ms, Event::ToNode(life, Box::new(NodeInput::Redis { asker, answer })));
    }

    /// A command arrives.
    pub fn run_at_redis(&mut self, life: NodeLife, asker: Asker, command: &RedisCommand, fate: Fate) {
        if fate == Fate::Lost {
            return;
        }
        if fate == Fate::Answered && self.is_redis_away(life.node) {
            return self.redis_failed(life, asker, 5);
        }
        let answer = self.redis.keys.run(self.wall_ms().cast_unsigned(), command);
        if fate == Fate::Answered {
            let delay_ms = self.dice.range(1, 4);
            self.after(delay_ms, Event::ToNode(life, Box::new(NodeInput::Redis { asker, answer })));
        }
    }

    /// Returns the true time of day, in milliseconds since 1970.
    pub fn wall_ms(&self) -> i64 {
        1_790_000_000_000 + self.now_ms.cast_signed()
    }
}
