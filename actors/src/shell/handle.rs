//! The handle of a room: what everybody outside of its actor holds.

use std::sync::Arc;
use std::time::Instant;

use ractor::{ActorRef, MessagingErr};
use rollcall_protocol::{Entry, Joined, RoomId, Seq};

use super::admission::{Admission, Lease, NotAdmitted, Permit};
use super::cluster::Cluster;
use super::damage::Damage;
use super::frame::Frame;
use super::inbox::{Doorbell, Inbox, ReplyKind, ReplySlot};
use super::pages::Pages;
use super::request::{ChangeRequest, JoinRequest, Request, RoomView, ViewRequest, WriteRequest};
use super::room_actor::RoomMsg;
use super::tail::Tail;
use crate::ports::{Log, LogError};
use crate::room::Refusal;

/// A room that is active on this node, or about to be, or that is shown here while another node owns it. Requests are answered in the
/// asker's inbox, exactly once each.
pub struct RoomHandle {
    keeper: Keeper,
    pub(super) admission: Arc<Admission>,
    pub(super) tail: Arc<Tail>,
    pages: Pages,
    log: Arc<dyn Log>,
    damage: Arc<Damage>,
}

/// Who keeps a room that is shown here.
pub(super) enum Keeper {
    /// Its owner.
    Owner(ActorRef<RoomMsg>),
    /// This node, while another one owns it.
    Node(Cluster),
}

/// Who asks: the inbox and the number under which it wants the answer.
#[derive(Debug, Clone)]
pub struct Asker {
    /// Where the answer goes.
    pub inbox: Arc<Inbox>,
    /// The asker's number for the request.
    pub id: u64,
    /// When the request came.
    pub began: Instant,
}

/// What may be asked of a room.
#[derive(Debug)]
pub enum Ask {
    /// A write; answered by [`Reply::Write`](super::Reply::Write).
    Write(Box<WriteRequest>),
    /// An entry of the server's; answered by [`Reply::Write`](super::Reply::Write).
    Change(Box<ChangeRequest>),
    /// A subscription; answered by [`Reply::Joined`](super::Reply::Joined).
    Join(Box<JoinRequest>),
    /// A question; answered by [`Reply::View`](super::Reply::View).
    View(Box<ViewRequest>),
}

impl Ask {
    /// Returns the size that counts against a queue, in bytes.
    pub(super) fn weight_bytes(&self) -> usize {
        match self {
            Self::Write(write) => write.weight_bytes(),
            Self::Change(_) | Self::Join(_) | Self::View(_) => 0,
        }
    }

    /// Promises the asker an answer.
    pub(super) fn promise(&self, asker: &Asker, permit: Option<Permit>) -> ReplySlot {
        let kind = match self {
            Self::Write(_) | Self::Change(_) => ReplyKind::Write,
            Self::Join(_) => ReplyKind::Join,
            Self::View(_) => ReplyKind::View,
        };
        ReplySlot::new(Arc::clone(&asker.inbox), asker.id, kind, asker.began, permit)
    }
}

/// What is told to whoever asks a room that is being given up.
pub(super) fn moving() -> Refusal {
    Refusal::Unavailable("the room is moving".to_owned())
}

impl std::fmt::Debug for RoomHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoomHandle").field("room", self.tail.room()).finish_non_exhaustive()
    }
}

impl RoomHandle {
    pub(super) fn new(
        keeper: Keeper,
        admission: Arc<Admission>,
        tail: Arc<Tail>,
        log: Arc<dyn Log>,
        damage: Arc<Damage>,
    ) -> Arc<Self> {
        Arc::new(Self { keeper, admission, tail, pages: Pages::default(), log, damage })
    }

    /// Takes a request, unless the queue is full: then the answer is `busy`. What is asked in one order is taken in that order.
    ///
    /// # Errors
    /// Gives the request back where the room is being given up or its actor has failed: it is to be asked of the room's next
    /// actor.
    pub fn ask(&self, ask: Ask, asker: &Asker) -> Result<(), Ask> {
        match self.admission.admit(ask.weight_bytes()) {
            Ok(permit) => {
                let reply = ask.promise(asker, Some(permit));
                self.give(Request::new(ask, reply)).map_err(|request| {
                    let (ask, reply) = request.take_apart().expect("it was made of these");
                    reply.withdraw();
                    ask
                })
            }
            Err(NotAdmitted::Closed) => Err(ask),
            Err(NotAdmitted::Full) => {
                ask.promise(asker, None).refuse(Refusal::Busy);
                Ok(())
            }
        }
    }

    /// Takes what somebody was promised an answer to by the node; where it cannot be taken that is the answer.
    pub(super) fn pass(&self, ask: Ask, mut reply: ReplySlot) {
        match self.admission.admit(ask.weight_bytes()) {
            Ok(permit) => {
                reply.hold(permit);
                if let Err(request) = self.give(Request::new(ask, reply)) {
                    request.refuse(moving());
                }
            }
            Err(NotAdmitted::Closed) => reply.refuse(moving()),
            Err(NotAdmitted::Full) => reply.refuse(Refusal::Busy),
        }
    }

    /// Gives a request that was admitted to the room's actor.
    ///
    /// # Errors
    /// Gives it back where the actor has ended.
    pub(super) fn give(&self, request: Request) -> Result<(), Request> {
        let Keeper::Owner(actor) = &self.keeper else { return Err(request) };
        match actor.cast(RoomMsg::Request(request)) {
            Err(MessagingErr::SendErr(RoomMsg::Request(request))) => Err(request),
            // A message that the actor never gets to is dropped, and the reply slot in it answers by itself.
            _ => Ok(()),
        }
    }

    /// Tells the room's actor something, if there is one.
    pub(super) fn tell(&self, message: RoomMsg) {
        if let Keeper::Owner(actor) = &self.keeper {
            let _ = actor.cast(message);
        }
    }

    /// Tells whether this actor is the room's.
    pub(super) fn is_of(&self, actor: ractor::ActorId) -> bool {
        matches!(&self.keeper, Keeper::Owner(own) if own.get_id() == actor)
    }

    /// Returns the room's shared tail.
    pub fn tail(&self) -> &Arc<Tail> {
        &self.tail
    }

    /// Reads the page after `cursor`, at most up to `head`, together with everybody who wants the same one.
    ///
    /// # Errors
    /// Where the log is unavailable or damaged, or the page lies below the floor.
    ///
    /// # Cancel safety
    /// Dropping the future ends the read if nobody else waits for it.
    pub async fn page(&self, cursor: Seq, head: Seq) -> Result<Vec<Arc<Frame>>, LogError> {
        let page = self.pages.read(&*self.log, &self.tail, cursor, head).await;
        page.inspect_err(|error| self.look_at_error(cursor.next(), error))
    }

    /// Reads entries after `after` and up to `through`, together with everybody who asks for the same: the first, and no further
    /// one once their bodies have the size of a page of history.
    ///
    /// # Errors
    /// Where the log is unavailable or damaged, or the first entry lies below the floor.
    ///
    /// # Cancel safety
    /// Dropping the future ends the read if nobody else waits for it.
    pub async fn history(&self, after: Seq, through: Seq) -> Result<Arc<[Entry]>, LogError> {
        let page = self.pages.entries(&*self.log, &self.tail, after, through).await;
        page.inspect_err(|error| self.look_at_error(after.next(), error))
    }

    /// Where a read from this entry on shows that the room's log is damaged, tells operators and the room's owner, wherever it is:
    /// nothing is numbered on top of it.
    pub(super) fn look_at_error(&self, first: Seq, error: &LogError) {
        if self.damage.look_at(self.tail.room(), first, error) {
            match &self.keeper {
                Keeper::Owner(_) => self.tell(RoomMsg::DamageFound),
                Keeper::Node(cluster) => cluster.found_damaged(self.tail.room().clone(), first),
            }
        }
    }
}

/// A room as it stood when somebody asked, and where to read its history.
#[derive(Debug)]
pub struct Viewed {
    /// How it stood.
    pub view: RoomView,
    /// The room.
    pub room: Arc<RoomHandle>,
}

/// A connection's subscription to a room; dropping it ends it.
#[derive(Debug)]
pub struct Subscribed {
    /// The answer to the client.
    pub joined: Joined,
    /// The place after which everything follows.
    pub cursor: Seq,
    /// The room.
    pub room: Arc<RoomHandle>,
    /// The bell that the room rings. Whoever takes the subscription looks once by itself: what lay past the cursor before rang
    /// nothing.
    pub bell: Arc<Doorbell>,
    key: usize,
    _lease: Lease,
}

impl Subscribed {
    /// Hangs up a bell, and holds the room.
    pub(super) fn new(joined: Joined, cursor: Seq, room: Arc<RoomHandle>, inbox: Arc<Inbox>) -> Self {
        let bell = Doorbell::new(joined.room.clone(), inbox);
        let key = room.tail.hang_up(Arc::clone(&bell));
        let lease = room.admission.reader();
        Self { joined, cursor, room, bell, key, _lease: lease }
    }

    /// Returns the room's name.
    pub fn room_id(&self) -> &RoomId {
        self.room.tail.room()
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.room.tail.take_down(self.key);
    }
}
