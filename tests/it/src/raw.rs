//! A client that does as it is told: it sends any bytes and frames, and reads what comes, with deadlines.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rollcall_protocol::limits::UNANSWERED_WRITES_MAX;
use rollcall_protocol::{
    Ack, Body, Command, DeviceId, EntriesFrame, EntryFrame, ErrorFrame, Format, Hash, Hello, History, HistoryPage,
    Incoming, Join, Joined, Left, OkFields, Op, Pong, RoomId, Seq, Signal, Welcome, Write, WriteOp,
};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

/// How long anything that is awaited may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A reply: what a command was answered.
pub type Answer = Result<OkFields, ErrorFrame>;

/// One connection.
pub struct Raw {
    socket: WebSocketStream<TcpStream>,
    format: Format,
    last_id: u64,
    replies: BTreeMap<u64, Answer>,
    /// Errors that name no command.
    nameless: VecDeque<ErrorFrame>,
    pushes: VecDeque<Incoming>,
    /// Every error that answered a command, in the order in which they came.
    errors: Vec<ErrorFrame>,
    /// Whether the connection is over, and the code that it was closed with, if there was one.
    over: Option<Option<u16>>,
    /// Whether pings are answered; they are, unless a test says otherwise.
    pub answers_pings: bool,
}

impl Raw {
    /// Opens a connection.
    pub async fn connect(address: SocketAddr, format: Format) -> Self {
        Self::over_stream(TcpStream::connect(address).await.unwrap(), format).await
    }

    /// Makes a connection of a stream that leads to the server.
    pub async fn over_stream(stream: TcpStream, format: Format) -> Self {
        Self::try_over_stream(stream, format).await.unwrap_or_else(|status| panic!("no upgrade but {status:?}"))
    }

    /// As [`Raw::over_stream`], where the server may refuse.
    ///
    /// # Errors
    /// The status of the refusal; none where the server hung up without one.
    pub async fn try_over_stream(stream: TcpStream, format: Format) -> Result<Self, Option<u16>> {
        stream.set_nodelay(true).map_err(|_| None)?;
        let address = stream.peer_addr().map_err(|_| None)?;
        let mut request = format!("ws://{address}/v1/ws").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(format.subprotocol()));
        let mut config = WebSocketConfig::default();
        config.max_message_size = None;
        config.max_frame_size = None;
        let upgraded = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
        let (socket, _) = upgraded.map_err(|error| match error {
            tungstenite::Error::Http(response) => Some(response.status().as_u16()),
            _ => None,
        })?;
        Ok(Self {
            socket,
            format,
            last_id: 0,
            replies: BTreeMap::new(),
            nameless: VecDeque::new(),
            pushes: VecDeque::new(),
            errors: Vec::new(),
            over: None,
            answers_pings: true,
        })
    }

    /// Returns the format of the connection's frames.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Sends a WebSocket message, whatever it is. A server that has hung up already is no reason to fail: what it said before is
    /// what counts.
    pub async fn send_message(&mut self, message: Message) {
        drop(self.try_send_message(message).await);
    }

    /// Sends a WebSocket message, and says whether the server's side took all of it.
    ///
    /// # Errors
    /// Where the connection broke meanwhile.
    pub async fn try_send_message(&mut self, message: Message) -> Result<(), tungstenite::Error> {
        let sent = tokio::time::timeout(PATIENCE, self.socket.send(message)).await;
        sent.expect("the server takes what is sent")
    }

    /// Sends bytes as one frame of the connection's format.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.send_message(self.message(bytes)).await;
    }

    /// Gathers bytes as one frame, to be sent with the next flush, and never waits for the server.
    pub async fn feed_bytes(&mut self, bytes: &[u8]) {
        self.socket.feed(self.message(bytes)).await.unwrap();
    }

    /// Makes a message of the connection's format.
    pub fn message(&self, bytes: &[u8]) -> Message {
        match self.format {
            Format::Json => Message::Text(Utf8Bytes::try_from(bytes.to_vec()).expect("a text frame is UTF-8")),
            Format::MsgPack => Message::Binary(bytes.to_vec().into()),
        }
    }

    /// Draws the next id.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Sends a command and returns its id.
    pub async fn tell(&mut self, op: Op<Body>) -> u64 {
        let id = self.next_id();
        let bytes = self.format.encode_command(&Command { id: Some(id), op });
        self.send_bytes(&bytes).await;
        id
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    /// The error that the server answered.
    pub async fn ask(&mut self, op: Op<Body>) -> Answer {
        let id = self.tell(op).await;
        self.reply(id).await
    }

    /// Waits for the reply to a command.
    ///
    /// # Errors
    /// The error that the server answered.
    pub async fn reply(&mut self, id: u64) -> Answer {
        self.wait(&format!("the reply to command {id}"), |raw| raw.replies.remove(&id)).await
    }

    /// Returns the reply to a command, if it has come.
    pub fn reply_so_far(&mut self, id: u64) -> Option<Answer> {
        self.replies.remove(&id)
    }

    /// Waits for an error that names no command.
    pub async fn nameless_error(&mut self) -> ErrorFrame {
        self.wait("an error without an id", |raw| raw.nameless.pop_front()).await
    }

    /// Waits for the next push, but for pings where they are answered.
    pub async fn push(&mut self) -> Incoming {
        self.wait("a push", |raw| raw.pushes.pop_front()).await
    }

    /// Waits for the next push.
    ///
    /// # Errors
    /// Where the connection ends instead, with the code that it was closed with.
    pub async fn push_or_end(&mut self) -> Result<Incoming, Option<u16>> {
        let next = |raw: &mut Self| raw.pushes.pop_front().map(Ok).or(raw.over.map(Err));
        self.wait("a push or the end of the connection", next).await
    }

    /// Waits for the next push, which has to be entries.
    pub async fn entries(&mut self) -> EntriesFrame {
        match self.push().await {
            Incoming::Entries(frame) => frame,
            other => panic!("instead of entries came {other:?}"),
        }
    }

    /// Waits for the next push, which has to be a signal.
    pub async fn signal(&mut self) -> Signal {
        match self.push().await {
            Incoming::Signal(signal) => signal,
            other => panic!("instead of a signal came {other:?}"),
        }
    }

    /// Waits for the next push, which has to be the end of a subscription.
    pub async fn left(&mut self) -> Left {
        match self.push().await {
            Incoming::Left(left) => left,
            other => panic!("instead of the end of a subscription came {other:?}"),
        }
    }

    /// Waits for entries of a room until one has the number `through`, and asserts that they follow on each other from after
    /// `cursor` on. The last frame ends the list, so that there may be more.
    pub async fn entries_through(&mut self, room: &str, cursor: u64, through: u64) -> Vec<EntryFrame> {
        let mut list: Vec<EntryFrame> = Vec::new();
        let mut last = cursor;
        while last < through {
            let frame = self.entries().await;
            assert_eq!(frame.room.as_str(), room);
            for entry in frame.list {
                assert_eq!(entry.seq.get(), last + 1, "entries of {room} come without a gap and without a repetition");
                last = entry.seq.get();
                list.push(entry);
            }
        }
        list
    }

    /// Returns every error that answered a command since this was asked last, also those that were taken or came under one id.
    pub fn errors_so_far(&mut self) -> Vec<ErrorFrame> {
        std::mem::take(&mut self.errors)
    }

    /// Returns the pushes that have come and were not taken.
    pub fn pushes_so_far(&mut self) -> Vec<Incoming> {
        self.pushes.drain(..).collect()
    }

    /// Asks something that says nothing, and waits for the reply: what the connection was to be told before is here then.
    pub async fn barrier(&mut self) {
        let error =
            self.ask(Op::Leave(rollcall_protocol::Leave { room: room("nobody.joined.this") })).await.unwrap_err();
        assert_eq!(error.code, rollcall_protocol::ErrorCode::NotJoined);
    }

    /// Waits until the server ends the connection, and returns the code that it was closed with, if there was one.
    pub async fn closed(&mut self) -> Option<u16> {
        self.wait("the end of the connection", |raw| raw.over).await
    }

    /// Says hello.
    ///
    /// # Errors
    /// The error that the server answered.
    pub async fn hello(&mut self, token: Option<&str>, device: Option<&str>) -> Result<Welcome, ErrorFrame> {
        self.hello_as(Hello {
            token: token.map(str::to_owned),
            device: device.map(|device| DeviceId::parse(device).unwrap()),
            ..Hello::default()
        })
        .await
    }

    /// Says hello with everything that it may bring.
    ///
    /// # Errors
    /// The error that the server answered.
    pub async fn hello_as(&mut self, hello: Hello) -> Result<Welcome, ErrorFrame> {
        Ok(self.ask(Op::Hello(hello)).await?.welcome().expect("hello is answered with a welcome"))
    }

    /// Joins a room.
    ///
    /// # Errors
    /// The error that the server answered.
    pub async fn join(&mut self, name: &str, after: Option<u64>) -> Result<Joined, ErrorFrame> {
        self.join_at(name, after, None).await
    }

    /// Joins a room and shows a hash.
    ///
    /// # Errors
    /// The error that the server answered.
    pub async fn join_at(&mut self, name: &str, after: Option<u64>, hash: Option<Hash>) -> Result<Joined, ErrorFrame> {
        let join = Join { room: room(name), after: after.map(Seq::new), hash };
        Ok(self.ask(Op::Join(join)).await?.joined().expect("join is answered with where the room stands"))
    }

    /// Sends a message and waits for its ack.
    ///
    /// # Errors
    /// The error that the server answered.
    pub async fn send(&mut self, name: &str, n: u64, text: &str) -> Result<Ack, ErrorFrame> {
        let id = self.tell(send(name, n, text)).await;
        self.ack(id).await
    }

    /// Sends the messages of these n, as many at once as a device may have unanswered, and waits for all acks. The text of each is
    /// `message n`.
    pub async fn send_all(&mut self, name: &str, ns: std::ops::RangeInclusive<u64>) {
        let mut unanswered = VecDeque::new();
        for n in ns {
            if unanswered.len() == UNANSWERED_WRITES_MAX {
                let id = unanswered.pop_front().expect("there are unanswered writes");
                self.ack(id).await.unwrap();
            }
            unanswered.push_back(self.tell(send(name, n, &format!("message {n}"))).await);
        }
        for id in unanswered {
            self.ack(id).await.unwrap();
        }
    }

    /// Waits for the ack of a write.
    ///
    /// # Errors
    /// The error that the server answered.
    pub async fn ack(&mut self, id: u64) -> Result<Ack, ErrorFrame> {
        Ok(self.reply(id).await?.ack().expect("a write is answered with an ack"))
    }

    /// Asks for a page of history.
    ///
    /// # Errors
    /// The error that the server answered.
    pub async fn history(&mut self, name: &str, set: impl FnOnce(&mut History)) -> Result<HistoryPage, ErrorFrame> {
        let mut history = History::latest(room(name));
        set(&mut history);
        Ok(self.ask(Op::History(history)).await?.history().expect("history is answered with a page"))
    }

    /// Reads until something is there.
    async fn wait<T>(&mut self, what: &str, mut take: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = take(self) {
                return found;
            }
            assert!(self.over.is_none(), "{what} did not come: the connection is over, {:?}", self.over);
            let read = tokio::time::timeout_at(deadline, self.read()).await;
            assert!(read.is_ok(), "{what} did not come in time; so far {:?}, {:?}", self.replies, self.pushes);
        }
    }

    /// Reads one message and puts it where it belongs.
    pub async fn read(&mut self) {
        let bytes = match self.socket.next().await {
            Some(Ok(Message::Text(text))) if self.format == Format::Json => text.as_bytes().to_vec(),
            Some(Ok(Message::Binary(bytes))) if self.format == Format::MsgPack => bytes.to_vec(),
            Some(Ok(Message::Close(frame))) => {
                self.over = Some(frame.map(|frame| frame.code.into()));
                // Answers the server's close frame, so that it need not wait.
                drop(self.socket.flush().await);
                return;
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return,
            Some(Ok(other)) => panic!("a frame of the other format came: {other:?}"),
            Some(Err(_)) | None => {
                self.over.get_or_insert(None);
                return;
            }
        };
        match self.format.decode(&bytes).unwrap() {
            Incoming::Ok(id, fields) => drop(self.replies.insert(id, Ok(*fields))),
            Incoming::Error(Some(id), error) => {
                self.errors.push(error.clone());
                self.replies.insert(id, Err(error));
            }
            Incoming::Error(None, error) => self.nameless.push_back(error),
            Incoming::Ping(_) if self.answers_pings => {
                let pong = self.format.encode_command(&Command { id: None, op: Op::Pong(Pong {}) });
                self.send_bytes(&pong).await;
            }
            push => self.pushes.push_back(push),
        }
    }
}

/// Parses a room's name.
pub fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

/// A write without optional fields.
pub fn write(name: &str, n: u64) -> Write<Body> {
    Write { room: room(name), n, prev: None, since: None, target: None, body: None }
}

/// The command that sends a text.
pub fn send(name: &str, n: u64, text: &str) -> Op<Body> {
    Op::Write(WriteOp::Send, Write { body: Some(Body::text(text).unwrap()), ..write(name, n) })
}
