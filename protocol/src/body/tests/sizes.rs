//! The limits on a body's size and on its text.

use super::{Body, BodyError, from_json, from_msgpack};
use crate::limits::{BODY_BYTES_MAX, FRAME_BYTES_MAX, TEXT_CHARS_MAX};

fn msgpack_text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [b"\x81\xa4text\xdb".as_slice(), &length, text.as_bytes()].concat()
}

#[test]
fn a_text_of_100_000_characters_of_four_bytes_is_one_text_however_it_is_sent() {
    let text = "🐙".repeat(TEXT_CHARS_MAX);
    let stored = format!(r#"{{"text":"{text}"}}"#);
    let escaped = format!(r#"{{"text":"{}"}}"#, r"\ud83d\udc19".repeat(TEXT_CHARS_MAX));
    assert!(super::json_frame(&escaped).len() <= FRAME_BYTES_MAX, "the frame's limit has room for it");
    let bodies = [from_json(&stored), from_json(&escaped), from_msgpack(&msgpack_text(&text)), Body::text(&text)];
    for body in bodies {
        assert_eq!(body.unwrap().as_str(), stored);
    }
}

#[test]
fn a_text_of_100_001_characters_is_refused_as_such() {
    for character in ["a", "🐙"] {
        let text = character.repeat(TEXT_CHARS_MAX + 1);
        let refused = Err(BodyError::Text { found: TEXT_CHARS_MAX + 1 });
        assert_eq!(from_json(&format!(r#"{{"text":"{text}"}}"#)), refused);
        assert_eq!(from_msgpack(&msgpack_text(&text)), refused);
        assert_eq!(Body::text(&text), refused);
    }
    let beyond_both = "a".repeat(BODY_BYTES_MAX);
    assert_eq!(Body::text(&beyond_both), Err(BodyError::Text { found: BODY_BYTES_MAX }));
}

#[test]
fn only_the_text_of_the_outermost_object_is_a_text() {
    let long = "a".repeat(TEXT_CHARS_MAX + 1);
    for json in
        [format!(r#""{long}""#), format!(r#"{{"title":"{long}"}}"#), format!(r#"{{"reply":{{"text":"{long}"}}}}"#)]
    {
        assert_eq!(from_json(&json).unwrap().as_str(), json);
    }
    let escaped_key = format!(r#"{{"te\u0078t":"{long}"}}"#);
    assert_eq!(from_json(&escaped_key), Err(BodyError::Text { found: TEXT_CHARS_MAX + 1 }));
}

#[test]
fn a_body_of_512_kib_is_the_largest() {
    let frame = r#"{"data":""}"#.len();
    let body = |bytes: usize| format!(r#"{{"data":"{}"}}"#, "x".repeat(bytes - frame));
    assert_eq!(from_json(&body(BODY_BYTES_MAX)).unwrap().as_str().len(), BODY_BYTES_MAX);
    assert_eq!(from_json(&body(BODY_BYTES_MAX + 1)), Err(BodyError::Size));
    assert_eq!(from_json(&body(BODY_BYTES_MAX * 2)), Err(BodyError::Size));
}

#[test]
fn the_size_counts_after_normalisation() {
    let spaced = format!("[{}1]", " ".repeat(BODY_BYTES_MAX));
    assert_eq!(from_json(&spaced).unwrap().as_str(), "[1]");
    let growing = [b"\xdd\x00\x03\x00\x00".as_slice(), &[0xc2; 0x0003_0000]].concat();
    assert!(growing.len() < BODY_BYTES_MAX);
    assert_eq!(from_msgpack(&growing), Err(BodyError::Size), "each of these bytes is stored as `false,`");
    let controls = format!(r#"{{"text":"{}"}}"#, r"\u0001".repeat(TEXT_CHARS_MAX));
    assert_eq!(from_json(&controls), Err(BodyError::Size), "a control character is stored as six bytes");
}

#[test]
fn an_oversize_body_is_checked_to_its_end() {
    let fill = "x".repeat(BODY_BYTES_MAX);
    assert!(matches!(from_json(&format!(r#"["{fill}",1e999]"#)), Err(BodyError::Invalid(_))));
    assert!(matches!(from_json(&format!(r#"{{"a":"{fill}","a":1}}"#)), Err(BodyError::Invalid(_))));
}
