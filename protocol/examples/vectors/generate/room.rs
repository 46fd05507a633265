//! The room of the examples: every kind of entry, two owners, an entry redacted.

use rollcall_protocol::{Body, DeviceId, Entry, Epoch, Hash, Kind, OwnerId, RoomId, Salt, Seq, UserId, hash};
use serde_json::{Value, json};

/// 1 January 2026, 00:00 UTC, in milliseconds.
pub const START_MS: i64 = 1_767_225_600_000;

/// The room's name.
pub fn room_id() -> RoomId {
    RoomId::parse("general").expect("the name of the example's room is one")
}

/// The name of a user of the examples.
pub fn user(name: &str) -> UserId {
    UserId::parse(name).expect("the names of the examples are names")
}

/// The name of a device of the examples.
pub fn device(name: &str) -> DeviceId {
    DeviceId::parse(name).expect("the names of the examples are names")
}

/// A body of the examples.
pub fn body(value: &Value) -> Body {
    Body::from_value(value).expect("the bodies of the examples are bodies")
}

/// A message with all that a body has by convention, and more.
pub fn rich_body() -> Body {
    body(&json!({
        "text": "Grüße 👋 from \"Bob\"\nsecond line",
        "reply_to": 2,
        "mentions": ["alice"],
        "attachments": [{"url": "https://example.org/cat.png", "bytes": 48213, "ratio": 1.5, "tiny": 1e-7}],
        "draft": false,
        "thread": null,
    }))
}

/// What an entry of the examples is made of; its number, time, salt and owner come from its place.
struct Draft {
    kind: Kind,
    sender: &'static str,
    device: Option<(&'static str, u64)>,
    target: Option<u64>,
    body: Option<Body>,
}

/// The room's entries, from the first to the head. Entry 6 is redacted by entry 7; entry 6 and what follows have another owner.
pub fn entries() -> Vec<Entry> {
    let (phone, laptop, tablet) = ("alice-phone", "bob-laptop", "mallory-tablet");
    let server =
        |kind, body: Value| Draft { kind, sender: "alice", device: None, target: None, body: Some(self::body(&body)) };
    let drafts = [
        server(Kind::Room, json!({"creator": "alice"})),
        Draft {
            kind: Kind::Message,
            sender: "alice",
            device: Some((phone, 1)),
            target: None,
            body: Some(body(&json!({"text": "Hello"}))),
        },
        Draft { kind: Kind::Message, sender: "bob", device: Some((laptop, 1)), target: None, body: Some(rich_body()) },
        Draft {
            kind: Kind::Edit,
            sender: "alice",
            device: Some((phone, 2)),
            target: Some(2),
            body: Some(body(&json!({"text": "Hello, world"}))),
        },
        Draft {
            kind: Kind::React,
            sender: "bob",
            device: Some((laptop, 2)),
            target: Some(2),
            body: Some(body(&json!({"emoji": "👍"}))),
        },
        Draft {
            kind: Kind::Message,
            sender: "mallory",
            device: Some((tablet, 1)),
            target: None,
            body: Some(body(&json!({"text": "yes"}))),
        },
        Draft { kind: Kind::Redact, sender: "mallory", device: Some((tablet, 3)), target: Some(6), body: None },
        server(Kind::Member, json!({"user": "mallory", "role": "banned"})),
    ];
    let mut before = hash::genesis(&room_id());
    let mut entries = Vec::new();
    for (number, draft) in (1..).zip(drafts) {
        let entry = draft.number(number, before);
        before = entry.hash;
        entries.push(entry);
    }
    entries[5].redact();
    entries
}

impl Draft {
    fn number(self, number: u8, before: Hash) -> Entry {
        let salt = Salt([number; 16].map(|byte| byte.wrapping_mul(17)));
        let content_hash = hash::content(&salt, self.body.as_ref().map(Body::as_str));
        let (epoch, owner) = if number < 6 { (1, 0x1111) } else { (3, 0x3333) };
        let mut entry = Entry {
            seq: Seq::new(number.into()),
            kind: self.kind,
            created_at_ms: START_MS + 1_500 * i64::from(number),
            sender: user(self.sender),
            device: self.device.map(|(name, _)| device(name)),
            n: self.device.map_or(0, |(_, n)| n),
            target: self.target.map(Seq::new),
            body: self.body,
            salt: Some(salt),
            content_hash,
            hash: before,
            epoch: Epoch::new(epoch),
            owner: OwnerId(owner),
        };
        entry.hash = entry.expected_hash(before);
        entry
    }
}
