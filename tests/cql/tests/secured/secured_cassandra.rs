//! Starts the server with the usual settings, then again with those that keep others out.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rollcall_services::{Cassandra, Consistency, Row, find_java, unless_skipped};
use tempfile::TempDir;

const STORE_PASSWORD: &str = "changeit";

/// A server that asks for a password, and encrypts what it is asked to. Dropped, it is gone.
pub struct SecuredCassandra {
    cassandra: Cassandra,
    folder: TempDir,
}

impl SecuredCassandra {
    /// Starts it; none where the machine cannot run it.
    pub fn start() -> Option<Self> {
        tokio::task::block_in_place(|| {
            let folder = tempfile::tempdir().unwrap();
            let cassandra = unless_skipped(Cassandra::start(folder.path(), 1))?;
            cassandra.shut_down(0);
            let server = Self { cassandra, folder };
            server.make_keys();
            let settings = format!(
                "authenticator: PasswordAuthenticator\nauthorizer: CassandraAuthorizer\nclient_encryption_options:\n  \
                 enabled: true\n  optional: true\n  keystore: {}\n  keystore_password: {STORE_PASSWORD}\n  \
                 store_type: PKCS12\n\
                 column_value_size_fail_threshold: 100KiB\n",
                server.key_store().display()
            );
            let yaml = server.cassandra.folder(0).join("conf/cassandra.yaml");
            OpenOptions::new().append(true).open(yaml).unwrap().write_all(settings.as_bytes()).unwrap();
            server.cassandra.restart(0).unwrap();
            Some(server)
        })
    }

    /// Returns where it takes connections.
    pub fn address(&self) -> SocketAddr {
        self.cassandra.contact_points()[0]
    }

    /// Returns a folder for files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the file of the certificate that vouches for the server: its own.
    pub fn certificate(&self) -> PathBuf {
        self.folder().join("server.pem")
    }

    /// Carries out a statement as the superuser.
    pub fn query(&self, statement: &str) -> Vec<Row> {
        let run = || self.cassandra.query(0, statement, Consistency::One);
        tokio::task::block_in_place(run).unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    fn key_store(&self) -> PathBuf {
        self.folder().join("server.p12")
    }

    fn make_keys(&self) {
        let store = self.key_store();
        let store = store.to_str().unwrap();
        let common = ["-alias", "server", "-keystore", store, "-storepass", STORE_PASSWORD];
        let names = ["-dname", "CN=cassandra", "-ext", "san=ip:127.0.0.1"];
        let key = ["-genkeypair", "-keyalg", "EC", "-storetype", "PKCS12", "-validity", "2"];
        keytool(&[&key[..], &names, &common].concat());
        let certificate = keytool(&[&["-exportcert", "-rfc"][..], &common].concat());
        fs::write(self.certificate(), certificate).unwrap();
    }
}

/// Runs Java's own tool for keys and returns what it wrote.
fn keytool(arguments: &[&str]) -> Vec<u8> {
    let java = fs::canonicalize(find_java().unwrap()).unwrap();
    let ended = Command::new(java.with_file_name("keytool")).args(arguments).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    ended.stdout
}
