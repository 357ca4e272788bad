//! The samples of the chapter on the codec.

#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a sample shows one thing"
)]

use std::error::Error;

use mqtt_codec::{
    Decoded, Decoder, Limits, Packet, PacketId, PropertyBuf, Publish, PublishQos, TopicName, decode,
};

fn main() -> Result<(), Box<dyn Error>> {
    let bytes = encode_one()?;
    decode_one(&bytes)?;
    refuse()?;
    stream(&bytes)
}

// ANCHOR: encode
fn encode_one() -> Result<Vec<u8>, Box<dyn Error>> {
    let mut properties = PropertyBuf::new();
    properties.message_expiry_interval(60).user_property("room", "kitchen")?;
    let publish = Publish {
        qos: PublishQos::AtLeastOnce { id: PacketId::MIN, dup: false },
        retain: false,
        topic: Some(TopicName::new("sensor/7/temperature")?),
        properties: properties.as_properties(),
        payload: b"21.5",
    };
    let mut bytes = Vec::new();
    // The server said in its CONNACK that it takes packets of at most this size.
    publish.encode(&mut bytes, 64 * 1024)?;
    Ok(bytes)
}
// ANCHOR_END: encode

// ANCHOR: decode
fn decode_one(bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let limits = Limits::new().max_packet_size(64 * 1024);
    match decode(bytes, &limits)? {
        Decoded::Packet(Packet::Publish(publish), consumed) => {
            assert_eq!(consumed, bytes.len());
            assert_eq!(publish.payload, b"21.5");
            assert_eq!(publish.properties.message_expiry_interval(), Some(60));
            let user: Vec<_> = publish.properties.user_properties().collect();
            assert_eq!(user, [("room", "kitchen")]);
        }
        other => return Err(format!("not a PUBLISH: {other:?}").into()),
    }
    // Half a packet is no error: it needs more.
    assert!(matches!(decode(&bytes[..bytes.len() / 2], &limits)?, Decoded::NeedMore(_)));
    Ok(())
}
// ANCHOR_END: decode

// ANCHOR: refuse
fn refuse() -> Result<(), Box<dyn Error>> {
    // A PUBLISH whose topic has a wildcard.
    let bytes = b"\x30\x06\x00\x03a/#\x00";
    let Err(error) = decode(bytes, &Limits::new()) else {
        return Err("a wildcard was taken for a topic".into());
    };
    assert_eq!(u8::from(error.reason_code()), 0x81);
    assert_eq!(error.offset(), 6);
    println!("{error}");
    Ok(())
}
// ANCHOR_END: refuse

// ANCHOR: stream
fn stream(bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut decoder = Decoder::new(Limits::new());
    let mut seen = 0;
    for piece in bytes.chunks(3) {
        decoder.feed(piece);
        while let Some(frame) = decoder.next_frame()? {
            assert!(matches!(frame.packet()?, Packet::Publish(_)));
            seen += 1;
        }
    }
    assert_eq!(seen, 1);
    Ok(())
}
// ANCHOR_END: stream
