//! Takeovers: a node that takes a room from an owner who may not know it says so in the log, before it answers anybody. Every node
//! reads what was said once a second, whatever number of rooms it has; [`Trust`](super::Trust) says what follows.

use rollcall_protocol::{Epoch, RoomId};

use crate::ports::{Fence, Replaced, Takeover};

/// The wait for the first try after one that failed, in milliseconds; it doubles with each.
const RETRY_MS: u64 = 100;

/// The longest such wait, in milliseconds.
const RETRY_MS_MAX: u64 = 1_000;

/// What happens to a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeInput {
    /// Time has passed.
    Tick,
    /// The row is there, at a quorum.
    Inserted,
    /// It may be there or not.
    NotInserted,
}

/// What a notice wants to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeEffect {
    /// Insert this row, and say what became of it.
    Insert(Takeover),
    /// Joins may be answered and entries acknowledged from here on.
    Open,
}

/// The notice of one activation: until it is [`open`](TakeoverNotice::is_open) the room answers no join and acknowledges nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TakeoverNotice {
    takeover: Takeover,
    phase: Phase,
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Inserting,
    Waiting { until_ms: u64 },
    Open,
}

impl TakeoverNotice {
    /// Begins with an activation. None needs to be noticed where nobody was replaced, or `released` has been: the fence of an owner
    /// who has drained the room and given it to this node, or of this node's own last ownership in this life.
    pub fn new(
        room: RoomId,
        epoch: Epoch,
        replaced: Replaced,
        released: Option<Fence>,
        effects: &mut Vec<NoticeEffect>,
    ) -> Self {
        let takeover = Takeover { room, epoch };
        let knows = match replaced {
            Replaced::Nothing => true,
            Replaced::Fence(fence) => released == Some(fence),
            Replaced::Unknown => false,
        };
        let phase = if knows {
            effects.push(NoticeEffect::Open);
            Phase::Open
        } else {
            effects.push(NoticeEffect::Insert(takeover.clone()));
            Phase::Inserting
        };
        Self { takeover, phase, failures: 0 }
    }

    /// Takes one input at the time `now_ms` of the monotonic clock and appends what is to be done to `effects`.
    pub fn handle(&mut self, now_ms: u64, input: NoticeInput, effects: &mut Vec<NoticeEffect>) {
        match (self.phase, input) {
            (Phase::Inserting, NoticeInput::Inserted) => {
                self.phase = Phase::Open;
                effects.push(NoticeEffect::Open);
            }
            (Phase::Inserting, NoticeInput::NotInserted) => {
                let wait_ms = RETRY_MS << self.failures.min(8);
                self.failures += 1;
                self.phase = Phase::Waiting { until_ms: now_ms + wait_ms.min(RETRY_MS_MAX) };
            }
            (Phase::Waiting { until_ms }, _) if now_ms >= until_ms => {
                self.phase = Phase::Inserting;
                effects.push(NoticeEffect::Insert(self.takeover.clone()));
            }
            _ => {}
        }
    }

    /// Tells whether joins may be answered and entries acknowledged.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Returns when time matters next, in milliseconds of the monotonic clock.
    pub fn wakes_at_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Waiting { until_ms } => Some(until_ms),
            Phase::Inserting | Phase::Open => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rollcall_protocol::OwnerId;

    use super::*;

    fn fence(epoch: u64, owner: u128) -> Fence {
        Fence { epoch: Epoch::new(epoch), owner: OwnerId(owner) }
    }

    fn begin(replaced: Replaced, released: Option<Fence>) -> (TakeoverNotice, Vec<NoticeEffect>) {
        let mut effects = Vec::new();
        let room = RoomId::parse("r").unwrap();
        let notice = TakeoverNotice::new(room, Epoch::new(6), replaced, released, &mut effects);
        (notice, effects)
    }

    fn insert() -> NoticeEffect {
        NoticeEffect::Insert(Takeover { room: RoomId::parse("r").unwrap(), epoch: Epoch::new(6) })
    }

    #[test]
    fn a_foreign_fence_is_noticed_unless_its_owner_has_let_it_go() {
        let theirs = Replaced::Fence(fence(5, 1));
        for (replaced, released, is_open) in [
            (Replaced::Nothing, None, true),
            (theirs, None, false),
            (theirs, Some(fence(5, 1)), true),
            // Somebody was in between.
            (theirs, Some(fence(4, 1)), false),
            (theirs, Some(fence(5, 2)), false),
            (Replaced::Unknown, None, false),
            (Replaced::Unknown, Some(fence(5, 1)), false),
        ] {
            let (notice, effects) = begin(replaced, released);
            assert_eq!(notice.is_open(), is_open, "{replaced:?} {released:?}");
            assert_eq!(effects, [if is_open { NoticeEffect::Open } else { insert() }]);
        }
    }

    #[test]
    fn nobody_is_answered_before_the_row_is_there() {
        let (mut notice, _) = begin(Replaced::Unknown, None);
        let mut now_ms = 1_000;
        let mut waits = Vec::new();
        for _ in 0..6 {
            let mut effects = Vec::new();
            notice.handle(now_ms, NoticeInput::NotInserted, &mut effects);
            let until = notice.wakes_at_ms().unwrap();
            notice.handle(until - 1, NoticeInput::Tick, &mut effects);
            assert_eq!((effects.len(), notice.is_open()), (0, false));
            notice.handle(until, NoticeInput::Tick, &mut effects);
            assert_eq!((effects, notice.is_open()), (vec![insert()], false));
            waits.push(until - now_ms);
            now_ms = until;
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
        let mut effects = Vec::new();
        notice.handle(now_ms, NoticeInput::Inserted, &mut effects);
        assert_eq!((effects, notice.is_open()), (vec![NoticeEffect::Open], true));
    }
}
