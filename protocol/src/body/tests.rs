//! Tests of bodies: the same value is the same stored text, however it was sent; what one format cannot tell is refused.

mod any_json;
mod normalisation;
mod refusals;
mod sizes;

use super::{Body, BodyError, NewBody};
use crate::{Format, Op};

/// A `send` whose body is the given JSON text.
fn json_frame(body: &str) -> Vec<u8> {
    format!(r#"{{"id":1,"send":{{"room":"r","n":1,"body":{body}}}}}"#).into_bytes()
}

/// A `send` whose body is the given MessagePack value.
fn msgpack_frame(body: &[u8]) -> Vec<u8> {
    [b"\x82\xa2id\x01\xa4send\x83\xa4room\xa1r\xa1n\x01\xa4body".as_slice(), body].concat()
}

/// Reads the frame of a `send` and takes its body; the text of an error if it is none.
fn sent_body(format: Format, frame: &[u8]) -> Result<NewBody, String> {
    match format.decode_command(frame).map_err(|error| error.to_string())?.op {
        Op::Write(_, write) => write.body.ok_or_else(|| "no body".to_owned()),
        op => Err(format!("not a send but {op:?}")),
    }
}

fn from_json(body: &str) -> Result<Body, BodyError> {
    sent_body(Format::Json, &json_frame(body)).map_err(BodyError::Invalid)?.check()
}

fn from_msgpack(body: &[u8]) -> Result<Body, BodyError> {
    sent_body(Format::MsgPack, &msgpack_frame(body)).map_err(BodyError::Invalid)?.check()
}

/// Returns why a body was refused as one that cannot be told in both formats.
fn refusal(result: Result<Body, BodyError>) -> String {
    match result {
        Err(BodyError::Invalid(reason)) => reason,
        other => panic!("{other:?} instead of a refusal"),
    }
}
