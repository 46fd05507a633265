//! The embedded log against the memory log: whatever is done to both, with failing commits and reopening between, both answer
//! the same. The memory log is the naive reference: one lock, no batches, no disk.
#![expect(clippy::unwrap_used, reason = "a test: an unwrap is the assertion")]

use std::time::Duration;

use proptest::prelude::*;
use rollcall::log::embedded::FaultPoints;
use rollcall::log::{EmbeddedLog, EmbeddedOptions, MemoryLog};
use rollcall_actors::ports::{Activate, AppendOutcome, Log, NotCommitted, StoredSnapshot};
use rollcall_it::machine::eventually;
use rollcall_it::scribe::{Scribe, after_up_to};
use rollcall_protocol::{Entry, Epoch, Kind, OwnerId, RoomId, Seq};

/// What happens next, to one of a few rooms.
#[derive(Debug, Clone)]
enum Step {
    Activate,
    /// By the room's last owner, in one group with the steps of this kind that follow directly.
    Append(Vec<Content>),
    /// By an owner that was fenced since.
    AppendStale,
    Snapshot {
        back: u64,
        parts: u8,
    },
    Expire(u64),
    Reopen,
    Compact,
    /// A commit fails before anything was written, and the owner comes back.
    FailCommit,
}

#[derive(Debug, Clone)]
enum Content {
    Message,
    /// Of a message, as a room's owner sees to; of anything else it becomes a message.
    Edit(u64),
    /// Of a message or an edit.
    Redact(u64),
}

/// The kinds of a room's entries, from 1 on.
type Kinds = Vec<Kind>;

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        3 => Just(Content::Message),
        2 => (1..12u64).prop_map(Content::Edit),
        1 => (1..12u64).prop_map(Content::Redact),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Activate),
        20 => prop::collection::vec(content(), 1..5).prop_map(Step::Append),
        2 => Just(Step::AppendStale),
        3 => (0..6u64, 1..4u8).prop_map(|(back, parts)| Step::Snapshot { back, parts }),
        2 => (0..20u64).prop_map(Step::Expire),
        1 => Just(Step::Reopen),
        1 => Just(Step::Compact),
        1 => Just(Step::FailCommit),
    ]
}

const ROOMS: [&str; 3] = ["a", "a.b", "b"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn both_logs_answer_the_same(steps in prop::collection::vec((0..ROOMS.len(), step()), 1..60)) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run(steps));
    }
}

async fn run(steps: Vec<(usize, Step)>) {
    // In memory where the machine has that: many syncs, and no power that could fail.
    let memory_disk = std::path::Path::new("/dev/shm");
    let folder = if memory_disk.is_dir() { tempfile::tempdir_in(memory_disk) } else { tempfile::tempdir() }.unwrap();
    let faults = FaultPoints::default();
    let options = EmbeddedOptions {
        faults: faults.clone(),
        reopen_pause: (Duration::from_millis(1), Duration::from_millis(1)),
        // So that redactions and expiries take many groups, and whatever comes next comes between.
        tidied_entries_max: 1,
        ..EmbeddedOptions::default()
    };
    let open = || EmbeddedLog::open(folder.path(), options.clone()).unwrap();
    let (memory, mut embedded) = (MemoryLog::new(), Some(open()));
    let mut owners: [Option<Scribe>; 3] = [None, None, None];
    let mut stale: [Option<Scribe>; 3] = [None, None, None];
    let mut kinds: [Kinds; 3] = [vec![], vec![], vec![]];

    for (at, (room, step)) in steps.into_iter().enumerate() {
        let log = embedded.as_ref().unwrap();
        let name = RoomId::parse(ROOMS[room]).unwrap();
        match step {
            Step::Activate => stale[room] = owners[room].replace(activate(&memory, log, &name, at).await),
            Step::Append(contents) => {
                if owners[room].is_none() {
                    owners[room] = Some(activate(&memory, log, &name, at).await);
                }
                append(&memory, log, owners[room].as_mut().unwrap(), &mut kinds[room], &contents).await;
            }
            Step::AppendStale => {
                if let Some(mut scribe) = stale[room].clone() {
                    append(&memory, log, &mut scribe, &mut kinds[room], &[Content::Message]).await;
                }
            }
            Step::Snapshot { back, parts } => {
                let last = memory.tail(&name).await.unwrap().map_or(0, |tail| tail.last_seq.get());
                let seq = Seq::new(last.saturating_sub(back));
                let parts = (0..parts).map(|part| format!("{seq} part {part} at {at}").into_bytes()).collect();
                let snapshot = StoredSnapshot { seq, parts };
                memory.write_snapshot(&name, snapshot.clone()).await.unwrap();
                log.write_snapshot(&name, snapshot).await.unwrap();
                // Older snapshots are dropped after the answer: by the time of the next one they are gone.
                log.expire_before(&name, Seq::ZERO).await.unwrap();
            }
            Step::Expire(floor) => {
                memory.expire_before(&name, Seq::new(floor)).await.unwrap();
                log.expire_before(&name, Seq::new(floor)).await.unwrap();
            }
            Step::Reopen => {
                drop(embedded.take());
                embedded = Some(open());
            }
            Step::Compact => drop(log.compact().await.unwrap()),
            Step::FailCommit => {
                if let Some(scribe) = &owners[room] {
                    let mut next = scribe.clone();
                    let entries = next.messages(1);
                    faults.fail_next_commit();
                    match log.append(next.append(entries.clone())).await {
                        AppendOutcome::Unknown(_) | AppendOutcome::NotCommitted(NotCommitted::Refused(_)) => {
                            eventually("the log is open again", async || log.tail(&name).await.ok()).await;
                            owners[room] = Some(activate(&memory, log, &name, at).await);
                        }
                        // A part of a redaction has failed before it, and the log was open again when it came.
                        AppendOutcome::Committed => {
                            assert_eq!(memory.append(next.append(entries)).await, AppendOutcome::Committed);
                            kinds[room].push(Kind::Message);
                            owners[room] = Some(next);
                        }
                        // A fenced one writes nothing, so there is nothing to fail but the next write.
                        AppendOutcome::NotCommitted(_) => {
                            if log.activate(&name, Activate::by(OwnerId(1))).await.is_ok() {
                                memory.activate(&name, Activate::by(OwnerId(1))).await.unwrap();
                            }
                            eventually("the log is open again", async || log.tail(&name).await.ok()).await;
                        }
                    }
                }
            }
        }
        let log = embedded.as_ref().unwrap();
        for room in ROOMS {
            assert_same(&memory, log, &RoomId::parse(room).unwrap()).await;
        }
    }
    let stored =
        embedded.unwrap().rooms().map(|info| info.unwrap()).map(|info| (info.room, info.tail)).collect::<Vec<_>>();
    assert_eq!(stored, memory.rooms());
}

async fn activate(memory: &MemoryLog, embedded: &EmbeddedLog, room: &RoomId, at: usize) -> Scribe {
    let owner = OwnerId(at as u128 + 2);
    let with = Activate { epoch: Epoch::new(at as u64 % 7), ..Activate::by(owner) };
    let activated = memory.activate(room, with).await.unwrap();
    assert_eq!(embedded.activate(room, with).await, Ok(activated));
    let tail = activated.tail;
    let resumed = Scribe::resume(memory, room.clone(), tail).await;
    // With everything expired there is no last entry to chain to, and for this test none is needed.
    resumed.unwrap_or_else(|_| Scribe::unchained(room.clone(), tail))
}

/// Appends in two halves that are called before either is awaited, so that they may share a group.
async fn append(
    memory: &MemoryLog,
    embedded: &EmbeddedLog,
    scribe: &mut Scribe,
    kinds: &mut Kinds,
    contents: &[Content],
) {
    let (first, second) = contents.split_at(contents.len() / 2);
    let mut answers = Vec::new();
    for half in [first, second].into_iter().filter(|half| !half.is_empty()) {
        let mut written = kinds.clone();
        let entries = half.iter().map(|content| write(scribe, &mut written, content)).collect::<Vec<_>>();
        let expected = memory.append(scribe.append(entries.clone())).await;
        if expected == AppendOutcome::Committed {
            *kinds = written;
        }
        answers.push((embedded.append(scribe.append(entries)), expected));
    }
    for (answer, expected) in answers {
        assert_eq!(answer.await, expected);
    }
}

fn write(scribe: &mut Scribe, kinds: &mut Kinds, content: &Content) -> Entry {
    let kind_of = |target: u64| kinds.get(usize::try_from(target).unwrap() - 1).copied();
    let entry = match *content {
        Content::Edit(target) if kind_of(target) == Some(Kind::Message) => scribe.edit(target, "edited"),
        Content::Redact(target) if kind_of(target).is_some_and(Kind::is_redactable) => scribe.redact(target),
        _ => scribe.message("said"),
    };
    kinds.push(entry.kind);
    entry
}

async fn assert_same(memory: &MemoryLog, embedded: &EmbeddedLog, room: &RoomId) {
    assert_eq!(embedded.tail(room).await, memory.tail(room).await);
    for after in [0, 3, 11] {
        let range = after_up_to(Seq::new(after), 1_000, 1_000);
        assert_eq!(embedded.read(room, range).await, memory.read(room, range).await, "room {room} after {after}");
    }
    for at_most in [3, 1_000] {
        let at_most = Seq::new(at_most);
        let (embedded, memory) =
            (embedded.read_snapshot(room, at_most).await, memory.read_snapshot(room, at_most).await);
        assert_eq!(embedded, memory, "snapshot of room {room} at most {at_most}");
    }
}
