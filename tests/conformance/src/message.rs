//! A PUBLISH that came, owned.

use mqtt_codec::{PropertyValues, Publish};

/// A PUBLISH from the implementation under test.
#[derive(Debug, Clone, PartialEq, Eq)]

pub(crate) struct Message {
    /// Empty where a Topic Alias stands for it.
    pub(crate) topic: String,
    /// What it carries.
    pub(crate) payload: Vec<u8>,
    /// 0, 1 or 2.
    pub(crate) qos: u8,
    /// The Packet Identifier; 0 at QoS 0.
    pub(crate) id: u16,
    /// The DUP flag.
    pub(crate) dup: bool,
    /// The RETAIN flag.
    pub(crate) retain: bool,
    /// All its properties.
    pub(crate) properties: PropertyValues,
}

impl From<&Publish<'_>> for Message {
    fn from(publish: &Publish<'_>) -> Self {
        Self {
            topic: publish.topic.map(|topic| topic.as_str().to_owned()).unwrap_or_default(),
            payload: publish.payload.to_vec(),
            qos: publish.qos.qos() as u8,
            id: publish.qos.packet_id().map_or(0, |id| id.get()),
            dup: publish.qos.dup(),
            retain: publish.retain,
            properties: PropertyValues::from(publish.properties),
        }
    }
}

impl Message {
    /// The payload as text.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The Subscription Identifiers, in order.
    #[must_use]
    pub(crate) fn subscriptions(&self) -> Vec<u32> {
        let mut ids: Vec<u32> =
            self.properties.subscription_ids.iter().map(|id| id.get()).collect();
        ids.sort_unstable();
        ids
    }
}
