//! The table of settings. A name ends in its unit.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::table::settings;
use super::{LogFormat, LogKind, RedisKind, Secret};
use crate::log::CqlConsistency;

settings! {
    /// Where clients connect.
    listen: Listen {
        /// The address of the WebSocket endpoint. Without a configured secret it must be a loopback address.
        /// Port 0 takes a free one.
        public: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 7400)),
    }

    /// What operators see.
    ops: Ops {
        /// The address of /livez, /readyz and /metrics, which ask for no token, and of /admin/v1, which asks for the admin token of the
        /// data folder: keep it off public networks.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 7401)),
    }

    /// Where rooms are kept.
    data: Data {
        /// The folder of the embedded log, of the guest key and of the admin token; made at the first start. A relative path starts
        /// where the server was started.
        dir: PathBuf = PathBuf::from("rollcall-data"),
        /// Embedded log alone: below this much free space on the folder's disk, writes are refused and reads go on.
        free_space_reserve_bytes: u64 = 256 * 1024 * 1024,
    }

    /// Who may come in.
    auth: Auth {
        /// The key of the HS256 signature of users' tokens: at least 32 bytes. Prefer secret_file, which keeps it out of
        /// this file.
        secret: Option<Secret> = None,
        /// A file with that key; one line end after it is left out.
        secret_file: Option<PathBuf> = None,
        /// Whom a token must be meant for: its `aud`. Not set: a token must not name an audience.
        audience: Option<String> = None,
        /// Whether those without a token come in, as guests with a name of the server's choice. Not set: only where no
        /// secret is configured.
        guests: Option<bool> = None,
        /// How long a guest's own token keeps the guest's name, in seconds.
        guest_token_ttl_s: u64 = 365 * 24 * 60 * 60,
    }

    /// Which web pages may connect.
    origins: Origins {
        /// Origins besides the server's own, such as `https://chat.example.org`; `*` is any.
        allowed: Vec<String> = Vec::new(),
    }

    /// By which names the server may be addressed.
    hosts: Hosts {
        /// Names that the Host header may have, without a port, while guests are allowed: it keeps other people's web
        /// pages from reaching a server on this machine through a name of their own. `*` is any.
        allowed: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).to_vec(),
    }

    /// How much one client or all of them may take. Limits of the protocol itself are not configurable.
    limits: Limits {
        /// Connections at once, in all. Not set: the limit of open files (raised as far as allowed) less a reserve.
        connections_max: Option<usize> = None,
        /// Connections at once of one IP address. Behind a proxy all connections have the proxy's.
        connections_per_address_max: usize = 16_384,
        /// Commands of one connection, each second in the long run; 0 is without limit.
        commands_per_connection_per_s: u32 = 200,
        /// Commands of one connection that may come at once.
        commands_per_connection_burst: u32 = 400,
        /// Commands of all connections of one user, each second in the long run; 0 is without limit.
        commands_per_user_per_s: u32 = 400,
        /// Commands of all connections of one user that may come at once.
        commands_per_user_burst: u32 = 800,
    }

    /// Rooms in memory.
    rooms: Rooms {
        /// How long a room without members and writes stays in memory, in milliseconds.
        idle_ms: u64 = 60_000,
        /// How many such rooms stay in memory; of more, those that are idle for longest leave it. Who comes to a room again that left
        /// waits for the log. Raise it where many rooms are written to by clients that do not join them.
        idle_max: usize = 1_000,
        /// How many rooms are in memory at most, those with members among them. Each takes about 9 KiB and what it remembers of its
        /// last entries and senders, so that this many take 900 MiB and more. Whoever joins or writes to one more is answered with
        /// busy, unless an idle one can leave for it.
        active_max: usize = 100_000,
        /// Entries of a room kept in memory for fast delivery.
        ring_entries_max: usize = 256,
        /// Size of the entries of a room kept in memory for fast delivery, in bytes.
        ring_bytes_max: usize = 1024 * 1024,
        /// Writes that may wait in a room; more are answered with busy.
        queue_entries_max: usize = 4096,
        /// Size of the writes that may wait in a room, in bytes.
        queue_bytes_max: usize = 4 * 1024 * 1024,
    }

    /// How much of a room's history is kept. What is too much of it expires while somebody uses the room; its numbers stay. Deleted
    /// is what makes up a whole piece: in a CQL log 4,096 entries, in an embedded one so many that they are worth it, an eighth of
    /// what stays. An operator can have any room's entries expire by `POST /admin/v1/rooms/{room}/expire`.
    retention: Retention {
        /// Entries of a room that are kept, such as 1000000. Not set: all.
        entries_max: Option<u64> = None,
        /// How long entries are kept, in seconds, such as 7776000 for 90 days. Not set: for ever.
        age_max_s: Option<u64> = None,
    }

    /// The durable log.
    log: Log {
        /// "embedded": in the data folder, by this server alone. "cql": in ScyllaDB or Apache Cassandra, which many servers
        /// share; see the section cql.
        kind: LogKind = LogKind::Embedded,
        /// Embedded alone: how long the log waits for more writes before it syncs a group to disk, in microseconds, at most 1000. It waits
        /// only while several write at a time: whoever writes alone is synced at once. 0 never waits.
        gather_window_us: u64 = 1_000,
    }

    /// ScyllaDB or Apache Cassandra, where log.kind is "cql".
    cql: Cql {
        /// Servers to ask first, each with its port; the others are learnt from them.
        contact_points: Vec<String> = vec!["127.0.0.1:9042".to_owned()],
        /// The keyspace of rollcall's tables. It is there, with the replication that you want, or `rollcall schema apply`
        /// makes it by cql.replication.
        keyspace: String = "rollcall".to_owned(),
        /// By what `rollcall schema apply` makes the keyspace if it is missing: copies in each data centre, such as
        /// ["dc1=3"]. Empty: it makes none. One that is there is left alone.
        replication: Vec<String> = Vec::new(),
        /// The data centre whose servers are asked. Not set: with local consistency the keyspace's one, else any.
        datacenter: Option<String> = None,
        /// "local": LOCAL_SERIAL and LOCAL_QUORUM, for a keyspace in exactly one data centre. "global": SERIAL and QUORUM over
        /// all data centres. All servers of a cluster need the same.
        consistency: CqlConsistency = CqlConsistency::Local,
        /// The role to log in as. Not set: the servers ask for none.
        user: Option<String> = None,
        /// The role's password. Prefer password_file, which keeps it out of this file.
        password: Option<Secret> = None,
        /// A file with the password; one line end after it is left out.
        password_file: Option<PathBuf> = None,
        /// A file of certificates, in PEM: with it connections are encrypted, and a server's certificate must be vouched for
        /// by one of these and name the address that it is connected to by.
        tls_ca_file: Option<PathBuf> = None,
    }

    /// Several servers that are one.
    cluster: Cluster {
        /// This server's name among them, of letters, digits, `-`, `_` and `.`; no other may have it. Not set: the server is by
        /// itself. With it rooms are kept where all servers reach them (`log.kind` is "cql"), the servers find one another through
        /// Redis, and all have the same `auth.secret`.
        node: Option<String> = None,
        /// Where clients find this server, as other servers and `GET /v1/connect` tell them, such as
        /// "wss://chat1.example.org". Not set: they are not sent here.
        connect: Option<String> = None,
    }

    /// Redis 7 or later, or Valkey, where `cluster.node` is set: who lives, who owns which room, and what servers tell one another.
    /// Nothing that is acknowledged depends on what it keeps.
    redis: Redis {
        /// "single": one server. "sentinel": a master that Sentinels watch. "cluster": a Redis Cluster.
        kind: RedisKind = RedisKind::Single,
        /// The server, the Sentinels, or some of the servers of the Redis Cluster, each with its port.
        servers: Vec<String> = vec!["127.0.0.1:6379".to_owned()],
        /// The name under which the Sentinels know the master.
        sentinel_master: Option<String> = None,
        /// Whether connections are encrypted.
        tls: bool = false,
        /// A file of certificates, in PEM, by one of which a server's must be vouched for. Not set: those of this machine.
        tls_ca_file: Option<PathBuf> = None,
        /// The user to log in as. Not set: the default one.
        user: Option<String> = None,
        /// The password. Prefer password_file, which keeps it out of this file.
        password: Option<Secret> = None,
        /// A file with the password; one line end after it is left out.
        password_file: Option<PathBuf> = None,
        /// A file with the password of the Sentinels themselves, if they ask for one.
        sentinel_password_file: Option<PathBuf> = None,
    }

    /// A graceful stop.
    drain: Drain {
        /// How long the server goes on after /readyz began to say no, so that load balancers notice, in milliseconds.
        grace_ms: u64 = 0,
        /// Over how long clients are told to spread their reconnects, in milliseconds.
        window_ms: u64 = 5_000,
        /// How long a stop waits for each of three to end before it goes on without: the rooms, then the connections, then what is done
        /// for rooms; in milliseconds.
        timeout_ms: u64 = 10_000,
    }

    /// Log lines, on standard error. They never hold a body, a token or a secret.
    logging: Logging {
        /// "pretty" for people, "json" for machines, "auto" for pretty on a terminal and else JSON.
        format: LogFormat = LogFormat::Auto,
        /// Which lines: error, warn, info, debug or trace, also by module, such as "info,rollcall::gateway=debug".
        level: String = "info".to_owned(),
    }
}
