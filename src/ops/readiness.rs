//! Whether a server should be sent clients, as the sum of named checks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The checks of one server. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    checks: Arc<Mutex<BTreeMap<&'static str, Option<String>>>>,
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

    /// Tells whether all checks are passed. Without any check a server is not ready: nothing has started.
    pub fn is_ready(&self) -> bool {
        let checks = self.checks();
        !checks.is_empty() && checks.values().all(Option::is_none)
    }

    /// Returns each check by its name: none where it is passed, else why not.
    pub fn checks(&self) -> BTreeMap<&'static str, Option<String>> {
        // A map of plain values is whole after a panic too.
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, name: &'static str, state: Option<String>) {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).insert(name, state);
    }
}

impl Check {
    /// The check is passed from now on.
    pub fn pass(&self) {
        self.readiness.set(self.name, None);
    }

    /// The check is not passed from now on. The reason is shown to operators.
    pub fn fail(&self, reason: &str) {
        self.readiness.set(self.name, Some(reason.to_owned()));
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
    }
}
