//! What is written is read back; what was not written is an error and never a panic.

use proptest::option;
use proptest::prelude::*;

use super::*;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..3u64, 0..=NUMBER_MAX, Just(NUMBER_MAX), Just(127), Just(128)]
}

fn body() -> impl Strategy<Value = Body> {
    "\\PC{0,40}".prop_map(|text| Body::text(&text).unwrap())
}

fn entry() -> impl Strategy<Value = Entry> {
    let who = ("[a-z0-9][a-z0-9._:@+|=~-]{0,127}", option::of("[a-z0-9][a-z0-9._:-]{0,63}"));
    let numbers = (number(), number(), option::of(number()), number(), any::<i64>());
    let hashes = (any::<[u8; 32]>(), any::<[u8; 32]>(), option::of(any::<[u8; 16]>()));
    (0..Kind::ALL.len(), who, numbers, hashes, option::of(body()), any::<u128>()).prop_map(
        |(kind, (sender, device), (seq, n, target, epoch, created_at_ms), (content, hash, salt), body, owner)| Entry {
            seq: Seq::new(seq),
            kind: Kind::ALL[kind],
            created_at_ms,
            sender: UserId::parse(&sender).unwrap(),
            device: device.map(|device| DeviceId::parse(&device).unwrap()),
            n,
            target: target.map(Seq::new),
            body,
            salt: salt.map(Salt),
            content_hash: Hash(content),
            hash: Hash(hash),
            epoch: Epoch::new(epoch),
            owner: OwnerId(owner),
        },
    )
}

fn row() -> impl Strategy<Value = RoomRow> {
    (any::<u32>(), number(), any::<u128>(), number(), number(), number(), number()).prop_map(
        |(number, epoch, owner, last_seq, floor, swept, last_redact)| RoomRow {
            number: RoomNumber(number),
            fence: Fence { epoch: Epoch::new(epoch), owner: OwnerId(owner) },
            last_seq: Seq::new(last_seq),
            floor: Seq::new(floor),
            swept: Seq::new(swept),
            last_redact: Seq::new(last_redact),
        },
    )
}

proptest! {
    #[test]
    fn entries_come_back(entries in prop::collection::vec(entry(), 1..5)) {
        let mut decoder = EntryDecoder::default();
        for entry in entries {
            let bytes = encode_entry(&entry);
            prop_assert_eq!(is_redacted(&bytes), entry.is_redacted());
            prop_assert_eq!(decoder.decode(entry.seq, &bytes), Ok(entry));
        }
    }

    #[test]
    fn a_cut_entry_is_an_error(entry in entry(), cut in any::<prop::sample::Index>()) {
        let bytes = encode_entry(&entry);
        let cut = cut.index(bytes.len());
        prop_assert!(EntryDecoder::default().decode(entry.seq, &bytes[..cut]).is_err());
    }

    #[test]
    fn rows_come_back(row in row()) {
        let bytes = row.encode();
        prop_assert_eq!(RoomRow::decode(&bytes), Ok(row));
        prop_assert_eq!(RoomRow::decode(&bytes[..bytes.len() - 1]), Err(CodecError::Truncated));
    }

    #[test]
    fn redactions_come_back(before in number(), next in number(), room in "[a-z0-9][a-z0-9._-]{0,20}") {
        let (redaction, room) =
            (Redaction { before: Seq::new(before), next: Seq::new(next) }, RoomId::parse(&room).unwrap());
        let bytes = redaction.encode(&room);
        prop_assert_eq!(Redaction::decode(&bytes), Ok((redaction, room.clone())));
        prop_assert!(Redaction::decode(&bytes[..bytes.len() - room.as_str().len()]).is_err());
    }

    #[test]
    fn room_numbers_come_back(number in any::<u32>()) {
        prop_assert_eq!(decode_next_room(&encode_next_room(RoomNumber(number))), Ok(RoomNumber(number)));
    }

    #[test]
    fn snapshot_parts_come_back(part in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(decode_snapshot_part(&encode_snapshot_part(&part)), Ok(part));
    }

    #[test]
    fn anything_else_is_an_error_or_a_value_but_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut ours = bytes.clone();
        ours.insert(0, ENTRY_FORMAT);
        for bytes in [bytes, ours] {
            let _ = EntryDecoder::default().decode(Seq::FIRST, &bytes);
            let _ = RoomRow::decode(&bytes);
        }
    }
}

#[test]
fn another_format_is_named() {
    let error = RoomRow::decode(&[9, 0, 0]).unwrap_err();
    assert_eq!(error.to_string(), "its format is 9, which this version does not know");
    assert_eq!(EntryDecoder::default().decode(Seq::FIRST, &[2]), Err(CodecError::UnknownFormat(2)));
    assert_eq!(decode_snapshot_part(&[]), Err(CodecError::Truncated));
}

#[test]
fn an_entry_costs_little_more_than_its_content() {
    let entry = Entry {
        seq: Seq::new(1_000_000),
        kind: Kind::Message,
        created_at_ms: 1_790_000_000_000,
        sender: UserId::parse("alice").unwrap(),
        device: Some(DeviceId::parse("phone").unwrap()),
        n: 1_000,
        target: None,
        body: Some(Body::text("hello").unwrap()),
        salt: Some(Salt([1; 16])),
        content_hash: Hash([2; 32]),
        hash: Hash([3; 32]),
        epoch: Epoch::new(7),
        owner: OwnerId(u128::MAX),
    };
    let content = r#"{"text":"hello"}"#.len() + "alice".len() + "phone".len();
    let evidence = 32 + 32 + 16 + 16;
    assert_eq!(encode_entry(&entry).len() - content - evidence, 16);
}
