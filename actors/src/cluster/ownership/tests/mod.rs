//! Ownership, by table and at random.

mod owned;
mod peers;
mod seeking;
mod support;
mod together;
