//! Closing holes: what is missing is fetched from history, page by page.

use rollcall_protocol::{ErrorCode, ErrorFrame, History, HistoryPage, RoomId, limits};

use super::{HOLE_GRACE_MS, Phase, Reader, Repair, TAIL_GRACE_MS};
use crate::error::expired_range;
use crate::session::backoff;
use crate::session::effect::Effect;
use crate::session::input::Moment;

impl Reader {
    /// Takes a page that was fetched to close a hole.
    pub(in crate::session) fn repaired(
        &mut self,
        moment: Moment,
        id: u64,
        page: HistoryPage,
        effects: &mut Vec<Effect>,
    ) {
        if self.repair != (Repair::Asked { id }) {
            return;
        }
        let before = self.cursor();
        self.hold(page.list, None, page.hash);
        self.release(&page.room, effects);
        self.expire_to(page.floor, &page.room, effects);
        self.release(&page.room, effects);
        if self.cursor() > before {
            self.repair_failures = 0;
            self.repair = Repair::Idle { not_before_ms: 0 };
        } else {
            self.repair_failed(moment);
        }
        self.is_fetching = true;
        self.watch(moment.now_ms);
    }

    /// Learns that a page was refused.
    pub(in crate::session) fn repair_refused(
        &mut self,
        moment: Moment,
        id: u64,
        room: &RoomId,
        error: &ErrorFrame,
        effects: &mut Vec<Effect>,
    ) {
        if self.repair != (Repair::Asked { id }) {
            return;
        }
        if let Some((_, to)) = expired_range(error).filter(|_| error.code == ErrorCode::Expired) {
            self.expire_to(to.next(), room, effects);
            self.release(room, effects);
        }
        self.repair_failed(moment);
        self.watch(moment.now_ms);
    }

    fn repair_failed(&mut self, moment: Moment) {
        let not_before_ms = moment.now_ms + backoff::retry_ms(self.repair_failures, moment.random);
        self.repair_failures += 1;
        self.repair = Repair::Idle { not_before_ms };
    }

    /// Returns the page to fetch now, if a hole is due.
    pub(in crate::session) fn repair(
        &mut self,
        now_ms: u64,
        resumed_ms: u64,
        room: &RoomId,
        id: u64,
    ) -> Option<History> {
        if self.due_ms(resumed_ms)? > now_ms {
            return None;
        }
        let missing = self.buffer.as_ref()?.missing()?;
        let after = missing.start().previous();
        let limit = missing.end().since(after).min(limits::HISTORY_PAGE_ENTRIES_MAX as u64);
        self.repair = Repair::Asked { id };
        Some(History { after: Some(after), limit: Some(limit), ..History::latest(room.clone()) })
    }

    /// Returns when a hole has to be fetched or a join tried again; none where nothing is missing or an answer is awaited.
    pub(in crate::session) fn due_ms(&self, resumed_ms: u64) -> Option<u64> {
        match (self.phase, self.repair) {
            (Phase::Wanted { not_before_ms }, _) => Some(not_before_ms),
            (Phase::Joined, Repair::Idle { not_before_ms }) => {
                let has_hole = self.buffer.as_ref().is_some_and(|buffer| buffer.held() > 0);
                let grace_ms = if has_hole { HOLE_GRACE_MS } else { TAIL_GRACE_MS };
                let stalled_ms = self.stalled_ms?.max(resumed_ms);
                Some(if self.is_fetching { not_before_ms } else { not_before_ms.max(stalled_ms + grace_ms) })
            }
            _ => None,
        }
    }
}
