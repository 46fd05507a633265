//! The release binary, as people run it: killed, stopped, traced, starved of files, fed with rubbish.

mod crashes;
mod files;
mod leaks;
mod signals;
mod trace;
