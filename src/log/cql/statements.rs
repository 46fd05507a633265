//! The statements, prepared.

use std::sync::Arc;

use scylla::client::session::Session;
use scylla::errors::PrepareError;
use scylla::policies::retry::{DefaultRetryPolicy, FallthroughRetryPolicy};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency, Statement};

use super::entry_row::COLUMNS;
use super::options::CqlConsistency;

/// How a statement is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Conditional, or a plain write. The driver tries it once: what an error means is for the log to find out.
    Write,
    /// Sees every conditional write that was answered, and decides those under way. Tried once too.
    SerialRead,
    /// Sees what a quorum has. The driver may try it again.
    Read,
    /// Asks a server about itself, whichever it is.
    AskAny,
}

/// The consistency levels that go with a setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Levels {
    pub quorum: Consistency,
    serial: SerialConsistency,
    serial_read: Consistency,
}

impl From<CqlConsistency> for Levels {
    fn from(consistency: CqlConsistency) -> Self {
        match consistency {
            CqlConsistency::Local => Self {
                quorum: Consistency::LocalQuorum,
                serial: SerialConsistency::LocalSerial,
                serial_read: Consistency::LocalSerial,
            },
            CqlConsistency::Global => Self {
                quorum: Consistency::Quorum,
                serial: SerialConsistency::Serial,
                serial_read: Consistency::Serial,
            },
        }
    }
}

impl Levels {
    /// Sets how a statement that is not prepared yet is run, once.
    pub fn apply_to(self, statement: &mut Statement) {
        statement.set_consistency(self.quorum);
        statement.set_serial_consistency(Some(self.serial));
        statement.set_is_idempotent(false);
        statement.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
    }
}

macro_rules! statements {
    ($( $(#[doc = $about:literal])* $name:ident: $mode:ident = $text:expr; )+) => {
        /// Every statement that the log runs.
        pub(super) struct Statements {
            pub levels: Levels,
            $( $(#[doc = $about])* pub $name: PreparedStatement, )+
        }

        impl Statements {
            /// Prepares them all.
            pub async fn prepare(session: &Session, keyspace: &str, levels: Levels) -> Result<Self, PrepareError> {
                let preparer = Preparer { session, keyspace, levels };
                Ok(Self {
                    levels,
                    $( $name: preparer.prepare(Mode::$mode, $text).await?, )+
                })
            }
        }
    };
}

statements! {
    /// R.
    read_fence: SerialRead = "SELECT epoch, owner, last_seq FROM {}.messages WHERE channel_id = ? AND bucket = ? LIMIT 1";
    /// R, as a quorum has it: for readers that ask again anyway.
    look_at_fence: Read = "SELECT epoch, owner, last_seq FROM {}.messages WHERE channel_id = ? AND bucket = ? LIMIT 1";
    /// C.
    create_bucket: Write = "INSERT INTO {}.messages (channel_id, bucket, epoch, owner, last_seq) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS";
    /// F.
    take_fence: Write = "UPDATE {}.messages SET epoch = ?, owner = ? WHERE channel_id = ? AND bucket = ? IF epoch = ? AND owner = ?";
    /// The first statement of A.
    move_last_seq: Write = "UPDATE {}.messages SET last_seq = ? WHERE channel_id = ? AND bucket = ? \
                            IF epoch = ? AND owner = ? AND last_seq = ?";
    /// The others of A.
    insert_entry: Write = &format!(
        "INSERT INTO {{}}.messages (channel_id, bucket, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    read_writers: SerialRead = "SELECT message_id, w_epoch, w_owner FROM {}.messages \
                                WHERE channel_id = ? AND bucket = ? AND message_id > ? AND message_id <= ? ORDER BY message_id ASC";
    read_rows: Read = "SELECT message_id, kind, target FROM {}.messages \
                       WHERE channel_id = ? AND bucket = ? AND message_id > ? AND message_id <= ? ORDER BY message_id ASC";
    look_at: Read = "SELECT salt FROM {}.messages WHERE channel_id = ? AND bucket = ? AND message_id = ?";
    note_edit: Write = "INSERT INTO {}.edits (channel_id, target, seq) VALUES (?, ?, ?)";
    read_edits: Read = "SELECT seq FROM {}.edits WHERE channel_id = ? AND target = ?";
    forget_edit: Write = "DELETE FROM {}.edits WHERE channel_id = ? AND target = ? AND seq = ?";
    redact: Write = "UPDATE {}.messages SET body = null, salt = null WHERE channel_id = ? AND bucket = ? AND message_id = ? IF EXISTS";
    redact_edit: Write = "UPDATE {}.messages SET body = null, salt = null WHERE channel_id = ? AND bucket = ? AND message_id = ? \
                          IF kind = 2 AND target = ?";
    read_floor: SerialRead = "SELECT floor, swept FROM {}.floors WHERE channel_id = ?";
    /// As a quorum has it: a floor that was answered is seen.
    look_at_floor: Read = "SELECT floor, swept FROM {}.floors WHERE channel_id = ?";
    first_floor: Write = "INSERT INTO {}.floors (channel_id, floor, swept) VALUES (?, ?, 0) IF NOT EXISTS";
    raise_floor: Write = "UPDATE {}.floors SET floor = ? WHERE channel_id = ? IF floor = ?";
    /// The first statement of an expiry.
    keep_last_seq: Write = "UPDATE {}.messages SET last_seq = ? WHERE channel_id = ? AND bucket = ? IF last_seq = ?";
    /// The second statement of an expiry.
    delete_entries: Write = "DELETE FROM {}.messages WHERE channel_id = ? AND bucket = ? AND message_id <= ?";
    note_swept: Write = "UPDATE {}.floors SET swept = ? WHERE channel_id = ? IF EXISTS";
    read_entries: Read = &format!(
        "SELECT {COLUMNS} FROM {{}}.messages WHERE channel_id = ? AND bucket = ? AND message_id >= ? AND message_id <= ? \
         ORDER BY message_id ASC LIMIT ?"
    );
    read_hash: Read = "SELECT hash FROM {}.messages WHERE channel_id = ? AND bucket = ? AND message_id = ?";
    /// Every partition there is: for tools.
    list_partitions: Read = "SELECT DISTINCT channel_id, bucket FROM {}.messages";
    /// Numbers of snapshots up to one, newest first, each with its first part: the seal, if it has one.
    list_snapshots: Read = "SELECT seq, part FROM {}.snapshots WHERE channel_id = ? AND seq <= ? GROUP BY channel_id, seq LIMIT ?";
    read_parts: Read = "SELECT part, state FROM {}.snapshots WHERE channel_id = ? AND seq = ? AND part >= ? AND part < ?";
    write_part: Write = "INSERT INTO {}.snapshots (channel_id, seq, part, state) VALUES (?, ?, ?, ?)";
    delete_parts: Write = "DELETE FROM {}.snapshots WHERE channel_id = ? AND seq = ? AND part >= ?";
    server_time: AskAny = "SELECT toUnixTimestamp(now()) FROM system.local";
    insert_takeover: Write = "INSERT INTO {}.takeovers (slot, at, channel_id, epoch) VALUES (?, now(), ?, ?)";
    read_takeovers: Read = "SELECT channel_id, epoch FROM {}.takeovers WHERE slot = ? AND at >= minTimeuuid(?)";
    delete_snapshots: Write = "DELETE FROM {}.snapshots WHERE channel_id = ? AND seq < ?";
}

struct Preparer<'a> {
    session: &'a Session,
    keyspace: &'a str,
    levels: Levels,
}

impl Preparer<'_> {
    /// Prepares a statement; `{}` in it stands for the keyspace.
    async fn prepare(&self, mode: Mode, text: &str) -> Result<PreparedStatement, PrepareError> {
        let mut prepared = self.session.prepare(text.replacen("{}", self.keyspace, 1)).await?;
        prepared.set_serial_consistency(Some(self.levels.serial));
        prepared.set_consistency(match mode {
            Mode::SerialRead => self.levels.serial_read,
            Mode::Write | Mode::Read => self.levels.quorum,
            Mode::AskAny => Consistency::One,
        });
        if matches!(mode, Mode::Read | Mode::AskAny) {
            prepared.set_is_idempotent(true);
            prepared.set_retry_policy(Some(Arc::new(DefaultRetryPolicy::new())));
        } else {
            prepared.set_is_idempotent(false);
            prepared.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
        }
        Ok(prepared)
    }
}
