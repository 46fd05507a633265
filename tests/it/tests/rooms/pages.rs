//! Pages: readers behind the ring share their reads of the log.

use std::sync::Arc;

use rollcall_actors::ports::LogError;
use rollcall_actors::shell::{Frame, RoomHandle};
use rollcall_protocol::Seq;

use super::desk::Desk;
use super::node::{Node, SHORT_RING, in_time};

type Page = Result<Vec<Arc<Frame>>, LogError>;

/// A room of `entries` entries, of which its memory holds the last batch alone.
async fn room_of(entries: u64) -> (Node, Desk, Arc<RoomHandle>) {
    let node = Node::start(SHORT_RING).await;
    let mut ann = Desk::at(&node, "room", "ann");
    for first in (1..entries).step_by(50) {
        let ids: Vec<u64> = (first..(first + 50).min(entries)).map(|n| ann.send(n, &n.to_string())).collect();
        for id in ids {
            ann.ack(id).await;
        }
    }
    let handle = node.directory.room(&ann.room).unwrap();
    assert_eq!(handle.tail().head(), Seq::new(entries));
    node.log.take_ranges_read();
    (node, ann, handle)
}

/// Asks for the page after a cursor, as a connection does.
fn ask(handle: &Arc<RoomHandle>, cursor: u64) -> tokio::task::JoinHandle<Page> {
    let handle = Arc::clone(handle);
    tokio::spawn(async move { handle.page(Seq::new(cursor), handle.tail().head()).await })
}

async fn page(asked: tokio::task::JoinHandle<Page>) -> Vec<Arc<Frame>> {
    in_time(asked).await.unwrap().unwrap()
}

fn range(frames: &[Arc<Frame>]) -> (u64, u64) {
    (frames[0].first().get(), frames[frames.len() - 1].last().get())
}

#[tokio::test]
async fn readers_of_one_page_share_one_read_and_its_frames() {
    let (node, _ann, handle) = room_of(100).await;
    node.log.reads.hold();
    let asked: Vec<_> = [10, 10, 20, 10].into_iter().map(|cursor| ask(&handle, cursor)).collect();
    node.log.reads.until_waiting(2).await;
    node.log.reads.release();
    let mut pages = Vec::new();
    for asked in asked {
        pages.push(page(asked).await);
    }
    assert_eq!(node.log.take_ranges_read().len(), 2, "one for each cursor");
    assert_eq!([0, 1, 2, 3].map(|at: usize| range(&pages[at])), [(11, 100), (11, 100), (21, 100), (11, 100)]);
    assert!(Arc::ptr_eq(&pages[0][0], &pages[1][0]) && Arc::ptr_eq(&pages[0][0], &pages[3][0]), "and its encodings");
    page(ask(&handle, 10)).await;
    assert_eq!(node.log.take_ranges_read().len(), 1, "what nobody waits for any more is read again");
}

#[tokio::test]
async fn those_who_ask_for_the_same_history_share_one_read() {
    let (node, mut ann, handle) = room_of(50).await;
    let ask = |after, through| {
        let handle = Arc::clone(&handle);
        tokio::spawn(async move { handle.history(Seq::new(after), Seq::new(through)).await })
    };
    node.log.reads.hold();
    let asked = [ask(5, 20), ask(5, 20), ask(5, 21)];
    node.log.reads.until_waiting(2).await;
    tokio::task::yield_now().await;
    node.log.reads.release();
    let mut pages = Vec::new();
    for asked in asked {
        pages.push(in_time(asked).await.unwrap().unwrap());
    }
    assert!(Arc::ptr_eq(&pages[0], &pages[1]));
    assert_eq!(pages.iter().map(|page| page.len()).collect::<Vec<_>>(), [15, 15, 16]);
    assert_eq!((pages[2][0].seq, node.log.take_ranges_read().len()), (Seq::new(6), 2));

    node.log.read_answers.hold_next();
    let early = ask(5, 20);
    node.log.read_answers.until_waiting(1).await;
    let id = ann.redact(50, 7);
    ann.ack(id).await;
    assert!(
        in_time(ask(5, 20)).await.unwrap().unwrap()[1].is_redacted(),
        "it shares no read from before the redaction"
    );
    node.log.read_answers.release();
    assert!(!in_time(early).await.unwrap().unwrap()[1].is_redacted());
}

#[tokio::test]
async fn pages_end_where_those_of_others_end() {
    let (node, _ann, handle) = room_of(600).await;
    for (cursor, expected) in
        [(0, (1, 256)), (100, (101, 256)), (255, (256, 256)), (256, (257, 512)), (512, (513, 600))]
    {
        assert_eq!(range(&page(ask(&handle, cursor)).await), expected, "after {cursor}");
    }
    let ranges = node.log.take_ranges_read();
    assert!(ranges.iter().all(|range| range.entries_max == 256 && range.bytes_max == 128 * 1024), "{ranges:?}");
}

#[tokio::test]
async fn a_reader_who_goes_hands_the_read_over() {
    let (node, _ann, handle) = room_of(50).await;
    node.log.reads.hold();
    let leader = ask(&handle, 5);
    node.log.reads.until_waiting(1).await;
    let follower = ask(&handle, 5);
    tokio::task::yield_now().await;
    leader.abort();
    assert!(in_time(leader).await.unwrap_err().is_cancelled());
    node.log.reads.until_waiting(1).await;
    node.log.reads.release();
    assert_eq!(range(&page(follower).await), (6, 50));
    assert_eq!(node.log.take_ranges_read().len(), 1);
}

#[tokio::test]
async fn a_read_that_fails_fails_for_those_who_wait_and_for_nobody_after() {
    let (node, _ann, handle) = room_of(50).await;
    node.log.reads.hold();
    let asked = [ask(&handle, 5), ask(&handle, 5)];
    node.log.reads.until_waiting(1).await;
    tokio::task::yield_now().await;
    node.log.fail_reads(1);
    node.log.reads.release();
    for asked in asked {
        assert!(matches!(in_time(asked).await.unwrap(), Err(LogError::Unavailable(_))));
    }
    assert_eq!(range(&page(ask(&handle, 5)).await), (6, 50));
}

#[tokio::test]
async fn pages_are_cut_where_the_owner_changed() {
    let (node, _ann, _) = room_of(30).await;
    let next = Node::start_on(node.log.clone(), SHORT_RING).await;
    let mut bob = Desk::at(&next, "room", "bob");
    bob.write_all(1, 3).await;
    let handle = next.directory.room(&bob.room).unwrap();
    let frames = page(ask(&handle, 28)).await;
    let ranges: Vec<_> = frames.iter().map(|frame| (frame.first().get(), frame.last().get())).collect();
    assert_eq!(ranges, [(29, 30), (31, 33)]);
}

/// A read that began before a redaction may hold the body: who asks after the redaction was acked does not get it.
#[tokio::test]
async fn a_reader_who_comes_after_a_redaction_shares_no_older_read() {
    let (node, mut ann, handle) = room_of(50).await;
    node.log.read_answers.hold_next();
    let early = ask(&handle, 5);
    node.log.read_answers.until_waiting(1).await;
    let id = ann.redact(50, 7);
    ann.ack(id).await;
    let late = page(ask(&handle, 5)).await;
    assert!(late[0].entries()[1].is_redacted());
    node.log.read_answers.release();
    assert!(!page(early).await[0].entries()[1].is_redacted(), "it had asked before");
}
