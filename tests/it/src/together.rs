//! What the nodes of a cluster in one process share.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rollcall::cluster::{LocalBus, LocalOwnership};
use rollcall::log::MemoryLog;
use rollcall_actors::cluster::{Incarnation, NodeRef, parse_node_id};
use rollcall_actors::ports::{ClusterPorts, Log, NodeId, Ownership};

use crate::server::TestServerBuilder;

/// A log, keys and a bus, under any number of nodes.
pub struct Together {
    /// The log.
    pub log: Arc<MemoryLog>,
    /// Who lives and who owns what.
    pub ownership: LocalOwnership,
    /// What carries envelopes.
    pub bus: LocalBus,
}

impl Together {
    /// Begins without nodes, at a time of day in milliseconds since 1970.
    pub fn at(now_ms: i64) -> Self {
        let ownership = LocalOwnership::new(u64::try_from(now_ms).unwrap());
        Self { log: Arc::new(MemoryLog::new()), ownership, bus: LocalBus::default() }
    }

    /// Begins without nodes, now.
    pub fn now() -> Self {
        Self::at(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap())
    }

    /// Makes the ports of a new life of a node.
    pub fn ports(&self, name: &str) -> ClusterPorts {
        self.ports_with(name, Arc::new(self.ownership.clone()))
    }

    /// Makes the ports of a new life of a node that asks in its own way who owns what.
    pub fn ports_with(&self, name: &str, ownership: Arc<dyn Ownership>) -> ClusterPorts {
        let node = parse_node_id(name).unwrap();
        ClusterPorts {
            me: NodeRef::new(node.clone(), Incarnation(rand::random())),
            connect: None,
            ownership,
            bus: Arc::new(self.bus.clone()),
            inbound: Box::new(self.bus.join(node)),
            takeovers: Arc::clone(&self.log) as _,
        }
    }

    /// Makes a server a node.
    pub fn server(&self, name: &str, server: TestServerBuilder) -> TestServerBuilder {
        let (log, ports) = (Arc::clone(&self.log) as Arc<dyn Log>, self.ports(name));
        server.tuning(|tuning| {
            tuning.wrap_log = Box::new(|_| log);
            tuning.cluster = Some(ports);
        })
    }

    /// Cuts a node off from what others say.
    pub fn cut_off(&self, name: &str) {
        self.bus.cut_off(&NodeId(name.into()));
    }
}
