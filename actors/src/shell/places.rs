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
pub(super) struct Places {
    free: Semaphore,
    kept_for: Duration,
}

impl Places {
    pub fn new() -> Self {
        Self::kept_for(KEPT_FOR)
    }

    fn kept_for(kept_for: Duration) -> Self {
        Self { free: Semaphore::new(PLACES), kept_for }
    }

    /// Gives no more places, to those who wait neither.
    pub fn close(&self) {
        self.free.close();
    }

    /// Does work in a place, once there is one. Returns none where there will be none, and the work was not begun.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait, or the work.
    pub async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let place = self.free.acquire().await.ok()?;
        let mut work = pin!(work);
        if let Ok(done) = timeout(self.kept_for, &mut work).await {
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

    /// Longer than any test.
    const LONG: Duration = Duration::from_secs(3_600);

    /// Places of which all are taken by what never ends.
    async fn taken(kept_for: Duration) -> (Arc<Places>, Arc<AtomicUsize>) {
        let (places, begun) = (Arc::new(Places::kept_for(kept_for)), Arc::<AtomicUsize>::default());
        (0..PLACES).for_each(|_| begin(&places, &begun));
        until(&begun, PLACES).await;
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

    async fn until(begun: &AtomicUsize, count: usize) {
        while begun.load(Ordering::SeqCst) < count {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn one_more_waits_as_long_as_the_places_are_kept() {
        let (places, begun) = taken(LONG).await;
        begin(&places, &begun);
        for _ in 0..1_000 {
            yield_now().await;
        }
        assert_eq!(begun.load(Ordering::SeqCst), PLACES);

        let (places, begun) = taken(Duration::from_millis(20)).await;
        (0..2 * PLACES).for_each(|_| begin(&places, &begun));
        timeout(LONG, until(&begun, 3 * PLACES)).await.unwrap();
    }

    #[tokio::test]
    async fn what_takes_longer_than_its_place_is_kept_is_finished() {
        let places = Places::kept_for(Duration::ZERO);
        let long = async {
            yield_now().await;
            7
        };
        assert_eq!(places.within(long).await, Some(7));
    }

    #[tokio::test]
    async fn whoever_waits_for_a_place_is_sent_away_when_there_are_no_more() {
        let (places, _) = taken(LONG).await;
        let (waits, ()) = tokio::join!(places.within(ready(7)), async { places.close() });
        assert_eq!(waits, None);
        assert_eq!(places.within(ready(7)).await, None);
    }
}
