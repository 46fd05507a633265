//! A reader, as a connection is one: joins, pulls past its cursor, pages from the log, joins again when a room ended.

use std::sync::Arc;

use rollcall_actors::ports::LogError;
use rollcall_actors::shell::{Frame, Pulled, Subscribed};
use rollcall_protocol::{Entry, Seq};

use super::desk::Desk;
use super::node::{Node, in_time};

/// A reader of one room.
pub struct Reader {
    pub desk: Desk,
    pub subscribed: Subscribed,
    pub cursor: Seq,
    /// What it was given, in order and without a gap.
    pub seen: Vec<Entry>,
    /// How often it joined again.
    pub rejoins: usize,
    /// How many pages it took from the log.
    pub pages: usize,
}

impl Reader {
    /// Joins a room at a cursor.
    pub async fn join(node: &Node, room: &str, after: u64) -> Self {
        let mut desk = Desk::at(node, room, "reader");
        let subscribed = Self::subscribe(&mut desk, after).await;
        Self { desk, subscribed, cursor: Seq::new(after), seen: Vec::new(), rejoins: 0, pages: 0 }
    }

    /// Reads until it has everything up to an entry.
    pub async fn read_to(&mut self, seq: u64) -> &[Entry] {
        in_time(async {
            while self.cursor < Seq::new(seq) {
                self.read_on().await;
            }
        })
        .await;
        &self.seen
    }

    /// Takes what lies past the cursor, or waits for the bell.
    pub async fn read_on(&mut self) {
        self.subscribed.bell.lower();
        match self.subscribed.room.tail().pull(self.cursor, 4, 4096) {
            Pulled::Frames(frames) => self.take(&frames),
            Pulled::Behind(head) => {
                match self.subscribed.room.page(self.cursor, head).await {
                    Ok(page) => self.take(&page),
                    Err(LogError::Unavailable(_)) => tokio::task::yield_now().await,
                    Err(error) => panic!("a reader cannot go on: {error}"),
                }
                self.pages += 1;
            }
            Pulled::Nothing => self.desk.inbox.rung().await,
            Pulled::Ended(_) => self.rejoin().await,
        }
    }

    fn take(&mut self, frames: &[Arc<Frame>]) {
        let began = self.cursor;
        for entry in frames.iter().flat_map(|frame| frame.entries()).filter(|entry| entry.seq > began) {
            assert_eq!(entry.seq, self.cursor.next(), "a reader sees no gap");
            self.cursor = entry.seq;
            self.seen.push(entry.clone());
        }
    }

    async fn rejoin(&mut self) {
        self.subscribed = Self::subscribe(&mut self.desk, self.cursor.get()).await;
        self.rejoins += 1;
    }

    /// Asks until the room can be had.
    async fn subscribe(desk: &mut Desk, after: u64) -> Subscribed {
        loop {
            let id = desk.ask_join(Some(after), None);
            match desk.joined(id).await {
                Ok(subscribed) => return subscribed,
                Err(error) => assert!(error.retryable, "{error:?}"),
            }
        }
    }
}
