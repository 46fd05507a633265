//! Tests of the delivery buffer: against a naive one that can be seen to be right, and against its promises alone.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{DeliveryBuffer, Inserted};
use crate::ids::{NUMBER_MAX, Seq};

/// Numbers in the tests stay small, so that holes, repetitions and full buffers are the rule.
const NUMBERS: u64 = 40;

#[derive(Debug, Clone)]
enum Step {
    Insert(u64),
    Pop,
    PopAll,
    LearnHead(u64),
    ExpireTo(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (1..=NUMBERS).prop_map(Step::Insert),
        4 => Just(Step::Pop),
        2 => Just(Step::PopAll),
        1 => (0..=NUMBERS).prop_map(Step::LearnHead),
        1 => (0..=NUMBERS).prop_map(Step::ExpireTo),
    ];
    vec(step, 0..120)
}

/// A delivery buffer that looks at everything each time.
struct Naive {
    capacity: usize,
    cursor: u64,
    /// Every number that is known to exist is at most this.
    head: u64,
    /// Number and item, in no order.
    held: Vec<(u64, usize)>,
}

impl Naive {
    fn has(&self, number: u64) -> bool {
        self.held.iter().any(|&(held, _)| held == number)
    }

    fn insert(&mut self, number: u64, item: usize) -> Inserted {
        if number <= self.cursor || self.has(number) {
            return Inserted::Duplicate;
        }
        self.head = self.head.max(number);
        self.held.push((number, item));
        self.held.sort_unstable();
        self.held.truncate(self.capacity);
        if self.has(number) { Inserted::Held } else { Inserted::NoRoom }
    }

    fn pop(&mut self) -> Option<(u64, usize)> {
        let at = self.held.iter().position(|&(held, _)| held == self.cursor + 1)?;
        self.cursor += 1;
        Some(self.held.remove(at))
    }

    fn expire_to(&mut self, floor: u64) -> Vec<u64> {
        let expired: Vec<u64> = (self.cursor + 1..floor).collect();
        if let Some(&last) = expired.last() {
            self.cursor = last;
            self.head = self.head.max(last);
            self.held.retain(|&(held, _)| held > last);
        }
        expired
    }

    /// Every number that exists, is not here, and stands in the way of the next that is.
    fn missing(&self) -> Vec<u64> {
        (self.cursor + 1..=self.head).take_while(|&number| !self.has(number)).collect()
    }
}

fn numbers(range: Option<std::ops::RangeInclusive<Seq>>) -> Vec<u64> {
    range.map_or(Vec::new(), |range| (range.start().get()..=range.end().get()).collect())
}

proptest! {
    #[test]
    fn it_does_what_a_naive_one_does(cursor in 0..10_u64, capacity in 1..8_usize, steps in steps()) {
        let mut buffer = DeliveryBuffer::new(Seq::new(cursor), capacity);
        let mut naive = Naive { capacity, cursor, head: cursor, held: Vec::new() };
        let number_and_item = |(seq, item): (Seq, usize)| (seq.get(), item);
        for (item, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(number) => {
                    prop_assert_eq!(buffer.insert(Seq::new(number), item), naive.insert(number, item));
                }
                Step::Pop => prop_assert_eq!(buffer.pop().map(number_and_item), naive.pop()),
                Step::PopAll => loop {
                    let popped = buffer.pop().map(number_and_item);
                    prop_assert_eq!(popped, naive.pop());
                    if popped.is_none() {
                        break;
                    }
                },
                Step::LearnHead(head) => {
                    buffer.learn_head(Seq::new(head));
                    naive.head = naive.head.max(head);
                }
                Step::ExpireTo(floor) => {
                    prop_assert_eq!(numbers(buffer.expire_to(Seq::new(floor))), naive.expire_to(floor));
                }
            }
            prop_assert_eq!(numbers(buffer.missing()), naive.missing());
            prop_assert_eq!(buffer.cursor().get(), naive.cursor);
            prop_assert_eq!(buffer.head().get(), naive.head);
            prop_assert_eq!(buffer.held(), naive.held.len());
            prop_assert!(buffer.held() <= capacity);
        }
    }

    /// Whatever arrives, what comes out is +1 each time but for what was expired, and is what first came in whole.
    #[test]
    fn it_gives_out_each_number_once_and_in_order(capacity in 1..8_usize, steps in steps()) {
        let mut buffer = DeliveryBuffer::new(Seq::ZERO, capacity);
        let mut inserted = Vec::new();
        let mut last = 0;
        for (item, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(number) => {
                    if buffer.insert(Seq::new(number), item) == Inserted::Held {
                        inserted.push((number, item));
                    }
                }
                Step::Pop | Step::PopAll => {
                    while let Some((seq, item)) = buffer.pop() {
                        prop_assert_eq!(seq.get(), last + 1);
                        prop_assert!(inserted.contains(&(seq.get(), item)));
                        last = seq.get();
                    }
                }
                Step::LearnHead(head) => buffer.learn_head(Seq::new(head)),
                Step::ExpireTo(floor) => {
                    if let Some(expired) = buffer.expire_to(Seq::new(floor)) {
                        prop_assert_eq!(expired.start().get(), last + 1);
                        last = expired.end().get();
                    }
                }
            }
        }
    }

    /// Fetching what `missing` names, in any order and in pages of any size, until it names nothing delivers everything.
    #[test]
    fn asking_for_what_is_missing_ends_with_everything(
        capacity in 1..8_usize,
        arrivals in vec(1..=NUMBERS, 0..60),
        head in 1..=NUMBERS,
        page in 1..10_usize,
        backwards in any::<bool>(),
    ) {
        let mut buffer = DeliveryBuffer::new(Seq::ZERO, capacity);
        let mut delivered = Vec::new();
        for &number in &arrivals {
            buffer.insert(Seq::new(number), number);
            delivered.extend(buffer.pop());
        }
        buffer.learn_head(Seq::new(head));
        let head = arrivals.iter().copied().fold(head, u64::max);
        let mut fetches = 0;
        loop {
            while let Some(next) = buffer.pop() {
                delivered.push(next);
            }
            let mut fetched: Vec<u64> = numbers(buffer.missing()).into_iter().take(page).collect();
            if fetched.is_empty() {
                break;
            }
            if backwards {
                fetched.reverse();
            }
            for number in fetched {
                buffer.insert(Seq::new(number), number);
            }
            fetches += 1;
            prop_assert!(fetches <= head, "each fetch gets further");
        }
        let expected: Vec<_> = (1..=head).map(|number| (Seq::new(number), number)).collect();
        prop_assert_eq!(delivered, expected);
        prop_assert_eq!(buffer.cursor(), buffer.head());
    }
}

#[test]
fn a_lost_tail_is_missed_once_the_head_is_known() {
    let mut buffer: DeliveryBuffer<()> = DeliveryBuffer::new(Seq::new(5), 10);
    assert_eq!(buffer.missing(), None);
    buffer.learn_head(Seq::new(7));
    assert_eq!(buffer.missing(), Some(Seq::new(6)..=Seq::new(7)));
}

#[test]
fn a_full_buffer_keeps_the_lowest_numbers_and_remembers_the_others() {
    let mut buffer = DeliveryBuffer::new(Seq::ZERO, 2);
    assert_eq!(buffer.insert(Seq::new(9), "nine"), Inserted::Held);
    assert_eq!(buffer.insert(Seq::new(8), "eight"), Inserted::Held);
    assert_eq!(buffer.insert(Seq::new(10), "ten"), Inserted::NoRoom);
    assert_eq!(buffer.insert(Seq::new(1), "one"), Inserted::Held);
    assert_eq!(buffer.held(), 2);
    assert_eq!(buffer.pop(), Some((Seq::new(1), "one")));
    assert_eq!(buffer.missing(), Some(Seq::new(2)..=Seq::new(7)));
    buffer.expire_to(Seq::new(9));
    assert_eq!(buffer.missing(), Some(Seq::new(9)..=Seq::new(10)));
}

#[test]
fn the_first_item_of_a_number_stays() {
    let mut buffer = DeliveryBuffer::new(Seq::ZERO, 2);
    assert_eq!(buffer.insert(Seq::new(1), "first"), Inserted::Held);
    assert_eq!(buffer.insert(Seq::new(1), "second"), Inserted::Duplicate);
    assert_eq!(buffer.pop(), Some((Seq::new(1), "first")));
    assert_eq!(buffer.insert(Seq::new(1), "third"), Inserted::Duplicate);
}

/// A cursor comes from a user or a store, and the greatest number is a legal one.
#[test]
fn the_greatest_number_is_a_cursor_like_any_other() {
    let greatest = Seq::new(NUMBER_MAX);
    let mut buffer = DeliveryBuffer::new(greatest.previous(), 2);
    assert_eq!(buffer.insert(greatest, "last"), Inserted::Held);
    assert_eq!(buffer.pop(), Some((greatest, "last")));
    assert_eq!(buffer.missing(), None);
    assert_eq!(buffer.pop(), None);
    assert_eq!(buffer.expire_to(greatest), None);
}

#[test]
#[should_panic(expected = "at least one item")]
fn a_buffer_without_room_is_refused() {
    let _ = DeliveryBuffer::<()>::new(Seq::ZERO, 0);
}
