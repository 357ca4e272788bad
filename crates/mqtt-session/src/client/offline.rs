//! What is published while there is no connection: which messages wait, how many, and which one
//! goes when there is no room.

use bytes::Bytes;
use mqtt_codec::{Properties, PropertyBuf, QoS};

use super::Client;
use super::config::ClientConfig;
use super::error::PublishError;
use super::event::PublishOutcome;
use super::outbox::PublishId;
use super::publication::Publication;
use crate::Time;

/// What becomes of messages that are published while a client that was
/// [started](super::Client::start) has no connection.
///
/// ```
/// use mqtt_session::{ClientConfig, Offline, Overflow};
///
/// let config = ClientConfig::new().offline(Offline::queue(1_000, Overflow::DropOldestQos0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offline {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) overflow: Overflow,
    pub(super) keeps_qos0: bool,
}

/// What goes when the offline queue has no room for another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The new message is refused and handed back.
    Refuse,
    /// The oldest QoS 0 message that waits is dropped, and counted; if none waits the new message
    /// is refused.
    DropOldestQos0,
    /// The oldest message that waits is dropped: counted at QoS 0, and handed back by
    /// [`PublishOutcome::Dropped`](super::PublishOutcome::Dropped) otherwise. What was sent and
    /// is not acknowledged stays.
    DropOldest,
}

impl Default for Offline {
    /// 1,000 messages and 16 MiB, then new ones are refused.
    fn default() -> Self {
        Self::queue(1_000, Overflow::Refuse)
    }
}

impl Offline {
    /// No message is taken while there is no connection. QoS 1 and QoS 2 messages that were
    /// accepted before still wait for the next one.
    #[must_use]
    pub const fn refuse() -> Self {
        Self { messages: 0, bytes: 0, overflow: Overflow::Refuse, keeps_qos0: false }
    }

    /// So many messages at most wait for the next connection, with 16 MiB in all. Messages that
    /// were sent before and are not acknowledged count too.
    #[must_use]
    pub const fn queue(messages: usize, overflow: Overflow) -> Self {
        Self { messages, bytes: 16 * 1024 * 1024, overflow, keeps_qos0: true }
    }

    /// How many bytes of topics, properties and payloads the waiting messages may have together.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Whether QoS 0 messages wait as well; yes by default. If not, one that is published without
    /// a connection is refused, and one that could not be sent before the connection ended is
    /// dropped and counted.
    #[must_use]
    pub const fn keep_qos0(mut self, keep: bool) -> Self {
        self.keeps_qos0 = keep;
        self
    }
}

/// What is published again when the server has lost the session in which it was sent, so that
/// nobody knows whether the server has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Republish {
    /// Nothing: each such message ends with
    /// [`PublishOutcome::SessionLost`](super::PublishOutcome::SessionLost).
    Nothing,
    /// QoS 1 messages, which may arrive twice anyway. For a QoS 2 message a second publication
    /// would break its promise, so it ends with
    /// [`PublishOutcome::SessionLost`](super::PublishOutcome::SessionLost), and the application,
    /// which knows what a duplicate would do, decides.
    #[default]
    Qos1,
    /// QoS 2 messages too, unless the server has said with PUBREC that it has the message: they
    /// may then arrive twice.
    Qos1AndQos2,
}

impl ClientConfig {
    /// What becomes of messages that are published while there is no connection; see
    /// [`Offline`] for the default. Only for a client that was [started](super::Client::start).
    #[must_use]
    pub fn offline(mut self, offline: Offline) -> Self {
        self.offline = offline;
        self
    }

    /// What is published again when the session is lost; QoS 1 messages by default. They keep
    /// their order, and
    /// [`Acknowledgement::republished`](super::Acknowledgement::republished) tells.
    #[must_use]
    pub fn republish(mut self, republish: Republish) -> Self {
        self.republish = republish;
        self
    }
}

/// A message that was not sent, handed back.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnsentMessage {
    /// Where it was to be published.
    pub topic: Box<str>,
    /// What it says.
    pub payload: Bytes,
    /// Its QoS.
    pub qos: QoS,
    /// Whether it was to be retained.
    pub retain: bool,
    /// Its properties, with what is left of a Message Expiry Interval.
    pub properties: PropertyBuf,
    /// Whether it was sent in a session that the server has lost since: the server may have it.
    pub may_have_arrived: bool,
}

impl core::fmt::Debug for UnsentMessage {
    /// Tells the payload's length, never what is in it.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("UnsentMessage")
            .field("topic", &self.topic)
            .field("payload_len", &self.payload.len())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Takes back every message that was accepted and not sent, oldest first. Nothing more is
    /// heard of them.
    ///
    /// After [`ClientEvent::Ended`](super::ClientEvent::Ended) this is what the application still holds; it is there as long
    /// as the client is, for [`start`](Self::start) to go on with.
    pub fn take_unsent(&mut self, now: Time) -> Vec<(Option<PublishId>, UnsentMessage)> {
        let now = self.advance(now);
        self.changed();
        let outbox = &mut self.session.outbox;
        let mut messages = Vec::new();
        while let Some(slot) = outbox.next(true) {
            outbox.take_from_queue(slot);
            let id = outbox.id(slot);
            if let Some(message) = outbox.get(slot) {
                let id = (message.qos != QoS::AtMostOnce).then_some(id);
                messages.push((id, message.hand_back(now)));
            }
            outbox.release(slot);
        }
        messages
    }

    /// Says that nobody wants to know how a message ends: no
    /// [`ClientEvent::Published`](super::ClientEvent::Published) comes for it. It is sent, and sent again, like any other; its packet identifier is free when the
    /// server says so, whoever waits for it or does not.
    pub fn forget(&mut self, id: PublishId) {
        self.session.outbox.forget(id);
    }

    /// Takes a message while there is no connection.
    #[inline(never)]
    pub(super) fn take_offline(
        &mut self,
        now: Time,
        publication: &mut Publication<'_>,
    ) -> Result<Option<PublishId>, PublishError> {
        let qos = publication.qos;
        let offline = self.config.offline;
        if !self.reconnecting.wants_connection()
            || publication.only_online
            || offline.messages == 0
            || (qos == QoS::AtMostOnce && !offline.keeps_qos0)
        {
            return Err(PublishError::NotConnected);
        }
        self.changed();
        let size = publication.size();
        if size > offline.bytes && self.session.outbox.len() > 0 {
            return Err(PublishError::Full);
        }
        while !self.session.outbox.fits(size, offline.messages, offline.bytes) {
            if !self.makes_room(now, offline.overflow) {
                return Err(PublishError::Full);
            }
        }
        self.queue(now, publication, u32::MAX)
    }

    /// Drops a message that waits, if the policy allows it and there is one.
    fn makes_room(&mut self, now: Time, overflow: Overflow) -> bool {
        let outbox = &mut self.session.outbox;
        let oldest = match overflow {
            Overflow::Refuse => None,
            Overflow::DropOldestQos0 => outbox.oldest_unacknowledged(),
            Overflow::DropOldest => outbox.next(true),
        };
        let Some(slot) = oldest else { return false };
        outbox.take_from_queue(slot);
        self.dropped(now, slot);
        true
    }

    /// A message that stands in no queue any more is given up without having been sent.
    pub(super) fn dropped(&mut self, now: Time, slot: u32) {
        let Some(message) = self.session.outbox.get(slot) else { return };
        if message.qos == QoS::AtMostOnce {
            self.statistics.qos0_lost += 1;
        } else {
            let outcome = PublishOutcome::Dropped(Box::new(message.hand_back(now)));
            self.session.publish_ended(slot, outcome, &mut self.events);
            return;
        }
        self.session.outbox.release(slot);
    }

    /// Whether a message of `size` bytes would be taken while there is no connection.
    pub(super) fn has_room_offline(&self, size: usize) -> bool {
        let offline = self.config.offline;
        let outbox = &self.session.outbox;
        outbox.fits(size, offline.messages, offline.bytes)
            || size <= offline.bytes
                && match offline.overflow {
                    Overflow::Refuse => false,
                    Overflow::DropOldestQos0 => outbox.oldest_unacknowledged().is_some(),
                    Overflow::DropOldest => !outbox.is_queue_empty(),
                }
    }

    /// Messages that wait have expired.
    pub(super) fn expire(&mut self, now: Time) {
        while let Some(slot) = self.session.outbox.pop_expired(now) {
            self.changed();
            self.session.end_message(
                slot,
                PublishOutcome::Expired,
                &mut self.events,
                &mut self.statistics,
            );
        }
    }
}

/// The properties of a message with what is left of its Message Expiry Interval.
pub(super) fn properties(wire: &[u8], expiry: Option<u32>) -> PropertyBuf {
    // They were taken from checked properties.
    let given = Properties::from_wire(wire, mqtt_codec::PacketType::Publish);
    let mut properties = PropertyBuf::from(given.unwrap_or(Properties::EMPTY));
    if let Some(seconds) = expiry {
        properties.message_expiry_interval(seconds);
    }
    properties
}
