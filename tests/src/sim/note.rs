//! What a packet says, as far as anybody in the simulated world looks at it, and the strict reading
//! of every byte that a machine sends.

use mqtt_codec::{
    Connect, Decoded, DisconnectReason, Limits, Packet, PubRelReason, Publish, PublishQos,
    RetainHandling, decode,
};

use super::invariants::{Check, Fault, Invariant};
use super::names;
use super::setup::will_number;

/// The number of a message without a payload.
pub(super) const EMPTY: u32 = u32::MAX;

/// A packet, in numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    Connect(ConnectNote),
    ConnAck { present: bool, refused: bool, receive_maximum: u16, packet_size: u32 },
    Publish(PublishNote),
    Ack(Kind, u16, Outcome),
    Subscribe(SubscribeNote),
    Unsubscribe { pid: u16, filters: u16 },
    PingReq,
    PingResp,
    Disconnect { reason: DisconnectReason, expiry: Option<u32> },
}

/// The packets that answer another by its identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    SubAck,
    UnsubAck,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Fine,
    /// 0x80 or above.
    Error,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectNote {
    pub(super) clean: bool,
    pub(super) expiry: u32,
    pub(super) keep_alive: u16,
    pub(super) receive_maximum: u16,
    pub(super) packet_size: u32,
    pub(super) has_will: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PublishNote {
    pub(super) number: u32,
    pub(super) topic: u8,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) dup: bool,
    /// 0 at QoS 0.
    pub(super) pid: u16,
    pub(super) expiry: Option<u32>,
    pub(super) ids: Ids,
    pub(super) is_large: bool,
}

/// Subscription Identifiers: which, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    set: u64,
    count: u8,
}

impl Ids {
    pub(super) fn add(&mut self, id: u32) {
        self.set |= 1 << (id % 64);
        self.count += 1;
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SubscribeNote {
    pub(super) pid: u16,
    pub(super) id: Option<u32>,
    pub(super) filters: [Option<FilterNote>; 4],
}

#[derive(Clone, Copy, Debug)]
pub(super) struct FilterNote {
    pub(super) filter: u8,
    pub(super) qos: u8,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) handling: u8,
}

/// Reads what one side sends on one connection.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Topics by alias.
    aliases: [Option<u8>; 32],
    /// The largest packet and the largest alias that the other side takes.
    pub(super) packet_size: u32,
    pub(super) alias_maximum: u16,
}

impl Reader {
    /// Before anybody has announced anything.
    pub(super) fn new() -> Self {
        Self { packet_size: u32::MAX, ..Self::default() }
    }

    /// Reads one packet, if it is all there. Returns it with its length.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Option<(Note, usize)>, Fault> {
        match decode(bytes, &Limits::new().max_packet_size(self.packet_size)) {
            Ok(Decoded::Packet(packet, len)) => Ok(Some((self.note(&packet)?, len))),
            Ok(Decoded::NeedMore(_)) => Ok(None),
            Err(error) => Err(Fault::new(Invariant::I12, || {
                let shown = &bytes[..bytes.len().min(40)];
                format!("what was sent is no packet for its receiver: {error}: {shown:02x?}")
            })),
        }
    }

    fn note(&mut self, packet: &Packet<'_>) -> Result<Note, Fault> {
        let ack = |kind, id: mqtt_codec::PacketId, is_error| {
            let outcome = if is_error { Outcome::Error } else { Outcome::Fine };
            Note::Ack(kind, id.get(), outcome)
        };
        Ok(match packet {
            Packet::Publish(publish) => Note::Publish(self.publish(publish)?),
            Packet::PubAck(packet) => ack(Kind::PubAck, packet.packet_id, packet.reason.is_error()),
            Packet::PubRec(packet) => ack(Kind::PubRec, packet.packet_id, packet.reason.is_error()),
            Packet::PubRel(packet) => {
                ack(Kind::PubRel, packet.packet_id, packet.reason != PubRelReason::Success)
            }
            Packet::PubComp(packet) => {
                ack(Kind::PubComp, packet.packet_id, packet.reason != PubRelReason::Success)
            }
            Packet::SubAck(packet) => {
                let is_error = packet.reasons().any(|reason| reason.is_error());
                ack(Kind::SubAck, packet.packet_id, is_error)
            }
            Packet::UnsubAck(packet) => {
                let is_error = packet.reasons().any(|reason| u8::from(reason) >= 0x80);
                ack(Kind::UnsubAck, packet.packet_id, is_error)
            }
            Packet::Connect(connect) => Note::Connect(connect_note(connect)),
            Packet::ConnAck(connack) => {
                let properties = &connack.properties;
                Note::ConnAck {
                    present: connack.session_present,
                    refused: connack.reason.is_error(),
                    receive_maximum: properties.receive_maximum().map_or(u16::MAX, u16::from),
                    packet_size: properties.maximum_packet_size().map_or(u32::MAX, u32::from),
                }
            }
            Packet::Subscribe(subscribe) => {
                let mut filters = [None; 4];
                for (place, (filter, options)) in filters.iter_mut().zip(subscribe.filters()) {
                    let filter = names::filter(filter.as_str()).ok_or_else(|| unknown(packet))?;
                    *place = Some(FilterNote {
                        filter,
                        qos: options.qos.into(),
                        no_local: options.no_local,
                        retain_as_published: options.retain_as_published,
                        handling: match options.retain_handling {
                            RetainHandling::SendAlways => 0,
                            RetainHandling::SendIfNew => 1,
                            RetainHandling::DoNotSend => 2,
                        },
                    });
                }
                let id = subscribe.properties.subscription_ids().next().map(|id| id.get());
                Note::Subscribe(SubscribeNote { pid: subscribe.packet_id.get(), id, filters })
            }
            Packet::Unsubscribe(unsubscribe) => {
                let mut filters = 0;
                for filter in unsubscribe.filters() {
                    let filter = names::filter(filter.as_str()).ok_or_else(|| unknown(packet))?;
                    filters |= 1 << filter;
                }
                Note::Unsubscribe { pid: unsubscribe.packet_id.get(), filters }
            }
            Packet::PingReq => Note::PingReq,
            Packet::PingResp => Note::PingResp,
            Packet::Disconnect(disconnect) => Note::Disconnect {
                reason: disconnect.reason,
                expiry: disconnect.properties.session_expiry_interval(),
            },
            Packet::Auth(_) => return Err(unknown(packet)),
        })
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Result<PublishNote, Fault> {
        let alias = publish.properties.topic_alias().map(u16::from);
        let topic = match (&publish.topic, alias) {
            (Some(topic), alias) => {
                let topic = names::topic(topic.as_str());
                if let Some(alias) = alias {
                    self.check_alias(alias)?;
                    self.aliases[usize::from(alias)] = topic;
                }
                topic
            }
            (None, Some(alias)) => {
                self.check_alias(alias)?;
                self.aliases[usize::from(alias)]
            }
            (None, None) => None,
        };
        let Some(topic) = topic else {
            return Err(Fault::new(Invariant::I12, || format!("no known topic: {publish:?}")));
        };
        let (qos, pid, dup) = match publish.qos {
            PublishQos::AtMostOnce => (0, 0, false),
            PublishQos::AtLeastOnce { id, dup } => (1, id.get(), dup),
            PublishQos::ExactlyOnce { id, dup } => (2, id.get(), dup),
        };
        let mut ids = Ids::default();
        for id in publish.properties.subscription_ids() {
            ids.add(id.get());
        }
        let payload = publish.payload;
        let number = payload.first_chunk().map_or(EMPTY, |bytes| u32::from_be_bytes(*bytes));
        Ok(PublishNote {
            number,
            topic,
            qos,
            retain: publish.retain,
            dup,
            pid,
            expiry: publish.properties.message_expiry_interval(),
            ids,
            is_large: payload.len() > 100,
        })
    }

    fn check_alias(&self, alias: u16) -> Check {
        if alias <= self.alias_maximum.min(31) {
            return Ok(());
        }
        let maximum = self.alias_maximum;
        Err(Fault::new(Invariant::I12, || format!("alias {alias} above the maximum {maximum}")))
    }
}

fn connect_note(connect: &Connect<'_>) -> ConnectNote {
    let properties = connect.properties();
    ConnectNote {
        clean: connect.clean_start(),
        expiry: properties.session_expiry_interval().unwrap_or(0),
        keep_alive: connect.keep_alive(),
        receive_maximum: properties.receive_maximum().map_or(u16::MAX, u16::from),
        packet_size: properties.maximum_packet_size().map_or(u32::MAX, u32::from),
        has_will: connect.will().is_some(),
    }
}

fn unknown(packet: &Packet<'_>) -> Fault {
    Fault::new(Invariant::I12, || format!("nobody in this world sends {packet:?}"))
}

/// Whether a message is a will.
pub(super) const fn is_will(number: u32) -> bool {
    number >= will_number(0) && number < will_number(names::CLIENTS)
}
