//! What is judged at the end, room by room, once the log is known.
//!
//! | module | rules |
//! |---|---|
//! | `writes` | acked is stored · failed is absent · unknown at most once · one seq per write |
//! | `order` | device order · ack before invoke |
//! | `pushes` | pushes equal log |
//! | `convergence` | reaches head |
//!
//! The other rules are judged as the events stream in: pushes in order (`connection`), stored without gap, epochs, hash
//! chain (`log`).

mod convergence;
mod order;
mod pushes;
mod room;
mod writes;

pub(crate) use room::judge;
