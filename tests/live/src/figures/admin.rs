//! What operators ask of a node.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::node::Node;

/// How long a room may take to be where it is sent.
const MOVE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Has a node own these rooms, which are active somewhere.
///
/// # Errors
/// Where one is not there in time.
pub async fn gather(rooms: &[String], at: &Node, nodes: &[Node], folder: &Path) -> anyhow::Result<()> {
    for room in rooms {
        let moved = async {
            while !owns(at, room, folder).await? {
                for node in nodes {
                    let body = format!("{{\"to\":\"{}\"}}", at.name);
                    ask(node, "POST", &format!("/admin/v1/rooms/{room}/move"), &body, folder).await?;
                }
                tokio::time::sleep(LOOK_EVERY).await; // pace: between two looks
            }
            anyhow::Ok(())
        };
        let in_time = tokio::time::timeout(MOVE_TIMEOUT, moved).await;
        in_time.with_context(|| format!("{room} did not get to {} in {MOVE_TIMEOUT:?}", at.name))??;
    }
    Ok(())
}

async fn owns(node: &Node, room: &str, folder: &Path) -> anyhow::Result<bool> {
    let (status, body) = ask(node, "GET", &format!("/admin/v1/rooms/{room}"), "", folder).await?;
    if status != 200 {
        return Ok(false);
    }
    let details: Value = serde_json::from_str(&body).context("the node did not answer in JSON")?;
    Ok(details["here"]["role"] == "owner")
}

async fn ask(node: &Node, method: &str, path: &str, body: &str, folder: &Path) -> anyhow::Result<(u16, String)> {
    let file = folder.join(&node.name).join("data/admin-token");
    let token = std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    let (ops, token, length) = (node.ops, token.trim(), body.len());
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {ops}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(ops).await.with_context(|| format!("failed to reach {}", node.name))?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("{} did not answer in HTTP", node.name) };
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok((status.context("the answer has no status")?, body.to_owned()))
}
