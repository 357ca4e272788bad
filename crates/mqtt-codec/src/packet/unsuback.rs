//! UNSUBACK.

use alloc::vec::Vec;

use super::encode::{self, Body};
use super::reasons::Reasons;
use super::{PacketType, Reader};
use crate::error::{DecodeError, EncodeError};
use crate::ids::PacketId;
use crate::property::{Properties, PropertySet};
use crate::reason::UnsubAckReason;
use crate::sink::Sink;

/// The answer of a server to UNSUBSCRIBE: a reason code for each filter, in the order of the filters.
/// [MQTT-3.11.3-1]
///
/// ```
/// use mqtt_codec::{PacketId, Properties, UnsubAck, UnsubAckReason};
///
/// let reasons = [UnsubAckReason::NoSubscriptionExisted, UnsubAckReason::NotAuthorized];
/// let ack = UnsubAck::new(PacketId::MIN, Properties::EMPTY, &reasons)?;
///
/// let mut bytes = Vec::new();
/// ack.encode(&mut bytes, u32::MAX)?;
/// assert_eq!(bytes, [0xB0, 0x05, 0x00, 0x01, 0x00, 0x11, 0x87]);
/// # Ok::<(), mqtt_codec::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct UnsubAck<'a> {
    /// The identifier of the UNSUBSCRIBE. [MQTT-2.2.1-6]
    pub packet_id: PacketId,
    /// Reason String and User Properties.
    pub properties: Properties<'a>,
    reasons: Reasons<'a, UnsubAckReason>,
}

impl<'a> UnsubAck<'a> {
    /// The answer with these reason codes, one for each filter of the UNSUBSCRIBE.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NoReasonCode`] without any: every UNSUBSCRIBE has a filter.
    pub fn new(
        packet_id: PacketId,
        properties: Properties<'a>,
        reasons: &'a [UnsubAckReason],
    ) -> Result<Self, EncodeError> {
        if reasons.is_empty() {
            return Err(EncodeError::NoReasonCode);
        }
        Ok(Self { packet_id, properties, reasons: Reasons::from_list(reasons) })
    }

    /// The reason codes, in the order of the filters. Whether there are as many as filters only the
    /// client knows.
    #[inline]
    #[must_use]
    pub const fn reasons(&self) -> Reasons<'a, UnsubAckReason> {
        self.reasons
    }

    pub(super) fn decode(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = Properties::read(&mut reader, PacketType::UnsubAck.into())?;
        let reasons = Reasons::read(&mut reader)?;
        Ok(Self { packet_id, properties, reasons })
    }

    /// Appends the packet.
    ///
    /// Where the packet would be larger than `max_packet_size`, the Reason String and then the User
    /// Properties are left out. [MQTT-3.11.2-1] [MQTT-3.11.2-2]
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`] or [`EncodeError::PropertyNotAllowed`]; `out` is unchanged then.
    #[inline(never)]
    pub fn encode(&self, out: &mut Vec<u8>, max_packet_size: u32) -> Result<(), EncodeError> {
        encode::check_properties(self.properties, PacketType::UnsubAck.into())?;
        encode::packet(self, out, max_packet_size)
    }
}

impl Body for UnsubAck<'_> {
    fn first_byte(&self) -> u8 {
        0xB0
    }

    fn write<S: Sink>(&self, out: &mut S, omitted: PropertySet) {
        out.u16(self.packet_id.get());
        encode::properties(out, self.properties, omitted);
        self.reasons.write(out);
    }

    fn shrinkable(&self) -> Properties<'_> {
        self.properties
    }
}

impl PartialEq for UnsubAck<'_> {
    /// Whether the two say the same, be it as they came in or as they are being built.
    fn eq(&self, other: &Self) -> bool {
        self.packet_id == other.packet_id
            && self.properties == other.properties
            && self.reasons.eq(other.reasons)
    }
}

impl Eq for UnsubAck<'_> {}
