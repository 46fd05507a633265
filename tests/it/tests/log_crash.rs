//! P4 (acked is for ever) at the disk: killed processes, syncs that fail, and torn journals.
#![expect(clippy::unwrap_used, reason = "a test: an unwrap is the assertion")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::{RngExt, SeedableRng};
use rollcall::log::embedded::OpenError;
use rollcall::log::{EmbeddedLog, EmbeddedOptions};
use rollcall_it::machine::{copy_folder, files_below, skip};
use rollcall_it::scribe::{Scribe, assert_chained, read_all};
use rollcall_it::writer::{Told, Writer};
use rollcall_protocol::{Body, Entry, RoomId};

const ROOMS: u32 = 4;

/// The last number of each room that anybody was told to be committed.
type Acked = BTreeMap<String, u64>;

fn note(acked: &mut Acked, told: Told) {
    if let Told::Acked(room, seq) = told {
        acked.insert(room, seq);
    }
}

fn open(folder: &Path) -> EmbeddedLog {
    EmbeddedLog::open(folder, EmbeddedOptions::default()).unwrap()
}

/// Asserts that everything that was acked is there, at its number and with its content, and nothing else between.
async fn assert_nothing_lost(folder: &Path, acked: &Acked) {
    let log = open(folder);
    for (room, &last) in acked {
        let room = RoomId::parse(room).unwrap();
        let entries = read_all(&log, &room).await;
        assert!(entries.len() as u64 >= last, "{room}: {last} was acked, and {} are there", entries.len());
        assert_chained(&room, &entries);
        for entry in &entries {
            let expected = Body::text(&format!("message {}", entry.seq)).unwrap();
            assert_eq!(entry.body.as_ref(), Some(&expected), "{room} {}", entry.seq);
        }
    }
    let stored = log.rooms().map(|room| room.unwrap().room.to_string()).collect::<Vec<_>>();
    assert!(acked.keys().all(|room| stored.contains(room)), "{acked:?} {stored:?}");
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_that_it_acked() {
    let folder = tempfile::tempdir().unwrap();
    let mut acked = Acked::new();
    let mut moment = rand::rngs::StdRng::seed_from_u64(7);
    for _ in 0..10 {
        let mut writer = Writer::spawn(folder.path(), ROOMS);
        for _ in 0..moment.random_range(1..600) {
            note(&mut acked, writer.next().expect("the writer goes on until it is killed"));
        }
        writer.kill();
        // What it told before it was killed counts as well.
        writer.for_each(|told| note(&mut acked, told));
        assert_nothing_lost(folder.path(), &acked).await;
    }
    assert_eq!(acked.len(), ROOMS as usize);
}

/// With syncs that really fail, again and again: nothing that was acked is lost, and the log heals by itself each time.
#[tokio::test]
async fn syncs_that_fail_lose_nothing_that_was_acked() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("failing syncs need strace, which is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:error=EIO:when=20+60",
    ]);
    let mut writer = Writer::spawn_within(&mut strace, folder.path(), ROOMS);
    let mut acked = Acked::new();
    let (mut failures, mut acked_since) = (0, 0);
    while failures < 3 * ROOMS || acked_since < 20 {
        let told = writer.next().expect("the writer goes on until it is killed");
        match told {
            Told::Unknown(..) => (failures, acked_since) = (failures + 1, 0),
            Told::Acked(..) => acked_since += 1,
        }
        note(&mut acked, told);
    }
    writer.kill();
    writer.for_each(|told| note(&mut acked, told));
    assert_nothing_lost(folder.path(), &acked).await;
}

/// A folder with a journal of two groups, of 3 and 5 entries; returns where each ends, and the entries of the first.
async fn two_groups(folder: &Path) -> (u64, u64, Vec<Entry>) {
    let log = open(folder);
    let mut scribe = Scribe::activate(&log, "room", 1).await;
    let first = scribe.commit_messages(&log, 3).await;
    let first_end = used_bytes(&journal(folder));
    // Large values are compressed, and pages of this group are to be lost one by one.
    let mut noise = rand::rngs::StdRng::seed_from_u64(1);
    let mut text = || (0..20_000).map(|_| char::from(noise.random_range(b'a'..=b'z'))).collect::<String>();
    let second = (0..5).map(|_| scribe.message(&text())).collect();
    scribe.commit(&log, second).await;
    let second_end = used_bytes(&journal(folder));
    drop(log);
    // Of the space that is set aside a little is enough here, and copies are made of it.
    fs::OpenOptions::new().write(true).open(journal(folder)).unwrap().set_len(second_end + 10_000).unwrap();
    (first_end, second_end, first)
}

fn journal(folder: &Path) -> PathBuf {
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jnl");
    files_below(folder).into_iter().rfind(is_journal).unwrap()
}

fn used_bytes(journal: &Path) -> u64 {
    fs::read(journal).unwrap().iter().rposition(|&byte| byte != 0).unwrap() as u64 + 1
}

/// The copy of a folder whose journal was changed.
fn changed(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(folder, copy.path());
    let journal = journal(copy.path());
    let mut bytes = fs::read(&journal).unwrap();
    change(&mut bytes);
    fs::write(&journal, bytes).unwrap();
    copy
}

/// The last group was not acked if it is torn, wherever and however: it is gone as a whole, and the log goes on.
#[tokio::test]
async fn a_torn_last_group_is_gone_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (first_end, second_end, first) = two_groups(folder.path()).await;
    let page = 4096;
    let mut torn = vec![changed(folder.path(), |bytes| bytes.truncate(first_end as usize))];
    for cut in [first_end + 1, first_end + 13, first_end + 30, (first_end + second_end) / 2, second_end - 1] {
        torn.push(changed(folder.path(), |bytes| bytes.truncate(cut as usize)));
        torn.push(changed(folder.path(), |bytes| bytes[cut as usize..].fill(0)));
    }
    for lost in first_end.div_ceil(page)..second_end / page {
        let range = (lost * page) as usize..((lost + 1) * page) as usize;
        torn.push(changed(folder.path(), |bytes| bytes[range].fill(0)));
    }
    for copy in torn {
        let log = open(copy.path());
        let mut scribe = Scribe::activate(&log, "room", 2).await;
        let entries = read_all(&log, &scribe.room).await;
        assert_eq!(entries, first);
        let more = scribe.commit_messages(&log, 2).await;
        drop(log);
        assert_eq!(read_all(&open(copy.path()), &scribe.room).await, [entries, more].concat());
    }
}

/// What lies before the last group was synced and acked, so a journal that cannot be read there is damaged, and says where.
#[tokio::test]
async fn a_journal_that_is_damaged_before_its_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (first_end, second_end, _) = two_groups(folder.path()).await;
    for at in (0..first_end).step_by(7) {
        let copy = changed(folder.path(), |bytes| bytes[at as usize] ^= 0x55);
        let before = fs::read(journal(copy.path())).unwrap();
        let error = EmbeddedLog::open(copy.path(), EmbeddedOptions::default()).err();
        let error = error.unwrap_or_else(|| panic!("byte {at} of {second_end} was changed without a word"));
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("the journal"), "{error}");
        assert!(fs::read(journal(copy.path())).unwrap() == before, "the evidence was changed");
    }
}
