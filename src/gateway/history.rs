//! Pages of history: which entries a question means, and the answer.

use std::collections::VecDeque;

use rollcall_actors::limits::HISTORY_PAGE_BYTES_MAX;
use rollcall_actors::ports::LogError;
use rollcall_actors::shell::{RoomView, Viewed, expired};
use rollcall_protocol::limits::{HISTORY_PAGE_ENTRIES_DEFAULT, HISTORY_PAGE_ENTRIES_MAX};
use rollcall_protocol::{Entry, EntryList, ErrorCode, ErrorFrame, Hash, History, HistoryView, Outgoing, Seq, hash};

use super::connection::Connection;
use super::delivery::unavailable;

/// Checks a question for a page.
///
/// # Errors
/// Where it names two places, or a limit that is none.
pub fn check(history: &History) -> Result<(), ErrorFrame> {
    let places = [history.after, history.before, history.around];
    if places.into_iter().flatten().count() > 1 {
        return Err(ErrorFrame::new(ErrorCode::BadRequest, "give one of after, before and around"));
    }
    if history.limit.is_some_and(|limit| limit == 0 || limit > HISTORY_PAGE_ENTRIES_MAX as u64) {
        let message = format!("limit is 1 to {HISTORY_PAGE_ENTRIES_MAX}");
        return Err(ErrorFrame::new(ErrorCode::BadRequest, message));
    }
    Ok(())
}

/// Which entries a question means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// The page begins after this number.
    after: Seq,
    /// Up to and with this number.
    through: Seq,
    /// The number that a page must reach whose entries are too large to be all on it: it then begins later.
    reach: Seq,
}

/// Returns the place that a question means in the room as it stands.
fn place(history: &History, view: &RoomView) -> Result<Place, ErrorFrame> {
    let limit = history.limit.unwrap_or(HISTORY_PAGE_ENTRIES_DEFAULT as u64);
    let before_floor = view.floor.previous();
    let from = |after: Seq, reach: Seq| {
        let through = if after >= view.head { after } else { view.head.min(after.plus(limit)) };
        Place { after, through, reach }
    };
    let ending_at = |last: Seq| {
        let after = Seq::new(last.get().saturating_sub(limit)).max(before_floor);
        Place { after, through: last.max(after), reach: last }
    };
    match (history.after, history.before, history.around) {
        (Some(after), _, _) if after < before_floor => Err(expired(after, view.floor)),
        (Some(after), _, _) => Ok(from(after, Seq::ZERO)),
        (_, Some(before), _) if before <= view.floor && view.floor > Seq::FIRST => Err(expired(Seq::ZERO, view.floor)),
        (_, Some(before), _) => Ok(ending_at(before.previous().min(view.head))),
        (_, _, Some(around)) => {
            let after = Seq::new(around.get().saturating_sub(limit.div_ceil(2)));
            Ok(from(after.max(before_floor), around.min(view.head)))
        }
        (None, None, None) => Ok(ending_at(view.head)),
    }
}

impl Connection {
    /// Answers a question for a page, now that the room was looked at.
    pub async fn history(&mut self, id: u64, viewed: Result<Viewed, ErrorFrame>) {
        let asked = self.histories.iter().position(|(asked, _)| *asked == id);
        let Some(history) = asked.map(|at| self.histories.swap_remove(at).1) else { return };
        let page = match viewed {
            Ok(viewed) => read_page(&history, viewed).await,
            Err(error) => Err(error),
        };
        match page {
            Ok((view, entries, hash_before)) => {
                let list = EntryList { list: &entries, evidence: history.evidence };
                let answer = HistoryView { room: &view.room, head: view.head, floor: view.floor, list, hash_before };
                self.feed(&Outgoing::Ok(id, answer));
            }
            Err(error) => self.refuse(Some(id), &error),
        }
    }
}

/// Reads the page that is asked for, and with evidence the hash before it.
async fn read_page(
    history: &History,
    Viewed { view, room }: Viewed,
) -> Result<(RoomView, Vec<Entry>, Option<Hash>), ErrorFrame> {
    let Place { after, through, reach } = place(history, &view)?;
    let mut page = Page::default();
    let mut cursor = after;
    if after == Seq::ZERO {
        page.hash_before = Some(hash::genesis(&view.room));
    } else if after.next() == view.floor {
        page.hash_before = Some(view.floor_hash);
    } else if history.evidence {
        // The hash before the page is that of one entry more, which does not stay on it.
        cursor = after.previous();
    }
    while cursor < through {
        let entries = room.history(cursor, through).await.map_err(|error| match error {
            LogError::Expired { floor } => expired(after, floor),
            LogError::Unavailable(_) | LogError::Damaged(_) => unavailable(),
        })?;
        let Some(last) = entries.last() else { break };
        cursor = last.seq;
        for entry in &*entries {
            page.push(entry, after, reach);
        }
        if cursor >= reach {
            break;
        }
    }
    Ok((view, page.entries.into(), page.hash_before.filter(|_| history.evidence)))
}

/// A page that is being read.
#[derive(Debug, Default)]
struct Page {
    entries: VecDeque<Entry>,
    bytes: usize,
    hash_before: Option<Hash>,
}

impl Page {
    /// Takes the next entry, unless it lies before the page. On the way to `reach` the page gives up its first entries for it.
    fn push(&mut self, entry: &Entry, after: Seq, reach: Seq) {
        if entry.seq <= after {
            self.hash_before = Some(entry.hash);
            return;
        }
        if entry.seq > reach && self.bytes >= HISTORY_PAGE_BYTES_MAX {
            return;
        }
        self.bytes += entry.weight_bytes();
        self.entries.push_back(entry.clone());
        while self.bytes > HISTORY_PAGE_BYTES_MAX
            && let Some(first) = self.entries.pop_front_if(|first| first.seq < reach)
        {
            self.bytes -= first.weight_bytes();
            self.hash_before = Some(first.hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use rollcall_protocol::{Epoch, RoomId};

    use super::*;

    fn view(floor: u64, head: u64) -> RoomView {
        RoomView {
            room: RoomId::parse("r").unwrap(),
            epoch: Epoch::new(1),
            head: Seq::new(head),
            floor: Seq::new(floor),
            hash: Hash([0; 32]),
            floor_hash: Hash([0; 32]),
        }
    }

    fn asked(set: impl FnOnce(&mut History)) -> History {
        let mut history = History::latest(RoomId::parse("r").unwrap());
        history.limit = Some(10);
        set(&mut history);
        history
    }

    #[test]
    fn where_a_page_begins_and_how_long_it_is() {
        let at = |history: &History, view: &RoomView| {
            place(history, view).map(|place| (place.after.get(), place.through.since(place.after)))
        };
        let room = view(1, 100);
        assert_eq!(at(&asked(|_| {}), &room), Ok((90, 10)));
        assert_eq!(at(&asked(|h| h.after = Some(Seq::new(40))), &room), Ok((40, 10)));
        assert_eq!(at(&asked(|h| h.before = Some(Seq::new(41))), &room), Ok((30, 10)));
        assert_eq!(at(&asked(|h| h.before = Some(Seq::new(4))), &room), Ok((0, 3)));
        assert_eq!(at(&asked(|h| h.before = Some(Seq::new(1))), &room), Ok((0, 0)));
        assert_eq!(at(&asked(|h| h.before = Some(Seq::new(500))), &room), Ok((90, 10)));
        assert_eq!(at(&asked(|h| h.around = Some(Seq::new(50))), &room), Ok((45, 10)));
        assert_eq!(at(&asked(|h| h.around = Some(Seq::new(2))), &room), Ok((0, 10)));
        assert_eq!(at(&asked(|h| h.around = Some(Seq::new(99))), &room), Ok((94, 6)));
        assert_eq!(at(&asked(|h| h.after = Some(Seq::new(500))), &room), Ok((500, 0)));
        assert_eq!(at(&asked(|_| {}), &view(1, 0)), Ok((0, 0)));
    }

    #[test]
    fn what_lies_below_the_floor_has_expired() {
        let room = view(50, 100);
        assert_eq!(place(&asked(|h| h.after = Some(Seq::new(48))), &room), Err(expired(Seq::new(48), room.floor)));
        assert_eq!(place(&asked(|h| h.after = Some(Seq::new(49))), &room).map(|place| place.after.get()), Ok(49));
        assert!(place(&asked(|h| h.before = Some(Seq::new(50))), &room).is_err());
        let [after, last] = [49, 54].map(Seq::new);
        let kept = Place { after, through: last, reach: last };
        assert_eq!(place(&asked(|h| h.before = Some(Seq::new(55))), &room), Ok(kept));
    }

    #[test]
    fn questions_that_are_refused() {
        assert!(check(&asked(|h| h.limit = Some(0))).is_err());
        assert!(check(&asked(|h| h.limit = Some(501))).is_err());
        assert!(check(&asked(|h| (h.after, h.before) = (Some(Seq::ZERO), Some(Seq::FIRST)))).is_err());
        assert!(check(&asked(|h| h.limit = Some(500))).is_ok());
    }
}
