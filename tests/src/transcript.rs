//! Packets as text, one line each, for assertions and snapshots.
//!
//! A line has what matters and leaves out what is as always: a reason of 0x00 on acknowledgements,
//! flags that are not set, properties that are not there.

use std::fmt::{self, Write as _};

use mqtt_codec::{
    Connect, Packet, PacketId, Properties, PropertyId, Publish, ReasonCode, SubscriptionOptions,
    Will,
};
use mqtt_session::Message;

/// Everything that was said on the connections of a test, in order.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    text: String,
}

impl Transcript {
    /// Adds a line.
    pub fn note(&mut self, line: impl fmt::Display) {
        writeln!(self.text, "{line}").unwrap();
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.trim_end())
    }
}

/// A packet as a line.
pub fn line(packet: &Packet<'_>) -> String {
    let mut out = String::new();
    match packet {
        Packet::Connect(packet) => connect(&mut out, packet),
        Packet::ConnAck(packet) => {
            write!(out, "CONNACK {}", reason(packet.reason)).unwrap();
            flag(&mut out, packet.session_present, "session present");
            properties(&mut out, &packet.properties);
        }
        Packet::Publish(packet) => publish(&mut out, packet),
        Packet::PubAck(p) => ack(&mut out, "PUBACK", p.packet_id, p.reason, &p.properties),
        Packet::PubRec(p) => ack(&mut out, "PUBREC", p.packet_id, p.reason, &p.properties),
        Packet::PubRel(p) => ack(&mut out, "PUBREL", p.packet_id, p.reason, &p.properties),
        Packet::PubComp(p) => ack(&mut out, "PUBCOMP", p.packet_id, p.reason, &p.properties),
        Packet::Subscribe(packet) => {
            write!(out, "SUBSCRIBE id={}", packet.packet_id.get()).unwrap();
            for (filter, options) in packet.filters() {
                write!(out, " {:?}", filter.as_str()).unwrap();
                subscription(&mut out, options);
            }
            properties(&mut out, &packet.properties);
        }
        Packet::SubAck(packet) => {
            let reasons = packet.reasons().map(u8::from);
            answer(&mut out, "SUBACK", packet.packet_id, reasons, &packet.properties);
        }
        Packet::Unsubscribe(packet) => {
            write!(out, "UNSUBSCRIBE id={}", packet.packet_id.get()).unwrap();
            for filter in packet.filters() {
                write!(out, " {:?}", filter.as_str()).unwrap();
            }
            properties(&mut out, &packet.properties);
        }
        Packet::UnsubAck(packet) => {
            let reasons = packet.reasons().map(u8::from);
            answer(&mut out, "UNSUBACK", packet.packet_id, reasons, &packet.properties);
        }
        Packet::PingReq => out.push_str("PINGREQ"),
        Packet::PingResp => out.push_str("PINGRESP"),
        Packet::Disconnect(packet) => {
            let name = packet.reason.name();
            write!(out, "DISCONNECT {:02X} {name}", u8::from(packet.reason)).unwrap();
            properties(&mut out, &packet.properties);
        }
        Packet::Auth(packet) => {
            write!(out, "AUTH {}", reason(packet.reason)).unwrap();
            properties(&mut out, &packet.properties);
        }
    }
    out
}

/// A message that a client was given as a line.
pub fn message(message: &Message) -> String {
    let mut out = format!("message q{}", message.qos() as u8);
    flag(&mut out, message.dup(), "dup");
    flag(&mut out, message.retain(), "retain");
    write!(out, " {:?} {}", message.topic(), payload(message.payload())).unwrap();
    properties(&mut out, &message.properties());
    out
}

/// Bytes that are no packet, as hexadecimal numbers; the middle of many is left out.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::from("bytes");
    for byte in bytes.iter().take(16) {
        write!(out, " {byte:02x}").unwrap();
    }
    if bytes.len() > 16 {
        write!(out, " ... ({} in all)", bytes.len()).unwrap();
    }
    out
}

fn connect(out: &mut String, packet: &Connect<'_>) {
    write!(out, "CONNECT {:?}", packet.client_id()).unwrap();
    flag(out, packet.clean_start(), "clean");
    if packet.keep_alive() > 0 {
        write!(out, " keep_alive={}", packet.keep_alive()).unwrap();
    }
    if let Some(name) = packet.user_name() {
        write!(out, " user={name:?}").unwrap();
    }
    if let Some(password) = packet.password() {
        write!(out, " password={}", payload(password)).unwrap();
    }
    properties(out, &packet.properties());
    if let Some(Will { qos, retain, properties: with, topic, payload: says }) = packet.will() {
        write!(out, " will q{}", qos as u8).unwrap();
        flag(out, retain, "retain");
        write!(out, " {:?} {}", topic.as_str(), payload(says)).unwrap();
        properties(out, &with);
    }
}

fn publish(out: &mut String, packet: &Publish<'_>) {
    write!(out, "PUBLISH q{}", packet.qos.qos() as u8).unwrap();
    if let Some(id) = packet.qos.packet_id() {
        write!(out, " id={}", id.get()).unwrap();
    }
    flag(out, packet.qos.dup(), "dup");
    flag(out, packet.retain, "retain");
    let topic = packet.topic.as_ref().map_or("", |topic| topic.as_str());
    write!(out, " {topic:?} {}", payload(packet.payload)).unwrap();
    properties(out, &packet.properties);
}

fn subscription(out: &mut String, options: SubscriptionOptions) {
    write!(out, " q{}", options.qos as u8).unwrap();
    flag(out, options.no_local, "no_local");
    flag(out, options.retain_as_published, "retain_as_published");
    let handling = options.retain_handling as u8;
    if handling > 0 {
        write!(out, " retain_handling={handling}").unwrap();
    }
}

fn ack(
    out: &mut String,
    name: &str,
    id: PacketId,
    why: impl Into<ReasonCode>,
    with: &Properties<'_>,
) {
    write!(out, "{name} id={}", id.get()).unwrap();
    let why = why.into();
    if why != ReasonCode::Success {
        write!(out, " {}", reason(why)).unwrap();
    }
    properties(out, with);
}

fn answer(
    out: &mut String,
    name: &str,
    id: PacketId,
    reasons: impl Iterator<Item = u8>,
    with: &Properties<'_>,
) {
    let reasons: Vec<String> = reasons.map(|reason| format!("{reason:02X}")).collect();
    write!(out, "{name} id={} [{}]", id.get(), reasons.join(" ")).unwrap();
    properties(out, with);
}

fn flag(out: &mut String, set: bool, name: &str) {
    if set {
        write!(out, " {name}").unwrap();
    }
}

fn reason(reason: impl Into<ReasonCode>) -> String {
    let reason = reason.into();
    format!("{:02X} {}", u8::from(reason), reason.name())
}

/// Short text as it is, other payloads by their length.
fn payload(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) if text.len() <= 32 && !text.contains(char::is_control) => format!("{text:?}"),
        _ => format!("{} bytes", bytes.len()),
    }
}

fn properties(out: &mut String, properties: &Properties<'_>) {
    let mut user = properties.user_properties();
    let mut subscriptions = properties.subscription_ids();
    let all: Vec<String> = properties
        .ids()
        .map(|id| match id {
            PropertyId::UserProperty => {
                let (name, value) = user.next().unwrap();
                format!("{name:?}={value:?}")
            }
            PropertyId::SubscriptionIdentifier => {
                format!("subscription={}", subscriptions.next().unwrap().get())
            }
            id => property(properties, id),
        })
        .collect();
    if !all.is_empty() {
        write!(out, " {{{}}}", all.join(", ")).unwrap();
    }
}

/// A property that stands once, as `name=value`.
fn property(p: &Properties<'_>, id: PropertyId) -> String {
    use PropertyId as Id;
    let text = |value: Option<&str>| format!("{:?}", value.unwrap());
    let bytes = |value: Option<&[u8]>| payload(value.unwrap());
    let (name, value) = match id {
        Id::PayloadFormatIndicator => {
            ("payload_format", (p.payload_format_indicator().unwrap() as u8).to_string())
        }
        Id::MessageExpiryInterval => ("expiry", p.message_expiry_interval().unwrap().to_string()),
        Id::ContentType => ("content_type", text(p.content_type())),
        Id::ResponseTopic => ("response_topic", text(p.response_topic().map(|t| t.as_str()))),
        Id::CorrelationData => ("correlation_data", bytes(p.correlation_data())),
        Id::SessionExpiryInterval => {
            ("session_expiry", p.session_expiry_interval().unwrap().to_string())
        }
        Id::AssignedClientIdentifier => ("assigned_client_id", text(p.assigned_client_id())),
        Id::ServerKeepAlive => ("server_keep_alive", p.server_keep_alive().unwrap().to_string()),
        Id::AuthenticationMethod => ("authentication_method", text(p.authentication_method())),
        Id::AuthenticationData => ("authentication_data", bytes(p.authentication_data())),
        Id::RequestProblemInformation => {
            ("request_problem", p.request_problem_information().unwrap().to_string())
        }
        Id::WillDelayInterval => ("will_delay", p.will_delay_interval().unwrap().to_string()),
        Id::RequestResponseInformation => {
            ("request_response", p.request_response_information().unwrap().to_string())
        }
        Id::ResponseInformation => ("response_information", text(p.response_information())),
        Id::ServerReference => ("server_reference", text(p.server_reference())),
        Id::ReasonString => ("reason_string", text(p.reason_string())),
        Id::ReceiveMaximum => ("receive_maximum", p.receive_maximum().unwrap().to_string()),
        Id::TopicAliasMaximum => ("alias_maximum", p.topic_alias_maximum().unwrap().to_string()),
        Id::TopicAlias => ("alias", p.topic_alias().unwrap().to_string()),
        Id::MaximumQos => ("maximum_qos", (p.maximum_qos().unwrap() as u8).to_string()),
        Id::RetainAvailable => ("retain", p.retain_available().unwrap().to_string()),
        Id::MaximumPacketSize => {
            ("maximum_packet_size", p.maximum_packet_size().unwrap().to_string())
        }
        Id::WildcardSubscriptionAvailable => {
            ("wildcards", p.wildcard_subscription_available().unwrap().to_string())
        }
        Id::SubscriptionIdentifierAvailable => {
            ("subscription_ids", p.subscription_id_available().unwrap().to_string())
        }
        Id::SharedSubscriptionAvailable => {
            ("shared", p.shared_subscription_available().unwrap().to_string())
        }
        Id::SubscriptionIdentifier | Id::UserProperty => unreachable!("{id} may repeat"),
    };
    format!("{name}={value}")
}
