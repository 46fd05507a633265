//! One Redis server, alone or as a part of a larger whole.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use super::resp::{self, Reply, info};
use super::security::RedisSecurity;
use crate::error::{DuringExt as _, ServiceError};
use crate::ports::free_ports;
use crate::process::{Launch, ProcessId, ServerProcess, find_program};

/// The program, of Debian's package of the same name.
const PROGRAM: &str = "redis-server";

/// How long a server may take until it answers. It takes some 10 ms on a quiet machine.
const START_LIMIT: Duration = Duration::from_secs(20);

/// What every server here has: nothing is written to disk but a cluster's own state, so a kill forgets all data, and a replica
/// is filled at once.
const SETTINGS: &str = "\
bind 127.0.0.1
protected-mode no
daemonize no
dir ./
save \"\"
appendonly no
repl-diskless-sync-delay 0
repl-ping-replica-period 1
";

/// A Redis server without persistence. Dropped, it is killed.
#[derive(Debug)]
pub struct Redis {
    process: ServerProcess,
    address: SocketAddr,
    secured: Option<Box<Secured>>,
    version: String,
}

/// What it takes to get into a server that keeps others out.
#[derive(Debug)]
struct Secured {
    tls_port: u16,
    password: String,
}

impl Redis {
    /// Starts a server in a folder, which is made if need be, on a free port of 127.0.0.1, and returns when it answers.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Skipped`] if the machine has no redis-server; else with the end of the server's log.
    pub fn start(folder: &Path) -> Result<Self, ServiceError> {
        Self::start_on(free_ports::<1>(&[Ipv4Addr::LOCALHOST])?[0], "redis", folder, "", &[])
    }

    /// As [`Redis::start`], with a second port that takes encrypted connections alone, and a password that both ask for.
    ///
    /// # Errors
    ///
    /// As [`Redis::start`].
    pub fn start_secured(folder: &Path, security: &RedisSecurity) -> Result<Self, ServiceError> {
        let [port, tls_port] = free_ports::<2>(&[Ipv4Addr::LOCALHOST])?;
        Self::start_with(port, "redis", folder, "", &[], Some((tls_port, security)))
    }

    /// Starts a server on a port with further settings and arguments, under a name for messages.
    pub(super) fn start_on(
        port: u16,
        name: &str,
        folder: &Path,
        settings: &str,
        arguments: &[&str],
    ) -> Result<Self, ServiceError> {
        Self::start_with(port, name, folder, settings, arguments, None)
    }

    /// As [`Redis::start_on`]; with a port for encrypted connections, if somebody is to be kept out.
    pub(super) fn start_with(
        port: u16,
        name: &str,
        folder: &Path,
        settings: &str,
        arguments: &[&str],
        security: Option<(u16, &RedisSecurity)>,
    ) -> Result<Self, ServiceError> {
        let program = find_program(PROGRAM).ok_or_else(|| {
            ServiceError::Skipped(format!(
                "{PROGRAM} is missing; install it with `apt-get install {PROGRAM}`, or let `cargo xtask services up` do it"
            ))
        })?;
        fs::create_dir_all(folder).during("make the folder", folder)?;
        let file = folder.join("redis.conf");
        let common =
            if arguments.contains(&"--sentinel") { "bind 127.0.0.1\nprotected-mode no\ndir ./\n" } else { SETTINGS };
        let secured = security.map(|(tls_port, security)| security.settings(tls_port)).unwrap_or_default();
        fs::write(&file, format!("port {port}\n{common}{secured}{settings}")).during("write", &file)?;
        let process = ServerProcess::start(Launch {
            name: name.to_owned(),
            program,
            arguments: ["redis.conf"].iter().chain(arguments).map(|&argument| argument.into()).collect(),
            folder: folder.to_path_buf(),
        })?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let secured =
            security.map(|(tls_port, security)| Box::new(Secured { tls_port, password: security.password.clone() }));
        let mut server = Self { process, address, secured, version: String::new() };
        server.version = server.wait_until_it_answers()?;
        Ok(server)
    }

    /// Returns the URL for a client: `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where it takes encrypted connections.
    ///
    /// # Panics
    ///
    /// If it was not started for that.
    pub fn tls_address(&self) -> SocketAddr {
        let secured = self.secured.as_ref().expect("it takes encrypted connections");
        SocketAddr::new(self.address.ip(), secured.tls_port)
    }

    /// Returns the port by which other servers and Sentinels know it.
    pub(super) fn known_port(&self) -> u16 {
        self.secured.as_ref().map_or(self.address.port(), |secured| secured.tls_port)
    }

    /// Returns the server's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns what it is called in messages.
    pub fn name(&self) -> &str {
        self.process.name()
    }

    /// Returns the folder that it lives in.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// Returns the file that it logs to.
    pub fn log(&self) -> PathBuf {
        self.process.log()
    }

    /// Returns its process, while there is one.
    pub fn process(&self) -> Option<ProcessId> {
        self.process.id()
    }

    /// Tells whether its process runs, and is not stopped.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Sends one command over a connection of its own, and returns the reply, be it an error of the server's.
    ///
    /// # Errors
    ///
    /// If it does not answer within two seconds.
    pub fn command(&self, words: &[&str]) -> Result<Reply, ServiceError> {
        self.ask(words).map_err(|error| ServiceError::refused(self.name(), error.to_string()))
    }

    fn ask(&self, words: &[&str]) -> io::Result<Reply> {
        let password = self.secured.as_ref().map(|secured| secured.password.as_str());
        resp::command_with(self.address, password, words)
    }

    /// Ends it with SIGKILL, and returns when it is gone. All its data is lost.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Stops it with SIGSTOP: connections stay open, and nobody answers.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn stop(&self) -> Result<(), ServiceError> {
        self.process.set_stopped(true)
    }

    /// Continues it with SIGCONT.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn cont(&self) -> Result<(), ServiceError> {
        self.process.set_stopped(false)
    }

    /// Starts it again on the same port, after a kill if it still runs, and returns when it answers. It comes back empty; a
    /// cluster's node and a Sentinel remember the others.
    ///
    /// # Errors
    ///
    /// With the end of its log, if it does not come back.
    pub fn restart(&self) -> Result<(), ServiceError> {
        self.process.start_again()?;
        self.wait_until_it_answers().map(drop)
    }

    /// Leaves it running when we end.
    pub(crate) fn detach(&self) -> Option<ProcessId> {
        self.process.detach()
    }

    /// Sends a command that must be answered with something else than an error.
    pub(super) fn order(&self, words: &[&str]) -> Result<Reply, ServiceError> {
        match self.command(words)? {
            Reply::Error(error) => Err(ServiceError::refused(self.name(), format!("{}: {error}", words.join(" ")))),
            reply => Ok(reply),
        }
    }

    /// Asks for a report such as INFO or CLUSTER NODES.
    pub(super) fn report(&self, words: &[&str]) -> Result<String, ServiceError> {
        let reply = self.order(words)?;
        Ok(reply.as_text().unwrap_or_default().to_owned())
    }

    /// Waits for a condition that this server knows about.
    pub(super) fn wait_for<T>(
        &self,
        limit: Duration,
        look: impl FnMut() -> Result<T, String>,
    ) -> Result<T, ServiceError> {
        self.process.wait_until_ready(limit, look)
    }

    /// Returns the version.
    fn wait_until_it_answers(&self) -> Result<String, ServiceError> {
        self.process.wait_until_ready(START_LIMIT, || {
            let ask = |words: &[&str]| match self.ask(words) {
                Ok(Reply::Text(text)) => Ok(text),
                Ok(other) => Err(format!("it answered {other:?}")),
                Err(error) => Err(error.to_string()),
            };
            ask(&["PING"])?;
            let report = ask(&["INFO", "server"])?;
            info(&report, "redis_version").map(str::to_owned).ok_or_else(|| "it does not say its version".to_owned())
        })
    }
}
