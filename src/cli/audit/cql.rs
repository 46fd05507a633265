//! Rooms of ScyllaDB or Apache Cassandra, while servers go on serving them.

use std::pin::pin;

use futures_util::StreamExt as _;
use rollcall::config::Config;
use rollcall::log::{CqlLog, CqlOptions};
use rollcall_actors::ports::LogError;
use rollcall_protocol::{Hash, RoomId, Seq};

use super::report::{Report, nobody_has_written};
use super::stored::verify;
use crate::cli::failure::{Failure, Kind};

/// Verifies one room, or all.
pub async fn rooms(
    config: &Config,
    only: Option<&RoomId>,
    anchors: &[(Seq, Hash)],
    report: &mut Report,
) -> Result<(), Failure> {
    let options = CqlOptions::from_settings(&config.cql).map_err(|error| Failure::new(Kind::Config, error))?;
    let log = CqlLog::open(options).await?;
    if let Some(room) = only {
        let is_found = room_of(&log, room, anchors, report).await?;
        let place = format_args!("in keyspace {}", config.cql.keyspace);
        return if is_found { Ok(()) } else { Err(nobody_has_written(room, place)) };
    }
    let mut rooms = pin!(log.rooms().await.map_err(failed)?);
    while let Some(room) = rooms.next().await {
        room_of(&log, &room.map_err(failed)?, anchors, report).await?;
    }
    Ok(())
}

/// Verifies a room; tells whether somebody wrote to it.
async fn room_of(log: &CqlLog, room: &RoomId, anchors: &[(Seq, Hash)], report: &mut Report) -> Result<bool, Failure> {
    let found = match log.room(room).await {
        Ok(None) => return Ok(false),
        Ok(Some(standing)) => verify(log, room, standing, anchors).await.map_err(failed)?,
        Err(LogError::Damaged(reason)) => {
            Err(super::chain::Break { seq: Seq::ZERO, problem: format!("cannot be found: {reason}") })
        }
        Err(error) => return Err(failed(error)),
    };
    report.room(room, &found)?;
    Ok(true)
}

fn failed(error: LogError) -> Failure {
    let kind = if matches!(error, LogError::Unavailable(_)) { Kind::Unavailable } else { Kind::Io };
    Failure::new(kind, error)
}
