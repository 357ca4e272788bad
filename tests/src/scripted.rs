//! Packets in one line: what a well-behaved client sends, as the bytes it sends.
//!
//! Everything here can be given to [`Wire::send`](crate::Wire::send). Packets that no good client
//! sends are written as [`hex`].

use std::num::{NonZeroU16, NonZeroU32};

use mqtt_codec::{
    ConnectOptions, Disconnect, DisconnectReason, Packet, PacketId, Properties, PropertyBuf,
    PubAck, PubAckReason, PubComp, PubRec, PubRel, PubRelReason, Publish, PublishQos, QoS,
    RetainHandling, Subscribe, SubscriptionId, SubscriptionOptions, TopicFilter, TopicName,
    Unsubscribe, Will,
};

/// Bytes from hexadecimal numbers; blanks are left out.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|digit| u8::try_from(digit.to_digit(16).expect("a hexadecimal digit")).unwrap())
        .collect();
    assert!(digits.len().is_multiple_of(2), "two digits a byte: {text}");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A packet of this first byte around a body.
pub fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let more = if rest >= 128 { 0x80 } else { 0 };
        bytes.push((rest % 128) as u8 | more);
        rest /= 128;
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("a packet identifier is not 0")
}

fn encode(packet: Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes, u32::MAX).unwrap();
    bytes
}

/// Builds properties in an expression.
pub fn properties(build: impl FnOnce(&mut PropertyBuf)) -> PropertyBuf {
    let mut properties = PropertyBuf::new();
    build(&mut properties);
    properties
}

/// CONNECT with Clean Start and without Keep Alive, to be changed by the methods.
pub fn connect(client_id: &str) -> ConnectScript {
    ConnectScript {
        client_id: client_id.to_owned(),
        clean_start: true,
        keep_alive: None,
        properties: PropertyBuf::new(),
        will: None,
        user_name: None,
        password: None,
    }
}

/// A CONNECT to be; see [`connect`].
#[derive(Clone, Debug)]
pub struct ConnectScript {
    client_id: String,
    clean_start: bool,
    keep_alive: Option<u16>,
    properties: PropertyBuf,
    will: Option<WillScript>,
    user_name: Option<String>,
    password: Option<Vec<u8>>,
}

impl ConnectScript {
    /// The client identifier.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Clean Start 0.
    pub fn resume(mut self) -> Self {
        self.clean_start = false;
        self
    }

    /// The Session Expiry Interval in seconds.
    pub fn expiry(self, seconds: u32) -> Self {
        self.with(|properties| _ = properties.session_expiry_interval(seconds))
    }

    /// The Keep Alive in seconds.
    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = Some(seconds);
        self
    }

    /// The Keep Alive in seconds, unless one was set.
    pub fn or_keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive.get_or_insert(seconds);
        self
    }

    /// The Receive Maximum.
    pub fn receive_maximum(self, maximum: u16) -> Self {
        let maximum = NonZeroU16::new(maximum).unwrap();
        self.with(|properties| _ = properties.receive_maximum(maximum))
    }

    /// The Maximum Packet Size in bytes.
    pub fn packet_size(self, bytes: u32) -> Self {
        let bytes = NonZeroU32::new(bytes).unwrap();
        self.with(|properties| _ = properties.maximum_packet_size(bytes))
    }

    /// The Topic Alias Maximum.
    pub fn alias_maximum(self, maximum: u16) -> Self {
        self.with(|properties| _ = properties.topic_alias_maximum(maximum))
    }

    /// The Will Message.
    pub fn will(mut self, will: WillScript) -> Self {
        self.will = Some(will);
        self
    }

    /// The User Name.
    pub fn user_name(mut self, name: &str) -> Self {
        self.user_name = Some(name.to_owned());
        self
    }

    /// The Password.
    pub fn password(mut self, password: &[u8]) -> Self {
        self.password = Some(password.to_vec());
        self
    }

    /// Any properties.
    pub fn with(mut self, build: impl FnOnce(&mut PropertyBuf)) -> Self {
        build(&mut self.properties);
        self
    }
}

impl From<ConnectScript> for Vec<u8> {
    fn from(script: ConnectScript) -> Self {
        let will = script.will.as_ref().map(|will| Will {
            qos: will.qos,
            retain: will.retain,
            properties: will.properties.as_properties(),
            topic: TopicName::new(&will.topic).unwrap(),
            payload: &will.payload,
        });
        let options = ConnectOptions {
            clean_start: script.clean_start,
            keep_alive: script.keep_alive.unwrap_or(0),
            properties: script.properties.as_properties(),
            client_id: &script.client_id,
            will,
            user_name: script.user_name.as_deref(),
            password: script.password.as_deref(),
        };
        let mut bytes = Self::new();
        options.encode(&mut bytes, u32::MAX).unwrap();
        bytes
    }
}

/// A Will Message at QoS 0 without delay, to be changed by the methods.
pub fn will(topic: &str, payload: impl AsRef<[u8]>) -> WillScript {
    WillScript {
        topic: topic.to_owned(),
        payload: payload.as_ref().to_vec(),
        qos: QoS::AtMostOnce,
        retain: false,
        properties: PropertyBuf::new(),
    }
}

/// A Will Message to be; see [`will`].
#[derive(Clone, Debug)]
pub struct WillScript {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
    properties: PropertyBuf,
}

impl WillScript {
    /// The Will QoS.
    pub fn qos(mut self, qos: u8) -> Self {
        self.qos = QoS::try_from(qos).unwrap();
        self
    }

    /// Will Retain 1.
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The Will Delay Interval in seconds.
    pub fn delay(self, seconds: u32) -> Self {
        self.with(|properties| _ = properties.will_delay_interval(seconds))
    }

    /// Any properties.
    pub fn with(mut self, build: impl FnOnce(&mut PropertyBuf)) -> Self {
        build(&mut self.properties);
        self
    }
}

/// PUBLISH at QoS 0, to be changed by the methods.
pub fn publish(topic: &str, payload: impl AsRef<[u8]>) -> PublishScript {
    PublishScript {
        topic: topic.to_owned(),
        payload: payload.as_ref().to_vec(),
        qos: PublishQos::AtMostOnce,
        retain: false,
        properties: PropertyBuf::new(),
    }
}

/// A PUBLISH to be; see [`publish`].
#[derive(Clone, Debug)]
pub struct PublishScript {
    topic: String,
    payload: Vec<u8>,
    qos: PublishQos,
    retain: bool,
    properties: PropertyBuf,
}

impl PublishScript {
    /// QoS 1 with this packet identifier.
    pub fn qos1(mut self, number: u16) -> Self {
        self.qos = PublishQos::AtLeastOnce { id: id(number), dup: false };
        self
    }

    /// QoS 2 with this packet identifier.
    pub fn qos2(mut self, number: u16) -> Self {
        self.qos = PublishQos::ExactlyOnce { id: id(number), dup: false };
        self
    }

    /// This QoS, with this packet identifier if it needs one.
    pub fn qos(self, qos: u8, number: u16) -> Self {
        match qos {
            0 => self,
            1 => self.qos1(number),
            _ => self.qos2(number),
        }
    }

    /// DUP 1.
    pub fn dup(mut self) -> Self {
        match &mut self.qos {
            PublishQos::AtMostOnce => panic!("QoS 0 has no DUP"),
            PublishQos::AtLeastOnce { dup, .. } | PublishQos::ExactlyOnce { dup, .. } => {
                *dup = true;
            }
        }
        self
    }

    /// RETAIN 1.
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The Message Expiry Interval in seconds.
    pub fn expiry(self, seconds: u32) -> Self {
        self.with(|properties| _ = properties.message_expiry_interval(seconds))
    }

    /// A Topic Alias.
    pub fn alias(self, alias: u16) -> Self {
        let alias = NonZeroU16::new(alias).unwrap();
        self.with(|properties| _ = properties.topic_alias(alias))
    }

    /// Any properties.
    pub fn with(mut self, build: impl FnOnce(&mut PropertyBuf)) -> Self {
        build(&mut self.properties);
        self
    }
}

impl From<PublishScript> for Vec<u8> {
    fn from(script: PublishScript) -> Self {
        let topic = (!script.topic.is_empty()).then(|| TopicName::new(&script.topic).unwrap());
        encode(Packet::Publish(Publish {
            qos: script.qos,
            retain: script.retain,
            topic,
            properties: script.properties.as_properties(),
            payload: &script.payload,
        }))
    }
}

/// SUBSCRIBE for one filter at QoS 0, to be changed by the methods.
pub fn subscribe(number: u16, filter: &str) -> SubscribeScript {
    SubscribeScript { id: id(number), filters: Vec::new(), properties: PropertyBuf::new() }
        .and(filter)
}

/// A SUBSCRIBE to be; see [`subscribe`]. Options are those of the filter named last.
#[derive(Clone, Debug)]
pub struct SubscribeScript {
    id: PacketId,
    filters: Vec<(String, SubscriptionOptions)>,
    properties: PropertyBuf,
}

impl SubscribeScript {
    /// One more filter.
    pub fn and(mut self, filter: &str) -> Self {
        self.filters.push((filter.to_owned(), SubscriptionOptions::default()));
        self
    }

    /// The highest QoS of the filter named last.
    pub fn qos(self, qos: u8) -> Self {
        self.option(|options| options.qos = QoS::try_from(qos).unwrap())
    }

    /// No Local 1 for the filter named last.
    pub fn no_local(self) -> Self {
        self.option(|options| options.no_local = true)
    }

    /// Retain As Published 1 for the filter named last.
    pub fn retain_as_published(self) -> Self {
        self.option(|options| options.retain_as_published = true)
    }

    /// Retain Handling 0, 1 or 2 for the filter named last.
    pub fn retain_handling(self, handling: u8) -> Self {
        self.option(|options| {
            options.retain_handling = match handling {
                0 => RetainHandling::SendAlways,
                1 => RetainHandling::SendIfNew,
                _ => RetainHandling::DoNotSend,
            };
        })
    }

    /// The Subscription Identifier.
    pub fn subscription_id(self, number: u32) -> Self {
        let id = SubscriptionId::new(number).unwrap();
        self.with(|properties| _ = properties.subscription_id(id))
    }

    /// Any properties.
    pub fn with(mut self, build: impl FnOnce(&mut PropertyBuf)) -> Self {
        build(&mut self.properties);
        self
    }

    fn option(mut self, change: impl FnOnce(&mut SubscriptionOptions)) -> Self {
        change(&mut self.filters.last_mut().unwrap().1);
        self
    }
}

impl From<SubscribeScript> for Vec<u8> {
    fn from(script: SubscribeScript) -> Self {
        let filters: Vec<_> = script
            .filters
            .iter()
            .map(|(filter, options)| (TopicFilter::new(filter).unwrap(), *options))
            .collect();
        let properties = script.properties.as_properties();
        encode(Packet::Subscribe(Subscribe::new(script.id, properties, &filters).unwrap()))
    }
}

/// UNSUBSCRIBE.
pub fn unsubscribe(number: u16, filters: &[&str]) -> Vec<u8> {
    let filters: Vec<_> = filters.iter().map(|filter| TopicFilter::new(filter).unwrap()).collect();
    encode(Packet::Unsubscribe(Unsubscribe::new(id(number), Properties::EMPTY, &filters).unwrap()))
}

/// PUBACK with 0x00.
pub fn puback(number: u16) -> Vec<u8> {
    puback_with(number, PubAckReason::Success)
}

/// PUBACK with any reason.
pub fn puback_with(number: u16, reason: PubAckReason) -> Vec<u8> {
    encode(Packet::PubAck(PubAck { packet_id: id(number), reason, properties: Properties::EMPTY }))
}

/// PUBREC with 0x00.
pub fn pubrec(number: u16) -> Vec<u8> {
    pubrec_with(number, PubAckReason::Success)
}

/// PUBREC with any reason.
pub fn pubrec_with(number: u16, reason: PubAckReason) -> Vec<u8> {
    encode(Packet::PubRec(PubRec { packet_id: id(number), reason, properties: Properties::EMPTY }))
}

/// PUBREL with 0x00.
pub fn pubrel(number: u16) -> Vec<u8> {
    let reason = PubRelReason::Success;
    encode(Packet::PubRel(PubRel { packet_id: id(number), reason, properties: Properties::EMPTY }))
}

/// PUBCOMP with 0x00.
pub fn pubcomp(number: u16) -> Vec<u8> {
    let reason = PubRelReason::Success;
    encode(Packet::PubComp(PubComp {
        packet_id: id(number),
        reason,
        properties: Properties::EMPTY,
    }))
}

/// PINGREQ.
pub fn pingreq() -> Vec<u8> {
    encode(Packet::PingReq)
}

/// DISCONNECT with 0x00.
pub fn disconnect() -> Vec<u8> {
    disconnect_with(DisconnectReason::NormalDisconnection, |_| {})
}

/// DISCONNECT with any reason and properties.
pub fn disconnect_with(reason: DisconnectReason, build: impl FnOnce(&mut PropertyBuf)) -> Vec<u8> {
    let properties = properties(build);
    encode(Packet::Disconnect(Disconnect { reason, properties: properties.as_properties() }))
}
