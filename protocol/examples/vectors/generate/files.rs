//! All files of the folder, and their index.

use std::collections::BTreeMap;

use rollcall_protocol::Format;
use serde::Serialize;
use serde_json::json;

use super::vector::Vector;
use super::{bodies, chain, commands, newer, pushes, refusals, replies, tables};

/// Every golden frame, in the order of the index.
pub fn frames() -> Vec<Vector> {
    [commands::commands(), replies::replies(), refusals::refusals(), pushes::pushes(), newer::newer()]
        .into_iter()
        .flatten()
        .collect()
}

/// Every file of the folder, by its name.
pub fn files() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::from([
        ("index.json".to_owned(), text(&index())),
        ("hash_chain.json".to_owned(), text(&chain::hash_chain())),
        ("bodies.json".to_owned(), text(&bodies::bodies())),
        ("tables.json".to_owned(), text(&tables::tables())),
    ]);
    for vector in frames() {
        files.insert(format!("{}.json", vector.name), vector.json);
        files.insert(format!("{}.msgpack", vector.name), vector.msgpack);
    }
    files
}

fn text(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("a value is JSON");
    text.push(b'\n');
    text
}

fn index() -> serde_json::Value {
    let frame = |vector: &Vector| {
        json!({
            "name": vector.name,
            "direction": vector.direction,
            "json": format!("{}.json", vector.name),
            "msgpack": format!("{}.msgpack", vector.name),
            "shows": vector.shows,
        })
    };
    json!({
        "subprotocols": Format::ALL.map(Format::subprotocol),
        "about": [
            "Each frame lies here in both formats, byte for byte as the server's code writes it, without a line end.",
            "A test of a client decodes both files of a frame and finds the same values in them.",
            "A client may order the fields of a map and choose MessagePack's markers as it likes: what it writes is \
             compared after decoding.",
        ],
        "frames": frames().iter().map(frame).collect::<Vec<_>>(),
        "hash_chain": "hash_chain.json",
        "bodies": "bodies.json",
        "tables": "tables.json",
    })
}
