//! The seat itself: one task for one connection.

use std::rc::Rc;

use anyhow::{Context as _, anyhow};
use rollcall_protocol::{Incoming, Join, Op, RoomId};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::deliveries::take_entries;
use super::room_load::RoomLoad;
use super::writer::Writer;
use crate::history::Place;
use crate::link::{ASKED_ID_MAX, Closed, Link};
use crate::run::{Run, count};

/// The name of every seat's device; each seat is a user of its own.
const DEVICE: &str = "load";

/// Whether a seat reads its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joining {
    /// It does not: it writes alone.
    Not,
    /// From the head on.
    AtHead,
}

/// A seat to be taken.
pub struct SeatPlan {
    /// The connection's number in the run.
    pub number: u64,
    /// Its room.
    pub room: RoomId,
    /// Whether it joins the room.
    pub joining: Joining,
    /// The length of the bodies that it writes, in bytes.
    pub body_bytes: usize,
}

/// A connection in one room.
pub struct Seat {
    run: Rc<Run>,
    link: Link,
    place: Place,
    writer: Writer,
    board: Rc<Board>,
    room: Rc<RoomLoad>,
}

impl Seat {
    /// Connects, says hello, and joins if that is the plan.
    ///
    /// # Errors
    /// Where the server does not let it.
    pub async fn open(run: Rc<Run>, plan: SeatPlan, room: Rc<RoomLoad>) -> anyhow::Result<Self> {
        let name = format!("c{}", plan.number);
        let opened = Link::open(&run.endpoint.for_connection(plan.number), &run.user(plan.number), DEVICE).await;
        let (mut link, welcome) = opened.with_context(|| format!("connection {name} was not opened"))?;
        let place = run.history.borrow_mut().place(&name, plan.room.as_str());
        let board = Rc::new(Board::default());
        if plan.joining == Joining::AtHead {
            let join = Op::Join(Join { room: plan.room.clone(), after: None, hash: None });
            let joined = link.ask(join).await.with_context(|| format!("{name} was not let into its room"))?;
            let joined = joined.joined().ok_or_else(|| anyhow!("join was answered with something else"))?;
            let head = joined.head.get();
            run.history.borrow_mut().joined(&place, run.clock.now_us(), head, head);
            board.cursor.set(head);
            room.learn_head(head);
        }
        let writer = Writer::new(Rc::clone(&run), plan.room, &place, &welcome, plan.body_bytes, ASKED_ID_MAX);
        Ok(Self { run, link, place, writer, board, room })
    }

    /// Returns what the seat shares with those around it.
    pub fn board(&self) -> Rc<Board> {
        Rc::clone(&self.board)
    }

    /// Reads and writes until it is stopped. A connection that ends before is counted, and told on standard error.
    pub async fn run(mut self, stop: CancellationToken) {
        let ended = tokio::select! {
            ended = self.go_on() => ended,
            () = stop.cancelled() => Ok(()),
        };
        self.writer.give_up();
        self.board.is_lost.set(true);
        if let Err(error) = ended {
            count(&self.run.tally.connections_lost);
            if error.downcast_ref::<Closed>().is_some_and(Closed::is_rate_limited) {
                count(&self.run.tally.rate_limited);
            }
            self.run.history.borrow_mut().left(&self.place.conn, None, self.run.clock.now_us());
            eprintln!("connection {} ended: {error:#}", self.place.conn);
        }
    }

    async fn go_on(&mut self) -> anyhow::Result<()> {
        loop {
            let resend_at = self.writer.resend_at_us().map(|us| self.run.clock.instant(us));
            tokio::select! {
                biased;
                frame = self.link.next() => {
                    let frame = frame?.ok_or_else(|| anyhow!("the server closed it"))?;
                    self.take(frame)?;
                }
                () = self.board.rung(), if self.writer.has_room() => {}
                () = until(resend_at) => self.writer.resend(&mut self.link)?,
            }
            // What is there already is taken first, so that all that it allows to be sent leaves in one piece.
            while let Some(frame) = self.link.try_next().await? {
                self.take(frame)?;
            }
            while self.writer.has_room() {
                let Some(order) = self.board.take() else { break };
                self.writer.send(&mut self.link, order)?;
            }
            self.board.unanswered.set(self.writer.unanswered());
        }
    }

    fn take(&mut self, frame: Incoming) -> anyhow::Result<()> {
        match frame {
            Incoming::Entries(frame) => {
                let last = take_entries(&self.run, &self.place, &frame)?;
                self.board.cursor.set(last);
                self.room.learn_head(last);
            }
            Incoming::Ok(id, fields) => {
                let ack = fields.ack().ok_or_else(|| anyhow!("a write was answered with something else"))?;
                if let Some(seq) = self.writer.acked(id, ack) {
                    self.room.learn_head(seq);
                    self.room.answered();
                }
            }
            Incoming::Error(Some(id), error) => self.writer.failed(id, &error)?,
            Incoming::Error(None, error) => return Err(error.into()),
            Incoming::Left(left) => return Err(anyhow!("the server ended the subscription: {}", left.error)),
            Incoming::GoingAway(_) => return Err(anyhow!("the server is going away")),
            Incoming::Signal(_) | Incoming::Ping(_) | Incoming::Unknown => {}
        }
        Ok(())
    }
}

async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
