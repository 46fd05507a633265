use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as ClientMessage;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

/// A socket, and another implementation's client at its other end.
async fn pair(format: Format) -> (Socket, WebSocketStream<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(connecting, listener.accept());
    let client = WebSocketStream::from_raw_socket(client.unwrap(), Role::Client, None).await;
    let mut socket = Socket::new(accepted.unwrap().0, &[], format, Duration::from_secs(20));
    socket.open_gate();
    (socket, client)
}

fn memory_bytes(socket: &Socket) -> usize {
    socket.gathered.capacity() + socket.messages.capacity_bytes()
}

/// Tells whether there is nothing to read.
fn is_silent(socket: &mut Socket) -> bool {
    futures_util::FutureExt::now_or_never(socket.receive()).is_none()
}

#[tokio::test]
async fn after_a_burst_in_both_directions_no_buffer_is_left() {
    let (mut socket, mut client) = pair(Format::MsgPack).await;
    let (small, large) = (vec![1; 100], vec![2; 300_000]);
    let sent: Vec<&[u8]> = [&small[..]; 200].into_iter().chain([&large[..]; 5]).chain([&small[..]]).collect();
    let sending = async {
        for bytes in &sent {
            client.feed(ClientMessage::Binary(Bytes::copy_from_slice(bytes))).await.unwrap();
        }
        client.flush().await.unwrap();
        for bytes in &sent {
            let answer = client.next().await.unwrap().unwrap();
            assert!(answer.into_data() == *bytes, "the echo of {} bytes is another", bytes.len());
        }
    };
    let mut memory_bytes_max = 0;
    let echoing = async {
        let mut received = Vec::new();
        for bytes in &sent {
            let Received::Frame(frame) = socket.receive().await else { panic!("no frame") };
            assert!(frame == *bytes);
            memory_bytes_max = memory_bytes_max.max(memory_bytes(&socket));
            received.push(frame);
        }
        for frame in &received {
            socket.feed_bytes(frame);
        }
        memory_bytes_max = memory_bytes_max.max(memory_bytes(&socket));
        socket.flush().await.unwrap();
    };
    tokio::join!(sending, echoing);
    assert!(memory_bytes_max > 1_500_000, "there was no burst: {memory_bytes_max} bytes");
    assert!(is_silent(&mut socket));
    assert_eq!(memory_bytes(&socket), 0);
}

#[tokio::test]
async fn pings_are_answered_and_who_does_not_read_the_answers_gets_no_more_of_them() {
    let (mut socket, mut client) = pair(Format::Json).await;
    client.send(ClientMessage::Ping("there?".into())).await.unwrap();
    client.send(ClientMessage::Text("x".into())).await.unwrap();
    assert!(matches!(socket.receive().await, Received::Frame(frame) if *frame == *b"x"));
    assert_eq!(client.next().await.unwrap().unwrap(), ClientMessage::Pong("there?".into()));

    let flooding = async {
        for _ in 0..200_000 {
            client.feed(ClientMessage::Ping(Bytes::from_static(&[0; 125]))).await.unwrap();
        }
        client.send(ClientMessage::Text("y".into())).await.unwrap();
    };
    let (received, ()) = tokio::join!(socket.receive(), flooding);
    assert!(matches!(received, Received::Frame(frame) if *frame == *b"y"));
    assert!(memory_bytes(&socket) <= 8 * GATHERED_BYTES_MAX, "{} bytes", memory_bytes(&socket));
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let (mut socket, client) = pair(Format::Json).await;
    socket.write_stall = Duration::from_millis(50);
    // More than the buffers of two sockets hold.
    socket.feed_bytes(&vec![b'x'; 64 << 20]);
    assert!(matches!(socket.flush().await, Err(WriteError::Stalled)));
    drop(client);
    while !matches!(socket.flush().await, Err(WriteError::Broken)) {}
}

#[tokio::test]
async fn bytes_that_were_read_with_the_upgrade_are_not_lost() {
    let (socket, _client) = pair(Format::MsgPack).await;
    // "x" under a mask of zeros, and the first bytes of another frame.
    let read = [0x82, 0x82, 0, 0, 0, 0, 0xa1, b'x', 0x82, 0xfe];
    let mut socket = Socket::new(socket.stream, &read, Format::MsgPack, Duration::from_secs(1));
    assert!(matches!(socket.receive().await, Received::Frame(frame) if *frame == *b"\xa1x"));
    assert!(is_silent(&mut socket));
}
