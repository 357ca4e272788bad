//! What encoding is for every packet: check, count, reserve once, write.

use alloc::vec::Vec;

use crate::error::EncodeError;
use crate::frame::LARGEST;
use crate::property::{Place, Properties, PropertyId, PropertySet};
use crate::sink::{Counter, Sink};
use crate::varint;

/// Nothing is left out.
const NOTHING: PropertySet = PropertySet::EMPTY;
/// What goes first when a packet is too large.
const REASON_STRING: PropertySet = PropertySet::EMPTY.with(PropertyId::ReasonString);
/// What goes next.
const REASON_STRING_AND_USER: PropertySet = REASON_STRING.with(PropertyId::UserProperty);

/// A packet that can say what stands behind its fixed header.
pub(super) trait Body {
    /// Type and flags.
    fn first_byte(&self) -> u8;

    /// Writes all that stands behind the fixed header, without the properties in `omitted`.
    fn write<S: Sink>(&self, out: &mut S, omitted: PropertySet);

    /// The properties of which some may be left out to meet the receiver's Maximum Packet Size.
    fn shrinkable(&self) -> Properties<'_> {
        Properties::EMPTY
    }
}

/// Appends a packet that has been checked.
#[inline]
pub(super) fn packet(
    packet: &impl Body,
    out: &mut Vec<u8>,
    max_packet_size: u32,
) -> Result<(), EncodeError> {
    let mut omitted = NOTHING;
    let mut len = body_len(packet, omitted);
    // [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3]
    // [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2]
    // [MQTT-3.11.2-1] [MQTT-3.11.2-2] [MQTT-3.14.2-3] [MQTT-3.14.2-4] [MQTT-3.15.2-2]
    // [MQTT-3.15.2-3]
    for next in [REASON_STRING, REASON_STRING_AND_USER] {
        if packet_len(len) > u64::from(max_packet_size.min(LARGEST))
            && packet.shrinkable().present().intersects(next)
        {
            omitted = next;
            len = body_len(packet, omitted);
        }
    }
    reserve(len, 0, out, max_packet_size)?;
    fixed_header(out, packet.first_byte(), len);
    packet.write(out, omitted);
    Ok(())
}

#[inline]
fn body_len(packet: &impl Body, omitted: PropertySet) -> u64 {
    let mut counter = Counter::default();
    packet.write(&mut counter, omitted);
    counter.0
}

/// Bytes in a whole packet with a body of `len` bytes.
#[inline(always)]
fn packet_len(len: u64) -> u64 {
    // A length of more than 32 bits is refused whatever is added to it.
    1 + varint::len(u32::try_from(len).unwrap_or(u32::MAX)) as u64 + len
}

/// Checks the size of a packet with `len` bytes behind its fixed header, and reserves memory for
/// all of it but its last `later` bytes.
#[inline(always)]
pub(super) fn reserve(
    len: u64,
    later: u64,
    out: &mut Vec<u8>,
    max_packet_size: u32,
) -> Result<(), EncodeError> {
    let size = packet_len(len);
    let limit = max_packet_size.min(LARGEST);
    // [MQTT-3.1.2-24] [MQTT-3.2.2-15]
    if size > u64::from(limit) {
        return Err(EncodeError::TooLarge { size, limit });
    }
    out.reserve((size - later) as usize);
    Ok(())
}

/// Writes a fixed header, with memory reserved.
#[inline(always)]
pub(super) fn fixed_header(out: &mut Vec<u8>, first_byte: u8, len: u64) {
    out.array([first_byte]);
    out.varint(len as u32);
}

/// Appends a packet that has nothing behind its fixed header.
pub(super) fn ping(
    first_byte: u8,
    out: &mut Vec<u8>,
    max_packet_size: u32,
) -> Result<(), EncodeError> {
    reserve(0, 0, out, max_packet_size)?;
    fixed_header(out, first_byte, 0);
    Ok(())
}

/// Writes a Property Length and the properties that are not in `omitted`. [MQTT-2.2.2-1]
#[inline(always)]
pub(super) fn properties(out: &mut impl Sink, properties: Properties<'_>, omitted: PropertySet) {
    out.varint(properties_len(properties, omitted) as u32);
    properties.copy_without(omitted, out);
}

/// Bytes that the properties take which are not in `omitted`.
#[inline]
fn properties_len(properties: Properties<'_>, omitted: PropertySet) -> u64 {
    let mut counter = Counter::default();
    properties.copy_without(omitted, &mut counter);
    counter.0
}

/// Writes what PUBACK and its relatives, DISCONNECT and AUTH have in common: a reason code and
/// properties, of which what is 0 at the end is left out.
#[inline]
pub(super) fn reason_and_properties(
    out: &mut impl Sink,
    reason: u8,
    properties: Properties<'_>,
    omitted: PropertySet,
) {
    let len = properties_len(properties, omitted);
    if len == 0 {
        if reason != 0 {
            out.array([reason]);
        }
    } else {
        out.array([reason]);
        out.varint(len as u32);
        properties.copy_without(omitted, out);
    }
}

/// Checks that properties may stand where they are about to be put.
#[inline(always)]
pub(super) fn check_properties(
    properties: Properties<'_>,
    place: Place,
) -> Result<(), EncodeError> {
    let wrong = properties.present().without(place.allowed());
    if wrong == PropertySet::EMPTY { Ok(()) } else { Err(property_fault(wrong, place)) }
}

#[cold]
#[inline(never)]
fn property_fault(wrong: PropertySet, place: Place) -> EncodeError {
    match wrong.first() {
        Some(id) => EncodeError::PropertyNotAllowed { id, place },
        // All that is left is the mark of Subscription Identifiers that stand more than once.
        None => EncodeError::DuplicateProperty { id: PropertyId::SubscriptionIdentifier, place },
    }
}
