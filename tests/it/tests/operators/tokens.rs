//! The operators' token, and a server by itself.

use rollcall_client::{Client, JoinFrom};
use rollcall_it::server::{TestServer, token};
use serde_json::json;

use super::asking::{ask, get, post, token_of};

#[tokio::test]
async fn nothing_is_told_or_done_without_the_token() {
    let server = TestServer::start().await;
    let ops = server.inner().ops_address();
    let right = token_of(&server);
    let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
    for path in ["nodes", "rooms", "rooms/general", "beacons", "elsewhere"] {
        for headers in
            [String::new(), bearer("wrong"), bearer(&right[1..]), format!("authorization: Basic {right}\r\n")]
        {
            let answer = ask(ops, "GET", &format!("/admin/v1/{path}"), &headers, "").await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{path} {headers}");
            assert!(!answer.body.contains(&right));
        }
    }
    for path in ["drain", "rooms/general/passivate", "rooms/general/move"] {
        assert_eq!(ask(ops, "POST", &format!("/admin/v1/{path}"), "", "{\"to\":\"b\"}").await.status, 401);
    }
    assert_eq!(ask(ops, "GET", "/livez", "", "").await.status, 200, "what asks for no token goes on to ask for none");
    let public = ask(server.address(), "GET", "/admin/v1/nodes", &bearer(&right), "").await;
    assert_eq!(public.status, 404, "clients do not meet it");
}

#[tokio::test]
async fn a_server_by_itself_shows_its_rooms_and_gives_them_up() {
    let server = TestServer::start().await;
    assert_eq!(get(&server, "nodes").await, (200, json!({"me": null, "standing": "alone", "nodes": []})));
    let url = format!("ws://{}/v1/ws", server.address());
    let client = Client::builder(url).token(token("alice")).connect().await.unwrap();
    for name in ["b", "a", "c"] {
        client.join(name, JoinFrom::Head).await.unwrap().send_text("hello").await.unwrap();
    }
    let (status, page) = get(&server, "rooms?limit=2").await;
    assert_eq!((status, &page["rooms"][0]["room"], &page["rooms"][1]["room"]), (200, &json!("a"), &json!("b")));
    let (_, rest) = get(&server, &format!("rooms?limit=2&after={}", page["next"].as_str().unwrap())).await;
    assert_eq!((&rest["rooms"][0]["room"], &rest["next"]), (&json!("c"), &json!(null)));

    let (status, room) = get(&server, "rooms/a").await;
    assert_eq!((status, &room["here"]["role"], &room["log"]["head"]), (200, &json!("owner"), &json!(2)));
    let epoch = room["log"]["epoch"].as_u64().unwrap();
    assert_eq!(post(&server, "rooms/a/passivate", "").await.0, 202);
    // Whoever wants it next has it activated again: under another epoch, and with all that it had.
    client.join("a", JoinFrom::Head).await.unwrap().send_text("again").await.unwrap();
    let (_, room) = get(&server, "rooms/a").await;
    assert!(room["log"]["epoch"].as_u64().unwrap() > epoch && room["log"]["head"] == json!(3), "{room}");
    client.close().await;

    assert_eq!(get(&server, "rooms/nobodys").await.0, 404);
    assert_eq!(get(&server, "rooms/not%20a%20room").await.0, 400);
    assert_eq!(get(&server, "rooms?limit=many").await.0, 400);
    assert_eq!(post(&server, "rooms/nobodys/passivate", "").await.0, 409);
    for (path, body) in [("drain", ""), ("rooms/a/move", "{\"to\":\"b\"}")] {
        let (status, error) = post(&server, path, body).await;
        assert_eq!((status, &error["code"]), (409, &json!("conflict")), "{path}");
    }
    assert_eq!(get(&server, "elsewhere").await.0, 404);
}
