//! A node's lease: `node:{<id>}` in Redis, by which the others know that it lives. Who owns what rests on it; nothing that is
//! committed does.
//!
//! ```text
//! Claiming ── nobody has the name ──▶ Held ── renewed each second ──▶ Held
//!    ▲  │                              │ another life has the key: Lost
//!    │  └─ another life keeps it alive ┼──▶ NameTaken: one of the two must go, and it is the one that came later
//!    └─────────────────────────────────┘
//! ```

use std::sync::Arc;

use super::checked_clock::CheckedClock;
use super::node::{Incarnation, NodeRef};
use super::ownership::{NodeRecord, RedisAnswer, RedisCommand};

#[cfg(test)]
mod tests;

/// How long a lease lives after its last renewal, in milliseconds.
pub const LEASE_MS: u64 = 3_000;

/// How often a lease is renewed, in milliseconds.
pub const RENEW_EVERY_MS: u64 = 1_000;

/// How far a node's clock may be from that of Redis, in milliseconds.
pub const CLOCK_SKEW_MS_MAX: u64 = 5_000;

/// A lease that ends this much later than it did before, in milliseconds, was renewed: reading how long it lives takes less.
const RENEWED_BY_MS: u64 = 500;

/// How long another life's key is waited for, in milliseconds: a process that was killed leaves one for the length of a lease.
const CLAIM_MS_MAX: u64 = 3 * LEASE_MS;

/// The time, twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Now {
    /// Milliseconds of a clock that never goes back.
    pub mono_ms: u64,
    /// Milliseconds since 1970, as entries are stamped.
    pub wall_ms: i64,
}

/// What happens to a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseInput {
    /// Time has passed.
    Tick,
    /// What became of the command that was run last.
    Answer(RedisAnswer),
    /// Whether the node takes rooms has changed: it drains.
    TakesRooms(bool),
    /// The node stops: the name is given back.
    Stop,
}

/// What a lease wants to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseEffect {
    /// Run this, and give one answer. No further command is run before that.
    Run(RedisCommand),
    /// The key held this life of the node and lives on; the renewal was sent then.
    Renewed {
        /// When, in milliseconds of the monotonic clock.
        sent_at_ms: u64,
    },
    /// The key did not hold this life of the node, though it should have: others may have taken its rooms. Where nobody had it, it
    /// is held again; what else is kept in Redis is probably lost too and should be written again.
    Lost,
    /// Redis answers again after it did not.
    Returned,
    /// The node's standing has changed.
    Standing(Standing),
    /// The name was given back as far as that can be told; nothing is run any more.
    Over,
}

/// Whether a node may serve in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It asks for its name, or Redis has not answered yet. It takes no rooms.
    Claiming,
    /// It is a member. Without Redis it stays one.
    Member,
    /// Its clock is wrong. It takes no rooms.
    ClockWrong {
        /// How far it is ahead of Redis at least, in milliseconds; negative where it is behind.
        ahead_ms: i64,
    },
    /// Another process runs under this name and keeps it alive. The node cannot go on, and should say so and stop.
    NameTaken {
        /// Which life of the name that is.
        by: Incarnation,
    },
}

/// A node's own lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    me: NodeRef,
    connect: Option<Arc<str>>,
    drains: bool,
    /// Whether the key held this life of the node when it was last heard of.
    held: bool,
    rival: Option<Rival>,
    ahead_ms: i64,
    /// Since Redis's clock was last found to be this node's; none where it was another.
    clock: Option<CheckedClock>,
    standing: Standing,
    away: bool,
    stopping: Option<Stopping>,
    in_flight: Option<Now>,
    next_at_ms: u64,
}

/// Another life that has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Rival {
    incarnation: Incarnation,
    since_ms: u64,
    /// When its lease would end.
    ends_at_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stopping {
    Asked,
    Deleting,
    Over,
}

impl Lease {
    /// Begins to ask for a name; the first [`LeaseInput::Tick`] asks Redis. `connect` is where clients find the node, if that is to
    /// be told.
    pub fn new(me: NodeRef, connect: Option<Arc<str>>) -> Self {
        Self {
            me,
            connect,
            drains: false,
            held: false,
            rival: None,
            ahead_ms: 0,
            clock: None,
            standing: Standing::Claiming,
            away: false,
            stopping: None,
            in_flight: None,
            next_at_ms: 0,
        }
    }

    /// Takes one input and appends what is to be done to `effects`.
    ///
    /// # Panics
    /// Where an answer follows no command, or does not fit it: faults of the caller.
    pub fn handle(&mut self, now: Now, input: LeaseInput, effects: &mut Vec<LeaseEffect>) {
        match input {
            LeaseInput::Tick => {}
            LeaseInput::TakesRooms(takes) => {
                self.drains = !takes;
                self.next_at_ms = now.mono_ms;
            }
            LeaseInput::Stop => {
                self.stopping.get_or_insert(Stopping::Asked);
            }
            LeaseInput::Answer(answer) => {
                let sent = self.in_flight.take().expect("an answer follows a command");
                self.answer(sent, now, answer, effects);
            }
        }
        self.run_next(now, effects);
    }

    /// Returns when time matters next, in milliseconds of the monotonic clock; none while an answer is awaited, and at the end.
    pub fn wakes_at_ms(&self) -> Option<u64> {
        (self.in_flight.is_none() && self.stopping.is_none()).then_some(self.next_at_ms)
    }

    /// Returns the node's standing.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Returns how the node's clock stood when it was last compared with that of Redis; none where it was another then.
    pub fn clock(&self) -> Option<CheckedClock> {
        self.clock
    }

    /// Tells whether the node may activate rooms.
    pub fn takes_rooms(&self) -> bool {
        self.standing == Standing::Member && !self.drains && self.stopping.is_none()
    }

    /// Tells whether Redis did not answer the last time.
    pub fn is_away(&self) -> bool {
        self.away
    }

    fn run_next(&mut self, now: Now, effects: &mut Vec<LeaseEffect>) {
        if self.in_flight.is_some() {
            return;
        }
        let node = self.me.node.clone();
        let command = match self.stopping {
            // A renewal that is still under way is waited for: it would bring the key back.
            Some(Stopping::Asked) if self.held && !self.away => {
                self.stopping = Some(Stopping::Deleting);
                RedisCommand::DeleteNode { node, incarnation: self.me.incarnation }
            }
            Some(Stopping::Asked) => {
                self.stopping = Some(Stopping::Over);
                return effects.push(LeaseEffect::Over);
            }
            Some(Stopping::Deleting | Stopping::Over) => return,
            None if now.mono_ms < self.next_at_ms => return,
            None => {
                let takes_rooms = self.takes_rooms();
                let record =
                    NodeRecord { incarnation: self.me.incarnation, takes_rooms, connect: self.connect.clone() };
                RedisCommand::RenewNode { node, record, ttl_ms: LEASE_MS }
            }
        };
        self.in_flight = Some(now);
        self.next_at_ms = now.mono_ms + RENEW_EVERY_MS;
        effects.push(LeaseEffect::Run(command));
    }

    fn answer(&mut self, sent: Now, now: Now, answer: RedisAnswer, effects: &mut Vec<LeaseEffect>) {
        if self.stopping == Some(Stopping::Deleting) {
            self.stopping = Some(Stopping::Over);
            return effects.push(LeaseEffect::Over);
        }
        let (held, held_ttl_ms, redis_ms) = match answer {
            RedisAnswer::Renewal { held, held_ttl_ms, redis_ms } => (held, held_ttl_ms, redis_ms),
            RedisAnswer::Failed(_) => {
                self.away = true;
                return;
            }
            other => panic!("{other:?} does not answer a renewal"),
        };
        if std::mem::take(&mut self.away) {
            effects.push(LeaseEffect::Returned);
        }
        self.ahead_ms = ahead_ms(sent, now, redis_ms);
        // One that was set while Redis looked at its own is known to be right the next time.
        let checked = CheckedClock::at(sent);
        self.clock = (self.ahead_ms == 0 && checked.has_run_evenly(now)).then_some(checked);
        // What is no record of a node is nobody's: it is in the way until it ends, or for ever.
        let incarnation = held.as_ref().map(|held| NodeRecord::parse(held).map_or(Incarnation(0), |it| it.incarnation));
        match incarnation {
            Some(mine) if mine == self.me.incarnation => self.renewed(sent, effects),
            None => {
                if self.held {
                    effects.push(LeaseEffect::Lost);
                }
                self.renewed(sent, effects);
            }
            Some(other) => {
                if std::mem::take(&mut self.held) {
                    effects.push(LeaseEffect::Lost);
                }
                self.found_rival(now.mono_ms, other, held_ttl_ms, effects);
            }
        }
        self.tell_standing(now.mono_ms, effects);
    }

    fn renewed(&mut self, sent: Now, effects: &mut Vec<LeaseEffect>) {
        self.held = true;
        self.rival = None;
        effects.push(LeaseEffect::Renewed { sent_at_ms: sent.mono_ms });
    }

    fn found_rival(&mut self, now_ms: u64, incarnation: Incarnation, ttl_ms: u64, effects: &mut Vec<LeaseEffect>) {
        let ends_at_ms = now_ms + ttl_ms;
        let rival = *self.rival.get_or_insert(Rival { incarnation, since_ms: now_ms, ends_at_ms });
        let lives = rival.incarnation == incarnation && ends_at_ms >= rival.ends_at_ms + RENEWED_BY_MS;
        if lives || now_ms >= rival.since_ms + CLAIM_MS_MAX {
            self.set_standing(Standing::NameTaken { by: incarnation }, effects);
        } else {
            self.rival = Some(Rival { incarnation, since_ms: rival.since_ms, ends_at_ms });
            self.set_standing(Standing::Claiming, effects);
        }
    }

    /// Says where a node stands that has its name, and renews at once what the others read of it.
    fn tell_standing(&mut self, now_ms: u64, effects: &mut Vec<LeaseEffect>) {
        if !self.held {
            return;
        }
        let standing = match self.ahead_ms {
            0 => Standing::Member,
            ahead_ms => Standing::ClockWrong { ahead_ms },
        };
        let took_rooms = self.takes_rooms();
        self.set_standing(standing, effects);
        if self.takes_rooms() != took_rooms {
            self.next_at_ms = now_ms;
        }
    }

    fn set_standing(&mut self, standing: Standing, effects: &mut Vec<LeaseEffect>) {
        let before = std::mem::replace(&mut self.standing, standing);
        if std::mem::discriminant(&before) != std::mem::discriminant(&standing) {
            effects.push(LeaseEffect::Standing(standing));
        }
    }
}

/// Returns how far the node's clock is ahead of that of Redis, in milliseconds: 0 within [`CLOCK_SKEW_MS_MAX`]. Redis looked at its
/// clock somewhere between sending and answer, so a slow answer shows less, and never too much.
fn ahead_ms(sent: Now, received: Now, redis_ms: i64) -> i64 {
    let (earliest, latest) = (sent.wall_ms.min(received.wall_ms), sent.wall_ms.max(received.wall_ms));
    let ahead = if redis_ms < earliest {
        earliest - redis_ms
    } else if redis_ms > latest {
        latest - redis_ms
    } else {
        0
    };
    if ahead.unsigned_abs() > CLOCK_SKEW_MS_MAX { ahead } else { 0 }
}
