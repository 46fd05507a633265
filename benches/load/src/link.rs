//! A lean connection: frames in, commands out, and nothing between. It does not reconnect and repairs nothing, so that one
//! core can carry a thousand of them and still decode every delivery.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyhow::{Context as _, anyhow, bail};
use futures_util::{Sink as _, Stream as _};
use rollcall_protocol::{
    Body, CloseCode, Command, Format, Hello, Incoming, OkFields, Op, OutgoingCommand, Pong, Welcome,
};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::target::Endpoint;

/// Commands that are fed by their caller are numbered above this, so that none is taken for one of [`Link::ask`], of which
/// there are a few before.
pub const ASKED_ID_MAX: u64 = 99;

/// What a connection reads at once, in bytes. Ten thousand of these buffers must fit beside the server.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// The server closed a connection with a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The code.
    pub code: u16,
    /// What the server said with it.
    pub reason: String,
}

impl Closed {
    /// Tells whether the connection went beyond the server's rate.
    pub fn is_rate_limited(&self) -> bool {
        self.code == CloseCode::RateLimited.number()
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server closed with code {}: {}", self.code, self.reason)
    }
}

impl std::error::Error for Closed {}

/// A connection whose hello was accepted.
pub struct Link {
    socket: WebSocketStream<TcpStream>,
    format: Format,
    /// Something was written and not flushed.
    dirty: bool,
    /// The number of the last command of `ask`.
    asked_id: u64,
}

impl Link {
    /// Connects and says hello as a user of this name (where the endpoint has a secret to make tokens with; else as a
    /// guest, whose name the server draws).
    ///
    /// # Errors
    /// Where the server is not there, or does not accept the connection.
    pub async fn open(endpoint: &Endpoint, user: &str, device: &str) -> anyhow::Result<(Self, Welcome)> {
        let stream = TcpStream::connect(endpoint.address()).await.context("failed to connect")?;
        stream.set_nodelay(true).context("failed to set TCP_NODELAY")?;
        let mut request = endpoint.url().into_client_request().context("failed to make a request of the url")?;
        let subprotocol = HeaderValue::from_static(endpoint.format().subprotocol());
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let (socket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config))
            .await
            .context("failed to open the WebSocket")?;

        let mut link = Self { socket, format: endpoint.format(), dirty: false, asked_id: 0 };
        let hello = Hello {
            token: endpoint.token_of(user)?,
            device: Some(device.parse().context("failed to name the device")?),
            session: None,
            attempt: 0,
        };
        let welcome = link
            .ask(Op::Hello(hello))
            .await
            .context("failed to say hello")?
            .welcome()
            .ok_or_else(|| anyhow!("hello was answered with something else"))?;
        Ok((link, welcome))
    }

    /// Queues a command. It leaves with the next [`next`](Self::next) or [`try_next`](Self::try_next), together with
    /// all that was queued with it.
    ///
    /// # Errors
    /// Where the connection has ended.
    pub fn feed(&mut self, command: &OutgoingCommand) -> anyhow::Result<()> {
        let bytes = self.format.encode_command(command);
        let message = match self.format {
            Format::Json => Message::Text(Utf8Bytes::try_from(bytes).expect("JSON is UTF-8")),
            Format::MsgPack => Message::Binary(bytes.into()),
        };
        // The library's write buffer has no limit of its own: what waits is limited by who feeds, and reading goes on
        // meanwhile, so that two full sockets never wait for each other.
        Pin::new(&mut self.socket).start_send(message).context("failed to send")?;
        self.dirty = true;
        Ok(())
    }

    /// Sends what was queued, and waits for the next frame; none where the server ended the connection. Pings are
    /// answered here.
    ///
    /// # Errors
    /// Where the connection broke, or what came is not a frame.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost.
    pub async fn next(&mut self) -> anyhow::Result<Option<Incoming>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Takes the next frame if it is there already.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn try_next(&mut self) -> anyhow::Result<Option<Incoming>> {
        std::future::poll_fn(|context| {
            Poll::Ready(match self.poll_next(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending => Ok(None),
            })
        })
        .await
    }

    /// Sends one command and waits for its answer, letting pushes pass. For use where nothing else is going on.
    ///
    /// # Errors
    /// Where it is refused, or the connection ends.
    pub async fn ask(&mut self, op: Op<Body>) -> anyhow::Result<Box<OkFields>> {
        self.asked_id += 1;
        let id = self.asked_id;
        self.feed(&Command { id: Some(id), op })?;
        loop {
            match self.next().await? {
                Some(Incoming::Ok(answered, fields)) if answered == id => return Ok(fields),
                Some(Incoming::Error(answered, error)) if answered.is_none_or(|answered| answered == id) => {
                    return Err(error.into());
                }
                Some(_) => {}
                None => bail!("the server closed the connection"),
            }
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<anyhow::Result<Option<Incoming>>> {
        loop {
            if self.dirty {
                match Pin::new(&mut self.socket).poll_flush(context) {
                    Poll::Ready(flushed) => {
                        flushed.context("failed to send")?;
                        self.dirty = false;
                    }
                    Poll::Pending => {}
                }
            }
            let message = match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(message) => message.context("failed to receive")?,
                None => return Poll::Ready(Ok(None)),
            };
            let frame = match &message {
                Message::Text(text) => self.format.decode(text.as_bytes())?,
                Message::Binary(bytes) => self.format.decode(bytes)?,
                Message::Close(Some(frame)) => {
                    let closed = Closed { code: frame.code.into(), reason: frame.reason.to_string() };
                    return Poll::Ready(Err(closed.into()));
                }
                Message::Close(None) => return Poll::Ready(Ok(None)),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            match frame {
                Incoming::Ping(_) => self.feed(&Command { id: None, op: Op::Pong(Pong {}) })?,
                Incoming::Unknown => {}
                frame => return Poll::Ready(Ok(Some(frame))),
            }
        }
    }
}
