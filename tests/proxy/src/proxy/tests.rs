//! Tests of the proxy, against a server that sends back what it gets.

use super::*;
use crate::cql_frames::{BATCH, frame};
use crate::resp_frames::published;

/// A server that sends back what it gets.
async fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await.ok();
            });
        }
    });
    address
}

async fn proxy() -> Proxy {
    Proxy::start(echo_server().await).await.unwrap()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

async fn says(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
}

async fn hears(stream: &mut TcpStream, text: &[u8]) {
    let mut heard = vec![0; text.len()];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, text);
}

/// Reads to the end; a reset is an end too.
async fn hears_to_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut heard)).await.unwrap().ok();
    heard
}

async fn hears_nothing(stream: &mut TcpStream) {
    let mut byte = [0];
    let heard = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut byte)).await;
    assert!(heard.is_err(), "something came through: {heard:?}");
}

#[tokio::test]
async fn without_faults_it_is_not_there() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    says(&mut stream, b"hello").await;
    hears(&mut stream, b"hello").await;
    let large = vec![7; 3_000_000];
    let (mut from, mut to) = stream.split();
    let mut heard = vec![0; large.len()];
    let (written, read) = tokio::join!(to.write_all(&large), from.read_exact(&mut heard));
    written.unwrap();
    read.unwrap();
    assert!(heard == large);
    stream.shutdown().await.unwrap();
    assert_eq!(hears_to_the_end(&mut stream).await, b"");
}

#[tokio::test]
async fn a_cut_ends_the_open_connections_and_no_later_one() {
    let proxy = proxy().await;
    let mut streams = [connect(&proxy).await, connect(&proxy).await];
    for stream in &mut streams {
        says(stream, b"a").await;
        hears(stream, b"a").await;
    }
    assert_eq!(proxy.open_connections(), 2);
    proxy.cut();
    for stream in &mut streams {
        assert_eq!(hears_to_the_end(stream).await, b"");
    }
    let mut stream = connect(&proxy).await;
    says(&mut stream, b"b").await;
    hears(&mut stream, b"b").await;
    assert_eq!((proxy.open_connections(), proxy.accepted_connections()), (1, 3));
}

#[tokio::test]
async fn refused_connections_end_at_once() {
    let proxy = proxy().await;
    proxy.refuse(true);
    let mut stream = connect(&proxy).await;
    assert_eq!(hears_to_the_end(&mut stream).await, b"");
    proxy.refuse(false);
    let mut stream = connect(&proxy).await;
    says(&mut stream, b"a").await;
    hears(&mut stream, b"a").await;
}

#[tokio::test]
async fn what_is_swallowed_never_comes_and_what_follows_does() {
    for (direction, text) in [(Direction::Up, b"up"), (Direction::Down, b"dn")] {
        let proxy = proxy().await;
        let mut stream = connect(&proxy).await;
        says(&mut stream, b"before").await;
        hears(&mut stream, b"before").await;
        proxy.swallow(direction, true);
        says(&mut stream, text).await;
        hears_nothing(&mut stream).await;
        proxy.swallow(direction, false);
        says(&mut stream, b"after").await;
        hears(&mut stream, b"after").await;
    }
    let proxy = proxy().await;
    proxy.black_hole(true);
    let mut stream = connect(&proxy).await;
    says(&mut stream, b"a").await;
    hears_nothing(&mut stream).await;
    assert_eq!(proxy.open_connections(), 1);
}

#[tokio::test]
async fn a_delay_holds_everything_back_in_both_directions() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    proxy.delay(Duration::from_millis(150));
    let start = Instant::now();
    says(&mut stream, b"one").await;
    says(&mut stream, b"two").await;
    let mut heard = [0; 6];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"onetwo");
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(300), "there and back took {took:?}");
}

#[tokio::test]
async fn a_budget_of_bytes_cuts_in_the_middle() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    // Ten bytes there, and three of them back.
    proxy.cut_after(13);
    says(&mut stream, b"0123456789").await;
    assert_eq!(hears_to_the_end(&mut stream).await, b"012");
    let mut stream = connect(&proxy).await;
    says(&mut stream, b"whole again").await;
    hears(&mut stream, b"whole again").await;
}

#[tokio::test]
async fn new_connections_go_to_another_server_and_open_ones_stay() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    says(&mut stream, b"a").await;
    hears(&mut stream, b"a").await;
    let other = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    proxy.redirect(other.local_addr().unwrap());
    let mut redirected = connect(&proxy).await;
    let (mut accepted, _) = other.accept().await.unwrap();
    says(&mut redirected, b"b").await;
    hears(&mut accepted, b"b").await;
    says(&mut stream, b"c").await;
    hears(&mut stream, b"c").await;
}

#[tokio::test]
async fn what_is_held_back_arrives_in_its_order_when_it_is_let_go() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    proxy.hold(Direction::Up, true);
    says(&mut stream, b"one ").await;
    hears_nothing(&mut stream).await;
    says(&mut stream, b"two").await;
    proxy.hold(Direction::Down, true);
    proxy.hold(Direction::Up, false);
    hears_nothing(&mut stream).await;
    proxy.hold(Direction::Down, false);
    hears(&mut stream, b"one two").await;
}

#[tokio::test]
async fn requests_of_one_kind_are_kept_aside_and_arrive_after_their_client_has_died() {
    let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let proxy = Proxy::start_cql(anywhere, server.local_addr().unwrap()).await.unwrap();
    let mut client = connect(&proxy).await;
    let (mut accepted, _) = server.accept().await.unwrap();
    proxy.keep_aside(Some(BATCH));
    let [before, append, after] = [frame(7, b"before"), frame(BATCH, b"append"), frame(10, b"after")];
    says(&mut client, &[&before[..], &append, &after, b"cut"].concat()).await;
    hears(&mut accepted, &[&before[..], &after].concat()).await;
    assert_eq!(proxy.kept_aside(), 1);
    drop(client);
    hears_nothing(&mut accepted).await;
    proxy.keep_aside(None);
    assert_eq!(hears_to_the_end(&mut accepted).await, [&append[..], b"cut"].concat());
    assert_eq!(proxy.kept_aside(), 0);
}

#[tokio::test]
async fn what_was_kept_aside_follows_when_its_client_goes_on() {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let proxy = Proxy::start_cql(anywhere, echo_server().await).await.unwrap();
    let mut client = connect(&proxy).await;
    proxy.keep_aside(Some(BATCH));
    let (append, other) = (frame(BATCH, b"append"), frame(7, b"other"));
    says(&mut client, &append).await;
    hears_nothing(&mut client).await;
    says(&mut client, &other).await;
    hears(&mut client, &other).await;
    proxy.keep_aside(None);
    hears(&mut client, &append).await;
    says(&mut client, &append).await;
    hears(&mut client, &append).await;
}

#[tokio::test]
async fn a_published_message_is_lost_and_its_connection_goes_on() {
    let proxy = Proxy::start_redis(echo_server().await).await.unwrap();
    let mut client = connect(&proxy).await;
    proxy.lose_published(Some(b"marked"));
    let (before, marked, after) = (published(b"before"), published(b"one that is marked"), published(b"after"));
    let answer = b"$6\r\nmarked\r\n";
    says(&mut client, &[&before[..], &marked, answer, &after].concat()).await;
    hears(&mut client, &[&before[..], answer, &after].concat()).await;
    assert_eq!((proxy.lost_published(), proxy.open_connections()), (1, 1));
    proxy.lose_published(None);
    says(&mut client, &marked).await;
    hears(&mut client, &marked).await;
}
