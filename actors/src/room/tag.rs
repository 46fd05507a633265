//! Tags: a few bytes that tell one write's content from another's.

use rollcall_protocol::{Body, Entry, Kind, Seq};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The first 8 bytes of a SHA-256 over a write's kind, target and body. A device that tries a write again is recognised by it;
/// a device that found two bodies of one tag would deceive itself alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tag(u64);

impl Tag {
    /// Names a write's content.
    pub fn of(kind: Kind, target: Option<Seq>, body: Option<&Body>) -> Self {
        let mut sha = Sha256::new();
        sha.update([kind.number()]);
        sha.update(target.map_or(0, Seq::get).to_be_bytes());
        sha.update(body.map_or("", Body::as_str));
        let digest = sha.finalize();
        Self(digest.iter().take(8).fold(0, |tag, &byte| tag << 8 | u64::from(byte)))
    }

    /// Names the content of a stored entry; none where the content was taken away.
    pub fn of_entry(entry: &Entry) -> Option<Self> {
        (!entry.is_redacted()).then(|| Self::of(entry.kind, entry.target, entry.body.as_ref()))
    }
}
