//! The room's actor: feeds the core and carries out its effects. Its mailbox is the room's order; no handler waits for the log,
//! whose answers are cast back into the same mailbox.

mod damaged;
mod expiry;
mod joining;
mod targets;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use rand::Rng as _;
use rollcall_protocol::{Entry, Epoch, ErrorFrame, OwnerId, Salt, Seq};

use self::damaged::{Damaged, FoundLater, damaged};
use super::activation::{Activation, ActivationError, activate_suspected};
use super::admission::Lease;
use super::cluster::OwnerLink;
use super::damage::DamageFound;
use super::directory::Shared;
use super::handle::{RoomHandle, Viewed, moving};
use super::joins::forbidden;
use super::redactions::Redactions;
use super::replies::{ReadReply, WriteReply};
use super::request::{JoinRequest, Request, RoomView, ViewRequest, WriteRequest};
use super::work::{Mailbox, report};
use crate::cluster::RoomFacts;
use crate::ports::{Activate, Append, AppendOutcome, LogError, NotCommitted};
use crate::room::{Change, Effect, Input, LastExpired, Refusal, RoomCore, RoomState, SenderKey, StopReason, Target};

/// What is told of work in which the log panicked.
const PANICKED: &str = "the log panicked";

/// What comes into a room's mailbox.
#[derive(Debug)]
pub(super) enum RoomMsg {
    /// The room's own handle, once it exists, and a hold on the room until the log has activated it: of two activations that are
    /// under way the later one would fence the other. In a cluster, whom to tell what becomes of the room.
    Begin(Arc<RoomHandle>, Lease, Option<OwnerLink>),
    /// The log answered the activation.
    Activated(Box<Result<Activation, ActivationError>>),
    /// Somebody asks.
    Request(Request),
    /// The log answered the append.
    Appended(AppendOutcome),
    /// The log answered what the device's waiting write is about.
    TargetFound(SenderKey, Target),
    /// The log answered whether a join's cursor lies on the room's history.
    JoinChecked(Box<JoinRequest>, ReadReply, Result<(), ErrorFrame>),
    /// The log has said what may expire.
    ExpirableFound(Result<Option<LastExpired>, LogError>),
    /// The log has stored a snapshot for an expiry, and shown which it has.
    SnapshotKept(Option<Seq>),
    /// A read of the room's log has shown that it is damaged.
    DamageFound,
    /// The log was asked again for what was found damaged; says whether that is whole by now.
    LookedAgain(DamageFound, bool),
    /// The log has deleted what lies before a number, or could not.
    Dropped(Seq, bool),
    /// Nothing was asked for a while.
    Rest,
    /// It is time to look whether entries have come of age, and to do again what has failed.
    Retain,
    /// The room is to be given up; with `goes_on` another node takes it at once.
    Drain { goes_on: bool },
}

impl Mailbox for ActorRef<RoomMsg> {
    type Message = RoomMsg;

    fn put(&self, message: RoomMsg) {
        let _ = self.cast(message);
    }
}

/// The actor; all it has is in its state.
pub(super) struct RoomActor;

/// A room on this node.
pub(super) struct RoomActorState {
    shared: Arc<Shared>,
    /// Its own handle; what it shares with those outside.
    handle: Option<Arc<RoomHandle>>,
    phase: Phase,
    /// In a cluster: the node, which is told what others want to know of the room.
    link: Option<OwnerLink>,
    /// What of the log was known to be damaged when it was asked last: an activation looks there.
    looked_at: Option<DamageFound>,
    effects: Vec<Effect<WriteReply>>,
}

enum Phase {
    /// The log is being asked; who came meanwhile waits. Bounded by the room's admission.
    Activating(Vec<Request>),
    Active(Box<Active>),
    /// The log was found damaged when it was activated: what comes before that is shown, and nothing is written. Not in a cluster, where
    /// the log is asked without an owner.
    Damaged(Box<Damaged>),
    Over,
}

impl Phase {
    /// Returns the state that is shown, and under which ownership.
    fn shown(&self) -> Option<(&RoomState, Epoch)> {
        match self {
            Self::Active(active) => Some((active.core.committed(), active.core.fence().epoch)),
            Self::Damaged(damaged) => Some(damaged.shown()),
            Self::Activating(_) | Self::Over => None,
        }
    }
}

struct Active {
    core: RoomCore<WriteReply>,
    /// Writes whose target is being read from the log, and those of the same device that came after, in order.
    lookups: BTreeMap<SenderKey, Lookup>,
    /// Those that a write may have missed whose target was looked at before its turn.
    redactions: Redactions,
    /// Where the log was found damaged since, which [`Damage`](super::damage::Damage) knows: nothing more is numbered.
    damage: Option<FoundLater>,
}

/// A look at a write's target in the log.
struct Lookup {
    /// The room's head when it began.
    began: Seq,
    /// The write, and those of its device that came after it.
    waiting: VecDeque<(Box<WriteRequest>, WriteReply)>,
}

impl Actor for RoomActor {
    type Msg = RoomMsg;
    type State = RoomActorState;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        _myself: ActorRef<RoomMsg>,
        shared: Arc<Shared>,
    ) -> Result<RoomActorState, ActorProcessingErr> {
        Ok(RoomActorState {
            shared,
            handle: None,
            phase: Phase::Activating(Vec::new()),
            link: None,
            looked_at: None,
            effects: Vec::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<RoomMsg>,
        message: RoomMsg,
        state: &mut RoomActorState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RoomMsg::Begin(handle, lease, link) => state.begin(&myself, handle, lease, link),
            RoomMsg::Activated(result) => state.activated(&myself, *result),
            RoomMsg::Request(request) => state.request(&myself, request),
            RoomMsg::Appended(outcome) => state.appended(&myself, outcome),
            RoomMsg::TargetFound(key, target) => state.target_found(&myself, &key, target),
            RoomMsg::JoinChecked(join, reply, result) => state.join_checked(&join, reply, result),
            RoomMsg::ExpirableFound(found) => state.expirable_found(&myself, found),
            RoomMsg::SnapshotKept(seq) => state.snapshot_kept(&myself, seq),
            RoomMsg::DamageFound => _ = state.found_damaged(),
            RoomMsg::LookedAgain(looked_at, is_whole) => state.looked_again(&myself, &looked_at, is_whole),
            RoomMsg::Dropped(before, is_done) => state.feed(&myself, Input::Dropped { before, is_done }),
            RoomMsg::Rest => state.feed(&myself, Input::Rest),
            RoomMsg::Retain => state.retain(&myself),
            RoomMsg::Drain { goes_on } => state.drain(&myself, goes_on),
        }
        Ok(())
    }
}

impl RoomActorState {
    fn begin(&mut self, myself: &ActorRef<RoomMsg>, handle: Arc<RoomHandle>, lease: Lease, link: Option<OwnerLink>) {
        let (log, room, actor) = (self.shared.log(), handle.tail.room().clone(), myself.clone());
        self.handle = Some(handle);
        let owner = OwnerId(rand::random());
        let with = link.as_ref().map_or_else(|| Activate::by(owner), |link| link.activate(owner));
        self.link = link;
        let lost = Err(ActivationError::Log(LogError::Unavailable(PANICKED.to_owned())));
        let suspect = self.shared.damage.of(&room);
        self.looked_at.clone_from(&suspect);
        let (shared, is_in_cluster) = (Arc::clone(&self.shared), self.link.is_some());
        let work = async move {
            let _lease = lease;
            let activation = activate_suspected(&*log, &room, with, suspect);
            if !is_in_cluster {
                return activation.await;
            }
            let stops = || Err(ActivationError::Log(LogError::Unavailable("the node stops".to_owned())));
            shared.places.within(activation).await.unwrap_or_else(stops)
        };
        self.shared.spawn(report(actor, work, lost, |result| RoomMsg::Activated(Box::new(result))));
    }

    fn activated(&mut self, myself: &ActorRef<RoomMsg>, result: Result<Activation, ActivationError>) {
        match self.phase {
            Phase::Activating(_) => self.first_activated(myself, result),
            Phase::Damaged(_) => self.activated_again(myself, result),
            Phase::Active(_) | Phase::Over => {
                if let (Ok(Activation { fence, .. }), Some(handle)) = (result, &self.handle) {
                    self.shared.log().release(handle.tail.room(), fence);
                }
            }
        }
    }

    fn first_activated(&mut self, myself: &ActorRef<RoomMsg>, result: Result<Activation, ActivationError>) {
        let (Phase::Activating(waiting), Some(handle)) = (&mut self.phase, &self.handle) else { return };
        match result {
            Ok(Activation { fence, replaced, state, last_snapshot }) => {
                let waiting = std::mem::take(waiting);
                handle.tail.begin(state.head);
                if let Some(link) = &mut self.link {
                    link.activated(fence, replaced, &state);
                }
                let core = RoomCore::new(fence, state, last_snapshot).retaining(self.shared.settings.retention);
                self.phase = Phase::Active(Box::new(Active {
                    core,
                    lookups: BTreeMap::new(),
                    redactions: Redactions::default(),
                    damage: None,
                }));
                let room = handle.tail.room().clone();
                self.damage_is_over(&room);
                // In a cluster once others may see what it numbers.
                if self.link.is_none() {
                    self.feed(myself, Input::Retain);
                }
                waiting.into_iter().for_each(|request| self.request(myself, request));
            }
            Err(ActivationError::Damaged(damaged)) => {
                let room = handle.tail.room();
                self.shared.damage.found(room, damaged.entry, &damaged.reason);
                if self.link.is_some() {
                    let refusal = self.shared.activation_failed(room);
                    return self.over(myself, &refusal);
                }
                let waiting = std::mem::take(waiting);
                self.show_damaged(*damaged);
                waiting.into_iter().for_each(|request| self.request(myself, request));
            }
            Err(ActivationError::Log(error)) => {
                let room = handle.tail.room();
                tracing::warn!(%room, %error, "failed to activate a room");
                let refusal = self.shared.activation_failed(room);
                self.over(myself, &refusal);
            }
        }
    }

    fn request(&mut self, myself: &ActorRef<RoomMsg>, request: Request) {
        if matches!(request, Request::Write(..) | Request::Change(..)) && self.found_damaged() {
            request.refuse(damaged());
            return self.look_again(myself);
        }
        match (&mut self.phase, request) {
            (Phase::Over, request) => request.refuse(moving()),
            (Phase::Activating(waiting), request) => waiting.push(request),
            (Phase::Active(_), Request::Write(write, reply)) => self.write(myself, write, reply),
            (Phase::Active(_), Request::Change(change, reply)) => {
                let reply = WriteReply::Here(reply);
                let change = Change { reply, sender: change.user, what: change.what, salt: draw_salt() };
                self.feed(myself, Input::Change(change));
            }
            (Phase::Damaged(_), request @ (Request::Write(..) | Request::Change(..))) => {
                request.refuse(damaged());
                self.try_again(myself);
            }
            (Phase::Active(_) | Phase::Damaged(_), Request::Join(join, reply)) => self.check_join(myself, join, reply),
            (Phase::Active(_) | Phase::Damaged(_), Request::View(view, reply)) => self.view(&view, reply),
        }
    }

    fn appended(&mut self, myself: &ActorRef<RoomMsg>, outcome: AppendOutcome) {
        let Some(handle) = &self.handle else { return };
        let room = handle.tail.room();
        let input = match outcome {
            AppendOutcome::Committed => Input::Committed,
            AppendOutcome::NotCommitted(NotCommitted::Damaged(reason)) => {
                self.shared.damage.found(room, handle.tail.head().next(), &reason);
                Input::NotCommitted(NotCommitted::Damaged(reason))
            }
            AppendOutcome::NotCommitted(reason) => {
                tracing::warn!(%room, ?reason, "the log refused an append");
                Input::NotCommitted(reason)
            }
            AppendOutcome::Unknown(reason) => {
                tracing::warn!(%room, %reason, "an append's outcome is unknown");
                Input::Unknown
            }
        };
        self.feed(myself, input);
    }

    fn drain(&mut self, myself: &ActorRef<RoomMsg>, goes_on: bool) {
        match self.phase {
            Phase::Active(_) => self.feed(myself, Input::Drain { goes_on }),
            Phase::Activating(_) | Phase::Damaged(_) => self.over(myself, &moving()),
            Phase::Over => {}
        }
    }

    /// Gives the core an input and carries out what it wants.
    fn feed(&mut self, myself: &ActorRef<RoomMsg>, input: Input<WriteReply>) {
        let Phase::Active(active) = &mut self.phase else { return };
        let Some(handle) = self.handle.clone() else { return };
        let mut effects = std::mem::take(&mut self.effects);
        let floor_before = active.core.committed().floor;
        active.core.handle(self.shared.now_ms(), input, &mut effects);
        let (fence, is_damaged) = (active.core.fence(), self.shared.damage.of(handle.tail.room()).is_some());
        let floor = active.core.committed().floor;
        self.shared.count_expired(floor.since(floor_before));
        let stopped = effects.iter().find_map(|effect| match effect {
            Effect::Stop(reason) => Some(*reason),
            _ => None,
        });
        if stopped.is_some() {
            self.shared.forget(&handle);
        }
        // In a cluster what was committed and the answers to other nodes go out together.
        let (mut committed, mut replies) = (None, Vec::new());
        for effect in effects.drain(..) {
            match effect {
                Effect::Append(entries) => {
                    let append = Append { room: handle.tail.room().clone(), fence, entries };
                    let outcome = self.shared.log().append(append);
                    let lost = AppendOutcome::Unknown(PANICKED.to_owned());
                    self.shared.spawn(report(myself.clone(), outcome, lost, RoomMsg::Appended));
                }
                Effect::Deliver(entries) => committed = self.deliver(&handle, entries),
                Effect::Reply(WriteReply::Here(reply), answer) => reply.write(answer, floor),
                Effect::Reply(WriteReply::There(forwarded), answer) => replies.push(forwarded.reply(answer)),
                // It would hide the damage from whoever activates the room next.
                Effect::Snapshot(_) if is_damaged => {}
                Effect::Snapshot(snapshot) => {
                    let (log, room) = (self.shared.log(), handle.tail.room().clone());
                    self.shared.spawn(async move {
                        if let Err(error) = log.write_snapshot(&room, snapshot).await {
                            tracing::warn!(%room, %error, "failed to store a snapshot");
                        }
                    });
                }
                Effect::FindExpirable(expirable) => self.find_expirable(myself, expirable),
                Effect::KeepSnapshot(snapshot) => self.keep_snapshot(myself, snapshot),
                Effect::DropExpired(floor) => self.drop_expired(myself, floor),
                Effect::LookAgain { after_ms } => Self::retain_after(myself, after_ms),
                Effect::Stop(reason) => {
                    tracing::debug!(room = %handle.tail.room(), ?reason, "gave a room up");
                }
            }
        }
        self.effects = effects;
        if let Some(link) = &self.link {
            link.progressed(committed, replies);
        }
        if let Some(reason) = stopped {
            // What an append became of which nobody knows, the log itself goes on with.
            if reason != StopReason::OutcomeUnknown {
                self.shared.log().release(handle.tail.room(), fence);
            }
            self.over(myself, &moving());
            if let Some(link) = self.link.take() {
                link.stopped(reason);
            }
        }
    }

    /// Shows committed entries to everybody here; returns what is to be shown elsewhere, and the room's floor.
    fn deliver(&mut self, handle: &RoomHandle, entries: Arc<[Entry]>) -> Option<(Arc<[Entry]>, Seq)> {
        self.shared.count_committed(&entries);
        let Phase::Active(active) = &mut self.phase else { return None };
        // A write waits for its turn behind no more than the queue holds, and perhaps the room's creation.
        let queue_entries = self.shared.queue_entries_max() as u64 + 1;
        active.redactions.forget_before(entries[0].seq, queue_entries);
        let entries = active.redactions.take_in(entries);
        handle.tail.push(Arc::clone(&entries));
        Some((entries, active.core.committed().floor))
    }

    /// Ends the actor: the directory forgets it first, so that whoever is told to come again finds the next one. Then whoever
    /// still waits is told so.
    fn over(&mut self, myself: &ActorRef<RoomMsg>, refusal: &Refusal) {
        if let Some(handle) = &self.handle {
            self.shared.forget(handle);
        }
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Activating(waiting) => waiting.into_iter().for_each(|request| request.refuse(refusal.clone())),
            Phase::Active(active) => {
                if active.damage.is_some() {
                    self.hide_damage();
                }
                let waiting = active.lookups.into_values().flat_map(|lookup| lookup.waiting);
                waiting.for_each(|(_, reply)| reply.refuse(refusal.clone()));
            }
            Phase::Damaged(_) => self.hide_damage(),
            Phase::Over => {}
        }
        myself.stop(None);
    }

    fn view(&self, view: &ViewRequest, reply: ReadReply) {
        let (Some((state, epoch)), Some(handle)) = (self.phase.shown(), &self.handle) else {
            return reply.refuse(moving());
        };
        if !view.rights.read || !state.admits(&view.user) {
            return reply.fail(forbidden());
        }
        let facts = RoomFacts::of(state, epoch, None);
        match reply {
            ReadReply::There(asked) => asked.tell(Ok(facts)),
            ReadReply::Here(reply) => {
                let view = RoomView::new(handle.tail.room().clone(), facts);
                reply.view(Ok(Viewed { view, room: Arc::clone(handle) }));
            }
        }
    }
}

fn draw_salt() -> Salt {
    let mut salt = [0; 16];
    rand::rng().fill_bytes(&mut salt);
    Salt(salt)
}
