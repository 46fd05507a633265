//! Operators of a cluster: who is there, who owns what, and rooms and nodes that are told to go.

use std::time::Duration;

use rollcall_actors::cluster::Standing;
use rollcall_client::{Client, JoinFrom, Room};
use rollcall_it::server::{TestServer, token, wait_until};
use rollcall_it::together::Together;
use serde_json::{Value, json};

use super::asking::{ask, get, post};

/// Servers that are one, each found by clients at `wss://NAME.example`.
pub struct Cluster {
    pub nodes: Vec<TestServer>,
}

impl Cluster {
    /// Starts nodes, and waits until all see all.
    pub async fn start(names: &[&str]) -> Self {
        Self::start_with_grace(names, Duration::ZERO).await
    }

    /// As [`Self::start`], of nodes that serve on for a while when they are stopped.
    pub async fn start_with_grace(names: &[&str], grace: Duration) -> Self {
        let together = Together::now();
        let mut nodes = Vec::new();
        for name in names {
            let connect = format!("wss://{name}.example");
            let server = together.server(name, TestServer::build());
            let server = server.tuning(|tuning| {
                tuning.cluster.as_mut().unwrap().connect = Some(connect.as_str().into());
            });
            let server = server.config(|config| {
                config.cluster.connect = Some(connect.clone());
                config.drain.window_ms = 200;
                config.drain.grace_ms = u64::try_from(grace.as_millis()).unwrap();
            });
            nodes.push(server.start().await);
        }
        for node in &nodes {
            let mut view = node.inner().directory().cluster().unwrap().view();
            let others = names.len() - 1;
            view.wait_for(|view| view.standing == Standing::Member && view.peers.len() == others).await.unwrap();
        }
        Self { nodes }
    }
}

/// The name of a node that was told.
pub fn node_of(good: &Value) -> String {
    good["node"].as_str().unwrap_or_default().to_owned()
}

async fn client_of(server: &TestServer, name: &str) -> Client {
    let url = format!("ws://{}/v1/ws", server.address());
    Client::builder(url).token(token(name)).connect().await.unwrap()
}

/// Joins a room on two nodes, writes to it, and returns the places in it of its owner and of the other.
async fn room_on_both(cluster: &Cluster, room: &str) -> ((usize, usize), [Room; 2]) {
    let mut rooms = Vec::new();
    for (node, name) in cluster.nodes.iter().zip(["ann", "bob"]) {
        rooms.push(client_of(node, name).await.join(room, JoinFrom::Head).await.unwrap());
    }
    rooms[0].send_text("first").await.unwrap();
    let role = async |at: usize| get(&cluster.nodes[at], &format!("rooms/{room}")).await.1["here"]["role"].clone();
    wait_until("one owns the room and the other shows it", async || {
        let roles = [role(0).await, role(1).await];
        roles.contains(&json!("owner")) && roles.contains(&json!("replica"))
    })
    .await;
    let owner = usize::from(role(1).await == json!("owner"));
    ((owner, 1 - owner), rooms.try_into().unwrap_or_else(|_| unreachable!("two were joined")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_rooms_and_beacons_are_shown() {
    let cluster = Cluster::start(&["a", "b"]).await;
    let (status, seen) = get(&cluster.nodes[0], "nodes").await;
    assert_eq!((status, &seen["me"], &seen["standing"]), (200, &json!("a"), &json!("member")));
    for (at, name) in ["a", "b"].iter().enumerate() {
        let node = &seen["nodes"][at];
        assert_eq!((&node["node"], &node["takes_rooms"]), (&json!(name), &json!(true)));
        assert_eq!(node["connect"], json!(format!("wss://{name}.example")));
    }

    let ((owner, other), _rooms) = room_on_both(&cluster, "general").await;
    let names = ["a", "b"];
    wait_until("the owner knows of the replica", async || {
        get(&cluster.nodes[owner], "rooms/general").await.1["here"]["replicas"] == json!([names[other]])
    })
    .await;
    let (_, room) = get(&cluster.nodes[owner], "rooms/general").await;
    assert_eq!(
        (&room["here"]["owner"], &room["here"]["head"], &room["here"]["is_read"]),
        (&json!(names[owner]), &json!(2), &json!(true))
    );
    assert_eq!((&room["here"]["epoch"], &room["log"]["head"]), (&room["log"]["epoch"], &json!(2)));
    let (_, page) = get(&cluster.nodes[other], "rooms").await;
    assert_eq!((&page["rooms"][0]["role"], &page["next"]), (&json!("replica"), &json!(null)));

    wait_until("beacons are sent and heard", async || {
        let (_, sent) = get(&cluster.nodes[owner], "beacons").await;
        let (_, heard) = get(&cluster.nodes[other], "beacons").await;
        sent["sent"][0]["to"] == json!(names[other])
            && heard["heard"][0]["from"] == json!(names[owner])
            && heard["heard"][0]["number"].as_u64() > Some(0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_moved_to_the_node_that_is_named_and_goes_on_there() {
    let cluster = Cluster::start(&["a", "b"]).await;
    let ((owner, other), rooms) = room_on_both(&cluster, "general").await;
    let names = ["a", "b"];
    let to = |name: &str| json!({"to": name}).to_string();

    // Only the owner moves it, only to a node that there is and that takes it.
    let (status, error) = post(&cluster.nodes[other], "rooms/general/move", &to(names[owner])).await;
    let message = error["message"].as_str().unwrap().to_owned();
    assert!(status == 409 && message.contains("owned by") == message.contains(names[owner]), "{error}");
    assert_eq!(post(&cluster.nodes[owner], "rooms/general/move", &to("nobody")).await.0, 404);
    assert_eq!(post(&cluster.nodes[owner], "rooms/general/move", &to(names[owner])).await.0, 409);
    assert_eq!(post(&cluster.nodes[owner], "rooms/general/move", &to("a b")).await.0, 400);
    assert_eq!(post(&cluster.nodes[owner], "rooms/general/move", "{\"too\":\"b\"}").await.0, 400);
    let epoch = async |at: usize| get(&cluster.nodes[at], "rooms/general").await.1["log"]["epoch"].as_u64().unwrap();
    let passivated = epoch(owner).await;
    assert_eq!(post(&cluster.nodes[owner], "rooms/general/passivate", "").await.0, 202);
    // Whoever reads it has it activated again, here or there.
    let role = async |at: usize| get(&cluster.nodes[at], "rooms/general").await.1["here"]["role"].clone();
    wait_until("the room has another owner", async || {
        let roles = [role(0).await, role(1).await];
        roles.contains(&json!("owner")) && roles.contains(&json!("replica")) && epoch(owner).await > passivated
    })
    .await;
    let owner = usize::from(role(1).await == json!("owner"));

    let before = epoch(owner).await;
    let sending = tokio::spawn({
        let room = rooms[0].writer();
        async move {
            for number in 0..200 {
                room.send_text(&format!("message {number}")).await.unwrap();
            }
        }
    });
    let (status, answer) = post(&cluster.nodes[owner], "rooms/general/move", &to(names[1 - owner])).await;
    assert_eq!((status, answer), (202, json!({"room": "general", "to": names[1 - owner]})));
    wait_until("the other owns it", async || role(1 - owner).await == json!("owner")).await;
    sending.await.unwrap();
    assert!(epoch(owner).await > before);
    let (_, room) = get(&cluster.nodes[1 - owner], "rooms/general").await;
    assert_eq!(room["log"]["head"], json!(202), "each message was numbered once: {room}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_is_forgotten_once_the_room_was_passivated() {
    let cluster = Cluster::start(&["a", "b"]).await;
    let ((preferred, other), rooms) = room_on_both(&cluster, "general").await;
    let role = async |at: usize| get(&cluster.nodes[at], "rooms/general").await.1["here"]["role"].clone();
    let names = ["a", "b"];
    let to = json!({"to": names[other]}).to_string();
    assert_eq!(post(&cluster.nodes[preferred], "rooms/general/move", &to).await.0, 202);
    wait_until("it is where it was moved", async || role(other).await == json!("owner")).await;
    rooms[preferred].send_text("it stays there as long as it is wanted").await.unwrap();
    assert_eq!(role(other).await, json!("owner"));

    drop(rooms);
    wait_until("nobody reads it", async || {
        let reads = async |at: usize| get(&cluster.nodes[at], "rooms/general").await.1["here"]["is_read"].clone();
        ![reads(0).await, reads(1).await].contains(&json!(true))
    })
    .await;
    assert_eq!(post(&cluster.nodes[other], "rooms/general/passivate", "").await.0, 202);
    wait_until("nobody owns it", async || ![role(0).await, role(1).await].contains(&json!("owner"))).await;
    // Wanted at the node that it was moved to, it is owned by the one that it prefers.
    let again = client_of(&cluster.nodes[other], "cid").await.join("general", JoinFrom::Head).await.unwrap();
    again.send_text("wanted again").await.unwrap();
    assert_eq!((role(preferred).await, role(other).await), (json!("owner"), json!("replica")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_node_gives_its_rooms_away_and_sends_its_clients_off() {
    let cluster = Cluster::start(&["a", "b"]).await;
    let ((owner, other), rooms) = room_on_both(&cluster, "general").await;
    let node = &cluster.nodes[owner];
    let ops = node.inner().ops_address();
    assert_eq!(ask(ops, "GET", "/readyz", "", "").await.status, 200);
    assert_eq!(post(node, "drain", "").await, (202, json!({"draining": true, "since_now": true})));
    assert_eq!(post(node, "drain", "").await, (202, json!({"draining": true, "since_now": false})));
    assert_eq!(ask(ops, "GET", "/readyz", "", "").await.status, 503);
    assert_eq!(ask(ops, "GET", "/livez", "", "").await.status, 200);
    wait_until("the other node owns the room", async || {
        get(&cluster.nodes[other], "rooms/general").await.1["here"]["role"] == json!("owner")
    })
    .await;
    // The clients were told; this one comes back to where it was, since it knows no other place, and is served all the same.
    wait_until("its clients were sent off", async || node.metric("rollcall_connections_closed_total").await >= 1.0)
        .await;
    let ack = rooms[owner].send_text("after the drain").await.unwrap();
    assert_eq!(ack.seq.get(), 3);
    let mut view = node.inner().directory().cluster().unwrap().view();
    view.wait_for(|view| view.is_over).await.unwrap();
    wait_until("the others know that it takes no rooms", async || {
        let (_, seen) = get(&cluster.nodes[other], "nodes").await;
        let drained = seen["nodes"].as_array().unwrap().iter().find(|it| it["node"] == json!(["a", "b"][owner]));
        drained.is_none_or(|node| node["takes_rooms"] == json!(false))
    })
    .await;
}
