//! The retained store's topic tree: which topics have a retained message, and which of them does
//! a Topic Filter match?
//!
//! Topics stand in byte order, in leaves of about a hundred; a sorted map finds the leaf. In that
//! order all topics below one are neighbours, so a filter is answered by walking the tree once and
//! jumping over what cannot match. A wildcard subscription may match every topic of the store, so
//! the answer is not a list: it is taken in steps through a [`Cursor`], and the tree may change
//! between them.

mod judge;
mod leaf;
mod scan;
#[cfg(test)]
mod tests;

use core::{fmt, ops::Bound};
use std::collections::{BTreeMap, btree_map::Range};

use leaf::{Leaf, Put};
pub(crate) use scan::{Cursor, Scan, Step};

/// Topic Names with a value each, in byte order.
///
/// An entry takes the bytes of its topic, those of `T`, and about ten more. Finding a topic takes
/// one search in the map of leaves and one in a leaf. Inserting and removing move at most a leaf:
/// 128 entries and 16 KiB of topics.
pub(crate) struct RetainedTree<T> {
    /// Each leaf under a text that is not above its first topic, and above the last topic of the
    /// leaf before. No leaf is empty.
    leaves: BTreeMap<Box<str>, Leaf<T>>,
    len: usize,
    topic_bytes: usize,
}

impl<T> RetainedTree<T> {
    /// An empty tree; it takes no memory.
    pub(crate) fn new() -> Self {
        Self { leaves: BTreeMap::new(), len: 0, topic_bytes: 0 }
    }

    /// Sets the value of `topic` and returns the one that it replaces [MQTT-3.3.1-5].
    pub(crate) fn insert(&mut self, topic: &str, value: T) -> Option<T> {
        let mut value = value;
        // Now and then a leaf is full and is split once. Only a topic of kilobytes can need more,
        // and after at most seven halvings one entry is left.
        loop {
            let Some((_, leaf)) = self.leaf_mut(topic) else {
                self.leaves.insert(Box::default(), Leaf::new());
                continue;
            };
            match leaf.put(topic, value) {
                Put::Replaced(old) => return Some(old),
                Put::Added => break,
                Put::Full(back) => value = back,
            }
            let (key, right) = leaf.split_for(topic);
            self.leaves.insert(key, right);
        }
        self.len += 1;
        self.topic_bytes += topic.len();
        None
    }

    /// Removes `topic` and returns its value [MQTT-3.3.1-6].
    pub(crate) fn remove(&mut self, topic: &str) -> Option<T> {
        let (key, leaf) = self.leaf_mut(topic)?;
        let value = leaf.remove(topic)?;
        if leaf.wants_joining() {
            let key = key.to_owned();
            self.join(&key);
        }
        self.len -= 1;
        self.topic_bytes -= topic.len();
        Some(value)
    }

    /// The value of `topic`.
    pub(crate) fn get(&self, topic: &str) -> Option<&T> {
        self.leaf(topic)?.1.get(topic)
    }

    /// Calls `found` for every topic and its value, in byte order.
    pub(crate) fn for_each(&self, mut found: impl FnMut(&str, &T)) {
        for leaf in self.leaves.values() {
            for (topic, value) in (0..leaf.len()).filter_map(|at| leaf.entry(at)) {
                found(topic, value);
            }
        }
    }

    /// How many topics there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no topic.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of all topics together, without any overhead.
    #[cfg(test)]
    pub(crate) fn topic_bytes(&self) -> usize {
        self.topic_bytes
    }

    /// The heap bytes that the tree occupies, without what the values own and without the
    /// allocator's overhead. Adds up the leaves: a microsecond for some ten thousand topics.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        // The nodes of the map are about two thirds full.
        let entry = (size_of::<Box<str>>() + size_of::<Leaf<T>>()) * 3 / 2;
        self.leaves.iter().map(|(key, leaf)| entry + key.len() + leaf.memory()).sum()
    }

    /// Goes on from `cursor` to the next topics that `filter` matches, in byte order. `budget` is
    /// the number of topics that this scan may look at, matching or not. A cursor belongs to one
    /// filter.
    ///
    /// Looking at a topic compares it with the filter, and if it does not match finds the next one
    /// that could. So a scan never looks at more topics than the tree has, and a filter without
    /// `+` makes it look at no more than two that do not match.
    pub(crate) fn scan<'t, 'c>(
        &'t self,
        filter: &'c str,
        cursor: &'c mut Cursor,
        budget: usize,
    ) -> Scan<'t, 'c, T> {
        Scan::new(self, filter, cursor, budget)
    }

    /// The leaf that has `topic`, if any has, and its key.
    fn leaf(&self, topic: &str) -> Option<(&str, &Leaf<T>)> {
        let (key, leaf) = self.leaves.range::<str, _>(up_to(topic)).next_back()?;
        Some((key, leaf))
    }

    fn leaf_mut(&mut self, topic: &str) -> Option<(&str, &mut Leaf<T>)> {
        let (key, leaf) = self.leaves.range_mut::<str, _>(up_to(topic)).next_back()?;
        Some((key, leaf))
    }

    /// The leaves behind the one with this key, or all.
    fn leaves_after(&self, key: Option<&str>) -> Range<'_, Box<str>, Leaf<T>> {
        match key {
            Some(key) => self.leaves.range::<str, _>(after(key)),
            None => self.leaves.range::<str, _>(..),
        }
    }

    /// Removes a leaf that is empty, or joins it with a neighbour if the two fit into one leaf with
    /// room to spare.
    fn join(&mut self, key: &str) {
        let Some(leaf) = self.leaves.get(key) else { return };
        if leaf.is_empty() {
            self.leaves.remove(key);
            return;
        }
        let before = (Bound::Unbounded, Bound::Excluded(key));
        let left = self.leaves.range::<str, _>(before).next_back();
        let right = self.leaves.range::<str, _>(after(key)).next();
        let pair: Option<(Box<str>, Box<str>)> =
            if let Some((left, _)) = left.filter(|(_, left)| left.can_take(leaf)) {
                Some((left.clone(), key.into()))
            } else if let Some((right, _)) = right.filter(|(_, right)| leaf.can_take(right)) {
                Some((key.into(), right.clone()))
            } else {
                None
            };
        if let Some((left, right)) = pair
            && let Some(right) = self.leaves.remove(&right)
            && let Some(left) = self.leaves.get_mut(&left)
        {
            left.append(right);
        }
    }
}

fn up_to(topic: &str) -> (Bound<&str>, Bound<&str>) {
    (Bound::Unbounded, Bound::Included(topic))
}

fn after(key: &str) -> (Bound<&str>, Bound<&str>) {
    (Bound::Excluded(key), Bound::Unbounded)
}

impl<T> fmt::Debug for RetainedTree<T> {
    /// Counts only: topics are what peers sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetainedTree")
            .field("len", &self.len)
            .field("topic_bytes", &self.topic_bytes)
            .finish_non_exhaustive()
    }
}
