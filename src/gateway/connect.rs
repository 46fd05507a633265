//! `GET /v1/connect`: where a client should connect.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rollcall_actors::cluster::Standing;
use rollcall_actors::shell::ClusterView;
use rollcall_protocol::{ErrorCode, ErrorFrame};
use serde::Serialize;

use super::Gateway;
use super::upgrade::{check_host_and_origin, refuse};

/// The path at which every server takes WebSocket connections.
const SOCKET_PATH: &str = "/v1/ws";

/// How long a client should wait that was told of no node, in milliseconds.
const NOBODY_RETRY_MS: u64 = 1_000;

/// A good node.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct GoodNode {
    /// Its name; none of a server by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// Where it takes WebSocket connections; none: at the address that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// Answers `GET /v1/connect`.
pub async fn connect(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Response {
    if let Err((status, message)) = check_host_and_origin(&gateway, &headers) {
        return refuse(status, message);
    }
    let own = gateway.settings.connect.as_deref();
    let good = match gateway.directory.cluster() {
        None => Some(GoodNode { node: None, url: own.map(socket_url) }),
        Some(cluster) => {
            let is_ready = gateway.readiness.is_ready();
            choose((&cluster.me().node.0, own), is_ready, &cluster.view().borrow(), rand::random())
        }
    };
    let mut response = match good {
        Some(good) => Json(good).into_response(),
        None => {
            let mut error = ErrorFrame::new(ErrorCode::Unavailable, "no node takes clients at the moment");
            error.retry_after_ms = Some(NOBODY_RETRY_MS);
            (StatusCode::SERVICE_UNAVAILABLE, Json(error)).into_response()
        }
    };
    let headers_out = response.headers_mut();
    headers_out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers_out.insert(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = headers.get(header::ORIGIN) {
        headers_out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    response
}

/// Chooses a node: this one as long as it is ready and takes rooms; else any of those that do and say where they are found, by a random
/// draw, so that the clients of a node that is taken out of service spread over the others. None where there is nobody.
fn choose((name, own): (&str, Option<&str>), is_ready: bool, view: &ClusterView, draw: u64) -> Option<GoodNode> {
    if is_ready && view.standing == Standing::Member && view.takes_rooms {
        return Some(GoodNode { node: Some(name.to_owned()), url: own.map(socket_url) });
    }
    let good = |peer: &rollcall_actors::shell::PeerView| {
        let connect = peer.connect.as_deref().filter(|_| peer.takes_rooms)?;
        Some(GoodNode { node: Some(peer.node.node.0.to_string()), url: Some(socket_url(connect)) })
    };
    let mut nodes: Vec<GoodNode> = view.peers.iter().filter_map(good).collect();
    let count = u64::try_from(nodes.len()).ok().filter(|&count| count > 0)?;
    let chosen = usize::try_from(draw % count).ok()?;
    Some(nodes.swap_remove(chosen))
}

/// Returns where a node takes WebSocket connections that is found at an address.
fn socket_url(connect: &str) -> String {
    let base = connect.trim_end_matches('/');
    if base.ends_with(SOCKET_PATH) { base.to_owned() } else { format!("{base}{SOCKET_PATH}") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rollcall_actors::cluster::{Incarnation, NodeRef, parse_node_id};
    use rollcall_actors::shell::PeerView;

    use super::*;

    fn peer(name: &str, takes_rooms: bool, connect: Option<&str>) -> PeerView {
        let node = NodeRef::new(parse_node_id(name).unwrap(), Incarnation(1));
        PeerView { node, takes_rooms, connect: connect.map(Into::into) }
    }

    fn view(takes_rooms: bool) -> ClusterView {
        let peers = vec![
            peer("b", true, Some("wss://b.example")),
            peer("c", true, Some("wss://c.example/")),
            peer("drains", false, Some("wss://drains.example")),
            peer("hidden", true, None),
        ];
        ClusterView { standing: Standing::Member, takes_rooms, peers, is_over: false }
    }

    fn chosen(is_ready: bool, view: &ClusterView) -> BTreeSet<Option<String>> {
        (0..100)
            .map(|draw| choose(("a", Some("wss://a.example")), is_ready, view, draw).and_then(|good| good.url))
            .collect()
    }

    #[test]
    fn a_node_that_is_well_names_itself() {
        assert_eq!(chosen(true, &view(true)), BTreeSet::from([Some("wss://a.example/v1/ws".to_owned())]));
        let here = choose(("a", None), true, &view(true), 7).unwrap();
        assert_eq!(here, GoodNode { node: Some("a".to_owned()), url: None });
    }

    #[test]
    fn a_node_that_drains_spreads_clients_over_those_that_do_not() {
        let others = ["wss://b.example/v1/ws", "wss://c.example/v1/ws"].map(|url| Some(url.to_owned()));
        assert_eq!(chosen(true, &view(false)), BTreeSet::from(others.clone()));
        assert_eq!(chosen(false, &view(true)), BTreeSet::from(others.clone()), "it stops, or its log is away");
        let newcomer = ClusterView { standing: Standing::Claiming, ..view(true) };
        assert_eq!(chosen(true, &newcomer), BTreeSet::from(others));
        let nobody = ClusterView { peers: vec![peer("hidden", true, None)], ..view(false) };
        assert_eq!(chosen(true, &nobody), BTreeSet::from([None]));
    }

    #[test]
    fn an_address_may_name_the_path_or_not() {
        for connect in ["wss://a", "wss://a/", "wss://a/v1/ws", "wss://a/v1/ws/"] {
            assert_eq!(socket_url(connect), "wss://a/v1/ws");
        }
    }
}
