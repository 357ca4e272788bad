//! The reason codes of CONNACK.

use super::conversions;

/// Why a server accepts or refuses a connection: the reason code of CONNACK. [MQTT-3.2.2-8]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u8", into = "u8"))]
#[repr(u8)]
pub enum ConnectReason {
    /// The request succeeded.
    Success = 0x00,
    /// The sender does not say why, or no other code fits.
    UnspecifiedError = 0x80,
    /// The packet could not be parsed.
    MalformedPacket = 0x81,
    /// The packet could be parsed but is not allowed here, or a value in it is out of range.
    ProtocolError = 0x82,
    /// The packet is valid; this implementation does not accept it.
    ImplementationSpecificError = 0x83,
    /// The server does not speak the protocol version that was asked for.
    UnsupportedProtocolVersion = 0x84,
    /// The Client Identifier is well formed and not accepted.
    ClientIdentifierNotValid = 0x85,
    /// The server does not accept this User Name or Password.
    BadUserNameOrPassword = 0x86,
    /// The client may not do this.
    NotAuthorized = 0x87,
    /// The server is not available.
    ServerUnavailable = 0x88,
    /// The server is too busy; trying again later may work.
    ServerBusy = 0x89,
    /// The client has been banned by an administrator.
    Banned = 0x8A,
    /// The Authentication Method is not supported, or not the one in use.
    BadAuthenticationMethod = 0x8C,
    /// The Topic Name is well formed and not accepted.
    TopicNameInvalid = 0x90,
    /// The packet is larger than the receiver's Maximum Packet Size.
    PacketTooLarge = 0x95,
    /// A limit set by the implementation or an administrator has been reached.
    QuotaExceeded = 0x97,
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
    /// Connections arrive faster than the server accepts.
    ConnectionRateExceeded = 0x9F,
}

conversions! {
    ConnectReason {
        Success => Success, "Success";
        UnspecifiedError => UnspecifiedError, "Unspecified error";
        MalformedPacket => MalformedPacket, "Malformed Packet";
        ProtocolError => ProtocolError, "Protocol Error";
        ImplementationSpecificError => ImplementationSpecificError, "Implementation specific error";
        UnsupportedProtocolVersion => UnsupportedProtocolVersion, "Unsupported Protocol Version";
        ClientIdentifierNotValid => ClientIdentifierNotValid, "Client Identifier not valid";
        BadUserNameOrPassword => BadUserNameOrPassword, "Bad User Name or Password";
        NotAuthorized => NotAuthorized, "Not authorized";
        ServerUnavailable => ServerUnavailable, "Server unavailable";
        ServerBusy => ServerBusy, "Server busy";
        Banned => Banned, "Banned";
        BadAuthenticationMethod => BadAuthenticationMethod, "Bad authentication method";
        TopicNameInvalid => TopicNameInvalid, "Topic Name invalid";
        PacketTooLarge => PacketTooLarge, "Packet too large";
        QuotaExceeded => QuotaExceeded, "Quota exceeded";
        PayloadFormatInvalid => PayloadFormatInvalid, "Payload format invalid";
        RetainNotSupported => RetainNotSupported, "Retain not supported";
        QosNotSupported => QosNotSupported, "QoS not supported";
        UseAnotherServer => UseAnotherServer, "Use another server";
        ServerMoved => ServerMoved, "Server moved";
        ConnectionRateExceeded => ConnectionRateExceeded, "Connection rate exceeded";
    }
}
