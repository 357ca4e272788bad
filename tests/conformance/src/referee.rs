//! Watches every packet of a broker for the statements that any packet can break, whatever the
//! test asks.
//!
//! Seen and not broken counts as observed: such a statement needs no test of its own, only traffic.

use std::collections::BTreeMap;

use mqtt_codec::{
    ConnAck, Connect, DecodeError, DecodeRule, Packet, PacketType, Properties, PropertyId, Publish,
    TopicError,
};

use crate::journal::Journal;

/// What is known of one connection to a broker.
#[derive(Debug)]
pub(crate) struct Referee {
    journal: Journal,
    asked: Asked,
    is_accepted: bool,
    has_connack: bool,
    is_resumed: bool,
    has_disconnect: bool,
    /// What we sent and the broker has yet to answer, by type of the answer.
    awaited: Vec<(PacketType, u16, usize)>,
    /// The broker's QoS 1 and QoS 2 publications under way, with whether PUBREC was sent.
    under_way: BTreeMap<u16, u8>,
    aliases: Vec<u16>,
    /// We sent something that is no packet: what answers it can't be told.
    is_wild: bool,
}

/// What our CONNECT asked for.
#[derive(Debug)]
struct Asked {
    packet_size: u32,
    receive_maximum: u16,
    alias_maximum: u16,
    problem_information: bool,
    response_information: bool,
    method: Option<String>,
}

impl Referee {
    pub(crate) fn new(journal: Journal) -> Self {
        let asked = Asked {
            packet_size: u32::MAX,
            receive_maximum: u16::MAX,
            alias_maximum: 0,
            problem_information: true,
            response_information: false,
            method: None,
        };
        Self {
            journal,
            asked,
            is_accepted: false,
            has_connack: false,
            is_resumed: false,
            has_disconnect: false,
            awaited: Vec::new(),
            under_way: BTreeMap::new(),
            aliases: Vec::new(),
            is_wild: false,
        }
    }

    /// Bytes of ours that are no packet.
    pub(crate) fn sent_wild(&mut self) {
        self.is_wild = true;
    }

    /// A packet of ours.
    pub(crate) fn sent(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Connect(connect) => self.asked = Asked::of(connect),
            Packet::Publish(publish) => {
                let Some(id) = publish.qos.packet_id() else { return };
                let answer = if publish.qos.qos() as u8 == 1 {
                    PacketType::PubAck
                } else {
                    PacketType::PubRec
                };
                self.awaited.push((answer, id.get(), 0));
            }
            Packet::PubRel(pubrel) => {
                self.awaited.push((PacketType::PubComp, pubrel.packet_id.get(), 0));
            }
            Packet::PubAck(puback) => _ = self.under_way.remove(&puback.packet_id.get()),
            Packet::PubRec(pubrec) if pubrec.reason.is_error() => {
                self.under_way.remove(&pubrec.packet_id.get());
            }
            Packet::PubComp(pubcomp) => _ = self.under_way.remove(&pubcomp.packet_id.get()),
            Packet::Subscribe(subscribe) => {
                let (id, count) = (subscribe.packet_id.get(), subscribe.len());
                self.awaited.push((PacketType::SubAck, id, count));
            }
            Packet::Unsubscribe(unsubscribe) => {
                let (id, count) = (unsubscribe.packet_id.get(), unsubscribe.filters().count());
                self.awaited.push((PacketType::UnsubAck, id, count));
            }
            _ => {}
        }
    }

    /// Bytes of the broker that are no packet.
    pub(crate) fn malformed(&self, error: &DecodeError) -> String {
        let how = error.to_string();
        for id in broken_by(error) {
            self.journal.breach(id, how.clone());
        }
        how
    }

    /// A packet of the broker, of `size` bytes.
    pub(crate) fn received(&mut self, packet: &Packet<'_>, size: usize) {
        self.order(packet);
        self.size(packet, size);
        self.reasons(packet);
        match packet {
            Packet::ConnAck(connack) => self.connack(connack),
            Packet::Publish(publish) => self.publish(publish),
            Packet::PubAck(p) => self.answer(PacketType::PubAck, p.packet_id.get(), 0),
            Packet::PubRec(p) => self.answer(PacketType::PubRec, p.packet_id.get(), 0),
            Packet::PubComp(p) => self.answer(PacketType::PubComp, p.packet_id.get(), 0),
            Packet::SubAck(p) => {
                self.answer(PacketType::SubAck, p.packet_id.get(), p.reasons().count());
            }
            Packet::UnsubAck(p) => {
                self.answer(PacketType::UnsubAck, p.packet_id.get(), p.reasons().count());
            }
            Packet::Disconnect(disconnect) => {
                self.has_disconnect = true;
                let expiry = disconnect.properties.contains(PropertyId::SessionExpiryInterval);
                self.judge(&["[MQTT-3.14.2-2]"], !expiry, "a Session Expiry Interval");
                self.judge(&["[MQTT-3.14.2-1]"], true, "");
            }
            Packet::Auth(auth) => {
                let method = auth.properties.authentication_method();
                let same = method == self.asked.method.as_deref();
                self.judge(&["[MQTT-4.12.0-5]", "[MQTT-3.15.2-1]"], same, "another method in AUTH");
            }
            _ => {}
        }
    }

    /// What may come before and after what.
    fn order(&self, packet: &Packet<'_>) {
        let kind = packet.packet_type();
        let early = !matches!(packet, Packet::ConnAck(_) | Packet::Auth(_));
        if early {
            let how = format!("{kind} before CONNACK 0x00");
            self.judge(&["[MQTT-3.2.0-1]"], self.is_accepted, &how);
        }
        if matches!(packet, Packet::Disconnect(_)) {
            let how = "DISCONNECT before CONNACK 0x00";
            self.judge(&["[MQTT-3.14.0-1]"], self.is_accepted, how);
        }
        if self.asked.method.is_none() {
            let none = !matches!(packet, Packet::Auth(_));
            self.judge(&["[MQTT-4.12.0-6]"], none, "AUTH, and CONNECT named no method");
        }
        let how = format!("{kind} after DISCONNECT");
        self.judge(&["[MQTT-3.14.4-1]"], !self.has_disconnect, &how);
    }

    fn size(&self, packet: &Packet<'_>, size: usize) {
        if self.asked.packet_size == u32::MAX {
            return;
        }
        let fits = u32::try_from(size).is_ok_and(|size| size <= self.asked.packet_size);
        let kind = packet.packet_type();
        let how = format!("{kind} of {size} bytes, at most {} may come", self.asked.packet_size);
        self.judge(&["[MQTT-3.1.2-24]"], fits, &how);
        let (ids, properties): (&[&'static str; 2], _) = match packet {
            Packet::ConnAck(p) => (&["[MQTT-3.2.2-19]", "[MQTT-3.2.2-20]"], p.properties),
            Packet::PubAck(p) => (&["[MQTT-3.4.2-2]", "[MQTT-3.4.2-3]"], p.properties),
            Packet::PubRec(p) => (&["[MQTT-3.5.2-2]", "[MQTT-3.5.2-3]"], p.properties),
            Packet::PubRel(p) => (&["[MQTT-3.6.2-2]", "[MQTT-3.6.2-3]"], p.properties),
            Packet::PubComp(p) => (&["[MQTT-3.7.2-2]", "[MQTT-3.7.2-3]"], p.properties),
            Packet::SubAck(p) => (&["[MQTT-3.9.2-1]", "[MQTT-3.9.2-2]"], p.properties),
            Packet::UnsubAck(p) => (&["[MQTT-3.11.2-1]", "[MQTT-3.11.2-2]"], p.properties),
            Packet::Disconnect(p) => (&["[MQTT-3.14.2-3]", "[MQTT-3.14.2-4]"], p.properties),
            Packet::Auth(p) => (&["[MQTT-3.15.2-2]", "[MQTT-3.15.2-3]"], p.properties),
            _ => return,
        };
        let [reason_string, user_properties] = ids;
        let has = |id| properties.contains(id);
        self.judge(&[reason_string], fits || !has(PropertyId::ReasonString), &how);
        self.judge(&[user_properties], fits || !has(PropertyId::UserProperty), &how);
    }

    /// Reason codes were judged by the decoder: what came is listed for its packet.
    fn reasons(&self, packet: &Packet<'_>) {
        let (id, properties): (&'static str, Properties<'_>) = match packet {
            Packet::PubAck(p) => ("[MQTT-3.4.2-1]", p.properties),
            Packet::PubRec(p) => ("[MQTT-3.5.2-1]", p.properties),
            Packet::PubRel(p) => ("[MQTT-3.6.2-1]", p.properties),
            Packet::PubComp(p) => ("[MQTT-3.7.2-1]", p.properties),
            Packet::SubAck(p) => ("[MQTT-3.9.3-2]", p.properties),
            Packet::UnsubAck(p) => ("[MQTT-3.11.3-2]", p.properties),
            _ => return,
        };
        self.judge(&[id, "[MQTT-2.1.3-1]", "[MQTT-1.5.5-1]"], true, "");
        if !self.asked.problem_information {
            let silent = !properties.contains(PropertyId::ReasonString)
                && !properties.contains(PropertyId::UserProperty);
            let how = format!("{} says why, and the client wants it not", packet.packet_type());
            self.judge(&["[MQTT-3.1.2-29]"], silent, &how);
        }
    }

    fn connack(&mut self, connack: &ConnAck<'_>) {
        self.judge(&["[MQTT-3.2.0-2]"], !self.has_connack, "a second CONNACK");
        self.has_connack = true;
        self.is_accepted = !connack.reason.is_error();
        self.is_resumed = connack.session_present;
        let method = connack.properties.authentication_method();
        match &self.asked.method {
            None => {
                let none = method.is_none();
                self.judge(&["[MQTT-4.12.0-6]"], none, "a method, and CONNECT named none");
            }
            Some(own) if self.is_accepted => {
                let same = method == Some(own);
                self.judge(&["[MQTT-4.12.0-5]"], same, "another method in CONNACK");
            }
            Some(_) => {}
        }
        if !self.asked.response_information {
            let none = !connack.properties.contains(PropertyId::ResponseInformation);
            self.judge(&["[MQTT-3.1.2-28]"], none, "Response Information that nobody asked for");
        }
        // The decoder has judged these.
        self.judge(&["[MQTT-3.2.2-1]", "[MQTT-3.2.2-8]", "[MQTT-1.5.5-1]"], true, "");
        if !self.is_accepted {
            self.judge(&["[MQTT-3.2.2-6]"], true, "");
        }
    }

    fn publish(&mut self, publish: &Publish<'_>) {
        // The decoder has judged these.
        let decoded = [
            "[MQTT-3.3.1-4]",
            "[MQTT-3.3.2-1]",
            "[MQTT-3.3.2-2]",
            "[MQTT-3.3.2-8]",
            "[MQTT-4.7.0-1]",
            "[MQTT-1.5.4-1]",
            "[MQTT-1.5.4-2]",
        ];
        self.judge(&decoded, true, "");
        match publish.qos.packet_id() {
            None => self.judge(&["[MQTT-3.3.1-2]", "[MQTT-4.3.1-1]"], true, ""),
            Some(id) => self.numbered(publish, id.get()),
        }
        self.alias(publish);
    }

    fn numbered(&mut self, publish: &Publish<'_>, id: u16) {
        let qos = publish.qos.qos() as u8;
        let (unused, first) = match qos {
            1 => ("[MQTT-4.3.2-1]", "[MQTT-4.3.2-2]"),
            _ => ("[MQTT-4.3.3-1]", "[MQTT-4.3.3-2]"),
        };
        if !self.is_resumed {
            // Nothing can be sent again in a session that began with this connection.
            let how = format!("packet identifier {id} is in use");
            let is_free = !self.under_way.contains_key(&id);
            self.judge(&["[MQTT-2.2.1-4]", unused], is_free, &how);
            self.judge(&[first], !publish.qos.dup(), "DUP 1 on a PUBLISH that was not sent before");
        }
        self.under_way.insert(id, qos);
        let maximum = usize::from(self.asked.receive_maximum);
        if self.under_way.len() >= maximum {
            let how = format!("{} unfinished, {maximum} may be", self.under_way.len());
            let keeps = self.under_way.len() <= maximum;
            let ids = ["[MQTT-3.3.4-9]", "[MQTT-4.9.0-1]", "[MQTT-4.9.0-2]"];
            self.judge(&ids, keeps, &how);
        }
    }

    fn alias(&mut self, publish: &Publish<'_>) {
        let alias = publish.properties.topic_alias().map(u16::from);
        let maximum = self.asked.alias_maximum;
        match alias {
            None if maximum == 0 => self.judge(&["[MQTT-3.1.2-27]"], true, ""),
            None => {}
            Some(alias) => {
                let how = format!("Topic Alias {alias}, at most {maximum} is allowed");
                if maximum == 0 {
                    self.judge(&["[MQTT-3.1.2-27]"], false, &how);
                }
                let ids = ["[MQTT-3.1.2-26]", "[MQTT-3.3.2-11]"];
                self.judge(&ids, alias <= maximum, &how);
                let known = publish.topic.is_some() || self.aliases.contains(&alias);
                let how = format!("Topic Alias {alias} was not set on this connection");
                self.judge(&["[MQTT-3.3.2-7]"], known, &how);
                self.aliases.push(alias);
            }
        }
    }

    /// An answer to a packet of ours.
    fn answer(&mut self, kind: PacketType, id: u16, count: usize) {
        if self.is_wild {
            return;
        }
        let at = self.awaited.iter().position(|(own, number, _)| *own == kind && *number == id);
        let how = format!("{kind} for {id}, which waits for none");
        let ids: &[&'static str] = match kind {
            PacketType::SubAck => &["[MQTT-2.2.1-6]", "[MQTT-3.8.4-2]"],
            PacketType::UnsubAck => &["[MQTT-2.2.1-6]", "[MQTT-3.10.4-5]"],
            PacketType::PubAck => &["[MQTT-2.2.1-5]", "[MQTT-4.3.2-4]"],
            PacketType::PubRec => &["[MQTT-2.2.1-5]", "[MQTT-4.3.3-8]"],
            _ => &["[MQTT-2.2.1-5]", "[MQTT-4.3.3-11]"],
        };
        self.judge(ids, at.is_some(), &how);
        let Some(at) = at else { return };
        let (_, _, filters) = self.awaited.remove(at);
        let ids: &[&'static str] = match kind {
            PacketType::SubAck => &["[MQTT-3.8.4-6]"],
            PacketType::UnsubAck => &["[MQTT-3.11.3-2]"],
            _ => return,
        };
        self.judge(ids, count == filters, &format!("{count} reason codes for {filters} filters"));
    }

    fn judge(&self, ids: &[&'static str], holds: bool, how: &str) {
        self.journal.observe(ids);
        if !holds {
            for id in ids {
                self.journal.breach(id, how);
            }
        }
    }
}

impl Asked {
    fn of(connect: &Connect<'_>) -> Self {
        let properties = connect.properties();
        Self {
            packet_size: properties.maximum_packet_size().map_or(u32::MAX, u32::from),
            receive_maximum: properties.receive_maximum().map_or(u16::MAX, u16::from),
            alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            problem_information: properties.request_problem_information().unwrap_or(true),
            response_information: properties.request_response_information().unwrap_or(false),
            method: properties.authentication_method().map(str::to_owned),
        }
    }
}

/// The statements that bytes break which the decoder refuses.
pub(crate) fn broken_by(error: &DecodeError) -> Vec<&'static str> {
    use DecodeRule as Rule;
    let kind = error.packet_type();
    let listed = match kind {
        Some(PacketType::ConnAck) => "[MQTT-3.2.2-8]",
        Some(PacketType::PubAck) => "[MQTT-3.4.2-1]",
        Some(PacketType::PubRec) => "[MQTT-3.5.2-1]",
        Some(PacketType::PubRel) => "[MQTT-3.6.2-1]",
        Some(PacketType::PubComp) => "[MQTT-3.7.2-1]",
        Some(PacketType::SubAck) => "[MQTT-3.9.3-2]",
        Some(PacketType::UnsubAck) => "[MQTT-3.11.3-2]",
        Some(PacketType::Auth) => "[MQTT-3.15.2-1]",
        _ => "[MQTT-3.14.2-1]",
    };
    match error.rule() {
        Rule::FixedHeaderFlags => match kind {
            Some(PacketType::PubRel) => vec!["[MQTT-2.1.3-1]", "[MQTT-3.6.1-1]"],
            Some(PacketType::Subscribe) => vec!["[MQTT-2.1.3-1]", "[MQTT-3.8.1-1]"],
            Some(PacketType::Unsubscribe) => vec!["[MQTT-2.1.3-1]", "[MQTT-3.10.1-1]"],
            Some(PacketType::Disconnect) => vec!["[MQTT-2.1.3-1]", "[MQTT-3.14.1-1]"],
            Some(PacketType::Auth) => vec!["[MQTT-2.1.3-1]", "[MQTT-3.15.1-1]"],
            _ => vec!["[MQTT-2.1.3-1]"],
        },
        Rule::PublishQos => vec!["[MQTT-3.3.1-4]"],
        Rule::DupWithQos0 => vec!["[MQTT-3.3.1-2]", "[MQTT-4.3.1-1]"],
        Rule::VariableByteIntegerTooLong | Rule::VariableByteIntegerNotMinimal => {
            vec!["[MQTT-1.5.5-1]"]
        }
        Rule::IllFormedUtf8 => match kind {
            Some(PacketType::Connect) => vec!["[MQTT-1.5.4-1]", "[MQTT-3.1.3-4]"],
            Some(PacketType::Subscribe) => vec!["[MQTT-1.5.4-1]", "[MQTT-3.8.3-1]"],
            Some(PacketType::Unsubscribe) => vec!["[MQTT-1.5.4-1]", "[MQTT-3.10.3-1]"],
            _ => vec!["[MQTT-1.5.4-1]", "[MQTT-3.3.2-1]"],
        },
        Rule::NulCharacter | Rule::TopicName(TopicError::NulCharacter) => {
            vec!["[MQTT-1.5.4-2]", "[MQTT-4.7.3-2]"]
        }
        Rule::ConnectFlagsReserved => vec!["[MQTT-3.1.2-3]"],
        Rule::WillQos => vec!["[MQTT-3.1.2-12]"],
        Rule::WillFlagsWithoutWill => vec!["[MQTT-3.1.2-11]", "[MQTT-3.1.2-13]"],
        Rule::ConnAckFlagsReserved => vec!["[MQTT-3.2.2-1]"],
        Rule::SessionPresentInRefusal => vec!["[MQTT-3.2.2-6]"],
        Rule::PacketIdZero => vec!["[MQTT-2.2.1-3]", "[MQTT-2.2.1-4]"],
        Rule::ReasonCode { .. } => vec![listed],
        Rule::TopicName(_) => vec!["[MQTT-3.3.2-2]", "[MQTT-4.7.0-1]"],
        Rule::ResponseTopic(_) => vec!["[MQTT-3.3.2-14]"],
        Rule::NoTopic => vec!["[MQTT-4.7.3-1]"],
        Rule::NoTopicFilter => vec!["[MQTT-3.8.3-2]"],
        Rule::NoReasonCode => vec!["[MQTT-3.8.4-6]", "[MQTT-2.2.2-1]"],
        Rule::TopicAliasZero => vec!["[MQTT-3.3.2-8]"],
        Rule::TrailingBytes if kind == Some(PacketType::Connect) => {
            vec!["[MQTT-3.1.2-16]", "[MQTT-3.1.2-18]"]
        }
        Rule::FieldPastEnd if kind == Some(PacketType::Connect) => {
            vec!["[MQTT-3.1.2-17]", "[MQTT-3.1.2-19]", "[MQTT-3.1.3-3]"]
        }
        _ => Vec::new(),
    }
}
