//! The network connection: what dies with it, and which packets may come and go.
//!
//! ```text
//!        handle_connected            CONNACK 0
//!  Idle ------------------> Connecting --------> Open
//!   ^                           |                 |
//!   |  refused, lost, too late  |                 |  lost, DISCONNECT from the server
//!   +---------------------------+-----------------+
//!   |                           |  a rule broken  |  a rule broken, leaving
//!   |   DISCONNECT handed out   v                 |
//!   +------------------------ Closing <-----------+
//! ```

use core::time::Duration;

use super::error::ClientCloseCause;
use super::keep_alive::KeepAlive;
use super::negotiated::Negotiated;
use super::ready::Ready;
use crate::Time;
use crate::exchange::{IncomingAliases, OutgoingAliases};

/// How long a DISCONNECT may wait for the transport to take it.
const LINGER: Duration = Duration::from_secs(2);

/// How far the network connection is.
#[derive(Debug)]
pub(super) enum Link {
    /// There is none.
    Idle,
    /// CONNECT is on its way, CONNACK is awaited.
    Connecting(Connecting),
    /// Packets of every kind go both ways.
    Open(Box<Open>),
    /// Nothing is read any more, and what `last` holds is the last to be sent.
    Closing(Box<Closing>),
}

/// A connection whose CONNACK has not come.
#[derive(Debug)]
pub(super) struct Connecting {
    /// CONNECT, or an AUTH that answers the server, until it is handed out.
    pub(super) ready: Vec<u8>,
    /// Whether CONNECT was handed out.
    pub(super) is_connect_sent: bool,
    /// The server waits for an AUTH.
    pub(super) is_challenged: bool,
    /// Whether CONNECT asks for a new session.
    pub(super) clean_start: bool,
    /// Until when CONNACK must come.
    pub(super) deadline: Time,
}

/// A connection that the server has accepted.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) negotiated: Negotiated,
    pub(super) keep_alive: KeepAlive,
    pub(super) ready: Ready,
    pub(super) incoming_aliases: IncomingAliases,
    pub(super) outgoing_aliases: OutgoingAliases,
    /// Enhanced authentication anew.
    pub(super) authentication: Reauthentication,
    /// The application wants to leave.
    pub(super) leaving: Option<Leaving>,
}

/// How far enhanced authentication is on a connection that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reauthentication {
    /// None is under way.
    None,
    /// The server's AUTH is awaited.
    Awaited,
    /// The application's answer to the server's AUTH is awaited.
    Challenged,
}

/// How the application wants to leave.
#[derive(Debug)]
pub(super) struct Leaving {
    /// The encoded DISCONNECT.
    pub(super) disconnect: Vec<u8>,
    /// Until when messages under way are waited for.
    pub(super) deadline: Time,
}

/// A connection that ends as soon as its last bytes are handed out.
#[derive(Debug)]
pub(super) struct Closing {
    /// What is still sent: what was ready, and DISCONNECT.
    pub(super) last: Vec<u8>,
    /// How many QoS 0 messages are in there.
    pub(super) qos0: usize,
    pub(super) cause: ClientCloseCause,
    /// Until when the transport must have taken it.
    pub(super) deadline: Time,
}

impl Closing {
    pub(super) fn new(now: Time, last: Vec<u8>, qos0: usize, cause: ClientCloseCause) -> Self {
        Self { last, qos0, cause, deadline: now + LINGER }
    }
}

impl Link {
    /// Whether bytes of the server still mean something.
    pub(super) const fn is_read(&self) -> bool {
        matches!(self, Self::Connecting(_) | Self::Open(_))
    }

    pub(super) fn open(&self) -> Option<&Open> {
        match self {
            Self::Open(open) => Some(open),
            Self::Idle | Self::Connecting(_) | Self::Closing(_) => None,
        }
    }

    pub(super) fn open_mut(&mut self) -> Option<&mut Open> {
        match self {
            Self::Open(open) => Some(open),
            Self::Idle | Self::Connecting(_) | Self::Closing(_) => None,
        }
    }
}
