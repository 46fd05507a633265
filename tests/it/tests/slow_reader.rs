//! A reader that never reads while a room runs at full speed. It has a test binary of its own, since it measures the process's
//! memory, and the server runs in the same process.
#![expect(clippy::unwrap_used, reason = "in a test an unwrap is the assertion, in its helper functions, too")]

use std::time::{Duration, Instant};

use rollcall_it::raw::{Raw, send};
use rollcall_it::server::{TestServer, token};
use rollcall_protocol::{Format, Hello, Incoming, Join, Op, Seq};
use tokio::net::TcpSocket;

/// Messages of a round, each of 16 KiB: far more than the buffers of a socket take.
const MESSAGES: u64 = 1_200;
const TEXT_BYTES: usize = 16 * 1024;

/// The memory of this process, in KiB.
fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends a round of messages as fast as a device may, while a reader reads them all; returns how long both took.
async fn round(alice: &mut Raw, bob: &mut Raw, done: u64) -> Duration {
    let began = Instant::now();
    let text = "x".repeat(TEXT_BYTES);
    let write = async {
        let mut ids = std::collections::VecDeque::new();
        for n in done + 1..=done + MESSAGES {
            if ids.len() == 32 {
                alice.ack(ids.pop_front().unwrap()).await.unwrap();
            }
            ids.push_back(alice.tell(send("general", n, &text)).await);
        }
        for id in ids {
            alice.ack(id).await.unwrap();
        }
    };
    let read = async {
        let first = if done == 0 { 0 } else { done + 1 };
        let mut last = first;
        while last < done + MESSAGES + 1 {
            let Incoming::Entries(frame) = bob.push().await else { panic!("no entries") };
            assert_eq!(frame.list[0].seq.get(), last + 1);
            last = frame.list.last().unwrap().seq.get();
        }
    };
    tokio::join!(write, read);
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_that_never_reads_costs_no_memory_slows_nobody_and_comes_back() {
    let stall = Duration::from_millis(1_500);
    let server = TestServer::build().tuning(|tuning| tuning.write_stall = stall).start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    let mut bob = server.user(Format::MsgPack, "bob").await;
    bob.join("general", Some(0)).await.unwrap();

    // Without them first: the log's own caches are full then, and it is known how long a round takes.
    let mut done = 0;
    let mut alone = Duration::MAX;
    for _ in 0..3 {
        alone = alone.min(round(&mut alice, &mut bob, done).await);
        done += MESSAGES;
    }
    let before_kib = rss_kib();

    let mut deaf = Vec::new();
    for at in 0..20 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let stream = socket.connect(server.address()).await.unwrap();
        let mut raw = Raw::over_stream(stream, Format::ALL[at % 2]).await;
        raw.hello_as(Hello { token: Some(token(&format!("deaf{at}"))), ..Hello::default() }).await.unwrap();
        let room = rollcall_it::raw::room("general");
        // From the start: the log has tens of megabytes for each of them.
        raw.tell(Op::Join(Join { room, after: Some(Seq::ZERO), hash: None })).await;
        deaf.push(raw);
    }
    let with_them = round(&mut alice, &mut bob, done).await;
    done += MESSAGES;
    let after_kib = rss_kib();
    println!("memory: {before_kib} KiB before, {after_kib} after; a round: {alone:?} alone, {with_them:?} with them");
    // Twenty readers would have been sent 400 MiB in all; what the server holds for each is a frame or two.
    assert!(after_kib < before_kib + 24 * 1_024, "{before_kib} KiB have become {after_kib} KiB");
    assert!(with_them < alone * 3 + Duration::from_secs(1), "a round took {with_them:?} instead of {alone:?}");

    // Closed with a code that says to come back, which who reads at last still gets.
    server.wait_for_metric("rollcall_connections_closed_total{code=\"4001\"}", 20.0).await;
    let mut told = 0;
    for raw in &mut deaf {
        let code = loop {
            match raw.push_or_end().await {
                Ok(_) => {}
                Err(code) => break code,
            }
        };
        assert!(matches!(code, None | Some(4001)), "{code:?}");
        told += u32::from(code == Some(4001));
    }
    println!("{told} of {} were told why", deaf.len());
    assert!(told > 0, "nobody was told why");
    drop(deaf);

    // It comes back at its cursor and misses nothing.
    let mut again = server.user(Format::Json, "deaf0").await;
    again.join("general", Some(7)).await.unwrap();
    again.entries_through("general", 7, done + 1).await;
    round(&mut alice, &mut bob, done).await;
}
