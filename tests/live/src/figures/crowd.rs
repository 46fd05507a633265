//! Rooms with a writer each, at some of the nodes, and what was acknowledged and seen when.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rollcall_client::{Client, JoinFrom, RoomEvent, RoomEvents, RoomWriter};
use rollcall_load::target::Endpoint;
use tokio_util::sync::CancellationToken;

/// How long to wait before a write is tried again that was not taken.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// One room.
pub struct Beat {
    /// Its name.
    pub room: String,
    began: Instant,
    acks: RefCell<Vec<Acked>>,
    mark: RefCell<Option<Mark>>,
    marked: Cell<Option<Acked>>,
    rests: Cell<bool>,
    /// When each entry was first seen, and under which epoch, where that is known.
    seen: RefCell<BTreeMap<u64, (u64, Option<u64>)>>,
}

/// What the next write of a room is to be.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// What it says.
    pub text: &'static str,
    /// The writer rests after it, until it is told to go on.
    pub is_last: bool,
}

/// A write that was acknowledged; times are in µs since the room began.
#[derive(Debug, Clone, Copy)]
pub struct Acked {
    pub seq: u64,
    pub sent_us: u64,
    pub acked_us: u64,
}

impl Beat {
    /// Returns the present time.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Returns what was acknowledged, in that order.
    pub fn acks(&self) -> Vec<Acked> {
        self.acks.borrow().clone()
    }

    /// Returns how many writes were acknowledged.
    pub fn acked(&self) -> usize {
        self.acks.borrow().len()
    }

    /// Has the next write be this one.
    pub fn mark_next(&self, mark: Mark) {
        self.marked.set(None);
        self.mark.replace(Some(mark));
    }

    /// Returns the marked write once it is acknowledged.
    pub fn marked(&self) -> Option<Acked> {
        self.marked.get()
    }

    /// Has a writer that rests go on.
    pub fn go_on(&self) {
        self.rests.set(false);
    }

    /// Returns when an entry was seen.
    pub fn seen_us(&self, seq: u64) -> Option<u64> {
        self.seen.borrow().get(&seq).map(|(us, _)| *us)
    }

    /// Returns the epoch of an entry.
    pub fn epoch(&self, seq: u64) -> Option<u64> {
        self.seen.borrow().get(&seq).and_then(|(_, epoch)| *epoch)
    }
}

/// Connects as a user.
///
/// # Errors
/// Where the node does not take the client.
pub async fn connect(endpoint: &Endpoint, user: &str) -> anyhow::Result<Client> {
    let token = endpoint.token_of(user)?.context("the cluster has a secret")?;
    let connected = Client::builder(endpoint.url()).token(token).connect().await;
    connected.with_context(|| format!("failed to connect {user}"))
}

/// Has a client write to a room until it is told to stop, one write at a time, and note what it sees.
///
/// # Errors
/// Where the room cannot be joined.
pub async fn write(
    client: &Client,
    room: &str,
    every: Duration,
    began: Instant,
    stop: &CancellationToken,
) -> anyhow::Result<Rc<Beat>> {
    let (beat, writer, events) = join(client, room, began).await?;
    tokio::task::spawn_local(watch(Rc::clone(&beat), events, stop.clone()));
    tokio::task::spawn_local(keep_writing(Rc::clone(&beat), writer, every, stop.clone()));
    Ok(beat)
}

/// Has a client note what it sees of a room.
///
/// # Errors
/// Where the room cannot be joined.
pub async fn read(client: &Client, room: &str, began: Instant, stop: &CancellationToken) -> anyhow::Result<Rc<Beat>> {
    let (beat, _, events) = join(client, room, began).await?;
    tokio::task::spawn_local(watch(Rc::clone(&beat), events, stop.clone()));
    Ok(beat)
}

async fn join(client: &Client, room: &str, began: Instant) -> anyhow::Result<(Rc<Beat>, RoomWriter, RoomEvents)> {
    let joined = client.join(room, JoinFrom::Head).await;
    let (writer, events) = joined.with_context(|| format!("failed to join {room}"))?.split();
    let beat = Beat {
        room: room.to_owned(),
        began,
        acks: RefCell::default(),
        mark: RefCell::default(),
        marked: Cell::default(),
        rests: Cell::default(),
        seen: RefCell::default(),
    };
    Ok((Rc::new(beat), writer, events))
}

async fn keep_writing(beat: Rc<Beat>, writer: RoomWriter, every: Duration, stop: CancellationToken) {
    let mut due = tokio::time::interval(every);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while !stop.is_cancelled() {
        due.tick().await;
        if beat.rests.get() {
            continue;
        }
        let (sent_us, mark) = (beat.now_us(), *beat.mark.borrow());
        match writer.send_text(mark.map_or("a beat", |mark| mark.text)).await {
            Ok(ack) => {
                let acked = Acked { seq: ack.seq.get(), sent_us, acked_us: beat.now_us() };
                beat.acks.borrow_mut().push(acked);
                if let Some(mark) = mark {
                    beat.mark.replace(None);
                    beat.rests.set(mark.is_last);
                    beat.marked.set(Some(acked));
                }
            }
            Err(_) => tokio::time::sleep(AGAIN_AFTER).await, // pace: between two tries
        }
    }
}

async fn watch(beat: Rc<Beat>, mut events: RoomEvents, stop: CancellationToken) {
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = stop.cancelled() => return,
        };
        let Some(event) = event else { return };
        let RoomEvent::Entries(batch) = event else { continue };
        let (now_us, epoch) = (beat.now_us(), batch.epoch.map(rollcall_protocol::Epoch::get));
        let mut seen = beat.seen.borrow_mut();
        for entry in batch.entries {
            seen.entry(entry.seq.get()).or_insert((now_us, epoch));
        }
    }
}

/// Waits until a condition holds; tells whether that came in time.
pub async fn until(timeout: Duration, condition: impl Fn() -> bool) -> bool {
    let held = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await; // pace: between two looks
        }
    };
    tokio::time::timeout(timeout, held).await.is_ok()
}
