//! What nodes ask of the store: it answers at once, late, not at all, or long after nobody waits any more.

use rollcall_actors::cluster::node_core::NodeInput;
use rollcall_actors::fencing::{Answer, Statement};
use rollcall_actors::ports::LogError;
use rollcall_protocol::Seq;

use crate::event::{Asked, Event, Fate, NodeLife, Read, Request, ToOwner};
use crate::faults::FaultKind;
use crate::rebuild::find_expirable;
use crate::sabotage::Sabotage;
use crate::store::RoomStore;
use crate::world::World;

/// A request that is not answered for this long was in vain, in milliseconds.
const TIMEOUT_MS: u64 = 3_000;

/// Entries that are read at once.
const PAGE_ENTRIES_MAX: usize = 50;

impl World {
    /// Sends the store a request, after so many in vain.
    pub fn ask_store(&mut self, from: NodeLife, what: Asked, attempt: u32) {
        let is_away = self.is_store_away(from.node);
        let is_flaky = self.strikes(FaultKind::StoreFlaky, None);
        let is_late = self.strikes(FaultKind::StoreLate, None);
        let chance = if self.is_healed {
            0
        } else if is_flaky {
            300
        } else {
            2
        };
        let fate = if is_away { Fate::Lost } else { self.draw_fate(chance) };
        let wait_ms = if attempt == 0 { 0 } else { 20 << attempt.min(5) };
        let mut delay_ms = wait_ms + if is_late { self.dice.range(1, 400) } else { self.dice.range(1, 5) };
        if is_late {
            self.store_is_bad(from.node, delay_ms);
        }
        let is_given_up = fate != Fate::Answered;
        if is_given_up {
            self.totals.count("answers of the store lost");
            // Some errors come at once, others only as silence.
            let answer_ms = if self.dice.permille(500) { self.dice.range(1, 20) } else { TIMEOUT_MS };
            self.answer_in_vain(from, &what, wait_ms + answer_ms);
            if fate == Fate::AnswerLost && is_late {
                delay_ms += self.dice.range(0, 9_000);
            }
        }
        self.after(delay_ms, Event::AtStore(Box::new(Request { from, what }), fate));
    }

    /// The store has trouble with a node, which learns of it after so many milliseconds.
    fn store_is_bad(&mut self, node: usize, for_ms: u64) {
        let until_ms = self.now_ms + for_ms;
        let node = &mut self.nodes[node];
        node.store_was_bad_at_ms = node.store_was_bad_at_ms.max(until_ms);
    }

    fn is_store_away(&self, node: usize) -> bool {
        self.strikes(FaultKind::StoreDown, None) || self.strikes(FaultKind::StoreCut, Some(node))
    }

    /// A request arrives.
    pub fn run_at_store(&mut self, request: Request, fate: Fate) {
        let Request { from, what } = request;
        if fate == Fate::Lost {
            return;
        }
        let is_answered = fate == Fate::Answered;
        if is_answered && self.is_store_away(from.node) {
            return self.answer_in_vain(from, &what, 10);
        }
        let delay_ms = self.dice.range(1, 5);
        let event = match what {
            Asked::Statement { room, life, number, statement } => {
                if !is_answered {
                    self.totals.count("statements carried out after they were given up");
                }
                let statement = self.spoil(statement);
                let answer = self.store.run(&room, &statement, self.sabotage);
                self.say(|| format!("  store: n{} {room} {statement:?} -> {answer:?}", from.node));
                Event::ToOwner(from, room, life, Box::new(ToOwner::Answer(number, answer)))
            }
            Asked::Takeover(life, takeover) => {
                let room = takeover.room.clone();
                if self.sabotage != Some(Sabotage::TakeoversNotNoted) {
                    self.store.insert_takeover(self.now_ms, takeover);
                }
                Event::ToNode(from, Box::new(NodeInput::Noticed { room, life, is_inserted: true }))
            }
            Asked::Read(read) => self.read(from, *read),
        };
        if is_answered {
            self.after(delay_ms, event);
        }
    }

    /// Stores less than was asked, where that is what is spoilt.
    fn spoil(&self, statement: Statement) -> Statement {
        match statement {
            Statement::Append { bucket, fence, last_seq, entries }
                if self.sabotage == Some(Sabotage::TornAppend) && entries.len() > 1 =>
            {
                let entries = entries[..entries.len() / 2].into();
                Statement::Append { bucket, fence, last_seq, entries }
            }
            statement => statement,
        }
    }

    fn read(&mut self, from: NodeLife, read: Read) -> Event {
        let to_node = |input| Event::ToNode(from, Box::new(input));
        match read {
            Read::Tail(room, asker) => {
                let tail = self.store.get(&room).and_then(RoomStore::tail);
                // A bucket that was opened and never written to is a room that nobody wrote to.
                to_node(NodeInput::Tail { room, asker, result: Ok(tail) })
            }
            Read::Entries { room, life, read, after, through } => {
                let rows = self.store.get(&room);
                let floor = rows.map_or(Seq::FIRST, RoomStore::floor);
                let entries = rows.into_iter().flat_map(|rows| rows.after(after));
                let entries = entries.take_while(|entry| entry.seq <= through).take(PAGE_ENTRIES_MAX).cloned();
                let is_expired = after.next() < floor;
                let result = if is_expired { Err(LogError::Expired { floor }) } else { Ok(entries.collect()) };
                self.totals.count("gap repairs by replicas");
                to_node(NodeInput::Entries { room, life, read, result })
            }
            Read::Takeovers(sent_at_ms) => {
                let rows = Some(self.store.takeovers(self.now_ms));
                to_node(NodeInput::Takeovers { sent_at_ms, rows })
            }
            Read::Page(conn, room) => Event::PageRead(from, conn, room, true),
            Read::Snapshot(room, life) => {
                let newest = self.store.get(&room).and_then(|rows| rows.snapshots.keys().last().copied());
                Event::ToOwner(from, room, life, Box::new(ToOwner::Began(Some(newest.unwrap_or(Seq::ZERO)))))
            }
            Read::Replay(room, life) => Event::ToOwner(from, room, life, Box::new(ToOwner::Replay(true))),
            Read::Expirable(room, life, expirable) => {
                let found = find_expirable(self.store.get(&room), &room, expirable);
                Event::ToOwner(from, room, life, Box::new(ToOwner::Found(found)))
            }
            Read::Keep(room, life, snapshot) => {
                let seq = snapshot.seq;
                if self.sabotage != Some(Sabotage::SnapshotNotReadBack) {
                    self.store.room(&room).snapshots.insert(seq, snapshot);
                }
                Event::ToOwner(from, room, life, Box::new(ToOwner::Kept(Some(seq))))
            }
        }
    }

    /// Says after a while that a request was in vain: it may have been carried out or not.
    fn answer_in_vain(&mut self, from: NodeLife, what: &Asked, delay_ms: u64) {
        self.store_is_bad(from.node, delay_ms);
        let failed = || LogError::Unavailable("no answer".to_owned());
        let to_node = |input| Event::ToNode(from, Box::new(input));
        let to_owner = |room: &rollcall_protocol::RoomId, life: u64, input| {
            Event::ToOwner(from, room.clone(), life, Box::new(input))
        };
        let event = match what {
            Asked::Statement { room, life, number, .. } => {
                to_owner(room, *life, ToOwner::Answer(*number, Answer::Unknown("no answer".to_owned())))
            }
            Asked::Takeover(life, takeover) => {
                to_node(NodeInput::Noticed { room: takeover.room.clone(), life: *life, is_inserted: false })
            }
            Asked::Read(read) => match &**read {
                Read::Tail(room, asker) => {
                    to_node(NodeInput::Tail { room: room.clone(), asker: *asker, result: Err(failed()) })
                }
                Read::Entries { room, life, read, .. } => {
                    let result = Err(failed());
                    to_node(NodeInput::Entries { room: room.clone(), life: *life, read: *read, result })
                }
                Read::Takeovers(sent_at_ms) => to_node(NodeInput::Takeovers { sent_at_ms: *sent_at_ms, rows: None }),
                Read::Page(conn, room) => Event::PageRead(from, *conn, room.clone(), false),
                Read::Snapshot(room, life) => to_owner(room, *life, ToOwner::Began(None)),
                Read::Replay(room, life) => to_owner(room, *life, ToOwner::Replay(false)),
                Read::Expirable(room, life, _) => to_owner(room, *life, ToOwner::Found(Err(failed()))),
                Read::Keep(room, life, _) => to_owner(room, *life, ToOwner::Kept(None)),
            },
        };
        self.after(delay_ms, event);
    }
}
