//! Why stored changes make no broker.

use mqtt_codec::{PacketId, TopicError};

use super::{MessageKey, SessionKey};

/// The changes that were handed to [`Broker::restore`](crate::Broker::restore) do not fit each
/// other: they are incomplete, out of order, damaged, or of another
/// [`STORE_FORMAT`](crate::STORE_FORMAT).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("change {at} does not fit those before it: {fault}")]
pub struct RestoreError {
    /// Which of the changes does not fit, counted from 0.
    pub at: usize,
    /// Why it does not fit.
    pub fault: RestoreFault,
}

/// Why a change does not fit those before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreFault {
    /// No such session has begun, or it has ended.
    #[error("there is no session {}", .0.get())]
    UnknownSession(SessionKey),
    /// A session with this key has begun before.
    #[error("session {} has begun already", .0.get())]
    SessionExists(SessionKey),
    /// Another session has the same client identifier.
    #[error("the client identifier has a session already")]
    ClientIdInUse,
    /// No such message is stored.
    #[error("there is no message {}", .0.get())]
    UnknownMessage(MessageKey),
    /// A message with this key was stored before.
    #[error("message {} is stored already", .0.get())]
    MessageExists(MessageKey),
    /// A message is forgotten that something still holds.
    #[error("message {} is still needed", .0.get())]
    MessageNeeded(MessageKey),
    /// The topic of a message is no Topic Name.
    #[error("a message has a topic that is none: {0}")]
    TopicName(TopicError),
    /// A subscription's filter is no Topic Filter.
    #[error("a subscription has a filter that is none: {0}")]
    TopicFilter(TopicError),
    /// The properties of a message are not what a PUBLISH passes on.
    #[error("a message has properties that cannot be passed on")]
    Properties,
    /// A retained message without a payload.
    #[error("a retained message has no payload")]
    EmptyRetained,
    /// A topic has no retained message to be cleared.
    #[error("there is no retained message to clear")]
    NotRetained,
    /// A session has no subscription with this filter, or no replay for it.
    #[error("there is no subscription with this filter")]
    NotSubscribed,
    /// A session has no Will Message, or nobody was asked about it.
    #[error("there is no such Will Message")]
    NoWill,
    /// A session's queue has no message.
    #[error("nothing is queued for session {}", .0.get())]
    EmptyQueue(SessionKey),
    /// A message of QoS 0 is queued.
    #[error("a message of QoS 0 is queued")]
    UnqueuedQos,
    /// A Packet Identifier belongs to another exchange.
    #[error("packet identifier {0} is in use")]
    PacketIdInUse(PacketId),
    /// A Packet Identifier belongs to no exchange that the change could be about.
    #[error("packet identifier {0} is not in use")]
    UnknownPacketId(PacketId),
    /// More time has passed than a broker can count.
    #[error("more than 584 years have passed")]
    TooLong,
    /// A key is too large for others to follow.
    #[error("a key leaves no room for others")]
    KeyTooLarge,
    /// There are more sessions or shared subscriptions than a broker can hold.
    #[error("a broker cannot hold so many sessions or shared subscriptions")]
    TooMany,
}
