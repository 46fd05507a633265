//! The vectors of the hash chain, verified as a stranger would: with SHA-256 and the published bytes alone.

use rollcall_protocol::{RoomId, hash};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::generate::files::files;
use crate::wire::unhex;

fn sha256_of_hex(digits: &str) -> String {
    Sha256::digest(unhex(digits)).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_hash_is_that_of_its_bytes_and_builds_on_the_one_before() {
    let chain: Value = serde_json::from_slice(&files()["hash_chain.json"]).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let room = RoomId::parse(&text(&chain["room"])).unwrap();
    let mut before = text(&chain["genesis"]);
    assert_eq!(before, sha256_of_hex(&text(&chain["genesis_bytes"])));
    assert_eq!(before, hash::genesis(&room).to_string());
    let entries = chain["entries"].as_array().unwrap();
    for (number, entry) in (1..).zip(entries) {
        assert_eq!(entry["seq"], number);
        let bytes = text(&entry["bytes"]);
        assert!(bytes.starts_with(&before) && bytes.ends_with(&text(&entry["content_hash"])));
        assert_eq!(text(&entry["hash"]), sha256_of_hex(&bytes), "entry {number}");
        if entry["redacted"] == true {
            assert!(entry["salt"].is_null() && entry["body"].is_null() && entry["content_bytes"].is_null());
        } else {
            let content = text(&entry["content_bytes"]);
            assert!(content.starts_with(&text(&entry["salt"])));
            assert_eq!(text(&entry["content_hash"]), sha256_of_hex(&content), "entry {number}");
        }
        before = text(&entry["hash"]);
    }
    let kinds: std::collections::BTreeSet<_> = entries.iter().map(|entry| text(&entry["kind"])).collect();
    assert_eq!(kinds.len(), rollcall_protocol::Kind::ALL.len(), "an entry of each kind is there");
    assert!(entries.iter().any(|entry| entry["redacted"] == true));
}
