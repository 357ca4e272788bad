//! Counters: what happened, and what was dropped and why.

/// Counters of a [`Broker`](super::Broker) since it was made. They only grow; what is current is
/// told by [`Broker::gauges`](super::Broker::gauges).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Connections that were refused before a byte was read.
    pub connections_refused: u64,
    /// CONNECT packets that were accepted.
    pub connects_accepted: u64,
    /// CONNECT packets that were refused.
    pub connects_refused: u64,
    /// Connections that were ended because a newer one has the same client identifier.
    pub take_overs: u64,
    /// Packets received, of all types.
    pub packets_received: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes handed out for sending.
    pub bytes_sent: u64,
    /// PUBLISH packets received.
    pub publishes_received: u64,
    /// PUBLISH packets handed out for sending, those sent again included.
    pub publishes_sent: u64,
    /// PUBLISH packets that were not taken: the topic is reserved, too long or too deep, or a
    /// bound was reached.
    pub publishes_refused: u64,
    /// Packets that broke a rule of the standard, each of which ended its connection.
    pub protocol_faults: u64,
    /// Acknowledgements for packet identifiers that were not in use.
    pub unknown_acknowledgements: u64,
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
}

/// Why a message is dropped for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DropReason {
    QueueFull,
    QueueBytes,
    Expired,
    TooLarge,
    NotAuthorized,
}

impl Dropped {
    /// Messages dropped for any reason.
    pub const fn total(&self) -> u64 {
        self.queue_full + self.queue_bytes + self.expired + self.too_large + self.not_authorized
    }

    pub(super) const fn count(&mut self, reason: DropReason) {
        match reason {
            DropReason::QueueFull => self.queue_full += 1,
            DropReason::QueueBytes => self.queue_bytes += 1,
            DropReason::Expired => self.expired += 1,
            DropReason::TooLarge => self.too_large += 1,
            DropReason::NotAuthorized => self.not_authorized += 1,
        }
    }
}

/// What a [`Broker`](super::Broker) holds at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gauges {
    /// Open connections.
    pub connections: usize,
    /// Sessions, with and without a connection.
    pub sessions: usize,
    /// Subscriptions of all sessions.
    pub subscriptions: usize,
    /// Retained messages.
    pub retained_messages: usize,
    /// Bytes of retained messages, topics included.
    pub retained_bytes: usize,
    /// Messages in memory, each counted once.
    pub messages: usize,
    /// Bytes of the messages in memory.
    pub message_bytes: usize,
    /// Changes that are recorded and not yet committed.
    pub uncommitted_changes: usize,
    /// Bytes of these changes.
    pub uncommitted_bytes: usize,
}
