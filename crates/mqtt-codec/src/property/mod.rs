//! Properties: the optional fields of MQTT 5.
//!
//! One table ([`PropertyId`] with its type, the packets that may have it, and where it may repeat)
//! drives everything here: checking what came in, finding a value, building, and forwarding.

mod buf;
mod check;
mod iter;
mod slice;
mod values;
mod wire;

use core::fmt;

pub use buf::PropertyBuf;
pub use iter::{PropertyIds, SubscriptionIds, UserProperties};
pub use slice::{PayloadFormat, Properties};
pub use values::PropertyValues;

pub(crate) use wire::{PropertySet, split_prefixed};

use crate::packet::PacketType;

/// The twenty-seven properties, with their identifiers.
///
/// ```
/// use mqtt_codec::{PacketType, PropertyId};
///
/// let id = PropertyId::try_from(0x23)?;
/// assert_eq!(id, PropertyId::TopicAlias);
/// assert_eq!(id.to_string(), "Topic Alias");
/// assert!(id.is_allowed_in(PacketType::Publish));
/// assert!(!id.is_allowed_in(PacketType::Connect));
/// # Ok::<(), mqtt_codec::InvalidPropertyId>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PropertyId {
    /// Whether the payload is text. PUBLISH and Will.
    PayloadFormatIndicator = 0x01,
    /// Seconds that a message lives. PUBLISH and Will.
    MessageExpiryInterval = 0x02,
    /// What the payload contains. PUBLISH and Will.
    ContentType = 0x03,
    /// Where an answer to the message is published to. PUBLISH and Will.
    ResponseTopic = 0x08,
    /// What tells the sender of a request which one an answer is for. PUBLISH and Will.
    CorrelationData = 0x09,
    /// The number of a subscription. SUBSCRIBE, and PUBLISH from a server, where it may repeat.
    SubscriptionIdentifier = 0x0B,
    /// Seconds that a session outlives its connection. CONNECT, CONNACK and DISCONNECT.
    SessionExpiryInterval = 0x11,
    /// The Client Identifier that the server chose. CONNACK.
    AssignedClientIdentifier = 0x12,
    /// The Keep Alive that the server sets. CONNACK.
    ServerKeepAlive = 0x13,
    /// The name of the enhanced authentication. CONNECT, CONNACK and AUTH.
    AuthenticationMethod = 0x15,
    /// What the authentication exchanges. CONNECT, CONNACK and AUTH.
    AuthenticationData = 0x16,
    /// Whether Reason Strings and User Properties may come in other packets than PUBLISH, CONNACK
    /// and DISCONNECT. CONNECT.
    RequestProblemInformation = 0x17,
    /// Seconds between the end of a connection and its Will Message. Will.
    WillDelayInterval = 0x18,
    /// Whether the client asks for Response Information. CONNECT.
    RequestResponseInformation = 0x19,
    /// What a Response Topic may be made from. CONNACK.
    ResponseInformation = 0x1A,
    /// Another server to use. CONNACK and DISCONNECT.
    ServerReference = 0x1C,
    /// A reason in words. Every acknowledgement, DISCONNECT and AUTH.
    ReasonString = 0x1F,
    /// How many QoS 1 and QoS 2 messages may be under way. CONNECT and CONNACK.
    ReceiveMaximum = 0x21,
    /// The highest Topic Alias that is accepted. CONNECT and CONNACK.
    TopicAliasMaximum = 0x22,
    /// A number that stands for a Topic Name. PUBLISH.
    TopicAlias = 0x23,
    /// The highest QoS that the server accepts in PUBLISH. CONNACK.
    MaximumQos = 0x24,
    /// Whether the server keeps retained messages. CONNACK.
    RetainAvailable = 0x25,
    /// A name and a value of the application's choice. Every packet but PINGREQ and PINGRESP, and
    /// any number of times.
    UserProperty = 0x26,
    /// The largest packet that is accepted. CONNECT and CONNACK.
    MaximumPacketSize = 0x27,
    /// Whether the server accepts wildcards in Topic Filters. CONNACK.
    WildcardSubscriptionAvailable = 0x28,
    /// Whether the server accepts Subscription Identifiers. CONNACK.
    SubscriptionIdentifierAvailable = 0x29,
    /// Whether the server accepts Shared Subscriptions. CONNACK.
    SharedSubscriptionAvailable = 0x2A,
}

/// How the value of a property is written, and which values it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A byte, 0 or 1.
    Flag,
    /// A Two Byte Integer.
    U16,
    /// A Two Byte Integer above 0.
    NonZeroU16,
    /// A Topic Alias, for which 0 has a reason code of its own.
    Alias,
    /// A Four Byte Integer.
    U32,
    /// A Four Byte Integer above 0.
    NonZeroU32,
    /// A Variable Byte Integer above 0.
    NonZeroVarint,
    /// A UTF-8 Encoded String.
    Text,
    /// A string without control characters.
    Identifier,
    /// A string that is a Topic Name.
    Topic,
    /// Binary Data.
    Binary,
    /// Two strings.
    Pair,
}

/// A place that has properties: a packet, or the Will in a CONNECT.
///
/// ```
/// use mqtt_codec::{PacketType, Place, PropertyId};
///
/// assert!(PropertyId::WillDelayInterval.is_allowed_in(Place::Will));
/// assert!(!PropertyId::WillDelayInterval.is_allowed_in(PacketType::Connect));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The properties of a packet.
    Packet(PacketType),
    /// The Will Properties, which stand in the payload of CONNECT.
    Will,
}

impl Place {
    /// The type of the packet.
    #[must_use]
    pub const fn packet_type(self) -> PacketType {
        match self {
            Self::Packet(packet_type) => packet_type,
            Self::Will => PacketType::Connect,
        }
    }

    /// The bit of this place in the table; the Will takes that of the reserved type 0.
    const fn bit(self) -> u16 {
        match self {
            Self::Packet(packet_type) => 1 << packet_type as u8,
            Self::Will => WILL,
        }
    }

    /// The properties that may stand here.
    #[inline]
    pub(crate) const fn allowed(self) -> PropertySet {
        let index = match self {
            Self::Packet(packet_type) => packet_type as usize,
            Self::Will => 0,
        };
        match ALLOWED.split_at(index).1 {
            [set, ..] => *set,
            [] => PropertySet::EMPTY,
        }
    }

    /// The properties that may stand here more than once.
    #[inline]
    pub(crate) const fn repeatable(self) -> PropertySet {
        let user = PropertySet::EMPTY.with(PropertyId::UserProperty);
        match self {
            Self::Packet(PacketType::Publish) => user.with(PropertyId::SubscriptionIdentifier),
            Self::Packet(_) | Self::Will => user,
        }
    }
}

impl From<PacketType> for Place {
    fn from(packet_type: PacketType) -> Self {
        Self::Packet(packet_type)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(packet_type) => packet_type.fmt(f),
            Self::Will => f.write_str("Will Properties"),
        }
    }
}

const WILL: u16 = 1;
const CONNECT: u16 = Place::Packet(PacketType::Connect).bit();
const CONNACK: u16 = Place::Packet(PacketType::ConnAck).bit();
const PUBLISH: u16 = Place::Packet(PacketType::Publish).bit();
const SUBSCRIBE: u16 = Place::Packet(PacketType::Subscribe).bit();
const DISCONNECT: u16 = Place::Packet(PacketType::Disconnect).bit();
const AUTH: u16 = Place::Packet(PacketType::Auth).bit();
/// Every packet that answers another one, and the two that end or begin something.
const ANSWERS: u16 = CONNACK
    | Place::Packet(PacketType::PubAck).bit()
    | Place::Packet(PacketType::PubRec).bit()
    | Place::Packet(PacketType::PubRel).bit()
    | Place::Packet(PacketType::PubComp).bit()
    | Place::Packet(PacketType::SubAck).bit()
    | Place::Packet(PacketType::UnsubAck).bit()
    | DISCONNECT
    | AUTH;
const ALL: u16 =
    ANSWERS | WILL | CONNECT | PUBLISH | SUBSCRIBE | Place::Packet(PacketType::Unsubscribe).bit();

/// One line of the table.
struct Row(PropertyId, &'static str, Kind, u16);

/// Identifier, name, type, places (section 2.2.2.2 of the standard). Beside each property stand the
/// rules that it comes once in a packet, and those about its value.
const TABLE: [Row; 27] = {
    use PropertyId as Id;
    [
        // [MQTT5-U-3.1.3.2.3-1]
        Row(Id::PayloadFormatIndicator, "Payload Format Indicator", Kind::Flag, PUBLISH | WILL),
        // [MQTT5-U-3.1.3.2.4-1]
        Row(Id::MessageExpiryInterval, "Message Expiry Interval", Kind::U32, PUBLISH | WILL),
        // [MQTT5-U-3.1.3.2.5-1] [MQTT5-U-3.3.2.3.9-1]
        Row(Id::ContentType, "Content Type", Kind::Text, PUBLISH | WILL),
        // [MQTT5-U-3.1.3.2.6-1] [MQTT5-U-3.3.2.3.5-1]
        Row(Id::ResponseTopic, "Response Topic", Kind::Topic, PUBLISH | WILL),
        // [MQTT5-U-3.1.3.2.7-1] [MQTT5-U-3.3.2.3.6-1]
        Row(Id::CorrelationData, "Correlation Data", Kind::Binary, PUBLISH | WILL),
        // [MQTT5-U-3.3.2.3.8-1] [MQTT5-U-3.8.2.1.2-1]
        Row(
            Id::SubscriptionIdentifier,
            "Subscription Identifier",
            Kind::NonZeroVarint,
            PUBLISH | SUBSCRIBE,
        ),
        // [MQTT5-U-3.1.2.11.2-1] [MQTT5-U-3.2.2.3.2-1] [MQTT5-U-3.14.2.2.2-1]
        Row(
            Id::SessionExpiryInterval,
            "Session Expiry Interval",
            Kind::U32,
            CONNECT | CONNACK | DISCONNECT,
        ),
        // [MQTT5-U-3.2.2.3.7-1]
        Row(Id::AssignedClientIdentifier, "Assigned Client Identifier", Kind::Identifier, CONNACK),
        // [MQTT5-U-3.2.2.3.14-1]
        Row(Id::ServerKeepAlive, "Server Keep Alive", Kind::U16, CONNACK),
        // [MQTT5-U-3.1.2.11.9-1] [MQTT5-U-3.2.2.3.17-1] [MQTT5-U-3.15.2.2.2-1]
        Row(
            Id::AuthenticationMethod,
            "Authentication Method",
            Kind::Text,
            CONNECT | CONNACK | AUTH,
        ),
        // [MQTT5-U-3.1.2.11.10-1] [MQTT5-U-3.2.2.3.18-1] [MQTT5-U-3.15.2.2.3-1]
        Row(Id::AuthenticationData, "Authentication Data", Kind::Binary, CONNECT | CONNACK | AUTH),
        // [MQTT5-U-3.1.2.11.7-1]
        Row(Id::RequestProblemInformation, "Request Problem Information", Kind::Flag, CONNECT),
        // [MQTT5-U-3.1.3.2.2-1]
        Row(Id::WillDelayInterval, "Will Delay Interval", Kind::U32, WILL),
        // [MQTT5-U-3.1.2.11.6-1]
        Row(Id::RequestResponseInformation, "Request Response Information", Kind::Flag, CONNECT),
        // [MQTT5-U-3.2.2.3.15-1]
        Row(Id::ResponseInformation, "Response Information", Kind::Text, CONNACK),
        // [MQTT5-U-3.2.2.3.16-1]
        Row(Id::ServerReference, "Server Reference", Kind::Text, CONNACK | DISCONNECT),
        // [MQTT5-U-3.2.2.3.9-1]
        Row(Id::ReasonString, "Reason String", Kind::Text, ANSWERS),
        // [MQTT5-U-3.1.2.11.3-1] [MQTT5-U-3.2.2.3.3-1]
        Row(Id::ReceiveMaximum, "Receive Maximum", Kind::NonZeroU16, CONNECT | CONNACK),
        // [MQTT5-U-3.1.2.11.5-1] [MQTT5-U-3.2.2.3.8-1]
        Row(Id::TopicAliasMaximum, "Topic Alias Maximum", Kind::U16, CONNECT | CONNACK),
        // [MQTT5-U-3.3.2.3.4-1]
        Row(Id::TopicAlias, "Topic Alias", Kind::Alias, PUBLISH),
        // [MQTT5-U-3.2.2.3.4-1]
        Row(Id::MaximumQos, "Maximum QoS", Kind::Flag, CONNACK),
        // [MQTT5-U-3.2.2.3.5-1]
        Row(Id::RetainAvailable, "Retain Available", Kind::Flag, CONNACK),
        Row(Id::UserProperty, "User Property", Kind::Pair, ALL),
        // [MQTT5-U-3.1.2.11.4-1] [MQTT5-U-3.2.2.3.6-1]
        Row(Id::MaximumPacketSize, "Maximum Packet Size", Kind::NonZeroU32, CONNECT | CONNACK),
        // [MQTT5-U-3.2.2.3.11-1]
        Row(
            Id::WildcardSubscriptionAvailable,
            "Wildcard Subscription Available",
            Kind::Flag,
            CONNACK,
        ),
        // [MQTT5-U-3.2.2.3.12-1]
        Row(
            Id::SubscriptionIdentifierAvailable,
            "Subscription Identifier Available",
            Kind::Flag,
            CONNACK,
        ),
        // [MQTT5-U-3.2.2.3.13-1]
        Row(Id::SharedSubscriptionAvailable, "Shared Subscription Available", Kind::Flag, CONNACK),
    ]
};

/// Identifiers run from 1 to 42, so tables of this size are found by the identifier itself.
const SLOTS: usize = 64;

/// The lines of the table by identifier.
static BY_ID: [Option<(PropertyId, Kind)>; SLOTS] = {
    let mut slots = [None; SLOTS];
    let mut rows: &[Row] = &TABLE;
    while let [Row(id, _, kind, _), rest @ ..] = rows {
        if let [slot, ..] = slots.split_at_mut(*id as usize).1 {
            *slot = Some((*id, *kind));
        }
        rows = rest;
    }
    slots
};

/// The properties that each place may have, by the number of its packet type.
const ALLOWED: [PropertySet; 16] = {
    let mut places = [PropertySet::EMPTY; 16];
    let mut rest: &mut [PropertySet] = &mut places;
    let mut bit = 1;
    while let [place, behind @ ..] = rest {
        let mut rows: &[Row] = &TABLE;
        while let [Row(id, _, _, in_places), others @ ..] = rows {
            if *in_places & bit != 0 {
                *place = place.with(*id);
            }
            rows = others;
        }
        if bit == PUBLISH {
            *place = place.union(PropertySet::REPEATED);
        }
        bit <<= 1;
        rest = behind;
    }
    places
};

/// The property of an identifier, and how its value is written.
#[inline(always)]
pub(crate) fn lookup(id: u8) -> Option<(PropertyId, Kind)> {
    BY_ID.get(usize::from(id)).copied().flatten()
}

impl PropertyId {
    /// Every property, in the order of the identifiers.
    pub const ALL: &'static [Self] = &{
        let mut ids = [Self::PayloadFormatIndicator; 27];
        let mut slots: &mut [Self] = &mut ids;
        let mut rows: &[Row] = &TABLE;
        while let ([slot, behind @ ..], [Row(id, ..), rest @ ..]) = (slots, rows) {
            *slot = *id;
            slots = behind;
            rows = rest;
        }
        ids
    };

    /// The name that the standard gives this property.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// Whether the property may stand in this packet, or in the Will Properties.
    ///
    /// Which side may send it is not asked: only a server sends a Subscription Identifier in
    /// PUBLISH or a Server Reference in DISCONNECT, and only a client a Session Expiry Interval
    /// in DISCONNECT.
    #[must_use]
    pub fn is_allowed_in(self, place: impl Into<Place>) -> bool {
        place.into().allowed().contains(self)
    }
}

/// A byte that is no property identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("0x{0:02X} is not the identifier of a property")]
pub struct InvalidPropertyId(
    /// The byte as it was given.
    pub u8,
);

impl TryFrom<u8> for PropertyId {
    type Error = InvalidPropertyId;

    fn try_from(id: u8) -> Result<Self, Self::Error> {
        lookup(id).map(|(id, _)| id).ok_or(InvalidPropertyId(id))
    }
}

impl From<PropertyId> for u8 {
    fn from(id: PropertyId) -> Self {
        id as Self
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
