//! What an audit prints.

use std::fmt::Display;

use rollcall_protocol::RoomId;
use serde_json::json;

use super::chain::{Break, Verified};
use crate::cli::failure::{Failure, Kind};
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
                0 => format!(
                    "{} with {} verified: no number is missing, every hash fits",
                    counted(rooms, "room", "rooms"),
                    counted(entries, "entry", "entries")
                ),
                _ => format!(
                    "{broken} of {} broken",
                    if rooms == 1 { "1 room is".to_owned() } else { format!("{rooms} rooms are") }
                ),
            })?;
        }
        if broken > 0 { Err(Failure::finding()) } else { Ok(()) }
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Nobody has written to the room that was asked for: an audit of nothing proves nothing.
pub fn nobody_has_written(room: &RoomId, place: impl Display) -> Failure {
    Failure::new(Kind::Finding, format!("nobody has written to {room} {place}"))
}
