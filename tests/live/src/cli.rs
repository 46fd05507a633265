//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::redis_servers::RedisKind;

/// Breaks a real cluster in every way that we know of: rollcall processes, Redis, Cassandra and clients on this machine, faults drawn by
/// seed, and everything judged by the checker.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "rollcall-live",
    after_help = "\
Which faults there are depends on what nodes meet in. All of them but these happen with every Redis:
  single             link_to_redis, redis_killed, redis_rewound, redis_stopped: a node reaches it by a proxy, and it alone is Redis
  sentinel, cluster  redis_master_killed (with -9; a replica is promoted, and it comes back as a replica) and redis_master_stopped (it
                     wakes up after it was replaced, and takes itself for the master). The servers tell their own addresses, so that no
                     proxy stands before them; no server holds all keys, so that nothing is rewound. One of these comes first.

Exit codes: 0 clean, 1 an anomaly or a run that proves nothing, 2 it could not be carried out.
A run that is not clean keeps its folder: the history, the servers' logs and data. The reports stay in any case."
)]
pub struct Cli {
    /// Faults.
    #[arg(long, default_value_t = 25)]
    pub faults: usize,

    /// The seed of the faults and of what clients write [default: a new one, which is printed].
    #[arg(long)]
    pub seed: Option<u64>,

    /// Cassandra servers; three hold three copies of everything.
    #[arg(long, value_name = "1|3", default_value = "1", value_parser = one_or_three)]
    pub cassandra_nodes: usize,

    /// What nodes meet in.
    #[arg(long, value_enum, default_value_t)]
    pub redis: RedisKind,

    /// rollcall processes; one is a server by itself, without Redis.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub nodes: u8,

    /// Rooms; every client is in every room.
    #[arg(long, default_value_t = 6)]
    pub rooms: u64,

    /// Clients of each node.
    #[arg(long, default_value_t = 3)]
    pub clients: u64,

    /// How often each client writes to each room, in milliseconds.
    #[arg(long, default_value_t = 150)]
    pub every_ms: u64,

    /// Only these kinds of faults, by their names in the report, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    pub only: Vec<String>,

    /// Fenced owners, and unknown outcomes that were resolved: with fewer of either the run proves nothing, nor does
    /// one whose faults were to lose the log's answers, or to hold appends back, and never did.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub at_least: u64,

    /// The server's program [default: the one beside this program].
    #[arg(long, value_name = "FILE")]
    pub server: Option<PathBuf>,

    /// Where servers live and the reports are written; emptied first [default: rollcall-live/SEED in the build's target folder].
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,

    /// Sets a setting of every rollcall process, such as `logging.level=debug`.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,

    /// Keep the history, the servers' logs and data of a clean run too.
    #[arg(long)]
    pub keep: bool,

    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

impl Cli {
    /// Reads the command line; what is wrong with it ends the program, as clap does.
    pub fn read() -> Self {
        Self::parse()
    }
}

/// Reads how many servers of Cassandra there are.
pub fn one_or_three(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("1 or 3".to_owned()),
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a setting is KEY=VALUE")?;
    Ok((name.replace('.', "__").to_uppercase(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::{Cli, RedisKind};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["x", "--set", "logging.level=debug", "--only", "kill,pause"]).unwrap();
        assert_eq!(cli.settings, [("LOGGING__LEVEL".to_owned(), "debug".to_owned())]);
        assert_eq!(cli.only, ["kill", "pause"]);
        assert_eq!((cli.redis, cli.at_least), (RedisKind::Single, 1));
        let cli = Cli::try_parse_from(["x", "--redis", "sentinel", "--at-least", "10"]).unwrap();
        assert_eq!((cli.redis, cli.at_least), (RedisKind::Sentinel, 10));
        assert!(Cli::try_parse_from(["x", "--cassandra-nodes", "2"]).is_err());
    }
}
