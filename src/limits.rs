//! The server's own limits that are not configurable; those that a client meets too are in `rollcall_protocol::limits`, and
//! those that an operator sets are in `config`. A name ends in its unit.

/// By how much clocks may differ when a token's time is checked, in seconds.
pub const TOKEN_LEEWAY_S: i64 = 30;

/// How long a socket may take nothing of what is written to it before its connection is closed.
pub const WRITE_STALL: std::time::Duration = std::time::Duration::from_secs(30);

/// Files that are kept from connections, for the log, the ops listener and refusals.
pub const FILES_RESERVED: u64 = 160;
