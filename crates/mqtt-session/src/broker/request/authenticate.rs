//! Is this client still who it was?

use bytes::Bytes;
use mqtt_codec::DisconnectReason;

use super::Ticket;
use crate::broker::ConnectionId;

/// A client authenticates again on an open connection.
///
/// Answer it with [`Broker::answer_authenticate`](crate::Broker::answer_authenticate) within
/// [`Decisions::timeout`](crate::Decisions::timeout); one that is dropped is refused then.
/// Messages flow on meanwhile.
#[derive(Debug)]
#[must_use = "an authentication without an answer is refused when its time is over"]
pub struct AuthenticateRequest {
    pub(in crate::broker) id: ConnectionId,
    pub(in crate::broker) ticket: Ticket,
    pub(in crate::broker) client_id: Box<str>,
    pub(in crate::broker) identity: Option<Box<str>>,
    pub(in crate::broker) method: Box<str>,
    pub(in crate::broker) data: Option<Bytes>,
    pub(in crate::broker) round: u32,
}

impl AuthenticateRequest {
    /// The connection.
    pub const fn connection(&self) -> ConnectionId {
        self.id
    }

    /// The client identifier.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Who the client was when it connected.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// The Authentication Method: the one of the CONNECT.
    pub fn authentication_method(&self) -> &str {
        &self.method
    }

    /// The Authentication Data of the client's AUTH.
    pub fn authentication_data(&self) -> Option<&[u8]> {
        self.data.as_deref()
    }

    /// How many challenges the client has answered in this authentication.
    pub const fn authentication_round(&self) -> u32 {
        self.round
    }
}

/// The answer to an [`AuthenticateRequest`].
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthenticateAnswer {
    /// The client has proved it: AUTH 0x00 with this last Authentication Data.
    Accept(Option<Bytes>),
    /// The client has to prove more: AUTH 0x18 with this Authentication Data.
    Challenge(Bytes),
    /// The client has failed: DISCONNECT with this reason, and the connection is closed
    /// [MQTT-4.12.1-2].
    Refuse(DisconnectReason),
}
