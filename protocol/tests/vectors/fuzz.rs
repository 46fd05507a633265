//! Whatever bytes arrive, decoding ends with a value or an error; and a command that was accepted can be written again.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use rollcall_protocol::{Format, Op};

use crate::generate::files::frames;
use crate::wire::as_sent;

/// One change of a frame.
#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    FlipBit(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    CutAfter(Index),
}

fn change() -> impl Strategy<Value = Change> {
    /// Bytes that mean something to one of the formats.
    const TELLING: &[u8] =
        b"{}[]\",:\\u0-+eE.\x80\x90\xa0\xc0\xc1\xc4\xc7\xca\xcb\xcf\xd3\xd6\xd9\xdb\xdc\xdd\xde\xdf\xff";
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(TELLING)];
    prop_oneof![
        3 => (any::<Index>(), byte.clone()).prop_map(|(at, byte)| Change::Set(at, byte)),
        3 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Change::FlipBit(at, bit)),
        2 => (any::<Index>(), vec(byte, 1..6)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (any::<Index>(), 1..20_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (any::<Index>(), 1..40_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
        1 => any::<Index>().prop_map(Change::CutAfter),
    ]
}

impl Change {
    fn apply(&self, frame: &mut Vec<u8>) {
        if frame.is_empty() {
            return;
        }
        let length = frame.len();
        match self {
            Self::Set(at, byte) => frame[at.index(length)] = *byte,
            Self::FlipBit(at, bit) => frame[at.index(length)] ^= 1 << bit,
            Self::Insert(at, bytes) => drop(frame.splice(at.index(length)..at.index(length), bytes.iter().copied())),
            Self::Remove(at, count) => drop(frame.drain(at.index(length)..length.min(at.index(length) + count))),
            Self::Repeat(at, count) => {
                let repeated = frame[at.index(length)..length.min(at.index(length) + count)].to_vec();
                drop(frame.splice(at.index(length)..at.index(length), repeated));
            }
            Self::CutAfter(at) => frame.truncate(at.index(length)),
        }
    }
}

/// Decodes bytes as everything that they might be; what is accepted as a command must survive being written again.
fn decode(bytes: &[u8]) -> Result<(), TestCaseError> {
    for format in Format::ALL {
        let _ = format.decode(bytes).map(|frame| format!("{frame:?}"));
        let command = match format.decode_command(bytes) {
            Ok(command) => command,
            Err(error) => {
                prop_assert!(error.to_string().len() < 400, "{error}");
                continue;
            }
        };
        if matches!(command.op, Op::Unknown(_)) {
            continue;
        }
        if let Some(sent) = as_sent(command.clone()) {
            for format in Format::ALL {
                let again = format.decode_command(&format.encode_command(&sent));
                prop_assert_eq!(again.as_ref(), Ok(&command));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
        decode(&bytes)?;
    }

    #[test]
    fn arbitrary_text_does_no_harm(text in "[{}\\[\\]\",:0-9a-z\\\\ ]{0,60}") {
        decode(text.as_bytes())?;
    }

    #[test]
    fn frames_that_were_changed_do_no_harm(which in any::<Index>(), changes in vec(change(), 1..6)) {
        let frames = frames();
        let vector = which.get(&frames);
        for frame in [&vector.json, &vector.msgpack] {
            let mut frame = frame.clone();
            changes.iter().for_each(|change| change.apply(&mut frame));
            decode(&frame)?;
        }
    }
}

#[test]
fn frames_cut_at_any_byte_do_no_harm() {
    for vector in frames() {
        for (format, frame) in Format::ALL.into_iter().zip([&vector.json, &vector.msgpack]) {
            for length in 0..frame.len() {
                assert!(format.decode(&frame[..length]).is_err(), "{} cut to {length}", vector.name);
                assert!(format.decode_command(&frame[..length]).is_err(), "{} cut to {length}", vector.name);
            }
        }
    }
}
