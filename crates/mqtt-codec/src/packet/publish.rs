//! PUBLISH.

use alloc::vec::Vec;
use core::fmt;

use super::encode;
use super::{PacketType, Reader};
use crate::error::{DecodeError, DecodeRule, EncodeError};
use crate::property::{Properties, PropertyId, PropertySet};
use crate::qos::PublishQos;
use crate::sink::{Counter, Sink};
use crate::text;
use crate::topic::TopicName;

/// The first byte without its flags.
pub(super) const FIRST_BYTE: u8 = 0x30;
const DUP: u8 = 0b1000;
const RETAIN: u8 = 0b0001;

/// A message.
///
/// ```
/// use mqtt_codec::{PacketId, Properties, Publish, PublishQos, TopicName};
///
/// let publish = Publish {
///     qos: PublishQos::AtLeastOnce { id: PacketId::MIN, dup: false },
///     retain: true,
///     topic: Some(TopicName::new("a/b")?),
///     properties: Properties::EMPTY,
///     payload: b"hello",
/// };
/// let mut bytes = Vec::new();
/// publish.encode(&mut bytes, u32::MAX)?;
/// assert_eq!(bytes, b"\x33\x0D\x00\x03a/b\x00\x01\x00hello");
/// # Ok::<(), mqtt_codec::EncodeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The QoS, with the Packet Identifier and DUP where there are any.
    pub qos: PublishQos,
    /// Whether the message is, or is to be, retained.
    pub retain: bool,
    /// The topic; `None` if it is empty and a Topic Alias stands for it.
    pub topic: Option<TopicName<'a>>,
    /// What goes with the message.
    pub properties: Properties<'a>,
    /// The message itself. It may be empty.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Decodes a PUBLISH whose first byte was judged.
    #[inline(always)]
    pub(super) fn decode(first: u8, mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        // [MQTT-3.3.2-1] [MQTT-3.3.2-2]
        let topic = reader.topic()?;
        let topic_end = reader.offset();
        let topic = if topic.is_empty() {
            None
        } else {
            Some(TopicName::from_checked(text::checked(topic)))
        };
        let dup = first & DUP != 0;
        // [MQTT-2.2.1-2]
        let qos = match first >> 1 & 0b11 {
            0 => PublishQos::AtMostOnce,
            1 => PublishQos::AtLeastOnce { id: reader.packet_id()?, dup },
            _ => PublishQos::ExactlyOnce { id: reader.packet_id()?, dup },
        };
        let properties = Properties::read(&mut reader, PacketType::Publish.into())?;
        if topic.is_none() && !properties.contains(PropertyId::TopicAlias) {
            return Err(DecodeError::new(
                DecodeRule::NoTopic,
                Some(PacketType::Publish),
                topic_end,
            ));
        }
        let payload = reader.rest();
        Ok(Self { qos, retain: first & RETAIN != 0, topic, properties, payload })
    }

    /// Appends the packet. A PUBLISH is never cut down: its User Properties belong to the message.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NoTopic`], [`EncodeError::TooLarge`] or
    /// [`EncodeError::PropertyNotAllowed`]; `out` is unchanged then.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>, max_packet_size: u32) -> Result<(), EncodeError> {
        self.write(self.payload.len(), 0, out, max_packet_size)?;
        out.bytes(self.payload);
        Ok(())
    }

    /// Appends everything but the payload, of which only the length is asked for, so that the
    /// payload can be sent from where it is. The field `payload` is not looked at.
    ///
    /// # Errors
    ///
    /// As [`Publish::encode`].
    ///
    /// ```
    /// use mqtt_codec::{Properties, Publish, PublishQos, TopicName};
    ///
    /// let publish = Publish {
    ///     qos: PublishQos::AtMostOnce,
    ///     retain: false,
    ///     topic: Some(TopicName::new("a/b")?),
    ///     properties: Properties::EMPTY,
    ///     payload: b"",
    /// };
    /// let mut bytes = Vec::new();
    /// publish.encode_header(100, &mut bytes, u32::MAX)?;
    /// assert_eq!(bytes, b"\x30\x6A\x00\x03a/b\x00");
    /// # Ok::<(), mqtt_codec::EncodeError>(())
    /// ```
    pub fn encode_header(
        &self,
        payload_len: usize,
        out: &mut Vec<u8>,
        max_packet_size: u32,
    ) -> Result<(), EncodeError> {
        self.write(payload_len, payload_len, out, max_packet_size)
    }

    /// Appends everything but the payload, and reserves memory for all of it but `later` bytes.
    #[inline(always)]
    fn write(
        &self,
        payload_len: usize,
        later: usize,
        out: &mut Vec<u8>,
        max_packet_size: u32,
    ) -> Result<(), EncodeError> {
        if self.topic.is_none() && !self.properties.contains(PropertyId::TopicAlias) {
            return Err(EncodeError::NoTopic);
        }
        encode::check_properties(self.properties, PacketType::Publish.into())?;
        let mut counter = Counter::default();
        self.write_header(&mut counter);
        let first_byte = FIRST_BYTE | self.qos.flags() | u8::from(self.retain);
        let len = counter.0 + payload_len as u64;
        encode::begin(first_byte, len, later as u64, out, max_packet_size)?;
        self.write_header(out);
        Ok(())
    }

    #[inline(always)]
    fn write_header(&self, out: &mut impl Sink) {
        write_topic(out, self.topic, self.qos);
        encode::properties(out, self.properties, PropertySet::EMPTY);
    }
}

/// Writes the Topic Name and the Packet Identifier. [MQTT-3.3.2-1] [MQTT-2.2.1-2]
#[inline(always)]
pub(super) fn write_topic(out: &mut impl Sink, topic: Option<TopicName<'_>>, qos: PublishQos) {
    out.prefixed(topic.map_or("", |topic| topic.as_str()).as_bytes());
    if let Some(id) = qos.packet_id() {
        out.u16(id.get());
    }
}

/// Shows how long the payload is, and not what it is.
impl fmt::Debug for Publish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("topic", &self.topic)
            .field("properties", &self.properties)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .finish()
    }
}
