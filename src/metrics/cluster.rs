//! What a node of a cluster has counted of its life among the others.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rollcall_actors::cluster::Standing;
use rollcall_actors::shell::{Cluster, SENT_KINDS};

use crate::cluster::Membership;
use crate::cluster::redis::COMMAND_KINDS;

/// What a node has counted.
#[derive(Debug, Clone, Default)]
pub struct ClusterFigures {
    /// Whether the node is a member with a right clock.
    pub is_member: bool,
    /// Whether the node was drained, and has left.
    pub is_drained: bool,
    /// Other nodes that live.
    pub peers: u64,
    /// Payloads sent to other nodes, by their kinds.
    pub sent: [u64; SENT_KINDS.len()],
    /// Envelopes, by what they were sent for.
    pub envelopes_sent: [u64; SENT_KINDS.len()],
    /// Payloads that shared the envelope of a batch.
    pub sent_with_batches: [u64; SENT_KINDS.len()],
    /// Commands on Redis, by what they are about.
    pub redis_commands: [u64; COMMAND_KINDS.len()],
    /// Counters, in the order of their names.
    pub counters: [u64; COUNTERS.len()],
}

const DRAINED: &str =
    "Whether this server was drained: it has given its rooms to others and left its cluster, and goes on running.";

/// The names of counters, and what they count.
pub const COUNTERS: [(&str, &str); 16] = [
    ("rollcall_cluster_watches_renewed", "Watches said to other nodes that renew one."),
    ("rollcall_cluster_envelopes_received", "Envelopes received and read."),
    ("rollcall_cluster_envelopes_malformed", "What came on the bus and is no envelope."),
    ("rollcall_cluster_envelopes_of_other_formats", "Envelopes of nodes of other versions, passed over."),
    ("rollcall_cluster_envelopes_lost", "Envelopes that may have been lost on their way out of this server."),
    ("rollcall_cluster_strays", "Answers of other nodes that fit nothing that was asked."),
    ("rollcall_redis_published", "Envelopes published on Redis."),
    ("rollcall_rooms_fenced", "Rooms that another owner was found to have taken over from this server."),
    ("rollcall_rooms_unknown_outcomes", "Rooms given up since the log did not say what became of an append."),
    ("rollcall_rooms_yielded", "Rooms given up since the log did not say whether this server owns them still."),
    ("rollcall_rooms_lost", "Rooms whose actor failed: a fault of the server itself."),
    ("rollcall_rooms_released", "Rooms given up in order."),
    ("rollcall_rooms_taken_over", "Rooms that this server took over from an owner who may not know it."),
    ("rollcall_rooms_diverged", "Rooms shown here that were not what their log has."),
    ("rollcall_repair_reads", "Reads of the log that brought rooms shown here up to date."),
    ("rollcall_log_hints_corrected", "Hints in Redis where a room's log ends that were wrong."),
];

impl ClusterFigures {
    /// Reads what a node has counted.
    pub fn of(cluster: &Cluster, membership: &Membership) -> Self {
        let stats = cluster.stats();
        let view = cluster.view();
        let view = view.borrow();
        Self {
            is_member: view.standing == Standing::Member && !view.is_over,
            is_drained: view.is_over,
            peers: view.peers.len() as u64,
            sent: stats.sent.get(),
            envelopes_sent: stats.envelopes_sent.get(),
            sent_with_batches: stats.sent_with_batches.get(),
            redis_commands: membership.commands(),
            counters: [
                stats.watches_renewed.get(),
                stats.envelopes_received.get(),
                stats.envelopes_malformed.get(),
                stats.envelopes_of_other_formats.get(),
                membership.losses(),
                stats.strays.get(),
                membership.published(),
                stats.rooms_fenced.get(),
                stats.outcomes_unknown.get(),
                stats.rooms_yielded.get(),
                stats.rooms_lost.get(),
                stats.rooms_released.get(),
                stats.takeovers.get(),
                stats.rooms_diverged.get(),
                stats.repair_reads.get(),
                stats.hints_corrected.get(),
            ],
        }
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauges = [
            ("rollcall_cluster_member", "Whether this server is a member of its cluster.", u64::from(self.is_member)),
            ("rollcall_cluster_drained", DRAINED, u64::from(self.is_drained)),
            ("rollcall_cluster_peers", "Other servers of the cluster that live.", self.peers),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        for ((name, help), value) in COUNTERS.into_iter().zip(self.counters) {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        let help = "What was said to other nodes; what goes to one node at one moment shares an envelope.";
        by_kind(encoder, ("rollcall_cluster_sent", help), SENT_KINDS.into_iter().zip(self.sent))?;
        let help = "Envelopes sent to other nodes, each by the batch in it, or else by what is first in it.";
        by_kind(encoder, ("rollcall_cluster_envelopes_sent", help), SENT_KINDS.into_iter().zip(self.envelopes_sent))?;
        let help = "What was said to other nodes in an envelope that a batch needed anyway.";
        let with_batches = SENT_KINDS.into_iter().zip(self.sent_with_batches);
        by_kind(encoder, ("rollcall_cluster_sent_with_batches", help), with_batches)?;
        let help = "Commands run on Redis, without those that publish.";
        by_kind(encoder, ("rollcall_redis_commands", help), COMMAND_KINDS.into_iter().zip(self.redis_commands))
    }
}

fn by_kind(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    counts: impl Iterator<Item = (&'static str, u64)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (kind, count) in counts {
        ConstCounter::new(count).encode(family.encode_family(&[("kind", kind)])?)?;
    }
    Ok(())
}
