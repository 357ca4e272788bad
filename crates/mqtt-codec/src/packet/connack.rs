//! CONNACK.

use alloc::vec::Vec;

use super::encode::{self, Body};
use super::{PacketType, Reader, ack};
use crate::error::{DecodeError, DecodeRule, EncodeError};
use crate::property::{Properties, PropertySet};
use crate::reason::ConnectReason;
use crate::sink::Sink;

/// The answer of a server to CONNECT.
///
/// ```
/// use mqtt_codec::{ConnAck, ConnectReason, PropertyBuf};
///
/// let mut properties = PropertyBuf::new();
/// properties.topic_alias_maximum(16);
/// let connack = ConnAck {
///     session_present: true,
///     reason: ConnectReason::Success,
///     properties: properties.as_properties(),
/// };
/// let mut bytes = Vec::new();
/// connack.encode(&mut bytes, u32::MAX)?;
/// assert_eq!(bytes, [0x20, 0x06, 0x01, 0x00, 0x03, 0x22, 0x00, 0x10]);
/// # Ok::<(), mqtt_codec::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the server goes on with a session that it had. Never beside a refusal.
    /// [MQTT-3.2.2-6]
    pub session_present: bool,
    /// Whether the client is accepted. [MQTT-3.2.2-8]
    pub reason: ConnectReason,
    /// What the server sets and supports.
    pub properties: Properties<'a>,
}

impl<'a> ConnAck<'a> {
    pub(super) fn decode(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let flags = reader.u8()?;
        // [MQTT-3.2.2-1]
        if flags > 1 {
            return Err(reader.fault_before(1, DecodeRule::ConnAckFlagsReserved));
        }
        let session_present = flags == 1;
        let reason = ack::reason(&mut reader)?;
        // [MQTT-3.2.2-6]
        if session_present && reason != ConnectReason::Success {
            return Err(reader.fault_before(2, DecodeRule::SessionPresentInRefusal));
        }
        let properties = Properties::read(&mut reader, PacketType::ConnAck.into())?;
        reader.finish()?;
        Ok(Self { session_present, reason, properties })
    }

    /// Appends the packet.
    ///
    /// Where the packet would be larger than `max_packet_size`, the Reason String and then the User
    /// Properties are left out. [MQTT-3.2.2-19] [MQTT-3.2.2-20]
    ///
    /// # Errors
    ///
    /// [`EncodeError::SessionPresentInRefusal`], [`EncodeError::TooLarge`] or
    /// [`EncodeError::PropertyNotAllowed`]; `out` is unchanged then.
    #[inline(never)]
    pub fn encode(&self, out: &mut Vec<u8>, max_packet_size: u32) -> Result<(), EncodeError> {
        // [MQTT-3.2.2-6]
        if self.session_present && self.reason != ConnectReason::Success {
            return Err(EncodeError::SessionPresentInRefusal);
        }
        encode::check_properties(self.properties, PacketType::ConnAck.into())?;
        encode::packet(self, out, max_packet_size)
    }
}

impl Body for ConnAck<'_> {
    fn first_byte(&self) -> u8 {
        0x20
    }

    fn write<S: Sink>(&self, out: &mut S, omitted: PropertySet) {
        out.array([u8::from(self.session_present), self.reason.into()]);
        encode::properties(out, self.properties, omitted);
    }

    fn shrinkable(&self) -> Properties<'_> {
        self.properties
    }
}
