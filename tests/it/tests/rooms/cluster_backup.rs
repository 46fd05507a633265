//! A node whose log went back to a backup, while it showed what came after that.

use std::sync::Arc;

use rollcall::log::MemoryLog;
use rollcall_actors::shell::{Pulled, TailEnd};
use rollcall_it::scribe::Scribe;
use rollcall_it::together::Together;
use rollcall_protocol::{ErrorCode, Seq};

use super::desk::{Desk, ack};
use super::node::{NOON_MS, Node, ROOMY, in_time};
use super::reader::Reader;

#[tokio::test]
async fn what_was_shown_and_is_not_in_the_log_is_told_as_that() {
    let together = Together::at(NOON_MS);
    // The same in both: as far as the backup goes.
    let backup =
        Together { log: Arc::new(MemoryLog::new()), ownership: together.ownership.clone(), bus: together.bus.clone() };
    let kept = Scribe::activate(&*together.log, "room", 1).await.commit_messages(&*together.log, 5).await;
    assert_eq!(Scribe::activate(&*backup.log, "room", 1).await.commit_messages(&*backup.log, 5).await, kept);
    let owner = Node::join(&together, "owner", ROOMY).await;
    let mut ann = Desk::at(&owner, "room", "ann");
    assert_eq!(ann.view().await.head, Seq::new(5));
    let other = Node::join(&backup, "other", ROOMY).await;
    let mut reader = Reader::join(&other, "room", 5).await;
    assert_eq!(ann.persist(1, "since the backup").await, ack(6));
    let ended = in_time(async {
        let mut is_cut = false;
        loop {
            reader.subscribed.bell.lower();
            match reader.subscribed.room.tail().pull(reader.cursor, 4, 4096) {
                Pulled::Ended(why) if is_cut => return why,
                Pulled::Nothing => reader.desk.inbox.rung().await,
                _ => reader.read_on().await,
            }
            if reader.cursor == Seq::new(6) && !is_cut {
                // It was shown by what the owner has sent. Now nothing is sent any more, and the node asks the log.
                is_cut = true;
                together.bus.cut_off(&other.directory.cluster().unwrap().me().node);
            }
        }
    })
    .await;
    assert_eq!(ended, TailEnd::Diverged);
    let diverged = |node: &Node| node.directory.cluster().unwrap().stats().rooms_diverged.get();
    assert_eq!((diverged(&owner), diverged(&other)), (0, 1));
    // Whoever joins again there with what it was shown is told that it is another history.
    let mut ann = Desk::at(&other, "room", "ann");
    for (after, is_kept) in [(5, true), (6, false)] {
        let id = ann.ask_join(Some(after), Some(reader_hash(&kept, &reader, after)));
        match ann.joined(id).await {
            Ok(subscribed) => assert!(is_kept, "{:?}", subscribed.joined),
            Err(error) => assert_eq!((error.code, is_kept), (ErrorCode::Diverged, false)),
        }
    }
    // The owner has its log, and goes on.
    let mut ann = Desk::at(&owner, "room", "ann");
    assert_eq!(ann.persist(2, "on").await, ack(7));
}

fn reader_hash(kept: &[rollcall_protocol::Entry], reader: &Reader, seq: u64) -> rollcall_protocol::Hash {
    let entry = kept.iter().chain(&reader.seen).find(|entry| entry.seq == Seq::new(seq));
    entry.expect("somebody was shown it").hash
}
