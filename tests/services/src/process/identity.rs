//! Which process a number means: a pid is given again, a pid with its start time is not.

use std::fmt;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::wait::wait_for;

/// How long a process that was killed may take to be gone.
const KILLED_LIMIT: Duration = Duration::from_secs(10);

/// A process that can be recognised later, by whoever started it or by another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process's number.
    pub pid: u32,
    /// When it started, in the kernel's clock ticks since boot.
    pub started_ticks: u64,
}

/// How a process that was asked to end did so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was no longer there.
    HadEnded,
    /// It ended by itself.
    Ended,
    /// It did not, and was killed.
    Killed,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HadEnded => "had ended before",
            Self::Ended => "ended",
            Self::Killed => "killed: it did not end by itself",
        })
    }
}

impl ProcessId {
    /// Returns the identity of the process that has this number now; none if there is none, or if it has ended and only waits to
    /// be reaped.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, started_ticks) = state_and_start(&stat)?;
        (state != 'Z' && state != 'X').then_some(Self { pid, started_ticks })
    }

    /// Tells whether this very process still runs.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Asks the process to end; a stopped one is continued, so that it can. Never touches a later process with the same number.
    ///
    /// # Errors
    ///
    /// If it may not be signalled.
    pub(crate) fn ask_to_end(self) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        self.signal(Signal::CONT)
    }

    /// Asks the process to end, kills it if it has not by the deadline, and returns when it is gone.
    ///
    /// # Errors
    ///
    /// If it may not be signalled, or is still there 10 s after it was killed.
    pub(crate) fn end(self, deadline: Instant) -> io::Result<Ending> {
        if !self.is_alive() {
            return Ok(Ending::HadEnded);
        }
        self.ask_to_end()?;
        if self.wait(deadline.saturating_duration_since(Instant::now())) {
            return Ok(Ending::Ended);
        }
        self.signal(Signal::KILL)?;
        if self.wait(KILLED_LIMIT) {
            return Ok(Ending::Killed);
        }
        Err(io::Error::other(format!("process {} was killed and is still there", self.pid)))
    }

    /// Sends a signal, if the process is still this one.
    pub(crate) fn signal(self, signal: Signal) -> io::Result<()> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw).filter(|_| self.is_alive()) else {
            return Ok(());
        };
        match kill_process(pid, signal) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Waits until the process is gone; tells whether it is.
    fn wait(self, limit: Duration) -> bool {
        wait_for(limit, || if self.is_alive() { Err(String::new()) } else { Ok(()) }).is_ok()
    }
}

/// Reads the state and the start time, fields 3 and 22 of the line, behind a name in parentheses that may hold anything.
fn state_and_start(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::{Ending, ProcessId, state_and_start};

    #[test]
    fn a_name_with_parentheses_and_blanks_is_passed_over() {
        let stat = "7 (a) S (b c) R 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4242 1 1";
        assert_eq!(state_and_start(stat), Some(('R', 4_242)));
        assert_eq!(state_and_start("7 (a) S 1"), None);
    }

    #[test]
    fn another_process_with_the_same_number_is_left_alone() {
        let me = ProcessId::of(std::process::id()).unwrap();
        let before_me = ProcessId { started_ticks: me.started_ticks - 1, ..me };
        assert!(me.is_alive() && !before_me.is_alive());
        assert_eq!(before_me.end(Instant::now()).unwrap(), Ending::HadEnded);
    }

    #[test]
    fn a_process_ends_when_asked_and_is_killed_when_it_does_not_listen() {
        let polite = "read line; exit 0";
        let deaf = "trap '' TERM; echo deaf; while :; do read line; done";
        for (script, limit, ending) in
            [(polite, Duration::from_secs(10), Ending::Ended), (deaf, Duration::from_millis(50), Ending::Killed)]
        {
            let mut child =
                Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            if ending == Ending::Killed {
                std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
            }
            let id = ProcessId::of(child.id()).unwrap();
            assert_eq!(id.end(Instant::now() + limit).unwrap(), ending);
            assert!(!id.is_alive());
            child.wait().unwrap();
        }
    }
}
