//! Watches the log lines of this process: a test fails on a WARN or ERROR that its test binary did not list.
//!
//! Servers of many tests share one process, and some of their threads belong to no test; so the lines, and the lists of those
//! that are expected, are the process's. Tests that provoke warnings therefore have a binary of their own.

use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// What was logged at WARN or ERROR, and what of it is expected.
#[derive(Debug, Default)]
struct Watched {
    lines: Vec<String>,
    expected: Vec<&'static str>,
}

fn watched() -> MutexGuard<'static, Watched> {
    static WATCHED: Mutex<Watched> = Mutex::new(Watched { lines: Vec::new(), expected: Vec::new() });
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to watch; lines that contain one of `expected` are fine from now on, in every test of this process.
///
/// # Panics
/// Where something else in this process takes the log lines.
pub fn watch(expected: &[&'static str]) {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        let subscriber = tracing_subscriber::registry().with(Watch);
        tracing::subscriber::set_global_default(subscriber).expect("nothing else takes the log lines");
    });
    watched().expected.extend(expected);
}

/// Fails on each line at WARN or ERROR that nobody expected.
///
/// # Panics
/// Where there is one.
pub fn assert_quiet() {
    let unexpected: Vec<String> = {
        let watched = watched();
        let is_expected = |line: &&String| watched.expected.iter().any(|pattern| line.contains(pattern));
        watched.lines.iter().filter(|line| !is_expected(line)).cloned().collect()
    };
    assert!(unexpected.is_empty(), "log lines that no test expects:\n{}", unexpected.join("\n"));
}

/// Tells whether a line at WARN or ERROR was logged that contains a text.
pub fn saw(text: &str) -> bool {
    watched().lines.iter().any(|line| line.contains(text))
}

struct Watch;

impl<S: Subscriber> Layer<S> for Watch {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || !metadata.target().starts_with("rollcall") {
            return;
        }
        let mut line = format!("{} {}:", metadata.level(), metadata.target());
        event.record(&mut Fields(&mut line));
        watched().lines.push(line);
    }
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("a string takes everything");
    }
}
