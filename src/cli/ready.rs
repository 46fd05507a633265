//! `rollcall ready`: what `/readyz` says, for a health check in an image that has no other client.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::args::ReadyArguments;
use super::failure::{Failure, Kind};
use super::output;

/// How long a server may take to answer.
const LIMIT: Duration = Duration::from_secs(3);

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

#[derive(Deserialize)]
struct Report {
    ready: bool,
    checks: BTreeMap<String, String>,
}

/// Asks the server of this configuration whether it is ready, and prints what is not.
pub async fn ready(arguments: &ReadyArguments) -> Result<(), Failure> {
    let address = reachable(arguments.config.load()?.config.ops.listen);
    let unavailable = |what: String| Failure::new(Kind::Unavailable, format!("no server answers at {address}: {what}"));
    let answer = timeout(LIMIT, ask(address)).await.map_err(|_| unavailable("it took too long".to_owned()))?;
    let answer = answer.map_err(|error| unavailable(error.to_string()))?;
    let report = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Report>(body).ok());
    let report = report.ok_or_else(|| unavailable("what answers there is no rollcall".to_owned()))?;
    if report.ready {
        return output::line("ready");
    }
    let failed: Vec<String> = report
        .checks
        .iter()
        .filter(|(_, state)| *state != "ok")
        .map(|(name, reason)| format!("{name}: {reason}"))
        .collect();
    Err(Failure::new(Kind::Finding, format!("not ready: {}", failed.join("; "))))
}

/// Where a server that listens everywhere is found on its own machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz?verbose HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_found_here() {
        let found = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(found("0.0.0.0:7401"), "127.0.0.1:7401");
        assert_eq!(found("[::]:7401"), "[::1]:7401");
        assert_eq!(found("10.0.0.7:9"), "10.0.0.7:9");
    }
}
