//! Log lines: where they go and how they look. What may be in them is decided where they are written: never a body, a token or
//! a secret.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{LogFormat, Logging};

/// Why log lines cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is not one.
    #[error("failed to read `logging.level`: {0}")]
    Level(#[from] ParseError),
    /// Something else in this process has taken over log lines.
    #[error("failed to take over log lines: {0}")]
    Taken(Box<dyn std::error::Error + Send + Sync>),
}

/// Tells whether log lines are for people: the format says so, or leaves it open and standard error is a terminal.
pub fn is_pretty(format: LogFormat) -> bool {
    match format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    }
}

/// Sends the log lines of this process to standard error; for a binary, once.
///
/// # Errors
/// Where the level cannot be read, or it was called before.
pub fn init(logging: &Logging) -> Result<(), TelemetryError> {
    let filter: EnvFilter = logging.level.parse()?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let taken = if is_pretty(logging.format) {
        lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    taken.map_err(TelemetryError::Taken)
}
