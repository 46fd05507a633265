//! Who runs on which core.

use anyhow::Context as _;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The server on one core, the clients on another: neither waits for the other's share of a core, and the CPU time of
/// each is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Each on a core of its own.
    Pinned {
        /// The server's core.
        server: usize,
        /// Ours.
        client: usize,
    },
    /// The machine has one core for both, or the harness drives a server that it has not started.
    Free,
}

impl Placement {
    /// Takes the first two cores that we may use, and pins ourselves to the second.
    ///
    /// # Errors
    /// Where the system does not say which cores there are, or does not let us choose.
    pub fn pin() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("failed to learn which cores may be used")?;
        let mut cores = (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or_default());
        let (Some(server), Some(client)) = (cores.next(), cores.next()) else { return Ok(Self::Free) };
        pin_this_thread(client)?;
        Ok(Self::Pinned { server, client })
    }

    /// Runs what starts the server: a process is born on the core of the thread that starts it, so that the server counts
    /// one core from its beginning.
    ///
    /// # Errors
    /// Where the thread cannot be moved there and back.
    pub fn on_the_servers_core<T>(self, start: impl FnOnce() -> T) -> anyhow::Result<T> {
        let Self::Pinned { server, client } = self else { return Ok(start()) };
        pin_this_thread(server)?;
        let started = start();
        pin_this_thread(client)?;
        Ok(started)
    }
}

fn pin_this_thread(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core).with_context(|| format!("core {core} cannot be named"))?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("failed to move to core {core}"))
}
