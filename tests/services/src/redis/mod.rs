//! Redis: one server, a cluster of three masters with a replica each, a trio under three Sentinels.

mod cluster;
mod resp;
mod security;
mod sentinel;
mod server;

pub use cluster::RedisCluster;
pub use resp::Reply;
pub(crate) use resp::command;
pub use security::RedisSecurity;
pub use sentinel::RedisSentinel;
pub use server::Redis;
