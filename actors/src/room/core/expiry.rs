//! How entries expire, one step after the other, so that at no moment something is deleted that a later owner needs:
//!
//! ```text
//! asked for, or more is kept than should be
//!   │ FindExpirable ▶ the log: how far can it delete?
//!   ▼ ExpirableFound
//!   │ KeepSnapshot  ▶ the log: the state at the last of these entries, or later; read back
//!   ▼ SnapshotKept
//!   │ a room entry with the new floor and the hash before it, numbered and committed as any other
//!   ▼ Committed
//!   │ DropExpired   ▶ the log: delete what lies before the floor
//!   ▼ Dropped         or not: then once more, at the next look, which comes the later the more often it has failed
//! ```
//! An owner that ends on the way has lost nothing; one that ends after the commit leaves the last step to the next owner. The last
//! step may be done again at any time, as it is always all before the floor that is deleted. What is asked for while another
//! expiry is under way waits for its end, one at a time.

use rollcall_protocol::{Ack, Body, Kind, Salt, Seq, UserId};

use super::{Draft, Phase, RoomCore};
use crate::ports::LogError;
use crate::room::buckets::BUCKET_ENTRIES;
use crate::room::io::{Effect, Expirable, LastExpired, Retention};
use crate::room::refusal::Refusal;
use crate::room::state::RoomChange;
use crate::room::{snapshot, tag::Tag};

/// In whose name a room says what has expired by what it is to keep.
const SENDER: &str = "rollcall";

/// By itself a room lets so few entries expire never: each expiry adds one.
const ENTRIES_MIN: u64 = 2;

/// When a deletion that has failed is tried again, in milliseconds; twice as long after each further failure in a row, up to
/// `DROP_AGAIN_MS_MAX`.
const DROP_AGAIN_MS_MIN: u64 = 1_000;

/// See [`DROP_AGAIN_MS_MIN`].
const DROP_AGAIN_MS_MAX: u64 = 300_000;

/// What is under way, and what the room is to keep.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Expiry<T> {
    retention: Retention,
    step: Step<T>,
    /// What somebody has asked for while another expiry was under way: before which number.
    waiting: Option<(AskedBy<T>, Seq)>,
    deletion: Deletion,
}

/// What this owner has had deleted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Deletion {
    /// What lies before this number was given to be deleted.
    given: Seq,
    /// How often in a row that failed.
    failures: u32,
    /// Whether it failed, and is given again at the next look.
    is_due_again: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step<T> {
    Idle,
    /// The log is asked what may expire.
    Finding(Option<AskedBy<T>>),
    /// A snapshot is stored and read back.
    Keeping(Option<AskedBy<T>>, LastExpired),
}

/// Who waits for an expiry; nobody does where the room is to keep no more by itself.
type AskedBy<T> = (T, UserId);

impl<T> Expiry<T> {
    pub fn new() -> Self {
        let deletion = Deletion { given: Seq::FIRST, failures: 0, is_due_again: false };
        Self { retention: Retention::FOR_EVER, step: Step::Idle, waiting: None, deletion }
    }
}

impl<T> RoomCore<T> {
    /// Keeps so much of the room's history, and not all of it.
    #[must_use]
    pub fn retaining(mut self, retention: Retention) -> Self {
        self.expiry.retention = retention;
        self
    }

    /// Begins to let expire what lies before a number, or has that wait for the end of what is under way.
    pub(super) fn expire(&mut self, asked_by: AskedBy<T>, before: Seq, effects: &mut Vec<Effect<T>>) {
        if !matches!(self.expiry.step, Step::Idle) {
            if self.expiry.waiting.is_some() {
                return effects.push(Effect::Reply(asked_by.0, Err(Refusal::Busy)));
            }
            return self.expiry.waiting = Some((asked_by, before));
        }
        // A floor that is numbered and not committed counts: what is answered by it waits for its commit.
        let (floor, through) = (self.tentative().floor, before.previous().min(self.committed.head));
        if through < floor {
            return self.nothing_expires(asked_by.0, effects);
        }
        self.expiry.step = Step::Finding(Some(asked_by));
        effects.push(Effect::FindExpirable(Expirable { floor, through, head: through, made_before_ms: None }));
    }

    /// Lets expire what the room is not to keep any longer.
    pub(super) fn retain(&mut self, now_ms: i64, effects: &mut Vec<Effect<T>>) {
        self.drop_expired(effects);
        self.drop_again(effects);
        let Retention { entries_max, age_max_ms } = self.expiry.retention;
        if self.phase != Phase::Active || !matches!(self.expiry.step, Step::Idle) {
            return;
        }
        let (floor, head) = (self.committed.floor, self.committed.head);
        let surplus = entries_max.map_or(0, |kept| head.get().saturating_sub(kept));
        let through = Seq::new(surplus);
        let made_before_ms = age_max_ms.map(|age| now_ms.saturating_sub_unsigned(age));
        if head < floor || made_before_ms.is_none() && !self.is_worth_it(through) {
            return;
        }
        self.expiry.step = Step::Finding(None);
        effects.push(Effect::FindExpirable(Expirable { floor, through, head, made_before_ms }));
    }

    /// The log has said what may expire.
    pub(super) fn expirable_found(
        &mut self,
        found: &Result<Option<LastExpired>, LogError>,
        effects: &mut Vec<Effect<T>>,
    ) {
        let asked_by = match std::mem::replace(&mut self.expiry.step, Step::Idle) {
            Step::Finding(asked_by) => asked_by,
            other => return self.expiry.step = other,
        };
        let last = match found {
            Ok(Some(last)) if last.seq >= self.committed.floor && last.seq <= self.committed.head => *last,
            Ok(_) => return self.end_expiry(asked_by, None, effects),
            Err(_) => {
                let why = Refusal::Unavailable("the room's log cannot be read now".to_owned());
                return self.end_expiry(asked_by, Some(why), effects);
            }
        };
        if asked_by.is_none() && !self.is_worth_it(last.seq) {
            return self.end_expiry(None, None, effects);
        }
        self.last_snapshot = self.committed.head;
        self.plan_snapshot();
        effects.push(Effect::KeepSnapshot(snapshot::encode(&self.committed)));
        self.expiry.step = Step::Keeping(asked_by, last);
    }

    /// A snapshot was stored and read back, or not: only what it covers may go.
    pub(super) fn snapshot_kept(&mut self, now_ms: i64, seq: Option<Seq>, salt: Salt, effects: &mut Vec<Effect<T>>) {
        let (asked_by, last) = match std::mem::replace(&mut self.expiry.step, Step::Idle) {
            Step::Keeping(asked_by, last) => (asked_by, last),
            other => return self.expiry.step = other,
        };
        if seq.is_none_or(|seq| seq < last.seq) {
            let why = Refusal::Unavailable("the room's state could not be stored".to_owned());
            return self.end_expiry(asked_by, Some(why), effects);
        }
        if last.seq < self.tentative().floor {
            return self.end_expiry(asked_by, None, effects);
        }
        let (reply, sender) = match asked_by {
            Some((reply, sender)) => (Some(reply), sender),
            None => (None, UserId::parse(SENDER).expect("it is a name")),
        };
        let (floor, floor_hash) = (Some(last.seq.next()), Some(last.hash));
        let body = Body::from_value(&RoomChange { floor, floor_hash, ..RoomChange::default() });
        let body = body.expect("a change is small and of plain fields");
        let tag = Tag::of(Kind::Room, None, Some(&body));
        let draft = Draft { kind: Kind::Room, sender, n: 0, target: None, body: Some(body), salt };
        self.number(now_ms, draft, None, Some(tag), reply);
        self.append_next(effects);
        self.expire_next(effects);
    }

    /// Has deleted what has expired, unless that was begun under this ownership.
    pub(super) fn drop_expired(&mut self, effects: &mut Vec<Effect<T>>) {
        if self.committed.floor > self.expiry.deletion.given {
            self.expiry.deletion.given = self.committed.floor;
            self.expiry.deletion.is_due_again = false;
            effects.push(Effect::DropExpired(self.committed.floor));
        }
    }

    /// Has deleted once more what could not be.
    fn drop_again(&mut self, effects: &mut Vec<Effect<T>>) {
        if self.phase == Phase::Active && std::mem::take(&mut self.expiry.deletion.is_due_again) {
            effects.push(Effect::DropExpired(self.expiry.deletion.given));
        }
    }

    /// What lies before a number was deleted, or could not be.
    pub(super) fn dropped(&mut self, before: Seq, is_done: bool, effects: &mut Vec<Effect<T>>) {
        let deletion = &mut self.expiry.deletion;
        // One that was given later deletes this, too.
        if before != deletion.given {
            return;
        }
        if is_done {
            deletion.failures = 0;
            return;
        }
        let after_ms = DROP_AGAIN_MS_MIN.saturating_mul(1 << deletion.failures.min(30)).min(DROP_AGAIN_MS_MAX);
        deletion.failures = deletion.failures.saturating_add(1);
        deletion.is_due_again = true;
        if self.phase == Phase::Active {
            effects.push(Effect::LookAgain { after_ms });
        }
    }

    /// Gives up what is under way and not numbered yet, and what waits for that.
    pub(super) fn abandon_expiry(&mut self, effects: &mut Vec<Effect<T>>) {
        let under_way = match std::mem::replace(&mut self.expiry.step, Step::Idle) {
            Step::Finding(asked_by) | Step::Keeping(asked_by, _) => asked_by,
            Step::Idle => None,
        };
        let waiting = self.expiry.waiting.take().map(|(asked_by, _)| asked_by);
        let moving = Refusal::Unavailable("the room is moving".to_owned());
        effects.extend(
            [under_way, waiting].into_iter().flatten().map(|(reply, _)| Effect::Reply(reply, Err(moving.clone()))),
        );
    }

    /// Tells whether a room by itself lets what lies up to this number expire. It waits until that is a part of what stays, so that
    /// a room at its limit is not full of entries which say what has expired.
    fn is_worth_it(&self, last: Seq) -> bool {
        let goes = last.next().since(self.committed.floor);
        let stays = self.committed.head.since(last);
        goes >= (stays / 8).clamp(ENTRIES_MIN, BUCKET_ENTRIES)
    }

    /// Ends an expiry that comes to nothing, and begins the one that waits.
    fn end_expiry(&mut self, asked_by: Option<AskedBy<T>>, why: Option<Refusal>, effects: &mut Vec<Effect<T>>) {
        match (asked_by, why) {
            (None, _) => {}
            (Some((reply, _)), Some(why)) => effects.push(Effect::Reply(reply, Err(why))),
            (Some((reply, _)), None) => self.nothing_expires(reply, effects),
        }
        self.expire_next(effects);
    }

    fn expire_next(&mut self, effects: &mut Vec<Effect<T>>) {
        if let Some((asked_by, before)) = self.expiry.waiting.take() {
            self.expire(asked_by, before, effects);
        }
    }

    /// What was asked for holds already, or will when all that is numbered is committed.
    fn nothing_expires(&mut self, reply: T, effects: &mut Vec<Effect<T>>) {
        let head = self.tentative().head;
        self.answer_after(head, reply, Ok(Ack { seq: head, duplicate: true }), effects);
    }
}
