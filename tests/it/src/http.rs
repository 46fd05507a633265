//! The least of HTTP: one request on a connection of its own, written as it goes over the wire.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// What follows the head.
    pub body: String,
}

impl Answer {
    /// Reads an answer of the wire; none where it is not one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, head: head.to_owned(), body: body.to_owned() })
    }

    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Asks for a path, and reads the whole answer.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")).await
}

/// Sends a request as it stands, and reads the whole answer; of an upgrade the headers.
pub async fn request(address: SocketAddr, request: &str) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    exchange(stream, request).await.unwrap_or_else(|read| panic!("{address} gave no answer but {read:?}"))
}

/// As [`request`], on a connection that is there; what was read instead, if it is no answer.
///
/// # Errors
/// Where the server closed the connection without an answer, or gave none in time.
pub async fn exchange(mut stream: TcpStream, request: &str) -> Result<Answer, String> {
    let mut read = Vec::new();
    let exchanged = async {
        // A server that refuses connections does not read what they ask.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut piece = [0; 4096];
        while !is_complete(&read) {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(count) => read.extend_from_slice(&piece[..count]),
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, exchanged).await.is_ok();
    Answer::parse(&read).filter(|_| in_time).ok_or_else(|| String::from_utf8_lossy(&read).into_owned())
}

/// Tells whether there is nothing more to come: the headers of an upgrade are there, or a body of the length that they name.
fn is_complete(read: &[u8]) -> bool {
    let Some(answer) = Answer::parse(read) else { return false };
    let length = answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
    answer.status == 101 || length.is_some_and(|length| answer.body.len() >= length)
}

/// Writes a handshake: the usual headers, but for those that are given, of which an empty one is left out.
pub fn handshake(address: SocketAddr, subprotocol: &str, headers: &[(&str, &str)]) -> String {
    let address = address.to_string();
    let usual = [
        ("Host", address.as_str()),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", subprotocol),
    ];
    let mut request = "GET /v1/ws HTTP/1.1\r\n".to_owned();
    let given = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let kept = usual.iter().filter(|(name, _)| !given(name)).chain(headers);
    for (name, value) in kept.filter(|(_, value)| !value.is_empty()) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request + "\r\n"
}
