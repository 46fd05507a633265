//! One order: every reader of a room sees its entries in the same order, whoever wrote them.

use std::collections::HashMap;

use rollcall_it::server::TestServer;
use rollcall_protocol::{EntryFrame, Format};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_readers_see_thousands_of_messages_in_one_order() {
    const EACH: u64 = 1_000;
    const WRITERS: usize = 4;
    const ALL: u64 = EACH * WRITERS as u64 + 1;
    let server = TestServer::build().config(|config| config.rooms.ring_entries_max = 64).start().await;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        writers.push(server.user(Format::ALL[writer % 2], &format!("writer{writer}")).await);
    }
    let mut readers = Vec::new();
    for reader in 0..2 {
        let mut raw = server.user(Format::ALL[reader], &format!("reader{reader}")).await;
        raw.join("general", Some(0)).await.unwrap();
        readers.push(raw);
    }
    let writing: Vec<_> = writers
        .into_iter()
        .map(|mut raw| tokio::spawn(async move { raw.send_all("general", 1..=EACH).await }))
        .collect();
    let reading: Vec<_> = readers
        .into_iter()
        .map(|mut raw| tokio::spawn(async move { raw.entries_through("general", 0, ALL).await }))
        .collect();
    for task in writing {
        task.await.unwrap();
    }
    let mut seen: Vec<Vec<EntryFrame>> = Vec::new();
    for task in reading {
        seen.push(task.await.unwrap());
    }
    assert!(seen.iter().all(|list| list == &seen[0]), "two readers saw different orders");

    // And each sender's own order is kept in it.
    let mut last: HashMap<&str, u64> = HashMap::new();
    for entry in &seen[0][1..] {
        let before = last.insert(entry.sender.as_str(), entry.n).unwrap_or(0);
        assert_eq!(entry.n, before + 1, "{} was numbered out of order", entry.sender);
    }
    assert!(seen[0].windows(2).all(|pair| pair[0].created_at_ms <= pair[1].created_at_ms));
}
