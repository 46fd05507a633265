//! When each room last answered a write, and how long it was silent.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// The acknowledgements of all rooms, by time. Times in µs.
#[derive(Debug, Default)]
pub struct Pulse {
    rooms: RefCell<BTreeMap<String, Beats>>,
}

#[derive(Debug, Clone, Copy)]
struct Beats {
    last_us: u64,
    /// The longest time between two since the last [`Pulse::watch`].
    silence_us: u64,
}

impl Pulse {
    /// Notes that a room acknowledged a write.
    pub fn beat(&self, room: &str, now_us: u64) {
        let mut rooms = self.rooms.borrow_mut();
        match rooms.get_mut(room) {
            Some(beats) => {
                beats.silence_us = beats.silence_us.max(now_us.saturating_sub(beats.last_us));
                beats.last_us = now_us;
            }
            None => drop(rooms.insert(room.to_owned(), Beats { last_us: now_us, silence_us: 0 })),
        }
    }

    /// Begins to measure the silence of each room anew.
    pub fn watch(&self) {
        self.rooms.borrow_mut().values_mut().for_each(|beats| beats.silence_us = 0);
    }

    /// Returns how long the most silent room was silent since the last [`watch`](Self::watch), the time before it included.
    pub fn longest_silence_us(&self, now_us: u64) -> u64 {
        let rooms = self.rooms.borrow();
        rooms.values().map(|beats| beats.silence_us.max(now_us.saturating_sub(beats.last_us))).max().unwrap_or(0)
    }

    /// Returns the rooms that have not acknowledged anything since a time, of those that ever did.
    pub fn silent_since(&self, since_us: u64) -> Vec<String> {
        let rooms = self.rooms.borrow();
        rooms.iter().filter(|(_, beats)| beats.last_us < since_us).map(|(room, _)| room.clone()).collect()
    }

    /// Returns how many rooms have ever acknowledged anything.
    pub fn rooms(&self) -> usize {
        self.rooms.borrow().len()
    }
}

#[cfg(test)]
mod tests {
    use super::Pulse;

    #[test]
    fn the_longest_silence_is_between_two_acks_or_since_the_last_one() {
        let pulse = Pulse::default();
        assert_eq!((pulse.longest_silence_us(7), pulse.rooms()), (0, 0));
        for (room, at_us) in [("a", 10), ("b", 20), ("a", 110), ("b", 120), ("a", 130)] {
            pulse.beat(room, at_us);
        }
        assert_eq!(pulse.longest_silence_us(140), 100);
        pulse.watch();
        assert_eq!(pulse.longest_silence_us(140), 20);
        pulse.beat("a", 180);
        assert_eq!(pulse.longest_silence_us(181), 61);
        assert_eq!(pulse.silent_since(130), ["b"]);
        assert_eq!(pulse.rooms(), 2);
    }
}
