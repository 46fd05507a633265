//! What happens in random runs, counted.

/// What happened, over all runs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    pub lost_batches: u64,
    /// Of which no later batch of their room told for a second.
    pub lost_tails: u64,
    pub lost_beacons: u64,
    pub repeated: u64,
    pub gaps_by_number: u64,
    pub gaps_by_silence: u64,
    pub hand_overs: u64,
    pub takeovers: u64,
    pub restarts: u64,
    pub pauses: u64,
    pub for_another_life: u64,
    pub failed_reads: u64,
    /// Entries that were shown after the log was asked for them.
    pub read_entries: u64,
    pub shown: u64,
}

impl Totals {
    pub fn plus(self, other: Self) -> Self {
        Self {
            lost_batches: self.lost_batches + other.lost_batches,
            lost_tails: self.lost_tails + other.lost_tails,
            lost_beacons: self.lost_beacons + other.lost_beacons,
            repeated: self.repeated + other.repeated,
            gaps_by_number: self.gaps_by_number + other.gaps_by_number,
            gaps_by_silence: self.gaps_by_silence + other.gaps_by_silence,
            hand_overs: self.hand_overs + other.hand_overs,
            takeovers: self.takeovers + other.takeovers,
            restarts: self.restarts + other.restarts,
            pauses: self.pauses + other.pauses,
            for_another_life: self.for_another_life + other.for_another_life,
            failed_reads: self.failed_reads + other.failed_reads,
            read_entries: self.read_entries + other.read_entries,
            shown: self.shown + other.shown,
        }
    }

    /// Tells whether everything that these runs are for has happened, and not just once.
    pub fn each_happened(&self) -> bool {
        let each = [
            self.lost_batches,
            self.lost_tails,
            self.lost_beacons,
            self.repeated,
            self.gaps_by_number,
            self.gaps_by_silence,
            self.hand_overs,
            self.takeovers,
            self.restarts,
            self.pauses,
            self.for_another_life,
            self.read_entries,
            self.shown,
        ];
        each.into_iter().all(|count| count >= 20)
    }
}
