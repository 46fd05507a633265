//! A server process of our own: fresh folder, free ports, no limits on rates.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::metrics::is_ready;
use super::{Metrics, Placement, usage};

/// How long a server may take from its start until it is ready: replay of a large log included.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server may take to stop after SIGTERM: many rooms, each with a snapshot to write.
const STOP_TIMEOUT: Duration = Duration::from_secs(120);

/// How often readiness is asked for.
const READY_POLL: Duration = Duration::from_millis(5);

/// How much of the server's log is shown where it failed, in bytes.
const LOG_TAIL_BYTES: u64 = 4096;

/// The start of the names of environment variables that configure a server.
const VARIABLE_PREFIX: &str = "ROLLCALL__";

/// A running server, or one that was stopped and may be started again on the same ports and data.
#[derive(Debug)]
pub struct Spawned {
    binary: PathBuf,
    folder: PathBuf,
    placement: Placement,
    settings: Vec<(String, String)>,
    secret: String,
    public: SocketAddr,
    ops: SocketAddr,
    child: Option<Child>,
}

impl Spawned {
    /// Starts a server in a folder and waits until it is ready. `settings` are `(SECTION__KEY, value)`, on top of the
    /// harness's own: free ports on loopback, no limit on rates or on connections of one address.
    ///
    /// # Errors
    /// Where it does not start; the end of its log is in the error.
    pub async fn start(
        binary: &Path,
        folder: &Path,
        placement: Placement,
        settings: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let secret = format!("{:032x}", rand::random::<u128>());
        let mut server = Self::at_rest(binary, folder, placement, secret)?;
        settings.iter().for_each(|(name, value)| server.set(name, value.clone()));
        server.start_again().await?;
        Ok(server)
    }

    /// Chooses ports for a server in a folder that is there, and does not start it yet. Users' tokens are signed with the secret.
    ///
    /// # Errors
    /// Where no ports are free.
    pub fn at_rest(binary: &Path, folder: &Path, placement: Placement, secret: String) -> anyhow::Result<Self> {
        let [public, ops] = free_ports()?;
        let own = [
            ("LISTEN__PUBLIC", public.to_string()),
            ("OPS__LISTEN", ops.to_string()),
            ("DATA__DIR", folder.join("data").display().to_string()),
            ("AUTH__SECRET", secret.clone()),
            ("LIMITS__COMMANDS_PER_CONNECTION_PER_S", "0".to_owned()),
            ("LIMITS__COMMANDS_PER_USER_PER_S", "0".to_owned()),
            ("LIMITS__CONNECTIONS_PER_ADDRESS_MAX", "1000000".to_owned()),
            ("LOGGING__FORMAT", "json".to_owned()),
        ];
        let settings = own.map(|(name, value)| (format!("{VARIABLE_PREFIX}{name}"), value)).to_vec();
        let (binary, folder) = (binary.to_owned(), folder.to_owned());
        Ok(Self { binary, folder, placement, settings, secret, public, ops, child: None })
    }

    /// Sets `SECTION__KEY` for later starts; of two values the later one holds.
    pub fn set(&mut self, name: &str, value: String) {
        self.settings.push((format!("{VARIABLE_PREFIX}{name}"), value));
    }

    /// Starts a server that was stopped or killed, and waits until it is ready.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Panics
    /// Where it still runs.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.launch()?;
        self.wait_until_ready().await
    }

    /// Makes sure that the server runs and is ready.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn be_up(&mut self) -> anyhow::Result<()> {
        if self.child.is_none() {
            self.launch()?;
        }
        self.wait_until_ready().await
    }

    /// Starts a server that was stopped or killed, without waiting for it.
    ///
    /// # Errors
    /// Where its process cannot be started.
    ///
    /// # Panics
    /// Where it still runs.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        assert!(self.child.is_none(), "the server runs already");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .context("failed to open the server's log file")?;
        let foreign = std::env::vars_os().map(|(name, _)| name);
        let mut command = Command::new(&self.binary);
        for name in foreign.filter(|name| name.to_string_lossy().starts_with(VARIABLE_PREFIX)) {
            command.env_remove(name);
        }
        command
            .arg("serve")
            // Not where somebody's own rollcall.toml may lie.
            .current_dir(&self.folder)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("failed to share the server's log file")?)
            .stderr(log)
            .kill_on_drop(true);
        let child = self.placement.on_the_servers_core(|| command.spawn())?;
        self.child = Some(child.with_context(|| format!("failed to start {}", self.binary.display()))?);
        Ok(())
    }

    /// Waits until the server is ready.
    ///
    /// # Errors
    /// Where it ends before, or is not ready in time; the end of its log is in the error.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !is_ready(self.ops).await {
            let exited = self.child.as_mut().and_then(|child| child.try_wait().transpose());
            if let Some(status) = exited.transpose().context("failed to watch the server")? {
                self.child = None;
                bail!("the server ended before it was ready, with {status}; its log ends so:\n{}", self.log_tail());
            }
            if Instant::now() > deadline {
                bail!("the server was not ready after {START_TIMEOUT:?}; its log ends so:\n{}", self.log_tail());
            }
            tokio::time::sleep(READY_POLL).await;
        }
        Ok(())
    }

    /// Asks the server to stop, and waits until it has.
    ///
    /// # Errors
    /// Where it does not stop in time, or not with exit code 0.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let status = self.end(Signal::SIGTERM).await?;
        ensure!(status.success(), "the server stopped with {status}; its log ends so:\n{}", self.log_tail());
        Ok(())
    }

    /// Kills the server with SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// Where it had ended by itself before, or does not go.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let exited = self.child.as_mut().map(Child::try_wait).transpose().context("failed to watch the server")?;
        if let Some(status) = exited.flatten() {
            bail!("the server ended by itself, with {status}; its log ends so:\n{}", self.log_tail());
        }
        self.end(Signal::SIGKILL).await.map(drop)
    }

    /// Stops the server with SIGSTOP, in the middle of whatever it does: its sockets stay open, and it does not answer.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Has a server that was stopped go on where it was, with SIGCONT.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()?).context("the server's process id is out of range")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("failed to send {signal} to the server"))
    }

    async fn end(&mut self, signal: Signal) -> anyhow::Result<ExitStatus> {
        self.signal(signal)?;
        let mut child = self.child.take().context("the server does not run")?;
        match tokio::time::timeout(STOP_TIMEOUT, child.wait()).await {
            Ok(status) => status.context("failed to wait for the server's end"),
            Err(_) => bail!(
                "the server was still there {STOP_TIMEOUT:?} after {signal}; its log ends so:\n{}",
                self.log_tail()
            ),
        }
    }

    /// Returns the address of the WebSocket endpoint.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// Returns the address of the ops listener.
    pub fn ops(&self) -> SocketAddr {
        self.ops
    }

    /// Returns the secret that users' tokens are signed with.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Returns the process id.
    ///
    /// # Errors
    /// Where the server does not run.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.as_ref().and_then(Child::id).context("the server does not run")
    }

    /// Returns the CPU time that the server has used since its start, in µs.
    ///
    /// # Errors
    /// Where the server does not run.
    pub fn cpu_us(&self) -> anyhow::Result<u64> {
        usage::cpu_us(self.pid()?)
    }

    /// Returns the memory that the server has resident, in KiB.
    ///
    /// # Errors
    /// Where the server does not run.
    pub fn rss_kib(&self) -> anyhow::Result<u64> {
        usage::rss_kib(self.pid()?)
    }

    /// Returns the server's counters.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn metrics(&self) -> anyhow::Result<Metrics> {
        Metrics::fetch(self.ops).await
    }

    /// Returns the file that the server's log lines go to.
    pub fn log_path(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Returns the last lines of the server's log.
    pub fn log_tail(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(self.log_path())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
    }
}

/// Finds the server's program in the folder of this one: built with the same profile, of the same sources.
///
/// # Errors
/// Where it is not there.
pub fn server_beside_us() -> anyhow::Result<PathBuf> {
    let ours = std::env::current_exe().context("failed to find this program's own file")?;
    let path = ours.with_file_name(format!("rollcall{}", std::env::consts::EXE_SUFFIX));
    ensure!(
        path.is_file(),
        "{} is not there: build it with `cargo build --release`, or name one with --server",
        path.display()
    );
    Ok(path)
}

/// Finds two free ports below those that the system gives to outgoing connections: on such a port a client that connects
/// again and again to a server that was killed would one day be connected to itself, and hold the server's port.
fn free_ports() -> anyhow::Result<[SocketAddr; 2]> {
    const PORTS: std::ops::Range<u16> = 20_000..32_768;
    const TRIES: usize = 100;
    let bind = || {
        let ports = (0..TRIES).map(|_| rand::random_range(PORTS));
        let mut bound = ports.filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
        bound.next().context("failed to find a free port")
    };
    // Both are held until both are known, so that they differ.
    let (one, other) = (bind()?, bind()?);
    Ok([one.local_addr()?, other.local_addr()?])
}
