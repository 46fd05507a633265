//! The commands of the machines, as Redis takes them, and what it answers.

use std::sync::Arc;

use redis::{Cmd, FromRedisValue as _, ParsingError, Value, cmd};
use rollcall_actors::cluster::ownership::{ROSTER_KEEPS_MS, RedisAnswer, RedisCommand};

const RENEW: &str = "\
local held, ttl, time = redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]), redis.call('TIME')
if not held or string.sub(held, 1, 16) == string.sub(ARGV[1], 1, 16) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return {held, ttl, time[1], time[2]}";

const DELETE: &str = "\
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, 16) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1";

const READ_NODE: &str = "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}";

const ENROLL: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + ARGV[2], '+inf')
return redis.call('ZRANGE', KEYS[1], 0, -1)";

const SWAP: &str = "\
local held = redis.call('GET', KEYS[1]) or ''
if held ~= ARGV[1] then return {0, held} end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end
return {1, held}";

const RAISE: &str = "\
local held = tonumber(redis.call('GET', KEYS[1]) or '')
if not held or held < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return 1";

/// What commands are about, by the names that metrics give them.
pub const COMMAND_KINDS: [&str; 5] = ["renewal", "node", "owner", "epoch", "hint"];

/// Returns a command's place in [`COMMAND_KINDS`].
pub(super) fn kind_of(command: &RedisCommand) -> usize {
    match command {
        RedisCommand::RenewNode { .. } => 0,
        RedisCommand::DeleteNode { .. } | RedisCommand::ReadNode { .. } | RedisCommand::Enroll { .. } => 1,
        RedisCommand::ReadOwner { .. } | RedisCommand::SwapOwner { .. } => 2,
        RedisCommand::DrawEpoch { .. } | RedisCommand::RaiseEpoch { .. } => 3,
        RedisCommand::ReadSeq { .. } | RedisCommand::RaiseSeq { .. } | RedisCommand::CorrectSeq { .. } => 4,
    }
}

/// Writes a command.
pub(super) fn to_redis(command: &RedisCommand) -> Cmd {
    let key = command.key();
    let script = |text: &str| cmd("EVAL").arg(text).arg(1).arg(&key).take();
    match command {
        RedisCommand::RenewNode { record, ttl_ms, .. } => script(RENEW).arg(record.to_string()).arg(*ttl_ms).take(),
        RedisCommand::DeleteNode { incarnation, .. } => script(DELETE).arg(incarnation.to_string()).take(),
        RedisCommand::ReadNode { .. } => script(READ_NODE),
        RedisCommand::Enroll { node } => script(ENROLL).arg(&*node.0).arg(ROSTER_KEEPS_MS).take(),
        RedisCommand::ReadOwner { .. } | RedisCommand::ReadSeq { .. } => cmd("GET").arg(&key).take(),
        RedisCommand::SwapOwner { expected, new, .. } => {
            let bytes = |text: &Option<Arc<str>>| bytes_of(text.as_deref().unwrap_or_default());
            script(SWAP).arg(bytes(expected)).arg(bytes(new)).take()
        }
        RedisCommand::DrawEpoch { .. } => cmd("INCR").arg(&key).take(),
        RedisCommand::RaiseEpoch { to, .. } => script(RAISE).arg(to.get()).take(),
        RedisCommand::RaiseSeq { to, .. } => script(RAISE).arg(to.get()).take(),
        RedisCommand::CorrectSeq { to, .. } => cmd("SET").arg(&key).arg(to.get()).take(),
    }
}

/// Reads the answer to a command; `Failed` where it is none.
pub(super) fn from_redis(command: &RedisCommand, value: Value) -> RedisAnswer {
    read(command, value).unwrap_or_else(|error| RedisAnswer::Failed(format!("a strange answer: {error}")))
}

fn read(command: &RedisCommand, value: Value) -> Result<RedisAnswer, ParsingError> {
    Ok(match command {
        RedisCommand::RenewNode { .. } => {
            let (held, ttl_ms, seconds, micros) = <(Value, i64, i64, i64)>::from_redis_value(value)?;
            let redis_ms = seconds.saturating_mul(1_000).saturating_add(micros / 1_000);
            RedisAnswer::Renewal { held: text(held)?, held_ttl_ms: ttl(ttl_ms), redis_ms }
        }
        RedisCommand::ReadNode { .. } => {
            let (held, ttl_ms) = <(Value, i64)>::from_redis_value(value)?;
            RedisAnswer::Node(text(held)?.map(|held| (held, ttl(ttl_ms))))
        }
        RedisCommand::Enroll { .. } => {
            let names = Vec::<Value>::from_redis_value(value)?;
            let names = names.into_iter().filter_map(|name| text(name).transpose());
            RedisAnswer::Roster(names.collect::<Result<_, _>>()?)
        }
        RedisCommand::ReadOwner { .. } | RedisCommand::ReadSeq { .. } => RedisAnswer::Text(text(value)?),
        RedisCommand::SwapOwner { .. } => {
            let (swapped, held) = <(i64, Value)>::from_redis_value(value)?;
            let held = text(held)?.filter(|held| !held.is_empty());
            if swapped == 1 { RedisAnswer::Swapped } else { RedisAnswer::Found(held) }
        }
        RedisCommand::DrawEpoch { .. } => RedisAnswer::Number(i64::from_redis_value(value)?),
        RedisCommand::DeleteNode { .. }
        | RedisCommand::RaiseEpoch { .. }
        | RedisCommand::RaiseSeq { .. }
        | RedisCommand::CorrectSeq { .. } => RedisAnswer::Done,
    })
}

/// Reads a text that may be absent. A script's absent value is `false`, which comes as nil.
fn text(value: Value) -> Result<Option<Arc<str>>, ParsingError> {
    let bytes = Option::<Vec<u8>>::from_redis_value(value)?;
    Ok(bytes.map(text_of))
}

/// Reads how long a key lives on, in milliseconds: 0 where it does not end by itself.
fn ttl(ttl_ms: i64) -> u64 {
    u64::try_from(ttl_ms).unwrap_or(0)
}

/// Marks a text that stands for bytes which are none.
const NO_TEXT: char = char::REPLACEMENT_CHARACTER;

/// Makes a text of what a key holds, so that it can be compared with the key again, whatever somebody put there.
fn text_of(bytes: Vec<u8>) -> Arc<str> {
    match String::from_utf8(bytes) {
        Ok(text) if !text.starts_with(NO_TEXT) => text.into(),
        Ok(text) => escaped(text.as_bytes()),
        Err(error) => escaped(error.as_bytes()),
    }
}

fn escaped(bytes: &[u8]) -> Arc<str> {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    std::iter::once(NO_TEXT.to_string()).chain(digits).collect::<String>().into()
}

fn bytes_of(text: &str) -> Vec<u8> {
    let Some(digits) = text.strip_prefix(NO_TEXT) else { return text.as_bytes().to_vec() };
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.as_bytes().chunks(2).filter_map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_key_holds_can_be_compared_with_it_again() {
        for bytes in [&b"12 n1 0000000000000007"[..], b"", b"\xff\xfe", b"a\0b", "\u{fffd}ab".as_bytes()] {
            assert_eq!(bytes_of(&text_of(bytes.to_vec())), bytes);
        }
        assert_eq!(&*text_of(b"plain".to_vec()), "plain");
    }

    #[test]
    fn a_strange_answer_is_a_failure() {
        let room = rollcall_protocol::RoomId::parse("r").unwrap();
        for command in [RedisCommand::DrawEpoch { room: room.clone() }, RedisCommand::ReadOwner { room }] {
            let answer = from_redis(&command, Value::Array(vec![Value::Nil]));
            assert!(matches!(answer, RedisAnswer::Failed(_)), "{answer:?}");
        }
    }
}
