//! The floor: a fixed header, a UTF-8 check of the topic, slices. Encoding is a copy.

use std::hint::black_box;

use super::Library;

/// No codec at all.
#[derive(Debug)]
pub struct Floor;

/// The least that deserves the name of a packet.
#[derive(Debug)]
#[expect(dead_code, reason = "filled in for the caller that is measured, who only looks away")]
enum Packet<'a> {
    Publish { topic: &'a str, packet_id: u16, payload: &'a [u8] },
    Other { first: u8, body: &'a [u8] },
}

impl Library for Floor {
    fn decode(bytes: &[u8], count: usize) -> Result<(), String> {
        let mut rest = bytes;
        for _ in 0..count {
            let (packet, behind) = next(black_box(rest)).ok_or("not a packet")?;
            black_box(&packet);
            rest = behind;
        }
        Ok(())
    }

    fn encode(bytes: &[u8], packets: usize, _: usize, count: usize) -> Result<Vec<u8>, String> {
        let mut values = Vec::with_capacity(packets);
        let mut rest = bytes;
        for _ in 0..packets {
            let (_, behind) = next(rest).ok_or("not a packet")?;
            values.push(&rest[..rest.len() - behind.len()]);
            rest = behind;
        }
        let mut output = Vec::with_capacity(1 << 17);
        for _ in 0..count / packets {
            output.clear();
            for packet in &values {
                output.extend_from_slice(black_box(packet));
            }
            black_box(&output);
        }
        Ok(output)
    }
}

fn next(input: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let (&first, mut rest) = input.split_first()?;
    let mut len = 0_usize;
    for shift in [0, 7, 14, 21] {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        len |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (body, behind) = rest.split_at_checked(len)?;
    if first >> 4 != 3 {
        return Some((Packet::Other { first, body }, behind));
    }
    let (topic_len, body) = body.split_first_chunk()?;
    let (topic, mut body) = body.split_at_checked(usize::from(u16::from_be_bytes(*topic_len)))?;
    let topic = std::str::from_utf8(topic).ok()?;
    let mut packet_id = 0;
    if first & 6 != 0 {
        let (id, behind_id) = body.split_first_chunk()?;
        packet_id = u16::from_be_bytes(*id);
        body = behind_id;
    }
    let (&properties_len, body) = body.split_first()?;
    let payload = body.get(usize::from(properties_len & 0x7f)..)?;
    Some((Packet::Publish { topic, packet_id, payload }, behind))
}
