//! Bytes of any kind: they are read or refused, never with a panic, and the answer holds together.
//!
//! The first two bytes of the input set the Maximum Packet Size.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt_codec::{Decoded, Limits, Packet, decode};

fuzz_target!(|input: &[u8]| {
    let Some((limit, bytes)) = input.split_first_chunk::<2>() else { return };
    let limit = u32::from(u16::from_be_bytes(*limit));
    match decode(bytes, &Limits::new().max_packet_size(limit)) {
        Ok(Decoded::NeedMore(need)) => {
            assert!(need.packet_len().is_none_or(|len| len > bytes.len() && len <= limit as usize));
        }
        Ok(Decoded::Packet(packet, consumed)) => {
            assert!((2..=bytes.len()).contains(&consumed));
            assert!(consumed <= limit as usize);
            read_everything(&packet);
            // Nothing behind the packet has a say in it, and nothing less than it is one.
            assert_eq!(
                decode(&bytes[..consumed], &Limits::new()),
                Ok(Decoded::Packet(packet, consumed))
            );
            for cut in 0..consumed {
                assert!(matches!(decode(&bytes[..cut], &Limits::new()), Ok(Decoded::NeedMore(_))));
            }
        }
        Err(error) => {
            assert!(error.offset() <= bytes.len());
            assert!(error.reason_code().is_error());
            assert!(!error.to_string().is_empty());
        }
    }
});

/// Calls every accessor, most of them by way of `Debug`.
fn read_everything(packet: &Packet<'_>) {
    assert!(!format!("{packet:?}").is_empty());
    match packet {
        Packet::Subscribe(packet) => assert_eq!(packet.filters().count(), packet.len()),
        Packet::Unsubscribe(packet) => assert_eq!(packet.filters().count(), packet.len()),
        Packet::SubAck(packet) => assert_eq!(packet.reasons().count(), packet.reasons().len()),
        Packet::UnsubAck(packet) => assert_eq!(packet.reasons().count(), packet.reasons().len()),
        Packet::Publish(packet) => {
            let properties = packet.properties;
            assert_eq!(
                properties.subscription_ids().count() + properties.user_properties().count(),
                properties
                    .ids()
                    .filter(|id| {
                        use mqtt_codec::PropertyId::{SubscriptionIdentifier, UserProperty};
                        matches!(id, SubscriptionIdentifier | UserProperty)
                    })
                    .count()
            );
            if let Some(topic) = packet.topic {
                assert!(mqtt_codec::TopicName::new(topic.as_str()).is_ok());
            }
        }
        _ => {}
    }
}
