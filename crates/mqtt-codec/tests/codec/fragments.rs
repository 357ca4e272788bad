//! A packet is the same packet however it arrives.

use mqtt_codec::{Decoded, Decoder, Limits, decode};

use crate::vectors::{packet, vectors};

/// Proves: [MQTT-6.0.0-2]
#[test]
fn a_packet_that_is_cut_anywhere_needs_more_and_is_never_refused() {
    for (name, bytes) in vectors() {
        for cut in 0..bytes.len() {
            match decode(&bytes[..cut], &Limits::new()) {
                Ok(Decoded::NeedMore(need)) => {
                    let known = cut >= 2 && (bytes[1] < 0x80 || cut >= 3);
                    assert_eq!(need.packet_len(), known.then_some(bytes.len()), "{name} at {cut}");
                }
                other => panic!("{name} cut at {cut}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_stands_behind_a_packet_does_not_change_it() {
    for (name, bytes) in vectors() {
        for tail in [&[0x00][..], &[0xFF; 7], &bytes] {
            let mut input = bytes.clone();
            input.extend_from_slice(tail);
            let Ok(Decoded::Packet(with_tail, consumed)) = decode(&input, &Limits::new()) else {
                panic!("{name}");
            };
            assert_eq!(consumed, bytes.len(), "{name}");
            assert_eq!(with_tail, packet(&bytes), "{name}");
        }
    }
}

/// Proves: [MQTT-6.0.0-2]
#[test]
fn a_stream_fed_in_pieces_of_any_size_gives_the_same_packets() {
    let stream: Vec<u8> = vectors().flat_map(|(_, bytes)| bytes).collect();
    for size in [1, 2, 3, 5, 7, 16, 61, 1_000, stream.len()] {
        let mut decoder = Decoder::new(Limits::new());
        let mut expected = vectors();
        for piece in stream.chunks(size) {
            decoder.feed(piece);
            while let Some(frame) = decoder.next_frame().unwrap() {
                let (name, bytes) = expected.next().unwrap();
                assert_eq!(frame.as_bytes(), &bytes, "{name}");
                assert_eq!(frame.packet().unwrap(), packet(&bytes), "{name}");
                assert_eq!(frame.packet_type(), packet(&bytes).packet_type(), "{name}");
                assert_eq!(frame.into_bytes(), bytes, "{name}");
            }
        }
        assert_eq!(expected.next(), None);
        assert_eq!(decoder.buffered(), 0);
    }
}

#[test]
fn the_decoder_keeps_refusing_what_it_refused() {
    let mut decoder = Decoder::new(Limits::new());
    decoder.feed(&[0xC0, 0x00, 0xC1]);
    assert!(decoder.next_frame().unwrap().is_some());
    let error = decoder.next_frame().unwrap_err();
    decoder.feed(&[0xC0, 0x00]);
    assert_eq!(decoder.next_frame().unwrap_err(), error);
}

#[test]
fn a_fault_in_the_body_shows_when_the_packet_is_asked_for() {
    let mut decoder = Decoder::new(Limits::new());
    decoder.feed(&[0x40, 0x02, 0x00, 0x00, 0xC0, 0x00]);
    let frame = decoder.next_frame().unwrap().unwrap();
    assert_eq!(frame.packet().unwrap_err().offset(), 2);
    assert!(decoder.next_frame().unwrap().is_some());
}

#[test]
fn limits_can_change_between_packets() {
    let mut decoder = Decoder::new(Limits::new().max_packet_size(2));
    decoder.feed(&[0xC0, 0x00, 0x40, 0x02]);
    assert!(decoder.next_frame().unwrap().is_some());
    let _ = decoder.next_frame().unwrap_err();
    decoder.set_limits(Limits::new().max_packet_size(4));
    assert_eq!(decoder.limits(), Limits::new().max_packet_size(4));
    assert!(decoder.next_frame().unwrap().is_none());
    decoder.feed(&[0x00, 0x01]);
    assert!(decoder.next_frame().unwrap().is_some());
}
