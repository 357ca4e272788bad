//! What a client tells its owner.

use mqtt_codec::{PropertyBuf, PubAckReason, SubAckReason, UnsubAckReason};

use super::authenticate::AuthenticationData;
use super::buffer::BufferOverflow;
use super::calls::{RequestId, RequestOutcome};
use super::error::{ClientCloseCause, ServerLimit};
use super::negotiated::Negotiated;
use super::offline::UnsentMessage;
use super::outbox::PublishId;
use super::reconnect::{Attempt, EndReason};
use super::retry::Outage;
use super::subscriptions::SubscriptionKey;
use crate::Time;

/// What has happened, from [`Client::poll_event`](super::Client::poll_event).
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The server accepted the connection.
    Connected(Box<Negotiated>),
    /// Messages wait for the reader of a subscription that had read all before: take them with
    /// [`Client::poll_message`](super::Client::poll_message), now or later.
    Readable(SubscriptionKey),
    /// The buffer of a subscription is full. Each consequence is told once for each subscription;
    /// [`Client::buffer`](super::Client::buffer) tells how it is now.
    BufferFull {
        /// The subscription whose reader is too slow.
        subscription: SubscriptionKey,
        /// What became of the message that found no room.
        overflow: BufferOverflow,
    },
    /// A QoS 1 or QoS 2 message of the application has ended, one way or the other.
    Published {
        /// The message.
        id: PublishId,
        /// How it ended.
        outcome: PublishOutcome,
    },
    /// A request has ended, one way or the other.
    Responded {
        /// The request.
        request: RequestId,
        /// How it ended.
        outcome: RequestOutcome,
    },
    /// The server answered a SUBSCRIBE.
    Subscribed {
        /// The subscription. If every filter was refused it has ended with this event; otherwise
        /// it goes on with the filters that were granted.
        subscription: SubscriptionKey,
        /// One for each filter, in the order in which they were given; after a renewal only for
        /// those that were granted before.
        results: Box<[SubAckReason]>,
        /// Whether the subscription had been confirmed before and was made again because the
        /// server had lost the session.
        renewed: bool,
        /// What else the server said.
        properties: PropertyBuf,
    },
    /// A subscription that was made before the server's limits were known is not allowed by them;
    /// it has ended.
    SubscribeFailed {
        /// The subscription.
        subscription: SubscriptionKey,
        /// What the server does not take.
        error: ServerLimit,
    },
    /// A subscription has ended at the server too.
    Unsubscribed {
        /// The subscription.
        subscription: SubscriptionKey,
        /// One for each filter that was unsubscribed from: those that no other subscription
        /// holds. Empty if there were none, or if the server had lost the session.
        results: Box<[UnsubAckReason]>,
        /// What else the server said.
        properties: PropertyBuf,
    },
    /// The server wants an answer in enhanced authentication, before it accepts the connection or
    /// while it is authenticated anew: give it to
    /// [`Client::authenticate`](super::Client::authenticate).
    Challenged {
        /// The server's Authentication Data.
        data: AuthenticationData,
        /// What else the server said.
        properties: PropertyBuf,
    },
    /// The server has authenticated the client anew, as
    /// [`Client::reauthenticate`](super::Client::reauthenticate) asked.
    Authenticated {
        /// The server's last Authentication Data, for the application to check.
        data: AuthenticationData,
        /// What else the server said.
        properties: PropertyBuf,
    },
    /// The connection has ended; exactly once for each
    /// [`Client::handle_connected`](super::Client::handle_connected). What
    /// [`Client::poll_transmit`](super::Client::poll_transmit) handed out before may still be
    /// written, then the transport is to be closed.
    ///
    /// After [`Client::start`](super::Client::start) [`Dial`](Self::Dial),
    /// [`Waiting`](Self::Waiting) or [`Ended`](Self::Ended) follows.
    Closed(Box<ClientCloseCause>),
    /// A transport is to be opened. What is left of an earlier attempt is to be dropped.
    ///
    /// The answer is [`Client::handle_connected`](super::Client::handle_connected), before it
    /// perhaps [`Client::set_credentials`](super::Client::set_credentials), or
    /// [`Client::handle_dial_failed`](super::Client::handle_dial_failed). None in time counts as
    /// [`DialFault::TimedOut`](super::DialFault::TimedOut).
    Dial(Box<Attempt>),
    /// There is no connection, and the next attempt is made then. What is left of an earlier
    /// attempt is to be dropped.
    Waiting {
        /// When; [`Client::poll_timeout`](super::Client::poll_timeout) knows it too.
        until: Time,
        /// Why there is no connection.
        cause: Box<Outage>,
    },
    /// There is no connection, and no attempt is made any more, unless the client is
    /// [started](super::Client::start) again. What is left of an earlier attempt is to be dropped.
    Ended {
        /// Why no attempt is made.
        reason: EndReason,
        /// Why there is no connection.
        cause: Box<Outage>,
    },
}

/// How a QoS 1 or QoS 2 message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishOutcome {
    /// The server took it: PUBACK, or PUBREC and PUBCOMP, with a reason below 0x80.
    Acknowledged(Acknowledgement),
    /// The server refused it: PUBACK or PUBREC with a reason of 0x80 or above.
    Refused(Acknowledgement),
    /// Its Message Expiry Interval ended before it could be sent.
    Expired,
    /// The server does not allow it: it was accepted before the server's limits were known, or sent
    /// on an earlier connection, whose limits were wider, and not acknowledged there.
    NotAllowed(ServerLimit),
    /// It was sent, and the session ended before it was acknowledged: the server may or may not
    /// have it. It was not published again, as
    /// [`ClientConfig::republish`](super::ClientConfig::republish) says, or could not be.
    SessionLost,
    /// It was not sent, and is handed back: a newer message took its place in the offline queue,
    /// or it was [only for a connection](super::Publication::only_online) that has ended.
    Dropped(Box<UnsentMessage>),
}

/// The server's answer to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acknowledgement {
    /// The reason of PUBACK at QoS 1, and of PUBREC at QoS 2.
    pub reason: PubAckReason,
    /// What else the server said in its last packet about the message.
    pub properties: PropertyBuf,
    /// Whether the message was sent in an earlier session too, which the server lost before it
    /// acknowledged it: the server may have it twice.
    pub republished: bool,
}
