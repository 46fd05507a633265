//! Appends to an embedded log until it is killed, and tells each answer on its standard output.
//!
//! `log_writer FOLDER ROOMS` prints `ready PID` once the log is open, then `acked ROOM SEQ` and `unknown ROOM SEQ` for the last
//! number of each append. Entry N of a room says `message N`. A room whose append failed is activated again.
#![expect(clippy::unwrap_used, reason = "a tool of the tests, which ends where it cannot go on")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rollcall::log::{EmbeddedLog, EmbeddedOptions};
use rollcall_actors::ports::{Activate, AppendOutcome, Log};
use rollcall_it::scribe::Scribe;
use rollcall_protocol::{OwnerId, RoomId};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap());
    let rooms: u32 = arguments.next().unwrap().parse().unwrap();

    let options = EmbeddedOptions { memtable_bytes: 512 * 1024, ..EmbeddedOptions::default() };
    let log = Arc::new(EmbeddedLog::open(&folder, options).unwrap());
    println!("ready {}", std::process::id());
    let mut writers = tokio::task::JoinSet::new();
    for room in 0..rooms {
        writers.spawn(write(Arc::clone(&log), RoomId::parse(&format!("room{room}")).unwrap()));
    }
    writers.join_all().await;
}

async fn write(log: Arc<EmbeddedLog>, room: RoomId) {
    let mut activations = 0;
    loop {
        activations += 1;
        let owner = OwnerId(u128::from(std::process::id()) << 32 | activations);
        let scribe = match log.activate(&room, Activate::by(owner)).await {
            Ok(activated) => Scribe::resume(&*log, room.clone(), activated.tail).await,
            Err(error) => Err(error),
        };
        let Ok(mut scribe) = scribe else {
            // The log is being reopened.
            tokio::time::sleep(Duration::from_millis(10)).await; // pace: asked again until it is there
            continue;
        };
        for count in (1..8).cycle() {
            let entries = scribe.messages(count);
            match log.append(scribe.append(entries)).await {
                AppendOutcome::Committed => println!("acked {room} {}", scribe.last_seq),
                AppendOutcome::Unknown(_) => {
                    println!("unknown {room} {}", scribe.last_seq);
                    break;
                }
                AppendOutcome::NotCommitted(_) => break,
            }
        }
    }
}
