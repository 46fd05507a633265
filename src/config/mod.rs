//! The configuration: one typed tree, and where each of its values came from.
//!
//! ```text
//! defaults  <  rollcall.toml or --config FILE  <  ROLLCALL__SECTION__KEY  <  flags
//! ```
//! The table in `settings.rs` is the one place that names a setting, its type, its default and what it means; `config default`
//! and the check for unknown keys are made from it. Nothing here opens a port or touches the data folder.

mod check;
mod cluster;
mod error;
mod layers;
mod print;
mod secret;
mod settings;
mod source;
mod table;
mod value;

pub use check::SecretError;
pub use error::ConfigError;
pub use layers::{FlagValue, Loaded, Sources};
pub use print::{default_toml, effective_json, effective_toml};
pub use secret::Secret;
pub use settings::{
    Auth, Cluster, Config, Cql, Data, Drain, Hosts, Limits, Listen, Log, Logging, Ops, Origins, Redis, Retention,
    Rooms, SECTIONS,
};
pub use source::Source;
pub use table::{SectionRow, SettingRow};
pub use value::{LogFormat, LogKind, RedisKind};
