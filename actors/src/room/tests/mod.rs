//! Tests of the room core: what happens goes in, and what the core wants done is compared. [`histories`] checks all of it at
//! once, on random histories and against a naive reference.

mod answers;
mod batches;
mod changes;
mod expiry;
mod finality;
mod forgetting;
mod histories;
mod outcomes;
mod retries;
mod senders;
mod snapshots;
mod targets;
mod test_log;
mod test_room;
