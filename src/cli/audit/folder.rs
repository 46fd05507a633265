//! Rooms of a data folder.

use rollcall::config::Config;
use rollcall_actors::ports::LogError;
use rollcall_protocol::{Hash, RoomId, Seq};

use super::report::{Report, nobody_has_written};
use super::stored::verify;
use crate::cli::compact::open_log;
use crate::cli::failure::{Failure, Kind};

/// Verifies one room, or all.
pub async fn rooms(
    config: &Config,
    only: Option<&RoomId>,
    anchors: &[(Seq, Hash)],
    report: &mut Report,
) -> Result<(), Failure> {
    let log = open_log(config).map_err(|failure| match failure.kind {
        Kind::Unavailable => failure.and("; to verify a room of a server that runs, name it by --url and --room"),
        _ => failure,
    })?;
    let failed = |error: LogError| Failure::new(Kind::Io, error);
    let mut is_found = false;
    for info in log.rooms() {
        let info = info.map_err(failed)?;
        if only.is_some_and(|only| *only != info.room) {
            continue;
        }
        is_found = true;
        let found = verify(&log, &info.room, (info.tail, info.floor), anchors).await.map_err(failed)?;
        report.room(&info.room, &found)?;
    }
    match only {
        Some(room) if !is_found => Err(nobody_has_written(room, format_args!("in {}", config.data.dir.display()))),
        _ => Ok(()),
    }
}
