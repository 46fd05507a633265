//! What may be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use rollcall::auth::RoomPattern;
use rollcall::config::{ConfigError, FlagValue, Loaded};
use rollcall_protocol::{Hash, RoomId, Seq, UserId};

use super::duration::Seconds;
use super::failure::EXIT_CODES;

const EXAMPLES: &str = "\
Try it, in three terminals:
  rollcall serve
  rollcall tail general
  rollcall send general 'hello'
";

/// A chat backend whose rooms never lose their place. Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "rollcall", version, max_term_width = 110)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub struct Arguments {
    /// What to do; nothing said: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Arguments {
    /// Returns what to do: without a word of it, what `rollcall serve` does.
    pub fn into_command(self) -> Command {
        self.command.unwrap_or_else(|| match Self::parse_from(["rollcall", "serve"]).command {
            Some(command) => command,
            None => unreachable!("serve was named"),
        })
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves rooms: by itself from a data folder on this machine, or as a node of a cluster.
    ///
    /// Without a configured secret it listens on this machine alone and takes everybody in as a guest. SIGTERM or Ctrl-C stops
    /// it gracefully, a second one at once.
    #[command(
        after_help = "Examples:\n  rollcall serve\n  rollcall serve --listen 127.0.0.1:8000 --data /var/lib/rollcall\n  \
                            ROLLCALL__AUTH__SECRET_FILE=/etc/rollcall/secret rollcall serve --listen 0.0.0.0:7400"
    )]
    Serve(ServeArguments),
    /// Sends a message to a room and prints its number, once it is durable.
    #[command(after_help = "Examples:\n  rollcall send general 'hello'\n  git log -1 | rollcall send builds -")]
    Send(SendArguments),
    /// Prints what is said in a room as it comes, and survives reconnects.
    #[command(
        after_help = "Examples:\n  rollcall tail general\n  rollcall tail general --after 0 --json | jq .body.text"
    )]
    Tail(TailArguments),
    /// Prints what was said in a room: the latest, or what follows or comes before a number.
    #[command(
        after_help = "Examples:\n  rollcall history general\n  rollcall history general --after 0 --limit 1000 --json"
    )]
    History(HistoryArguments),
    /// Makes tokens for users, and explains them.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Shows and checks the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Asks the server on this machine whether it is ready: for health checks of containers.
    ///
    /// Exit code 0 says yes; 1 says no, and why is printed; 69 says that no server answers.
    #[command(after_help = "Example:\n  rollcall ready --set ops.listen=127.0.0.1:7401")]
    Ready(ReadyArguments),
    /// Looks at everything that a server needs, and says what to do where something is missing.
    ///
    /// The configuration, this machine, and the servers that log and cluster need: whether they can be reached, their versions, the
    /// settings that the promises rest on, permissions and clocks. It may be run beside a server. Exit code 1 says that something
    /// failed.
    #[command(
        after_help = "Examples:\n  rollcall doctor\n  rollcall doctor --config /etc/rollcall/rollcall.toml --json"
    )]
    Doctor(DoctorArguments),
    /// Verifies that rooms are whole: no number is missing, and every hash fits.
    ///
    /// Reads the data folder of a server that is stopped, or, where log.kind is "cql", the tables, while servers go on; or, with
    /// --url, a room of a server that runs. Nothing is changed. Exit code 1 says that something is broken; what and where is
    /// printed.
    #[command(after_help = "Examples:\n  rollcall audit\n  rollcall audit --data /backup/rollcall-data --json\n  \
                            rollcall audit --set log.kind=cql --set cql.contact_points=db1:9042 --room general\n  \
                            rollcall audit --url ws://127.0.0.1:7400/v1/ws --room general\n  \
                            rollcall audit --room general --anchor 1200:9f86d081884c7d65…")]
    Audit(AuditArguments),
    /// Makes the tables of the CQL log.
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Embedded log alone: takes redacted and expired bodies off the disk, for good. The server must be stopped.
    Compact(CompactArguments),
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub struct ConfigArguments {
    /// The file; rollcall.toml in the working folder, if there is one, unless told.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets any setting, over the file and the environment. May be given many times.
    #[arg(long, value_name = "SECTION.KEY=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// The data folder (`data.dir`); rollcall-data in the working folder unless told.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// What `serve` takes.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Where clients connect (`listen.public`); 127.0.0.1:7400 unless told.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where operators look (`ops.listen`); 127.0.0.1:7401 unless told.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub ops_listen: Option<SocketAddr>,
    /// Which log lines are written (`logging.level`), such as debug, or warn,rollcall::gateway=debug.
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArguments,
}

/// How a client reaches a server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArguments {
    /// The server's address.
    #[arg(long, env = "ROLLCALL_URL", value_name = "URL", default_value = DEFAULT_URL)]
    pub url: String,
    /// Who you are; a guest, remembered on this machine, unless told. Better given by the environment than here, where others
    /// on this machine can see it.
    #[arg(long, env = "ROLLCALL_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// The server that clients reach unless told.
pub const DEFAULT_URL: &str = "ws://127.0.0.1:7400/v1/ws";

/// What `send` takes.
#[derive(Debug, Args)]
pub struct SendArguments {
    /// The room's name.
    pub room: RoomId,
    /// What to say; `-` reads it from standard input.
    pub text: String,
    /// How long to try before giving up.
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub timeout: Seconds,
    /// Prints one line of JSON: room, seq, duplicate.
    #[arg(long)]
    pub json: bool,
    /// How the server is reached.
    #[command(flatten)]
    pub server: ServerArguments,
}

/// What `tail` takes.
#[derive(Debug, Args)]
pub struct TailArguments {
    /// The room's name.
    pub room: RoomId,
    /// Prints everything after this number; 0 is everything.
    #[arg(long, value_name = "SEQ", value_parser = seq, conflicts_with = "last")]
    pub after: Option<Seq>,
    /// How many entries to print of those that are there already.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub last: u64,
    /// Prints one line of JSON an event.
    #[arg(long)]
    pub json: bool,
    /// How the server is reached.
    #[command(flatten)]
    pub server: ServerArguments,
}

/// What `history` takes.
#[derive(Debug, Args)]
pub struct HistoryArguments {
    /// The room's name.
    pub room: RoomId,
    /// Prints what follows this number.
    #[arg(long, value_name = "SEQ", value_parser = seq, conflicts_with = "before")]
    pub after: Option<Seq>,
    /// Prints what comes before this number.
    #[arg(long, value_name = "SEQ", value_parser = seq)]
    pub before: Option<Seq>,
    /// How many entries to print at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
    /// Prints one line of JSON an entry.
    #[arg(long)]
    pub json: bool,
    /// How the server is reached.
    #[command(flatten)]
    pub server: ServerArguments,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Makes a token for a user, signed with the configured secret, and prints it.
    #[command(
        after_help = "Examples:\n  rollcall token issue --user ann\n  rollcall token issue --user bob --ttl 30d \
                            --room 'team-7.*' --moderate team-7.general"
    )]
    Issue(IssueArguments),
    /// Checks a token with the configured secret, or the guest key, and says what it allows.
    #[command(
        after_help = "Examples:\n  rollcall token inspect - < token.txt\n  ROLLCALL_TOKEN=… rollcall token inspect"
    )]
    Inspect(InspectArguments),
}

/// What `token issue` takes.
#[derive(Debug, Args)]
pub struct IssueArguments {
    /// The user's name.
    #[arg(long, value_name = "NAME")]
    pub user: UserId,
    /// How long the token holds: a number with s, m, h or d.
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub ttl: Seconds,
    /// A room that it is good for, or the beginning of rooms' names and `*`; all unless told. May be given many times.
    #[arg(long = "room", value_name = "ROOM")]
    pub rooms: Vec<RoomPattern>,
    /// A room, or rooms, in which the user may redact what others wrote. May be given many times.
    #[arg(long, value_name = "ROOM")]
    pub moderate: Vec<RoomPattern>,
    /// Good for reading alone.
    #[arg(long, conflicts_with = "moderate")]
    pub read_only: bool,
    /// Prints one line of JSON: token, user, expires_at_ms.
    #[arg(long)]
    pub json: bool,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArguments,
}

/// What `token inspect` takes.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// The token; `-` reads it from standard input.
    #[arg(env = "ROLLCALL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: String,
    /// Prints one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArguments,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Says whether the configuration can be used; exit code 64 if it cannot.
    Check(ConfigLookArguments),
    /// Prints the settings that hold and where each comes from. Secrets are hidden.
    Show(ConfigLookArguments),
    /// Prints a file with every setting at its default, and what it means.
    #[command(after_help = "Example:\n  rollcall config default > rollcall.toml")]
    Default,
}

/// What `config check` and `config show` take.
#[derive(Debug, Args)]
pub struct ConfigLookArguments {
    /// Prints one line of JSON; check: ok, file; show: of each setting its value and its source.
    #[arg(long)]
    pub json: bool,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArguments,
}

/// What `ready` takes.
#[derive(Debug, Args)]
pub struct ReadyArguments {
    /// Where the configuration comes from: its `ops.listen` is asked.
    #[command(flatten)]
    pub config: ConfigArguments,
}

/// What `doctor` takes.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Prints one line of JSON a check: check, status (ok, warn or fail), text, advice.
    #[arg(long)]
    pub json: bool,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArguments,
}

/// What `audit` takes.
#[derive(Debug, Args)]
pub struct AuditArguments {
    /// The room to verify; all rooms of the data folder or the keyspace unless told.
    #[arg(long, value_name = "ROOM")]
    pub room: Option<RoomId>,
    /// Verifies the room that the server at this address serves, instead of a data folder.
    #[arg(long, value_name = "URL", requires = "room", conflicts_with = "data")]
    pub url: Option<String>,
    /// Who you are, for --url; a guest unless told.
    #[arg(long, env = "ROLLCALL_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A place that you noted before: the room must still have this hash at this number. May be given many times.
    #[arg(long = "anchor", value_name = "SEQ:HASH", value_parser = anchor, requires = "room")]
    pub anchors: Vec<(Seq, Hash)>,
    /// Prints one line of JSON a room.
    #[arg(long)]
    pub json: bool,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArguments,
}

/// What to do with the tables of the CQL log.
#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Makes the tables where they are missing, by the settings of the section cql; what is there is left alone.
    ///
    /// With cql.replication it makes the keyspace too. The role needs the permission to create tables, which that of a server
    /// does not.
    #[command(
        after_help = "Examples:\n  rollcall schema apply --set cql.contact_points=db1:9042 --set cql.replication=dc1=3\n  \
                            rollcall schema apply --print | cqlsh db1 -k rollcall"
    )]
    Apply(SchemaArguments),
}

/// What `schema apply` takes.
#[derive(Debug, Args)]
pub struct SchemaArguments {
    /// Prints the statements, with what they are for, instead of running them.
    #[arg(long)]
    pub print: bool,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArguments,
}

/// What `compact` takes.
#[derive(Debug, Args)]
pub struct CompactArguments {
    /// Prints one line of JSON: bytes_before, bytes_after.
    #[arg(long)]
    pub json: bool,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArguments,
}

impl ConfigArguments {
    /// Reads the configuration, with these flags on top of it.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        self.load_with(Vec::new())
    }

    /// Reads the configuration, with these and further flags on top of it.
    pub fn load_with(&self, mut flags: Vec<FlagValue>) -> Result<Loaded, ConfigError> {
        if let Some(dir) = &self.data {
            // A path that is no text would be another one as text.
            let text = dir.to_str().ok_or_else(|| ConfigError::NotUtf8 { source_name: "--data".to_owned() })?;
            flags.push(flag("--data", "data.dir", text.to_owned()));
        }
        flags.extend(self.set.iter().map(|(name, value)| flag("--set", name, value.clone())));
        Loaded::read(self.config.as_deref(), &flags)
    }
}

impl ServeArguments {
    /// Reads the configuration, with all flags on top of it.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let own = [
            self.listen.map(|address| flag("--listen", "listen.public", address.to_string())),
            self.ops_listen.map(|address| flag("--ops-listen", "ops.listen", address.to_string())),
            self.log_level.as_ref().map(|level| flag("--log-level", "logging.level", level.clone())),
        ];
        self.config.load_with(own.into_iter().flatten().collect())
    }
}

fn flag(flag: &str, name: &str, value: String) -> FlagValue {
    FlagValue { flag: flag.to_owned(), name: name.to_owned(), value }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write section.key=value, such as rooms.idle_ms=5000")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn seq(text: &str) -> Result<Seq, String> {
    let number = text.parse().ok().filter(|&number| number < rollcall_protocol::NUMBER_MAX);
    number.map(Seq::new).ok_or_else(|| "an entry's number is a whole number from 0 on".to_owned())
}

fn anchor(text: &str) -> Result<(Seq, Hash), String> {
    let (number, hash) = text.split_once(':').ok_or("write a number, a colon and the hash that was noted")?;
    Ok((seq(number)?, hash.parse().map_err(|error| format!("{error}"))?))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_value_of_the_environment_is_shown_that_may_be_a_secret() {
        let mut pending = vec![Arguments::command()];
        while let Some(command) = pending.pop() {
            pending.extend(command.get_subcommands().cloned());
            for argument in command.get_arguments().filter(|argument| argument.get_id().as_str() == "token") {
                assert!(argument.is_hide_env_values_set(), "{}", command.get_name());
            }
        }
    }

    #[test]
    fn values() {
        assert_eq!(seq("12"), Ok(Seq::new(12)));
        assert!(seq("-1").is_err() && seq("9007199254740992").is_err());
        assert_eq!(setting("rooms.idle_ms = 5"), Ok(("rooms.idle_ms".to_owned(), "5".to_owned())));
        assert!(setting("rooms.idle_ms").is_err());
        let hash = "0".repeat(64);
        assert_eq!(anchor(&format!("7:{hash}")), Ok((Seq::new(7), hash.parse().unwrap())));
        assert!(anchor("7").is_err() && anchor("7:xyz").is_err());
    }
}
