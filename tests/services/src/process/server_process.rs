//! A server process that can be killed, stopped, continued and started again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::guard::Guard;
use super::identity::{Ending, ProcessId};
use crate::error::{DuringExt as _, ServiceError};
use crate::wait::wait_for;

/// How much of a log an error shows.
const TAIL_LINES: usize = 25;
const TAIL_BYTES: i64 = 16 * 1_024;

/// What is run, in which folder. Standard output and standard error go to `server.log` there.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub folder: PathBuf,
}

/// A server and how to start it again. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    launch: Launch,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    id: ProcessId,
    guard: Guard,
    is_stopped: bool,
}

impl Launch {
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    fn spawn(&self) -> Result<Running, ServiceError> {
        use std::os::unix::process::CommandExt as _;
        let log_path = self.log();
        let log = File::options().create(true).append(true).open(&log_path).during("open", &log_path)?;
        let errors = log.try_clone().during("open", &log_path)?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(&self.folder).stdin(Stdio::null()).stdout(log).stderr(errors);
        // A group of its own: a Ctrl-C at the terminal is for whoever started it, who then ends it or leaves it.
        let mut child = command.process_group(0).spawn().during("run", &self.program)?;
        let guarded = ProcessId::of(child.id()).map(|id| (id, Guard::over(id, &self.folder)));
        match guarded {
            Some((id, Ok(guard))) => Ok(Running { child, id, guard, is_stopped: false }),
            Some((_, Err(error))) => {
                drop(child.kill());
                drop(child.wait());
                Err(error).during("run sh to guard", &self.program)
            }
            None => {
                let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                Err(self.ended(status))
            }
        }
    }

    fn ended(&self, status: String) -> ServiceError {
        ServiceError::Ended { server: self.name.clone(), status, log_tail: log_tail(&self.log()) }
    }
}

impl ServerProcess {
    /// Starts the server. It need not answer yet: see [`ServerProcess::wait_until_ready`].
    pub(crate) fn start(launch: Launch) -> Result<Self, ServiceError> {
        let running = launch.spawn()?;
        Ok(Self { launch, running: Mutex::new(Some(running)) })
    }

    /// Looks at the server until the look gives something.
    ///
    /// # Errors
    ///
    /// As soon as the process has ended, or when the limit is past.
    pub(crate) fn wait_until_ready<T>(
        &self,
        limit: Duration,
        mut look: impl FnMut() -> Result<T, String>,
    ) -> Result<T, ServiceError> {
        let start = Instant::now();
        let outcome = wait_for(limit, || match self.has_ended() {
            Some(status) => Ok(Err(self.launch.ended(status))),
            None => look().map(Ok),
        });
        outcome.unwrap_or_else(|reason| {
            Err(ServiceError::NotReady {
                server: self.launch.name.clone(),
                waited_s: start.elapsed().as_secs(),
                reason,
                log_tail: log_tail(&self.launch.log()),
            })
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.launch.name
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.launch.folder
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.launch.log()
    }

    /// Returns the process, if it was started and neither killed nor ended since.
    pub(crate) fn id(&self) -> Option<ProcessId> {
        self.lock().as_ref().map(|running| running.id).filter(|id| id.is_alive())
    }

    /// Tells whether the process runs and is not stopped.
    pub(crate) fn is_running(&self) -> bool {
        self.lock().as_ref().is_some_and(|running| !running.is_stopped && running.id.is_alive())
    }

    /// Ends the process with SIGKILL, and returns when it is gone. One that is gone already is fine.
    pub(crate) fn kill(&self) {
        if let Some(Running { mut child, guard, .. }) = self.lock().take() {
            // In this order: until the child is reaped its guard's number is its own. It leads a group, in which are the
            // processes that it made itself, as Redis does to fill a replica.
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            drop(child.kill());
            guard.release();
            drop(child.wait());
        }
    }

    /// Asks the process to end with SIGTERM; kills it if it does not within the limit.
    pub(crate) fn shut_down(&self, limit: Duration) -> Ending {
        // Where it may not be signalled, what follows kills.
        let ending = self.id().map(|id| id.end(Instant::now() + limit).unwrap_or(Ending::Killed));
        self.kill();
        ending.unwrap_or(Ending::HadEnded)
    }

    /// Stops the process with SIGSTOP, or continues it with SIGCONT.
    pub(crate) fn set_stopped(&self, is_stopped: bool) -> Result<(), ServiceError> {
        let mut running = self.lock();
        let Some(running) = running.as_mut() else {
            return Err(ServiceError::refused(&self.launch.name, "it does not run"));
        };
        let signal = if is_stopped { Signal::STOP } else { Signal::CONT };
        running.id.signal(signal).during("signal", &self.launch.program)?;
        running.is_stopped = is_stopped;
        Ok(())
    }

    /// Kills the process if it runs, and starts it again in the same folder with the same arguments.
    pub(crate) fn start_again(&self) -> Result<(), ServiceError> {
        self.kill();
        let running = self.launch.spawn()?;
        *self.lock() = Some(running);
        Ok(())
    }

    /// Leaves the process running when we end; returns it.
    pub(crate) fn detach(&self) -> Option<ProcessId> {
        let Running { id, guard, .. } = self.lock().take()?;
        guard.release();
        Some(id)
    }

    /// Returns how the process ended, and reaps it, if it has.
    fn has_ended(&self) -> Option<String> {
        let mut slot = self.lock();
        if slot.as_ref().is_some_and(|running| running.id.is_alive()) {
            return None;
        }
        let Some(Running { mut child, guard, .. }) = slot.take() else { return Some("killed".to_owned()) };
        guard.release();
        Some(child.wait().map_or_else(|error| error.to_string(), |status| status.to_string()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the last lines of a log, or says that there is none.
pub(crate) fn log_tail(path: &Path) -> String {
    let text = fs::File::open(path).and_then(|mut file| {
        let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
        file.seek(SeekFrom::End(-length.min(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    });
    match text {
        Ok(text) if text.trim().is_empty() => format!("  ({} is empty)", path.display()),
        Ok(text) => {
            let lines: Vec<&str> = text.lines().collect();
            let tail: Vec<String> =
                lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| format!("  {line}")).collect();
            tail.join("\n")
        }
        Err(error) => format!("  ({}: {error})", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::{Launch, ServerProcess, log_tail};
    use crate::error::ServiceError;

    fn shell(folder: &Path, script: &str) -> Launch {
        Launch {
            name: "the shell".to_owned(),
            program: PathBuf::from("sh"),
            arguments: vec!["-c".into(), script.into()],
            folder: folder.to_path_buf(),
        }
    }

    #[test]
    fn a_server_that_ends_shows_its_status_and_the_end_of_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let script = "i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); done; echo no port >&2; exit 3";
        let ended = ServerProcess::start(shell(folder.path(), script))
            .and_then(|server| server.wait_until_ready(Duration::from_secs(10), || Err::<(), _>("silent".to_owned())));
        let Err(ServiceError::Ended { status, log_tail, .. }) = ended else { panic!("{ended:?}") };
        assert_eq!(status, "exit status: 3");
        assert!(log_tail.ends_with("  line 39\n  no port") && !log_tail.contains("line 15"), "{log_tail}");
    }

    #[test]
    fn a_server_that_stays_silent_is_waited_for_no_longer_than_the_limit_and_killed() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerProcess::start(shell(folder.path(), "exec cat /dev/zero >/dev/null")).unwrap();
        let id = server.id().unwrap();
        let silent = server.wait_until_ready(Duration::from_millis(50), || Err::<(), _>("silent".to_owned()));
        assert!(matches!(&silent, Err(ServiceError::NotReady { reason, .. }) if reason == "silent"), "{silent:?}");
        drop(server);
        assert!(!id.is_alive());
    }

    #[test]
    fn a_log_that_is_missing_or_empty_is_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        assert!(log_tail(&path).contains("No such file"));
        fs::write(&path, "\n").unwrap();
        assert!(log_tail(&path).ends_with("is empty)"));
    }
}
