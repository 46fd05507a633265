//! Recorded histories: JSON lines.

use std::io::{self, BufRead};

use thiserror::Error;

use crate::checker::Checker;
use crate::event::Event;
use crate::verdict::Verdict;

/// A history could not be read to its end.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The source failed.
    #[error("failed to read line {line} of the history")]
    Io {
        /// The line's number, from 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// A line is not an event.
    #[error("line {line} of the history is not an event: {source}")]
    Parse {
        /// The line's number, from 1.
        line: u64,
        /// Why.
        source: serde_json::Error,
    },
}

/// Judges a recorded history by every rule. Holds one line at a time; empty lines are skipped.
///
/// # Errors
///
/// [`ReadError`] names the first line that cannot be read or is not an event: half a history is not judged.
pub fn check_reader(reader: impl BufRead) -> Result<Verdict, ReadError> {
    let mut checker = Checker::new();
    checker.observe_lines(reader)?;
    Ok(checker.finish())
}

impl Checker {
    /// Observes every line of a recorded history.
    ///
    /// # Errors
    ///
    /// [`ReadError`] names the first line that cannot be read or is not an event; the lines before it were observed.
    pub fn observe_lines(&mut self, mut reader: impl BufRead) -> Result<(), ReadError> {
        let mut text = String::new();
        for line in 1.. {
            text.clear();
            if reader.read_line(&mut text).map_err(|source| ReadError::Io { line, source })? == 0 {
                break;
            }
            if text.trim().is_empty() {
                continue;
            }
            let event: Event = serde_json::from_str(&text).map_err(|source| ReadError::Parse { line, source })?;
            self.observe(&event);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ReadError, check_reader};

    #[test]
    fn a_line_that_is_no_event_is_named() {
        let history = "{\"event\":\"note\",\"text\":\"seed 7\"}\n\n{\"event\":\"wrte\"}\n";
        let error = check_reader(history.as_bytes()).unwrap_err();
        assert!(matches!(error, ReadError::Parse { line: 3, .. }), "{error}");
        assert!(error.to_string().contains("unknown variant `wrte`"), "{error}");
    }

    #[test]
    fn a_torn_last_line_is_an_error() {
        let history = "{\"event\":\"note\",\"text\":\"seed 7\"}\n{\"event\":\"no";
        assert!(matches!(check_reader(history.as_bytes()), Err(ReadError::Parse { line: 2, .. })));
    }
}
