//! Entries as people and machines read them.

use std::fmt::Write;

use rollcall_client::EntryFrame;
use rollcall_protocol::{Body, DeviceId, Kind, RoomId, Seq, UserId};
use serde::{Deserialize, Serialize};

use super::utc::utc;

/// What the lines of a text after its first begin with: nobody can make up a line that looks like another's entry.
const CONTINUATION: &str = "\n    | ";

/// An entry as a line of JSON.
#[derive(Serialize)]
pub struct EntryLine<'a> {
    event: &'static str,
    room: &'a RoomId,
    seq: Seq,
    kind: Kind,
    created_at: i64,
    sender: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a DeviceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a Body>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    redacted: bool,
}

impl<'a> EntryLine<'a> {
    /// The line of an entry of a room.
    pub fn new(room: &'a RoomId, entry: &'a EntryFrame) -> Self {
        Self {
            event: "entry",
            room,
            seq: entry.seq,
            kind: entry.kind,
            created_at: entry.created_at_ms,
            sender: &entry.sender,
            device: entry.device.as_ref(),
            target: entry.target,
            body: entry.body.as_ref(),
            redacted: entry.redacted,
        }
    }
}

/// Returns an entry as a person reads it: number, time, sender, and what happened.
pub fn entry(entry: &EntryFrame) -> String {
    let said = |alternative: &str| match &entry.body {
        Some(body) => text_of(body),
        None if entry.redacted => "(redacted)".to_owned(),
        None => alternative.to_owned(),
    };
    let target = entry.target.map_or_else(|| "something".to_owned(), |target| format!("#{target}"));
    let what = match entry.kind {
        Kind::Message => format!(": {}", said("")),
        Kind::Edit => format!(" changed {target} to: {}", said("")),
        Kind::Redact => match &entry.body {
            Some(body) => format!(" redacted {target}: {}", text_of(body)),
            None => format!(" redacted {target}"),
        },
        Kind::React => format!(" reacted to {target}: {}", said("")),
        Kind::Member => format!(" changed the members: {}", said("(nothing said)")),
        Kind::Room => format!(" changed the room: {}", said("(nothing said)")),
    };
    format!("#{} {} {}{what}", entry.seq, utc(entry.created_at_ms), entry.sender)
}

/// Returns what a body says: its text, where it has nothing else to say, or all of it.
fn text_of(body: &Body) -> String {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct TextAlone {
        text: String,
    }
    match body.parse::<TextAlone>() {
        Ok(TextAlone { text }) => harmless(&text),
        Err(_) => harmless(body.as_str()),
    }
}

/// Makes a text safe for a terminal: control characters and those that turn the direction of writing are written out, and
/// further lines are marked.
pub fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => safe.push_str(CONTINUATION),
            '\t' => safe.push('\t'),
            _ if character.is_control() || turns_direction(character) => {
                write!(safe, "{}", character.escape_unicode()).expect("a string takes everything");
            }
            _ => safe.push(character),
        }
    }
    safe
}

/// The characters by which a text can show in another order than it is written: Unicode's Bidi_Control, and its line and
/// paragraph separators.
const fn turns_direction(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(json: &str) -> EntryFrame {
        let all = format!(r#"{{"created_at":1000000000000,"sender":"ann",{json}}}"#);
        serde_json::from_str(&all).unwrap()
    }

    #[test]
    fn every_kind_reads_as_a_sentence() {
        let cases = [
            (r#""seq":1,"kind":"room","body":{"creator":"ann"}"#, r#" changed the room: {"creator":"ann"}"#),
            (r#""seq":1,"kind":"message","body":{"text":"hi"}"#, ": hi"),
            (r#""seq":1,"kind":"message","body":{"text":"hi","reply_to":7}"#, r#": {"text":"hi","reply_to":7}"#),
            (r#""seq":1,"kind":"message","redacted":true"#, ": (redacted)"),
            (r#""seq":1,"kind":"edit","target":7,"body":{"text":"ho"}"#, " changed #7 to: ho"),
            (r#""seq":1,"kind":"redact","target":7"#, " redacted #7"),
            (r#""seq":1,"kind":"redact","target":7,"body":{"text":"spam"}"#, " redacted #7: spam"),
            (r#""seq":1,"kind":"react","target":7,"body":{"text":"👍"}"#, " reacted to #7: 👍"),
        ];
        for (json, expected) in cases {
            assert_eq!(entry(&frame(json)), format!("#1 2001-09-09 01:46:40Z ann{expected}"));
        }
    }

    #[test]
    fn no_text_moves_the_cursor_or_makes_up_a_line() {
        let text = "\u{1b}[2J\u{7}\r\nann: yes\u{202e}\u{9b}31m\u{0}\t\u{2028}";
        let expected = "\\u{1b}[2J\\u{7}\\u{d}\n    | ann: yes\\u{202e}\\u{9b}31m\\u{0}\t\\u{2028}";
        assert_eq!(harmless(text), expected);
        let body = r#""seq":1,"kind":"message","body":{"text":"\u001b[31m","x":"\u202e"}"#;
        assert!(entry(&frame(body)).chars().all(|character| !character.is_control() && !turns_direction(character)));
    }

    #[test]
    fn machines_get_the_body_as_it_is() {
        let entry = frame(r#""seq":1,"kind":"message","device":"d","n":3,"body":{"text":"\u001b","x":1.50}"#);
        let room = RoomId::parse("general").unwrap();
        let expected = r#"{"event":"entry","room":"general","seq":1,"kind":"message","created_at":1000000000000,"sender":"ann","device":"d","body":{"text":"\u001b","x":1.50}}"#;
        assert_eq!(serde_json::to_string(&EntryLine::new(&room, &entry)).unwrap(), expected);
    }
}
