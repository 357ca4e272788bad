//! A received message, and the acknowledgement that may be owed for it.

use std::fmt;
use std::str::Utf8Error;
use std::sync::Arc;

use bytes::Bytes;
use mqtt_codec::{Properties, PubAckReason, QoS};
use mqtt_session::Delivery;

use crate::shared::Shared;

/// A received message.
pub struct Message {
    message: mqtt_session::Message,
    /// The acknowledgement that the application has to give.
    owed: Option<(Arc<Shared>, Delivery)>,
}

impl Message {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        message: mqtt_session::Message,
        owed: Option<Delivery>,
    ) -> Self {
        let owed = owed.map(|delivery| (Arc::clone(shared), delivery));
        Self { message, owed }
    }

    /// Where it was published to.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.message.topic()
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.message.payload()
    }

    /// What it says, as text.
    ///
    /// # Errors
    ///
    /// [`Utf8Error`] if it is not UTF-8.
    pub fn payload_str(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(self.message.payload())
    }

    /// What it says, sharing the message's memory.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.message.payload_bytes()
    }

    /// The QoS at which it was sent to this client.
    #[must_use]
    pub const fn qos(&self) -> QoS {
        self.message.qos()
    }

    /// Whether it was retained.
    #[must_use]
    pub const fn retain(&self) -> bool {
        self.message.retain()
    }

    /// Whether the server had perhaps sent it before.
    #[must_use]
    pub const fn dup(&self) -> bool {
        self.message.dup()
    }

    /// Its properties.
    #[must_use]
    pub fn properties(&self) -> Properties<'_> {
        self.message.properties()
    }

    /// Where the response is to be published, if it is a request:
    /// [`Client::reply`](crate::Client::reply) does so.
    #[must_use]
    pub fn response_topic(&self) -> Option<&str> {
        self.message.response_topic().map(|topic| topic.as_str())
    }

    /// What the response to a request is to carry.
    #[must_use]
    pub fn correlation_data(&self) -> Option<&[u8]> {
        self.message.correlation_data()
    }

    /// Acknowledges it, if it was received with [`manual_ack`](crate::Subscribe::manual_ack) and at QoS 1
    /// or QoS 2; otherwise there is nothing to do. Acknowledgements leave in the order in which
    /// the messages came, whatever the order of these calls.
    ///
    /// A message that is dropped without this, or [`refuse`](Self::refuse), stays unacknowledged:
    /// it counts towards the Receive Maximum, holds back all later acknowledgements of its QoS,
    /// and comes again when the session is resumed.
    pub fn ack(mut self) {
        self.settle(PubAckReason::Success);
    }

    /// Refuses it, where [`ack`](Self::ack) would acknowledge it: the server does not send it
    /// again. A `reason` below 0x80 acknowledges.
    pub fn refuse(mut self, reason: PubAckReason) {
        self.settle(reason);
    }

    fn settle(&mut self, reason: PubAckReason) {
        if let Some((shared, delivery)) = self.owed.take() {
            shared.call(|state| state.settle(delivery, reason));
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if let Some((shared, delivery)) = self.owed.take() {
            tracing::warn!(
                topic = self.topic(),
                "a message was dropped without `ack` or `refuse`; it stays unacknowledged"
            );
            shared.call(|state| state.abandon(delivery));
        }
    }
}

impl fmt::Debug for Message {
    /// Tells the payload's length, never what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}
