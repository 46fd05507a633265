//! Rates: token buckets for commands, of a connection and of a user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use rollcall_protocol::UserId;

/// How many commands may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Each second, in the long run; 0 is without limit.
    pub per_s: u32,
    /// At once.
    pub burst: u32,
}

/// A token bucket: holds up to `burst` tokens, of which one comes back every 1/`per_s` seconds.
#[derive(Debug)]
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// Makes a full bucket.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: f64::from(rate.burst), filled_at: now }
    }

    /// Takes a token, or says in how many milliseconds there will be one.
    ///
    /// # Errors
    /// Where there is none.
    pub fn take(&mut self, now: Instant) -> Result<(), u64> {
        if self.rate.per_s == 0 {
            return Ok(());
        }
        let per_s = f64::from(self.rate.per_s);
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + passed * per_s).min(f64::from(self.rate.burst.max(1)));
        self.filled_at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 1,000 and not negative")]
        let wait_ms = ((1.0 - self.tokens) / per_s * 1_000.0).ceil() as u64;
        Err(wait_ms.max(1))
    }
}

/// One bucket a user, for as long as one of the user's connections lives.
#[derive(Debug)]
pub struct UserRates {
    rate: Rate,
    buckets: Mutex<HashMap<UserId, Weak<Mutex<Bucket>>>>,
}

/// A connection's share in its user's bucket.
#[derive(Debug, Clone)]
pub struct UserRate(Option<Arc<Mutex<Bucket>>>);

impl UserRates {
    /// Begins with full buckets for all.
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Returns the bucket of a user.
    pub fn of(&self, user: &UserId) -> UserRate {
        if self.rate.per_s == 0 {
            return UserRate(None);
        }
        // No code that holds the lock panics half-way through a change.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(user).and_then(Weak::upgrade) {
            return UserRate(Some(bucket));
        }
        if buckets.len() >= 2 * buckets.values().filter(|bucket| bucket.strong_count() > 0).count().max(512) {
            buckets.retain(|_, bucket| bucket.strong_count() > 0);
        }
        let bucket = Arc::new(Mutex::new(Bucket::new(self.rate, Instant::now())));
        buckets.insert(user.clone(), Arc::downgrade(&bucket));
        UserRate(Some(bucket))
    }
}

impl UserRate {
    /// Takes a token, or says in how many milliseconds there will be one.
    ///
    /// # Errors
    /// Where there is none.
    pub fn take(&self, now: Instant) -> Result<(), u64> {
        match &self.0 {
            Some(bucket) => bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate { per_s: 10, burst: 3 }, start);
        let taken = (0..5).filter(|_| bucket.take(start).is_ok()).count();
        assert_eq!(taken, 3);
        assert_eq!(bucket.take(start), Err(100));
        assert_eq!(bucket.take(start + Duration::from_millis(150)), Ok(()));
        assert_eq!(bucket.take(start + Duration::from_millis(150)), Err(50));
    }

    #[test]
    fn connections_of_one_user_share_a_bucket() {
        let rates = UserRates::new(Rate { per_s: 1, burst: 1 });
        let user = UserId::parse("u").unwrap();
        let (one, other) = (rates.of(&user), rates.of(&user));
        assert!(one.take(Instant::now()).is_ok());
        assert!(other.take(Instant::now()).is_err());
        assert!(rates.of(&UserId::parse("v").unwrap()).take(Instant::now()).is_ok());
    }
}
