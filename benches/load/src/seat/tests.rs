//! Seats against a server that does what the test wants: it is busy, it lies, it goes away.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rollcall_checker::{DumpEvent, Kind as DumpKind, NO_BODY, Rule, Verdict, chain};
use rollcall_protocol::{
    Ack, Epoch, ErrorCode, ErrorFrame, Format, Hash, IncomingCommand, Joined, Nothing, Op, Outgoing, Seq, Welcome,
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::{Joining, Order, SeatedRooms};
use crate::history::History;
use crate::load::settled;
use crate::payload::BODY_BYTES_MIN;
use crate::run::Run;
use crate::target::Endpoint;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The room of a run with the seed 7.
const ROOM: &str = "load-00000007-r0";

/// What a server answers to a command: frames, and whether it goes away after them.
type Answers = (Vec<Vec<u8>>, bool);

/// Serves one connection by a script that is asked after hello and join were answered.
async fn serve(listener: TcpListener, mut script: impl FnMut(&IncomingCommand) -> Answers) {
    let (stream, _) = listener.accept().await.unwrap();
    #[expect(clippy::result_large_err, reason = "the library's own signature")]
    let callback = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let subprotocol = Format::Json.subprotocol().parse().unwrap();
        response.headers_mut().insert("sec-websocket-protocol", subprotocol);
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, callback).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let command = Format::Json.decode_command(text.as_bytes()).unwrap();
        let (frames, is_over) = greeting(&command).map_or_else(|| script(&command), |frame| (vec![frame], false));
        for frame in frames {
            socket.send(Message::text(String::from_utf8(frame).unwrap())).await.unwrap();
        }
        if is_over {
            return;
        }
    }
}

fn greeting(command: &IncomingCommand) -> Option<Vec<u8>> {
    let id = command.id?;
    match &command.op {
        Op::Hello(_) => {
            let welcome = Welcome {
                connection: "1".to_owned(),
                user: "u".parse().unwrap(),
                device: "d".parse().unwrap(),
                token: None,
                server_time_ms: 0,
                ping_interval_ms: 25_000,
                pong_timeout_ms: 10_000,
                expires_at_ms: None,
            };
            Some(Format::Json.encode(&Outgoing::Ok(id, welcome)))
        }
        Op::Join(join) => {
            let joined = Joined {
                room: join.room.clone(),
                epoch: Epoch::ZERO,
                head: Seq::ZERO,
                floor: Seq::FIRST,
                hash: Hash([0; 32]),
                last_n: 0,
            };
            Some(Format::Json.encode(&Outgoing::Ok(id, joined)))
        }
        _ => None,
    }
}

fn ack(id: u64, seq: u64) -> Vec<u8> {
    Format::Json.encode(&Outgoing::Ok(id, Ack { seq: Seq::new(seq), duplicate: false }))
}

fn refusal(id: u64, code: ErrorCode) -> Vec<u8> {
    let error = ErrorFrame::new(code, "scripted").retry_after_ms(5);
    Format::Json.encode::<Nothing>(&Outgoing::Error(Some(id), &error))
}

/// A push of the member's nth entry.
fn pushed(n: u64, body: &str) -> Vec<u8> {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let entry = json!({
        "seq": n, "kind": "message", "created_at": 0, "sender": "u", "device": "d", "n": n, "body": body,
    });
    let hash = Hash([0; 32]).to_string();
    json!({"entries": {"room": ROOM, "epoch": 1, "list": [entry], "hash": hash}}).to_string().into_bytes()
}

/// What came of a script.
struct Outcome {
    verdict: Verdict,
    /// The writes in the order in which they came, by n.
    came: Vec<u64>,
    retried: u64,
    lost: u64,
}

/// Seats one member in front of a script, has it write, and judges what it did and saw by a log in which every write that came is
/// stored under its n. The script is given the command's number, n and the body.
fn judge(joining: Joining, writes: usize, mut script: impl FnMut(u64, u64, &str) -> Answers + 'static) -> Outcome {
    let came = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&came);
    let script = move |command: &IncomingCommand| {
        let Op::Write(_, write) = &command.op else { panic!("{command:?} is no write") };
        let body = write.body.clone().unwrap().check().unwrap();
        kept.borrow_mut().push((write.n, body.as_str().to_owned()));
        script(command.id.unwrap(), write.n, body.as_str())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        tokio::task::spawn_local(serve(listener, script));
        let endpoint = Endpoint::find(&url, Format::Json, None).await.unwrap();
        let run = Run::begin(endpoint, History::begin(None).unwrap(), 7);
        let seated = SeatedRooms::open(&run, 1, 1, joining, BODY_BYTES_MIN).await.unwrap();
        for _ in 0..writes {
            seated.rooms()[0].order(Order::Now);
        }
        assert!(settled(seated.rooms(), joining == Joining::AtHead, PATIENCE).await, "not settled in {PATIENCE:?}");
        seated.close().await;
        let run = Rc::into_inner(run).unwrap();
        let mut history = run.history.into_inner();
        let mut stored = came.borrow().clone();
        stored.sort();
        stored.dedup();
        log_of(&stored).into_iter().for_each(|entry| history.dump(entry));
        Outcome {
            verdict: history.finish().unwrap(),
            came: came.borrow().iter().map(|(n, _)| *n).collect(),
            retried: run.tally.retried.get(),
            lost: run.tally.connections_lost.get(),
        }
    })
}

fn log_of(stored: &[(u64, String)]) -> Vec<DumpEvent> {
    let mut before = chain::start(ROOM);
    let entries = stored.iter().map(|(n, body)| {
        let mut entry = DumpEvent {
            room: ROOM.to_owned(),
            seq: *n,
            epoch: 1,
            owner: "o".to_owned(),
            kind: DumpKind::Message,
            user: Some("u".to_owned()),
            device: Some("d".to_owned()),
            n: *n,
            target: None,
            created_at: 0,
            salt: Some([0; 16]),
            content_hash: chain::content_hash(&[0; 16], body),
            hash: NO_BODY,
            body_hash: Some(chain::body_hash(body)),
            body: Some(body.clone()),
        };
        before = chain::next(&before, &entry);
        entry.hash = before;
        entry
    });
    entries.collect()
}

#[test]
fn a_busy_server_gets_all_that_is_unanswered_again_in_order() {
    let (mut accepted, mut was_full) = (0, false);
    let outcome = judge(Joining::Not, 5, move |id, n, _| {
        // The third write finds the room full the first time, so those behind it come too early.
        let answer = if n == 3 && !std::mem::replace(&mut was_full, n == 3) {
            refusal(id, ErrorCode::Busy)
        } else if n == accepted + 1 {
            accepted = n;
            ack(id, n)
        } else {
            refusal(id, ErrorCode::OutOfOrder)
        };
        (vec![answer], false)
    });
    assert_eq!(outcome.came, [1, 2, 3, 4, 5, 3, 4, 5]);
    assert_eq!((outcome.retried, outcome.lost, outcome.verdict.summary.acked), (3, 0, 5));
    assert!(outcome.verdict.is_clean(), "{}", outcome.verdict);
}

#[test]
fn a_server_that_goes_away_leaves_unknown_outcomes() {
    let outcome =
        judge(Joining::Not, 3, |id, n, _| if n == 1 { (vec![ack(id, 1)], false) } else { (Vec::new(), true) });
    assert_eq!((outcome.lost, outcome.verdict.summary.acked, outcome.verdict.summary.unknown), (1, 1, 2));
    assert!(outcome.verdict.is_clean(), "{}", outcome.verdict);
}

/// An honest server passes; one that leaves an entry out, or shows another body than it stores, does not.
#[test]
fn a_server_that_lies_is_caught() {
    let lies: [(&str, Option<Rule>); 3] =
        [("", None), ("leave out", Some(Rule::PushesInOrder)), ("change", Some(Rule::PushesEqualLog))];
    for (lie, broken) in lies {
        let outcome = judge(Joining::AtHead, 3, move |id, n, body| {
            let mut frames = vec![ack(id, n)];
            match lie {
                "leave out" if n == 2 => {}
                "change" if n == 2 => frames.push(pushed(n, r#"{"text":"a lie"}"#)),
                _ => frames.push(pushed(n, body)),
            }
            (frames, false)
        });
        let rules: Vec<Rule> = outcome.verdict.totals.iter().map(|(rule, _)| *rule).collect();
        assert_eq!(rules, Vec::from_iter(broken), "{lie:?}: {}", outcome.verdict);
    }
}
