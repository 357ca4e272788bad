//! mqttbytes: the codec that rumqttc's grew out of.

use ::bytes::BytesMut;
use mqttbytes::v5::{self, Packet};

use super::{Library, decode_from_bytes_mut, encode_to_bytes_mut, values};

/// mqttbytes.
#[derive(Debug)]
pub struct Mqttbytes;

impl Library for Mqttbytes {
    fn decode(bytes: &[u8], count: usize) -> Result<(), String> {
        decode_from_bytes_mut(bytes, count, next)
    }

    fn encode(bytes: &[u8], packets: usize, _: usize, count: usize) -> Result<Vec<u8>, String> {
        encode_to_bytes_mut(&values(bytes, packets, next)?, count, |packet, output| {
            // The crate has no encoder for the enum, only for each packet.
            let written = match packet {
                Packet::Connect(packet) => packet.write(output),
                Packet::Publish(packet) => packet.write(output),
                Packet::PubAck(packet) => packet.write(output),
                Packet::Subscribe(packet) => packet.write(output),
                Packet::Unsubscribe(packet) => packet.write(output),
                Packet::PingReq => v5::PingReq.write(output),
                other => return Err(format!("no case has {other:?}")),
            };
            written.map(drop).map_err(|error| error.to_string())
        })
    }
}

fn next(input: &mut BytesMut) -> Result<Packet, String> {
    v5::read(input, usize::MAX).map_err(|error| error.to_string())
}
