//! Reads the answers to conditional statements, and what errors mean.
//!
//! Cassandra answers a conditional batch with one row; ScyllaDB with one for each of its statements, all columns in each, nulls
//! where there is nothing. In both the first row belongs to the statement that carries the condition, so that one is read, by
//! the names of its columns.

use rollcall_actors::fencing::Answer;
use rollcall_actors::ports::{Fence, LogTail};
use rollcall_protocol::{Epoch, OwnerId, Seq};
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::response::query_result::QueryResult;
use scylla::value::{CqlValue, Row};

use super::entry_row::number;

/// The first row of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FirstRow {
    columns: Vec<(String, Option<CqlValue>)>,
}

impl FirstRow {
    /// Takes the first row of a result; an error says why there is none.
    pub fn of(result: QueryResult) -> Result<Self, String> {
        let rows = result.into_rows_result().map_err(|error| error.to_string())?;
        let names: Vec<String> = rows.column_specs().iter().map(|spec| spec.name().to_owned()).collect();
        let row: Option<Row> = rows.maybe_first_row().map_err(|error| error.to_string())?;
        let row = row.ok_or("it has no row")?;
        Ok(Self { columns: names.into_iter().zip(row.columns).collect() })
    }

    fn get(&self, name: &str) -> Option<&CqlValue> {
        self.columns.iter().find(|(column, _)| column == name).and_then(|(_, value)| value.as_ref())
    }

    fn bigint(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(CqlValue::as_bigint).and_then(number)
    }

    /// Tells what became of a conditional statement.
    pub fn answer(&self) -> Answer {
        match self.get("[applied]").and_then(CqlValue::as_boolean) {
            Some(true) => Answer::Applied,
            Some(false) => Answer::NotApplied(self.fence()),
            None => Answer::Unknown("the answer does not say whether the statement was applied".to_owned()),
        }
    }

    /// Returns the fence columns; none where one of them is missing or null.
    fn fence(&self) -> Option<LogTail> {
        fence_of(self.bigint("epoch"), self.get("owner").and_then(CqlValue::as_uuid), self.bigint("last_seq"))
    }
}

/// Makes a fence of its columns; none where one of them is missing.
pub(super) fn fence_of(epoch: Option<u64>, owner: Option<uuid::Uuid>, last_seq: Option<u64>) -> Option<LogTail> {
    let fence = Fence { epoch: Epoch::new(epoch?), owner: OwnerId(owner?.as_u128()) };
    Some(LogTail { fence, last_seq: Seq::new(last_seq?) })
}

/// Tells what an error means for the statement: refused where it cannot have been carried out, else unknown.
pub(super) fn answer_of_error(error: &ExecutionError) -> Answer {
    let text = error.to_string();
    if !is_refusal(error) {
        return Answer::Unknown(text);
    }
    // Cassandra's thresholds, which hold for roles but not for superusers. Those for batches are not among them: they do not hold
    // for conditional ones.
    let is_threshold = text.contains("Guardrail");
    let advice = "; set that threshold to 1MiB or more: `rollcall doctor` looks at all of them";
    Answer::Refused(if is_threshold { text + advice } else { text })
}

fn is_refusal(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(
            DbError::SyntaxError | DbError::Invalid | DbError::Unauthorized,
            _
        ))
    )
}

#[cfg(test)]
mod tests {
    use scylla::frame::types::Consistency;
    use scylla::value::CqlValue;
    use uuid::Uuid;

    use super::*;

    fn row(columns: &[(&str, Option<CqlValue>)]) -> FirstRow {
        FirstRow { columns: columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect() }
    }

    fn fence_columns(epoch: i64, owner: u128, last_seq: i64) -> [(&'static str, Option<CqlValue>); 3] {
        [
            ("epoch", Some(CqlValue::BigInt(epoch))),
            ("owner", Some(CqlValue::Uuid(Uuid::from_u128(owner)))),
            ("last_seq", Some(CqlValue::BigInt(last_seq))),
        ]
    }

    fn applied(applied: bool) -> (&'static str, Option<CqlValue>) {
        ("[applied]", Some(CqlValue::Boolean(applied)))
    }

    const FENCE: LogTail = LogTail { fence: Fence { epoch: Epoch::new(3), owner: OwnerId(7) }, last_seq: Seq::new(12) };

    #[test]
    fn cassandra_answers_with_what_is_there() {
        assert_eq!(row(&[applied(true)]).answer(), Answer::Applied);
        assert_eq!(row(&[applied(false)]).answer(), Answer::NotApplied(None), "a partition that is not there");
        let [epoch, owner, last_seq] = fence_columns(3, 7, 12);
        let key = ("channel_id", Some(CqlValue::Text("room".to_owned())));
        let message_id = ("message_id", Some(CqlValue::BigInt(4)));
        let batch = row(&[applied(false), key, message_id, epoch.clone(), owner.clone(), last_seq]);
        assert_eq!(batch.answer(), Answer::NotApplied(Some(FENCE)));
        assert_eq!(row(&[applied(false), epoch, owner]).answer(), Answer::NotApplied(None), "to F");
    }

    /// ScyllaDB names every column of the conditions in any answer, an applied one too, with the values of before.
    #[test]
    fn scylladb_answers_with_all_columns_and_nulls() {
        let [epoch, owner, last_seq] = fence_columns(3, 7, 12);
        let keys = [("channel_id", None), ("bucket", None), ("message_id", None)];
        let of = |is_applied: bool, fence: &[(&str, Option<CqlValue>)]| {
            row(&[&[applied(is_applied)], keys.as_slice(), fence].concat()).answer()
        };
        assert_eq!(of(true, &[epoch.clone(), owner.clone(), last_seq.clone()]), Answer::Applied);
        assert_eq!(of(true, &[("epoch", None), ("owner", None), ("last_seq", None)]), Answer::Applied);
        assert_eq!(of(false, &[last_seq, owner, epoch]), Answer::NotApplied(Some(FENCE)), "in any order");
        assert_eq!(of(false, &[("epoch", None), ("owner", None), ("last_seq", None)]), Answer::NotApplied(None));
    }

    #[test]
    fn an_answer_that_does_not_say_is_unknown() {
        for columns in [&[("epoch", Some(CqlValue::BigInt(1)))][..], &[("[applied]", None)], &[]] {
            assert!(matches!(row(columns).answer(), Answer::Unknown(_)), "{columns:?}");
        }
        let [epoch, owner, _] = fence_columns(3, 7, 12);
        let negative = row(&[applied(false), epoch, owner, ("last_seq", Some(CqlValue::BigInt(-1)))]);
        assert_eq!(negative.answer(), Answer::NotApplied(None), "what was never written is no fence");
    }

    #[test]
    fn only_three_errors_are_refusals() {
        let attempt = |error| ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, "why".to_owned()));
        for error in [DbError::SyntaxError, DbError::Invalid, DbError::Unauthorized] {
            assert!(matches!(answer_of_error(&attempt(error)), Answer::Refused(_)));
        }
        let unavailable = DbError::Unavailable { consistency: Consistency::LocalSerial, required: 2, alive: 1 };
        for error in [unavailable, DbError::Overloaded, DbError::IsBootstrapping, DbError::ServerError] {
            assert!(matches!(answer_of_error(&attempt(error)), Answer::Unknown(_)));
        }
        let timeout = ExecutionError::RequestTimeout(std::time::Duration::from_secs(3));
        assert!(matches!(answer_of_error(&timeout), Answer::Unknown(_)));
        assert!(matches!(answer_of_error(&ExecutionError::EmptyPlan), Answer::Unknown(_)));
    }
}
