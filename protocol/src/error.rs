//! The one table of errors, and the close codes. Server, clients and docs take both from here.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

macro_rules! table {
    (
        $(#[$doc:meta])* $type:ident, $row:ident;
        $( $name:ident = $wire:literal, retry: $retryable:literal, http: $http:literal, $meaning:literal; )*
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $type {
            $( #[doc = $meaning] #[serde(rename = $wire)] $name, )*
        }

        /// Every error, in the order of the docs.
        pub const ERRORS: &[$row] = &[
            $( $row { code: $type::$name, wire: $wire, retryable: $retryable, http: $http, meaning: $meaning }, )*
        ];
    };
}

/// One row of the table of errors.
#[derive(Debug, Clone, Copy)]
pub struct ErrorRow {
    /// The code.
    pub code: ErrorCode,
    /// Its name on the wire.
    pub wire: &'static str,
    /// Whether the same request may succeed later, and should be tried again.
    pub retryable: bool,
    /// The HTTP status that goes with it.
    pub http: u16,
    /// What it means and what to do.
    pub meaning: &'static str,
}

table! {
    /// What went wrong, as a word that programs compare.
    ErrorCode, ErrorRow;
    BadRequest = "bad_request", retry: false, http: 400, "The frame or one of its fields is not what the protocol says; the message names the field.";
    UnknownOp = "unknown_op", retry: false, http: 400, "The server does not know this operation; it may be older than the client.";
    TooLarge = "too_large", retry: false, http: 413, "A frame, body or text is beyond its limit.";
    Unauthorized = "unauthorized", retry: false, http: 401, "The token is missing, malformed, forged or meant for another server; get a new one.";
    TokenExpired = "token_expired", retry: false, http: 401, "The token was good and has expired; get a new one and say hello or refresh with it.";
    Forbidden = "forbidden", retry: false, http: 403, "The token or the room does not allow this; ask for the right.";
    NotJoined = "not_joined", retry: false, http: 409, "This connection has not joined the room; join it first.";
    NotFound = "not_found", retry: false, http: 404, "The target does not exist in this room, or is not of a kind that this operation takes.";
    Expired = "expired", retry: false, http: 410, "The entries asked for are below the room's floor; details name the range that is gone.";
    Diverged = "diverged", retry: false, http: 409, "The cursor does not lie on this room's history: the hash differs, or the log ends before it. Drop what was kept of the room and join afresh.";
    LimitReached = "limit_reached", retry: false, http: 409, "A limit on a number of things is reached; the message names it.";
    RateLimited = "rate_limited", retry: true, http: 429, "Too many requests; try again after retry_after_ms.";
    Busy = "busy", retry: true, http: 503, "The room's queue is full; nothing was stored. Try again after retry_after_ms.";
    TooManyUnanswered = "too_many_unanswered", retry: true, http: 429, "This device has 64 unanswered writes in this room; wait for an answer, then try again.";
    Unavailable = "unavailable", retry: true, http: 503, "The room cannot take this now: its log or its owner is away. Try again with the same n.";
    OutcomeUnknown = "outcome_unknown", retry: true, http: 503, "The write may have been stored or not. Try again with the same n: it is stored at most once.";
    Conflict = "conflict", retry: false, http: 409, "This n was given to another write of this device: a number is bound to its content for ever.";
    Skipped = "skipped", retry: false, http: 409, "This n was passed over: it was never stored and never will be.";
    TooOld = "too_old", retry: false, http: 409, "This n lies before the last 64 writes of its device, and is not stored now; what became of it then is in the history.";
    OutOfOrder = "out_of_order", retry: false, http: 409, "prev is not this device's last accepted n, which details.last names: an earlier write is missing. Send that first, or drop it and name the right prev.";
    UnknownDevice = "unknown_device", retry: false, http: 409, "The room no longer remembers this device: take a new device id, and report unanswered writes as unknown.";
    Internal = "internal", retry: true, http: 500, "A fault of the server, which its log tells of.";
}

impl ErrorCode {
    /// Returns the code's row in the table.
    ///
    /// # Panics
    /// Never: the table is made of the codes.
    pub fn row(self) -> &'static ErrorRow {
        ERRORS.iter().find(|row| row.code == self).expect("every code has a row")
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().wire)
    }
}

/// An error as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ErrorFrame {
    /// What went wrong. One that this version does not know is read as `internal`; whether to try again is told apart.
    #[serde(deserialize_with = "known_or_internal")]
    pub code: ErrorCode,
    /// What went wrong, for people.
    pub message: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Of a refused write: it is not stored and never will be. Absent where another copy of the write may still be.
    #[serde(rename = "final", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_final: bool,
    /// When to try again, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// What a program needs to go on, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, Value>,
}

fn known_or_internal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ErrorCode, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok(ERRORS.iter().find(|row| row.wire == name).map_or(ErrorCode::Internal, |row| row.code))
}

impl ErrorFrame {
    /// Makes an error of a code and a text for people: lower case, no full stop.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retryable: code.row().retryable,
            is_final: false,
            retry_after_ms: None,
            details: BTreeMap::new(),
        }
    }

    /// Adds when to try again, in milliseconds from now.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// Adds a detail for programs.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// Says of a refused write that it is not stored and never will be.
    #[must_use]
    pub fn finally(mut self) -> Self {
        self.is_final = true;
        self
    }
}

/// What a client does after its connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Connect again after a pause that grows.
    Backoff,
    /// Connect again at once.
    AtOnce,
    /// Do not connect again.
    Stop,
}

macro_rules! close_codes {
    ( $( $name:ident = $number:literal, $reason:literal, $meaning:literal; )* ) => {
        /// Why the server closed a connection. The number's range carries the verdict: 4000–4399 connect again with backoff,
        /// 4400–4499 at once, 4500–4999 do not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum CloseCode {
            $( #[doc = $meaning] $name = $number, )*
        }

        impl CloseCode {
            /// Every close code, in the order of their numbers.
            pub const ALL: &[Self] = &[ $( Self::$name, )* ];

            /// Returns the short reason that goes with the code.
            pub const fn reason(self) -> &'static str {
                match self { $( Self::$name => $reason, )* }
            }

            /// Says what happened and what to do.
            pub const fn meaning(self) -> &'static str {
                match self { $( Self::$name => $meaning, )* }
            }
        }
    };
}

close_codes! {
    GoingAway = 4000, "going away", "The server stops; connect again, to it or to another.";
    SlowReader = 4001, "slow reader", "The socket took nothing for 30 s; connect again and resume from the cursors.";
    NoPong = 4002, "no pong", "A ping was not answered in time; connect again and resume.";
    HelloTimeout = 4003, "hello timeout", "No hello within 10 s of the connection's start.";
    TokenExpired = 4004, "token expired", "The token expired and was not refreshed; connect again with a new one.";
    RateLimited = 4005, "rate limited", "The connection went on far beyond its rate; connect again later.";
    InternalError = 4006, "internal error", "A fault of the server, which its log tells of.";
    Superseded = 4400, "superseded", "A newer connection of the same session has taken over; this one is of no more use.";
    BadRequest = 4500, "bad request", "The client broke the protocol, in a way that it would repeat.";
    Replaced = 4501, "replaced", "Another session uses this device's name; take a device of your own.";
    Unauthorized = 4502, "unauthorized", "The token is missing, malformed, forged or meant for another server.";
    FrameTooLarge = 4503, "frame too large", "A frame was beyond its limit.";
    Kicked = 4504, "kicked", "An operator has closed this connection.";
}

impl CloseCode {
    /// Returns the number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

/// Returns the verdict of a close code, of ours or of the WebSocket standard.
///
/// Of the standard's codes, protocol errors, unsupported or invalid data, violated policy, oversize and a missing extension
/// (1002, 1003, 1007–1010) would come again and stop the client; all others, and no code at all, are connected again.
pub fn verdict(code: Option<u16>) -> Verdict {
    match code {
        Some(4400..=4499) => Verdict::AtOnce,
        Some(4500..=4999 | 1002 | 1003 | 1007..=1010) => Verdict::Stop,
        _ => Verdict::Backoff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_each_code_once_under_the_name_that_goes_over_the_wire() {
        let names: std::collections::BTreeSet<_> = ERRORS.iter().map(|row| row.wire).collect();
        assert_eq!(names.len(), ERRORS.len());
        for row in ERRORS {
            assert_eq!(serde_json::to_string(&row.code).unwrap(), format!("\"{}\"", row.wire));
            assert_eq!(row.code.row().wire, row.wire);
        }
    }

    #[test]
    fn close_codes_lie_in_the_range_of_their_verdict() {
        for code in CloseCode::ALL {
            let expected = match code {
                CloseCode::Superseded => Verdict::AtOnce,
                CloseCode::BadRequest
                | CloseCode::Replaced
                | CloseCode::Unauthorized
                | CloseCode::FrameTooLarge
                | CloseCode::Kicked => Verdict::Stop,
                _ => Verdict::Backoff,
            };
            assert_eq!(verdict(Some(code.number())), expected, "{code:?}");
            assert!(code.reason().len() <= 123, "a close reason has at most 123 bytes");
        }
        assert_eq!(verdict(None), Verdict::Backoff);
        assert_eq!(verdict(Some(1006)), Verdict::Backoff);
        assert_eq!(verdict(Some(1009)), Verdict::Stop);
    }
}
