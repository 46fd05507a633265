//! What goes wrong, drawn by seed.

use crate::dice::Dice;

/// One fault; it begins and, a while later, ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// When it begins, in milliseconds.
    pub at_ms: u64,
    /// How long it lasts, in milliseconds.
    pub lasts_ms: u64,
    /// Which node, client or room it strikes, where it strikes one.
    pub whom: usize,
}

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum FaultKind {
    /// A node's process dies; it starts again when the fault ends.
    Crash,
    /// A node stands still, and goes on with old timers and old messages.
    Pause,
    /// A node stops as it should, and starts again.
    Drain,
    /// A node gives a room up.
    GiveUp,
    /// A node's time of day is wrong.
    ClockWrong,
    /// A node neither sends nor gets anything on the bus.
    BusCut,
    /// A node's subscription is interrupted; what it sends arrives.
    BusDeaf,
    /// What a node sends does not arrive; it gets what others send.
    BusMute,
    /// The bus loses, repeats and delays much.
    BusLossy,
    /// Redis does not answer.
    RedisDown,
    /// Redis does not answer a node, and carries nothing from or to it.
    RedisCut,
    /// Redis answers a node late or not at all.
    RedisFlaky,
    /// Redis loses everything.
    RedisWiped,
    /// Redis goes back to what it held a while ago.
    RedisRewound,
    /// Redis says of a room what is not so: where its log ends, its last epoch, who owns it.
    RedisGarbled,
    /// The store does not answer.
    StoreDown,
    /// The store does not answer a node.
    StoreCut,
    /// Many answers of the store are lost, of requests that were carried out and others.
    StoreFlaky,
    /// The store takes its time, and some requests arrive long after they were given up.
    StoreLate,
    /// Not a fault: an operator has entries of a room expire.
    Expire,
    /// A client's connection breaks.
    ClientCut,
    /// A client's connection stands still, then breaks.
    ClientStalled,
    /// A client's program dies and starts again from its storage.
    ClientRestart,
    /// A client's program dies with its storage.
    ClientLost,
}

impl FaultKind {
    /// All kinds, and how often each is drawn.
    pub const ALL: [(Self, u64); 24] = [
        (Self::Crash, 8),
        (Self::Pause, 10),
        (Self::Drain, 3),
        (Self::GiveUp, 4),
        (Self::ClockWrong, 2),
        (Self::BusCut, 4),
        (Self::BusDeaf, 3),
        (Self::BusMute, 3),
        (Self::BusLossy, 5),
        (Self::RedisDown, 4),
        (Self::RedisCut, 4),
        (Self::RedisFlaky, 5),
        (Self::RedisWiped, 4),
        (Self::RedisRewound, 4),
        (Self::RedisGarbled, 3),
        (Self::StoreDown, 4),
        (Self::StoreCut, 6),
        (Self::StoreFlaky, 6),
        (Self::StoreLate, 6),
        (Self::Expire, 8),
        (Self::ClientCut, 5),
        (Self::ClientStalled, 4),
        (Self::ClientRestart, 4),
        (Self::ClientLost, 2),
    ];

    fn draw(dice: &mut Dice) -> Self {
        let all: u64 = Self::ALL.iter().map(|(_, weight)| weight).sum();
        let mut drawn = dice.range(0, all);
        for (kind, weight) in Self::ALL {
            match drawn.checked_sub(weight) {
                Some(left) => drawn = left,
                None => return kind,
            }
        }
        unreachable!("what was drawn is less than the sum of the weights")
    }

    fn lasts_ms(self, dice: &mut Dice) -> u64 {
        match self {
            Self::Crash => dice.range(100, 6_000),
            Self::Pause => dice.range(200, 9_000),
            Self::Drain => dice.range(3_000, 8_000),
            Self::ClockWrong => dice.range(2_000, 8_000),
            Self::BusCut | Self::BusDeaf | Self::BusMute => dice.range(100, 4_000),
            Self::BusLossy => dice.range(500, 6_000),
            Self::RedisDown | Self::RedisCut => dice.range(300, 6_000),
            Self::RedisFlaky => dice.range(500, 5_000),
            Self::StoreDown => dice.range(300, 5_000),
            Self::StoreCut => dice.range(300, 14_000),
            Self::StoreFlaky | Self::StoreLate => dice.range(500, 6_000),
            Self::ClientStalled => dice.range(200, 5_000),
            Self::ClientRestart | Self::ClientLost => dice.range(100, 3_000),
            Self::GiveUp
            | Self::Expire
            | Self::RedisWiped
            | Self::RedisRewound
            | Self::RedisGarbled
            | Self::ClientCut => 0,
        }
    }
}

/// Draws the faults of a run, by the time at which they begin; all of one kind, where that is given.
pub fn draw(dice: &mut Dice, count: usize, until_ms: u64, only: Option<FaultKind>) -> Vec<Fault> {
    let mut faults: Vec<Fault> = (0..count)
        .map(|_| {
            let drawn = FaultKind::draw(dice);
            let kind = only.unwrap_or(drawn);
            let at_ms = dice.range(500, until_ms);
            let whom = dice.place(1 << 16);
            Fault { kind, at_ms, lasts_ms: kind.lasts_ms(dice), whom }
        })
        .collect();
    faults.sort_by_key(|fault| fault.at_ms);
    faults
}
