//! The protocol, sentence by sentence, and then at random against a store that loses, delays and repeats.

mod activation;
mod appends;
mod desk;
mod outcomes;
mod random;
mod redaction;
mod retention;
mod store;
mod tip;
mod totals;
mod world;
