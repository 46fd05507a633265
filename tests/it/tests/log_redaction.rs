//! Redactions of targets with many edits: bounded work in each group, bounded memory, and crashes between.
#![expect(clippy::unwrap_used, reason = "a test: an unwrap is the assertion")]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rollcall::log::embedded::FaultPoints;
use rollcall::log::{EmbeddedLog, EmbeddedOptions};
use rollcall_actors::ports::{AppendOutcome, Log};
use rollcall_it::machine::{copy_folder, eventually, files_with};
use rollcall_it::scribe::{Scribe, read_all};

/// Reads a size of this process, in MiB.
fn process_mib(what: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    size.trim_start_matches(':').trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1024
}

/// 200 MB of edits of one message, and one redaction: no memory for them, and another room's groups go in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_redaction_of_many_large_edits_takes_little_memory_and_holds_nobody_up() {
    const EDITS: u64 = 2_000;
    const GROWTH_MIB_MAX: u64 = 64;
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(EmbeddedLog::open(folder.path(), EmbeddedOptions::default()).unwrap());
    let mut scribe = Scribe::activate(&*log, "room", 1).await;
    scribe.commit_messages(&*log, 1).await;
    // Not compressible.
    let mut noise = rand::rngs::StdRng::seed_from_u64(1);
    let text = (0..100_000).map(|_| char::from(noise.random_range(b'a'..=b'z'))).collect::<String>();
    for _ in 0..EDITS / 20 {
        let edits = (0..20).map(|_| scribe.edit(1, &text)).collect();
        scribe.commit(&*log, edits).await;
    }

    // From now on the peak counts anew.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before_mib = process_mib("VmRSS");
    let began = Instant::now();
    let redaction = scribe.redact(1);
    scribe.commit(&*log, vec![redaction]).await;
    let answered = began.elapsed();
    let mut other = Scribe::activate(&*log, "other", 1).await;
    let (mut others, mut longest) = (0, Duration::ZERO);
    while log.stats().redacted < EDITS + 1 {
        assert!(began.elapsed() < Duration::from_secs(60), "{} were redacted in a minute", log.stats().redacted);
        let asked = Instant::now();
        other.commit_messages(&*log, 1).await;
        longest = longest.max(asked.elapsed());
        others += 1;
    }
    let (all, growth_mib) = (began.elapsed(), process_mib("VmHWM") - before_mib);
    println!(
        "answered after {answered:?}, all redacted after {all:?}; {others} appends of another room between, the longest {longest:?}; {growth_mib} MiB more"
    );
    assert!(growth_mib < GROWTH_MIB_MAX, "{growth_mib} MiB more than {before_mib} MiB");
    // About ten edits fill a group's share.
    assert!(others > EDITS / 20, "{others} appends of another room in {all:?}, the longest {longest:?}");

    // Redacted again, there is nothing to do.
    let again = scribe.redact(1);
    scribe.commit(&*log, vec![again]).await;
    log.compact().await.unwrap();
    assert_eq!(log.stats().redacted, EDITS + 1);
    assert_eq!(files_with(folder.path(), &text.as_bytes()[..100]), [] as [std::path::PathBuf; 0]);
}

/// Group by group: reads show no body from the answer on, each group takes its share and other rooms' appends with it, and a crash
/// at any point loses nothing of it.
#[tokio::test]
async fn a_redaction_goes_on_slice_by_slice_and_after_a_crash() {
    const SECRET: &str = "what must not stay";
    const EDITS: u64 = 35;
    const SLICE: u64 = 10;
    let folder = tempfile::tempdir().unwrap();
    let faults = FaultPoints::default();
    let options = || EmbeddedOptions { tidied_entries_max: SLICE as usize, ..EmbeddedOptions::default() };
    let log = EmbeddedLog::open(folder.path(), EmbeddedOptions { faults: faults.clone(), ..options() }).unwrap();
    let mut scribe = Scribe::activate(&log, "room", 1).await;
    let mut other = Scribe::activate(&log, "other", 1).await;
    let first = scribe.message(SECRET);
    scribe.commit(&log, vec![first]).await;
    for _ in 0..EDITS {
        let edit = scribe.edit(1, SECRET);
        scribe.commit(&log, vec![edit]).await;
    }
    let shown = async |log: &EmbeddedLog| {
        let entries = read_all(log, &scribe.room).await;
        entries.iter().filter(|entry| entry.body.is_some()).count()
    };

    faults.hold_syncs();
    let mut next = scribe.clone();
    let redaction = vec![next.redact(1)];
    let answer = log.append(next.append(redaction));
    assert!(faults.wait_until_held(Duration::from_secs(20)));
    assert_eq!(shown(&log).await, 1 + EDITS as usize, "nothing is committed yet");
    faults.release_one_sync();
    assert_eq!(answer.await, AppendOutcome::Committed);

    for redacted in (0..=EDITS).step_by(SLICE as usize) {
        let entry = other.messages(1);
        let others = log.append(other.append(entry));
        assert!(faults.wait_until_held(Duration::from_secs(20)));
        assert_eq!((log.stats().redacted, shown(&log).await), (redacted, 0));

        let crashed = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), crashed.path());
        let reopened = EmbeddedLog::open(crashed.path(), options()).unwrap();
        assert_eq!(shown(&reopened).await, 0);
        eventually("the rest is redacted", async || (reopened.stats().redacted == 1 + EDITS - redacted).then_some(()))
            .await;
        assert!(!files_with(crashed.path(), SECRET.as_bytes()).is_empty(), "the search must be able to find it");
        reopened.compact().await.unwrap();
        assert_eq!(files_with(crashed.path(), SECRET.as_bytes()), [] as [std::path::PathBuf; 0]);
        assert_eq!(read_all(&reopened, &scribe.room).await, read_all(&log, &scribe.room).await);

        faults.release_one_sync();
        drop(others);
    }
    eventually("all are redacted", async || (log.stats().redacted == 1 + EDITS).then_some(())).await;
    faults.release_syncs();
    log.compact().await.unwrap();
    assert_eq!(files_with(folder.path(), SECRET.as_bytes()), [] as [std::path::PathBuf; 0]);
    assert_eq!(shown(&log).await, 0);
}

/// A compaction comes while a redaction is under way: what it leaves on the disk has none of the bodies.
#[tokio::test]
async fn a_compaction_waits_for_redactions() {
    let folder = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { tidied_entries_max: 1, ..EmbeddedOptions::default() };
    let log = EmbeddedLog::open(folder.path(), options).unwrap();
    let mut scribe = Scribe::activate(&log, "room", 1).await;
    let mut entries = vec![scribe.message("a secret")];
    entries.extend((0..50).map(|_| scribe.edit(1, "a secret")));
    scribe.commit(&log, entries).await;
    let redaction = vec![scribe.redact(1)];
    let answer = log.append(scribe.append(redaction));
    log.compact().await.unwrap();
    assert_eq!(answer.await, AppendOutcome::Committed);
    assert_eq!(log.stats().redacted, 51);
    assert_eq!(files_with(folder.path(), b"a secret"), [] as [std::path::PathBuf; 0]);
}
