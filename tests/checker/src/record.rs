//! What the checker keeps of rooms and connections while a history streams by.

use crate::event::{ExpiredEvent, JoinedEvent};
use crate::log::RoomLog;
use crate::seen::SeenTable;
use crate::write_record::WriteRecord;

/// What is kept of a room.
#[derive(Debug)]
pub(crate) struct RoomRecord {
    pub(crate) writes: Vec<WriteRecord>,
    pub(crate) seen: SeenTable,
    pub(crate) log: RoomLog,
    pub(crate) highest_push: Option<HighestPush>,
    /// The join that was told the highest head.
    pub(crate) highest_join: Option<JoinedEvent>,
    /// The notice that told of the highest expired seq.
    pub(crate) highest_expired: Option<ExpiredEvent>,
}

/// The highest seq that was pushed to anybody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HighestPush {
    pub(crate) seq: u64,
    /// When the first of its pushes came.
    pub(crate) t_first: u64,
}

/// Where a connection is in a room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    pub(crate) seq: u64,
    /// The epoch of the last push since the cursor was installed.
    pub(crate) epoch: u64,
    pub(crate) t_joined: u64,
    /// When it last moved.
    pub(crate) t_moved: u64,
}

impl RoomRecord {
    pub(crate) fn new() -> Self {
        Self {
            writes: Vec::new(),
            seen: SeenTable::default(),
            log: RoomLog::new(),
            highest_push: None,
            highest_join: None,
            highest_expired: None,
        }
    }

    pub(crate) fn note_push(&mut self, seq: u64, t: u64) {
        match &mut self.highest_push {
            Some(highest) if seq < highest.seq => {}
            Some(highest) if seq == highest.seq => highest.t_first = highest.t_first.min(t),
            highest => *highest = Some(HighestPush { seq, t_first: t }),
        }
    }
}

/// How many records a checker keeps. None of these numbers grows with the number of deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Entries of which a push was seen.
    pub seen: usize,
    /// Entries of the dump.
    pub stored: usize,
    /// Write events.
    pub writes: usize,
    /// Rooms that connections are in.
    pub cursors: usize,
    /// Names of rooms, connections, users, devices, nodes and owners.
    pub names: usize,
    /// Anomalies.
    pub anomalies: usize,
}
