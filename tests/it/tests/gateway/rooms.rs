//! Rooms come into memory when somebody asks for them, and go when nobody does.

use rollcall_it::raw::send;
use rollcall_it::server::{TestServer, TestServerBuilder};
use rollcall_protocol::{ErrorCode, Format};

fn impatient() -> TestServerBuilder {
    TestServer::build().config(|config| config.rooms.idle_ms = 40)
}

#[tokio::test]
async fn idle_rooms_leave_memory_and_come_back_where_they_were() {
    let server = impatient().start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    for name in ["one", "two", "three"] {
        alice.send_all(name, 1..=100).await;
    }
    assert!(server.metric("rollcall_rooms").await > 0.0);
    server.wait_for_metric("rollcall_rooms", 0.0).await;
    for name in ["one", "two", "three"] {
        assert_eq!(alice.send(name, 101, "again").await.unwrap().seq.get(), 102);
        // What the room knew of the device it still knows: a copy of an old write, and a number that was given away.
        let copy = alice.send(name, 100, "message 100").await.unwrap();
        assert_eq!((copy.seq.get(), copy.duplicate), (101, true));
        assert_eq!(alice.send(name, 100, "something else").await.unwrap_err().code, ErrorCode::Conflict);
        let joined = alice.join(name, Some(0)).await.unwrap();
        assert_eq!((joined.head.get(), joined.last_n), (102, 101));
        assert!(joined.epoch.get() >= 2, "another activation numbers now");
        alice.entries_through(name, 0, 102).await;
    }
}

#[tokio::test]
async fn a_room_that_somebody_has_joined_stays() {
    let server = impatient().start().await;
    let mut bob = server.user(Format::MsgPack, "bob").await;
    bob.join("kept", None).await.unwrap();
    let mut alice = server.user(Format::Json, "alice").await;
    // Others come and go meanwhile.
    for round in 0..3 {
        alice.send(&format!("other{round}"), 1, "x").await.unwrap();
        server.wait_for_metric("rollcall_rooms", 1.0).await;
    }
    alice.send("kept", 1, "hello").await.unwrap();
    bob.entries_through("kept", 0, 2).await;
    drop(bob);
    server.wait_for_metric("rollcall_rooms", 0.0).await;
}

/// Sends that meet a room on its way out are taken by its next activation: none is lost or refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_that_meet_a_room_on_its_way_out_are_taken_by_the_next_activation() {
    let server = TestServer::build().config(|config| config.rooms.idle_ms = 1).start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    for n in 1..=60 {
        let ack = alice.send("general", n, "x").await.unwrap();
        assert_eq!(ack.seq.get(), n + 1);
        if n % 3 == 0 {
            server.wait_for_metric("rollcall_rooms", 0.0).await;
        }
    }
    let joined = alice.join("general", Some(0)).await.unwrap();
    assert!(joined.epoch.get() >= 10, "the room was activated {} times", joined.epoch.get());
    alice.entries_through("general", 0, 61).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_finishes_what_was_taken_and_the_next_start_goes_on() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    let ids: Vec<u64> = {
        let mut ids = Vec::new();
        for n in 1..=60 {
            ids.push(alice.tell(send("general", n, "x")).await);
        }
        ids
    };
    // The last of them is read by the server before it is stopped.
    alice.barrier().await;
    let (builder, ()) = tokio::join!(server.stop(), async {
        for (id, seq) in ids.into_iter().zip(2..) {
            assert_eq!(alice.ack(id).await.unwrap().seq.get(), seq);
        }
    });
    let server = builder.start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    let joined = alice.join("general", Some(0)).await.unwrap();
    assert_eq!((joined.head.get(), joined.last_n), (61, 60));
    alice.entries_through("general", 0, 61).await;
}
