//! The socket: frames of one format over a WebSocket, with bounded buffers.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rollcall_protocol::limits::{FRAME_BYTES_BEFORE_HELLO_MAX, FRAME_BYTES_MAX};
use rollcall_protocol::{CloseCode, Format};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

/// The library allocates this much for each connection and fills it with zeros before each read: its default of 128 KiB costs
/// 130 KiB for an idle connection, 1 KiB costs 2.8.
const READ_BUFFER_BYTES: usize = 1024;
/// Frames gather in memory up to this size before they are written; taken only while something is written.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// Above this the library answers that the buffer is full; the writer waits for the socket long before.
const WRITE_BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A connection's socket.
pub struct Socket {
    stream: WebSocketStream<Gate>,
    format: Format,
    write_stall: Duration,
}

/// What came in.
#[derive(Debug)]
pub enum Received {
    /// A frame.
    Frame(Bytes),
    /// The connection is over; with the code to close with, where the client is to be told why.
    Over(Option<CloseCode>),
}

/// The socket took nothing for too long, or is broken.
#[derive(Debug)]
pub enum WriteError {
    /// It took nothing for too long.
    Stalled,
    /// It is broken.
    Broken,
}

impl Socket {
    /// Takes an upgraded connection over.
    pub async fn new(upgraded: Upgraded, format: Format, write_stall: Duration) -> Self {
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = READ_BUFFER_BYTES;
        config.write_buffer_size = WRITE_BUFFER_BYTES;
        config.max_write_buffer_size = WRITE_BUFFER_BYTES_MAX;
        config.max_message_size = Some(FRAME_BYTES_MAX);
        config.max_frame_size = Some(FRAME_BYTES_MAX);
        // A client may send other commands right after hello, so some bytes beyond the frame may be read with it.
        let allowance = FRAME_BYTES_BEFORE_HELLO_MAX + READ_BUFFER_BYTES;
        let gate = Gate { io: TokioIo::new(upgraded), allowance: Some(allowance) };
        let stream = WebSocketStream::from_raw_socket(gate, Role::Server, Some(config)).await;
        Self { stream, format, write_stall }
    }

    /// Returns the format of the connection's frames.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Lets frames of full size in, after hello.
    pub fn open_gate(&mut self) {
        self.stream.get_mut().allowance = None;
    }

    /// Waits for the next frame.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn receive(&mut self) -> Received {
        loop {
            let message = match self.stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Received::Over(self.verdict(&error)),
                None => return Received::Over(None),
            };
            match (message, self.format) {
                (Message::Text(text), Format::Json) => return Received::Frame(text.into()),
                (Message::Binary(bytes), Format::MsgPack) => return Received::Frame(bytes),
                (Message::Text(_) | Message::Binary(_) | Message::Frame(_), _) => {
                    return Received::Over(Some(CloseCode::BadRequest));
                }
                // After a close frame the next turn answers it, and ends the stream.
                (Message::Ping(_) | Message::Pong(_) | Message::Close(_), _) => {}
            }
        }
    }

    /// Tells how the client is to be told of a broken connection; not at all where it cannot be.
    fn verdict(&self, error: &Error) -> Option<CloseCode> {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Some(CloseCode::FrameTooLarge),
            // The client is gone, without the formalities.
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
            Error::Io(_) if self.stream.get_ref().allowance == Some(0) => Some(CloseCode::FrameTooLarge),
            Error::Protocol(_) | Error::Utf8(_) => Some(CloseCode::BadRequest),
            _ => None,
        }
    }

    /// Encodes a frame and gathers it for the next flush.
    ///
    /// # Errors
    /// Where the socket takes nothing for too long, or is broken.
    pub async fn feed<T: Serialize>(
        &mut self,
        frame: &rollcall_protocol::Outgoing<'_, T>,
    ) -> Result<usize, WriteError> {
        self.feed_bytes(Bytes::from(self.format.encode(frame))).await
    }

    /// Gathers an encoded frame for the next flush; returns its size.
    ///
    /// # Errors
    /// Where the socket takes nothing for too long, or is broken.
    pub async fn feed_bytes(&mut self, bytes: Bytes) -> Result<usize, WriteError> {
        let size = bytes.len();
        let message = match self.format {
            Format::Json => Message::Text(Utf8Bytes::try_from(bytes).expect("JSON is UTF-8")),
            Format::MsgPack => Message::Binary(bytes),
        };
        let fed = tokio::time::timeout(self.write_stall, self.stream.feed(message)).await;
        fed.map_err(|_| WriteError::Stalled)?.map_err(|_| WriteError::Broken)?;
        Ok(size)
    }

    /// Writes what was gathered.
    ///
    /// # Errors
    /// Where the socket takes nothing for too long, or is broken.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        let flushed = tokio::time::timeout(self.write_stall, self.stream.flush()).await;
        flushed.map_err(|_| WriteError::Stalled)?.map_err(|_| WriteError::Broken)
    }

    /// Sends a close frame and waits a moment for the client's.
    pub async fn close(&mut self, code: CloseCode) {
        let frame = CloseFrame { code: WireCloseCode::from(code.number()), reason: code.reason().into() };
        let closing = async {
            self.stream.get_mut().allowance = None;
            if self.stream.close(Some(frame)).await.is_err() {
                return;
            }
            while let Some(Ok(message)) = self.stream.next().await {
                if message.is_close() {
                    return;
                }
            }
            // A socket that is dropped with bytes unread is reset, and the close frame may be lost with it.
            let mut rest = [0; 1024];
            while matches!(self.stream.get_mut().read(&mut rest).await, Ok(1..)) {}
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    }
}

/// How long a client may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Lets a limited number of bytes in until it is opened, so that nobody who has not said hello takes memory.
struct Gate {
    io: TokioIo<Upgraded>,
    /// Bytes that may still be read; none: any number.
    allowance: Option<usize>,
}

impl AsyncRead for Gate {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.allowance == Some(0) {
            return Poll::Ready(Err(io::Error::other("too many bytes before hello")));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        if let Some(allowance) = &mut self.allowance {
            *allowance = allowance.saturating_sub(read);
        }
        polled
    }
}

impl AsyncWrite for Gate {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
