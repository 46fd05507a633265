//! Connects to the servers, and makes sure that they can be used as a log.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError, MetadataError,
    NewSessionError, PrepareError, RequestAttemptError,
};
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::{Consistency, Statement};

use super::error::CqlError;
use super::options::{CqlConsistency, CqlOptions};

/// Connections to each server, or on ScyllaDB to each of its shards.
const CONNECTIONS: PoolSize = PoolSize::PerShard(NonZeroUsize::MIN);

/// How long to wait before asking again whether all servers know a new table.
const SCHEMA_LOOK_AGAIN_AFTER: Duration = Duration::from_millis(25);

/// Connects to the servers, whatever is in them. Which data centre is asked is chosen by [`check_keyspace`].
pub(super) async fn connect(options: &CqlOptions) -> Result<Session, CqlError> {
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.contact_points)
        .connection_timeout(options.connect_timeout)
        .pool_size(CONNECTIONS)
        .schema_agreement_interval(SCHEMA_LOOK_AGAIN_AFTER)
        .default_execution_profile_handle(profile(options, None).into_handle());
    if let Some(credentials) = &options.credentials {
        builder = builder.user(&credentials.user, credentials.password.reveal());
    }
    if let Some(path) = &options.tls_ca_file {
        builder = builder.tls_context(Some(tls(path)?));
    }
    builder.build().await.map_err(|error| session_error(options, &error))
}

/// Checks that the keyspace is there, that its replication goes with the consistency, and asks the right data centre from here on.
pub(super) async fn check_keyspace(session: &Session, options: &CqlOptions) -> Result<(), CqlError> {
    let keyspace = &options.keyspace;
    let Some(replication) = replication(session, keyspace).await? else {
        return Err(CqlError::NoKeyspace { keyspace: keyspace.clone() });
    };
    let datacenters = datacenters_of(&replication).unwrap_or_else(|| all_datacenters(session));
    let datacenter = choose_datacenter(options, datacenters)?;
    let profile = profile(options, datacenter.as_deref());
    session.get_default_execution_profile_handle().clone().map_to_another_profile(profile);
    Ok(())
}

/// Chooses the data centre whose servers are asked; none leaves it to the driver.
fn choose_datacenter(options: &CqlOptions, datacenters: Vec<String>) -> Result<Option<String>, CqlError> {
    let keyspace = options.keyspace.clone();
    match (options.consistency, &options.datacenter) {
        (_, Some(wanted)) if !datacenters.contains(wanted) => {
            Err(CqlError::Datacenter { keyspace, wanted: wanted.clone(), datacenters })
        }
        (CqlConsistency::Local, _) if datacenters.len() != 1 => {
            Err(CqlError::SeveralDatacenters { keyspace, datacenters })
        }
        (CqlConsistency::Local, _) => Ok(datacenters.into_iter().next()),
        (CqlConsistency::Global, wanted) => Ok(wanted.clone()),
    }
}

/// How statements are run that do not say otherwise: once, and not for longer than we wait.
fn profile(options: &CqlOptions, datacenter: Option<&str>) -> ExecutionProfile {
    let policy = DefaultPolicy::builder().token_aware(true);
    let policy = match datacenter {
        // At a server of another data centre, local would mean that one.
        Some(datacenter) => policy
            .prefer_datacenter(datacenter.to_owned())
            .permit_dc_failover(options.consistency == CqlConsistency::Global),
        None => policy,
    };
    ExecutionProfile::builder()
        .load_balancing_policy(policy.build())
        .request_timeout(Some(options.request_timeout))
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .speculative_execution_policy(None)
        .build()
}

/// Reads how a keyspace is replicated; none where there is no such keyspace.
pub(super) async fn replication(
    session: &Session,
    keyspace: &str,
) -> Result<Option<HashMap<String, String>>, CqlError> {
    let mut statement = Statement::new("SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?");
    statement.set_consistency(Consistency::One);
    let refused = |reason: String| CqlError::Refused { action: "say how the keyspace is replicated", reason };
    let result = session.query_unpaged(statement, (keyspace,)).await;
    let result = result.map_err(|error| execution_error("say how the keyspace is replicated", &error))?;
    let rows = result.into_rows_result().map_err(|error| refused(error.to_string()))?;
    let row = rows.maybe_first_row::<(HashMap<String, String>,)>().map_err(|error| refused(error.to_string()))?;
    Ok(row.map(|(replication,)| replication))
}

/// Returns the data centres that a replication names, in order; none where it means every one that there is.
pub(super) fn datacenters_of(replication: &HashMap<String, String>) -> Option<Vec<String>> {
    let class = replication.get("class").map(String::as_str).unwrap_or_default();
    if !class.ends_with("NetworkTopologyStrategy") {
        return None;
    }
    let named = replication.iter().filter(|(name, factor)| *name != "class" && *factor != "0");
    let named: BTreeSet<String> = named.map(|(name, _)| name.clone()).collect();
    Some(named.into_iter().collect())
}

fn all_datacenters(session: &Session) -> Vec<String> {
    let state = session.get_cluster_state();
    let named: BTreeSet<String> = state.get_nodes_info().iter().filter_map(|node| node.datacenter.clone()).collect();
    named.into_iter().collect()
}

/// Makes the TLS settings of connections: whoever these certificates vouch for is let in.
fn tls(path: &Path) -> Result<Arc<rustls::ClientConfig>, CqlError> {
    let refused = |reason: String| CqlError::Certificates { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|error| refused(error.to_string()))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_reader_iter(BufReader::new(file)) {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refused("there is no certificate in it".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| refused(error.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Finds out why no server would do.
fn session_error(options: &CqlOptions, error: &NewSessionError) -> CqlError {
    if let NewSessionError::MetadataError(MetadataError::ConnectionPoolError(pool)) = error
        && let Some(reason) = refused_credentials(pool)
    {
        return CqlError::Credentials { reason };
    }
    CqlError::Unreachable { contact_points: options.contact_points.clone(), reason: chain(error) }
}

fn refused_credentials(error: &ConnectionPoolError) -> Option<String> {
    let ConnectionPoolError::Broken { last_connection_error } = error else { return None };
    let ConnectionError::ConnectionSetupRequestError(setup) = last_connection_error else { return None };
    match setup.get_error() {
        ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError | DbError::Unauthorized, reason) => {
            Some(reason.clone())
        }
        ConnectionSetupRequestErrorKind::MissingAuthentication => Some("they ask for a user and a password".to_owned()),
        _ => None,
    }
}

/// Finds out why a statement was not prepared.
pub(super) fn prepare_error(keyspace: &str, error: &PrepareError) -> CqlError {
    match error {
        PrepareError::AllAttemptsFailed {
            first_attempt: RequestAttemptError::DbError(DbError::Unauthorized, reason),
        } => CqlError::Permission { reason: reason.clone() },
        PrepareError::AllAttemptsFailed { first_attempt: RequestAttemptError::DbError(DbError::Invalid, _) } => {
            CqlError::NoSchema { keyspace: keyspace.to_owned() }
        }
        error => CqlError::Refused { action: "prepare a statement", reason: chain(error) },
    }
}

/// Finds out why a statement was not carried out.
pub(super) fn execution_error(action: &'static str, error: &ExecutionError) -> CqlError {
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::Unauthorized, reason)) => {
            CqlError::Permission { reason: reason.clone() }
        }
        error => CqlError::Refused { action, reason: chain(error) },
    }
}

/// Returns an error's text with those of its causes, where they say more.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replication(columns: &[(&str, &str)]) -> HashMap<String, String> {
        columns.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn options(consistency: CqlConsistency, datacenter: Option<&str>) -> CqlOptions {
        let datacenter = datacenter.map(str::to_owned);
        CqlOptions { consistency, datacenter, ..CqlOptions::new(Vec::new(), "k") }
    }

    #[test]
    fn a_replication_names_its_data_centres() {
        let topology = ("class", "org.apache.cassandra.locator.NetworkTopologyStrategy");
        let of = |columns: &[(&str, &str)]| datacenters_of(&replication(columns));
        assert_eq!(of(&[topology, ("b", "3"), ("a", "1"), ("c", "0")]), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(of(&[("class", "NetworkTopologyStrategy"), ("a", "3")]), Some(vec!["a".to_owned()]));
        assert_eq!(of(&[("class", "org.apache.cassandra.locator.SimpleStrategy"), ("replication_factor", "3")]), None);
    }

    #[test]
    fn local_is_for_one_data_centre() {
        use CqlConsistency::{Global, Local};
        let of = |consistency, datacenter, known: &[&str]| {
            let known = known.iter().map(|&name| name.to_owned()).collect();
            choose_datacenter(&options(consistency, datacenter), known)
        };
        assert_eq!(of(Local, None, &["a"]), Ok(Some("a".to_owned())));
        assert_eq!(of(Local, Some("a"), &["a"]), Ok(Some("a".to_owned())));
        assert_eq!(of(Global, None, &["a", "b"]), Ok(None));
        assert_eq!(of(Global, Some("b"), &["a", "b"]), Ok(Some("b".to_owned())));
        for refused in [of(Local, None, &["a", "b"]), of(Local, Some("a"), &["a", "b"]), of(Local, None, &[])] {
            assert!(matches!(refused, Err(CqlError::SeveralDatacenters { .. })), "{refused:?}");
        }
        for refused in [of(Local, Some("c"), &["a"]), of(Global, Some("c"), &["a", "b"])] {
            assert!(matches!(refused, Err(CqlError::Datacenter { .. })), "{refused:?}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let reason = || match tls(&path) {
            Err(CqlError::Certificates { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        assert!(reason().contains("No such file"), "{}", reason());
        std::fs::write(&path, "nothing of the kind").unwrap();
        assert_eq!(reason(), "there is no certificate in it");
    }
}
