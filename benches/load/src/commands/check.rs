//! `check`: judges a recorded history.

use std::fs::{self, File};
use std::io::BufReader;

use anyhow::Context as _;
use rollcall_checker::check_reader;

use crate::cli::Check;
use crate::verdict::Ending;

/// Runs it.
///
/// # Errors
/// Where the file cannot be read to its end, or a line of it is no event.
pub fn run(options: &Check) -> anyhow::Result<Ending> {
    let file = File::open(&options.file).with_context(|| format!("failed to open {}", options.file.display()))?;
    let verdict = check_reader(BufReader::new(file)).with_context(|| format!("in {}", options.file.display()))?;
    print!("{verdict}");
    if let Some(path) = &options.json {
        let mut text = serde_json::to_string_pretty(&verdict).context("failed to write the verdict as JSON")?;
        text.push('\n');
        fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(if verdict.is_clean() { Ending::Clean } else { Ending::Anomalies })
}
