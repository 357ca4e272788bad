//! What dies with a network connection.

use core::net::IpAddr;
use core::num::NonZeroU16;

use super::answers::Answers;
use super::authenticate::Authentication;
use super::decide::Pending;
use super::messages::NEVER;
use super::request::{ConnectRequest, Ticket};
use super::slots::Key;
use super::{CloseCause, PeerInfo};
use crate::Time;
use crate::deadlines::DeadlineHandle;
use crate::exchange::{IncomingAliases, OutgoingAliases};

/// One network connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) phase: Phase,
    /// The slot of its session, once the CONNECT is accepted.
    pub(super) session: Option<u32>,
    /// Where it comes from, until its CONNECT is accepted.
    pub(super) peer: Option<Box<PeerInfo>>,
    /// The address that it is counted for; `None` for one that is not counted.
    pub(super) counted: Option<IpAddr>,
    /// Bytes that were read and could not be handled yet: the beginning of a packet, or what came
    /// while a decision was awaited.
    pub(super) tail: Option<Box<Tail>>,
    /// Encoded packets other than PUBLISH that wait to be sent, in order.
    pub(super) answers: Answers,
    /// Why nothing is read.
    pub(super) paused: Paused,
    /// Whether it stands in the ready queue.
    pub(super) is_ready: bool,
    /// Since when it has something to send that was not taken.
    pub(super) ready_since: Time,
    /// When the last complete packet came, or when the connection was opened.
    pub(super) last_packet: Time,
    /// When its timer fires; if the deadline has moved away by then, it is armed again.
    pub(super) timer: Option<(Time, DeadlineHandle)>,
    /// One and a half times the Keep Alive in milliseconds; 0 for none.
    pub(super) keep_alive_millis: u32,
    /// The peer's Maximum Packet Size.
    pub(super) packet_size: u32,
    /// How many QoS 1 and QoS 2 messages may be under way to the peer.
    pub(super) send_maximum: NonZeroU16,
    /// Whether the peer takes Reason Strings and User Properties everywhere.
    pub(super) problem_information: bool,
    /// Whether CONNECT asked for a session that outlives the connection.
    pub(super) asked_expiry: bool,
    /// What only a connection that is asked about has.
    pub(super) asked: Option<Box<Asked>>,
    pub(super) aliases: Option<Box<Aliases>>,
}

/// The topic aliases of both directions [MQTT-3.3.2-7].
#[derive(Debug, Default)]
pub(super) struct Aliases {
    pub(super) incoming: IncomingAliases,
    /// `None` for a client that takes none.
    pub(super) outgoing: Option<OutgoingAliases>,
}

/// Decisions about an open connection.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// A message or a subscription that is not decided.
    pub(super) pending: Option<Pending>,
    /// The Authentication Method in force.
    pub(super) authentication: Option<Authentication>,
}

/// Input that waits.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) bytes: Vec<u8>,
    /// How many bytes there must be at least before they are worth another look.
    pub(super) needs: usize,
}

/// How far a connection is.
///
/// ```text
///            CONNECT             accepted
///  Opened ------------> Deciding ---------> Open
///    |                   |    ^             |
///    |         challenge v    | AUTH        |
///    |                 Challenged           |
///    |   \------------------------------->  |
///    |                     | refused        | DISCONNECT, fault, take-over, ...
///    +---------------------+----------------+---> Closing ---> (closed)
/// ```
#[derive(Debug)]
pub(super) enum Phase {
    /// The CONNECT has not come.
    Opened,
    /// The CONNECT was handed to policy; the key tells its answer from a late one.
    Deciding(Box<Deciding>),
    /// A challenge was sent; the client has to answer it with AUTH.
    Challenged(Box<ConnectRequest>),
    /// The CONNECT was accepted.
    Open,
    /// Nothing is read any more; what `answers` holds goes out, then the connection is closed.
    Closing(CloseCause),
}

/// A CONNECT that policy decides about.
#[derive(Debug)]
pub(super) struct Deciding {
    pub(super) ticket: Ticket,
    /// Without an answer by then it is refused.
    pub(super) until: Time,
}

/// Why nothing is read from a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paused {
    /// A decision is awaited.
    pub(super) for_decision: bool,
    /// The peer does not read its answers.
    pub(super) for_answers: bool,
    /// What it brought about has to be sent first.
    pub(super) for_backlog: bool,
    /// What it or others brought about has to be stored first.
    pub(super) for_store: bool,
}

impl Paused {
    pub(super) const fn any(self) -> bool {
        self.for_decision || self.for_answers || self.for_backlog || self.for_store
    }
}

impl Connection {
    pub(super) fn new(now: Time, peer: PeerInfo, counted: Option<IpAddr>) -> Self {
        Self {
            phase: Phase::Opened,
            session: None,
            peer: Some(Box::new(peer)),
            counted,
            tail: None,
            answers: Answers::default(),
            paused: Paused::default(),
            is_ready: false,
            ready_since: now,
            last_packet: now,
            timer: None,
            keep_alive_millis: 0,
            packet_size: u32::MAX,
            send_maximum: NonZeroU16::MAX,
            problem_information: true,
            asked_expiry: false,
            asked: None,
            aliases: None,
        }
    }

    /// When the decision about a message or a subscription, and when an authentication, has to
    /// have come.
    pub(super) fn awaited(&self) -> (Option<Time>, Option<Time>) {
        let asked = self.asked.as_deref();
        let pending = asked.and_then(|asked| asked.pending.as_ref());
        let authentication = asked.and_then(|asked| asked.authentication.as_ref());
        (
            pending.map(|pending| pending.until),
            authentication.and_then(|authentication| authentication.until()),
        )
    }

    /// It has something to send. Returns when its timer fires, unless it had something before.
    #[inline]
    pub(super) fn become_ready(&mut self, now: Time) -> Option<Time> {
        if self.is_ready {
            return None;
        }
        self.is_ready = true;
        self.ready_since = now;
        Some(self.timer.map_or(NEVER, |(at, _)| at))
    }

    pub(super) const fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing(_))
    }
}

/// A network connection of a [`Broker`](super::Broker), from [`open`](super::Broker::open) to
/// [`BrokerEvent::Closed`](super::BrokerEvent::Closed). It never names a later connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(super) Key);

impl ConnectionId {
    /// The place of the connection in a table: small numbers, used again once a connection is
    /// closed, for the driver's own tables.
    pub const fn slot(self) -> usize {
        self.0.slot as usize
    }
}
