//! The client against a scripted server: bytes in, bytes and events out, in virtual time.

mod authenticate;
mod calls;
mod connect;
mod connection;
mod deliveries;
mod keep_alive;
mod leave;
mod limits;
mod offline;
mod publish;
mod readers;
mod receive;
mod reconnect;
mod redirect;
mod resume;
mod retry;
mod saved;
mod subscribe;
mod transitions;
mod violations;

use core::time::Duration;

use bytes::{Buf, Bytes};
use mqtt_codec::{
    ConnAck, ConnectReason, Decoded, Limits, Packet, PacketId, Properties, PropertyBuf, PubAck,
    PubAckReason, PubComp, PubRec, PubRel, PubRelReason, Publish, PublishQos, QoS, SubAck,
    SubAckReason, SubscriptionOptions, TopicFilter, TopicName, UnsubAck, UnsubAckReason, decode,
};

use super::*;
use crate::TransmitBuf;

/// A client and the script of its server.
struct Script {
    client: Client,
    now: Time,
    /// What reads the messages that match no subscription, if it was asked for.
    unmatched: Option<SubscriptionKey>,
}

impl Script {
    /// A client without a connection.
    fn new(config: ClientConfig) -> Self {
        let client = Client::new(config, [7; 32]).unwrap();
        Self { client, now: Time::ZERO, unmatched: None }
    }

    /// A client that the server has accepted without setting any limit.
    fn open(config: ClientConfig) -> Self {
        Self::open_with(config, &PropertyBuf::new())
    }

    /// A client that the server has accepted on these terms.
    fn open_with(config: ClientConfig, terms: &PropertyBuf) -> Self {
        let mut script = Self::new(config);
        script.connect(false, terms);
        script
    }

    /// The same, with a reader of all messages.
    fn receiving(config: ClientConfig) -> Self {
        Self::receiving_into(config, BufferOptions::new())
    }

    /// The same, with a reader of all messages that acknowledges them itself.
    fn manual(config: ClientConfig) -> Self {
        Self::receiving_into(config, BufferOptions::new().manual_acknowledgement(true))
    }

    fn receiving_into(config: ClientConfig, buffer: BufferOptions) -> Self {
        let mut script = Self::open(config);
        script.unmatched = Some(script.client.subscribe_unmatched(buffer));
        script
    }

    /// Makes a connection that the server accepts; takes CONNECT and the event.
    fn connect(&mut self, session_present: bool, terms: &PropertyBuf) {
        self.client.handle_connected(self.now);
        assert!(self.sent_bytes().starts_with(&[0x10]));
        self.receive(ConnAck {
            session_present,
            reason: ConnectReason::Success,
            properties: terms.as_properties(),
        });
        let events = self.events();
        assert!(events.iter().any(|event| event.starts_with("connected")), "{events:?}");
    }

    fn receive<'a>(&mut self, packet: impl Into<Packet<'a>>) {
        let mut bytes = Vec::new();
        packet.into().encode(&mut bytes, u32::MAX).unwrap();
        self.receive_bytes(&bytes);
    }

    fn receive_bytes(&mut self, bytes: &[u8]) {
        self.client.handle_input(self.now, bytes);
    }

    fn lose(&mut self) {
        self.client.handle_eof(self.now);
    }

    /// What the client sends now.
    fn sent_bytes(&mut self) -> Vec<u8> {
        let mut out = TransmitBuf::new();
        self.client.poll_transmit(self.now, &mut out, usize::MAX);
        let mut bytes = vec![0; out.len()];
        out.copy_to_slice(&mut bytes);
        bytes
    }

    /// What the client sends now, a line for each packet.
    fn sent(&mut self) -> Vec<String> {
        lines(&self.sent_bytes())
    }

    /// What the client tells now, a line for each event; messages are read when it is told that
    /// there are some.
    fn events(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(event) = self.client.poll_event() {
            let ClientEvent::Readable(reader) = event else {
                lines.push(told(&event));
                continue;
            };
            while let Some(ReceivedMessage { message, delivery }) = self.client.poll_message(reader)
            {
                let owed = if delivery.is_some() { " owed" } else { "" };
                let slot = if self.unmatched == Some(reader) {
                    String::new()
                } else {
                    reader.slot().to_string()
                };
                let (qos, topic) = (message.qos(), message.topic());
                lines.push(format!("message {qos} {topic} -> [{slot}]{owed}"));
            }
        }
        lines
    }

    /// The next message of any subscription, with its delivery.
    fn delivery(&mut self) -> (Message, Option<Delivery>) {
        while let Some(event) = self.client.poll_event() {
            assert!(matches!(event, ClientEvent::Readable(_)), "a message, not {event:?}");
        }
        let readers: Vec<SubscriptionKey> = self.client.session.subscriptions.keys().collect();
        let received = readers.into_iter().find_map(|reader| self.client.poll_message(reader));
        let ReceivedMessage { message, delivery } = received.expect("a message");
        (message, delivery)
    }

    /// What a reader takes now: the payloads.
    fn read(&mut self, reader: SubscriptionKey) -> Vec<String> {
        let messages = core::iter::from_fn(|| self.client.poll_message(reader));
        messages.map(|it| String::from_utf8(it.message.payload().to_vec()).unwrap()).collect()
    }

    fn answer(&mut self, delivery: Option<Delivery>, reason: PubAckReason) {
        self.client.acknowledge(self.now, delivery.unwrap(), reason);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.client.handle_timeout(self.now);
    }

    /// Publishes a message with the payload `payload`.
    fn publish(&mut self, topic: &str, qos: QoS) -> Result<Option<PublishId>, PublishError> {
        let mut publication = message(topic, "payload");
        publication.qos = qos;
        self.client.publish(self.now, publication).map_err(|unsent| unsent.error)
    }

    fn subscribe(&mut self, filters: &[&str]) -> SubscriptionKey {
        let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..Default::default() };
        let filters: Vec<_> =
            filters.iter().map(|filter| (TopicFilter::new(filter).unwrap(), options)).collect();
        self.client.subscribe(&filters, Properties::EMPTY, BufferOptions::new()).unwrap()
    }

    fn suback(&mut self, number: u16, reasons: &[SubAckReason]) {
        self.receive(SubAck::new(id(number), Properties::EMPTY, reasons).unwrap());
    }

    fn unsuback(&mut self, number: u16, reasons: &[UnsubAckReason]) {
        self.receive(UnsubAck::new(id(number), Properties::EMPTY, reasons).unwrap());
    }

    /// A message of the server with this payload.
    fn deliver_text(&mut self, topic: &str, qos: PublishQos, payload: &str) {
        self.receive(Publish {
            qos,
            retain: false,
            topic: TopicName::new(topic).ok(),
            properties: Properties::EMPTY,
            payload: payload.as_bytes(),
        });
    }

    /// A message of the server.
    fn deliver(&mut self, topic: &str, qos: PublishQos) {
        self.deliver_with(topic, qos, Properties::EMPTY);
    }

    fn deliver_with(&mut self, topic: &str, qos: PublishQos, properties: Properties<'_>) {
        self.receive(Publish {
            qos,
            retain: false,
            topic: TopicName::new(topic).ok(),
            properties,
            payload: b"payload",
        });
    }
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn qos1(number: u16) -> PublishQos {
    PublishQos::AtLeastOnce { id: id(number), dup: false }
}

fn qos2(number: u16) -> PublishQos {
    PublishQos::ExactlyOnce { id: id(number), dup: false }
}

fn message<'a>(topic: &'a str, payload: &'static str) -> Publication<'a> {
    Publication::new(TopicName::new(topic).unwrap(), payload)
}

fn terms(set: impl FnOnce(&mut PropertyBuf)) -> PropertyBuf {
    let mut terms = PropertyBuf::new();
    set(&mut terms);
    terms
}

/// A session that outlives its connections.
fn resuming() -> ClientConfig {
    ClientConfig::new()
        .client_id("c")
        .session(SessionPolicy::resume(Duration::from_secs(3600)))
        .keep_alive(Duration::ZERO)
}

fn puback(number: u16, reason: PubAckReason) -> Packet<'static> {
    PubAck { packet_id: id(number), reason, properties: Properties::EMPTY }.into()
}

fn pubrec(number: u16, reason: PubAckReason) -> Packet<'static> {
    PubRec { packet_id: id(number), reason, properties: Properties::EMPTY }.into()
}

fn pubrel(number: u16) -> Packet<'static> {
    let reason = PubRelReason::Success;
    PubRel { packet_id: id(number), reason, properties: Properties::EMPTY }.into()
}

fn pubcomp(number: u16) -> Packet<'static> {
    let reason = PubRelReason::Success;
    PubComp { packet_id: id(number), reason, properties: Properties::EMPTY }.into()
}

/// Decodes what was sent, strictly, into a line for each packet.
fn lines(mut bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while !bytes.is_empty() {
        match decode(bytes, &Limits::new()).unwrap() {
            Decoded::Packet(packet, len) => {
                lines.push(line(&packet));
                bytes = &bytes[len..];
            }
            Decoded::NeedMore(need) => panic!("the end of a packet is missing: {need:?}"),
        }
    }
    lines
}

fn line(packet: &Packet<'_>) -> String {
    let name = packet.packet_type();
    let said = |properties: &Properties<'_>| {
        if properties.is_empty() { String::new() } else { format!(" {properties:?}") }
    };
    match packet {
        Packet::Connect(connect) => {
            let clean = if connect.clean_start() { "clean" } else { "resume" };
            let client_id = connect.client_id();
            let keep_alive = connect.keep_alive();
            let will = connect.will().map_or_else(String::new, |will| format!(" {will:?}"));
            let user_name =
                connect.user_name().map_or_else(String::new, |name| format!(" user {name:?}"));
            let password =
                connect.password().map_or_else(String::new, |word| format!(" password {word:?}"));
            let properties = said(&connect.properties());
            format!(
                "{name} {client_id:?} {clean} {keep_alive}{user_name}{password}{will}{properties}"
            )
        }
        Packet::Publish(publish) => {
            let qos = match publish.qos {
                PublishQos::AtMostOnce => "0".to_owned(),
                PublishQos::AtLeastOnce { id, dup } => {
                    format!("1 id {}{}", id.get(), if dup { " DUP" } else { "" })
                }
                PublishQos::ExactlyOnce { id, dup } => {
                    format!("2 id {}{}", id.get(), if dup { " DUP" } else { "" })
                }
            };
            let retain = if publish.retain { " RETAIN" } else { "" };
            let topic = publish.topic.map_or("-", |topic| topic.as_str());
            format!("{name} QoS {qos}{retain} {topic}{}", said(&publish.properties))
        }
        Packet::PubAck(PubAck { packet_id, reason, properties })
        | Packet::PubRec(PubRec { packet_id, reason, properties }) => {
            format!("{name} {} {reason}{}", packet_id.get(), said(properties))
        }
        Packet::PubRel(PubRel { packet_id, reason, properties })
        | Packet::PubComp(PubComp { packet_id, reason, properties }) => {
            format!("{name} {} {reason}{}", packet_id.get(), said(properties))
        }
        Packet::Subscribe(subscribe) => {
            let filters: Vec<String> = subscribe
                .filters()
                .map(|(filter, options)| format!("{filter}:{:02x}", u8::from(options)))
                .collect();
            let number = subscribe.packet_id.get();
            format!("{name} {number} {}{}", filters.join(" "), said(&subscribe.properties))
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: Vec<&str> = unsubscribe.filters().map(|filter| filter.as_str()).collect();
            let said = said(&unsubscribe.properties);
            format!("{name} {} {}{said}", unsubscribe.packet_id.get(), filters.join(" "))
        }
        Packet::Disconnect(disconnect) => {
            let code = u8::from(disconnect.reason);
            format!("{name} 0x{code:02X}{}", said(&disconnect.properties))
        }
        Packet::PingReq | Packet::PingResp => name.to_string(),
        Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::Auth(_) => {
            format!("{packet:?}")
        }
    }
}

/// An event in one line.
fn told(event: &ClientEvent) -> String {
    match event {
        ClientEvent::Connected(terms) => {
            format!("connected {:?} session present {}", terms.client_id, terms.session_present)
        }
        ClientEvent::Readable(reader) => format!("readable [{}]", reader.slot()),
        ClientEvent::BufferFull { subscription, overflow } => {
            format!("buffer full [{}] {overflow:?}", subscription.slot())
        }
        ClientEvent::Responded { request, outcome } => {
            let number = format!("{request:?}").replace(|c: char| !c.is_ascii_digit(), "");
            if let RequestOutcome::Response(message) = outcome {
                return format!(
                    "responded {number} {}",
                    String::from_utf8_lossy(message.payload())
                );
            }
            format!("responded {number} {outcome:?}")
        }
        ClientEvent::Published { id, outcome } => {
            let outcome = match outcome {
                PublishOutcome::Acknowledged(ack) => {
                    let again = if ack.republished { " (republished)" } else { "" };
                    format!("acknowledged: {}{again}", ack.reason)
                }
                PublishOutcome::Refused(ack) => format!("refused: {}", ack.reason),
                PublishOutcome::Dropped(message) => {
                    format!("dropped: {} {}", message.qos, message.topic)
                }
                PublishOutcome::Expired
                | PublishOutcome::NotAllowed(_)
                | PublishOutcome::SessionLost => format!("{outcome:?}"),
            };
            format!("published {} {outcome}", id.slot())
        }
        ClientEvent::Subscribed { subscription, results, renewed, .. } => {
            let renewed = if *renewed { " again" } else { "" };
            format!("subscribed [{}]{renewed} {results:?}", subscription.slot())
        }
        ClientEvent::SubscribeFailed { subscription, error } => {
            format!("subscribe failed [{}] {error:?}", subscription.slot())
        }
        ClientEvent::Unsubscribed { subscription, results, .. } => {
            format!("unsubscribed [{}] {results:?}", subscription.slot())
        }
        ClientEvent::Challenged { data, .. } => format!("challenged {:?}", data.as_bytes()),
        ClientEvent::Authenticated { data, .. } => format!("authenticated {:?}", data.as_bytes()),
        ClientEvent::Closed(cause) => format!("closed: {cause}"),
        ClientEvent::Dial(attempt) => format!("dial {} {}", attempt.number, attempt.target),
        ClientEvent::Waiting { until, cause } => {
            format!("waiting until {}: {cause}", until.as_nanos() / 1_000_000)
        }
        ClientEvent::Ended { reason, cause } => format!("ended {reason:?}: {cause}"),
    }
}
