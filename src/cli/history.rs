//! `rollcall history`, and what other commands read of a room's past.

use rollcall_client::{Cursor, EntryFrame, HistoryStream};

use super::args::HistoryArguments;
use super::connect::connect;
use super::failure::Failure;
use super::output;
use super::render::{EntryLine, entry};

/// Prints entries of a room, oldest first.
pub async fn history(arguments: &HistoryArguments) -> Result<(), Failure> {
    let HistoryArguments { room, after, before, limit, json, server } = arguments;
    let client = connect(server).await?;
    let query = client.history(room.as_str())?.page_entries(page_entries(*limit));
    let print = |frame: &EntryFrame| {
        if *json { output::json(&EntryLine::new(room, frame)) } else { output::line(&entry(frame)) }
    };
    match (after, before) {
        (Some(after), _) => {
            let mut entries = query.after(*after);
            let mut left = *limit;
            while left > 0
                && let Some(frame) = entries.next().await.transpose()?
            {
                left -= 1;
                print(&frame)?;
            }
        }
        (None, before) => {
            let entries = before.map_or_else(|| query.clone().latest(), |before| query.clone().before(before));
            read_backward(entries, *limit).await?.entries.iter().try_for_each(print)?;
        }
    }
    client.close().await;
    Ok(())
}

/// The end of a stretch of history.
#[derive(Debug, Default)]
pub struct Past {
    /// Entries, oldest first.
    pub entries: Vec<EntryFrame>,
    /// The place of the newest entry that there was, even where none was asked for; none where there is no entry.
    pub end: Option<Cursor>,
}

/// Returns how many entries to ask for at once where so many are wanted; the client asks for no more than a page may have.
pub fn page_entries(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Reads the newest `limit` entries of a stream that goes backward, over as many pages as they take.
pub async fn read_backward(mut pages: HistoryStream, limit: u64) -> Result<Past, Failure> {
    let mut past = Past::default();
    let mut left = page_entries(limit);
    while let Some(page) = pages.next_page().await.transpose()? {
        let last_seq = page.list.last().map_or(page.head, |last| last.seq);
        past.end.get_or_insert(Cursor { seq: last_seq, hash: page.hash });
        let before = past.entries.len();
        past.entries.extend(page.list.into_iter().rev().take(left));
        left -= past.entries.len() - before;
        if left == 0 {
            break;
        }
    }
    past.entries.reverse();
    Ok(past)
}
