//! The reason codes of SUBACK and UNSUBACK.

use super::conversions;

/// The answer to one Topic Filter of a SUBSCRIBE. [MQTT-3.9.3-2]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u8", into = "u8"))]
#[repr(u8)]
pub enum SubAckReason {
    /// The subscription was accepted; the highest QoS sent is 0.
    GrantedQos0 = 0x00,
    /// The subscription was accepted; the highest QoS sent is 1.
    GrantedQos1 = 0x01,
    /// The subscription was accepted; the highest QoS sent is 2.
    GrantedQos2 = 0x02,
    /// The sender does not say why, or no other code fits.
    UnspecifiedError = 0x80,
    /// The packet is valid; this implementation does not accept it.
    ImplementationSpecificError = 0x83,
    /// The client may not do this.
    NotAuthorized = 0x87,
    /// The Topic Filter is well formed and not accepted.
    TopicFilterInvalid = 0x8F,
    /// The Packet Identifier is still in use.
    PacketIdentifierInUse = 0x91,
    /// A limit set by the implementation or an administrator has been reached.
    QuotaExceeded = 0x97,
    /// The server supports no Shared Subscriptions.
    SharedSubscriptionsNotSupported = 0x9E,
    /// The server supports no Subscription Identifiers.
    SubscriptionIdentifiersNotSupported = 0xA1,
    /// The server supports no wildcards in Topic Filters.
    WildcardSubscriptionsNotSupported = 0xA2,
}

conversions! {
    SubAckReason {
        GrantedQos0 => Success, "Granted QoS 0";
        GrantedQos1 => GrantedQos1, "Granted QoS 1";
        GrantedQos2 => GrantedQos2, "Granted QoS 2";
        UnspecifiedError => UnspecifiedError, "Unspecified error";
        ImplementationSpecificError => ImplementationSpecificError, "Implementation specific error";
        NotAuthorized => NotAuthorized, "Not authorized";
        TopicFilterInvalid => TopicFilterInvalid, "Topic Filter invalid";
        PacketIdentifierInUse => PacketIdentifierInUse, "Packet Identifier in use";
        QuotaExceeded => QuotaExceeded, "Quota exceeded";
        SharedSubscriptionsNotSupported => SharedSubscriptionsNotSupported, "Shared Subscriptions not supported";
        SubscriptionIdentifiersNotSupported => SubscriptionIdentifiersNotSupported, "Subscription Identifiers not supported";
        WildcardSubscriptionsNotSupported => WildcardSubscriptionsNotSupported, "Wildcard Subscriptions not supported";
    }
}

/// The answer to one Topic Filter of an UNSUBSCRIBE. [MQTT-3.11.3-2]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u8", into = "u8"))]
#[repr(u8)]
pub enum UnsubAckReason {
    /// The request succeeded.
    Success = 0x00,
    /// No subscription of this session has that Topic Filter; nothing was deleted.
    NoSubscriptionExisted = 0x11,
    /// The sender does not say why, or no other code fits.
    UnspecifiedError = 0x80,
    /// The packet is valid; this implementation does not accept it.
    ImplementationSpecificError = 0x83,
    /// The client may not do this.
    NotAuthorized = 0x87,
    /// The Topic Filter is well formed and not accepted.
    TopicFilterInvalid = 0x8F,
    /// The Packet Identifier is still in use.
    PacketIdentifierInUse = 0x91,
}

conversions! {
    UnsubAckReason {
        Success => Success, "Success";
        NoSubscriptionExisted => NoSubscriptionExisted, "No subscription existed";
        UnspecifiedError => UnspecifiedError, "Unspecified error";
        ImplementationSpecificError => ImplementationSpecificError, "Implementation specific error";
        NotAuthorized => NotAuthorized, "Not authorized";
        TopicFilterInvalid => TopicFilterInvalid, "Topic Filter invalid";
        PacketIdentifierInUse => PacketIdentifierInUse, "Packet Identifier in use";
    }
}
