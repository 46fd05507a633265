//! The command itself: which rooms of what.

use rollcall::config::LogKind;

use super::report::Report;
use super::{cql, folder, served};
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
            let names_a_folder = config.data.is_some();
            let config = config.load()?.config;
            if config.log.kind == LogKind::Cql && !names_a_folder {
                cql::rooms(&config, room.as_ref(), anchors, &mut report).await?;
            } else {
                folder::rooms(&config, room.as_ref(), anchors, &mut report).await?;
            }
        }
    }
    report.finish()
}
