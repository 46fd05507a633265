//! A crowd of clients, who live through what happens to them.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rollcall_client::RoomId;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::member::{Member, Seat};
use crate::run::Run;

/// How often to look whether all have fallen silent, or have been shown everything.
const POLL: Duration = Duration::from_millis(5);

/// Clients under torture.
pub struct Crowd {
    members: Vec<Rc<Member>>,
    lives: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
    leave: CancellationToken,
}

impl Crowd {
    /// Has a client for each seat join every room and talk.
    pub fn gather(run: &Rc<Run>, rooms: &[RoomId], seats: impl IntoIterator<Item = Seat>, seed: u64) -> Self {
        let (stop, leave) = (CancellationToken::new(), CancellationToken::new());
        let member =
            |(seat, number)| Rc::new(Member::new(run, rooms, number, seat, seed, [stop.clone(), leave.clone()]));
        let members: Vec<_> = seats.into_iter().zip(0..).map(member).collect();
        let mut lives = JoinSet::new();
        for member in &members {
            lives.spawn_local(Rc::clone(member).live());
        }
        Self { members, lives, stop, leave }
    }

    /// Returns the clients.
    pub fn members(&self) -> Vec<Rc<Member>> {
        self.members.clone()
    }

    /// Returns the first failure of a client, as soon as there is one.
    pub async fn failed(&mut self) -> anyhow::Error {
        match self.lives.join_next().await {
            Some(Ok(Ok(()))) => anyhow::anyhow!("a client ended its life early"),
            Some(Ok(Err(error))) => error.context("a client failed"),
            Some(Err(error)) => anyhow::Error::from(error).context("a client's task failed"),
            None => std::future::pending().await,
        }
    }

    /// Ends the talk, and waits until every write has its answer.
    ///
    /// # Errors
    /// Where that takes longer than the timeout, or a client failed.
    pub async fn fall_silent(&mut self, timeout: Duration) -> anyhow::Result<()> {
        self.stop.cancel();
        let members = self.members();
        let silent = async {
            while !members.iter().all(|member| member.is_silent.get()) {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::select! {
            silent = tokio::time::timeout(timeout, silent) => match silent {
                Ok(()) => Ok(()),
                Err(_) => bail!("not every write was answered {timeout:?} after the last fault: {}", self.unanswered()),
            },
            error = self.failed() => Err(error),
        }
    }

    /// Says who still waits for answers.
    fn unanswered(&self) -> String {
        let waiting = self.members.iter().flat_map(|member| member.unanswered());
        waiting.map(|(place, n)| format!("{} in {} for n = {n}", place.conn, place.room)).collect::<Vec<_>>().join(", ")
    }

    /// Waits until every client has been shown as much of each room as any other. Tells whether that came in time.
    pub async fn converged(&self, timeout: Duration) -> bool {
        let are_even = || {
            let mut cursors = self.members.iter().map(|member| Vec::from_iter(member.cursors()));
            let first = cursors.next();
            cursors.all(|cursors| Some(cursors) == first)
        };
        let even = async {
            while !are_even() {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(timeout, even).await.is_ok()
    }

    /// Ends all clients where they are.
    pub async fn perish(mut self) {
        self.lives.shutdown().await;
    }

    /// Closes all clients.
    ///
    /// # Errors
    /// Where one of them failed.
    pub async fn leave(mut self) -> anyhow::Result<()> {
        self.leave.cancel();
        while let Some(ended) = self.lives.join_next().await {
            ended.context("a client's task failed")??;
        }
        Ok(())
    }
}
