//! The hash chain, computed from its description and from nothing else.
//!
//! `hash(0) = SHA-256("rollcall.v1" ‖ 0x00 ‖ room)` and, for every entry, `hash(i) = SHA-256(hash(i-1) ‖ seq u64 ‖ kind u8 ‖
//! created_at ms i64 ‖ n u64 ‖ target u64 ‖ len u32 ‖ sender ‖ len u32 ‖ device ‖ content_hash)`, numbers big-endian, absent
//! numbers 0, absent texts of length 0; `content_hash = SHA-256(salt ‖ body)`, an absent body being empty.

use sha2::{Digest, Sha256};

use crate::event::DumpEvent;

/// SHA-256 of nothing: the body hash of an entry without a body. No JSON text is empty, so no body has it.
pub const NO_BODY: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Computes `hash(0)` of a room.
pub fn start(room: &str) -> [u8; 32] {
    Sha256::new().chain_update(b"rollcall.v1\0").chain_update(room).finalize().into()
}

/// Computes the hash of an entry from the hash before it. Uses the entry's `content_hash` as it is.
pub fn next(before: &[u8; 32], entry: &DumpEvent) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(before);
    hasher.update(entry.seq.to_be_bytes());
    hasher.update([entry.kind as u8]);
    hasher.update(entry.created_at.to_be_bytes());
    hasher.update(entry.n.to_be_bytes());
    hasher.update(entry.target.unwrap_or(0).to_be_bytes());
    for text in [&entry.user, &entry.device] {
        let text = text.as_deref().unwrap_or("");
        // Names have a few hundred bytes at most; a longer one is cut short here and so breaks the chain, as it should.
        hasher.update(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        hasher.update(text);
    }
    hasher.update(entry.content_hash);
    hasher.finalize().into()
}

/// Computes `content_hash` of a salt and a body; an absent body is the empty text.
pub fn content_hash(salt: &[u8; 16], body: &str) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(body).finalize().into()
}

/// Computes the unsalted `body_hash` of a body.
pub fn body_hash(body: &str) -> [u8; 32] {
    Sha256::digest(body).into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_body_is_the_hash_of_nothing() {
        assert_eq!(super::NO_BODY, super::body_hash(""));
    }
}
