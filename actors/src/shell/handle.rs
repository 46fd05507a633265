//! The handle of a room: what everybody outside of its actor holds.

use std::sync::Arc;
use std::time::Instant;

use ractor::{ActorRef, MessagingErr};
use rollcall_protocol::{Entry, Joined, RoomId, Seq, Signal, SignalKind, UserId};

use super::admission::{Admission, Lease, NotAdmitted};
use super::frame::Frame;
use super::inbox::{Doorbell, Inbox, ReplyKind, ReplySlot};
use super::pages::Pages;
use super::request::{ChangeRequest, JoinRequest, Request, RoomView, ViewRequest, WriteRequest};
use super::room_actor::RoomMsg;
use super::tail::Tail;
use crate::ports::{Log, LogError};
use crate::room::Refusal;

/// A room that is active, or about to be. Requests are answered in the asker's inbox, exactly once each.
pub struct RoomHandle {
    pub(super) actor: ActorRef<RoomMsg>,
    pub(super) admission: Arc<Admission>,
    pub(super) tail: Arc<Tail>,
    pages: Pages,
    log: Arc<dyn Log>,
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

impl std::fmt::Debug for RoomHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoomHandle").field("room", self.tail.room()).finish_non_exhaustive()
    }
}

impl RoomHandle {
    pub(super) fn new(
        actor: ActorRef<RoomMsg>,
        admission: Arc<Admission>,
        tail: Arc<Tail>,
        log: Arc<dyn Log>,
    ) -> Arc<Self> {
        Arc::new(Self { actor, admission, tail, pages: Pages::default(), log })
    }

    /// Takes a request, unless the queue is full: then the answer is `busy`. What is asked in one order is taken in that order.
    ///
    /// # Errors
    /// Gives the request back where the room is being given up or its actor has failed: it is to be asked of the room's next
    /// actor.
    pub fn ask(&self, ask: Ask, asker: &Asker) -> Result<(), Ask> {
        let (kind, bytes) = match &ask {
            Ask::Write(write) => (ReplyKind::Write, write.weight_bytes()),
            Ask::Change(_) => (ReplyKind::Write, 0),
            Ask::Join(_) => (ReplyKind::Join, 0),
            Ask::View(_) => (ReplyKind::View, 0),
        };
        let reply = |permit| ReplySlot::new(Arc::clone(&asker.inbox), asker.id, kind, asker.began, permit);
        let permit = match self.admission.admit(bytes) {
            Ok(permit) => permit,
            Err(NotAdmitted::Closed) => return Err(ask),
            Err(NotAdmitted::Full) => {
                reply(None).refuse(Refusal::Busy);
                return Ok(());
            }
        };
        let reply = reply(Some(permit));
        let request = match ask {
            Ask::Write(write) => Request::Write(write, reply),
            Ask::Change(change) => Request::Change(change, reply),
            Ask::Join(join) => Request::Join(join, reply),
            Ask::View(view) => Request::View(view, reply),
        };
        match self.actor.cast(RoomMsg::Request(request)) {
            Err(MessagingErr::SendErr(RoomMsg::Request(request))) => Err(request.take_back()),
            // A message that the actor never gets to is dropped, and the reply slot in it answers by itself.
            _ => Ok(()),
        }
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
        self.pages.read(&*self.log, &self.tail, cursor, head).await
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
        self.pages.entries(&*self.log, &self.tail, after, through).await
    }

    /// Tells everybody else in the room something ephemeral.
    pub fn signal(&self, user: UserId, kind: SignalKind, from: &Arc<Inbox>) {
        let signal = Signal { room: self.tail.room().clone(), user, kind };
        self.tail.signal(&Arc::new(signal), from);
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
        let lease = room.admission.lease();
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
