//! The listener: a thread with a runtime of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use axum::Router;
use tokio::sync::oneshot;

use super::Readiness;
use super::endpoints::{Observed, router};
use crate::metrics::Metrics;

/// A listener for operators that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Ops {
    address: SocketAddr,
    /// Closed when it is dropped, which ends the thread.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Why operators cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address} for operators: {source}; {}", advice(source))]
pub struct OpsError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process has the port: stop it, or set `ops.listen` to another address",
        _ => "set `ops.listen` to another address",
    }
}

impl Ops {
    /// Takes the address and starts to answer on a new thread; `admin` is what is found below `/admin/v1`. Needs no runtime.
    ///
    /// # Errors
    /// Where the address cannot be had, or the system gives no thread.
    pub fn start(listen: SocketAddr, metrics: Metrics, readiness: Readiness, admin: Router) -> Result<Self, OpsError> {
        let failed = |source| OpsError { address: listen, source };
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let observed = Observed { metrics, readiness };
        let serve = async move {
            let listener = match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => listener,
                Err(error) => return tracing::error!(%error, "the ops listener did not start"),
            };
            tokio::select! {
                // Serving ends only with an error that axum has no name for.
                served = axum::serve(listener, router(observed, admin)) => {
                    tracing::error!(?served, "the ops listener has ended");
                }
                // Both a message and a dropped sender mean stop. Open connections are cut: nothing of theirs would be lost.
                _ = stopped => {}
            }
        };
        let thread = std::thread::Builder::new().name("ops".to_owned());
        let thread = thread.spawn(move || runtime.block_on(serve)).map_err(failed)?;
        Ok(Self { address, stop, thread })
    }

    /// Returns where it listens; with the port that was given for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops, and returns when the address is free again.
    ///
    /// # Cancel safety
    /// Dropped half-way, it stops all the same.
    pub async fn stop(self) {
        drop(self.stop);
        if !matches!(tokio::task::spawn_blocking(move || self.thread.join()).await, Ok(Ok(()))) {
            tracing::error!("the ops listener panicked");
        }
    }
}

#[cfg(test)]
mod tests;
