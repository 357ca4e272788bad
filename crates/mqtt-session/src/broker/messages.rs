//! Application messages in the broker's hands, each stored once however many sessions wait for it.

use bytes::Bytes;
use mqtt_codec::QoS;

use super::store::{MessageKey, MessageKeys};
use crate::Time;
use crate::transmit::SHARE_FROM;

/// Spare buffers that are kept for the next messages, and how large each may be.
const SPARE_BUFFERS: usize = 256;
const SPARE_BYTES: usize = 1024;

/// The messages, counted by reference.
#[derive(Debug, Default)]
pub(super) struct Messages {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Buffers of forgotten messages: in a steady flow no message allocates.
    spare: Vec<Vec<u8>>,
    /// Bytes of all messages.
    bytes: usize,
    /// Under which keys the store has them.
    pub(super) keys: Option<Box<MessageKeys>>,
}

#[derive(Debug)]
struct Slot {
    /// How many hold this message; 0 for a free slot.
    holders: u32,
    message: Message,
}

/// A message in [`Messages`]. Whoever stores one holds it: [`Messages::hold`] and
/// [`Messages::release`] come in pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MessageId(pub(super) u32);

/// One application message.
#[derive(Debug)]
pub(super) struct Message {
    /// The topic, the properties that are passed on as they came, and a small payload, one after
    /// the other.
    head: Vec<u8>,
    /// A large payload; empty for a small one.
    shared: Bytes,
    topic_len: u16,
    properties_len: u32,
    /// When it expires; the end of time for never.
    expires_at: Time,
    /// Whose it is, by the keyed hash of the client identifier; 0 for the broker's own.
    pub(super) publisher: u64,
    pub(super) qos: QoS,
    /// The RETAIN flag with which it was published.
    pub(super) retain: bool,
}

/// What a message is made of.
pub(super) struct NewMessage<'a> {
    pub(super) topic: &'a str,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Seconds from now; `None` for never.
    pub(super) expiry: Option<u32>,
    pub(super) publisher: u64,
    pub(super) payload: Payload<'a>,
}

/// A payload on its way into a message.
pub(super) enum Payload<'a> {
    /// Bytes of a read buffer: they are copied.
    Borrowed(&'a [u8]),
    /// Bytes with an owner of their own: they are shared.
    Owned(Bytes),
}

impl Message {
    pub(super) fn topic(&self) -> &str {
        // Text when the message was made, and text still.
        str::from_utf8(self.topic_bytes()).unwrap_or_default()
    }

    pub(super) fn topic_bytes(&self) -> &[u8] {
        self.head.get(..usize::from(self.topic_len)).unwrap_or_default()
    }

    /// The wire form of the properties that are passed on as they came.
    pub(super) fn properties(&self) -> &[u8] {
        let start = usize::from(self.topic_len);
        self.head.get(start..start + self.properties_len as usize).unwrap_or_default()
    }

    /// A small payload; empty if the payload is shared.
    pub(super) fn small_payload(&self) -> &[u8] {
        let start = usize::from(self.topic_len) + self.properties_len as usize;
        self.head.get(start..).unwrap_or_default()
    }

    /// A large payload; empty if the payload is small.
    pub(super) const fn shared_payload(&self) -> &Bytes {
        &self.shared
    }

    /// The payload, copied if it is small.
    pub(super) fn payload(&self) -> Bytes {
        if self.shared.is_empty() {
            Bytes::copy_from_slice(self.small_payload())
        } else {
            self.shared.clone()
        }
    }

    pub(super) fn payload_len(&self) -> usize {
        self.small_payload().len() + self.shared.len()
    }

    /// Bytes of topic, properties and payload.
    pub(super) fn size(&self) -> usize {
        self.head.len() + self.shared.len()
    }

    /// When it expires; `None` for never.
    pub(super) fn expires_at(&self) -> Option<Time> {
        (self.expires_at != NEVER).then_some(self.expires_at)
    }

    /// Whether its time is over [MQTT-3.3.2-5].
    pub(super) fn is_expired(&self, now: Time) -> bool {
        self.expires_at <= now && self.expires_at != NEVER
    }
}

/// The end of time.
pub(super) const NEVER: Time = Time::from_nanos(u64::MAX);

impl Messages {
    /// No message is stored.
    pub(super) fn new(is_durable: bool) -> Self {
        let keys = is_durable.then(|| Box::new(MessageKeys::new(0)));
        Self { keys, ..Self::default() }
    }

    /// How many messages are stored.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Bytes of all stored messages.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Stores a message, held once. `properties` appends the wire form of the properties that
    /// are passed on as they came.
    pub(super) fn insert(
        &mut self,
        now: Time,
        new: NewMessage<'_>,
        properties: impl FnOnce(&mut Vec<u8>),
    ) -> MessageId {
        let mut head = self.spare.pop().unwrap_or_default();
        head.clear();
        let small = match &new.payload {
            Payload::Borrowed(bytes) if bytes.len() < SHARE_FROM => *bytes,
            Payload::Owned(bytes) if bytes.len() < SHARE_FROM => bytes,
            Payload::Borrowed(_) | Payload::Owned(_) => &[],
        };
        head.reserve(new.topic.len() + small.len());
        head.extend_from_slice(new.topic.as_bytes());
        let topic_len = head.len();
        properties(&mut head);
        let properties_len = head.len() - topic_len;
        head.extend_from_slice(small);
        let shared = match new.payload {
            Payload::Owned(bytes) if bytes.len() >= SHARE_FROM => bytes,
            Payload::Borrowed(bytes) if bytes.len() >= SHARE_FROM => Bytes::copy_from_slice(bytes),
            Payload::Owned(_) | Payload::Borrowed(_) => Bytes::new(),
        };
        let message = Message {
            // Neither saturates: a topic has at most 65,535 bytes, and properties are part of a
            // packet.
            topic_len: u16::try_from(topic_len).unwrap_or(u16::MAX),
            properties_len: u32::try_from(properties_len).unwrap_or(u32::MAX),
            head,
            shared,
            expires_at: new.expiry.map_or(NEVER, |seconds| now.plus_secs(seconds)),
            publisher: new.publisher,
            qos: new.qos,
            retain: new.retain,
        };
        self.bytes += message.size();
        match self.free.pop() {
            Some(number) => {
                if let Some(slot) = self.slots.get_mut(number as usize) {
                    slot.holders = 1;
                    slot.message = message;
                }
                MessageId(number)
            }
            None => {
                // 2^32 messages do not fit into memory: a slot alone takes 100 bytes.
                let number = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
                self.slots.push(Slot { holders: 1, message });
                MessageId(number)
            }
        }
    }

    #[inline]
    pub(super) fn get(&self, id: MessageId) -> Option<&Message> {
        self.slots.get(id.0 as usize).map(|slot| &slot.message)
    }

    /// One more holds the message.
    #[inline]
    pub(super) fn hold(&mut self, id: MessageId) {
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            slot.holders += 1;
        }
    }

    /// One less holds the message; the last one frees it.
    #[inline]
    pub(super) fn release(&mut self, id: MessageId) {
        let Some(slot) = self.slots.get_mut(id.0 as usize) else { return };
        slot.holders = slot.holders.saturating_sub(1);
        if slot.holders > 0 || sabotaged!(MessageNotFreed) {
            return;
        }
        if !sabotaged!(BytesNotFreed) {
            self.bytes -= slot.message.size();
        }
        if let Some(keys) = &mut self.keys {
            keys.release(id.0);
        }
        slot.message.shared = Bytes::new();
        slot.message.topic_len = 0;
        slot.message.properties_len = 0;
        let head = core::mem::take(&mut slot.message.head);
        self.free.push(id.0);
        if self.spare.len() < SPARE_BUFFERS && head.capacity() <= SPARE_BYTES {
            self.spare.push(head);
        }
        if self.free.len() == self.slots.len() && self.slots.capacity() > 4096 {
            // After a flood nothing of it stays behind.
            self.slots = Vec::new();
            self.free = Vec::new();
            if let Some(keys) = &mut self.keys {
                keys.reset();
            }
        }
    }

    /// The key under which the store has a message.
    pub(super) fn key(&self, id: MessageId) -> Option<MessageKey> {
        self.keys.as_ref()?.get(id.0)
    }

    /// The message's time begins to run: it expires in `expiry` seconds from `now`.
    pub(super) fn start_expiry(&mut self, id: MessageId, now: Time, expiry: u32) {
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            slot.message.expires_at = now.plus_secs(expiry);
        }
    }

    /// The message expires at this moment.
    pub(super) fn expire_at(&mut self, id: MessageId, at: Time) {
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            slot.message.expires_at = at;
        }
    }

    /// Gives back the memory that a message which stays for long does not need.
    pub(super) fn shrink(&mut self, id: MessageId) {
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            slot.message.head.shrink_to_fit();
        }
    }
}
