//! What the machine wants, done.

use std::sync::Arc;

use rollcall_protocol::limits::BATCH_ENTRIES_MAX;
use rollcall_protocol::{ErrorFrame, RoomId, Signal};

use super::link::OwnerLink;
use super::node::{Node, NodeMsg, Owner, Reader, Waiter};
use crate::cluster::node_core::{Life, NodeEffect, NodeInput, OwnerEnd, OwnerWrite, Writer};
use crate::cluster::ownership::{ActivateWith, RedisAnswer};
use crate::cluster::{NodeRef, Question, RoomFacts, replica};
use crate::ports::{LogError, ReadRange};
use crate::room::{Refusal, StopReason};
use crate::shell::admission::NotAdmitted;
use crate::shell::handle::{Ask, Subscribed, Viewed, moving};
use crate::shell::replies::{Asked, Forwarded, ReadReply, WriteReply};
use crate::shell::request::{JoinRequest, Request, RoomView, ViewRequest, WriteRequest};
use crate::shell::room_actor::RoomMsg;
use crate::shell::tail::TailEnd;
use crate::shell::work::report;

/// Size of the bodies that a room which is shown is brought up to date with at once, in bytes.
const REPAIR_BYTES_MAX: usize = 1024 * 1024;

/// What is told of work in which a port panicked.
const PANICKED: &str = "it panicked";

impl Node {
    pub(super) fn carry_out(&mut self, effect: NodeEffect<Waiter>) {
        match effect {
            NodeEffect::Send { to, payloads } => self.outgoing.send(to, &payloads),
            NodeEffect::Publish { batch, to } => self.outgoing.publish(batch, to),
            NodeEffect::Redis { asker, command } => {
                let ownership = Arc::clone(&self.ownership);
                let work = async move { ownership.run(&command).await };
                let tell = |answer| NodeMsg::Input(Box::new(NodeInput::Redis { asker, answer }));
                self.begin(work, RedisAnswer::Failed(PANICKED.to_owned()), tell);
            }
            NodeEffect::ReadTail { room, asker } => {
                let (log, read) = (self.rooms.log(), room.clone());
                let work = async move { log.tail(&read).await };
                let tell = move |result| NodeMsg::Input(Box::new(NodeInput::Tail { room, asker, result }));
                self.begin(work, Err(LogError::Unavailable(PANICKED.to_owned())), tell);
            }
            NodeEffect::ReadEntries { room, life, read, after, through } => {
                self.stats.repair_reads.count();
                let (log, from) = (self.rooms.log(), room.clone());
                let range = ReadRange { after, through, entries_max: BATCH_ENTRIES_MAX, bytes_max: REPAIR_BYTES_MAX };
                let (damage, cluster) = (Arc::clone(&self.rooms.shared.damage), self.cluster.clone());
                let work = async move {
                    let read = log.read(&from, range).await;
                    read.inspect_err(|error| {
                        if damage.look_at(&from, after.next(), error) {
                            cluster.found_damaged(from.clone(), after.next());
                        }
                    })
                };
                let tell = move |result| NodeMsg::Input(Box::new(NodeInput::Entries { room, life, read, result }));
                self.begin(work, Err(LogError::Unavailable(PANICKED.to_owned())), tell);
            }
            NodeEffect::ReadTakeovers { sent_at_ms } => {
                let takeovers = Arc::clone(&self.takeovers);
                let work = async move { takeovers.recent().await.ok() };
                let tell = move |rows| NodeMsg::Input(Box::new(NodeInput::Takeovers { sent_at_ms, rows }));
                self.begin(work, None, tell);
            }
            NodeEffect::InsertTakeover { life, takeover } => {
                let (takeovers, room) = (Arc::clone(&self.takeovers), takeover.room.clone());
                let stats = Arc::clone(&self.stats);
                let work = async move {
                    let is_inserted = takeovers.insert(&takeover).await.is_ok();
                    if is_inserted {
                        stats.takeovers.count();
                    }
                    is_inserted
                };
                let tell = move |is_inserted| NodeMsg::Input(Box::new(NodeInput::Noticed { room, life, is_inserted }));
                self.begin(work, false, tell);
            }
            NodeEffect::StartOwner { room, life, with } => self.start_owner(room, life, with),
            NodeEffect::StopOwner { room, life, goes_on } => {
                tracing::debug!(%room, "ends an owner");
                if let Some(owner) = self.owner(&room, life) {
                    owner.handle.admission.close();
                    owner.handle.tell(RoomMsg::Drain { goes_on });
                }
            }
            NodeEffect::LookAt { room, life, entry } => {
                if let Some(handle) = self.owner(&room, life).map(|owner| Arc::clone(&owner.handle)) {
                    // What it finds it tells the owner itself.
                    self.rooms.spawn(async move { _ = handle.history(entry.previous(), entry).await });
                }
            }
            NodeEffect::Submit { room, life, write } => self.submit(&room, life, write),
            NodeEffect::AskHere { room, life, reply } => self.ask_here(&room, life, reply),
            NodeEffect::Told { room, reply, result, .. } => self.answer_reader(&room, reply, result),
            NodeEffect::AskLog { room, ask, reply } => self.ask_log(room, ask, reply),
            NodeEffect::Examine { room, life, from, question } => self.examine(&room, life, from, question),
            NodeEffect::Watched { room, life, is_watched } => {
                if let Some(owner) = self.owner(&room, life) {
                    owner.watched = is_watched.then(|| owner.handle.admission.hold());
                }
            }
            NodeEffect::Open { room, .. } => {
                tracing::debug!(%room, "an owner answers");
                self.shown.end(&room, TailEnd::Moved);
                self.opening.push(room);
            }
            NodeEffect::Closed { room, end } => self.closed(&room, end),
            NodeEffect::Begin { room, head, .. } => self.shown.begin(&room, head),
            NodeEffect::Deliver { room, entries } => self.shown.deliver(&room, entries),
            NodeEffect::Ended { room, reason: replica::StopReason::Idle } => self.shown.end(&room, TailEnd::Moved),
            NodeEffect::Ended { room, reason: replica::StopReason::Diverged } => {
                self.stats.rooms_diverged.count();
                tracing::error!(%room, "what was shown of a room is not what its log has; its readers join again");
                self.shown.end(&room, TailEnd::Diverged);
            }
            NodeEffect::Answer { reply, answer } => match reply {
                Waiter::Write(reply) => reply.forwarded(answer),
                Waiter::Reader(reader) => drop(reader),
            },
            NodeEffect::HintCorrected { room, was } => {
                self.stats.hints_corrected.count();
                tracing::info!(%room, was = was.get(), "a hint where a room's log ends was wrong");
            }
            NodeEffect::Signal(signal) => self.signal(signal),
            NodeEffect::WatchRenewed => self.stats.watches_renewed.count(),
            NodeEffect::Stray => self.stats.strays.count(),
            NodeEffect::Standing(standing) => {
                tracing::info!(node = %self.core.me(), ?standing, "the node's standing in the cluster");
                self.show();
            }
            NodeEffect::Over => {
                self.is_over = true;
                self.show();
            }
        }
    }

    pub(super) fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        lost: T,
        tell: impl FnOnce(T) -> NodeMsg + Send + 'static,
    ) {
        self.rooms.spawn(report(self.cluster.clone(), work, lost, tell));
    }

    fn owner(&mut self, room: &RoomId, life: Life) -> Option<&mut Owner> {
        self.owners.get_mut(room).filter(|owner| owner.life == life)
    }

    fn start_owner(&mut self, room: RoomId, life: Life, with: ActivateWith) {
        tracing::debug!(%room, epoch = with.epoch.get(), "activates an owner");
        let link = OwnerLink::new(self.cluster.clone(), room.clone(), life, with);
        if let Some(handle) = self.rooms.start_for_cluster(&self.cluster, &room, link) {
            self.owners.insert(room, Owner { life, handle, watched: None });
        }
    }

    fn submit(&mut self, room: &RoomId, life: Life, write: OwnerWrite<Waiter>) {
        let OwnerWrite { writer, user, device, rights, write } = write;
        let request = WriteRequest {
            user,
            device,
            n: write.n,
            prev: write.prev,
            since: write.since,
            op: write.op,
            target: write.target,
            body: write.body,
            rights,
        };
        let handle = self.owner(room, life).map(|owner| Arc::clone(&owner.handle));
        match (writer, handle) {
            (Writer::Here(Waiter::Write(reply)), Some(handle)) => handle.pass(Ask::Write(Box::new(request)), reply),
            (Writer::Here(Waiter::Write(reply)), None) => reply.refuse(moving()),
            (Writer::Here(Waiter::Reader(reader)), _) => drop(reader),
            (Writer::Node(writer), handle) => {
                let permit = handle.as_ref().map(|handle| handle.admission.admit(request.weight_bytes()));
                let promise = |permit| Forwarded::new(writer, life, self.cluster.clone(), permit);
                match (permit, handle) {
                    (Some(Ok(permit)), Some(handle)) => {
                        let reply = WriteReply::There(promise(Some(permit)));
                        if let Err(request) = handle.give(Request::Write(Box::new(request), reply)) {
                            request.refuse(moving());
                        }
                    }
                    (Some(Err(NotAdmitted::Full)), _) => promise(None).refuse(Refusal::Busy),
                    _ => promise(None).refuse(moving()),
                }
            }
        }
    }

    fn ask_here(&mut self, room: &RoomId, life: Life, reply: Waiter) {
        match reply {
            Waiter::Write(reply) => reply.refuse(moving()),
            Waiter::Reader(reader) => {
                let Reader { ask, reply, follows } = *reader;
                match self.owner(room, life) {
                    Some(owner) => owner.handle.pass(ask, reply),
                    None => reply.refuse(moving()),
                }
                drop(follows);
            }
        }
    }

    /// Lets the owner here answer another node's question.
    fn examine(&mut self, room: &RoomId, life: Life, from: NodeRef, question: Question) {
        let cluster = self.cluster.clone();
        let Some(handle) = self.owner(room, life).map(|owner| Arc::clone(&owner.handle)) else { return };
        // Without a place it is not answered, and comes again.
        let Ok(permit) = handle.admission.admit(0) else { return };
        let (user, rights, join) = (question.user.clone(), question.rights, question.join.clone());
        let reply = ReadReply::There(Asked::new(from, question, cluster, permit));
        let request = match join {
            Some(join) => {
                let join = JoinRequest { user, device: join.device, rights, after: join.after, hash: join.hash };
                Request::Join(Box::new(join), reply)
            }
            None => Request::View(Box::new(ViewRequest { user, rights }), reply),
        };
        if let Err(request) = handle.give(request) {
            request.refuse(moving());
        }
    }

    /// Answers somebody here who asked to read a room of another node.
    pub(super) fn answer_reader(&mut self, room: &RoomId, reply: Waiter, result: Result<RoomFacts, ErrorFrame>) {
        let Waiter::Reader(reader) = reply else { return };
        let Reader { ask, reply, follows } = *reader;
        match (result, ask) {
            (Err(error), _) => reply.fail(error),
            // Opened here meanwhile: what is shown of it is the owner's.
            (Ok(_), Ask::Join(_)) if self.core.is_open(room) => reply.refuse(moving()),
            (Ok(facts), Ask::Join(join)) => {
                let (handle, lease) = follows.unwrap_or_else(|| {
                    let handle = self.shown.handle(room);
                    let lease = handle.admission.reader();
                    (handle, lease)
                });
                let cursor = join.after.unwrap_or(facts.head);
                if cursor > handle.tail.head() {
                    self.cluster.expect(room.clone(), cursor);
                }
                let inbox = Arc::clone(reply.inbox());
                reply.joined(Ok(Subscribed::new(facts.joined(room.clone()), cursor, handle, inbox)));
                drop(lease);
            }
            (Ok(facts), _) => {
                let handle = self.shown.handle_to_look(room);
                reply.view(Ok(Viewed { view: RoomView::new(room.clone(), facts), room: handle }));
            }
        }
    }

    /// Tells those who read a room here something ephemeral.
    fn signal(&self, signal: Signal) {
        let owner = self.owners.get(&signal.room).map(|owner| &owner.handle);
        if let Some(handle) = owner.or_else(|| self.shown.get(&signal.room)) {
            handle.tail.signal(&Arc::new(signal), None);
        }
    }

    fn closed(&mut self, room: &RoomId, end: OwnerEnd) {
        tracing::debug!(%room, ?end, "an owner is gone");
        match end {
            OwnerEnd::Stopped(StopReason::Fenced) => self.stats.rooms_fenced.count(),
            OwnerEnd::Stopped(StopReason::OutcomeUnknown) => self.stats.outcomes_unknown.count(),
            OwnerEnd::Stopped(StopReason::Drained) => self.stats.rooms_released.count(),
            // Damaged rooms are counted as long as they are there.
            OwnerEnd::Stopped(StopReason::Damaged) => {}
            OwnerEnd::Yielded => self.stats.rooms_yielded.count(),
            OwnerEnd::Lost => self.stats.rooms_lost.count(),
        }
        if let Some(owner) = self.owners.get_mut(room) {
            owner.watched = None;
            self.rooms.close(&owner.handle);
        }
    }
}
