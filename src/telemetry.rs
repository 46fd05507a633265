//! Log lines: where they go and how they look. What may be in them is decided where they are written: never a body, a token or
//! a secret.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, FilterFn, ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{LogFormat, Logging};

/// Libraries that write whole frames, with what people say and prove themselves with, below the level of info.
const WRITE_FRAMES: [&str; 2] = ["tungstenite", "tokio_tungstenite"];

/// Libraries that tell of their own work at the level of info, as if it were ours: their warnings are enough.
const CHATTY: [&str; 2] = ["fjall", "lsm_tree"];

/// Why log lines cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is not one.
    #[error("failed to read `logging.level`: {0}")]
    Level(#[from] ParseError),
    /// Something else in this process has taken over log lines.
    #[error("failed to take over log lines: {0}")]
    Taken(#[from] TryInitError),
}

/// Tells whether log lines are for people: the format says so, or leaves it open and standard error is a terminal.
pub fn is_pretty(format: LogFormat) -> bool {
    match format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stderr().is_terminal(),
    }
}

/// Sends the log lines of this process to standard error; for a binary, once.
///
/// # Errors
/// Where the level cannot be read, or it was called before.
pub fn init(logging: &Logging) -> Result<(), TelemetryError> {
    let level: EnvFilter = logging.level.parse()?;
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = if is_pretty(logging.format) {
        lines.with_ansi(io::stderr().is_terminal()).with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    };
    // As one filter: its greatest level is the lesser of the two, so that what is not written is not even looked at.
    Ok(tracing_subscriber::registry().with(lines.with_filter(level.and(no_frames()))).try_init()?)
}

/// Keeps frames out, whatever level is set.
fn no_frames() -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata| {
        let library = metadata.target().split("::").next().unwrap_or_default();
        match *metadata.level() {
            Level::ERROR | Level::WARN => true,
            Level::INFO => !CHATTY.contains(&library),
            Level::DEBUG | Level::TRACE => !WRITE_FRAMES.contains(&library),
        }
    })
    .with_max_level_hint(LevelFilter::TRACE)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::Filter;

    use super::*;

    #[test]
    fn frames_are_kept_out_without_a_cost_to_what_is_not_written() {
        let filter = |level: &str| {
            let level: EnvFilter = level.parse().unwrap();
            let filter = level.and(no_frames());
            <_ as Filter<tracing_subscriber::Registry>>::max_level_hint(&filter)
        };
        assert_eq!(filter("info"), Some(LevelFilter::INFO));
        assert_eq!(filter("warn,rollcall=debug"), Some(LevelFilter::DEBUG));
    }
}
