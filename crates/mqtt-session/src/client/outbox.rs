//! The application's messages on their way to the server, from `publish` until nothing more can
//! happen to them.
//!
//! Messages lie in slots that are used again together with their buffers, so that a steady flow
//! allocates nothing. A message waits in one of two queues (QoS 0, which needs no quota, and
//! QoS 1 and 2) until it is sent; a QoS 0 message is then forgotten, the others stay until they
//! are acknowledged.

mod saved;

use std::collections::VecDeque;

use mqtt_codec::{EncodeError, PacketId, QoS};

use super::publication::{Outgoing, Publication};
use crate::Time;
use crate::deadlines::{DeadlineHandle, Deadlines};

/// A QoS 1 or QoS 2 message that was accepted by [`Client::publish`](super::Client::publish).
///
/// [`ClientEvent::Published`](super::ClientEvent::Published) tells how it ended. The slot is a
/// small number that no other message under way has: an index for a table beside the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishId {
    slot: u32,
    generation: u32,
}

impl PublishId {
    /// An index for a side table: below the configured number of messages that are held, and used
    /// again once this message has ended. A message that is published may get the place of one that
    /// ended with the same call: the events come first.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// All messages of the application that have not ended.
#[derive(Debug)]
pub(super) struct Outbox {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// QoS 0 messages to be sent.
    unacknowledged: VecDeque<u32>,
    /// QoS 1 and QoS 2 messages to be sent for the first time.
    acknowledged: VecDeque<u32>,
    /// Bytes of all messages.
    bytes: usize,
    /// Counts queued messages.
    queued: u64,
    max_messages: usize,
    max_bytes: usize,
    /// When queued messages expire.
    expiries: Deadlines<u32>,
}

/// A message that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Released {
    pub(super) id: PublishId,
    /// See [`Outgoing::is_republished`].
    pub(super) is_republished: bool,
    /// See [`Outgoing::is_forgotten`].
    pub(super) is_forgotten: bool,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    /// In `expiries`, while the message is queued and can expire.
    expiry: Option<DeadlineHandle>,
    /// How many messages were queued before it.
    order: u64,
    message: Outgoing,
}

impl Outbox {
    pub(super) fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            unacknowledged: VecDeque::new(),
            acknowledged: VecDeque::new(),
            bytes: 0,
            queued: 0,
            max_messages: max_messages.max(1),
            max_bytes,
            expiries: Deadlines::new(),
        }
    }

    /// Whether a message of so many bytes finds room beside the messages held here and those
    /// that are encoded already. One that is larger than the limit alone does when no other is
    /// held.
    pub(super) fn has_room_for(&self, size: usize, messages: usize, bytes: usize) -> bool {
        let held = self.len() + messages;
        let bytes = self.bytes.saturating_add(bytes).saturating_add(size);
        held == 0 || (held < self.max_messages && bytes <= self.max_bytes)
    }

    /// Whether a message of so many bytes finds room within other limits than the configured ones.
    pub(super) fn fits(&self, size: usize, max_messages: usize, max_bytes: usize) -> bool {
        let held = self.len();
        let bytes = self.bytes.saturating_add(size);
        (held == 0 && max_messages > 0) || (held < max_messages && bytes <= max_bytes)
    }

    /// Messages that have not ended.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The slot that the next message will have.
    #[inline]
    pub(super) fn free_slot(&mut self) -> u32 {
        if let Some(slot) = self.free.last() { *slot } else { self.make_slot() }
    }

    #[cold]
    fn make_slot(&mut self) -> u32 {
        // More slots than `max_messages`, a bound far below 2^32, are never made.
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.free.push(slot);
        self.slots.push(Slot::default());
        slot
    }

    /// Takes a message that is sent now over into the slot that [`free_slot`](Self::free_slot)
    /// told, if its PUBLISH is not larger than `maximum`; otherwise nothing has changed. Nor has it
    /// if there is no such slot, for which no error stands.
    #[inline(always)]
    pub(super) fn fill(
        &mut self,
        slot: u32,
        id: PacketId,
        publication: &mut Publication<'_>,
        maximum: u32,
    ) -> Result<(PublishId, &Outgoing), Option<EncodeError>> {
        let place = self.slots.get_mut(slot as usize).ok_or(None)?;
        place.message.accept_now(id, publication, maximum)?;
        self.bytes += place.message.size();
        self.free.pop();
        Ok((PublishId { slot, generation: place.generation }, &place.message))
    }

    /// Takes a message over, if its PUBLISH is not larger than `maximum`; otherwise nothing has
    /// changed. It is to be [`queue`](Self::queue)d.
    pub(super) fn insert(
        &mut self,
        now: Time,
        publication: &mut Publication<'_>,
        maximum: u32,
    ) -> Result<u32, EncodeError> {
        let slot = self.free_slot();
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.message.accept(now, publication, maximum)?;
            self.bytes += place.message.size();
            self.free.pop();
        }
        Ok(slot)
    }

    /// Lets a message wait for its turn to be sent.
    pub(super) fn queue(&mut self, slot: u32) {
        let Some(place) = self.slots.get_mut(slot as usize) else { return };
        place.order = self.queued;
        self.queued += 1;
        if let Some(at) = place.message.expires_at() {
            place.expiry = Some(self.expiries.insert(at.as_nanos(), slot));
        }
        match place.message.qos {
            QoS::AtMostOnce => self.unacknowledged.push_back(slot),
            QoS::AtLeastOnce | QoS::ExactlyOnce => self.acknowledged.push_back(slot),
        }
    }

    /// Lets a message that was to be sent wait again, before all others.
    pub(super) fn queue_first(&mut self, slot: u32) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.order = 0;
            if let Some(at) = place.message.expires_at() {
                place.expiry = Some(self.expiries.insert(at.as_nanos(), slot));
            }
            self.acknowledged.push_front(slot);
        }
    }

    /// Lets a message whose session is lost wait to be sent anew, before all others.
    pub(super) fn republish(&mut self, slot: u32) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.message.is_republished = true;
        }
        self.queue_first(slot);
    }

    /// When the first queued message expires.
    pub(super) fn next_expiry(&self) -> Option<Time> {
        self.expiries.peek().map(|(at, _)| Time::from_nanos(at))
    }

    /// Takes a message that has expired out of its queue.
    pub(super) fn pop_expired(&mut self, now: Time) -> Option<u32> {
        let slot = self.expiries.pop_due(now.as_nanos())?;
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.expiry = None;
        }
        for queue in [&mut self.unacknowledged, &mut self.acknowledged] {
            // Those that expire first mostly came first.
            if let Some(at) = queue.iter().position(|queued| *queued == slot) {
                queue.remove(at);
            }
        }
        Some(slot)
    }

    /// The QoS 0 message that has waited for longest.
    pub(super) fn oldest_unacknowledged(&self) -> Option<u32> {
        self.unacknowledged.front().copied()
    }

    /// How many messages wait for their turn.
    #[inline]
    pub(super) fn queued(&self) -> usize {
        self.unacknowledged.len() + self.acknowledged.len()
    }

    /// Whether no message waits for its turn.
    pub(super) fn is_queue_empty(&self) -> bool {
        self.unacknowledged.is_empty() && self.acknowledged.is_empty()
    }

    /// The message to send next: in the order in which they were accepted, except that QoS 0
    /// passes by while QoS 1 and QoS 2 may not be sent.
    pub(super) fn next(&self, acknowledged_may_leave: bool) -> Option<u32> {
        let plain = self.unacknowledged.front();
        let acknowledged = self.acknowledged.front().filter(|_| acknowledged_may_leave);
        match (plain, acknowledged) {
            (Some(&plain), Some(&acknowledged)) => {
                let order = |slot: u32| self.slots.get(slot as usize).map_or(0, |slot| slot.order);
                Some(if order(plain) < order(acknowledged) { plain } else { acknowledged })
            }
            (plain, acknowledged) => plain.or(acknowledged).copied(),
        }
    }

    /// The message that `next` told is sent now, or never will be.
    pub(super) fn take_from_queue(&mut self, slot: u32) {
        for queue in [&mut self.unacknowledged, &mut self.acknowledged] {
            if queue.front() == Some(&slot) {
                queue.pop_front();
                break;
            }
        }
        if let Some(place) = self.slots.get_mut(slot as usize)
            && let Some(expiry) = place.expiry.take()
        {
            self.expiries.cancel(expiry, slot);
        }
    }

    #[inline]
    pub(super) fn get(&self, slot: u32) -> Option<&Outgoing> {
        self.slots.get(slot as usize).map(|slot| &slot.message)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Outgoing> {
        self.slots.get_mut(slot as usize).map(|slot| &mut slot.message)
    }

    /// Nobody wants to know how this message ends, if it has not ended.
    pub(super) fn forget(&mut self, id: PublishId) {
        if let Some(place) = self.slots.get_mut(id.slot as usize)
            && place.generation == id.generation
        {
            place.message.is_forgotten = true;
        }
    }

    pub(super) fn id(&self, slot: u32) -> PublishId {
        let generation = self.slots.get(slot as usize).map_or(0, |slot| slot.generation);
        PublishId { slot, generation }
    }

    /// Forgets a message that has ended, which must not stand in a queue any more. Returns what it
    /// was.
    #[inline(always)]
    pub(super) fn release(&mut self, slot: u32) -> Option<Released> {
        let place = self.slots.get_mut(slot as usize)?;
        let id = PublishId { slot, generation: place.generation };
        let Outgoing { is_republished, is_forgotten, .. } = place.message;
        self.bytes -= place.message.size();
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
        place.message.clear();
        Some(Released { id, is_republished, is_forgotten })
    }

    /// Frees the memory of the payload of a message that will not be sent again.
    pub(super) fn release_payload(&mut self, slot: u32) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            self.bytes -= place.message.size();
            place.message.release_payload();
            self.bytes += place.message.size();
        }
    }

    /// Takes those messages out of the queues that are not kept for another connection.
    pub(super) fn take_transient(&mut self, keeps_qos0: bool) -> Vec<u32> {
        let mut taken = Vec::new();
        let slots = &self.slots;
        let is_kept = |slot: &u32| {
            let message = slots.get(*slot as usize).map(|slot| &slot.message);
            message.is_some_and(|message| {
                !message.only_online && (keeps_qos0 || message.qos != QoS::AtMostOnce)
            })
        };
        for queue in [&mut self.unacknowledged, &mut self.acknowledged] {
            queue.retain(|slot| {
                let is_kept = is_kept(slot);
                if !is_kept {
                    taken.push(*slot);
                }
                is_kept
            });
        }
        for slot in &taken {
            if let Some(place) = self.slots.get_mut(*slot as usize)
                && let Some(expiry) = place.expiry.take()
            {
                self.expiries.cancel(expiry, *slot);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use mqtt_codec::TopicName;

    use super::*;

    fn message(topic: &'static str, qos: QoS) -> Publication<'static> {
        let mut publication = Publication::new(TopicName::new(topic).unwrap(), "payload");
        publication.qos = qos;
        publication
    }

    fn push(outbox: &mut Outbox, topic: &'static str, qos: QoS) -> PublishId {
        let slot = outbox.insert(Time::ZERO, &mut message(topic, qos), u32::MAX).unwrap();
        outbox.queue(slot);
        outbox.id(slot)
    }

    fn drain(outbox: &mut Outbox, acknowledged_may_leave: bool) -> Vec<String> {
        let mut topics = Vec::new();
        while let Some(slot) = outbox.next(acknowledged_may_leave) {
            topics.push(outbox.get(slot).unwrap().topic().to_owned());
            outbox.take_from_queue(slot);
            outbox.release(slot);
        }
        topics
    }

    #[test]
    fn messages_leave_in_the_order_in_which_they_were_accepted() {
        let mut outbox = Outbox::new(10, 1000);
        for (topic, qos) in [
            ("a", QoS::AtMostOnce),
            ("b", QoS::ExactlyOnce),
            ("c", QoS::AtMostOnce),
            ("d", QoS::AtLeastOnce),
        ] {
            push(&mut outbox, topic, qos);
        }
        assert_eq!(drain(&mut outbox, true), ["a", "b", "c", "d"]);
        assert_eq!((outbox.len(), outbox.bytes), (0, 0));
    }

    #[test]
    fn qos_0_passes_by_messages_that_wait_for_quota() {
        let mut outbox = Outbox::new(10, 1000);
        for (topic, qos) in
            [("a", QoS::ExactlyOnce), ("b", QoS::AtMostOnce), ("c", QoS::AtLeastOnce)]
        {
            push(&mut outbox, topic, qos);
        }
        assert_eq!(drain(&mut outbox, false), ["b"]);
        assert_eq!(outbox.len(), 2);
        assert_eq!(drain(&mut outbox, true), ["a", "c"]);
    }

    #[test]
    fn room_is_bounded_by_messages_and_by_bytes_and_one_message_always_fits() {
        let mut outbox = Outbox::new(2, 20);
        assert!(outbox.has_room_for(1000, 0, 0), "larger than the limit, and alone");
        push(&mut outbox, "a", QoS::AtMostOnce);
        assert!(outbox.has_room_for(7, 0, 0));
        assert!(!outbox.has_room_for(7, 0, 1));
        push(&mut outbox, "b", QoS::AtLeastOnce);
        assert!(!outbox.has_room_for(0, 0, 0));
        let dropped = outbox.take_transient(false);
        assert_eq!(dropped.len(), 1);
        outbox.release(dropped[0]);
        assert!(outbox.has_room_for(0, 0, 0));
    }

    #[test]
    fn a_slot_is_used_again_under_another_id() {
        let mut outbox = Outbox::new(10, 1000);
        let first = push(&mut outbox, "a", QoS::AtMostOnce);
        drain(&mut outbox, true);
        let second = push(&mut outbox, "b", QoS::AtMostOnce);
        assert_eq!(first.slot(), second.slot());
        assert_ne!(first, second);
        assert_eq!(outbox.id(0), second);
    }
}
