use rollcall_protocol::{EntriesFrame, EntryFrame, Incoming};

use super::*;
use crate::shell::test_entries::TestEntries;

/// One entry of each shape that a frame can hold.
fn frame() -> Arc<Frame> {
    let mut room = TestEntries::new();
    let mut entries = vec![
        room.message("grüße 👋 \u{1F469}\u{200D}\u{1F680}"),
        room.message("gone"),
        room.edit(1, "line\nbreak"),
        room.entry(Kind::React, Some(1), Some("+1")),
        room.redact(2),
        Entry { device: None, n: 0, ..room.entry(Kind::Room, None, Some("settings")) },
    ];
    entries[1].redact();
    Frame::new(room.room, entries.into())
}

fn decode(bytes: &Bytes, format: Format) -> EntriesFrame {
    match format.decode(bytes) {
        Ok(Incoming::Entries(frame)) => frame,
        other => panic!("not a frame of entries: {other:?}"),
    }
}

fn as_received(entry: &Entry) -> EntryFrame {
    EntryFrame {
        seq: entry.seq,
        kind: entry.kind,
        created_at_ms: entry.created_at_ms,
        sender: entry.sender.clone(),
        device: entry.device.clone(),
        n: entry.n,
        target: entry.target,
        body: entry.body.clone(),
        redacted: entry.is_redacted(),
        epoch: None,
        owner: None,
        salt: None,
        content_hash: None,
        hash: None,
    }
}

#[test]
fn both_formats_say_what_the_entries_say() {
    let frame = frame();
    for format in Format::ALL {
        let decoded = decode(&frame.bytes_after(Seq::ZERO, format), format);
        let expected: Vec<EntryFrame> = frame.entries().iter().map(as_received).collect();
        assert_eq!(decoded.list, expected, "{format:?}");
        let last = frame.entries().last().unwrap();
        assert_eq!((decoded.epoch, decoded.hash), (last.epoch, last.hash), "{format:?}");
    }
}

#[test]
fn each_format_is_encoded_once_for_all_readers() {
    let frame = frame();
    let bytes = |format| frame.bytes_after(Seq::ZERO, format);
    for format in Format::ALL {
        assert_eq!(bytes(format).as_ptr(), bytes(format).as_ptr(), "{format:?}");
    }
    assert_ne!(bytes(Format::Json).as_ptr(), bytes(Format::MsgPack).as_ptr());
}

#[test]
fn a_cursor_in_the_middle_gets_exactly_the_rest() {
    let frame = frame();
    for format in Format::ALL {
        for cursor in 1..frame.last().get() {
            let rest = decode(&frame.bytes_after(Seq::new(cursor), format), format);
            let seqs: Vec<u64> = rest.list.iter().map(|entry| entry.seq.get()).collect();
            assert_eq!(seqs, (cursor + 1..=frame.last().get()).collect::<Vec<_>>());
            assert_eq!(rest.hash, frame.entries().last().unwrap().hash);
        }
    }
}

#[test]
fn entries_are_cut_where_the_epoch_changes() {
    let mut room = TestEntries::new();
    let mut entries = room.messages(3);
    room.epoch = room.epoch.next();
    entries.extend(room.messages(2));
    room.epoch = room.epoch.next();
    entries.extend(room.messages(1));
    let frames = Frame::cut(&room.room, entries.into());
    let ranges: Vec<_> = frames.iter().map(|frame| (frame.first().get(), frame.last().get())).collect();
    assert_eq!(ranges, [(1, 3), (4, 5), (6, 6)]);
    assert!(Frame::cut(&room.room, Arc::default()).is_empty());
}

#[test]
fn a_redaction_takes_its_target_and_the_edits_of_it() {
    let mut room = TestEntries::new();
    let entries =
        vec![room.message("secret one"), room.message("public"), room.edit(1, "secret two"), room.edit(2, "x")];
    let frame = Frame::new(room.room, entries.into());
    let weight = frame.weight_bytes();
    assert!(frame.redacted(Seq::new(9)).is_none(), "nothing of it lies here");
    let redacted = frame.redacted(Seq::new(1)).unwrap();
    assert_eq!(redacted.entries().iter().map(Entry::is_redacted).collect::<Vec<_>>(), [true, false, true, false]);
    assert!(redacted.weight_bytes() < weight);
    assert!(redacted.redacted(Seq::new(1)).is_none(), "it is gone already");
    for format in Format::ALL {
        for cursor in 0..4 {
            let bytes = redacted.bytes_after(Seq::new(cursor), format);
            assert!(!bytes.windows(6).any(|window| window == b"secret"), "{format:?} after {cursor}");
        }
    }
}
