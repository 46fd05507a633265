//! What is wrong with a configuration, said so that it can be put right without a look at the docs.

use std::path::PathBuf;

use super::Source;

/// Why a configuration cannot be used. The process ends with exit code 64 before it opens a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file that was named is not there or cannot be read.
    #[error("failed to read the configuration {path}: {reason}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is not TOML.
    #[error("{path}:{line}: {reason}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// On which line, from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// There is no such setting.
    #[error("{source_name}: unknown setting `{name}`; {}", advice(nearest.as_deref()))]
    Unknown {
        /// Where it was set.
        source_name: String,
        /// What was written.
        name: String,
        /// What there is that is written nearly so, if anything.
        nearest: Option<String>,
    },
    /// A value, or the name of a variable, that is no text.
    #[error("{source_name}: what is set there is not UTF-8")]
    NotUtf8 {
        /// Where it was set.
        source_name: String,
    },
    /// A setting stands where a section must.
    #[error("{source_name}: `{name}` is a section, with settings such as `{example}`")]
    Section {
        /// Where it was set.
        source_name: String,
        /// The section.
        name: String,
        /// One of its settings.
        example: String,
    },
    /// A value of another kind than the setting's.
    #[error("{source_name}: `{name}` takes {expected}, not {found}")]
    WrongType {
        /// Where it was set.
        source_name: String,
        /// The setting.
        name: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What was written.
        found: String,
    },
    /// A value that the setting does not allow, or that does not go with another.
    #[error("{source_name}: `{name}` {reason}")]
    Refused {
        /// Where it was set.
        source_name: String,
        /// The setting.
        name: &'static str,
        /// What is wrong with it and what to do, as the end of a sentence.
        reason: String,
    },
}

fn advice(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "`rollcall config default` lists all".to_owned(),
    }
}

impl ConfigError {
    pub(super) fn refused(source: &Source, name: &'static str, reason: impl Into<String>) -> Self {
        Self::Refused { source_name: source.to_string(), name, reason: reason.into() }
    }
}
