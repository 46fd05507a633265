//! What all connections of a run share. The harness is one thread on one core, so it is shared without locks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rollcall_protocol::RoomId;

use crate::clock::Clock;
use crate::history::History;
use crate::latency::Latency;
use crate::target::Endpoint;
use crate::torture::Pulse;

/// A run.
pub struct Run {
    /// Where clients connect.
    pub endpoint: Endpoint,
    /// The clock of the history and of all latencies.
    pub clock: Clock,
    /// What clients did and saw.
    pub history: RefCell<History>,
    /// What is counted.
    pub tally: Tally,
    /// The start of the names of this run's rooms, users and devices, so that runs on one server do not meet.
    pub prefix: String,
    /// When rooms acknowledged writes of the clients under torture.
    pub pulse: Pulse,
    rooms: RefCell<Vec<RoomId>>,
    complaints: RefCell<Vec<String>>,
}

/// Counts, and latencies of the measured window.
pub struct Tally {
    window_start_us: Cell<u64>,
    window_end_us: Cell<u64>,
    /// Writes that left in the window.
    pub sent: Cell<u64>,
    /// Writes that were acknowledged in the window.
    pub acked: Cell<u64>,
    /// Writes that left in the whole run, each counted once.
    pub sent_all: Cell<u64>,
    /// Entries that reached a connection in the window.
    pub deliveries: Cell<u64>,
    /// Writes of an open loop that left late, in the window.
    pub late: Cell<u64>,
    /// Writes refused for good.
    pub refused: Cell<u64>,
    /// Writes sent again.
    pub retried: Cell<u64>,
    /// Writes that were acknowledged after they had been sent again.
    pub unknown: Cell<u64>,
    /// Of these, writes that had been stored before.
    pub unknown_stored: Cell<u64>,
    /// Deliveries of the whole run.
    pub deliveries_all: Cell<u64>,
    /// Writes acknowledged in the whole run.
    pub acked_all: Cell<u64>,
    /// Times that a client was killed and started again.
    pub restarts: Cell<u64>,
    /// Connections that ended before the run did.
    pub connections_lost: Cell<u64>,
    /// Of these, connections that the server closed for their rate.
    pub rate_limited: Cell<u64>,
    /// From when a write was due to its ack.
    pub ack: RefCell<Latency>,
    /// From when a write was due to its arrival.
    pub delivery: RefCell<Latency>,
}

impl Run {
    /// Begins a run.
    pub fn begin(endpoint: Endpoint, history: History, seed: u64) -> Rc<Self> {
        Rc::new(Self {
            endpoint,
            clock: Clock::start(),
            history: RefCell::new(history),
            tally: Tally::new(),
            prefix: format!("load-{:08x}", seed ^ (seed >> 32)),
            pulse: Pulse::default(),
            rooms: RefCell::default(),
            complaints: RefCell::default(),
        })
    }

    /// Names one of the run's rooms, and has it judged at the end.
    pub fn room(&self, number: u64) -> RoomId {
        let room: RoomId =
            format!("{}-r{number}", self.prefix).parse().expect("letters, digits and hyphens name a room");
        self.rooms.borrow_mut().push(room.clone());
        room
    }

    /// Returns the rooms that were named.
    pub fn rooms(&self) -> Vec<RoomId> {
        self.rooms.borrow().clone()
    }

    /// Notes a broken promise that no event of a history can tell; it counts as an anomaly.
    pub fn complain(&self, words: String) {
        eprintln!("broken promise: {words}");
        self.complaints.borrow_mut().push(words);
    }

    /// Returns the broken promises that were noted.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.borrow().clone()
    }

    /// Names the user of a connection.
    pub fn user(&self, connection: u64) -> String {
        format!("{}-u{connection}", self.prefix)
    }
}

impl Tally {
    fn new() -> Self {
        Self {
            window_start_us: Cell::new(u64::MAX),
            window_end_us: Cell::new(u64::MAX),
            sent: Cell::default(),
            sent_all: Cell::default(),
            acked: Cell::default(),
            deliveries: Cell::default(),
            late: Cell::default(),
            refused: Cell::default(),
            retried: Cell::default(),
            unknown: Cell::default(),
            unknown_stored: Cell::default(),
            deliveries_all: Cell::default(),
            acked_all: Cell::default(),
            restarts: Cell::default(),
            connections_lost: Cell::default(),
            rate_limited: Cell::default(),
            ack: RefCell::new(Latency::new()),
            delivery: RefCell::new(Latency::new()),
        }
    }

    /// Opens the measured window; what came before was warm-up.
    pub fn open_window(&self, now_us: u64) {
        self.window_start_us.set(now_us);
    }

    /// Closes the measured window.
    pub fn close_window(&self, now_us: u64) {
        self.window_end_us.set(now_us);
    }

    /// Tells whether a time lies in the measured window.
    #[inline]
    pub fn in_window(&self, us: u64) -> bool {
        (self.window_start_us.get()..self.window_end_us.get()).contains(&us)
    }
}

/// Adds one to a counter.
pub fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}
