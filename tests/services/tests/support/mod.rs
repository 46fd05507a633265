//! What the tests of real servers share.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

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

/// Fails unless nothing runs in a folder. A child of a server that was killed with it may take a moment to be gone.
///
/// # Panics
/// After 5 seconds, with the command lines of what runs.
pub fn assert_no_process_in(folder: &Path) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !processes_in(folder).is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10)); // pace: between looks
    }
    assert_eq!(processes_in(folder), [""; 0]);
}
