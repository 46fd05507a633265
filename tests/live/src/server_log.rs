//! What the nodes logged that nobody should overlook.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

/// Lines of a node's log, in JSON.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ServerLog {
    /// Panics, by their words: each is an anomaly.
    pub panics: Vec<String>,
    /// Lines at ERROR and WARN, and how often each came.
    pub complaints: BTreeMap<String, u64>,
}

impl ServerLog {
    /// Reads a log file.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
        let mut log = Self::default();
        for line in BufReader::new(file).lines() {
            log.take(&line.with_context(|| format!("failed to read {}", path.display()))?);
        }
        Ok(log)
    }

    fn take(&mut self, line: &str) {
        let parsed: Option<Value> = serde_json::from_str(line).ok();
        let text = |name: &str| {
            let line = parsed.as_ref()?;
            line.get(name).or_else(|| line.get("fields")?.get(name))?.as_str()
        };
        if line.contains("panicked") {
            self.panics.push(line.to_owned());
        }
        if let Some(level @ ("ERROR" | "WARN")) = text("level") {
            let words = format!("{level} {}", text("message").unwrap_or(line));
            *self.complaints.entry(words).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ServerLog;

    #[test]
    fn panics_and_complaints_are_found() {
        let mut log = ServerLog::default();
        for line in [
            r#"{"level":"INFO","message":"serving"}"#,
            r#"{"level":"WARN","fields":{"message":"the log is slow"}}"#,
            r#"{"level":"WARN","message":"the log is slow"}"#,
            "thread 'main' panicked at src/main.rs:1:1:",
        ] {
            log.take(line);
        }
        assert_eq!(log.panics.len(), 1);
        assert_eq!(log.complaints.into_iter().collect::<Vec<_>>(), [("WARN the log is slow".to_owned(), 2)]);
    }
}
