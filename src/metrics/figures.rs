//! What rooms and log count by themselves, read when somebody asks.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rollcall_protocol::Kind;

use super::cluster::ClusterFigures;

/// What rooms and log have counted.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Rooms in memory.
    pub rooms: u64,
    /// Rooms that were found damaged.
    pub rooms_damaged: u64,
    /// Entries committed, by the number of their kind less one.
    pub committed: [u64; Kind::ALL.len()],
    /// Entries that rooms have let expire.
    pub expired: u64,
    /// Syncs of the log.
    pub log_syncs: u64,
    /// Entries that those syncs made durable.
    pub log_entries: u64,
    /// Groups that failed, with an unknown outcome.
    pub log_failures: u64,
    /// Times that the embedded log was opened again after a failure.
    pub log_reopens: u64,
    /// Appends that the log committed.
    pub log_appends: u64,
    /// Appends that the log refused.
    pub log_refused_appends: u64,
    /// Appends whose outcome was unknown for a while: those that were applied, and those that were not.
    pub log_settled_appends: [u64; 2],
    /// Activations that the log committed.
    pub log_activations: u64,
    /// Entries whose bodies a redaction took off the log.
    pub log_redacted_entries: u64,
    /// Bytes of bodies and snapshots that the log committed.
    pub log_written_bytes: u64,
    /// Time spent in syncs, in seconds.
    pub log_sync_s: f64,
    /// Syncs by their time: an upper bound in seconds, and the syncs that took at most that and more than the bound before.
    pub log_syncs_by_s: Vec<(f64, u64)>,
    /// Of a node of a cluster: its life among the others.
    pub cluster: Option<ClusterFigures>,
}

/// Reads the figures for a scrape.
pub(super) struct FiguresCollector {
    read: Box<dyn Fn() -> Figures + Send + Sync>,
}

impl FiguresCollector {
    pub fn new(read: impl Fn() -> Figures + Send + Sync + 'static) -> Self {
        Self { read: Box::new(read) }
    }
}

impl fmt::Debug for FiguresCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FiguresCollector")
    }
}

impl Collector for FiguresCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let figures = (self.read)();
        let damaged = "Rooms whose log was found damaged by this server: it writes nothing to those that it owns, and shows what comes before the damage.";
        let gauges = [
            ("rollcall_rooms", "Rooms in memory.", figures.rooms),
            ("rollcall_rooms_damaged", damaged, figures.rooms_damaged),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let counters = [
            (
                "rollcall_entries_expired",
                "Entries that the rooms owned here have let expire; the log deletes them after that.",
                figures.expired,
            ),
            (
                "rollcall_log_syncs",
                "Commits of the log: in the embedded one each is a sync to disk, for all rooms that wait; in the CQL one an append.",
                figures.log_syncs,
            ),
            ("rollcall_log_entries", "Entries that the log has made durable.", figures.log_entries),
            (
                "rollcall_log_failures",
                "Commits that failed: of the embedded log, for a group of rooms; of the CQL log, appends whose outcome stayed unknown.",
                figures.log_failures,
            ),
            (
                "rollcall_log_reopens",
                "Times that the embedded log was opened again after a failure.",
                figures.log_reopens,
            ),
            ("rollcall_log_appends", "Appends that the log has made durable.", figures.log_appends),
            (
                "rollcall_log_refused_appends",
                "Appends that the log refused: too little room on the disk, or a limit or a missing right at the servers of a CQL log.",
                figures.log_refused_appends,
            ),
            ("rollcall_log_activations", "Activations that the log has made durable.", figures.log_activations),
            (
                "rollcall_log_redacted_entries",
                "Entries whose bodies redactions have taken off the log.",
                figures.log_redacted_entries,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        if let Some(cluster) = &figures.cluster {
            cluster.encode(&mut encoder)?;
        }
        let written = ConstCounter::new(figures.log_written_bytes);
        let help = "Bytes of bodies and snapshots that the embedded log has made durable.";
        let written_type = written.metric_type();
        written.encode(encoder.encode_descriptor("rollcall_log_written", help, Some(&Unit::Bytes), written_type)?)?;
        let help = "Entries that the rooms have committed.";
        let mut committed = encoder.encode_descriptor("rollcall_entries_committed", help, None, MetricType::Counter)?;
        for (kind, count) in Kind::ALL.into_iter().zip(figures.committed) {
            let label = [("kind", super::kind_name(kind))];
            ConstCounter::new(count).encode(committed.encode_family(&label)?)?;
        }
        let help = "Appends to the CQL log whose outcome was unknown for a while, by what it proved to be.";
        let mut settled = encoder.encode_descriptor("rollcall_log_settled_appends", help, None, MetricType::Counter)?;
        for (outcome, count) in ["applied", "not_applied"].into_iter().zip(figures.log_settled_appends) {
            ConstCounter::new(count).encode(settled.encode_family(&[("outcome", outcome)])?)?;
        }
        let help = "How long commits took: of the embedded log, to write and sync a group; of the CQL log, an append until its outcome \
                    was known.";
        let syncs = Syncs(&figures);
        syncs.encode(encoder.encode_descriptor(
            "rollcall_log_sync_duration",
            help,
            Some(&Unit::Seconds),
            syncs.metric_type(),
        )?)
    }
}

struct Syncs<'a>(&'a Figures);

impl EncodeMetric for Syncs<'_> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let Self(figures) = self;
        encoder.encode_histogram::<NoLabelSet>(figures.log_sync_s, figures.log_syncs, &figures.log_syncs_by_s, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
