//! A guard that ends a server when the process that started it dies, however it dies.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::identity::ProcessId;

/// Waits for the end of its input, which only the death of the process that holds the other end brings; kills the server's group.
const SCRIPT: &str = r#"read -r _; kill -s KILL -- "-$1" 2>/dev/null"#;

/// A child that kills a server once our end of its standard input closes, as it does even when we are killed with -9.
///
/// The server is our own child and not reaped while its guard lives, so the number cannot mean another process by then.
#[derive(Debug)]
pub(super) struct Guard(Child);

impl Guard {
    pub(super) fn over(server: ProcessId, folder: &Path) -> io::Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new("sh");
        // A group of its own: the Ctrl-C that ends us must not end the guard first.
        command.args(["-c", SCRIPT, "sh", &server.pid.to_string()]).current_dir(folder).process_group(0);
        Ok(Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }

    /// Lets go of the server: it may outlive us, or is gone already.
    pub(super) fn release(mut self) {
        // Killed before its input closes, it does nothing.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
