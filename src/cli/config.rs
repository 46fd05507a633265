//! `rollcall config`.

use rollcall::config::{default_toml, effective_toml};

use super::args::ConfigArguments;
use super::failure::Failure;
use super::output;

/// Says whether the configuration can be used.
pub fn check(arguments: &ConfigArguments) -> Result<(), Failure> {
    let loaded = arguments.load()?;
    match &loaded.file {
        Some(path) => output::line(&format!("the configuration can be used; its file is {}", path.display())),
        None => output::line("the configuration can be used; there is no file, so the defaults hold"),
    }
}

/// Prints the settings that hold, and where each comes from.
pub fn show(arguments: &ConfigArguments) -> Result<(), Failure> {
    output::line(effective_toml(&arguments.load()?).trim_end())
}

/// Prints a file of the defaults.
pub fn default() -> Result<(), Failure> {
    output::line(default_toml().trim_end())
}
