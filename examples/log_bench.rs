//! What the embedded log does in a second, on the disk of a folder:
//! `cargo run --release --example log_bench -- FOLDER [ROOMS]`. The folder is made, and must not exist.
#![expect(clippy::unwrap_used, reason = "a tool that ends where it cannot go on")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcall::log::{EmbeddedLog, EmbeddedOptions};
use rollcall_actors::ports::{Activate, Append, AppendOutcome, Fence, Log, ReadRange, StoredSnapshot};
use rollcall_protocol::{Body, DeviceId, Entry, Hash, Kind, OwnerId, RoomId, Salt, Seq, UserId};
use tokio::task::JoinSet;

const BODY_BYTES: usize = 128;
const PAGE_ENTRIES: usize = 256;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = std::path::PathBuf::from(arguments.next().expect("usage: log_bench FOLDER [ROOMS]"));
    let rooms = arguments.next().map_or(10_000, |rooms| rooms.parse().unwrap());
    assert!(!folder.exists(), "{} exists", folder.display());
    std::fs::create_dir_all(&folder).unwrap();

    println!("bare data sync: {:.0} us", bare_sync_us(&folder));
    for batch in [1, 64] {
        for rooms in [1, 8, 128] {
            appends(&folder, rooms, batch).await;
        }
    }
    catch_up(&folder).await;
    activations(&folder, rooms).await;
}

/// Appends as fast as the log takes it, one append under way in each room.
async fn appends(folder: &Path, rooms: usize, batch: usize) {
    let log = open(&folder.join(format!("appends-{rooms}-{batch}")));
    let (started, cpu, seconds) = (Instant::now(), cpu_us(), 4);
    let mut tasks = JoinSet::new();
    for room in 0..rooms {
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            let mut writer = Writer::activate(&*log, &format!("room{room}")).await;
            while started.elapsed() < Duration::from_secs(seconds) {
                writer.append(&*log, batch).await;
            }
        });
    }
    tasks.join_all().await;
    let (took, cpu, stats) = (started.elapsed().as_secs_f64(), cpu_us() - cpu, log.stats());
    println!(
        "append: {rooms:4} rooms x {batch:2}: {:8.0} entries/s, {:7.0} appends/s, {:6.1} entries a sync, {:6.0} us a commit, {:5.2} us CPU an entry",
        stats.entries as f64 / took,
        stats.appends as f64 / took,
        stats.entries_per_sync(),
        stats.commit_us as f64 / stats.syncs as f64,
        cpu / stats.entries as f64,
    );
}

/// Reads a room through in pages, from tables and from memory.
async fn catch_up(folder: &Path) {
    let folder = folder.join("catch-up");
    let log = open(&folder);
    let mut writer = Writer::activate(&*log, "room").await;
    while writer.last_seq.get() < 200_000 {
        writer.append(&*log, PAGE_ENTRIES).await;
    }
    drop(log);
    let log = open(&folder);
    for run in ["first", "second"] {
        read_through(&*log, &writer.room, Seq::ZERO, &format!("{run} run, from tables")).await;
    }
    let mut writer = Writer::activate(&*log, "room").await;
    let before = writer.last_seq;
    for _ in 0..40 {
        writer.append(&*log, PAGE_ENTRIES).await;
    }
    read_through(&*log, &writer.room, before, "from memory").await;
}

async fn read_through(log: &dyn Log, room: &RoomId, from: Seq, what: &str) {
    let (started, cpu) = (Instant::now(), cpu_us());
    let (mut after, mut entries) = (from, 0);
    loop {
        let page = log.read(room, page_after(after)).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.seq;
        entries += page.len();
    }
    let (took, cpu) = (started.elapsed().as_secs_f64(), cpu_us() - cpu);
    println!("catch-up, {what}: {:8.0} entries/s, {:.2} us CPU an entry", entries as f64 / took, cpu / entries as f64);
}

/// Activates rooms that have a snapshot and 50 entries, as a node does that takes them over.
async fn activations(folder: &Path, rooms: usize) {
    let folder = folder.join("activations");
    let log = open(&folder);
    each_room(&log, rooms, async |log, room| {
        let mut writer = Writer::activate(&*log, &room).await;
        writer.append(&*log, 50).await;
        let snapshot = StoredSnapshot { seq: writer.last_seq, parts: vec![vec![7; 1_000]] };
        log.write_snapshot(&writer.room, snapshot).await.unwrap();
    })
    .await;
    drop(log);
    let log = open(&folder);
    let mut rss_after_1000 = 0;
    for (name, count) in [("first", 1_000.min(rooms)), ("all", rooms), ("all, again", rooms)] {
        let (started, cpu) = (Instant::now(), cpu_us());
        each_room(&log, count, async |log, room| {
            let room = RoomId::parse(&room).unwrap();
            let tail = log.activate(&room, Activate::by(OwnerId(9))).await.unwrap().tail;
            let snapshot = log.read_snapshot(&room, tail.last_seq).await.unwrap().unwrap();
            assert!(log.read(&room, page_after(snapshot.seq)).await.unwrap().is_empty());
        })
        .await;
        let (took, cpu) = (started.elapsed().as_secs_f64(), cpu_us() - cpu);
        if rss_after_1000 == 0 {
            rss_after_1000 = rss_kib();
        }
        println!(
            "activate {name} {count}: {:7.0}/s, {:5.1} us CPU each, RSS {} KiB above that after 1,000",
            count as f64 / took,
            cpu / count as f64,
            rss_kib().saturating_sub(rss_after_1000),
        );
    }
}

/// Does something for each room, 64 rooms at once.
async fn each_room<F>(log: &Arc<EmbeddedLog>, rooms: usize, work: F)
where
    F: AsyncFn(Arc<EmbeddedLog>, String) + 'static,
{
    let next = std::rc::Rc::new(std::cell::Cell::new(0));
    let work = std::rc::Rc::new(work);
    let local = tokio::task::LocalSet::new();
    for _ in 0..64 {
        let (log, next, work) = (Arc::clone(log), std::rc::Rc::clone(&next), std::rc::Rc::clone(&work));
        local.spawn_local(async move {
            while next.get() < rooms {
                let room = next.replace(next.get() + 1);
                work(Arc::clone(&log), format!("room{room}")).await;
            }
        });
    }
    local.await;
}

fn open(folder: &Path) -> Arc<EmbeddedLog> {
    Arc::new(EmbeddedLog::open(folder, EmbeddedOptions::default()).unwrap())
}

fn page_after(after: Seq) -> ReadRange {
    let through = Seq::new(rollcall_protocol::NUMBER_MAX);
    ReadRange { after, through, entries_max: PAGE_ENTRIES, bytes_max: 1 << 20 }
}

/// Numbers entries that cost nothing to make.
struct Writer {
    room: RoomId,
    fence: Fence,
    last_seq: Seq,
    template: Entry,
}

impl Writer {
    async fn activate(log: &dyn Log, room: &str) -> Self {
        let room = RoomId::parse(room).unwrap();
        let tail = log.activate(&room, Activate::by(OwnerId(1))).await.unwrap().tail;
        let text = "x".repeat(BODY_BYTES - r#"{"text":""}"#.len());
        let template = Entry {
            seq: Seq::ZERO,
            kind: Kind::Message,
            created_at_ms: 1_790_000_000_000,
            sender: UserId::parse("somebody").unwrap(),
            device: Some(DeviceId::parse("01JABCDEF0123456789").unwrap()),
            n: 1,
            target: None,
            body: Some(Body::text(&text).unwrap()),
            salt: Some(Salt([1; 16])),
            content_hash: Hash([2; 32]),
            hash: Hash([3; 32]),
            epoch: tail.fence.epoch,
            owner: tail.fence.owner,
        };
        Self { room, fence: tail.fence, last_seq: tail.last_seq, template }
    }

    async fn append(&mut self, log: &dyn Log, count: usize) {
        let entries: Arc<[Entry]> = (0..count)
            .map(|_| {
                self.last_seq = self.last_seq.next();
                Entry { seq: self.last_seq, ..self.template.clone() }
            })
            .collect();
        let outcome = log.append(Append { room: self.room.clone(), fence: self.fence, entries }).await;
        assert_eq!(outcome, AppendOutcome::Committed);
    }
}

/// The mean time of a write and data sync of 4 KiB, in microseconds.
fn bare_sync_us(folder: &Path) -> f64 {
    let path = folder.join("bare");
    let mut file = std::fs::File::create(&path).unwrap();
    let started = Instant::now();
    for _ in 0..200 {
        std::io::Write::write_all(&mut file, &[1; 4096]).unwrap();
        file.sync_data().unwrap();
    }
    let took = started.elapsed();
    std::fs::remove_file(path).unwrap();
    took.as_secs_f64() * 1e6 / 200.0
}

/// The processor time of this process, of all its threads, in microseconds.
fn cpu_us() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let us = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64;
    us(usage.user_time()) + us(usage.system_time())
}

fn rss_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
