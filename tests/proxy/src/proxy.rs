//! A TCP proxy that breaks what goes through it: it cuts, swallows, delays, refuses, and stops after so many bytes.
//!
//! One [`Proxy`] listens on a port of its own and passes every connection on to one server. Its controls hold for all
//! connections, those that are open included, and may be changed at any time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::sieve::{Sieve, let_go};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// A free port of this machine.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Chunks that may be on their way in one direction; what a delay holds back is bounded by it.
const CHUNKS_ON_THE_WAY_MAX: usize = 256;

/// A way through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What the proxy does to connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// New connections are closed at once.
    refuses: bool,
    /// What is swallowed and never arrives.
    swallows_up: bool,
    swallows_down: bool,
    /// What is held back until it is not held any more.
    holds_up: bool,
    holds_down: bool,
    /// Requests of CQL with this opcode are kept aside.
    pub keeps_aside: Option<u8>,
    /// Published messages that have these bytes in them are lost.
    pub loses: Option<&'static [u8]>,
    /// How far ahead a Redis's clock is shown.
    pub shifts_time_s: i64,
    /// A Redis is shown as one of another major version, of one digit.
    pub shows_major: Option<u8>,
    /// How much later everything arrives.
    delay: Duration,
    /// Connections that were opened before this number of cuts are closed.
    cuts: u64,
}

/// A proxy between clients and one server. Dropped, it closes all connections.
pub struct Proxy {
    address: SocketAddr,
    faults: watch::Sender<Faults>,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

pub(crate) struct Shared {
    /// What is cut into frames or messages, so that some can be taken out.
    speaks: Speaks,
    server: Mutex<SocketAddr>,
    open: AtomicUsize,
    accepted: AtomicU64,
    /// Bytes that may still pass, in both directions of all connections together, before they are cut.
    budget: AtomicU64,
    /// Frames that are kept aside.
    pub aside: AtomicUsize,
    /// Published messages that were lost.
    pub lost: AtomicU64,
}

/// What goes through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    /// Bytes.
    Anything,
    /// Requests of CQL, from clients.
    Cql,
    /// Messages of Redis, from the server.
    Redis,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes connections on to a server.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        Self::listen(ANYWHERE, server, Speaks::Anything).await
    }

    /// Listens on an address and passes connections on to a server of CQL, request by request, so that some can be kept aside: see
    /// [`keep_aside`](Self::keep_aside).
    ///
    /// # Errors
    /// Where the address is taken.
    pub async fn start_cql(address: SocketAddr, server: SocketAddr) -> io::Result<Self> {
        Self::listen(address, server, Speaks::Cql).await
    }

    /// Listens on a free port of 127.0.0.1 and passes connections on to a Redis, message by message, so that single ones can be lost:
    /// see [`lose_published`](Self::lose_published).
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start_redis(server: SocketAddr) -> io::Result<Self> {
        Self::listen(ANYWHERE, server, Speaks::Redis).await
    }

    async fn listen(address: SocketAddr, server: SocketAddr, speaks: Speaks) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (faults, seen) = watch::channel(Faults::default());
        let shared = Arc::new(Shared {
            speaks,
            server: Mutex::new(server),
            open: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            budget: AtomicU64::new(u64::MAX),
            aside: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, faults.clone(), seen, Arc::clone(&shared)));
        Ok(Self { address, faults, shared, _tasks: tasks })
    }

    /// Returns where the proxy listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes new connections on to another server, such as the next life of the same one.
    pub fn redirect(&self, server: SocketAddr) {
        *self.shared.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
    }

    /// Closes all open connections, without a word. What is under way is lost.
    pub fn cut(&self) {
        self.faults.send_modify(|faults| faults.cuts += 1);
    }

    /// Closes new connections at once, or no longer.
    pub fn refuse(&self, refuses: bool) {
        self.faults.send_modify(|faults| faults.refuses = refuses);
    }

    /// Swallows everything that goes one way, or no longer. What was swallowed is lost for ever, so that a connection that
    /// something was swallowed of is of no use any more, as one through a broken middlebox.
    pub fn swallow(&self, direction: Direction, swallows: bool) {
        self.faults.send_modify(|faults| match direction {
            Direction::Up => faults.swallows_up = swallows,
            Direction::Down => faults.swallows_down = swallows,
        });
    }

    /// Swallows everything both ways, or no longer: the sockets stay open and nothing comes through.
    pub fn black_hole(&self, swallows: bool) {
        self.swallow(Direction::Up, swallows);
        self.swallow(Direction::Down, swallows);
    }

    /// Holds back everything that goes one way and has not arrived yet, or lets it go: it arrives then, in its order.
    pub fn hold(&self, direction: Direction, holds: bool) {
        self.faults.send_modify(|faults| match direction {
            Direction::Up => faults.holds_up = holds,
            Direction::Down => faults.holds_down = holds,
        });
    }

    /// Keeps requests of CQL with this opcode aside, all others go on; or lets those go that were kept. They arrive then, even if
    /// their client has died meanwhile, unless their connection was [cut](Self::cut).
    ///
    /// # Panics
    /// If this proxy was not started for CQL.
    pub fn keep_aside(&self, opcode: Option<u8>) {
        assert!(self.shared.speaks == Speaks::Cql, "this proxy does not know where a request begins");
        self.faults.send_modify(|faults| faults.keeps_aside = opcode);
    }

    /// Returns how many requests are kept aside.
    pub fn kept_aside(&self) -> usize {
        self.shared.aside.load(Ordering::SeqCst)
    }

    /// Loses each message that somebody has published and that has these bytes in it, or none any longer. The connection goes on, and
    /// all else on it: its receiver has no sign that there was anything.
    ///
    /// # Panics
    /// If this proxy was not started for Redis.
    pub fn lose_published(&self, having: Option<&'static [u8]>) {
        assert!(self.shared.speaks == Speaks::Redis, "this proxy does not know where a message begins");
        self.faults.send_modify(|faults| faults.loses = having);
    }

    /// Lets the clock of a Redis look ahead of what it is, or behind: its clients see another time from now on.
    ///
    /// # Panics
    /// If this proxy was not started for Redis.
    pub fn shift_time(&self, by_s: i64) {
        assert!(self.shared.speaks == Speaks::Redis, "this proxy does not know where a message begins");
        self.faults.send_modify(|faults| faults.shifts_time_s = by_s);
    }

    /// Lets a Redis look as if it were of another major version, in one digit: its clients see that from now on.
    ///
    /// # Panics
    /// If this proxy was not started for Redis.
    pub fn show_major_version(&self, major: u8) {
        assert!(self.shared.speaks == Speaks::Redis, "this proxy does not know where a message begins");
        self.faults.send_modify(|faults| faults.shows_major = Some(major));
    }

    /// Returns how many published messages were lost.
    pub fn lost_published(&self) -> u64 {
        self.shared.lost.load(Ordering::SeqCst)
    }

    /// Lets everything that is read from now on arrive so much later, in both directions.
    pub fn delay(&self, delay: Duration) {
        self.faults.send_modify(|faults| faults.delay = delay);
    }

    /// Cuts all connections once so many bytes more have passed, in both directions together. The last chunk passes in part,
    /// so that a frame may be cut in its middle.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.budget.store(bytes, Ordering::SeqCst);
    }

    /// Returns how many connections are open.
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Returns how many connections were ever accepted, refused ones included.
    pub fn accepted_connections(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

async fn accept(
    listener: TcpListener,
    cutter: watch::Sender<Faults>,
    faults: watch::Receiver<Faults>,
    shared: Arc<Shared>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                if !faults.borrow().refuses {
                    shared.open.fetch_add(1, Ordering::SeqCst);
                    connections.spawn(pass(client, cutter.clone(), faults.clone(), Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Counts a connection as open as long as it lives.
struct Open<'a>(&'a Shared);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Passes one connection on until either side ends it or it is cut.
async fn pass(
    client: TcpStream,
    cutter: watch::Sender<Faults>,
    mut faults: watch::Receiver<Faults>,
    shared: Arc<Shared>,
) {
    let _open = Open(&shared);
    let cuts = faults.borrow().cuts;
    let server = *shared.server.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(server) = TcpStream::connect(server).await else { return };
    for stream in [&client, &server] {
        if stream.set_nodelay(true).is_err() {
            return;
        }
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let lane = |from, to, direction| carry(from, to, direction, faults.clone(), &shared, &cutter);
    let up = lane(from_client, to_server, Direction::Up);
    let down = lane(from_server, to_client, Direction::Down);
    tokio::select! {
        _ = async { tokio::join!(up, down) } => {}
        _ = faults.wait_for(|faults| faults.cuts > cuts) => {}
    }
}

/// Carries one direction: reads, and writes what was read when its time has come.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    faults: watch::Receiver<Faults>,
    shared: &Shared,
    cutter: &watch::Sender<Faults>,
) {
    let (chunks, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_ON_THE_WAY_MAX);
    let mut held = faults.clone();
    let mut sieve = match (shared.speaks, direction) {
        (Speaks::Cql, Direction::Up) => Some(Sieve::of_cql(faults.clone(), shared)),
        (Speaks::Redis, Direction::Down) => Some(Sieve::of_redis(faults.clone(), shared)),
        _ => None,
    };
    let reading = async move {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let passing = tokio::select! {
                read = from.read(&mut chunk) => {
                    let Ok(count @ 1..) = read else { break };
                    chunk.truncate(count);
                    match &mut sieve {
                        Some(sieve) => sieve.sift(&chunk),
                        None => vec![chunk],
                    }
                }
                let_go = let_go(&mut sieve) => let_go,
            };
            let (swallows, delay) = {
                let faults = faults.borrow();
                let swallows = match direction {
                    Direction::Up => faults.swallows_up,
                    Direction::Down => faults.swallows_down,
                };
                (swallows, faults.delay)
            };
            let due = Instant::now() + delay;
            for bytes in passing.into_iter().filter(|_| !swallows) {
                if chunks.send((due, bytes)).await.is_err() {
                    return;
                }
            }
        }
        let Some(sieve) = sieve else { return };
        for bytes in sieve.end().await {
            if chunks.send((Instant::now(), bytes)).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((at, chunk)) = due.recv().await {
            sleep_until(at).await;
            let is_let_go = |faults: &Faults| match direction {
                Direction::Up => !faults.holds_up,
                Direction::Down => !faults.holds_down,
            };
            if held.wait_for(is_let_go).await.is_err() {
                break;
            }
            let allowed = spend(&shared.budget, chunk.len());
            if to.write_all(&chunk[..allowed]).await.is_err() {
                break;
            }
            if allowed < chunk.len() {
                shared.budget.store(u64::MAX, Ordering::SeqCst);
                cutter.send_modify(|faults| faults.cuts += 1);
                break;
            }
        }
        // The end of one side's sending is passed on; the other side may go on.
        to.shutdown().await.ok();
    };
    tokio::join!(reading, writing);
}

/// Takes so many bytes from what may still pass; returns how many it allows.
fn spend(budget: &AtomicU64, bytes: usize) -> usize {
    let wanted = bytes as u64;
    let before = budget
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            Some(if left == u64::MAX { left } else { left.saturating_sub(wanted) })
        })
        .unwrap_or_else(|left| left);
    bytes.min(usize::try_from(before).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests;
