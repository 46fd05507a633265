//! Asks a server's operators' address, with its token.

use std::net::SocketAddr;

use rollcall::ops::admin::ADMIN_TOKEN_FILE;
use rollcall_it::http::{self, Answer};
use rollcall_it::server::TestServer;
use serde_json::Value;

/// The token of a server, as an operator reads it.
pub fn token_of(server: &TestServer) -> String {
    std::fs::read_to_string(server.folder().join(ADMIN_TOKEN_FILE)).unwrap().trim().to_owned()
}

/// Asks with headers and a body as they are given.
pub async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\ncontent-length: {length}\r\n");
    http::request(address, &format!("{head}{headers}\r\n{body}")).await
}

/// Gets something from `/admin/v1`.
pub async fn get(server: &TestServer, path: &str) -> (u16, Value) {
    admin(server, "GET", path, "").await
}

/// Has something done by `/admin/v1`.
pub async fn post(server: &TestServer, path: &str, body: &str) -> (u16, Value) {
    admin(server, "POST", path, body).await
}

async fn admin(server: &TestServer, method: &str, path: &str, body: &str) -> (u16, Value) {
    let headers = format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", token_of(server));
    let answer = ask(server.inner().ops_address(), method, &format!("/admin/v1/{path}"), &headers, body).await;
    let body = serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    (answer.status, body)
}
