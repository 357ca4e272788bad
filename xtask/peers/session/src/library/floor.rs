//! The floor: the codec of this project, a slot for each message under way at the client, a bit
//! for each at the server. It forgets errors, order, quotas and everything else.

use std::hint::black_box;

use mqtt_codec::{
    Decoded, Limits, Packet, PacketId, Properties, PubAck, PubAckReason, PubComp, PubRec, PubRel,
    PubRelReason, Publish, PublishQos, TopicName, decode,
};

use super::Library;
use crate::{PAYLOAD, TOPIC};

const SLOTS: u16 = 64;

/// Both ends.
#[derive(Debug)]
pub struct Floor {
    limits: Limits,
    /// The payload of the message under each packet identifier.
    slots: Vec<Option<&'static [u8]>>,
    next: u16,
    /// Packet identifiers of QoS 2 messages that wait for PUBREL.
    unreleased: u64,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    received: u64,
    acknowledged: u64,
}

impl Library for Floor {
    fn connect() -> Result<Self, String> {
        Ok(Self {
            limits: Limits::new(),
            slots: vec![None; usize::from(SLOTS)],
            next: 0,
            unreleased: 0,
            to_server: Vec::new(),
            to_client: Vec::new(),
            received: 0,
            acknowledged: 0,
        })
    }

    fn exchange(&mut self, qos: u8) -> Result<(), String> {
        let qos = if qos == 0 {
            self.acknowledged += 1;
            PublishQos::AtMostOnce
        } else {
            let slot = self.next % SLOTS;
            self.next = self.next.wrapping_add(1);
            if let Some(slot) = self.slots.get_mut(usize::from(slot)) {
                *slot = Some(PAYLOAD.as_slice());
            }
            let id = PacketId::new(slot + 1).ok_or("no packet identifier")?;
            match qos {
                1 => PublishQos::AtLeastOnce { id, dup: false },
                _ => PublishQos::ExactlyOnce { id, dup: false },
            }
        };
        let publish = Publish {
            qos,
            retain: false,
            topic: Some(TopicName::new(black_box(TOPIC)).map_err(text)?),
            properties: Properties::EMPTY,
            payload: black_box(PAYLOAD),
        };
        publish.encode(&mut self.to_server, u32::MAX).map_err(text)?;
        while !self.to_server.is_empty() {
            self.serve()?;
            self.to_server.clear();
            self.hear()?;
            self.to_client.clear();
        }
        Ok(())
    }

    fn completed(&self) -> u64 {
        self.received.min(self.acknowledged)
    }
}

impl Floor {
    fn serve(&mut self) -> Result<(), String> {
        let out = &mut self.to_client;
        let properties = Properties::EMPTY;
        match packet(&self.to_server, &self.limits)? {
            Packet::Publish(publish) => {
                black_box(publish.payload);
                self.received += 1;
                let reason = PubAckReason::NoMatchingSubscribers;
                match publish.qos {
                    PublishQos::AtMostOnce => Ok(()),
                    PublishQos::AtLeastOnce { id: packet_id, .. } => {
                        PubAck { packet_id, reason, properties }.encode(out, u32::MAX)
                    }
                    PublishQos::ExactlyOnce { id: packet_id, .. } => {
                        self.unreleased |= 1 << (packet_id.get() - 1);
                        PubRec { packet_id, reason, properties }.encode(out, u32::MAX)
                    }
                }
                .map_err(text)
            }
            Packet::PubRel(PubRel { packet_id, .. }) => {
                self.unreleased &= !(1 << (packet_id.get() - 1));
                let reason = PubRelReason::Success;
                PubComp { packet_id, reason, properties }.encode(out, u32::MAX).map_err(text)
            }
            other => Err(format!("unexpected: {other:?}")),
        }
    }

    fn hear(&mut self) -> Result<(), String> {
        if self.to_client.is_empty() {
            return Ok(());
        }
        let id = match packet(&self.to_client, &self.limits)? {
            Packet::PubRec(PubRec { packet_id, .. }) => {
                let (reason, properties) = (PubRelReason::Success, Properties::EMPTY);
                let release = PubRel { packet_id, reason, properties };
                return release.encode(&mut self.to_server, u32::MAX).map_err(text);
            }
            Packet::PubAck(PubAck { packet_id, .. }) => packet_id,
            Packet::PubComp(PubComp { packet_id, .. }) => packet_id,
            other => return Err(format!("unexpected: {other:?}")),
        };
        let slot = self.slots.get_mut(usize::from(id.get() - 1));
        if slot.and_then(Option::take).is_some() {
            self.acknowledged += 1;
        }
        Ok(())
    }
}

fn packet<'a>(input: &'a [u8], limits: &Limits) -> Result<Packet<'a>, String> {
    match decode(input, limits) {
        Ok(Decoded::Packet(packet, _)) => Ok(packet),
        Ok(_) => Err("half a packet".to_owned()),
        Err(error) => Err(text(error)),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
