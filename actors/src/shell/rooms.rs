//! The rooms of this node, as those see them who start and end their actors.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use ractor::{ActorRef, ActorRuntime};
use rollcall_protocol::RoomId;

use super::admission::Admission;
use super::cluster::{Cluster, OwnerLink};
use super::directory::{DirectoryMsg, Shared};
use super::handle::{Keeper, RoomHandle};
use super::room_actor::{RoomActor, RoomMsg};
use super::tail::{RingLimits, Tail};
use crate::ports::Log;

/// What rooms are started with.
#[derive(Clone)]
pub(super) struct Rooms {
    pub shared: Arc<Shared>,
    pub supervisor: ActorRef<DirectoryMsg>,
}

impl Rooms {
    pub fn log(&self) -> Arc<dyn Log> {
        self.shared.log()
    }

    pub fn ring(&self) -> RingLimits {
        self.shared.settings.ring
    }

    pub fn now_ms(&self) -> i64 {
        self.shared.now_ms()
    }

    /// Runs something beside the actors, which a drain waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.spawn(task);
    }

    /// Starts the actor of a room, which nobody finds before it is [opened](Self::open); none where as many rooms are active as may
    /// be, which the link says.
    pub fn start_for_cluster(&self, cluster: &Cluster, room: &RoomId, link: OwnerLink) -> Option<Arc<RoomHandle>> {
        let has_space = self.shared.rooms().make_space(Instant::now(), super::directory::give_up);
        if !has_space {
            link.no_space();
            return None;
        }
        let handle = self.start(room, Some((cluster, link)));
        self.shared.rooms().keep_place(Arc::clone(&handle));
        Some(handle)
    }

    /// Starts the actor of a room.
    pub fn start(&self, room: &RoomId, link: Option<(&Cluster, OwnerLink)>) -> Arc<RoomHandle> {
        let shared = &self.shared;
        let (actor, _) = ActorRuntime::<RoomActor>::spawn_linked_instant(
            None,
            RoomActor,
            Arc::clone(shared),
            self.supervisor.get_cell(),
        )
        .expect("an actor without a name can always be spawned");
        shared.alive.send_modify(|alive| *alive += 1);
        let watch = link.as_ref().map(|(cluster, _)| cluster.readers_watch(room));
        let admission = Admission::watched(shared.settings.queue, Instant::now(), watch);
        let tail = Tail::new(room.clone(), shared.settings.ring);
        let handle = RoomHandle::new(Keeper::Owner(actor), admission, tail, shared.log(), Arc::clone(&shared.damage));
        let hold = handle.admission.hold();
        handle.tell(RoomMsg::Begin(Arc::clone(&handle), hold, link.map(|(_, link)| link)));
        handle
    }

    /// Lets everybody find a room's actor, unless it takes nothing any more.
    pub fn open(&self, handle: &Arc<RoomHandle>) {
        let mut rooms = self.shared.rooms();
        // Looked at under the lock: an actor closes its room first and is forgotten under the lock then.
        if !handle.admission.is_closed() && rooms.insert(Arc::clone(handle)).sweep_is_due {
            let _ = self.supervisor.cast(DirectoryMsg::Sweep);
        }
        drop(rooms);
        handle.tell(RoomMsg::Retain);
    }

    /// Lets nobody find a room's actor any more, and tells its readers to join again.
    pub fn close(&self, handle: &Arc<RoomHandle>) {
        self.shared.forget(handle);
    }
}
