//! Counters: what happened, and what was dropped, refused and held back, and why.

use std::collections::BTreeMap;

use mqtt_codec::{ConnectReason, DisconnectReason, PubAckReason, QoS, SubAckReason};

use super::CloseCause;

/// Counters of a [`Broker`](super::Broker) since it was made. They only grow; what is current is
/// told by [`Broker::gauges`](super::Broker::gauges), and what one session lost by
/// [`Broker::session_statistics`](super::Broker::session_statistics).
///
/// ```
/// use mqtt_codec::{ConnectReason, QoS};
/// use mqtt_session::{Broker, BrokerConfig};
///
/// let broker = Broker::new(BrokerConfig::default(), [7; 32]);
/// let statistics = broker.statistics();
/// assert_eq!(statistics.received.of(QoS::AtLeastOnce).messages, 0);
/// assert_eq!(statistics.connects_refused.of(ConnectReason::QuotaExceeded), 0);
/// for (reason, count) in statistics.connects_refused.iter() {
///     println!("{reason}: {count}");
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Connections that were refused before a byte was read.
    pub connections_refused: u64,
    /// Those of them that were refused because their address had too many open.
    pub connections_refused_for_address: u64,
    /// CONNECT packets that were accepted.
    pub connects_accepted: u64,
    /// CONNECT packets that were refused, by the reason of the CONNACK, which a client that takes
    /// no packet as large was not sent.
    pub connects_refused: Counts<ConnectReason>,
    /// How connections ended.
    pub closed: Closed,
    /// Connections that were ended because a newer one has the same client identifier.
    pub take_overs: u64,
    /// CONNECT packets that were refused because their client identifier was taken over too often
    /// of late.
    pub take_overs_refused: u64,
    /// Packets received, of all types.
    pub packets_received: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes handed out for sending.
    pub bytes_sent: u64,
    /// PUBLISH packets received, those that came again included.
    pub received: Traffic,
    /// PUBLISH packets handed out for sending, those sent again included.
    pub sent: Traffic,
    /// PUBLISH packets and wills that were not taken, or not retained, and the reason that the
    /// acknowledgement has for it. At QoS 0 there is none, and the message is dropped.
    pub publishes_refused: Counts<PubAckReason>,
    /// Filters that were not granted, by the reason in SUBACK.
    pub subscriptions_refused: Counts<SubAckReason>,
    /// Those of them that were not granted because their session had retained messages sent too
    /// often of late.
    pub replays_refused: u64,
    /// Packets that broke a rule of the standard, each of which ended its connection.
    pub protocol_faults: u64,
    /// Acknowledgements for packet identifiers that were not in use.
    pub unknown_acknowledgements: u64,
    /// How often input was left unread for a while.
    pub held_back: HeldBack,
    /// Will Messages that were published.
    pub wills_published: u64,
    /// Sessions that ended because their time was over.
    pub sessions_expired: u64,
    /// Batches that the store committed.
    pub batches_committed: u64,
    /// Batches that the store did not commit.
    pub batches_failed: u64,
    /// Packets that were refused because the store did not commit what they changed.
    pub refused_for_store: u64,
    /// Messages dropped for a session, by reason.
    pub dropped: Dropped,
}

/// How often each reason code was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts<R>(BTreeMap<R, u64>);

impl<R> Default for Counts<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R: Copy + Ord> Counts<R> {
    /// How often this reason was given.
    pub fn of(&self, reason: R) -> u64 {
        self.0.get(&reason).copied().unwrap_or_default()
    }

    /// Every reason that was given, in the order of the codes.
    pub fn iter(&self) -> impl Iterator<Item = (R, u64)> {
        self.0.iter().map(|(&reason, &count)| (reason, count))
    }

    /// How often any reason was given.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn count(&mut self, reason: R) {
        *self.0.entry(reason).or_default() += 1;
    }
}

/// PUBLISH packets by QoS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Those of QoS 0.
    pub at_most_once: Volume,
    /// Those of QoS 1.
    pub at_least_once: Volume,
    /// Those of QoS 2.
    pub exactly_once: Volume,
}

/// A number of PUBLISH packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volume {
    /// How many there were.
    pub messages: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
}

impl Traffic {
    /// Those of one QoS.
    pub const fn of(&self, qos: QoS) -> Volume {
        match qos {
            QoS::AtMostOnce => self.at_most_once,
            QoS::AtLeastOnce => self.at_least_once,
            QoS::ExactlyOnce => self.exactly_once,
        }
    }

    /// Those of every QoS.
    pub const fn total(&self) -> Volume {
        let Self { at_most_once, at_least_once, exactly_once } = self;
        Volume {
            messages: at_most_once.messages + at_least_once.messages + exactly_once.messages,
            payload_bytes: at_most_once.payload_bytes
                + at_least_once.payload_bytes
                + exactly_once.payload_bytes,
        }
    }

    #[inline]
    pub(super) const fn count(&mut self, qos: QoS, payload: usize) {
        let volume = match qos {
            QoS::AtMostOnce => &mut self.at_most_once,
            QoS::AtLeastOnce => &mut self.at_least_once,
            QoS::ExactlyOnce => &mut self.exactly_once,
        };
        volume.messages += 1;
        volume.payload_bytes += payload as u64;
    }
}

/// How connections ended; each is counted once. Those whose CONNECT was refused are in
/// [`Statistics::connects_refused`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// The client sent DISCONNECT, by its reason.
    pub by_client: Counts<DisconnectReason>,
    /// The broker ended it, by the reason of its DISCONNECT: every rule that was broken and every
    /// limit that a client went over has one.
    pub by_broker: Counts<DisconnectReason>,
    /// The network connection ended without a DISCONNECT.
    pub lost: u64,
    /// What came first was no CONNECT.
    pub not_mqtt: u64,
    /// No acceptable CONNECT came in time.
    pub connect_timeout: u64,
    /// The client did not read what it was sent.
    pub write_stall: u64,
}

/// How often the input of a connection was left unread for a while, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldBack {
    /// The client did not read its acknowledgements.
    pub for_answers: u64,
    /// What its packets brought about had to be sent first.
    pub for_backlog: u64,
    /// What was recorded had to be stored first.
    pub for_store: u64,
}

/// What was dropped and refused for one session, as long as there is the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStatistics {
    /// Messages dropped for it, by reason.
    pub dropped: Dropped,
    /// What its client published and was not taken, by reason.
    pub publishes_refused: Counts<PubAckReason>,
    /// Filters that it was not granted, by reason.
    pub subscriptions_refused: Counts<SubAckReason>,
}

impl Statistics {
    /// Counts how a connection ended.
    pub(super) fn count_close(&mut self, cause: CloseCause) {
        match cause {
            CloseCause::Disconnected(reason) => self.closed.by_client.count(reason),
            CloseCause::Ended(reason) => self.closed.by_broker.count(reason),
            CloseCause::Refused(reason) => self.connects_refused.count(reason),
            CloseCause::ConnectionLost => self.closed.lost += 1,
            CloseCause::NotMqtt => self.closed.not_mqtt += 1,
            CloseCause::ConnectTimeout => self.closed.connect_timeout += 1,
            CloseCause::WriteStall => self.closed.write_stall += 1,
        }
    }
}

/// Messages that were dropped for a session that should have got them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Its queue held as many messages as the configuration allows.
    pub queue_full: u64,
    /// Its queue held as many bytes as the configuration allows.
    pub queue_bytes: u64,
    /// The Message Expiry Interval ran out first.
    pub expired: u64,
    /// The packet would be larger than the client's Maximum Packet Size.
    pub too_large: u64,
    /// The client may not read the topic.
    pub not_authorized: u64,
    /// It is of QoS 0, and the session has no connection: the message came while there was none,
    /// or waited when it ended.
    pub not_connected: u64,
    /// It waited in a session that ended.
    pub session_ended: u64,
}

/// Why a message is dropped for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DropReason {
    QueueFull,
    QueueBytes,
    Expired,
    TooLarge,
    NotAuthorized,
    NotConnected,
    SessionEnded,
}

impl Dropped {
    /// Messages dropped for any reason.
    pub const fn total(&self) -> u64 {
        self.queue_full
            + self.queue_bytes
            + self.expired
            + self.too_large
            + self.not_authorized
            + self.not_connected
            + self.session_ended
    }

    pub(super) const fn count(&mut self, reason: DropReason) {
        match reason {
            DropReason::QueueFull => self.queue_full += 1,
            DropReason::QueueBytes => self.queue_bytes += 1,
            DropReason::Expired => self.expired += 1,
            DropReason::TooLarge => self.too_large += 1,
            DropReason::NotAuthorized => self.not_authorized += 1,
            DropReason::NotConnected => self.not_connected += 1,
            DropReason::SessionEnded => self.session_ended += 1,
        }
    }
}

/// What a [`Broker`](super::Broker) holds at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gauges {
    /// Open connections.
    pub connections: usize,
    /// Those of them whose CONNECT was accepted, so sessions with a connection.
    pub connected: usize,
    /// Sessions, with and without a connection.
    pub sessions: usize,
    /// Subscriptions of all sessions, shared ones included.
    pub subscriptions: usize,
    /// Those of them that are shared.
    pub shared_subscriptions: usize,
    /// Retained messages.
    pub retained_messages: usize,
    /// Bytes of retained messages, topics included.
    pub retained_bytes: usize,
    /// Bytes of the Will Messages that are not published, topics included.
    pub will_bytes: usize,
    /// Messages in memory, each counted once.
    pub messages: usize,
    /// Bytes of the messages in memory.
    pub message_bytes: usize,
    /// Changes that are recorded and not yet committed.
    pub uncommitted_changes: usize,
    /// Bytes of these changes.
    pub uncommitted_bytes: usize,
}
