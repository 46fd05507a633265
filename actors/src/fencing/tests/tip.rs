//! The search for the tip.

use super::desk::tail;
use crate::fencing::{Buckets, Statement, Tip, TipSearch};
use crate::ports::LogTail;

/// A room whose buckets hold so many entries, all but the last full.
fn fence_of(last_seq: u64, bucket: u64) -> Option<LogTail> {
    let exists = last_seq > 0 && bucket * 4 <= last_seq;
    exists.then(|| tail(bucket + 1, 1, last_seq.min(bucket * 4 + 4)))
}

/// Searches, and returns the tip and the buckets that were read.
fn search(last_seq: u64, hint: u64, has_next: bool) -> (Tip, Vec<u64>) {
    let mut search = TipSearch::new(Buckets::of_entries(4), hint);
    let mut read = Vec::new();
    loop {
        let Statement::ReadFence { bucket } = search.statement() else { panic!("a search reads fences") };
        read.push(bucket);
        let is_next = last_seq > 0 && bucket * 4 == last_seq;
        if let Some(tip) = search.take(fence_of(last_seq, bucket).filter(|_| has_next || !is_next)) {
            return (tip, read);
        }
    }
}

#[test]
fn a_good_hint_costs_one_read() {
    assert_eq!(search(9, 2, true).1, [2]);
    assert_eq!(search(0, 0, true), (Tip::Empty, vec![0]));
}

#[test]
fn a_bad_hint_costs_a_few() {
    assert_eq!(search(9, 0, true).1, [0, 1, 3, 2]);
    assert_eq!(search(9, 3, true).1, [3, 2]);
    let (_, read) = search(4_000, u64::MAX, true);
    assert!(read.len() < 120, "{} reads", read.len());
    let (_, read) = search(4_000_000, 0, true);
    assert!(read.len() < 45, "{} reads", read.len());
}

#[test]
fn any_hint_leads_to_the_last_bucket() {
    for last_seq in 0..70 {
        for hint in 0..25 {
            for has_next in [false, true] {
                let bucket = if has_next || last_seq == 0 { last_seq / 4 } else { (last_seq - 1) / 4 };
                let expected = match fence_of(last_seq, bucket) {
                    Some(tail) => Tip::Bucket { bucket, tail },
                    None => Tip::Empty,
                };
                assert_eq!(search(last_seq, hint, has_next).0, expected, "{last_seq}, {hint}, {has_next}");
            }
        }
    }
}
