//! Admission: how much a room has taken and not answered. It is counted before the mailbox, which itself has no bound.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a room takes at most before it answers `busy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Requests that were taken and not answered.
    pub entries_max: usize,
    /// Size of their bodies, in bytes.
    pub bytes_max: usize,
}

/// Is told when a room begins and ceases to be read, in that order; it is called under a lock, and so does next to nothing.
pub type ReadersWatch = Box<dyn Fn(bool) + Send + Sync>;

/// Counts what a room owes: requests, readers and other holds on it. A room that owes nothing may be given up.
pub struct Admission {
    limits: QueueLimits,
    counts: Mutex<Counts>,
    watch: Option<ReadersWatch>,
}

#[derive(Debug)]
struct Counts {
    entries: usize,
    bytes: usize,
    readers: usize,
    holds: usize,
    closed: bool,
    /// When the room last owed anything.
    busy_at: Instant,
    /// It was said that the room is at rest, and nothing was asked since.
    rests: bool,
}

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The queue is full.
    Full,
    /// The room is given up; ask the directory for it again.
    Closed,
}

/// A request's place in a room; dropping it gives the place free.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    bytes: usize,
}

/// A hold on a room, of somebody who reads it or of whatever else needs it: while there is one, the room is not idle.
#[derive(Debug)]
pub struct Lease {
    admission: Arc<Admission>,
    is_reader: bool,
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("limits", &self.limits).field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl Admission {
    /// Counts from nothing, at the time `now`.
    pub fn new(limits: QueueLimits, now: Instant) -> Arc<Self> {
        Self::watched(limits, now, None)
    }

    /// Counts from nothing, at the time `now`, and tells when the room begins and ceases to be read.
    pub fn watched(limits: QueueLimits, now: Instant, watch: Option<ReadersWatch>) -> Arc<Self> {
        let counts = Counts { entries: 0, bytes: 0, readers: 0, holds: 0, closed: false, busy_at: now, rests: false };
        Arc::new(Self { limits, counts: Mutex::new(counts), watch })
    }

    /// Takes a request whose body has `bytes` bytes. One request is always taken, however large.
    ///
    /// # Errors
    /// Where the queue is full or the room is given up.
    pub fn admit(self: &Arc<Self>, bytes: usize) -> Result<Permit, NotAdmitted> {
        let mut counts = self.counts();
        if counts.closed {
            return Err(NotAdmitted::Closed);
        }
        let full = counts.entries >= self.limits.entries_max || counts.bytes + bytes > self.limits.bytes_max;
        if counts.entries > 0 && full {
            return Err(NotAdmitted::Full);
        }
        counts.entries += 1;
        counts.bytes += bytes;
        counts.rests = false;
        Ok(Permit { admission: Arc::clone(self), bytes })
    }

    /// Counts somebody who reads the room, or waits to.
    pub fn reader(self: &Arc<Self>) -> Lease {
        let mut counts = self.counts();
        counts.readers += 1;
        if counts.readers == 1 {
            self.tell_watch(true);
        }
        Lease { admission: Arc::clone(self), is_reader: true }
    }

    /// Counts what needs the room and does not read it.
    pub fn hold(self: &Arc<Self>) -> Lease {
        self.counts().holds += 1;
        Lease { admission: Arc::clone(self), is_reader: false }
    }

    /// Tells whether nothing is taken any more.
    pub fn is_closed(&self) -> bool {
        self.counts().closed
    }

    fn tell_watch(&self, is_read: bool) {
        if let Some(watch) = &self.watch {
            watch(is_read);
        }
    }

    /// Returns since when nothing is owed; none while something is.
    pub fn idle_since(&self) -> Option<Instant> {
        let counts = self.counts();
        (!counts.owes()).then_some(counts.busy_at)
    }

    /// Tells that nothing was asked for a time, joined or not; once, until something is asked again.
    pub fn comes_to_rest(&self, now: Instant, after: Duration) -> bool {
        let mut counts = self.counts();
        let quiet = counts.entries == 0 && now.saturating_duration_since(counts.busy_at) >= after;
        quiet && !std::mem::replace(&mut counts.rests, quiet)
    }

    /// Takes nothing any more, if nothing is owed and nothing was for `idle`. Says whether the room is closed now.
    pub fn close_if_idle(&self, now: Instant, idle: Duration) -> bool {
        let mut counts = self.counts();
        if !counts.owes() && now.saturating_duration_since(counts.busy_at) >= idle {
            counts.closed = true;
        }
        counts.closed
    }

    /// Takes nothing any more.
    pub fn close(&self) {
        self.counts().closed = true;
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // No code that holds the lock panics half-way through a change.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn owes(&self) -> bool {
        self.entries + self.readers + self.holds > 0
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.entries -= 1;
        counts.bytes -= self.bytes;
        if counts.entries == 0 {
            counts.busy_at = Instant::now();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        if self.is_reader {
            counts.readers -= 1;
            if counts.readers == 0 {
                self.admission.tell_watch(false);
            }
        } else {
            counts.holds -= 1;
        }
        counts.busy_at = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn admission() -> Arc<Admission> {
        Admission::new(QueueLimits { entries_max: 2, bytes_max: 100 }, Instant::now())
    }

    #[test]
    fn full_by_count_or_by_size_and_free_again() {
        let admission = admission();
        let first = admission.admit(60).unwrap();
        assert_eq!(admission.admit(41).unwrap_err(), NotAdmitted::Full);
        let second = admission.admit(40).unwrap();
        assert_eq!(admission.admit(0).unwrap_err(), NotAdmitted::Full);
        drop(first);
        drop(second);
        drop(admission.admit(1_000).expect("an empty room takes one request of any size"));
    }

    #[test]
    fn closes_only_while_nothing_is_owed() {
        let admission = admission();
        let later = Instant::now() + Duration::from_secs(1);
        let permit = admission.admit(1).unwrap();
        assert!(!admission.close_if_idle(later, Duration::ZERO));
        drop(permit);
        let lease = admission.reader();
        assert!(!admission.close_if_idle(later, Duration::ZERO));
        drop(lease);
        assert!(!admission.close_if_idle(later, Duration::from_secs(60)), "it was busy a moment ago");
        assert!(admission.close_if_idle(later, Duration::ZERO));
        assert_eq!(admission.admit(1).unwrap_err(), NotAdmitted::Closed);
    }

    #[test]
    fn rests_once_when_nothing_was_asked_for_a_time() {
        let admission = admission();
        let _lease = admission.reader();
        let (pause, later) = (Duration::from_secs(5), Instant::now() + Duration::from_secs(10));
        assert!(!admission.comes_to_rest(Instant::now(), pause), "it was made a moment ago");
        assert!(admission.comes_to_rest(later, pause));
        assert!(!admission.comes_to_rest(later, pause), "it was said");
        let permit = admission.admit(1).unwrap();
        assert!(!admission.comes_to_rest(later, pause), "something is owed");
        drop(permit);
        assert!(admission.comes_to_rest(later, pause));
    }

    #[test]
    fn threads_together_never_hold_more_than_the_limit() {
        let admission = Admission::new(QueueLimits { entries_max: 3, bytes_max: usize::MAX }, Instant::now());
        let held = AtomicUsize::new(0);
        std::thread::scope(|threads| {
            for _ in 0..6 {
                threads.spawn(|| {
                    let mut taken = 0;
                    while taken < 2_000 {
                        let Ok(permit) = admission.admit(1) else {
                            std::thread::yield_now();
                            continue;
                        };
                        assert!(held.fetch_add(1, Ordering::SeqCst) < 3, "more than the limit is held");
                        assert!(!admission.close_if_idle(Instant::now(), Duration::ZERO), "something is owed");
                        held.fetch_sub(1, Ordering::SeqCst);
                        taken += 1;
                        drop(permit);
                    }
                });
            }
        });
        assert!(admission.close_if_idle(Instant::now(), Duration::ZERO), "nothing is owed any more");
    }
}
