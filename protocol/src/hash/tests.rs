//! Tests of the hash chain: a vector worked out apart, what redaction leaves alone, and that nothing can change unseen.

use proptest::prelude::*;

use super::{Hash, Salt, body, content, genesis};
use crate::{Body, DeviceId, Entry, Epoch, Kind, OwnerId, RoomId, Seq, UserId};

fn entries() -> impl Strategy<Value = Entry> {
    let names = ("[a-z]{1,8}", proptest::option::of("[a-z]{1,8}"));
    let numbers = (1..1_000_u64, any::<i64>(), 0..1_000_u64, proptest::option::of(1..1_000_u64));
    let content = (proptest::option::of(".{0,20}"), any::<[u8; 16]>());
    (names, numbers, 0..Kind::ALL.len(), content).prop_map(|(names, numbers, kind, (text, salt))| {
        let (seq, created_at_ms, n, target) = numbers;
        let body = text.map(|text| Body::text(&text).unwrap());
        let salt = Salt(salt);
        Entry {
            seq: Seq::new(seq),
            kind: Kind::ALL[kind],
            created_at_ms,
            sender: UserId::parse(&names.0).unwrap(),
            device: names.1.map(|name| DeviceId::parse(&name).unwrap()),
            n,
            target: target.map(Seq::new),
            content_hash: content_of(&salt, body.as_ref()),
            body,
            salt: Some(salt),
            hash: Hash([0; 32]),
            epoch: Epoch::new(1),
            owner: OwnerId(1),
        }
    })
}

fn content_of(salt: &Salt, body: Option<&Body>) -> Hash {
    content(salt, body.map(Body::as_str))
}

/// Changes one field of an entry that goes into its hash.
fn change(entry: &mut Entry, field: usize) -> &'static str {
    match field {
        0 => (entry.seq = entry.seq.next(), "seq").1,
        1 => (entry.kind = Kind::ALL[usize::from(entry.kind.number()) % Kind::ALL.len()], "kind").1,
        2 => (entry.created_at_ms = entry.created_at_ms.wrapping_add(1), "created_at").1,
        3 => (entry.n += 1, "n").1,
        4 => (entry.target = Some(entry.target.map_or(Seq::FIRST, Seq::next)), "target").1,
        5 => (entry.sender = UserId::parse(&format!("{}x", entry.sender)).unwrap(), "sender").1,
        6 => {
            let longer = entry.device.as_ref().map_or("x".to_owned(), |device| format!("{device}x"));
            entry.device = Some(DeviceId::parse(&longer).unwrap());
            "device"
        }
        _ => (entry.content_hash.0[field % 32] ^= 1, "content_hash").1,
    }
}

proptest! {
    #[test]
    fn redaction_changes_no_hash(mut entry in entries(), before: [u8; 32]) {
        let hash = entry.expected_hash(Hash(before));
        prop_assert_eq!(entry.expected_content_hash(), Some(entry.content_hash));
        prop_assert!(!entry.is_redacted());
        entry.redact();
        prop_assert!(entry.is_redacted());
        prop_assert_eq!(entry.expected_hash(Hash(before)), hash);
        prop_assert_eq!(entry.expected_content_hash(), None);
    }

    #[test]
    fn a_change_of_any_field_changes_the_hash(entry in entries(), before: [u8; 32], bit in 0..32_usize) {
        let hash = entry.expected_hash(Hash(before));
        for field in 0..=7 + bit {
            let mut changed = entry.clone();
            let name = change(&mut changed, field);
            prop_assert_ne!(changed.expected_hash(Hash(before)), hash, "{} does not count", name);
        }
        let mut other = before;
        other[bit] ^= 1;
        prop_assert_ne!(entry.expected_hash(Hash(other)), hash, "what was before does not count");
    }

    #[test]
    fn a_change_of_salt_or_body_changes_the_content_hash(salt: [u8; 16], bit in 0..16_usize, text in ".{0,20}") {
        let mut other_salt = salt;
        other_salt[bit] ^= 1;
        let [salt, other_salt] = [Salt(salt), Salt(other_salt)];
        prop_assert_ne!(content(&salt, Some(&text)), content(&other_salt, Some(&text)));
        prop_assert_ne!(content(&salt, Some(&text)), content(&salt, Some(&format!("{text} "))));
    }

    #[test]
    fn hexadecimal_digits_read_back(bytes: [u8; 32], salt: [u8; 16]) {
        prop_assert_eq!(Hash(bytes).to_string().parse::<Hash>().unwrap(), Hash(bytes));
        prop_assert_eq!(Salt(salt).to_string().parse::<Salt>().unwrap(), Salt(salt));
    }
}

/// Without the lengths before them, the end of one name could pass for the beginning of the next.
#[test]
fn names_do_not_run_into_each_other() {
    let hash = |sender: &str, device: Option<&str>| {
        let sender = UserId::parse(sender).unwrap();
        let device = device.map(|device| DeviceId::parse(device).unwrap());
        let hashed = super::Hashed {
            seq: Seq::FIRST,
            kind: Kind::Message,
            created_at_ms: 0,
            n: 0,
            target: None,
            sender: &sender,
            device: device.as_ref(),
            content_hash: Hash([0; 32]),
        };
        super::chain(Hash([0; 32]), &hashed)
    };
    let hashes = [hash("abc", Some("d")), hash("ab", Some("cd")), hash("abcd", None)];
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2]);
}

#[test]
fn published_digests() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(body("").to_string(), empty);
    // printf 'rollcall.v1\0general' | sha256sum
    let general = "80f25ece7f2b1b975269744982870f4b3c6056d79d168cca61fd588dd91c9fcc";
    assert_eq!(genesis(&RoomId::parse("general").unwrap()).to_string(), general);
    // (head -c 16 /dev/zero; printf '{"text":"Hello"}') | sha256sum
    let hello = "45492e2d351670a3302ebfd2002ec1145eba3f1ff49a1ba9465cf04666503726";
    assert_eq!(content(&Salt([0; 16]), Some(r#"{"text":"Hello"}"#)).to_string(), hello);
}

#[test]
fn what_is_no_hash() {
    for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"A".repeat(64), &"g".repeat(64), &"é".repeat(32)] {
        assert!(text.parse::<Hash>().is_err(), "{text} was accepted");
    }
}
