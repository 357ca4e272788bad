//! Watches one connection of a broker and holds the broker to what any client may rely on.
//!
//! What is checked here is checked in every test, whatever it is about:
//!
//! - CONNACK comes first, but for AUTH, and once, and nothing comes after DISCONNECT or after a
//!   refusal;
//! - the authentication method is the client's own, and none where it named none;
//! - no packet is larger than the client's Maximum Packet Size;
//! - no more QoS 1 and QoS 2 messages are under way than the client's Receive Maximum, and no
//!   packet identifier is used twice at once;
//! - DUP is set only on what a resumed session sends again;
//! - topic aliases are within the client's maximum and known;
//! - a client that wants no problem information gets none;
//! - every acknowledgement answers something that the client sent, with as many reasons.

use std::collections::BTreeMap;

use mqtt_codec::{
    ConnAck, Connect, Decoder, Limits, Packet, PacketId, Properties, PropertyId, Publish,
    PublishQos,
};

/// What the client of a connection may rely on, and what it has sent.
#[derive(Debug)]
pub(crate) struct Referee {
    /// The client's own bytes; `None` once they are no packets any more.
    sent: Option<Decoder>,
    terms: Terms,
    stage: Stage,
    session_present: bool,
    /// The broker's exchanges, by packet identifier.
    exchanges: BTreeMap<u16, Exchange>,
    /// The topics of the broker's aliases.
    aliases: BTreeMap<u16, String>,
    /// The client's requests by packet identifier, with the number of their filters.
    subscribes: BTreeMap<u16, usize>,
    unsubscribes: BTreeMap<u16, usize>,
    /// The client's exchanges: how many answers of each kind are owed to an identifier.
    pubacks: BTreeMap<u16, usize>,
    pubrecs: BTreeMap<u16, usize>,
    pubcomps: BTreeMap<u16, usize>,
    pings: usize,
    /// The same for what a PUBREC asks for.
    pubrels: BTreeMap<u16, usize>,
}

/// What the CONNECT asked for.
#[derive(Clone, Debug)]
struct Terms {
    packet_size: usize,
    receive_maximum: usize,
    alias_maximum: u16,
    problem_information: bool,
    response_information: bool,
    authentication_method: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The CONNACK has not come.
    Connecting,
    Open,
    /// A refusal or a DISCONNECT has come.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exchange {
    /// A PUBLISH waits for PUBACK or PUBREC.
    Published,
    /// A PUBREL was sent; the PUBLISH came on this connection, so that it still counts.
    Released,
    /// A PUBREL of an earlier connection was sent again.
    ReleasedAgain,
}

impl Referee {
    pub(crate) fn new() -> Self {
        Self {
            sent: Some(Decoder::new(Limits::new())),
            terms: Terms {
                packet_size: usize::MAX,
                receive_maximum: usize::from(u16::MAX),
                alias_maximum: 0,
                problem_information: true,
                response_information: false,
                authentication_method: None,
            },
            stage: Stage::Connecting,
            session_present: false,
            exchanges: BTreeMap::new(),
            aliases: BTreeMap::new(),
            subscribes: BTreeMap::new(),
            unsubscribes: BTreeMap::new(),
            pubacks: BTreeMap::new(),
            pubrecs: BTreeMap::new(),
            pubcomps: BTreeMap::new(),
            pings: 0,
            pubrels: BTreeMap::new(),
        }
    }

    /// Whether the CONNACK said that the session was there.
    pub(crate) fn session_present(&self) -> bool {
        self.session_present
    }

    /// The broker may have read these bytes of the client.
    pub(crate) fn note_sent(&mut self, bytes: &[u8]) {
        let Some(mut decoder) = self.sent.take() else { return };
        decoder.feed(bytes);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => match frame.packet() {
                    Ok(packet) => self.note_packet(&packet),
                    Err(_) => return,
                },
                Ok(None) => break,
                Err(_) => return,
            }
        }
        self.sent = Some(decoder);
    }

    fn note_packet(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Connect(connect) if self.stage == Stage::Connecting => {
                self.note_connect(connect);
            }
            Packet::Publish(publish) => match publish.qos {
                PublishQos::AtMostOnce => {}
                PublishQos::AtLeastOnce { id, .. } => owe(&mut self.pubacks, id, 1),
                PublishQos::ExactlyOnce { id, .. } => owe(&mut self.pubrecs, id, 1),
            },
            Packet::PubRel(ack) => owe(&mut self.pubcomps, ack.packet_id, 1),
            Packet::PubAck(ack) => self.finish(ack.packet_id),
            Packet::PubComp(ack) => self.finish(ack.packet_id),
            Packet::PubRec(ack) => {
                owe(&mut self.pubrels, ack.packet_id, 1);
                if ack.reason.is_error()
                    && self.exchanges.get(&ack.packet_id.get()) == Some(&Exchange::Published)
                {
                    self.finish(ack.packet_id);
                }
            }
            Packet::Subscribe(packet) => {
                self.subscribes.insert(packet.packet_id.get(), packet.len());
            }
            Packet::Unsubscribe(packet) => {
                self.unsubscribes.insert(packet.packet_id.get(), packet.len());
            }
            Packet::PingReq => self.pings += 1,
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp
            | Packet::Disconnect(_)
            | Packet::Auth(_) => {}
        }
    }

    fn note_connect(&mut self, connect: &Connect<'_>) {
        let properties = connect.properties();
        self.terms = Terms {
            packet_size: properties
                .maximum_packet_size()
                .map_or(usize::MAX, |size| size.get() as usize),
            receive_maximum: properties
                .receive_maximum()
                .map_or(0xFFFF, |maximum| usize::from(maximum.get())),
            alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            problem_information: properties.request_problem_information() != Some(false),
            response_information: properties.request_response_information() == Some(true),
            authentication_method: properties.authentication_method().map(str::to_owned),
        };
    }

    fn finish(&mut self, id: PacketId) {
        self.exchanges.remove(&id.get());
    }

    /// Checks a packet of the broker, of `size` bytes.
    pub(crate) fn check(&mut self, packet: &Packet<'_>, size: usize) {
        let limit = self.terms.packet_size;
        // [MQTT-3.1.2-24]
        assert!(size <= limit, "{size} bytes for a client that takes {limit}");
        match (self.stage, packet) {
            (Stage::Connecting, Packet::ConnAck(connack)) => self.check_connack(connack),
            (Stage::Connecting | Stage::Open, Packet::Auth(auth)) => {
                self.check_method(auth.properties.authentication_method());
                self.check_problem_information(&auth.properties);
            }
            (Stage::Connecting, _) => panic!("a packet before CONNACK"),
            (Stage::Over, _) => panic!("a packet after the last one"),
            (Stage::Open, packet) => self.check_open(packet),
        }
    }

    fn check_connack(&mut self, connack: &ConnAck<'_>) {
        self.session_present = connack.session_present;
        assert!(!(connack.session_present && connack.reason.is_error()));
        let information = connack.properties.response_information();
        assert!(information.is_none() || self.terms.response_information, "nobody asked for it");
        if !connack.reason.is_error() {
            self.check_method(connack.properties.authentication_method());
        }
        self.stage = if connack.reason.is_error() { Stage::Over } else { Stage::Open };
    }

    fn check_method(&self, method: Option<&str>) {
        assert_eq!(method, self.terms.authentication_method.as_deref(), "another method");
    }

    fn check_open(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Publish(publish) => self.check_publish(publish),
            Packet::PubAck(ack) => {
                pay(&mut self.pubacks, ack.packet_id, "PUBACK");
                self.check_problem_information(&ack.properties);
            }
            Packet::PubRec(ack) => {
                pay(&mut self.pubrecs, ack.packet_id, "PUBREC");
                self.check_problem_information(&ack.properties);
            }
            Packet::PubComp(ack) => {
                pay(&mut self.pubcomps, ack.packet_id, "PUBCOMP");
                self.check_problem_information(&ack.properties);
            }
            Packet::PubRel(ack) => {
                let id = ack.packet_id.get();
                let owed = self.pubrels.get_mut(&id).filter(|owed| **owed > 0);
                match (owed, self.exchanges.get_mut(&id)) {
                    (Some(owed), exchange) => {
                        *owed -= 1;
                        if let Some(exchange) = exchange {
                            *exchange = Exchange::Released;
                        }
                    }
                    (None, exchange) => {
                        let is_again = self.session_present && exchange.is_none();
                        assert!(is_again, "PUBREL {id} that nobody asked for");
                        self.exchanges.insert(id, Exchange::ReleasedAgain);
                    }
                }
                self.check_problem_information(&ack.properties);
            }
            Packet::SubAck(ack) => {
                let filters = self.subscribes.remove(&ack.packet_id.get());
                assert_eq!(filters, Some(ack.reasons().count()), "a reason for each filter");
                self.check_problem_information(&ack.properties);
            }
            Packet::UnsubAck(ack) => {
                let filters = self.unsubscribes.remove(&ack.packet_id.get());
                assert_eq!(filters, Some(ack.reasons().count()), "a reason for each filter");
                self.check_problem_information(&ack.properties);
            }
            Packet::PingResp => {
                self.pings = self.pings.checked_sub(1).expect("PINGRESP without its PINGREQ");
            }
            Packet::Disconnect(disconnect) => {
                assert!(!disconnect.properties.contains(PropertyId::SessionExpiryInterval));
                self.stage = Stage::Over;
            }
            other @ (Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Auth(_)) => panic!("a broker does not send {other:?} here"),
        }
    }

    fn check_publish(&mut self, publish: &Publish<'_>) {
        let alias = publish.properties.topic_alias().map(|alias| alias.get());
        if let Some(alias) = alias {
            let maximum = self.terms.alias_maximum;
            assert!(alias <= maximum, "alias {alias} for a client that takes {maximum}");
        }
        match (&publish.topic, alias) {
            (Some(topic), Some(alias)) => {
                self.aliases.insert(alias, topic.as_str().to_owned());
            }
            (None, Some(alias)) => assert!(self.aliases.contains_key(&alias), "unknown alias"),
            (Some(_), None) => {}
            (None, None) => unreachable!("the decoder refuses it"),
        }
        let Some(id) = publish.qos.packet_id() else { return };
        let id = id.get();
        assert!(!self.exchanges.contains_key(&id), "packet identifier {id} is in use");
        assert!(!publish.qos.dup() || self.session_present, "DUP on what was never sent before");
        self.exchanges.insert(id, Exchange::Published);
        let under_way =
            self.exchanges.values().filter(|&&state| state != Exchange::ReleasedAgain).count();
        let maximum = self.terms.receive_maximum;
        assert!(under_way <= maximum, "{under_way} under way to a client that takes {maximum}");
    }

    fn check_problem_information(&self, properties: &Properties<'_>) {
        let is_there = properties.contains(PropertyId::ReasonString)
            || properties.contains(PropertyId::UserProperty);
        assert!(!is_there || self.terms.problem_information, "problem information unasked for");
    }
}

fn owe(answers: &mut BTreeMap<u16, usize>, id: PacketId, count: usize) {
    *answers.entry(id.get()).or_default() += count;
}

fn pay(answers: &mut BTreeMap<u16, usize>, id: PacketId, name: &str) {
    let owed = answers.get_mut(&id.get()).filter(|owed| **owed > 0);
    *owed.unwrap_or_else(|| panic!("{name} {} answers nothing", id.get())) -= 1;
}
