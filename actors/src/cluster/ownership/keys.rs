//! What the commands do, as data: a Redis that a simulator or a model can hold. The adapter's tests hold a real server against it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::{ROSTER_KEEPS_MS, RedisAnswer, RedisCommand};

/// The keys of a Redis. Forgetting them, or going back to earlier ones, is assigning another value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RedisKeys {
    texts: BTreeMap<String, Kept>,
    roster: BTreeMap<Arc<str>, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kept {
    text: Arc<str>,
    /// When it ends; none for a key that stays.
    ends_at_ms: Option<u64>,
}

impl RedisKeys {
    /// Carries a command out at the server's time of day, in milliseconds since 1970, which never goes back.
    pub fn run(&mut self, redis_ms: u64, command: &RedisCommand) -> RedisAnswer {
        let key = command.key();
        self.texts.retain(|_, kept| kept.ends_at_ms.is_none_or(|end| end > redis_ms));
        let kept = self.texts.get(&key).cloned();
        let ttl_ms = kept.as_ref().and_then(|kept| kept.ends_at_ms).map_or(0, |end| end - redis_ms);
        let held = kept.map(|kept| kept.text);
        match command {
            RedisCommand::RenewNode { record, ttl_ms: new_ttl_ms, .. } => {
                let text: Arc<str> = record.to_string().into();
                if held.as_ref().is_none_or(|held| held.get(..16) == text.get(..16)) {
                    self.texts.insert(key, Kept { text, ends_at_ms: Some(redis_ms + new_ttl_ms) });
                }
                RedisAnswer::Renewal { held, held_ttl_ms: ttl_ms, redis_ms: redis_ms.cast_signed() }
            }
            RedisCommand::DeleteNode { incarnation, .. } => {
                if held.is_some_and(|held| held.get(..16) == Some(&*incarnation.to_string())) {
                    self.texts.remove(&key);
                }
                RedisAnswer::Done
            }
            RedisCommand::ReadNode { .. } => RedisAnswer::Node(held.map(|held| (held, ttl_ms))),
            RedisCommand::Enroll { node } => {
                self.roster.insert(Arc::clone(&node.0), redis_ms);
                self.roster.retain(|_, entered| redis_ms.abs_diff(*entered) < ROSTER_KEEPS_MS);
                RedisAnswer::Roster(self.roster.keys().cloned().collect())
            }
            RedisCommand::ReadOwner { .. } | RedisCommand::ReadSeq { .. } => RedisAnswer::Text(held),
            RedisCommand::SwapOwner { expected, new, .. } => {
                // An empty text counts as none, as it does in the script.
                if held.as_deref().unwrap_or_default() != expected.as_deref().unwrap_or_default() {
                    return RedisAnswer::Found(held);
                }
                match new {
                    Some(text) => self.set(key, Arc::clone(text)),
                    None => drop(self.texts.remove(&key)),
                }
                RedisAnswer::Swapped
            }
            RedisCommand::DrawEpoch { .. } => {
                let next = held.as_deref().map_or(Ok(1), |held| held.parse::<i64>().map(|last| last.saturating_add(1)));
                match next {
                    Ok(next) => {
                        self.set(key, next.to_string().into());
                        RedisAnswer::Number(next)
                    }
                    Err(error) => RedisAnswer::Failed(error.to_string()),
                }
            }
            RedisCommand::RaiseEpoch { to, .. } => self.raise(key, held.as_deref(), to.get()),
            RedisCommand::RaiseSeq { to, .. } => self.raise(key, held.as_deref(), to.get()),
            RedisCommand::CorrectSeq { to, .. } => {
                self.set(key, to.to_string().into());
                RedisAnswer::Done
            }
        }
    }

    /// Puts a text under a key, as somebody else might.
    pub fn set(&mut self, key: String, text: Arc<str>) {
        self.texts.insert(key, Kept { text, ends_at_ms: None });
    }

    /// Returns what a key holds, ended or not.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(|kept| &*kept.text)
    }

    fn raise(&mut self, key: String, held: Option<&str>, to: u64) -> RedisAnswer {
        if held.and_then(|held| held.parse::<i128>().ok()).is_none_or(|held| held < i128::from(to)) {
            self.set(key, to.to_string().into());
        }
        RedisAnswer::Done
    }
}
