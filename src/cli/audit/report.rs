//! What an audit prints.

use rollcall_protocol::RoomId;
use serde_json::json;

use super::chain::{Break, Verified};
use crate::cli::failure::Failure;
use crate::cli::output;

/// Prints what was found in each room, and counts.
pub struct Report {
    json: bool,
    rooms: u64,
    entries: u64,
    broken: u64,
}

impl Report {
    /// Begins a report.
    pub fn new(json: bool) -> Self {
        Self { json, rooms: 0, entries: 0, broken: 0 }
    }

    /// Prints what was found in a room.
    pub fn room(&mut self, room: &RoomId, found: &Result<Verified, Break>) -> Result<(), Failure> {
        self.rooms += 1;
        match found {
            Ok(Verified { entries, first, head, hash }) => {
                self.entries += entries;
                if self.json {
                    return output::json(
                        &json!({"room": room, "ok": true, "entries": entries, "first": first, "head": head, "hash": hash}),
                    );
                }
                let gone =
                    if first.get() > 1 { format!("; what was before {first} has expired") } else { String::new() };
                output::line(&format!("{room}: whole, {entries} entries, head {head}:{hash}{gone}"))
            }
            Err(Break { seq, problem }) => {
                self.broken += 1;
                if self.json {
                    return output::json(&json!({"room": room, "ok": false, "seq": seq, "problem": problem}));
                }
                output::line(&format!("{room}: BROKEN: entry {seq} {problem}"))
            }
        }
    }

    /// Ends the report; a finding where a room was broken.
    pub fn finish(self) -> Result<(), Failure> {
        let Self { json, rooms, entries, broken } = self;
        if !json {
            output::line(&match broken {
                0 => format!("{rooms} rooms with {entries} entries verified: no number is missing, every hash fits"),
                _ => format!("{broken} of {rooms} rooms are broken"),
            })?;
        }
        if broken > 0 { Err(Failure::finding()) } else { Ok(()) }
    }
}
