//! SUBSCRIBE.

use alloc::vec::Vec;
use core::fmt;

use super::encode::{self, Body};
use super::filters::Payload;
use super::{PacketType, Reader};
use crate::error::{DecodeError, DecodeRule, EncodeError};
use crate::ids::PacketId;
use crate::property::{Properties, PropertySet};
use crate::qos::QoS;
use crate::sink::Sink;
use crate::topic::TopicFilter;

/// A client subscribes.
///
/// ```
/// use mqtt_codec::{
///     PacketId, Properties, QoS, Subscribe, SubscriptionOptions, TopicFilter,
/// };
///
/// let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
/// let filters = [(TopicFilter::new("a/+")?, options)];
/// let subscribe = Subscribe::new(PacketId::MIN, Properties::EMPTY, &filters)?;
///
/// let mut bytes = Vec::new();
/// subscribe.encode(&mut bytes, u32::MAX)?;
/// assert_eq!(bytes, b"\x82\x09\x00\x01\x00\x00\x03a/+\x01");
/// # Ok::<(), mqtt_codec::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Subscribe<'a> {
    /// The identifier that SUBACK will repeat. [MQTT-2.2.1-6]
    pub packet_id: PacketId,
    /// Subscription Identifier and User Properties.
    pub properties: Properties<'a>,
    filters: Subscriptions<'a>,
}

/// How a subscription wants its messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SubscriptionOptions {
    /// The highest QoS that messages are sent with.
    pub qos: QoS,
    /// Whether messages of the same client are kept back. [MQTT-3.8.3-3]
    pub no_local: bool,
    /// Whether RETAIN stays as it was published. [MQTT-3.3.1-12] [MQTT-3.3.1-13]
    pub retain_as_published: bool,
    /// Whether retained messages are sent on subscribing.
    pub retain_handling: RetainHandling,
}

/// Whether retained messages are sent on subscribing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum RetainHandling {
    /// They are sent. [MQTT-3.3.1-9]
    #[default]
    SendAlways = 0,
    /// They are sent if the subscription did not exist before. [MQTT-3.3.1-10]
    SendIfNew = 1,
    /// They are not sent. [MQTT-3.3.1-11]
    DoNotSend = 2,
}

const NO_LOCAL: u8 = 0b0000_0100;
const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
const RETAIN_HANDLING_SHIFT: u8 = 4;
const RESERVED: u8 = 0b1100_0000;

impl SubscriptionOptions {
    #[inline(always)]
    fn parse(byte: u8) -> Result<Self, DecodeRule> {
        // [MQTT-3.8.3-5]
        if byte & RESERVED != 0 {
            return Err(DecodeRule::SubscriptionOptionsReserved);
        }
        // [MQTT5-U-3.8.3.1-1]
        let qos = QoS::from_bits(byte).ok_or(DecodeRule::SubscriptionQos)?;
        let retain_handling = match byte >> RETAIN_HANDLING_SHIFT {
            0 => RetainHandling::SendAlways,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeRule::RetainHandling),
        };
        Ok(Self {
            qos,
            no_local: byte & NO_LOCAL != 0,
            retain_as_published: byte & RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        })
    }
}

/// A byte that is no Subscription Options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("0x{0:02X} is not a byte of Subscription Options")]
pub struct InvalidSubscriptionOptions(
    /// The byte as it was given.
    pub u8,
);

impl TryFrom<u8> for SubscriptionOptions {
    type Error = InvalidSubscriptionOptions;

    fn try_from(byte: u8) -> Result<Self, Self::Error> {
        Self::parse(byte).map_err(|_| InvalidSubscriptionOptions(byte))
    }
}

impl From<SubscriptionOptions> for u8 {
    #[inline]
    fn from(options: SubscriptionOptions) -> Self {
        options.qos as Self
            | if options.no_local { NO_LOCAL } else { 0 }
            | if options.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 }
            | (options.retain_handling as Self) << RETAIN_HANDLING_SHIFT
    }
}

impl<'a> Subscribe<'a> {
    /// A SUBSCRIBE for these filters.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NoTopicFilter`] without filters [MQTT-3.8.3-2], and
    /// [`EncodeError::NoLocalOnSharedSubscription`] [MQTT-3.8.3-4].
    pub fn new(
        packet_id: PacketId,
        properties: Properties<'a>,
        filters: &'a [(TopicFilter<'a>, SubscriptionOptions)],
    ) -> Result<Self, EncodeError> {
        if filters.is_empty() {
            return Err(EncodeError::NoTopicFilter);
        }
        if filters.iter().any(|(filter, options)| options.no_local && filter.is_shared()) {
            return Err(EncodeError::NoLocalOnSharedSubscription);
        }
        Ok(Self { packet_id, properties, filters: Subscriptions(Source::List(filters)) })
    }

    /// The filters with their options, in their order.
    #[inline]
    #[must_use]
    pub const fn filters(&self) -> Subscriptions<'a> {
        self.filters
    }

    /// How many filters there are; at least one. For a packet that came in, this walks over them.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.filters.0 {
            Source::List(list) => list.len(),
            Source::Payload(_) => self.filters.count(),
        }
    }

    /// Whether there is no filter, which is never so. [MQTT-3.8.3-2]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    pub(super) fn decode(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = Properties::read(&mut reader, PacketType::Subscribe.into())?;
        // [MQTT-3.8.3-2] [MQTT5-U-3.8.3-1]
        if reader.is_empty() {
            return Err(reader.fault(DecodeRule::NoTopicFilter));
        }
        let payload = Payload::new(reader.rest());
        while !reader.is_empty() {
            let filter = payload.read(&mut reader)?;
            let options = match SubscriptionOptions::parse(reader.u8()?) {
                Ok(options) => options,
                Err(rule) => return Err(reader.fault_before(1, rule)),
            };
            // [MQTT-3.8.3-4]
            if options.no_local && filter.is_shared() {
                return Err(reader.fault_before(1, DecodeRule::NoLocalOnSharedSubscription));
            }
        }
        Ok(Self { packet_id, properties, filters: Subscriptions(Source::Payload(payload)) })
    }

    /// Appends the packet. A SUBSCRIBE is never cut down.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`], [`EncodeError::PropertyNotAllowed`] or
    /// [`EncodeError::DuplicateProperty`] for a second Subscription Identifier; `out` is unchanged
    /// then.
    #[inline(never)]
    pub fn encode(&self, out: &mut Vec<u8>, max_packet_size: u32) -> Result<(), EncodeError> {
        encode::check_properties(self.properties, PacketType::Subscribe.into())?;
        encode::packet(self, out, max_packet_size)
    }
}

impl Body for Subscribe<'_> {
    fn first_byte(&self) -> u8 {
        // [MQTT-3.8.1-1]
        0x82
    }

    fn write<S: Sink>(&self, out: &mut S, omitted: PropertySet) {
        out.u16(self.packet_id.get());
        encode::properties(out, self.properties, omitted);
        match self.filters.0 {
            Source::Payload(payload) => out.bytes(payload.as_bytes()),
            Source::List(list) => {
                for (filter, options) in list {
                    out.prefixed(filter.as_str().as_bytes());
                    out.array([(*options).into()]);
                }
            }
        }
    }
}

impl PartialEq for Subscribe<'_> {
    /// Whether the two say the same, be it as they came in or as they are being built.
    fn eq(&self, other: &Self) -> bool {
        self.packet_id == other.packet_id
            && self.properties == other.properties
            && self.filters.eq(other.filters)
    }
}

impl Eq for Subscribe<'_> {}

/// The Topic Filters of a SUBSCRIBE with their options, in their order. Made by
/// [`Subscribe::filters`].
#[derive(Clone, Copy)]
pub struct Subscriptions<'a>(Source<'a>);

/// Where the filters come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// A packet that came in.
    Payload(Payload<'a>),
    /// A packet that is being built.
    List(&'a [(TopicFilter<'a>, SubscriptionOptions)]),
}

impl<'a> Iterator for Subscriptions<'a> {
    type Item = (TopicFilter<'a>, SubscriptionOptions);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Payload(payload) => {
                let (filter, options) = payload.next(1)?;
                Some((filter, SubscriptionOptions::parse(*options.first()?).ok()?))
            }
            Source::List(list) => {
                let (first, rest) = list.split_first()?;
                *list = rest;
                Some(*first)
            }
        }
    }
}

impl core::iter::FusedIterator for Subscriptions<'_> {}

impl fmt::Debug for Subscriptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}
