//! Frames that a later minor version may send, and that this one has to bear.

use serde_json::json;

use super::vector::{Direction, Vector};

/// Unknown fields, pushes, signals, errors and operations.
pub fn newer() -> Vec<Vector> {
    let to_client = |name, shows, frame| Vector::newer(name, Direction::ToClient, shows, &frame);
    vec![
        to_client(
            "newer_fields",
            "Fields that are not known are ignored.",
            json!({"id": 6, "ok": {"seq": 2, "committed_by": {"node": "n2"}}, "trace": [1, 2]}),
        ),
        to_client("newer_push", "A push that is not known is ignored.", json!({"weather": {"room": "general"}})),
        to_client(
            "newer_signal",
            "A signal of a kind that is not known is ignored.",
            json!({"signal": {"room": "general", "kind": "waving", "hands": 2}}),
        ),
        to_client(
            "newer_error",
            "An error whose code is not known: retryable tells what to do.",
            json!({"id": 9, "error": {"code": "too_windy", "message": "wait", "retryable": true, "retry_after_ms": 50}}),
        ),
        Vector::newer(
            "newer_op",
            Direction::ToServer,
            "An operation that the server does not know: it answers unknown_op under the id.",
            &json!({"id": 18, "dance": {"room": "general"}}),
        ),
        Vector::newer(
            "newer_command_fields",
            Direction::ToServer,
            "Fields of an operation that the server does not know are ignored.",
            &json!({"id": 19, "leave": {"room": "general", "slowly": true}}),
        ),
    ]
}
