//! The subscriptions as they are saved and restored.

use bytes::Bytes;
use mqtt_codec::{SubscriptionId, SubscriptionOptions, TopicFilter};

use super::super::buffer::{Buffer, BufferOptions};
use super::super::saved::{SavedFilter, SavedHeld, SavedSubscription};
use super::{Filter, Identifier, Kind, Slot, Subscription, SubscriptionKey, Subscriptions};

/// What is saved of all subscriptions.
#[derive(Default)]
pub(in super::super) struct Saved {
    pub(in super::super) filters: Vec<SavedFilter>,
    pub(in super::super) places: Vec<SavedSubscription>,
    pub(in super::super) free: Vec<u32>,
    pub(in super::super) identifiers: Vec<bool>,
}

impl SubscriptionKey {
    pub(in super::super) const fn parts(self) -> (u32, u32) {
        (self.slot, self.generation)
    }

    pub(in super::super) const fn from_parts(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }
}

impl Subscriptions {
    /// Every subscription to filters, with the filters.
    pub(in super::super) fn held_filters(
        &self,
    ) -> impl Iterator<Item = (SubscriptionKey, Vec<&str>)> {
        self.keys().filter_map(|key| {
            let subscription = self.get(key).filter(|it| it.kind == Kind::Filters)?;
            let text = |(number, _): &(u32, SubscriptionOptions)| {
                self.filters.get(*number as usize).map(|filter| &*filter.text)
            };
            Some((key, subscription.filters.iter().filter_map(text).collect()))
        })
    }

    /// Those to filters; `is_lost` says that the server will not know any of them.
    pub(in super::super) fn save(&self, is_lost: bool) -> Saved {
        let mut saved = Saved { free: self.free.iter().copied().collect(), ..Saved::default() };
        let mut numbers = Vec::with_capacity(self.filters.len());
        for filter in &self.filters {
            numbers.push(u32::try_from(saved.filters.len()).unwrap_or(u32::MAX));
            if filter.text.is_empty() {
                continue;
            }
            let identifiers = filter.identifiers.iter().map(|identifier| identifier.get());
            let identifiers = if is_lost { Vec::new() } else { identifiers.collect() };
            saved.filters.push(SavedFilter { text: filter.text.clone(), identifiers });
        }
        for (number, slot) in (0..).zip(&self.slots) {
            let kept = slot.subscription.as_ref().filter(|it| it.kind == Kind::Filters);
            let kept = kept.filter(|_| !sabotaged!(SubscriptionNotSaved));
            let generation = slot.generation;
            let Some(kept) = kept else {
                // Readers of this run are gone in the next one.
                let was_used = slot.subscription.is_some();
                saved.free.extend(was_used.then_some(number));
                saved.places.push(SavedSubscription {
                    generation: generation.wrapping_add(u32::from(was_used)),
                    held: Vec::new(),
                    properties: Bytes::new(),
                    confirmed: false,
                    reported: false,
                    buffer: BufferOptions::new(),
                });
                continue;
            };
            let held = kept.filters.iter().filter_map(|(filter, options)| {
                let filter = *numbers.get(*filter as usize)?;
                Some(SavedHeld { filter, options: (*options).into() })
            });
            saved.places.push(SavedSubscription {
                generation,
                held: held.collect(),
                properties: Bytes::copy_from_slice(&kept.properties),
                confirmed: kept.confirmed && !is_lost,
                reported: kept.reported,
                buffer: kept.buffer.options(),
            });
        }
        if !is_lost {
            saved.identifiers = self.by_identifier.iter().map(|it| it.is_reused).collect();
        }
        saved
    }

    /// Puts what was saved into empty tables. It was looked at when it was read.
    pub(in super::super) fn restore(
        &mut self,
        filters: Vec<SavedFilter>,
        places: Vec<SavedSubscription>,
        free: Vec<u32>,
        identifiers: Vec<bool>,
    ) {
        let identifier = |is_reused| Identifier { filters: Vec::new(), is_reused };
        self.by_identifier = identifiers.into_iter().map(identifier).collect();
        for (number, saved) in (0..).zip(filters) {
            let Ok(filter) = TopicFilter::new(&saved.text) else { continue };
            let plain_at = filter.as_str().len() - filter.filter().len();
            let has_wildcards = filter.has_wildcards();
            self.index.insert(filter.filter(), number, ());
            for id in &saved.identifiers {
                if let Some(place) = self.by_identifier.get_mut(*id as usize - 1) {
                    place.filters.push(number);
                }
            }
            let identifiers = saved.identifiers.into_iter().filter_map(SubscriptionId::new);
            self.filters.push(Filter {
                text: saved.text,
                plain_at,
                has_wildcards,
                holders: Vec::new(),
                identifiers: identifiers.collect(),
            });
        }
        for (slot, saved) in (0..).zip(places) {
            let key = SubscriptionKey { slot, generation: saved.generation };
            let is_free = saved.held.is_empty();
            let mut held = Vec::with_capacity(saved.held.len());
            for SavedHeld { filter, options } in saved.held {
                if let Some(known) = self.filters.get_mut(filter as usize) {
                    known.holders.push(key);
                }
                held.push((filter, SubscriptionOptions::try_from(options).unwrap_or_default()));
            }
            self.held += held.len();
            let subscription = Subscription {
                filters: held,
                properties: Box::from(&*saved.properties),
                confirmed: saved.confirmed,
                reported: saved.reported,
                kind: Kind::Filters,
                buffer: Buffer::new(saved.buffer),
            };
            let subscription = if is_free { None } else { Some(subscription) };
            self.slots.push(Slot { generation: saved.generation, subscription });
        }
        self.free = free.into();
    }
}
