//! The stage of a run: a server, one that is there or one of our own, and what is told about it at the end.

use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context as _, anyhow};

use crate::cli::{Common, WireFormat};
use crate::history::History;
use crate::latency::Quantiles;
use crate::report::{ByKind, Report};
use crate::run::Run;
use crate::server::{Backing, DataFolder, Metrics, Placement, Spawned, server_beside_us, usage};
use crate::target::Endpoint;
use crate::verdict::{Ending, judge};

/// A server, and what is known about where it runs.
pub struct Stage {
    common: Common,
    command: &'static str,
    endpoint: Endpoint,
    ops: Vec<SocketAddr>,
    /// The servers, if they are our own: one, or the nodes of a cluster.
    servers: Vec<Spawned>,
    /// What they share, where they are a cluster.
    backing: Option<Backing>,
    folder: Option<DataFolder>,
    fsync_ms: Option<Quantiles>,
    seed: u64,
}

/// What was used up to one moment.
pub struct Mark {
    at_us: u64,
    server_cpu_us: Option<u64>,
    client_cpu_us: u64,
    metrics: Vec<Metrics>,
}

impl Stage {
    /// Finds the server, or starts one with these settings on top of the harness's own.
    ///
    /// # Errors
    /// Where there is none, or it does not start.
    pub async fn set(common: &Common, command: &'static str, settings: &[(&str, String)]) -> anyhow::Result<Self> {
        // Readers of JSON hold integers up to 2^53.
        let seed = common.seed.unwrap_or_else(|| rand::random::<u64>() >> 11);
        // As many connections as the system lets us have; what is missing shows when they are opened.
        let _files = rlimit::increase_nofile_limit(u64::MAX);
        let format = common.format.into();
        if let Some(url) = &common.url {
            let endpoint = Endpoint::find(url, format, common.secret_file.as_deref()).await?;
            let (common, ops) = (common.clone(), common.ops.into_iter().collect());
            let (servers, backing) = (Vec::new(), None);
            return Ok(Self { common, command, endpoint, ops, servers, backing, folder: None, fsync_ms: None, seed });
        }
        let binary = match &common.server {
            Some(path) => path.canonicalize().with_context(|| format!("{} is not there", path.display()))?,
            None => server_beside_us()?,
        };
        let folder = DataFolder::make(common.data_dir.as_deref())?;
        // Several servers, and what they share, have all cores together.
        let placement = if common.nodes == 0 { Placement::pin()? } else { Placement::Free };
        let fsync_ms = folder.probe_sync()?;
        eprintln!(
            "{command}: {} in {} on {}, {}",
            binary.display(),
            folder.path().display(),
            folder.file_system(),
            match placement {
                Placement::Pinned { server, client } => format!("server on core {server}, clients on core {client}"),
                Placement::Free if common.nodes > 0 => format!("{} servers, Redis and Cassandra", common.nodes),
                Placement::Free => "no core for each: the figures are of both together".to_owned(),
            }
        );
        // What was asked for on the command line comes last, and so holds.
        let asked = common.settings.iter().map(|(name, value)| (name.replace('.', "__").to_uppercase(), value.clone()));
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).chain(asked).collect();
        let (servers, backing) = match common.nodes {
            0 => (vec![Spawned::start(&binary, folder.path(), placement, &settings).await?], None),
            nodes => {
                let backing = Backing::start(&folder.path().join("services"), common.cassandra_nodes, true)
                    .await
                    .context("failed to start Redis and Cassandra")?;
                backing.make_tables(&binary, folder.path()).await?;
                (start_nodes(&binary, folder.path(), &backing, nodes, &settings).await?, Some(backing))
            }
        };
        let addresses: Vec<_> = servers.iter().map(Spawned::public).collect();
        Ok(Self {
            common: common.clone(),
            command,
            endpoint: Endpoint::local_cluster(&addresses, format, servers[0].secret()),
            ops: servers.iter().map(Spawned::ops).collect(),
            servers,
            backing,
            folder: Some(folder),
            fsync_ms,
            seed,
        })
    }

    /// Begins a run on this stage.
    ///
    /// # Errors
    /// Where the record of its history cannot be made.
    pub fn begin(&self) -> anyhow::Result<Rc<Run>> {
        let mut history = History::begin(self.common.record.as_deref())?;
        history.note(format!("{} with the seed {}", self.command, self.seed));
        Ok(Run::begin(self.endpoint.clone(), history, self.seed))
    }

    /// Returns the seed of all that is drawn at random.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the server, if it is our own.
    pub fn server(&self) -> Option<&Spawned> {
        self.servers.first()
    }

    /// Returns the server of our own.
    ///
    /// # Errors
    /// Where it is somebody else's: this run needs `--spawn`.
    pub fn own_server(&mut self) -> anyhow::Result<&mut Spawned> {
        let command = self.command;
        self.servers.first_mut().ok_or_else(|| anyhow!("{command} needs a server of its own: use --spawn"))
    }

    /// Notes what was used so far.
    ///
    /// # Errors
    /// Where the server cannot be asked.
    pub async fn mark(&self, run: &Run) -> anyhow::Result<Mark> {
        let mut metrics = Vec::new();
        for &ops in &self.ops {
            metrics.push(Metrics::fetch(ops).await?);
        }
        let mut server_cpu_us = None;
        for server in &self.servers {
            server_cpu_us = Some(server_cpu_us.unwrap_or(0) + server.cpu_us()?);
        }
        Ok(Mark { at_us: run.clock.now_us(), server_cpu_us, client_cpu_us: usage::own_cpu_us()?, metrics })
    }

    /// Begins a report with what is known of every run.
    pub fn report(&self) -> Report {
        Report {
            command: self.command.to_owned(),
            format: Some(match self.common.format {
                WireFormat::Json => "json",
                WireFormat::Msgpack => "msgpack",
            }),
            file_system: self.folder.as_ref().map(|folder| folder.file_system().to_owned()),
            seed: Some(self.seed),
            nodes: Some(self.common.nodes).filter(|&nodes| nodes > 0),
            cassandra_nodes: self.backing.as_ref().map(|_| self.common.cassandra_nodes),
            settings: self.common.settings.iter().map(|(name, value)| format!("{name} = {value}")).collect(),
            fsync_ms: self.fsync_ms,
            ..Report::default()
        }
    }

    /// Ends the run: fetches the whole log, judges, prints, writes the JSON, stops the server.
    ///
    /// # Errors
    /// Where any of that fails. What the judge found is no error but the ending.
    pub async fn close(mut self, run: &Run, mut report: Report) -> anyhow::Result<Ending> {
        let ending = judge(run, &mut report).await?;
        println!("{}", report.table());
        if let Some(path) = &self.common.json {
            report.write_json(path)?;
        }
        for server in &mut self.servers {
            server.stop().await?;
        }
        drop(self.backing);
        if let Some(folder) = &self.folder {
            if ending == Ending::Clean && !self.common.keep_data {
                folder.remove()?;
            } else {
                eprintln!("the data folder is kept: {}", folder.path().display());
            }
        }
        Ok(ending)
    }
}

/// Starts the nodes of a cluster, one after the other.
async fn start_nodes(
    binary: &Path,
    folder: &Path,
    backing: &Backing,
    nodes: usize,
    settings: &[(String, String)],
) -> anyhow::Result<Vec<Spawned>> {
    let secret = format!("{:032x}", rand::random::<u128>());
    let mut servers = Vec::new();
    for number in 1..=nodes {
        let name = format!("n{number}");
        let folder = folder.join(&name);
        std::fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let mut server = Spawned::at_rest(binary, &folder, Placement::Free, secret.clone())?;
        backing.settings_of(&name).into_iter().for_each(|(name, value)| server.set(&name, value));
        settings.iter().for_each(|(name, value)| server.set(name, value.clone()));
        server.start_again().await?;
        servers.push(server);
    }
    Ok(servers)
}

impl Report {
    /// Puts in what was used and counted between two marks.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn measure(&mut self, run: &Run, start: &Mark, end: &Mark) {
        let tally = &run.tally;
        let seconds = (end.at_us - start.at_us) as f64 / 1e6;
        let cpu_us = end.server_cpu_us_since(start).map(|us| us as f64);
        let (acked, deliveries) = (tally.acked.get(), tally.deliveries.get());
        let per = |count: u64| cpu_us.filter(|_| count > 0).map(|cpu_us| cpu_us / count as f64);

        self.seconds = Some(seconds);
        self.sent = Some(tally.sent.get());
        self.acked = Some(acked);
        self.sends_per_s = Some(acked as f64 / seconds);
        self.ack_ms = tally.ack.borrow().quantiles();
        self.server_cpu_us_per_send = per(acked);
        if deliveries > 0 {
            self.deliveries = Some(deliveries);
            self.deliveries_per_s = Some(deliveries as f64 / seconds);
            self.delivery_ms = tally.delivery.borrow().quantiles();
            self.server_cpu_us_per_delivery = per(deliveries);
        }
        self.use_cpu(start, end);
        self.count_syncs(start, end);
    }

    /// Puts in the CPU time between two marks.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn use_cpu(&mut self, start: &Mark, end: &Mark) {
        let cpu_us = end.server_cpu_us_since(start).map(|us| us as f64);
        self.server_cpu_s = cpu_us.map(|us| us / 1e6);
        self.client_cpu_s = Some(end.client_cpu_us.saturating_sub(start.client_cpu_us) as f64 / 1e6);
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn count_syncs(&mut self, start: &Mark, end: &Mark) {
        let grown = |name: &str| {
            let sum = |mark: &Mark| mark.metrics.iter().map(|metrics| metrics.count(name)).sum::<Option<u64>>();
            let is_known = !end.metrics.is_empty();
            Some(sum(end)?.saturating_sub(sum(start)?)).filter(|_| is_known)
        };
        self.syncs = grown("rollcall_log_syncs_total");
        self.entries_per_sync = self
            .syncs
            .filter(|&syncs| syncs > 0)
            .and_then(|syncs| Some(grown("rollcall_log_entries_total")? as f64 / syncs as f64));
        if self.nodes.is_none() {
            return;
        }
        let by_kind = |name: &str| Some(grown_by_kind(name, start, end)).filter(|kinds| !kinds.is_empty());
        self.log_appends = grown("rollcall_log_appends_total");
        self.redis_published = grown("rollcall_redis_published_total");
        self.published_for = by_kind("rollcall_cluster_envelopes_sent_total");
        self.sent_with_batches = by_kind("rollcall_cluster_sent_with_batches_total");
        self.said = by_kind("rollcall_cluster_sent_total");
        self.watches_renewed = grown("rollcall_cluster_watches_renewed_total");
        self.redis_commands = by_kind("rollcall_redis_commands_total");
    }
}

/// Returns how a counter with kinds has grown on all servers together, kind by kind, without those that have not.
fn grown_by_kind(name: &str, start: &Mark, end: &Mark) -> ByKind {
    let mut grown = ByKind::new();
    for (servers, is_end) in [(&end.metrics, true), (&start.metrics, false)] {
        for (kind, count) in servers.iter().flat_map(|server| server.by_kind(name)) {
            let sum = grown.entry(kind).or_default();
            *sum = if is_end { *sum + count } else { sum.saturating_sub(count) };
        }
    }
    grown.retain(|_, count| *count > 0);
    grown
}

impl Mark {
    /// Returns when it was made, in µs of the run's clock.
    pub fn at_us(&self) -> u64 {
        self.at_us
    }

    /// Returns the CPU time of the server since an earlier mark, in µs, where it is our own.
    pub fn server_cpu_us_since(&self, earlier: &Self) -> Option<u64> {
        Some(self.server_cpu_us?.saturating_sub(earlier.server_cpu_us?))
    }
}
