//! One client: in every room, writing to every room, life after life.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use anyhow::{Context as _, bail};
use rollcall_client::storage::MemoryStorage;
use rollcall_client::{Client, JoinFrom, RoomId, State};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::doubt::Doubts;
use super::mortal_storage::MortalStorage;
use super::reader::Reader;
use super::talker::{Identity, Pace, Talker, talk};
use crate::history::Place;
use crate::run::{Run, count};
use crate::target::Endpoint;

/// The name of every client's device; each client is a user of its own.
const DEVICE: &str = "torture";

/// Where a client connects and how much it writes.
#[derive(Clone)]
pub struct Seat {
    /// Where it connects.
    pub endpoint: Endpoint,
    /// The server behind that, by the history's name.
    pub node: String,
    /// How much it writes to each room.
    pub pace: Pace,
}

/// A client, through all its lives.
pub struct Member {
    run: Rc<Run>,
    seat: Seat,
    doubts: Rc<Doubts>,
    identity: Identity,
    rooms: Vec<MemberRoom>,
    kept: MemoryStorage,
    kill: Notify,
    stop: CancellationToken,
    leave: CancellationToken,
    /// Every write has its answer, and none follows.
    pub is_silent: Cell<bool>,
}

/// A room of a client.
struct MemberRoom {
    room: RoomId,
    place: Place,
    /// The last entry that the client was shown.
    cursor: Rc<Cell<u64>>,
    talker: Rc<RefCell<Talker>>,
}

/// One life of a client.
struct Life {
    client: Client,
    storage: MortalStorage,
    talks: JoinSet<anyhow::Result<()>>,
    readers: JoinSet<anyhow::Result<()>>,
    /// Follows the connection.
    _follower: JoinSet<()>,
    death: CancellationToken,
}

impl Member {
    /// Makes a client that has not lived yet. `stop` ends its writing, `leave` its life.
    pub fn new(
        run: &Rc<Run>,
        rooms: &[RoomId],
        number: u64,
        seat: Seat,
        seed: u64,
        [stop, leave]: [CancellationToken; 2],
    ) -> Self {
        let identity = Identity { user: run.user(number), device: DEVICE.to_owned(), node: seat.node.clone() };
        let doubts = Rc::new(Doubts::default());
        let in_room = |(room, salt): (&RoomId, u64)| {
            let place = run.history.borrow_mut().place(&format!("c{number}"), room.as_str());
            let seed = seed ^ (number << 32) ^ salt;
            let talker = Talker::new(Rc::clone(run), Rc::clone(&doubts), place.clone(), identity.clone(), seed);
            MemberRoom { room: room.clone(), place, cursor: Rc::default(), talker: Rc::new(RefCell::new(talker)) }
        };
        Self {
            run: Rc::clone(run),
            rooms: rooms.iter().zip(1..).map(in_room).collect(),
            seat,
            doubts,
            identity,
            kept: MemoryStorage::default(),
            kill: Notify::new(),
            stop,
            leave,
            is_silent: Cell::new(false),
        }
    }

    /// Kills the client's program: it will be started again at once, with what it had kept.
    pub fn kill(&self) {
        self.kill.notify_one();
    }

    /// Returns where the client is in each room.
    pub fn cursors(&self) -> impl Iterator<Item = u64> {
        self.rooms.iter().map(|room| room.cursor.get())
    }

    /// Returns the writes that have no answer: where, and their numbers.
    pub fn unanswered(&self) -> Vec<(Place, u64)> {
        let of_room = |room: &MemberRoom| {
            let numbers: Vec<u64> = room.talker.borrow().unanswered().collect();
            numbers.into_iter().map(|n| (room.place.clone(), n)).collect::<Vec<_>>()
        };
        self.rooms.iter().flat_map(of_room).collect()
    }

    /// Lives until it is to leave.
    ///
    /// # Errors
    /// Where the server does not let it in, or the client does not take a write.
    pub async fn live(self: Rc<Self>) -> anyhow::Result<()> {
        loop {
            let mut life = self.born().await?;
            let is_killed = tokio::select! {
                () = self.kill.notified(), if !self.stop.is_cancelled() => true,
                ended = all(&mut life.talks) => {
                    ended?;
                    false
                }
                ended = all(&mut life.readers) => {
                    ended?;
                    bail!("a client was closed by somebody else: {:?}", life.client.state());
                }
            };
            if is_killed {
                count(&self.run.tally.restarts);
                life.die().await?;
                continue;
            }
            self.is_silent.set(true);
            self.leave.cancelled().await;
            life.client.close().await;
            return all(&mut life.readers).await;
        }
    }

    async fn born(&self) -> anyhow::Result<Life> {
        let storage = MortalStorage::born(&self.kept);
        let kept = self.kept.saved();
        let mut builder = Client::builder(self.seat.endpoint.url())
            .format(self.seat.endpoint.format())
            .device(DEVICE.parse()?)
            .storage(storage.clone());
        if let Some(token) = self.seat.endpoint.token_of(&self.identity.user)? {
            builder = builder.token(token);
        }
        let client = builder.build()?;
        let mut follower = JoinSet::new();
        let (doubts, states, clock) = (Rc::clone(&self.doubts), client.state_events(), self.run.clock);
        follower.spawn_local(async move { doubts.follow(states, clock).await });
        let (talks, readers, death) = (JoinSet::new(), JoinSet::new(), CancellationToken::new());
        let mut life = Life { client, storage, talks, readers, _follower: follower, death };
        for MemberRoom { room, place, cursor, talker } in &self.rooms {
            let kept = kept.rooms.get(room).cloned().unwrap_or_default();
            talker.borrow_mut().reborn(&kept);
            let from = if kept.cursor.is_some() { JoinFrom::Saved } else { JoinFrom::Start };
            let joined = life.client.join(room.as_str(), from).await;
            let (writer, events) = joined.with_context(|| format!("{} was not let into {room}", place.conn))?.split();
            let reader = Reader::new(Rc::clone(&self.run), place.clone(), Rc::clone(cursor), Rc::clone(talker));
            life.readers.spawn_local(reader.run(events));
            let talk = talk(Rc::clone(talker), writer, self.seat.pace, self.stop.clone(), life.death.clone());
            life.talks.spawn_local(talk);
        }
        if let State::Connected { user, device, .. } = life.client.state()
            && (user.as_str(), device.as_str()) != (&*self.identity.user, DEVICE)
        {
            bail!("the server took the client for {user} on {device}");
        }
        Ok(life)
    }
}

impl Life {
    /// Ends as if the program had been killed: nothing is closed, nothing more is kept.
    async fn die(mut self) -> anyhow::Result<()> {
        self.storage.die();
        self.death.cancel();
        all(&mut self.talks).await?;
        self.readers.shutdown().await;
        Ok(())
    }
}

async fn all(tasks: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended.context("a client's task failed")??;
    }
    Ok(())
}
