//! Where a value was set.

use std::fmt;
use std::path::PathBuf;

/// How the names of environment variables begin that are settings.
pub const VARIABLE_PREFIX: &str = "ROLLCALL__";

/// Where a value was set, as errors and `config show` name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: it is the default.
    Default,
    /// In a file.
    File {
        /// Which file.
        path: PathBuf,
        /// On which line, from 1.
        line: usize,
    },
    /// In an environment variable.
    Variable(String),
    /// On the command line, by this flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}
