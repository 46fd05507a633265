//! A keyspace for one test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rollcall::log::cql::schema::{self, Replicas};
use rollcall::log::{CqlLog, CqlOptions};
use rollcall_actors::ports::Log;
use rollcall_it::log_contract::LogUnderTest;
use rollcall_services::{Cassandra, Consistency};
use tokio::runtime::Handle;

use crate::cassandra;

/// A keyspace with the tables, and a log in it. Dropped, the keyspace is too.
pub struct Keyspace {
    cassandra: &'static Cassandra,
    name: String,
    log: Option<Arc<CqlLog>>,
}

impl Keyspace {
    /// Makes one, with a log in it that is not changed by the test; none where the machine cannot run Cassandra.
    pub async fn fresh() -> Option<Self> {
        Self::fresh_with(|options| options).await
    }

    /// Makes one, with a log of other options in it.
    pub async fn fresh_with(change: impl FnOnce(CqlOptions) -> CqlOptions) -> Option<Self> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let cassandra = cassandra()?;
        let name = format!("test_{}", LAST.fetch_add(1, Ordering::Relaxed));
        let replicas = [Replicas { datacenter: Cassandra::DATACENTER.to_owned(), factor: 1 }];
        let mut keyspace = Self { cassandra, name, log: None };
        schema::apply(&keyspace.options(), &replicas).await.unwrap();
        keyspace.log = Some(Arc::new(CqlLog::open(change(keyspace.options())).await.unwrap()));
        Some(keyspace)
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

impl LogUnderTest for Keyspace {
    fn log(&self) -> Arc<dyn Log> {
        Self::log(self)
    }

    fn reopen(&mut self) {
        drop(Arc::into_inner(self.log.take().expect("it is open")).expect("nobody else holds the log"));
        let opened = || Handle::current().block_on(CqlLog::open(self.options()));
        self.log = Some(Arc::new(tokio::task::block_in_place(opened).unwrap()));
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        self.log = None;
        if !std::thread::panicking() {
            self.query("DROP KEYSPACE {}");
        }
    }
}
