//! Fills very many rooms with a few entries each, many rooms at a time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use anyhow::{Context as _, anyhow};
use futures_util::future::try_join_all;
use rollcall_protocol::{Incoming, RoomId, Welcome};

use crate::link::Link;
use crate::payload::BODY_BYTES_MIN;
use crate::progress::Progress;
use crate::run::Run;
use crate::seat::{Order, Writer};

/// Entries of each room, without the one that the server makes.
pub const ENTRIES: u64 = 50;

/// Devices that write to each room.
const DEVICES: u64 = 3;

/// Connections of each device's kind, which share the rooms.
const LANES: u64 = 2;

/// Rooms that a connection writes to at once.
const OPEN_ROOMS_MAX: usize = 24;

/// Command numbers of one room: more than entries.
const IDS_PER_ROOM: u64 = 100;

/// A connection of one device, which writes its share of each room's entries.
pub struct Filler {
    link: Link,
    welcome: Welcome,
    name: String,
    /// Writes of this device to each room.
    share: u64,
    /// The number of the first command to the room that is opened next.
    next_id: u64,
    /// By the numbers of their commands.
    open: VecDeque<Writer>,
}

impl Filler {
    /// Fills all rooms.
    ///
    /// # Errors
    /// Where a connection ends, or a write is refused.
    pub async fn fill(run: &Rc<Run>, rooms: &[RoomId]) -> anyhow::Result<()> {
        let progress = Progress::begin("filling rooms", rooms.len() as u64 * DEVICES);
        let mut fillers = Vec::new();
        for number in 0..LANES * DEVICES {
            fillers.push(Self::open(run, number).await?);
        }
        // One queue a device, which the lanes of the device share.
        let queues: Vec<_> = (0..DEVICES).map(|_| RefCell::new(VecDeque::from_iter(rooms))).collect();
        let filled = fillers.iter_mut().zip(queues.iter().cycle());
        try_join_all(filled.map(|(filler, queue)| filler.write_all(run, queue, &progress))).await.map(drop)
    }

    async fn open(run: &Run, number: u64) -> anyhow::Result<Self> {
        let (link, welcome) = Link::open(&run.endpoint, &run.user(number), "filler").await?;
        let device = number % DEVICES;
        // The first devices write one more where the entries cannot be shared evenly.
        let share = ENTRIES / DEVICES + u64::from(device < ENTRIES % DEVICES);
        Ok(Self {
            link,
            welcome,
            name: format!("filler-{number}"),
            share,
            next_id: IDS_PER_ROOM,
            open: VecDeque::new(),
        })
    }

    async fn write_all(
        &mut self,
        run: &Rc<Run>,
        queue: &RefCell<VecDeque<&RoomId>>,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        loop {
            while self.open.len() < OPEN_ROOMS_MAX {
                let Some(room) = queue.borrow_mut().pop_front() else { break };
                self.open_room(run, room)?;
            }
            if self.open.is_empty() {
                return Ok(());
            }
            let frame = self.link.next().await?.ok_or_else(|| anyhow!("the server closed the connection"))?;
            let id = match &frame {
                Incoming::Ok(id, _) | Incoming::Error(Some(id), _) => *id,
                Incoming::Error(None, error) => return Err(error.clone().into()),
                _ => continue,
            };
            let place = self.open.binary_search_by(|writer| writer.compare_with(id));
            let Ok(place) = place else { continue };
            let writer = &mut self.open[place];
            match frame {
                Incoming::Ok(id, fields) => writer.acked(id, fields.ack().context("that is no answer to a write")?),
                Incoming::Error(_, error) => return Err(error).context("a write was refused"),
                _ => None,
            };
            if writer.unanswered() == 0 {
                self.open.remove(place);
                progress.advance(1);
            }
        }
    }

    fn open_room(&mut self, run: &Rc<Run>, room: &RoomId) -> anyhow::Result<()> {
        let place = run.history.borrow_mut().place(&self.name, room.as_str());
        let id_base = self.next_id;
        self.next_id += IDS_PER_ROOM;
        let mut writer = Writer::new(Rc::clone(run), room.clone(), &place, &self.welcome, BODY_BYTES_MIN, id_base);
        for _ in 0..self.share {
            writer.send(&mut self.link, Order::Now)?;
        }
        self.open.push_back(writer);
        Ok(())
    }
}
