//! Under which keys the store has the messages that are in memory.

use super::MessageKey;

/// The keys of stored messages, by the slots of the table of messages.
#[derive(Debug)]
pub(in crate::broker) struct MessageKeys {
    slots: Vec<Option<StoredAs>>,
    /// Messages that nothing holds any more and that the store still has.
    forgotten: Vec<MessageKey>,
    /// The number of the next key.
    next: u64,
}

#[derive(Debug)]
struct StoredAs {
    key: MessageKey,
    /// The client identifier of the publisher; the table has only its hash.
    publisher: Option<Box<str>>,
}

impl MessageKeys {
    /// No message is stored. New keys are above `highest`.
    pub(in crate::broker) const fn new(highest: u64) -> Self {
        Self { slots: Vec::new(), forgotten: Vec::new(), next: highest + 1 }
    }

    pub(in crate::broker) fn get(&self, slot: u32) -> Option<MessageKey> {
        Some(self.slots.get(slot as usize)?.as_ref()?.key)
    }

    pub(super) fn publisher(&self, slot: u32) -> Option<&str> {
        self.slots.get(slot as usize)?.as_ref()?.publisher.as_deref()
    }

    /// Gives a message the next key.
    pub(super) fn assign(&mut self, slot: u32, publisher: Option<Box<str>>) -> Option<MessageKey> {
        let key = MessageKey::new(self.next)?;
        self.next += 1;
        self.put(slot, key, publisher);
        Some(key)
    }

    /// A message has this key already.
    pub(super) fn put(&mut self, slot: u32, key: MessageKey, publisher: Option<Box<str>>) {
        let at = slot as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        if let Some(place) = self.slots.get_mut(at) {
            *place = Some(StoredAs { key, publisher });
        }
    }

    /// Nothing holds a message any more.
    pub(in crate::broker) fn release(&mut self, slot: u32) {
        if let Some(stored) = self.slots.get_mut(slot as usize).and_then(Option::take) {
            self.forgotten.push(stored.key);
        }
    }

    /// Forgets every message but those that are to be kept, although something may hold them.
    pub(super) fn keep(&mut self, is_kept: impl Fn(MessageKey) -> bool) {
        for slot in &mut self.slots {
            if let Some(stored) = slot.take_if(|stored| !is_kept(stored.key)) {
                self.forgotten.push(stored.key);
            }
        }
    }

    /// The table of messages is empty and gives its memory back.
    pub(in crate::broker) fn reset(&mut self) {
        self.slots = Vec::new();
    }

    /// The messages that nothing holds any more since the last call.
    pub(super) fn take_forgotten(&mut self) -> impl Iterator<Item = MessageKey> + '_ {
        self.forgotten.drain(..)
    }
}
