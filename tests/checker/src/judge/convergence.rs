//! Whether everyone reached the head.

use crate::anomaly::{Evidence, KeptRecord};
use crate::event::{Event, FaultsEndEvent};
use crate::findings::Findings;
use crate::judge::room::Case;
use crate::judge::writes::Settled;
use crate::names::{ConnIx, RoomIx};
use crate::record::Cursor;
use crate::rule::Rule;

/// Judges the cursors of the connections that are still in the room. The time runs from the last of three moments: the end of
/// the faults, the join, and when the last entry was first known to anybody (acknowledged, or pushed).
pub(super) fn judge(
    case: &Case<'_>,
    settled: &[Settled<'_>],
    cursors: &[(RoomIx, ConnIx, Cursor)],
    faults_end: FaultsEndEvent,
    findings: &mut Findings,
) {
    let head = case.record.log.head();
    let acked =
        settled.iter().filter(|write| write.seq == head).map(|write| write.t_acked.unwrap_or(write.write.t_return));
    let pushed = case.record.highest_push.filter(|push| push.seq == head).map(|push| push.t_first);
    let t_known = acked.chain(pushed).min().unwrap_or(0);

    for (_, conn, cursor) in cursors {
        let t_start = faults_end.t.max(cursor.t_joined).max(t_known);
        let took_us = cursor.t_moved.saturating_sub(t_start);
        let explanation = if cursor.seq < head {
            format!("a connection ended at seq {}, the head is {head}", cursor.seq)
        } else if cursor.seq == head && took_us > faults_end.within_us {
            format!("a connection reached the head {head} after {took_us} µs, {} are allowed", faults_end.within_us)
        } else {
            continue;
        };
        findings.report(Rule::ReachesHead, case.name, || {
            let cursor = KeptRecord::Cursor {
                conn: case.names.of_conn(*conn).to_owned(),
                room: case.name.to_owned(),
                seq: cursor.seq,
                t_joined: cursor.t_joined,
                t_moved: cursor.t_moved,
            };
            (explanation, vec![Evidence::Kept(cursor), Evidence::Event(Event::FaultsEnd(faults_end))])
        });
    }
}
