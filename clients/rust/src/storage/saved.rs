//! What a client keeps across restarts of its program.

use std::collections::BTreeMap;

use rollcall_protocol::{Body, DeviceId, RoomId, Seq, UserId, WriteOp};
use serde::{Deserialize, Serialize};

use crate::cursor::Cursor;
use crate::session::NewWrite;

/// What a client keeps across restarts of its program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// The name of this installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Whose writes these are: another user starts afresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Proves a guest's name. Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_token: Option<String>,
    /// What is kept of each room.
    #[serde(default)]
    pub rooms: BTreeMap<RoomId, SavedRoom>,
}

/// What a client keeps of a room.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedRoom {
    /// The device's last accepted n.
    #[serde(default)]
    pub accepted_n: u64,
    /// The last n that was given to a write.
    #[serde(default)]
    pub last_n: u64,
    /// A head of the room that the device saw before it first wrote there.
    #[serde(default)]
    pub since: Seq,
    /// The writes without an answer, in the order of their n.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<SavedWrite>,
    /// How far the program has read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

/// A write without an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedWrite {
    /// The device's own counter.
    pub n: u64,
    /// Which entry it makes.
    #[serde(with = "op_name")]
    pub op: WriteOp,
    /// The entry that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Seq>,
    /// What is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
}

impl SavedWrite {
    /// Joins a write and its number.
    pub(crate) fn new(n: u64, write: NewWrite) -> Self {
        Self { n, op: write.op, target: write.target, body: write.body }
    }
}

/// A change of what is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The installation has this name from now on; numbers and unanswered writes of the old one are of no more use.
    Device(DeviceId),
    /// The writes are this user's from now on; numbers and unanswered writes of another are of no more use.
    User(UserId),
    /// The guest's proof, or that it is void.
    GuestToken(Option<String>),
    /// A write was given its number.
    Submitted {
        /// To which room.
        room: RoomId,
        /// A head of the room that the device saw before it first wrote there.
        since: Seq,
        /// The write.
        write: SavedWrite,
    },
    /// A write has its answer.
    Ended {
        /// To which room it went.
        room: RoomId,
        /// Its number.
        n: u64,
        /// The device's last accepted n now.
        accepted_n: u64,
    },
    /// The program has read this far.
    Read {
        /// In which room.
        room: RoomId,
        /// How far.
        cursor: Cursor,
    },
}

impl Change {
    /// Tells whether the change must be stored before anything more is sent: a write whose number was lost could not be
    /// tried again, and its number would be given to another. The others may be lost: their writes are tried once more and
    /// get their first answer, their entries are delivered once more.
    pub const fn is_urgent(&self) -> bool {
        !matches!(self, Self::Ended { .. } | Self::Read { .. })
    }
}

impl Saved {
    /// Makes a change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Device(device) => {
                self.forget_writes();
                self.device = Some(device);
            }
            Change::User(user) => {
                // What was written before anybody was known is the first user's.
                if self.user.as_ref().is_some_and(|before| *before != user) {
                    self.forget_writes();
                }
                self.user = Some(user);
            }
            Change::GuestToken(token) => self.guest_token = token,
            Change::Submitted { room, since, write } => {
                let room = self.rooms.entry(room).or_default();
                room.last_n = write.n;
                room.since = since;
                room.unanswered.push(write);
            }
            Change::Ended { room, n, accepted_n } => {
                let room = self.rooms.entry(room).or_default();
                room.accepted_n = accepted_n;
                room.unanswered.retain(|write| write.n != n);
            }
            Change::Read { room, cursor } => self.rooms.entry(room).or_default().cursor = Some(cursor),
        }
    }

    fn forget_writes(&mut self) {
        for room in self.rooms.values_mut() {
            *room = SavedRoom { cursor: room.cursor, ..SavedRoom::default() };
        }
    }
}

/// Writes an operation by its name on the wire.
mod op_name {
    use rollcall_protocol::WriteOp;
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(super) fn serialize<S: Serializer>(op: &WriteOp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(op.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WriteOp, D::Error> {
        let name = String::deserialize(deserializer)?;
        [WriteOp::Send, WriteOp::Edit, WriteOp::Redact, WriteOp::React]
            .into_iter()
            .find(|op| op.name() == name)
            .ok_or_else(|| de::Error::custom("not the name of a write"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> RoomId {
        RoomId::parse("general").unwrap()
    }

    fn write(n: u64) -> SavedWrite {
        SavedWrite::new(n, NewWrite::text("hi").unwrap())
    }

    #[test]
    fn a_life_of_writes_and_a_new_device() {
        let mut saved = Saved::default();
        saved.apply(Change::Device(DeviceId::parse("phone").unwrap()));
        for n in 1..=3 {
            saved.apply(Change::Submitted { room: room(), since: Seq::new(9), write: write(n) });
        }
        saved.apply(Change::Ended { room: room(), n: 1, accepted_n: 1 });
        let cursor = Cursor { seq: Seq::new(12), hash: None };
        saved.apply(Change::Read { room: room(), cursor });
        let expected = SavedRoom {
            accepted_n: 1,
            last_n: 3,
            since: Seq::new(9),
            unanswered: vec![write(2), write(3)],
            cursor: Some(cursor),
        };
        assert_eq!(saved.rooms[&room()], expected);

        let text = serde_json::to_string(&saved).unwrap();
        assert_eq!(serde_json::from_str::<Saved>(&text).unwrap(), saved);

        saved.apply(Change::Device(DeviceId::parse("other").unwrap()));
        assert_eq!(saved.rooms[&room()], SavedRoom { cursor: Some(cursor), ..SavedRoom::default() });
    }
}
