//! The system's own word for it: between the receipt of a send and its ack lies a completed sync of the log's file.

use std::path::Path;

use rollcall_it::http::{self, handshake};
use rollcall_it::process::ServerProcess;
use rollcall_it::server::{token, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A call of the system that has begun or ended, as strace tells it.
#[derive(Debug, PartialEq)]
enum Event {
    /// It received this.
    Received(String),
    /// It began to send this.
    Sends(String),
    /// It began to write into a file of the data folder.
    WritesFile(String),
    /// It began to sync a file of the data folder.
    SyncBegins { thread: String, file: String },
    /// The sync that a thread had begun has succeeded.
    SyncEnds { thread: String },
}

/// Reads the events of a trace, in order. A call that another thread's interrupted is told in two lines, and its arguments may
/// stand in either.
fn events(trace: &str, folder: &Path) -> Vec<Event> {
    let folder = folder.display().to_string();
    let mut events = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.trim_start().split_once(' ') else { continue };
        let call = call.trim_start();
        let thread = thread.to_owned();
        let resumed = call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"));
        let (name, begins) = match resumed {
            Some((name, _)) => (name, false),
            None => (call.split('(').next().unwrap_or_default(), true),
        };
        let ends = !call.ends_with("<unfinished ...>");
        let file = call.split('<').find_map(|part| part.starts_with(&folder).then(|| part.split('>').next()).flatten());
        match name {
            "recvfrom" | "read" | "readv" | "recvmsg" if ends => events.push(Event::Received(call.to_owned())),
            "sendto" | "sendmsg" | "write" | "writev" if begins && file.is_none() => {
                events.push(Event::Sends(call.to_owned()));
            }
            "write" | "writev" | "pwrite64" if begins => {
                events.extend(file.map(|file| Event::WritesFile(file.to_owned())));
            }
            "fsync" | "fdatasync" => {
                if begins && let Some(file) = file {
                    events.push(Event::SyncBegins { thread: thread.clone(), file: file.to_owned() });
                }
                if ends && call.ends_with("= 0") {
                    events.push(Event::SyncEnds { thread });
                }
            }
            _ => {}
        }
    }
    events
}

/// Finds the file whose sync began after the receipt of `text` and ended before the send of `ack` began.
fn synced_between(events: &[Event], text: &str, ack: &str) -> Result<String, String> {
    let received = events
        .iter()
        .position(|event| matches!(event, Event::Received(call) if call.contains(text)))
        .ok_or("the send was not received")?;
    let acked = events
        .iter()
        .position(|event| matches!(event, Event::Sends(call) if call.contains(ack)))
        .ok_or("the ack was not sent")?;
    let between = events.get(received..acked).ok_or("the ack was sent before the send was received")?;
    let written =
        |file: &str| between.iter().any(|event| matches!(event, Event::WritesFile(written) if written == file));
    for (at, event) in between.iter().enumerate() {
        if let Event::SyncBegins { thread, file } = event
            && between[at..].contains(&Event::SyncEnds { thread: thread.clone() })
            && written(file)
        {
            return Ok(file.clone());
        }
    }
    Err(format!("no file was written and synced between: {between:#?}"))
}

/// A text frame with a mask of zeros, so that the trace shows what is in it.
fn frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[0x81, 0x80 | 126, length[0], length[1], 0, 0, 0, 0][..], text.as_bytes()].concat()
}

async fn read_until(stream: &mut TcpStream, end: &str) {
    let mut read = Vec::new();
    let reading = async {
        while !read.windows(end.len()).any(|part| part == end.as_bytes()) {
            let mut piece = [0; 1024];
            let count = stream.read(&mut piece).await.unwrap();
            assert!(count > 0, "the connection ended before {end}");
            read.extend_from_slice(&piece[..count]);
        }
    };
    tokio::time::timeout(http::PATIENCE, reading).await.unwrap_or_else(|_| panic!("{end} did not come"));
}

#[tokio::test]
async fn strace_shows_a_sync_between_receipt_and_ack() {
    let folder = tempfile::tempdir().unwrap();
    let traced = tempfile::tempdir().unwrap();
    let trace = traced.path().join("trace");
    let calls = "trace=read,readv,recvfrom,recvmsg,write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync";
    let path = trace.display().to_string();
    // -D: the server stays our child. -yy: files and sockets by name.
    let strace = ["strace", "-D", "-f", "-yy", "-s", "4096", "-e", calls, "-e", "signal=none", "-o", &*path];
    let server = ServerProcess::build(folder.path()).wrapped_in(&strace).start().await;
    let address = server.address();

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(handshake(address, "rollcall.v1.json", &[]).as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    stream.write_all(&frame(&format!(r#"{{"id":1,"hello":{{"token":"{}"}}}}"#, token("alice")))).await.unwrap();
    read_until(&mut stream, r#"{"id":1,"ok""#).await;
    for n in 1..=3 {
        let id = n + 100;
        let send =
            format!(r#"{{"id":{id},"send":{{"room":"general","n":{n},"body":{{"text":"traced message {n}"}}}}}}"#);
        stream.write_all(&frame(&send)).await.unwrap();
        read_until(&mut stream, &format!(r#"{{"id":{id},"ok":{{"seq":{}}}}}"#, n + 1)).await;
    }
    let last = r#"{\"id\":103,\"ok\":{\"seq\":4}}"#;
    wait_until("strace has written the last ack", async || std::fs::read_to_string(&trace).unwrap().contains(last))
        .await;

    let trace = std::fs::read_to_string(&trace).unwrap();
    let events = events(&trace, folder.path());
    for n in 1..=3 {
        let ack = format!(r#"{{\"id\":{},\"ok\":{{\"seq\":{}}}}}"#, n + 100, n + 1);
        let file = synced_between(&events, &format!("traced message {n}"), &ack).unwrap();
        assert!(Path::new(&file).starts_with(folder.path()), "{file}");
    }
}

#[test]
fn a_trace_without_a_completed_sync_between_is_told_from_one_with_it() {
    let trace = |sync: &str| {
        format!(
            "7 recvfrom(9<TCP:[1->2]>, \"..hello..\", 99, 0, NULL, NULL) = 9\n\
             8 write(5</data/journal>, \"..\", 2) = 2\n{sync}\
             7 sendto(9<TCP:[1->2]>, \"..ack..\", 9, MSG_NOSIGNAL, NULL, 0) = 9\n"
        )
    };
    let found = |sync: &str| synced_between(&events(&trace(sync), Path::new("/data")), "hello", "ack");
    assert_eq!(found("8 fdatasync(5</data/journal>) = 0\n"), Ok("/data/journal".to_owned()));
    let in_two =
        "8 fdatasync(5</data/journal> <unfinished ...>\n7 read(3<x>, \"\", 1) = 0\n8 <... fdatasync resumed>) = 0\n";
    assert_eq!(found(in_two), Ok("/data/journal".to_owned()));
    for missing in [
        "",
        "8 fdatasync(5</data/journal>) = -1 EIO (Input/output error)\n",
        "8 fdatasync(5</data/journal> <unfinished ...>\n",
        "8 fdatasync(5</elsewhere>) = 0\n",
        "8 fdatasync(5</data/other>) = 0\n",
        "8 <... fdatasync resumed>) = 0\n",
    ] {
        assert!(found(missing).is_err(), "{missing}");
    }
}
