//! May this client subscribe to these filters?

use mqtt_codec::{PacketId, SubAckReason, SubscriptionId, SubscriptionOptions};

use super::Ticket;
use crate::broker::ConnectionId;

/// A client subscribes.
///
/// Deny what it may not have, and hand it back with
/// [`Broker::answer_subscribe`](crate::Broker::answer_subscribe) within
/// [`Decisions::timeout`](crate::Decisions::timeout); if it is dropped all its filters are denied
/// then. Nothing more is read from the client until it is answered.
#[derive(Debug)]
#[must_use = "a subscription without an answer is denied when its time is over"]
pub struct SubscribeRequest {
    pub(in crate::broker) id: ConnectionId,
    pub(in crate::broker) ticket: Ticket,
    pub(in crate::broker) client_id: Box<str>,
    pub(in crate::broker) identity: Option<Box<str>>,
    pub(in crate::broker) packet_id: PacketId,
    pub(in crate::broker) subscription_id: Option<SubscriptionId>,
    pub(in crate::broker) filters: Vec<AskedFilter>,
}

#[derive(Debug)]
pub(in crate::broker) struct AskedFilter {
    pub(in crate::broker) filter: Box<str>,
    pub(in crate::broker) options: SubscriptionOptions,
    pub(in crate::broker) denied: Option<SubAckReason>,
}

impl SubscribeRequest {
    /// The connection.
    pub const fn connection(&self) -> ConnectionId {
        self.id
    }

    /// The client identifier.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Who the client is.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// The filters as they came, `$share/` included, each with its options.
    pub fn filters(&self) -> impl ExactSizeIterator<Item = (&str, SubscriptionOptions)> {
        self.filters.iter().map(|asked| (&*asked.filter, asked.options))
    }

    /// Denies the filter with this number in [`filters`](Self::filters). A reason below 0x80
    /// counts as 0x87 (Not authorized); a number that is too high denies nothing.
    pub fn deny(&mut self, number: usize, reason: SubAckReason) {
        if let Some(asked) = self.filters.get_mut(number) {
            asked.denied =
                Some(if reason.is_error() { reason } else { SubAckReason::NotAuthorized });
        }
    }

    /// Denies every filter with 0x87 (Not authorized).
    pub fn deny_all(&mut self) {
        for number in 0..self.filters.len() {
            self.deny(number, SubAckReason::NotAuthorized);
        }
    }
}
