//! Whether the servers answer: asked once a second, so that whoever wants to know does not wait.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::options::CqlOptions;
use super::schema;
use super::store::Store;

const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What the last look has shown.
#[derive(Default)]
pub(super) struct Health {
    away: Mutex<Option<String>>,
}

impl Health {
    /// Looks from here on, until the log is dropped.
    pub fn watch(store: &Arc<Store>, options: &CqlOptions) -> Arc<Self> {
        let health = Arc::<Self>::default();
        tokio::spawn(look(Arc::downgrade(&health), Arc::downgrade(store), options.clone()));
        health
    }

    /// Says why the log could not be used when it was looked at last; none where it could.
    pub fn away(&self) -> Option<String> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn look(health: Weak<Health>, store: Weak<Store>, options: CqlOptions) {
    let mut looks = interval(LOOK_AGAIN_AFTER);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(open) = store.upgrade() else { return };
        let away = schema::version(&open.session, &options).await.err().map(|error| error.to_string());
        drop(open);
        let Some(health) = health.upgrade() else { return };
        *health.away.lock().unwrap_or_else(PoisonError::into_inner) = away;
    }
}
