//! Pages of history.

use rollcall_it::raw::{Raw, room};
use rollcall_it::server::TestServer;
use rollcall_protocol::{Body, Entry, ErrorCode, Format, HistoryPage, OwnerId, Seq, hash};

async fn server_with_fifty() -> (TestServer, Raw) {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    alice.send_all("general", 1..=49).await;
    (server, alice)
}

fn seqs(page: &HistoryPage) -> Vec<u64> {
    page.list.iter().map(|entry| entry.seq.get()).collect()
}

#[tokio::test]
async fn a_page_is_what_was_asked_for() {
    let (server, _) = server_with_fifty().await;
    for format in Format::ALL {
        let mut bob = server.user(format, "bob").await;
        let latest = bob.history("general", |_| {}).await.unwrap();
        assert_eq!((latest.head.get(), latest.floor.get()), (50, 1));
        assert_eq!(seqs(&latest), (1..=50).collect::<Vec<_>>());
        let at = Seq::new;
        let after = bob.history("general", |h| (h.after, h.limit) = (Some(at(10)), Some(5))).await.unwrap();
        assert_eq!(seqs(&after), [11, 12, 13, 14, 15]);
        let before = bob.history("general", |h| (h.before, h.limit) = (Some(at(10)), Some(5))).await.unwrap();
        assert_eq!(seqs(&before), [5, 6, 7, 8, 9]);
        let around = bob.history("general", |h| (h.around, h.limit) = (Some(at(10)), Some(5))).await.unwrap();
        assert!(around.list.len() == 5 && seqs(&around).contains(&10), "{:?}", seqs(&around));
        let first = bob.history("general", |h| (h.before, h.limit) = (Some(at(3)), Some(5))).await.unwrap();
        assert_eq!(seqs(&first), [1, 2]);
        let end = bob.history("general", |h| h.after = Some(at(50))).await.unwrap();
        assert_eq!((seqs(&end), end.hash), (vec![], None));
        let beyond = bob.history("general", |h| h.after = Some(at(1_000))).await.unwrap();
        assert_eq!(seqs(&beyond), [] as [u64; 0]);
    }
}

#[tokio::test]
async fn evidence_proves_a_page_from_any_place() {
    let (server, _) = server_with_fifty().await;
    for format in Format::ALL {
        let mut bob = server.user(format, "bob").await;
        for (after, limit) in [(0, 50), (0, 3), (1, 5), (20, 7), (49, 10)] {
            let page = bob
                .history("general", |h| (h.after, h.limit, h.evidence) = (Some(Seq::new(after)), Some(limit), true))
                .await
                .unwrap();
            let mut before = page.hash_before.expect("evidence has the hash before the page");
            if after == 0 {
                assert_eq!(before, hash::genesis(&room("general")));
            }
            for frame in &page.list {
                let entry = entry_of(frame);
                assert_eq!(entry.expected_content_hash(), frame.content_hash);
                assert_eq!(Some(entry.expected_hash(before)), frame.hash);
                before = entry.hash;
            }
            assert_eq!(page.hash, Some(before), "the page's hash is that of its last entry");
        }
        let bare = bob.history("general", |h| h.limit = Some(1)).await.unwrap();
        assert_eq!((bare.hash_before, bare.list[0].salt, bare.list[0].hash), (None, None, None));
        assert!(bare.hash.is_some());
    }
}

fn entry_of(frame: &rollcall_protocol::EntryFrame) -> Entry {
    let frame = frame.clone();
    Entry {
        seq: frame.seq,
        kind: frame.kind,
        created_at_ms: frame.created_at_ms,
        sender: frame.sender,
        device: frame.device,
        n: frame.n,
        target: frame.target,
        body: frame.body,
        salt: frame.salt,
        content_hash: frame.content_hash.unwrap(),
        hash: frame.hash.unwrap(),
        epoch: frame.epoch.unwrap(),
        owner: OwnerId(u128::from_str_radix(&frame.owner.unwrap(), 16).unwrap()),
    }
}

/// A page has a limit of bytes. It is cut at the end that is further from the place that was asked for, so that whoever pages
/// backward meets no gap.
#[tokio::test]
async fn large_entries_shorten_a_page_on_its_far_side() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::MsgPack, "alice").await;
    let text = "x".repeat(99_000);
    for n in 1..=20 {
        alice.send("general", n, &text).await.unwrap();
    }
    let at = Seq::new;
    for evidence in [false, true] {
        let latest = alice.history("general", |h| h.evidence = evidence).await.unwrap();
        assert!(latest.list.len() < 21, "the test's entries fit on one page");
        assert_eq!(seqs(&latest).last(), Some(&21));
        let mut all = seqs(&latest);
        while all[0] > 1 {
            let before = all[0];
            let page =
                alice.history("general", |h| (h.before, h.evidence) = (Some(at(before)), evidence)).await.unwrap();
            assert_eq!(seqs(&page).last(), Some(&(before - 1)), "the page before {before} ends just before it");
            if evidence {
                let first = entry_of(&page.list[0]);
                assert_eq!(first.expected_hash(page.hash_before.unwrap()), first.hash);
            }
            all.splice(0..0, seqs(&page));
        }
        assert_eq!(all, (1..=21).collect::<Vec<_>>());
        for around in [1, 10, 21] {
            let page = alice.history("general", |h| h.around = Some(at(around))).await.unwrap();
            assert!(seqs(&page).contains(&around), "{around} is not in {:?}", seqs(&page));
        }
        let after = alice.history("general", |h| h.after = Some(at(3))).await.unwrap();
        assert_eq!(seqs(&after)[0], 4);
    }
}

#[tokio::test]
async fn questions_that_mean_nothing_are_refused() {
    let (_server, mut alice) = server_with_fifty().await;
    let at = Some(Seq::new(9));
    let two_places = alice.history("general", |h| (h.after, h.before) = (at, at)).await.unwrap_err();
    let none = alice.history("general", |h| h.limit = Some(0)).await.unwrap_err();
    let many = alice.history("general", |h| h.limit = Some(501)).await.unwrap_err();
    for (error, named) in [(two_places, "one of"), (none, "limit"), (many, "limit")] {
        assert_eq!(error.code, ErrorCode::BadRequest);
        assert!(error.message.contains(named), "{}", error.message);
    }
    let whole = alice.history("general", |h| (h.after, h.limit) = (Some(Seq::ZERO), Some(500))).await.unwrap();
    assert_eq!(whole.list.len(), 50);
    assert_eq!(whole.list[49].body, Some(Body::text("message 49").unwrap()));
}
