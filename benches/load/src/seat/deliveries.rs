//! What a connection does with entries: hashes each body, hands each to the judge, measures.

use anyhow::ensure;
use rollcall_checker::NO_BODY;
use rollcall_protocol::EntriesFrame;

use crate::history::{Place, Push};
use crate::payload::{body_hash, due_us};
use crate::run::Run;

/// Takes the entries of a frame, and returns the number of the last one. Whether they are the right ones is for the judge
/// to say.
///
/// # Errors
/// Where the frame is of another room: this connection has not joined one.
pub fn take_entries(run: &Run, place: &Place, frame: &EntriesFrame) -> anyhow::Result<u64> {
    ensure!(frame.room.as_str() == place.room, "a frame of the room {} came to {}", frame.room, place.conn);
    let t = run.clock.now_us();
    let mut history = run.history.borrow_mut();
    let mut latency = run.tally.delivery.borrow_mut();
    let mut last = 0;
    for entry in &frame.list {
        let body_hash = entry.body.as_ref().map_or(NO_BODY, |body| body_hash(body.as_str()));
        last = entry.seq.get();
        history.push(place, &Push { seq: last, epoch: frame.epoch.get(), body_hash, t });
        let due = entry.body.as_ref().and_then(due_us).filter(|&due_us| run.tally.in_window(due_us));
        if let Some(due_us) = due {
            latency.record_us(t.saturating_sub(due_us));
        }
    }
    let count = frame.list.len() as u64;
    let tally = &run.tally;
    tally.deliveries_all.set(tally.deliveries_all.get() + count);
    if tally.in_window(t) {
        tally.deliveries.set(tally.deliveries.get() + count);
    }
    Ok(last)
}
