//! Everything at once: devices that press on, readers that follow, and a log that refuses, loses answers, panics and goes away,
//! under rooms that are given up whenever they can be.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rollcall_actors::room::{Refusal, Retention};
use rollcall_actors::shell::{QueueLimits, RingLimits, RoomSettings};
use rollcall_it::controlled_log::Fate;
use rollcall_protocol::{Kind, Seq, WriteOp};

use super::desk::Desk;
use super::node::{Node, in_time, room, until};
use super::reader::Reader;

const ROOMS: [&str; 2] = ["one", "two"];
const DEVICES: usize = 4;
const WRITES: u64 = 250;
/// What each room has in the end, its creation among it.
const ENTRIES: u64 = 1 + DEVICES as u64 * WRITES;
/// Writes that a device has open at once.
const WINDOW: u64 = 8;

const NARROW: RoomSettings = RoomSettings {
    queue: QueueLimits { entries_max: 24, bytes_max: 4096 },
    ring: RingLimits { entries_max: 8, bytes_max: 256 },
    idle: Duration::from_millis(1),
    idle_rooms_max: 1,
    active_rooms_max: 100,
    activation_pause: Duration::from_millis(1),
    retention: Retention::FOR_EVER,
    retention_look: Duration::from_secs(3600),
};

/// What a device writes under one n, for ever.
#[derive(Debug, Clone, Copy)]
enum Content {
    Message,
    Edit(u64),
    Redact(u64),
}

struct Device {
    desk: Desk,
    contents: BTreeMap<u64, Content>,
    /// The number of each acked write.
    acked: BTreeMap<u64, Seq>,
    /// Own messages that nobody redacted.
    open: Vec<u64>,
    refused: usize,
}

impl Device {
    fn ask(&mut self, n: u64) -> u64 {
        let content = match self.contents.get(&n) {
            Some(&content) => content,
            None => self.think_of(n),
        };
        match content {
            Content::Message => self.desk.send(n, &n.to_string()),
            Content::Edit(target) => self.desk.ask_write(n, WriteOp::Edit, Some(target), Some("edited")),
            Content::Redact(target) => self.desk.redact(n, target),
        }
    }

    fn think_of(&mut self, n: u64) -> Content {
        let content = match (n % 7, self.open.len()) {
            (3, 2..) => Content::Edit(self.open[0]),
            (5, 2..) => Content::Redact(self.open.remove(0)),
            _ => Content::Message,
        };
        self.contents.insert(n, content);
        content
    }

    fn take_ack(&mut self, n: u64, seq: Seq) {
        match self.acked.insert(n, seq) {
            Some(known) => assert_eq!(known, seq, "{n} was given two numbers"),
            None if matches!(self.contents[&n], Content::Message) => self.open.push(seq.get()),
            None => {}
        }
    }

    /// Writes everything, a window at a time; what was not acked is sent again, in order.
    async fn write_all(mut self) -> Self {
        while let Some(first) = (1..=WRITES).find(|n| !self.acked.contains_key(n)) {
            let window = first..=(first + WINDOW - 1).min(WRITES);
            let asked: Vec<(u64, u64)> = window.map(|n| (n, self.ask(n))).collect();
            for (n, id) in asked {
                match self.desk.answer(id).await {
                    Ok(ack) => self.take_ack(n, ack.seq),
                    Err(Refusal::OutOfOrder { last }) => {
                        self.refused += 1;
                        assert!(last < n, "{n} was known already");
                    }
                    Err(refusal) => {
                        self.refused += 1;
                        assert!(refusal.to_frame(true).retryable, "{n}: {refusal}");
                    }
                }
            }
        }
        self
    }
}

/// Lets the log misbehave whenever a few appends went well, until it is dropped.
async fn misbehave(node: Node, mut random: StdRng) {
    loop {
        let calm = node.log.appends_so_far() + random.random_range(2..6);
        until(|| node.log.appends_so_far() >= calm).await;
        match random.random_range(0..11) {
            0 => node.log.next_append(Fate::Refused),
            1 => node.log.next_append(Fate::Fenced),
            2 => node.log.next_append(Fate::UnknownStored),
            3 => node.log.next_append(Fate::UnknownNotStored),
            4 => node.log.next_append(Fate::UnknownLate),
            5 => node.log.next_append(Fate::PanicInTask),
            6 => node.log.panic_in_next_append().panic(),
            7 => drop(node.log.deliver_late().await),
            8 => node.log.fail_activations(2),
            9 => node.log.fail_reads(1),
            _ => {
                node.log.appends.hold();
                tokio::task::yield_now().await;
                node.log.appends.release();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_write_is_stored_once_in_its_order_and_seen_by_everybody() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let node = Node::start(NARROW).await;
    let readers: Vec<_> = (0..6)
        .map(|at| {
            let node = node.clone();
            tokio::spawn(async move {
                let mut reader = Reader::join(&node, ROOMS[at % 2], 0).await;
                reader.read_to(ENTRIES).await;
                reader
            })
        })
        .collect();
    // Each of these happens at least once, however fast the machine is.
    let certain = [Fate::Refused, Fate::Fenced, Fate::UnknownStored, Fate::UnknownNotStored, Fate::PanicInTask];
    let certain_len = certain.len();
    certain.into_iter().for_each(|fate| node.log.next_append(fate));
    let chaos = tokio::spawn(misbehave(node.clone(), StdRng::seed_from_u64(seed)));
    let devices: Vec<_> = (0..2 * DEVICES)
        .map(|at| {
            let desk = Desk::at(&node, ROOMS[at % 2], &format!("user{at}"));
            Device { desk, contents: BTreeMap::new(), acked: BTreeMap::new(), open: Vec::new(), refused: 0 }
        })
        .map(|device| tokio::spawn(device.write_all()))
        .collect();
    let mut written = Vec::new();
    for device in devices {
        written.push(in_time(device).await.unwrap());
    }
    chaos.abort();
    node.log.appends.release();
    node.log.fail_reads(0);
    node.log.fail_activations(0);
    node.log.deliver_late().await;

    let refused: usize = written.iter().map(|device| device.refused).sum();
    assert!(refused >= certain_len, "hardly anything went wrong: {refused}");
    for name in ROOMS {
        let history = node.history(&room(name)).await;
        assert_eq!(history.len() as u64, ENTRIES);
        for device in written.iter().filter(|device| device.desk.room.as_str() == name) {
            let stored = history.iter().filter(|entry| entry.sender == device.desk.user && entry.n > 0);
            let stored: Vec<(u64, Seq)> = stored.map(|entry| (entry.n, entry.seq)).collect();
            let acked: Vec<(u64, Seq)> = device.acked.iter().map(|(&n, &seq)| (n, seq)).collect();
            assert_eq!(stored, acked, "of {}", device.desk.user);
        }
    }
    for reader in readers {
        let reader = in_time(reader).await.unwrap();
        let history = node.history(&reader.desk.room).await;
        let hashes = |entries: &[rollcall_protocol::Entry]| entries.iter().map(|entry| entry.hash).collect::<Vec<_>>();
        assert!(hashes(&reader.seen) == hashes(&history), "a reader saw something else than the log has");
        let edits = reader.seen.iter().filter(|entry| entry.kind == Kind::Edit && !entry.is_redacted());
        let redacted_before = |edit: &rollcall_protocol::Entry| {
            history[..edit.seq.get() as usize]
                .iter()
                .any(|entry| entry.kind == Kind::Redact && entry.target == edit.target)
        };
        assert!(edits.into_iter().all(|edit| !redacted_before(edit)), "an edit showed what was redacted before it");
    }
    in_time(node.directory.drain()).await;
}
