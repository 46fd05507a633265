//! History as a stream, fetched page by page.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{FutureExt as _, Stream};
use rollcall_protocol::{EntryFrame, History, HistoryPage, RoomId, Seq, limits};
use tokio::sync::{mpsc, oneshot};

use crate::error::{HistoryError, StopError};
use crate::shell::Request;

/// What of a room's history is to be read.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    history: History,
    page_entries: usize,
    inbox: mpsc::UnboundedSender<Request>,
}

/// History as a stream of entries. Pages are fetched when the one before was taken; each is asked for again until it comes.
#[derive(Debug)]
pub struct HistoryStream {
    query: HistoryQuery,
    direction: Direction,
    /// Entries that were fetched and not taken.
    entries: VecDeque<EntryFrame>,
    answer: Option<oneshot::Receiver<Result<HistoryPage, HistoryError>>>,
    is_ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

impl HistoryQuery {
    pub(crate) fn new(room: RoomId, inbox: mpsc::UnboundedSender<Request>) -> Self {
        Self { history: History::latest(room), page_entries: limits::HISTORY_PAGE_ENTRIES_MAX, inbox }
    }

    /// Sets how many entries a page has at most, 1 to 500.
    #[must_use]
    pub fn page_entries(mut self, entries: usize) -> Self {
        self.page_entries = entries.clamp(1, limits::HISTORY_PAGE_ENTRIES_MAX);
        self
    }

    /// Asks for what proves each entry: salt, hashes, epoch and owner.
    #[must_use]
    pub fn with_evidence(mut self) -> Self {
        self.history.evidence = true;
        self
    }

    /// Reads what follows a number, oldest first, up to what is the head when it gets there.
    pub fn after(mut self, seq: Seq) -> HistoryStream {
        self.history.after = Some(seq);
        HistoryStream::new(self, Direction::Forward)
    }

    /// Reads what lies before a number, newest first, down to the first entry.
    pub fn before(mut self, seq: Seq) -> HistoryStream {
        self.history.before = Some(seq);
        HistoryStream::new(self, Direction::Backward)
    }

    /// Reads from the head, newest first, down to the first entry.
    pub fn latest(self) -> HistoryStream {
        HistoryStream::new(self, Direction::Backward)
    }
}

impl HistoryStream {
    fn new(mut query: HistoryQuery, direction: Direction) -> Self {
        query.history.limit = Some(query.page_entries as u64);
        Self { query, direction, entries: VecDeque::new(), answer: None, is_ended: false }
    }

    /// Waits for the next entry; none at the end of history. Nothing follows an error.
    ///
    /// # Errors
    /// Where a page was refused, or lies below the floor of what is kept.
    ///
    /// # Cancel safety
    /// Safe: no entry is lost.
    pub async fn next(&mut self) -> Option<Result<EntryFrame, HistoryError>> {
        poll_fn(|context| self.poll_entry(context)).await
    }

    /// Waits for the next page, entries of which may have been taken before: oldest first, whatever the direction.
    ///
    /// # Errors
    /// Where the page was refused, or lies below the floor of what is kept.
    ///
    /// # Cancel safety
    /// Safe: no page is lost.
    pub async fn next_page(&mut self) -> Option<Result<HistoryPage, HistoryError>> {
        poll_fn(|context| self.poll_page(context)).await
    }

    fn poll_entry(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<EntryFrame, HistoryError>>> {
        while self.entries.is_empty() {
            match ready!(self.poll_page(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(page)) => self.entries = page.list.into(),
            }
        }
        let entry = match self.direction {
            Direction::Forward => self.entries.pop_front(),
            Direction::Backward => self.entries.pop_back(),
        };
        Poll::Ready(entry.map(Ok))
    }

    fn poll_page(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<HistoryPage, HistoryError>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        let query = &self.query;
        let answer = self.answer.get_or_insert_with(|| {
            let (answer, answered) = oneshot::channel();
            let history = Box::new(query.history.clone());
            // Where the client has stopped, the answer's sender is dropped with the request.
            query.inbox.send(Request::Query { history, answer }).ok();
            answered
        });
        let outcome = ready!(answer.poll_unpin(context)).unwrap_or(Err(HistoryError::Stopped(StopError::Closed)));
        self.answer = None;
        match &outcome {
            Ok(page) => self.go_on_after(page.list.first().map(|first| first.seq), page),
            Err(_) => self.is_ended = true,
        }
        match outcome {
            Ok(page) if page.list.is_empty() => Poll::Ready(None),
            outcome => Poll::Ready(Some(outcome)),
        }
    }

    /// Finds out where the next page is, and whether there is one.
    fn go_on_after(&mut self, first: Option<Seq>, page: &HistoryPage) {
        let last = page.list.last().map(|last| last.seq);
        self.is_ended = match self.direction {
            Direction::Forward => last.is_none_or(|last| last >= page.head),
            Direction::Backward => first.is_none_or(|first| first <= page.floor.max(Seq::FIRST)),
        };
        let history = &mut self.query.history;
        match self.direction {
            Direction::Forward => history.after = last,
            Direction::Backward => history.before = first,
        }
    }
}

impl Stream for HistoryStream {
    type Item = Result<EntryFrame, HistoryError>;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_entry(context)
    }
}
