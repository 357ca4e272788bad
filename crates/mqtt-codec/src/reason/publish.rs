//! The reason codes of the four acknowledgements of PUBLISH.

use super::conversions;

/// The reason code of PUBACK and of PUBREC, whose lists are equal. [MQTT-3.4.2-1] [MQTT-3.5.2-1]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u8", into = "u8"))]
#[repr(u8)]
pub enum PubAckReason {
    /// The request succeeded.
    Success = 0x00,
    /// The message was accepted, but nobody subscribes to its topic. Only a server says this.
    NoMatchingSubscribers = 0x10,
    /// The sender does not say why, or no other code fits.
    UnspecifiedError = 0x80,
    /// The packet is valid; this implementation does not accept it.
    ImplementationSpecificError = 0x83,
    /// The client may not do this.
    NotAuthorized = 0x87,
    /// The Topic Name is well formed and not accepted.
    TopicNameInvalid = 0x90,
    /// The Packet Identifier is still in use.
    PacketIdentifierInUse = 0x91,
    /// A limit set by the implementation or an administrator has been reached.
    QuotaExceeded = 0x97,
    /// The payload does not have the form that its Payload Format Indicator claims.
    PayloadFormatInvalid = 0x99,
}

conversions! {
    PubAckReason {
        Success => Success, "Success";
        NoMatchingSubscribers => NoMatchingSubscribers, "No matching subscribers";
        UnspecifiedError => UnspecifiedError, "Unspecified error";
        ImplementationSpecificError => ImplementationSpecificError, "Implementation specific error";
        NotAuthorized => NotAuthorized, "Not authorized";
        TopicNameInvalid => TopicNameInvalid, "Topic Name invalid";
        PacketIdentifierInUse => PacketIdentifierInUse, "Packet Identifier in use";
        QuotaExceeded => QuotaExceeded, "Quota exceeded";
        PayloadFormatInvalid => PayloadFormatInvalid, "Payload format invalid";
    }
}

/// The reason code of PUBREL and of PUBCOMP, whose lists are equal. [MQTT-3.6.2-1] [MQTT-3.7.2-1]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u8", into = "u8"))]
#[repr(u8)]
pub enum PubRelReason {
    /// The request succeeded.
    Success = 0x00,
    /// The Packet Identifier is not known.
    PacketIdentifierNotFound = 0x92,
}

conversions! {
    PubRelReason {
        Success => Success, "Success";
        PacketIdentifierNotFound => PacketIdentifierNotFound, "Packet Identifier not found";
    }
}
