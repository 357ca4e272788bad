//! The peer's faults: what a decoder refuses, with the reason code that answers it.

use core::fmt;

use crate::packet::PacketType;
use crate::property::PropertyId;
use crate::reason::ReasonCode;
use crate::topic::TopicError;

/// Why bytes are not a packet: which rule they break, where, and which reason code answers it.
///
/// ```
/// use mqtt_codec::{DecodeRule, Limits, PacketType, ReasonCode, decode};
///
/// // PUBACK with Packet Identifier 0.
/// let error = decode(&[0x40, 0x02, 0x00, 0x00], &Limits::new()).unwrap_err();
/// assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
/// assert_eq!(error.rule(), DecodeRule::PacketIdZero);
/// assert_eq!(error.offset(), 2);
/// assert_eq!(error.packet_type(), Some(PacketType::PubAck));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DecodeError {
    rule: DecodeRule,
    packet_type: Option<PacketType>,
    offset: u32,
}

impl DecodeError {
    /// Out of line: errors are built far from the path that valid packets take.
    #[cold]
    #[inline(never)]
    pub(crate) fn new(rule: DecodeRule, packet_type: Option<PacketType>, offset: usize) -> Self {
        // A packet has at most 268,435,460 bytes, so an offset inside one always fits.
        Self { rule, packet_type, offset: u32::try_from(offset).unwrap_or(u32::MAX) }
    }

    /// The rule that the bytes break.
    #[must_use]
    pub const fn rule(&self) -> DecodeRule {
        self.rule
    }

    /// The reason code that the standard gives this fault: the one to send in CONNACK or
    /// DISCONNECT before the connection is closed.
    #[must_use]
    pub const fn reason_code(&self) -> ReasonCode {
        self.rule.reason_code()
    }

    /// Where the fault shows, in bytes from the start of the packet.
    ///
    /// For a field that runs past its end, and for a value out of range, this is the first byte of
    /// the field; for a wrong byte inside a text or a Variable Byte Integer it is that byte; for
    /// a property that may not stand here it is its identifier; for bytes left over it is the
    /// first of them. Where something is missing altogether it is the place where it should stand.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset as usize
    }

    /// The type of the packet; `None` only when the first byte names no type.
    #[must_use]
    pub const fn packet_type(&self) -> Option<PacketType> {
        self.packet_type
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeError")
            .field("rule", &self.rule)
            .field("reason_code", &self.reason_code())
            .field("offset", &self.offset)
            .field("packet_type", &self.packet_type)
            .finish()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.packet_type {
            Some(packet_type) => write!(f, "{packet_type}")?,
            None => f.write_str("packet of reserved type")?,
        }
        write!(
            f,
            " refused at byte {} (0x{:02X} {}): {}",
            self.offset,
            self.reason_code() as u8,
            self.reason_code(),
            self.rule
        )
    }
}

impl core::error::Error for DecodeError {}

/// The rules that a packet can break, one case each.
///
/// The text of a case says what a sender has to do instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeRule {
    /// Packet type 0.
    #[error("packet type 0 is reserved; use one of the types 1 to 15")]
    ReservedPacketType,
    /// The flags of the fixed header are not those of this packet type. [MQTT-2.1.3-1]
    #[error("set the fixed header flags that the standard lists for this packet type")]
    FixedHeaderFlags,
    /// A PUBLISH with both QoS bits set. [MQTT-3.3.1-4]
    #[error("use QoS 0, 1 or 2 in PUBLISH; 3 is reserved")]
    PublishQos,
    /// A PUBLISH of QoS 0 with DUP set. [MQTT-3.3.1-2]
    #[error("leave DUP at 0 in a PUBLISH of QoS 0")]
    DupWithQos0,
    /// The whole packet is larger than [`crate::Limits`] allow.
    #[error("the packet has {size} bytes; send at most {limit}, the Maximum Packet Size announced")]
    PacketTooLarge {
        /// Bytes in the whole packet, as its fixed header announces.
        size: u32,
        /// The limit that was set.
        limit: u32,
    },
    /// A PINGREQ or PINGRESP with something behind its fixed header.
    #[error("this packet type has no body; its Remaining Length is 0")]
    BodyNotEmpty,
    /// A Variable Byte Integer of more than four bytes.
    #[error("a Variable Byte Integer has at most four bytes")]
    VariableByteIntegerTooLong,
    /// A Variable Byte Integer in more bytes than its value needs. [MQTT-1.5.5-1]
    #[error("write a Variable Byte Integer in the fewest bytes that hold its value")]
    VariableByteIntegerNotMinimal,
    /// A field that does not fit into what is left of the packet or of its properties.
    #[error("the field runs past the end of the packet, or of the properties it stands in")]
    FieldPastEnd,
    /// Bytes behind the last field.
    #[error("nothing may stand behind the last field of the packet")]
    TrailingBytes,
    /// Text that is not UTF-8. [MQTT-1.5.4-1]
    #[error("text is well-formed UTF-8, without surrogates and without over-long forms")]
    IllFormedUtf8,
    /// U+0000 in a text. [MQTT-1.5.4-2]
    #[error("text never contains U+0000")]
    NulCharacter,
    /// A control character in a topic, Client Identifier or User Name.
    #[error("topics, Client Identifiers and User Names contain no control characters")]
    ControlCharacter,
    /// A Unicode non-character in a topic, Client Identifier or User Name.
    #[error("topics, Client Identifiers and User Names contain no Unicode non-characters")]
    NonCharacter,
    /// A CONNECT whose protocol name is not `MQTT`. [MQTT-3.1.2-1]
    #[error("the protocol name of CONNECT is `MQTT`")]
    ProtocolName,
    /// A CONNECT for a version of MQTT that is not supported. [MQTT-3.1.2-2]
    ///
    /// Levels 3 and 4 (MQTT 3.1 and 3.1.1) expect the CONNACK of those versions, `20 02 00 01`;
    /// every other level is answered by a CONNACK of version 5 with 0x84.
    #[error("protocol level {level} is not supported; connect with level 5")]
    ProtocolVersion {
        /// The level as it stood in the packet.
        level: u8,
    },
    /// The reserved connect flag is set. [MQTT-3.1.2-3]
    #[error("bit 0 of the connect flags is reserved and 0")]
    ConnectFlagsReserved,
    /// Will QoS 3. [MQTT-3.1.2-12]
    #[error("use Will QoS 0, 1 or 2; 3 is reserved")]
    WillQos,
    /// Will QoS or Will Retain without a Will. [MQTT-3.1.2-11] [MQTT-3.1.2-13]
    #[error("leave Will QoS and Will Retain at 0 when the Will Flag is 0")]
    WillFlagsWithoutWill,
    /// A reserved bit of the CONNACK flags is set. [MQTT-3.2.2-1]
    #[error("bits 7 to 1 of the CONNACK flags are reserved and 0")]
    ConnAckFlagsReserved,
    /// Session Present beside a reason other than Success. [MQTT-3.2.2-6]
    #[error("a CONNACK that refuses has Session Present 0")]
    SessionPresentInRefusal,
    /// Packet Identifier 0. [MQTT-2.2.1-3] [MQTT-2.2.1-4]
    #[error("Packet Identifiers run from 1 to 65,535")]
    PacketIdZero,
    /// A reason code that this packet may not carry.
    #[error("0x{code:02X} is not a reason code that this packet may carry")]
    ReasonCode {
        /// The byte as it stood.
        code: u8,
    },
    /// A Topic Name that a PUBLISH or Will may not have.
    #[error("Topic Name: {0}")]
    TopicName(TopicError),
    /// A Topic Filter that a SUBSCRIBE or UNSUBSCRIBE may not have.
    #[error("Topic Filter: {0}")]
    TopicFilter(TopicError),
    /// A Response Topic that is no Topic Name. [MQTT-3.3.2-14]
    #[error("Response Topic: {0}")]
    ResponseTopic(TopicError),
    /// A PUBLISH with neither Topic Name nor Topic Alias.
    #[error("a PUBLISH has a Topic Name or a Topic Alias")]
    NoTopic,
    /// A SUBSCRIBE or UNSUBSCRIBE without a filter. [MQTT-3.8.3-2] [MQTT-3.10.3-2]
    #[error("the packet has at least one Topic Filter")]
    NoTopicFilter,
    /// A SUBACK or UNSUBACK without a reason code, although every request has a filter.
    #[error("the packet has one reason code for each Topic Filter of the request, at least one")]
    NoReasonCode,
    /// Bits 7 and 6 of the Subscription Options. [MQTT-3.8.3-5]
    #[error("bits 7 and 6 of the Subscription Options are reserved and 0")]
    SubscriptionOptionsReserved,
    /// Maximum QoS 3 in the Subscription Options.
    #[error("use QoS 0, 1 or 2 in the Subscription Options")]
    SubscriptionQos,
    /// Retain Handling 3 in the Subscription Options.
    #[error("use Retain Handling 0, 1 or 2")]
    RetainHandling,
    /// No Local on a Shared Subscription. [MQTT-3.8.3-4]
    #[error("leave No Local at 0 for a Shared Subscription")]
    NoLocalOnSharedSubscription,
    /// A property identifier that the standard does not know.
    #[error("0x{id:02X} is not the identifier of a property")]
    UnknownProperty {
        /// The byte as it stood. Every identifier of the standard has one byte.
        id: u8,
    },
    /// A property that this packet may not have.
    #[error("the property {id} may not stand in this packet")]
    PropertyNotAllowed {
        /// The property.
        id: PropertyId,
    },
    /// A property that stands twice where it may stand once.
    #[error("the property {id} may stand only once")]
    DuplicateProperty {
        /// The property.
        id: PropertyId,
    },
    /// A property whose value is out of range.
    #[error("the value of the property {id} is out of range")]
    PropertyValue {
        /// The property.
        id: PropertyId,
    },
    /// Topic Alias 0. [MQTT-3.3.2-8]
    #[error("Topic Aliases run from 1 to the announced maximum")]
    TopicAliasZero,
    /// Authentication Data in a CONNECT without an Authentication Method.
    #[error("send Authentication Data only with an Authentication Method")]
    AuthenticationDataWithoutMethod,
    /// An AUTH without an Authentication Method.
    #[error("AUTH names the Authentication Method")]
    NoAuthenticationMethod,
}

impl DecodeRule {
    /// The reason code that the standard gives a packet which breaks this rule.
    #[must_use]
    pub const fn reason_code(self) -> ReasonCode {
        match self {
            Self::ReservedPacketType
            | Self::FixedHeaderFlags
            | Self::PublishQos
            | Self::DupWithQos0
            | Self::BodyNotEmpty
            | Self::VariableByteIntegerTooLong
            | Self::VariableByteIntegerNotMinimal
            | Self::FieldPastEnd
            | Self::TrailingBytes
            | Self::IllFormedUtf8
            | Self::NulCharacter
            | Self::ControlCharacter
            | Self::NonCharacter
            | Self::ConnectFlagsReserved
            | Self::WillQos
            | Self::WillFlagsWithoutWill
            | Self::ConnAckFlagsReserved
            | Self::TopicName(_)
            | Self::SubscriptionOptionsReserved
            | Self::UnknownProperty { .. }
            | Self::PropertyNotAllowed { .. } => ReasonCode::MalformedPacket,
            Self::SessionPresentInRefusal
            | Self::PacketIdZero
            | Self::ReasonCode { .. }
            | Self::ResponseTopic(_)
            | Self::NoTopic
            | Self::NoTopicFilter
            | Self::NoReasonCode
            | Self::SubscriptionQos
            | Self::RetainHandling
            | Self::NoLocalOnSharedSubscription
            | Self::DuplicateProperty { .. }
            | Self::PropertyValue { .. }
            | Self::AuthenticationDataWithoutMethod
            | Self::NoAuthenticationMethod => ReasonCode::ProtocolError,
            Self::TopicFilter(error) => {
                if error.is_share_fault() {
                    ReasonCode::ProtocolError
                } else {
                    ReasonCode::MalformedPacket
                }
            }
            Self::ProtocolName | Self::ProtocolVersion { .. } => {
                ReasonCode::UnsupportedProtocolVersion
            }
            Self::TopicAliasZero => ReasonCode::TopicAliasInvalid,
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
        }
    }
}
