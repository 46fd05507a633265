//! Programs that a step needs beside cargo: finds them, installs what is missing, asks first on a terminal.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

use crate::process::{in_ci, is_installed};

/// A program that the machine may lack.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// The program's name on the search path.
    pub program: &'static str,
    /// The word in the names of tests that need it, by which they are left out where it is missing.
    pub test_word: &'static str,
    /// What it is needed for, to finish "needed for …".
    pub purpose: &'static str,
    /// Where it comes from.
    pub source: Source,
}

/// Where a tool comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// A Debian package.
    Debian(&'static str),
    /// A Debian package of the Java that Cassandra runs on; a Java of another version does not do.
    DebianJava(&'static str),
    /// A component of the Rust toolchain.
    Rustup(&'static str),
}

/// Formats Rust code.
pub const RUSTFMT: Tool = Tool {
    program: "cargo-fmt",
    test_word: "cargo_fmt",
    purpose: "the check of the format",
    source: Source::Rustup("rustfmt"),
};

/// Lints Rust code.
pub const CLIPPY: Tool =
    Tool { program: "cargo-clippy", test_word: "cargo_clippy", purpose: "the lints", source: Source::Rustup("clippy") };

/// Shows a process's system calls.
pub const STRACE: Tool = Tool {
    program: "strace",
    test_word: "strace",
    purpose: "the tests that watch the server sync before it acknowledges",
    source: Source::Debian("strace"),
};

/// The Redis server.
pub const REDIS: Tool = Tool {
    program: "redis-server",
    test_word: "redis",
    purpose: "the tests on real servers",
    source: Source::Debian("redis-server"),
};

/// Runs Cassandra.
pub const JAVA: Tool = Tool {
    program: "java",
    test_word: "cassandra",
    purpose: "Cassandra, in the tests on real servers",
    source: Source::DebianJava("openjdk-17-jre-headless"),
};

/// Brings Cassandra's jars.
pub const MAVEN: Tool = Tool {
    program: "mvn",
    test_word: "cassandra",
    purpose: "bringing Cassandra, for the tests on real servers",
    source: Source::Debian("maven"),
};

impl Tool {
    /// Sees to it that the tool is there, by installing it if need be. Asks before it installs if a person sits at the
    /// terminal.
    ///
    /// # Errors
    ///
    /// A sentence on why it is not there and what to do about it.
    pub fn ensure(&self) -> Result<(), String> {
        if self.is_there() {
            return Ok(());
        }
        let command = self.source.install_command();
        let Tool { program, purpose, .. } = self;
        let missing = format!("{program} is missing (needed for {purpose})");
        if !self.source.can_install() {
            return Err(format!("{missing}; install it with `{command}`"));
        }
        if io::stdin().is_terminal() && !in_ci() && !confirms(&format!("{missing}. Install it with `{command}`?")) {
            return Err(format!("{missing}, and was not to be installed"));
        }
        println!("{missing}: installing it with `{command}`");
        if self.source.install() && self.is_there() {
            Ok(())
        } else {
            Err(format!("{missing}; `{command}` did not bring it"))
        }
    }

    fn is_there(&self) -> bool {
        match self.source {
            Source::Debian(_) => is_installed(self.program),
            Source::DebianJava(_) => rollcall_services::find_java().is_ok(),
            // rustup puts a proxy on the path for components that are not installed, too: ask the proxy.
            Source::Rustup(_) => runs(Command::new(self.program).arg("--version")),
        }
    }
}

impl Source {
    fn install_command(&self) -> String {
        match self {
            Source::Debian(package) | Source::DebianJava(package) => format!("apt-get install -y {package}"),
            Source::Rustup(component) => format!("rustup component add {component}"),
        }
    }

    fn can_install(&self) -> bool {
        match self {
            Source::Debian(_) | Source::DebianJava(_) => is_installed("apt-get") && is_root(),
            Source::Rustup(_) => is_installed("rustup"),
        }
    }

    fn install(&self) -> bool {
        let command = self.install_command();
        let mut words = command.split(' ');
        let program = words.next().unwrap_or_default();
        let arguments: Vec<&str> = words.collect();
        let attempt = || {
            Command::new(program)
                .args(&arguments)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .status()
                .is_ok_and(|status| status.success())
        };
        // A machine that never ran `apt-get update` knows no packages.
        attempt()
            || (matches!(self, Source::Debian(_) | Source::DebianJava(_))
                && Command::new(program).arg("update").status().is_ok_and(|status| status.success())
                && attempt())
    }
}

fn runs(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn confirms(question: &str) -> bool {
    print!("{question} [Y/n] ");
    let mut answer = String::new();
    if io::stdout().flush().is_err() || io::stdin().lock().read_line(&mut answer).is_err() || answer.is_empty() {
        return false;
    }
    matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::{Source, Tool};

    #[test]
    fn a_tool_that_is_there_needs_nothing() {
        let shell = Tool { program: "sh", test_word: "shell", purpose: "this test", source: Source::Debian("dash") };
        assert_eq!(shell.ensure(), Ok(()));
    }

    #[test]
    fn commands_to_install_are_what_a_person_would_type() {
        assert_eq!(Source::Debian("strace").install_command(), "apt-get install -y strace");
        assert_eq!(Source::Rustup("clippy").install_command(), "rustup component add clippy");
    }
}
