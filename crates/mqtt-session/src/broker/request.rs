//! Decisions that the broker asks of its driver: owned values, answered exactly once.

use core::fmt;
use core::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use mqtt_codec::{Connect, ConnectReason, PropertyBuf, QoS};

use super::{ConnectionId, PeerInfo};

/// A client wants to connect.
///
/// Answer it with [`Broker::answer_connect`](super::Broker::answer_connect) within
/// [`Decisions::timeout`](super::Decisions::timeout); one that is dropped is refused then.
#[must_use = "a CONNECT without an answer is refused when its time is over"]
pub struct ConnectRequest {
    pub(super) id: ConnectionId,
    pub(super) peer: PeerInfo,
    pub(super) client_id: Box<str>,
    pub(super) clean_start: bool,
    pub(super) keep_alive: u16,
    pub(super) session_expiry_interval: u32,
    pub(super) receive_maximum: NonZeroU16,
    pub(super) packet_size: Option<NonZeroU32>,
    pub(super) topic_alias_maximum: u16,
    pub(super) wants_response_information: bool,
    pub(super) problem_information: bool,
    pub(super) user_name: Option<Box<str>>,
    pub(super) password: Option<Box<[u8]>>,
    pub(super) user_properties: Box<[(Box<str>, Box<str>)]>,
    pub(super) will: Option<WillRequest>,
}

/// The Will Message of a CONNECT.
pub(super) struct WillRequest {
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) topic: Box<str>,
    pub(super) payload: Bytes,
    pub(super) delay: u32,
    pub(super) expiry: Option<u32>,
    pub(super) properties: Box<[u8]>,
}

impl ConnectRequest {
    pub(super) fn new(id: ConnectionId, peer: PeerInfo, connect: &Connect<'_>) -> Self {
        let properties = connect.properties();
        Self {
            id,
            peer,
            client_id: connect.client_id().into(),
            clean_start: connect.clean_start(),
            keep_alive: connect.keep_alive(),
            session_expiry_interval: properties.session_expiry_interval().unwrap_or(0),
            receive_maximum: properties.receive_maximum().unwrap_or(NonZeroU16::MAX),
            packet_size: properties.maximum_packet_size(),
            topic_alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            wants_response_information: properties.request_response_information() == Some(true),
            problem_information: properties.request_problem_information() != Some(false),
            user_name: connect.user_name().map(Into::into),
            password: connect.password().map(Into::into),
            user_properties: properties
                .user_properties()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            will: connect.will().map(|will| WillRequest {
                qos: will.qos,
                retain: will.retain,
                topic: will.topic.as_str().into(),
                payload: Bytes::copy_from_slice(will.payload),
                delay: will.properties.will_delay_interval().unwrap_or(0),
                expiry: will.properties.message_expiry_interval(),
                properties: {
                    let mut forwarded = Vec::new();
                    will.properties.copy_forwardable(&mut forwarded);
                    forwarded.into()
                },
            }),
        }
    }

    /// The connection that the CONNECT came on.
    pub const fn connection(&self) -> ConnectionId {
        self.id
    }

    /// Where the connection comes from.
    pub const fn peer(&self) -> &PeerInfo {
        &self.peer
    }

    /// The client identifier; empty if the broker shall assign one.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Whether the client wants a new session.
    pub const fn clean_start(&self) -> bool {
        self.clean_start
    }

    /// The user name, if there is one.
    pub fn user_name(&self) -> Option<&str> {
        self.user_name.as_deref()
    }

    /// The password, if there is one; it may come without a user name.
    pub fn password(&self) -> Option<&[u8]> {
        self.password.as_deref()
    }

    /// The topic of the Will Message, if there is one.
    pub fn will_topic(&self) -> Option<&str> {
        self.will.as_ref().map(|will| &*will.topic)
    }

    /// The User Properties in their order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.user_properties.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl fmt::Debug for ConnectRequest {
    /// Keeps the password out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("user_name", &self.user_name)
            .field("has_password", &self.password.is_some())
            .field("will_topic", &self.will_topic())
            .finish_non_exhaustive()
    }
}

/// The answer to a [`ConnectRequest`].
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectAnswer {
    /// The client may connect.
    Accept(ConnectGrant),
    /// The client may not connect, and is told this reason of 0x80 or above. A reason below counts
    /// as 0x87 (Not authorized).
    Refuse(ConnectReason),
}

/// What comes with an accepted CONNECT.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ConnectGrant {
    /// Who the client is. A session can be resumed only by the identity that began it; `None` is
    /// the identity of all who have none.
    pub identity: Option<Box<str>>,
    /// Properties to send in CONNACK besides the broker's own: Reason String and User Properties
    /// are taken, others are left out.
    pub properties: PropertyBuf,
}
