//! Runs one statement of the fencing protocol and gives its one answer.

use futures_util::future::try_join_all;
use rollcall_actors::fencing::{Answer, FloorRow, Looked, Row, Statement, Writer};
use rollcall_actors::ports::{Fence, LogError, LogTail};
use rollcall_protocol::{Entry, Epoch, OwnerId, RoomId, Seq};
use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::ExecutionError;
use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::answers::{FirstRow, answer_of_error, fence_of};
use super::entry_row::{NewRow, bigint, mark, number};
use super::statements::Statements;

/// Edits that are forgotten at once.
const EDITS_FORGOTTEN_AT_ONCE: usize = 16;

/// The connections to the servers, and what is prepared there.
pub(super) struct Store {
    pub session: Session,
    pub statements: Statements,
}

/// Why a read gave nothing.
pub(super) enum ReadError {
    /// The servers did not answer, or refused.
    Failed(Box<ExecutionError>),
    /// Their answer is not what was ever written.
    Garbled(String),
}

impl From<ReadError> for Answer {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Failed(error) => answer_of_error(&error),
            ReadError::Garbled(reason) => Self::Garbled(reason),
        }
    }
}

/// The values of one statement of an append.
enum AppendValues<'a> {
    Fence((i64, &'a str, i64, i64, Uuid, i64)),
    Entry(NewRow<'a>),
}

/// The values of one statement of an expiry.
enum ExpiryValues<'a> {
    Fence((i64, &'a str, i64, i64)),
    Entries((&'a str, i64, i64)),
}

macro_rules! serialize_either {
    ($type:ident: $a:ident, $b:ident) => {
        impl SerializeRow for $type<'_> {
            fn serialize(
                &self,
                ctx: &RowSerializationContext<'_>,
                writer: &mut RowWriter<'_>,
            ) -> Result<(), SerializationError> {
                match self {
                    Self::$a(values) => values.serialize(ctx, writer),
                    Self::$b(values) => values.serialize(ctx, writer),
                }
            }

            fn is_empty(&self) -> bool {
                false
            }
        }
    };
}

serialize_either!(AppendValues: Fence, Entry);
serialize_either!(ExpiryValues: Fence, Entries);

impl Store {
    /// Runs a statement of a room and returns what became of it. It is sent once.
    ///
    /// # Cancel safety
    /// Dropped half-way, it may be carried out or not.
    pub async fn run(&self, room: &RoomId, statement: &Statement) -> Answer {
        let answer = match statement {
            Statement::Append { bucket, fence, last_seq, entries } => {
                let before = LogTail { fence: *fence, last_seq: *last_seq };
                Ok(self.append(room, *bucket, before, entries).await)
            }
            Statement::ExpireBucket { bucket, last_seq } => Ok(self.expire_bucket(room, *bucket, *last_seq).await),
            Statement::ForgetEdits { edits } => Ok(self.forget_edits(room, edits).await),
            Statement::NoteEdit { target, seq } => {
                let values = (room.as_str(), bigint(target.get()), bigint(seq.get()));
                Ok(done(self.session.execute_unpaged(&self.statements.note_edit, values).await))
            }
            Statement::CreateBucket { .. }
            | Statement::TakeFence { .. }
            | Statement::Redact { .. }
            | Statement::RedactEdit { .. }
            | Statement::RaiseFloor { .. }
            | Statement::NoteSwept { .. } => Ok(self.write_if(room, statement).await),
            Statement::ReadFence { .. }
            | Statement::ReadWriters { .. }
            | Statement::ReadRows { .. }
            | Statement::LookAt { .. }
            | Statement::ReadEdits { .. }
            | Statement::ReadFloor => self.read(room, statement).await,
        };
        answer.unwrap_or_else(Answer::from)
    }

    /// Runs a conditional statement that stands alone.
    async fn write_if(&self, room: &RoomId, statement: &Statement) -> Answer {
        let (name, prepared) = (room.as_str(), &self.statements);
        let result = match *statement {
            Statement::CreateBucket { bucket, fence: Fence { epoch, owner }, last_seq } => {
                let fence = (bigint(epoch.get()), Uuid::from_u128(owner.0), bigint(last_seq.get()));
                let values = (name, bigint(bucket), fence.0, fence.1, fence.2);
                self.session.execute_unpaged(&prepared.create_bucket, values).await
            }
            Statement::TakeFence { bucket, expected, fence } => {
                let [new, old] = [fence, expected].map(|it| (bigint(it.epoch.get()), Uuid::from_u128(it.owner.0)));
                let values = (new.0, new.1, name, bigint(bucket), old.0, old.1);
                self.session.execute_unpaged(&prepared.take_fence, values).await
            }
            Statement::Redact { bucket, seq } => {
                self.session.execute_unpaged(&prepared.redact, (name, bigint(bucket), bigint(seq.get()))).await
            }
            Statement::RedactEdit { bucket, seq, target } => {
                let values = (name, bigint(bucket), bigint(seq.get()), bigint(target.get()));
                self.session.execute_unpaged(&prepared.redact_edit, values).await
            }
            Statement::RaiseFloor { expected: None, floor } => {
                self.session.execute_unpaged(&prepared.first_floor, (name, bigint(floor.get()))).await
            }
            Statement::RaiseFloor { expected: Some(expected), floor } => {
                let values = (bigint(floor.get()), name, bigint(expected.get()));
                self.session.execute_unpaged(&prepared.raise_floor, values).await
            }
            Statement::NoteSwept { bucket } => {
                self.session.execute_unpaged(&prepared.note_swept, (bigint(bucket), name)).await
            }
            _ => unreachable!("it is conditional and stands alone"),
        };
        conditional(result)
    }

    async fn append(&self, room: &RoomId, bucket: u64, before: LogTail, entries: &[Entry]) -> Answer {
        let last = entries.last().expect("an append has at least one entry").seq;
        let mut batch = Batch::new(BatchType::Unlogged);
        let mut values = Vec::with_capacity(entries.len() + 1);
        batch.append_statement(self.statements.move_last_seq.clone());
        let LogTail { fence: Fence { epoch, owner }, last_seq } = before;
        let (epoch, owner) = (bigint(epoch.get()), Uuid::from_u128(owner.0));
        let (last, last_seq) = (bigint(last.get()), bigint(last_seq.get()));
        values.push(AppendValues::Fence((last, room.as_str(), bigint(bucket), epoch, owner, last_seq)));
        for entry in entries {
            batch.append_statement(self.statements.insert_entry.clone());
            values.push(AppendValues::Entry(NewRow::new(room.as_str(), bucket, entry)));
        }
        self.run_batch(batch, values).await
    }

    async fn expire_bucket(&self, room: &RoomId, bucket: u64, last_seq: Seq) -> Answer {
        let (name, bucket, last) = (room.as_str(), bigint(bucket), bigint(last_seq.get()));
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.append_statement(self.statements.keep_last_seq.clone());
        batch.append_statement(self.statements.delete_entries.clone());
        let values = vec![ExpiryValues::Fence((last, name, bucket, last)), ExpiryValues::Entries((name, bucket, last))];
        self.run_batch(batch, values).await
    }

    /// Runs a conditional batch of one partition.
    async fn run_batch<T: SerializeRow>(&self, mut batch: Batch, values: Vec<T>) -> Answer {
        // A batch does not take these from its statements.
        let first = &self.statements.move_last_seq;
        batch.set_consistency(self.statements.levels.quorum);
        batch.set_serial_consistency(first.get_serial_consistency());
        batch.set_retry_policy(first.get_retry_policy().cloned());
        batch.set_is_idempotent(false);
        conditional(self.session.batch(&batch, values).await)
    }

    async fn forget_edits(&self, room: &RoomId, edits: &[(Seq, Seq)]) -> Answer {
        for chunk in edits.chunks(EDITS_FORGOTTEN_AT_ONCE) {
            let forget = |&(target, seq): &(Seq, Seq)| {
                let values = (room.as_str(), bigint(target.get()), bigint(seq.get()));
                self.session.execute_unpaged(&self.statements.forget_edit, values)
            };
            if let Err(error) = try_join_all(chunk.iter().map(forget)).await {
                return answer_of_error(&error);
            }
        }
        Answer::Done
    }

    /// Runs a read of the protocol.
    async fn read(&self, room: &RoomId, statement: &Statement) -> Result<Answer, ReadError> {
        let (name, prepared) = (room.as_str(), &self.statements);
        let range =
            |bucket: u64, after: Seq, through: Seq| (name, bigint(bucket), bigint(after.get()), bigint(through.get()));
        Ok(match *statement {
            Statement::ReadFence { bucket } => Answer::Fence(self.fence(&prepared.read_fence, room, bucket).await?),
            Statement::ReadWriters { bucket, after, through } => {
                let rows = self.query(&prepared.read_writers, range(bucket, after, through)).await?;
                Answer::Writers(collect(&rows, |(seq, epoch, owner): (i64, Option<i64>, Option<Uuid>)| {
                    let fence =
                        Fence { epoch: epoch.and_then(number).map(Epoch::new)?, owner: OwnerId(owner?.as_u128()) };
                    Some(Writer { seq: Seq::new(number(seq)?), fence })
                })?)
            }
            Statement::ReadRows { bucket, after, through } => {
                let rows = self.query(&prepared.read_rows, range(bucket, after, through)).await?;
                Answer::Rows(collect(&rows, |(seq, kind, target): (i64, Option<i8>, Option<i64>)| {
                    let seq = Seq::new(number(seq)?);
                    Some(Row { seq, mark: mark(seq, kind, target).ok()? })
                })?)
            }
            Statement::LookAt { bucket, seq } => {
                let rows = self.query(&prepared.look_at, (name, bigint(bucket), bigint(seq.get()))).await?;
                let salts = collect(&rows, |(salt,): (Option<Vec<u8>>,)| Some(salt.is_some()))?;
                Answer::Looked(match salts.first() {
                    None => Looked::Absent,
                    Some(true) => Looked::Whole,
                    Some(false) => Looked::Redacted,
                })
            }
            Statement::ReadEdits { target } => {
                let rows = self.query(&prepared.read_edits, (name, bigint(target.get()))).await?;
                Answer::Edits(collect(&rows, |(seq,): (i64,)| number(seq).map(Seq::new))?)
            }
            Statement::ReadFloor => Answer::Floor(self.floor(&prepared.read_floor, room).await?),
            _ => unreachable!("it reads"),
        })
    }

    /// Reads the fence of a bucket, by either of two statements.
    pub async fn fence(
        &self,
        prepared: &PreparedStatement,
        room: &RoomId,
        bucket: u64,
    ) -> Result<Option<LogTail>, ReadError> {
        let result = self.query(prepared, (room.as_str(), bigint(bucket))).await?;
        // A partition may have rows and no fence only where somebody else has written to it.
        let fences = collect(&result, |(epoch, owner, last_seq): (Option<i64>, Option<Uuid>, Option<i64>)| {
            fence_of(epoch.and_then(number), owner, last_seq.and_then(number))
        })?;
        Ok(fences.into_iter().next())
    }

    /// Reads a room's floor, by either of two statements.
    pub async fn floor(&self, prepared: &PreparedStatement, room: &RoomId) -> Result<Option<FloorRow>, ReadError> {
        let result = self.query(prepared, (room.as_str(),)).await?;
        let rows = collect(&result, |(floor, swept): (Option<i64>, Option<i64>)| {
            Some(FloorRow { floor: Seq::new(floor.and_then(number)?), swept: swept.and_then(number)? })
        })?;
        Ok(rows.into_iter().next())
    }

    /// Runs a plain write.
    pub async fn query_done(&self, prepared: &PreparedStatement, values: impl SerializeRow) -> Result<(), LogError> {
        let written = self.session.execute_unpaged(prepared, values).await;
        written.map(|_| ()).map_err(|error| LogError::Unavailable(error.to_string()))
    }

    /// Runs a statement that reads, and keeps its answer to be looked through.
    pub async fn query(
        &self,
        prepared: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<QueryRowsResult, ReadError> {
        let result =
            self.session.execute_unpaged(prepared, values).await.map_err(|error| ReadError::Failed(Box::new(error)))?;
        result.into_rows_result().map_err(|error| ReadError::Garbled(error.to_string()))
    }
}

/// Reads the rows of an answer; what cannot be read was never written.
pub(super) fn collect<'a, R, T>(result: &'a QueryRowsResult, read: impl Fn(R) -> Option<T>) -> Result<Vec<T>, ReadError>
where
    R: DeserializeRow<'a, 'a>,
{
    let rows = result.rows::<R>().map_err(|error| ReadError::Garbled(error.to_string()))?;
    rows.map(|row| {
        let row = row.map_err(|error| ReadError::Garbled(error.to_string()))?;
        read(row).ok_or_else(|| ReadError::Garbled("a row holds what was never written".to_owned()))
    })
    .collect()
}

fn conditional(result: Result<QueryResult, ExecutionError>) -> Answer {
    match result {
        Ok(result) => match FirstRow::of(result) {
            Ok(row) => row.answer(),
            Err(reason) => Answer::Unknown(format!("the answer to a conditional statement is strange: {reason}")),
        },
        Err(error) => answer_of_error(&error),
    }
}

fn done(result: Result<QueryResult, ExecutionError>) -> Answer {
    match result {
        Ok(_) => Answer::Done,
        Err(error) => answer_of_error(&error),
    }
}
