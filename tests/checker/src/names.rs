//! Names as small numbers, so that a push costs no text.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// A room of one checker; see [`Checker::room`](crate::Checker::room).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomIx(pub(crate) u32);

/// A connection of one checker; see [`Checker::conn`](crate::Checker::conn).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnIx(pub(crate) u32);

impl RoomIx {
    pub(crate) fn place(self) -> usize {
        self.0 as usize
    }
}

impl ConnIx {
    pub(crate) fn place(self) -> usize {
        self.0 as usize
    }
}

/// A user, device, node or owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameIx(u32);

impl NameIx {
    /// The empty name: no user, or no device.
    pub(crate) const ABSENT: Self = Self(0);
}

/// Who wrote: a user and a device of that user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sender {
    pub(crate) user: NameIx,
    pub(crate) device: NameIx,
}

/// Every name that a history mentioned.
#[derive(Debug)]
pub(crate) struct Names {
    rooms: Interner,
    conns: Interner,
    others: Interner,
}

impl Names {
    pub(crate) fn new() -> Self {
        let mut others = Interner::default();
        let absent = others.index_of("");
        assert_eq!(NameIx(absent), NameIx::ABSENT);
        Self { rooms: Interner::default(), conns: Interner::default(), others }
    }

    pub(crate) fn room(&mut self, name: &str) -> RoomIx {
        RoomIx(self.rooms.index_of(name))
    }

    pub(crate) fn conn(&mut self, name: &str) -> ConnIx {
        ConnIx(self.conns.index_of(name))
    }

    pub(crate) fn name(&mut self, name: &str) -> NameIx {
        NameIx(self.others.index_of(name))
    }

    pub(crate) fn sender(&mut self, user: &str, device: &str) -> Sender {
        Sender { user: self.name(user), device: self.name(device) }
    }

    pub(crate) fn of_room(&self, room: RoomIx) -> &str {
        &self.rooms.names[room.place()]
    }

    /// The names of all rooms, by `RoomIx`.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &str> {
        self.rooms.names.iter().map(AsRef::as_ref)
    }

    pub(crate) fn of_conn(&self, conn: ConnIx) -> &str {
        &self.conns.names[conn.place()]
    }

    pub(crate) fn of(&self, name: NameIx) -> &str {
        &self.others.names[name.0 as usize]
    }

    pub(crate) fn count(&self) -> usize {
        self.rooms.names.len() + self.conns.names.len() + self.others.names.len()
    }
}

#[derive(Debug, Default)]
struct Interner {
    indexes: FxHashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Interner {
    fn index_of(&mut self, name: &str) -> u32 {
        if let Some(&index) = self.indexes.get(name) {
            return index;
        }
        let index = u32::try_from(self.names.len()).expect("a history has fewer than four billion names");
        let name: Arc<str> = name.into();
        self.names.push(name.clone());
        self.indexes.insert(name, index);
        index
    }
}
