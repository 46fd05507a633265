//! What a seed stands for.

use rollcall_protocol::RoomId;

use crate::dice::Dice;
use crate::faults::{self, Fault, FaultKind};

/// When the faults and the writes end, in milliseconds.
pub const ACTIVE_MS: u64 = 30_000;

/// What a run consists of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many nodes there are.
    pub nodes: usize,
    /// The rooms.
    pub rooms: Vec<RoomId>,
    /// How many clients there are.
    pub clients: usize,
    /// When which client writes.
    pub writes: Vec<(u64, usize)>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

impl Plan {
    /// Draws a plan: at least 3 nodes, 3 rooms, 10 clients, 330 writes and 15 faults, all of one kind where that is given.
    /// A client writes nothing while its program does not run: with faults of all kinds a run still makes 300 writes.
    ///
    /// # Panics
    /// Never: the names of rooms are names.
    pub fn draw(dice: &mut Dice, only: Option<FaultKind>) -> Self {
        let nodes = 3 + dice.place(3);
        let rooms = 3 + dice.range(0, 2);
        let clients = 10 + dice.place(5);
        let rooms = (0..rooms).map(|number| RoomId::parse(&format!("room-{number}")).expect("a name")).collect();
        let writes = (0..330 + dice.range(0, 100)).map(|_| (dice.range(200, ACTIVE_MS), dice.place(clients))).collect();
        let count = 15 + dice.place(10);
        let faults = faults::draw(dice, count, ACTIVE_MS - 1_000, only);
        Self { nodes, rooms, clients, writes, faults }
    }
}
