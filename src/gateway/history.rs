//! Pages of history: which entries a question means, and the answer.

use rollcall_actors::ports::{Log, LogError, ReadRange};
use rollcall_actors::shell::{RoomView, expired};
use rollcall_protocol::limits::{BATCH_BYTES_MAX, HISTORY_PAGE_ENTRIES_DEFAULT, HISTORY_PAGE_ENTRIES_MAX};
use rollcall_protocol::{Entry, EntryList, ErrorCode, ErrorFrame, Hash, History, HistoryView, Outgoing, Seq, hash};

use super::connection::{Connection, End};
use super::delivery::unavailable;

/// Size of the bodies on one page, in bytes; a page has at least one entry.
const PAGE_BYTES_MAX: usize = 4 * BATCH_BYTES_MAX;

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

/// Returns the place after which the page begins, and its greatest number of entries.
fn place(history: &History, view: &RoomView) -> Result<(Seq, u64), ErrorFrame> {
    let limit = history.limit.unwrap_or(HISTORY_PAGE_ENTRIES_DEFAULT as u64);
    let before_floor = view.floor.previous();
    // A page that ends at a place begins `limit` before it, or at the floor.
    let ending_at = |last: Seq| {
        let after = Seq::new(last.get().saturating_sub(limit)).max(before_floor);
        (after, last.since(after))
    };
    match (history.after, history.before, history.around) {
        (Some(after), _, _) if after < before_floor => Err(expired(after, view.floor)),
        (Some(after), _, _) => Ok((after, limit)),
        (_, Some(before), _) if before <= view.floor && view.floor > Seq::FIRST => Err(expired(Seq::ZERO, view.floor)),
        (_, Some(before), _) => Ok(ending_at(before.previous().min(view.head))),
        (_, _, Some(around)) => {
            let after = Seq::new(around.get().saturating_sub(limit.div_ceil(2)));
            Ok((after.max(before_floor), limit))
        }
        (None, None, None) => Ok(ending_at(view.head)),
    }
}

impl Connection {
    /// Answers a question for a page, now that the room was looked at.
    pub async fn history(&mut self, id: u64, view: Result<RoomView, ErrorFrame>) -> Result<(), End> {
        let asked = self.histories.iter().position(|(asked, _)| *asked == id);
        let Some(history) = asked.map(|at| self.histories.swap_remove(at).1) else { return Ok(()) };
        let page = match view {
            Ok(view) => read_page(&*self.gateway.directory.log(), &history, view).await,
            Err(error) => Err(error),
        };
        match page {
            Ok((view, entries, hash_before)) => {
                let list = EntryList { list: &entries, evidence: history.evidence };
                let answer = HistoryView { room: &view.room, head: view.head, floor: view.floor, list, hash_before };
                self.feed(&Outgoing::Ok(id, answer)).await
            }
            Err(error) => self.refuse(Some(id), &error).await,
        }
    }
}

/// Reads the page that is asked for, and with evidence the hash before it.
async fn read_page(
    log: &dyn Log,
    history: &History,
    view: RoomView,
) -> Result<(RoomView, Vec<Entry>, Option<Hash>), ErrorFrame> {
    let (after, limit) = place(history, &view)?;
    let limit = usize::try_from(limit).unwrap_or(HISTORY_PAGE_ENTRIES_MAX);
    // With evidence goes the hash before the page: that of one more entry, where it is not known.
    let known_before = if after.next() == view.floor { Some(view.floor_hash) } else { None };
    let extra = history.evidence && known_before.is_none() && after > Seq::ZERO;
    let first = if extra { after.previous() } else { after };
    let range = ReadRange {
        after: first,
        through: view.head,
        entries_max: limit + usize::from(extra),
        bytes_max: PAGE_BYTES_MAX,
    };
    let mut entries = if limit == 0 || after >= view.head {
        Vec::new()
    } else {
        log.read(&view.room, range).await.map_err(|error| match error {
            LogError::Expired { floor } => expired(after, floor),
            LogError::Unavailable(_) | LogError::Damaged(_) => unavailable(),
        })?
    };
    let mut hash_before = known_before;
    if extra && !entries.is_empty() {
        hash_before = Some(entries.remove(0).hash);
    }
    if after == Seq::ZERO {
        hash_before = Some(hash::genesis(&view.room));
    }
    Ok((view, entries, hash_before.filter(|_| history.evidence)))
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
        let at = |history: &History, view: &RoomView| place(history, view).map(|(after, limit)| (after.get(), limit));
        let room = view(1, 100);
        assert_eq!(at(&asked(|_| {}), &room), Ok((90, 10)));
        assert_eq!(at(&asked(|h| h.after = Some(Seq::new(40))), &room), Ok((40, 10)));
        assert_eq!(at(&asked(|h| h.before = Some(Seq::new(41))), &room), Ok((30, 10)));
        assert_eq!(at(&asked(|h| h.before = Some(Seq::new(4))), &room), Ok((0, 3)));
        assert_eq!(at(&asked(|h| h.before = Some(Seq::new(1))), &room), Ok((0, 0)));
        assert_eq!(at(&asked(|h| h.before = Some(Seq::new(500))), &room), Ok((90, 10)));
        assert_eq!(at(&asked(|h| h.around = Some(Seq::new(50))), &room), Ok((45, 10)));
        assert_eq!(at(&asked(|h| h.around = Some(Seq::new(2))), &room), Ok((0, 10)));
        assert_eq!(at(&asked(|_| {}), &view(1, 0)), Ok((0, 0)));
    }

    #[test]
    fn what_lies_below_the_floor_has_expired() {
        let room = view(50, 100);
        assert_eq!(place(&asked(|h| h.after = Some(Seq::new(48))), &room), Err(expired(Seq::new(48), room.floor)));
        assert_eq!(place(&asked(|h| h.after = Some(Seq::new(49))), &room).map(|(after, _)| after.get()), Ok(49));
        assert!(place(&asked(|h| h.before = Some(Seq::new(50))), &room).is_err());
        assert_eq!(place(&asked(|h| h.before = Some(Seq::new(55))), &room), Ok((Seq::new(49), 5)));
    }

    #[test]
    fn questions_that_are_refused() {
        assert!(check(&asked(|h| h.limit = Some(0))).is_err());
        assert!(check(&asked(|h| h.limit = Some(501))).is_err());
        assert!(check(&asked(|h| (h.after, h.before) = (Some(Seq::ZERO), Some(Seq::FIRST)))).is_err());
        assert!(check(&asked(|h| h.limit = Some(500))).is_ok());
    }
}
