//! May this client read this topic?

use super::Ticket;
use crate::broker::slots::Key;

/// A message is about to be sent to a client that has not been asked about for this topic.
///
/// Answer it with [`Broker::answer_read`](crate::Broker::answer_read) within
/// [`Decisions::timeout`](crate::Decisions::timeout); without an answer the message is dropped.
/// The answer is remembered for the session and the topic until
/// [`Broker::rights_changed`](crate::Broker::rights_changed). No message goes to the client
/// meanwhile, so that order is kept.
#[derive(Debug)]
#[must_use = "without an answer the message is dropped when its time is over"]
pub struct ReadRequest {
    pub(in crate::broker) session: Key,
    pub(in crate::broker) ticket: Ticket,
    pub(in crate::broker) client_id: Box<str>,
    pub(in crate::broker) identity: Option<Box<str>>,
    pub(in crate::broker) topic: Box<str>,
}

impl ReadRequest {
    /// The client identifier.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Who the client is.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// The topic of the message.
    pub fn topic(&self) -> &str {
        &self.topic
    }
}
