//! Places for activations in a cluster. The rooms of a node that died may be ten thousand, and the log has a deadline for each of them:
//! asked for all together, it would keep that of none.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Rooms that are activated at once.
const PLACES: usize = 64;

/// How long an activation keeps its place. One that takes longer waits for something else than the others, and they not for it.
const KEPT_FOR: Duration = Duration::from_secs(2);

/// The places, given in the order in which they were asked for.
#[derive(Debug)]
pub(super) struct Places(Semaphore);

impl Places {
    pub fn new() -> Self {
        Self(Semaphore::new(PLACES))
    }

    /// Gives no more places, to those who wait neither.
    pub fn close(&self) {
        self.0.close();
    }

    /// Does work in a place, once there is one. Returns none where there will be none, and the work was not begun.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait, or the work.
    pub async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let place = self.0.acquire().await.ok()?;
        let mut work = pin!(work);
        if let Ok(done) = timeout(KEPT_FOR, &mut work).await {
            return Some(done);
        }
        drop(place);
        Some(work.await)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::yield_now;

    use super::*;

    /// Places of which all are taken, for ever.
    async fn taken() -> (Arc<Places>, Arc<AtomicUsize>) {
        let (places, begun) = (Arc::new(Places::new()), Arc::<AtomicUsize>::default());
        for _ in 0..PLACES {
            begin(&places, &begun);
        }
        while begun.load(Ordering::SeqCst) < PLACES {
            yield_now().await;
        }
        (places, begun)
    }

    fn begin(places: &Arc<Places>, begun: &Arc<AtomicUsize>) {
        let (places, begun) = (Arc::clone(places), Arc::clone(begun));
        tokio::spawn(async move {
            let hangs = async {
                begun.fetch_add(1, Ordering::SeqCst);
                pending::<()>().await;
            };
            places.within(hangs).await
        });
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_waits_and_not_for_what_hangs() {
        let (places, begun) = taken().await;
        begin(&places, &begun);
        tokio::time::sleep(KEPT_FOR - Duration::from_millis(1)).await; // pace: the clock is paused
        assert_eq!(begun.load(Ordering::SeqCst), PLACES);
        tokio::time::sleep(Duration::from_millis(2)).await; // pace: the clock is paused
        assert_eq!(begun.load(Ordering::SeqCst), PLACES + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_finished() {
        let places = Places::new();
        let long = async {
            tokio::time::sleep(KEPT_FOR * 3).await; // pace: the clock is paused
            7
        };
        assert_eq!(places.within(long).await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_place_is_sent_away_when_there_are_no_more() {
        let (places, _) = taken().await;
        let (waits, ()) = tokio::join!(places.within(ready(7)), async { places.close() });
        assert_eq!(waits, None);
        assert_eq!(places.within(ready(7)).await, None);
    }
}
