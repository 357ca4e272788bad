//! The caller's faults: what cannot be put into a packet.

use crate::packet::PacketType;
use crate::property::{Place, PropertyId};
use crate::reason::ReasonCode;
use crate::topic::TopicError;

/// Why a packet cannot be built or encoded. Nothing has been written when one is returned.
///
/// What these cases refuse, a strict receiver would refuse too: a packet that encodes also decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The packet is larger than the receiver accepts, also without what may be left out.
    #[error("the packet has {size} bytes, and the receiver accepts {limit}")]
    TooLarge {
        /// Bytes that the whole packet would have had.
        size: u64,
        /// The limit that was set.
        limit: u32,
    },
    /// A text of more than 65,535 bytes.
    #[error("the text has {len} bytes; a string holds at most 65,535")]
    StringTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Binary data of more than 65,535 bytes.
    #[error("the data has {len} bytes; a binary field holds at most 65,535")]
    BinaryTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// U+0000 in a text. [MQTT-1.5.4-2]
    #[error("text must not contain U+0000")]
    NulCharacter,
    /// A control character in a Client Identifier or User Name.
    #[error("Client Identifiers and User Names must not contain control characters")]
    ControlCharacter,
    /// A Unicode non-character in a Client Identifier or User Name.
    #[error("Client Identifiers and User Names must not contain Unicode non-characters")]
    NonCharacter,
    /// A topic that breaks the rules for topics.
    #[error("{0}")]
    Topic(#[from] TopicError),
    /// A property that may not stand there.
    #[error("the property {id} may not stand in {place}")]
    PropertyNotAllowed {
        /// The property.
        id: PropertyId,
        /// The packet, or the Will Properties.
        place: Place,
    },
    /// A property that stands twice where it may stand once.
    #[error("the property {id} may stand only once in {place}")]
    DuplicateProperty {
        /// The property.
        id: PropertyId,
        /// The packet, or the Will Properties.
        place: Place,
    },
    /// A PUBLISH with neither Topic Name nor Topic Alias.
    #[error("a PUBLISH needs a Topic Name or a Topic Alias")]
    NoTopic,
    /// A SUBSCRIBE or UNSUBSCRIBE without a filter. [MQTT-3.8.3-2] [MQTT-3.10.3-2]
    #[error("the packet needs at least one Topic Filter")]
    NoTopicFilter,
    /// A SUBACK or UNSUBACK without a reason code.
    #[error("the packet needs at least one reason code")]
    NoReasonCode,
    /// No Local on a Shared Subscription. [MQTT-3.8.3-4]
    #[error("a Shared Subscription cannot have No Local")]
    NoLocalOnSharedSubscription,
    /// Session Present in a CONNACK that refuses. [MQTT-3.2.2-6]
    #[error("a CONNACK that refuses has Session Present 0")]
    SessionPresentInRefusal,
    /// A reason code that is accepted from others and never sent.
    #[error("the reason code {reason} is never sent in {packet_type}")]
    ReasonNotSent {
        /// The reason code.
        reason: ReasonCode,
        /// The packet.
        packet_type: PacketType,
    },
    /// Authentication Data in a CONNECT without an Authentication Method.
    #[error("Authentication Data needs an Authentication Method")]
    AuthenticationDataWithoutMethod,
    /// An AUTH without an Authentication Method.
    #[error("AUTH needs an Authentication Method")]
    NoAuthenticationMethod,
}
