//! `rollcall config`.

use rollcall::config::{default_toml, effective_json, effective_toml};
use serde_json::json;

use super::args::ConfigLookArguments;
use super::failure::Failure;
use super::output;

/// Says whether the configuration can be used.
pub fn check(arguments: &ConfigLookArguments) -> Result<(), Failure> {
    let loaded = arguments.config.load()?;
    if arguments.json {
        return output::json(&json!({"ok": true, "file": loaded.file}));
    }
    match &loaded.file {
        Some(path) => output::line(&format!("the configuration can be used; its file is {}", path.display())),
        None => output::line("the configuration can be used; there is no file, so the defaults hold"),
    }
}

/// Prints the settings that hold, and where each comes from.
pub fn show(arguments: &ConfigLookArguments) -> Result<(), Failure> {
    let loaded = arguments.config.load()?;
    if arguments.json {
        output::json(&effective_json(&loaded))
    } else {
        output::line(effective_toml(&loaded).trim_end())
    }
}

/// Prints a file of the defaults.
pub fn default() -> Result<(), Failure> {
    output::line(default_toml().trim_end())
}
