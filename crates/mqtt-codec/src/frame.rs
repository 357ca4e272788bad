//! The fixed header: type, flags and size of a packet, judged before its body is looked at or
//! waited for.

use crate::error::{DecodeError, DecodeRule};
use crate::packet::{self, Packet, PacketType, PubAck, Publish};
use crate::varint;

/// The largest packet that the format allows: five bytes of fixed header and 268,435,455 behind.
pub(crate) const LARGEST: u32 = varint::MAX + 5;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolVersion {
    /// MQTT 5.0.
    #[default]
    V5,
}

/// What a receiver accepts.
///
/// ```
/// use mqtt_codec::{DecodeRule, Limits, decode};
///
/// let limits = Limits::new().max_packet_size(1_000);
/// // A PUBLISH of 16 KiB is refused by its fixed header, without its body.
/// let error = decode(&[0x30, 0x80, 0x80, 0x01], &limits).unwrap_err();
/// assert_eq!(error.rule(), DecodeRule::PacketTooLarge { size: 16_388, limit: 1_000 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    max_packet_size: u32,
    version: ProtocolVersion,
}

impl Limits {
    /// No limit but that of the format, 268,435,460 bytes a packet; version 5.
    #[must_use]
    pub const fn new() -> Self {
        Self { max_packet_size: LARGEST, version: ProtocolVersion::V5 }
    }

    /// Sets the Maximum Packet Size: the largest packet accepted, in bytes, fixed header included.
    #[must_use]
    pub const fn max_packet_size(mut self, bytes: u32) -> Self {
        self.max_packet_size = bytes;
        self
    }

    /// The version that packets are read by.
    #[must_use]
    pub const fn version(&self) -> ProtocolVersion {
        self.version
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// What bytes turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// The beginning of a packet. This is not an error: come again with more bytes behind these.
    NeedMore(Need),
    /// A packet, and how many bytes of the input it takes.
    Packet(Packet<'a>, usize),
}

/// What is known of a packet that is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Need {
    packet_len: Option<u32>,
}

impl Need {
    /// The size of the whole packet in bytes, once the fixed header is complete.
    ///
    /// It is within the limits: a larger packet has been refused. Still it is what a peer
    /// announces and not what it has sent, so reserve memory for what arrives and not for this.
    #[inline]
    #[must_use]
    pub const fn packet_len(self) -> Option<usize> {
        match self.packet_len {
            Some(len) => Some(len as usize),
            None => None,
        }
    }
}

/// Decodes the packet that the input begins with.
///
/// Type, flags and size are judged as soon as they are there, with at most five bytes. The input
/// may go on behind the packet; [`Decoded::Packet`] says where.
///
/// # Errors
///
/// The first rule that the bytes break, with the reason code that answers it. The connection has
/// to be closed then [MQTT-4.13.1-1]: where the next packet begins is not known.
///
/// ```
/// use mqtt_codec::{Decoded, Limits, Packet, decode};
///
/// let input = [0xC0, 0x00, 0xD0];
/// assert_eq!(decode(&input, &Limits::new())?, Decoded::Packet(Packet::PingReq, 2));
/// assert!(matches!(decode(&input[2..], &Limits::new())?, Decoded::NeedMore(_)));
/// # Ok::<(), mqtt_codec::DecodeError>(())
/// ```
#[inline(always)]
pub fn decode<'a>(input: &'a [u8], limits: &Limits) -> Result<Decoded<'a>, DecodeError> {
    match short(input, limits) {
        Some((packet_type, first, body, len)) => packet::decode(packet_type, first, body, len),
        None => decode_any(input, limits),
    }
}

/// Decodes the PUBLISH that the input begins with, and says how many bytes of the input it takes.
///
/// This is for who receives messages more than anything else, and says nothing of what is not a
/// complete, faultless and short PUBLISH: ask [`decode`] then. Short are less than 128 bytes behind
/// the fixed header.
///
/// ```
/// use mqtt_codec::{Limits, decode_publish};
///
/// let (publish, len) = decode_publish(b"\x30\x07\x00\x03a/b\x00!", &Limits::new()).unwrap();
/// assert_eq!((publish.payload, len), (&b"!"[..], 9));
/// assert_eq!(decode_publish(b"\x30\x07\x00", &Limits::new()), None);
/// assert_eq!(decode_publish(b"\xC0\x00", &Limits::new()), None);
/// ```
#[inline(always)]
#[must_use]
pub fn decode_publish<'a>(input: &'a [u8], limits: &Limits) -> Option<(Publish<'a>, usize)> {
    let (packet_type, first, body, len) = short(input, limits)?;
    Some((packet::decode_publish(packet_type, first, body, len)?, len))
}

/// Decodes the PUBACK that the input begins with, and says how many bytes of the input it takes.
///
/// This is for who mostly hears that its messages came, and says nothing of what is not a complete,
/// faultless PUBACK without properties: ask [`decode`] then.
///
/// ```
/// use mqtt_codec::{Limits, PubAckReason, decode_puback};
///
/// let (puback, len) = decode_puback(b"\x40\x03\x00\x01\x10", &Limits::new()).unwrap();
/// assert_eq!((puback.reason, len), (PubAckReason::NoMatchingSubscribers, 5));
/// assert_eq!(decode_puback(b"\x40\x02\x00\x00", &Limits::new()), None, "no identifier");
/// ```
#[inline(always)]
#[must_use]
pub fn decode_puback<'a>(input: &'a [u8], limits: &Limits) -> Option<(PubAck<'a>, usize)> {
    let (packet_type, _, body, len) = short(input, limits)?;
    if packet_type == PacketType::PubAck { Some((PubAck::short(body)?, len)) } else { None }
}

/// The type, the first byte, the body and the size of a short packet that is complete.
// Most packets are. They are sorted out here with what fits into registers; all others, and all
// faults, go the long way.
#[inline(always)]
fn short<'a>(input: &'a [u8], limits: &Limits) -> Option<(PacketType, u8, &'a [u8], usize)> {
    let [first, remaining @ 0..0x80, ..] = input else { return None };
    let packet_type = packet_type(*first)?;
    let packet_len = 2 + u32::from(*remaining);
    if packet_len > limits.max_packet_size {
        return None;
    }
    let body = input.get(2..packet_len as usize)?;
    Some((packet_type, *first, body, packet_len as usize))
}

/// Decodes a packet of any size, complete or not.
#[inline(never)]
fn decode_any<'a>(input: &'a [u8], limits: &Limits) -> Result<Decoded<'a>, DecodeError> {
    let Some(header) = FixedHeader::read(input, limits)? else {
        return Ok(Decoded::NeedMore(Need { packet_len: None }));
    };
    match input.get(header.len..header.packet_len) {
        Some(body) => packet::decode(header.packet_type, header.first, body, header.packet_len),
        None => Ok(Decoded::NeedMore(Need { packet_len: Some(header.packet_len as u32) })),
    }
}

/// A fixed header that may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FixedHeader {
    pub(crate) packet_type: PacketType,
    pub(crate) first: u8,
    /// Bytes of the fixed header.
    pub(crate) len: usize,
    /// Bytes of the whole packet.
    pub(crate) packet_len: usize,
}

impl FixedHeader {
    /// Reads and judges a fixed header; `None` if it is not complete and nothing is wrong yet.
    pub(crate) fn read(input: &[u8], limits: &Limits) -> Result<Option<Self>, DecodeError> {
        let Some((&first, behind)) = input.split_first() else {
            return Ok(None);
        };
        let Some(packet_type) = packet_type(first) else {
            return Err(first_byte_fault(first));
        };
        let (remaining, rest) = match varint::read(behind) {
            Ok(read) => read,
            Err(varint::Fault::Incomplete) => return Ok(None),
            Err(fault) => return Err(length_fault(packet_type, fault)),
        };
        let len = input.len() - rest.len();
        // At most five bytes and 28 bits, so this cannot overflow.
        let size = remaining + len as u32;
        if size > limits.max_packet_size {
            let limit = limits.max_packet_size;
            return Err(DecodeError::new(
                DecodeRule::PacketTooLarge { size, limit },
                Some(packet_type),
                1,
            ));
        }
        if remaining != 0 && matches!(packet_type, PacketType::PingReq | PacketType::PingResp) {
            return Err(DecodeError::new(DecodeRule::BodyNotEmpty, Some(packet_type), 1));
        }
        Ok(Some(Self { packet_type, first, len, packet_len: size as usize }))
    }
}

/// The types that first bytes name, by the byte; `None` if the flags are not those of the type.
/// [MQTT-2.1.3-1] [MQTT5-U-2.1.3-1]
static TYPES: [Option<PacketType>; 256] = {
    let mut types = [None; 256];
    let mut rest: &mut [Option<PacketType>] = &mut types;
    let mut first = 0;
    while let [slot, behind @ ..] = rest {
        *slot = match first {
            0x10 => Some(PacketType::Connect),
            0x20 => Some(PacketType::ConnAck),
            // RETAIN may be set; DUP only with QoS 1 and 2, and there is no QoS 3. [MQTT-3.3.1-2]
            // [MQTT-3.3.1-4] [MQTT5-U-3.3.1.2-1]
            0x30..=0x35 | 0x3A..=0x3D => Some(PacketType::Publish),
            0x40 => Some(PacketType::PubAck),
            0x50 => Some(PacketType::PubRec),
            // [MQTT-3.6.1-1]
            0x62 => Some(PacketType::PubRel),
            0x70 => Some(PacketType::PubComp),
            // [MQTT-3.8.1-1]
            0x82 => Some(PacketType::Subscribe),
            0x90 => Some(PacketType::SubAck),
            // [MQTT-3.10.1-1]
            0xA2 => Some(PacketType::Unsubscribe),
            0xB0 => Some(PacketType::UnsubAck),
            0xC0 => Some(PacketType::PingReq),
            0xD0 => Some(PacketType::PingResp),
            // [MQTT-3.14.1-1]
            0xE0 => Some(PacketType::Disconnect),
            // [MQTT-3.15.1-1]
            0xF0 => Some(PacketType::Auth),
            _ => None,
        };
        first += 1;
        rest = behind;
    }
    types
};

/// The type that a first byte names, if the flags are those of the type.
#[inline(always)]
fn packet_type(first: u8) -> Option<PacketType> {
    TYPES.get(usize::from(first)).copied().flatten()
}

/// What is wrong with a first byte.
#[cold]
#[inline(never)]
fn first_byte_fault(first: u8) -> DecodeError {
    let packet_type = PacketType::from_number(first >> 4);
    let rule = match packet_type {
        None => DecodeRule::ReservedPacketType,
        Some(PacketType::Publish) if first & 0b0110 == 0b0110 => DecodeRule::PublishQos,
        Some(PacketType::Publish) => DecodeRule::DupWithQos0,
        Some(_) => DecodeRule::FixedHeaderFlags,
    };
    DecodeError::new(rule, packet_type, 0)
}

/// What is wrong with a Remaining Length. [MQTT-1.5.5-1]
#[cold]
#[inline(never)]
fn length_fault(packet_type: PacketType, fault: varint::Fault) -> DecodeError {
    let (rule, at) = match fault {
        varint::Fault::NotMinimal(at) => (DecodeRule::VariableByteIntegerNotMinimal, at),
        varint::Fault::TooLong | varint::Fault::Incomplete => {
            (DecodeRule::VariableByteIntegerTooLong, 3)
        }
    };
    DecodeError::new(rule, Some(packet_type), 1 + at)
}

#[cfg(test)]
mod tests;
