//! The embedded log itself: the port's calls, turned into commands and reads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rollcall_actors::ports::{
    Activate, Activated, Append, AppendOutcome, Fence, Log, LogError, LogTail, NotCommitted, PortFuture, ReadRange,
    StoredSnapshot,
};
use rollcall_protocol::{Entry, RoomId, Seq};
use tokio::sync::oneshot;

use super::command::{Answerer, Command, Compacted, SnapshotPart};
use super::committer::{Committer, Shared};
use super::error::OpenError;
use super::folder::DataFolder;
use super::options::EmbeddedOptions;
use super::reader::Readers;
use super::store::RoomInfo;
use crate::log::stats::LogStats;

const CLOSED: &str = "the log is closed";

/// Rooms that [`EmbeddedLog::rooms`] reads at once.
const ROOMS_PAGE: usize = 1_024;

/// The log in a data folder of this machine: the `Log` port on fjall, with one sync for many appends.
///
/// Closing it, or dropping it, answers what is queued and lets the folder go. It needs no runtime, and its futures may be
/// awaited on any.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    readers: Readers,
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedLog {
    /// Opens the log in a folder, and makes it if there is none. Blocks while what the journals hold is brought into tables,
    /// less than a second for each 64 MiB.
    ///
    /// # Errors
    /// Where another process holds the folder, a later version wrote it, it is damaged, or the system does not let us write.
    pub fn open(folder: &Path, options: EmbeddedOptions) -> Result<Self, OpenError> {
        let data_folder = DataFolder::acquire(folder)?;
        let shared = Arc::new(Shared::new(data_folder.open_store(&options)?));
        let to_error = |error| OpenError::from_io(folder, folder, error);
        let readers = Readers::start(&shared, options.reader_threads).map_err(to_error)?;
        let committer = Committer::new(Arc::clone(&shared), data_folder, options);
        let thread = std::thread::Builder::new().name("log-committer".to_owned());
        let to_abandon = Arc::clone(&shared);
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| committer.run())).is_err() {
                to_abandon.abandon();
            }
        };
        let committer = thread.spawn(run).map_err(to_error)?;
        Ok(Self { shared, readers, committer: Mutex::new(Some(committer)) })
    }

    /// Answers what is queued, closes the log and lets its folder go; blocks until that is done. Later calls are answered as
    /// unavailable.
    pub fn close(&self) {
        self.shared.queue.close();
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(committer) = committer {
            // It catches its panics, so it ends well.
            drop(committer.join());
        }
    }

    /// Says why the log cannot be used at the moment; none where it can. Does not block.
    pub fn away(&self) -> Option<String> {
        self.shared.away()
    }

    /// Returns what was counted since the log was opened.
    pub fn stats(&self) -> LogStats {
        self.shared.counters.snapshot()
    }

    /// Iterates over every room that somebody wrote to, ordered by name, for tools; each step may block on the disk. Rooms that
    /// are made meanwhile may be missing, and none comes twice.
    ///
    /// # Errors
    /// Each item: where the log is unavailable or damaged. The iteration ends after an error.
    pub fn rooms(&self) -> impl Iterator<Item = Result<RoomInfo, LogError>> + '_ {
        let mut page = Vec::new().into_iter();
        let mut last = None;
        let mut ended = false;
        std::iter::from_fn(move || {
            if page.len() == 0 && !ended {
                match self.shared.read(|store| store.rooms_after(last.as_ref(), ROOMS_PAGE)) {
                    Ok(rooms) => {
                        ended = rooms.len() < ROOMS_PAGE;
                        page = rooms.into_iter();
                    }
                    Err(error) => {
                        ended = true;
                        return Some(Err(error));
                    }
                }
            }
            let info = page.next()?;
            last = Some(info.room.clone());
            Some(Ok(info))
        })
    }

    /// Takes what was deleted and redacted off the disk: rewrites all tables and leaves the journals behind. Nothing is read or
    /// written meanwhile; it takes as long as reading and writing the whole log once.
    ///
    /// # Errors
    /// Where the log is unavailable or the disk fails. The log is as whole as before then, and may hold what it held.
    ///
    /// # Cancel safety
    /// Dropping the future does not end what it began.
    pub async fn compact(&self) -> Result<Compacted, LogError> {
        self.command(|answer| Command::Compact { answer }).await
    }

    /// Queues a command; the call itself takes the place.
    fn command<T: Send + 'static>(
        &self,
        command: impl FnOnce(Answerer<T>) -> Command,
    ) -> PortFuture<'static, Result<T, LogError>> {
        let (answer, answered) = oneshot::channel();
        if let Err(command) = self.shared.queue.push(command(answer)) {
            command.refuse(CLOSED);
        }
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(LogError::Unavailable(CLOSED.to_owned()))) })
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl Log for EmbeddedLog {
    fn activate<'a>(&'a self, room: &'a RoomId, with: Activate) -> PortFuture<'a, Result<Activated, LogError>> {
        self.command(|answer| Command::Activate { room: room.clone(), with, answer })
    }

    /// Nothing is kept for an ownership but what is stored for the room.
    fn release(&self, _: &RoomId, _: Fence) {}

    fn append(&self, append: Append) -> PortFuture<'static, AppendOutcome> {
        append.assert_well_formed();
        let (answer, answered) = oneshot::channel();
        if self.shared.queue.push(Command::Append { append, answer }).is_err() {
            return Box::pin(async { AppendOutcome::NotCommitted(NotCommitted::Refused(CLOSED.to_owned())) });
        }
        // Only a committer that panicked drops an answer; what it had written by then nobody knows.
        Box::pin(async move { answered.await.unwrap_or_else(|_| AppendOutcome::Unknown(CLOSED.to_owned())) })
    }

    fn read<'a>(&'a self, room: &'a RoomId, range: ReadRange) -> PortFuture<'a, Result<Vec<Entry>, LogError>> {
        let room = room.clone();
        self.readers.read(move |store| store.read(&room, range))
    }

    fn tail<'a>(&'a self, room: &'a RoomId) -> PortFuture<'a, Result<Option<LogTail>, LogError>> {
        let room = room.clone();
        self.readers.read(move |store| Ok(store.room(&room)?.map(|row| row.tail())))
    }

    fn write_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        snapshot: StoredSnapshot,
    ) -> PortFuture<'a, Result<(), LogError>> {
        let seq = snapshot.seq;
        let parts = u32::try_from(snapshot.parts.len()).expect("a snapshot has far fewer parts");
        let (mut commands, mut answers) = (Vec::new(), Vec::new());
        for (part, bytes) in (0..).zip(snapshot.parts) {
            let (answer, answered) = oneshot::channel();
            commands.push(Command::SnapshotPart {
                part: SnapshotPart { room: room.clone(), seq, part, parts, bytes },
                answer,
            });
            answers.push(answered);
        }
        if let Err(commands) = self.shared.queue.push_all(commands) {
            commands.into_iter().for_each(|command| command.refuse(CLOSED));
        }
        Box::pin(async move {
            for answered in answers {
                answered.await.unwrap_or_else(|_| Err(LogError::Unavailable(CLOSED.to_owned())))?;
            }
            if parts > 1 {
                // Of several parts any may have failed, so the older snapshots go only now. If nobody is here any more to say
                // so, the next snapshot does.
                drop(self.shared.queue.push(Command::PruneSnapshots { room: room.clone(), newest: seq }));
            }
            Ok(())
        })
    }

    fn read_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        at_most: Seq,
    ) -> PortFuture<'a, Result<Option<StoredSnapshot>, LogError>> {
        let room = room.clone();
        self.readers.read(move |store| store.read_snapshot(&room, at_most))
    }

    fn expire_before<'a>(&'a self, room: &'a RoomId, floor: Seq) -> PortFuture<'a, Result<(), LogError>> {
        self.command(|answer| Command::Expire { room: room.clone(), floor, answer })
    }
}
