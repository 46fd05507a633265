//! How a connection gives out what lies past its cursors.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcall_actors::ports::LogError;
use rollcall_actors::shell::{Ask, Frame, JoinRequest, Pulled, RoomHandle, Subscribed, TailEnd, expired};
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
            let Some(room) = self.due.pop_front() else { break };
            let Some((handle, cursor)) = self.look(&room) else { continue };
            let pulled = match handle.tail().pull(cursor, frames, bytes) {
                Pulled::Nothing => continue,
                Pulled::Ended(why) => {
                    if let Some(joined) = self.rooms.get_mut(&room) {
                        joined.has_diverged |= why == TailEnd::Diverged;
                    }
                    self.rejoin(&room, 0);
                    continue;
                }
                Pulled::Frames(pulled) => pulled,
                // Rare, and large: it has no place in the connection's task while nothing is read.
                Pulled::Behind(head) => match Box::pin(handle.page(cursor, head)).await {
                    Ok(page) => {
                        self.gateway.metrics.caught_up_a_page();
                        page
                    }
                    Err(error) => {
                        self.page_failed(room, cursor, &error);
                        continue;
                    }
                },
            };
            frames = frames.saturating_sub(pulled.len());
            bytes = bytes.saturating_sub(self.give(room, &handle, &pulled, cursor));
            drop((handle, pulled));
            if self.socket.is_full() {
                self.socket.flush().await?;
            }
        }
        if self.due.is_empty() {
            self.due = VecDeque::new();
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

    /// Gathers a room's frames past the cursor for the flush, and moves the cursor behind them; returns their size.
    fn give(&mut self, room: RoomId, handle: &RoomHandle, frames: &[Arc<Frame>], began: Seq) -> usize {
        let (mut given, mut cursor) = (0, began);
        for frame in frames {
            given += self.socket.feed_bytes(&frame.bytes_after(cursor, self.socket.format()));
            cursor = frame.last();
        }
        self.gateway.metrics.sent(frames.len() as u64, given as u64, cursor.since(began));
        if let Some(joined) = self.rooms.get_mut(&room) {
            joined.cursor = cursor;
            joined.hash =
                frames.last().and_then(|frame| frame.entries().last()).map(|entry| entry.hash).or(joined.hash);
        }
        if cursor < handle.tail().head() {
            self.due.push_back(room);
        }
        given
    }

    fn page_failed(&mut self, room: RoomId, cursor: Seq, error: &LogError) {
        match error {
            LogError::Expired { floor } => self.drop_room(room, expired(cursor, *floor)),
            LogError::Unavailable(_) | LogError::Damaged(_) => {
                tracing::warn!(%room, %error, "failed to read a page for a reader");
                self.wait_for(&room, 1);
            }
        }
    }

    /// Takes the answer to a join: the client's, or one of the connection's own.
    pub fn joined(&mut self, id: u64, result: Result<Subscribed, ErrorFrame>) {
        let asked = self.joining.iter().position(|(joining, _)| *joining == id);
        let asked = asked.map(|at| self.joining.swap_remove(at).1);
        if self.joining.is_empty() {
            self.joining = Vec::new();
        }
        if id & REJOIN != 0 {
            if let Some(room) = asked {
                self.rejoined(room, result);
            }
            return;
        }
        match result {
            // The token was changed while the room was asked.
            Ok(subscribed) if !self.who.identity.rights(subscribed.room_id()).read => {
                self.refuse_with(id, ErrorCode::Forbidden, "the new token does not allow this room");
            }
            Ok(subscribed) => {
                self.feed(&Outgoing::Ok(id, &subscribed.joined));
                if let Some(room) = asked {
                    if !self.rooms.contains(&room) {
                        self.gateway.metrics.subscribed();
                    }
                    let (cursor, told) = (subscribed.cursor, &subscribed.joined);
                    let hash = (told.head == cursor).then_some(told.hash);
                    let link = Link::Live(subscribed);
                    self.rooms.insert(JoinedRoom { room: room.clone(), cursor, hash, has_diverged: false, link });
                    self.due.push_back(room);
                }
            }
            Err(error) => self.refuse(Some(id), &error),
        }
    }

    fn rejoined(&mut self, room: RoomId, result: Result<Subscribed, ErrorFrame>) {
        let Some(joined) = self.rooms.get_mut(&room) else { return };
        let tries = if let Link::Asked(tries) = joined.link { tries } else { return };
        match result {
            Ok(subscribed) => {
                joined.link = Link::Live(subscribed);
                joined.has_diverged = false;
                self.due.push_back(room);
            }
            Err(error) if error.retryable && tries < RETRIES_MAX => {
                self.wait_for(&room, tries + 1);
            }
            Err(error) => self.drop_room(room, error),
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
            hash: joined.hash.filter(|_| joined.has_diverged),
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
    pub fn drop_room(&mut self, room: RoomId, error: ErrorFrame) {
        if self.rooms.remove(&room).is_some() {
            self.gateway.metrics.unsubscribed(1);
        }
        self.gateway.metrics.refused(error.code);
        self.feed(&OutgoingPush::Left(&Left { room, error }));
    }
}

/// The error for a room whose log cannot be read now.
pub(super) fn unavailable() -> ErrorFrame {
    ErrorFrame::new(ErrorCode::Unavailable, "the room's log cannot be read now").retry_after_ms(200)
}
