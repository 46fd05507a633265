//! What connections saw: cursors and pushes, compared as they stream in.

use crate::anomaly::{Evidence, KeptRecord};
use crate::chain::NO_BODY;
use crate::checker::Checker;
use crate::event::{Event, ExpiredEvent, JoinedEvent, LeftEvent, PushEvent};
use crate::names::{ConnIx, Names, RoomIx};
use crate::record::Cursor;
use crate::rule::Rule;
use crate::seen::{Comparison, Seen};

/// A push as numbers: what a producer of millions of them hands over.
#[derive(Debug, Clone, Copy)]
pub struct PushRef {
    /// The connection, from [`Checker::conn`].
    pub conn: ConnIx,
    /// The room, from [`Checker::room`].
    pub room: RoomIx,
    /// The entry's number.
    pub seq: u64,
    /// The epoch that it was shown with.
    pub epoch: u64,
    /// SHA-256 of the body that came; [`NO_BODY`] if none came.
    pub body_hash: [u8; 32],
    /// When it came, in µs.
    pub t: u64,
}

impl Checker {
    /// Observes that a connection's cursor was installed.
    pub fn observe_joined(&mut self, joined: &JoinedEvent) {
        let (conn, room) = (self.conn(&joined.conn), self.room(&joined.room));
        let cursor = Cursor { seq: joined.after, epoch: 0, t_joined: joined.t, t_moved: joined.t };
        if self.cursors.insert((conn, room), cursor).is_none() {
            self.joined_rooms[conn.place()].push(room);
        }
        let highest_join = &mut self.rooms[room.place()].highest_join;
        if highest_join.as_ref().is_none_or(|highest| highest.head < joined.head) {
            *highest_join = Some(joined.clone());
        }
    }

    /// Observes that a connection left a room, or ended.
    pub fn observe_left(&mut self, left: &LeftEvent) {
        let conn = self.conn(&left.conn);
        let rooms = match &left.room {
            Some(room) => {
                let room = self.room(room);
                self.joined_rooms[conn.place()].retain(|joined| *joined != room);
                vec![room]
            }
            None => std::mem::take(&mut self.joined_rooms[conn.place()]),
        };
        for room in rooms {
            self.cursors.remove(&(conn, room));
        }
    }

    /// Observes a push. Takes memory only for the first push of an entry.
    ///
    /// # Panics
    ///
    /// Panics if the room is none of this checker's.
    #[inline]
    pub fn observe_push(&mut self, push: &PushRef) {
        self.summary.deliveries += 1;
        match self.cursors.get_mut(&(push.conn, push.room)) {
            Some(cursor) => {
                let before = *cursor;
                // Whatever came is the new place, so that one break is reported once.
                cursor.seq = push.seq;
                cursor.epoch = push.epoch;
                cursor.t_moved = push.t;
                if push.seq.checked_sub(1) != Some(before.seq) || push.epoch < before.epoch {
                    self.report_step(push, before);
                }
            }
            None => self.report_stranger(push),
        }
        let room = &mut self.rooms[push.room.place()];
        room.note_push(push.seq, push.t);
        if room.seen.observe(push.conn, push.seq, push.epoch, &push.body_hash) == Comparison::Different {
            self.report_difference(push);
        }
    }

    pub(crate) fn observe_push_event(&mut self, push: &PushEvent) {
        let push = PushRef {
            conn: self.conn(&push.conn),
            room: self.room(&push.room),
            seq: push.seq,
            epoch: push.epoch,
            body_hash: push.body_hash.unwrap_or(NO_BODY),
            t: push.t,
        };
        self.observe_push(&push);
    }

    /// Observes that a connection was told of entries that are no longer kept.
    pub fn observe_expired(&mut self, expired: &ExpiredEvent) {
        let (conn, room) = (self.conn(&expired.conn), self.room(&expired.room));
        let expected = self.cursors.get(&(conn, room)).map(|cursor| cursor.seq.saturating_add(1));
        if expected != Some(expired.from) || expired.to < expired.from {
            self.findings.report(Rule::PushesInOrder, &expired.room, || {
                let explanation = match expected {
                    Some(seq) => {
                        format!("{} to {} were called expired where seq {seq} was due", expired.from, expired.to)
                    }
                    None => "a connection that is not in the room was told of expired entries".to_owned(),
                };
                (explanation, vec![Evidence::Event(Event::Expired(expired.clone()))])
            });
        }
        if let Some(cursor) = self.cursors.get_mut(&(conn, room)) {
            cursor.seq = expired.to;
            cursor.t_moved = expired.t;
        }
        let highest_expired = &mut self.rooms[room.place()].highest_expired;
        if highest_expired.as_ref().is_none_or(|highest| highest.to < expired.to) {
            *highest_expired = Some(expired.clone());
        }
    }

    #[cold]
    fn report_step(&mut self, push: &PushRef, before: Cursor) {
        let Self { findings, names, .. } = self;
        let room = names.of_room(push.room);
        if push.seq.checked_sub(1) != Some(before.seq) {
            findings.report(Rule::PushesInOrder, room, || {
                (format!("seq {} came after seq {}", push.seq, before.seq), vec![push.evidence(names)])
            });
        }
        if push.epoch < before.epoch {
            findings.report(Rule::EpochsNeverFall, room, || {
                let explanation =
                    format!("seq {} came with epoch {} after epoch {}", push.seq, push.epoch, before.epoch);
                (explanation, vec![push.evidence(names)])
            });
        }
    }

    #[cold]
    fn report_stranger(&mut self, push: &PushRef) {
        let Self { findings, names, .. } = self;
        findings.report(Rule::PushesInOrder, names.of_room(push.room), || {
            (format!("seq {} came to a connection that is not in the room", push.seq), vec![push.evidence(names)])
        });
    }

    #[cold]
    fn report_difference(&mut self, push: &PushRef) {
        let Self { findings, names, rooms, .. } = self;
        let room = names.of_room(push.room);
        findings.report(Rule::PushesEqualLog, room, || {
            let first = rooms[push.room.place()].seen.get(push.seq);
            let evidence = first.map(|first| first.evidence(room, push.seq, names)).into_iter();
            let explanation = format!("seq {} came with another epoch or body than to others", push.seq);
            (explanation, evidence.chain([push.evidence(names)]).collect())
        });
    }
}

impl PushRef {
    fn evidence(&self, names: &Names) -> Evidence {
        Evidence::Event(Event::Push(PushEvent {
            t: self.t,
            conn: names.of_conn(self.conn).to_owned(),
            room: names.of_room(self.room).to_owned(),
            seq: self.seq,
            epoch: self.epoch,
            body_hash: (self.body_hash != NO_BODY).then_some(self.body_hash),
        }))
    }
}

impl Seen {
    pub(crate) fn evidence(&self, room: &str, seq: u64, names: &Names) -> Evidence {
        Evidence::Kept(KeptRecord::FirstPush {
            conn: names.of_conn(self.conn).to_owned(),
            room: room.to_owned(),
            seq,
            epoch: self.epoch,
            body_hash_start: self.body_hash_start(),
        })
    }
}
