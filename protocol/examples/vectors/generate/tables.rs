//! The tables of errors, close codes and limits, for programs.

use rollcall_protocol::limits::LIMITS;
use rollcall_protocol::{CloseCode, ERRORS, Verdict, verdict};
use serde_json::{Value, json};

/// The three tables.
pub fn tables() -> Value {
    let errors = ERRORS
        .iter()
        .map(|row| json!({"code": row.wire, "retryable": row.retryable, "http": row.http, "meaning": row.meaning}));
    let close_codes = CloseCode::ALL.iter().map(|code| {
        json!({
            "code": code.number(),
            "reason": code.reason(),
            "verdict": verdict_name(verdict(Some(code.number()))),
            "meaning": code.meaning(),
        })
    });
    let limits = LIMITS
        .iter()
        .map(|row| json!({"name": row.name.to_lowercase(), "value": row.value, "meaning": row.meaning.trim()}));
    json!({
        "errors": errors.collect::<Vec<_>>(),
        "close_codes": close_codes.collect::<Vec<_>>(),
        "limits": limits.collect::<Vec<_>>(),
    })
}

/// The name of a verdict.
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Backoff => "backoff",
        Verdict::AtOnce => "at_once",
        Verdict::Stop => "stop",
    }
}
