//! `rollcall schema`.

use rollcall::config::ConfigError;
use rollcall::log::CqlOptions;
use rollcall::log::cql::schema;

use super::args::SchemaArguments;
use super::failure::{Failure, Kind};
use super::output;

/// Makes the tables of the CQL log, or prints how.
pub async fn apply(arguments: &SchemaArguments) -> Result<(), Failure> {
    let loaded = arguments.config.load()?;
    let settings = &loaded.config.cql;
    // Where the log is embedded nobody has looked at these yet.
    settings.check().map_err(|(name, reason)| ConfigError::Refused {
        source_name: loaded.sources.of(name).to_string(),
        name,
        reason,
    })?;
    let replicas = settings.replicas().map_err(|reason| Failure::new(Kind::Config, reason))?;
    if arguments.print {
        if !replicas.is_empty() {
            output::line(&format!("{};\n", schema::create_keyspace(&settings.keyspace, &replicas)))?;
        }
        return output::line(schema::DDL.trim_end());
    }
    let options = CqlOptions::from_settings(settings).map_err(|error| Failure::new(Kind::Config, error))?;
    schema::apply(&options, &replicas).await?;
    output::line(&format!(
        "the tables in keyspace {} are those of schema version {}",
        settings.keyspace,
        schema::VERSION
    ))
}
