//! Forwarding, by table and at random.

mod random;
mod rules;
mod support;
