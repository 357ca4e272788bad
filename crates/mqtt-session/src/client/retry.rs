//! Which ends are worth another attempt.
//!
//! One rule for every reason code: a reason that lies in the server's circumstances may pass, so
//! the client tries again; a reason that lies in what this client is or asks for will be the same
//! next time, so it is final, except that new credentials may change the server's mind.

use mqtt_codec::{PropertyBuf, ReasonCode};

use super::error::ClientCloseCause;

/// Why a transport to the server could not be opened, as a driver tells it with
/// [`Client::handle_dial_failed`](super::Client::handle_dial_failed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DialFault {
    /// Nobody answers there: refused, no route, reset.
    #[error("the server cannot be reached")]
    Unreachable,
    /// The transport did not stand in time.
    #[error("the connection to the server did not stand in time")]
    TimedOut,
    /// The host name is not known, or no name server answers.
    #[error("the name of the server was not found")]
    NameNotFound,
    /// TLS could not be agreed on, or one side does not trust the certificate of the other.
    #[error("the server and this client do not agree on TLS")]
    TlsRefused,
    /// The certificate of one side is not valid at this time: expired, or a clock is wrong.
    #[error("a certificate is not valid at this time")]
    CertificateOutOfTime,
    /// What answers speaks another protocol, as a server that refuses the WebSocket handshake.
    #[error("what answers at the address does not speak this transport")]
    ProtocolRefused,
    /// The address is none that this driver can connect to.
    #[error("the address of the server cannot be used")]
    BadAddress,
    /// The credentials for this attempt could not be had.
    #[error("the credentials for the connection could not be had")]
    NoCredentials,
    /// This system is short of something: sockets, memory, random numbers.
    #[error("this system cannot open a connection now")]
    SystemLimit,
}

impl DialFault {
    /// Whether another attempt may do better. What speaks against it is final: an address that
    /// cannot be used, and TLS or a protocol that was refused.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            // A name server that is out of reach looks like a name that does not exist.
            Self::Unreachable
            | Self::TimedOut
            | Self::NameNotFound
            | Self::CertificateOutOfTime
            | Self::NoCredentials
            | Self::SystemLimit => true,
            Self::TlsRefused | Self::ProtocolRefused | Self::BadAddress => false,
        }
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    /// None could be opened.
    #[error(transparent)]
    Dial(#[from] DialFault),
    /// It has ended, or was refused.
    #[error(transparent)]
    Closed(#[from] ClientCloseCause),
}

impl Outage {
    /// Whether another attempt with the same configuration may do better.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Dial(fault) => fault.is_retryable(),
            Self::Closed(cause) => cause.is_retryable(),
        }
    }

    /// The same, if this attempt had credentials of its own and the next one gets others.
    pub(super) fn is_retryable_with(&self, has_fresh_credentials: bool) -> bool {
        match self {
            // A certificate is a credential too.
            Self::Dial(DialFault::TlsRefused) => has_fresh_credentials,
            Self::Dial(fault) => fault.is_retryable(),
            Self::Closed(cause) => match cause.retry() {
                Retry::Yes => true,
                Retry::WithFreshCredentials => has_fresh_credentials,
                Retry::No => false,
            },
        }
    }
}

impl ClientCloseCause {
    /// Whether another attempt with the same configuration may do better. It may where the reason
    /// lies in the server's circumstances or in the network:
    ///
    /// | worth another attempt | final | final without new credentials |
    /// |---|---|---|
    /// | lost, no CONNACK in time, silence after a ping | the application disconnected | |
    /// | the server broke the protocol | | |
    /// | 0x00 Normal disconnection | 0x81 Malformed Packet, 0x82 Protocol Error | 0x86 Bad User Name or Password |
    /// | 0x80 Unspecified error, 0x83 Implementation specific error | 0x84 Unsupported Protocol Version, 0x85 Client Identifier not valid | 0x87 Not authorized |
    /// | 0x88 Server unavailable, 0x89 Server busy, 0x8B Server shutting down | 0x8A Banned, 0x8E Session taken over | 0x8C Bad authentication method |
    /// | 0x8D Keep Alive timeout | 0x8F Topic Filter invalid, 0x90 Topic Name invalid | |
    /// | 0x96 Message rate too high, 0x97 Quota exceeded | 0x93 Receive Maximum exceeded, 0x94 Topic Alias invalid, 0x95 Packet too large | |
    /// | 0x98 Administrative action | 0x99 Payload format invalid, 0x9A Retain not supported, 0x9B QoS not supported | |
    /// | 0x9C Use another server | 0x9D Server moved | |
    /// | 0x9F Connection rate exceeded, 0xA0 Maximum connect time | 0x9E, 0xA1, 0xA2: a kind of subscription is not supported | |
    ///
    /// 0x9C and 0x9D are looked at here only if they name no server that may be followed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retry() == Retry::Yes
    }

    pub(super) fn retry(&self) -> Retry {
        match self.servers_words() {
            Some((reason, _)) => Retry::after(reason),
            None if *self == Self::Disconnected => Retry::No,
            None => Retry::Yes,
        }
    }

    /// Whether another connection took the session over.
    pub(super) fn is_taken_over(&self) -> bool {
        self.servers_words().is_some_and(|(reason, _)| reason == ReasonCode::SessionTakenOver)
    }

    /// What the server gave as its reason, and what else it said, if it ended the connection.
    pub(super) fn servers_words(&self) -> Option<(ReasonCode, &PropertyBuf)> {
        match self {
            Self::Refused { reason, properties } => Some(((*reason).into(), properties)),
            Self::DisconnectedByServer { reason, properties } => {
                Some(((*reason).into(), properties))
            }
            Self::Disconnected
            | Self::Lost
            | Self::ConnectTimeout
            | Self::KeepAliveTimeout
            | Self::Violation(_) => None,
        }
    }
}

/// Whether another attempt may do better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    Yes,
    No,
    /// Only if the next attempt logs in with something else than this one did.
    WithFreshCredentials,
}

impl Retry {
    /// The table: after a CONNACK or DISCONNECT with this reason.
    pub(super) const fn after(reason: ReasonCode) -> Self {
        use ReasonCode as Reason;
        match reason {
            // The server's circumstances.
            Reason::Success
            | Reason::UnspecifiedError
            | Reason::ImplementationSpecificError
            | Reason::ServerUnavailable
            | Reason::ServerBusy
            | Reason::ServerShuttingDown
            | Reason::KeepAliveTimeout
            | Reason::MessageRateTooHigh
            | Reason::QuotaExceeded
            | Reason::AdministrativeAction
            | Reason::UseAnotherServer
            | Reason::ConnectionRateExceeded
            | Reason::MaximumConnectTime => Self::Yes,
            // Who this client is.
            Reason::BadUserNameOrPassword
            | Reason::NotAuthorized
            | Reason::BadAuthenticationMethod => Self::WithFreshCredentials,
            // What this client is or asks for.
            Reason::MalformedPacket
            | Reason::ProtocolError
            | Reason::UnsupportedProtocolVersion
            | Reason::ClientIdentifierNotValid
            | Reason::Banned
            | Reason::SessionTakenOver
            | Reason::TopicFilterInvalid
            | Reason::TopicNameInvalid
            | Reason::ReceiveMaximumExceeded
            | Reason::TopicAliasInvalid
            | Reason::PacketTooLarge
            | Reason::PayloadFormatInvalid
            | Reason::RetainNotSupported
            | Reason::QosNotSupported
            | Reason::ServerMoved
            | Reason::SharedSubscriptionsNotSupported
            | Reason::SubscriptionIdentifiersNotSupported
            | Reason::WildcardSubscriptionsNotSupported
            // Not in CONNACK or DISCONNECT of a server.
            | Reason::GrantedQos1
            | Reason::GrantedQos2
            | Reason::DisconnectWithWillMessage
            | Reason::NoMatchingSubscribers
            | Reason::NoSubscriptionExisted
            | Reason::ContinueAuthentication
            | Reason::ReAuthenticate
            | Reason::PacketIdentifierInUse
            | Reason::PacketIdentifierNotFound => Self::No,
        }
    }
}
