//! The reason codes of DISCONNECT.

use super::conversions;

/// Why a connection is closed: the reason code of DISCONNECT. [MQTT-3.14.2-1]
///
/// The standard lists 0x8C for DISCONNECT in one table and not in the normative one:
/// [`DisconnectReason::BadAuthenticationMethod`] is accepted when it arrives and never encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u8", into = "u8"))]
#[repr(u8)]
pub enum DisconnectReason {
    /// The connection is closed normally; the Will Message is not published.
    NormalDisconnection = 0x00,
    /// The client leaves, and wants its Will Message published all the same.
    DisconnectWithWillMessage = 0x04,
    /// The sender does not say why, or no other code fits.
    UnspecifiedError = 0x80,
    /// The packet could not be parsed.
    MalformedPacket = 0x81,
    /// The packet could be parsed but is not allowed here, or a value in it is out of range.
    ProtocolError = 0x82,
    /// The packet is valid; this implementation does not accept it.
    ImplementationSpecificError = 0x83,
    /// The client may not do this.
    NotAuthorized = 0x87,
    /// The server is too busy; trying again later may work.
    ServerBusy = 0x89,
    /// The server is shutting down.
    ServerShuttingDown = 0x8B,
    /// The Authentication Method is not supported, or not the one in use.
    BadAuthenticationMethod = 0x8C,
    /// Nothing arrived for one and a half times the Keep Alive.
    KeepAliveTimeout = 0x8D,
    /// Another connection with the same Client Identifier took the session over.
    SessionTakenOver = 0x8E,
    /// The Topic Filter is well formed and not accepted.
    TopicFilterInvalid = 0x8F,
    /// The Topic Name is well formed and not accepted.
    TopicNameInvalid = 0x90,
    /// More QoS 1 and QoS 2 messages are under way than the Receive Maximum allows.
    ReceiveMaximumExceeded = 0x93,
    /// The Topic Alias is 0 or above the announced maximum.
    TopicAliasInvalid = 0x94,
    /// The packet is larger than the receiver's Maximum Packet Size.
    PacketTooLarge = 0x95,
    /// Messages arrive faster than the receiver accepts.
    MessageRateTooHigh = 0x96,
    /// A limit set by the implementation or an administrator has been reached.
    QuotaExceeded = 0x97,
    /// An administrator closed the connection.
    AdministrativeAction = 0x98,
    /// The payload does not have the form that its Payload Format Indicator claims.
    PayloadFormatInvalid = 0x99,
    /// The server keeps no retained messages.
    RetainNotSupported = 0x9A,
    /// The QoS is above the Maximum QoS of the server.
    QosNotSupported = 0x9B,
    /// The client should use another server for now.
    UseAnotherServer = 0x9C,
    /// The client should use another server from now on.
    ServerMoved = 0x9D,
    /// The server supports no Shared Subscriptions.
    SharedSubscriptionsNotSupported = 0x9E,
    /// Connections arrive faster than the server accepts.
    ConnectionRateExceeded = 0x9F,
    /// The longest time that this connection was authorised for is over.
    MaximumConnectTime = 0xA0,
    /// The server supports no Subscription Identifiers.
    SubscriptionIdentifiersNotSupported = 0xA1,
    /// The server supports no wildcards in Topic Filters.
    WildcardSubscriptionsNotSupported = 0xA2,
}

conversions! {
    DisconnectReason {
        NormalDisconnection => Success, "Normal disconnection";
        DisconnectWithWillMessage => DisconnectWithWillMessage, "Disconnect with Will Message";
        UnspecifiedError => UnspecifiedError, "Unspecified error";
        MalformedPacket => MalformedPacket, "Malformed Packet";
        ProtocolError => ProtocolError, "Protocol Error";
        ImplementationSpecificError => ImplementationSpecificError, "Implementation specific error";
        NotAuthorized => NotAuthorized, "Not authorized";
        ServerBusy => ServerBusy, "Server busy";
        ServerShuttingDown => ServerShuttingDown, "Server shutting down";
        BadAuthenticationMethod => BadAuthenticationMethod, "Bad authentication method";
        KeepAliveTimeout => KeepAliveTimeout, "Keep Alive timeout";
        SessionTakenOver => SessionTakenOver, "Session taken over";
        TopicFilterInvalid => TopicFilterInvalid, "Topic Filter invalid";
        TopicNameInvalid => TopicNameInvalid, "Topic Name invalid";
        ReceiveMaximumExceeded => ReceiveMaximumExceeded, "Receive Maximum exceeded";
        TopicAliasInvalid => TopicAliasInvalid, "Topic Alias invalid";
        PacketTooLarge => PacketTooLarge, "Packet too large";
        MessageRateTooHigh => MessageRateTooHigh, "Message rate too high";
        QuotaExceeded => QuotaExceeded, "Quota exceeded";
        AdministrativeAction => AdministrativeAction, "Administrative action";
        PayloadFormatInvalid => PayloadFormatInvalid, "Payload format invalid";
        RetainNotSupported => RetainNotSupported, "Retain not supported";
        QosNotSupported => QosNotSupported, "QoS not supported";
        UseAnotherServer => UseAnotherServer, "Use another server";
        ServerMoved => ServerMoved, "Server moved";
        SharedSubscriptionsNotSupported => SharedSubscriptionsNotSupported, "Shared Subscriptions not supported";
        ConnectionRateExceeded => ConnectionRateExceeded, "Connection rate exceeded";
        MaximumConnectTime => MaximumConnectTime, "Maximum connect time";
        SubscriptionIdentifiersNotSupported => SubscriptionIdentifiersNotSupported, "Subscription Identifiers not supported";
        WildcardSubscriptionsNotSupported => WildcardSubscriptionsNotSupported, "Wildcard Subscriptions not supported";
    }
}

impl DisconnectReason {
    /// Whether a client may send this reason. [MQTT-3.14.2-1]
    ///
    /// ```
    /// use mqtt_codec::DisconnectReason;
    ///
    /// assert!(DisconnectReason::DisconnectWithWillMessage.is_from_client());
    /// assert!(!DisconnectReason::SessionTakenOver.is_from_client());
    /// ```
    #[must_use]
    pub const fn is_from_client(self) -> bool {
        matches!(
            self,
            Self::NormalDisconnection
                | Self::DisconnectWithWillMessage
                | Self::UnspecifiedError
                | Self::MalformedPacket
                | Self::ProtocolError
                | Self::ImplementationSpecificError
                | Self::TopicNameInvalid
                | Self::ReceiveMaximumExceeded
                | Self::TopicAliasInvalid
                | Self::PacketTooLarge
                | Self::MessageRateTooHigh
                | Self::QuotaExceeded
                | Self::AdministrativeAction
                | Self::PayloadFormatInvalid
        )
    }

    /// Whether a server may send this reason: each but the one that asks it for something.
    /// [MQTT-3.14.2-1]
    #[must_use]
    pub const fn is_from_server(self) -> bool {
        !matches!(self, Self::DisconnectWithWillMessage)
    }
}
