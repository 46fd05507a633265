//! A table of steps: what was run, how long it took, how it ended.

use std::fmt::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did all that it should.
    Ok,
    /// It passed, but left something out; says what.
    OkWithout(String),
    /// It was not run; says why.
    Skipped(String),
    /// It failed; says what.
    Failed(String),
}

/// The steps so far, in the order in which they were run.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    time: Duration,
    outcome: Outcome,
}

impl Report {
    /// Runs a step under a headline, and notes its time and outcome.
    pub fn step(&mut self, name: &str, action: impl FnOnce() -> Outcome) {
        println!("\n━━ {name}");
        let start = Instant::now();
        let outcome = action();
        let time = start.elapsed();
        println!("━━ {name}: {outcome} in {}", seconds(time));
        self.rows.push(Row { name: name.to_owned(), time, outcome });
    }

    /// Prints the table and turns it into the exit code: 1 if any step failed.
    pub fn finish(&self) -> ExitCode {
        print!("{self}");
        if self.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn failed(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.outcome, Outcome::Failed(_))).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max("total".len());
        let mut table = String::new();
        for row in &self.rows {
            writeln!(table, "  {:width$}  {:>9}  {}", row.name, seconds(row.time), row.outcome)?;
        }
        let total: Duration = self.rows.iter().map(|row| row.time).sum();
        let verdict = match self.failed() {
            0 => "OK".to_owned(),
            failed => format!("{failed} of {} FAILED", self.rows.len()),
        };
        write!(f, "\n{table}  {:width$}  {:>9}  {verdict}\n", "total", seconds(total))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Ok => write!(f, "OK"),
            Outcome::OkWithout(what) => write!(f, "OK, BUT {what}"),
            Outcome::Skipped(why) => write!(f, "SKIPPED: {why}"),
            Outcome::Failed(what) => write!(f, "FAILED: {what}"),
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;
    use std::time::Duration;

    use super::{Outcome, Report, Row};

    fn report(outcomes: &[(&str, u64, Outcome)]) -> Report {
        let rows = outcomes.iter().map(|(name, millis, outcome)| Row {
            name: (*name).to_owned(),
            time: Duration::from_millis(*millis),
            outcome: outcome.clone(),
        });
        Report { rows: rows.collect() }
    }

    #[test]
    fn the_table_names_what_failed_and_what_was_left_out() {
        let report = report(&[
            ("core", 12_340, Outcome::Ok),
            ("it", 100, Outcome::Failed("cargo test -p x".to_owned())),
            ("fmt", 0, Outcome::Skipped("rustfmt is missing".to_owned())),
        ]);
        let expected = "
  core      12.3 s  OK
  it         0.1 s  FAILED: cargo test -p x
  fmt        0.0 s  SKIPPED: rustfmt is missing
  total     12.4 s  1 of 3 FAILED
";
        assert_eq!(report.to_string(), expected);
        assert_eq!(report.finish(), ExitCode::FAILURE);
    }

    #[test]
    fn a_step_that_left_something_out_is_no_failure() {
        let mut report = report(&[("core", 1, Outcome::Ok)]);
        report.step("it", || Outcome::OkWithout("without strace".to_owned()));
        assert_eq!(report.finish(), ExitCode::SUCCESS);
    }
}
