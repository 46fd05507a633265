//! Random batches, and readers that pull when and as much as they like: each sees the exact sequence, as the log has it.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::shell::tail::*;
use crate::shell::test_entries::TestEntries;

#[derive(Debug, Clone)]
enum Draft {
    Message(usize),
    /// Of the entry so far back.
    Edit(u64),
    Redact(u64),
}

#[derive(Debug, Clone)]
enum Step {
    Push(Vec<Draft>),
    Join { back: u64 },
    Pull { reader: usize, frames_max: usize, bytes_max: usize },
}

fn draft() -> impl Strategy<Value = Draft> {
    prop_oneof![
        6 => (0_usize..60).prop_map(Draft::Message),
        1 => (0_u64..12).prop_map(Draft::Edit),
        1 => (0_u64..12).prop_map(Draft::Redact),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => vec(draft(), 1..6).prop_map(Step::Push),
        1 => (0_u64..30).prop_map(|back| Step::Join { back }),
        4 => (0_usize..8, 0_usize..5, 0_usize..300)
            .prop_map(|(reader, frames_max, bytes_max)| Step::Pull { reader, frames_max, bytes_max }),
    ]
}

/// The log that the tail is the end of, and readers of both.
struct World {
    room: TestEntries,
    log: Vec<Entry>,
    limits: RingLimits,
    tail: Arc<Tail>,
    readers: Vec<Seq>,
}

impl World {
    fn new(limits: RingLimits) -> Self {
        let room = TestEntries::new();
        let tail = Tail::new(room.room.clone(), limits);
        Self { room, log: Vec::new(), limits, tail, readers: vec![Seq::ZERO] }
    }

    fn push(&mut self, drafts: &[Draft]) {
        let batch: Vec<Entry> = drafts.iter().map(|draft| self.write(draft)).collect();
        self.log.extend(batch.iter().cloned());
        for target in batch.iter().filter(|entry| entry.kind == Kind::Redact).map(|redact| redact.target) {
            let hit =
                |entry: &&mut Entry| Some(entry.seq) == target || entry.kind == Kind::Edit && entry.target == target;
            self.log.iter_mut().filter(hit).for_each(Entry::redact);
        }
        self.tail.push(batch.into());
        self.check_ring();
    }

    fn write(&mut self, draft: &Draft) -> Entry {
        let back = |back: u64| self.room.head.get().saturating_sub(back).max(1);
        match *draft {
            Draft::Message(length) => self.room.message(&"x".repeat(length)),
            // What is about a redacted entry is refused before it is numbered, but within one batch they may meet.
            Draft::Edit(at) if self.is_open(back(at)) => self.room.edit(back(at), "edited"),
            Draft::Redact(at) if self.is_open(back(at)) => self.room.redact(back(at)),
            Draft::Edit(_) | Draft::Redact(_) => self.room.message("instead"),
        }
    }

    /// Tells whether a committed message can be edited.
    fn is_open(&self, seq: u64) -> bool {
        let entry = usize::try_from(seq - 1).ok().and_then(|at| self.log.get(at));
        entry.is_some_and(|entry| entry.kind == Kind::Message && !entry.is_redacted())
    }

    fn check_ring(&self) {
        let ring = self.tail.ring();
        let entries: usize = ring.frames.iter().map(|frame| frame.entries().len()).sum();
        let bytes: usize = ring.frames.iter().map(|frame| frame.weight_bytes()).sum();
        assert_eq!((ring.entries, ring.bytes), (entries, bytes), "the ring knows its size");
        let is_full = entries > self.limits.entries_max || bytes > self.limits.bytes_max;
        assert!(!is_full || ring.frames.len() == 1, "{entries} entries, {bytes} bytes in {} frames", ring.frames.len());
    }

    /// Lets a reader pull, from the log where the ring is past it, and checks what it gets.
    fn pull(&mut self, reader: usize, frames_max: usize, bytes_max: usize) -> usize {
        let reader = reader % self.readers.len();
        let cursor = self.readers[reader];
        let frames = match self.tail.pull(cursor, frames_max, bytes_max) {
            Pulled::Nothing => {
                assert_eq!(cursor, self.room.head, "nothing is left only at the head");
                return 0;
            }
            Pulled::Behind(head) => {
                assert_eq!(head, self.room.head);
                let from = usize::try_from(cursor.get()).unwrap();
                let page = self.log[from..].iter().take(frames_max + 1).cloned().collect();
                Frame::cut(&self.room.room, page)
            }
            Pulled::Frames(frames) => frames,
            Pulled::Ended(_) => unreachable!("nobody ended the room"),
        };
        assert!(!frames.is_empty() && frames.len() <= frames_max.max(1));
        let weights: Vec<usize> = frames.iter().map(|frame| frame.weight_bytes()).collect();
        let before_last: usize = weights[..weights.len() - 1].iter().sum();
        assert!(frames.len() == 1 || before_last < bytes_max, "{weights:?} exceed {bytes_max}");
        for frame in frames {
            assert!(frame.first() <= self.readers[reader].next(), "a gap before {}", frame.first());
            for entry in frame.entries().iter().filter(|entry| entry.seq > self.readers[reader]) {
                let at = usize::try_from(entry.seq.get() - 1).unwrap();
                assert_eq!(*entry, self.log[at], "what is given is what the log has");
            }
            self.readers[reader] = frame.last();
        }
        weights.len()
    }
}

proptest! {
    #[test]
    fn every_reader_gets_the_exact_sequence(
        entries_max in 1_usize..20,
        bytes_max in 1_usize..600,
        steps in vec(step(), 1..80),
    ) {
        let mut world = World::new(RingLimits { entries_max, bytes_max });
        for step in steps {
            match step {
                Step::Push(drafts) => world.push(&drafts),
                Step::Join { back } => {
                    let cursor = Seq::new(world.room.head.get().saturating_sub(back));
                    world.readers.push(cursor);
                }
                Step::Pull { reader, frames_max, bytes_max } => {
                    world.pull(reader, frames_max, bytes_max);
                }
            }
        }
        for reader in 0..world.readers.len() {
            while world.pull(reader, 3, 200) > 0 {}
            prop_assert_eq!(world.readers[reader], world.room.head);
        }
    }
}
