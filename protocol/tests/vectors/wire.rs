//! The same frame in both formats.

use rollcall_protocol::{Format, IncomingCommand, NewBody, Op, OutgoingCommand, Write};
use serde_json::Value;

/// Writes JSON text in a format, field by field as it stands there: repeated ones too.
pub fn written(format: Format, json: &str) -> Vec<u8> {
    match format {
        Format::Json => json.as_bytes().to_vec(),
        Format::MsgPack => {
            let mut bytes = Vec::new();
            let mut reader = serde_json::Deserializer::from_str(json);
            serde_transcode::transcode(&mut reader, &mut rmp_serde::Serializer::new(&mut bytes))
                .expect("the tests' JSON is JSON");
            bytes
        }
    }
}

/// Reads a frame as a value of no particular shape.
pub fn value(format: Format, frame: &[u8]) -> Value {
    match format {
        Format::Json => serde_json::from_slice(frame).expect("the frame is JSON"),
        Format::MsgPack => rmp_serde::from_slice(frame).expect("the frame is MessagePack"),
    }
}

/// Turns a command as it arrived into the one that was sent; none if its body is beyond a limit.
pub fn as_sent(command: IncomingCommand) -> Option<OutgoingCommand> {
    let op = match command.op {
        Op::Hello(hello) => Op::Hello(hello),
        Op::Join(join) => Op::Join(join),
        Op::Leave(leave) => Op::Leave(leave),
        Op::Write(op, write) => {
            let body = write.body.map(NewBody::check).transpose().ok()?;
            let Write { room, n, prev, since, target, .. } = write;
            Op::Write(op, Write { room, n, prev, since, target, body })
        }
        Op::Typing(typing) => Op::Typing(typing),
        Op::History(history) => Op::History(history),
        Op::Refresh(refresh) => Op::Refresh(refresh),
        Op::Pong(pong) => Op::Pong(pong),
        Op::Unknown(name) => Op::Unknown(name),
    };
    Some(OutgoingCommand { id: command.id, op })
}

/// Reads hexadecimal digits.
pub fn unhex(digits: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("the digits are hexadecimal");
    (0..digits.len()).step_by(2).map(pair).collect()
}
