//! rollcall's protocol: the words that server and clients share.
//!
//! Identifiers, entries and their hash chain, commands and frames, the one table of errors and close codes, the limits that
//! a client meets, and the two formats (JSON and MessagePack) in which all of it is written. `docs/protocol.md` describes
//! the same for people, and `vectors/` holds one golden file a frame and format, which every client decodes.
//!
//! Everything here is pure: no clock, no randomness, no I/O, no dependency on another package of rollcall.

mod body;
mod codec;
mod command;
mod delivery;
mod entry;
mod error;
mod frame;
pub mod hash;
mod ids;
pub mod limits;

pub use body::{Body, BodyError, NewBody};
pub use codec::{DecodeError, Format};
pub use command::{
    Command, Hello, History, IncomingCommand, Join, Leave, Op, OutgoingCommand, Pong, Refresh, Typing, Write, WriteOp,
};
pub use delivery::{DeliveryBuffer, Inserted};
pub use entry::{Entry, EntryFrame, EntryView, Kind, OwnerId};
pub use error::{CloseCode, ERRORS, ErrorCode, ErrorFrame, ErrorRow, Verdict, verdict};
pub use frame::{
    Ack, Entries, EntriesFrame, EntryList, GoingAway, HistoryPage, HistoryView, Incoming, Joined, Left, Nothing,
    OkFields, Outgoing, OutgoingPush, Ping, Signal, SignalKind, Welcome,
};
pub use hash::{Hash, Salt};
pub use ids::{DeviceId, Epoch, IdError, KEY_DEVICE_PREFIX, NUMBER_MAX, RoomId, Seq, UserId};
