//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::cli::one_or_three;

/// Measures a cluster whose rooms change hands: rollcall processes, Redis, Cassandra and clients on this machine.
#[derive(Debug, Clone, Parser)]
#[command(name = "rollcall-figures")]
pub struct FiguresCli {
    /// What is measured.
    #[arg(value_enum)]
    pub what: What,

    /// Rooms, all owned by one node when it is killed, drained or cut off.
    #[arg(long, default_value_t = 100)]
    pub rooms: usize,

    /// How often it happens.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,

    /// How often each room is written to, in milliseconds; one write of a room is unanswered at a time.
    #[arg(long, default_value_t = 50)]
    pub every_ms: u64,

    /// Cassandra servers; three hold three copies of everything.
    #[arg(long, value_name = "1|3", default_value = "1", value_parser = one_or_three)]
    pub cassandra_nodes: usize,

    /// The server's program [default: the one beside this program].
    #[arg(long, value_name = "FILE")]
    pub server: Option<PathBuf>,

    /// Where servers live; emptied first, and removed at the end [default: a new folder under the build's target folder].
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,

    /// Write the figures to a file, as one JSON object.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// From kill -9 of the rooms' owner to each room's next ack, for clients of the other nodes.
    Failover,
    /// From the last ack of an owner that is stopped with SIGTERM to the next owner's first, for each room.
    Handover,
    /// From an ack to its arrival at members of another node, where one envelope of Redis was lost on its way there and the
    /// connection lives: more follow in the room.
    Gaps,
    /// The same, and nothing follows in the room, while others go on.
    Tails,
    /// From an ack to its arrival at members of another node that hears nothing of Redis for a while: the first of each room.
    Cuts,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        FiguresCli::command().debug_assert();
        let cli = FiguresCli::try_parse_from(["x", "failover", "--cassandra-nodes", "3"]).unwrap();
        assert_eq!((cli.what, cli.cassandra_nodes, cli.rooms), (What::Failover, 3, 100));
        assert!(FiguresCli::try_parse_from(["x", "gaps", "--cassandra-nodes", "2"]).is_err());
    }
}
