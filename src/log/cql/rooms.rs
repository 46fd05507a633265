//! Which rooms there are and where each stands: for tools. Reads alone; nobody is fenced.

use futures_util::{Stream, StreamExt as _};
use rollcall_actors::ports::{Log as _, LogError, LogTail};
use rollcall_protocol::{RoomId, Seq};

use super::CqlLog;

impl CqlLog {
    /// Iterates over every room that somebody wrote to, in no order. Reads through the whole table: minutes where it is large. Rooms
    /// that are made meanwhile may be missing, and none comes twice.
    ///
    /// # Errors
    /// Where the servers do not answer. Each item: where they stop to, or a partition has a name that is no room's; the iteration
    /// ends after an error of the first kind.
    ///
    /// # Cancel safety
    /// Nothing is written.
    pub async fn rooms(&self) -> Result<impl Stream<Item = Result<RoomId, LogError>> + use<>, LogError> {
        let unavailable = |error: String| LogError::Unavailable(error);
        let statement = self.store.statements.list_partitions.clone();
        let pager = self.store.session.execute_iter(statement, ()).await;
        let pager = pager.map_err(|error| unavailable(error.to_string()))?;
        let partitions = pager.rows_stream::<(String, i64)>().map_err(|error| LogError::Damaged(error.to_string()))?;
        Ok(partitions.filter_map(move |partition| async move {
            match partition {
                // A room has a first bucket for ever.
                Ok((_, bucket)) if bucket != 0 => None,
                Ok((name, _)) => Some(RoomId::parse(&name).map_err(|_| {
                    LogError::Damaged(format!("a partition of the table is named {name:?}, and no room can be"))
                })),
                Err(error) => Some(Err(unavailable(error.to_string()))),
            }
        }))
    }

    /// Says where a room stands, and which is the first number that is still kept; none where nobody wrote to it.
    ///
    /// # Errors
    /// Where the log is unavailable or damaged.
    ///
    /// # Cancel safety
    /// Nothing is written.
    pub async fn room(&self, room: &RoomId) -> Result<Option<(LogTail, Seq)>, LogError> {
        let Some(tail) = self.tail(room).await? else { return Ok(None) };
        let floor = self.history.floor(room).await?;
        Ok(Some((tail, floor)))
    }
}
