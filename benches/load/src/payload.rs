//! Bodies of the load: as long as asked, each one different, with the time at which they were due.

use rollcall_protocol::{Body, hash};

/// The least length of a body, in bytes: what must be in it fits.
pub const BODY_BYTES_MIN: usize = 96;

/// How a body begins; the number that follows is when it was due, in µs of the run's clock.
const PREFIX: &str = "{\"due\":";

/// A body and what the history calls it.
#[derive(Debug, Clone)]
pub struct Payload {
    /// The body.
    pub body: Body,
    /// SHA-256 of its stored text.
    pub hash: [u8; 32],
}

impl Payload {
    /// Makes the body of a sender's nth write, `bytes` long.
    ///
    /// # Panics
    /// With fewer bytes than [`BODY_BYTES_MIN`], or a sender whose name does not fit into them.
    pub fn make(bytes: usize, sender: &str, n: u64, due_us: u64) -> Self {
        let mut text = format!("{PREFIX}{due_us},\"text\":\"{sender} {n} ");
        let padding =
            bytes.checked_sub(text.len() + 2).expect("the least length leaves room for what must be in a body");
        text.extend(std::iter::repeat_n('.', padding));
        text.push_str("\"}");
        let hash = body_hash(&text);
        Self { body: Body::from_stored(text).expect("what was written just now is JSON"), hash }
    }
}

/// Hashes a body's text as the history names it.
pub fn body_hash(text: &str) -> [u8; 32] {
    hash::body(text).0
}

/// Reads when a body was due, in µs; none of a body that is not one of ours.
pub fn due_us(body: &Body) -> Option<u64> {
    let digits = body.as_str().strip_prefix(PREFIX)?;
    digits.split_once(',')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use rollcall_protocol::NewBody;

    use super::*;

    /// The hash is that of the stored text: the server normalises a body, and must find nothing to change in ours.
    #[test]
    fn a_body_is_as_long_as_asked_and_normal_already() {
        let payload = Payload::make(BODY_BYTES_MIN, "load-c4294967295", u64::from(u32::MAX), u64::MAX >> 11);
        assert_eq!(payload.body.as_str().len(), BODY_BYTES_MIN);
        let normalised = serde_json::from_str::<NewBody>(payload.body.as_str()).unwrap().check().unwrap();
        assert_eq!(normalised, payload.body);
        assert_eq!(due_us(&payload.body), Some(u64::MAX >> 11));
    }

    #[test]
    fn bodies_of_others_have_no_time() {
        assert_eq!(due_us(&Body::text("hello").unwrap()), None);
    }
}
