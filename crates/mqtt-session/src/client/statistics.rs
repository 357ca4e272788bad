//! What a client counts.

/// Counters since the client was made; nothing is dropped without being counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientStatistics {
    /// QoS 0 messages that were accepted and not sent, because the connection ended before, or
    /// because newer messages took their place in the offline queue.
    pub qos0_lost: u64,
    /// QoS 0 messages that were accepted and not sent, because their Message Expiry Interval
    /// ended before.
    pub qos0_expired: u64,
    /// QoS 0 messages that were accepted while the connection was being made and not sent,
    /// because the server does not allow them.
    pub qos0_not_allowed: u64,
    /// Acknowledgements of packet identifiers that are not in use: legal after a resumed session,
    /// otherwise a sign that client and server disagree.
    pub unknown_acknowledgements: u64,
    /// QoS 2 messages that came again and were not delivered again.
    pub duplicates: u64,
    /// Messages that were dropped because the buffer of a subscription was full, counted once for
    /// each subscription.
    pub dropped: u64,
    /// QoS 1 and QoS 2 messages that were refused because the buffer of a subscription was full,
    /// counted once for each subscription.
    pub refused: u64,
    /// Messages that matched no subscription and that nobody wanted: acknowledged and dropped.
    pub unmatched: u64,
    /// QoS 1 and QoS 2 messages that the application dropped without acknowledging them.
    pub abandoned: u64,
    /// QoS 1 and QoS 2 messages above the Receive Maximum that were taken all the same.
    pub above_receive_maximum: u64,
}
