//! The release binary, as people run it: killed, stopped, traced, starved of files, fed with rubbish.
#![expect(clippy::unwrap_used, reason = "in a test an unwrap is the assertion, in its helper functions, too")]

mod crashes;
mod files;
mod folders;
mod leaks;
mod signals;
mod trace;
