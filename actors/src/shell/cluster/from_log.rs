//! Questions that no owner has answered, answered from the log. A room's state is read once for all who ask at about one time, and
//! a node reads few at once: as long as Redis is away everybody who connects asks so.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rollcall_protocol::{ErrorFrame, Hash, RoomId, Seq};
use tokio::sync::Semaphore;

use super::node::{Node, NodeMsg, Waiter};
use crate::cluster::RoomFacts;
use crate::cluster::node_core::{ASK_LOG_AFTER_MS, AskOwner};
use crate::ports::LogError;
use crate::room::SenderKey;
use crate::shell::activation::{LogState, read_state};
use crate::shell::joins::{check_in_log, forbidden, may_join, own_hash, unreadable};
use crate::shell::request::{JoinRequest, diverged};

/// Rooms whose states are read from the log at once. Such a read is mostly a wait, of three round trips to the log's
/// servers or more, and holds no more than a page of a megabyte beside the state.
const READS_MAX: usize = 16;

/// Whoever asks the log has asked the room this long before: a read that began no longer ago knows all that was answered before that.
const SHARED_FOR: Duration = Duration::from_millis(ASK_LOG_AFTER_MS);

/// The reads that are under way.
pub(super) struct LogReads {
    rooms: HashMap<RoomId, Read>,
    places: Arc<Semaphore>,
}

struct Read {
    /// None as long as it waits for its place: then it will know all that whoever asks meanwhile may know.
    began: Arc<OnceLock<Instant>>,
    waiting: Vec<(AskOwner, Waiter)>,
    /// Those who came too late for it.
    next: Vec<(AskOwner, Waiter)>,
}

/// What the log has answered.
pub(in crate::shell) enum FromLog {
    /// How a room stands.
    State(RoomId, Box<Result<LogState, ErrorFrame>>),
    /// Whether a cursor lies on a room's history, told those who have it.
    Checked(RoomId, Vec<(Waiter, Result<RoomFacts, ErrorFrame>)>),
}

/// What follows from a room's state for somebody who asks.
enum Answer {
    Now(Result<RoomFacts, ErrorFrame>),
    /// The log is asked for the entry at the cursor.
    Check(Cursor, RoomFacts),
}

type Cursor = (Seq, Option<Hash>);

impl LogReads {
    pub fn new() -> Self {
        Self { rooms: HashMap::new(), places: Arc::new(Semaphore::new(READS_MAX)) }
    }
}

impl Read {
    fn may_be_shared(&self) -> bool {
        self.began.get().is_none_or(|began| began.elapsed() < SHARED_FOR)
    }
}

impl Node {
    /// Answers from the log, as far as it can.
    pub(super) fn ask_log(&mut self, room: RoomId, ask: AskOwner, reply: Waiter) {
        match self.log_reads.rooms.get_mut(&room) {
            Some(read) if read.may_be_shared() => read.waiting.push((ask, reply)),
            Some(read) => read.next.push((ask, reply)),
            None => self.read_log(room, vec![(ask, reply)]),
        }
    }

    fn read_log(&mut self, room: RoomId, waiting: Vec<(AskOwner, Waiter)>) {
        let (log, read, places) = (self.rooms.log(), room.clone(), Arc::clone(&self.log_reads.places));
        let began = Arc::default();
        self.log_reads.rooms.insert(room.clone(), Read { began: Arc::clone(&began), waiting, next: Vec::new() });
        let work = async move {
            let _place = places.acquire().await;
            began.get_or_init(Instant::now);
            read_state(&*log, &read).await.map_err(|_| unreadable())
        };
        let tell = |result| NodeMsg::FromLog(FromLog::State(room, Box::new(result)));
        self.begin(work, Err(unreadable()), tell);
    }

    /// Tells those who wait what the log has answered.
    pub(super) fn log_answered(&mut self, answer: FromLog) {
        let (room, state) = match answer {
            FromLog::State(room, state) => (room, *state),
            FromLog::Checked(room, results) => {
                return results.into_iter().for_each(|(reply, result)| self.answer_reader(&room, reply, result));
            }
        };
        let Some(Read { waiting, next, .. }) = self.log_reads.rooms.remove(&room) else { return };
        if !next.is_empty() {
            self.read_log(room.clone(), next);
        }
        let mut checks: BTreeMap<Cursor, Vec<(Waiter, RoomFacts)>> = BTreeMap::new();
        for (ask, reply) in waiting {
            let answer = match &state {
                Ok(state) => answer_by(state, ask),
                Err(error) => Answer::Now(Err(error.clone())),
            };
            match answer {
                Answer::Now(result) => self.answer_reader(&room, reply, result),
                Answer::Check(cursor, facts) => checks.entry(cursor).or_default().push((reply, facts)),
            }
        }
        if let Ok(LogState { state, .. }) = state
            && !checks.is_empty()
        {
            self.check_cursors(room, state.head, checks);
        }
    }

    /// Asks the log for the cursors of those who want to join, one after the other.
    fn check_cursors(&self, room: RoomId, head: Seq, checks: BTreeMap<Cursor, Vec<(Waiter, RoomFacts)>>) {
        let (log, places, cluster) = (self.rooms.log(), Arc::clone(&self.log_reads.places), self.cluster.clone());
        let damage = Arc::clone(&self.rooms.shared.damage);
        self.rooms.spawn(async move {
            for (cursor, waiting) in checks {
                let place = places.acquire().await;
                let look_at_error = |error: &LogError| {
                    if damage.look_at(&room, cursor.0, error) {
                        cluster.found_damaged(room.clone(), cursor.0);
                    }
                };
                let checked = check_in_log(&*log, &room, head, cursor, look_at_error).await;
                drop(place);
                let answered = |(reply, facts)| (reply, checked.clone().map(|()| facts));
                let results = waiting.into_iter().map(answered).collect();
                cluster.send(NodeMsg::FromLog(FromLog::Checked(room.clone(), results)));
            }
        });
    }
}

fn answer_by(LogState { epoch, state, is_damaged }: &LogState, ask: AskOwner) -> Answer {
    let AskOwner { user, rights, join } = ask;
    let device = join.as_ref().map(|join| SenderKey { user: user.clone(), device: join.device.clone() });
    let facts = RoomFacts::of(state, *epoch, device.as_ref());
    let Some(join) = join else {
        let may_look = rights.read && state.admits(&user);
        return Answer::Now(if may_look { Ok(facts) } else { Err(forbidden()) });
    };
    let (after, hash) = (join.after, join.hash);
    if let Err(error) = may_join(state, &JoinRequest { user, device: join.device, rights, after, hash }) {
        return Answer::Now(Err(error));
    }
    match (after, hash) {
        (None, _) => Answer::Now(Ok(facts)),
        (Some(after), Some(hash)) if own_hash(state, after) == Some(hash) => Answer::Now(Ok(facts)),
        (Some(after), None) if after <= state.head => Answer::Now(Ok(facts)),
        // What the client has seen there may be restored.
        (Some(after), _) if after > state.head && *is_damaged => Answer::Now(Err(unreadable())),
        (Some(after), _) if after > state.head => Answer::Now(Err(diverged(after, state.head))),
        (Some(after), hash) => Answer::Check((after, hash), facts),
    }
}
