//! `cargo xtask live`: real servers, and everything that can go wrong with them.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::process;
use crate::rings::{BUILD_RELEASE, Step};
use crate::tools::{JAVA, MAVEN, REDIS};

/// Builds the programs and runs the suite with this line.
///
/// # Errors
///
/// If the machine lacks a server and it cannot be installed.
pub fn run(root: &Path, line: &[String]) -> Result<ExitCode> {
    for tool in [REDIS, JAVA, MAVEN] {
        if let Err(why) = tool.ensure() {
            bail!(why);
        }
    }
    let Step::Cargo(build) = BUILD_RELEASE else { bail!("the release build is no line of cargo's") };
    if !process::cargo(root, build).status()?.success() {
        return Ok(ExitCode::FAILURE);
    }
    let line: Vec<&str> = ["rollcall-live"].into_iter().chain(line.iter().map(String::as_str)).collect();
    let status = process::built(root, &line).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
