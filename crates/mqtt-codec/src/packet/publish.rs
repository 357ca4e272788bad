//! PUBLISH.

use alloc::vec::Vec;
use core::fmt;

use super::encode;
use super::{PacketType, Reader};
use crate::error::{DecodeError, DecodeRule, EncodeError};
use crate::ids::PacketId;
use crate::property::{Properties, PropertyId};
use crate::qos::PublishQos;
use crate::sink::{Counter, Sink};
use crate::topic::TopicName;

/// The first byte without its flags.
const FIRST_BYTE: u8 = 0x30;
const DUP_SHIFT: u8 = 3;
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
        let topic = if topic.is_empty() { None } else { Some(TopicName::from_checked(topic)) };
        let dup = first >> DUP_SHIFT & 1 != 0;
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
        self.write(self.payload.len(), true, out, max_packet_size)?;
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
        self.write(payload_len, false, out, max_packet_size)
    }

    /// Appends everything but the payload.
    #[inline(always)]
    fn write(
        &self,
        payload_len: usize,
        payload_follows: bool,
        out: &mut Vec<u8>,
        max_packet_size: u32,
    ) -> Result<(), EncodeError> {
        let topic = match self.topic {
            Some(topic) => topic.as_bytes(),
            None if self.properties.contains(PropertyId::TopicAlias) => &[],
            None => return Err(EncodeError::NoTopic),
        };
        encode::check_properties(self.properties, PacketType::Publish.into())?;
        let properties = self.properties.as_bytes();
        let header = Header::new(self.qos, self.retain, topic, properties.len() as u64);
        header.write(payload_len, payload_follows, out, max_packet_size)?;
        if !properties.is_empty() {
            out.bytes(properties);
        }
        Ok(())
    }
}

/// What stands before the properties of a PUBLISH.
pub(super) struct Header<'a> {
    first_byte: u8,
    topic: &'a [u8],
    packet_id: Option<PacketId>,
    properties_len: u64,
}

impl<'a> Header<'a> {
    #[inline(always)]
    pub(super) fn new(qos: PublishQos, retain: bool, topic: &'a [u8], properties_len: u64) -> Self {
        let (flags, packet_id) = match qos {
            // [MQTT-2.2.1-2] [MQTT-3.3.1-2]
            PublishQos::AtMostOnce => (0, None),
            PublishQos::AtLeastOnce { id, dup } => (0b0010 | u8::from(dup) << DUP_SHIFT, Some(id)),
            PublishQos::ExactlyOnce { id, dup } => (0b0100 | u8::from(dup) << DUP_SHIFT, Some(id)),
        };
        let first_byte = FIRST_BYTE | flags | u8::from(retain);
        Self { first_byte, topic, packet_id, properties_len }
    }

    /// Checks the size of the packet, reserves memory for it, and writes the fixed header and what
    /// stands before the properties. `payload_len` is counted, and memory reserved for it unless
    /// the payload goes elsewhere.
    ///
    /// [MQTT-3.3.2-1] [MQTT-2.2.1-2] [MQTT-2.2.2-1]
    #[inline(always)]
    pub(super) fn write(
        &self,
        payload_len: usize,
        payload_follows: bool,
        out: &mut Vec<u8>,
        max_packet_size: u32,
    ) -> Result<(), EncodeError> {
        let mut counter = Counter::default();
        counter.prefixed(self.topic);
        self.write_behind_topic(&mut counter);
        let body_len = counter.0 + self.properties_len + payload_len as u64;
        let elsewhere = if payload_follows { 0 } else { payload_len };
        if body_len >= 0x80 || body_len + 2 > u64::from(max_packet_size) {
            encode::reserve(body_len, elsewhere as u64, out, max_packet_size)?;
            encode::fixed_header(out, self.first_byte, body_len);
            out.prefixed(self.topic);
            self.write_behind_topic(out);
            return Ok(());
        }
        // All lengths of a short packet take one byte: the same bytes in fewer steps.
        out.reserve(body_len as usize + 2 - elsewhere);
        let [high, low] = (self.topic.len() as u16).to_be_bytes();
        out.array([self.first_byte, body_len as u8, high, low]);
        out.bytes(self.topic);
        let properties_len = self.properties_len as u8;
        match self.packet_id.map(|id| id.get().to_be_bytes()) {
            None => out.array([properties_len]),
            Some([high, low]) => out.array([high, low, properties_len]),
        }
        Ok(())
    }

    #[inline(always)]
    fn write_behind_topic(&self, out: &mut impl Sink) {
        if let Some(id) = self.packet_id {
            out.u16(id.get());
        }
        out.varint(self.properties_len as u32);
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
