//! Rooms of a data folder.

use rollcall::config::Config;
use rollcall::log::EmbeddedLog;
use rollcall::log::embedded::RoomInfo;
use rollcall_actors::ports::{Log, LogError, ReadRange};
use rollcall_protocol::{Hash, RoomId, Seq};

use super::chain::{Break, ChainAudit, Verified};
use super::report::{Report, nobody_has_written};
use crate::cli::compact::open_log;
use crate::cli::failure::{Failure, Kind};

/// Entries and bytes that are read at once.
const PAGE_ENTRIES: usize = 1_000;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

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
        let found = verify(&log, &info, anchors).await.map_err(failed)?;
        report.room(&info.room, &found)?;
    }
    match only {
        Some(room) if !is_found => Err(nobody_has_written(room, format_args!("in {}", config.data.dir.display()))),
        _ => Ok(()),
    }
}

async fn verify(
    log: &EmbeddedLog,
    info: &RoomInfo,
    anchors: &[(Seq, Hash)],
) -> Result<Result<Verified, Break>, LogError> {
    let RoomInfo { room, tail, floor } = info;
    let mut audit = ChainAudit::new(room, (*floor).max(Seq::FIRST), None, anchors);
    let mut after = floor.previous();
    while after < tail.last_seq {
        let range = ReadRange { after, through: tail.last_seq, entries_max: PAGE_ENTRIES, bytes_max: PAGE_BYTES };
        let page = match log.read(room, range).await {
            Ok(page) => page,
            // What cannot be read is a finding about this room, and the others are looked at all the same.
            Err(LogError::Damaged(reason)) => {
                return Ok(Err(Break { seq: after.next(), problem: format!("cannot be read: {reason}") }));
            }
            Err(error) => return Err(error),
        };
        let Some(last) = page.last() else { break };
        if let Err(found) = page.iter().try_for_each(|entry| audit.take(entry)) {
            return Ok(Err(found));
        }
        after = last.seq;
    }
    Ok(audit.finish(tail.last_seq))
}
