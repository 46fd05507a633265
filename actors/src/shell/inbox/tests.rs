use std::pin::pin;
use std::task::{Context, Wake, Waker};

use rollcall_protocol::{Ack, ErrorCode, Seq, SignalKind, UserId};

use super::*;
use crate::shell::admission::{Admission, NotAdmitted, QueueLimits};

fn room() -> RoomId {
    RoomId::parse("room").unwrap()
}

fn signal(user: usize) -> Arc<Signal> {
    let user = UserId::parse(&format!("user{user}")).unwrap();
    Arc::new(Signal { room: room(), user, kind: SignalKind::Typing })
}

fn slot(inbox: &Arc<Inbox>, id: u64, kind: ReplyKind) -> ReplySlot {
    ReplySlot::new(Arc::clone(inbox), id, kind, Instant::now(), None)
}

/// The error of an answer, if it is one, as the client gets it.
fn error_of(reply: Reply) -> Option<ErrorFrame> {
    match reply {
        Reply::Write { answer, .. } => answer.err().map(|refusal| refusal.to_frame(true)),
        Reply::Forwarded { answer, .. } => answer.err(),
        Reply::Joined(answer) => answer.err(),
        Reply::View(answer) => answer.err(),
    }
}

#[test]
fn a_bell_that_is_up_is_silent() {
    let inbox = Inbox::new();
    let bell = Doorbell::new(room(), Arc::clone(&inbox));
    for _ in 0..3 {
        bell.ring();
    }
    assert_eq!(inbox.take().rooms, [room()]);
    bell.ring();
    assert!(inbox.take().rooms.is_empty(), "it is up until it is lowered, taken or not");
    bell.lower();
    bell.ring();
    assert_eq!(inbox.take().rooms, [room()]);
}

#[test]
fn of_many_signals_the_latest_stay() {
    let inbox = Inbox::new();
    (0..SIGNALS_MAX + 5).for_each(|user| inbox.signal(signal(user)));
    let expected: Vec<_> = (5..SIGNALS_MAX + 5).map(signal).collect();
    assert_eq!(inbox.take().signals, expected);
}

#[test]
fn the_first_reason_to_close_stays() {
    let inbox = Inbox::new();
    inbox.request_close(CloseCode::Replaced);
    inbox.request_close(CloseCode::Superseded);
    assert_eq!(inbox.take().close, Some(CloseCode::Replaced));
}

#[test]
fn a_closed_inbox_drops_what_it_has_and_what_comes() {
    let inbox = Inbox::new();
    let kept = signal(0);
    let open = slot(&inbox, 2, ReplyKind::Write);
    inbox.signal(Arc::clone(&kept));
    slot(&inbox, 1, ReplyKind::View).refuse(Refusal::Busy);
    inbox.close();
    assert_eq!(Arc::strong_count(&kept), 1, "what lay there is dropped");
    inbox.signal(Arc::clone(&kept));
    inbox.announce(5);
    inbox.request_close(CloseCode::Kicked);
    Doorbell::new(room(), Arc::clone(&inbox)).ring();
    drop(open);
    let mail = inbox.take();
    assert!(mail.answers.is_empty() && mail.rooms.is_empty() && mail.signals.is_empty());
    assert_eq!((mail.going_away, mail.close), (None, None));
}

#[tokio::test]
async fn whoever_waits_is_woken_by_whatever_comes() {
    let inbox = Inbox::new();
    let changes: [&dyn Fn(); 5] = [
        &|| inbox.signal(signal(1)),
        &|| inbox.announce(5),
        &|| inbox.request_close(CloseCode::Kicked),
        &|| Doorbell::new(room(), Arc::clone(&inbox)).ring(),
        &|| slot(&inbox, 1, ReplyKind::View).refuse(Refusal::Busy),
    ];
    for change in changes {
        change();
        inbox.rung().await;
    }
}

#[test]
fn a_slot_that_is_dropped_says_once_to_try_again() {
    let expected = [
        (ReplyKind::Write, ErrorCode::OutcomeUnknown),
        (ReplyKind::Join, ErrorCode::Unavailable),
        (ReplyKind::View, ErrorCode::Unavailable),
    ];
    for (kind, code) in expected {
        let inbox = Inbox::new();
        drop(slot(&inbox, 9, kind));
        let mut answers = inbox.take().answers;
        assert_eq!(answers.len(), 1, "{kind:?}");
        let (id, reply) = answers.remove(0);
        let error = error_of(reply).unwrap();
        assert_eq!((id, error.code, error.retryable, error.is_final), (9, code, true, false), "{kind:?}");
        assert!(error.retry_after_ms.is_some(), "{kind:?}");
    }
}

#[test]
fn a_slot_that_answered_says_nothing_more() {
    let inbox = Inbox::new();
    let ack = Ack { seq: Seq::new(3), duplicate: false };
    slot(&inbox, 1, ReplyKind::Write).write(Ok(ack), Seq::FIRST);
    slot(&inbox, 2, ReplyKind::Write).refuse(Refusal::Busy);
    slot(&inbox, 3, ReplyKind::Join).joined(Err(ErrorFrame::new(ErrorCode::Forbidden, "no")));
    slot(&inbox, 4, ReplyKind::Join).refuse(Refusal::Busy);
    slot(&inbox, 5, ReplyKind::View).view(Err(ErrorFrame::new(ErrorCode::Forbidden, "no")));
    slot(&inbox, 6, ReplyKind::View).refuse(Refusal::Busy);
    let codes: Vec<_> =
        inbox.take().answers.into_iter().map(|(id, reply)| (id, error_of(reply).map(|error| error.code))).collect();
    let [busy, forbidden] = [Some(ErrorCode::Busy), Some(ErrorCode::Forbidden)];
    assert_eq!(codes, [(1, None), (2, busy), (3, forbidden), (4, busy), (5, forbidden), (6, busy)]);
}

/// Who is woken by an answer may ask the next thing: the place of the first is free by then.
#[test]
fn a_place_is_free_before_its_answer_is_there() {
    struct AskAgain(Arc<Admission>, Mutex<Vec<bool>>);
    impl Wake for AskAgain {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0.admit(0).is_ok());
        }
    }
    let admission = Admission::new(QueueLimits { entries_max: 1, bytes_max: 1 }, Instant::now());
    let ask_again = Arc::new(AskAgain(Arc::clone(&admission), Mutex::default()));
    let waker = Waker::from(Arc::clone(&ask_again));
    for kind in [ReplyKind::Write, ReplyKind::Join, ReplyKind::View] {
        let inbox = Inbox::new();
        let permit = admission.admit(0).unwrap();
        assert_eq!(admission.admit(0).unwrap_err(), NotAdmitted::Full);
        let mut rung = pin!(inbox.rung());
        assert!(rung.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        ReplySlot::new(Arc::clone(&inbox), 1, kind, Instant::now(), Some(permit)).refuse(Refusal::Busy);
    }
    assert_eq!(*ask_again.1.lock().unwrap(), [true; 3]);
}
