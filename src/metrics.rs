//! What the server counts, for Prometheus. One registry for each server, never one for the process: tests run many in one.
//!
//! Labels have few values: never a room, a user or an address, and nothing that a client chooses.

mod cluster;
mod figures;
mod process;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};
use rollcall_protocol::{CloseCode, ErrorCode, Format, Kind};

use crate::auth::AuthError;
use figures::FiguresCollector;

pub use cluster::ClusterFigures;
pub use figures::Figures;

/// One label and its value.
type Label = [(&'static str, &'static str); 1];

/// What the server counts. Cheap to clone; each method is an atomic operation or a short lock.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Counters {
    connections_json: Gauge,
    connections_msgpack: Gauge,
    connections_opened: Counter,
    connections_closed: Family<[(&'static str, String); 1], Counter>,
    subscriptions: Gauge,
    entries_delivered: Counter,
    frames_sent: Counter,
    bytes_sent: Counter,
    bytes_received: Counter,
    ack_duration: Histogram,
    refusals: Family<Label, Counter>,
    rate_limited: Counter,
    auth_failures: Family<Label, Counter>,
    catch_up_pages: Counter,
}

impl Metrics {
    /// Makes a registry with everything at zero. `figures` tells what rooms and log have counted, whenever somebody asks.
    pub fn new(figures: impl Fn() -> Figures + Send + Sync + 'static) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(FiguresCollector::new(figures)));
        registry.register_collector(Box::new(process::ProcessCollector::new()));
        let ours = registry.sub_registry_with_prefix("rollcall");
        ours.register("build", "Which program this is", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let connections = register(ours, "connections", "Open connections", Family::<Label, Gauge>::default());
        let by_format = |format| connections.get_or_create_owned(&[("format", format_name(format))]);
        let counters = Counters {
            connections_json: by_format(Format::Json),
            connections_msgpack: by_format(Format::MsgPack),
            connections_opened: counter(ours, "connections_opened", "Connections whose handshake succeeded"),
            connections_closed: register(
                ours,
                "connections_closed",
                "Connections that have ended, by the code the server closed them with; none where the client left",
                Family::default(),
            ),
            subscriptions: register(ours, "subscriptions", "Rooms joined by connections, over all", Gauge::default()),
            entries_delivered: counter(ours, "entries_delivered", "Entries written to connections"),
            frames_sent: counter(ours, "frames_sent", "Frames written to connections"),
            bytes_sent: counter(ours, "bytes_sent", "Bytes of frames written to connections"),
            bytes_received: counter(ours, "bytes_received", "Bytes of frames read from connections"),
            ack_duration: durations(ours, "ack_duration", "From a write's arrival to its ack"),
            refusals: register(ours, "refusals", "Commands answered with an error, by its code", Family::default()),
            rate_limited: counter(ours, "rate_limited", "Commands refused for their rate"),
            auth_failures: register(ours, "auth_failures", "Tokens refused, by the reason", Family::default()),
            catch_up_pages: counter(ours, "catch_up_pages", "Pages read from the log for connections that lag"),
        };
        Self { registry: Arc::new(registry), counters: Arc::new(counters) }
    }

    /// Returns everything in the OpenMetrics text format, which Prometheus reads.
    ///
    /// # Panics
    /// Never: a string takes everything.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes everything");
        text
    }

    /// A connection's handshake succeeded.
    pub fn connection_opened(&self, format: Format) {
        self.counters.connections_opened.inc();
        self.connections(format).inc();
    }

    /// A connection has ended: by the server, with a code, or by the client or the network.
    pub fn connection_closed(&self, format: Format, code: Option<CloseCode>) {
        let label = code.map_or_else(|| "none".to_owned(), |code| code.number().to_string());
        self.counters.connections_closed.get_or_create(&[("code", label)]).inc();
        self.connections(format).dec();
    }

    /// A connection joined a room.
    pub fn subscribed(&self) {
        self.counters.subscriptions.inc();
    }

    /// Connections have left rooms: `count` subscriptions fewer.
    pub fn unsubscribed(&self, count: usize) {
        self.counters.subscriptions.dec_by(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Frames went out to a connection.
    pub fn sent(&self, frames: u64, bytes: u64, entries: u64) {
        self.counters.frames_sent.inc_by(frames);
        self.counters.bytes_sent.inc_by(bytes);
        self.counters.entries_delivered.inc_by(entries);
    }

    /// A frame came in.
    pub fn received(&self, bytes: u64) {
        self.counters.bytes_received.inc_by(bytes);
    }

    /// A write was acknowledged.
    pub fn acked(&self, after: Duration) {
        self.counters.ack_duration.observe(after.as_secs_f64());
    }

    /// A command was answered with an error.
    pub fn refused(&self, code: ErrorCode) {
        self.counters.refusals.get_or_create(&[("code", code.row().wire)]).inc();
        if code == ErrorCode::RateLimited {
            self.counters.rate_limited.inc();
        }
    }

    /// A token was not accepted.
    pub fn auth_failed(&self, error: AuthError) {
        self.counters.auth_failures.get_or_create(&[("reason", error.reason())]).inc();
    }

    /// A page was read from the log for a connection that lags behind the ring.
    pub fn caught_up_a_page(&self) {
        self.counters.catch_up_pages.inc();
    }

    fn connections(&self, format: Format) -> &Gauge {
        match format {
            Format::Json => &self.counters.connections_json,
            Format::MsgPack => &self.counters.connections_msgpack,
        }
    }
}

fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    register(registry, name, help, Counter::default())
}

/// Registers a histogram of durations, with bounds from 50 µs to 13 s in steps of two.
fn durations(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let histogram = Histogram::new(exponential_buckets(0.000_05, 2.0, 19));
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

const fn format_name(format: Format) -> &'static str {
    match format {
        Format::Json => "json",
        Format::MsgPack => "msgpack",
    }
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Message => "message",
        Kind::Edit => "edit",
        Kind::Redact => "redact",
        Kind::React => "react",
        Kind::Member => "member",
        Kind::Room => "room",
    }
}

#[cfg(test)]
mod tests;
