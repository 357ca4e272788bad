//! May this client connect?

use core::fmt;
use core::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use mqtt_codec::{Connect, ConnectReason, PropertyBuf, QoS};

use super::Ticket;
use crate::Time;
use crate::broker::{ConnectionId, PeerInfo};

/// A client wants to connect.
///
/// Answer it with [`Broker::answer_connect`](crate::Broker::answer_connect) within
/// [`Decisions::timeout`](crate::Decisions::timeout); one that is dropped is refused then.
#[must_use = "a CONNECT without an answer is refused when its time is over"]
pub struct ConnectRequest {
    pub(in crate::broker) id: ConnectionId,
    pub(in crate::broker) ticket: Ticket,
    /// When the CONNECT came: an exchange of AUTH packets has to be over in time from here.
    pub(in crate::broker) began: Time,
    pub(in crate::broker) authentication: Option<Authentication>,
    pub(in crate::broker) peer: PeerInfo,
    pub(in crate::broker) client_id: Box<str>,
    pub(in crate::broker) clean_start: bool,
    pub(in crate::broker) keep_alive: u16,
    pub(in crate::broker) session_expiry_interval: u32,
    pub(in crate::broker) receive_maximum: NonZeroU16,
    pub(in crate::broker) packet_size: Option<NonZeroU32>,
    pub(in crate::broker) topic_alias_maximum: u16,
    pub(in crate::broker) wants_response_information: bool,
    pub(in crate::broker) problem_information: bool,
    pub(in crate::broker) user_name: Option<Box<str>>,
    pub(in crate::broker) password: Option<Box<[u8]>>,
    pub(in crate::broker) user_properties: Box<[(Box<str>, Box<str>)]>,
    pub(in crate::broker) will: Option<WillRequest>,
}

/// Where an enhanced authentication stands.
pub(in crate::broker) struct Authentication {
    pub(in crate::broker) method: Box<str>,
    /// The data of the client's last packet.
    pub(in crate::broker) data: Option<Bytes>,
    /// How many AUTH packets the client has sent.
    pub(in crate::broker) round: u32,
}

/// The Will Message of a CONNECT.
pub(in crate::broker) struct WillRequest {
    pub(in crate::broker) qos: QoS,
    pub(in crate::broker) retain: bool,
    pub(in crate::broker) topic: Box<str>,
    pub(in crate::broker) payload: Bytes,
    pub(in crate::broker) delay: u32,
    pub(in crate::broker) expiry: Option<u32>,
    pub(in crate::broker) properties: Box<[u8]>,
}

impl WillRequest {
    /// Bytes that it takes, as [`BrokerLimits::will_bytes`](crate::BrokerLimits::will_bytes)
    /// counts them.
    pub(in crate::broker) fn size(&self) -> usize {
        self.topic.len() + self.properties.len() + self.payload.len()
    }
}

impl ConnectRequest {
    pub(in crate::broker) fn new(
        id: ConnectionId,
        ticket: Ticket,
        now: Time,
        peer: PeerInfo,
        connect: &Connect<'_>,
    ) -> Self {
        let properties = connect.properties();
        Self {
            id,
            ticket,
            began: now,
            authentication: properties.authentication_method().map(|method| Authentication {
                method: method.into(),
                data: properties.authentication_data().map(Bytes::copy_from_slice),
                round: 0,
            }),
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

    /// The Authentication Method, if the client wants enhanced authentication.
    pub fn authentication_method(&self) -> Option<&str> {
        self.authentication.as_ref().map(|authentication| &*authentication.method)
    }

    /// The Authentication Data of the CONNECT or, after a challenge, of the client's AUTH.
    pub fn authentication_data(&self) -> Option<&[u8]> {
        self.authentication.as_ref().and_then(|authentication| authentication.data.as_deref())
    }

    /// How many challenges the client has answered: 0 while the CONNECT itself is asked about.
    pub fn authentication_round(&self) -> u32 {
        self.authentication.as_ref().map_or(0, |authentication| authentication.round)
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
            .field("authentication_method", &self.authentication_method())
            .field("authentication_round", &self.authentication_round())
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
    /// The client may not connect.
    Refuse(ConnectRefusal),
    /// The client has to prove more: it is sent AUTH 0x18 with this Authentication Data, and its
    /// answer comes as the next [`ConnectRequest`] of the connection [MQTT-4.12.0-2]. Without an
    /// Authentication Method in the CONNECT this refuses with 0x8C.
    Challenge(Bytes),
}

/// What comes with an accepted CONNECT.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ConnectGrant {
    /// Who the client is. A session can be resumed only by the identity that began it; `None` is
    /// the identity of all who have none.
    pub identity: Option<Box<str>>,
    /// The last Authentication Data of an enhanced authentication.
    pub authentication_data: Option<Bytes>,
    /// Properties to send in CONNACK besides the broker's own: Reason String and User Properties
    /// are taken, others are left out.
    pub properties: PropertyBuf,
}

impl ConnectGrant {
    /// A grant for a client that is known by this name.
    ///
    /// ```
    /// let grant = mqtt_session::ConnectGrant::to("meter-17");
    /// assert_eq!(grant.identity.as_deref(), Some("meter-17"));
    /// ```
    pub fn to(identity: impl Into<Box<str>>) -> Self {
        Self { identity: Some(identity.into()), ..Self::default() }
    }
}

/// Why a client may not connect.
#[derive(Debug)]
pub struct ConnectRefusal {
    /// The reason in CONNACK, 0x80 or above; a reason below counts as 0x87 (Not authorized).
    pub reason: ConnectReason,
    /// Properties to send along: Reason String, User Properties and Server Reference are taken,
    /// others are left out.
    pub properties: PropertyBuf,
}

impl From<ConnectReason> for ConnectRefusal {
    fn from(reason: ConnectReason) -> Self {
        Self { reason, properties: PropertyBuf::new() }
    }
}
