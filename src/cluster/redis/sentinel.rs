//! Who the master is, by what Sentinels say and by what the servers say themselves.
//!
//! A Sentinel that was cut off, or has just come back, names a master of yesterday. So none is believed alone: whoever is connected
//! to has to call itself a master, as Redis' own guide for clients of Sentinel asks; the one whom most Sentinels name is tried first;
//! and a connection that works is given up only where most of all Sentinels name another master, or where one names another and the
//! server says itself that it is a master no more.

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use redis::{ConnectionInfo, cmd};

use super::connect::{Opened, connect_to_master, is_master, open, with_host};
use super::error::RedisError;
use super::settings::{Kind, Servers};

/// How often Sentinels are asked whether the master is still the master: one that was stopped wakes up as a master whom nobody else
/// looks at, and it takes Sentinels about 10 s to tell it.
const MASTER_ASKED_EVERY: Duration = Duration::from_secs(2);

/// Connects to the master for commands. Where none of those that are named will do, the error is that of the one whom most name.
pub(super) async fn connect(servers: &Servers) -> Result<Opened, RedisError> {
    let mut failed = None;
    for named in ask_all(servers).await?.by_votes() {
        match connect_to_master(servers, named).await {
            Ok(opened) => return Ok(opened),
            Err(error) => _ = failed.get_or_insert(error),
        }
    }
    Err(failed.unwrap_or(RedisError::NoServers))
}

/// Returns the master; an error as above.
pub(super) async fn find_master(servers: &Servers) -> Result<ConnectionInfo, RedisError> {
    let mut failed = None;
    for named in ask_all(servers).await?.by_votes() {
        match is_master(servers, named.clone()).await {
            Ok(true) => return Ok(named),
            Ok(false) => _ = failed.get_or_insert(RedisError::Replica),
            Err(error) => _ = failed.get_or_insert(error),
        }
    }
    Err(failed.unwrap_or(RedisError::NoServers))
}

/// Returns when the server that was the master is to be left for another one; never where there are no Sentinels.
pub(super) async fn replaced(servers: &Servers, current: Option<&ConnectionInfo>) {
    let (Kind::Sentinel { .. }, Some(current)) = (&servers.kind, current) else { return std::future::pending().await };
    loop {
        tokio::time::sleep(MASTER_ASKED_EVERY).await;
        // Sentinels that do not answer replace nobody.
        let Ok(votes) = ask_all(servers).await else { continue };
        if votes.all_for(current) {
            continue;
        }
        // One that does not answer is found out by those who ask it for something.
        if matches!(is_master(servers, current.clone()).await, Ok(false)) {
            return;
        }
        if let Some(other) = votes.elected().filter(|other| other.addr() != current.addr())
            && matches!(is_master(servers, other.clone()).await, Ok(true))
        {
            return;
        }
    }
}

/// Whom the Sentinels name.
#[derive(Debug)]
struct Votes {
    /// How many Sentinels there are, those that do not answer included.
    sentinels: usize,
    /// Each server that was named, with how many Sentinels did, in the order in which they were first named.
    named: Vec<(ConnectionInfo, usize)>,
}

impl Votes {
    fn new(sentinels: usize) -> Self {
        Self { sentinels, named: Vec::new() }
    }

    fn count(&mut self, named: ConnectionInfo) {
        match self.named.iter_mut().find(|(known, _)| known.addr() == named.addr()) {
            Some((_, votes)) => *votes += 1,
            None => self.named.push((named, 1)),
        }
    }

    /// Returns whom most of all Sentinels name: a fail-over, too, takes so many. Fewer may be those that were cut off.
    fn elected(&self) -> Option<&ConnectionInfo> {
        self.named.iter().find(|(_, votes)| 2 * votes > self.sentinels).map(|(named, _)| named)
    }

    fn all_for(&self, server: &ConnectionInfo) -> bool {
        self.named.iter().all(|(named, _)| named.addr() == server.addr())
    }

    /// Returns everybody who was named, whom most name first.
    fn by_votes(mut self) -> impl Iterator<Item = ConnectionInfo> {
        self.named.sort_by_key(|(_, votes)| std::cmp::Reverse(*votes));
        self.named.into_iter().map(|(named, _)| named)
    }
}

/// Asks all Sentinels at once who the master is, and does not wait for the rest of them once most have named the same one.
///
/// # Errors
/// Where none of them names one.
async fn ask_all(servers: &Servers) -> Result<Votes, RedisError> {
    let Kind::Sentinel { sentinels, master, node } = &servers.kind else { return Err(RedisError::NoServers) };
    let asked = sentinels.iter().map(|sentinel| ask(servers, sentinel.clone(), master));
    let mut answers: FuturesUnordered<_> = asked.collect();
    let (mut votes, mut failed) = (Votes::new(sentinels.len()), RedisError::NoServers);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok((host, port)) => votes.count(node.clone().set_addr(with_host(node.addr(), host, port))),
            // What passes by itself says less than what does not.
            Err(error) if matches!(failed, RedisError::NoServers | RedisError::TimedOut | RedisError::Driver(_)) => {
                failed = error;
            }
            Err(_) => {}
        }
        if votes.elected().is_some() {
            break;
        }
    }
    if votes.named.is_empty() { Err(failed) } else { Ok(votes) }
}

async fn ask(servers: &Servers, sentinel: ConnectionInfo, master: &str) -> Result<(String, u16), RedisError> {
    let mut connection = open(servers, sentinel).await?;
    let found: Option<(String, u16)> =
        cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master).query_async(&mut connection).await?;
    found.ok_or_else(|| RedisError::NoMaster { name: master.to_owned() })
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo as _;

    use super::*;

    fn server(port: u16) -> ConnectionInfo {
        format!("redis://127.0.0.1:{port}").into_connection_info().unwrap()
    }

    /// Counts what Sentinels say, of whom there are so many.
    fn votes(sentinels: usize, named: &[u16]) -> Votes {
        let mut votes = Votes::new(sentinels);
        named.iter().for_each(|&port| votes.count(server(port)));
        votes
    }

    #[test]
    fn most_of_all_sentinels_elect_and_fewer_do_not() {
        for (sentinels, named, elected) in [
            (1, &[1][..], Some(1)),
            (2, &[1], None),
            (2, &[1, 2], None),
            (2, &[1, 1], Some(1)),
            (3, &[1], None),
            (3, &[1, 2, 2], Some(2)),
            (3, &[1, 2, 3], None),
            (4, &[1, 1, 2, 2], None),
            (5, &[2, 1, 2, 1, 1], Some(1)),
            (5, &[1, 1], None),
        ] {
            let elected: Option<ConnectionInfo> = elected.map(server);
            let found = votes(sentinels, named).elected().cloned();
            assert_eq!(
                found.map(|it| it.addr().clone()),
                elected.map(|it| it.addr().clone()),
                "{sentinels}: {named:?}"
            );
        }
    }

    #[test]
    fn whom_most_name_is_tried_first_and_everybody_is() {
        let tried = |named: &[u16]| votes(5, named).by_votes().map(|it| it.addr().to_string()).collect::<Vec<_>>();
        assert_eq!(tried(&[3, 1, 2, 1]), ["127.0.0.1:1", "127.0.0.1:3", "127.0.0.1:2"]);
        assert!(votes(3, &[]).all_for(&server(1)) && votes(3, &[1, 1]).all_for(&server(1)));
        assert!(!votes(3, &[1, 2]).all_for(&server(1)));
    }
}
