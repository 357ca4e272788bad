//! `$SYS` topics: what the broker publishes about itself.

use std::time::Duration;

use mqtt_codec::{QoS, TopicName};
use mqtt_session::{Broker, Time};

use crate::status::{Status, TOPICS};

/// When the topics are published next, and what they said last.
#[derive(Debug)]
pub(super) struct SysTopics {
    /// `None` publishes nothing.
    interval: Option<Duration>,
    next: Time,
    last: Vec<String>,
}

impl SysTopics {
    pub(super) fn new(interval: Duration) -> Self {
        let interval = (!interval.is_zero()).then_some(interval);
        Self { interval, next: Time::ZERO, last: vec![String::new(); TOPICS.len()] }
    }

    /// When something is to be published.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.interval.map(|_| self.next)
    }

    /// Whether it is time.
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.next_deadline().is_some_and(|at| at <= now)
    }

    /// Publishes every value that has changed.
    pub(super) fn publish(&mut self, now: Time, status: &Status, broker: &mut Broker) {
        let Some(interval) = self.interval else { return };
        self.next = now + interval;
        for ((name, value), last) in TOPICS.iter().zip(&mut self.last) {
            let value = value(status);
            if value != *last
                && let Ok(topic) = TopicName::new(&format!("$SYS/broker/{name}"))
            {
                broker.publish(now, topic, value.clone().into(), QoS::AtMostOnce, true);
                *last = value;
            }
        }
    }
}
