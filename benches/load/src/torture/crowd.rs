//! A crowd of clients: each in every room, each writing to every room.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rollcall_client::{Client, JoinFrom, RoomId, State, storage::MemoryStorage};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::doubt::Doubts;
use super::reader::Reader;
use super::talker::{Identity, Talker};
use crate::run::Run;

/// The name of every client's device; each client is a user of its own.
const DEVICE: &str = "torture";

/// How often to look whether everybody has reached the heads.
const POLL: Duration = Duration::from_millis(5);

/// Clients under torture.
pub struct Crowd {
    members: Vec<Member>,
    talkers: JoinSet<anyhow::Result<()>>,
    readers: JoinSet<()>,
    stop: CancellationToken,
}

/// One client.
struct Member {
    client: Client,
    /// Where it is in each room.
    cursors: Vec<Rc<Cell<u64>>>,
}

impl Crowd {
    /// Connects so many clients, has each of them join every room, and lets them talk.
    ///
    /// # Errors
    /// Where one of them is not let in.
    pub async fn gather(
        run: &Rc<Run>,
        doubts: &Rc<Doubts>,
        rooms: &[RoomId],
        clients: u64,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut crowd = Self {
            members: Vec::new(),
            talkers: JoinSet::new(),
            readers: JoinSet::new(),
            stop: CancellationToken::new(),
        };
        for number in 0..clients {
            let name = format!("c{number}");
            let member = crowd.admit(run, doubts, rooms, number, seed);
            let member = member.await.with_context(|| format!("client {name} was not let in"))?;
            crowd.members.push(member);
        }
        Ok(crowd)
    }

    async fn admit(
        &mut self,
        run: &Rc<Run>,
        doubts: &Rc<Doubts>,
        rooms: &[RoomId],
        number: u64,
        seed: u64,
    ) -> anyhow::Result<Member> {
        let user = run.user(number);
        let mut builder = Client::builder(run.endpoint.url())
            .format(run.endpoint.format())
            .device(DEVICE.parse()?)
            .storage(MemoryStorage::default());
        if let Some(token) = run.endpoint.token_of(&user)? {
            builder = builder.token(token);
        }
        let client = builder.connect().await?;
        let State::Connected { user, device, .. } = client.state() else { bail!("the connection was lost at once") };
        let identity = Identity { user: user.as_str().to_owned(), device: device.as_str().to_owned() };
        let mut cursors = Vec::new();
        for (room, place) in rooms.iter().zip(1..) {
            let cursor = Rc::new(Cell::new(0));
            let (writer, events) = client.join(room.as_str(), JoinFrom::Start).await?.split();
            let place_in_room = run.history.borrow_mut().place(&format!("c{number}"), room.as_str());
            let reader = Reader::new(Rc::clone(run), place_in_room.clone(), Rc::clone(&cursor));
            self.readers.spawn_local(reader.run(events));
            let seed = seed ^ (number << 32) ^ place;
            let talker = Talker::new(Rc::clone(run), Rc::clone(doubts), place_in_room, identity.clone(), seed);
            self.talkers.spawn_local(talker.run(writer, self.stop.clone()));
            cursors.push(cursor);
        }
        Ok(Member { client, cursors })
    }

    /// Returns the first failure of a client, as soon as there is one.
    pub async fn failed(&mut self) -> anyhow::Error {
        loop {
            match self.talkers.join_next().await {
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => return error.context("a client failed"),
                Some(Err(error)) => return anyhow::Error::from(error).context("a client's task failed"),
                None => std::future::pending().await,
            }
        }
    }

    /// Ends the talk, and waits until every write has its answer.
    ///
    /// # Errors
    /// Where that takes longer than the timeout, or a client failed.
    pub async fn fall_silent(&mut self, timeout: Duration) -> anyhow::Result<()> {
        self.stop.cancel();
        let silent = async {
            while let Some(ended) = self.talkers.join_next().await {
                ended.context("a client's task failed")??;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(timeout, silent).await {
            Ok(silent) => silent,
            Err(_) => bail!("not every write was answered {timeout:?} after the last kill"),
        }
    }

    /// Waits until every client has been shown as much of each room as any other. Tells whether that came in time.
    pub async fn converged(&self, timeout: Duration) -> bool {
        let rooms = self.members.first().map_or(0, |member| member.cursors.len());
        let is_even = |room: usize| {
            let mut cursors = self.members.iter().map(|member| member.cursors[room].get());
            let first = cursors.next();
            cursors.all(|cursor| Some(cursor) == first)
        };
        let even = async {
            while !(0..rooms).all(is_even) {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(timeout, even).await.is_ok()
    }

    /// Closes all clients.
    pub async fn leave(mut self) {
        for member in &self.members {
            member.client.close().await;
        }
        // Their rooms end with them.
        while self.readers.join_next().await.is_some() {}
    }
}
