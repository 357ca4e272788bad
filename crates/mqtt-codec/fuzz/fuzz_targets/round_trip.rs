//! A packet that is read can be sent again and is the same packet; sent to a receiver with a small
//! Maximum Packet Size it keeps to that, or is not sent.
//!
//! The first two bytes of the input are that size.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt_codec::{Decoded, EncodeError, Limits, Packet, decode};

fuzz_target!(|input: &[u8]| {
    let Some((limit, bytes)) = input.split_first_chunk::<2>() else { return };
    let limit = u32::from(u16::from_be_bytes(*limit));
    let Ok(Decoded::Packet(packet, consumed)) = decode(bytes, &Limits::new()) else { return };

    let mut again = Vec::new();
    match packet.encode(&mut again, u32::MAX) {
        Ok(()) => {
            assert_eq!(decoded(&again), packet);
            // The shortest form; the same bytes if they had it.
            assert!(again.len() <= consumed);
            if again.len() == consumed {
                assert_eq!(again, &bytes[..consumed]);
            }
        }
        // The one packet that is accepted and never sent.
        Err(EncodeError::ReasonNotSent { .. }) => return,
        Err(error) => panic!("{error} for {packet:?}"),
    }

    let mut small = b"before".to_vec();
    match packet.encode(&mut small, limit) {
        Ok(()) => {
            let small = &small[6..];
            assert!(small.len() <= limit as usize);
            assert_eq!(decoded(small).packet_type(), packet.packet_type());
        }
        Err(error) => {
            assert!(matches!(error, EncodeError::TooLarge { size, .. } if size > limit.into()));
            assert_eq!(small, b"before");
        }
    }
});

fn decoded(bytes: &[u8]) -> Packet<'_> {
    match decode(bytes, &Limits::new()) {
        Ok(Decoded::Packet(packet, consumed)) => {
            assert_eq!(consumed, bytes.len());
            packet
        }
        other => panic!("{other:?}"),
    }
}
