//! Senders that wait until another message is taken.
//!
//! They are called one at a time, in the order in which they came, and each that is done with
//! calls the next, so that room for one message wakes one sender and none is forgotten.

use std::collections::VecDeque;
use std::task::Waker;

/// The queue of waiting senders.
#[derive(Debug)]
pub(crate) struct Room {
    waiting: VecDeque<(u64, Waker)>,
    next: u64,
}

impl Room {
    pub(crate) const fn new() -> Self {
        Self { waiting: VecDeque::new(), next: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the sender with this ticket was called.
    pub(crate) fn is_called(&self, ticket: u64) -> bool {
        !self.waiting.iter().any(|(waiting, _)| *waiting == ticket)
    }

    /// A sender waits: at the end of the queue, or, with the ticket that it has, where it stands.
    /// One that was called and found no room comes first again.
    pub(crate) fn wait(&mut self, ticket: Option<u64>, waker: &Waker) -> u64 {
        let Some(ticket) = ticket else {
            self.next += 1;
            self.waiting.push_back((self.next, waker.clone()));
            return self.next;
        };
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == ticket) {
            Some((_, waiting)) => waiting.clone_from(waker),
            None => self.waiting.push_front((ticket, waker.clone())),
        }
        ticket
    }

    /// The first sender, to be woken.
    pub(crate) fn call(&mut self) -> Option<Waker> {
        self.waiting.pop_front().map(|(_, waker)| waker)
    }

    /// A sender waits no longer.
    pub(crate) fn leave(&mut self, ticket: u64) {
        self.waiting.retain(|(waiting, _)| *waiting != ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn senders_are_called_in_order_and_one_that_found_no_room_comes_first_again() {
        let counts: Vec<Arc<Count>> = (0..3).map(|_| Arc::new(Count(AtomicU32::new(0)))).collect();
        let waker = |at: usize| Waker::from(Arc::clone(&counts[at]));
        let woken =
            || counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let mut room = Room::new();
        let first = room.wait(None, &waker(0));
        let second = room.wait(None, &waker(1));
        room.wait(None, &waker(2));
        assert!(!room.is_called(first));
        room.call().unwrap().wake();
        assert!(room.is_called(first));
        assert_eq!(woken(), [1, 0, 0]);
        assert_eq!(room.wait(Some(first), &waker(0)), first);
        room.call().unwrap().wake();
        assert_eq!(woken(), [2, 0, 0]);
        room.leave(second);
        room.call().unwrap().wake();
        assert_eq!(woken(), [2, 0, 1]);
        assert!(room.is_empty());
    }
}
