//! Seats: a connection each, in one room, that writes what it is told to and judges what it is shown.
//!
//! ```text
//! open loop   Schedule ─ due ─▶ Board ─▶ Seat ─▶ server ─▶ Seat ─ ack, entries ─▶ Tally, History
//! closed loop RoomLoad ◀─ ack ── Seat      (each ack orders the room's next write, from its next member)
//! ```

mod board;
mod deliveries;
mod one_seat;
mod room_load;
mod schedule;
mod seated_rooms;
mod writer;

pub use board::Order;
pub use deliveries::take_entries;
pub use one_seat::Joining;
pub use room_load::RoomLoad;
pub use schedule::Schedule;
pub use seated_rooms::SeatedRooms;
pub use writer::Writer;

#[cfg(test)]
mod tests;
