//! The search for the bucket in which a room's log ends.

use std::cmp::max;

use rollcall_protocol::Epoch;

use super::Buckets;
use super::statement::Statement;
use crate::ports::LogTail;

/// Finds the highest bucket that exists, by reading fences alone.
///
/// Buckets exist from 0 up without a gap, and each but the last is full, for ever: so any bucket that exists is as good a start
/// as another, and a wrong hint costs a few reads. From the hint it goes down to one that exists, or up past full ones, each
/// step twice the last, and then halves what is left.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TipSearch {
    buckets: Buckets,
    probe: u64,
    step: u64,
    /// The highest bucket that was seen, and what it held then.
    found: Option<(u64, LogTail)>,
    /// The lowest bucket that was not there when it was read.
    absent: Option<u64>,
    /// The greatest epoch that was read.
    epoch: Epoch,
}

/// Where a room's log ended when it was searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tip {
    /// Nobody wrote to the room.
    Empty,
    /// In this bucket, which may have filled up since.
    Bucket {
        /// Which.
        bucket: u64,
        /// Its fence columns.
        tail: LogTail,
    },
}

impl TipSearch {
    /// Starts at a bucket that probably exists.
    pub fn new(buckets: Buckets, hint: u64) -> Self {
        let probe = hint.min(buckets.greatest());
        Self { buckets, probe, step: 1, found: None, absent: None, epoch: Epoch::ZERO }
    }

    /// Returns what to read next.
    pub fn statement(&self) -> Statement {
        Statement::ReadFence { bucket: self.probe }
    }

    /// Returns the greatest epoch that was read so far.
    pub fn greatest_epoch(&self) -> Epoch {
        self.epoch
    }

    /// Takes what was read, and returns the tip once it is found; until then there is more to read.
    pub fn take(&mut self, read: Option<LogTail>) -> Option<Tip> {
        match read {
            Some(tail) => {
                self.epoch = max(self.epoch, tail.fence.epoch);
                self.found = Some((self.probe, tail));
                if tail.last_seq < self.buckets.last(self.probe) {
                    return Some(Tip::Bucket { bucket: self.probe, tail });
                }
            }
            None => self.absent = Some(self.probe),
        }
        self.probe = match (self.found, self.absent) {
            (None, Some(0)) => return Some(Tip::Empty),
            (Some((bucket, tail)), Some(absent)) if bucket + 1 >= absent => return Some(Tip::Bucket { bucket, tail }),
            (Some((bucket, _)), Some(absent)) => bucket + (absent - bucket) / 2,
            (Some((bucket, tail)), None) if bucket >= self.buckets.greatest() => {
                return Some(Tip::Bucket { bucket, tail });
            }
            (Some((bucket, _)), None) => (bucket + self.stride()).min(self.buckets.greatest()),
            (None, Some(absent)) => absent.saturating_sub(self.stride()),
            (None, None) => unreachable!("a bucket was read, and it is there or not"),
        };
        None
    }

    /// Returns the step to take, and takes twice as long a one the next time.
    fn stride(&mut self) -> u64 {
        let step = self.step;
        self.step = step.saturating_mul(2);
        step
    }
}
