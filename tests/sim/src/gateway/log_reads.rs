//! What connections read from the log: pages of history, and what lies behind the tail.

use rollcall_actors::shell::expired;
use rollcall_protocol::{Entry, History, Incoming, Left, OkFields, RoomId, Seq};

use super::{PAGE_ENTRIES_MAX, entry_frame};
use crate::event::{ConnId, NodeLife};
use crate::store::RoomStore;
use crate::world::World;

impl World {
    /// Answers a question for a page of history.
    pub(super) fn page_of_history(&mut self, conn: ConnId, id: u64, history: History) {
        let after = history.after.unwrap_or(Seq::ZERO);
        let limit = usize::try_from(history.limit.unwrap_or(50)).unwrap_or(50).min(PAGE_ENTRIES_MAX);
        let rows = self.store.get(&history.room);
        let floor = rows.map_or(Seq::FIRST, RoomStore::floor);
        if after.next() < floor {
            return self.send_frame(conn, Incoming::Error(Some(id), expired(after, floor)));
        }
        let list: Vec<Entry> = rows.into_iter().flat_map(|rows| rows.after(after)).take(limit).cloned().collect();
        let head = rows.map_or(Seq::ZERO, RoomStore::head);
        self.totals.count("gap repairs by clients");
        let fields = OkFields {
            room: Some(history.room),
            head: Some(head),
            floor: Some(floor),
            hash: list.last().map(|entry| entry.hash),
            list: Some(list.iter().map(entry_frame).collect()),
            ..OkFields::default()
        };
        self.send_frame(conn, Incoming::Ok(id, Box::new(fields)));
    }

    /// A page that a connection wanted was read, or not.
    pub fn page_read(&mut self, life: NodeLife, conn: ConnId, room: &RoomId, is_read: bool) {
        let Some(connection) = self.connections.open.get_mut(&conn).filter(|it| it.node == life) else { return };
        let Some(subscription) = connection.subscriptions.get_mut(room) else { return };
        subscription.is_paging = false;
        if is_read && subscription.joining.is_none() {
            let rows = self.store.get(room);
            let floor = rows.map_or(Seq::FIRST, RoomStore::floor);
            if subscription.cursor.next() < floor {
                return self.fell_below(conn, room, floor);
            }
            let page = rows.into_iter().flat_map(|rows| rows.after(subscription.cursor));
            let page: Vec<Entry> = page.take(PAGE_ENTRIES_MAX).cloned().collect();
            self.push(conn, room, &page);
        }
        self.pump(conn, room);
    }

    /// What a connection was to read next has expired: it is told so, and joins again.
    fn fell_below(&mut self, conn: ConnId, room: &RoomId, floor: Seq) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let node = connection.node;
        let Some(subscription) = connection.subscriptions.remove(room) else { return };
        self.totals.count("readers that fell below the floor");
        self.history.wire_left(self.now_ms, conn, Some(room));
        self.count_readers(node, room);
        let left = Left { room: room.clone(), error: expired(subscription.cursor, floor) };
        self.send_frame(conn, Incoming::Left(left));
    }
}
