//! The Will that a CONNECT may carry.

use core::fmt;

use super::Reader;
use super::encode;
use crate::error::{DecodeError, DecodeRule, EncodeError};
use crate::property::{Place, Properties, PropertySet};
use crate::qos::QoS;
use crate::sink::Sink;
use crate::text;
use crate::topic::{TopicError, TopicName};

/// The message that the server publishes when the client is gone. [MQTT-3.1.2-9]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Will<'a> {
    /// The QoS of the message. [MQTT-3.1.2-12]
    pub qos: QoS,
    /// Whether the message is retained.
    pub retain: bool,
    /// Will Delay Interval, and what the message itself will have.
    pub properties: Properties<'a>,
    /// The topic of the message.
    pub topic: TopicName<'a>,
    /// The payload of the message, at most 65,535 bytes here.
    pub payload: &'a [u8],
}

impl<'a> Will<'a> {
    /// The Will in the connect flags: Will Flag, Will QoS and Will Retain.
    pub(super) const fn flags(&self) -> u8 {
        FLAG | (self.qos as u8) << QOS_SHIFT | if self.retain { RETAIN } else { 0 }
    }

    /// Checks the three fields of a Will, and returns which properties it has.
    pub(super) fn check(reader: &mut Reader<'a>) -> Result<PropertySet, DecodeError> {
        let properties = Properties::read(reader, Place::Will)?;
        // [MQTT-4.7.3-1]
        // [MQTT-3.1.3-11]
        if reader.topic()?.is_empty() {
            return Err(reader.fault(DecodeRule::TopicName(TopicError::Empty)));
        }
        reader.prefixed()?;
        Ok(properties.present())
    }

    /// Reads a Will that was checked.
    pub(super) fn read(bytes: &'a [u8], flags: u8, present: PropertySet) -> Option<Self> {
        let (len, rest) = crate::varint::read(bytes).ok()?;
        let (properties, rest) = rest.split_at_checked(len as usize)?;
        let (topic, rest) = crate::property::split_prefixed(rest)?;
        let (payload, _) = crate::property::split_prefixed(rest)?;
        Some(Self {
            qos: QoS::from_bits(flags >> QOS_SHIFT)?,
            retain: flags & RETAIN != 0,
            properties: Properties::from_checked(properties, present),
            topic: TopicName::from_checked(topic),
            payload,
        })
    }

    /// Checks what the types do not say.
    pub(super) fn check_outgoing(&self) -> Result<(), EncodeError> {
        encode::check_properties(self.properties, Place::Will)?;
        text::check_outgoing_binary(self.payload)
    }

    /// Writes the three fields in their order. [MQTT-3.1.3-1]
    pub(super) fn write(&self, out: &mut impl Sink) {
        encode::properties(out, self.properties, PropertySet::EMPTY);
        out.prefixed(self.topic.as_bytes());
        out.prefixed(self.payload);
    }
}

/// The Will Flag among the connect flags.
pub(super) const FLAG: u8 = 0b0000_0100;
/// The Will Retain flag.
pub(super) const RETAIN: u8 = 0b0010_0000;
/// Where the two bits of the Will QoS begin.
pub(super) const QOS_SHIFT: u8 = 3;
/// The two bits of the Will QoS.
pub(super) const QOS: u8 = 0b11 << QOS_SHIFT;

/// Checks what the connect flags say of the Will.
#[inline(always)]
pub(super) fn check_flags(flags: u8) -> Result<(), DecodeRule> {
    if flags & FLAG == 0 {
        // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
        if flags & (QOS | RETAIN) != 0 {
            return Err(DecodeRule::WillFlagsWithoutWill);
        }
    } else if flags & QOS == QOS {
        // [MQTT-3.1.2-12] [MQTT5-U-3.1.2.6-1]
        return Err(DecodeRule::WillQos);
    }
    Ok(())
}

/// Shows how long the payload is, and not what it is.
impl fmt::Debug for Will<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Will")
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties)
            .field("topic", &self.topic)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .finish()
    }
}
