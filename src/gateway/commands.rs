//! What a connection does with a command.

use std::time::Instant;

use rollcall_actors::shell::{Ask, JoinRequest, ViewRequest, WriteRequest};
use rollcall_protocol::limits::ROOMS_PER_CONNECTION_MAX;
use rollcall_protocol::{
    BodyError, CloseCode, ErrorCode, ErrorFrame, History, Join, NewBody, Nothing, Op, Outgoing, Refresh, RoomId, Seq,
    SignalKind, Write, WriteOp,
};
use serde::Serialize;

use super::connection::{Connection, End};
use super::history::check;
use super::joined_rooms::Link;

/// Frames over the rate, less those within it, that are answered before the connection is closed.
const OVER_RATE_MAX: u32 = 1_000;

/// Answers `refresh`.
#[derive(Debug, Serialize)]
struct Refreshed {
    expires_at_ms: i64,
}

impl Connection {
    /// Takes a frame of the client. Answers that are known at once are gathered for the next flush.
    ///
    /// # Errors
    /// Where the connection is to be ended.
    pub fn command(&mut self, frame: &[u8]) -> Result<(), End> {
        let command = self.socket.format().decode_command(frame);
        if let Err(wait_ms) = self.take_token() {
            let id = command.as_ref().map_or_else(|error| error.id, |command| command.id);
            return self.over_rate(id, wait_ms);
        }
        self.over_rate = self.over_rate.saturating_sub(1);
        let command = match command {
            Ok(command) => command,
            Err(error) => {
                self.refuse(error.id, &ErrorFrame::new(ErrorCode::BadRequest, error.to_string()));
                return Ok(());
            }
        };
        let id = command.id.unwrap_or_default();
        match command.op {
            Op::Write(op, write) => {
                // Answered through the inbox, unless something is wrong with it at once.
                let written = self.write(id, op, write);
                self.refuse_if_failed(id, written);
            }
            Op::Join(join) => {
                let joined = self.join(id, &join);
                self.refuse_if_failed(id, joined);
            }
            Op::History(history) => {
                let asked = self.ask_history(id, history);
                self.refuse_if_failed(id, asked);
            }
            Op::Leave(leave) => self.leave(id, &leave.room),
            Op::Typing(typing) => self.typing(id, &typing.room),
            Op::Refresh(refresh) => self.refresh(id, &refresh),
            Op::Hello(_) => self.refuse_with(id, ErrorCode::BadRequest, "hello was said already"),
            Op::Unknown(name) => {
                let message = format!("the operation {name:?} is not known");
                self.refuse_with(id, ErrorCode::UnknownOp, &message);
            }
            Op::Pong(_) => {}
        }
        Ok(())
    }

    fn refuse_if_failed(&mut self, id: u64, result: Result<(), ErrorFrame>) {
        if let Err(error) = result {
            self.refuse(Some(id), &error);
        }
    }

    fn take_token(&mut self) -> Result<(), u64> {
        let now = Instant::now();
        self.commands.take(now)?;
        self.user_commands.take(now)
    }

    /// Refuses a frame that came too soon. A connection that keeps on sending at more than about twice its rate is closed.
    fn over_rate(&mut self, id: Option<u64>, wait_ms: u64) -> Result<(), End> {
        self.over_rate += 1;
        if self.over_rate > OVER_RATE_MAX {
            return Err(End::Close(CloseCode::RateLimited));
        }
        let error = ErrorFrame::new(ErrorCode::RateLimited, "too many commands").retry_after_ms(wait_ms);
        self.refuse(id, &error);
        Ok(())
    }

    fn write(&mut self, id: u64, op: WriteOp, write: Write<NewBody>) -> Result<(), ErrorFrame> {
        if write.n == 0 {
            return Err(ErrorFrame::new(ErrorCode::BadRequest, "n begins at 1").finally());
        }
        let needs_target = op != WriteOp::Send;
        if needs_target != write.target.is_some() {
            let what = if needs_target { "needs a target" } else { "has no target" };
            return Err(ErrorFrame::new(ErrorCode::BadRequest, format!("{} {what}", op.name())).finally());
        }
        if op != WriteOp::Redact && write.body.is_none() {
            return Err(ErrorFrame::new(ErrorCode::BadRequest, format!("{} needs a body", op.name())).finally());
        }
        let body = write.body.map(NewBody::check).transpose().map_err(|error| {
            let code = match error {
                BodyError::Text { .. } | BodyError::Size => ErrorCode::TooLarge,
                BodyError::Invalid(_) => ErrorCode::BadRequest,
            };
            ErrorFrame::new(code, error.to_string()).finally()
        })?;
        let request = WriteRequest {
            user: self.who.identity.user.clone(),
            device: self.who.device.clone(),
            n: write.n,
            prev: write.prev.unwrap_or(write.n - 1),
            since: write.since.unwrap_or(Seq::ZERO),
            op,
            target: write.target,
            body,
            rights: self.who.identity.rights(&write.room),
        };
        let asker = self.asker(id);
        self.gateway.directory.ask(&write.room, Ask::Write(Box::new(request)), &asker);
        Ok(())
    }

    /// Checks that no other join or page that is under way has this id, by which its answer is recognised.
    fn check_id(&self, id: u64) -> Result<(), ErrorFrame> {
        let mut under_way = self.joining.iter().map(|(id, _)| id).chain(self.histories.iter().map(|(id, _)| id));
        if under_way.any(|other| *other == id) {
            return Err(ErrorFrame::new(ErrorCode::BadRequest, "another command with this id is not answered yet"));
        }
        Ok(())
    }

    fn join(&mut self, id: u64, join: &Join) -> Result<(), ErrorFrame> {
        self.check_id(id)?;
        let is_new = !self.rooms.contains(&join.room) && !self.joining.iter().any(|(_, room)| *room == join.room);
        if is_new && self.rooms.len() + self.joining.len() >= ROOMS_PER_CONNECTION_MAX {
            let message = format!("a connection joins at most {ROOMS_PER_CONNECTION_MAX} rooms");
            return Err(ErrorFrame::new(ErrorCode::LimitReached, message));
        }
        let rights = self.who.identity.rights(&join.room);
        let request = JoinRequest {
            user: self.who.identity.user.clone(),
            device: self.who.device.clone(),
            rights,
            after: join.after,
            hash: join.hash,
        };
        self.joining.push((id, join.room.clone()));
        let asker = self.asker(id);
        self.gateway.directory.ask(&join.room, Ask::Join(Box::new(request)), &asker);
        Ok(())
    }

    fn ask_history(&mut self, id: u64, history: History) -> Result<(), ErrorFrame> {
        check(&history)?;
        self.check_id(id)?;
        let rights = self.who.identity.rights(&history.room);
        let request = ViewRequest { user: self.who.identity.user.clone(), rights };
        let asker = self.asker(id);
        self.gateway.directory.ask(&history.room, Ask::View(Box::new(request)), &asker);
        self.histories.push((id, history));
        Ok(())
    }

    fn leave(&mut self, id: u64, room: &RoomId) {
        // A join that is under way is answered, and its subscription dropped.
        let before = self.joining.len();
        self.joining.retain(|(_, joining)| joining != room);
        let was_joining = self.joining.len() < before;
        let left = self.rooms.remove(room);
        if left.is_some() {
            self.gateway.metrics.unsubscribed(1);
        }
        if left.is_none() && !was_joining {
            return self.refuse_with(id, ErrorCode::NotJoined, "the room is not joined");
        }
        self.feed(&Outgoing::Ok(id, Nothing {}));
    }

    fn typing(&mut self, id: u64, room: &RoomId) {
        let Some(joined) = self.rooms.get_mut(room) else {
            return self.refuse_with(id, ErrorCode::NotJoined, "the room is not joined");
        };
        if let Link::Live(subscribed) = &joined.link {
            let user = self.who.identity.user.clone();
            self.gateway.directory.signal(&subscribed.room, user, SignalKind::Typing, &self.inbox);
        }
        self.feed(&Outgoing::Ok(id, Nothing {}));
    }

    fn refresh(&mut self, id: u64, refresh: &Refresh) {
        let identity = match self.gateway.verifier.verify(&refresh.token, self.gateway.clock.now_ms()) {
            Ok(identity) if identity.user == self.who.identity.user => identity,
            Ok(_) => return self.refuse_with(id, ErrorCode::Unauthorized, "the token is another user's"),
            Err(error) => {
                self.gateway.metrics.auth_failed(error);
                return self.refuse(Some(id), &error.frame());
            }
        };
        let expires_at_ms = identity.expires_at_ms;
        self.who.identity = identity;
        self.timer_is_late = true;
        self.feed(&Outgoing::Ok(id, Refreshed { expires_at_ms }));
        let lost: Vec<RoomId> = self
            .rooms
            .iter()
            .map(|joined| joined.room.clone())
            .filter(|room| !self.who.identity.rights(room).read)
            .collect();
        for room in lost {
            let error = ErrorFrame::new(ErrorCode::Forbidden, "the new token does not allow this room");
            self.drop_room(room, error);
        }
    }
}
