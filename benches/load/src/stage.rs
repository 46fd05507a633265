//! The stage of a run: a server, one that is there or one of our own, and what is told about it at the end.

use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context as _, anyhow};

use crate::cli::{Common, WireFormat};
use crate::history::History;
use crate::latency::Quantiles;
use crate::report::Report;
use crate::run::Run;
use crate::server::{DataFolder, Metrics, Placement, Spawned, server_beside_us, usage};
use crate::target::Endpoint;
use crate::verdict::{Ending, judge};

/// A server, and what is known about where it runs.
pub struct Stage {
    common: Common,
    command: &'static str,
    endpoint: Endpoint,
    ops: Option<SocketAddr>,
    /// The server, if it is our own.
    pub server: Option<Spawned>,
    folder: Option<DataFolder>,
    fsync_ms: Option<Quantiles>,
    seed: u64,
}

/// What was used up to one moment.
pub struct Mark {
    at_us: u64,
    server_cpu_us: Option<u64>,
    client_cpu_us: u64,
    metrics: Option<Metrics>,
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
            let (common, ops) = (common.clone(), common.ops);
            return Ok(Self { common, command, endpoint, ops, server: None, folder: None, fsync_ms: None, seed });
        }
        let binary = match &common.server {
            Some(path) => path.canonicalize().with_context(|| format!("{} is not there", path.display()))?,
            None => server_beside_us()?,
        };
        let folder = DataFolder::make(common.data_dir.as_deref())?;
        let placement = Placement::pin()?;
        let fsync_ms = folder.probe_sync()?;
        eprintln!(
            "{command}: {} in {} on {}, {}",
            binary.display(),
            folder.path().display(),
            folder.file_system(),
            match placement {
                Placement::Pinned { server, client } => format!("server on core {server}, clients on core {client}"),
                Placement::Free => "no core for each: the figures are of both together".to_owned(),
            }
        );
        // What was asked for on the command line comes last, and so holds.
        let asked = common.settings.iter().map(|(name, value)| (name.replace('.', "__").to_uppercase(), value.clone()));
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).chain(asked).collect();
        let server = Spawned::start(&binary, folder.path(), placement, &settings).await?;
        Ok(Self {
            common: common.clone(),
            command,
            endpoint: Endpoint::local(server.public(), format, server.secret()),
            ops: Some(server.ops()),
            server: Some(server),
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

    /// Returns the server of our own.
    ///
    /// # Errors
    /// Where it is somebody else's: this run needs `--spawn`.
    pub fn own_server(&mut self) -> anyhow::Result<&mut Spawned> {
        let command = self.command;
        self.server.as_mut().ok_or_else(|| anyhow!("{command} needs a server of its own: use --spawn"))
    }

    /// Notes what was used so far.
    ///
    /// # Errors
    /// Where the server cannot be asked.
    pub async fn mark(&self, run: &Run) -> anyhow::Result<Mark> {
        let metrics = match self.ops {
            Some(ops) => Some(Metrics::fetch(ops).await?),
            None => None,
        };
        let server_cpu_us = self.server.as_ref().map(Spawned::cpu_us).transpose()?;
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
        if let Some(server) = &mut self.server {
            server.stop().await?;
        }
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
            let (end, start) = (end.metrics.as_ref()?.count(name)?, start.metrics.as_ref()?.count(name)?);
            Some(end.saturating_sub(start))
        };
        self.syncs = grown("rollcall_log_syncs_total");
        self.entries_per_sync = self
            .syncs
            .filter(|&syncs| syncs > 0)
            .and_then(|syncs| Some(grown("rollcall_log_entries_total")? as f64 / syncs as f64));
    }
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
