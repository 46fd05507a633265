//! What nodes tell one another through the log: rooms that were taken from owners who may not know it.
//!
//! One partition is one minute of the *servers'* time, which is asked for first: a node whose own clock is wrong writes and reads
//! where all others do. Servers' clocks may be apart too, so more is read than was asked for.

use std::ops::RangeInclusive;

use futures_util::future::try_join_all;
use rollcall_actors::cluster::TAKEOVERS_READ_MS;
use rollcall_actors::ports::{LogError, PortFuture, Takeover, Takeovers};
use rollcall_protocol::{Epoch, RoomId};
use scylla::value::CqlTimestamp;

use super::entry_row::{bigint, number};
use super::log::CqlLog;
use super::store::{ReadError, Store, collect};

/// The length of a slot, in milliseconds.
const SLOT_MS: i64 = 60_000;

/// How far the clocks of two servers may be apart, in milliseconds, with what an insertion takes from asking for the time to its
/// end. The order of plain writes rests on these clocks as well, and operators keep them much closer.
const APART_MS: i64 = 30_000;

impl Takeovers for CqlLog {
    fn insert<'a>(&'a self, takeover: &'a Takeover) -> PortFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            let now_ms = server_time_ms(&self.store).await?;
            let values = (now_ms.div_euclid(SLOT_MS), takeover.room.as_str(), bigint(takeover.epoch.get()));
            self.store.query_done(&self.store.statements.insert_takeover, values).await
        })
    }

    fn recent(&self) -> PortFuture<'_, Result<Vec<Takeover>, LogError>> {
        Box::pin(async move {
            let (from_ms, slots) = to_read(server_time_ms(&self.store).await?);
            let slots = try_join_all(slots.map(|slot| read_slot(&self.store, slot, from_ms)));
            Ok(slots.await?.concat())
        })
    }
}

/// Returns from which time on to read, and which slots that touches.
fn to_read(now_ms: i64) -> (i64, RangeInclusive<i64>) {
    let from_ms = now_ms - TAKEOVERS_READ_MS.cast_signed() - APART_MS;
    (from_ms, from_ms.div_euclid(SLOT_MS)..=(now_ms + APART_MS).div_euclid(SLOT_MS))
}

/// Asks a server for its time, in milliseconds since 1970.
async fn server_time_ms(store: &Store) -> Result<i64, LogError> {
    let answer = store.query(&store.statements.server_time, ()).await.map_err(LogError::from)?;
    let times = collect(&answer, |(time,): (i64,)| Some(time)).map_err(LogError::from)?;
    times.first().copied().ok_or_else(|| LogError::Unavailable("a server does not say its time".to_owned()))
}

async fn read_slot(store: &Store, slot: i64, from_ms: i64) -> Result<Vec<Takeover>, LogError> {
    let read = async || -> Result<Vec<Takeover>, ReadError> {
        let rows = store.query(&store.statements.read_takeovers, (slot, CqlTimestamp(from_ms))).await?;
        collect(&rows, |(room, epoch): (Option<&str>, Option<i64>)| {
            Some(Takeover { room: RoomId::parse(room?).ok()?, epoch: Epoch::new(number(epoch?)?) })
        })
    };
    read().await.map_err(LogError::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_slots_of_the_last_minute_are_read_and_what_clocks_may_be_apart() {
        for now_ms in [1_790_000_000_000, 1_790_000_039_999, 1_790_000_040_000, 0] {
            let (from_ms, slots) = to_read(now_ms);
            assert!(from_ms <= now_ms - 60_000 - 30_000);
            for read_ms in [from_ms, now_ms - 60_000, now_ms, now_ms + 30_000] {
                assert!(slots.contains(&read_ms.div_euclid(60_000)), "{read_ms} at {now_ms}");
            }
            assert_eq!(slots.count(), 3, "no more than needed");
        }
    }
}
