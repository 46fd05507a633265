//! The hash chain: every entry carries a hash over itself and the hash of the entry before it, so that an exported
//! history can be verified offline, and a forked or rewritten one is noticed.
//!
//! ```text
//! content_hash = SHA-256(salt, body)                       the body's stored text; empty if there is none
//! hash(0)      = SHA-256("rollcall.v1" 0x00 room)
//! hash(i)      = SHA-256(hash(i-1), seq u64, kind u8, created_at i64, n u64, target u64,
//!                        len u32 + sender, len u32 + device, content_hash)
//! ```
//! Numbers are big-endian, absent ones 0, absent names empty. Sixteen random bytes of salt are stored with the body and
//! deleted with it, so that a redacted "yes" cannot be guessed back from its hash.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::entry::Kind;
use crate::ids::{DeviceId, RoomId, Seq, UserId};

macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let mut text = [0u8; $len * 2];
                for (at, byte) in self.0.iter().enumerate() {
                    text[at * 2] = DIGITS[usize::from(byte >> 4)];
                    text[at * 2 + 1] = DIGITS[usize::from(byte & 15)];
                }
                f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = HexError;
            fn from_str(text: &str) -> Result<Self, HexError> {
                if text.len() != $len * 2 {
                    return Err(HexError { digits: $len * 2 });
                }
                let digit = |byte: u8| match byte {
                    b'0'..=b'9' => Ok(byte - b'0'),
                    b'a'..=b'f' => Ok(byte - b'a' + 10),
                    _ => Err(HexError { digits: $len * 2 }),
                };
                let mut bytes = [0u8; $len];
                for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    *byte = digit(pair[0])? << 4 | digit(pair[1])?;
                }
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "{} hexadecimal digits", $len * 2)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

/// A string that is not the hexadecimal form that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {digits} lower-case hexadecimal digits")]
pub struct HexError {
    digits: usize,
}

hex_bytes! {
    /// A SHA-256: of an entry with all before it, or of an entry's content. On the wire 64 hexadecimal digits.
    Hash, 32
}
hex_bytes! {
    /// Sixteen random bytes drawn for one entry. On the wire 32 hexadecimal digits, in audits and exports only.
    Salt, 16
}

/// What of an entry goes into its hash, besides the hash before it.
#[derive(Debug, Clone, Copy)]
pub struct Hashed<'a> {
    /// The entry's number.
    pub seq: Seq,
    /// What it records.
    pub kind: Kind,
    /// When it was numbered, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// The device's counter, or 0.
    pub n: u64,
    /// The entry that it is about, if any.
    pub target: Option<Seq>,
    /// Who sent it.
    pub sender: &'a UserId,
    /// From which installation, if from one.
    pub device: Option<&'a DeviceId>,
    /// The hash of its salt and body.
    pub content_hash: Hash,
}

/// Returns the hash before a room's first entry.
pub fn genesis(room: &RoomId) -> Hash {
    let mut sha = Sha256::new();
    sha.update(b"rollcall.v1\0");
    sha.update(room.as_str());
    Hash(sha.finalize().into())
}

/// Returns the hash of a salt and a body's stored text.
pub fn content(salt: &Salt, body: Option<&str>) -> Hash {
    let mut sha = Sha256::new();
    sha.update(salt.0);
    sha.update(body.unwrap_or_default());
    Hash(sha.finalize().into())
}

/// Returns the hash of a body's stored text alone, as histories and tests name a body.
pub fn body(text: &str) -> Hash {
    Hash(Sha256::digest(text).into())
}

/// Returns an entry's hash, given the hash of the entry before it.
pub fn chain(before: Hash, entry: &Hashed<'_>) -> Hash {
    let sender = entry.sender.as_str();
    let device = entry.device.map_or("", DeviceId::as_str);
    let length = |text: &str| u32::try_from(text.len()).expect("names are short").to_be_bytes();
    let mut sha = Sha256::new();
    sha.update(before.0);
    sha.update(entry.seq.get().to_be_bytes());
    sha.update([entry.kind.number()]);
    sha.update(entry.created_at_ms.to_be_bytes());
    sha.update(entry.n.to_be_bytes());
    sha.update(entry.target.map_or(0, Seq::get).to_be_bytes());
    sha.update(length(sender));
    sha.update(sender);
    sha.update(length(device));
    sha.update(device);
    sha.update(entry.content_hash.0);
    Hash(sha.finalize().into())
}

#[cfg(test)]
mod tests;
