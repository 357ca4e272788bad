//! The deadline queue: which timer is due next?

use std::collections::BTreeSet;

/// Names an armed deadline until it is popped or cancelled. The owner keeps it beside the timer it
/// is for; together with the deadline's key it is safe to use too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeadlineHandle(u32);

/// Deadlines in nanoseconds with a key each, earliest first; equal times in the order of their
/// keys. A key may be armed any number of times.
#[derive(Debug)]
pub(crate) struct Deadlines<K> {
    armed: BTreeSet<(u64, K, u32)>,
    next: u32,
}

impl<K: Copy + Ord> Deadlines<K> {
    /// An empty queue; it takes no memory.
    pub(crate) fn new() -> Self {
        Self { armed: BTreeSet::new(), next: 0 }
    }

    /// Arms a deadline for `key` at the time `at`.
    pub(crate) fn insert(&mut self, at: u64, key: K) -> DeadlineHandle {
        self.next = self.next.wrapping_add(1);
        self.armed.insert((at, key, self.next));
        DeadlineHandle(self.next)
    }

    /// Disarms the deadline that [`insert`](Self::insert) gave this handle for `key`. Returns
    /// whether it was still armed.
    pub(crate) fn cancel(&mut self, handle: DeadlineHandle, key: K) -> bool {
        let found = self.armed.iter().find(|entry| entry.1 == key && entry.2 == handle.0).copied();
        found.is_some_and(|entry| self.armed.remove(&entry))
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<u64> {
        self.armed.first().map(|entry| entry.0)
    }

    /// The earliest deadline and its key.
    pub(crate) fn peek(&self) -> Option<(u64, K)> {
        self.armed.first().map(|entry| (entry.0, entry.1))
    }

    /// Takes the earliest deadline if it is not after `now`, and returns its key. Its handle is
    /// dead then.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        self.armed.pop_first().map(|entry| entry.1)
    }

    /// How many deadlines are armed.
    pub(crate) fn len(&self) -> usize {
        self.armed.len()
    }

    /// Whether none is armed.
    pub(crate) fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// The heap bytes that the queue occupies.
    pub(crate) fn memory(&self) -> usize {
        self.armed.len() * 40
    }
}
