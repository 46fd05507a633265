//! Every limit of the protocol, with its unit in its name. The server's own limits lie beside the code that keeps them;
//! these are the ones that a client meets too.

/// One row of the table of limits.
#[derive(Debug, Clone, Copy)]
pub struct LimitRow {
    /// The constant's name, its unit in it.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// What it limits.
    pub meaning: &'static str,
}

macro_rules! limits {
    ($( $(#[doc = $meaning:literal])+ $name:ident: $type:ty = $value:expr; )*) => {
        $( $(#[doc = $meaning])+ pub const $name: $type = $value; )*

        /// Every limit, in the order of the docs.
        pub const LIMITS: &[LimitRow] = &[
            $( LimitRow { name: stringify!($name), value: $value, meaning: concat!($($meaning),+) }, )*
        ];
    };
}

limits! {
    /// Length of a room's name, in bytes (its alphabet is ASCII).
    ROOM_NAME_BYTES_MAX: usize = 128;
    /// Length of a user's name, in bytes.
    USER_NAME_BYTES_MAX: usize = 128;
    /// Length of a device's name, in bytes.
    DEVICE_NAME_BYTES_MAX: usize = 64;
    /// Length of a session's name, in Unicode scalar values.
    SESSION_CHARS_MAX: usize = 64;

    /// Length of a body's `text`, in Unicode scalar values.
    TEXT_CHARS_MAX: usize = 100_000;
    /// Size of a body after normalisation, in bytes.
    BODY_BYTES_MAX: usize = 512 * 1024;
    /// Nesting of a body: an array or object within 63 others is the deepest.
    BODY_DEPTH_MAX: usize = 64;

    /// Size of a frame from a client, in bytes: 100,000 characters of four bytes, each escaped as twelve, fit.
    FRAME_BYTES_MAX: usize = 1536 * 1024;
    /// Size of a frame before `hello` was accepted, in bytes.
    FRAME_BYTES_BEFORE_HELLO_MAX: usize = 4 * 1024;

    /// Rooms that a connection may have joined at once.
    ROOMS_PER_CONNECTION_MAX: usize = 1_000;
    /// Writes of one device to one room that may be unanswered at once.
    UNANSWERED_WRITES_MAX: usize = 64;
    /// Entries on one page of history.
    HISTORY_PAGE_ENTRIES_MAX: usize = 500;
    /// Entries on one page of history where the client names no limit.
    HISTORY_PAGE_ENTRIES_DEFAULT: usize = 50;

    /// Entries in one committed batch, and so in one `entries` frame.
    BATCH_ENTRIES_MAX: usize = 256;
    /// Size of the bodies in one committed batch, in bytes; a single larger entry goes alone.
    BATCH_BYTES_MAX: usize = 128 * 1024;

    /// Time for a new connection's `hello`, in milliseconds.
    HELLO_TIMEOUT_MS: u64 = 10_000;
    /// Time between the server's pings, in milliseconds.
    PING_INTERVAL_MS: u64 = 25_000;
    /// Time for an answer to a ping, in milliseconds; either side gives a silent connection up after both together.
    PONG_TIMEOUT_MS: u64 = 10_000;
}
