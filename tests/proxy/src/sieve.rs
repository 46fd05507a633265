//! What is taken out of what goes through a proxy: requests that wait aside, and messages that are lost.

use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use tokio::sync::watch;

use crate::cql_frames::{CqlFrames, opcode};
use crate::proxy::{Faults, Shared};
use crate::resp_frames::{RespFrames, is_published, shift_times, show_major};

/// Sifts one direction of one connection.
pub struct Sieve<'a> {
    faults: watch::Receiver<Faults>,
    frames: Frames,
    /// Requests that wait, in their order.
    aside: Vec<Vec<u8>>,
    shared: &'a Shared,
}

enum Frames {
    Cql(CqlFrames),
    Redis(RespFrames),
}

impl<'a> Sieve<'a> {
    /// Sifts what a client says to a server of CQL.
    pub fn of_cql(faults: watch::Receiver<Faults>, shared: &'a Shared) -> Self {
        Self { faults, frames: Frames::Cql(CqlFrames::default()), aside: Vec::new(), shared }
    }

    /// Sifts what a Redis says to a client.
    pub fn of_redis(faults: watch::Receiver<Faults>, shared: &'a Shared) -> Self {
        Self { faults, frames: Frames::Redis(RespFrames::default()), aside: Vec::new(), shared }
    }

    /// Returns what passes.
    pub fn sift(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let (kept, lost, shift_s, major) = {
            let faults = self.faults.borrow();
            (faults.keeps_aside, faults.loses, faults.shifts_time_s, faults.shows_major)
        };
        match &mut self.frames {
            Frames::Cql(frames) => {
                let is_kept = |frame: &Vec<u8>| kept.is_some() && opcode(frame) == kept;
                let (aside, passing): (Vec<_>, Vec<_>) = frames.push(bytes).into_iter().partition(is_kept);
                self.shared.aside.fetch_add(aside.len(), Ordering::SeqCst);
                self.aside.extend(aside);
                passing
            }
            Frames::Redis(frames) => {
                let is_lost = |message: &Vec<u8>| {
                    lost.is_some_and(|bytes| message.windows(bytes.len()).any(|window| window == bytes))
                        && is_published(message)
                };
                let (lost, mut passing): (Vec<_>, Vec<_>) = frames.push(bytes).into_iter().partition(is_lost);
                self.shared.lost.fetch_add(lost.len() as u64, Ordering::SeqCst);
                if shift_s != 0 {
                    let now_s = UNIX_EPOCH.elapsed().map_or(0, |now| now.as_secs());
                    passing.iter_mut().for_each(|message| shift_times(message, shift_s, now_s));
                }
                if let Some(major) = major {
                    passing.iter_mut().for_each(|message| show_major(message, major));
                }
                // Together again: nobody is to take single ones out any more.
                if passing.is_empty() { passing } else { vec![passing.concat()] }
            }
        }
    }

    /// Waits until what is aside is let go, and returns it.
    pub async fn let_go(&mut self) -> Vec<Vec<u8>> {
        if self.aside.is_empty() || self.faults.wait_for(|faults| faults.keeps_aside.is_none()).await.is_err() {
            std::future::pending::<()>().await;
        }
        self.shared.aside.fetch_sub(self.aside.len(), Ordering::SeqCst);
        std::mem::take(&mut self.aside)
    }

    /// The connection has ended: returns what is left, once what is aside was let go.
    pub async fn end(mut self) -> Vec<Vec<u8>> {
        let mut left = if self.aside.is_empty() { Vec::new() } else { self.let_go().await };
        let rest = match &mut self.frames {
            Frames::Cql(frames) => std::mem::take(frames).rest(),
            Frames::Redis(frames) => std::mem::take(frames).rest(),
        };
        left.extend((!rest.is_empty()).then_some(rest));
        left
    }
}

impl Drop for Sieve<'_> {
    fn drop(&mut self) {
        self.shared.aside.fetch_sub(self.aside.len(), Ordering::SeqCst);
    }
}

/// As [`Sieve::let_go`], where there is a sieve.
pub async fn let_go(sieve: &mut Option<Sieve<'_>>) -> Vec<Vec<u8>> {
    match sieve {
        Some(sieve) => sieve.let_go().await,
        None => std::future::pending().await,
    }
}
