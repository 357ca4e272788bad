//! PUBLISH on its way from a server to a subscriber.

use alloc::vec::Vec;
use core::num::NonZeroU16;

use super::publish::Header;
use crate::error::EncodeError;
use crate::ids::SubscriptionId;
use crate::property::PropertyId;
use crate::qos::PublishQos;
use crate::sink::{Counter, Sink};

/// The header of a PUBLISH that a server sends on: what belongs to this connection, and the
/// properties of the message as they came.
///
/// ```
/// use mqtt_codec::{Forward, PropertyBuf, PublishQos, SubscriptionId};
///
/// // What came in ...
/// let mut received = PropertyBuf::new();
/// received.message_expiry_interval(60).user_property("room", "kitchen")?;
/// let mut forwardable = Vec::new();
/// received.as_properties().copy_forwardable(&mut forwardable);
///
/// // ... goes on ten seconds later, to a subscription with an identifier.
/// let forward = Forward {
///     qos: PublishQos::AtMostOnce,
///     retain: false,
///     topic: Some(b"a/b"),
///     topic_alias: None,
///     message_expiry_interval: Some(50),
///     subscription_ids: &[SubscriptionId::MIN],
///     forwardable: &forwardable,
///     payload_len: 5,
/// };
/// let mut bytes = Vec::new();
/// forward.encode_header(&mut bytes, u32::MAX)?;
/// bytes.extend_from_slice(b"hello");
/// # Ok::<(), mqtt_codec::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward<'a> {
    /// The QoS, with the Packet Identifier and DUP where there are any. [MQTT-3.3.1-3]
    pub qos: PublishQos,
    /// Whether the message is sent as a retained one.
    pub retain: bool,
    /// The bytes of the topic as it came; `None` to have the alias stand for it. They are not looked
    /// at again.
    pub topic: Option<&'a [u8]>,
    /// The alias of the topic on this connection.
    pub topic_alias: Option<NonZeroU16>,
    /// Seconds that are left of the message's life. [MQTT-3.3.2-6]
    pub message_expiry_interval: Option<u32>,
    /// The identifiers of the subscriptions that the message is sent for. [MQTT-3.3.4-3]
    pub subscription_ids: &'a [SubscriptionId],
    /// The properties that go on as they came, from
    /// [`Properties::copy_forwardable`](crate::Properties::copy_forwardable). They are not looked
    /// at again.
    pub forwardable: &'a [u8],
    /// How long the payload is that the caller sends behind the header.
    pub payload_len: usize,
}

impl Forward<'_> {
    /// Appends everything but the payload.
    ///
    /// The Packet Identifier, if there is one, stands directly before the Property Length.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NoTopic`], [`EncodeError::StringTooLong`] for a topic that no packet can have, or
    /// [`EncodeError::TooLarge`]; `out` is unchanged then. A server
    /// drops a message that is too large for a subscriber and goes on as if it had been sent.
    /// [MQTT-3.1.2-25]
    // Inlined, so that what the caller knows (no alias, no expiry, no identifiers) costs nothing.
    #[inline(always)]
    pub fn encode_header(
        &self,
        out: &mut Vec<u8>,
        max_packet_size: u32,
    ) -> Result<(), EncodeError> {
        let topic = match self.topic {
            Some(topic) if topic.len() > usize::from(u16::MAX) => {
                return Err(EncodeError::StringTooLong { len: topic.len() });
            }
            Some(topic) => topic,
            None if self.topic_alias.is_some() => &[],
            None => return Err(EncodeError::NoTopic),
        };
        // Most messages have none of them.
        let has_own = self.message_expiry_interval.is_some()
            || self.topic_alias.is_some()
            || !self.subscription_ids.is_empty();
        let mut properties_len = self.forwardable.len() as u64;
        if has_own {
            let mut counter = Counter::default();
            self.write_own(&mut counter);
            properties_len += counter.0;
        }
        let header = Header::new(self.qos, self.retain, topic, properties_len);
        header.write(self.payload_len, false, out, max_packet_size)?;
        if has_own {
            self.write_own(out);
        }
        if !self.forwardable.is_empty() {
            out.bytes(self.forwardable);
        }
        Ok(())
    }

    /// Writes the properties that belong to this connection, which may stand before all others.
    #[inline(never)]
    fn write_own(&self, out: &mut impl Sink) {
        if let Some(seconds) = self.message_expiry_interval {
            let [a, b, c, d] = seconds.to_be_bytes();
            out.array([PropertyId::MessageExpiryInterval as u8, a, b, c, d]);
        }
        if let Some(alias) = self.topic_alias {
            let [a, b] = alias.get().to_be_bytes();
            out.array([PropertyId::TopicAlias as u8, a, b]);
        }
        for id in self.subscription_ids {
            out.array([PropertyId::SubscriptionIdentifier as u8]);
            out.varint(id.get());
        }
    }
}
