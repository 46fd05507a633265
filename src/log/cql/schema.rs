//! The tables: `schema.cql`, which is the one DDL, applied and checked.

use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::statement::Statement;

use super::connection::{connect, execution_error};
use super::error::CqlError;
use super::options::CqlOptions;
use super::statements::Levels;

/// The DDL, as it is in the repository.
pub const DDL: &str = include_str!("../../../schema.cql");

/// The version of the tables that this version of rollcall reads and writes.
pub const VERSION: i32 = 1;

/// How long one change of the schema may take: all servers agree on it.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);

/// How many copies a data centre has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replicas {
    /// The data centre.
    pub datacenter: String,
    /// Copies there, at least 1; 3 or more to go on without one.
    pub factor: u32,
}

/// Makes the tables where they are missing; what is there is left alone. With `replicas` the keyspace is made too, if it is missing.
///
/// # Errors
/// Where the servers cannot be reached or refuse, the keyspace is missing and is not to be made, or holds the tables of another
/// version.
///
/// # Cancel safety
/// Dropped half-way, some of the tables are made; to apply it again makes the others.
pub async fn apply(options: &CqlOptions, replicas: &[Replicas]) -> Result<(), CqlError> {
    let session = connect(options).await?;
    let keyspace = &options.keyspace;
    if !replicas.is_empty() {
        let mut statement = Statement::new(create_keyspace(keyspace, replicas));
        statement.set_request_timeout(Some(CHANGE_TIMEOUT));
        session.query_unpaged(statement, ()).await.map_err(|error| execution_error("create the keyspace", &error))?;
    }
    super::connection::check_keyspace(&session, options).await?;
    session
        .use_keyspace(keyspace, false)
        .await
        .map_err(|error| CqlError::Refused { action: "use the keyspace", reason: error.to_string() })?;
    match version(&session, options).await {
        Ok(_) | Err(CqlError::NoSchema { .. }) => {}
        Err(error) => return Err(error),
    }
    let levels = Levels::from(options.consistency);
    for text in statements(DDL) {
        let mut statement = Statement::new(text);
        levels.apply_to(&mut statement);
        statement.set_request_timeout(Some(CHANGE_TIMEOUT));
        session.query_unpaged(statement, ()).await.map_err(|error| execution_error("make a table", &error))?;
    }
    version(&session, options).await.map(|_| ())
}

/// Returns the statement that makes a keyspace.
pub fn create_keyspace(keyspace: &str, replicas: &[Replicas]) -> String {
    let factors: String =
        replicas.iter().map(|Replicas { datacenter, factor }| format!(", '{datacenter}': {factor}")).collect();
    format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy'{factors}}}"
    )
}

/// Reads the version of the tables; any but ours is an error.
pub(super) async fn version(session: &Session, options: &CqlOptions) -> Result<i32, CqlError> {
    let keyspace = options.keyspace.clone();
    let text = format!("SELECT version FROM {keyspace}.schema_version WHERE component = 'rollcall'");
    let mut statement = Statement::new(text);
    statement.set_consistency(Levels::from(options.consistency).quorum);
    let result = match session.query_unpaged(statement, ()).await {
        Err(ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::Invalid, _))) => {
            return Err(CqlError::NoSchema { keyspace });
        }
        result => result.map_err(|error| execution_error("say the version of the tables", &error))?,
    };
    let row = result.into_rows_result().ok().and_then(|rows| rows.maybe_first_row::<(Option<i32>,)>().ok().flatten());
    match row {
        Some((Some(VERSION),)) => Ok(VERSION),
        Some((Some(found),)) => Err(CqlError::SchemaVersion { keyspace, found, supported: VERSION }),
        // It was applied half-way.
        Some((None,)) | None => Err(CqlError::NoSchema { keyspace }),
    }
}

/// Cuts a DDL into its statements: each ends with a semicolon at the end of a line, comments left out.
fn statements(ddl: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut statement = String::new();
    for line in ddl.lines() {
        let code = line.split("--").next().unwrap_or_default().trim();
        if code.is_empty() {
            continue;
        }
        match code.strip_suffix(';') {
            Some(last) => {
                statement.push_str(last);
                statements.push(std::mem::take(&mut statement));
            }
            None => {
                statement.push_str(code);
                statement.push(' ');
            }
        }
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ddl_is_cut_into_its_statements() {
        let statements = statements(DDL);
        let tables = ["messages", "edits", "snapshots", "floors", "takeovers", "schema_version"];
        assert!(statements.len() > tables.len());
        for (statement, table) in statements.iter().zip(tables) {
            let begin = format!("CREATE TABLE IF NOT EXISTS {table} (");
            assert!(statement.starts_with(&begin) && !statement.contains("--"), "{statement}");
        }
        let version = format!("VALUES ('rollcall', {VERSION}) IF NOT EXISTS");
        assert!(statements.last().unwrap().ends_with(&version), "the file says another version than the code");
    }

    #[test]
    fn a_keyspace_is_made_with_its_replicas() {
        let replicas =
            [("dc1", 3), ("dc2", 1)].map(|(datacenter, factor)| Replicas { datacenter: datacenter.to_owned(), factor });
        assert_eq!(
            create_keyspace("k", &replicas),
            "CREATE KEYSPACE IF NOT EXISTS k WITH replication = \
             {'class': 'NetworkTopologyStrategy', 'dc1': 3, 'dc2': 1}"
        );
    }
}
