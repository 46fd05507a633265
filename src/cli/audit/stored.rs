//! A room of a log that is read where it is stored.

use rollcall_actors::ports::{Log, LogError, LogTail, ReadRange};
use rollcall_protocol::{Hash, NUMBER_MAX, RoomId, Seq};

use super::chain::{Break, ChainAudit, Verified};

/// Entries and bytes that are read at once.
const PAGE_ENTRIES: usize = 1_000;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Verifies a room from its first entry that is still kept to where it was said to stand. Reads alone. `floor` is the first number
/// that is still kept.
///
/// # Errors
/// Where the log cannot be asked. What cannot be read is a finding about this room, and others can be looked at all the same.
pub async fn verify(
    log: &dyn Log,
    room: &RoomId,
    (tail, floor): (LogTail, Seq),
    anchors: &[(Seq, Hash)],
) -> Result<Result<Verified, Break>, LogError> {
    let mut audit = ChainAudit::new(room, floor.max(Seq::FIRST), None, anchors);
    let mut after = floor.previous();
    while after < tail.last_seq {
        let range = ReadRange { after, through: tail.last_seq, entries_max: PAGE_ENTRIES, bytes_max: PAGE_BYTES };
        let page = match log.read(room, range).await {
            Ok(page) => page,
            Err(LogError::Damaged(reason)) => {
                let seq = after.next();
                return Ok(Err(Break { seq, problem: problem(&format!("entry {seq} of {room}"), &reason) }));
            }
            Err(error) => return Err(error),
        };
        let Some(last) = page.last() else { break };
        if let Err(found) = page.iter().try_for_each(|entry| audit.take(entry)) {
            return Ok(Err(found));
        }
        if last.epoch > tail.fence.epoch {
            let problem = format!("has epoch {}, above that of the room's fence, {}", last.epoch, tail.fence.epoch);
            return Ok(Err(Break { seq: last.seq, problem }));
        }
        after = last.seq;
    }
    if after == tail.last_seq
        && let Some(found) = unknown_to_the_fence(log, room, tail).await?
    {
        return Ok(Err(found));
    }
    Ok(audit.finish(tail.last_seq))
}

/// Says what is wrong with an entry, which the log's own reason may name.
fn problem(entry: &str, reason: &str) -> String {
    match reason.strip_prefix(entry).map(|rest| rest.strip_prefix(": ").ok_or(rest.trim_start())) {
        Some(Err(what)) => what.to_owned(),
        Some(Ok(what)) => format!("cannot be read: {what}"),
        None => format!("cannot be read: {reason}"),
    }
}

/// Looks for an entry behind the last that the room's fence knows: somebody has put it there past the log.
async fn unknown_to_the_fence(log: &dyn Log, room: &RoomId, tail: LogTail) -> Result<Option<Break>, LogError> {
    let through = Seq::new(NUMBER_MAX);
    let range = ReadRange { after: tail.last_seq, through, entries_max: 1, bytes_max: PAGE_BYTES };
    let is_there = match log.read(room, range).await {
        Ok(page) => !page.is_empty(),
        Err(LogError::Damaged(_)) => true,
        Err(error) => return Err(error),
    };
    // What was committed since the room was looked at is no finding.
    let is_known = log.tail(room).await?.is_some_and(|now| now.last_seq > tail.last_seq);
    let seq = tail.last_seq.next();
    Ok((is_there && !is_known)
        .then(|| Break { seq, problem: "is stored, and the room's fence does not know it".to_owned() }))
}
