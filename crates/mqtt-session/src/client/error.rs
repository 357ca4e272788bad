//! What can go wrong, by whose fault it is: the caller's ([`ConfigError`], [`Unsent`],
//! [`SubscribeError`], [`DisconnectError`]), the server's ([`Violation`]), or nobody's
//! ([`ClientCloseCause`]).

use bytes::Bytes;
use mqtt_codec::{
    ConnectReason, DecodeError, DisconnectReason, EncodeError, PacketType, PropertyBuf, PropertyId,
    QoS, ReasonCode, SubscriptionId, TopicError,
};

/// A configuration that no CONNECT can be made from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The will's topic is no Topic Name.
    #[error("the topic of the will cannot be used: {0}")]
    WillTopic(TopicError),
    /// The saved session is one of another Client Identifier than the configured one.
    #[error("the saved session belongs to another client identifier")]
    ClientIdentifier,
    /// A text or a value that CONNECT cannot carry.
    #[error("the configuration does not fit into CONNECT: {0}")]
    Connect(#[from] EncodeError),
}

/// A message that [`Client::publish`](super::Client::publish) did not take, and why. Nothing has
/// changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Unsent {
    /// The payload, given back.
    pub payload: Bytes,
    /// Why it was not taken.
    #[source]
    pub error: PublishError,
}

/// Why a message cannot be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// There is no connection, or it is being closed.
    #[error("there is no connection to the server; publish again once there is one")]
    NotConnected,
    /// As many messages wait to be sent or acknowledged as the configuration allows.
    #[error(
        "the outgoing messages are at their limit; wait until one has ended, or raise \
         `max_outgoing_messages` or `max_outgoing_bytes`"
    )]
    Full,
    /// The server does not allow it.
    #[error(transparent)]
    NotAllowed(#[from] ServerLimit),
    /// A property that a client's PUBLISH may not have [MQTT-3.3.4-6].
    #[error("the property {0} is not for an application to set in PUBLISH")]
    PropertyNotAllowed(PropertyId),
}

/// What the server announced in CONNACK that it does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerLimit {
    /// The QoS is above its Maximum QoS [MQTT-3.2.2-11].
    #[error("the server takes messages up to QoS {}, as its CONNACK said", *.maximum as u8)]
    MaximumQos {
        /// The highest QoS it takes.
        maximum: QoS,
    },
    /// It takes no retained messages [MQTT-3.2.2-14].
    #[error("the server keeps no retained messages, as its CONNACK said; publish without retain")]
    RetainNotAvailable,
    /// The packet is larger than its Maximum Packet Size [MQTT-3.2.2-15].
    #[error("the packet has {size} bytes, and the server takes {maximum}, as its CONNACK said")]
    MaximumPacketSize {
        /// Bytes of the whole packet.
        size: u64,
        /// The most that it takes.
        maximum: u32,
    },
    /// It takes no filters with `+` or `#`.
    #[error("the server takes no wildcards in topic filters, as its CONNACK said")]
    WildcardSubscriptionNotAvailable,
    /// It takes no `$share/...` filters.
    #[error("the server takes no shared subscriptions, as its CONNACK said")]
    SharedSubscriptionNotAvailable,
}

/// Why [`Client::subscribe`](super::Client::subscribe) refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// No filter was given [MQTT-3.8.3-2].
    #[error("a subscription needs at least one topic filter")]
    NoTopicFilter,
    /// No Local was asked for on a shared subscription [MQTT-3.8.3-4].
    #[error("a shared subscription cannot have No Local")]
    NoLocalOnSharedSubscription,
    /// As many filters are held as the configuration allows.
    #[error("the subscriptions hold {maximum} topic filters, the limit; raise `max_filters`")]
    Full {
        /// The configured limit.
        maximum: usize,
    },
    /// The server does not allow it.
    #[error(transparent)]
    NotAllowed(#[from] ServerLimit),
    /// A property that SUBSCRIBE may not have, or that is not for the application to set.
    #[error("the property {0} is not for an application to set in SUBSCRIBE")]
    PropertyNotAllowed(PropertyId),
}

/// Why [`Client::unsubscribe_with`](super::Client::unsubscribe_with) refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsubscribeError {
    /// A property that UNSUBSCRIBE may not have.
    #[error("the property {0} is not for an application to set in UNSUBSCRIBE")]
    PropertyNotAllowed(PropertyId),
}

/// Why [`Client::disconnect`](super::Client::disconnect) refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DisconnectError {
    /// There is no connection, or it is being closed already.
    #[error("there is no connection to the server")]
    NotConnected,
    /// The standard keeps this reason for servers [MQTT-3.14.2-1].
    #[error("a client cannot disconnect with the reason \"{0}\"")]
    ReasonNotForClients(DisconnectReason),
    /// A session that was to end with the connection cannot be made to outlive it now.
    #[error("the session ends with the connection; only one made to outlive it can be given time")]
    SessionExpiry,
}

/// Why [`Client::authenticate`](super::Client::authenticate) or
/// [`Client::reauthenticate`](super::Client::reauthenticate) refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthenticateError {
    /// The server has asked nothing.
    #[error("the server waits for no answer; authenticate only after a challenge")]
    NotChallenged,
    /// The connection does not stand, or it was made without enhanced authentication, or it is
    /// being authenticated already.
    #[error(
        "this connection cannot be authenticated anew now: it must stand, with an authentication \
         method, and without another authentication under way"
    )]
    NotPossible,
    /// The data does not fit into a packet, or into one that the server takes.
    #[error("the authentication data cannot be sent: {0}")]
    Data(#[from] EncodeError),
}

/// A rule that the server broke. The client answered with
/// [`reason_code`](Violation::reason_code) in DISCONNECT and closed the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// It sent bytes that are not a packet.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// It sent a packet that may not come from a server, or not now.
    #[error("the server sent {0}, which may not come at this point")]
    UnexpectedPacket(PacketType),
    /// It answered with Session Present although this client asked for a new session, or holds
    /// none [MQTT-3.2.2-4].
    #[error("the server claims to hold a session that this client does not hold")]
    SessionPresent,
    /// It sent more QoS 1 and QoS 2 messages at once than the Receive Maximum of CONNECT allows.
    #[error(
        "the server sent more than {maximum} messages without waiting for their acknowledgement"
    )]
    ReceiveMaximumExceeded {
        /// The Receive Maximum that this client announced.
        maximum: u16,
    },
    /// It used a Topic Alias above the Topic Alias Maximum of CONNECT.
    #[error("the server used topic alias {alias}; {maximum} is the highest that it may use")]
    TopicAliasInvalid {
        /// What it used.
        alias: u16,
        /// The Topic Alias Maximum that this client announced.
        maximum: u16,
    },
    /// It used a Topic Alias that it had not set.
    #[error("the server used topic alias {0} without having set it")]
    TopicAliasUnknown(u16),
    /// It acknowledged something else than what was sent under this packet identifier.
    #[error("the server sent {packet} for packet identifier {id}, which waits for something else")]
    AcknowledgementMismatch {
        /// The packet that came.
        packet: PacketType,
        /// Its packet identifier.
        id: u16,
    },
    /// A SUBACK or UNSUBACK has not one reason code for each filter.
    #[error("the server sent {received} reason codes in {packet} for {expected} topic filters")]
    ReasonCodeCount {
        /// The packet that came.
        packet: PacketType,
        /// How many filters were sent.
        expected: usize,
        /// How many reason codes came.
        received: usize,
    },
    /// It used a Subscription Identifier that was never given to it.
    #[error("the server used subscription identifier {}, which was never given to it", .0.get())]
    SubscriptionIdUnknown(SubscriptionId),
    /// It explained itself although CONNECT said not to [MQTT-3.1.2-29].
    #[error("the server sent a Reason String or User Property in {0} although none was requested")]
    ProblemInformation(PacketType),
    /// It named another Authentication Method than CONNECT, or none where CONNECT named one, or one
    /// where CONNECT named none [MQTT-4.12.0-5] [MQTT-4.12.0-6].
    #[error(
        "the server sent {0} without the Authentication Method of CONNECT, or with another one"
    )]
    AuthenticationMethod(PacketType),
    /// Its DISCONNECT carried a property that only a client may send.
    #[error("the server sent a Session Expiry Interval in DISCONNECT")]
    SessionExpiryInDisconnect,
    /// Its DISCONNECT carried a reason that only a client may give [MQTT-3.14.2-1].
    #[error("the server sent DISCONNECT with a reason that only a client has: {0}")]
    DisconnectReason(DisconnectReason),
}

impl Violation {
    /// The reason code that the standard gives this fault: the one sent in DISCONNECT.
    #[must_use]
    pub const fn reason_code(&self) -> ReasonCode {
        match self {
            Self::Decode(error) => error.reason_code(),
            Self::ReceiveMaximumExceeded { .. } => ReasonCode::ReceiveMaximumExceeded,
            Self::TopicAliasInvalid { .. } => ReasonCode::TopicAliasInvalid,
            Self::UnexpectedPacket(_)
            | Self::SessionPresent
            | Self::TopicAliasUnknown(_)
            | Self::AcknowledgementMismatch { .. }
            | Self::ReasonCodeCount { .. }
            | Self::SubscriptionIdUnknown(_)
            | Self::ProblemInformation(_)
            | Self::AuthenticationMethod(_)
            | Self::SessionExpiryInDisconnect
            | Self::DisconnectReason(_) => ReasonCode::ProtocolError,
        }
    }

    /// The same as a reason of DISCONNECT.
    pub(super) fn disconnect_reason(&self) -> DisconnectReason {
        DisconnectReason::try_from(u8::from(self.reason_code()))
            .unwrap_or(DisconnectReason::ProtocolError)
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientCloseCause {
    /// The application disconnected.
    #[error("disconnected by the application")]
    Disconnected,
    /// The server refused the connection.
    #[error("the server refused the connection: {reason}{}", because(.properties))]
    Refused {
        /// Its reason.
        reason: ConnectReason,
        /// What else it said: a Reason String, another server to use, User Properties.
        properties: PropertyBuf,
    },
    /// The server sent DISCONNECT.
    #[error("disconnected by the server: {reason}{}", because(.properties))]
    DisconnectedByServer {
        /// Its reason.
        reason: DisconnectReason,
        /// What else it said: a Reason String, another server to use, User Properties.
        properties: PropertyBuf,
    },
    /// The transport was closed, or failed, without a goodbye.
    #[error("the connection was lost")]
    Lost,
    /// The server did not answer CONNECT in time.
    #[error("the server did not answer CONNECT in time")]
    ConnectTimeout,
    /// The server gave no sign of life after a ping.
    #[error("the server gave no sign of life after a ping")]
    KeepAliveTimeout,
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Violation(#[source] Violation),
}

/// The Reason String, ready to stand behind a reason.
fn because(properties: &PropertyBuf) -> String {
    properties.as_properties().reason_string().map_or_else(String::new, |text| format!(" ({text})"))
}
