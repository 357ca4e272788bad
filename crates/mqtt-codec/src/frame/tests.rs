//! The fixed header of all 256 first bytes.

use super::*;

/// Proves: [MQTT-2.1.3-1], [MQTT-3.3.1-2], [MQTT-3.3.1-4], [MQTT-3.6.1-1], [MQTT-3.8.1-1],
/// [MQTT-3.10.1-1], [MQTT-3.14.1-1], [MQTT-3.15.1-1]
#[test]
fn every_first_byte_has_the_flags_of_its_type_or_is_refused_alone() {
    for first in 0..=u8::MAX {
        let (number, flags) = (first >> 4, first & 0x0F);
        let allowed = match number {
            0 => false,
            3 => (flags >> 1) & 3 != 3 && (flags & 8 == 0 || flags & 6 != 0),
            6 | 8 | 10 => flags == 2,
            _ => flags == 0,
        };
        match decode(&[first], &Limits::new()) {
            Ok(decoded) => {
                assert!(allowed, "{first:#04x}");
                assert_eq!(decoded, Decoded::NeedMore(Need { packet_len: None }));
            }
            Err(error) => {
                assert!(!allowed, "{first:#04x}");
                assert_eq!(error.offset(), 0);
                assert_eq!(u8::from(error.reason_code()), 0x81);
                assert_eq!(error.packet_type().map_or(0, |of| of as u8), number);
            }
        }
    }
}

#[test]
fn a_size_above_the_limit_is_refused_by_the_fixed_header() {
    let limits = Limits::new().max_packet_size(130);
    // 128 bytes behind two of fixed header and one of length: 131 in all.
    let error = decode(&[0x30, 0x80, 0x01], &limits).unwrap_err();
    assert_eq!(error.rule(), DecodeRule::PacketTooLarge { size: 131, limit: 130 });
    assert_eq!(error.offset(), 1);
    assert_eq!(u8::from(error.reason_code()), 0x95);
    // 127 behind two: 129.
    let need = Need { packet_len: Some(129) };
    assert_eq!(decode(&[0x30, 0x7F], &limits), Ok(Decoded::NeedMore(need)));
}

#[test]
fn without_a_limit_the_largest_packet_of_the_format_may_come() {
    let header = [0x30, 0xFF, 0xFF, 0xFF, 0x7F];
    let Ok(Decoded::NeedMore(need)) = decode(&header, &Limits::new()) else { panic!("refused") };
    assert_eq!(need.packet_len(), Some(268_435_460));
}

/// Every change of one byte of a packet, and every beginning of it.
fn variants(packet: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let changed = (0..packet.len()).flat_map(move |at| {
        (0..=u8::MAX).map(move |byte| {
            let mut variant = packet.to_vec();
            variant[at] = byte;
            variant
        })
    });
    changed.chain((0..packet.len()).map(move |len| packet[..len].to_vec()))
}

#[test]
fn what_is_decoded_as_one_type_is_what_is_decoded_as_any() {
    let limits = Limits::new().max_packet_size(14);
    let publish = b"\x33\x0C\x00\x03a/b\x00\x01\x02\x01\x01hi";
    for input in variants(publish).chain([publish.repeat(2)]) {
        let any = match decode(&input, &limits) {
            Ok(Decoded::Packet(Packet::Publish(publish), len)) => Some((publish, len)),
            _ => None,
        };
        assert_eq!(decode_publish(&input, &limits), any, "{input:x?}");
        assert!(decode_puback(&input, &limits).is_none() || any.is_none());
    }
    for puback in [&b"\x40\x02\x00\x01"[..], b"\x40\x03\x00\x01\x10"] {
        for input in variants(puback).chain([puback.repeat(2)]) {
            let any = match decode(&input, &limits) {
                Ok(Decoded::Packet(Packet::PubAck(puback), len)) => Some((puback, len)),
                _ => None,
            };
            assert_eq!(decode_puback(&input, &limits), any, "{input:x?}");
        }
    }
}
