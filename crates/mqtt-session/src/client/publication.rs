//! A message of the application: as it is given, and as it waits to be sent.

use core::ops::Range;
use core::{fmt, mem};

use bytes::Bytes;
use mqtt_codec::{
    EncodeError, Forward, PacketId, Properties, PropertyId, PubAckReason, PublishQos, QoS,
    TopicName,
};

use super::offline::{self, UnsentMessage};
use crate::exchange::OutgoingAlias;
use crate::{Time, TransmitBuf};

/// An application message to publish.
///
/// The properties may be those of a PUBLISH that a client may set: not a Topic Alias, which the
/// client chooses itself, and no Subscription Identifier [MQTT-3.3.4-6].
#[derive(Clone)]
#[non_exhaustive]
pub struct Publication<'a> {
    /// Where it is published to.
    pub topic: TopicName<'a>,
    /// What it says; shared, not copied, from 8 KiB up.
    pub payload: Bytes,
    /// How surely it is delivered to the server.
    pub qos: QoS,
    /// Whether the server keeps it for later subscribers.
    pub retain: bool,
    /// Its properties. A Message Expiry Interval counts down while the message waits to be sent.
    pub properties: Properties<'a>,
    /// Whether it is worth sending only on the connection that stands now: without one it is
    /// refused, and if it could not be sent before the connection ended it is dropped.
    pub only_online: bool,
}

impl<'a> Publication<'a> {
    /// A message at QoS 0, not retained, without properties; change the fields as needed.
    pub fn new(topic: TopicName<'a>, payload: impl Into<Bytes>) -> Self {
        Self {
            topic,
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::EMPTY,
            only_online: false,
        }
    }

    /// Bytes of topic, properties and payload.
    pub(super) fn size(&self) -> usize {
        self.topic.as_bytes().len() + self.properties.as_bytes().len() + self.payload.len()
    }

    /// Appends the whole PUBLISH at QoS 0, if it is not larger than `maximum`.
    pub(super) fn append(&self, bytes: &mut Vec<u8>, maximum: u32) -> Result<(), EncodeError> {
        self.encode_header(PacketId::MIN, None, bytes, maximum)?;
        bytes.extend_from_slice(&self.payload);
        Ok(())
    }

    /// Appends the header of its PUBLISH, with the identifier if its QoS wants one, if the packet
    /// is not larger than `maximum`. `expiring` is the Message Expiry Interval with the other
    /// properties, where there is one.
    #[inline(always)]
    pub(super) fn encode_header(
        &self,
        id: PacketId,
        expiring: Option<(u32, &[u8])>,
        bytes: &mut Vec<u8>,
        maximum: u32,
    ) -> Result<(), EncodeError> {
        let header = Forward {
            qos: publish_qos(self.qos, id, false),
            retain: self.retain,
            topic: Some(self.topic.as_bytes()),
            topic_alias: None,
            message_expiry_interval: expiring.map(|(seconds, _)| seconds),
            subscription_ids: &[],
            forwardable: expiring.map_or(self.properties.as_bytes(), |(_, others)| others),
            payload_len: self.payload.len(),
        };
        header.encode_header(bytes, maximum)
    }

    /// A property that is not for an application to set.
    pub(super) fn foreign_property(&self) -> Option<PropertyId> {
        self.properties.ids().find(|&id| {
            // [MQTT-3.3.4-6]
            !matches!(
                id,
                PropertyId::PayloadFormatIndicator
                    | PropertyId::MessageExpiryInterval
                    | PropertyId::ContentType
                    | PropertyId::ResponseTopic
                    | PropertyId::CorrelationData
                    | PropertyId::UserProperty
            )
        })
    }
}

impl fmt::Debug for Publication<'_> {
    /// Tells the payload's length, never what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publication")
            .field("topic", &self.topic)
            .field("payload_len", &self.payload.len())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties)
            .finish()
    }
}

/// The DUP flag in the first byte of PUBLISH.
const DUP: u8 = 0b1000;

/// A header buffer larger than this is not kept for the next message.
const SPARE_BYTES: usize = 1024;

/// A message that waits to be sent or acknowledged.
///
/// Its header is encoded when it is accepted: what is not known by then, the packet identifier and
/// DUP, stands at fixed places and is filled in on the way out. Only a Message Expiry Interval,
/// which counts down, and topic aliases need it encoded anew.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    /// Everything up to the payload.
    header: Vec<u8>,
    /// How long the properties at the end of the header are, without the Message Expiry Interval.
    properties_len: u32,
    payload: Bytes,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// When its Message Expiry Interval ends.
    expires_at: Option<Time>,
    /// The reason of its PUBREC, for when PUBCOMP has come.
    pub(super) recorded: PubAckReason,
    /// Not to be kept for another connection.
    pub(super) only_online: bool,
    /// It was sent in a session that the server has lost since, and is sent anew.
    pub(super) is_republished: bool,
    /// Nobody wants to know how it ends.
    pub(super) is_forgotten: bool,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            header: Vec::new(),
            properties_len: 0,
            payload: Bytes::new(),
            qos: QoS::AtMostOnce,
            retain: false,
            expires_at: None,
            recorded: PubAckReason::Success,
            only_online: false,
            is_republished: false,
            is_forgotten: false,
        }
    }
}

impl Outgoing {
    /// Takes a message over, if its PUBLISH is not larger than `maximum`; otherwise nothing has
    /// changed.
    pub(super) fn accept(
        &mut self,
        now: Time,
        publication: &mut Publication<'_>,
        maximum: u32,
    ) -> Result<(), EncodeError> {
        let mut header = mem::take(&mut self.header);
        header.clear();
        let expiry = publication.properties.message_expiry_interval();
        let mut others = Vec::new();
        if expiry.is_some() {
            publication.properties.copy_forwardable(&mut others);
        }
        let expiring = expiry.map(|seconds| (seconds, &*others));
        let encoded = publication.encode_header(PacketId::MIN, expiring, &mut header, maximum);
        self.header = header;
        encoded?;
        self.fill(publication);
        if let Some(seconds) = expiry {
            self.properties_len = others.len() as u32;
            self.expires_at = Some(now.plus_secs(seconds));
        }
        Ok(())
    }

    /// Takes a message over that is sent now, if its PUBLISH is not larger than `maximum`;
    /// otherwise nothing has changed. It has no Message Expiry Interval.
    #[inline(always)]
    pub(super) fn accept_now(
        &mut self,
        id: PacketId,
        publication: &mut Publication<'_>,
        maximum: u32,
    ) -> Result<(), EncodeError> {
        publication.encode_header(id, None, &mut self.header, maximum)?;
        self.fill(publication);
        Ok(())
    }

    /// Takes everything over but the header, which is there.
    #[inline(always)]
    fn fill(&mut self, publication: &mut Publication<'_>) {
        self.properties_len = publication.properties.as_bytes().len() as u32;
        // Swapped, because what was here, which is empty, ends with the publication.
        mem::swap(&mut self.payload, &mut publication.payload);
        self.qos = publication.qos;
        self.retain = publication.retain;
        self.only_online = publication.only_online;
    }

    /// Appends the PUBLISH, if it is not larger than `maximum`.
    pub(super) fn send(
        &self,
        now: Time,
        id: Option<PacketId>,
        dup: bool,
        alias: OutgoingAlias,
        maximum: u32,
        out: &mut TransmitBuf,
    ) -> Result<(), EncodeError> {
        if self.expires_at.is_some() || alias != OutgoingAlias::None {
            self.encode(now, id, dup, alias, maximum, out)?;
        } else {
            let size = self.size() as u64;
            if size > maximum.into() {
                return Err(EncodeError::TooLarge { size, limit: maximum });
            }
            out.append(|bytes| self.append_header(id, dup, bytes));
        }
        out.append_payload(&self.payload);
        Ok(())
    }

    fn append_header(&self, id: Option<PacketId>, dup: bool, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(&self.header);
        let Some(packet) = bytes.get_mut(start..) else { return };
        if dup && let Some(first) = packet.first_mut() {
            *first |= DUP;
        }
        let id_at = self.topic_place().end;
        if let Some(id) = id
            && let Some(place) = packet.get_mut(id_at..id_at + 2)
        {
            place.copy_from_slice(&id.get().to_be_bytes());
        }
    }

    /// Appends the header, encoded anew.
    fn encode(
        &self,
        now: Time,
        id: Option<PacketId>,
        dup: bool,
        alias: OutgoingAlias,
        maximum: u32,
        out: &mut TransmitBuf,
    ) -> Result<(), EncodeError> {
        let topic = Some(self.topic_bytes());
        let (topic, topic_alias) = match alias {
            OutgoingAlias::None => (topic, None),
            OutgoingAlias::Set(alias) => (topic, Some(alias)),
            OutgoingAlias::Known(alias) => (None, Some(alias)),
        };
        let header = Forward {
            qos: id.map_or(PublishQos::AtMostOnce, |id| publish_qos(self.qos, id, dup)),
            retain: self.retain,
            topic,
            topic_alias,
            // A message that has been sent lives on, though for no whole second any more.
            message_expiry_interval: self.expiry(now).map(|seconds| seconds.max(1)),
            subscription_ids: &[],
            forwardable: self.forwardable(),
            payload_len: self.payload.len(),
        };
        out.append(|bytes| header.encode_header(bytes, maximum))
    }

    /// Its properties without the Message Expiry Interval.
    pub(super) fn forwardable(&self) -> &[u8] {
        let start = self.header.len().saturating_sub(self.properties_len as usize);
        self.header.get(start..).unwrap_or_default()
    }

    /// What the application gets back if the message is not sent.
    pub(super) fn hand_back(&self, now: Time) -> UnsentMessage {
        UnsentMessage {
            topic: self.topic().into(),
            payload: self.payload.clone(),
            qos: self.qos,
            retain: self.retain,
            properties: offline::properties(self.forwardable(), self.expiry(now)),
            may_have_arrived: self.is_republished,
        }
    }

    /// Where it is published to.
    pub(super) fn topic(&self) -> &str {
        // It was a Topic Name when the message was accepted.
        str::from_utf8(self.topic_bytes()).unwrap_or_default()
    }

    fn topic_bytes(&self) -> &[u8] {
        self.header.get(self.topic_place()).unwrap_or_default()
    }

    /// Where the topic stands in the header: behind the type, up to four bytes of Remaining Length,
    /// of which the last is below 0x80, and two of the topic's length.
    fn topic_place(&self) -> Range<usize> {
        let more = self.header.iter().skip(1).take_while(|byte| **byte >= 0x80).count();
        let start = more + 4;
        let topic_len = match self.header.get(start - 2..start) {
            Some(&[high, low]) => u16::from_be_bytes([high, low]),
            _ => 0,
        };
        start..start + usize::from(topic_len)
    }

    /// Seconds until the message expires, rounded up; `Some(0)` once it has expired.
    pub(super) fn expiry(&self, now: Time) -> Option<u32> {
        self.expires_at.map(|at| now.secs_until(at))
    }

    /// Everything up to the payload, as it is sent for the first time.
    pub(super) fn header(&self) -> &[u8] {
        &self.header
    }

    pub(super) const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Lets it expire then.
    pub(super) const fn set_expiry(&mut self, at: Option<Time>) {
        self.expires_at = at;
    }

    /// When it expires.
    pub(super) const fn expires_at(&self) -> Option<Time> {
        self.expires_at
    }

    /// Bytes that it holds.
    pub(super) fn size(&self) -> usize {
        self.header.len() + self.payload.len()
    }

    /// Frees the payload of a message that will not be sent again.
    pub(super) fn release_payload(&mut self) {
        self.payload = Bytes::new();
    }

    /// Forgets the message and keeps its memory for another one.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.expires_at = None;
        self.recorded = PubAckReason::Success;
        self.only_online = false;
        self.is_republished = false;
        self.is_forgotten = false;
        self.header.clear();
        if self.header.capacity() > SPARE_BYTES {
            self.header = Vec::new();
        }
        drop(mem::take(&mut self.payload));
    }
}

fn publish_qos(qos: QoS, id: PacketId, dup: bool) -> PublishQos {
    match qos {
        QoS::AtMostOnce => PublishQos::AtMostOnce,
        QoS::AtLeastOnce => PublishQos::AtLeastOnce { id, dup },
        QoS::ExactlyOnce => PublishQos::ExactlyOnce { id, dup },
    }
}
