//! The checker: takes events, keeps the little that later ones are compared with, judges at the end.

use rustc_hash::FxHashMap;

use crate::event::{DumpEvent, Event, FaultsEndEvent, FloorEvent, Outcome, WriteEvent};
use crate::findings::Findings;
use crate::judge;
use crate::names::{ConnIx, Names, RoomIx};
use crate::record::{Cursor, Footprint, RoomRecord};
use crate::rule::Rule;
use crate::verdict::{Summary, Verdict};
use crate::write_record::WriteRecord;

/// The judge of one history: observes its events, then finishes with a verdict.
///
/// Events may come in any order of time, with two exceptions: those of one connection (joined, left, push, expired) come in
/// the order in which the connection saw them, and those of one room's dump (floor, then entries) in ascending order of seq.
#[derive(Debug)]
pub struct Checker {
    pub(crate) findings: Findings,
    pub(crate) names: Names,
    /// By `RoomIx`.
    pub(crate) rooms: Vec<RoomRecord>,
    /// The rooms that each connection is in, by `ConnIx`.
    pub(crate) joined_rooms: Vec<Vec<RoomIx>>,
    pub(crate) cursors: FxHashMap<(ConnIx, RoomIx), Cursor>,
    pub(crate) faults_end: Option<FaultsEndEvent>,
    pub(crate) summary: Summary,
}

impl Default for Checker {
    fn default() -> Self {
        Self::new()
    }
}

impl Checker {
    /// Makes a checker that judges by every rule.
    pub fn new() -> Self {
        Self {
            findings: Findings::new(),
            names: Names::new(),
            rooms: Vec::new(),
            joined_rooms: Vec::new(),
            cursors: FxHashMap::default(),
            faults_end: None,
            summary: Summary::default(),
        }
    }

    /// Takes one rule out: a history that breaks that rule alone then passes. For the tests of the checker itself.
    #[must_use]
    pub fn without(mut self, rule: Rule) -> Self {
        self.findings.disable(rule);
        self
    }

    /// Sets how many anomalies of each rule are kept, 20 unless told. All are counted.
    #[must_use]
    pub fn keeping(mut self, count_per_rule: usize) -> Self {
        self.findings.keep_per_rule(count_per_rule);
        self
    }

    /// Gives the number of a room, the same one for the same name.
    pub fn room(&mut self, name: &str) -> RoomIx {
        let room = self.names.room(name);
        if room.place() == self.rooms.len() {
            self.rooms.push(RoomRecord::new());
        }
        room
    }

    /// Gives the number of a connection, the same one for the same name.
    pub fn conn(&mut self, name: &str) -> ConnIx {
        let conn = self.names.conn(name);
        if conn.place() == self.joined_rooms.len() {
            self.joined_rooms.push(Vec::new());
        }
        conn
    }

    /// Observes one event of any kind.
    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::Write(write) => self.observe_write(write),
            Event::Joined(joined) => self.observe_joined(joined),
            Event::Left(left) => self.observe_left(left),
            Event::Push(push) => self.observe_push_event(push),
            Event::Expired(expired) => self.observe_expired(expired),
            Event::FaultsEnd(faults_end) => self.observe_faults_end(*faults_end),
            Event::Floor(floor) => self.observe_floor(floor),
            Event::Dump(dump) => self.observe_dump(dump),
            Event::Note(_) => {}
        }
    }

    /// Observes where the log of a room begins; before its entries are dumped.
    pub fn observe_floor(&mut self, floor: &FloorEvent) {
        let room = self.room(&floor.room);
        self.rooms[room.place()].log.observe_floor(floor);
    }

    /// Observes a write.
    pub fn observe_write(&mut self, write: &WriteEvent) {
        match write.outcome {
            Outcome::Ok => self.summary.acked += 1,
            Outcome::Failed => self.summary.failed += 1,
            Outcome::Unknown => self.summary.unknown += 1,
        }
        let conn = self.conn(&write.conn);
        let room = self.room(&write.room);
        let record = WriteRecord::new(write, conn, &mut self.names);
        self.rooms[room.place()].writes.push(record);
    }

    /// Observes that the faults stopped. Of several such events the last one counts.
    pub fn observe_faults_end(&mut self, faults_end: FaultsEndEvent) {
        if self.faults_end.is_none_or(|known| known.t <= faults_end.t) {
            self.faults_end = Some(faults_end);
        }
    }

    /// Observes a stored entry of the final log.
    pub fn observe_dump(&mut self, dump: &DumpEvent) {
        let room = self.room(&dump.room);
        self.rooms[room.place()].log.observe(dump, &mut self.names, &mut self.findings);
    }

    /// Counts the records that are kept.
    pub fn footprint(&self) -> Footprint {
        Footprint {
            seen: self.rooms.iter().map(|room| room.seen.len()).sum(),
            stored: self.rooms.iter().map(|room| room.log.entries().len()).sum(),
            writes: self.rooms.iter().map(|room| room.writes.len()).sum(),
            // As many of one as of the other, or one of them leaks.
            cursors: self.cursors.len().max(self.joined_rooms.iter().map(Vec::len).sum()),
            names: self.names.count(),
            anomalies: self.findings.kept_count(),
        }
    }

    /// Judges what can be judged only now that everything was observed, and gives the verdict.
    pub fn finish(self) -> Verdict {
        judge::judge(self)
    }
}
