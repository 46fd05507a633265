//! What the tests of real servers share.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the command lines of all processes whose current folder lies in this one: servers and their guards.
pub fn processes_in(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").expect("Linux has /proc").flatten() {
        let path: PathBuf = process.path();
        let Ok(current) = fs::read_link(path.join("cwd")) else { continue };
        if current.starts_with(folder) {
            found.push(fs::read_to_string(path.join("cmdline")).unwrap_or_default().replace('\0', " "));
        }
    }
    found
}

/// Fails unless nothing runs in a folder.
///
/// # Panics
/// With the command lines of what does.
pub fn assert_no_process_in(folder: &Path) {
    assert_eq!(processes_in(folder), [""; 0]);
}
