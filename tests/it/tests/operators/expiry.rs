//! Operators let entries expire: clients are told what is gone and go on with what is kept.

use rollcall_client::{Client, HistoryError, JoinFrom, RoomEvent};
use rollcall_it::controlled_log::ControlledLog;
use rollcall_it::server::{TestServer, token, wait_until};
use serde_json::{Value, json};

use super::asking::{get, post};
use super::cluster::Cluster;

const BEFORE_21: &str = "{\"before\":21}";

async fn client_of(server: &TestServer, name: &str) -> Client {
    let url = format!("ws://{}/v1/ws", server.address());
    Client::builder(url).token(token(name)).connect().await.unwrap()
}

async fn write_all(client: &Client, count: u64) {
    let room = client.join("general", JoinFrom::Head).await.unwrap();
    for number in 1..=count {
        room.send_text(&format!("message {number}")).await.unwrap();
    }
}

/// Joins a room from its start, and returns what has expired and the numbers of what came, up to the last.
async fn read_from_start(client: &Client, last: u64) -> (Vec<(u64, u64)>, Vec<u64>) {
    let (_writer, mut events) = client.join("general", JoinFrom::Start).await.unwrap().split();
    let (mut expired, mut numbers) = (Vec::new(), Vec::new());
    while numbers.last() != Some(&last) {
        match events.next().await.expect("the room goes on") {
            RoomEvent::Expired { from, to } => expired.push((from.get(), to.get())),
            RoomEvent::Entries(batch) => numbers.extend(batch.entries.iter().map(|entry| entry.seq.get())),
            _ => {}
        }
    }
    (expired, numbers)
}

fn expired_21() -> (u16, Value) {
    (200, json!({"room": "general", "changed": true, "floor": 21}))
}

#[tokio::test]
async fn a_client_is_told_what_has_expired_and_reads_the_rest() {
    let server = TestServer::start().await;
    let ann = client_of(&server, "ann").await;
    write_all(&ann, 29).await;
    assert_eq!(post(&server, "rooms/general/expire", BEFORE_21).await, expired_21());
    assert_eq!(
        post(&server, "rooms/general/expire", BEFORE_21).await,
        (200, json!({"room": "general", "changed": false, "floor": 21}))
    );

    let bob = client_of(&server, "bob").await;
    assert_eq!(read_from_start(&bob, 31).await, (vec![(1, 20)], (21..=31).collect()));
    let mut history = ann.history("general").unwrap().after(rollcall_client::Seq::new(3));
    let refused = history.next().await.unwrap().unwrap_err();
    assert!(matches!(refused, HistoryError::Expired { .. }), "{refused}");
    let room = bob.join("general", JoinFrom::Head).await.unwrap();
    assert_eq!(room.send_text("on").await.unwrap().seq.get(), 32);

    // So it is after a restart.
    drop((ann, bob));
    let server = server.stop().await.start().await;
    let carl = client_of(&server, "carl").await;
    assert_eq!(read_from_start(&carl, 32).await, (vec![(1, 20)], (21..=32).collect()));
}

#[tokio::test]
async fn an_operator_is_told_from_where_on_a_room_is_kept_though_the_log_cannot_be_read() {
    let log = ControlledLog::unplaced();
    let server = TestServer::build().tuning(|tuning| tuning.wrap_log = log.into_server()).start().await;
    write_all(&client_of(&server, "ann").await, 29).await;
    log.appends.hold_next();
    let (answer, ()) = tokio::join!(post(&server, "rooms/general/expire", BEFORE_21), async {
        log.appends.until_waiting(1).await;
        log.fail_reads(usize::MAX);
        log.appends.release();
    });
    log.fail_reads(0);
    assert_eq!(answer, expired_21());
}

#[tokio::test]
async fn an_operator_who_asks_while_the_room_looks_by_itself_is_answered_after_that() {
    let log = ControlledLog::unplaced();
    let server = TestServer::build()
        .config(|config| config.retention.entries_max = Some(20))
        .tuning(|tuning| tuning.wrap_log = log.into_server())
        .start()
        .await;
    write_all(&client_of(&server, "ann").await, 29).await;
    assert_eq!(post(&server, "rooms/general/passivate", "").await.0, 202);
    wait_until("nobody has the room", async || get(&server, "rooms/general").await.1["here"].is_null()).await;
    // It is activated, and reads of its log what may expire by the setting.
    let ann = client_of(&server, "ann").await;
    log.reads.hold();
    let joined = ann.join("general", JoinFrom::Head);
    let (answer, joined) = tokio::join!(post(&server, "rooms/general/expire", BEFORE_21), async {
        log.reads.until_waiting(1).await;
        log.reads.release();
        joined.await
    });
    joined.unwrap();
    assert_eq!(answer, expired_21());
    assert_eq!(
        get(&server, "rooms/general").await.1["log"]["head"],
        json!(32),
        "the room has let some expire before that"
    );
}

#[tokio::test]
async fn a_room_that_is_used_again_keeps_what_the_setting_says() {
    let server = TestServer::build().config(|config| config.retention.entries_max = Some(10)).start().await;
    write_all(&client_of(&server, "ann").await, 29).await;
    let server = server.stop().await.start().await;
    let bob = client_of(&server, "bob").await;
    bob.join("general", JoinFrom::Head).await.unwrap();
    wait_until("the room has let entries expire", async || {
        get(&server, "rooms/general").await.1["log"]["head"] == json!(31)
    })
    .await;
    let carl = client_of(&server, "carl").await;
    assert_eq!(read_from_start(&carl, 31).await, (vec![(1, 20)], (21..=31).collect()));
}

#[tokio::test]
async fn bad_requests_change_nothing() {
    let server = TestServer::start().await;
    write_all(&client_of(&server, "ann").await, 3).await;
    for body in ["", "{}", "{\"before\":-1}", "{\"before\":\"all\"}", "{\"before\":9007199254740992}", "{\"after\":3}"]
    {
        assert_eq!(post(&server, "rooms/general/expire", body).await.0, 400, "{body}");
    }
    assert_eq!(post(&server, "rooms/%00/expire", BEFORE_21).await.0, 400);
    for before in [0, 1] {
        let (status, answer) = post(&server, "rooms/general/expire", &json!({"before": before}).to_string()).await;
        assert_eq!((status, &answer["changed"], &answer["floor"]), (200, &json!(false), &json!(1)));
    }
    assert_eq!(get(&server, "rooms/general").await.1["log"]["head"], json!(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_tells_what_has_expired_and_only_the_owner_lets_it() {
    let cluster = Cluster::start(&["a", "b"]).await;
    let ann = client_of(&cluster.nodes[0], "ann").await;
    let bob = client_of(&cluster.nodes[1], "bob").await;
    let watching = bob.join("general", JoinFrom::Head).await.unwrap();
    write_all(&ann, 29).await;
    let role = async |at: usize| get(&cluster.nodes[at], "rooms/general").await.1["here"]["role"].clone();
    wait_until("one owns the room and the other shows it", async || {
        let roles = [role(0).await, role(1).await];
        roles.contains(&json!("owner")) && roles.contains(&json!("replica"))
    })
    .await;
    let owner = usize::from(role(1).await == json!("owner"));
    let (status, refused) = post(&cluster.nodes[1 - owner], "rooms/general/expire", BEFORE_21).await;
    let names_the_owner = refused["message"].as_str().unwrap().contains(&format!("owned by {}", ["a", "b"][owner]));
    assert!(status == 409 && names_the_owner, "{refused}");
    assert_eq!(post(&cluster.nodes[owner], "rooms/general/expire", BEFORE_21).await, expired_21());

    for (node, name) in cluster.nodes.iter().zip(["carl", "dora"]) {
        let reader = client_of(node, name).await;
        assert_eq!(read_from_start(&reader, 31).await, (vec![(1, 20)], (21..=31).collect()), "at {name}'s node");
    }
    assert_eq!(watching.send_text("on").await.unwrap().seq.get(), 32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_of_a_cluster_that_nobody_owns_gets_an_owner_who_lets_it_expire() {
    let cluster = Cluster::start(&["a"]).await;
    write_all(&client_of(&cluster.nodes[0], "ann").await, 29).await;
    let here = async || get(&cluster.nodes[0], "rooms/general").await.1["here"]["role"].clone();
    assert_eq!(post(&cluster.nodes[0], "rooms/general/passivate", "").await.0, 202);
    wait_until("nobody owns it", async || here().await != json!("owner")).await;
    assert_eq!(post(&cluster.nodes[0], "rooms/general/expire", BEFORE_21).await, expired_21());
}
