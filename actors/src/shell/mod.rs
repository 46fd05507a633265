//! The shells: what gives the pure core a mailbox, a log, a clock and an audience.
//!
//! ```text
//! connection ── ask ──▶ Directory ──▶ RoomHandle ══ admission ══▶ mailbox ─▶ RoomActor ─▶ RoomCore
//!     ▲  ▲                                                             ▲         │
//!     │  └───── Inbox ◀── answers ─────────────────────────────────────┼─────────┤
//!     │           ▲                                                    │         ├─▶ Log ── outcome ─┐
//!     │           └────── Doorbell ◀── ring ── Tail ◀── batch ─────────┼─────────┘                   │
//!     └── pull past the cursor ─────────────────┘                      └─────────────────────────────┘
//! ```
//!
//! ractor's traps that this keeps clear of: mailboxes have no bound, so admission is counted before them; a supervisor stops by
//! default when a child ends; `stop` overtakes what is queued, so every request carries its own answer and gives it when it is dropped; `post_stop` is
//! skipped after a panic, so nothing relies on it; the name registry is process-wide, so no actor has a name.

mod activation;
mod active_rooms;
mod admission;
mod cluster;
mod damage;
mod directory;
mod expiry;
mod failed_rooms;
mod frame;
mod handle;
mod inbox;
mod joins;
mod pages;
mod places;
mod redactions;
mod replies;
mod request;
mod room_actor;
mod rooms;
mod sessions;
mod tail;
#[cfg(test)]
mod test_entries;
mod work;

pub use activation::{Activation, ActivationError, DamagedRoom, activate};
pub use admission::QueueLimits;
pub use cluster::{ByKind, Cluster, ClusterStats, ClusterView, PeerView, SENT_KINDS};
pub use damage::DamageFound;
pub use directory::{Directory, RoomSettings};
pub use expiry::{find_expirable, keep_snapshot};
pub use frame::Frame;
pub use handle::{Ask, Asker, RoomHandle, Subscribed, Viewed};
pub use inbox::{Doorbell, Inbox, Mail, Reply};
pub use request::{ChangeRequest, JoinRequest, RoomView, ViewRequest, WriteRequest, diverged, expired};
pub use sessions::{Session, Sessions};
pub use tail::{Pulled, RingLimits, Tail, TailEnd};
