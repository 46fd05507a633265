//! The binary, as `cargo xtask test cql` builds it beside these tests.

use std::path::PathBuf;
use std::process::{Command, Output};

use rollcall::log::CqlOptions;

use crate::Keyspace;

/// Runs `rollcall` with arguments, in an empty folder and without this machine's settings, on a keyspace as its log.
///
/// # Panics
/// Where it was not built.
pub fn rollcall(keyspace: &Keyspace, arguments: &[&str]) -> Output {
    rollcall_with(keyspace, arguments, &[])
}

/// As [`rollcall()`], with settings, `SECTION__KEY`. One that does not end is ended after a minute.
///
/// # Panics
/// Where it was not built.
pub fn rollcall_with(keyspace: &Keyspace, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    rollcall_on(&keyspace.options(), arguments, settings)
}

/// As [`rollcall_with()`], on the keyspace and the servers of these options, of which nothing else is looked at.
///
/// # Panics
/// Where it was not built.
pub fn rollcall_on(options: &CqlOptions, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.arg("60").arg(binary()).args(arguments).current_dir(folder.path()).env_clear();
    command.env("ROLLCALL__LOG__KIND", "cql").env("ROLLCALL__CQL__KEYSPACE", &options.keyspace);
    command.env("ROLLCALL__CQL__CONTACT_POINTS", options.contact_points.join(","));
    command.envs(settings.iter().map(|(name, value)| (format!("ROLLCALL__{name}"), value)));
    tokio::task::block_in_place(|| command.output()).unwrap()
}

fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // This test lies in the folder `deps` of its profile.
    let binary = test.parent().and_then(|deps| deps.parent()).map(|profile| profile.join("rollcall"));
    let binary = binary.unwrap_or_default();
    assert!(binary.is_file(), "the binary is missing: run `cargo build`, or `cargo xtask test cql`");
    binary
}
