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
