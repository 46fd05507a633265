//! Finding the Java that Cassandra runs on.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::ServiceError;
use crate::process::find_program;

/// The version that Cassandra 5.0 supports and that the options here are for.
const MAJOR: u32 = 17;

/// Where Debian keeps its Javas.
const DEBIAN_FOLDER: &str = "/usr/lib/jvm";

/// Returns the first Java 17 of `JAVA_HOME`, the search path, and Debian's packages.
///
/// # Errors
///
/// [`ServiceError::Skipped`] if there is none.
pub fn find_java() -> Result<PathBuf, ServiceError> {
    let home = env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    let found =
        home.into_iter().chain(find_program("java")).chain(debian_javas()).find(|java| major(java) == Some(MAJOR));
    found.ok_or_else(|| {
        ServiceError::Skipped(format!(
            "Java {MAJOR} is missing; install it with `apt-get install openjdk-{MAJOR}-jre-headless`, or let \
             `cargo xtask services up` do it"
        ))
    })
}

fn debian_javas() -> Vec<PathBuf> {
    let folders = fs::read_dir(DEBIAN_FOLDER).into_iter().flatten().flatten();
    let mut javas: Vec<PathBuf> =
        folders.map(|folder| folder.path().join("bin/java")).filter(|java| java.is_file()).collect();
    javas.sort();
    javas
}

fn major(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    major_in(&String::from_utf8_lossy(&output.stderr))
}

/// Reads the version from `openjdk version "17.0.15" 2025-04-15`.
fn major_in(text: &str) -> Option<u32> {
    text.split('"').nth(1)?.split(['.', '-', '+']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major_in;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(major_in("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime"), Some(17));
        assert_eq!(major_in("openjdk version \"25\" 2025-09-16 LTS"), Some(25));
        assert_eq!(major_in("openjdk version \"26-ea\""), Some(26));
        assert_eq!(major_in("no such thing"), None);
    }
}
