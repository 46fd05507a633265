//! What was pushed, one small record for each entry: the first push that was seen of it.

use crate::chain::NO_BODY;
use crate::names::ConnIx;

/// Entries of a page; a page grows with what is in it.
const PAGE_LENGTH: u64 = 256;

/// What all pushes of one entry must agree on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// The start of the hash of the body, if one was seen. SHA-256 spreads: 16 bytes tell any two bodies apart.
    body_hash_start: [u8; 16],
    pub(crate) epoch: u64,
    /// Who saw it first.
    pub(crate) conn: ConnIx,
    with_body: bool,
    without_body: bool,
}

impl Seen {
    const VACANT: Self =
        Self { body_hash_start: [0; 16], epoch: 0, conn: ConnIx(u32::MAX), with_body: false, without_body: false };

    fn is_vacant(&self) -> bool {
        !self.with_body && !self.without_body
    }

    /// The start of the hash of the body that was pushed, if any push carried one.
    pub(crate) fn body_hash_start(&self) -> Option<[u8; 16]> {
        self.with_body.then_some(self.body_hash_start)
    }

    /// Whether a push carried no body.
    pub(crate) fn came_without_body(&self) -> bool {
        self.without_body
    }

    /// Whether a push carried the body with this hash.
    pub(crate) fn came_with(&self, body_hash: &[u8; 32]) -> bool {
        self.with_body && self.body_hash_start == start_of(body_hash)
    }
}

fn start_of(body_hash: &[u8; 32]) -> [u8; 16] {
    let mut start = [0; 16];
    start.copy_from_slice(&body_hash[..16]);
    start
}

/// How a push compares with the first one of its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    First,
    Same,
    Different,
}

/// The seen entries of a room, by seq, in pages near the seqs that occur.
#[derive(Debug, Default)]
pub(crate) struct SeenTable {
    /// In ascending order of number.
    pages: Vec<Page>,
    /// The page that was used last: the pushes of a room are close together.
    recent: usize,
    count: usize,
}

#[derive(Debug)]
struct Page {
    number: u64,
    slots: Vec<Seen>,
}

impl SeenTable {
    /// Notes a push, or compares it with what was noted. A missing body is no difference here: whether it may be missing
    /// is known only once the log is.
    pub(crate) fn observe(&mut self, conn: ConnIx, seq: u64, epoch: u64, body_hash: &[u8; 32]) -> Comparison {
        let seen = self.slot(seq);
        let is_first = seen.is_vacant();
        if is_first {
            seen.epoch = epoch;
            seen.conn = conn;
        }
        let mut same = seen.epoch == epoch;
        if *body_hash == NO_BODY {
            seen.without_body = true;
        } else if seen.with_body {
            same &= seen.body_hash_start == start_of(body_hash);
        } else {
            seen.with_body = true;
            seen.body_hash_start = start_of(body_hash);
        }
        if is_first {
            self.count += 1;
            Comparison::First
        } else if same {
            Comparison::Same
        } else {
            Comparison::Different
        }
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Seen> {
        let page = self.pages.binary_search_by_key(&(seq / PAGE_LENGTH), |page| page.number).ok()?;
        self.pages[page].slots.get(offset_of(seq)).filter(|seen| !seen.is_vacant())
    }

    /// Every seen entry in ascending order of seq.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Seen)> {
        self.pages.iter().flat_map(|page| {
            let first = page.number * PAGE_LENGTH;
            (first..).zip(&page.slots).filter(|(_, seen)| !seen.is_vacant())
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    fn slot(&mut self, seq: u64) -> &mut Seen {
        let number = seq / PAGE_LENGTH;
        if self.pages.get(self.recent).is_none_or(|page| page.number != number) {
            self.recent = self.pages.binary_search_by_key(&number, |page| page.number).unwrap_or_else(|place| {
                self.pages.insert(place, Page { number, slots: Vec::new() });
                place
            });
        }
        let slots = &mut self.pages[self.recent].slots;
        let offset = offset_of(seq);
        if offset >= slots.len() {
            slots.resize(offset + 1, Seen::VACANT);
        }
        &mut slots[offset]
    }
}

fn offset_of(seq: u64) -> usize {
    // Below PAGE_LENGTH, so it fits.
    (seq % PAGE_LENGTH) as usize
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Seen, SeenTable};
    use crate::chain::NO_BODY;
    use crate::names::ConnIx;

    #[test]
    fn a_seen_entry_takes_32_bytes() {
        assert_eq!(size_of::<Seen>(), 32);
    }

    #[test]
    fn pushes_far_apart_are_found_again_in_order() {
        let mut seen = SeenTable::default();
        for seq in [9_000_000_000, 1, 255, 256, 4_000] {
            assert_eq!(seen.observe(ConnIx(1), seq, 1, &[7; 32]), Comparison::First);
        }
        assert_eq!(seen.iter().map(|(seq, _)| seq).collect::<Vec<_>>(), [1, 255, 256, 4_000, 9_000_000_000]);
        assert_eq!(seen.len(), 5);
        assert!(seen.get(2).is_none() && seen.get(256).is_some());
    }

    #[test]
    fn later_pushes_are_compared_with_the_first() {
        let mut seen = SeenTable::default();
        seen.observe(ConnIx(1), 1, 1, &NO_BODY);
        assert_eq!(seen.observe(ConnIx(2), 1, 1, &[7; 32]), Comparison::Same);
        assert_eq!(seen.observe(ConnIx(3), 1, 1, &[8; 32]), Comparison::Different);
        assert_eq!(seen.observe(ConnIx(3), 1, 2, &[7; 32]), Comparison::Different);
        let first = seen.get(1).unwrap();
        assert!(first.came_without_body() && first.came_with(&[7; 32]));
    }
}
