//! What must be true at the end of a script.

use std::collections::BTreeMap;

use crate::client::Client;
use crate::world::{Fate, Published, World};

impl World {
    /// Holds what came against what was promised.
    pub(crate) fn check(&self) {
        for (number, client) in self.clients.iter().enumerate() {
            self.check_deliveries(number, client);
            if !self.has_failed {
                self.check_order(client);
            }
        }
        self.check_retained();
    }

    fn check_deliveries(&self, number: usize, client: &Client) {
        let mut times: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
        for &(message, qos) in &client.delivered {
            let (count, exactly) = times.entry(message).or_default();
            *count += 1;
            *exactly += usize::from(qos == 2);
        }
        for (message, published) in (0..).zip(&self.published) {
            let (count, exactly) = times.get(&message).copied().unwrap_or_default();
            let who = format!("{}, message {message}: {published:?}", client.name);
            let granted = published.subscribers.get(&number).copied().unwrap_or_default();
            if published.fate == Fate::Taken && granted.min(published.qos) > 0 {
                assert_ne!(count, 0, "it was taken and did not come: {who}");
            }
            // A retained message is sent anew for each new subscription, and stays when it is
            // refused.
            if !published.retain {
                assert!(exactly <= 1, "it came {exactly} times: {who}");
                if published.fate == Fate::Refused {
                    assert_eq!(exactly, 0, "it was refused and came at QoS 2: {who}");
                }
            }
        }
    }

    /// QoS 2 messages of one publisher come in the order in which they were published
    /// [MQTT-4.6.0-6].
    fn check_order(&self, client: &Client) {
        let mut last = BTreeMap::new();
        for &(message, qos) in &client.delivered {
            let published = &self.published[message as usize];
            if qos != 2 || published.retain || published.is_will {
                continue;
            }
            if let Some(before) = last.insert(published.publisher, message) {
                assert!(before < message, "{}: {message} came after {before}", client.name);
            }
        }
    }

    /// The retained message of each topic is the last that was taken, or one that was sent after
    /// it and of which its publisher does not know.
    fn check_retained(&self) {
        let mut topics: BTreeMap<String, Vec<(u32, &Published)>> = BTreeMap::new();
        for (message, published) in (0..).zip(&self.published) {
            if published.retain {
                topics.entry(published.topic()).or_default().push((message, published));
            }
        }
        for (topic, published) in &topics {
            let taken = published.iter().filter(|(_, published)| published.fate == Fate::Taken);
            let Some(&(last, taken)) = taken.max_by_key(|(_, published)| published.sent.0) else {
                continue;
            };
            let since = taken.sent.0;
            let found = self.retained.get(topic);
            let may_be = published.iter().any(|(message, published)| {
                let is_it = match found {
                    Some(found) => found == message,
                    None => published.is_clear,
                };
                is_it && published.sent.1 >= since
            });
            assert!(may_be, "{topic} retains {found:?} and not {last}: {published:#?}");
        }
        for topic in self.retained.keys() {
            assert!(topics.contains_key(topic), "{topic} was never retained");
        }
    }
}
