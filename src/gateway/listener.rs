//! The listener: accepts connections, as many as there is room for, and gives each to the router.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::slots::{Slot, Slots};
use super::{Gateway, connect, upgrade};

/// Bytes of a request's headers at most.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Refused connections that are given time to read why; those beyond are closed at once.
const REFUSALS_MAX: usize = 32;
/// How long a refused connection has to read why.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait after the system would not give a connection: it is out of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n\
content-type: application/json\r\ncontent-length: 100\r\n\r\n\
{\"code\":\"limit_reached\",\"message\":\"the server has as many connections as it takes\",\"retryable\":true}";

/// Takes connections.
pub struct Listener {
    listener: TcpListener,
    gateway: Arc<Gateway>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Where a connection comes from, and what it holds.
#[derive(Clone)]
pub struct Peer {
    /// The client's address.
    pub address: SocketAddr,
    /// The tasks that a stop waits for.
    pub tasks: TaskTracker,
    /// Cancelled when the server stops.
    pub stop: CancellationToken,
    /// The connection's place, given free when the last part of it ends.
    pub slot: Arc<Slot>,
}

impl Listener {
    /// Makes a listener of a bound socket. `tasks` are what a stop waits for; `stop` ends the accepting.
    pub fn new(listener: TcpListener, gateway: Arc<Gateway>, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self { listener, gateway, tasks, stop }
    }

    /// Accepts connections until it is stopped. Those that were accepted go on.
    pub async fn run(self) {
        let settings = &self.gateway.settings;
        let slots = Slots::new(settings.connections_max, settings.connections_per_address_max);
        let router = Router::new()
            .route("/v1/ws", get(upgrade::websocket))
            .route("/v1/connect", get(connect::connect))
            .with_state(Arc::clone(&self.gateway));
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.pause(&error).await;
                    continue;
                }
            };
            match slots.take(address.ip()) {
                Some(slot) => self.serve(stream, address, slot, router.clone()),
                None => refuse(stream, &refusals),
            }
        }
    }

    /// Waits where waiting helps: a connection that its client gave up meanwhile is no reason.
    async fn pause(&self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
            return;
        }
        tracing::warn!(%error, "failed to accept a connection");
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(ACCEPT_PAUSE) => {}
        }
    }

    fn serve(&self, stream: TcpStream, address: SocketAddr, slot: Slot, router: Router) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "failed to set TCP_NODELAY");
        }
        let timeout = self.gateway.settings.hello_timeout;
        let peer = Peer { address, tasks: self.tasks.clone(), stop: self.stop.clone(), slot: Arc::new(slot) };
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(peer.clone());
                let mut router = router.clone();
                async move { Ok::<_, Infallible>(router.call(request).await.unwrap_or_else(|never| match never {})) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(timeout)
                .max_buf_size(HEADER_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            // The future ends with the upgrade. Whoever has not got there in time holds the connection for nothing.
            // Nor does a stop wait for it.
            let served = stop.run_until_cancelled(tokio::time::timeout(timeout, served)).await;
            if let Some(Ok(Err(error))) = served {
                tracing::debug!(%error, "a connection ended before its upgrade");
            }
        });
    }
}

/// Tells a client that there is no room for it. Closing at once, with its request unread, could take the answer with it.
fn refuse(mut stream: TcpStream, refusals: &Arc<Semaphore>) {
    let Ok(permit) = Arc::clone(refusals).try_acquire_owned() else {
        let _ = stream.try_write(REFUSAL);
        return;
    };
    tokio::spawn(async move {
        let told = async {
            stream.write_all(REFUSAL).await?;
            stream.shutdown().await?;
            let mut rest = [0; 512];
            while stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout(REFUSAL_TIMEOUT, told).await;
        drop(permit);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let text = std::str::from_utf8(REFUSAL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
