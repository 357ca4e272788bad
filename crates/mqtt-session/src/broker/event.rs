//! What a broker tells its driver.

use core::net::SocketAddr;

use mqtt_codec::{ConnectReason, DisconnectReason};

use super::{
    AuthenticateRequest, ConnectRequest, ConnectionId, PublishRequest, ReadRequest,
    SubscribeRequest,
};

/// Where a connection comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerInfo {
    /// The peer's address, if the transport has addresses.
    pub address: Option<SocketAddr>,
    /// The number of the listener that took the connection.
    pub listener: u16,
    /// Who the peer is, as the transport has proved it: the name in a client certificate, say.
    pub identity: Option<Box<str>>,
}

/// Something the driver should know of, or has to decide.
#[derive(Debug)]
#[non_exhaustive]
pub enum BrokerEvent {
    /// A client wants to connect: answer with
    /// [`Broker::answer_connect`](super::Broker::answer_connect). Only with
    /// [`Decisions::connect`](super::Decisions::connect).
    Connect(ConnectRequest),
    /// A client authenticates again: answer with
    /// [`Broker::answer_authenticate`](super::Broker::answer_authenticate).
    Authenticate(AuthenticateRequest),
    /// A client publishes: answer with
    /// [`Broker::answer_publish`](super::Broker::answer_publish). Only with
    /// [`Decisions::publish`](super::Decisions::publish).
    Publish(PublishRequest),
    /// A client subscribes: answer with
    /// [`Broker::answer_subscribe`](super::Broker::answer_subscribe). Only with
    /// [`Decisions::subscribe`](super::Decisions::subscribe).
    Subscribe(SubscribeRequest),
    /// A message is about to be sent to a client: answer with
    /// [`Broker::answer_read`](super::Broker::answer_read). Only with
    /// [`Decisions::read`](super::Decisions::read).
    Read(ReadRequest),
    /// A CONNECT was accepted.
    Connected {
        /// The connection.
        id: ConnectionId,
        /// The client identifier, assigned by the broker if the client had none.
        client_id: Box<str>,
        /// Whether the client goes on with a session that was there.
        session_present: bool,
    },
    /// Input of this connection is taken again, after
    /// [`Broker::accepts_input`](super::Broker::accepts_input) was false.
    Resume(ConnectionId),
    /// The connection is over, and its identifier is dead. Whatever it still had to send has been
    /// handed out by [`Broker::poll_transmit`](super::Broker::poll_transmit): the driver writes
    /// what it can within a bound of its own, and closes the socket. Comes exactly once for each
    /// [`Broker::open`](super::Broker::open).
    Closed {
        /// The connection.
        id: ConnectionId,
        /// Why.
        cause: CloseCause,
    },
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseCause {
    /// The client sent DISCONNECT with this reason.
    Disconnected(DisconnectReason),
    /// The network connection ended without a DISCONNECT.
    ConnectionLost,
    /// The broker sent DISCONNECT with this reason, or would have if the client could read it.
    Ended(DisconnectReason),
    /// The CONNECT was answered with this reason.
    Refused(ConnectReason),
    /// The first packet was no CONNECT that can be answered; nothing was sent.
    NotMqtt,
    /// No acceptable CONNECT came in time.
    ConnectTimeout,
    /// The client did not read what it was sent.
    WriteStall,
}

/// Why [`Broker::open`](super::Broker::open) does not take a connection. The driver closes the
/// socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// As many connections are open as the configuration allows.
    #[error("all {limit} connections are in use; raise `limits.connections` to allow more")]
    TooManyConnections {
        /// The configured bound.
        limit: usize,
    },
    /// As many connections from this address are open as the configuration allows.
    #[error(
        "all {limit} connections of this address are in use; \
         raise `limits.connections_per_address` to allow more"
    )]
    TooManyFromAddress {
        /// The configured bound.
        limit: usize,
    },
    /// The broker is shutting down.
    #[error("the broker is shutting down")]
    ShuttingDown,
}
