//! The limits of the rooms on a node that are not configurable; those that a client meets too are in
//! `rollcall_protocol::limits`, and those that an operator sets are the server's settings. A name ends in its unit.

use rollcall_protocol::limits::BATCH_BYTES_MAX;

/// Where as many rooms are active as may be and hardly one is idle, no idle one is looked for again for this long, in
/// milliseconds: a look costs as much as there are rooms.
pub const ROOM_SPACE_PAUSE_MS: u64 = 100;

/// After what time whoever was refused a room for want of space should ask again, in milliseconds.
pub const ROOM_SPACE_RETRY_MS: u64 = 1_000;

/// After what time a client should try a write again that the room could not take, in milliseconds.
pub const REFUSED_RETRY_MS: u64 = 200;

/// A room of which nothing was asked for this long, in milliseconds, gives back the memory that only writes need.
pub const ROOM_REST_MS: u64 = 10_000;

/// A room that could not be activated is not tried again for this long, in milliseconds.
pub const ACTIVATION_PAUSE_MS: u64 = 1_000;

/// How often an active room is looked at for entries that have come of age, in milliseconds.
pub const RETENTION_LOOK_MS: u64 = 60 * 60 * 1_000;

/// Rooms that could not be activated which a node remembers at once, for their pause.
pub const FAILED_ROOMS_MAX: usize = 10_000;

/// A look at the target of a write in the log is made anew by its sender when this many entries were committed since it began: the
/// redactions among them are remembered for it.
pub const TARGET_LOOK_ENTRIES_MAX: u64 = 8_192;

/// Size of the bodies on one page of history, in bytes; the entry that takes it past that is the last.
pub const HISTORY_PAGE_BYTES_MAX: usize = 4 * BATCH_BYTES_MAX;

/// Requests that a node of a cluster takes for rooms that are not open on it, and has not answered; past that it answers `busy`.
pub const NODE_QUEUE_ENTRIES_MAX: usize = 64 * 1024;

/// Size of their bodies, in bytes.
pub const NODE_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
