//! The doorbell and the tail together: whatever comes while a reader looks is seen, now or at the next ring.

use std::time::Duration;

use crate::shell::tail::*;
use crate::shell::test_entries::TestEntries;

const LIMITS: RingLimits = RingLimits { entries_max: 256, bytes_max: 1024 * 1024 };

/// One step of a reader's turn.
#[derive(Debug, Clone, Copy)]
enum Look {
    TakeMail,
    Lower,
    Pull,
}

/// The order in which connections look.
const TURN: [Look; 3] = [Look::TakeMail, Look::Lower, Look::Pull];

struct Reader {
    bell: Arc<Doorbell>,
    cursor: Seq,
    is_due: bool,
}

impl Reader {
    fn step(&mut self, tail: &Tail, step: Look) {
        match step {
            Look::TakeMail => self.is_due = !self.bell.inbox().take().rooms.is_empty(),
            Look::Lower if self.is_due => self.bell.lower(),
            Look::Pull if self.is_due => {
                if let Pulled::Frames(frames) = tail.pull(self.cursor, usize::MAX, usize::MAX) {
                    self.cursor = frames[frames.len() - 1].last();
                }
            }
            Look::Lower | Look::Pull => {}
        }
    }
}

/// Runs one schedule of a writer of `batches` batches (two steps each: into the ring, then the bells) and a reader that
/// takes `turns` turns; a set bit of `schedule` is a step of the reader. Returns where the reader stands once it has
/// followed every ring.
fn run(schedule: u32, batches: usize, turns: usize, turn: [Look; 3]) -> Seq {
    let mut room = TestEntries::new();
    let tail = Tail::new(room.room.clone(), LIMITS);
    let bell = Doorbell::new(room.room.clone(), Inbox::new());
    tail.hang_up(Arc::clone(&bell));
    let mut reader = Reader { bell, cursor: Seq::ZERO, is_due: false };
    let (mut written, mut looked) = (0, 0);
    for at in 0..2 * batches + 3 * turns {
        if schedule >> at & 1 == 1 {
            reader.step(&tail, turn[looked % 3]);
            looked += 1;
        } else {
            match written % 2 {
                0 => tail.ring_mut().append(Frame::new(room.room.clone(), room.messages(1).into()), LIMITS),
                _ => tail.ring_all(),
            }
            written += 1;
        }
    }
    // From here on the reader does only what the bell tells it.
    for step in turn {
        reader.step(&tail, step);
    }
    reader.cursor
}

/// All schedules in which the reader makes all of its steps.
fn schedules(batches: usize, turns: usize) -> impl Iterator<Item = u32> {
    let steps = 2 * batches + 3 * turns;
    (0..1_u32 << steps).filter(move |schedule| schedule.count_ones() as usize == 3 * turns)
}

#[test]
fn no_interleaving_of_ringing_and_looking_loses_anything() {
    for (batches, turns) in [(1, 1), (2, 2), (3, 2), (2, 3), (3, 3)] {
        for schedule in schedules(batches, turns) {
            assert_eq!(run(schedule, batches, turns, TURN), Seq::new(batches as u64), "{schedule:#b}");
        }
    }
}

#[test]
fn looking_before_the_bell_is_lowered_would_lose_entries() {
    let wrong = [Look::TakeMail, Look::Pull, Look::Lower];
    let loses = |schedule| run(schedule, 2, 2, wrong) < Seq::new(2);
    assert!(schedules(2, 2).any(loses), "the schedules would not notice a wrong order");
}

#[test]
fn every_reader_hears_a_batch_and_the_end_once_until_it_looks() {
    let mut room = TestEntries::new();
    let tail = Tail::new(room.room.clone(), LIMITS);
    let bells: Vec<_> = (0..3).map(|_| Doorbell::new(room.room.clone(), Inbox::new())).collect();
    let keys: Vec<_> = bells.iter().map(|bell| tail.hang_up(Arc::clone(bell))).collect();
    let rings = |bell: &Doorbell| bell.inbox().take().rooms.len();
    tail.push(room.messages(1).into());
    tail.push(room.messages(1).into());
    assert_eq!(bells.iter().map(|bell| rings(bell)).collect::<Vec<_>>(), [1, 1, 1]);
    tail.take_down(keys[1]);
    bells.iter().for_each(|bell| bell.lower());
    tail.end(TailEnd::Moved);
    assert_eq!(bells.iter().map(|bell| rings(bell)).collect::<Vec<_>>(), [1, 0, 1]);
}

#[test]
fn a_signal_reaches_everybody_but_its_sender() {
    let room = TestEntries::new().room;
    let tail = Tail::new(room.clone(), LIMITS);
    let inboxes: Vec<_> = (0..3).map(|_| Inbox::new()).collect();
    for inbox in &inboxes {
        tail.hang_up(Doorbell::new(room.clone(), Arc::clone(inbox)));
    }
    let user = rollcall_protocol::UserId::parse("ann").unwrap();
    let signal = Arc::new(Signal { room, user, kind: rollcall_protocol::SignalKind::Typing });
    tail.signal(&signal, Some(&inboxes[1]));
    assert_eq!(inboxes.iter().map(|inbox| inbox.take().signals.len()).collect::<Vec<_>>(), [1, 0, 1]);
}

/// The same on two threads, as fast as they can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_on_another_thread_sees_every_entry() {
    const ENTRIES: u64 = 50_000;
    let mut room = TestEntries::new();
    let tail = Tail::new(room.room.clone(), RingLimits { entries_max: ENTRIES as usize, bytes_max: usize::MAX });
    let bell = Doorbell::new(room.room.clone(), Inbox::new());
    tail.hang_up(Arc::clone(&bell));
    let written = Arc::clone(&tail);
    let writer = tokio::task::spawn_blocking(move || {
        for _ in 0..ENTRIES {
            written.push(room.messages(1).into());
        }
    });
    let mut cursor = Seq::ZERO;
    let reading = async {
        while cursor < Seq::new(ENTRIES) {
            bell.inbox().rung().await;
            if bell.inbox().take().rooms.is_empty() {
                continue;
            }
            bell.lower();
            if let Pulled::Frames(frames) = tail.pull(cursor, usize::MAX, usize::MAX) {
                assert_eq!(frames[0].first(), cursor.next());
                cursor = frames[frames.len() - 1].last();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("a ring was lost");
    writer.await.unwrap();
}
