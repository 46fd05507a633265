//! The upgrade: from an HTTP request to a WebSocket, if Host, Origin and subprotocol are in order.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use rollcall_protocol::{ErrorCode, ErrorFrame, Format};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::listener::Peer;
use super::{Gateway, connection};

/// Answers `GET /v1/ws`.
pub async fn websocket(State(gateway): State<Arc<Gateway>>, mut request: Request) -> Response {
    let checked = check(&gateway, request.headers());
    let (format, key) = match checked {
        Ok(checked) => checked,
        Err((status, message)) => return refuse(status, message),
    };
    let parts = (request.extensions_mut().remove::<OnUpgrade>(), request.extensions_mut().remove::<Peer>());
    let (Some(upgrade), Some(peer)) = parts else {
        return refuse(StatusCode::UPGRADE_REQUIRED, "this address speaks WebSocket over HTTP/1.1");
    };
    let tasks = peer.tasks.clone();
    tasks.spawn(async move {
        match upgrade.await {
            Ok(upgraded) => connection::serve(gateway, upgraded, format, peer).await,
            Err(error) => tracing::debug!(%error, "an upgrade failed"),
        }
    });
    let protocol = HeaderValue::from_static(format.subprotocol());
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, key),
        (header::SEC_WEBSOCKET_PROTOCOL, protocol),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// A status, and what it is about.
pub type Refused = (StatusCode, &'static str);

/// Checks a request's headers; returns the format and the accept key.
fn check(gateway: &Gateway, headers: &HeaderMap) -> Result<(Format, HeaderValue), Refused> {
    check_host_and_origin(gateway, headers)?;
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let has_token = |name, token: &str| {
        text(name).is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
    };
    if !has_token(header::CONNECTION, "upgrade") || !has_token(header::UPGRADE, "websocket") {
        return Err((StatusCode::UPGRADE_REQUIRED, "this address speaks WebSocket"));
    }
    if text(header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err((StatusCode::BAD_REQUEST, "Sec-WebSocket-Version has to be 13"));
    }
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .and_then(|key| HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok())
        .ok_or((StatusCode::BAD_REQUEST, "the Sec-WebSocket-Key header is missing"))?;
    let asked = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let format = asked
        .flat_map(|value| value.split(','))
        .find_map(|name| Format::of_subprotocol(name.trim()))
        .ok_or((StatusCode::BAD_REQUEST, "ask for the subprotocol rollcall.v1.json or rollcall.v1.msgpack"))?;
    Ok((format, key))
}

/// Checks that a request names this server as it may be addressed, and comes from a page that may ask.
pub fn check_host_and_origin(gateway: &Gateway, headers: &HeaderMap) -> Result<(), Refused> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.ok_or((StatusCode::BAD_REQUEST, "the Host header is missing"))?;
    if let Some(allowed) = &gateway.settings.hosts_allowed
        && !allowed.iter().any(|name| name == "*" || name.eq_ignore_ascii_case(without_port(host)))
    {
        return Err((StatusCode::FORBIDDEN, "this Host is not allowed; see hosts.allowed in the configuration"));
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let own = origin.split_once("://").is_some_and(|(_, name)| name.eq_ignore_ascii_case(host));
        if !own && !gateway.settings.origins_allowed.iter().any(|allowed| allowed == "*" || allowed == origin) {
            return Err((
                StatusCode::FORBIDDEN,
                "this Origin is not allowed; see origins.allowed in the configuration",
            ));
        }
    }
    Ok(())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Answers a request that is refused.
pub fn refuse(status: StatusCode, message: &'static str) -> Response {
    let code = if status == StatusCode::FORBIDDEN { ErrorCode::Forbidden } else { ErrorCode::BadRequest };
    let mut response = (status, Json(ErrorFrame::new(code, message))).into_response();
    if status == StatusCode::UPGRADE_REQUIRED {
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    response
}
