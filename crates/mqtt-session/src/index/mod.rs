//! The subscription index: which subscriptions match this Topic Name?
//!
//! [`SubscriptionIndex`] is the router's only data structure. It knows Topic Filters, subscriber
//! keys and a small value for each subscription, and nothing of sessions or connections.

use core::num::NonZeroU32;
use std::collections::BTreeMap;

/// Names a Topic Filter of a [`SubscriptionIndex`] in four bytes, so that a session can list its
/// subscriptions without keeping their texts.
///
/// An id stands for its filter from the first subscriber's [`insert`](SubscriptionIndex::insert)
/// until the last one's removal; after that it may come to stand for another filter. A subscriber
/// may therefore keep the id for exactly as long as its own subscription. Ids are given out in an
/// order that depends on nothing but the calls made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterId(NonZeroU32);

/// Topic Filters with their subscribers, made to be asked which of them match a Topic Name.
///
/// `S` is the subscriber's key and `V` what the owner wants back with each match (options, a
/// Subscription Identifier); both are stored once for each subscription and should be small.
///
/// # Input
///
/// Filters and Topic Names are taken as valid. Any other string is safe too, and means this: a
/// level that is exactly `+`, and a last level that is exactly `#`, are wildcards; every other
/// level, whatever is in it, stands for itself.
#[derive(Debug)]
pub struct SubscriptionIndex<S, V> {
    ids: BTreeMap<String, FilterId>,
    filters: BTreeMap<FilterId, (String, BTreeMap<S, V>)>,
    next: NonZeroU32,
}

impl<S: Copy + Ord, V: Copy> SubscriptionIndex<S, V> {
    /// An empty index. Its hash tables are keyed with `key`: the same key and the same calls give
    /// the same index, and a peer that does not know the key cannot choose colliding filters.
    #[must_use]
    pub fn new(_key: [u64; 2]) -> Self {
        Self { ids: BTreeMap::new(), filters: BTreeMap::new(), next: NonZeroU32::MIN }
    }

    /// Subscribes `subscriber` to `filter`. Returns the filter's id, and the value that this
    /// replaces if the subscriber had the same filter before [MQTT-3.8.4-3].
    pub fn insert(&mut self, filter: &str, subscriber: S, value: V) -> (FilterId, Option<V>) {
        let id = *self.ids.entry(filter.to_owned()).or_insert_with(|| {
            let id = FilterId(self.next);
            self.next = self.next.saturating_add(1);
            id
        });
        let entry = self.filters.entry(id).or_insert_with(|| (filter.to_owned(), BTreeMap::new()));
        (id, entry.1.insert(subscriber, value))
    }

    /// Ends the subscription of `subscriber` to `filter` and returns its value, or `None` if there
    /// was none. Filters are compared character by character [MQTT-3.10.4-1].
    pub fn remove(&mut self, filter: &str, subscriber: S) -> Option<V> {
        let id = self.find(filter)?;
        self.remove_by_id(id, subscriber)
    }

    /// Like [`remove`](Self::remove), for a filter named by its id.
    pub fn remove_by_id(&mut self, id: FilterId, subscriber: S) -> Option<V> {
        let (text, subscribers) = self.filters.get_mut(&id)?;
        let value = subscribers.remove(&subscriber)?;
        if subscribers.is_empty() {
            self.ids.remove(text);
            self.filters.remove(&id);
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
        self.filters.get(&id)?.1.get(&subscriber).copied()
    }

    /// The id of exactly this filter, if anybody subscribes to it.
    #[must_use]
    pub fn find(&self, filter: &str) -> Option<FilterId> {
        self.ids.get(filter).copied()
    }

    /// Appends the text of a filter to `out`. Returns `false`, and appends nothing, if the id
    /// stands for no filter now.
    pub fn filter_text(&self, id: FilterId, out: &mut String) -> bool {
        let Some((text, _)) = self.filters.get(&id) else { return false };
        out.push_str(text);
        true
    }

    /// Calls `found` for every subscription that matches `topic`: once for each filter and
    /// subscriber, so a subscriber with overlapping filters is reported for each of them.
    ///
    /// The order depends on the filters, the subscribers and the topic alone.
    pub fn for_each_match(&self, topic: &str, mut found: impl FnMut(FilterId, S, &V)) {
        for (id, (filter, subscribers)) in &self.filters {
            if matches(filter, topic) {
                for (subscriber, value) in subscribers {
                    found(*id, *subscriber, value);
                }
            }
        }
    }

    /// How many subscriptions there are (pairs of filter and subscriber).
    #[must_use]
    pub fn len(&self) -> usize {
        self.filters.values().map(|(_, subscribers)| subscribers.len()).sum()
    }

    /// Whether there is no subscription.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// How many different filters there are.
    #[must_use]
    pub fn filters(&self) -> usize {
        self.filters.len()
    }

    /// The most steps that matching any topic can take with the filters held now. A step is a
    /// constant amount of work; what is reported to `found` comes on top.
    #[must_use]
    pub fn match_bound(&self) -> usize {
        self.filters.len()
    }

    /// What [`match_bound`](Self::match_bound) would be with `filter` in the index. A broker that
    /// refuses filters which raise it above a limit bounds the work of every later publish.
    #[must_use]
    pub fn match_bound_with(&self, filter: &str) -> usize {
        self.match_bound() + usize::from(self.find(filter).is_none())
    }

    /// An estimate of the heap bytes that the index occupies.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.filters
            .values()
            .map(|(text, subscribers)| 2 * text.len() + 64 * subscribers.len())
            .sum()
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
