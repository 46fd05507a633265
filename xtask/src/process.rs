//! Starting cargo and other programs in the repository.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Returns the folder of the workspace's root manifest.
///
/// # Errors
///
/// If the current folder is in no cargo workspace.
pub fn repository_root() -> Result<PathBuf> {
    let output = Command::new(cargo_program())
        .args(["locate-project", "--workspace", "--message-format", "plain"])
        .output()
        .context("failed to run cargo locate-project")?;
    ensure!(output.status.success(), "this folder is in no cargo workspace");
    let manifest = String::from_utf8(output.stdout).context("failed to read the workspace's path")?;
    let root = Path::new(manifest.trim()).parent().context("failed to find the workspace's folder")?;
    Ok(root.to_path_buf())
}

/// Prepares a run of cargo in the repository, with this process's standard streams.
pub fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo_program());
    command.current_dir(root).args(arguments);
    // `cargo run` describes the xtask package in the environment. Build scripts that watch these variables would be run
    // again for each change between `cargo xtask test` and a plain `cargo test`.
    let described = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    for (name, _) in env::vars_os() {
        if described.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// Prepares a run of a release binary that was built before: its name, then its arguments.
pub fn built(root: &Path, line: &[&str]) -> Command {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let mut command = Command::new(target.join("release").join(line[0]));
    command.current_dir(root).args(&line[1..]);
    command
}

/// Tells whether a program of this name lies on the search path.
pub fn is_installed(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Tells whether CI runs us: then nothing is asked, and nothing that is missing is passed over.
pub fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

fn cargo_program() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}
