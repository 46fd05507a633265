//! The embedded log on disks that are full, read-only, damaged, or somebody else's.
#![expect(clippy::unwrap_used, reason = "a test: an unwrap is the assertion")]

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rollcall::log::embedded::OpenError;
use rollcall::log::{EmbeddedLog, EmbeddedOptions};
use rollcall_actors::ports::{Activate, AppendOutcome, Log, NotCommitted, StoredSnapshot};
use rollcall_it::machine::{SmallDisk, copy_folder, eventually, files_below, files_with, skip};
use rollcall_it::scribe::{Scribe, assert_chained, read_all};
use rollcall_it::writer::Writer;
use rollcall_protocol::{Entry, OwnerId, RoomId, Salt, Seq};

const MIB: u64 = 1024 * 1024;

fn small_options(disk_reserve_bytes: u64) -> EmbeddedOptions {
    EmbeddedOptions {
        disk_reserve_bytes,
        memtable_bytes: MIB,
        reopen_pause: (Duration::from_millis(20), Duration::from_millis(50)),
        ..EmbeddedOptions::default()
    }
}

fn large_message(scribe: &mut Scribe) -> Entry {
    let seq = scribe.last_seq.next().get();
    // Not compressible, as a full disk should come soon.
    let mut noise = rand::rngs::StdRng::seed_from_u64(seq);
    scribe.message(&(0..60_000).map(|_| char::from(noise.random_range(b'a'..=b'z'))).collect::<String>())
}

/// The reserve: refused before the disk is full, reads and activations go on, and writes come back by themselves.
#[tokio::test]
async fn below_the_reserve_writes_are_refused_and_come_back() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let log = EmbeddedLog::open(&disk.path().join("data"), small_options(16 * MIB)).unwrap();
    let mut scribe = Scribe::activate(&log, "room", 1).await;
    let mut stored = scribe.commit_messages(&log, 3).await;
    let filler = disk.fill(15 * MIB);

    let refused = eventually("writes are refused", async || {
        let mut next = scribe.clone();
        let entries = vec![large_message(&mut next)];
        match log.append(next.append(entries.clone())).await {
            AppendOutcome::Committed => {
                stored.extend(entries);
                scribe = next;
                None
            }
            AppendOutcome::NotCommitted(NotCommitted::Refused(reason)) => Some(reason),
            outcome => panic!("{outcome:?}"),
        }
    })
    .await;
    assert!(refused.contains("the disk has"), "{refused}");
    assert!(log.stats().refused > 0);
    assert_eq!(read_all(&log, &scribe.room).await, stored);
    let mut scribe = Scribe::activate(&log, "room", 2).await;
    let snapshot = StoredSnapshot { seq: Seq::FIRST, parts: vec![vec![0; 1000]] };
    assert!(log.write_snapshot(&scribe.room, snapshot).await.is_err());

    fs::remove_file(filler).unwrap();
    eventually("writes are taken again", async || {
        let mut next = scribe.clone();
        let entries = next.messages(2);
        let outcome = log.append(next.append(entries.clone())).await;
        (outcome == AppendOutcome::Committed).then(|| {
            stored.extend(entries);
            scribe = next;
        })
    })
    .await;
    assert_eq!(read_all(&log, &scribe.room).await, stored);
    assert_eq!(log.stats().failures, 0);
}

/// Without a reserve the disk does fill up, in the middle of a commit: what was acked stays, and the log heals by itself.
#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acked() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let folder = disk.path().join("data");
    let log = EmbeddedLog::open(&folder, small_options(0)).unwrap();
    let mut scribe = Scribe::activate(&log, "room", 1).await;
    let mut acked = scribe.commit_messages(&log, 3).await;
    let filler = disk.fill(8 * MIB);

    let mut attempts = Vec::new();
    eventually("the disk is full", async || {
        let entries = vec![large_message(&mut scribe)];
        match log.append(scribe.append(entries.clone())).await {
            AppendOutcome::Committed => {
                acked.extend(entries);
                None
            }
            AppendOutcome::Unknown(_) | AppendOutcome::NotCommitted(NotCommitted::Refused(_)) => {
                attempts = entries;
                Some(())
            }
            outcome @ AppendOutcome::NotCommitted(NotCommitted::Fenced | NotCommitted::Damaged(_)) => {
                panic!("{outcome:?}")
            }
        }
    })
    .await;
    assert!(acked.len() > 10, "the disk was not even filled");

    fs::remove_file(filler).unwrap();
    let tail =
        eventually("the log is open again", async || log.activate(&scribe.room, Activate::by(OwnerId(2))).await.ok())
            .await
            .tail;
    let mut stored = read_all(&log, &scribe.room).await;
    assert_eq!(stored[..acked.len()], acked);
    assert!(stored.len() == acked.len() || stored[acked.len()..] == attempts, "more than was written");
    let mut scribe = Scribe::resume(&log, scribe.room.clone(), tail).await.unwrap();
    stored.extend(scribe.commit_messages(&log, 5).await);
    drop(log);

    let log = EmbeddedLog::open(&folder, small_options(0)).unwrap();
    assert_eq!(read_all(&log, &scribe.room).await, stored);
    assert_chained(&scribe.room, &stored);
}

#[tokio::test]
async fn a_disk_that_is_full_at_the_start_is_named() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    let folder = disk.path().join("data");
    disk.fill(0);
    let error = EmbeddedLog::open(&folder, small_options(0)).err().unwrap();
    assert!(matches!(error, OpenError::DiskFull { .. }), "{error:?}");
    assert!(error.to_string().contains("free some space"), "{error}");
}

#[tokio::test]
async fn a_read_only_mount_is_named() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    let folder = disk.path().join("data");
    write_some(&folder).await;
    disk.make_read_only();
    for folder in [folder, disk.path().join("new")] {
        let error = EmbeddedLog::open(&folder, small_options(0)).err().unwrap();
        assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
        assert!(error.to_string().contains("mount it writable"), "{error}");
    }
}

#[tokio::test]
async fn a_folder_without_permission_is_named() {
    if !nix::unistd::geteuid().is_root() {
        return skip("giving a folder to another user needs root");
    }
    let folder = tempfile::tempdir().unwrap();
    write_some(folder.path()).await;
    let nobody = nix::unistd::Uid::from_raw(65_534);
    // Of this thread alone: what it opens from now on, it opens as that user.
    nix::unistd::setfsuid(nobody);
    let error = EmbeddedLog::open(folder.path(), small_options(0)).err();
    nix::unistd::setfsuid(nix::unistd::Uid::from_raw(0));
    let error = error.unwrap();
    assert!(matches!(error, OpenError::Permission { .. }), "{error:?}");
    assert!(error.to_string().contains("no permission to write"), "{error}");
}

#[tokio::test]
async fn a_folder_of_another_process_is_named_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::spawn(folder.path(), 1);
    writer.read_in_background();
    let error = EmbeddedLog::open(folder.path(), small_options(0)).err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, OpenError::Locked { pid: Some(pid), .. } if pid == writer.pid()), "{error:?}");
    assert!(text.contains(&format!("by process {}", writer.pid())), "{text}");
    writer.kill();
    EmbeddedLog::open(folder.path(), small_options(0)).unwrap();
}

#[tokio::test]
async fn a_folder_that_this_process_has_open_is_named_too() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(folder.path(), small_options(0)).unwrap();
    let error = EmbeddedLog::open(folder.path(), small_options(0)).err().unwrap();
    assert!(matches!(error, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{error:?}");
    drop(log);
    EmbeddedLog::open(folder.path(), small_options(0)).unwrap();
}

#[tokio::test]
async fn a_newer_format_is_refused_with_both_numbers() {
    let folder = tempfile::tempdir().unwrap();
    write_some(folder.path()).await;
    fs::write(folder.path().join("format"), "2\n").unwrap();
    let error = EmbeddedLog::open(folder.path(), small_options(0)).err().unwrap();
    assert!(matches!(error, OpenError::NewerFormat { found: 2, supported: 1, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("format 2") && text.contains("format 1") && text.contains("later one"), "{text}");
}

/// Each damage is named, by the opening or by the reads; none passes for a log that is merely shorter.
#[tokio::test]
async fn damage_is_named() {
    let whole = tempfile::tempdir().unwrap();
    let expected = write_some(whole.path()).await;
    let tables = || files_below(&whole.path().join("store/keyspaces")).into_iter().filter(|path| is_table(path));
    let relative = |path: PathBuf| path.strip_prefix(whole.path()).unwrap().to_owned();
    let largest = relative(tables().max_by_key(|table| fs::metadata(table).unwrap().len()).unwrap());
    assert!(!files_with(&whole.path().join("store"), b"message 77").is_empty());

    type Damage<'a> = (&'a str, Box<dyn Fn(&Path) + 'a>);
    let damages: Vec<Damage<'_>> = vec![
        ("a table is gone", Box::new(|folder| fs::remove_file(folder.join(&largest)).unwrap())),
        ("a table is cut", Box::new(|folder| cut_half(&folder.join(&largest)))),
        ("a table is overwritten", Box::new(|folder| overwrite_middle(&folder.join(&largest)))),
        ("the store's version is gone", Box::new(|folder| fs::remove_file(folder.join("store/version")).unwrap())),
        ("the store is gone", Box::new(|folder| fs::remove_dir_all(folder.join("store")).unwrap())),
        ("all tables are gone", Box::new(|folder| fs::remove_dir_all(folder.join("store/keyspaces")).unwrap())),
        ("a keyspace is gone", Box::new(|folder| fs::remove_dir_all(folder.join("store/keyspaces/1")).unwrap())),
        ("fjall's keyspace is gone", Box::new(|folder| fs::remove_dir_all(folder.join("store/keyspaces/0")).unwrap())),
        ("a list of tables is cut", Box::new(|folder| lists_of_tables(folder).iter().for_each(|list| cut_half(list)))),
        ("the format is gone", Box::new(|folder| fs::remove_file(folder.join("format")).unwrap())),
        ("the format is no number", Box::new(|folder| fs::write(folder.join("format"), "one").unwrap())),
        ("the format is binary", Box::new(|folder| fs::write(folder.join("format"), [0xff, 0xfe]).unwrap())),
    ];
    for (what, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(whole.path(), folder.path());
        damage(folder.path());
        match EmbeddedLog::open(folder.path(), small_options(0)) {
            Err(error) => assert!(matches!(error, OpenError::Damaged { .. }), "{what}: {error:?}"),
            Ok(log) => {
                let room = RoomId::parse("room").unwrap();
                // What comes before it is read as it was.
                let mut read = Vec::new();
                let end = loop {
                    let after = Seq::new(read.len() as u64);
                    match log.read(&room, rollcall_it::scribe::after_up_to(after, 1_000, 1_000)).await {
                        Ok(entries) if !entries.is_empty() => read.extend(entries),
                        end => break end,
                    }
                };
                assert_eq!(read, expected[..read.len()], "{what}");
                assert!(matches!(end, Err(rollcall_actors::ports::LogError::Damaged(_))), "{what}: {end:?}");
            }
        }
    }
    // The copy itself does not hurt.
    let folder = tempfile::tempdir().unwrap();
    copy_folder(whole.path(), folder.path());
    let log = EmbeddedLog::open(folder.path(), small_options(0)).unwrap();
    assert_eq!(read_all(&log, &RoomId::parse("room").unwrap()).await, expected);
}

/// A first start that was cut off before the store was made is taken up again.
#[tokio::test]
async fn an_unfinished_folder_is_finished() {
    for leftovers in [&["store/lock"][..], &["store/lock", "store/0.jnl"], &["lock", "format.new"]] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("store/keyspaces")).unwrap();
        for leftover in leftovers {
            fs::write(folder.path().join(leftover), []).unwrap();
        }
        let expected = write_some(folder.path()).await;
        let log = EmbeddedLog::open(folder.path(), small_options(0)).unwrap();
        assert_eq!(read_all(&log, &RoomId::parse("room").unwrap()).await, expected);
    }
}

/// After a redaction and a compaction no file of the folder holds the body, its salt, or a snapshot that might know of it.
#[tokio::test]
async fn compaction_takes_redacted_bodies_off_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let secrets: [&[u8]; 4] =
        [b"the secret in journals", b"the secret in tables", b"the secret in an edit", b"a tag of the secret"];
    let salt = Salt(*b"a salt to guess.");
    let open = || EmbeddedLog::open(folder.path(), EmbeddedOptions::default()).unwrap();
    let found = || {
        let texts = secrets.iter().copied().chain([&salt.0[..]]);
        texts.map(|text| files_with(folder.path(), text).len()).collect::<Vec<_>>()
    };

    let log = open();
    let mut scribe = Scribe::activate(&log, "room", 1).await;
    let mut early = scribe.message("the secret in tables");
    early.salt = Some(salt);
    scribe.commit(&log, vec![early]).await;
    let stays = scribe.message("what stays");
    scribe.commit(&log, vec![stays]).await;
    drop(log);
    // Opening brings what the journals hold into tables.
    let log = open();
    let tail = log.activate(&scribe.room, Activate::by(OwnerId(2))).await.unwrap().tail;
    let mut scribe = Scribe::resume(&log, scribe.room, tail).await.unwrap();
    let more = vec![scribe.message("the secret in journals"), scribe.edit(3, "the secret in an edit")];
    scribe.commit(&log, more).await;
    let snapshot = StoredSnapshot { seq: Seq::new(4), parts: vec![b"a tag of the secret".to_vec()] };
    log.write_snapshot(&scribe.room, snapshot).await.unwrap();
    let redactions = vec![scribe.redact(1), scribe.redact(3)];
    scribe.commit(&log, redactions).await;
    log.write_snapshot(&scribe.room, StoredSnapshot { seq: Seq::new(6), parts: vec![b"clean".to_vec()] })
        .await
        .unwrap();
    assert!(found().iter().all(|&files| files > 0), "the search must be able to find: {:?}", found());
    let before = read_all(&log, &scribe.room).await;

    let compacted = log.compact().await.unwrap();
    assert!(compacted.bytes_after > 0);
    assert_eq!(found(), [0; 5], "found in {:?}", secrets.map(|secret| files_with(folder.path(), secret)));
    assert!(!files_with(folder.path(), b"what stays").is_empty());
    assert_eq!(read_all(&log, &scribe.room).await, before);
    let more = scribe.commit_messages(&log, 3).await;
    drop(log);
    assert_eq!(found(), [0; 5]);
    let log = open();
    assert_eq!(read_all(&log, &scribe.room).await, [before, more].concat());
    log.compact().await.unwrap();
    assert_eq!(read_all(&log, &scribe.room).await.len(), 9);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Chats lie in the folder in the clear: nobody but its owner may enter it, be it new or made by an earlier version.
#[test]
fn other_users_are_kept_out_of_the_data_folder() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("new/data");
    drop(EmbeddedLog::open(&folder, EmbeddedOptions::default()).unwrap());
    assert_eq!(mode(&folder), 0o700);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    drop(EmbeddedLog::open(&folder, EmbeddedOptions::default()).unwrap());
    assert_eq!(mode(&folder), 0o700);
}

/// What an append has to read is damaged: that does not pass, and is not told as if it did.
#[tokio::test]
async fn an_append_on_damaged_entries_says_so() {
    let folder = tempfile::tempdir().unwrap();
    write_some(folder.path()).await;
    let log = EmbeddedLog::open(folder.path(), small_options(0)).unwrap();
    let mut scribe = Scribe::activate(&log, "room", 9).await;
    // All of them: of the rooms' rows, what is read was read already.
    for table in files_below(folder.path()).into_iter().filter(|path| is_table(path)) {
        fs::write(&table, vec![0x40; fs::metadata(&table).unwrap().len() as usize]).unwrap();
    }
    let edit = vec![scribe.edit(1, "of what cannot be read")];
    let outcome = log.append(scribe.append(edit)).await;
    assert!(matches!(outcome, AppendOutcome::NotCommitted(NotCommitted::Damaged(_))), "{outcome:?}");
}

/// Fills a folder so that there are tables and a journal; returns the entries of its room.
async fn write_some(folder: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    for owner in 1..3 {
        let log = EmbeddedLog::open(folder, small_options(0)).unwrap();
        let mut scribe = Scribe::activate(&log, "room", owner).await;
        entries.extend(scribe.commit_messages(&log, 150).await);
    }
    drop(EmbeddedLog::open(folder, small_options(0)).unwrap());
    entries
}

fn is_table(path: &Path) -> bool {
    path.parent().unwrap().ends_with("tables")
}

/// The files in which a keyspace's tables are listed: `v` and a number.
fn lists_of_tables(folder: &Path) -> Vec<PathBuf> {
    let is_list = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with('v');
    files_below(&folder.join("store/keyspaces/2")).into_iter().filter(is_list).collect()
}

fn cut_half(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

fn overwrite_middle(path: &Path) {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    file.seek(SeekFrom::Start(middle)).unwrap();
    let mut byte = [0];
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(middle)).unwrap();
    file.write_all(&[byte[0] ^ 0x40]).unwrap();
}
