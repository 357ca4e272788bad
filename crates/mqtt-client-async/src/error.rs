//! What can go wrong, an enum for each operation.

use std::io;
use std::sync::Arc;

use mqtt_codec::{ConnectReason, EncodeError, PropertyBuf, SubAckReason, TopicError};
use mqtt_session::{
    Acknowledgement, ClientCloseCause, ConfigError, DialFault, SavedSessionError, ServerLimit,
    UnsentMessage,
};

use crate::address::AddressError;
use crate::publish::Publish;
#[cfg(feature = "rustls")]
use crate::tls::TlsError;

/// Why there is no connection, or no longer one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The connection ended, for this reason.
    #[error("{0}")]
    Closed(#[source] Arc<ClientCloseCause>),
    /// The transport failed.
    #[error("the connection failed: {0}")]
    Io(#[source] Arc<io::Error>),
    /// No transport to the server could be opened.
    #[error("no connection to {address}: {}", dialled(*.fault, .source))]
    Unreachable {
        /// Host and port, or what else was connected to.
        address: String,
        /// What kind of fault it was.
        fault: DialFault,
        /// What the system says, if it was asked.
        source: Option<Arc<io::Error>>,
    },
    /// The store did not take the session; what depends on it was not sent.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The client was not convinced of the server, or could not answer it.
    #[error("the client has not authenticated with the server: {0}")]
    Authentication(#[source] Arc<AuthenticationError>),
    /// The driver was dropped: nobody moves bytes any more.
    #[error("the driver of the connection was dropped; keep it running as long as the client")]
    DriverDropped,
}

impl ConnectionError {
    /// Whether the application itself ended the connection.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Closed(cause) if matches!(**cause, ClientCloseCause::Disconnected))
    }
}

/// Why a method of enhanced authentication does not go on; what exactly is known to the method.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct AuthenticationError(Box<dyn std::error::Error + Send + Sync>);

impl AuthenticationError {
    /// For this reason.
    pub fn new(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }

    /// What the method says, for example to be downcast.
    #[must_use]
    pub fn reason(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }
}

/// Why a client was not authenticated anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReauthenticateError {
    /// The client was connected without a method of enhanced authentication.
    #[error("the client has no authentication method; set `authentication_method`")]
    NoMethod,
    /// The method could not begin. The connection stands as before.
    #[error("the authentication cannot begin: {0}")]
    Method(#[from] AuthenticationError),
    /// There is no connection, or it ended before that.
    #[error("the client is not authenticated anew: {0}")]
    Connection(#[from] ConnectionError),
}

/// Why a session cannot be kept in its store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no Client Identifier, by which the session would be known.
    #[error("a session that is stored needs a name to be known by: set `client_id`")]
    NoClientId,
    /// The server is told to forget the session with its connection, so a later run could not go on
    /// with it.
    #[error(
        "a session that ends with its connection cannot be stored: set `session` to \
         `SessionPolicy::resume` or `SessionPolicy::rejoin`, with the time that the program may be away"
    )]
    ShortSession,
    /// The place of the session cannot be opened or read.
    #[error("{name} cannot be had from its store: {source}")]
    Unavailable {
        /// Whose session it is.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// What is stored there is no session. It is left as it is.
    #[error(
        "the session stored at {location} cannot be used: {source}; put a copy of it back, or move \
         it away to begin a new session, without the messages that are in this one"
    )]
    Unusable {
        /// Where it is.
        location: String,
        /// What is wrong with it.
        source: SavedSessionError,
    },
    /// The session could not be written.
    #[error(
        "the session could not be stored at {location}: {source}; nothing was sent that depends on it"
    )]
    NotSaved {
        /// Where it was to be.
        location: String,
        /// Why.
        source: io::Error,
    },
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The options cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// TLS cannot be set up as the options say.
    #[cfg(feature = "rustls")]
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The session cannot be kept in the store that was given.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random numbers, or no thread for the driver: see the source.
    #[error("the connection could not be set up: {0}")]
    Setup(#[source] io::Error),
    /// No transport to the server could be opened.
    #[error("no connection to {address}: {}", dialled(*.fault, .source))]
    Unreachable {
        /// Host and port, or what else was connected to.
        address: String,
        /// What kind of fault it was.
        fault: DialFault,
        /// What the system says, if it was asked.
        source: Option<Arc<io::Error>>,
    },
    /// The transport did not stand, or the server did not answer, in the time given.
    #[error("no answer from {address} in time; is an MQTT 5 server listening there?")]
    Timeout {
        /// Host and port, or what else was connected to.
        address: String,
    },
    /// The server refused.
    #[error("the server refused the connection: {reason}{}", advice(*.reason, .properties))]
    Refused {
        /// Its reason.
        reason: ConnectReason,
        /// What else it said: a Reason String, another server to use, User Properties.
        properties: PropertyBuf,
    },
    /// The connection ended before the server had accepted it.
    #[error("the connection ended before the server accepted it: {0}")]
    Connection(#[from] ConnectionError),
}

impl ConnectError {
    /// Whether trying again later, with the same options, may work.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Address(_) | Self::Config(_) | Self::Store(_) => false,
            #[cfg(feature = "rustls")]
            Self::Tls(_) => false,
            Self::Refused { reason, properties } => {
                let (reason, properties) = (*reason, properties.clone());
                ClientCloseCause::Refused { reason, properties }.is_retryable()
            }
            Self::Unreachable { fault, .. } => fault.is_retryable(),
            Self::Connection(ConnectionError::Closed(cause)) => cause.is_retryable(),
            Self::Connection(ConnectionError::Authentication(_) | ConnectionError::Store(_)) => {
                false
            }
            Self::Setup(_) | Self::Timeout { .. } | Self::Connection(_) => true,
        }
    }
}

/// What a transport failed for, and what to look at.
fn dialled(fault: DialFault, source: &Option<Arc<io::Error>>) -> String {
    let said = source.as_ref().map_or_else(|| fault.to_string(), ToString::to_string);
    let advice = if fault == DialFault::Unreachable {
        "; is the server running, and is that its address?"
    } else if fault == DialFault::NameNotFound {
        "; is the host name right?"
    } else {
        ""
    };
    format!("{said}{advice}")
}

/// What to do about a refusal, after what the server said in words.
fn advice(reason: ConnectReason, properties: &PropertyBuf) -> String {
    let properties = properties.as_properties();
    let mut text = String::new();
    if let Some(words) = properties.reason_string() {
        text.push_str(&format!(" ({words})"));
    }
    if let Some(reference) = properties.server_reference() {
        text.push_str(&format!("; use {reference} instead"));
    }
    if matches!(reason, ConnectReason::BadUserNameOrPassword | ConnectReason::NotAuthorized) {
        text.push_str("; check the user name and password");
    } else if reason == ConnectReason::UnsupportedProtocolVersion {
        text.push_str("; this client speaks MQTT 5 only");
    } else if reason == ConnectReason::ClientIdentifierNotValid {
        text.push_str("; choose another client identifier");
    }
    text
}

/// Why a message was not published, or not for sure.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The topic is no Topic Name.
    #[error("the topic cannot be published to: {0}")]
    Topic(#[from] TopicError),
    /// A property cannot be sent.
    #[error("a property of the message cannot be sent: {0}")]
    Property(#[from] EncodeError),
    /// The server announced that it does not take such a message.
    #[error(transparent)]
    NotAllowed(#[from] ServerLimit),
    /// The server refused the message.
    #[error("the server refused the message: {}{}", .0.reason, because(&.0.properties))]
    Refused(Acknowledgement),
    /// Its Message Expiry Interval ended before it could be sent.
    #[error("the message expired before it could be sent")]
    Expired,
    /// It was sent, and the session ended before the server acknowledged it.
    #[error("the session ended before the server acknowledged the message; it may have it or not")]
    SessionLost,
    /// It was not sent and is handed back: a newer message took its place in the offline queue,
    /// or it was [only for a connection](Publish::only_online) that has ended.
    #[error("the message was dropped before it could be sent")]
    Dropped(Box<UnsentMessage>),
    /// There is no connection, or the connection ended before the server acknowledged it.
    #[error("the message is not acknowledged: {0}")]
    Connection(#[from] ConnectionError),
}

impl PublishError {
    /// Whether publishing the same message again, on a connection that stands, may work.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Topic(_) | Self::Property(_) | Self::NotAllowed(_) | Self::Expired => false,
            Self::Refused(_) | Self::SessionLost | Self::Dropped(_) | Self::Connection(_) => true,
        }
    }
}

/// Why [`Publish::enqueue`] did not take a message.
#[derive(thiserror::Error)]
pub enum EnqueueError<'a> {
    /// As many messages wait to be sent or acknowledged as the options allow. The message is
    /// given back: await its [`send`](Publish::send), or try again later.
    #[error("as many messages wait to be sent or acknowledged as `max_outgoing_messages` allows")]
    Full(Box<Publish<'a>>),
    /// The message cannot be published.
    #[error(transparent)]
    Failed(#[from] PublishError),
}

impl core::fmt::Debug for EnqueueError<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full"),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

/// Why a subscription was not made.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// A filter is no Topic Filter.
    #[error("`{filter}` is no topic filter: {error}")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        error: TopicError,
    },
    /// A property cannot be sent.
    #[error("a property of the subscription cannot be sent: {0}")]
    Property(#[source] EncodeError),
    /// The request cannot be sent.
    #[error(transparent)]
    Request(#[from] mqtt_session::SubscribeError),
    /// The server announced that it does not take such a subscription.
    #[error(transparent)]
    NotAllowed(#[from] ServerLimit),
    /// The server refused at least one filter; no subscription stands.
    #[error("the server refused the subscription: {}", refusals(.results))]
    Refused {
        /// Each filter with the server's answer, in the order in which they were given.
        results: Vec<(String, SubAckReason)>,
    },
    /// There is no connection, or it ended before the server answered.
    #[error("the subscription is not made: {0}")]
    Connection(#[from] ConnectionError),
}

/// Why there is no answer to an UNSUBSCRIBE. The subscription has ended, unless the property was at
/// fault: then it ends when the future is dropped.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnsubscribeError {
    /// A property cannot be sent.
    #[error("a property of UNSUBSCRIBE cannot be sent: {0}")]
    Property(#[source] EncodeError),
    /// There is no connection, or it ended before the server answered.
    #[error("the server has not answered: {0}")]
    Connection(#[from] ConnectionError),
}

/// Why there is no response to a request.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// None came in time.
    #[error("no response came in time")]
    TimedOut,
    /// The server said that nobody subscribes to the topic of the request.
    #[error("nobody subscribes to the topic of the request")]
    NoResponder,
    /// The request was not published.
    #[error("the request is not published: {0}")]
    Publish(#[from] PublishError),
    /// The request was not taken: too many wait, or it has a property that it may not have.
    #[error(transparent)]
    Request(#[from] mqtt_session::RequestError),
    /// The response topic could not be subscribed to.
    #[error("the response topic cannot be subscribed to: {0}")]
    ResponseTopic(#[source] mqtt_session::SubscribeError),
    /// The server refused the subscription to the response topic.
    #[error("the server refused the subscription to the response topic: {0}")]
    ResponseTopicRefused(SubAckReason),
    /// There is no connection, or it ended before the response came.
    #[error("the request has no response: {0}")]
    Connection(#[from] ConnectionError),
}

impl RequestError {
    /// Whether the same request, made again on a connection that stands, may get a response.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::TimedOut | Self::NoResponder | Self::Connection(_) => true,
            Self::Publish(error) => error.is_retryable(),
            Self::Request(error) => {
                !matches!(error, mqtt_session::RequestError::PropertyNotAllowed(_))
            }
            Self::ResponseTopic(_) | Self::ResponseTopicRefused(_) => false,
        }
    }
}

fn refusals(results: &[(String, SubAckReason)]) -> String {
    let refused = results.iter().filter(|(_, reason)| reason.is_error());
    refused.map(|(filter, reason)| format!("`{filter}`: {reason}")).collect::<Vec<_>>().join(", ")
}

/// The Reason String, ready to stand behind a reason.
fn because(properties: &PropertyBuf) -> String {
    properties.as_properties().reason_string().map_or_else(String::new, |text| format!(" ({text})"))
}
