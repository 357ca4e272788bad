//! Leaves: up to 128 neighbouring topics, their texts in one string.

/// The most entries of a leaf.
const ENTRIES: usize = 128;
/// The most bytes of topics in a leaf, unless it has but one.
const BYTES: usize = 16_384;

/// Topics in byte order, without gaps.
pub(super) struct Leaf<T> {
    topics: String,
    /// Where each topic starts in `topics`; it ends where the next one starts.
    starts: Vec<u32>,
    values: Vec<T>,
}

/// What [`Leaf::put`] did.
pub(super) enum Put<T> {
    Added,
    Replaced(T),
    /// Nothing; the value comes back.
    Full(T),
}

impl<T> Leaf<T> {
    pub(super) fn new() -> Self {
        Self { topics: String::new(), starts: Vec::new(), values: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    #[inline]
    pub(super) fn topic(&self, at: usize) -> Option<&str> {
        let start = *self.starts.get(at)? as usize;
        self.topics.get(start..self.start(at + 1))
    }

    #[inline]
    pub(super) fn entry(&self, at: usize) -> Option<(&str, &T)> {
        Some((self.topic(at)?, self.values.get(at)?))
    }

    pub(super) fn get(&self, topic: &str) -> Option<&T> {
        self.values.get(self.find(topic)?)
    }

    /// The first entry, not before `from`, whose topic is not below `topic`.
    pub(super) fn lower_bound(&self, from: usize, topic: &str) -> usize {
        let (mut low, mut high) = (from, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.topic(middle).is_some_and(|found| found < topic) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Sets the value of a topic, if the topic is here or there is room for it.
    pub(super) fn put(&mut self, topic: &str, value: T) -> Put<T> {
        let at = self.lower_bound(0, topic);
        if self.topic(at) == Some(topic)
            && let Some(old) = self.values.get_mut(at)
        {
            return Put::Replaced(core::mem::replace(old, value));
        }
        let full = self.len() >= ENTRIES || self.topics.len() + topic.len() > BYTES;
        if full && !self.is_empty() {
            return Put::Full(value);
        }
        let start = self.start(at);
        // In steps of a quarter: doubling would waste what the shape of a leaf saves.
        if self.topics.capacity() - self.topics.len() < topic.len() {
            self.topics.reserve_exact(topic.len().max(self.topics.len() / 4));
        }
        if self.values.len() == self.values.capacity() {
            self.values.reserve_exact(1 + self.values.len() / 4);
            self.starts.reserve_exact(1 + self.starts.len() / 4);
        }
        self.topics.insert_str(start, topic);
        self.move_starts(at, |start| start + topic.len());
        self.starts.insert(at, narrow(start));
        self.values.insert(at, value);
        Put::Added
    }

    pub(super) fn remove(&mut self, topic: &str) -> Option<T> {
        let at = self.find(topic)?;
        let start = self.start(at);
        self.topics.replace_range(start..start + topic.len(), "");
        self.starts.remove(at);
        self.move_starts(at, |start| start - topic.len());
        let value = self.values.remove(at);
        if self.values.capacity() > 2 * self.values.len() {
            self.shrink();
        }
        Some(value)
    }

    /// Moves the upper part to a new leaf, to make room for a topic that this one has no room for. Returns the new leaf with the text that divides the two: the topic belongs
    /// to the new one if it is not below that text. Either leaf may be left empty for the topic.
    pub(super) fn split_for(&mut self, topic: &str) -> (Box<str>, Self) {
        let at = self.lower_bound(0, topic);
        // Topics often come in ascending order, and then full leaves are left behind.
        let middle = if at == self.len() { at } else { self.len() / 2 };
        let start = self.start(middle);
        let mut right = Self {
            topics: self.topics.split_off(start),
            starts: self.starts.split_off(middle),
            values: self.values.split_off(middle),
        };
        right.move_starts(0, |old| old - start);
        self.shrink();
        right.shrink();
        let last = middle.checked_sub(1).and_then(|last| self.topic(last)).unwrap_or(topic);
        let first = right.topic(0).unwrap_or(topic);
        (divide(last, first).into(), right)
    }

    /// Whether the leaf has become so small that a neighbour may have room for it. Not asked at
    /// every size, so that a leaf between full ones does not look around all the time.
    pub(super) fn wants_joining(&self) -> bool {
        self.is_empty() || (self.len() <= ENTRIES / 4 && self.len().is_power_of_two())
    }

    /// Whether the entries of `right` fit in here too, with room to spare.
    pub(super) fn can_take(&self, right: &Self) -> bool {
        self.len() + right.len() <= ENTRIES * 3 / 4
            && self.topics.len() + right.topics.len() <= BYTES * 3 / 4
    }

    /// Adds the entries of a leaf that lies behind this one.
    pub(super) fn append(&mut self, mut right: Self) {
        let start = self.topics.len();
        self.topics.push_str(&right.topics);
        right.move_starts(0, |old| old + start);
        self.starts.append(&mut right.starts);
        self.values.append(&mut right.values);
        self.shrink();
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.topics.capacity()
            + self.starts.capacity() * size_of::<u32>()
            + self.values.capacity() * size_of::<T>()
    }

    fn find(&self, topic: &str) -> Option<usize> {
        let at = self.lower_bound(0, topic);
        (self.topic(at)? == topic).then_some(at)
    }

    /// Where topic `at` starts, or would.
    #[inline]
    fn start(&self, at: usize) -> usize {
        self.starts.get(at).map_or(self.topics.len(), |&start| start as usize)
    }

    fn move_starts(&mut self, from: usize, to: impl Fn(usize) -> usize) {
        for start in self.starts.iter_mut().skip(from) {
            *start = narrow(to(*start as usize));
        }
    }

    fn shrink(&mut self) {
        self.topics.shrink_to_fit();
        self.starts.shrink_to_fit();
        self.values.shrink_to_fit();
    }
}

/// An offset in a leaf. Only the end of a leaf's one topic can be above 16 KiB, and ends are not
/// kept.
fn narrow(start: usize) -> u32 {
    u32::try_from(start).unwrap_or(u32::MAX)
}

/// The shortest text above `left` that begins `right`; `left` is below `right`.
fn divide<'a>(left: &str, right: &'a str) -> &'a str {
    let common = left.bytes().zip(right.bytes()).take_while(|(a, b)| a == b).count();
    let end = right.ceil_char_boundary(common + 1);
    right.get(..end).unwrap_or(right)
}
