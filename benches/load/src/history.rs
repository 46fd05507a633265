//! The history of a run: every event goes to the checker, and to a file where one was asked for.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;
use rollcall_checker::{
    Checker, ConnIx, DumpEvent, Event, FaultsEndEvent, FloorEvent, JoinedEvent, LeftEvent, NO_BODY, NoteEvent,
    PushEvent, PushRef, RoomIx, Verdict, WriteEvent,
};

/// What clients did and saw, as it happens.
pub struct History {
    checker: Checker,
    file: Option<BufWriter<File>>,
    failed: Option<std::io::Error>,
    /// What readers were shown that waits for the epochs that only the log can tell (0 here), in its order.
    kept_back: Vec<(Place, Shown)>,
}

/// A connection in a room, by name and by the checker's numbers.
#[derive(Debug, Clone)]
pub struct Place {
    /// The connection's name.
    pub conn: String,
    /// The room's name.
    pub room: String,
    conn_ix: ConnIx,
    room_ix: RoomIx,
}

/// An entry that reached a connection.
#[derive(Debug, Clone, Copy)]
pub struct Push {
    /// Its number.
    pub seq: u64,
    /// The epoch that it was shown with.
    pub epoch: u64,
    /// SHA-256 of its body; [`NO_BODY`] if none came.
    pub body_hash: [u8; 32],
    /// When it came, in µs.
    pub t: u64,
}

/// What a reader of a room is shown.
#[derive(Debug, Clone, Copy)]
pub enum Shown {
    /// A new connection, which goes on where the reader is.
    Joined {
        /// When, in µs.
        t: u64,
        /// The number of the last entry that the reader has.
        after: u64,
        /// That of the room's last entry.
        head: u64,
    },
    /// An entry.
    Entry(Push),
}

impl History {
    /// Begins a history, recorded in a file if one is named.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn begin(file: Option<&Path>) -> anyhow::Result<Self> {
        let file = match file {
            Some(path) => {
                Some(File::create(path).with_context(|| format!("failed to make the record {}", path.display()))?)
            }
            None => None,
        };
        Ok(Self { checker: Checker::new(), file: file.map(BufWriter::new), failed: None, kept_back: Vec::new() })
    }

    /// Names a connection in a room, for its pushes.
    pub fn place(&mut self, conn: &str, room: &str) -> Place {
        Place {
            conn: conn.to_owned(),
            room: room.to_owned(),
            conn_ix: self.checker.conn(conn),
            room_ix: self.checker.room(room),
        }
    }

    /// Observes an entry that reached a connection.
    #[inline]
    pub fn push(&mut self, place: &Place, push: &Push) {
        let Push { seq, epoch, body_hash, t } = *push;
        self.checker.observe_push(&PushRef { conn: place.conn_ix, room: place.room_ix, seq, epoch, body_hash, t });
        if self.file.is_some() {
            let (conn, room) = (place.conn.clone(), place.room.clone());
            let body_hash = (body_hash != NO_BODY).then_some(body_hash);
            self.record(&Event::Push(PushEvent { t, conn, room, seq, epoch, body_hash }));
        }
    }

    /// Observes what a reader is shown, or keeps it back until the epochs are known. A reader of which something is kept back must have
    /// all that follows kept back: it is judged by the order.
    pub fn show(&mut self, place: &Place, shown: Shown, is_kept_back: bool) {
        match shown {
            shown if is_kept_back => self.kept_back.push((place.clone(), shown)),
            Shown::Joined { t, after, head } => self.joined(place, t, after, head),
            Shown::Entry(push) => self.push(place, &push),
        }
    }

    /// Tells whether something is kept back.
    pub fn keeps_back(&self) -> bool {
        !self.kept_back.is_empty()
    }

    /// Observes what was kept back, with the epochs of entries by their room and number.
    pub fn take_back(&mut self, epoch_of: impl Fn(&str, u64) -> u64) {
        for (place, shown) in std::mem::take(&mut self.kept_back) {
            let shown = match shown {
                Shown::Entry(push) => Shown::Entry(Push { epoch: epoch_of(&place.room, push.seq), ..push }),
                joined @ Shown::Joined { .. } => joined,
            };
            self.show(&place, shown, false);
        }
    }

    /// Observes a write whose outcome is known.
    pub fn write(&mut self, write: &WriteEvent) {
        self.checker.observe_write(write);
        if self.file.is_some() {
            self.record(&Event::Write(write.clone()));
        }
    }

    /// Observes that a cursor was installed.
    pub fn joined(&mut self, place: &Place, t: u64, after: u64, head: u64) {
        let (conn, room) = (place.conn.clone(), place.room.clone());
        self.observe(&Event::Joined(JoinedEvent { t, conn, room, after, head }));
    }

    /// Observes that a connection left a room, or ended (no room).
    pub fn left(&mut self, conn: &str, room: Option<&str>, t: u64) {
        self.observe(&Event::Left(LeftEvent { t, conn: conn.to_owned(), room: room.map(str::to_owned) }));
    }

    /// Observes that from now on everybody has `within_us` to reach the head.
    pub fn faults_end(&mut self, t: u64, within_us: u64) {
        self.observe(&Event::FaultsEnd(FaultsEndEvent { t, within_us }));
    }

    /// Observes where a room's kept entries begin.
    pub fn floor(&mut self, floor: FloorEvent) {
        self.observe(&Event::Floor(floor));
    }

    /// Observes a stored entry. Those of a room come in their order.
    pub fn dump(&mut self, entry: DumpEvent) {
        if self.file.is_some() {
            self.observe(&Event::Dump(Box::new(entry)));
        } else {
            self.checker.observe_dump(&entry);
        }
    }

    /// Writes words for those who read the record.
    pub fn note(&mut self, text: String) {
        self.observe(&Event::Note(NoteEvent { text }));
    }

    /// Judges the history.
    ///
    /// # Errors
    /// Where the record could not be written.
    pub fn finish(self) -> anyhow::Result<Verdict> {
        if let Some(error) = self.failed {
            return Err(error).context("failed to write the record");
        }
        if let Some(mut file) = self.file {
            file.flush().context("failed to write the record")?;
        }
        Ok(self.checker.finish())
    }

    fn observe(&mut self, event: &Event) {
        self.checker.observe(event);
        self.record(event);
    }

    fn record(&mut self, event: &Event) {
        let Some(file) = &mut self.file else { return };
        // The first failure is told at the end: half a record is none.
        if let Err(error) = writeln!(file, "{event}") {
            self.failed.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use rollcall_checker::check_reader;

    use super::*;

    /// What the checker is told and what the file holds is the same history: both are judged alike.
    #[test]
    fn the_record_is_judged_as_the_run_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let mut history = History::begin(Some(&path)).unwrap();
        let place = history.place("c1", "general");
        history.note("seed 7".to_owned());
        history.joined(&place, 1, 0, 0);
        history.push(&place, &Push { seq: 1, epoch: 1, body_hash: [7; 32], t: 2 });
        history.push(&place, &Push { seq: 3, epoch: 1, body_hash: NO_BODY, t: 3 });
        history.left("c1", None, 4);
        history.faults_end(5, 10);
        let verdict = history.finish().unwrap();
        let recorded = check_reader(BufReader::new(File::open(&path).unwrap())).unwrap();
        assert_eq!(verdict, recorded);
        assert_eq!((verdict.anomalies_total(), verdict.summary.deliveries), (3, 2));
    }

    /// A reader who goes on with a new connection while entries of it wait for their epochs is judged in the order in which it was
    /// shown all of it.
    #[test]
    fn what_follows_on_what_is_kept_back_is_judged_behind_it() {
        let entry = |seq, epoch| Shown::Entry(Push { seq, epoch, body_hash: NO_BODY, t: seq });
        let mut history = History::begin(None).unwrap();
        let place = history.place("c1", "general");
        history.show(&place, Shown::Joined { t: 0, after: 0, head: 0 }, false);
        history.show(&place, entry(1, 4), false);
        history.show(&place, entry(2, 0), true);
        history.show(&place, entry(3, 4), true);
        history.show(&place, Shown::Joined { t: 4, after: 3, head: 4 }, true);
        history.show(&place, entry(4, 4), true);
        assert!(history.keeps_back());
        history.take_back(|room, seq| if (room, seq) == ("general", 2) { 4 } else { 5 });
        assert!(!history.keeps_back());
        let verdict = history.finish().unwrap();
        let stored = verdict.summary.stored;
        assert_eq!((verdict.summary.deliveries, stored), (4, 0));
        assert!(!format!("{verdict}").contains("pushes_in_order"), "{verdict}");
    }
}
