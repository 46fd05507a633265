//! Rooms with their members seated.

use std::rc::Rc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::one_seat::{Joining, Seat, SeatPlan};
use super::room_load::RoomLoad;
use crate::progress::Progress;
use crate::run::Run;

/// Connections that are opened at the same time.
const OPENING_MAX: usize = 64;

/// Rooms, each with its members, who read and write until they are closed.
pub struct SeatedRooms {
    rooms: Vec<Rc<RoomLoad>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl SeatedRooms {
    /// Opens `members` connections in each of so many rooms.
    ///
    /// # Errors
    /// Where one of them cannot be opened.
    pub async fn open(
        run: &Rc<Run>,
        rooms: u64,
        members: u64,
        joining: Joining,
        body_bytes: usize,
    ) -> anyhow::Result<Self> {
        let seated = Self {
            rooms: (0..rooms).map(|_| Rc::default()).collect(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let progress = Progress::begin("opening connections", rooms * members);
        for (number, room_load) in (0..).zip(&seated.rooms) {
            let room = run.room(number);
            let plans = (0..members).map(|member| SeatPlan {
                number: number * members + member,
                room: room.clone(),
                joining,
                body_bytes,
            });
            let boards = stream::iter(plans)
                .map(async |plan| {
                    let seat = Seat::open(Rc::clone(run), plan, Rc::clone(room_load)).await?;
                    let board = seat.board();
                    seated.tasks.spawn_local(seat.run(seated.stop.clone()));
                    progress.advance(1);
                    anyhow::Ok(board)
                })
                .buffered(OPENING_MAX)
                .try_collect()
                .await?;
            room_load.seat(boards);
        }
        Ok(seated)
    }

    /// Returns the rooms.
    pub fn rooms(&self) -> &[Rc<RoomLoad>] {
        &self.rooms
    }

    /// Closes all connections. Where everybody was is recorded: nobody is taken to have left before the end.
    pub async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
