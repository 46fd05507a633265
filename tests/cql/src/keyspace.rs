//! Where a test keeps its rooms: most in a keyspace that all share, under names of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rollcall::log::cql::schema::{self, Replicas};
use rollcall::log::{CqlLog, CqlOptions};
use rollcall_actors::ports::Log;
use rollcall_it::log_contract::LogUnderTest;
use rollcall_protocol::RoomId;
use rollcall_services::{Cassandra, Consistency};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use crate::cassandra;

/// A keyspace with the tables, and a log in it. To make tables takes a server seconds on a busy machine, so one that nothing is
/// done to but by the log is shared.
pub struct Keyspace {
    cassandra: &'static Cassandra,
    name: String,
    /// What the names of this test's rooms begin with.
    prefix: String,
    log: Option<Arc<CqlLog>>,
}

impl Keyspace {
    /// Opens a log in the shared keyspace; none where the machine cannot run Cassandra.
    pub async fn shared() -> Option<Self> {
        Self::shared_with(|options| options).await
    }

    /// Opens a log of other options in the shared keyspace.
    pub async fn shared_with(change: impl FnOnce(CqlOptions) -> CqlOptions) -> Option<Self> {
        static APPLIED: OnceCell<()> = OnceCell::const_new();
        let mut keyspace = Self::named("shared".to_owned())?;
        APPLIED.get_or_init(|| keyspace.apply()).await;
        keyspace.log = Some(Arc::new(keyspace.open(change).await));
        Some(keyspace)
    }

    /// Makes a keyspace that the test may do anything to, with the tables and without a log in it.
    pub async fn own() -> Option<Self> {
        let keyspace = Self::named(format!("own_{}", next_number()))?;
        keyspace.apply().await;
        Some(keyspace)
    }

    fn named(name: String) -> Option<Self> {
        Some(Self { cassandra: cassandra()?, name, prefix: format!("t{}.", next_number()), log: None })
    }

    async fn apply(&self) {
        let replicas = [Replicas { datacenter: Cassandra::DATACENTER.to_owned(), factor: 1 }];
        schema::apply(&self.options(), &replicas).await.unwrap();
    }

    /// Returns the default options of a log in this keyspace.
    pub fn options(&self) -> CqlOptions {
        CqlOptions::new(vec![self.address().to_string()], &self.name)
    }

    /// Returns where the server takes connections.
    pub fn address(&self) -> SocketAddr {
        self.cassandra.contact_points()[0]
    }

    /// Returns the log.
    pub fn log(&self) -> Arc<CqlLog> {
        Arc::clone(self.log.as_ref().expect("it is open"))
    }

    /// Opens a further log, as another node would.
    pub async fn open(&self, change: impl FnOnce(CqlOptions) -> CqlOptions) -> CqlLog {
        CqlLog::open(change(self.options())).await.unwrap()
    }

    /// Carries out a statement past the log, `{}` in it being the keyspace; returns the rows' columns as bytes.
    pub fn query(&self, statement: &str) -> Vec<Vec<Option<Vec<u8>>>> {
        let statement = statement.replace("{}", &self.name);
        let run = || self.cassandra.query(0, &statement, Consistency::Quorum);
        tokio::task::block_in_place(run).unwrap_or_else(|error| panic!("{statement}: {error}"))
    }
}

fn next_number() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

impl LogUnderTest for Keyspace {
    fn log(&self) -> Arc<dyn Log> {
        Self::log(self)
    }

    /// A name that would become too long loses what stood in the prefix's place.
    fn room(&self, name: &str) -> String {
        let room = format!("{}{name}", self.prefix);
        if RoomId::parse(&room).is_ok() { room } else { format!("{}{}", self.prefix, &name[self.prefix.len()..]) }
    }

    fn reopen(&mut self) {
        drop(Arc::into_inner(self.log.take().expect("it is open")).expect("nobody else holds the log"));
        let opened = || Handle::current().block_on(CqlLog::open(self.options()));
        self.log = Some(Arc::new(tokio::task::block_in_place(opened).unwrap()));
    }
}
