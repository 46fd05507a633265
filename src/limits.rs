//! The server's own limits that are not configurable; those that a client meets too are in `rollcall_protocol::limits`, and
//! those that an operator sets are in `config`. A name ends in its unit.

/// By how much clocks may differ when a token's time is checked, in seconds.
pub const TOKEN_LEEWAY_S: i64 = 30;
