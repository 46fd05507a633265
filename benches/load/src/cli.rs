//! The command line.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::error::ErrorKind;
use clap::{ArgGroup, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use rollcall_protocol::Format;

use crate::payload::BODY_BYTES_MIN;
use crate::report::KEYS;

/// Loads a rollcall server, measures it, and has every run judged.
///
/// Each run ends with a dump of all its rooms; a checker that shares no code with the server then judges everything that
/// clients did and saw. Latencies of an open loop count from when a write was due, so a server that stalls looks no better
/// for it.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, after_long_help = long_help())]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line; what is wrong with it ends the program, as clap does.
    pub fn read() -> Self {
        Self::try_read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn try_read(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let cli = Self::try_parse_from(arguments)?;
        let (command, why) = match &cli.command {
            Command::Activate(options) if options.common.url.is_some() => ("activate", "stops and starts the server"),
            Command::Torture(options) if options.common.url.is_some() => ("torture", "kills the server with kill -9"),
            _ => return cli.check_nodes(),
        };
        let message = format!("--url cannot be used with {command}, which {why}: use --spawn");
        Err(Self::command().error(ErrorKind::ArgumentConflict, message))
    }
}

impl Cli {
    fn check_nodes(self) -> Result<Self, clap::Error> {
        let common = match &self.command {
            Command::Idle(options) => &options.common,
            Command::Activate(options) => &options.common,
            Command::Torture(options) => &options.common,
            Command::Fanout(_) | Command::Sends(_) | Command::Catchup(_) | Command::Check(_) => return Ok(self),
        };
        if common.nodes == 0 {
            return Ok(self);
        }
        let message = "--nodes can be used with fanout, sends and catchup: the others look at one server";
        Err(Self::command().error(ErrorKind::ArgumentConflict, message))
    }
}

const EXIT_CODES: &str = "Exit codes:
  0  the run was carried out and no promise was broken
  1  the checker found an anomaly; the offending events are printed
  2  the command line was wrong
  3  the run could not be carried out, or was spoiled: writes were refused, connections were lost, or a torture resolved no
     unknown outcome and so proves nothing";

fn long_help() -> String {
    let mut text = format!("{EXIT_CODES}\n\nKeys of --json (a key is there where the subcommand measures it):\n");
    for (key, meaning) in KEYS {
        let _ = writeln!(text, "  {key:<28} {meaning}");
    }
    text
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Members of rooms who all read while some of them write: what does a delivery cost?
    Fanout(Fanout),
    /// One writer a room and nobody who reads: how many durable writes a second?
    Sends(Sends),
    /// Connections that do nothing: how much memory does each take?
    Idle(Idle),
    /// Connections that resume from places far behind: how fast do they catch up?
    Catchup(Catchup),
    /// Rooms that were in no memory: how fast are they there, and does memory come back?
    ///
    /// Needs --spawn: between filling the rooms and joining them the server is stopped cleanly and started again, and its
    /// memory is read, which nobody can do to a server at --url.
    Activate(Activate),
    /// A server that is killed under load, again and again, and clients too: is anything lost, doubled or reordered?
    ///
    /// Needs --spawn: the server is killed with kill -9 and started again on its data folder, which nobody can do to a server
    /// at --url.
    Torture(Torture),
    /// Judges a history that --record has written.
    Check(Check),
}

/// What all runs have in common.
#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("server_choice").required(true).args(["url", "spawn"])))]
pub struct Common {
    /// A server that runs, as ws://HOST:PORT. Of itself a server holds each client to a rate, and closes connections that go
    /// far beyond it (code 4005): for a closed loop or a high rate, start it with
    /// `--set limits.commands_per_connection_per_s=0 --set limits.commands_per_user_per_s=0`
    #[arg(long)]
    pub url: Option<String>,

    /// Start a server on free ports with a fresh data folder, pinned to one core, the clients to another
    #[arg(long)]
    pub spawn: bool,

    /// With --url: the file with the server's HS256 secret; without it, all connections are guests
    #[arg(long, conflicts_with = "spawn")]
    pub secret_file: Option<PathBuf>,

    /// With --url: the address of the server's ops listener, for its counters
    #[arg(long, conflicts_with = "spawn", value_name = "ADDRESS")]
    pub ops: Option<SocketAddr>,

    /// With --spawn: the server's program [default: `rollcall` beside this program]
    #[arg(long, conflicts_with = "url", value_name = "FILE")]
    pub server: Option<PathBuf>,

    /// With --spawn: a folder for the server's data, empty or not there, on a real disk [default: a new one under target/]
    #[arg(long, conflicts_with = "url", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// With --spawn: leave the data folder where it is; it is left in any case where a run was not clean
    #[arg(long, conflicts_with = "url")]
    pub keep_data: bool,

    /// With --spawn: so many servers, which are a cluster with a Redis and a Cassandra of its own; clients go to all of them in
    /// turn, and figures of the server are of all of them together. 0 is one server by itself, with an embedded log
    #[arg(long, conflicts_with = "url", default_value_t = 0, value_name = "COUNT")]
    pub nodes: usize,

    /// With --nodes: how many servers Cassandra has; three hold three copies of everything
    #[arg(long, requires = "nodes", default_value_t = 1, value_name = "1|3", value_parser = one_or_three)]
    pub cassandra_nodes: usize,

    /// With --spawn: a setting of the server, such as log.gather_window_us=500; may be given more than once
    #[arg(long = "set", conflicts_with = "url", value_name = "SECTION.KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,

    /// The format of the frames
    #[arg(long, value_enum, default_value_t = WireFormat::Json)]
    pub format: WireFormat,

    /// Write the figures to a file, as one JSON object
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write the history to a file, as JSON lines for `check`; this slows the clients down
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// What everything random is drawn from; printed in any case
    #[arg(long)]
    pub seed: Option<u64>,
}

/// The format of the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WireFormat {
    /// JSON in text frames
    Json,
    /// MessagePack in binary frames
    Msgpack,
}

impl From<WireFormat> for Format {
    fn from(format: WireFormat) -> Self {
        match format {
            WireFormat::Json => Self::Json,
            WireFormat::Msgpack => Self::MsgPack,
        }
    }
}

/// How many writes a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// This many, whatever the server does.
    PerSecond(f64),
    /// As many as the server takes: 64 are unanswered in each room.
    Max,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let per_s: f64 = text.parse().map_err(|_| "expected a number of writes a second, or `max`".to_owned())?;
        if per_s.is_finite() && per_s > 0.0 {
            Ok(Self::PerSecond(per_s))
        } else {
            Err("expected a rate above 0".to_owned())
        }
    }
}

/// Options of `fanout`.
#[derive(Debug, Args)]
pub struct Fanout {
    // No doc comment: it would take the place of the subcommand's own.
    #[command(flatten)]
    pub common: Common,

    /// Rooms
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub rooms: u64,

    /// Members of each room; they take turns in writing
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub members: u64,

    /// Writes a second over all rooms (open loop), or `max` (closed loop: 64 unanswered in each room)
    #[arg(long, default_value = "max")]
    pub rate: Rate,

    /// Length of the measured window, in seconds
    #[arg(long, default_value_t = 20.0)]
    pub seconds: f64,

    /// Load before the window that is not measured, in seconds
    #[arg(long, default_value_t = 3.0)]
    pub warm_up_seconds: f64,

    /// Length of each body, in bytes
    #[arg(long, default_value_t = 128, value_parser = body_bytes)]
    pub body_bytes: usize,
}

/// Options of `sends`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("loop_choice").required(true).args(["in_flight", "rate"])))]
pub struct Sends {
    // No doc comment: it would take the place of the subcommand's own.
    #[command(flatten)]
    pub common: Common,

    /// Rooms, each with one connection that writes
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub rooms: u64,

    /// Length of the measured window, in seconds
    #[arg(long, default_value_t = 20.0)]
    pub seconds: f64,

    /// Load before the window that is not measured, in seconds
    #[arg(long, default_value_t = 3.0)]
    pub warm_up_seconds: f64,

    /// Closed loop: writes unanswered in each room, at most 64
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub in_flight: Option<u16>,

    /// Open loop: writes a second over all rooms
    #[arg(long, value_parser = per_second)]
    pub rate: Option<f64>,

    /// Length of each body, in bytes
    #[arg(long, default_value_t = 128, value_parser = body_bytes)]
    pub body_bytes: usize,
}

/// Options of `idle`.
#[derive(Debug, Args)]
pub struct Idle {
    // No doc comment: it would take the place of the subcommand's own.
    #[command(flatten)]
    pub common: Common,

    /// Connections; each said hello, joined one room and sent one entry
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub connections: u64,

    /// How long they are idle before memory is read, in seconds
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,

    /// All members of a room send at once: shows the memory that stays after a burst. Else one sends at a time
    #[arg(long)]
    pub burst: bool,
}

/// Options of `catchup`.
#[derive(Debug, Args)]
pub struct Catchup {
    // No doc comment: it would take the place of the subcommand's own.
    #[command(flatten)]
    pub common: Common,

    /// Entries that the room has, and from whose range the connections resume
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub entries: u64,

    /// Connections; each resumes from another place in the last N entries
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub connections: u64,

    /// How often all of them do it
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub rounds: u64,

    /// Length of each body, in bytes
    #[arg(long, default_value_t = 128, value_parser = body_bytes)]
    pub body_bytes: usize,
}

/// Options of `activate`.
#[derive(Debug, Args)]
pub struct Activate {
    // No doc comment: it would take the place of the subcommand's own.
    #[command(flatten)]
    pub common: Common,

    /// Rooms, of 50 entries by 3 devices each
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub rooms: u64,
}

/// Options of `torture`.
#[derive(Debug, Args)]
pub struct Torture {
    // No doc comment: it would take the place of the subcommand's own.
    #[command(flatten)]
    pub common: Common,

    /// How often the server is killed with SIGKILL under load, and started again
    #[arg(long, default_value_t = 50)]
    pub kills: u64,

    /// Rooms; every client is in all of them
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub rooms: u64,

    /// Clients, each a device that writes to every room without a pause
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub clients: u64,

    /// The longest life of the server between two kills, in milliseconds
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub life_ms_max: u64,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// A history, as JSON lines
    pub file: PathBuf,

    /// Write the verdict to a file, as one JSON object
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

fn body_bytes(text: &str) -> Result<usize, String> {
    const MAX: usize = 64 * 1024;
    let bytes: usize = text.parse().map_err(|_| "expected a number of bytes".to_owned())?;
    if (BODY_BYTES_MIN..=MAX).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("expected {BODY_BYTES_MIN} to {MAX} bytes"))
    }
}

fn one_or_three(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("expected 1 or 3".to_owned()),
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if name.contains('.') => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected SECTION.KEY=VALUE".to_owned()),
    }
}

fn per_second(text: &str) -> Result<f64, String> {
    match text.parse()? {
        Rate::PerSecond(per_s) => Ok(per_s),
        Rate::Max => Err("`max` is closed loop: use --in-flight".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_read(std::iter::once("rollcall-load").chain(line.split(' '))).map(|cli| cli.command)
    }

    #[test]
    fn the_definition_is_sound_and_the_help_names_every_key() {
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        for (key, _) in KEYS {
            assert!(help.contains(key), "{key} is not in the help");
        }
    }

    #[test]
    fn a_server_is_named_or_spawned_and_never_both() {
        assert!(parse("fanout --spawn").is_ok());
        assert!(parse("fanout --url ws://localhost:7400").is_ok());
        assert!(parse("fanout").is_err());
        assert!(parse("fanout --spawn --url ws://localhost:7400").is_err());
        assert!(parse("fanout --url ws://localhost:7400 --data-dir d").is_err());
    }

    #[test]
    fn what_kills_or_stops_its_server_takes_no_other_and_says_so() {
        for command in ["activate", "torture"] {
            assert!(parse(&format!("{command} --spawn")).is_ok());
            let error = parse(&format!("{command} --url ws://localhost:7400")).unwrap_err();
            assert_eq!((error.kind(), error.exit_code()), (ErrorKind::ArgumentConflict, 2));
            assert!(error.to_string().contains("use --spawn"), "{error}");
            let help = parse(&format!("{command} --help")).unwrap_err().to_string();
            assert!(help.contains("Needs --spawn"), "{help}");
        }
    }

    #[test]
    fn a_cluster_is_spawned_and_not_for_what_looks_at_one_server() {
        assert!(parse("sends --spawn --in-flight 1 --nodes 2 --cassandra-nodes 3").is_ok());
        assert!(parse("sends --spawn --in-flight 1 --nodes 2 --cassandra-nodes 2").is_err());
        assert!(parse("sends --url ws://localhost:7400 --in-flight 1 --nodes 2").is_err());
        assert!(parse("idle --spawn --nodes 2").is_err());
        assert!(parse("torture --spawn --nodes 2").is_err());
    }

    #[test]
    fn loops_are_open_or_closed() {
        assert!(matches!(parse("fanout --spawn --rate max"), Ok(Command::Fanout(Fanout { rate: Rate::Max, .. }))));
        assert!(parse("fanout --spawn --rate 0").is_err());
        assert!(parse("sends --spawn --in-flight 64").is_ok());
        assert!(parse("sends --spawn --in-flight 65").is_err());
        assert!(parse("sends --spawn --rate 1e4").is_ok());
        assert!(parse("sends --spawn --rate max").is_err());
        assert!(parse("sends --spawn").is_err());
        assert!(parse("sends --spawn --rate 1 --in-flight 1").is_err());
    }
}
