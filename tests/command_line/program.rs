//! Runs the binary in a folder of its own, with nothing of this machine's settings.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The key of users' tokens in these tests.
pub const SECRET: &str = "canary-secret-0123456789-0123456789";

/// A folder that commands are run in.
pub struct Machine {
    folder: TempDir,
}

/// What a command printed, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

/// A command that runs, with its lines of one stream as they come.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

/// A server that serves.
pub struct Server {
    /// Its process; the lines are those of its log.
    pub process: Running,
    /// Where clients connect.
    pub public: SocketAddr,
    /// Where operators look.
    pub ops: SocketAddr,
}

impl Machine {
    /// Makes an empty folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Returns the path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Prepares a command of the binary.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("XDG_STATE_HOME", self.path("state")).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, &[], "")
    }

    /// Runs a command to its end, with variables and standard input.
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Ended {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read its input may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let ended = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: ended.status.code().unwrap_or(-1), output: text(ended.stdout), errors: text(ended.stderr) }
    }

    /// Runs a client command against a server.
    pub fn ask(&self, server: &Server, arguments: &[&str]) -> Ended {
        self.run_with(arguments, &[("ROLLCALL_URL", &server.url())], "")
    }

    /// Starts a command, and follows its standard output.
    pub fn start(&self, server: &Server, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        let mut child =
            command.env("ROLLCALL_URL", server.url()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        Running::follow(child, output)
    }

    /// Starts a server on free ports, and waits until it serves.
    pub fn serve(&self, arguments: &[&str]) -> Server {
        self.serve_with(&[&["--listen", "127.0.0.1:0"], arguments].concat(), &[])
    }

    /// Starts a server with variables, and waits until it serves.
    pub fn serve_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Server {
        let all = [&["serve", "--ops-listen", "127.0.0.1:0", "--set", "logging.format=json"], arguments].concat();
        let mut command = self.command(&all);
        let child = command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let errors = child.stderr.take().unwrap();
        let mut process = Running::follow(child, errors);
        let line = process.wait_for(r#""message":"serving""#);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
        Server { public: address("public"), ops: address("ops"), process }
    }
}

impl Ended {
    /// Asserts that the command did its work, and returns what it printed, without the last line end.
    pub fn done(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        self.output.trim_end()
    }

    /// Asserts that the command ended with a code, and returns what it said was wrong, without the last line end.
    pub fn failed(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self:?}");
        self.errors.trim_end()
    }
}

impl Running {
    fn follow(child: Child, stream: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line that holds a text.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with {text:?} came ({error}), but these: {:#?}", self.seen),
            }
        }
    }

    /// Returns the lines that were waited for, and those before them.
    pub fn seen(&self) -> &[String] {
        &self.seen
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for the end, and returns the exit code (128 and the signal where a signal ended it) and all lines.
    pub fn end(mut self) -> (i32, Vec<String>) {
        use std::os::unix::process::ExitStatusExt;
        self.seen.extend(self.lines.iter());
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or_else(|| 128 + status.signal().unwrap()), std::mem::take(&mut self.seen))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Returns the address that clients are given.
    pub fn url(&self) -> String {
        format!("ws://{}/v1/ws", self.public)
    }

    /// Stops the server gracefully, and returns its log lines.
    pub fn stop(self) -> Vec<String> {
        self.process.signal(Signal::SIGTERM);
        let (code, lines) = self.process.end();
        assert_eq!(code, 0, "{lines:#?}");
        lines
    }
}

/// Tells whether a folder, or a file in it, is there.
pub fn exists(path: &Path) -> bool {
    path.try_exists().unwrap()
}
