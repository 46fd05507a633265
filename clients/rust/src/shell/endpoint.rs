//! Where the server is and how to get there: opens WebSocket connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use rollcall_protocol::Format;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite};

use crate::error::ConnectError;

/// An open connection.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
/// A connection that is being opened.
pub(super) type Opening = Pin<Box<dyn Future<Output = Result<Box<Socket>, tungstenite::Error>> + Send>>;

/// The socket's write buffer is written out beyond this size, in bytes; it grows only when used.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// How long a server is passed over that sent its clients away. One that is restarted is back before; one that was taken out of
/// service and goes on sends away again who tries.
const AVOIDED_FOR: Duration = Duration::from_secs(60);

/// Where the server is and how to get there.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    uri: Uri,
    host: String,
    port: u16,
    pub(super) format: Format,
    local_address: Option<IpAddr>,
    read_buffer_bytes: usize,
}

impl Endpoint {
    /// Reads an address such as `ws://127.0.0.1:7400/v1/ws`.
    pub(crate) fn parse(
        url: &str,
        format: Format,
        local_address: Option<IpAddr>,
        read_buffer_bytes: usize,
    ) -> Result<Self, ConnectError> {
        let fail = |reason: &str| ConnectError::Url { url: url.to_owned(), reason: reason.to_owned() };
        let uri: Uri = url.parse().map_err(|error: tungstenite::http::uri::InvalidUri| fail(&error.to_string()))?;
        let default_port = match uri.scheme_str() {
            Some("ws") => 80,
            Some("wss") if cfg!(feature = "tls") => 443,
            Some("wss") => return Err(fail("this build of the client has no TLS; turn its feature `tls` on")),
            _ => return Err(fail("it starts with ws:// or wss://")),
        };
        let host = uri.host().ok_or_else(|| fail("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(default_port);
        Ok(Self { uri, host, port, format, local_address, read_buffer_bytes })
    }

    /// Opens a connection.
    pub(super) fn open(&self) -> Opening {
        let endpoint = self.clone();
        Box::pin(async move {
            let stream = endpoint.connect().await?;
            stream.set_nodelay(true)?;
            let mut request = endpoint.uri.into_client_request()?;
            let subprotocol = HeaderValue::from_static(endpoint.format.subprotocol());
            request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
            let config = WebSocketConfig::default()
                .read_buffer_size(endpoint.read_buffer_bytes)
                .write_buffer_size(WRITE_BUFFER_BYTES);
            #[cfg(feature = "tls")]
            let opened = tokio_tungstenite::client_async_tls_with_config(request, stream, Some(config), None).await;
            #[cfg(not(feature = "tls"))]
            let opened =
                tokio_tungstenite::client_async_with_config(request, MaybeTlsStream::Plain(stream), Some(config)).await;
            Ok(Box::new(opened?.0))
        })
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in lookup_host((self.host.as_str(), self.port)).await? {
            match self.connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let Some(local_address) = self.local_address else { return TcpStream::connect(address).await };
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(SocketAddr::new(local_address, 0))?;
        socket.connect(address).await
    }
}

/// The servers that a client may be at: any node of a cluster takes it.
#[derive(Debug)]
pub(crate) struct Endpoints {
    /// At least one.
    all: Vec<Known>,
    /// Where the last connection was tried.
    last: Option<usize>,
}

/// A server that a client may be at.
#[derive(Debug)]
struct Known {
    endpoint: Endpoint,
    /// When it sent the client away.
    left: Option<Instant>,
}

impl Endpoints {
    /// Takes at least one.
    pub(crate) fn new(all: Vec<Endpoint>) -> Self {
        debug_assert!(!all.is_empty(), "a client is somewhere");
        Self { all: all.into_iter().map(|endpoint| Known { endpoint, left: None }).collect(), last: None }
    }

    /// How frames are written, everywhere alike.
    pub(super) fn format(&self) -> Format {
        self.all[0].endpoint.format
    }

    /// Opens a connection, by a random draw, to any server but the last and those that sent the client away: those who lose one server
    /// spread over the others. Where that leaves none, any will do.
    pub(super) fn open(&mut self, draw: u64, now: Instant) -> Opening {
        let at = self.choose(draw, now);
        self.last = Some(at);
        self.all[at].endpoint.open()
    }

    /// Passes over the server of the last connection for a while, since it sends its clients away.
    pub(super) fn avoid_last(&mut self, now: Instant) {
        if let Some(last) = self.last {
            self.all[last].left = Some(now);
        }
    }

    fn choose(&self, draw: u64, now: Instant) -> usize {
        let is_avoided = |known: &Known| known.left.is_some_and(|left| now < left + AVOIDED_FOR);
        let places = || self.all.iter().enumerate();
        let good = || places().filter(|(at, known)| Some(*at) != self.last && !is_avoided(known)).map(|(at, _)| at);
        let drawn = |count: usize| usize::try_from(draw % count as u64).expect("it is below a count");
        match good().count() {
            0 => drawn(self.all.len()),
            count => good().nth(drawn(count)).expect("it is below their count"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_next_server_is_any_but_the_last() {
        let mut endpoints = servers(4);
        assert_eq!(chosen(&endpoints, Instant::now()), (0..4).collect());
        endpoints.last = Some(2);
        assert_eq!(chosen(&endpoints, Instant::now()), [0, 1, 3].into());
        let mut alone = servers(1);
        alone.last = Some(0);
        assert_eq!(chosen(&alone, Instant::now()), [0].into());
    }

    #[test]
    fn a_server_that_sent_the_client_away_is_passed_over_for_a_while() {
        let (mut endpoints, now) = (servers(3), Instant::now());
        endpoints.last = Some(0);
        endpoints.avoid_last(now);
        assert_eq!(chosen(&endpoints, now), [1, 2].into());
        // Neither when another one is lost.
        endpoints.last = Some(1);
        assert_eq!(chosen(&endpoints, now), [2].into());
        assert_eq!(chosen(&endpoints, now + AVOIDED_FOR), [0, 2].into());
        // Where nobody is left that is better, anybody will do.
        endpoints.avoid_last(now);
        endpoints.last = Some(2);
        assert_eq!(chosen(&endpoints, now), [0, 1, 2].into());
        let mut alone = servers(1);
        alone.last = Some(0);
        alone.avoid_last(now);
        assert_eq!(chosen(&alone, now), [0].into());
    }

    fn servers(count: usize) -> Endpoints {
        Endpoints::new((0..count).map(|_| parse("ws://127.0.0.1:7400/v1/ws").unwrap()).collect())
    }

    fn chosen(endpoints: &Endpoints, now: Instant) -> BTreeSet<usize> {
        (0..40).map(|draw| endpoints.choose(draw, now)).collect()
    }

    fn parse(url: &str) -> Result<Endpoint, ConnectError> {
        Endpoint::parse(url, Format::Json, None, 4096)
    }

    #[test]
    fn addresses_with_and_without_a_port() {
        for (url, host, port) in [
            ("ws://127.0.0.1:7400/v1/ws", "127.0.0.1", 7400),
            ("ws://chat.example/v1/ws", "chat.example", 80),
            ("ws://[::1]:7400/v1/ws", "::1", 7400),
        ] {
            let endpoint = parse(url).unwrap();
            assert_eq!((endpoint.host.as_str(), endpoint.port), (host, port));
        }
    }

    #[test]
    fn what_is_not_an_address_is_named_in_the_error() {
        for url in ["http://127.0.0.1/", "127.0.0.1:7400", "ws://", "", "ws://a b/"] {
            let error = parse(url).unwrap_err();
            assert!(matches!(&error, ConnectError::Url { url: named, .. } if named == url), "{error}");
        }
    }
}
