//! Clients that go on whatever happens to their server and to themselves, and who remember what they saw.
//!
//! ```text
//! Crowd ─▶ Member ─ life after life ─▶ rollcall-client ─ writes, events ─▶ Talker, Reader ─▶ History
//!             └─ MortalStorage: what the client kept when its program was killed
//! ```
//! These are real clients (`rollcall-client`): what a torture shows is that their retries, resumes and storage keep the promise
//! together with the server.

mod crowd;
mod doubt;
mod member;
mod mortal_storage;
mod pulse;
mod reader;
mod talker;

pub use crowd::Crowd;
pub use member::{Member, Seat};
pub use pulse::Pulse;
pub use talker::Pace;
