//! Messages that the server sends.

use core::fmt;

use bytes::Bytes;
use mqtt_codec::{PacketType, Properties, PropertyBuf, Publish, QoS, TopicName};

/// A received application message, in one piece of memory of its own.
///
/// Cloning shares that memory.
#[derive(Clone)]
pub struct Message {
    /// Topic, properties and payload, perhaps with other parts of the packet between them; the
    /// payload stands last.
    bytes: Bytes,
    topic: (u32, u32),
    properties: (u32, u32),
    payload: u32,
    qos: QoS,
    retain: bool,
    dup: bool,
}

impl Message {
    /// Copies a PUBLISH out of a read buffer. `topic` is the one of its alias where it has none of
    /// its own.
    pub(super) fn copied(publish: &Publish<'_>, topic: &str) -> Self {
        let properties = publish.properties.as_bytes();
        let mut bytes = Vec::with_capacity(topic.len() + properties.len() + publish.payload.len());
        bytes.extend_from_slice(topic.as_bytes());
        bytes.extend_from_slice(properties);
        bytes.extend_from_slice(publish.payload);
        let topic_end = position(topic.len());
        let payload = position(topic.len() + properties.len());
        Self {
            bytes: bytes.into(),
            topic: (0, topic_end),
            properties: (topic_end, payload),
            payload,
            qos: publish.qos.qos(),
            retain: publish.retain,
            dup: publish.qos.dup(),
        }
    }

    /// Keeps a PUBLISH in the packet's own memory.
    pub(super) fn shared(packet: &Bytes, publish: &Publish<'_>, topic: &str) -> Self {
        let payload = packet.len().saturating_sub(publish.payload.len());
        let properties = payload.saturating_sub(publish.properties.as_bytes().len());
        let start = offset_in(packet, topic.as_bytes());
        let Some(start) = start else { return Self::copied(publish, topic) };
        Self {
            bytes: packet.clone(),
            topic: (position(start), position(start + topic.len())),
            properties: (position(properties), position(payload)),
            payload: position(payload),
            qos: publish.qos.qos(),
            retain: publish.retain,
            dup: publish.qos.dup(),
        }
    }

    /// Where it was published to; never empty.
    #[must_use]
    pub fn topic(&self) -> &str {
        // Checked when the packet was decoded; `str` cannot be kept beside its `Bytes`.
        str::from_utf8(self.slice(self.topic)).unwrap_or_default()
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload as usize..).unwrap_or_default()
    }

    /// What it says, sharing the message's memory.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.clone().into_payload()
    }

    /// What it says, in the message's memory.
    #[must_use]
    pub fn into_payload(self) -> Bytes {
        let mut bytes = self.bytes;
        bytes.split_off((self.payload as usize).min(bytes.len()))
    }

    /// The QoS at which it was sent to this client.
    #[must_use]
    pub const fn qos(&self) -> QoS {
        self.qos
    }

    /// Whether it was retained: sent because of a new subscription, or, to a subscription with
    /// Retain As Published, published that way.
    #[must_use]
    pub const fn retain(&self) -> bool {
        self.retain
    }

    /// Whether the server had perhaps sent it before.
    #[must_use]
    pub const fn dup(&self) -> bool {
        self.dup
    }

    /// Its properties.
    #[must_use]
    pub fn properties(&self) -> Properties<'_> {
        // Checked when the packet was decoded.
        Properties::from_wire(self.slice(self.properties), PacketType::Publish)
            .unwrap_or(Properties::EMPTY)
    }

    /// Where it wants its response to be published, if it is a request.
    #[must_use]
    pub fn response_topic(&self) -> Option<TopicName<'_>> {
        self.properties().response_topic()
    }

    /// What tells the sender of a request which response belongs to it.
    #[must_use]
    pub fn correlation_data(&self) -> Option<&[u8]> {
        self.properties().correlation_data()
    }

    /// The properties of a response to this request: its Correlation Data. `None` if it is no
    /// request, having no Response Topic.
    ///
    /// ```
    /// use mqtt_session::{Client, Message, Publication, Time, Unsent};
    ///
    /// # fn example(client: &mut Client, request: &Message, now: Time) -> Result<(), Unsent> {
    /// if let (Some(topic), Some(properties)) = (request.response_topic(), request.reply()) {
    ///     let mut response = Publication::new(topic, "42");
    ///     response.qos = request.qos();
    ///     response.properties = properties.as_properties();
    ///     client.publish(now, response)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn reply(&self) -> Option<PropertyBuf> {
        self.response_topic()?;
        let mut properties = PropertyBuf::new();
        if let Some(data) = self.correlation_data() {
            // It came in a packet, so it fits into one.
            let _fits = properties.correlation_data(data);
        }
        Some(properties)
    }

    /// How many bytes of memory it takes, shared or not.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }

    fn slice(&self, (start, end): (u32, u32)) -> &[u8] {
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }
}

impl fmt::Debug for Message {
    /// Tells the payload's length, never what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic())
            .field("payload_len", &self.payload().len())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("dup", &self.dup)
            .field("properties", &self.properties())
            .finish()
    }
}

/// A place in a packet, which has at most 268,435,460 bytes.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Where `part` begins in `whole`, if it lies in there.
fn offset_in(whole: &[u8], part: &[u8]) -> Option<usize> {
    let offset = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (offset.checked_add(part.len())? <= whole.len()).then_some(offset)
}
