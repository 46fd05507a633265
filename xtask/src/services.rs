//! `cargo xtask services`: real Redis and Cassandra on this machine, for a developer's own runs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use rollcall_services::{Fleet, FleetRequest, RedisMode, ServerState};
use serde_json::{Value, json};

use crate::tools::{JAVA, MAVEN, REDIS, Tool};

/// Where the servers live, from the repository's root.
const FOLDER: &str = "target/services";

/// What `cargo xtask services` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start servers on free loopback ports, and return when all of them answer.
    ///
    /// They run on when this command has ended, and start empty each time; data and logs of the last run stay until then. If the
    /// very same servers are up already, shows them. Redis is Debian's package, without persistence. Cassandra comes by Maven,
    /// once (67 MB, kept in ~/.cache/rollcall), takes 740 MB a node, and syncs its commit log before it acknowledges. What is
    /// missing of both is installed where that can be done, and asked about first on a terminal, but not with CI=true.
    Up {
        /// How many Cassandra nodes; three form a cluster on 127.0.0.1, 127.0.0.2 and 127.0.0.3. 0 is none.
        #[arg(long, value_name = "0|1|3", default_value = "1", value_parser = cassandra_nodes)]
        cassandra_nodes: usize,

        /// One Redis server; a cluster of three masters with a replica each; a master and two replicas under three Sentinels; none.
        #[arg(long, value_name = "MODE", default_value = "single", value_parser = parse_mode)]
        redis: RedisMode,

        #[command(flatten)]
        place: Place,
    },

    /// End the servers that `up` started, and no others. Their logs stay.
    Down {
        #[command(flatten)]
        place: Place,
    },

    /// Ask each server how it is.
    ///
    /// Exit code 1 unless servers were started and every one of them answers.
    Status {
        #[command(flatten)]
        place: Place,
    },
}

/// Where, and how it is told.
#[derive(Debug, Args)]
pub struct Place {
    /// The folder of the servers; a new or empty one, the first time [default: target/services].
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,

    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Does what was asked for.
///
/// # Errors
///
/// If servers cannot be started, asked or ended.
pub fn run(root: &Path, command: &Command) -> Result<ExitCode> {
    match command {
        Command::Up { cassandra_nodes, redis, place } => up(root, *cassandra_nodes, *redis, place),
        Command::Down { place } => down(root, place),
        Command::Status { place } => status(root, place),
    }
}

fn up(root: &Path, cassandra_nodes: usize, redis: RedisMode, place: &Place) -> Result<ExitCode> {
    let needs: [(bool, &[Tool]); 2] = [(redis != RedisMode::None, &[REDIS]), (cassandra_nodes > 0, &[JAVA, MAVEN])];
    for tool in needs.iter().filter(|(is_needed, _)| *is_needed).flat_map(|(_, tools)| *tools) {
        if let Err(why) = tool.ensure() {
            bail!(why);
        }
    }
    let start = Instant::now();
    let fleet = Fleet::up(&place.folder(root), FleetRequest { cassandra_nodes, redis })?;
    eprintln!("up after {:.1} s", start.elapsed().as_secs_f64());
    Ok(show(&fleet, place.json))
}

fn status(root: &Path, place: &Place) -> Result<ExitCode> {
    let folder = place.folder(root);
    if let Some(fleet) = Fleet::load(&folder)? {
        return Ok(show(&fleet, place.json));
    }
    if place.json {
        println!("{}", json!({ "servers": [] }));
    } else {
        println!("nothing is up in {}; start servers with `cargo xtask services up`", folder.display());
    }
    Ok(ExitCode::FAILURE)
}

fn down(root: &Path, place: &Place) -> Result<ExitCode> {
    let start = Instant::now();
    let endings = Fleet::down(&place.folder(root))?;
    if place.json {
        let servers: Vec<Value> = endings
            .iter()
            .map(|(server, ending)| json!({ "name": server.name, "pid": server.process.pid, "ending": ending.to_string() }))
            .collect();
        println!("{}", json!({ "servers": servers }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![["SERVER", "PID", "ENDING"].map(str::to_owned)];
    rows.extend(
        endings
            .iter()
            .map(|(server, ending)| [server.name.clone(), server.process.pid.to_string(), ending.to_string()]),
    );
    print!("{}", table(&rows));
    eprintln!("{} servers are down after {:.1} s", endings.len(), start.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

fn show(fleet: &Fleet, as_json: bool) -> ExitCode {
    let states: Vec<ServerState> = fleet.servers().iter().map(rollcall_services::ServerRecord::state).collect();
    if as_json {
        println!("{:#}", description(fleet, &states));
    } else {
        print!("{}", table(&rows(fleet, &states)));
        for (name, urls) in [("redis", fleet.redis_urls()), ("cassandra", contact_points(fleet))] {
            if !urls.is_empty() {
                println!("{name}: {}", urls.join(" "));
            }
        }
    }
    if states.iter().all(|&state| state == ServerState::Ready) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn description(fleet: &Fleet, states: &[ServerState]) -> Value {
    let servers = fleet.servers().iter().zip(states).map(|(server, state)| {
        let mut value = json!(server);
        value["state"] = json!(state);
        value
    });
    json!({
        "request": fleet.request(),
        "redis_urls": fleet.redis_urls(),
        "cassandra_contact_points": contact_points(fleet),
        "servers": servers.collect::<Vec<Value>>(),
    })
}

fn contact_points(fleet: &Fleet) -> Vec<String> {
    fleet.contact_points().iter().map(ToString::to_string).collect()
}

fn rows(fleet: &Fleet, states: &[ServerState]) -> Vec<[String; 6]> {
    let mut rows = vec![["SERVER", "STATE", "ADDRESS", "PID", "VERSION", "LOG"].map(str::to_owned)];
    rows.extend(fleet.servers().iter().zip(states).map(|(server, state)| {
        [
            server.name.clone(),
            state.to_string(),
            server.address.to_string(),
            server.process.pid.to_string(),
            server.version.clone(),
            server.log.display().to_string(),
        ]
    }));
    rows
}

fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

fn cassandra_nodes(text: &str) -> Result<usize, String> {
    match text {
        "0" => Ok(0),
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("0, 1 or 3 nodes".to_owned()),
    }
}

fn parse_mode(text: &str) -> Result<RedisMode, String> {
    text.parse()
}

impl Place {
    fn folder(&self, root: &Path) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| root.join(FOLDER))
    }
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_of_a_table_are_as_wide_as_their_widest_cell() {
        let rows = [["SERVER", "PID"], ["redis", "7"], ["cassandra-1", "4711"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "SERVER       PID\nredis        7\ncassandra-1  4711\n");
    }
}
