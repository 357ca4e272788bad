//! Packets taken apart, changed and put together again.

use mqtt_codec::{
    ConnAck, ConnectOptions, Decoded, Disconnect, Limits, Packet, PacketId, PropertyValues, PubAck,
    PubComp, PubRec, PubRel, Publish, PublishQos, QoS, SubAck, SubAckReason, Subscribe,
    SubscriptionOptions, TopicFilter, TopicName, UnsubAck, UnsubAckReason, Will, decode,
};
use mqtt_conformance::proxy::Step;

/// The number of a packet's type.
pub(crate) fn kind(packet: &[u8]) -> u8 {
    packet.first().map_or(0, |first| first >> 4)
}

/// The packet, if it is one.
pub(crate) fn read(bytes: &[u8]) -> Option<Packet<'_>> {
    match decode(bytes, &Limits::new()) {
        Ok(Decoded::Packet(packet, _)) => Some(packet),
        _ => None,
    }
}

pub(crate) fn encode(packet: Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes, u32::MAX).unwrap();
    bytes
}

/// A CONNECT with its fields open.
pub(crate) struct OpenConnect {
    pub(crate) clean_start: bool,
    pub(crate) keep_alive: u16,
    pub(crate) client_id: String,
    pub(crate) properties: PropertyValues,
    pub(crate) will: Option<OpenWill>,
}

/// A Will with its fields open.
pub(crate) struct OpenWill {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) properties: PropertyValues,
}

/// Changes a CONNECT; everything else goes on as it is.
pub(crate) fn connect(bytes: &[u8], change: impl FnOnce(&mut OpenConnect)) -> Step {
    let Some(Packet::Connect(packet)) = read(bytes) else { return Step::on(bytes) };
    let mut open = OpenConnect {
        clean_start: packet.clean_start(),
        keep_alive: packet.keep_alive(),
        client_id: packet.client_id().to_owned(),
        properties: packet.properties().into(),
        will: packet.will().map(|will| OpenWill {
            qos: will.qos,
            retain: will.retain,
            topic: will.topic.as_str().to_owned(),
            payload: will.payload.to_vec(),
            properties: will.properties.into(),
        }),
    };
    change(&mut open);
    let properties = open.properties.to_buf().unwrap();
    let will_properties =
        open.will.as_ref().map(|will| will.properties.to_buf().unwrap()).unwrap_or_default();
    let options = ConnectOptions {
        clean_start: open.clean_start,
        keep_alive: open.keep_alive,
        client_id: &open.client_id,
        properties: properties.as_properties(),
        will: open.will.as_ref().map(|will| Will {
            qos: will.qos,
            retain: will.retain,
            topic: TopicName::new(&will.topic).unwrap(),
            payload: &will.payload,
            properties: will_properties.as_properties(),
        }),
        user_name: packet.user_name(),
        password: packet.password(),
    };
    let mut bytes = Vec::new();
    options.encode(&mut bytes, u32::MAX).unwrap();
    Step::on(bytes)
}

/// Changes a Will.
pub(crate) fn will(bytes: &[u8], change: impl FnOnce(&mut OpenWill)) -> Step {
    connect(bytes, |open| {
        if let Some(will) = &mut open.will {
            change(will);
        }
    })
}

/// A PUBLISH with its fields open.
#[derive(Clone)]
pub(crate) struct OpenPublish {
    pub(crate) qos: u8,
    pub(crate) id: u16,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) properties: PropertyValues,
}

impl OpenPublish {
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let Some(Packet::Publish(packet)) = read(bytes) else { return None };
        Some(Self {
            qos: packet.qos.qos() as u8,
            id: packet.qos.packet_id().map_or(0, PacketId::get),
            dup: packet.qos.dup(),
            retain: packet.retain,
            topic: packet.topic.map(|topic| topic.as_str().to_owned()).unwrap_or_default(),
            payload: packet.payload.to_vec(),
            properties: packet.properties.into(),
        })
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let id = || PacketId::new(self.id).unwrap();
        let properties = self.properties.to_buf().unwrap();
        encode(Packet::Publish(Publish {
            qos: match self.qos {
                0 => PublishQos::AtMostOnce,
                1 => PublishQos::AtLeastOnce { id: id(), dup: self.dup },
                _ => PublishQos::ExactlyOnce { id: id(), dup: self.dup },
            },
            retain: self.retain,
            topic: (!self.topic.is_empty()).then(|| TopicName::new(&self.topic).unwrap()),
            properties: properties.as_properties(),
            payload: &self.payload,
        }))
    }
}

/// Changes a PUBLISH; everything else goes on as it is.
pub(crate) fn publish(bytes: &[u8], change: impl FnOnce(&mut OpenPublish)) -> Step {
    let Some(mut open) = OpenPublish::read(bytes) else { return Step::on(bytes) };
    change(&mut open);
    Step::on(open.bytes())
}

/// Changes the properties of a packet that a server sends.
pub(crate) fn properties(bytes: &[u8], change: impl FnOnce(&mut PropertyValues)) -> Step {
    let Some(packet) = read(bytes) else { return Step::on(bytes) };
    let own = match &packet {
        Packet::ConnAck(p) => p.properties,
        Packet::PubAck(p) => p.properties,
        Packet::PubRec(p) => p.properties,
        Packet::PubRel(p) => p.properties,
        Packet::PubComp(p) => p.properties,
        Packet::SubAck(p) => p.properties,
        Packet::UnsubAck(p) => p.properties,
        Packet::Disconnect(p) => p.properties,
        _ => return Step::on(bytes),
    };
    let mut values = PropertyValues::from(own);
    change(&mut values);
    let buf = values.to_buf().unwrap();
    let properties = buf.as_properties();
    Step::on(match packet {
        Packet::ConnAck(p) => encode(Packet::ConnAck(ConnAck { properties, ..p })),
        Packet::PubAck(p) => encode(Packet::PubAck(PubAck { properties, ..p })),
        Packet::PubRec(p) => encode(Packet::PubRec(PubRec { properties, ..p })),
        Packet::PubRel(p) => encode(Packet::PubRel(PubRel { properties, ..p })),
        Packet::PubComp(p) => encode(Packet::PubComp(PubComp { properties, ..p })),
        Packet::SubAck(p) => {
            let reasons: Vec<SubAckReason> = p.reasons().collect();
            encode(Packet::SubAck(SubAck::new(p.packet_id, properties, &reasons).unwrap()))
        }
        Packet::UnsubAck(p) => {
            let reasons: Vec<UnsubAckReason> = p.reasons().collect();
            encode(Packet::UnsubAck(UnsubAck::new(p.packet_id, properties, &reasons).unwrap()))
        }
        Packet::Disconnect(p) => encode(Packet::Disconnect(Disconnect { properties, ..p })),
        _ => return Step::on(bytes),
    })
}

/// Changes the options of each filter of a SUBSCRIBE.
pub(crate) fn subscribe(bytes: &[u8], change: impl Fn(&mut SubscriptionOptions)) -> Step {
    let Some(Packet::Subscribe(packet)) = read(bytes) else { return Step::on(bytes) };
    let filters: Vec<(TopicFilter<'_>, SubscriptionOptions)> = packet
        .filters()
        .map(|(filter, mut options)| {
            change(&mut options);
            (filter, options)
        })
        .collect();
    let packet = Subscribe::new(packet.packet_id, packet.properties, &filters).unwrap();
    Step::on(encode(Packet::Subscribe(packet)))
}

/// Changes the bytes of packets of one type.
pub(crate) fn bytes_of(packet: &[u8], wanted: u8, change: impl FnOnce(&mut Vec<u8>)) -> Step {
    let mut bytes = packet.to_vec();
    if kind(packet) == wanted {
        change(&mut bytes);
    }
    Step::on(bytes)
}

/// Loses packets of one type.
pub(crate) fn lose(packet: &[u8], wanted: u8) -> Step {
    if kind(packet) == wanted { Step::lost() } else { Step::on(packet) }
}

/// The number behind the fixed header of a short packet: its Packet Identifier.
pub(crate) fn number(packet: &[u8]) -> u16 {
    match packet {
        [_, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

/// An acknowledgement in its shortest form.
pub(crate) fn short(first: u8, number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    vec![first, 2, high, low]
}
