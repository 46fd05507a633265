//! Whether a server should be sent clients, as the sum of named checks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The checks of one server. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    checks: Arc<Mutex<BTreeMap<&'static str, State>>>,
}

/// How a check stands.
enum State {
    /// As it was said last: none where it is passed, else why not.
    Said(Option<String>),
    /// As it is found whenever somebody asks.
    Probe(Box<dyn Fn() -> Option<String> + Send>),
    /// As it is found whenever somebody asks, and no reason to send no clients.
    Notice(Box<dyn Fn() -> Option<String> + Send>),
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(failed) => f.debug_tuple("Said").field(failed).finish(),
            Self::Probe(_) => f.write_str("Probe"),
            Self::Notice(_) => f.write_str("Notice"),
        }
    }
}

/// One check, held by the part of the server that it is about.
#[derive(Debug, Clone)]
pub struct Check {
    readiness: Readiness,
    name: &'static str,
}

impl Readiness {
    /// Adds a check that is not passed for the moment, for this reason, or takes the one of that name.
    pub fn check(&self, name: &'static str, reason: &str) -> Check {
        let check = Check { readiness: self.clone(), name };
        check.fail(reason);
        check
    }

    /// Adds a check that is made whenever somebody asks: none where it is passed, else why not. It must not block.
    pub fn probe(&self, name: &'static str, probe: impl Fn() -> Option<String> + Send + 'static) {
        self.set(name, State::Probe(Box::new(probe)));
    }

    /// Adds what operators should see and is no reason to send no clients, since the server goes on without: none where all is
    /// well, else what is not. It must not block.
    pub fn notice(&self, name: &'static str, probe: impl Fn() -> Option<String> + Send + 'static) {
        self.set(name, State::Notice(Box::new(probe)));
    }

    /// Tells whether all checks are passed. Without any check a server is not ready: nothing has started.
    pub fn is_ready(&self) -> bool {
        let checks = self.lock();
        let is_passed = |state: &State| match state {
            State::Said(failed) => failed.is_none(),
            State::Probe(probe) => probe().is_none(),
            State::Notice(_) => true,
        };
        !checks.is_empty() && checks.values().all(is_passed)
    }

    /// Returns each check by its name: none where it is passed, else why not.
    pub fn checks(&self) -> BTreeMap<&'static str, Option<String>> {
        let look = |state: &State| match state {
            State::Said(failed) => failed.clone(),
            State::Probe(probe) | State::Notice(probe) => probe(),
        };
        self.lock().iter().map(|(&name, state)| (name, look(state))).collect()
    }

    fn set(&self, name: &'static str, state: State) {
        self.lock().insert(name, state);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, State>> {
        // A map of plain values is whole after a panic too.
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
    /// The check is passed from now on.
    pub fn pass(&self) {
        self.readiness.set(self.name, State::Said(None));
    }

    /// The check is not passed from now on. The reason is shown to operators.
    pub fn fail(&self, reason: &str) {
        self.readiness.set(self.name, State::Said(Some(reason.to_owned())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_every_check_is_passed() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready());
        let start = readiness.check("start", "starting");
        let log = readiness.clone().check("log", "opening");
        start.pass();
        assert!(!readiness.is_ready());
        log.pass();
        assert!(readiness.is_ready());
        log.fail("the disk is full");
        assert!(!readiness.is_ready());
        let expected = BTreeMap::from([("log", Some("the disk is full".to_owned())), ("start", None)]);
        assert_eq!(readiness.checks(), expected);
        readiness.probe("log", || None);
        assert!(readiness.is_ready(), "a probe takes the place of the check of its name");
        readiness.notice("log", || Some("slow".to_owned()));
        assert!(readiness.is_ready(), "it is only shown");
        assert_eq!(readiness.checks()["log"], Some("slow".to_owned()));
        readiness.probe("log", || Some("away".to_owned()));
        assert!(!readiness.is_ready());
    }
}
