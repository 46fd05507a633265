//! Somebody whose token was accepted.

use std::sync::Arc;

use rollcall_actors::room::Rights;
use rollcall_protocol::{NUMBER_MAX, RoomId, UserId};

use super::{Claims, RoomPattern};

/// Who somebody is, until when, and what that allows. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub user: UserId,
    /// When the token expires, in milliseconds since 1970.
    pub expires_at_ms: i64,
    /// Whether it is a guest, with a name of the server's choice.
    pub is_guest: bool,
    scope: Arc<Scope>,
}

#[derive(Debug, PartialEq, Eq)]
struct Scope {
    rooms: Option<Vec<RoomPattern>>,
    read_only: bool,
    moderate: Vec<RoomPattern>,
}

impl Identity {
    /// Returns what a room allows. No right at all means that the room is not to be joined, read or written.
    pub fn rights(&self, room: &RoomId) -> Rights {
        let any = |patterns: &[RoomPattern]| patterns.iter().any(|pattern| pattern.matches(room));
        let Scope { rooms, read_only, moderate } = &*self.scope;
        let read = rooms.as_deref().is_none_or(any);
        let write = read && !read_only;
        Rights { read, write, moderate: write && any(moderate) }
    }

    /// Returns the rooms that the token is good for; none where it is good for all.
    pub fn rooms(&self) -> Option<&[RoomPattern]> {
        self.scope.rooms.as_deref()
    }

    /// Tells whether the token is good for reading alone.
    pub fn is_read_only(&self) -> bool {
        self.scope.read_only
    }

    /// Returns the rooms in which the token may redact what others wrote.
    pub fn moderates(&self) -> &[RoomPattern] {
        &self.scope.moderate
    }

    pub(super) fn of_claims(claims: Claims, is_guest: bool) -> Self {
        Self {
            user: claims.sub,
            // It is told to clients, and a number of theirs ends at 2^53 - 1.
            expires_at_ms: claims.exp_s.saturating_mul(1000).min(NUMBER_MAX.cast_signed()),
            is_guest,
            scope: Arc::new(Scope { rooms: claims.rooms, read_only: claims.read_only, moderate: claims.moderate }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(claims: &str, room: &str) -> (bool, bool, bool) {
        let claims: Claims = serde_json::from_str(claims).unwrap();
        let rights = Identity::of_claims(claims, false).rights(&RoomId::parse(room).unwrap());
        (rights.read, rights.write, rights.moderate)
    }

    #[test]
    fn a_token_that_names_nothing_reads_and_writes_everywhere() {
        assert_eq!(rights(r#"{"sub":"ann","exp":9}"#, "general"), (true, true, false));
    }

    #[test]
    fn rooms_bound_everything_and_read_only_bounds_writing() {
        let scoped = r#"{"sub":"ann","exp":9,"rooms":["a","b.*"],"moderate":["*"]}"#;
        assert_eq!(rights(scoped, "a"), (true, true, true));
        assert_eq!(rights(scoped, "b.c"), (true, true, true));
        assert_eq!(rights(scoped, "c"), (false, false, false));
        let reader = r#"{"sub":"ann","exp":9,"read_only":true,"moderate":["*"]}"#;
        assert_eq!(rights(reader, "a"), (true, false, false));
        assert_eq!(rights(r#"{"sub":"ann","exp":9,"rooms":[]}"#, "a"), (false, false, false));
        assert_eq!(rights(r#"{"sub":"ann","exp":9,"moderate":["a"]}"#, "b"), (true, true, false));
    }
}
