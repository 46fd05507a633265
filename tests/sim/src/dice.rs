//! Reproducible chance.

/// Numbers by Steele, Lea and Flood's SplitMix64.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Begins with a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Draws 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number from `low` up to, and not with, `high`.
    ///
    /// # Panics
    /// Where there is none.
    pub const fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }

    /// Draws a place in a list of this length.
    pub fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.range(0, length as u64)).expect("a place in a list")
    }

    /// Says yes so often out of a thousand.
    pub const fn permille(&mut self, chance: u64) -> bool {
        self.range(0, 1_000) < chance
    }

    /// Begins dice of their own for something, which do not depend on how often these are thrown afterwards.
    #[must_use]
    pub const fn split(&mut self) -> Self {
        Self(self.next())
    }
}
