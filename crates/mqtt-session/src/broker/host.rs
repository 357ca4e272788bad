//! What the driver itself publishes.

use bytes::Bytes;
use mqtt_codec::{PubAckReason, QoS, TopicName};

use super::Broker;
use super::messages::{NewMessage, Payload};
use crate::Time;

impl Broker {
    /// Publishes a message that no client sent, such as one about the broker itself: it may go to
    /// topics that clients cannot publish to, those that begin with `$`. Nobody is asked about
    /// it. An empty payload with `retain` takes a retained message away.
    ///
    /// Returns what a client would be told in PUBACK: whether there was a subscription that
    /// matches. What finds no room among the retained messages is delivered and counted in
    /// [`Statistics::publishes_refused`](super::Statistics::publishes_refused).
    ///
    /// ```
    /// use mqtt_codec::{PubAckReason, QoS, TopicName};
    /// use mqtt_session::{Broker, BrokerConfig, Time};
    ///
    /// let mut broker = Broker::new(BrokerConfig::default(), [7; 32]);
    /// let topic = TopicName::new("$SYS/broker/uptime")?;
    /// let reason =
    ///     broker.publish(Time::ZERO, topic, "3 seconds".into(), QoS::AtMostOnce, true);
    /// assert_eq!(reason, PubAckReason::NoMatchingSubscribers);
    /// assert_eq!(broker.gauges().retained_messages, 1);
    /// # Ok::<(), mqtt_codec::TopicError>(())
    /// ```
    pub fn publish(
        &mut self,
        now: Time,
        topic: TopicName<'_>,
        payload: Bytes,
        qos: QoS,
        retain: bool,
    ) -> PubAckReason {
        let now = self.advance(now);
        self.work = 0;
        let message = self.messages.insert(
            now,
            NewMessage {
                topic: topic.as_str(),
                qos,
                retain: retain && self.config.retain_available,
                expiry: None,
                publisher: 0,
                payload: Payload::Owned(payload),
            },
            |_| {},
        );
        let reason = self.deliver(message, None);
        self.messages.release(message);
        reason
    }
}
