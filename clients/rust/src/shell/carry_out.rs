//! Carries out what the session says.

use std::task::{Context, Waker};

use futures_util::SinkExt as _;
use rand::Rng as _;
use rollcall_protocol::{Format, OutgoingCommand, RoomId};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::driver::{Connection, Driver};
use super::request::Sink;
use crate::event::RoomEvent;
use crate::session::{Effect, Input};
use crate::state::State;

impl Driver {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Connect => {
                let draw = self.random.next_u64();
                self.connection = Connection::Opening(self.parts.endpoints.open(draw, Instant::now()));
            }
            Effect::AvoidServer => self.parts.endpoints.avoid_last(Instant::now()),
            Effect::Disconnect => self.disconnect(),
            Effect::Send(command) => self.outgoing.push_back(encode(self.parts.endpoints.format(), &command)),
            Effect::FetchToken => self.token = self.parts.provider.as_ref().map(|provider| provider.token()),
            Effect::State(state) => self.state(state),
            Effect::Remember(change) => {
                if let Some(keeper) = &mut self.parts.keeper {
                    keeper.remember(change);
                }
            }
            Effect::Deliver { room, event } => self.deliver(&room, event),
            Effect::JoinEnded { room, outcome } => {
                let is_refused = outcome.is_err();
                if let Some(answer) = self.lines.get_mut(&room).and_then(|line| line.joining.take()) {
                    // Whoever waited may be gone; the handle's end then leaves the room.
                    answer.send(outcome).ok();
                }
                if is_refused {
                    self.end_line(&room);
                }
            }
            Effect::WriteEnded { ticket, outcome } => {
                if let Some(writer) = self.writers.remove(&ticket) {
                    writer.answer.send(outcome).ok();
                }
            }
            Effect::QueryEnded { query, outcome } => {
                if let Some(answer) = self.queries.remove(&query) {
                    answer.send(outcome).ok();
                }
            }
        }
    }

    fn deliver(&mut self, room: &RoomId, event: RoomEvent) {
        let Some(line) = self.lines.get_mut(room) else { return };
        let is_last = matches!(event, RoomEvent::Refused(_));
        match &mut line.sink {
            Sink::Queue(queue) => queue.push(event),
            Sink::Handler(handler) => {
                let cursor = match &event {
                    RoomEvent::Entries(batch) if self.parts.keeper.is_some() => Some(batch.cursor()),
                    _ => None,
                };
                handler(event);
                if let Some(cursor) = cursor {
                    self.input(Input::Processed { room: room.clone(), cursor });
                }
            }
        }
        if is_last {
            self.end_line(room);
        }
    }

    fn state(&mut self, state: State) {
        tracing::debug!(?state, "the client's state");
        if matches!(state, State::Stopped { .. }) {
            self.is_stopped = true;
            let rooms: Vec<RoomId> = self.lines.keys().cloned().collect();
            rooms.iter().for_each(|room| self.end_line(room));
        }
        self.parts.state.send_replace(state);
    }

    /// Lets a room's reader know that nothing follows.
    pub(super) fn end_line(&mut self, room: &RoomId) {
        if let Some(line) = self.lines.remove(room)
            && let Sink::Queue(queue) = line.sink
        {
            queue.end();
        }
    }

    /// Drops the connection, with a word of good-bye if the socket takes it at once.
    fn disconnect(&mut self) {
        if let Connection::Open(socket) = &mut self.connection {
            let context = &mut Context::from_waker(Waker::noop());
            if socket.start_send_unpin(Message::Close(None)).is_ok() {
                // A server that does not get it notices the closed socket.
                let _is_flushed = socket.poll_flush_unpin(context).is_ready();
            }
        }
        self.drop_connection();
    }

    /// Drops the connection and what was to be sent on it.
    pub(super) fn drop_connection(&mut self) {
        self.connection = Connection::None;
        self.outgoing.clear();
        self.is_unflushed = false;
    }
}

fn encode(format: Format, command: &OutgoingCommand) -> Message {
    let bytes = format.encode_command(command);
    match format {
        Format::Json => Message::text(String::from_utf8(bytes).expect("JSON is UTF-8")),
        Format::MsgPack => Message::binary(bytes),
    }
}
