//! Whole rooms, and rooms that are broken in one way each.

use rollcall_protocol::{Body, DeviceId, OwnerId, Salt, UserId};

use super::*;

fn room() -> RoomId {
    RoomId::parse("general").unwrap()
}

/// A room of four messages after its creation, of which #3 was edited by #5 and redacted by #6, and #7 is a late word.
fn whole() -> Vec<Entry> {
    let kinds = [
        (Kind::Room, None, Some(r#"{"creator":"ann"}"#)),
        (Kind::Message, None, Some(r#"{"text":"one"}"#)),
        (Kind::Message, None, Some(r#"{"text":"two"}"#)),
        (Kind::Message, None, Some(r#"{"text":"three"}"#)),
        (Kind::Edit, Some(Seq::new(3)), Some(r#"{"text":"zwei"}"#)),
        (Kind::Redact, Some(Seq::new(3)), None),
        (Kind::Message, None, Some(r#"{"text":"four"}"#)),
    ];
    let mut entries = Vec::new();
    for (index, (kind, target, body)) in (1u8..).zip(kinds) {
        entries.push(Entry {
            seq: Seq::new(index.into()),
            kind,
            created_at_ms: 1_000 + i64::from(index / 2),
            sender: UserId::parse("ann").unwrap(),
            device: (kind != Kind::Room).then(|| DeviceId::parse("phone").unwrap()),
            n: u64::from(index - 1),
            target,
            body: body.map(|body| Body::from_stored(body.to_owned()).unwrap()),
            salt: Some(Salt([index; 16])),
            content_hash: Hash([0; 32]),
            hash: Hash([0; 32]),
            epoch: Epoch::new(1 + u64::from(index > 4)),
            owner: OwnerId(7),
        });
    }
    seal(&mut entries, hash::genesis(&room()));
    entries[2].redact();
    entries[4].redact();
    entries
}

/// Gives entries the hashes that fit what they say.
fn seal(entries: &mut [Entry], mut before: Hash) {
    for entry in entries {
        if let Some(content_hash) = entry.expected_content_hash() {
            entry.content_hash = content_hash;
        }
        entry.hash = entry.expected_hash(before);
        before = entry.hash;
    }
}

fn audit(entries: &[Entry], first: u64, before: Option<Hash>, anchors: &[(Seq, Hash)]) -> Result<Verified, Break> {
    let mut audit = ChainAudit::new(&room(), Seq::new(first), before, anchors);
    entries.iter().try_for_each(|entry| audit.take(entry))?;
    audit.finish(Seq::new(7))
}

fn broken(change: impl FnOnce(&mut Vec<Entry>)) -> (u64, String) {
    let mut entries = whole();
    change(&mut entries);
    let found = audit(&entries, 1, None, &[]).unwrap_err();
    (found.seq.get(), found.problem)
}

#[test]
fn a_whole_room() {
    let entries = whole();
    let hash = entries[6].hash;
    let verified = Verified { entries: 7, first: Seq::FIRST, head: Seq::new(7), hash };
    assert_eq!(audit(&entries, 1, None, &[]), Ok(verified.clone()));
    let anchors = [(Seq::new(2), entries[1].hash), (Seq::new(7), hash)];
    assert_eq!(audit(&entries, 1, None, &anchors), Ok(verified));
}

#[test]
fn a_room_whose_beginning_has_expired() {
    let entries = whole();
    let verified = Verified { entries: 4, first: Seq::new(4), head: Seq::new(7), hash: entries[6].hash };
    // #5 is an edit of an entry that is gone; the redaction that explains it is kept.
    for before in [None, Some(entries[2].hash)] {
        assert_eq!(audit(&entries[3..], 4, before, &[]), Ok(verified.clone()));
    }
    let found = audit(&entries[3..], 4, Some(entries[1].hash), &[]).unwrap_err();
    assert_eq!(found.seq, Seq::new(4));
}

#[test]
fn each_way_to_break_a_room_is_named_where_it_is() {
    let chain = "does not fit the chain: its hash is not that of its content and the entry before it";
    let cases = [
        (broken(|entries| drop(entries.remove(3))), (4, "is missing: 5 came in its place")),
        (broken(|entries| drop(entries.pop())), (7, "is missing, and all up to 7")),
        (broken(|entries| entries.swap(5, 6)), (6, "is missing: 7 came in its place")),
        (broken(|entries| entries.insert(2, entries[1].clone())), (3, "is missing: 2 came in its place")),
        (broken(|entries| entries[1].created_at_ms += 1), (2, chain)),
        (broken(|entries| entries[1].sender = UserId::parse("eve").unwrap()), (2, chain)),
        (broken(|entries| entries[1].n += 1), (2, chain)),
        (broken(|entries| entries[1].device = None), (2, chain)),
        (broken(|entries| entries[5].target = Some(Seq::new(2))), (6, chain)),
        (broken(|entries| entries[1].kind = Kind::React), (2, chain)),
        (broken(|entries| entries[1].content_hash.0[0] ^= 1), (2, chain)),
        (broken(|entries| entries[1].hash.0[31] ^= 1), (2, chain)),
        (
            broken(|entries| entries[1].body = Some(Body::from_stored(r#"{"text":"eins"}"#.to_owned()).unwrap())),
            (2, "has another body than it was committed with: its content hash does not fit"),
        ),
        (
            broken(|entries| entries[1].salt = Some(Salt([0; 16]))),
            (2, "has another body than it was committed with: its content hash does not fit"),
        ),
        (broken(|entries| entries[1].salt = None), (2, "has a body and no salt to prove it")),
        (broken(|entries| entries[1].redact()), (2, "has lost its body, and no redaction says so")),
        (broken(|entries| entries[4].epoch = Epoch::new(0)), (5, "has a lower epoch than the entry before it")),
        (
            broken(|entries| {
                entries[0].kind = Kind::Message;
                seal(entries, hash::genesis(&room()));
            }),
            (1, "is not the creation of the room"),
        ),
        (
            broken(|entries| {
                entries[1].created_at_ms = 0;
                seal(entries, hash::genesis(&room()));
            }),
            (2, "has an earlier time than the entry before it"),
        ),
        (
            // The whole chain made anew for another room.
            broken(|entries| seal(entries, hash::genesis(&RoomId::parse("other").unwrap()))),
            (1, chain),
        ),
    ];
    for ((seq, problem), expected) in cases {
        assert_eq!((seq, problem.as_str()), expected);
    }
}

#[test]
fn a_history_that_was_rewritten_as_a_whole_is_found_by_an_anchor_alone() {
    let noted = [(Seq::new(4), whole()[3].hash)];
    let mut entries = whole();
    entries[1].body = Some(Body::from_stored(r#"{"text":"never said"}"#.to_owned()).unwrap());
    seal(&mut entries, hash::genesis(&room()));
    assert!(audit(&entries, 1, None, &[]).is_ok());
    let found = audit(&entries, 1, None, &noted).unwrap_err();
    assert_eq!(
        found,
        Break { seq: Seq::new(4), problem: "has another hash than was noted: history was rewritten".to_owned() }
    );
    let beyond = [(Seq::new(9), whole()[3].hash)];
    let found = audit(&whole(), 1, None, &beyond).unwrap_err();
    assert_eq!(found, Break { seq: Seq::new(9), problem: "was noted, and the room has the entries 1 to 7".to_owned() });
}

/// Makes the last entry tell that the room is kept from #3 on, and what the hash before that is.
fn tell_of_floor(entries: &mut [Entry], hash: Hash) {
    let change = RoomChange { floor: Some(Seq::new(3)), floor_hash: Some(hash), ..RoomChange::default() };
    let before = entries[5].hash;
    entries[6].kind = Kind::Room;
    entries[6].body = Some(Body::from_value(&change).unwrap());
    seal(&mut entries[6..], before);
}

#[test]
fn the_entry_that_tells_of_the_floor_proves_the_first_that_is_kept() {
    let mut entries = whole();
    let before = entries[1].hash;
    tell_of_floor(&mut entries, before);
    assert_eq!(audit(&entries[2..], 3, None, &[]).unwrap().first, Seq::new(3));
    tell_of_floor(&mut entries, Hash([9; 32]));
    let found = audit(&entries[2..], 3, None, &[]).unwrap_err();
    assert_eq!(found.seq, Seq::new(7));
    assert!(found.problem.contains("another history"), "{}", found.problem);
}

#[test]
fn what_took_the_body_of_an_edit_away_may_have_expired_with_its_target() {
    let mut entries = whole();
    let before = entries[4].hash;
    entries[5].kind = Kind::Message;
    entries[5].body = Some(Body::from_stored(r#"{"text":"no redaction"}"#.to_owned()).unwrap());
    seal(&mut entries[5..], before);
    assert_eq!(audit(&entries[4..], 5, None, &[]).unwrap().first, Seq::new(5));
    assert_eq!(audit(&entries, 1, None, &[]).unwrap_err().seq, Seq::new(3));
}
