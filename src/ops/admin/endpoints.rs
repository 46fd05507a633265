//! The endpoints.

use std::sync::{Arc, Weak};

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use rollcall_actors::cluster::node_core::RoomRole;
use rollcall_actors::cluster::parse_node_id;
use rollcall_actors::ports::Log;
use rollcall_actors::shell::Directory;
use rollcall_protocol::RoomId;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::AdminToken;
use super::error::AdminError;
use super::views::{Beacons, Nodes, Room, RoomDetails, Rooms};

/// Rooms on a page unless told, and at most.
const ROOMS_PAGE: usize = 100;
const ROOMS_PAGE_MAX: usize = 1_000;

/// What the endpoints look at and act on.
pub struct Admin {
    /// What an operator has to show.
    pub token: AdminToken,
    /// The rooms.
    pub directory: Directory,
    /// Where they are kept, as long as the server has it open.
    pub log: Weak<dyn Log>,
    /// Where clients find this node.
    pub connect: Option<String>,
    /// Takes the server out of service; says whether it was in service.
    pub drain: Box<dyn Fn() -> bool + Send + Sync>,
    /// Where the log's own work is done: not on the operators' thread.
    pub runtime: Handle,
}

pub(super) type Shared = State<Arc<Admin>>;

/// Returns the endpoints, to be put below `/admin/v1`.
pub fn router(admin: Admin) -> Router {
    let admin = Arc::new(admin);
    Router::new()
        .route("/nodes", get(nodes))
        .route("/rooms", get(rooms))
        .route("/rooms/{room}", get(room))
        .route("/rooms/{room}/passivate", post(passivate))
        .route("/rooms/{room}/move", post(move_room))
        .route("/rooms/{room}/expire", post(super::expire::expire))
        .route("/beacons", get(beacons))
        .route("/drain", post(drain))
        .fallback(async || AdminError::not_found("there is no such endpoint"))
        .layer(from_fn_with_state(Arc::clone(&admin), authorize))
        .with_state(admin)
}

async fn authorize(State(admin): Shared, request: Request, next: Next) -> Response {
    if admin.token.is_shown_by(request.headers()) {
        return next.run(request).await;
    }
    AdminError::unauthorized().into_response()
}

async fn nodes(State(admin): Shared) -> Json<Nodes> {
    Json(match admin.directory.cluster() {
        None => Nodes::alone(),
        Some(cluster) => Nodes::of(cluster, &cluster.view().borrow(), admin.connect.as_deref()),
    })
}

#[derive(Deserialize)]
struct Page {
    after: Option<RoomId>,
    limit: Option<usize>,
}

async fn rooms(
    State(admin): Shared,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Rooms>, AdminError> {
    let Query(Page { after, limit }) = page.map_err(|error| AdminError::bad_request(error.body_text()))?;
    let limit = limit.unwrap_or(ROOMS_PAGE).clamp(1, ROOMS_PAGE_MAX);
    let rooms: Vec<Room> = match admin.directory.cluster() {
        None => admin.directory.rooms_after(after.as_ref(), limit).into_iter().map(Room::alone).collect(),
        Some(cluster) => cluster.rooms(after, limit).await.into_iter().map(Room::from).collect(),
    };
    let rooms: Vec<Room> = rooms
        .into_iter()
        .map(|room| {
            let is_damaged = admin.directory.damage_of(&room.room).is_some();
            room.found_damaged(is_damaged)
        })
        .collect();
    let next = rooms.last().filter(|_| rooms.len() == limit).map(|room| room.room.clone());
    Ok(Json(Rooms { rooms, next }))
}

async fn room(State(admin): Shared, Path(name): Path<String>) -> Result<Json<RoomDetails>, AdminError> {
    let room = parse(&name)?;
    let here = match admin.directory.cluster() {
        None => admin.directory.is_active(&room).then(|| Room::alone(room.clone())),
        Some(cluster) => cluster.room(&room).await.map(Room::from),
    };
    let log = admin.log.upgrade().ok_or_else(|| AdminError::unavailable("the log is closed"))?;
    let asked = room.clone();
    let tail = admin.runtime.spawn(async move { log.tail(&asked).await }).await;
    let tail = tail.map_err(|error| AdminError::unavailable(error.to_string()))?;
    let log = tail.map_err(|error| AdminError::unavailable(error.to_string()))?.map(Into::into);
    if here.is_none() && log.is_none() {
        return Err(AdminError::not_found(format!("nobody has written to {room}, and nobody reads it here")));
    }
    let damage = admin.directory.damage_of(&room);
    let here = here.map(|here| here.found_damaged(damage.is_some()));
    Ok(Json(RoomDetails { here, log, damage: damage.map(Into::into) }))
}

async fn beacons(State(admin): Shared) -> Result<Json<Beacons>, AdminError> {
    let cluster = admin.directory.cluster().ok_or_else(alone)?;
    Ok(Json(cluster.beacons().await.into()))
}

async fn passivate(State(admin): Shared, Path(name): Path<String>) -> Result<Response, AdminError> {
    let room = parse(&name)?;
    match admin.directory.cluster() {
        None if !admin.directory.give_up(&room) => {
            return Err(AdminError::conflict(format!("{room} is not active")));
        }
        None => {}
        Some(cluster) => {
            owned_here(&admin, &room).await?;
            cluster.give_up(room.clone());
        }
    }
    tracing::info!(%room, "an operator has a room given up");
    Ok(accepted(&json!({"room": room})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    to: String,
}

async fn move_room(
    State(admin): Shared,
    Path(name): Path<String>,
    request: Result<Json<Move>, JsonRejection>,
) -> Result<Response, AdminError> {
    let room = parse(&name)?;
    let Json(Move { to }) = request.map_err(|error| AdminError::bad_request(error.body_text()))?;
    let to = parse_node_id(&to).map_err(|error| AdminError::bad_request(error.to_string()))?;
    let cluster = admin.directory.cluster().ok_or_else(alone)?;
    owned_here(&admin, &room).await?;
    let peer = cluster.view().borrow().peers.iter().find(|peer| peer.node.node == to).map(|peer| peer.takes_rooms);
    match peer {
        None if to == cluster.me().node => return Err(AdminError::conflict(format!("{room} is here already"))),
        None => return Err(AdminError::not_found(format!("there is no node {}", to.0))),
        Some(false) => return Err(AdminError::conflict(format!("{} takes no rooms", to.0))),
        Some(true) => {}
    }
    tracing::info!(%room, to = %to.0, "an operator moves a room");
    let answer = json!({"room": room, "to": &*to.0});
    cluster.move_to(room, to);
    Ok(accepted(&answer))
}

async fn drain(State(admin): Shared) -> Result<Response, AdminError> {
    admin.directory.cluster().ok_or_else(alone)?;
    let was_in_service = (admin.drain)();
    if was_in_service {
        tracing::info!("an operator takes this node out of service");
    }
    Ok(accepted(&json!({"draining": true, "since_now": was_in_service})))
}

/// Makes sure that a room is owned here; else says by whom.
pub(super) async fn owned_here(admin: &Admin, room: &RoomId) -> Result<(), AdminError> {
    let cluster = admin.directory.cluster().ok_or_else(alone)?;
    let report = cluster.room(room).await;
    if report.as_ref().is_some_and(|report| report.role == RoomRole::Owner) {
        return Ok(());
    }
    let owner = report.and_then(|report| report.owner).filter(|owner| owner != cluster.me());
    Err(AdminError::conflict(match owner {
        Some(owner) => format!("{room} is owned by {}: ask that node", owner.node.0),
        None => format!("{room} is not owned here"),
    }))
}

pub(super) fn parse(name: &str) -> Result<RoomId, AdminError> {
    RoomId::parse(name).map_err(|error| AdminError::bad_request(error.to_string()))
}

fn alone() -> AdminError {
    AdminError::conflict("this server is in no cluster: there is nobody to have its rooms")
}

fn accepted(body: &Value) -> Response {
    (StatusCode::ACCEPTED, Json(body.clone())).into_response()
}
