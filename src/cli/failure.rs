//! Why a command failed, as a person is told it and as a script sees it.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use rollcall::auth::{AuthSetupError, PrivateFileError};
use rollcall::cluster::JoinError;
use rollcall::cluster::redis::RedisError;
use rollcall::config::ConfigError;
use rollcall::log::{CqlError, OpenError};
use rollcall::server::{CannotGoOn, StartError};

/// What a command's exit code tells a script. The numbers from 64 on are those of sysexits.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command did its work, and the answer is no: a broken chain, a bad token, a refused write.
    Finding = 1,
    /// The configuration cannot be used.
    Config = 64,
    /// Somebody who is needed is not there, or busy: a server, a port, a data folder.
    Unavailable = 69,
    /// The program itself failed, by a bug.
    Internal = 70,
    /// The disk or the network failed.
    Io = 74,
    /// Not allowed: by the system, or by the server.
    Permission = 77,
}

/// The exit codes (of a second signal, those that a shell gives to one that was not caught), as `--help` shows them.
pub const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   done, and the answer is no: a broken chain, a bad token, a refused write
  2   the command line was not understood
  64  the configuration cannot be used
  69  somebody is not there or busy: a server, a port, a data folder
  70  rollcall itself failed, by a bug: what it said last is worth a report
  74  the disk or the network failed
  77  not allowed, by the system or by the server
  130 serve: ended at once by Ctrl-C (SIGINT) while it was stopping
  143 serve: ended at once by SIGTERM while it was stopping";

/// Why a command failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// What a script sees.
    pub kind: Kind,
    /// What a person reads; none where it was said already, or nobody reads any more.
    pub message: Option<String>,
}

impl Failure {
    /// A failure of a kind, and its text.
    pub fn new(kind: Kind, message: impl Display) -> Self {
        Self { kind, message: Some(message.to_string()) }
    }

    /// The answer is no, and was printed.
    pub fn finding() -> Self {
        Self { kind: Kind::Finding, message: None }
    }

    /// Adds to the message what to do in this command.
    pub fn and(mut self, advice: &str) -> Self {
        self.message = self.message.map(|message| message + advice);
        self
    }

    /// Returns the code that the process ends with.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }
}

/// The kind of a failed call of the system.
pub fn kind_of(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Kind::Permission,
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable => Kind::Unavailable,
        _ => Kind::Io,
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Kind::Config, error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let kind = match &error {
            OpenError::Locked { .. } => Kind::Unavailable,
            OpenError::Permission { .. } => Kind::Permission,
            _ => Kind::Io,
        };
        Self::new(kind, error)
    }
}

impl From<CqlError> for Failure {
    fn from(error: CqlError) -> Self {
        let kind = match &error {
            CqlError::Unreachable { .. } => Kind::Unavailable,
            CqlError::Credentials { .. } | CqlError::Permission { .. } => Kind::Permission,
            CqlError::Refused { .. } => Kind::Io,
            CqlError::Certificates { .. }
            | CqlError::NoKeyspace { .. }
            | CqlError::NoSchema { .. }
            | CqlError::SchemaVersion { .. }
            | CqlError::SeveralDatacenters { .. }
            | CqlError::Datacenter { .. }
            | CqlError::Setting { .. } => Kind::Config,
        };
        Self::new(kind, error)
    }
}

impl From<AuthSetupError> for Failure {
    fn from(error: AuthSetupError) -> Self {
        let kind = match &error {
            AuthSetupError::Secret(_) => Kind::Config,
            AuthSetupError::GuestKey { source, .. } => kind_of(source),
            AuthSetupError::GuestKeyDamaged { .. } => Kind::Io,
            AuthSetupError::GuestKeyExposed { .. } => Kind::Permission,
        };
        Self::new(kind, error)
    }
}

impl From<PrivateFileError> for Failure {
    fn from(error: PrivateFileError) -> Self {
        let kind = match &error {
            PrivateFileError::Io { source, .. } => kind_of(source),
            PrivateFileError::Exposed { .. } => Kind::Permission,
        };
        Self::new(kind, error)
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        let kind = match &error {
            JoinError::Redis(RedisError::Credentials | RedisError::Permission { .. }) => Kind::Permission,
            JoinError::Redis(RedisError::TimedOut | RedisError::Driver(_)) => Kind::Unavailable,
            JoinError::Redis(_) | JoinError::Name(_) | JoinError::Password(_) | JoinError::Authorities(_) => {
                Kind::Config
            }
        };
        Self::new(kind, error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(error) => error.into(),
            StartError::Log(error) => error.into(),
            StartError::Auth(error) => error.into(),
            StartError::AdminToken(error) => error.into(),
            StartError::Cql(error) => error.into(),
            StartError::Password(error) => Self::new(Kind::Config, error),
            StartError::Cluster(error) => error.into(),
            StartError::Listen { ref source, .. } => Self::new(kind_of(source), &error),
            StartError::Ops(ref ops) => Self::new(kind_of(&ops.source), &error),
            StartError::Actors(_) => Self::new(Kind::Io, error),
        }
    }
}

impl From<CannotGoOn> for Failure {
    fn from(error: CannotGoOn) -> Self {
        let kind = match &error {
            CannotGoOn::NameTaken { .. } => Kind::Config,
            CannotGoOn::NodeEnded => Kind::Internal,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use rollcall_actors::ports::NodeId;

    use super::*;

    #[test]
    fn help_has_the_code_of_every_kind() {
        for kind in [Kind::Finding, Kind::Config, Kind::Unavailable, Kind::Internal, Kind::Io, Kind::Permission] {
            let code = format!("\n  {:<4}", kind as u8);
            assert!(EXIT_CODES.contains(&code), "{kind:?}");
        }
    }

    #[test]
    fn a_server_that_a_bug_ends_may_be_started_again_and_one_without_a_name_of_its_own_may_not() {
        let taken = Failure::from(CannotGoOn::NameTaken { node: NodeId("chat1".into()) });
        let why = "another server runs as node chat1 of the cluster: give each a `cluster.node` of its own";
        assert_eq!(taken, Failure::new(Kind::Config, why));
        assert_eq!(Failure::from(CannotGoOn::NodeEnded).kind, Kind::Internal);
    }
}
