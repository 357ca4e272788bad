//! Reason codes: the whole list of the standard, and one enum for each kind of packet that may
//! carry one, so that a packet with a code of another packet cannot be built.

mod auth;
mod connect;
mod disconnect;
mod publish;
mod subscribe;

use core::fmt;

pub use auth::AuthReason;
pub use connect::ConnectReason;
pub use disconnect::DisconnectReason;
pub use publish::{PubAckReason, PubRelReason};
pub use subscribe::{SubAckReason, UnsubAckReason};

/// A byte that is no reason code, or not one of the packet in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("0x{code:02X} is not a reason code that this packet may carry")]
pub struct InvalidReasonCode {
    /// The byte as it stood.
    pub code: u8,
}

/// Writes the conversions of one enum of reason codes, which all take the same form.
///
/// Each line says the variant, the [`ReasonCode`] that it is, and its name in the standard.
macro_rules! conversions {
    ($reason:ident { $($variant:ident => $code:ident, $name:literal;)+ }) => {
        impl $reason {
            /// Every value, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name that the standard gives this code in this packet.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Whether the code reports a failure (0x80 and above).
            #[must_use]
            pub const fn is_error(self) -> bool {
                self as u8 >= 0x80
            }
        }

        impl TryFrom<u8> for $reason {
            type Error = $crate::InvalidReasonCode;

            #[inline]
            fn try_from(code: u8) -> Result<Self, Self::Error> {
                match code {
                    $(_ if code == Self::$variant as u8 => Ok(Self::$variant),)+
                    _ => Err($crate::InvalidReasonCode { code }),
                }
            }
        }

        impl From<$reason> for u8 {
            #[inline]
            fn from(reason: $reason) -> Self {
                reason as Self
            }
        }

        impl From<$reason> for $crate::ReasonCode {
            #[inline]
            fn from(reason: $reason) -> Self {
                match reason {
                    $($reason::$variant => Self::$code,)+
                }
            }
        }

        impl core::fmt::Display for $reason {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
use conversions;

/// Every reason code of the standard (its table 2-6): 43 values.
///
/// What a packet carries has an enum of its own ([`ConnectReason`], [`DisconnectReason`], ...);
/// this one is for what is common to them: logs, counters, and [`crate::DecodeError::reason_code`].
///
/// ```
/// use mqtt_codec::{DisconnectReason, ReasonCode};
///
/// let code = ReasonCode::from(DisconnectReason::SessionTakenOver);
/// assert_eq!(code, ReasonCode::SessionTakenOver);
/// assert_eq!(u8::from(code), 0x8E);
/// assert_eq!(code.name(), "Session taken over");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u8", into = "u8"))]
#[repr(u8)]
pub enum ReasonCode {
    /// Success; as a reason of DISCONNECT "Normal disconnection", of SUBACK "Granted QoS 0".
    Success = 0x00,
    /// The subscription was accepted; the highest QoS sent is 1.
    GrantedQos1 = 0x01,
    /// The subscription was accepted; the highest QoS sent is 2.
    GrantedQos2 = 0x02,
    /// The client leaves, and wants its Will Message published all the same.
    DisconnectWithWillMessage = 0x04,
    /// The message was accepted, but nobody subscribes to its topic. Only a server says this.
    NoMatchingSubscribers = 0x10,
    /// No subscription of this session has that Topic Filter; nothing was deleted.
    NoSubscriptionExisted = 0x11,
    /// Another step of the authentication exchange is needed.
    ContinueAuthentication = 0x18,
    /// The client begins a new authentication on the open connection.
    ReAuthenticate = 0x19,
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
    /// The Packet Identifier is still in use.
    PacketIdentifierInUse = 0x91,
    /// The Packet Identifier is not known.
    PacketIdentifierNotFound = 0x92,
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

impl ReasonCode {
    /// Every value, in the order of the codes.
    pub const ALL: &'static [Self] = &[
        Self::Success,
        Self::GrantedQos1,
        Self::GrantedQos2,
        Self::DisconnectWithWillMessage,
        Self::NoMatchingSubscribers,
        Self::NoSubscriptionExisted,
        Self::ContinueAuthentication,
        Self::ReAuthenticate,
        Self::UnspecifiedError,
        Self::MalformedPacket,
        Self::ProtocolError,
        Self::ImplementationSpecificError,
        Self::UnsupportedProtocolVersion,
        Self::ClientIdentifierNotValid,
        Self::BadUserNameOrPassword,
        Self::NotAuthorized,
        Self::ServerUnavailable,
        Self::ServerBusy,
        Self::Banned,
        Self::ServerShuttingDown,
        Self::BadAuthenticationMethod,
        Self::KeepAliveTimeout,
        Self::SessionTakenOver,
        Self::TopicFilterInvalid,
        Self::TopicNameInvalid,
        Self::PacketIdentifierInUse,
        Self::PacketIdentifierNotFound,
        Self::ReceiveMaximumExceeded,
        Self::TopicAliasInvalid,
        Self::PacketTooLarge,
        Self::MessageRateTooHigh,
        Self::QuotaExceeded,
        Self::AdministrativeAction,
        Self::PayloadFormatInvalid,
        Self::RetainNotSupported,
        Self::QosNotSupported,
        Self::UseAnotherServer,
        Self::ServerMoved,
        Self::SharedSubscriptionsNotSupported,
        Self::ConnectionRateExceeded,
        Self::MaximumConnectTime,
        Self::SubscriptionIdentifiersNotSupported,
        Self::WildcardSubscriptionsNotSupported,
    ];

    /// The name that the standard gives this code; `Success` for 0x00, which has three.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::GrantedQos1 => "Granted QoS 1",
            Self::GrantedQos2 => "Granted QoS 2",
            Self::DisconnectWithWillMessage => "Disconnect with Will Message",
            Self::NoMatchingSubscribers => "No matching subscribers",
            Self::NoSubscriptionExisted => "No subscription existed",
            Self::ContinueAuthentication => "Continue authentication",
            Self::ReAuthenticate => "Re-authenticate",
            Self::UnspecifiedError => "Unspecified error",
            Self::MalformedPacket => "Malformed Packet",
            Self::ProtocolError => "Protocol Error",
            Self::ImplementationSpecificError => "Implementation specific error",
            Self::UnsupportedProtocolVersion => "Unsupported Protocol Version",
            Self::ClientIdentifierNotValid => "Client Identifier not valid",
            Self::BadUserNameOrPassword => "Bad User Name or Password",
            Self::NotAuthorized => "Not authorized",
            Self::ServerUnavailable => "Server unavailable",
            Self::ServerBusy => "Server busy",
            Self::Banned => "Banned",
            Self::ServerShuttingDown => "Server shutting down",
            Self::BadAuthenticationMethod => "Bad authentication method",
            Self::KeepAliveTimeout => "Keep Alive timeout",
            Self::SessionTakenOver => "Session taken over",
            Self::TopicFilterInvalid => "Topic Filter invalid",
            Self::TopicNameInvalid => "Topic Name invalid",
            Self::PacketIdentifierInUse => "Packet Identifier in use",
            Self::PacketIdentifierNotFound => "Packet Identifier not found",
            Self::ReceiveMaximumExceeded => "Receive Maximum exceeded",
            Self::TopicAliasInvalid => "Topic Alias invalid",
            Self::PacketTooLarge => "Packet too large",
            Self::MessageRateTooHigh => "Message rate too high",
            Self::QuotaExceeded => "Quota exceeded",
            Self::AdministrativeAction => "Administrative action",
            Self::PayloadFormatInvalid => "Payload format invalid",
            Self::RetainNotSupported => "Retain not supported",
            Self::QosNotSupported => "QoS not supported",
            Self::UseAnotherServer => "Use another server",
            Self::ServerMoved => "Server moved",
            Self::SharedSubscriptionsNotSupported => "Shared Subscriptions not supported",
            Self::ConnectionRateExceeded => "Connection rate exceeded",
            Self::MaximumConnectTime => "Maximum connect time",
            Self::SubscriptionIdentifiersNotSupported => "Subscription Identifiers not supported",
            Self::WildcardSubscriptionsNotSupported => "Wildcard Subscriptions not supported",
        }
    }

    /// Whether the code reports a failure (0x80 and above).
    #[must_use]
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }
}

impl TryFrom<u8> for ReasonCode {
    type Error = InvalidReasonCode;

    fn try_from(code: u8) -> Result<Self, Self::Error> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| *reason as u8 == code)
            .ok_or(InvalidReasonCode { code })
    }
}

impl From<ReasonCode> for u8 {
    #[inline]
    fn from(reason: ReasonCode) -> Self {
        reason as Self
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
