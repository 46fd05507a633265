//! The release binary as a process: started, asked, killed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
use rollcall_protocol::Format;

use crate::http;
use crate::raw::Raw;
use crate::server::{SECRET, token};

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `rollcall serve`. Dropped, it is killed; it fails the test if it logged a WARN or ERROR that was not expected.
pub struct ServerProcess {
    child: Child,
    public: SocketAddr,
    ops: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    expected: &'static [&'static str],
}

/// How a server process is started.
pub struct ServerProcessBuilder<'a> {
    folder: &'a Path,
    settings: Vec<(String, String)>,
    wrapper: Vec<String>,
    expected: &'static [&'static str],
}

/// Returns the release binary, which lies beside the profile of this test.
///
/// # Panics
/// Where it was not built.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().find(|folder| folder.join("release").is_dir() || folder.join("debug").is_dir());
    let binary = target.map(|target| target.join("release/rollcall")).unwrap_or_default();
    assert!(binary.is_file(), "the release binary is missing: run `cargo build --release`, or `cargo xtask test it`");
    binary
}

impl<'a> ServerProcessBuilder<'a> {
    /// Sets a setting, `SECTION__KEY`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((format!("ROLLCALL__{name}"), value.to_owned()));
        self
    }

    /// Puts words before the command, such as `["nice", "-n", "5"]`. What they run has to become the server, under the same pid.
    #[must_use]
    pub fn wrapped_in(mut self, words: &[&str]) -> Self {
        self.wrapper = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Names lines at WARN and ERROR that are fine.
    #[must_use]
    pub fn expecting(mut self, lines: &'static [&'static str]) -> Self {
        self.expected = lines;
        self
    }

    /// Starts the server and waits until it is ready.
    pub async fn start(self) -> ServerProcess {
        let binary = binary().display().to_string();
        let words: Vec<&str> = self.wrapper.iter().map(String::as_str).chain([&*binary, "serve"]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ROLLCALL__")) {
            command.env_remove(name);
        }
        let data_dir = self.folder.display().to_string();
        let own = [
            ("ROLLCALL__LISTEN__PUBLIC", "127.0.0.1:0"),
            ("ROLLCALL__OPS__LISTEN", "127.0.0.1:0"),
            ("ROLLCALL__DATA__DIR", &data_dir),
            ("ROLLCALL__AUTH__SECRET", SECRET),
            ("ROLLCALL__AUTH__GUESTS", "true"),
            ("ROLLCALL__LIMITS__COMMANDS_PER_CONNECTION_PER_S", "0"),
            ("ROLLCALL__LIMITS__COMMANDS_PER_USER_PER_S", "0"),
            ("ROLLCALL__LOGGING__FORMAT", "json"),
        ];
        command.current_dir(self.folder).envs(own).envs(self.settings);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("failed to run {}: {error}", words[0]));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
        let kept = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lock(&kept).push(line);
            }
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let expected = self.expected;
        let mut server = ServerProcess { child, public: nowhere, ops: nowhere, lines, reader: Some(reader), expected };
        server.wait_until_ready().await;
        server
    }
}

impl ServerProcess {
    /// Describes a server with its data in a folder.
    pub fn build(folder: &Path) -> ServerProcessBuilder<'_> {
        ServerProcessBuilder { folder, settings: Vec::new(), wrapper: Vec::new(), expected: &[] }
    }

    /// Starts a server with its data in a folder, and waits until it is ready.
    pub async fn start(folder: &Path) -> Self {
        Self::build(folder).start().await
    }

    async fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let addresses = lock(&self.lines).iter().find_map(|line| addresses(line));
            if let Some((public, ops)) = addresses {
                (self.public, self.ops) = (public, ops);
                if http::get(ops, "/readyz").await.status == 200 {
                    return;
                }
            }
            let ended = self.child.try_wait().unwrap();
            let log = || lock(&self.lines).join("\n");
            assert!(ended.is_none(), "the server ended, {}, instead of serving:\n{}", ended.unwrap_or_default(), log());
            assert!(Instant::now() < deadline, "the server is not ready:\n{}", log());
            tokio::time::sleep(Duration::from_millis(5)).await; // pace: between two looks at the log
        }
    }

    /// Returns where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.public
    }

    /// Returns where operators look.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops
    }

    /// Returns what it logged so far, a line each.
    pub fn log(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    /// Opens a connection and says hello for a user, from the user's one device.
    pub async fn user(&self, format: Format, name: &str) -> Raw {
        let mut raw = Raw::connect(self.public, format).await;
        raw.hello(Some(&token(name)), Some(&format!("{name}-device"))).await.unwrap();
        raw
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Kills it as a power cut would, and returns when it is gone.
    pub async fn kill_9(mut self) {
        self.signal(Signal::SIGKILL);
        self.wait().await;
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not end:\n{}", lock(&self.lines).join("\n"));
            tokio::time::sleep(Duration::from_millis(5)).await; // pace: between two looks at the process
        }
    }

    /// Returns the memory that it holds, in KiB.
    pub fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Returns the CPU time that it took so far, of all its threads.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name in parentheses; user and system time are the fields 14 and 15 of the whole.
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        let ticks_per_s = u64::try_from(sysconf(SysconfVar::CLK_TCK).unwrap().unwrap()).unwrap();
        Duration::from_millis(ticks * 1_000 / ticks_per_s)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
        if std::thread::panicking() {
            eprintln!("what the server logged:\n{}", lock(&self.lines).join("\n"));
            return;
        }
        let is_bad = |line: &&String| line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#);
        let is_expected = |line: &String| self.expected.iter().any(|expected| line.contains(expected));
        let lines = lock(&self.lines);
        let bad: Vec<&String> = lines.iter().filter(is_bad).filter(|line| !is_expected(line)).collect();
        assert!(bad.is_empty(), "log lines that the test does not expect: {bad:#?}");
    }
}

/// Reads the addresses from the line that says that the server serves.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let address = |name: &str| line[name].as_str()?.parse().ok();
    Some((address("public")?, address("ops")?))
}

fn lock(lines: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}
