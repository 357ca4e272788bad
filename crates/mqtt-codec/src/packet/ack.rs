//! PUBACK, PUBREC, PUBREL and PUBCOMP: four packets of one form.

use alloc::vec::Vec;

use super::encode::{self, Body};
use super::{PacketType, Reader, whole};
use crate::error::{DecodeError, DecodeRule, EncodeError};
use crate::frame::Decoded;
use crate::ids::PacketId;
use crate::property::{Properties, PropertySet};
use crate::reason::{InvalidReasonCode, PubAckReason, PubRelReason};
use crate::sink::Sink;

/// The answer to a PUBLISH of QoS 1.
///
/// ```
/// use mqtt_codec::{PacketId, Properties, PubAck, PubAckReason};
///
/// let ack = PubAck {
///     packet_id: PacketId::MIN,
///     reason: PubAckReason::Success,
///     properties: Properties::EMPTY,
/// };
/// let mut bytes = Vec::new();
/// ack.encode(&mut bytes, u32::MAX)?;
/// assert_eq!(bytes, [0x40, 0x02, 0x00, 0x01]);
/// # Ok::<(), mqtt_codec::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PubAck<'a> {
    /// The identifier of the PUBLISH. [MQTT-2.2.1-5]
    pub packet_id: PacketId,
    /// What became of the message. [MQTT-3.4.2-1]
    pub reason: PubAckReason,
    /// Reason String and User Properties.
    pub properties: Properties<'a>,
}

/// The answer to a PUBLISH of QoS 2, step one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PubRec<'a> {
    /// The identifier of the PUBLISH. [MQTT-2.2.1-5]
    pub packet_id: PacketId,
    /// What became of the message; the list is that of PUBACK. [MQTT-3.5.2-1]
    pub reason: PubAckReason,
    /// Reason String and User Properties.
    pub properties: Properties<'a>,
}

/// Step two of QoS 2: the answer to PUBREC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PubRel<'a> {
    /// The identifier of the PUBLISH. [MQTT-2.2.1-5]
    pub packet_id: PacketId,
    /// Whether the identifier was known. [MQTT-3.6.2-1]
    pub reason: PubRelReason,
    /// Reason String and User Properties.
    pub properties: Properties<'a>,
}

/// Step three of QoS 2: the answer to PUBREL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PubComp<'a> {
    /// The identifier of the PUBLISH. [MQTT-2.2.1-5]
    pub packet_id: PacketId,
    /// Whether the identifier was known; the list is that of PUBREL. [MQTT-3.7.2-1]
    pub reason: PubRelReason,
    /// Reason String and User Properties.
    pub properties: Properties<'a>,
}

/// Reads the three fields that the four packets have.
#[cold]
#[inline(never)]
fn decode<'a, R>(
    mut reader: Reader<'a>,
    success: R,
) -> Result<(PacketId, R, Properties<'a>), DecodeError>
where
    R: TryFrom<u8, Error = InvalidReasonCode>,
{
    let packet_id = reader.packet_id()?;
    if reader.is_empty() {
        return Ok((packet_id, success, Properties::EMPTY));
    }
    let (reason, properties) = reason_and_properties(&mut reader)?;
    reader.finish()?;
    Ok((packet_id, reason, properties))
}

/// Reads a reason code and, if anything is behind it, properties.
#[inline(always)]
pub(super) fn reason_and_properties<'a, R>(
    reader: &mut Reader<'a>,
) -> Result<(R, Properties<'a>), DecodeError>
where
    R: TryFrom<u8, Error = InvalidReasonCode>,
{
    let reason = reason(reader)?;
    if reader.is_empty() {
        return Ok((reason, Properties::EMPTY));
    }
    let place = reader.packet_type().into();
    Ok((reason, Properties::read(reader, place)?))
}

/// Reads a reason code that the packet may carry.
#[inline(always)]
pub(super) fn reason<R>(reader: &mut Reader<'_>) -> Result<R, DecodeError>
where
    R: TryFrom<u8, Error = InvalidReasonCode>,
{
    R::try_from(reader.u8()?)
        .map_err(|error| reader.fault_before(1, DecodeRule::ReasonCode { code: error.code }))
}

/// The four packets on their way out.
struct Ack<'a> {
    first_byte: u8,
    packet_id: PacketId,
    reason: u8,
    properties: Properties<'a>,
}

impl Ack<'_> {
    #[inline(never)]
    fn encode(&self, out: &mut Vec<u8>, max_packet_size: u32) -> Result<(), EncodeError> {
        encode::packet(self, out, max_packet_size)
    }
}

impl Body for Ack<'_> {
    #[inline]
    fn first_byte(&self) -> u8 {
        self.first_byte
    }

    #[inline]
    fn write<S: Sink>(&self, out: &mut S, omitted: PropertySet) {
        out.u16(self.packet_id.get());
        encode::reason_and_properties(out, self.reason, self.properties, omitted);
    }

    #[inline]
    fn shrinkable(&self) -> Properties<'_> {
        self.properties
    }
}

/// Writes `decode` and `encode` of one of the four packets, which differ in their constants alone.
macro_rules! ack {
    ($packet:ident, $reason:ident, $first_byte:literal) => {
        impl<'a> $packet<'a> {
            /// Decodes a body without properties: a Packet Identifier, and perhaps a reason. `None`
            /// stands for every other body.
            #[inline(always)]
            pub(crate) fn short(body: &[u8]) -> Option<Self> {
                let (packet_id, reason) = match *body {
                    [high, low] => ([high, low], $reason::Success),
                    [high, low, code] => ([high, low], $reason::try_from(code).ok()?),
                    _ => return None,
                };
                let packet_id = PacketId::new(u16::from_be_bytes(packet_id))?;
                Some(Self { packet_id, reason, properties: Properties::EMPTY })
            }

            /// Decodes a body, which is mostly a short one.
            #[inline(never)]
            pub(super) fn packet(body: &'a [u8], len: usize) -> Result<Decoded<'a>, DecodeError> {
                match Self::short(body) {
                    Some(packet) => Ok(Decoded::Packet(packet.into(), len)),
                    None => whole(body, len, PacketType::$packet, Self::decode),
                }
            }

            fn decode(reader: Reader<'a>) -> Result<Self, DecodeError> {
                let (packet_id, reason, properties) = decode(reader, $reason::Success)?;
                Ok(Self { packet_id, reason, properties })
            }

            /// Appends the packet: four bytes for Success without properties, five for another
            /// reason without properties.
            ///
            /// Where the packet would be larger than `max_packet_size`, the Reason String and then
            /// the User Properties are left out.
            ///
            /// # Errors
            ///
            /// [`EncodeError::TooLarge`] or [`EncodeError::PropertyNotAllowed`]; `out` is
            /// unchanged then.
            #[inline(always)]
            pub fn encode(
                &self,
                out: &mut Vec<u8>,
                max_packet_size: u32,
            ) -> Result<(), EncodeError> {
                // Most acknowledgements are these four bytes, or these five: the same bytes as
                // below in fewer steps.
                if self.properties.is_empty() && max_packet_size >= 5 {
                    let [high, low] = self.packet_id.get().to_be_bytes();
                    match self.reason {
                        $reason::Success => out.array([$first_byte, 2, high, low]),
                        reason => out.array([$first_byte, 3, high, low, reason.into()]),
                    }
                    return Ok(());
                }
                self.encode_long(out, max_packet_size)
            }

            #[cold]
            #[inline(never)]
            fn encode_long(
                self,
                out: &mut Vec<u8>,
                max_packet_size: u32,
            ) -> Result<(), EncodeError> {
                encode::check_properties(self.properties, PacketType::$packet.into())?;
                let ack = Ack {
                    first_byte: $first_byte,
                    packet_id: self.packet_id,
                    reason: self.reason.into(),
                    properties: self.properties,
                };
                ack.encode(out, max_packet_size)
            }
        }
    };
}
ack!(PubAck, PubAckReason, 0x40);
ack!(PubRec, PubAckReason, 0x50);
// [MQTT-3.6.1-1]
ack!(PubRel, PubRelReason, 0x62);
ack!(PubComp, PubRelReason, 0x70);
