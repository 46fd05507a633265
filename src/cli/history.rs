//! `rollcall history`.

use rollcall_client::EntryFrame;

use super::args::HistoryArguments;
use super::connect::connect;
use super::failure::Failure;
use super::output;
use super::render::{EntryLine, entry};

/// Entries on a page at most.
const PAGE_ENTRIES_MAX: u64 = 500;

/// Prints entries of a room, oldest first.
pub async fn history(arguments: &HistoryArguments) -> Result<(), Failure> {
    let HistoryArguments { room, after, before, limit, json, server } = arguments;
    let client = connect(server).await?;
    let page_entries = usize::try_from((*limit).min(PAGE_ENTRIES_MAX)).expect("a page is small");
    let query = client.history(room.as_str())?.page_entries(page_entries);
    let (mut entries, newest_first) = match (after, before) {
        (Some(after), _) => (query.after(*after), false),
        (None, Some(before)) => (query.before(*before), true),
        (None, None) => (query.latest(), true),
    };
    let print = |frame: &EntryFrame| {
        if *json { output::json(&EntryLine::new(room, frame)) } else { output::line(&entry(frame)) }
    };
    let mut kept = Vec::new();
    let mut left = *limit;
    while left > 0
        && let Some(frame) = entries.next().await.transpose()?
    {
        left -= 1;
        if newest_first { kept.push(frame) } else { print(&frame)? }
    }
    kept.iter().rev().try_for_each(print)?;
    client.close().await;
    Ok(())
}
