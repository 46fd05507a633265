//! What keeps others out of a Redis: certificates and a password.

use std::path::PathBuf;

/// How a server shows who it is, and what it asks of its clients.
#[derive(Debug, Clone)]
pub struct RedisSecurity {
    /// The file of its certificate, in PEM, which names 127.0.0.1.
    pub certificate: PathBuf,
    /// The file of the certificate's key.
    pub key: PathBuf,
    /// The file of the authority that vouches for it, and for the servers that it connects to itself.
    pub authority: PathBuf,
    /// What it asks of everybody.
    pub password: String,
}

impl RedisSecurity {
    /// Returns the settings of a server that takes encrypted connections on this port, and makes such ones to other servers.
    pub(super) fn settings(&self, tls_port: u16) -> String {
        let Self { certificate, key, authority, password } = self;
        format!(
            "tls-port {tls_port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ntls-auth-clients no\n\
             tls-replication yes\nrequirepass {password}\n",
            certificate.display(),
            key.display(),
            authority.display(),
        )
    }
}
