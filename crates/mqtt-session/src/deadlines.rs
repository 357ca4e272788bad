//! The deadline queue: which timer is due next?
//!
//! A heap in which each deadline knows its place, so that a cancelled one is gone at once and the
//! queue is never larger than what is armed. A timer whose deadline moves away all the time (Keep
//! Alive) should not follow it here: its owner lets it fire, sees that it is not due, and arms it
//! again.

use core::{cmp::Ordering, fmt, num::NonZeroU32};

use crate::arena::{Arena, Key};

/// Children of a heap node: 48 bytes, one or two cache lines, for half the height of a binary heap.
const WIDTH: usize = 4;

/// Names an armed deadline until it fires or is cancelled. The owner keeps it beside what the timer
/// is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeadlineHandle(NonZeroU32);

impl Key for DeadlineHandle {
    fn from_number(number: NonZeroU32) -> Self {
        Self(number)
    }

    fn number(self) -> NonZeroU32 {
        self.0
    }
}

/// Deadlines in nanoseconds with a key each, earliest first; equal times in the order of their
/// keys. A key may be armed any number of times.
///
/// An armed deadline takes 16 bytes and those of an `Option<K>`. Arming and cancelling take time in
/// proportion to the logarithm of what is armed, and asking for the earliest one takes none.
pub(crate) struct Deadlines<K> {
    /// No node is later than its children.
    heap: Vec<Armed>,
    slots: Arena<DeadlineHandle, Slot<K>>,
}

#[derive(Clone, Copy)]
struct Armed {
    /// The halves of a time, high one first: with a `u64` this type would be a third larger.
    at: [u32; 2],
    handle: DeadlineHandle,
}

struct Slot<K> {
    key: Option<K>,
    /// Where in the heap the deadline is.
    place: u32,
}

impl<K> Default for Slot<K> {
    fn default() -> Self {
        Self { key: None, place: 0 }
    }
}

impl Armed {
    fn new(at: u64, handle: DeadlineHandle) -> Self {
        Self { at: [(at >> 32) as u32, at as u32], handle }
    }

    fn at(&self) -> u64 {
        let [high, low] = self.at;
        u64::from(high) << 32 | u64::from(low)
    }
}

impl<K: Copy + Ord> Deadlines<K> {
    /// An empty queue; it takes no memory.
    pub(crate) fn new() -> Self {
        Self { heap: Vec::new(), slots: Arena::new() }
    }

    /// Arms a deadline for `key` at the time `at`.
    pub(crate) fn insert(&mut self, at: u64, key: K) -> DeadlineHandle {
        let handle = self.slots.insert(Slot { key: Some(key), place: 0 });
        if self.heap.len() == self.heap.capacity() {
            // In steps of an eighth: doubling would waste more than the halves of a time save.
            self.heap.reserve_exact(8 + self.heap.len() / 8);
        }
        self.heap.push(Armed::new(at, handle));
        self.rise(self.heap.len() - 1);
        handle
    }

    /// Disarms the deadline that [`insert`](Self::insert) gave this handle for `key`. Returns
    /// whether it was armed: a handle that has fired or was cancelled does no harm, unless the same
    /// key has been armed since.
    pub(crate) fn cancel(&mut self, handle: DeadlineHandle, key: K) -> bool {
        match self.slots.get(handle) {
            Some(slot) if slot.key == Some(key) => {
                self.take(slot.place as usize);
                true
            }
            _ => false,
        }
    }

    /// The earliest deadline and its key.
    pub(crate) fn peek(&self) -> Option<(u64, K)> {
        let first = self.heap.first()?;
        Some((first.at(), self.key(first)?))
    }

    /// Takes the earliest deadline if it is not after `now`, and returns its key. Its handle is
    /// dead then.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<K> {
        if self.heap.first()?.at() > now {
            return None;
        }
        self.take(0)
    }

    /// How many deadlines are armed.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none is armed.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The heap bytes that the queue occupies.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.heap.capacity() * size_of::<Armed>() + self.slots.memory()
    }

    /// Takes a deadline out of the heap.
    fn take(&mut self, place: usize) -> Option<K> {
        let last = self.heap.pop()?;
        let gone = match self.heap.get_mut(place) {
            Some(hole) => core::mem::replace(hole, last),
            None => last,
        };
        if place < self.heap.len() {
            let place = self.rise(place);
            self.sink(place);
        }
        if self.heap.capacity() > 4 * self.heap.len() {
            self.heap.shrink_to(2 * self.heap.len());
        }
        self.slots.remove(gone.handle)?.key
    }

    /// Moves a deadline up until its parent is not later. Returns where it has come to.
    fn rise(&mut self, mut place: usize) -> usize {
        while let Some(parent) = place.checked_sub(1).map(|above| above / WIDTH)
            && self.order(place, parent) == Ordering::Less
        {
            self.swap(place, parent);
            place = parent;
        }
        self.note(place);
        place
    }

    /// Moves a deadline down until its children are not earlier.
    fn sink(&mut self, mut place: usize) {
        loop {
            let children = place * WIDTH + 1..(place * WIDTH + 1 + WIDTH).min(self.heap.len());
            let Some(first) = children.min_by(|&one, &other| self.order(one, other)) else { break };
            if self.order(first, place) != Ordering::Less {
                break;
            }
            self.swap(place, first);
            place = first;
        }
        self.note(place);
    }

    fn order(&self, one: usize, other: usize) -> Ordering {
        let (Some(one), Some(other)) = (self.heap.get(one), self.heap.get(other)) else {
            return Ordering::Equal;
        };
        one.at.cmp(&other.at).then_with(|| self.key(one).cmp(&self.key(other)))
    }

    fn key(&self, armed: &Armed) -> Option<K> {
        self.slots.get(armed.handle)?.key
    }

    /// Swaps two deadlines; the one that moves to `place` is in its place then.
    fn swap(&mut self, place: usize, other: usize) {
        self.heap.swap(place, other);
        self.note(place);
    }

    /// Tells the deadline at `place` where it is.
    fn note(&mut self, place: usize) {
        if let Some(armed) = self.heap.get(place)
            && let Some(slot) = self.slots.get_mut(armed.handle)
        {
            // Not more than there are handles.
            slot.place = place as u32;
        }
    }
}

impl<K> fmt::Debug for Deadlines<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadlines").field("len", &self.heap.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    //! The queue against a sorted set.

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{DeadlineHandle, Deadlines};

    #[derive(Clone, Debug)]
    enum Call {
        Insert(u64, u16),
        Cancel(prop::sample::Index),
        Pop(u64),
    }

    fn call() -> impl Strategy<Value = Call> {
        prop_oneof![
            3 => (0..40_u64, any::<u16>()).prop_map(|(at, key)| Call::Insert(at << 31, key)),
            1 => any::<prop::sample::Index>().prop_map(Call::Cancel),
            1 => (0..40_u64).prop_map(|now| Call::Pop(now << 31)),
        ]
    }

    proptest! {
        #[test]
        fn deadlines_come_in_the_order_of_their_times_and_keys(
            calls in prop::collection::vec(call(), 0..300),
        ) {
            let mut queue = Deadlines::new();
            let mut model: BTreeSet<(u64, u16)> = BTreeSet::new();
            let mut given: Vec<(u64, u16, DeadlineHandle)> = Vec::new();
            for call in calls {
                match call {
                    Call::Insert(at, key) => {
                        if given.iter().all(|(_, other, _)| *other != key) {
                            given.push((at, key, queue.insert(at, key)));
                            model.insert((at, key));
                        }
                    }
                    Call::Cancel(which) => {
                        if !given.is_empty() {
                            let (at, key, handle) = *which.get(&given);
                            prop_assert_eq!(queue.cancel(handle, key), model.remove(&(at, key)));
                            prop_assert!(!queue.cancel(handle, key), "cancelled twice");
                        }
                    }
                    Call::Pop(now) => {
                        let due = model.first().copied().filter(|(at, _)| *at <= now);
                        prop_assert_eq!(queue.pop_due(now), due.map(|(_, key)| key));
                        due.inspect(|due| assert!(model.remove(due)));
                    }
                }
                prop_assert_eq!(queue.peek(), model.first().copied());
                prop_assert_eq!(queue.len(), model.len());
            }
            while let Some((_, key)) = model.pop_first() {
                prop_assert_eq!(queue.pop_due(u64::MAX), Some(key));
            }
            prop_assert!(queue.is_empty());
            prop_assert_eq!(queue.memory(), 0);
        }
    }

    #[test]
    fn an_idle_timer_takes_few_bytes() {
        let mut queue = Deadlines::new();
        for key in 0..10_000_u32 {
            queue.insert(u64::from(key % 100), key);
        }
        assert!(queue.memory() < 10_000 * 27, "{}", queue.memory());
        for _ in 0..9_990 {
            queue.pop_due(100);
        }
        assert!(queue.memory() < 60_000, "what is popped gives its memory back");
    }
}
