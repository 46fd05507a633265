//! Progress of long work, on a terminal alone.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// One step of a run that takes a while.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Begins a step of so many parts. Where standard error is no terminal, nothing is shown.
    ///
    /// # Panics
    /// Never: the template is a constant.
    pub fn begin(what: &str, parts: u64) -> Self {
        let style = ProgressStyle::with_template("{prefix:>24} {wide_bar} {pos}/{len} {msg} {elapsed}")
            .expect("the template is one of indicatif's");
        let bar = ProgressBar::new(parts).with_style(style).with_prefix(what.to_owned());
        Self { bar }
    }

    /// Some parts are done.
    pub fn advance(&self, parts: u64) {
        self.bar.inc(parts);
    }

    /// So many parts are done in all.
    pub fn at(&self, parts: u64) {
        self.bar.set_position(parts);
    }

    /// Says more on how it goes.
    pub fn say(&self, text: String) {
        self.bar.set_message(text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// How often progress of a step is shown that has no parts of its own.
pub const SHOWN_EVERY: Duration = Duration::from_millis(250);
