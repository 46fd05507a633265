//! Clients that go on whatever happens to their server, and who remember what they saw.
//!
//! These are real clients (`rollcall-client`): what a torture shows is that their retries, resumes and storage keep the promise
//! together with the server.

mod crowd;
mod doubt;
mod reader;
mod talker;

pub use crowd::Crowd;
pub use doubt::Doubts;
