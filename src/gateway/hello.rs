//! Hello: who a connection is. Nothing else is taken before it.

use std::fmt;

use rollcall_actors::room::SenderKey;
use rollcall_actors::shell::Session;
use rollcall_protocol::limits::FRAME_BYTES_BEFORE_HELLO_MAX;
use rollcall_protocol::{
    CloseCode, DeviceId, ErrorCode, ErrorFrame, Hello, Op, Outgoing, OutgoingPush, Welcome, limits,
};

use tokio_util::sync::CancellationToken;

use super::Gateway;
use super::socket::{Received, Socket};
use crate::auth::Identity;

/// A connection that said hello.
pub struct Who {
    /// The user and what the token allows.
    pub identity: Identity,
    /// The installation.
    pub device: DeviceId,
    /// The connection's name in logs.
    pub connection: ConnectionName,
}

/// A connection's name, drawn at random: one in the log, to be found by the client's.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionName(u64);

impl fmt::Display for ConnectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Who {
    /// Returns the name of the device, unique among all users.
    pub fn key(&self) -> SenderKey {
        SenderKey { user: self.identity.user.clone(), device: self.device.clone() }
    }
}

/// An accepted hello: who it is, the client's process and its count of connections, and the answer.
type Accepted = (Who, Session, Welcome);

/// A refused hello: what the client is told, and the code to close with.
type Refused = (ErrorFrame, CloseCode);

/// Waits for hello and answers it, unless the server stops before; returns who it is, with the client's process and its count of
/// connections.
///
/// # Errors
/// Where the connection is over, with the code that it was closed with, if it was.
pub async fn hello(
    gateway: &Gateway,
    socket: &mut Socket,
    stop: &CancellationToken,
) -> Result<(Who, Session), Option<CloseCode>> {
    let received = tokio::select! {
        received = tokio::time::timeout(gateway.settings.hello_timeout, socket.receive()) => received,
        () = stop.cancelled() => {
            socket.close(CloseCode::GoingAway).await;
            return Err(Some(CloseCode::GoingAway));
        }
    };
    let (id, result) = match received {
        Ok(Received::Frame(frame)) => read(gateway, socket, &frame),
        Ok(Received::Over(None)) => return Err(None),
        Ok(Received::Over(Some(CloseCode::FrameTooLarge))) => (None, Err(too_large())),
        Ok(Received::Over(Some(code))) => {
            let message = "frames are text for JSON and binary for MessagePack, as RFC 6455 has them";
            (None, Err((ErrorFrame::new(ErrorCode::BadRequest, message), code)))
        }
        Err(_) => {
            let error = ErrorFrame::new(ErrorCode::BadRequest, "hello did not come in time");
            (None, Err((error, CloseCode::HelloTimeout)))
        }
    };
    match result {
        Ok((who, session, welcome)) => {
            socket.open_gate();
            socket.feed(&Outgoing::Ok(id.unwrap_or_default(), welcome));
            socket.flush().await.map_err(|_| None)?;
            Ok((who, session))
        }
        Err((error, code)) => {
            let frame: OutgoingPush<'_> = Outgoing::Error(id, &error);
            socket.feed(&frame);
            if socket.flush().await.is_ok() {
                socket.close(code).await;
            }
            Err(Some(code))
        }
    }
}

fn read(gateway: &Gateway, socket: &Socket, frame: &[u8]) -> (Option<u64>, Result<Accepted, Refused>) {
    if frame.len() > FRAME_BYTES_BEFORE_HELLO_MAX {
        return (None, Err(too_large()));
    }
    match socket.format().decode_command(frame) {
        Err(error) => (error.id, Err(bad_request(error.to_string()))),
        Ok(command) => match command.op {
            Op::Hello(hello) => (command.id, identify(gateway, &hello)),
            other => (command.id, Err(bad_request(format!("say hello before {}", other.name())))),
        },
    }
}

fn too_large() -> Refused {
    let message = format!("a frame before hello has at most {FRAME_BYTES_BEFORE_HELLO_MAX} bytes");
    (ErrorFrame::new(ErrorCode::TooLarge, message), CloseCode::FrameTooLarge)
}

fn bad_request(message: String) -> Refused {
    (ErrorFrame::new(ErrorCode::BadRequest, message), CloseCode::BadRequest)
}

fn identify(gateway: &Gateway, hello: &Hello) -> Result<Accepted, Refused> {
    let now_ms = gateway.clock.now_ms();
    let admitted = match &hello.token {
        Some(token) => gateway.verifier.verify(token, now_ms).map(|identity| (identity, None)),
        None => gateway.verifier.admit_guest(now_ms).map(|guest| (guest.identity, Some(guest.token))),
    };
    let (identity, token) = admitted.map_err(|error| {
        gateway.metrics.auth_failed(error);
        let code = match error.code() {
            ErrorCode::TokenExpired => CloseCode::TokenExpired,
            ErrorCode::Internal => CloseCode::InternalError,
            _ => CloseCode::Unauthorized,
        };
        (error.frame(), code)
    })?;
    if hello.device.as_ref().is_some_and(DeviceId::is_idempotency_key) {
        return Err(bad_request("a device name does not begin with key:".to_owned()));
    }
    let session = hello.session.clone().unwrap_or_else(random_name);
    let device = hello.device.clone().unwrap_or_else(random_device);
    let connection = ConnectionName(rand::random());
    let welcome = Welcome {
        connection: connection.to_string(),
        user: identity.user.clone(),
        device: device.clone(),
        token,
        server_time_ms: now_ms,
        ping_interval_ms: u64::try_from(gateway.settings.ping_interval.as_millis()).unwrap_or(limits::PING_INTERVAL_MS),
        pong_timeout_ms: u64::try_from(gateway.settings.pong_timeout.as_millis()).unwrap_or(limits::PONG_TIMEOUT_MS),
        expires_at_ms: Some(identity.expires_at_ms),
    };
    let session = Session { id: session.into(), attempt: hello.attempt };
    Ok((Who { identity, device, connection }, session, welcome))
}

fn random_name() -> String {
    format!("{:016x}", rand::random::<u64>())
}

fn random_device() -> DeviceId {
    DeviceId::parse(&random_name()).expect("hexadecimal digits are a device name")
}
