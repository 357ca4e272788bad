//! DISCONNECT.

use alloc::vec::Vec;

use super::encode::{self, Body};
use super::{PacketType, Reader, ack};
use crate::error::{DecodeError, EncodeError};
use crate::property::{Properties, PropertySet};
use crate::reason::DisconnectReason;
use crate::sink::Sink;

/// One side ends the connection; nothing comes behind it. [MQTT-3.14.4-1]
///
/// ```
/// use mqtt_codec::{Disconnect, DisconnectReason, Properties};
///
/// let disconnect = Disconnect {
///     reason: DisconnectReason::ServerShuttingDown,
///     properties: Properties::EMPTY,
/// };
/// let mut bytes = Vec::new();
/// disconnect.encode(&mut bytes, u32::MAX)?;
/// assert_eq!(bytes, [0xE0, 0x01, 0x8B]);
/// # Ok::<(), mqtt_codec::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why. [MQTT-3.14.2-1]
    pub reason: DisconnectReason,
    /// Session Expiry Interval (from a client), Server Reference (from a server), Reason String and
    /// User Properties. [MQTT-3.14.2-2]
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    pub(super) fn decode(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        if reader.is_empty() {
            let reason = DisconnectReason::NormalDisconnection;
            return Ok(Self { reason, properties: Properties::EMPTY });
        }
        let (reason, properties) = ack::reason_and_properties(&mut reader)?;
        reader.finish()?;
        Ok(Self { reason, properties })
    }

    /// Appends the packet: two bytes for a normal disconnection without properties, three for
    /// another reason without properties.
    ///
    /// Where the packet would be larger than `max_packet_size`, the Reason String and then the User
    /// Properties are left out.
    ///
    /// # Errors
    ///
    /// [`EncodeError::ReasonNotSent`] for [`DisconnectReason::BadAuthenticationMethod`],
    /// [`EncodeError::TooLarge`] or [`EncodeError::PropertyNotAllowed`]; `out` is unchanged then.
    #[inline(never)]
    pub fn encode(&self, out: &mut Vec<u8>, max_packet_size: u32) -> Result<(), EncodeError> {
        // The normative list of the standard does not have it. [MQTT-3.14.2-1]
        if self.reason == DisconnectReason::BadAuthenticationMethod {
            return Err(EncodeError::ReasonNotSent {
                reason: self.reason.into(),
                packet_type: PacketType::Disconnect,
            });
        }
        encode::check_properties(self.properties, PacketType::Disconnect.into())?;
        encode::packet(self, out, max_packet_size)
    }
}

impl Body for Disconnect<'_> {
    fn first_byte(&self) -> u8 {
        0xE0
    }

    fn write<S: Sink>(&self, out: &mut S, omitted: PropertySet) {
        encode::reason_and_properties(out, self.reason.into(), self.properties, omitted);
    }

    fn shrinkable(&self) -> Properties<'_> {
        self.properties
    }
}
