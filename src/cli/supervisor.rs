//! Tells whoever started the server how far it is, where that is systemd with `Type=notify`, or another that does as it does.

use sd_notify::NotifyState;

/// The server serves.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The server stops, and takes its time.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("telling clients, giving rooms up")]);
}

/// Without a supervisor that wants to know, nothing is sent.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "failed to tell the supervisor of this process how far it is");
    }
}
