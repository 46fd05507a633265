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
//!     DropExpired   ▶ the log: delete what lies before the floor
//! ```
//! An owner that ends on the way has lost nothing; one that ends after the commit leaves the last step to the next owner.

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

/// What is under way, and what the room is to keep.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Expiry<T> {
    retention: Retention,
    step: Step<T>,
    /// What lies before this number was given to be deleted by this owner.
    dropped: Seq,
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
        Self { retention: Retention::FOR_EVER, step: Step::Idle, dropped: Seq::FIRST }
    }
}

impl<T> RoomCore<T> {
    /// Keeps so much of the room's history, and not all of it.
    #[must_use]
    pub fn retaining(mut self, retention: Retention) -> Self {
        self.expiry.retention = retention;
        self
    }

    /// Begins to let expire what lies before a number.
    pub(super) fn expire(&mut self, (reply, sender): AskedBy<T>, before: Seq, effects: &mut Vec<Effect<T>>) {
        if !matches!(self.expiry.step, Step::Idle) {
            return effects.push(Effect::Reply(reply, Err(Refusal::Busy)));
        }
        let (floor, through) = (self.committed.floor, before.previous().min(self.committed.head));
        if through < floor {
            return self.nothing_expires(reply, effects);
        }
        self.expiry.step = Step::Finding(Some((reply, sender)));
        effects.push(Effect::FindExpirable(Expirable { floor, through, head: through, made_before_ms: None }));
    }

    /// Lets expire what the room is not to keep any longer.
    pub(super) fn retain(&mut self, now_ms: i64, effects: &mut Vec<Effect<T>>) {
        self.drop_expired(effects);
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
            Ok(_) => return self.answer_expiry(asked_by, None, effects),
            Err(_) => {
                let why = Refusal::Unavailable("the room's log cannot be read now".to_owned());
                return self.answer_expiry(asked_by, Some(why), effects);
            }
        };
        if asked_by.is_none() && !self.is_worth_it(last.seq) {
            return;
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
            return self.answer_expiry(asked_by, Some(why), effects);
        }
        if last.seq < self.tentative().floor {
            return self.answer_expiry(asked_by, None, effects);
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
    }

    /// Has deleted what has expired, unless that was done under this ownership.
    pub(super) fn drop_expired(&mut self, effects: &mut Vec<Effect<T>>) {
        if self.committed.floor > self.expiry.dropped {
            self.expiry.dropped = self.committed.floor;
            effects.push(Effect::DropExpired(self.committed.floor));
        }
    }

    /// Gives up what is under way and not numbered yet.
    pub(super) fn abandon_expiry(&mut self, effects: &mut Vec<Effect<T>>) {
        let (Step::Finding(asked_by) | Step::Keeping(asked_by, _)) =
            std::mem::replace(&mut self.expiry.step, Step::Idle)
        else {
            return;
        };
        self.answer_expiry(asked_by, Some(Refusal::Unavailable("the room is moving".to_owned())), effects);
    }

    /// Tells whether a room by itself lets what lies up to this number expire. It waits until that is a part of what stays, so that
    /// a room at its limit is not full of entries which say what has expired.
    fn is_worth_it(&self, last: Seq) -> bool {
        let goes = last.next().since(self.committed.floor);
        let stays = self.committed.head.since(last);
        goes >= (stays / 8).clamp(ENTRIES_MIN, BUCKET_ENTRIES)
    }

    fn answer_expiry(&mut self, asked_by: Option<AskedBy<T>>, why: Option<Refusal>, effects: &mut Vec<Effect<T>>) {
        match (asked_by, why) {
            (None, _) => {}
            (Some((reply, _)), Some(why)) => effects.push(Effect::Reply(reply, Err(why))),
            (Some((reply, _)), None) => self.nothing_expires(reply, effects),
        }
    }

    /// What was asked for holds already.
    fn nothing_expires(&mut self, reply: T, effects: &mut Vec<Effect<T>>) {
        effects.push(Effect::Reply(reply, Ok(Ack { seq: self.committed.head, duplicate: true })));
    }
}
