//! What the random histories met.

/// How often what happened.
#[derive(Debug, Default, Clone, Copy)]
pub struct Totals {
    pub committed: u64,
    pub fenced: u64,
    pub refused: u64,
    pub unknown: u64,
    pub unknown_and_stored: u64,
    pub acked_after_unknown: u64,
    pub fenced_after_unknown: u64,
    pub committed_and_fenced: u64,
    pub rolls: u64,
    pub two_owners: u64,
    pub late: u64,
    pub redactions: u64,
    pub expired: u64,
    pub replaced: u64,
}

impl Totals {
    pub fn add(&mut self, other: Self) {
        for (sum, (_, number)) in self.fields().into_iter().zip(other.named()) {
            *sum += number;
        }
    }

    /// A test that never met an end proves nothing about it.
    pub fn assert_all_met(&self) {
        println!("{self:?}");
        for (name, number) in self.named() {
            assert!(number >= 10, "{name} was met {number} times");
        }
    }

    fn fields(&mut self) -> [&mut u64; 14] {
        [
            &mut self.committed,
            &mut self.fenced,
            &mut self.refused,
            &mut self.unknown,
            &mut self.unknown_and_stored,
            &mut self.acked_after_unknown,
            &mut self.fenced_after_unknown,
            &mut self.committed_and_fenced,
            &mut self.rolls,
            &mut self.two_owners,
            &mut self.late,
            &mut self.redactions,
            &mut self.expired,
            &mut self.replaced,
        ]
    }

    fn named(mut self) -> [(&'static str, u64); 14] {
        const NAMES: [&str; 14] = [
            "committed",
            "fenced",
            "refused",
            "unknown",
            "unknown and stored",
            "acked after unknown",
            "fenced after unknown",
            "committed and fenced",
            "a roll",
            "two owners at once",
            "a late append",
            "a redaction",
            "an expiry",
            "an owner replaced",
        ];
        let numbers = self.fields().map(|number| *number);
        std::array::from_fn(|at| (NAMES[at], numbers[at]))
    }
}
