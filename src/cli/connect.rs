//! The client of a command: connected, or a failure that says what to do.

use rollcall_client::{Client, ConnectError, HistoryError, JoinError, State, StopError, WriteError};
use rollcall_protocol::{CloseCode, ErrorCode, ErrorFrame};

use super::args::ServerArguments;
use super::failure::{Failure, Kind};
use super::state;

/// Connects to a server. One try: a person who typed a command wants to hear at once that nobody is there.
///
/// # Errors
/// Where nobody is there, or the server does not let the client in.
pub async fn connect(server: &ServerArguments) -> Result<Client, Failure> {
    let ServerArguments { url, token } = server;
    let builder = Client::builder(url.clone());
    let (builder, group) = match token {
        Some(token) => (builder.token(token.trim()), "token"),
        None => (builder.guest(), "guest"),
    };
    let builder = match state::open(url, group)? {
        Some(storage) => builder.storage(storage),
        None => builder,
    };
    let client = builder.build().map_err(|error| match error {
        ConnectError::Stopped(error) => stopped(&error),
        other => Failure::new(Kind::Io, other),
    })?;
    let mut states = client.state_events();
    let mut now = states.current();
    loop {
        match now {
            State::Connected { .. } => return Ok(client),
            State::Stopped { error } => return Err(stopped(&error)),
            // It is there, and does not know the guest, as one that began anew under the address of another: the client comes as a new one.
            State::Reconnecting { code: Some(code), .. } if code == CloseCode::Unauthorized.number() => {}
            State::Reconnecting { .. } => {
                let text = format!("failed to connect to {url}: is `rollcall serve` running there?");
                return Err(Failure::new(Kind::Unavailable, text));
            }
            State::Connecting => {}
        }
        now = states.next().await.unwrap_or(State::Stopped { error: StopError::Closed });
    }
}

/// Why the client gave up.
pub fn stopped(error: &StopError) -> Failure {
    match error {
        StopError::Refused(frame) => refused(frame),
        StopError::Verdict { .. } => Failure::new(Kind::Finding, error),
        StopError::Storage(_) => Failure::new(Kind::Io, error),
        StopError::Closed => Failure::new(Kind::Unavailable, error),
    }
}

/// What the server refused.
pub fn refused(frame: &ErrorFrame) -> Failure {
    let advice = match frame.code {
        ErrorCode::Unauthorized | ErrorCode::TokenExpired => {
            "; give a good token in ROLLCALL_TOKEN (`rollcall token issue` makes one, `rollcall token inspect` explains one)"
        }
        ErrorCode::Forbidden => "; ask whoever made your token for the right",
        _ => "",
    };
    let kind = match frame.code {
        ErrorCode::Unauthorized | ErrorCode::TokenExpired | ErrorCode::Forbidden => Kind::Permission,
        _ if frame.retryable => Kind::Unavailable,
        _ => Kind::Finding,
    };
    Failure::new(kind, format!("the server refused: {}{advice}", frame.message))
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        match &error {
            JoinError::Refused(frame) => refused(frame),
            JoinError::Stopped(error) => stopped(error),
            JoinError::Diverged { .. } => {
                Self::new(Kind::Finding, format!("{error}: the room ends before it, or is another one now"))
            }
            JoinError::Name(_) | JoinError::AlreadyJoined => Self::new(Kind::Finding, error),
        }
    }
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        match &error {
            HistoryError::Refused(frame) => refused(frame),
            HistoryError::Stopped(error) => stopped(error),
            HistoryError::Name(_) | HistoryError::Expired { .. } => Self::new(Kind::Finding, error),
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match &error {
            WriteError::Refused(frame) => refused(frame),
            WriteError::Unknown { .. } => Self::new(Kind::Unavailable, format!("{error}: look at `rollcall history`")),
            WriteError::QueueFull | WriteError::Closed => Self::new(Kind::Unavailable, error),
            WriteError::Body(_) => Self::new(Kind::Finding, error),
        }
    }
}
