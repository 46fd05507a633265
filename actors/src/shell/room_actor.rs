//! The room's actor: feeds the core and carries out its effects. Its mailbox is the room's order; no handler waits for the log,
//! whose answers are cast back into the same mailbox.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use rand::Rng as _;
use rollcall_protocol::{Entry, ErrorCode, ErrorFrame, Joined, OwnerId, Salt, Seq};

use super::activation::{Activation, activate};
use super::directory::Shared;
use super::handle::{RoomHandle, Subscribed};
use super::inbox::ReplySlot;
use super::request::{JoinRequest, Request, RoomView, ViewRequest, WriteRequest, diverged, expired};
use crate::ports::{Append, AppendOutcome, LogError, ReadRange};
use crate::room::{Change, Effect, Input, Refusal, RoomCore, SenderKey, Submit, Target};

/// What comes into a room's mailbox.
#[derive(Debug)]
pub(super) enum RoomMsg {
    /// The room's own handle, once it exists.
    Begin(Arc<RoomHandle>),
    /// The log answered the activation.
    Activated(Box<Result<Activation, LogError>>),
    /// Somebody asks.
    Request(Request),
    /// The log answered the append.
    Appended(AppendOutcome),
    /// The log answered what the device's waiting write is about.
    TargetFound(SenderKey, Target),
    /// The log answered whether a join's cursor lies on the room's history.
    JoinChecked(Box<JoinRequest>, ReplySlot, Result<(), ErrorFrame>),
    /// The room is to be given up.
    Drain,
}

/// The actor; all it has is in its state.
pub(super) struct RoomActor;

/// A room on this node.
pub(super) struct RoomActorState {
    shared: Arc<Shared>,
    /// Its own handle; what it shares with those outside.
    handle: Option<Arc<RoomHandle>>,
    phase: Phase,
    effects: Vec<Effect<ReplySlot>>,
}

enum Phase {
    /// The log is being asked; who came meanwhile waits. Bounded by the room's admission.
    Activating(Vec<Request>),
    Active(Box<Active>),
    Over,
}

struct Active {
    core: RoomCore<ReplySlot>,
    /// Writes whose target is being read from the log, and those of the same device that came after, in order.
    lookups: BTreeMap<SenderKey, VecDeque<(Box<WriteRequest>, ReplySlot)>>,
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
        Ok(RoomActorState { shared, handle: None, phase: Phase::Activating(Vec::new()), effects: Vec::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<RoomMsg>,
        message: RoomMsg,
        state: &mut RoomActorState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RoomMsg::Begin(handle) => state.begin(&myself, handle),
            RoomMsg::Activated(result) => state.activated(&myself, *result),
            RoomMsg::Request(request) => state.request(&myself, request),
            RoomMsg::Appended(outcome) => state.appended(&myself, outcome),
            RoomMsg::TargetFound(key, target) => state.target_found(&myself, &key, target),
            RoomMsg::JoinChecked(join, reply, Ok(())) => state.join(&join, reply),
            RoomMsg::JoinChecked(_, reply, Err(error)) => reply.joined(Err(error)),
            RoomMsg::Drain => state.drain(&myself),
        }
        Ok(())
    }
}

impl RoomActorState {
    fn begin(&mut self, myself: &ActorRef<RoomMsg>, handle: Arc<RoomHandle>) {
        let (log, room, actor) = (self.shared.log(), handle.tail.room().clone(), myself.clone());
        self.handle = Some(handle);
        let owner = OwnerId(rand::random());
        self.shared.spawn(async move {
            let result = activate(&*log, &room, owner).await;
            let _ = actor.cast(RoomMsg::Activated(Box::new(result)));
        });
    }

    fn activated(&mut self, myself: &ActorRef<RoomMsg>, result: Result<Activation, LogError>) {
        let Phase::Activating(waiting) = std::mem::replace(&mut self.phase, Phase::Over) else { return };
        let Some(handle) = self.handle.clone() else { return };
        match result {
            Ok(Activation { fence, state, last_snapshot }) => {
                handle.tail.begin(state.head);
                let core = RoomCore::new(fence, state, last_snapshot);
                self.phase = Phase::Active(Box::new(Active { core, lookups: BTreeMap::new() }));
                waiting.into_iter().for_each(|request| self.request(myself, request));
            }
            Err(error) => {
                let room = handle.tail.room();
                tracing::warn!(%room, %error, "failed to activate a room");
                let why = || Refusal::Unavailable("the room's log cannot be read now".to_owned());
                waiting.into_iter().for_each(|request| request.into_reply().refuse(why()));
                self.over(myself);
            }
        }
    }

    fn request(&mut self, myself: &ActorRef<RoomMsg>, request: Request) {
        match (&mut self.phase, request) {
            (Phase::Over, request) => {
                request.into_reply().refuse(Refusal::Unavailable("the room is moving".to_owned()));
            }
            (Phase::Activating(waiting), request) => waiting.push(request),
            (Phase::Active(_), Request::Write(write, reply)) => self.write(myself, write, reply),
            (Phase::Active(_), Request::Change(change, reply)) => {
                let change = Change { reply, sender: change.user, what: change.what, salt: draw_salt() };
                self.feed(myself, Input::Change(change));
            }
            (Phase::Active(_), Request::Join(join, reply)) => self.check_join(myself, join, reply),
            (Phase::Active(active), Request::View(view, reply)) => reply.view(active.view(self.handle.as_ref(), &view)),
        }
    }

    /// Passes a write to the core, once what it is about is known. Writes of one device keep their order: while one waits for the
    /// log, those after it wait behind it.
    fn write(&mut self, myself: &ActorRef<RoomMsg>, write: Box<WriteRequest>, reply: ReplySlot) {
        let Phase::Active(active) = &mut self.phase else { return };
        let key = SenderKey { user: write.user.clone(), device: write.device.clone() };
        if let Some(waiting) = active.lookups.get_mut(&key) {
            waiting.push_back((write, reply));
            return;
        }
        match self.find_target(&write) {
            Found::Known(target) => self.submit(myself, *write, target, reply),
            Found::AskLog(seq) => {
                self.look_up(myself, key.clone(), seq);
                if let Phase::Active(active) = &mut self.phase {
                    active.lookups.insert(key, VecDeque::from([(write, reply)]));
                }
            }
        }
    }

    fn find_target(&self, write: &WriteRequest) -> Found {
        let (Some(seq), Phase::Active(active)) = (write.target, &self.phase) else { return Found::Known(None) };
        let state = active.core.committed();
        if seq == Seq::ZERO || seq > state.head {
            return Found::Known(Some(Target::Absent(seq)));
        }
        if seq < state.floor {
            return Found::Known(Some(Target::Expired(seq)));
        }
        let recent = self.handle.as_ref().and_then(|handle| handle.tail.find(seq, target_of));
        recent.map_or(Found::AskLog(seq), |target| Found::Known(Some(target)))
    }

    fn look_up(&self, myself: &ActorRef<RoomMsg>, key: SenderKey, seq: Seq) {
        let Some(handle) = self.handle.clone() else { return };
        let (log, room, actor) = (self.shared.log(), handle.tail.room().clone(), myself.clone());
        self.shared.spawn(async move {
            let target = match log.read(&room, only(seq)).await {
                Ok(entries) => entries.first().map_or(Target::Absent(seq), target_of),
                Err(LogError::Expired { .. }) => Target::Expired(seq),
                Err(LogError::Unavailable(_) | LogError::Damaged(_)) => Target::Unreadable(seq),
            };
            let _ = actor.cast(RoomMsg::TargetFound(key, target));
        });
    }

    fn target_found(&mut self, myself: &ActorRef<RoomMsg>, key: &SenderKey, target: Target) {
        let Phase::Active(active) = &mut self.phase else { return };
        let Some(mut waiting) = active.lookups.remove(key) else { return };
        let Some((first, reply)) = waiting.pop_front() else { return };
        self.submit(myself, *first, Some(target), reply);
        // Those that waited take their turn; should another of them have to ask the log, the rest waits behind it again.
        waiting.into_iter().for_each(|(write, reply)| self.write(myself, write, reply));
    }

    fn submit(&mut self, myself: &ActorRef<RoomMsg>, write: WriteRequest, target: Option<Target>, reply: ReplySlot) {
        let submit = Submit {
            reply,
            sender: write.user,
            device: write.device,
            n: write.n,
            prev: write.prev,
            since: write.since,
            op: write.op,
            target,
            body: write.body,
            salt: draw_salt(),
            rights: write.rights,
        };
        self.feed(myself, Input::Submit(submit));
    }

    /// Joins at once where the room itself knows that the cursor lies on its history, and asks the log where it does not.
    fn check_join(&mut self, myself: &ActorRef<RoomMsg>, join: Box<JoinRequest>, reply: ReplySlot) {
        let Phase::Active(active) = &self.phase else { return };
        let state = active.core.committed();
        if !join.rights.read || !state.admits(&join.user) {
            return reply.joined(Err(ErrorFrame::new(ErrorCode::Forbidden, "reading this room is not allowed")));
        }
        let Some(after) = join.after else { return self.join(&join, reply) };
        if after.next() < state.floor {
            return reply.joined(Err(expired(after, state.floor)));
        }
        let Some(handle) = self.handle.clone() else { return };
        let own_hash = if after == state.head {
            Some(state.hash)
        } else if after.next() == state.floor {
            Some(state.floor_hash)
        } else {
            handle.tail.find(after, |entry| entry.hash)
        };
        let head = state.head;
        match (join.hash, own_hash) {
            (None, _) if after <= head => self.join(&join, reply),
            (Some(theirs), Some(ours)) if theirs == ours => self.join(&join, reply),
            (Some(_), Some(_)) => reply.joined(Err(diverged(after, head))),
            _ => self.check_join_in_log(myself, join, reply, after),
        }
    }

    fn check_join_in_log(&self, myself: &ActorRef<RoomMsg>, join: Box<JoinRequest>, reply: ReplySlot, after: Seq) {
        let Some(handle) = self.handle.clone() else { return };
        let (log, room, actor) = (self.shared.log(), handle.tail.room().clone(), myself.clone());
        self.shared.spawn(async move {
            let away =
                |_| ErrorFrame::new(ErrorCode::Unavailable, "the room's log cannot be read now").retry_after_ms(200);
            let result = async {
                let last = log.tail(&room).await.map_err(away)?.map_or(Seq::ZERO, |tail| tail.last_seq);
                if after > last {
                    return Err(diverged(after, last));
                }
                let entries = log.read(&room, only(after)).await.map_err(away)?;
                let ours = entries.first().map(|entry| entry.hash);
                if join.hash.is_some() && join.hash != ours { Err(diverged(after, last)) } else { Ok(()) }
            };
            let result = result.await;
            let _ = actor.cast(RoomMsg::JoinChecked(join, reply, result));
        });
    }

    fn join(&self, join: &JoinRequest, reply: ReplySlot) {
        let (Phase::Active(active), Some(handle)) = (&self.phase, self.handle.clone()) else {
            return reply.refuse(Refusal::Unavailable("the room is moving".to_owned()));
        };
        let state = active.core.committed();
        let key = SenderKey { user: join.user.clone(), device: join.device.clone() };
        let joined = Joined {
            room: handle.tail.room().clone(),
            epoch: active.core.fence().epoch,
            head: state.head,
            floor: state.floor,
            hash: state.hash,
            last_n: state.last_n(&key),
        };
        let cursor = join.after.unwrap_or(state.head);
        let inbox = Arc::clone(reply.inbox());
        reply.joined(Ok(Subscribed::new(joined, cursor, handle, inbox)));
    }

    fn appended(&mut self, myself: &ActorRef<RoomMsg>, outcome: AppendOutcome) {
        let input = match outcome {
            AppendOutcome::Committed => Input::Committed,
            AppendOutcome::NotCommitted(reason) => {
                tracing::warn!(?reason, "the log refused an append");
                Input::NotCommitted(reason)
            }
            AppendOutcome::Unknown(reason) => {
                tracing::warn!(%reason, "an append's outcome is unknown");
                Input::Unknown
            }
        };
        self.feed(myself, input);
    }

    fn drain(&mut self, myself: &ActorRef<RoomMsg>) {
        match &mut self.phase {
            Phase::Active(_) => self.feed(myself, Input::Drain),
            Phase::Activating(waiting) => {
                let why = || Refusal::Unavailable("the room is moving".to_owned());
                waiting.drain(..).for_each(|request| request.into_reply().refuse(why()));
                self.over(myself);
            }
            Phase::Over => {}
        }
    }

    /// Gives the core an input and carries out what it wants.
    fn feed(&mut self, myself: &ActorRef<RoomMsg>, input: Input<ReplySlot>) {
        let Phase::Active(active) = &mut self.phase else { return };
        let Some(handle) = self.handle.clone() else { return };
        let mut effects = std::mem::take(&mut self.effects);
        active.core.handle(self.shared.now_ms(), input, &mut effects);
        let fence = active.core.fence();
        for effect in effects.drain(..) {
            match effect {
                Effect::Append(entries) => {
                    let append = Append { room: handle.tail.room().clone(), fence, entries };
                    let (outcome, actor) = (self.shared.log().append(append), myself.clone());
                    self.shared.spawn(async move {
                        let outcome = outcome.await;
                        let _ = actor.cast(RoomMsg::Appended(outcome));
                    });
                }
                Effect::Deliver(entries) => {
                    self.shared.count_committed(&entries);
                    handle.tail.push(entries);
                }
                Effect::Reply(reply, answer) => reply.write(answer),
                Effect::Snapshot(snapshot) => {
                    let (log, room) = (self.shared.log(), handle.tail.room().clone());
                    self.shared.spawn(async move {
                        if let Err(error) = log.write_snapshot(&room, snapshot).await {
                            tracing::warn!(%room, %error, "failed to store a snapshot");
                        }
                    });
                }
                Effect::Stop(reason) => {
                    tracing::debug!(room = %handle.tail.room(), ?reason, "gave a room up");
                    self.over(myself);
                }
            }
        }
        self.effects = effects;
    }

    /// Ends the actor: the directory forgets it first, so that whoever is told to come again finds the next one.
    fn over(&mut self, myself: &ActorRef<RoomMsg>) {
        self.phase = Phase::Over;
        if let Some(handle) = self.handle.clone() {
            self.shared.forget(&handle);
        }
        myself.stop(None);
    }
}

impl Active {
    fn view(&self, handle: Option<&Arc<RoomHandle>>, view: &ViewRequest) -> Result<RoomView, ErrorFrame> {
        let state = self.core.committed();
        if !view.rights.read || !state.admits(&view.user) {
            return Err(ErrorFrame::new(ErrorCode::Forbidden, "reading this room is not allowed"));
        }
        let handle = handle.expect("an active room has its handle");
        Ok(RoomView {
            room: handle.tail.room().clone(),
            epoch: self.core.fence().epoch,
            head: state.head,
            floor: state.floor,
            hash: state.hash,
            floor_hash: state.floor_hash,
        })
    }
}

/// Where a write's target was found.
enum Found {
    /// Here, or the write has none.
    Known(Option<Target>),
    /// Only the log knows.
    AskLog(Seq),
}

fn target_of(entry: &Entry) -> Target {
    Target::Found { seq: entry.seq, kind: entry.kind, sender: entry.sender.clone(), redacted: entry.is_redacted() }
}

/// The range of one entry.
fn only(seq: Seq) -> ReadRange {
    ReadRange { after: seq.previous(), through: seq, entries_max: 1, bytes_max: 0 }
}

fn draw_salt() -> Salt {
    let mut salt = [0; 16];
    rand::rng().fill_bytes(&mut salt);
    Salt(salt)
}
