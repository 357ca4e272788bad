//! The subscription index: which subscriptions match this Topic Name?
//!
//! [`SubscriptionIndex`] is the router's only data structure. It knows Topic Filters, subscriber
//! keys and a small value for each subscription, and nothing of sessions or connections.

mod levels;
mod pattern;
mod shapes;
mod subscribers;
mod table;
#[cfg(test)]
mod tests;
mod texts;
mod trie;
mod walk;

use core::{fmt, num::NonZeroU32};

use siphasher::sip::SipHasher13;

use pattern::{Pattern, Tail};
use subscribers::{Lists, Subscribers};
use texts::{Place, TextMap};
use trie::{NodeId, Trie};

use crate::arena::{Arena, Key};

/// Names a Topic Filter of a [`SubscriptionIndex`] in four bytes, so that a session can list its
/// subscriptions without keeping their texts.
///
/// An id stands for its filter from the first subscriber's [`insert`](SubscriptionIndex::insert)
/// until the last one's removal; after that it may come to stand for another filter. A subscriber
/// may therefore keep the id for exactly as long as its own subscription. Ids are given out in an
/// order that depends on nothing but the calls made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterId(NonZeroU32);

impl Key for FilterId {
    fn from_number(number: NonZeroU32) -> Self {
        Self(number)
    }

    fn number(self) -> NonZeroU32 {
        self.0
    }
}

/// Topic Filters with their subscribers, made to be asked which of them match a Topic Name.
///
/// `S` is the subscriber's key and `V` what the owner wants back with each match (options, a
/// Subscription Identifier); both are stored once for each subscription and should be small.
///
/// ```
/// use mqtt_session::SubscriptionIndex;
///
/// let mut index = SubscriptionIndex::new([1, 2]);
/// index.insert("plant/+/temperature", 7, "each");
/// index.insert("plant/#", 8, "all");
///
/// let mut matches = Vec::new();
/// index.for_each_match("plant/3/temperature", |_, subscriber, value| {
///     matches.push((subscriber, *value));
/// });
/// assert_eq!(matches, [(8, "all"), (7, "each")]);
/// ```
///
/// # Input
///
/// Filters and Topic Names are taken as valid. Any other string is safe too, and means this: a
/// level that is exactly `+`, and a last level that is exactly `#`, are wildcards; every other
/// level, whatever is in it, stands for itself. Shared Subscriptions mean nothing here: the filter
/// to insert is the part behind the share name.
///
/// # How it is made, and what it costs
///
/// Filters without a wildcard are in one hash table; a topic finds its own in one lookup. Filters
/// with one are in a trie whose edges are interned levels. Matching a topic takes one lookup for
/// the exact filter, one for each of its levels that the trie can use, and one step for each trie
/// node that the topic reaches; it allocates nothing and does not recurse.
///
/// A topic can reach as many nodes as the filters have *shapes*: ways to place `+` in the beginning
/// of a filter, whatever stands in its other levels. `a/+/c` and `x/+/z` have the same three shapes
/// (and the empty one), so a million filters of a kind cost a topic no more than one does. A peer
/// can make up shapes on purpose, up to one for each level of each filter;
/// [`match_bound_with`](Self::match_bound_with) says how many there would be, and a broker that
/// keeps that below a limit has a hard bound for the work of every publish.
///
/// Inserting and removing take time in proportion to the length of the filter. What they move is
/// bounded whatever the size of the index: some hundred table entries, a page of texts, and half the
/// list of those who subscribe to the same filter. Removing gives memory back.
///
/// A filter takes its text and about 40 bytes with its first subscriber (of twelve bytes, key and
/// value), or its new trie nodes instead of the text; each further subscriber takes twelve more.
pub struct SubscriptionIndex<S, V> {
    filters: Arena<FilterId, Filter<S, V>>,
    lists: Lists<S, V>,
    exact: TextMap<FilterId>,
    wild: Trie,
    subscriptions: usize,
}

struct Filter<S, V> {
    subscribers: Subscribers<S, V>,
    /// Where the filter's text is.
    home: Home,
}

impl<S, V> Default for Filter<S, V> {
    fn default() -> Self {
        Self { subscribers: Subscribers::None, home: Home::Vacant }
    }
}

/// Where a filter's text is. The fields of [`Place`] are written out because that makes this type
/// four bytes smaller.
#[derive(Clone, Copy)]
enum Home {
    Vacant,
    Exact {
        page: u32,
        at: u16,
    },
    /// The path of a node.
    Here(NodeId),
    /// The path of a node, and `#`.
    Subtree(NodeId),
}

impl From<Place> for Home {
    fn from(Place { page, at }: Place) -> Self {
        Self::Exact { page, at }
    }
}

impl Home {
    #[inline]
    fn place(self) -> Option<Place> {
        match self {
            Self::Exact { page, at } => Some(Place { page, at }),
            Self::Vacant | Self::Here(_) | Self::Subtree(_) => None,
        }
    }
}

impl<S: Copy + Ord, V: Copy> SubscriptionIndex<S, V> {
    /// An empty index. Its hash tables are keyed with `key`: the same key and the same calls give
    /// the same index, and a peer that does not know the key cannot choose colliding filters.
    #[must_use]
    pub fn new(key: [u64; 2]) -> Self {
        let [low, high] = key;
        let hasher = SipHasher13::new_with_keys(low, high);
        Self {
            filters: Arena::new(),
            lists: Lists::new(),
            exact: TextMap::new(hasher),
            wild: Trie::new(hasher),
            subscriptions: 0,
        }
    }

    /// Subscribes `subscriber` to `filter`. Returns the filter's id, and the value that this
    /// replaces if the subscriber had the same filter before [MQTT-3.8.4-3].
    pub fn insert(&mut self, filter: &str, subscriber: S, value: V) -> (FilterId, Option<V>) {
        let id = self.find(filter).unwrap_or_else(|| self.add_filter(filter));
        let old = self
            .filters
            .get_mut(id)
            .and_then(|filter| self.lists.insert(&mut filter.subscribers, subscriber, value));
        self.subscriptions += usize::from(old.is_none());
        (id, old)
    }

    /// Ends the subscription of `subscriber` to `filter` and returns its value, or `None` if there
    /// was none. Filters are compared character by character [MQTT-3.10.4-1].
    pub fn remove(&mut self, filter: &str, subscriber: S) -> Option<V> {
        let id = self.find(filter)?;
        self.remove_by_id(id, subscriber)
    }

    /// Like [`remove`](Self::remove), for a filter named by its id.
    pub fn remove_by_id(&mut self, id: FilterId, subscriber: S) -> Option<V> {
        let filter = self.filters.get_mut(id)?;
        let value = self.lists.remove(&mut filter.subscribers, subscriber)?;
        self.subscriptions -= 1;
        if matches!(filter.subscribers, Subscribers::None) {
            match filter.home {
                Home::Vacant => {}
                Home::Exact { page, at } => {
                    self.exact.remove(id, Place { page, at }, relocate(&mut self.filters));
                }
                Home::Here(node) => self.wild.remove(node, Tail::Here),
                Home::Subtree(node) => self.wild.remove(node, Tail::Subtree),
            }
            self.filters.remove(id);
        }
        Some(value)
    }

    /// The value of the subscription of `subscriber` to exactly this filter.
    #[must_use]
    pub fn get(&self, filter: &str, subscriber: S) -> Option<V> {
        self.get_by_id(self.find(filter)?, subscriber)
    }

    /// Like [`get`](Self::get), for a filter named by its id.
    #[must_use]
    pub fn get_by_id(&self, id: FilterId, subscriber: S) -> Option<V> {
        self.lists.get(&self.filters.get(id)?.subscribers, subscriber)
    }

    /// The id of exactly this filter, if anybody subscribes to it.
    #[must_use]
    pub fn find(&self, filter: &str) -> Option<FilterId> {
        match Pattern::new(filter) {
            Some(pattern) => self.wild.find(pattern),
            None => self.find_exact(filter.as_bytes()),
        }
    }

    /// Appends the text of a filter to `out`. Returns `false`, and appends nothing, if the id
    /// stands for no filter now.
    pub fn filter_text(&self, id: FilterId, out: &mut String) -> bool {
        match self.filters.get(id).map_or(Home::Vacant, |filter| filter.home) {
            Home::Vacant => return false,
            Home::Exact { page, at } => {
                out.push_str(&String::from_utf8_lossy(self.exact.text(Place { page, at })));
            }
            Home::Here(node) => self.wild.path_text(node, out),
            Home::Subtree(node) => {
                self.wild.path_text(node, out);
                out.push_str(if node == self.wild.root() { "#" } else { "/#" });
            }
        }
        true
    }

    /// Calls `found` for every subscription that matches `topic`: once for each filter and
    /// subscriber, so a subscriber with overlapping filters is reported for each of them.
    ///
    /// The order depends on the filters, the subscribers and the topic alone: the exact filter
    /// first, then those with wildcards depth first (at each level `#`, then the literal level,
    /// then `+`), and within a filter by subscriber.
    #[inline(always)]
    pub fn for_each_match(&self, topic: impl AsRef<[u8]>, mut found: impl FnMut(FilterId, S, &V)) {
        let topic = topic.as_ref();
        let mut report = |id: FilterId| {
            let Some(filter) = self.filters.get(id) else { return };
            for (subscriber, value) in self.lists.of(&filter.subscribers) {
                found(id, *subscriber, value);
            }
        };
        if let Some(id) = self.find_exact(topic) {
            report(id);
        }
        if !self.wild.is_empty() {
            self.wild.for_each_match(topic, report);
        }
    }

    /// How many subscriptions there are (pairs of filter and subscriber).
    #[must_use]
    pub fn len(&self) -> usize {
        self.subscriptions
    }

    /// Whether there is no subscription.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.subscriptions == 0
    }

    /// How many different filters there are.
    #[must_use]
    pub fn filters(&self) -> usize {
        self.filters.len()
    }

    /// The most steps that matching any topic can take with the filters held now. A step takes ten
    /// to thirty nanoseconds; reading the topic, and what is reported to `found`, come on top.
    #[must_use]
    pub fn match_bound(&self) -> usize {
        1 + self.wild.bound()
    }

    /// What [`match_bound`](Self::match_bound) would be with `filter` in the index. A broker that
    /// refuses filters which raise it above a limit bounds the work of every later publish.
    #[must_use]
    pub fn match_bound_with(&self, filter: &str) -> usize {
        let more = Pattern::new(filter).map_or(0, |pattern| self.wild.new_shapes(pattern));
        self.match_bound() + more
    }

    /// The heap bytes that the index occupies, without the allocator's own overhead. Adds up
    /// allocations of many filters each: some microseconds for a million filters.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.filters.memory() + self.lists.memory() + self.exact.memory() + self.wild.memory()
    }

    #[inline]
    fn find_exact(&self, filter: &[u8]) -> Option<FilterId> {
        self.exact.find(filter, |id| self.filters.get(id)?.home.place())
    }

    /// Adds a filter that is not in the index. It is without subscribers for the moment.
    fn add_filter(&mut self, text: &str) -> FilterId {
        let id = self.filters.insert(Filter::default());
        let home = match Pattern::new(text) {
            None => self.exact.insert(text.as_bytes(), id, relocate(&mut self.filters)).into(),
            Some(pattern) => {
                let node = self.wild.insert(pattern, id);
                match pattern.tail {
                    Tail::Here => Home::Here(node),
                    Tail::Subtree => Home::Subtree(node),
                }
            }
        };
        if let Some(filter) = self.filters.get_mut(id) {
            filter.home = home;
        }
        id
    }
}

/// Writes the new places of texts that have moved into their filters.
fn relocate<S, V>(filters: &mut Arena<FilterId, Filter<S, V>>) -> impl FnMut(FilterId, Place) {
    |id, place| {
        if let Some(filter) = filters.get_mut(id) {
            filter.home = place.into();
        }
    }
}

impl<S, V> fmt::Debug for SubscriptionIndex<S, V> {
    /// Counts only: an index holds what its owner's peers sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionIndex")
            .field("filters", &self.filters.len())
            .field("subscriptions", &self.subscriptions)
            .finish_non_exhaustive()
    }
}
