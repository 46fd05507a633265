//! A server that may open few files, and more clients than that.

use std::time::{Duration, Instant};

use rollcall_it::http::{self, handshake};
use rollcall_it::process::ServerProcess;
use rollcall_it::raw::Raw;
use rollcall_it::server::token;
use rollcall_protocol::Format;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CLIENTS: usize = 1_000;

#[tokio::test]
async fn a_thousand_connections_under_ulimit_n_512() {
    let folder = tempfile::tempdir().unwrap();
    let limited = ["sh", "-c", r#"ulimit -n 512; exec "$@""#, "sh"];
    let server = ServerProcess::build(folder.path()).wrapped_in(&limited).start().await;
    let address = server.address();
    let mut alice = server.user(Format::Json, "alice").await;
    let mut bob = server.user(Format::MsgPack, "bob").await;
    bob.join("general", Some(0)).await.unwrap();
    alice.send("general", 1, "before").await.unwrap();

    // All at once.
    let mut asking = JoinSet::new();
    for at in 0..CLIENTS {
        asking.spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let raw = Raw::try_over_stream(stream, Format::ALL[at % 2]).await;
            (at, raw)
        });
    }
    let (mut taken, mut refused, mut cut) = (Vec::new(), 0, 0);
    while let Some(asked) = asking.join_next().await {
        match asked.unwrap() {
            (at, Ok(mut raw)) => {
                raw.hello(Some(&token("carol")), Some(&format!("d{at}"))).await.unwrap();
                taken.push(raw);
            }
            (_, Err(Some(503))) => refused += 1,
            // Of those beyond what it has time to tell so.
            (_, Err(None)) => cut += 1,
            (_, Err(status)) => panic!("{status:?}"),
        }
    }
    assert!((200..400).contains(&taken.len()), "{} were taken", taken.len());
    // Nine of ten of the refused hear why, at least.
    assert!(refused >= 9 * cut && refused > 0, "{refused} were told that there is no place, {cut} were cut off");

    // The old ones, the log, and what operators look at go on.
    let began = Instant::now();
    for n in 2..=50 {
        alice.send("general", n, "during").await.unwrap();
    }
    bob.entries_through("general", 0, 51).await;
    for raw in &mut taken {
        raw.barrier().await;
    }
    assert_eq!(http::get(server.ops_address(), "/readyz").await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(10), "the old ones waited {:?}", began.elapsed());

    // Who comes alone is told, and when to come again.
    let alone = http::request(address, &handshake(address, "rollcall.v1.json", &[])).await;
    assert_eq!(alone.status, 503);
    assert!(alone.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);

    // Connections that nobody takes lie in the queue of the system or are refused: the accept loop does not spin over them.
    let mut idle = Vec::new();
    for _ in 0..CLIENTS {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    alice.barrier().await;
    let (cpu, began) = (server.cpu_time(), Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await; // pace: the time over which the idle server's CPU time is measured
    let used = server.cpu_time() - cpu;
    assert!(used < began.elapsed() / 10, "the server used {used:?} of CPU time while nothing happened");
    drop(idle);

    // A place that becomes free is given to the next.
    drop(taken);
    rollcall_it::server::wait_until("there is a place", async || {
        http::request(address, &handshake(address, "rollcall.v1.json", &[])).await.status == 101
    })
    .await;
    alice.send("general", 51, "after").await.unwrap();
    bob.entries_through("general", 51, 52).await;
}
