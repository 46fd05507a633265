//! kill -9 at any moment: what was acknowledged is there, and what was not may be tried again.

use rollcall_it::process::ServerProcess;
use rollcall_it::raw::send;
use rollcall_protocol::Format;

#[tokio::test]
async fn sixty_four_writes_cut_off_by_a_kill_get_the_same_numbers_when_they_are_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = 0;
    for (round, format) in Format::ALL.into_iter().cycle().take(6).enumerate() {
        let server = ServerProcess::start(folder.path()).await;
        let mut alice = server.user(format, "alice").await;
        let mut ids = Vec::new();
        for n in before + 1..=before + 64 {
            ids.push(alice.tell(send("general", n, &format!("message {n}"))).await);
        }
        // Some of them may be on the disk by now, or all.
        if round % 3 == 1 {
            alice.ack(ids[0]).await.unwrap();
        } else if round % 3 == 2 {
            alice.ack(ids[63]).await.unwrap();
        }
        server.kill_9().await;

        let server = ServerProcess::start(folder.path()).await;
        let mut alice = server.user(format, "alice").await;
        let joined = alice.join("general", Some(0)).await.unwrap();
        let least = before + [0, 1, 64][round % 3];
        assert!(joined.last_n >= least, "{least} was acknowledged, {} is there", joined.last_n);
        let mut ids = Vec::new();
        for n in before + 1..=before + 64 {
            ids.push((n, alice.tell(send("general", n, &format!("message {n}"))).await));
        }
        for (n, id) in ids {
            let ack = alice.ack(id).await.unwrap();
            assert_eq!((ack.seq.get(), ack.duplicate), (n + 1, n <= joined.last_n));
        }
        before += 64;
        let entries = alice.entries_through("general", 0, before + 1).await;
        assert!(entries[1..].iter().zip(1..).all(|(entry, n)| entry.n == n));
        server.kill_9().await;
    }
}
