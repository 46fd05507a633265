//! A room's state: a function of its log, and of nothing else.

use std::collections::BTreeMap;

use rollcall_protocol::{Entry, Hash, Kind, RoomId, Seq, UserId, hash};
use serde::{Deserialize, Serialize};

use super::redactions::RecentRedactions;
use super::senders::{Known, SenderKey, SenderTable};
use super::tag::Tag;

/// A room remembers the redactions among this many of its last entries. A look at the target of a write must not be older than
/// that when the write takes its turn, entries that wait for their commit included.
pub const REDACTIONS_REMEMBERED_ENTRIES: u64 = 16_384;

/// What a user is to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May read and write where the room is for members only.
    Member,
    /// May redact what others wrote, too.
    Moderator,
    /// May neither read nor write.
    Banned,
}

/// The body of a `member` entry: a user's new role, or none any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberChange {
    /// Whose role.
    pub user: UserId,
    /// The role from now on; none ends a membership or a ban.
    pub role: Option<Role>,
}

/// The body of a `room` entry: what changes, each absent where it does not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomChange {
    /// Who created the room; in its entry 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<UserId>,
    /// Whether only members may read and write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members_only: Option<bool>,
    /// The first number whose body is still kept, from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Seq>,
    /// The hash of the entry before the floor, on which the kept history builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor_hash: Option<Hash>,
}

/// Everything about a room that must outlive an owner. Two nodes that apply the same entries have equal states.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoomState {
    /// The last entry's number.
    pub head: Seq,
    /// The last entry's time, in milliseconds since 1970.
    pub last_at_ms: i64,
    /// The last entry's hash; before the first one it is made of the room's name.
    pub hash: Hash,
    /// The first number whose body is still kept.
    pub floor: Seq,
    /// The hash of the entry before the floor.
    pub floor_hash: Hash,
    /// Whether only members may read and write.
    pub members_only: bool,
    pub(super) members: BTreeMap<UserId, Role>,
    pub(super) devices: SenderTable,
    /// One-shot devices made from idempotency keys, which would push real devices out of their table.
    pub(super) keys: SenderTable,
    /// The redactions among the last entries.
    pub(super) redactions: RecentRedactions,
}

impl RoomState {
    /// The state of a room that nobody wrote to.
    pub fn empty(room: &RoomId) -> Self {
        let genesis = hash::genesis(room);
        Self {
            head: Seq::ZERO,
            last_at_ms: 0,
            hash: genesis,
            floor: Seq::FIRST,
            floor_hash: genesis,
            members_only: false,
            members: BTreeMap::new(),
            devices: SenderTable::default(),
            keys: SenderTable::default(),
            redactions: RecentRedactions::default(),
        }
    }

    /// Takes in the next entry.
    ///
    /// # Panics
    /// Where the entry is not the next: a hole in what was read or numbered is a fault of ours that must not spread.
    pub fn apply(&mut self, entry: &Entry) {
        self.apply_tagged(entry, Tag::of_entry(entry));
    }

    /// Takes in the next entry, whose tag the caller has already.
    pub(super) fn apply_tagged(&mut self, entry: &Entry, tag: Option<Tag>) {
        assert_eq!(entry.seq, self.head.next(), "entries are applied one after the other");
        self.head = entry.seq;
        self.last_at_ms = entry.created_at_ms;
        self.hash = entry.hash;
        self.redactions.forget_before(Seq::new(entry.seq.get().saturating_sub(REDACTIONS_REMEMBERED_ENTRIES)));
        if let Some(device) = &entry.device {
            let key = SenderKey { user: entry.sender.clone(), device: device.clone() };
            let tag = tag.filter(|_| !self.is_edit_of_redacted(entry));
            self.table_mut(&key).apply(key, entry, tag);
        }
        match entry.kind {
            Kind::Message | Kind::Edit | Kind::React => {}
            Kind::Redact => self.apply_redact(entry),
            Kind::Member => self.apply_member(entry),
            Kind::Room => self.apply_room(entry),
        }
    }

    /// An edit that overtook the redaction of its target, between the look at the target and the edit's turn, loses its body in
    /// the log; so it has no tag, as it would have none when it is replayed.
    fn is_edit_of_redacted(&self, entry: &Entry) -> bool {
        entry.kind == Kind::Edit && entry.target.is_some_and(|target| self.redactions.hold(target))
    }

    fn apply_redact(&mut self, entry: &Entry) {
        let Some(target) = entry.target else { return };
        self.devices.clear_tags_of(target);
        self.keys.clear_tags_of(target);
        self.redactions.push(entry.seq, target);
    }

    /// Becomes `base` again, on top of which these entries were applied that did not come about. Costs as much as what they
    /// changed, which is much less than a copy of a state that remembers many writes.
    pub(super) fn take_back<'a>(&mut self, base: &Self, undone: impl Iterator<Item = &'a Entry> + Clone) {
        let Self { head, last_at_ms, hash, floor, floor_hash, members_only, members, devices, keys, redactions } = self;
        (*head, *last_at_ms, *hash) = (base.head, base.last_at_ms, base.hash);
        (*floor, *floor_hash, *members_only) = (base.floor, base.floor_hash, base.members_only);
        for change in undone.clone().filter(|entry| entry.kind == Kind::Member).filter_map(member_change) {
            match base.members.get(&change.user) {
                Some(&role) => members.insert(change.user, role),
                None => members.remove(&change.user),
            };
        }
        let redacted = undone.clone().filter(|entry| entry.kind == Kind::Redact).filter_map(|entry| entry.target);
        let wrote =
            undone.filter_map(|entry| Some(SenderKey { user: entry.sender.clone(), device: entry.device.clone()? }));
        devices.take_back(&base.devices, wrote.clone(), redacted.clone());
        keys.take_back(&base.keys, wrote, redacted);
        redactions.take_back(&base.redactions);
    }

    /// A body of a later version that this one cannot read changes nothing here; the snapshot of that version has a format of its
    /// own.
    fn apply_member(&mut self, entry: &Entry) {
        let Some(change) = member_change(entry) else { return };
        match change.role {
            Some(role) => self.members.insert(change.user, role),
            None => self.members.remove(&change.user),
        };
    }

    fn apply_room(&mut self, entry: &Entry) {
        let Some(change) = entry.body.as_ref().and_then(|body| body.parse::<RoomChange>().ok()) else { return };
        if let Some(members_only) = change.members_only {
            self.members_only = members_only;
        }
        if let (Some(floor), Some(hash)) = (change.floor, change.floor_hash)
            && floor > self.floor
        {
            self.floor = floor;
            self.floor_hash = hash;
        }
    }

    /// Says what is known of a device's n.
    pub(super) fn know(&self, key: &SenderKey, n: u64, since: Seq) -> Known<'_> {
        self.table(key).know(key, n, since)
    }

    /// Returns the device's last accepted n in this room, or 0.
    pub fn last_n(&self, key: &SenderKey) -> u64 {
        self.table(key).last_n(key)
    }

    /// Returns what a user is to the room, if anything.
    pub fn role(&self, user: &UserId) -> Option<Role> {
        self.members.get(user).copied()
    }

    /// Tells whether a user may read and, as far as the room is concerned, write.
    pub fn admits(&self, user: &UserId) -> bool {
        match self.role(user) {
            Some(Role::Banned) => false,
            Some(Role::Member | Role::Moderator) => true,
            None => !self.members_only,
        }
    }

    /// Returns how many writes and members the state keeps: the size of its snapshot, counted in entries.
    pub fn records(&self) -> usize {
        self.members.len() + self.devices.records() + self.keys.records()
    }

    fn table(&self, key: &SenderKey) -> &SenderTable {
        if key.device.is_idempotency_key() { &self.keys } else { &self.devices }
    }

    fn table_mut(&mut self, key: &SenderKey) -> &mut SenderTable {
        if key.device.is_idempotency_key() { &mut self.keys } else { &mut self.devices }
    }
}

fn member_change(entry: &Entry) -> Option<MemberChange> {
    entry.body.as_ref().and_then(|body| body.parse().ok())
}
