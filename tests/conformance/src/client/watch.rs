//! Watches every packet of a client for the statements that any packet can break.

use std::collections::BTreeSet;

use mqtt_codec::{ConnAck, Connect, DecodeError, Packet, PacketType, PropertyId, Publish};

use crate::{journal::Journal, referee::broken_by};

/// What is known of one connection that a client has made.
#[derive(Debug)]
pub(crate) struct Watch {
    journal: Journal,
    has_connect: bool,
    has_disconnect: bool,
    is_resumed: bool,
    method: Option<String>,
    granted: Granted,
    /// The client's packets that wait for an answer.
    in_use: BTreeSet<u16>,
    /// Of them, what counts towards the Receive Maximum.
    under_way: BTreeSet<u16>,
    /// What we sent and the client has yet to answer.
    awaited: Vec<(PacketType, u16)>,
    aliases: BTreeSet<u16>,
}

/// What our CONNACK allows.
#[derive(Debug)]
struct Granted {
    packet_size: u32,
    receive_maximum: u16,
    alias_maximum: u16,
    maximum_qos: u8,
    retain: bool,
}

impl Watch {
    pub(crate) fn new(journal: Journal) -> Self {
        let granted = Granted {
            packet_size: u32::MAX,
            receive_maximum: u16::MAX,
            alias_maximum: 0,
            maximum_qos: 2,
            retain: true,
        };
        Self {
            journal,
            has_connect: false,
            has_disconnect: false,
            is_resumed: false,
            method: None,
            granted,
            in_use: BTreeSet::new(),
            under_way: BTreeSet::new(),
            awaited: Vec::new(),
            aliases: BTreeSet::new(),
        }
    }

    /// A packet of ours.
    pub(crate) fn sent(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::ConnAck(connack) => {
                self.is_resumed = connack.session_present;
                self.granted = Granted::of(connack);
            }
            Packet::Publish(publish) => {
                let Some(id) = publish.qos.packet_id() else { return };
                let is_first = publish.qos.qos() as u8 == 1;
                let answer = if is_first { PacketType::PubAck } else { PacketType::PubRec };
                self.awaited.push((answer, id.get()));
            }
            Packet::PubRel(p) => self.awaited.push((PacketType::PubComp, p.packet_id.get())),
            Packet::PubAck(p) => self.is_done(p.packet_id.get()),
            Packet::PubRec(p) if p.reason.is_error() => self.is_done(p.packet_id.get()),
            Packet::PubComp(p) => self.is_done(p.packet_id.get()),
            Packet::SubAck(p) => _ = self.in_use.remove(&p.packet_id.get()),
            Packet::UnsubAck(p) => _ = self.in_use.remove(&p.packet_id.get()),
            _ => {}
        }
    }

    fn is_done(&mut self, id: u16) {
        self.in_use.remove(&id);
        self.under_way.remove(&id);
    }

    /// Bytes of the client that are no packet.
    pub(crate) fn malformed(&self, error: &DecodeError) -> String {
        let how = error.to_string();
        for id in broken_by(error) {
            self.journal.breach(id, how.clone());
        }
        how
    }

    /// A packet of the client, of `size` bytes.
    pub(crate) fn received(&mut self, packet: &Packet<'_>, size: usize) {
        let is_connect = matches!(packet, Packet::Connect(_));
        let how = format!("{} comes first", packet.packet_type());
        self.judge(&["[MQTT-3.1.0-1]"], self.has_connect || is_connect, &how);
        if is_connect && self.has_connect {
            self.judge(&["[MQTT-3.1.0-1]"], false, "a second CONNECT");
        }
        let how = format!("{} after DISCONNECT", packet.packet_type());
        self.judge(&["[MQTT-3.14.4-1]"], !self.has_disconnect, &how);
        if self.method.is_none() {
            let none = !matches!(packet, Packet::Auth(_));
            self.judge(&["[MQTT-4.12.0-7]"], none, "AUTH, and CONNECT named no method");
        }
        if self.granted.packet_size < u32::MAX {
            let fits = u32::try_from(size).is_ok_and(|size| size <= self.granted.packet_size);
            let how = format!("{size} bytes, {} are allowed", self.granted.packet_size);
            self.judge(&["[MQTT-3.2.2-15]"], fits, &how);
            self.words(packet, fits, &how);
        }
        match packet {
            Packet::Connect(connect) => self.connect(connect),
            Packet::Publish(publish) => self.publish(publish),
            Packet::PubAck(p) => self.answer(PacketType::PubAck, p.packet_id.get()),
            Packet::PubRec(p) => self.answer(PacketType::PubRec, p.packet_id.get()),
            Packet::PubComp(p) => self.answer(PacketType::PubComp, p.packet_id.get()),
            Packet::PubRel(p) => {
                self.judge(&["[MQTT-3.6.1-1]", "[MQTT-3.6.2-1]"], true, "");
                let known = self.is_resumed || self.under_way.contains(&p.packet_id.get());
                let how = format!("PUBREL for {}", p.packet_id.get());
                self.judge(&["[MQTT-2.2.1-5]"], known, &how);
            }
            Packet::Subscribe(subscribe) => {
                let decoded = ["[MQTT-3.8.1-1]", "[MQTT-3.8.3-1]", "[MQTT-3.8.3-2]"];
                self.judge(&decoded, true, "");
                self.number(subscribe.packet_id.get());
            }
            Packet::Unsubscribe(unsubscribe) => {
                let decoded = ["[MQTT-3.10.1-1]", "[MQTT-3.10.3-1]", "[MQTT-3.10.3-2]"];
                self.judge(&decoded, true, "");
                self.number(unsubscribe.packet_id.get());
            }
            Packet::Disconnect(_) => {
                self.has_disconnect = true;
                self.judge(&["[MQTT-3.14.2-1]"], true, "");
            }
            _ => {}
        }
    }

    /// What a packet need not say is left out where it makes it too large.
    fn words(&self, packet: &Packet<'_>, fits: bool, how: &str) {
        let (ids, properties): (&[&'static str; 2], _) = match packet {
            Packet::PubAck(p) => (&["[MQTT-3.4.2-2]", "[MQTT-3.4.2-3]"], p.properties),
            Packet::PubRec(p) => (&["[MQTT-3.5.2-2]", "[MQTT-3.5.2-3]"], p.properties),
            Packet::PubRel(p) => (&["[MQTT-3.6.2-2]", "[MQTT-3.6.2-3]"], p.properties),
            Packet::PubComp(p) => (&["[MQTT-3.7.2-2]", "[MQTT-3.7.2-3]"], p.properties),
            Packet::Disconnect(p) => (&["[MQTT-3.14.2-3]", "[MQTT-3.14.2-4]"], p.properties),
            _ => return,
        };
        let [reason_string, user_properties] = ids;
        let has = |id| properties.contains(id);
        self.judge(&[reason_string], fits || !has(PropertyId::ReasonString), how);
        self.judge(&[user_properties], fits || !has(PropertyId::UserProperty), how);
    }

    fn connect(&mut self, connect: &Connect<'_>) {
        self.has_connect = true;
        let method = connect.properties().authentication_method();
        self.method = method.map(str::to_owned);
        // The decoder has judged these.
        let decoded = [
            "[MQTT-3.1.2-11]",
            "[MQTT-3.1.2-13]",
            "[MQTT-3.1.2-16]",
            "[MQTT-3.1.2-18]",
            "[MQTT-3.1.3-1]",
            "[MQTT-3.1.3-3]",
            "[MQTT-3.1.3-4]",
            "[MQTT-1.5.4-1]",
            "[MQTT-1.5.4-2]",
            "[MQTT-1.5.5-1]",
            "[MQTT-2.1.3-1]",
            "[MQTT-2.2.2-1]",
            "[MQTT-4.2.0-1]",
        ];
        self.judge(&decoded, true, "");
        if connect.will().is_some() {
            let decoded = ["[MQTT-3.1.2-9]", "[MQTT-3.1.2-12]", "[MQTT-3.1.3-11]"];
            self.judge(&decoded, true, "");
        }
        if connect.user_name().is_some() {
            self.judge(&["[MQTT-3.1.2-17]", "[MQTT-3.1.3-12]"], true, "");
        }
        if connect.password().is_some() {
            self.judge(&["[MQTT-3.1.2-19]"], true, "");
        }
    }

    fn publish(&mut self, publish: &Publish<'_>) {
        let decoded = [
            "[MQTT-3.3.1-4]",
            "[MQTT-3.3.2-1]",
            "[MQTT-3.3.2-2]",
            "[MQTT-3.3.2-8]",
            "[MQTT-4.7.0-1]",
            "[MQTT-4.7.3-1]",
            "[MQTT-4.7.3-2]",
        ];
        self.judge(&decoded, true, "");
        let none = publish.properties.subscription_ids().next().is_none();
        self.judge(&["[MQTT-3.3.4-6]"], none, "a Subscription Identifier");
        let qos = publish.qos.qos() as u8;
        let how = format!("QoS {qos}, at most {} is offered", self.granted.maximum_qos);
        if self.granted.maximum_qos < 2 {
            self.judge(&["[MQTT-3.2.2-11]"], qos <= self.granted.maximum_qos, &how);
        }
        if !self.granted.retain {
            self.judge(&["[MQTT-3.2.2-14]"], !publish.retain, "RETAIN 1");
        }
        self.alias(publish);
        let Some(id) = publish.qos.packet_id() else {
            self.judge(&["[MQTT-2.2.1-2]", "[MQTT-3.3.1-2]", "[MQTT-4.3.1-1]"], true, "");
            return;
        };
        let (unused, first) = match qos {
            1 => ("[MQTT-4.3.2-1]", "[MQTT-4.3.2-2]"),
            _ => ("[MQTT-4.3.3-1]", "[MQTT-4.3.3-2]"),
        };
        if !self.is_resumed {
            let free = !self.in_use.contains(&id.get());
            self.judge(&[unused], free, &format!("packet identifier {id:?} is in use"));
            self.judge(&[first], !publish.qos.dup(), "DUP 1 on a PUBLISH that is new");
        }
        self.number(id.get());
        self.under_way.insert(id.get());
        let maximum = usize::from(self.granted.receive_maximum);
        if self.under_way.len() >= maximum {
            let how = format!("{} unfinished, {maximum} may be", self.under_way.len());
            let ids = ["[MQTT-3.3.4-7]", "[MQTT-4.9.0-1]", "[MQTT-4.9.0-2]"];
            self.judge(&ids, self.under_way.len() <= maximum, &how);
        }
    }

    /// A number for a new packet.
    fn number(&mut self, id: u16) {
        let is_free = self.in_use.insert(id) || self.is_resumed;
        let how = format!("packet identifier {id} is in use");
        self.judge(&["[MQTT-2.2.1-3]"], is_free, &how);
    }

    fn alias(&mut self, publish: &Publish<'_>) {
        let maximum = self.granted.alias_maximum;
        let Some(alias) = publish.properties.topic_alias().map(u16::from) else {
            if maximum == 0 {
                self.judge(&["[MQTT-3.2.2-18]"], true, "");
            }
            return;
        };
        let how = format!("Topic Alias {alias}, at most {maximum} is allowed");
        if maximum == 0 {
            self.judge(&["[MQTT-3.2.2-18]"], false, &how);
        }
        self.judge(&["[MQTT-3.2.2-17]", "[MQTT-3.3.2-9]"], alias <= maximum, &how);
        let known = publish.topic.is_some() || self.aliases.contains(&alias);
        self.judge(&["[MQTT-3.3.2-7]"], known, "a Topic Alias that was not set here");
        self.aliases.insert(alias);
    }

    fn answer(&mut self, kind: PacketType, id: u16) {
        let at = self.awaited.iter().position(|own| *own == (kind, id));
        if let Some(at) = at {
            self.awaited.remove(at);
        }
        let ids: &[&'static str] = match kind {
            PacketType::PubAck => &["[MQTT-2.2.1-5]", "[MQTT-3.4.2-1]"],
            PacketType::PubRec => &["[MQTT-2.2.1-5]", "[MQTT-3.5.2-1]"],
            _ => &["[MQTT-2.2.1-5]", "[MQTT-3.7.2-1]"],
        };
        let known = at.is_some() || self.is_resumed;
        self.judge(ids, known, &format!("{kind} for {id}, which waits for none"));
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

impl Granted {
    fn of(connack: &ConnAck<'_>) -> Self {
        let properties = connack.properties;
        Self {
            packet_size: properties.maximum_packet_size().map_or(u32::MAX, u32::from),
            receive_maximum: properties.receive_maximum().map_or(u16::MAX, u16::from),
            alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            maximum_qos: properties.maximum_qos().map_or(2, |qos| qos as u8),
            retain: properties.retain_available().unwrap_or(true),
        }
    }
}
