//! The command itself: which rooms of what.

use super::report::Report;
use super::{folder, served};
use crate::cli::args::{AuditArguments, ServerArguments};
use crate::cli::failure::Failure;

/// Verifies rooms and prints what was found.
pub async fn audit(arguments: &AuditArguments) -> Result<(), Failure> {
    let AuditArguments { room, url, token, anchors, json, config } = arguments;
    let mut report = Report::new(*json);
    match (url, room) {
        (Some(url), Some(room)) => {
            let server = ServerArguments { url: url.clone(), token: token.clone() };
            let found = served::room(&server, room, anchors).await?;
            report.room(room, &found)?;
        }
        (_, room) => {
            let config = config.load()?.config;
            folder::rooms(&config, room.as_ref(), anchors, &mut report).await?;
        }
    }
    report.finish()
}
