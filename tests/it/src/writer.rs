//! A process that appends to a log, from the side of the test that kills it.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running `log_writer`. Ends with its handle.
#[derive(Debug)]
pub struct Writer {
    child: Child,
    pid: u32,
    /// None while another thread reads them.
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

/// What a writer tells of an append: the last number of it, and its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It was committed.
    Acked(String, u64),
    /// Nobody knows.
    Unknown(String, u64),
}

impl Writer {
    /// Starts a writer to a folder and waits until it has it open.
    pub fn spawn(folder: &Path, rooms: u32) -> Self {
        Self::spawn_as(Command::new(binary()).arg(folder).arg(rooms.to_string()))
    }

    /// Starts a writer within another program, such as one that makes its calls to the system fail.
    pub fn spawn_within(wrapper: &mut Command, folder: &Path, rooms: u32) -> Self {
        Self::spawn_as(wrapper.arg(binary()).arg(folder).arg(rooms.to_string()))
    }

    fn spawn_as(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.next().unwrap().unwrap();
        let pid = ready.strip_prefix("ready ").unwrap().parse().unwrap();
        Self { child, pid, lines: Some(lines) }
    }

    /// Returns the writer's process, also within another.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Reads and forgets what it tells, so that it goes on.
    pub fn read_in_background(&mut self) {
        let lines = self.lines.take().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
    }

    /// Kills it with -9 and waits for its end; what it told before can still be read.
    pub fn kill(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.pid).unwrap());
        // It may have ended by itself.
        let _ = kill(pid, Signal::SIGKILL);
        self.child.wait().unwrap();
    }
}

/// Gives what it tells, as it comes, until its end.
impl Iterator for Writer {
    type Item = Told;

    fn next(&mut self) -> Option<Told> {
        let line = self.lines.as_mut().unwrap().next()?.unwrap();
        // The last line may have been cut off by the kill: then nobody was told.
        let mut words = line.split(' ');
        let (told, room, seq) = (words.next()?, words.next()?.to_owned(), words.next()?.parse().ok()?);
        match told {
            "acked" => Some(Told::Acked(room, seq)),
            "unknown" => Some(Told::Unknown(room, seq)),
            _ => panic!("a writer told {line:?}"),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Finds the writer's binary, beside those of the tests.
fn binary() -> std::path::PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    folder.join("log_writer")
}
