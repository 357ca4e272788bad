//! rumqttc: the codec of its v5 client.

use ::bytes::BytesMut;
use rumqttc::v5::mqttbytes::v5::Packet;

use super::{Library, decode_from_bytes_mut, encode_to_bytes_mut, values};

/// rumqttc.
#[derive(Debug)]
pub struct Rumqttc;

impl Library for Rumqttc {
    fn decode(bytes: &[u8], count: usize) -> Result<(), String> {
        decode_from_bytes_mut(bytes, count, next)
    }

    fn encode(bytes: &[u8], packets: usize, _: usize, count: usize) -> Result<Vec<u8>, String> {
        encode_to_bytes_mut(&values(bytes, packets, next)?, count, |packet, output| {
            packet.write(output, None).map(drop).map_err(|error| error.to_string())
        })
    }
}

fn next(input: &mut BytesMut) -> Result<Packet, String> {
    Packet::read(input, None).map_err(|error| error.to_string())
}
