//! The readers: a few threads of the log's own.
//!
//! Reads may wait for the disk, so they do not run on the threads that serve connections. The runtime's pool for blocking work
//! would grow to hundreds of threads when many clients catch up at once, each with its stack and its share of the allocator's
//! memory; a few threads read as fast as one disk gives, and the rest waits in a queue that costs a box each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rollcall_actors::ports::{LogError, PortFuture};
use tokio::sync::oneshot;

use super::committer::Shared;
use super::queue::Queue;
use super::store::Store;

type Job = Box<dyn FnOnce(&Shared) + Send>;

/// The threads that read, and their queue.
pub(super) struct Readers {
    queue: Arc<Queue<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts the threads.
    pub fn start(shared: &Arc<Shared>, count: usize) -> std::io::Result<Self> {
        let mut readers = Self { queue: Arc::new(Queue::new()), threads: Vec::new() };
        for _ in 0..count.max(1) {
            let (queue, shared) = (Arc::clone(&readers.queue), Arc::clone(shared));
            let thread = std::thread::Builder::new().name("log-reader".to_owned());
            readers.threads.push(thread.spawn(move || run(&queue, &shared))?);
        }
        Ok(readers)
    }

    /// Reads on one of the threads. The call itself takes the place in the queue.
    pub fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, LogError> + Send + 'static,
    ) -> PortFuture<'static, Result<T, LogError>> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |shared| drop(answer.send(shared.read(work))));
        // Where the queue is closed the job is dropped, and its answer with it.
        drop(self.queue.push(job));
        Box::pin(async move {
            answered.await.unwrap_or_else(|_| Err(LogError::Unavailable("the log is closed".to_owned())))
        })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            // A reader catches its panics, so it ends well.
            drop(thread.join());
        }
    }
}

fn run(queue: &Queue<Job>, shared: &Shared) {
    while let Some(jobs) = queue.take_group(Duration::ZERO, |_| false) {
        for job in jobs {
            if catch_unwind(AssertUnwindSafe(|| job(shared))).is_err() {
                tracing::error!("a read of the log panicked; its reader goes on");
            }
        }
    }
}
