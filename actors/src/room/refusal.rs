//! Refusals: why a write was not stored, and how each is told to the client.

use rollcall_protocol::{ErrorCode, ErrorFrame, Seq, limits};

use crate::limits::{REFUSED_RETRY_MS, ROOM_SPACE_RETRY_MS};

/// Why a write was not stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The n was given to another write of the device.
    #[error("this n was given to another write, and stays with it")]
    Conflict,
    /// The n was passed over.
    #[error("this n was passed over and will never be stored")]
    Skipped,
    /// The n lies before the device's last writes that are kept.
    #[error("this n lies before the last {kept} writes of its device", kept = limits::UNANSWERED_WRITES_MAX)]
    TooOld,
    /// The room no longer knows whether the device wrote before.
    #[error("the room no longer remembers this device")]
    UnknownDevice,
    /// The sender may not write, or not this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// `prev` is not the device's last accepted n.
    #[error("prev is not this device's last accepted n, {last}")]
    OutOfOrder {
        /// The device's last accepted n.
        last: u64,
    },
    /// The entry that the write is about does not exist or is of the wrong kind.
    #[error("the target {0} is not an entry that this can be about")]
    Target(Seq),
    /// The entry that the write is about has expired.
    #[error("the target {0} lies below the room's floor")]
    TargetExpired(Seq),
    /// Too many writes of the device wait for their commit.
    #[error("{max} writes of this device are unanswered in this room", max = limits::UNANSWERED_WRITES_MAX)]
    TooManyUnanswered,
    /// The room's queue is full; nothing was stored.
    #[error("the room's queue is full")]
    Busy,
    /// As many rooms are active on the node as may be; nothing was stored.
    #[error("as many rooms are active on this server as it takes")]
    TooManyRooms,
    /// The room's log could not be read, so that the room is not active; nothing was stored.
    #[error("the room's log cannot be read now")]
    NotActivated {
        /// When it is tried again, in milliseconds from now.
        retry_after_ms: u64,
    },
    /// The room cannot take writes now; nothing was stored.
    #[error("{0}")]
    Unavailable(String),
    /// The write may be stored or not.
    #[error("the log did not say whether the write was stored")]
    OutcomeUnknown,
}

impl Refusal {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Conflict => ErrorCode::Conflict,
            Self::Skipped => ErrorCode::Skipped,
            Self::TooOld => ErrorCode::TooOld,
            Self::UnknownDevice => ErrorCode::UnknownDevice,
            Self::Forbidden(_) => ErrorCode::Forbidden,
            Self::OutOfOrder { .. } => ErrorCode::OutOfOrder,
            Self::Target(_) => ErrorCode::NotFound,
            Self::TargetExpired(_) => ErrorCode::Expired,
            Self::TooManyUnanswered => ErrorCode::TooManyUnanswered,
            Self::Busy | Self::TooManyRooms => ErrorCode::Busy,
            Self::Unavailable(_) | Self::NotActivated { .. } => ErrorCode::Unavailable,
            Self::OutcomeUnknown => ErrorCode::OutcomeUnknown,
        }
    }

    fn retry_after_ms(&self) -> u64 {
        match self {
            Self::TooManyRooms => ROOM_SPACE_RETRY_MS,
            Self::NotActivated { retry_after_ms } => *retry_after_ms,
            _ => REFUSED_RETRY_MS,
        }
    }

    /// Tells whether the write is not stored and never will be, even if an earlier or later copy of it was sent too.
    pub fn is_final_for_every_copy(&self) -> bool {
        matches!(self, Self::Conflict | Self::Skipped | Self::TooOld)
    }

    /// Returns the refusal as the client gets it. `only_copy` says that this node sent the write to the room's owner exactly once:
    /// then every refusal but a retryable one is final as far as the node knows.
    pub fn to_frame(&self, only_copy: bool) -> ErrorFrame {
        let mut frame = ErrorFrame::new(self.code(), self.to_string());
        if frame.retryable {
            frame = frame.retry_after_ms(self.retry_after_ms());
        } else {
            frame.is_final = only_copy || self.is_final_for_every_copy();
        }
        match self {
            Self::OutOfOrder { last } => frame.detail("last", *last),
            Self::Target(seq) | Self::TargetExpired(seq) => frame.detail("target", seq.get()),
            _ => frame,
        }
    }
}
