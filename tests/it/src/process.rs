//! The release binary as a process.
