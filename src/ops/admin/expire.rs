//! Has a room's entries expire.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use rollcall_actors::limits::REFUSED_RETRY_MS;
use rollcall_actors::room::{Answer, ChangeKind, Rights};
use rollcall_actors::shell::{Ask, Asker, ChangeRequest, Directory, Inbox, Reply, ViewRequest};
use rollcall_protocol::{Ack, RoomId, Seq, UserId};
use serde::{Deserialize, Serialize};

use super::endpoints::{Admin, Shared, owned_here, parse};
use super::error::AdminError;

/// In whose name the room says that entries have expired.
const OPERATOR: &str = "operator";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expire {
    before: Seq,
}

/// What has become of a room.
#[derive(Serialize)]
pub(super) struct Expired {
    room: RoomId,
    /// Whether more has expired than before.
    changed: bool,
    /// The first number that is kept now.
    floor: Seq,
}

/// Lets what lies before a number expire, as far as the log deletes it by itself, and answers when the room has said so. The log
/// deletes it after that.
pub(super) async fn expire(
    State(admin): Shared,
    Path(name): Path<String>,
    request: Result<Json<Expire>, JsonRejection>,
) -> Result<Json<Expired>, AdminError> {
    let room = parse(&name)?;
    let Json(Expire { before }) = request.map_err(|error| AdminError::bad_request(error.body_text()))?;
    // Rooms run where they are asked first, and that is not the operators' thread.
    let work = admin.runtime.spawn(expire_in(Arc::clone(&admin), room, before));
    work.await.map_err(|error| AdminError::unavailable(error.to_string()))?.map(Json)
}

async fn expire_in(admin: Arc<Admin>, room: RoomId, before: Seq) -> Result<Expired, AdminError> {
    if admin.directory.cluster().is_some() {
        // Where nobody has the room, somebody has it after that.
        if owned_here(&admin, &room).await.is_err() {
            look_at(&admin.directory, &room).await;
        }
        owned_here(&admin, &room).await?;
    }
    let user = UserId::parse(OPERATOR).expect("it is a name");
    let change = ChangeRequest { user, what: ChangeKind::Expire(before) };
    let reply = ask(&admin.directory, &room, Ask::Change(Box::new(change))).await;
    let Some(Reply::Write { answer, floor, .. }) = reply else {
        return Err(AdminError::unavailable("the room has not answered"));
    };
    let Ack { duplicate, .. } = acknowledged(answer)?;
    // An entry is acknowledged by its room alone, which says where it begins; to read that of the log would be to ask once more.
    let floor = floor.ok_or_else(|| AdminError::unavailable("the room has not said from where on it is kept"))?;
    if !duplicate {
        tracing::info!(%room, before = before.get(), floor = floor.get(), "an operator has let entries expire");
    }
    Ok(Expired { room, changed: !duplicate, floor })
}

fn acknowledged(answer: Answer) -> Result<Ack, AdminError> {
    answer
        .map_err(|refusal| AdminError::unavailable(format!("{refusal}; try again after {REFUSED_RETRY_MS} ms or more")))
}

/// Looks at a room, so that it has an owner.
async fn look_at(directory: &Directory, room: &RoomId) {
    let user = UserId::parse(OPERATOR).expect("it is a name");
    let view = ViewRequest { user, rights: Rights { read: true, write: false, moderate: false } };
    ask(directory, room, Ask::View(Box::new(view))).await;
}

/// Asks a room something, and waits for the answer.
async fn ask(directory: &Directory, room: &RoomId, ask: Ask) -> Option<Reply> {
    let inbox = Inbox::new();
    let asker = Asker { inbox: Arc::clone(&inbox), id: 1, began: Instant::now() };
    directory.ask(room, ask, &asker);
    inbox.rung().await;
    inbox.take().answers.pop().map(|(_, reply)| reply)
}
