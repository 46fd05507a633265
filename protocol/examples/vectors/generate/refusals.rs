//! Golden frames of replies that say failure.

use rollcall_protocol::{ErrorCode, ErrorFrame, Nothing, Outgoing};

use super::vector::Vector;

fn vector(name: &'static str, shows: &'static str, id: Option<u64>, error: &ErrorFrame) -> Vector {
    Vector::server(name, shows, &Outgoing::<Nothing>::Error(id, error))
}

/// Errors of each shape.
pub fn refusals() -> Vec<Vector> {
    let error = ErrorFrame::new;
    vec![
        vector(
            "error_bad_request",
            "A field is not what it should be; the message names it.",
            Some(7),
            &error(
                ErrorCode::BadRequest,
                "the frame is not a command: send.n: a number on the wire is at most 2^53 - 1",
            ),
        ),
        vector(
            "error_without_id",
            "The frame could not be read far enough to find its id.",
            None,
            &error(ErrorCode::BadRequest, "the frame is not a command: expected value at line 1 column 1"),
        ),
        vector(
            "error_unknown_op",
            "The server does not know the operation; the connection goes on.",
            Some(8),
            &error(ErrorCode::UnknownOp, "the operation \"dance\" is not known"),
        ),
        vector(
            "error_busy",
            "The room's queue is full: nothing was stored, and the same write is welcome later.",
            Some(9),
            &error(ErrorCode::Busy, "the room's queue is full").retry_after_ms(200),
        ),
        vector(
            "error_outcome_unknown",
            "The write may have been stored: the client tries again with the same n.",
            Some(9),
            &error(ErrorCode::OutcomeUnknown, "the log did not say whether the write was stored").retry_after_ms(200),
        ),
        vector(
            "error_out_of_order",
            "prev is not the device's last accepted n, which the details name; only one copy was sent, so this is final.",
            Some(10),
            &error(ErrorCode::OutOfOrder, "prev is not this device's last accepted n, 3").detail("last", 3).finally(),
        ),
        vector(
            "error_out_of_order_open",
            "The same where another copy of the write may still be under way: not final.",
            Some(10),
            &error(ErrorCode::OutOfOrder, "prev is not this device's last accepted n, 3").detail("last", 3),
        ),
        vector(
            "error_conflict",
            "The n was given to another write: final, whoever says it.",
            Some(10),
            &error(ErrorCode::Conflict, "this n was given to another write, and stays with it").finally(),
        ),
        vector(
            "error_unknown_device",
            "The room no longer remembers the device.",
            Some(10),
            &error(ErrorCode::UnknownDevice, "the room no longer remembers this device").finally(),
        ),
        vector(
            "error_forbidden",
            "The sender may not write here.",
            Some(10),
            &error(ErrorCode::Forbidden, "writing to this room is not allowed").finally(),
        ),
        vector(
            "error_not_found",
            "The target of an edit does not exist.",
            Some(10),
            &error(ErrorCode::NotFound, "the target 99 is not an entry that this can be about")
                .detail("target", 99)
                .finally(),
        ),
        vector(
            "error_expired",
            "The cursor lies below the floor; the details name the range that is gone.",
            Some(4),
            &error(ErrorCode::Expired, "entries before 4097 have expired").detail("from", 6).detail("to", 4096),
        ),
        vector(
            "error_diverged",
            "The cursor does not lie on this room's history.",
            Some(4),
            &error(ErrorCode::Diverged, "the cursor does not lie on this room's history")
                .detail("after", 5)
                .detail("head", 8),
        ),
    ]
}
