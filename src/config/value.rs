//! The kinds of values that settings take.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Secret;
use crate::log::CqlConsistency;

/// A kind of value, as an error names it to the person who wrote another kind.
pub trait SettingValue {
    /// Finishes the sentence "`section.key` takes …".
    const EXPECTED: &'static str;
    /// Whether values of this kind must never be shown.
    const IS_SECRET: bool = false;
}

/// Where rooms are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// In the data folder, by this server alone.
    Embedded,
    /// In ScyllaDB or Apache Cassandra.
    Cql,
}

/// What Redis consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedisKind {
    /// One server.
    Single,
    /// A master that Sentinels watch.
    Sentinel,
    /// A Redis Cluster.
    Cluster,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people where standard error is a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

macro_rules! kinds {
    ($( $type:ty: $expected:literal, )+) => {
        $( impl SettingValue for $type { const EXPECTED: &'static str = $expected; } )+
    };
}

kinds! {
    bool: "true or false",
    u32: "a whole number from 0 to 4294967295",
    u64: "a whole number from 0 on",
    usize: "a whole number from 0 on",
    String: "a string",
    PathBuf: "a path, as a string",
    SocketAddr: "an address with a port, such as \"127.0.0.1:7400\" or \"[::1]:7400\"",
    Vec<String>: "a list of strings",
    LogKind: "\"embedded\" or \"cql\"",
    RedisKind: "\"single\", \"sentinel\" or \"cluster\"",
    CqlConsistency: "\"local\" or \"global\"",
    LogFormat: "\"auto\", \"json\" or \"pretty\"",
}

impl SettingValue for Secret {
    const EXPECTED: &'static str = "a string";
    const IS_SECRET: bool = true;
}

impl<T: SettingValue> SettingValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const IS_SECRET: bool = T::IS_SECRET;
}
