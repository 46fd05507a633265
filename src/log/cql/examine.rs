//! What `rollcall doctor` asks the servers: are they there, are they the right ones, and do they keep what the promises rest on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use scylla::client::session::Session;
use scylla::cluster::Node;
use scylla::deserialize::row::DeserializeRow;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::{Consistency, Statement};
use scylla::value::CqlTimeuuid;

use super::connection::{check_keyspace, connect, datacenters_of, execution_error, replication};
use super::error::CqlError;
use super::options::CqlOptions;
use super::schema;
use super::statements::Levels;
use crate::doctor::{Finding, Status, clock};

/// A room's name that no room can have.
const NO_ROOM: &str = "rollcall doctor";

/// What a server must take at once, in bytes: the largest entry is of 512 KiB, the most entries in one append of half of that, and
/// either comes with what is said about them. Paxos stores them once more, but not in the same write.
const MUTATION_BYTES_MIN: u64 = 1024 * 1024;

/// The first Cassandra that has Paxos v2.
const CASSANDRA_MIN: (u32, u32) = (4, 1);

/// Statements that change nothing, one for each table that a node writes to: a condition that nothing fulfils.
const HARMLESS_WRITES: [(&str, &str); 5] = [
    ("messages", "UPDATE {}.messages SET last_seq = -1 WHERE channel_id = ? AND bucket = -1 IF last_seq = -2"),
    ("edits", "DELETE FROM {}.edits WHERE channel_id = ? AND target = -1 AND seq = -1 IF EXISTS"),
    ("snapshots", "DELETE FROM {}.snapshots WHERE channel_id = ? AND seq = -1 AND part = 0 IF EXISTS"),
    ("floors", "DELETE FROM {}.floors WHERE channel_id = ? IF floor = -2"),
    ("takeovers", "DELETE FROM {}.takeovers WHERE slot = -1 AND at = 00000000-0000-1000-8000-000000000000 IF EXISTS"),
];

/// Looks at the servers, the keyspace and the tables. Writes nothing.
///
/// # Cancel safety
/// Nothing is left behind.
pub async fn examine(options: &CqlOptions) -> Vec<Finding> {
    let session = match connect(options).await {
        Ok(session) => session,
        Err(error) => return vec![Finding::failed("cql.reachable", &error)],
    };
    let mut findings = vec![Finding::ok("cql.reachable", reached(&session))];
    let is_scylladb = ask::<(String,)>(&session, None, "SELECT version FROM system.versions").await.is_ok();
    for node in session.get_cluster_state().get_nodes_info() {
        if !node.is_connected() {
            let text = format!("{} does not answer", node.address);
            findings.push(Finding::warn("cql.nodes", text, "find out why: with fewer copies, fewer may fail"));
            continue;
        }
        findings.push(version(&session, node, is_scylladb).await);
        findings.push(clock_of(&session, node).await);
        if !is_scylladb {
            findings.extend(settings(&session, node).await);
        }
    }
    findings.extend(keyspace(&session, options, is_scylladb).await);
    findings
}

fn reached(session: &Session) -> String {
    let state = session.get_cluster_state();
    let nodes: Vec<String> = state.get_nodes_info().iter().map(|node| node.address.to_string()).collect();
    format!("the servers are {}", nodes.join(", "))
}

async fn version(session: &Session, node: &Arc<Node>, is_scylladb: bool) -> Finding {
    const CHECK: &str = "cql.version";
    let query =
        if is_scylladb { "SELECT version FROM system.versions" } else { "SELECT release_version FROM system.local" };
    let version = match ask::<(String,)>(session, Some(node), query).await {
        Ok(rows) => rows.into_iter().next().map(|(version,)| version).unwrap_or_default(),
        Err(error) => return Finding::failed(CHECK, &error),
    };
    let text = format!("{} is {} {version}", node.address, if is_scylladb { "ScyllaDB" } else { "Cassandra" });
    if !is_scylladb && numbers(&version) < CASSANDRA_MIN {
        return Finding::fail(CHECK, text, "upgrade to 4.1 or later, which has Paxos v2; rollcall is tested on 5.0");
    }
    Finding::ok(CHECK, text)
}

async fn clock_of(session: &Session, node: &Arc<Node>) -> Finding {
    const CHECK: &str = "cql.clock";
    let asked = SystemTime::now();
    let said = ask::<(CqlTimeuuid,)>(session, Some(node), "SELECT now() FROM system.local").await;
    match said.map(|rows| rows.first().map(|(now,)| since_1970(now))) {
        Ok(Some(said)) => clock(CHECK, &node.address.to_string(), said, asked, SystemTime::now()),
        Ok(None) => Finding::failed(CHECK, &format!("{} does not tell the time", node.address)),
        Err(error) => Finding::failed(CHECK, &error),
    }
}

fn since_1970(now: &CqlTimeuuid) -> Duration {
    let (seconds, nanos) = now.as_ref().get_timestamp().map_or((0, 0), |stamp| stamp.to_unix());
    Duration::new(seconds, nanos)
}

/// Makes sure that no server is set so that a room would come to a stop for good: an append that no server can write down is never
/// decided, and neither is anything after it. What a server does not tell, or not to us, is left to [`examine`].
pub(super) async fn check_mutations(session: &Session) -> Result<(), CqlError> {
    let state = session.get_cluster_state();
    let connected = state.get_nodes_info().iter().filter(|node| node.is_connected());
    let mutations = connected.map(async |node| {
        let settings = read_settings(session, node).await.ok()?;
        judge_mutations(&node.address.to_string(), |name| settings.get(name).map(String::as_str))
    });
    let bad = join_all(mutations).await.into_iter().flatten().find(|finding| finding.status == Status::Fail);
    bad.map_or(Ok(()), |Finding { text, advice, .. }| {
        Err(CqlError::Setting { reason: text, advice: advice.unwrap_or_default() })
    })
}

async fn read_settings(session: &Session, node: &Arc<Node>) -> Result<HashMap<String, String>, CqlError> {
    const QUERY: &str = "SELECT name, value FROM system_views.settings WHERE name IN \
                         ('paxos_variant', 'commitlog_sync', 'commitlog_segment_size', 'max_mutation_size', \
                         'column_value_size_fail_threshold')";
    let rows = ask::<(String, Option<String>)>(session, Some(node), QUERY).await?;
    Ok(rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

/// Looks at a Cassandra node's own settings, which it shows to whoever may read its virtual tables.
async fn settings(session: &Session, node: &Arc<Node>) -> Vec<Finding> {
    let settings = match read_settings(session, node).await {
        Ok(settings) => settings,
        Err(error) => {
            let text = format!("the settings of {} cannot be read: {error}", node.address);
            let advice = "grant SELECT on the keyspace system_views to the role, or look at its cassandra.yaml";
            return vec![Finding::warn("cql.settings", text, advice)];
        }
    };
    judge_settings(&node.address.to_string(), |name| settings.get(name).map(String::as_str))
}

fn judge_settings<'a>(node: &str, value: impl Fn(&str) -> Option<&'a str>) -> Vec<Finding> {
    let paxos = value("paxos_variant").unwrap_or("not told");
    let text = format!("paxos_variant of {node} is {paxos}");
    let paxos = match paxos {
        "v2" => Finding::ok("cql.paxos", text),
        _ => Finding::fail(
            "cql.paxos",
            text,
            "set `paxos_variant: v2` in cassandra.yaml of every node: v1 needs twice the round trips, and does not hold while a \
             node is added or removed",
        ),
    };
    let sync = value("commitlog_sync").unwrap_or("not told");
    let text = format!("commitlog_sync of {node} is {sync}");
    let sync = match sync {
        "batch" | "group" => Finding::ok("cql.commitlog", text),
        _ => Finding::warn(
            "cql.commitlog",
            text,
            "set `commitlog_sync: group` or `batch` in cassandra.yaml: with periodic, entries that were acknowledged can be lost if all \
             copies lose power at once",
        ),
    };
    let mutations = judge_mutations(node, &value);
    let threshold = value("column_value_size_fail_threshold");
    let values = threshold.filter(|it| bytes(it).is_some_and(|bytes| bytes < MUTATION_BYTES_MIN)).map(|threshold| {
        let text = format!("column_value_size_fail_threshold of {node} is {threshold}");
        let advice = "leave it out, or set it to 1MiB or more: larger bodies and snapshots are refused";
        Finding::fail("cql.values", text, advice)
    });
    [paxos, sync].into_iter().chain(mutations).chain(values).collect()
}

/// Looks at how much a node takes at once; none where it does not tell. Cassandra's thresholds for batches do not matter: they do
/// not hold for conditional ones.
fn judge_mutations<'a>(node: &str, value: impl Fn(&str) -> Option<&'a str>) -> Option<Finding> {
    const CHECK: &str = "cql.mutations";
    let segment = value("commitlog_segment_size").and_then(bytes);
    // Half a segment is what Cassandra takes where nothing else is set.
    let largest = value("max_mutation_size").and_then(bytes).or(segment.map(|bytes| bytes / 2))?;
    let text = format!("{node} takes writes of up to {} KiB", largest / 1024);
    Some(if largest < MUTATION_BYTES_MIN {
        let advice = "leave `max_mutation_size` out and set `commitlog_segment_size` to 8MiB or more: an append that is larger \
                      is never decided, and its room stops";
        Finding::fail(CHECK, text, advice)
    } else {
        Finding::ok(CHECK, text)
    })
}

async fn keyspace(session: &Session, options: &CqlOptions, is_scylladb: bool) -> Vec<Finding> {
    let replication = match replication(session, &options.keyspace).await {
        Ok(replication) => replication.unwrap_or_default(),
        Err(error) => return vec![Finding::failed("cql.keyspace", &error)],
    };
    if let Err(error) = check_keyspace(session, options).await {
        return vec![Finding::failed("cql.keyspace", &error)];
    }
    let mut findings = vec![judge_replication(&options.keyspace, &replication)];
    match schema::version(session, options).await {
        Ok(version) => findings.push(Finding::ok("cql.schema", format!("the tables are those of version {version}"))),
        Err(error) => {
            findings.push(Finding::failed("cql.schema", &error));
            return findings;
        }
    }
    findings.push(writes(session, options, is_scylladb).await);
    findings
}

fn judge_replication(keyspace: &str, replication: &HashMap<String, String>) -> Finding {
    const CHECK: &str = "cql.keyspace";
    let mut copies: Vec<String> = match datacenters_of(replication) {
        Some(names) => names.iter().map(|name| format!("{} in {name}", replication[name])).collect(),
        None => vec![format!("{} anywhere", replication.get("replication_factor").map_or("1", String::as_str))],
    };
    copies.sort();
    let text = format!("the keyspace {keyspace} is there, with its copies: {}", copies.join(", "));
    let fewest = copies.iter().filter_map(|it| it.split(' ').next()?.parse::<u32>().ok()).min().unwrap_or(0);
    if datacenters_of(replication).is_none() {
        return Finding::warn(CHECK, text, "use NetworkTopologyStrategy, which knows of data centres and racks");
    }
    if fewest < 3 {
        return Finding::warn(
            CHECK,
            text,
            "three copies go on without one; with fewer, a server that is away stops all rooms",
        );
    }
    Finding::ok(CHECK, text)
}

/// Tries for each table whether the role may write to it, and whether conditional statements are carried out at all.
async fn writes(session: &Session, options: &CqlOptions, is_scylladb: bool) -> Finding {
    const CHECK: &str = "cql.permissions";
    let levels = Levels::from(options.consistency);
    for (table, text) in HARMLESS_WRITES {
        let mut statement = Statement::new(text.replacen("{}", &options.keyspace, 1));
        levels.apply_to(&mut statement);
        let written = if text.contains('?') {
            session.query_unpaged(statement, (NO_ROOM,)).await
        } else {
            session.query_unpaged(statement, ()).await
        };
        match written.map_err(|error| execution_error("carry out a conditional statement", &error)) {
            Ok(_) => {}
            Err(error @ CqlError::Permission { .. }) => return Finding::failed(CHECK, &error),
            Err(error) if is_scylladb => {
                let advice = "where tablets and conditional statements do not go together yet, make the keyspace WITH tablets = \
                              {'enabled': false}";
                return Finding::fail(CHECK, format!("{table}: {error}"), advice);
            }
            Err(error) => return Finding::fail(CHECK, format!("{table}: {error}"), "see the servers' own logs"),
        }
    }
    Finding::ok(CHECK, "the role may read and write, and conditional statements are carried out")
}

/// Asks one node, or any, and returns the rows.
async fn ask<R>(session: &Session, node: Option<&Arc<Node>>, text: &str) -> Result<Vec<R>, CqlError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let mut statement = Statement::new(text);
    statement.set_consistency(Consistency::One);
    if let Some(node) = node {
        let only = SingleTargetLoadBalancingPolicy::new(NodeIdentifier::Node(Arc::clone(node)), None);
        statement.set_load_balancing_policy(Some(only));
    }
    let refused = |reason: String| CqlError::Refused { action: "tell about themselves", reason };
    let result = session.query_unpaged(statement, ()).await;
    let result = result.map_err(|error| execution_error("tell about themselves", &error))?;
    let rows = result.into_rows_result().map_err(|error| refused(error.to_string()))?;
    let rows = rows.rows::<R>().map_err(|error| refused(error.to_string()))?;
    rows.collect::<Result<_, _>>().map_err(|error| refused(error.to_string()))
}

/// Returns the first two numbers of a version.
fn numbers(version: &str) -> (u32, u32) {
    let mut parts = version.split(['.', '-', '~']).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Reads a size as Cassandra writes it, such as `8MiB`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match &text[digits..] {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        "GiB" => 1024 * 1024 * 1024,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(settings: &[(&str, &str)]) -> Vec<(&'static str, Status)> {
        let value = |name: &str| settings.iter().find(|(it, _)| *it == name).map(|&(_, value)| value);
        judge_settings("db1", value).iter().map(|finding| (finding.check, finding.status)).collect()
    }

    #[test]
    fn settings_that_the_promises_rest_on() {
        let [paxos, commitlog, mutations] = ["cql.paxos", "cql.commitlog", "cql.mutations"];
        let good = [("paxos_variant", "v2"), ("commitlog_sync", "group"), ("commitlog_segment_size", "32MiB")];
        assert_eq!(judged(&good), [(paxos, Status::Ok), (commitlog, Status::Ok), (mutations, Status::Ok)]);
        let as_delivered = [("paxos_variant", "v1"), ("commitlog_sync", "periodic"), ("max_mutation_size", "1023KiB")];
        let expected = [(paxos, Status::Fail), (commitlog, Status::Warn), (mutations, Status::Fail)];
        assert_eq!(judged(&as_delivered), expected);
        assert_eq!(judged(&[]), [(paxos, Status::Fail), (commitlog, Status::Warn)]);
        let value =
            |threshold| judged(&[&good[..], &[("column_value_size_fail_threshold", threshold)]].concat())[3..].to_vec();
        assert_eq!((value(""), value("1MiB"), value("100KiB")), (vec![], vec![], vec![("cql.values", Status::Fail)]));
    }

    #[test]
    fn versions_and_sizes_are_read() {
        assert_eq!(numbers("5.0.8"), (5, 0));
        assert!(
            numbers("4.0.11") < CASSANDRA_MIN && numbers("4.1-beta1") >= CASSANDRA_MIN && numbers("?") < CASSANDRA_MIN
        );
        assert_eq!(
            [bytes("8MiB"), bytes("50KiB"), bytes("7"), bytes("7 apples")],
            [Some(8 << 20), Some(50 << 10), Some(7), None]
        );
    }

    #[test]
    fn copies_are_counted() {
        let status = |columns: &[(&str, &str)]| {
            let replication: HashMap<String, String> =
                columns.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
            judge_replication("k", &replication).status
        };
        let topology = ("class", "org.apache.cassandra.locator.NetworkTopologyStrategy");
        assert_eq!(status(&[topology, ("dc1", "3")]), Status::Ok);
        assert_eq!(status(&[topology, ("dc1", "3"), ("dc2", "1")]), Status::Warn);
        assert_eq!(status(&[("class", "SimpleStrategy"), ("replication_factor", "3")]), Status::Warn);
    }
}
