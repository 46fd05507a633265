//! What was measured, told to people and machines.

use anyhow::Context as _;
use clap::Parser as _;
use rollcall_load::latency::{Latency, Quantiles};
use serde::Serialize;

use super::cli::{FiguresCli, What};
use super::gaps::Follows;
use super::{cuts, failover, gaps, handover};
use crate::cli::Cli;
use crate::run::folder_under_target;
use crate::stage::Stage;

/// The nodes of the cluster: the one that is hit, and two that are not.
const NODES: &str = "3";

/// The figures of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// What was measured.
    pub what: &'static str,
    /// Servers that the log is kept on.
    pub cassandra_nodes: usize,
    /// Rooms in each round.
    pub rooms: usize,
    /// Rounds.
    pub rounds: usize,
    /// What was measured: at most once for each room and round.
    pub samples: u64,
    /// In milliseconds.
    pub ms: Option<Quantiles>,
    /// Rooms of which nothing was measured in a round, since what was waited for did not come in time.
    pub missing: usize,
}

/// Takes what one way of measuring has found.
pub(super) struct Samples {
    pub latency: Latency,
    pub samples: u64,
    pub missing: usize,
}

impl Samples {
    pub fn none() -> Self {
        Self { latency: Latency::new(), samples: 0, missing: 0 }
    }

    pub fn take(&mut self, us: u64) {
        self.latency.record_us(us);
        self.samples += 1;
    }

    /// Takes a time in µs, or that there is none.
    pub fn take_or_miss(&mut self, us: Option<u64>) {
        match us {
            Some(us) => self.take(us),
            None => self.missing += 1,
        }
    }
}

/// Starts a cluster, measures, and stops it. None where the machine cannot run the servers, which was said then.
///
/// # Errors
/// Where the run could not be carried out.
pub async fn measure(cli: &FiguresCli) -> anyhow::Result<Option<Measured>> {
    let folder = match &cli.dir {
        Some(folder) => folder.clone(),
        None => folder_under_target("rollcall-figures", std::process::id())?,
    };
    let mut shape = Cli::try_parse_from(["rollcall-live", "--nodes", NODES])?;
    (shape.cassandra_nodes, shape.clients, shape.server) = (cli.cassandra_nodes, 0, cli.server.clone());
    let Some(stage) = Stage::set(&shape, folder.clone()).await? else { return Ok(None) };
    let (what, samples) = match cli.what {
        What::Failover => ("failover", failover::measure(&stage, cli).await?),
        What::Handover => ("handover", handover::measure(&stage, cli).await?),
        What::Gaps => ("gaps", gaps::measure(&stage, cli, Follows::More).await?),
        What::Tails => ("tails", gaps::measure(&stage, cli, Follows::Nothing).await?),
        What::Cuts => ("cuts", cuts::measure(&stage, cli).await?),
    };
    for node in &stage.nodes {
        node.stop().await?;
    }
    drop(stage);
    std::fs::remove_dir_all(&folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    let measured = Measured {
        what,
        cassandra_nodes: shape.cassandra_nodes,
        rooms: cli.rooms,
        rounds: cli.rounds,
        samples: samples.samples,
        ms: samples.latency.quantiles(),
        missing: samples.missing,
    };
    if let Some(path) = &cli.json {
        let text = serde_json::to_string_pretty(&measured).context("failed to write the figures as JSON")?;
        std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(Some(measured))
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, cassandra_nodes, rooms, rounds, samples, missing, .. } = self;
        write!(f, "{what}: {rooms} rooms, {rounds} rounds, {cassandra_nodes} Cassandra, {samples} samples")?;
        match &self.ms {
            None => write!(f, ", nothing measured")?,
            Some(Quantiles { p50, p99, max, .. }) => write!(f, ": p50 {p50:.0} ms, p99 {p99:.0} ms, max {max:.0} ms")?,
        }
        if *missing > 0 { write!(f, "; of {missing} rooms nothing") } else { Ok(()) }
    }
}
