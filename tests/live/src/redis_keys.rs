//! What Redis holds, put aside and brought back.

use anyhow::{bail, ensure};
use rollcall_services::{Redis, Reply};

/// Copies all keys into the next database. Keys that expire are noted there, and kept.
const PUT_ASIDE: &str = "\
redis.call('SELECT', 1) redis.call('FLUSHDB') redis.call('SELECT', 0)
local keys = redis.call('KEYS', '*')
for _, key in ipairs(keys) do
  local ttl_ms = redis.call('PTTL', key)
  redis.call('COPY', key, key, 'DB', 1, 'REPLACE')
  if ttl_ms > 0 then
    redis.call('SELECT', 1)
    redis.call('PERSIST', key)
    redis.call('HSET', 'rewound:ttl_ms', key, ttl_ms)
    redis.call('SELECT', 0)
  end
end
return #keys";

/// Brings them back in place of what is there now, each with the time to live that it had.
const BRING_BACK: &str = "\
redis.call('SELECT', 1)
local ttls = redis.call('HGETALL', 'rewound:ttl_ms')
for at = 1, #ttls, 2 do redis.call('PEXPIRE', ttls[at], ttls[at + 1]) end
redis.call('DEL', 'rewound:ttl_ms')
local keys = redis.call('DBSIZE')
redis.call('SELECT', 0)
redis.call('FLUSHDB')
redis.call('SWAPDB', 0, 1)
return keys";

/// Puts aside what a server holds now; returns how many keys it is.
///
/// # Errors
/// Where it does not answer.
pub fn put_aside(redis: &Redis) -> anyhow::Result<i64> {
    evaluate(redis, PUT_ASIDE)
}

/// Has a server hold again what was put aside, and nothing else; returns how many keys it is.
///
/// # Errors
/// Where it does not answer.
pub fn bring_back(redis: &Redis) -> anyhow::Result<i64> {
    evaluate(redis, BRING_BACK)
}

/// Has a server forget everything.
///
/// # Errors
/// Where it does not.
pub fn flush(redis: &Redis) -> anyhow::Result<()> {
    let reply = redis.command(&["FLUSHALL"])?;
    ensure!(reply == Reply::Text("OK".to_owned()), "FLUSHALL was answered with {reply:?}");
    Ok(())
}

/// Tells whether a server is a master, as it says itself.
pub fn is_master(redis: &Redis) -> bool {
    let role = redis.command(&["ROLE"]);
    role.is_ok_and(|role| role.as_list().first().and_then(Reply::as_text) == Some("master"))
}

fn evaluate(redis: &Redis, script: &str) -> anyhow::Result<i64> {
    match redis.command(&["EVAL", script, "0"])? {
        Reply::Integer(keys) => Ok(keys),
        other => bail!("the script was answered with {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use rollcall_services::{Redis, Reply, unless_skipped};

    use super::*;

    #[test]
    fn on_a_redis_everything_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
        let ask = |words: &[&str]| redis.command(words).unwrap();
        for words in [&["SET", "a", "1"][..], &["SET", "lease", "n1", "PX", "60000"], &["INCR", "epoch"]] {
            ask(words);
        }
        assert_eq!(put_aside(&redis).unwrap(), 3);
        for words in [&["SET", "a", "2"][..], &["DEL", "lease"], &["INCR", "epoch"], &["SET", "new", "x"]] {
            ask(words);
        }
        assert_eq!(bring_back(&redis).unwrap(), 3);
        assert_eq!(
            ask(&["MGET", "a", "lease", "epoch", "new"]).as_list(),
            [Reply::Text("1".to_owned()), Reply::Text("n1".to_owned()), Reply::Text("1".to_owned()), Reply::Nil]
        );
        let Reply::Integer(ttl_ms) = ask(&["PTTL", "lease"]) else { panic!("a time to live is a number") };
        assert!((1..=60_000).contains(&ttl_ms), "{ttl_ms}");
        assert_eq!(ask(&["PTTL", "a"]), Reply::Integer(-1));
        flush(&redis).unwrap();
        assert_eq!(ask(&["DBSIZE"]), Reply::Integer(0));
    }
}
