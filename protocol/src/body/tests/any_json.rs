//! Any JSON value, and many ways to write each: with idle whitespace and escapes, with wider MessagePack markers than needed.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// A value that a body can hold.
#[derive(Debug, Clone)]
pub enum Json {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Any value, nested a few levels deep.
pub fn any_json() -> impl Strategy<Value = Json> {
    let text = || prop_oneof![any::<String>(), "[\\x00-\\x1f\"\\\\/a-z\u{7f}\u{2028}👋]{0,8}"];
    let float = any::<f64>().prop_filter("a body's numbers are finite", |float| float.is_finite());
    let plain = prop_oneof![-1e17..1e17, -10.0..10.0, (-400..400_i32).prop_map(|tenths| f64::from(tenths) / 10.0)];
    let leaf = prop_oneof![
        1 => Just(Json::Null),
        1 => any::<bool>().prop_map(Json::Bool),
        2 => any::<i64>().prop_map(Json::Signed),
        1 => (-300..300_i64).prop_map(Json::Signed),
        2 => any::<u64>().prop_map(Json::Unsigned),
        3 => float.prop_map(Json::Float),
        2 => plain.prop_map(Json::Float),
        4 => text().prop_map(Json::Text),
    ];
    leaf.prop_recursive(6, 60, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Json::Array),
            btree_map(text(), inner, 0..8).prop_map(|fields| Json::Object(fields.into_iter().rev().collect())),
        ]
    })
}

/// Choices made at random, used one after the other and then again from the start.
#[derive(Debug, Clone)]
pub struct Choices {
    bytes: Vec<u8>,
    used: usize,
}

impl Choices {
    /// Some choices.
    pub fn any() -> impl Strategy<Value = Self> {
        vec(any::<u8>(), 1..60).prop_map(|bytes| Self { bytes, used: 0 })
    }

    /// Chooses a number below `count`.
    fn below(&mut self, count: usize) -> usize {
        self.used += 1;
        usize::from(self.bytes[self.used % self.bytes.len()]) % count
    }
}

impl Json {
    /// Writes the value as JSON in one of many ways.
    pub fn write_json(&self, choices: &mut Choices, out: &mut String) {
        space(choices, out);
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(bool) => out.push_str(&bool.to_string()),
            Self::Signed(number) => out.push_str(&number.to_string()),
            Self::Unsigned(number) => out.push_str(&number.to_string()),
            Self::Float(float) => out.push_str(&match choices.below(4) {
                0 => format!("{float:e}"),
                1 => format!("{float:E}"),
                2 => format!("{float:?}"),
                digits => format!("{float:.*e}", 16 + digits * 10),
            }),
            Self::Text(text) => write_json_string(text, choices, out),
            Self::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    item.write_json(choices, out);
                }
                space(choices, out);
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (at, (key, value)) in fields.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    space(choices, out);
                    write_json_string(key, choices, out);
                    space(choices, out);
                    out.push(':');
                    value.write_json(choices, out);
                }
                space(choices, out);
                out.push('}');
            }
        }
        space(choices, out);
    }

    /// Writes the value as MessagePack in one of many ways.
    pub fn write_msgpack(&self, choices: &mut Choices, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0xc0),
            Self::Bool(bool) => out.push(0xc2 + u8::from(*bool)),
            Self::Signed(number) => match (choices.below(2), i8::try_from(*number)) {
                (0, Ok(small)) => out.extend([0xd0, small.cast_unsigned()]),
                _ => out.extend([&[0xd3], number.to_be_bytes().as_slice()].concat()),
            },
            Self::Unsigned(number) => out.extend([&[0xcf], number.to_be_bytes().as_slice()].concat()),
            Self::Float(float) => out.extend([&[0xcb], float.to_be_bytes().as_slice()].concat()),
            Self::Text(text) => write_msgpack_string(text, choices, out),
            Self::Array(items) => {
                write_length(items.len(), [0x90, 0xdc, 0xdd], choices, out);
                for item in items {
                    item.write_msgpack(choices, out);
                }
            }
            Self::Object(fields) => {
                write_length(fields.len(), [0x80, 0xde, 0xdf], choices, out);
                for (key, value) in fields {
                    write_msgpack_string(key, choices, out);
                    value.write_msgpack(choices, out);
                }
            }
        }
    }

    /// Writes the value as docs/protocol.md says that bodies are stored.
    pub fn stored(&self) -> String {
        let join = |parts: Vec<String>| parts.join(",");
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(bool) => bool.to_string(),
            Self::Signed(number) => number.to_string(),
            Self::Unsigned(number) => number.to_string(),
            Self::Float(float) => stored_float(*float),
            Self::Text(text) => stored_string(text),
            Self::Array(items) => format!("[{}]", join(items.iter().map(Self::stored).collect())),
            Self::Object(fields) => {
                let field = |(key, value): &(String, Self)| format!("{}:{}", stored_string(key), value.stored());
                format!("{{{}}}", join(fields.iter().map(field).collect()))
            }
        }
    }
}

fn space(choices: &mut Choices, out: &mut String) {
    out.push_str(["", "", " ", "\n", "\t ", "\r\n"][choices.below(6)]);
}

fn write_json_string(text: &str, choices: &mut Choices, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        let short = match character {
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '/' => Some("\\/"),
            '\u{8}' => Some("\\b"),
            '\u{c}' => Some("\\f"),
            '\n' => Some("\\n"),
            '\r' => Some("\\r"),
            '\t' => Some("\\t"),
            _ => None,
        };
        let raw = character >= ' ' && character != '"' && character != '\\';
        match (choices.below(4), short) {
            (0 | 1, _) if raw => out.push(character),
            (0 | 1, Some(short)) => out.push_str(short),
            (choice, _) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&if choice == 2 { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") });
                }
            }
        }
    }
    out.push('"');
}

fn write_msgpack_string(text: &str, choices: &mut Choices, out: &mut Vec<u8>) {
    let length = text.len();
    match (choices.below(3), u8::try_from(length), u16::try_from(length)) {
        (0, Ok(length), _) if length < 32 => out.push(0xa0 | length),
        (0, Ok(length), _) => out.extend([0xd9, length]),
        (0 | 1, _, Ok(length)) => out.extend([&[0xda], length.to_be_bytes().as_slice()].concat()),
        _ => out.extend([&[0xdb], u32::try_from(length).unwrap().to_be_bytes().as_slice()].concat()),
    }
    out.extend(text.as_bytes());
}

/// Writes the marker and length of an array or map with one of its three markers.
fn write_length(length: usize, [short, middle, long]: [u8; 3], choices: &mut Choices, out: &mut Vec<u8>) {
    let length = u16::try_from(length).unwrap();
    match choices.below(3) {
        0 if length < 16 => out.push(short | length.to_be_bytes()[1]),
        0 | 1 => out.extend([&[middle], length.to_be_bytes().as_slice()].concat()),
        _ => out.extend([&[long], u32::from(length).to_be_bytes().as_slice()].concat()),
    }
}

fn stored_string(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|character| match character {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\u{8}' => "\\b".to_owned(),
            '\u{c}' => "\\f".to_owned(),
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            '\0'..' ' => format!("\\u{:04x}", u32::from(character)),
            _ => character.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// Writes a float with the fewest digits that read back as the same one, and of those the closest (the even one of two as
/// close): in full from 1e-5 to below 1e16, else with an exponent that carries its sign.
fn stored_float(float: f64) -> String {
    let shortest = format!("{float:e}");
    let fewest = shortest.bytes().take_while(|&byte| byte != b'e').filter(u8::is_ascii_digit).count();
    let closest = format!("{float:.*e}", fewest - 1);
    let chosen = if closest.parse() == Ok(float) { closest } else { shortest };
    let (digits, exponent) = chosen.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    if !(-5..16).contains(&exponent) {
        return format!("{digits}e{exponent:+}");
    }
    let sign = if float.is_sign_negative() { "-" } else { "" };
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    let Ok(whole) = usize::try_from(exponent + 1) else {
        return format!("{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1));
    };
    let digits = format!("{digits:0<width$}", width = whole + 1);
    if whole == 0 { format!("{sign}0.{digits}") } else { format!("{sign}{}.{}", &digits[..whole], &digits[whole..]) }
}
