//! The socket: frames of one format over a WebSocket. Its buffers are bounded, and none is there while nothing is under way: most
//! connections are idle most of the time, and what each of them holds is what a server of many needs.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut as _, Bytes};
use rollcall_protocol::limits::{FRAME_BYTES_BEFORE_HELLO_MAX, FRAME_BYTES_MAX};
use rollcall_protocol::{CloseCode, Format, Outgoing};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode as WireCloseCode, Control, Data, OpCode};

use super::messages::{Breach, Message, Messages};

/// Frames gather in memory up to this size before they are written.
const GATHERED_BYTES_MAX: usize = 16 * 1024;
/// How long a client may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection's socket.
pub struct Socket {
    stream: TcpStream,
    messages: Messages,
    /// Frames that were gathered, and how many of their bytes are written.
    gathered: Vec<u8>,
    written: usize,
    write_stall: Duration,
    format: Format,
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
    /// Takes an upgraded connection over, of which some bytes may have been read already. Until the gate is opened no frame is
    /// larger than a hello may be.
    pub fn new(stream: TcpStream, read: &[u8], format: Format, write_stall: Duration) -> Self {
        let messages = Messages::new(read, FRAME_BYTES_BEFORE_HELLO_MAX);
        Self { stream, messages, gathered: Vec::new(), written: 0, write_stall, format }
    }

    /// Returns the format of the connection's frames.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Lets frames of full size in, after hello.
    pub fn open_gate(&mut self) {
        self.messages.allow(FRAME_BYTES_MAX);
    }

    /// Waits for the next frame.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn receive(&mut self) -> Received {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Takes the next frame, or has the task woken when there may be one.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        // Answers to pings, which the socket did not take at once.
        if !self.gathered.is_empty() && matches!(self.poll_flush(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Received::Over(None));
        }
        loop {
            let message = match ready!(self.poll_message(cx)) {
                Ok(Some(message)) => message,
                Ok(None) => return Poll::Ready(Received::Over(None)),
                Err(Breach::TooLarge) => return Poll::Ready(Received::Over(Some(CloseCode::FrameTooLarge))),
                Err(Breach::Malformed) => return Poll::Ready(Received::Over(Some(CloseCode::BadRequest))),
            };
            match (message, self.format) {
                (Message::Text(bytes), Format::Json) | (Message::Binary(bytes), Format::MsgPack) => {
                    return Poll::Ready(Received::Frame(bytes));
                }
                (Message::Text(_) | Message::Binary(_), _) => {
                    return Poll::Ready(Received::Over(Some(CloseCode::BadRequest)));
                }
                (Message::Ping(payload), _) => {
                    // Who does not read the answers gets no more of them.
                    if self.gathered.len() < GATHERED_BYTES_MAX {
                        self.gather(OpCode::Control(Control::Pong), &payload);
                    }
                    if let Poll::Ready(Err(_)) = self.poll_flush(cx) {
                        return Poll::Ready(Received::Over(None));
                    }
                }
                (Message::Pong, _) => {}
                (Message::Close(answer), _) => {
                    self.gather_close(answer);
                    // If the socket does not take it now, its client does not read any more.
                    let _ = self.poll_flush(cx);
                    return Poll::Ready(Received::Over(None));
                }
            }
        }
    }

    /// Encodes a frame and gathers it for the next flush; returns its size.
    pub fn feed<T: Serialize>(&mut self, frame: &Outgoing<'_, T>) -> usize {
        self.feed_bytes(&self.format.encode(frame))
    }

    /// Gathers an encoded frame for the next flush; returns its size.
    pub fn feed_bytes(&mut self, bytes: &[u8]) -> usize {
        let data = match self.format {
            Format::Json => Data::Text,
            Format::MsgPack => Data::Binary,
        };
        self.gather(OpCode::Data(data), bytes);
        bytes.len()
    }

    /// Tells whether enough was gathered to be written.
    pub fn is_full(&self) -> bool {
        self.gathered.len() >= GATHERED_BYTES_MAX
    }

    /// Writes what was gathered.
    ///
    /// # Errors
    /// Where the socket takes nothing for too long, or is broken.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        match poll_fn(|cx| Poll::Ready(self.poll_flush(cx))).await {
            Poll::Ready(flushed) => flushed.map_err(|_| WriteError::Broken),
            // Rare, and a timer is large: it has no place in the connection's task while nothing waits for it.
            Poll::Pending => Box::pin(self.flush_patiently()).await,
        }
    }

    async fn flush_patiently(&mut self) -> Result<(), WriteError> {
        while !self.gathered.is_empty() {
            let wrote = timeout(self.write_stall, poll_fn(|cx| self.poll_write(cx))).await;
            wrote.map_err(|_| WriteError::Stalled)?.map_err(|_| WriteError::Broken)?;
        }
        Ok(())
    }

    /// Sends a close frame and waits a moment for the client's.
    pub async fn close(&mut self, code: CloseCode) {
        let closing = async {
            self.gather_close(Some(CloseFrame {
                code: WireCloseCode::from(code.number()),
                reason: code.reason().into(),
            }));
            if self.flush().await.is_err() {
                return;
            }
            self.open_gate();
            loop {
                match poll_fn(|cx| self.poll_message(cx)).await {
                    Ok(Some(Message::Close(_))) => return,
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => break,
                }
            }
            // A socket that is dropped with bytes unread is reset, and the close frame may be lost with it.
            self.messages.discard();
            let mut rest = [0; 1024];
            while matches!(self.stream.read(&mut rest).await, Ok(1..)) {}
        };
        let _ = timeout(CLOSE_TIMEOUT, closing).await;
    }

    /// Takes the next message, of whatever kind; none when there will be no other.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Breach>> {
        loop {
            if let Some(message) = self.messages.next()? {
                return Poll::Ready(Ok(Some(message)));
            }
            // The buffer is made when there is something to read, and given back when all of it was taken.
            let Poll::Ready(read) = self.poll_read(cx) else {
                self.messages.rest();
                return Poll::Pending;
            };
            if !matches!(read, Ok(1..)) {
                return Poll::Ready(Ok(None));
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.stream.poll_read_ready(cx))?;
        pin!(self.stream.read_buf(self.messages.input())).poll(cx)
    }

    fn gather(&mut self, opcode: OpCode, payload: &[u8]) {
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        let length = payload.len() as u64;
        self.gathered.reserve(header.len(length) + payload.len());
        header.format(length, &mut (&mut self.gathered).writer()).expect("a vector takes everything");
        self.gathered.extend_from_slice(payload);
    }

    fn gather_close(&mut self, frame: Option<CloseFrame>) {
        let mut payload = Vec::new();
        if let Some(CloseFrame { code, reason }) = frame {
            payload.put_u16(code.into());
            payload.put_slice(reason.as_bytes());
        }
        self.gather(OpCode::Control(Control::Close), &payload);
    }

    /// Writes until nothing is left.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            ready!(self.poll_write(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes once; gives the buffer back when all of it is written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wrote = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.gathered[self.written..]))?;
        if wrote == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.written += wrote;
        if self.written == self.gathered.len() {
            (self.gathered, self.written) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
