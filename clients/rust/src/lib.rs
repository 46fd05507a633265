//! Client of rollcall: rooms that never lose their place.
//!
//! A [`Client`] keeps one connection to a server, and makes it again whenever it breaks. A joined [`Room`] gives each entry
//! once, in the order of the room's numbers and without a gap, across all connections. A write is tried again until the
//! server says that it is committed, under which number, or that it never will be; it is stored at most once.
//!
//! ```no_run
//! use rollcall_client::{Client, JoinFrom, RoomEvent};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("ws://127.0.0.1:7400/v1/ws").guest().connect().await?;
//! let (writer, mut events) = client.join("general", JoinFrom::Start).await?.split();
//!
//! let reader = tokio::spawn(async move {
//!     while let Some(event) = events.next().await {
//!         if let RoomEvent::Entries(batch) = event {
//!             for entry in batch.entries {
//!                 println!("{} {} says {:?}", entry.seq, entry.sender, entry.body.as_ref().map(|body| body.as_str()));
//!             }
//!         }
//!     }
//! });
//!
//! let ack = writer.send_text("hi").await?;
//! println!("that is entry {}", ack.seq);
//! client.close().await;
//! reader.await?;
//! # Ok(())
//! # }
//! ```
//!
//! What must outlive a restart of the program goes to a [`storage`]; what is not stored cannot be tried again.
//! The protocol itself is in [`session`], a pure machine; the rest gives it a socket, timers and a storage.

mod builder;
mod client;
mod cursor;
mod error;
mod event;
mod history;
mod pending_write;
mod room;
pub mod session;
mod shell;
mod state;
pub mod storage;
mod token;

pub use builder::{ClientBuilder, QUEUE_BYTES_MAX, QUEUE_WRITES_MAX, READ_BUFFER_BYTES, ROOM_EVENTS_BYTES_MAX};
pub use client::Client;
pub use cursor::{Cursor, JoinFrom};
pub use error::{ConnectError, HistoryError, JoinError, StopError, WriteError};
pub use event::{Batch, RoomEvent};
pub use history::{HistoryQuery, HistoryStream};
pub use pending_write::PendingWrite;
pub use rollcall_protocol as protocol;
pub use rollcall_protocol::{Ack, Body, DeviceId, EntryFrame, ErrorCode, ErrorFrame, Format, RoomId, Seq, UserId};
pub use room::{Room, RoomEvents, RoomWriter};
pub use session::NewWrite;
pub use state::{State, StateEvents};
pub use token::{TokenFuture, TokenProvider};
