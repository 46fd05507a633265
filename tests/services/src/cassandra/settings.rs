//! What a node is started with: small, and as durable as production.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::class_archive::ClassArchive;
use crate::error::{DuringExt as _, ServiceError};

/// A node of a cluster of test servers.
#[derive(Debug)]
pub(super) struct NodeSettings<'a> {
    pub address: Ipv4Addr,
    /// All nodes: so they can be started at once, and any of them restarted when another is gone.
    pub seeds: &'a [Ipv4Addr],
    pub cql_port: u16,
    pub storage_port: u16,
    /// Where its part of the ring begins.
    pub token: i64,
}

/// What differs from Cassandra's defaults, addresses aside.
///
/// As in production: Paxos v2, on which the log's conditional batches are fast, and a commit log that is synced before a write
/// is acknowledged. Small, so that three nodes fit beside everything else.
const YAML: &str = "\
cluster_name: rollcall
num_tokens: 1
auto_bootstrap: false
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
paxos_variant: v2
commitlog_sync: batch
commitlog_segment_size: 8MiB
memtable_heap_space: 64MiB
file_cache_size: 16MiB
key_cache_size: 1MiB
auto_snapshot: false
";

const LOGBACK: &str = r#"<configuration>
  <appender name="log" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level %date %logger{20} %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="log"/></root>
</configuration>
"#;

/// 740 MB resident in all.
const MEMORY: &[&str] = &["-Xms384m", "-Xmx384m", "-Xss512k", "-XX:MaxDirectMemorySize=256m", "-XX:+UseSerialGC"];

/// Parts of the JDK that Cassandra reaches into, as its own start script lets it on Java 17.
const EXPORTS: &[&str] = &[
    "java.base/jdk.internal.misc",
    "java.base/java.lang.ref",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.attach/sun.tools.attach",
];
const OPENS: &[&str] = &[
    "java.base/java.lang.module",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "java.base/java.lang",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "jdk.compiler/com.sun.tools.javac",
    "jdk.management/com.sun.management.internal",
];

impl NodeSettings<'_> {
    /// Writes the configuration into `conf` in the node's folder, and makes the folders that a node wants.
    pub(super) fn write(&self, folder: &Path) -> Result<(), ServiceError> {
        for name in ["conf/triggers", "data", "tmp"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).during("make the folder", &path)?;
        }
        for (name, text) in [("conf/cassandra.yaml", self.yaml()), ("conf/logback.xml", LOGBACK.to_owned())] {
            let path = folder.join(name);
            fs::write(&path, text).during("write", &path)?;
        }
        Ok(())
    }

    fn yaml(&self) -> String {
        let Self { address, cql_port, storage_port, .. } = self;
        let seeds: Vec<String> = self.seeds.iter().map(|seed| format!("{seed}:{storage_port}")).collect();
        let seeds = seeds.join(",");
        format!(
            "{YAML}listen_address: {address}\nrpc_address: {address}\nnative_transport_port: {cql_port}\n\
             storage_port: {storage_port}\nseed_provider:\n  - class_name: org.apache.cassandra.locator.SimpleSeedProvider\n    \
             parameters:\n      - seeds: \"{seeds}\"\n"
        )
    }

    /// Returns the arguments of Java, for a node in this folder. Only jars may be on the class path, or there is no archive; so
    /// the configuration is named by its URL.
    pub(super) fn arguments(
        &self,
        folder: &Path,
        jars: &Path,
        archive: &ClassArchive,
    ) -> Result<Vec<OsString>, ServiceError> {
        let mut arguments: Vec<OsString> = MEMORY.iter().map(Into::into).collect();
        arguments.extend(archive.arguments());
        for (option, packages) in [("--add-exports", EXPORTS), ("--add-opens", OPENS)] {
            arguments.extend(packages.iter().map(|package| format!("{option}={package}=ALL-UNNAMED").into()));
        }
        // It measures objects; Cassandra does not start without it.
        let mut agent = OsString::from("-javaagent:");
        agent.push(agent_in(jars)?);
        arguments.extend([agent, "-cp".into(), jars.join("*").into()]);
        let conf = folder.join("conf");
        arguments.push(format!("-Dcassandra.config={}", file_url(&conf.join("cassandra.yaml"))).into());
        arguments.push(format!("-Dlogback.configurationFile={}", file_url(&conf.join("logback.xml"))).into());
        // A cluster has to hear of each other's tokens before it serves; one node has nobody to hear of.
        let ring_delay_ms = if self.seeds.len() > 1 { 1_000 } else { 1 };
        let fixed = [
            "-XX:+PerfDisableSharedMem",
            "-Djdk.attach.allowAttachSelf=true",
            "-Dio.netty.tryReflectionSetAccessible=true",
            "-Djava.io.tmpdir=tmp",
            "-Dcassandra-foreground=yes",
            "-Dcassandra.storagedir=data",
            "-Dcassandra.triggers_dir=conf/triggers",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            "-Dcassandra.superuser_setup_delay_ms=0",
        ];
        arguments.extend(fixed.map(Into::into));
        arguments.push(format!("-Dcassandra.ring_delay_ms={ring_delay_ms}").into());
        arguments.push(format!("-Dcassandra.initial_token={}", self.token).into());
        arguments.push("org.apache.cassandra.service.CassandraDaemon".into());
        Ok(arguments)
    }
}

fn agent_in(jars: &Path) -> Result<PathBuf, ServiceError> {
    let files = fs::read_dir(jars).during("list", jars)?;
    let is_agent = |name: &str| name.starts_with("jamm-") && name.ends_with(".jar");
    let agent = files.flatten().find(|file| is_agent(&file.file_name().to_string_lossy()));
    let agent = agent.ok_or_else(|| ServiceError::refused("Maven", "there is no jamm among Cassandra's jars"))?;
    Ok(agent.path())
}

/// Returns the URL of a file: what is not plain in a path is escaped.
fn file_url(path: &Path) -> String {
    let mut url = String::from("file://");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// Returns the tokens that divide the ring evenly.
pub(super) fn tokens(nodes: usize) -> Vec<i64> {
    let count = i128::try_from(nodes).unwrap_or(1);
    let tokens = (0..count).map(|index| i128::from(i64::MIN) + (index << 64) / count);
    tokens.map(|token| i64::try_from(token).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{file_url, tokens};

    #[test]
    fn a_path_with_blanks_is_a_url() {
        assert_eq!(file_url(Path::new("/a b/ö.yaml")), "file:///a%20b/%C3%B6.yaml");
    }

    #[test]
    fn tokens_divide_the_ring_evenly() {
        assert_eq!(tokens(1), [i64::MIN]);
        assert_eq!(tokens(3), [i64::MIN, -3_074_457_345_618_258_603, 3_074_457_345_618_258_602]);
    }
}
