//! The table of senders against a naive one, at the edge where devices are pushed out.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use rollcall_protocol::limits::UNANSWERED_WRITES_MAX;
use rollcall_protocol::{Entry, Epoch, Hash, Kind, OwnerId, Seq};

use super::test_room::device;
use crate::room::senders::{Known, SENDERS_MAX, SenderKey, SenderTable};
use crate::room::tag::Tag;

/// Every write of every device since it was last pushed out, the device that wrote last at the end.
#[derive(Debug, Clone, Default)]
struct Naive {
    lives: Vec<(SenderKey, Vec<Write>)>,
    forgotten: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Write {
    n: u64,
    seq: u64,
    target: Option<u64>,
    is_edit: bool,
    tag: Option<Tag>,
}

impl Naive {
    fn apply(&mut self, key: &SenderKey, write: Write) {
        let known = self.lives.iter().position(|(other, _)| other == key);
        let mut life = known.map_or_else(|| (key.clone(), Vec::new()), |at| self.lives.remove(at));
        life.1.push(write);
        self.lives.push(life);
        if self.lives.len() > SENDERS_MAX {
            let (_, writes) = self.lives.remove(0);
            self.forgotten = self.forgotten.max(writes.last().unwrap().seq);
        }
    }

    fn redact(&mut self, target: u64) {
        for write in self.lives.iter_mut().flat_map(|(_, writes)| writes) {
            if write.seq == target || write.is_edit && write.target == Some(target) {
                write.tag = None;
            }
        }
    }

    /// What is known of an n: the write it was given to, or a word for why there is none.
    fn know(&self, key: &SenderKey, n: u64, since: u64) -> Result<(u64, Option<Tag>), String> {
        let life = self.lives.iter().find(|(other, _)| other == key).map(|(_, writes)| writes.as_slice());
        let Some(life) = life else {
            return Err(if since >= self.forgotten { "new after 0".to_owned() } else { "unknown device".to_owned() });
        };
        let last = life.last().unwrap().n;
        let (old, kept) = life.split_at(life.len().saturating_sub(UNANSWERED_WRITES_MAX));
        if n > last {
            Err(format!("new after {last}"))
        } else if old.iter().any(|write| write.n >= n) {
            Err("too old".to_owned())
        } else {
            let written = kept.iter().find(|write| write.n == n);
            written.map(|write| (write.seq, write.tag)).ok_or("skipped".to_owned())
        }
    }
}

fn known(table: &SenderTable, key: &SenderKey, n: u64, since: u64) -> Result<(u64, Option<Tag>), String> {
    match table.know(key, n, Seq::new(since)) {
        Known::Written(record) => Ok((record.seq.get(), record.tag)),
        Known::Skipped => Err("skipped".to_owned()),
        Known::TooOld => Err("too old".to_owned()),
        Known::New(last) => Err(format!("new after {last}")),
        Known::UnknownDevice => Err("unknown device".to_owned()),
    }
}

/// What the devices do. Each names one of a few devices, so that they write often and are pushed out now and then.
#[derive(Debug, Clone)]
enum Step {
    /// Some writes, each with an n that is so much higher than the one before.
    Write {
        device: usize,
        gaps: Vec<u64>,
        edits: Option<u64>,
    },
    Redact {
        target: u64,
    },
    /// Devices that nobody has heard of.
    Strangers(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let target = SENDERS_MAX as u64..SENDERS_MAX as u64 + 150;
    let write = (0..4_usize, vec(1..3_u64, 1..40), prop::option::of(target.clone()));
    let step = prop_oneof![
        8 => write.prop_map(|(device, gaps, edits)| Step::Write { device, gaps, edits }),
        2 => target.prop_map(|target| Step::Redact { target }),
        2 => (1..4_usize).prop_map(Step::Strangers),
    ];
    vec(step, 1..15)
}

/// The tables under test, and how far they have come.
#[derive(Clone, Default)]
struct Tables {
    table: SenderTable,
    naive: Naive,
    seq: u64,
    strangers: usize,
}

impl Tables {
    fn write(&mut self, key: &SenderKey, n: u64, edits: Option<u64>) {
        let edits = edits.map(|target| target.min(self.seq));
        self.seq += 1;
        let kind = if edits.is_some() { Kind::Edit } else { Kind::Message };
        let target = edits.map(Seq::new);
        let tag = Some(Tag::of(kind, Some(Seq::new(self.seq)), None));
        let entry = Entry {
            seq: Seq::new(self.seq),
            kind,
            created_at_ms: 0,
            sender: key.user.clone(),
            device: Some(key.device.clone()),
            n,
            target,
            body: None,
            salt: None,
            content_hash: Hash([0; 32]),
            hash: Hash([0; 32]),
            epoch: Epoch::ZERO,
            owner: OwnerId(0),
        };
        self.table.apply(key.clone(), &entry, tag);
        self.naive.apply(key, Write { n, seq: self.seq, target: edits, is_edit: edits.is_some(), tag });
    }

    fn strangers(&mut self, count: usize) {
        for _ in 0..count {
            self.strangers += 1;
            self.write(&device("stranger", &format!("d{}", self.strangers)), 1, None);
        }
    }
}

/// Two devices short of as many as are remembered.
static NEARLY_FULL: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables = Tables::default();
    tables.strangers(SENDERS_MAX - 2);
    tables
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn it_knows_what_a_naive_one_knows(steps in steps(), since in 0..200_u64) {
        let mut tables = NEARLY_FULL.clone();
        let devices: Vec<_> = (0..4).map(|number| device("ann", &format!("d{number}"))).collect();
        let mut last_n = [0; 4];
        for step in steps {
            match step {
                Step::Write { device, gaps, edits } => {
                    for gap in gaps {
                        last_n[device] += gap;
                        tables.write(&devices[device], last_n[device], edits);
                    }
                }
                Step::Redact { target } => {
                    tables.table.clear_tags_of(Seq::new(target));
                    tables.naive.redact(target);
                }
                Step::Strangers(count) => tables.strangers(count),
            }
        }
        let Tables { table, naive, .. } = &tables;
        let early_stranger = device("stranger", &format!("d{}", since + 1));
        for key in devices.iter().chain([&early_stranger]) {
            for n in (1..=last_n.into_iter().max().unwrap() + 1).rev().take(150) {
                prop_assert_eq!(known(table, key, n, since), naive.know(key, n, since), "{:?} {}", key, n);
            }
        }
        let kept = naive.lives.iter().map(|(_, writes)| writes.len().min(UNANSWERED_WRITES_MAX)).sum::<usize>();
        prop_assert_eq!(table.records(), kept);
        prop_assert_eq!(&SenderTable::from_snapshot(table.to_snapshot()), table);
    }
}
