//! May this client publish this?

use core::fmt;

use bytes::Bytes;
use mqtt_codec::{PropertyBuf, PubAckReason, QoS};

use super::Ticket;
use crate::broker::ConnectionId;

/// A client publishes a message, or its Will Message is due.
///
/// Answer it with [`Broker::answer_publish`](crate::Broker::answer_publish) within
/// [`Decisions::timeout`](crate::Decisions::timeout); one that is dropped is refused then. Nothing
/// more is read from the client until it is answered, so that its messages keep their order.
#[must_use = "a message without an answer is refused when its time is over"]
pub struct PublishRequest {
    /// The connection it came on; `None` for a Will Message.
    pub(in crate::broker) id: Option<ConnectionId>,
    pub(in crate::broker) ticket: Ticket,
    pub(in crate::broker) client_id: Box<str>,
    pub(in crate::broker) identity: Option<Box<str>>,
    pub(in crate::broker) topic: Box<str>,
    pub(in crate::broker) payload: Bytes,
    pub(in crate::broker) qos: QoS,
    pub(in crate::broker) retain: bool,
}

impl PublishRequest {
    /// The connection that the message came on; `None` for a Will Message.
    pub const fn connection(&self) -> Option<ConnectionId> {
        self.id
    }

    /// Whether this is the Will Message of a client that is gone.
    pub const fn is_will(&self) -> bool {
        self.id.is_none()
    }

    /// The client identifier of the publisher.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Who the publisher is.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// The topic; an alias has been resolved.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The payload.
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The QoS it was published with.
    pub const fn qos(&self) -> QoS {
        self.qos
    }

    /// Whether it is to be retained.
    pub const fn retain(&self) -> bool {
        self.retain
    }
}

impl fmt::Debug for PublishRequest {
    /// Tells the length of the payload and not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishRequest")
            .field("id", &self.id)
            .field("client_id", &self.client_id)
            .field("identity", &self.identity)
            .field("topic", &self.topic)
            .field("payload_len", &self.payload.len())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .finish_non_exhaustive()
    }
}

/// The answer to a [`PublishRequest`].
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishAnswer {
    /// The message is delivered.
    Allow,
    /// The message goes nowhere.
    Deny {
        /// The reason in PUBACK or PUBREC, 0x80 or above; a reason below counts as 0x87 (Not
        /// authorized). A message of QoS 0 is dropped without a word.
        reason: PubAckReason,
        /// Properties to send along, unless the client asked for none: Reason String and User
        /// Properties are taken, others are left out.
        properties: PropertyBuf,
    },
}

impl From<PubAckReason> for PublishAnswer {
    /// Allows with a reason below 0x80 and denies with any other.
    fn from(reason: PubAckReason) -> Self {
        if reason.is_error() {
            Self::Deny { reason, properties: PropertyBuf::new() }
        } else {
            Self::Allow
        }
    }
}
