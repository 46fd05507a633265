//! How a client is set up.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rand::Rng as _;
use rollcall_protocol::{DeviceId, Format};
use tokio::sync::{mpsc, watch};

use crate::client::{Client, Shared};
use crate::error::ConnectError;
use crate::session::{Credentials, Session, SessionConfig, new_device};
use crate::shell::{Driver, Endpoint, Endpoints, Gate, Keeper, Parts};
use crate::state::State;
use crate::storage::{Saved, Storage};
use crate::token::TokenProvider;

/// The socket's read buffer, in bytes: allocated for each connection, and filled with zeros before each read. What the
/// WebSocket handshake has used, 4 KiB, is the least.
pub const READ_BUFFER_BYTES: usize = 4 * 1024;
/// What a room may hold that the program did not take yet, in bytes, before the socket is not read any more.
pub const ROOM_EVENTS_BYTES_MAX: usize = 1024 * 1024;
/// Writes to one room that may be unanswered or wait to be sent.
pub const QUEUE_WRITES_MAX: usize = 1024;
/// The size of the bodies of those, in bytes.
pub const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Sets a client up.
pub struct ClientBuilder {
    urls: Vec<String>,
    format: Format,
    credentials: Credentials,
    provider: Option<Arc<dyn TokenProvider>>,
    device: Option<DeviceId>,
    storage: Option<Box<dyn Storage>>,
    local_address: Option<IpAddr>,
    read_buffer_bytes: usize,
    room_events_bytes_max: usize,
    queue_writes_max: usize,
    queue_bytes_max: usize,
}

impl ClientBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            urls: vec![url],
            format: Format::default(),
            credentials: Credentials::Guest,
            provider: None,
            device: None,
            storage: None,
            local_address: None,
            read_buffer_bytes: READ_BUFFER_BYTES,
            room_events_bytes_max: ROOM_EVENTS_BYTES_MAX,
            queue_writes_max: QUEUE_WRITES_MAX,
            queue_bytes_max: QUEUE_BYTES_MAX,
        }
    }

    /// Names another server of the same cluster. The client begins at any of those that it knows, and goes to another one when it
    /// loses its connection or is sent away; what it wrote and where it is in its rooms goes with it. To one that sent it away it does
    /// not come back for a minute, as long as there is another.
    #[must_use]
    pub fn or_at(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// Sets how frames are written; JSON unless told.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Comes as a guest, which is the default. The client remembers the proof of the guest's name, and keeps it in its storage.
    #[must_use]
    pub fn guest(mut self) -> Self {
        (self.credentials, self.provider) = (Credentials::Guest, None);
        self
    }

    /// Comes with a token that does not change: once it has expired, the client stops.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        (self.credentials, self.provider) = (Credentials::Token(token.into()), None);
        self
    }

    /// Comes with tokens that a provider gives when they are needed; they are refreshed before they expire.
    #[must_use]
    pub fn token_provider(mut self, provider: impl TokenProvider) -> Self {
        self.credentials = Credentials::Provider;
        self.provider = Some(Arc::new(provider));
        self
    }

    /// Names this installation; drawn at random unless told. Where the storage has a name, that is used: the client takes a
    /// new one where a room has forgotten the old. Without a storage, a name that wrote before is soon replaced, since what
    /// it wrote is not known any more.
    #[must_use]
    pub fn device(mut self, device: DeviceId) -> Self {
        self.device = Some(device);
        self
    }

    /// Keeps the device's name, a guest's proof, unanswered writes and places in rooms across restarts of the program. What
    /// is not kept cannot be tried again.
    #[must_use]
    pub fn storage(mut self, storage: impl Storage) -> Self {
        self.storage = Some(Box::new(storage));
        self
    }

    /// Connects from this address of the machine: one address has some 28,000 ports for one server.
    #[must_use]
    pub fn local_address(mut self, address: IpAddr) -> Self {
        self.local_address = Some(address);
        self
    }

    /// Sets the socket's read buffer, 4 KiB unless told, which is the least: each connection holds one. An idle client takes
    /// some 12 KiB in all.
    #[must_use]
    pub fn read_buffer_bytes(mut self, bytes: usize) -> Self {
        self.read_buffer_bytes = bytes.max(1);
        self
    }

    /// Sets what a room may hold that the program did not take yet, 1 MiB unless told. Beyond it the socket is not read.
    #[must_use]
    pub fn room_events_bytes_max(mut self, bytes: usize) -> Self {
        self.room_events_bytes_max = bytes;
        self
    }

    /// Sets how many writes to one room may be unanswered or wait to be sent, 1,024 unless told; more are `QueueFull`.
    #[must_use]
    pub fn queue_writes_max(mut self, writes: usize) -> Self {
        self.queue_writes_max = writes;
        self
    }

    /// Sets how large the bodies of those may be together, 16 MiB unless told.
    #[must_use]
    pub fn queue_bytes_max(mut self, bytes: usize) -> Self {
        self.queue_bytes_max = bytes;
        self
    }

    /// Makes the client, which connects in the background. Reads the storage, which may block.
    ///
    /// # Errors
    /// Where the address is not one, or the storage cannot be read.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and net.
    pub fn build(mut self) -> Result<Client, ConnectError> {
        let parse = |url: &String| Endpoint::parse(url, self.format, self.local_address, self.read_buffer_bytes);
        let endpoints = Endpoints::new(self.urls.iter().map(parse).collect::<Result<_, _>>()?);
        let saved = self.storage.as_mut().map_or_else(|| Ok(Saved::default()), |storage| storage.load())?;
        let mut random = rand::rng();
        let config = SessionConfig {
            credentials: self.credentials,
            device: self.device.unwrap_or_else(|| new_device(random.next_u64())),
            session: format!("{:016x}{:016x}", random.next_u64(), random.next_u64()),
            has_storage: self.storage.is_some(),
            queue_writes_max: self.queue_writes_max,
            queue_bytes_max: self.queue_bytes_max,
        };
        let session = Session::new(config, saved.clone());
        let unanswered_rooms = session.unanswered_rooms().cloned().collect();
        let gate = Arc::new(Gate::default());
        let (state, state_events) = watch::channel(State::Connecting);
        let (requests, inbox) = mpsc::unbounded_channel();
        let has_storage = self.storage.is_some();
        let keeper = self.storage.map(|storage| Keeper::new(storage, saved));
        let parts =
            Parts { session, endpoints, provider: self.provider, keeper, inbox, state, gate: Arc::clone(&gate) };
        tokio::spawn(Box::new(Driver::new(parts)).run());
        Ok(Client::new(Shared {
            inbox: requests,
            state: state_events,
            gate,
            subscriptions: AtomicU64::new(0),
            room_events_bytes_max: self.room_events_bytes_max,
            queue_writes_max: self.queue_writes_max,
            has_storage,
            unanswered_rooms,
        }))
    }

    /// Makes the client and waits for its first connection. While the server is away it goes on trying, without end.
    ///
    /// # Errors
    /// Where the client cannot be made, or the server refuses it for good.
    ///
    /// # Cancel safety
    /// A dropped future takes the client with it.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let client = self.build()?;
        let mut states = client.state_events();
        let mut state = states.current();
        loop {
            match state {
                State::Connected { .. } => return Ok(client),
                State::Stopped { error } => return Err(error.into()),
                State::Connecting | State::Reconnecting { .. } => {}
            }
            state = states.next().await.ok_or(crate::error::StopError::Closed)?;
        }
    }
}

impl std::fmt::Debug for ClientBuilder {
    /// Leaves the token out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder").field("urls", &self.urls).field("format", &self.format).finish_non_exhaustive()
    }
}
