//! `rollcall serve`.

use std::path::Path;

use rollcall::config::Loaded;
use rollcall::ops::admin::ADMIN_TOKEN_FILE;
use rollcall::server::{Server, StopMode};
use rollcall::telemetry;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::args::ServeArguments;
use super::failure::{Failure, Kind};
use super::supervisor;

/// Serves until a signal comes.
pub fn serve(arguments: &ServeArguments) -> Result<(), Failure> {
    let loaded = arguments.load()?;
    telemetry::init(&loaded.config.logging).map_err(|error| Failure::new(Kind::Config, error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Kind::Io, format!("failed to start: {error}")))?;
    let served = runtime.block_on(serve_until_signal(loaded));
    // Whatever still runs on a blocking thread has nothing left to store.
    runtime.shutdown_background();
    served
}

async fn serve_until_signal(loaded: Loaded) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let is_pretty = telemetry::is_pretty(loaded.config.logging.format);
    let server = tokio::select! {
        started = Server::start(loaded.config.clone()) => started?,
        number = signals.next() => {
            tracing::info!(signal = number, "ended while starting");
            return Ok(());
        }
    };
    if is_pretty {
        eprintln!("{}", banner(&server, &loaded));
    }
    tracing::info!(
        public = %server.public_address(),
        ops = %server.ops_address(),
        data = %absolute(&loaded.config.data.dir),
        admin_token = %absolute(&loaded.config.data.dir.join(ADMIN_TOKEN_FILE)),
        config = loaded.file.as_deref().map(absolute),
        "serving"
    );
    supervisor::ready(&format!("serves clients at {}", server.public_address()));
    let (mode, served) = tokio::select! {
        number = signals.next() => {
            tracing::info!(signal = number, "stopping; a second signal ends at once");
            (StopMode::Graceful, Ok(()))
        }
        reason = server.cannot_go_on() => {
            tracing::error!(%reason, "stopping");
            (StopMode::Quick, Err(Failure::from(reason)))
        }
    };
    supervisor::stopping();
    tokio::select! {
        () = server.stop(mode) => {
            tracing::info!("stopped");
            served
        }
        // As if the signal had not been caught.
        number = signals.next() => std::process::exit(128 + number),
    }
}

/// What a person sees who starts a server.
fn banner(server: &Server, loaded: &Loaded) -> String {
    let config = &loaded.config;
    let program = std::env::args().next().unwrap_or_else(|| "rollcall".to_owned());
    let dir = absolute(&config.data.dir);
    let public = server.public_address();
    let url = format!("ws://{public}/v1/ws");
    let address = if url == super::args::DEFAULT_URL { String::new() } else { format!(" --url {url}") };
    let who = match (config.auth.has_secret(), config.auth.guests_allowed()) {
        (false, _) => "guests: no secret is configured, so everybody on this machine comes in without a token",
        (true, true) => "users with tokens, and guests without",
        (true, false) => "users with tokens: `rollcall token issue` makes one",
    };
    let file = loaded.file.as_deref().map_or_else(|| "none: the defaults hold".to_owned(), absolute);
    format!(
        "rollcall {version} serves\n  clients    {url}\n  operators  http://{ops} (/livez, /readyz, /metrics; /admin/v1 with the token in {token})\n  \
         data       {dir}\n  config     {file}\n  who        {who}\n\
         Try it in two more terminals:\n  {program} tail general{address}\n  {program} send general 'hello'{address}\n\
         Ctrl-C stops it.",
        version = env!("CARGO_PKG_VERSION"),
        ops = server.ops_address(),
        token = absolute(&config.data.dir.join(ADMIN_TOKEN_FILE)),
    )
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// The signals that ask a server to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::new(Kind::Io, format!("failed to listen for signals: {error}")))
        };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for one and returns its number.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        }
    }
}
