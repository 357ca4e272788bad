//! The changes of a broker's durable state, one by one, in a form that outlives the process.

use core::fmt;
use core::num::NonZeroU64;
use core::time::Duration;

use bytes::Bytes;
use mqtt_codec::{PacketId, QoS, SubscriptionId, SubscriptionOptions};

/// The version of the form in which [`Change`]s are stored.
///
/// It is raised whenever a change of this crate makes what was stored before mean something else
/// or unreadable: a kind or a field is added, removed or moved (forms that number them, as many
/// serde formats do, depend on their order). A store keeps the number beside its data and does not
/// hand changes of another version to [`Broker::restore`](crate::Broker::restore).
pub const STORE_FORMAT: u16 = 1;

/// Names a session in a store: a number that no other session of the same store has had.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct SessionKey(pub(crate) NonZeroU64);

/// Names a message in a store: a number that no other message of the same store has had.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct MessageKey(pub(crate) NonZeroU64);

macro_rules! key {
    ($key:ident) => {
        impl $key {
            /// The key of this number, or `None` for 0.
            #[must_use]
            pub const fn new(number: u64) -> Option<Self> {
                match NonZeroU64::new(number) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0.get()
            }
        }

        impl fmt::Debug for $key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($key), "({})"), self.0)
            }
        }
    };
}

key!(SessionKey);
key!(MessageKey);

/// One change of what a broker keeps across restarts.
///
/// Changes are made in the order in which they are to be replayed:
/// [`Broker::restore`](crate::Broker::restore) takes them from the first one on, or from a
/// [`Broker::snapshot`](crate::Broker::snapshot). They own all they hold and name sessions and
/// messages by keys of their own. What is left of a time is a duration, and
/// [`Elapsed`](Self::Elapsed) says how much of it has passed since: no clock is written down.
///
/// Only sessions that outlive their connection are stored: one with a Session Expiry Interval of 0
/// ends with the broker's process, and nothing is recorded for it. QoS 0 messages are stored only
/// as retained messages and as wills.
///
/// With the feature `serde` a change can be serialized; [`STORE_FORMAT`] versions its form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Change {
    /// So much time passed between the change before and the one after.
    Elapsed(Duration),

    /// A session begins, and has a connection.
    SessionBegun {
        /// The session's key.
        session: SessionKey,
        /// The client identifier.
        client_id: Box<str>,
        /// Who may resume it.
        identity: Option<Box<str>>,
        /// Seconds that it lives on without a connection; `u32::MAX` for ever.
        expiry_interval: u32,
    },
    /// A session has another Session Expiry Interval.
    SessionChanged {
        /// The session.
        session: SessionKey,
        /// Seconds that it lives on without a connection; `u32::MAX` for ever.
        expiry_interval: u32,
    },
    /// A session has lost its connection.
    SessionLeft {
        /// The session.
        session: SessionKey,
        /// How long it lives on; `None` for ever.
        ends_in: Option<Duration>,
    },
    /// A session has a connection again.
    SessionResumed {
        /// The session.
        session: SessionKey,
    },
    /// A session is over, or will not outlive its connection any more; with it go its
    /// subscriptions, its will, its queue and its exchanges.
    SessionEnded {
        /// The session.
        session: SessionKey,
    },

    /// A session subscribes; a subscription with the same filter is replaced.
    Subscribed {
        /// The session.
        session: SessionKey,
        /// The whole Topic Filter, with `$share/` and name if it is shared.
        filter: Box<str>,
        /// What was granted.
        options: SubscriptionOptions,
        /// The Subscription Identifier.
        id: Option<SubscriptionId>,
    },
    /// A session unsubscribes; retained messages are no longer sent for the filter.
    Unsubscribed {
        /// The session.
        session: SessionKey,
        /// The whole Topic Filter.
        filter: Box<str>,
    },

    /// A session has a Will Message.
    WillStored {
        /// The session.
        session: SessionKey,
        /// The message.
        message: MessageKey,
        /// Seconds between the end of the connection and the will.
        delay: u32,
        /// Seconds from its publishing to its expiry; `None` for never.
        expiry: Option<u32>,
    },
    /// The Will Message of a session is deleted.
    WillDiscarded {
        /// The session.
        session: SessionKey,
    },
    /// The delay of a session's Will Message runs.
    WillDue {
        /// The session.
        session: SessionKey,
        /// How long until it is published.
        due_in: Duration,
    },
    /// The Will Message of a session is published: the session has none any more, and the time to
    /// the message's expiry begins to run. Whom it goes to is told by changes of their own.
    WillPublished {
        /// The session.
        session: SessionKey,
    },

    /// The driver is asked whether a Will Message that is due may be published.
    WillAsked {
        /// The message.
        message: MessageKey,
        /// The client identifier of the session that left it; the session may be over.
        client_id: Box<str>,
        /// Who the client was.
        identity: Option<Box<str>>,
    },
    /// It is decided whether a Will Message may be published.
    WillAnswered {
        /// The message.
        message: MessageKey,
    },

    /// A message is stored; it stays until it is forgotten.
    MessageStored(Box<StoredMessage>),
    /// Nothing holds a message any more.
    MessageForgotten {
        /// The message.
        message: MessageKey,
    },

    /// A message is the retained one of its topic, in the place of another if there is one.
    Retained {
        /// The message.
        message: MessageKey,
    },
    /// A topic has no retained message any more.
    RetainedCleared {
        /// The topic.
        topic: Box<str>,
    },

    /// A message is appended to the queue of a session.
    Queued {
        /// The session.
        session: SessionKey,
        /// The message.
        message: MessageKey,
        /// QoS 1 or QoS 2.
        qos: QoS,
        /// The RETAIN flag that it is sent with.
        retain: bool,
        /// The identifiers of the subscriptions that it is sent for.
        subscription_ids: Box<[SubscriptionId]>,
    },
    /// The first message in the queue of a session is dropped.
    Dropped {
        /// The session.
        session: SessionKey,
    },
    /// A message is taken out of the queue of a session again.
    Withdrawn {
        /// The session.
        session: SessionKey,
        /// The message.
        message: MessageKey,
    },
    /// The first message in the queue of a session is sent.
    Sent {
        /// The session.
        session: SessionKey,
        /// The Packet Identifier of the exchange.
        packet_id: PacketId,
    },
    /// The retained messages that match a filter are sent to a session, after those that are sent
    /// to it already, and behind what is queued for it by now. If it is under way for the same
    /// filter it begins anew.
    ReplayBegun {
        /// The session.
        session: SessionKey,
        /// The Topic Filter of one of its subscriptions.
        filter: Box<str>,
        /// What was granted when the replay began.
        options: SubscriptionOptions,
        /// The Subscription Identifier of then.
        id: Option<SubscriptionId>,
    },
    /// The retained messages for a filter were sent up to a topic.
    ReplayedUpTo {
        /// The session.
        session: SessionKey,
        /// The Topic Filter.
        filter: Box<str>,
        /// The topic.
        topic: Box<str>,
    },
    /// A retained message is sent without having been in a queue.
    Replayed {
        /// The session.
        session: SessionKey,
        /// The Packet Identifier of the exchange.
        packet_id: PacketId,
        /// The message.
        message: MessageKey,
        /// QoS 1 or QoS 2.
        qos: QoS,
        /// The identifier of the subscription that it is sent for.
        id: Option<SubscriptionId>,
        /// The filter whose replay has come to the topic of the message; `None` if it was given up
        /// meanwhile.
        filter: Option<Box<str>>,
    },
    /// All retained messages that match a filter were sent to a session.
    ReplayEnded {
        /// The session.
        session: SessionKey,
        /// The Topic Filter.
        filter: Box<str>,
    },
    /// PUBREC came for a QoS 2 message that was sent: from here on only PUBREL is owed. With a
    /// Packet Identifier that is not in use the exchange begins so.
    Released {
        /// The session.
        session: SessionKey,
        /// The Packet Identifier of the exchange.
        packet_id: PacketId,
    },
    /// The exchange of a message that was sent is over: PUBACK, PUBCOMP or a refusal came, or the
    /// message does not fit the client.
    Finished {
        /// The session.
        session: SessionKey,
        /// The Packet Identifier of the exchange.
        packet_id: PacketId,
    },

    /// A QoS 2 message came from the client of a session; its Packet Identifier awaits PUBREL.
    Received {
        /// The session.
        session: SessionKey,
        /// The client's Packet Identifier.
        packet_id: PacketId,
    },
    /// PUBREL came, or the message was refused: the Packet Identifier means a new message.
    Forgotten {
        /// The session.
        session: SessionKey,
        /// The client's Packet Identifier.
        packet_id: PacketId,
    },
}

/// A message in a store.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StoredMessage {
    /// Its key.
    pub message: MessageKey,
    /// The Topic Name.
    pub topic: Box<str>,
    /// The QoS with which it was published.
    pub qos: QoS,
    /// The RETAIN flag with which it was published.
    pub retain: bool,
    /// How long until it expires; `None` for never.
    pub expires_in: Option<Duration>,
    /// The client identifier of its publisher, where No Local can still ask for it: for retained
    /// messages and wills.
    pub publisher: Option<Box<str>>,
    /// The properties that are passed on, as they stand on the wire
    /// ([`Properties::as_bytes`](mqtt_codec::Properties::as_bytes)).
    pub properties: Bytes,
    /// The payload.
    pub payload: Bytes,
}

impl fmt::Debug for StoredMessage {
    /// Keeps payloads out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredMessage")
            .field("message", &self.message)
            .field("topic", &self.topic)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("expires_in", &self.expires_in)
            .field("publisher", &self.publisher)
            .field("properties", &self.properties.len())
            .field("payload", &self.payload.len())
            .finish()
    }
}

impl Change {
    /// About how many bytes the change takes in memory, what it owns included.
    pub fn size(&self) -> usize {
        let owned = match self {
            Self::SessionBegun { client_id, identity, .. } => {
                client_id.len() + identity.as_ref().map_or(0, |identity| identity.len())
            }
            Self::Subscribed { filter, .. }
            | Self::Unsubscribed { filter, .. }
            | Self::ReplayBegun { filter, .. }
            | Self::ReplayEnded { filter, .. } => filter.len(),
            Self::ReplayedUpTo { filter, topic, .. } => filter.len() + topic.len(),
            Self::Replayed { filter, .. } => filter.as_ref().map_or(0, |filter| filter.len()),
            Self::WillAsked { client_id, identity, .. } => {
                client_id.len() + identity.as_ref().map_or(0, |identity| identity.len())
            }
            Self::RetainedCleared { topic } => topic.len(),
            Self::MessageStored(stored) => {
                size_of::<StoredMessage>()
                    + stored.topic.len()
                    + stored.publisher.as_ref().map_or(0, |publisher| publisher.len())
                    + stored.properties.len()
                    + stored.payload.len()
            }
            Self::Queued { subscription_ids, .. } => size_of_val::<[_]>(subscription_ids),
            Self::Elapsed(_)
            | Self::SessionChanged { .. }
            | Self::SessionLeft { .. }
            | Self::SessionResumed { .. }
            | Self::SessionEnded { .. }
            | Self::WillStored { .. }
            | Self::WillDiscarded { .. }
            | Self::WillDue { .. }
            | Self::WillPublished { .. }
            | Self::WillAnswered { .. }
            | Self::MessageForgotten { .. }
            | Self::Retained { .. }
            | Self::Dropped { .. }
            | Self::Withdrawn { .. }
            | Self::Sent { .. }
            | Self::Released { .. }
            | Self::Finished { .. }
            | Self::Received { .. }
            | Self::Forgotten { .. } => 0,
        };
        size_of::<Self>() + owned
    }
}
