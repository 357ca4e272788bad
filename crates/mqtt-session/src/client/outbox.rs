//! The application's messages on their way to the server, from `publish` until nothing more can
//! happen to them.
//!
//! Messages lie in slots that are used again together with their buffers, so that a steady flow
//! allocates nothing. A message waits in one of two queues (QoS 0, which needs no quota, and
//! QoS 1 and 2) until it is sent; a QoS 0 message is then forgotten, the others stay until they
//! are acknowledged.

use core::fmt;
use std::collections::VecDeque;

use bytes::Bytes;
use mqtt_codec::{Properties, PubAckReason, QoS, TopicName};

use crate::Time;

/// An application message to publish.
///
/// The properties may be those of a PUBLISH that a client may set: not a Topic Alias, which the
/// client chooses itself, and no Subscription Identifier [MQTT-3.3.4-6].
#[derive(Clone)]
#[non_exhaustive]
pub struct Publication<'a> {
    /// Where it is published to.
    pub topic: TopicName<'a>,
    /// What it says; shared, not copied, from 8 KiB up.
    pub payload: Bytes,
    /// How surely it is delivered to the server.
    pub qos: QoS,
    /// Whether the server keeps it for later subscribers.
    pub retain: bool,
    /// Its properties. A Message Expiry Interval counts down while the message waits to be sent.
    pub properties: Properties<'a>,
}

impl<'a> Publication<'a> {
    /// A message at QoS 0, not retained, without properties; change the fields as needed.
    pub fn new(topic: TopicName<'a>, payload: impl Into<Bytes>) -> Self {
        Self {
            topic,
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::EMPTY,
        }
    }

    /// Bytes of topic, properties and payload.
    pub(super) fn size(&self) -> usize {
        self.topic.as_str().len() + self.properties.as_bytes().len() + self.payload.len()
    }
}

impl fmt::Debug for Publication<'_> {
    /// Tells the payload's length, never what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publication")
            .field("topic", &self.topic)
            .field("payload_len", &self.payload.len())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties)
            .finish()
    }
}

/// A QoS 1 or QoS 2 message that was accepted by [`Client::publish`](super::Client::publish).
///
/// [`ClientEvent::Published`](super::ClientEvent::Published) tells how it ended. The slot is a
/// small number that no other message under way has: an index for a table beside the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublishId {
    slot: u32,
    generation: u32,
}

impl PublishId {
    /// An index for a side table: below the configured number of outgoing messages, and used again
    /// once this message has ended.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// A text or properties buffer larger than this is not kept for the next message.
const SPARE_BYTES: usize = 1024;

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
    /// Counts accepted messages.
    accepted: u64,
    max_messages: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    message: OutgoingMessage,
}

/// A message of the application.
#[derive(Debug)]
pub(super) struct OutgoingMessage {
    pub(super) topic: String,
    /// The properties that go out as they were given: all but the Message Expiry Interval.
    pub(super) properties: Vec<u8>,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// When its Message Expiry Interval ends.
    pub(super) expires_at: Option<Time>,
    /// The reason of its PUBREC, for when PUBCOMP has come.
    pub(super) recorded: PubAckReason,
    /// The number of messages accepted before it.
    order: u64,
}

impl Default for OutgoingMessage {
    fn default() -> Self {
        Self {
            topic: String::new(),
            properties: Vec::new(),
            payload: Bytes::new(),
            qos: QoS::AtMostOnce,
            retain: false,
            expires_at: None,
            recorded: PubAckReason::Success,
            order: 0,
        }
    }
}

impl OutgoingMessage {
    /// Seconds until the message expires, rounded up; `Some(0)` once it has expired.
    pub(super) fn expiry(&self, now: Time) -> Option<u32> {
        self.expires_at.map(|at| now.secs_until(at))
    }

    fn size(&self) -> usize {
        self.topic.len() + self.properties.len() + self.payload.len()
    }
}

impl Outbox {
    pub(super) fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            unacknowledged: VecDeque::new(),
            acknowledged: VecDeque::new(),
            bytes: 0,
            accepted: 0,
            max_messages: max_messages.max(1),
            max_bytes,
        }
    }

    /// Whether a message of so many bytes finds room. One that is larger than the limit alone
    /// does when nothing else is held.
    pub(super) fn has_room_for(&self, size: usize) -> bool {
        let held = self.len();
        held == 0 || (held < self.max_messages && self.bytes.saturating_add(size) <= self.max_bytes)
    }

    /// Messages that have not ended.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Takes a message over; it leaves in its turn.
    pub(super) fn push(&mut self, now: Time, new: Publication<'_>) -> PublishId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // More slots than `max_messages`, a bound far below 2^32, are never made.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let Some(place) = self.slots.get_mut(slot as usize) else {
            return PublishId { slot, generation: 0 };
        };
        let message = &mut place.message;
        message.topic.push_str(new.topic.as_str());
        if !new.properties.is_empty() {
            new.properties.copy_forwardable(&mut message.properties);
            message.expires_at =
                new.properties.message_expiry_interval().map(|seconds| now.plus_secs(seconds));
        }
        message.payload = new.payload;
        message.qos = new.qos;
        message.retain = new.retain;
        message.order = self.accepted;
        self.accepted += 1;
        self.bytes += message.size();
        match new.qos {
            QoS::AtMostOnce => self.unacknowledged.push_back(slot),
            QoS::AtLeastOnce | QoS::ExactlyOnce => self.acknowledged.push_back(slot),
        }
        PublishId { slot, generation: place.generation }
    }

    /// The message to send next: in the order in which they were accepted, except that QoS 0
    /// passes by while QoS 1 and QoS 2 may not be sent.
    pub(super) fn next(&self, acknowledged_may_leave: bool) -> Option<u32> {
        let plain = self.unacknowledged.front();
        let acknowledged = self.acknowledged.front().filter(|_| acknowledged_may_leave);
        match (plain, acknowledged) {
            (Some(&plain), Some(&acknowledged)) => {
                let order = |slot| self.get(slot).map_or(0, |message| message.order);
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
                return;
            }
        }
    }

    #[inline]
    pub(super) fn get(&self, slot: u32) -> Option<&OutgoingMessage> {
        self.slots.get(slot as usize).map(|slot| &slot.message)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut OutgoingMessage> {
        self.slots.get_mut(slot as usize).map(|slot| &mut slot.message)
    }

    pub(super) fn id(&self, slot: u32) -> PublishId {
        let generation = self.slots.get(slot as usize).map_or(0, |slot| slot.generation);
        PublishId { slot, generation }
    }

    /// Forgets a message that has ended, which must not stand in a queue any more.
    pub(super) fn release(&mut self, slot: u32) {
        let Some(place) = self.slots.get_mut(slot as usize) else { return };
        let message = &mut place.message;
        self.bytes -= message.size();
        message.topic.clear();
        message.properties.clear();
        message.topic.shrink_to(SPARE_BYTES);
        message.properties.shrink_to(SPARE_BYTES);
        message.payload = Bytes::new();
        message.expires_at = None;
        message.recorded = PubAckReason::Success;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
    }

    /// Frees the memory of the payload of a message that will not be sent again.
    pub(super) fn release_payload(&mut self, slot: u32) {
        if let Some(message) = self.get_mut(slot) {
            let payload = core::mem::take(&mut message.payload);
            self.bytes -= payload.len();
        }
    }

    /// Drops the QoS 0 messages that were not sent, and says how many they were.
    pub(super) fn drop_unacknowledged(&mut self) -> usize {
        let dropped = self.unacknowledged.len();
        while let Some(slot) = self.unacknowledged.pop_front() {
            self.release(slot);
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &'static str, qos: QoS) -> Publication<'static> {
        Publication {
            topic: TopicName::new(topic).unwrap(),
            payload: Bytes::from_static(b"payload"),
            qos,
            retain: false,
            properties: Properties::EMPTY,
        }
    }

    fn drain(outbox: &mut Outbox, acknowledged_may_leave: bool) -> Vec<String> {
        let mut topics = Vec::new();
        while let Some(slot) = outbox.next(acknowledged_may_leave) {
            topics.push(outbox.get(slot).unwrap().topic.clone());
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
            outbox.push(Time::ZERO, message(topic, qos));
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
            outbox.push(Time::ZERO, message(topic, qos));
        }
        assert_eq!(drain(&mut outbox, false), ["b"]);
        assert_eq!(outbox.len(), 2);
        assert_eq!(drain(&mut outbox, true), ["a", "c"]);
    }

    #[test]
    fn room_is_bounded_by_messages_and_by_bytes_and_one_message_always_fits() {
        let mut outbox = Outbox::new(2, 20);
        assert!(outbox.has_room_for(1000), "larger than the limit, and alone");
        outbox.push(Time::ZERO, message("a", QoS::AtMostOnce));
        assert!(outbox.has_room_for(12));
        assert!(!outbox.has_room_for(13));
        outbox.push(Time::ZERO, message("b", QoS::AtLeastOnce));
        assert!(!outbox.has_room_for(0));
        assert_eq!(outbox.drop_unacknowledged(), 1);
        assert!(outbox.has_room_for(0));
    }

    #[test]
    fn a_slot_is_used_again_under_another_id() {
        let mut outbox = Outbox::new(10, 1000);
        let first = outbox.push(Time::ZERO, message("a", QoS::AtMostOnce));
        drain(&mut outbox, true);
        let second = outbox.push(Time::ZERO, message("b", QoS::AtMostOnce));
        assert_eq!(first.slot(), second.slot());
        assert_ne!(first, second);
        assert_eq!(outbox.id(0), second);
    }
}
