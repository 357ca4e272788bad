//! The application's subscriptions: what the server has to know of them, and which of them a
//! message is for.
//!
//! A subscription of the application holds one or more Topic Filters, and several may hold the
//! same one. The server knows each filter once: it is subscribed to when its first holder comes
//! and unsubscribed from when its last holder goes.
//!
//! Where the server supports it each SUBSCRIBE carries a Subscription Identifier, and a message
//! goes to the holders of the filters that were subscribed to under its identifiers and match its
//! topic. So a message that the server sends once for each of several overlapping filters reaches
//! every subscription once, and a shared subscription is told from a plain one. Without
//! identifiers, or with one that a change has overtaken, a message goes to the holders of every
//! filter that matches.

mod saved;

use std::collections::VecDeque;

use mqtt_codec::{
    PacketType, Properties, PropertyBuf, SubAckReason, SubscriptionId, SubscriptionOptions,
    TopicFilter, TopicName,
};

use super::buffer::{Buffer, BufferOptions};
use crate::index::SubscriptionIndex;

/// A subscription of the application, made by [`Client::subscribe`](super::Client::subscribe).
///
/// The slot is a small number that no other subscription has: an index for a table beside the
/// client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionKey {
    slot: u32,
    generation: u32,
}

impl SubscriptionKey {
    /// An index for a side table: used again once this subscription has ended.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// All subscriptions of the application.
#[derive(Debug)]
pub(super) struct Subscriptions {
    slots: Vec<Slot>,
    free: VecDeque<u32>,
    filters: Vec<Filter>,
    free_filters: Vec<u32>,
    /// The filters without `$share/name/`, for messages that carry no identifier.
    index: SubscriptionIndex<u32, ()>,
    /// Subscription Identifier `n` stands at `n - 1`.
    by_identifier: Vec<Identifier>,
    /// The subscriptions that the message that was routed last is for, each once.
    pub(super) found: Vec<SubscriptionKey>,
    /// The subscriptions to what matches no other.
    unmatched: Vec<SubscriptionKey>,
    /// The sum of all holders of filters.
    held: usize,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    subscription: Option<Subscription>,
}

/// A subscription of the application.
#[derive(Debug)]
pub(super) struct Subscription {
    /// Its filters with the options that the application wants for them.
    filters: Vec<(u32, SubscriptionOptions)>,
    /// The User Properties of its SUBSCRIBE in wire form.
    properties: Box<[u8]>,
    /// Whether the server has confirmed it in this session.
    confirmed: bool,
    /// Whether it was ever confirmed, so that another SUBACK is a renewal.
    pub(super) reported: bool,
    /// What it was made for, and whether that is over.
    pub(super) kind: Kind,
    /// The messages that wait for its reader.
    pub(super) buffer: Buffer,
}

/// What messages a subscription gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Those that match its filters.
    Filters,
    /// Those that match no other subscription.
    Unmatched,
    /// None any more: no filter was granted. What came before can be read.
    Ended,
}

impl Subscription {
    /// The properties of its SUBSCRIBE.
    pub(super) fn properties(&self, identifier: Option<SubscriptionId>) -> PropertyBuf {
        // They were taken from checked properties.
        let given = Properties::from_wire(&self.properties, PacketType::Subscribe);
        let mut properties = PropertyBuf::from(given.unwrap_or(Properties::EMPTY));
        if let Some(identifier) = identifier {
            properties.subscription_id(identifier);
        }
        properties
    }
}

/// A Subscription Identifier that was given to the server in this session.
#[derive(Debug, Default)]
struct Identifier {
    /// The filters that were subscribed to under it and that somebody holds.
    filters: Vec<u32>,
    /// Whether it was given before, for other filters: a message that was on its way since then
    /// may still carry it.
    is_reused: bool,
}

/// From so many identifiers on, those that stand for nothing any more are given again.
const IDENTIFIERS: usize = 4096;

/// A Topic Filter with at least one holder.
#[derive(Debug)]
struct Filter {
    /// The whole text, with `$share/name/`; empty for a free place.
    text: Box<str>,
    /// Where the part begins that is compared with topics.
    plain_at: usize,
    has_wildcards: bool,
    holders: Vec<SubscriptionKey>,
    /// The identifiers that the server may send for it, newest last; more than one only while a
    /// SUBSCRIBE that changes it is under way.
    identifiers: Vec<SubscriptionId>,
}

impl Filter {
    fn parsed(&self) -> Option<TopicFilter<'_>> {
        TopicFilter::new(&self.text).ok()
    }

    fn matches(&self, topic: TopicName<'_>) -> bool {
        if self.has_wildcards {
            self.parsed().is_some_and(|parsed| parsed.matches(topic))
        } else {
            self.text.as_bytes().get(self.plain_at..) == Some(topic.as_bytes())
        }
    }
}

impl Subscriptions {
    /// None at all; `key` is for the index's hash tables.
    pub(super) fn new(key: [u64; 2]) -> Self {
        Self {
            slots: Vec::new(),
            free: VecDeque::new(),
            filters: Vec::new(),
            free_filters: Vec::new(),
            index: SubscriptionIndex::new(key),
            by_identifier: Vec::new(),
            found: Vec::new(),
            unmatched: Vec::new(),
            held: 0,
        }
    }

    /// How many filters all subscriptions hold, counted once for each holder.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Makes a subscription that holds `filters`.
    pub(super) fn insert(
        &mut self,
        filters: &[(TopicFilter<'_>, SubscriptionOptions)],
        properties: &[u8],
        options: BufferOptions,
    ) -> SubscriptionKey {
        let key = self.take_slot();
        let mut held: Vec<(u32, SubscriptionOptions)> = Vec::with_capacity(filters.len());
        for (filter, options) in filters {
            let number = self.find_or_insert(*filter);
            // A filter named twice counts as the later mention says.
            if let Some(known) = held.iter_mut().find(|(known, _)| *known == number) {
                known.1 = *options;
                continue;
            }
            held.push((number, *options));
            if let Some(filter) = self.filters.get_mut(number as usize) {
                filter.holders.push(key);
            }
            self.held += 1;
        }
        self.fill_slot(
            key,
            Subscription {
                filters: held,
                properties: properties.into(),
                confirmed: false,
                reported: false,
                kind: Kind::Filters,
                buffer: Buffer::new(options),
            },
        );
        key
    }

    /// Makes a subscription to what matches no other.
    pub(super) fn insert_unmatched(&mut self, options: BufferOptions) -> SubscriptionKey {
        let key = self.take_slot();
        self.fill_slot(
            key,
            Subscription {
                filters: Vec::new(),
                properties: Box::default(),
                confirmed: true,
                reported: true,
                kind: Kind::Unmatched,
                buffer: Buffer::new(options),
            },
        );
        self.unmatched.push(key);
        key
    }

    /// The subscriptions to what matches no other.
    pub(super) fn unmatched(&self) -> &[SubscriptionKey] {
        &self.unmatched
    }

    fn take_slot(&mut self) -> SubscriptionKey {
        let slot = self.free.pop_front().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let generation = self.slots.get(slot as usize).map_or(0, |slot| slot.generation);
        SubscriptionKey { slot, generation }
    }

    fn fill_slot(&mut self, key: SubscriptionKey, subscription: Subscription) {
        if let Some(place) = self.slots.get_mut(key.slot as usize) {
            place.subscription = Some(subscription);
        }
    }

    #[inline]
    pub(super) fn get(&self, key: SubscriptionKey) -> Option<&Subscription> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.generation == key.generation { slot.subscription.as_ref() } else { None }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: SubscriptionKey) -> Option<&mut Subscription> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation == key.generation { slot.subscription.as_mut() } else { None }
    }

    /// The buffer of every subscription, in the order of the slots.
    pub(super) fn buffers_mut(&mut self) -> impl Iterator<Item = &mut Buffer> {
        let subscriptions = self.slots.iter_mut().filter_map(|slot| slot.subscription.as_mut());
        subscriptions.map(|subscription| &mut subscription.buffer)
    }

    /// Every subscription, in the order of the slots.
    pub(super) fn keys(&self) -> impl Iterator<Item = SubscriptionKey> {
        (0..).zip(&self.slots).filter_map(|(slot, place)| {
            place.subscription.as_ref()?;
            Some(SubscriptionKey { slot, generation: place.generation })
        })
    }

    /// Whether the server has confirmed the subscription in this session.
    pub(super) fn is_confirmed(&self, key: SubscriptionKey) -> bool {
        self.get(key).is_some_and(|subscription| subscription.confirmed)
    }

    /// Whether a filter is held by a subscription that the server has confirmed.
    pub(super) fn is_in_use(&self, text: &str) -> bool {
        let known = self.filters.iter().find(|known| *known.text == *text);
        known.is_some_and(|known| known.holders.iter().any(|holder| self.is_confirmed(*holder)))
    }

    /// What to write into a SUBSCRIBE for this subscription.
    ///
    /// The server keeps one set of options for a filter, so a filter with several holders is
    /// subscribed to with the broadest that they want: the highest QoS, No Local only if all want
    /// it, Retain As Published if any wants it.
    pub(super) fn wanted(
        &self,
        key: SubscriptionKey,
    ) -> impl Iterator<Item = (TopicFilter<'_>, SubscriptionOptions)> {
        let held = self.get(key).map_or(&[][..], |subscription| &subscription.filters);
        held.iter().filter_map(|(number, options)| {
            let filter = self.filters.get(*number as usize)?;
            let mut broadest = *options;
            for holder in &filter.holders {
                let held = self.get(*holder).into_iter().flat_map(|held| &held.filters);
                for (_, other) in held.filter(|(other, _)| other == number) {
                    broadest.qos = broadest.qos.max(other.qos);
                    broadest.no_local &= other.no_local;
                    broadest.retain_as_published |= other.retain_as_published;
                }
            }
            Some((filter.parsed()?, broadest))
        })
    }

    /// The highest Subscription Identifier that a SUBSCRIBE can get which is sent behind so many
    /// others.
    pub(super) fn highest_identifier(&self, ahead: usize) -> Option<SubscriptionId> {
        let number = u32::try_from(self.by_identifier.len() + ahead + 1).ok()?;
        SubscriptionId::new(number)
    }

    /// A SUBSCRIBE for this subscription is sent: its filters get an identifier if one is wanted
    /// and there is one.
    pub(super) fn subscribing(
        &mut self,
        key: SubscriptionKey,
        with_identifier: bool,
    ) -> Option<SubscriptionId> {
        let numbers = self.filter_numbers(key);
        if !with_identifier {
            return None;
        }
        // Counted from 1: clients with few subscriptions use the same few identifiers, which lets
        // a server share encoded packets among them.
        let count = self.by_identifier.len();
        let spent = (count >= IDENTIFIERS)
            .then(|| self.by_identifier.iter().position(|spent| spent.filters.is_empty()))
            .flatten();
        let at = spent.unwrap_or(count);
        match self.by_identifier.get_mut(at) {
            Some(spent) => spent.is_reused = true,
            None => self.by_identifier.push(Identifier::default()),
        }
        let identifier = u32::try_from(at + 1).ok().and_then(SubscriptionId::new)?;
        for number in numbers {
            if let Some(filter) = self.filters.get_mut(number as usize)
                && let Some(place) = self.by_identifier.get_mut(at)
            {
                filter.identifiers.push(identifier);
                place.filters.push(number);
            }
        }
        Some(identifier)
    }

    /// A SUBACK came. Filters that were refused are no longer held; without any left the
    /// subscription has ended.
    pub(super) fn subscribed(&mut self, key: SubscriptionKey, results: &[SubAckReason]) {
        let numbers = self.filter_numbers(key);
        for (number, reason) in numbers.into_iter().zip(results) {
            if reason.is_error() {
                self.release_filter(key, number);
            } else if let Some(filter) = self.filters.get_mut(number as usize) {
                // The newest identifier has replaced the others.
                let older = filter.identifiers.len().saturating_sub(1);
                for identifier in filter.identifiers.drain(..older) {
                    forget(&mut self.by_identifier, identifier, number);
                }
            }
        }
        match self.get_mut(key) {
            Some(subscription) if !subscription.filters.is_empty() => {
                subscription.confirmed = true;
                subscription.reported = true;
            }
            Some(_) => self.end(key),
            None => {}
        }
    }

    /// No message comes for a subscription any more. Its place is free once those that came are
    /// read.
    pub(super) fn end(&mut self, key: SubscriptionKey) {
        for number in self.filter_numbers(key) {
            self.release_filter(key, number);
        }
        if let Some(subscription) = self.get_mut(key) {
            subscription.kind = Kind::Ended;
            subscription.confirmed = true;
        }
        self.free_if_done(key);
    }

    /// A message was read: the place of a subscription that has ended is free after the last one.
    pub(super) fn free_if_done(&mut self, key: SubscriptionKey) {
        let is_done = |subscription: &Subscription| {
            subscription.kind == Kind::Ended && subscription.buffer.is_empty()
        };
        if self.get(key).is_some_and(is_done) {
            self.free_slot(key);
        }
    }

    /// Removes a subscription. Returns it with the filters that nobody holds any more, if there
    /// was such a subscription.
    pub(super) fn remove(&mut self, key: SubscriptionKey) -> Option<(Subscription, Vec<Box<str>>)> {
        self.get(key)?;
        let mut orphans = Vec::new();
        for number in self.filter_numbers(key) {
            orphans.extend(self.release_filter(key, number));
        }
        self.unmatched.retain(|unmatched| *unmatched != key);
        Some((self.free_slot(key)?, orphans))
    }

    /// The server holds no subscription any more.
    pub(super) fn session_lost(&mut self) {
        self.by_identifier.clear();
        for filter in &mut self.filters {
            filter.identifiers.clear();
        }
        for slot in &mut self.slots {
            if let Some(subscription) = &mut slot.subscription {
                subscription.confirmed = subscription.kind != Kind::Filters;
            }
        }
    }

    /// Finds the subscriptions that a message is for: afterwards they stand in `found`.
    ///
    /// # Errors
    ///
    /// An identifier that was never given to the server in this session. With `is_vouched_for` the
    /// server may hold subscriptions of an earlier run, and any identifier may come.
    pub(super) fn route(
        &mut self,
        topic: TopicName<'_>,
        identifiers: impl Iterator<Item = SubscriptionId>,
        is_vouched_for: bool,
    ) -> Result<(), SubscriptionId> {
        self.found.clear();
        for identifier in identifiers {
            let Some(place) = self.by_identifier.get(identifier.get() as usize - 1) else {
                if is_vouched_for {
                    continue;
                }
                return Err(identifier);
            };
            // An identifier that has only ever meant one filter says all there is to know. Comparing
            // with a filter that has no wildcards costs nothing, so that is done.
            let is_enough = place.filters.len() == 1 && !place.is_reused && !is_vouched_for;
            for &number in &place.filters {
                if let Some(filter) = self.filters.get(number as usize)
                    && (is_enough && filter.has_wildcards || filter.matches(topic))
                {
                    add(&mut self.found, &filter.holders);
                }
            }
        }
        if self.found.is_empty() && self.held > 0 {
            let (found, filters) = (&mut self.found, &self.filters);
            self.index.for_each_match(topic.as_bytes(), |_, number, ()| {
                if let Some(filter) = filters.get(number as usize) {
                    add(found, &filter.holders);
                }
            });
            self.found.sort_unstable();
        }
        Ok(())
    }

    fn filter_numbers(&self, key: SubscriptionKey) -> Vec<u32> {
        let held = self.get(key).map_or(&[][..], |subscription| &subscription.filters);
        held.iter().map(|(number, _)| *number).collect()
    }

    fn find_or_insert(&mut self, filter: TopicFilter<'_>) -> u32 {
        // A linear search: subscribing is rare, and what it costs the server is far more.
        let known = self.filters.iter().position(|known| *known.text == *filter.as_str());
        if let Some(number) = known.and_then(|number| u32::try_from(number).ok()) {
            return number;
        }
        let new = Filter {
            text: filter.as_str().into(),
            plain_at: filter.as_str().len() - filter.filter().len(),
            has_wildcards: filter.has_wildcards(),
            holders: Vec::with_capacity(1),
            identifiers: Vec::new(),
        };
        let number = match self.free_filters.pop() {
            Some(number) => {
                if let Some(place) = self.filters.get_mut(number as usize) {
                    *place = new;
                }
                number
            }
            None => {
                self.filters.push(new);
                u32::try_from(self.filters.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.index.insert(filter.filter(), number, ());
        number
    }

    /// A subscription no longer holds a filter. Returns the filter's text if nobody does.
    fn release_filter(&mut self, key: SubscriptionKey, number: u32) -> Option<Box<str>> {
        if let Some(subscription) = self.get_mut(key) {
            subscription.filters.retain(|(held, _)| *held != number);
        }
        let filter = self.filters.get_mut(number as usize)?;
        let holders = filter.holders.len();
        filter.holders.retain(|holder| *holder != key);
        self.held -= holders - filter.holders.len();
        if !filter.holders.is_empty() {
            return None;
        }
        for identifier in filter.identifiers.drain(..) {
            forget(&mut self.by_identifier, identifier, number);
        }
        let text = core::mem::take(&mut filter.text);
        if let Ok(parsed) = TopicFilter::new(&text) {
            self.index.remove(parsed.filter(), number);
        }
        self.free_filters.push(number);
        Some(text)
    }

    fn free_slot(&mut self, key: SubscriptionKey) -> Option<Subscription> {
        let place = self.slots.get_mut(key.slot as usize)?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push_back(key.slot);
        place.subscription.take()
    }
}

/// Adds the holders of a matching filter that are not there yet.
fn add(found: &mut Vec<SubscriptionKey>, holders: &[SubscriptionKey]) {
    for holder in holders {
        if !found.contains(holder) {
            found.push(*holder);
        }
    }
}

/// An identifier no longer stands for a filter.
fn forget(by_identifier: &mut [Identifier], identifier: SubscriptionId, number: u32) {
    if let Some(place) = by_identifier.get_mut(identifier.get() as usize - 1) {
        place.filters.retain(|filter| *filter != number);
    }
}
