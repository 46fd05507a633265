//! What a client sends, put together to messages (RFC 6455). Pure, and without a buffer while there is nothing in it: an idle
//! connection holds none.

use std::io::Cursor;

use bytes::{Buf, Bytes, BytesMut};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// The payload of a control frame has at most this many bytes.
const CONTROL_BYTES_MAX: u64 = 125;
/// Room that is made before the socket is read.
const READ_BYTES: usize = 4 * 1024;
/// The same while a large frame is under way. What a header only claims takes no memory.
const READ_BYTES_MAX: usize = 64 * 1024;

/// What a client sent and has not been taken yet.
#[derive(Debug)]
pub struct Messages {
    input: BytesMut,
    /// The first pieces of a message that comes in several frames.
    pieces: Option<Box<Pieces>>,
    message_bytes_max: usize,
}

#[derive(Debug)]
struct Pieces {
    is_text: bool,
    bytes: BytesMut,
}

/// A whole message.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// Text, in UTF-8.
    Text(Bytes),
    /// Bytes.
    Binary(Bytes),
    /// To be answered with the same payload.
    Ping(Bytes),
    /// The answer to a ping.
    Pong,
    /// The client wants to end the connection; with what it is to be answered.
    Close(Option<CloseFrame>),
}

/// Why nothing more can be read of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// A message has more bytes than it may.
    #[error("a message is too large")]
    TooLarge,
    /// It is not as RFC 6455 has it.
    #[error("the frames are not those of a WebSocket client")]
    Malformed,
}

impl Messages {
    /// Begins with what was read already; messages have at most `message_bytes_max` bytes.
    pub fn new(read: &[u8], message_bytes_max: usize) -> Self {
        Self { input: BytesMut::from(read), pieces: None, message_bytes_max }
    }

    /// Lets messages of another size in.
    pub fn allow(&mut self, message_bytes_max: usize) {
        self.message_bytes_max = message_bytes_max;
    }

    /// Returns where to put what is read, with space for some of it.
    pub fn input(&mut self) -> &mut BytesMut {
        let wanted = if self.input.is_empty() { READ_BYTES } else { self.missing().clamp(READ_BYTES, READ_BYTES_MAX) };
        self.input.reserve(wanted);
        &mut self.input
    }

    /// Gives the buffer back where nothing lies in it.
    pub fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// Drops what lies in the buffer.
    pub fn discard(&mut self) {
        self.input = BytesMut::new();
        self.pieces = None;
    }

    /// Takes the next whole message out; none if more has to be read first.
    ///
    /// # Errors
    /// Where nothing more can be read.
    pub fn next(&mut self) -> Result<Option<Message>, Breach> {
        while let Some((header, payload)) = self.next_frame()? {
            let message = match header.opcode {
                OpCode::Control(control) => Some(control_message(control, payload)?),
                OpCode::Data(data) => self.data_message(data, header.is_final, payload)?,
            };
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    /// Returns how many bytes of the frame under way are missing, as far as that is known.
    fn missing(&self) -> usize {
        let mut cursor = Cursor::new(&*self.input);
        match FrameHeader::parse(&mut cursor) {
            Ok(Some((_, length))) => usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(cursor.remaining()),
            _ => 0,
        }
    }

    fn next_frame(&mut self) -> Result<Option<(FrameHeader, BytesMut)>, Breach> {
        let mut cursor = Cursor::new(&*self.input);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| Breach::Malformed)? else {
            return Ok(None);
        };
        let header_bytes = self.input.len() - cursor.remaining();
        let is_control = matches!(header.opcode, OpCode::Control(_));
        if is_control && (!header.is_final || length > CONTROL_BYTES_MAX) || header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Breach::Malformed);
        }
        let Some(mask) = header.mask else { return Err(Breach::Malformed) };
        let before = self.pieces.as_ref().map_or(0, |pieces| pieces.bytes.len());
        let length = usize::try_from(length).map_err(|_| Breach::TooLarge)?;
        if !is_control && length > self.message_bytes_max.saturating_sub(before) {
            return Err(Breach::TooLarge);
        }
        if self.input.len() < header_bytes + length {
            return Ok(None);
        }
        self.input.advance(header_bytes);
        let mut payload = self.input.split_to(length);
        unmask(&mut payload, mask);
        Ok(Some((header, payload)))
    }

    fn data_message(&mut self, data: Data, is_final: bool, payload: BytesMut) -> Result<Option<Message>, Breach> {
        match (data, &mut self.pieces) {
            (Data::Text, None) if is_final => message(true, payload.freeze()).map(Some),
            (Data::Binary, None) if is_final => message(false, payload.freeze()).map(Some),
            (Data::Text | Data::Binary, None) => {
                // A copy: pieces may be tiny, and each would hold the buffer that it was read into.
                let bytes = BytesMut::from(&*payload);
                self.pieces = Some(Box::new(Pieces { is_text: data == Data::Text, bytes }));
                Ok(None)
            }
            (Data::Continue, Some(pieces)) => {
                pieces.bytes.extend_from_slice(&payload);
                if !is_final {
                    return Ok(None);
                }
                let whole = self.pieces.take().map(|pieces| message(pieces.is_text, pieces.bytes.freeze()));
                whole.transpose()
            }
            _ => Err(Breach::Malformed),
        }
    }

    /// Returns how much memory the buffers take, in bytes.
    #[cfg(test)]
    pub fn capacity_bytes(&self) -> usize {
        self.input.capacity() + self.pieces.as_ref().map_or(0, |pieces| pieces.bytes.capacity())
    }
}

fn message(is_text: bool, bytes: Bytes) -> Result<Message, Breach> {
    if !is_text {
        return Ok(Message::Binary(bytes));
    }
    std::str::from_utf8(&bytes).map_err(|_| Breach::Malformed)?;
    Ok(Message::Text(bytes))
}

fn control_message(control: Control, payload: BytesMut) -> Result<Message, Breach> {
    match control {
        Control::Ping => Ok(Message::Ping(payload.freeze())),
        Control::Pong => Ok(Message::Pong),
        Control::Close => Ok(Message::Close(close_answer(payload)?)),
        Control::Reserved(_) => Err(Breach::Malformed),
    }
}

/// Returns what a close frame is answered with: the same, unless its code is none that goes over the wire.
fn close_answer(mut payload: BytesMut) -> Result<Option<CloseFrame>, Breach> {
    match payload.len() {
        0 => Ok(None),
        1 => Err(Breach::Malformed),
        _ => {
            let code = CloseCode::from(payload.get_u16());
            let reason = Utf8Bytes::try_from(payload.freeze()).map_err(|_| Breach::Malformed)?;
            let is_allowed = code.is_allowed();
            let refused =
                CloseFrame { code: CloseCode::Protocol, reason: Utf8Bytes::from_static("protocol violation") };
            Ok(Some(if is_allowed { CloseFrame { code, reason } } else { refused }))
        }
    }
}

/// Takes the mask off a payload, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (blocks, rest) = payload.as_chunks_mut::<8>();
    for block in blocks {
        *block = (u64::from_ne_bytes(*block) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests;
