//! The connections with something to send, in the order in which they came to have it.

/// A queue of slots. It mostly empties before more comes: then it begins anew at its front.
#[derive(Debug, Default)]
pub(super) struct ReadyQueue {
    slots: Vec<u32>,
    /// How many of them have been taken.
    taken: usize,
}

impl ReadyQueue {
    /// Appends a slot.
    #[inline]
    pub(super) fn push(&mut self, slot: u32) {
        if self.slots.len() == self.slots.capacity() {
            self.make_room();
        }
        self.slots.push(slot);
    }

    /// Takes the slot that was appended first.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<u32> {
        let slot = *self.slots.get(self.taken)?;
        self.taken += 1;
        if self.taken == self.slots.len() {
            self.slots.clear();
            self.taken = 0;
        }
        Some(slot)
    }

    /// Forgets what was taken, once it is half of all, so that each slot moves once at the most;
    /// else there will be more memory.
    #[cold]
    fn make_room(&mut self) {
        if self.taken >= self.slots.len() / 2 {
            self.slots.drain(..self.taken);
            self.taken = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ReadyQueue;

    #[test]
    fn slots_come_out_in_the_order_in_which_they_went_in() {
        let mut queue = ReadyQueue::default();
        let (mut pushed, mut popped) = (0, 0);
        for more in [1_u32, 0, 3, 2, 0, 500, 1, 0] {
            for _ in 0..more {
                queue.push(pushed);
                pushed += 1;
            }
            for _ in 0..more.div_ceil(2) {
                assert_eq!(queue.pop(), Some(popped));
                popped += 1;
            }
        }
        while let Some(slot) = queue.pop() {
            assert_eq!(slot, popped);
            popped += 1;
        }
        assert_eq!((popped, queue.pop()), (pushed, None));
    }

    #[test]
    fn a_queue_that_never_empties_takes_no_more_memory_than_it_has_to_hold() {
        let mut queue = ReadyQueue::default();
        queue.push(0);
        for slot in 0..100_000 {
            queue.push(slot + 1);
            assert_eq!(queue.pop(), Some(slot));
        }
        assert!(queue.slots.capacity() <= 16, "{}", queue.slots.capacity());
    }
}
