//! UNSUBSCRIBE.

use alloc::vec::Vec;

use super::encode::{self, Body};
use super::filters::{Filters, FiltersSource, Payload};
use super::{PacketType, Reader};
use crate::error::{DecodeError, DecodeRule, EncodeError};
use crate::ids::PacketId;
use crate::property::{Properties, PropertySet};
use crate::sink::Sink;
use crate::topic::TopicFilter;

/// A client ends subscriptions.
///
/// ```
/// use mqtt_codec::{PacketId, Properties, TopicFilter, Unsubscribe};
///
/// let filters = [TopicFilter::new("a/+")?];
/// let unsubscribe = Unsubscribe::new(PacketId::MIN, Properties::EMPTY, &filters)?;
///
/// let mut bytes = Vec::new();
/// unsubscribe.encode(&mut bytes, u32::MAX)?;
/// assert_eq!(bytes, b"\xA2\x08\x00\x01\x00\x00\x03a/+");
/// # Ok::<(), mqtt_codec::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Unsubscribe<'a> {
    /// The identifier that UNSUBACK will repeat. [MQTT-2.2.1-6]
    pub packet_id: PacketId,
    /// User Properties.
    pub properties: Properties<'a>,
    filters: Filters<'a>,
}

impl<'a> Unsubscribe<'a> {
    /// An UNSUBSCRIBE for these filters.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NoTopicFilter`] without filters. [MQTT-3.10.3-2]
    pub fn new(
        packet_id: PacketId,
        properties: Properties<'a>,
        filters: &'a [TopicFilter<'a>],
    ) -> Result<Self, EncodeError> {
        if filters.is_empty() {
            return Err(EncodeError::NoTopicFilter);
        }
        Ok(Self { packet_id, properties, filters: Filters(FiltersSource::List(filters)) })
    }

    /// The filters, in their order.
    #[inline]
    #[must_use]
    pub const fn filters(&self) -> Filters<'a> {
        self.filters
    }

    /// How many filters there are; at least one. For a packet that came in, this walks over them.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.filters.0 {
            FiltersSource::List(list) => list.len(),
            FiltersSource::Payload(_) => self.filters.count(),
        }
    }

    /// Whether there is no filter, which is never so. [MQTT-3.10.3-2]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    pub(super) fn decode(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = Properties::read(&mut reader, PacketType::Unsubscribe.into())?;
        // [MQTT-3.10.3-2] [MQTT5-U-3.10.3-1]
        if reader.is_empty() {
            return Err(reader.fault(DecodeRule::NoTopicFilter));
        }
        let payload = Payload::new(reader.rest());
        while !reader.is_empty() {
            payload.read(&mut reader)?;
        }
        Ok(Self { packet_id, properties, filters: Filters(FiltersSource::Payload(payload)) })
    }

    /// Appends the packet. An UNSUBSCRIBE is never cut down.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`] or [`EncodeError::PropertyNotAllowed`]; `out` is unchanged then.
    #[inline(never)]
    pub fn encode(&self, out: &mut Vec<u8>, max_packet_size: u32) -> Result<(), EncodeError> {
        encode::check_properties(self.properties, PacketType::Unsubscribe.into())?;
        encode::packet(self, out, max_packet_size)
    }
}

impl Body for Unsubscribe<'_> {
    fn first_byte(&self) -> u8 {
        // [MQTT-3.10.1-1]
        0xA2
    }

    fn write<S: Sink>(&self, out: &mut S, omitted: PropertySet) {
        out.u16(self.packet_id.get());
        encode::properties(out, self.properties, omitted);
        match self.filters.0 {
            FiltersSource::Payload(payload) => out.bytes(payload.as_bytes()),
            FiltersSource::List(list) => {
                for filter in list {
                    out.prefixed(filter.as_str().as_bytes());
                }
            }
        }
    }
}

impl PartialEq for Unsubscribe<'_> {
    /// Whether the two say the same, be it as they came in or as they are being built.
    fn eq(&self, other: &Self) -> bool {
        self.packet_id == other.packet_id
            && self.properties == other.properties
            && self.filters().eq(other.filters())
    }
}

impl Eq for Unsubscribe<'_> {}
