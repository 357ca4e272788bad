//! mqtt-codec: the codec of this project.

use std::hint::black_box;

use mqtt_codec::{DecodeError, Decoded, Limits, Packet, decode};

use super::Library;

/// mqtt-codec.
#[derive(Debug)]
pub struct Ours;

impl Library for Ours {
    fn decode(bytes: &[u8], count: usize) -> Result<(), String> {
        let limits = Limits::new();
        let mut rest = bytes;
        for _ in 0..count {
            match decode(black_box(rest), &limits) {
                Ok(Decoded::Packet(packet, consumed)) => {
                    walk(&packet);
                    black_box(&packet);
                    rest = rest.get(consumed..).unwrap_or_default();
                }
                other => return Err(refusal(other)),
            }
        }
        Ok(())
    }

    fn encode(bytes: &[u8], packets: usize, _: usize, count: usize) -> Result<Vec<u8>, String> {
        let limits = Limits::new();
        let mut values = Vec::with_capacity(packets);
        let mut rest = bytes;
        for _ in 0..packets {
            match decode(rest, &limits) {
                Ok(Decoded::Packet(packet, consumed)) => {
                    values.push(packet);
                    rest = rest.get(consumed..).unwrap_or_default();
                }
                other => return Err(refusal(other)),
            }
        }
        let mut output = Vec::with_capacity(1 << 17);
        for _ in 0..count / packets {
            output.clear();
            for packet in &values {
                if let Err(error) = black_box(packet).encode(&mut output, u32::MAX) {
                    return Err(error.to_string());
                }
            }
            black_box(&output);
        }
        Ok(output)
    }
}

#[cold]
fn refusal(answer: Result<Decoded<'_>, DecodeError>) -> String {
    match answer {
        Ok(_) => "it wants more bytes".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Looks at every entry of a list: the others build theirs while decoding.
#[inline]
fn walk(packet: &Packet<'_>) {
    match packet {
        Packet::Subscribe(subscribe) => {
            for filter in subscribe.filters() {
                black_box(filter);
            }
        }
        Packet::Unsubscribe(unsubscribe) => {
            for filter in unsubscribe.filters() {
                black_box(filter);
            }
        }
        _ => {}
    }
}
