//! A room that a server serves, by its history with evidence.

use rollcall_client::EntryFrame;
use rollcall_protocol::{Entry, Hash, OwnerId, RoomId, Seq};

use super::chain::{Break, ChainAudit, Verified};
use super::report::nobody_has_written;
use crate::cli::args::ServerArguments;
use crate::cli::connect::connect;
use crate::cli::failure::Failure;

/// Verifies the room from its first entry that is still kept to its head.
pub async fn room(
    server: &ServerArguments,
    room: &RoomId,
    anchors: &[(Seq, Hash)],
) -> Result<Result<Verified, Break>, Failure> {
    let client = connect(server).await?;
    // The latest page tells where history begins.
    let latest = client.history(room.as_str())?.page_entries(1).latest().next_page().await.transpose()?;
    let Some(latest) = latest else { return Err(nobody_has_written(room, format_args!("at {}", server.url))) };
    let first = latest.floor.max(Seq::FIRST);
    let mut pages = client.history(room.as_str())?.with_evidence().after(first.previous());
    let mut audit = None;
    // The head that the server had when it was asked: what is written meanwhile may be missing at the end, nothing before it.
    let mut head = latest.head;
    while let Some(page) = pages.next_page().await.transpose()? {
        head = head.max(page.list.last().map_or(head, |last| last.seq));
        let audit = audit.get_or_insert_with(|| ChainAudit::new(room, first, page.hash_before, anchors));
        for frame in page.list {
            let seq = frame.seq;
            let taken = entry(frame).ok_or_else(|| Break { seq, problem: "came without evidence".to_owned() });
            if let Err(found) = taken.and_then(|entry| audit.take(&entry)) {
                return Ok(Err(found));
            }
        }
    }
    client.close().await;
    Ok(audit.unwrap_or_else(|| ChainAudit::new(room, first, None, anchors)).finish(head))
}

/// Returns the entry as it is stored; none where a part of its evidence is missing.
fn entry(frame: EntryFrame) -> Option<Entry> {
    Some(Entry {
        seq: frame.seq,
        kind: frame.kind,
        created_at_ms: frame.created_at_ms,
        sender: frame.sender,
        device: frame.device,
        n: frame.n,
        target: frame.target,
        body: frame.body,
        salt: frame.salt,
        content_hash: frame.content_hash?,
        hash: frame.hash?,
        epoch: frame.epoch?,
        owner: OwnerId(u128::from_str_radix(&frame.owner?, 16).ok()?),
    })
}
