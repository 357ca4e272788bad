//! The retained store's topic tree: which topics have a retained message, and which of them does
//! a Topic Filter match?
//!
//! A wildcard subscription may match every topic of the store, so the answer is not a list: it is
//! taken in steps through a [`Cursor`], and the tree may change between them.

use core::ops::Bound;
use std::collections::BTreeMap;

/// Topic Names with a value each, in byte order.
#[derive(Debug)]
pub(crate) struct RetainedTree<T> {
    entries: BTreeMap<Box<str>, T>,
    topic_bytes: usize,
}

/// Where the replay of one subscription stands in a [`RetainedTree`]: a small value that its owner
/// keeps between steps. It borrows nothing and stays right whatever happens to the tree: no entry
/// is met twice, and none is missed that was there all the time. An entry inserted meanwhile is
/// met if it lies ahead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    /// The last topic dealt with.
    after: Option<Box<str>>,
    done: bool,
}

impl Cursor {
    /// A cursor before the first topic.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Whether the end has been reached: all further steps give [`Step::Done`].
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }
}

/// One step of a [`Scan`].
#[derive(Debug)]
pub(crate) enum Step<'a, T> {
    /// The next match. It counts as met: the cursor is past it.
    Entry(&'a str, &'a T),
    /// The step budget is used up; a new scan with the same cursor goes on from here.
    ComeAgain,
    /// There is no further match.
    Done,
}

/// Takes a [`Cursor`] through the matches of one filter. The cursor's place is written back when
/// the scan is dropped, so one scan over many entries costs one search of the tree.
#[derive(Debug)]
pub(crate) struct Scan<'a, T> {
    tree: &'a RetainedTree<T>,
    filter: &'a str,
    cursor: &'a mut Cursor,
    budget: usize,
}

impl<'a, T> Scan<'a, T> {
    /// The next step.
    pub(crate) fn step(&mut self) -> Step<'a, T> {
        while !self.cursor.done {
            if self.budget == 0 {
                return Step::ComeAgain;
            }
            self.budget -= 1;
            let from = match &self.cursor.after {
                Some(topic) => Bound::Excluded(&**topic),
                None => Bound::Unbounded,
            };
            let mut range = self.tree.entries.range::<str, _>((from, Bound::Unbounded));
            let Some((topic, value)) = range.next() else {
                self.cursor.done = true;
                break;
            };
            self.cursor.after = Some(topic.clone());
            if matches(self.filter, topic) {
                return Step::Entry(topic, value);
            }
        }
        Step::Done
    }
}

impl<T> RetainedTree<T> {
    /// An empty tree; it takes no memory.
    pub(crate) fn new() -> Self {
        Self { entries: BTreeMap::new(), topic_bytes: 0 }
    }

    /// Sets the value of `topic` and returns the one that it replaces [MQTT-3.3.1-5].
    pub(crate) fn insert(&mut self, topic: &str, value: T) -> Option<T> {
        let old = self.entries.insert(topic.into(), value);
        if old.is_none() {
            self.topic_bytes += topic.len();
        }
        old
    }

    /// Removes `topic` and returns its value [MQTT-3.3.1-6].
    pub(crate) fn remove(&mut self, topic: &str) -> Option<T> {
        let old = self.entries.remove(topic)?;
        self.topic_bytes -= topic.len();
        Some(old)
    }

    /// The value of `topic`.
    pub(crate) fn get(&self, topic: &str) -> Option<&T> {
        self.entries.get(topic)
    }

    /// The value of `topic`, to be changed in place.
    pub(crate) fn get_mut(&mut self, topic: &str) -> Option<&mut T> {
        self.entries.get_mut(topic)
    }

    /// How many topics there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no topic.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all topics together, without any overhead.
    pub(crate) fn topic_bytes(&self) -> usize {
        self.topic_bytes
    }

    /// An estimate of the heap bytes that the tree occupies, without what the values own.
    pub(crate) fn memory(&self) -> usize {
        self.topic_bytes + 2 * self.len() * (size_of::<T>() + size_of::<Box<str>>())
    }

    /// Goes on from `cursor` to the next topics that `filter` matches, in byte order. `budget` is
    /// the number of topics that this scan may look at, matching or not; looking at one takes some
    /// tens of nanoseconds. A cursor belongs to one filter.
    pub(crate) fn scan<'a>(
        &'a self,
        filter: &'a str,
        cursor: &'a mut Cursor,
        budget: usize,
    ) -> Scan<'a, T> {
        Scan { tree: self, filter, cursor, budget }
    }
}

fn matches(filter: &str, topic: &str) -> bool {
    // [MQTT-4.7.2-1]
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}
