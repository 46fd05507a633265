//! The walk over the rooms, and the verdict.

use rustc_hash::FxHashSet;

use crate::checker::Checker;
use crate::event::FaultsEndEvent;
use crate::findings::Findings;
use crate::judge::{convergence, order, pushes, writes};
use crate::names::{ConnIx, NameIx, Names, RoomIx};
use crate::record::{Cursor, RoomRecord};
use crate::verdict::{Caveat, Summary, Verdict};

/// One room on the bench.
pub(super) struct Case<'a> {
    pub(super) name: &'a str,
    pub(super) names: &'a Names,
    pub(super) record: &'a RoomRecord,
}

pub(crate) fn judge(checker: Checker) -> Verdict {
    let Checker { mut findings, names, mut rooms, joined_rooms, cursors, faults_end, mut summary } = checker;
    // In an order of their own, so that the same history gives the same report.
    let mut cursors: Vec<(RoomIx, ConnIx, Cursor)> =
        cursors.into_iter().map(|((conn, room), cursor)| (room, conn, cursor)).collect();
    cursors.sort_unstable_by_key(|(room, conn, _)| (*room, *conn));
    let mut cursors = cursors.as_slice();

    let mut owners: FxHashSet<NameIx> = FxHashSet::default();
    for ((place, record), name) in rooms.iter_mut().enumerate().zip(names.rooms()) {
        record.log.finish();
        let room_cursors;
        (room_cursors, cursors) = cursors.split_at(cursors.partition_point(|(room, _, _)| room.place() <= place));
        let case = Case { name, names: &names, record };
        judge_room(&case, room_cursors, faults_end, &mut findings, &mut summary);
        owners.extend(record.log.owners());
    }

    summary.rooms = rooms.len() as u64;
    summary.connections = joined_rooms.len() as u64;
    summary.owners = owners.len() as u64;
    let (anomalies, totals) = findings.into_parts();
    let caveats = [
        (summary.unknown == 0, Caveat::NoUnknownOutcome),
        (summary.rooms_with_several_owners == 0, Caveat::NoFencedOwner),
        (faults_end.is_none(), Caveat::ConvergenceNotJudged),
        (summary.stored == 0, Caveat::NoDump),
    ];
    let caveats = caveats.into_iter().filter_map(|(applies, caveat)| applies.then_some(caveat)).collect();
    Verdict { anomalies, totals, summary, caveats }
}

fn judge_room(
    case: &Case<'_>,
    cursors: &[(RoomIx, ConnIx, Cursor)],
    faults_end: Option<FaultsEndEvent>,
    findings: &mut Findings,
    summary: &mut Summary,
) {
    let log = &case.record.log;
    summary.stored += log.entries().len() as u64;
    summary.stored_erased += log.entries().iter().filter(|entry| entry.erased).count() as u64;
    summary.rooms_with_several_owners += u64::from(log.owners().len() > 1);

    let settled = writes::judge(case, findings, summary);
    order::judge(case, &settled, findings);
    pushes::judge(case, findings);
    if let Some(faults_end) = faults_end {
        convergence::judge(case, &settled, cursors, faults_end, findings);
    }
}
