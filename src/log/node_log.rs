//! A log as the server holds it: the port, and what an operator wants to know of it.

use rollcall_actors::ports::Log;

use super::cql::CqlLog;
use super::embedded::EmbeddedLog;
use super::stats::LogStats;

/// The log of a node, whichever it is.
pub trait NodeLog: Log {
    /// Returns what was counted since the log was opened.
    fn stats(&self) -> LogStats;

    /// Says why the log cannot be used at the moment; none where it can. Does not block.
    fn away(&self) -> Option<String>;

    /// Answers what is queued and lets go what the log holds; may block until that is done.
    fn close(&self);
}

impl NodeLog for EmbeddedLog {
    fn stats(&self) -> LogStats {
        Self::stats(self)
    }

    fn away(&self) -> Option<String> {
        Self::away(self)
    }

    fn close(&self) {
        Self::close(self);
    }
}

impl NodeLog for CqlLog {
    fn stats(&self) -> LogStats {
        Self::stats(self)
    }

    fn away(&self) -> Option<String> {
        Self::away(self)
    }

    fn close(&self) {
        Self::close(self);
    }
}
