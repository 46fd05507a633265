//! How a connection gives out what lies past its cursors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcall_actors::ports::LogError;
use rollcall_actors::shell::{Ask, Frame, JoinRequest, Pulled, RoomHandle, Subscribed, expired};
use rollcall_protocol::{ErrorCode, ErrorFrame, Left, Outgoing, OutgoingPush, RoomId, Seq};

use super::connection::{Connection, End};
use super::joined_rooms::{JoinedRoom, Link};

/// Frames that a turn gives out at most.
const FRAMES_PER_TURN_MAX: usize = 64;
/// Size after which a turn gives out no further frame, in bytes.
const BYTES_PER_TURN_MAX: usize = 64 * 1024;

/// The bit that marks ids of joins that no client asked for; a client's ids are below 2^53.
const REJOIN: u64 = 1 << 63;
/// The pause before a room that could not be had is asked again, and its greatest multiple.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
const RETRIES_MAX: u32 = 30;

impl Connection {
    /// Gives out what lies past the cursors of the rooms that are due, as much as one turn may.
    pub async fn pull_due(&mut self) -> Result<(), End> {
        let (mut frames, mut bytes) = (FRAMES_PER_TURN_MAX, BYTES_PER_TURN_MAX);
        while frames > 0 && bytes > 0 {
            let Some(room) = self.due.pop_front() else { return Ok(()) };
            let Some((handle, cursor)) = self.look(&room) else { continue };
            let pulled = match handle.tail().pull(cursor, frames, bytes) {
                Pulled::Nothing => continue,
                Pulled::Ended => {
                    self.rejoin(&room, 0);
                    continue;
                }
                Pulled::Frames(pulled) => pulled,
                Pulled::Behind(head) => match handle.page(cursor, head).await {
                    Ok(page) => {
                        self.gateway.metrics.caught_up_a_page();
                        page
                    }
                    Err(error) => {
                        self.page_failed(room, cursor, error).await?;
                        continue;
                    }
                },
            };
            let (given, cursor) = self.give(&pulled, cursor).await?;
            frames = frames.saturating_sub(pulled.len());
            bytes = bytes.saturating_sub(given);
            if let Some(joined) = self.rooms.get_mut(&room) {
                joined.cursor = cursor;
            }
            if cursor < handle.tail().head() {
                self.due.push_back(room);
            }
        }
        Ok(())
    }

    /// Lowers the room's bell, so that what comes from now on rings again, and returns where to look.
    fn look(&mut self, room: &RoomId) -> Option<(Arc<RoomHandle>, Seq)> {
        let joined = self.rooms.get_mut(room)?;
        let Link::Live(subscribed) = &joined.link else { return None };
        subscribed.bell.lower();
        Some((Arc::clone(&subscribed.room), joined.cursor))
    }

    /// Gathers frames for the flush; returns their size and where the cursor stands after them.
    async fn give(&mut self, frames: &[Arc<Frame>], cursor: Seq) -> Result<(usize, Seq), End> {
        let began = cursor;
        let (mut given, mut cursor) = (0, cursor);
        for frame in frames {
            let size = self.socket.feed_bytes(frame.bytes_after(cursor, self.socket.format())).await?;
            given += size;
            cursor = frame.last();
        }
        self.gateway.metrics.sent(frames.len() as u64, given as u64, cursor.since(began));
        Ok((given, cursor))
    }

    async fn page_failed(&mut self, room: RoomId, cursor: Seq, error: LogError) -> Result<(), End> {
        match error {
            LogError::Expired { floor } => self.drop_room(room, expired(cursor, floor)).await,
            LogError::Unavailable(_) | LogError::Damaged(_) => {
                tracing::warn!(%room, %error, "failed to read a page for a reader");
                self.wait_for(&room, 1);
                Ok(())
            }
        }
    }

    /// Takes the answer to a join: the client's, or one of the connection's own.
    pub async fn joined(&mut self, id: u64, result: Result<Subscribed, ErrorFrame>) -> Result<(), End> {
        let asked = self.joining.iter().position(|(joining, _)| *joining == id);
        let asked = asked.map(|at| self.joining.swap_remove(at).1);
        if id & REJOIN != 0 {
            return match asked {
                Some(room) => self.rejoined(room, result).await,
                None => Ok(()),
            };
        }
        match result {
            // The token was changed while the room was asked.
            Ok(subscribed) if !self.who.identity.rights(subscribed.room_id()).read => {
                self.refuse_with(id, ErrorCode::Forbidden, "the new token does not allow this room").await
            }
            Ok(subscribed) => {
                self.feed(&Outgoing::Ok(id, &subscribed.joined)).await?;
                if let Some(room) = asked {
                    if !self.rooms.contains(&room) {
                        self.gateway.metrics.subscribed();
                    }
                    let cursor = subscribed.cursor;
                    self.rooms.insert(JoinedRoom { room: room.clone(), cursor, link: Link::Live(subscribed) });
                    self.due.push_back(room);
                }
                Ok(())
            }
            Err(error) => self.refuse(Some(id), &error).await,
        }
    }

    async fn rejoined(&mut self, room: RoomId, result: Result<Subscribed, ErrorFrame>) -> Result<(), End> {
        let Some(joined) = self.rooms.get_mut(&room) else { return Ok(()) };
        let tries = if let Link::Asked(tries) = joined.link { tries } else { return Ok(()) };
        match result {
            Ok(subscribed) => {
                joined.link = Link::Live(subscribed);
                self.due.push_back(room);
                Ok(())
            }
            Err(error) if error.retryable && tries < RETRIES_MAX => {
                self.wait_for(&room, tries + 1);
                Ok(())
            }
            Err(error) => self.drop_room(room, error).await,
        }
    }

    /// Asks for a room again whose actor ended, from the connection's cursor.
    fn rejoin(&mut self, room: &RoomId, tries: u32) {
        let Some(joined) = self.rooms.get_mut(room) else { return };
        joined.link = Link::Asked(tries);
        let request = JoinRequest {
            user: self.who.identity.user.clone(),
            device: self.who.device.clone(),
            rights: self.who.identity.rights(room),
            after: Some(joined.cursor),
            hash: None,
        };
        self.rejoins += 1;
        let id = REJOIN | self.rejoins;
        self.joining.push((id, room.clone()));
        let asker = self.asker(id);
        self.gateway.directory.ask(room, Ask::Join(Box::new(request)), &asker);
    }

    fn wait_for(&mut self, room: &RoomId, tries: u32) {
        let at = Instant::now() + RETRY_PAUSE * tries.min(5);
        if let Some(joined) = self.rooms.get_mut(room) {
            joined.link = Link::Waiting(tries, at);
            self.retry_at = Some(self.retry_at.map_or(at, |earlier| earlier.min(at)));
            self.timer_is_late = true;
        }
    }

    /// Asks for the rooms again whose time has come.
    pub fn retry_rooms(&mut self, now: Instant) {
        for room in self.rooms.due(now) {
            let tries = match self.rooms.get_mut(&room) {
                Some(JoinedRoom { link: Link::Waiting(tries, _), .. }) => *tries,
                _ => continue,
            };
            self.rejoin(&room, tries);
        }
        self.retry_at = self.rooms.next_retry();
    }

    /// Ends a subscription that cannot go on, and tells the client why.
    pub async fn drop_room(&mut self, room: RoomId, error: ErrorFrame) -> Result<(), End> {
        if self.rooms.remove(&room).is_some() {
            self.gateway.metrics.unsubscribed(1);
        }
        self.gateway.metrics.refused(error.code);
        self.feed(&OutgoingPush::Left(&Left { room, error })).await
    }
}

/// The error for a room whose log cannot be read now.
pub(super) fn unavailable() -> ErrorFrame {
    ErrorFrame::new(ErrorCode::Unavailable, "the room's log cannot be read now").retry_after_ms(200)
}
