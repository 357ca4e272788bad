//! Input that means harm: large announcements, long lists, deep topics.

use core::num::NonZeroU16;
use std::thread;

use mqtt_codec::{
    Decoder, Limits, Packet, PacketId, PacketType, Properties, PropertyBuf, Publish, PublishQos,
    QoS, Subscribe, SubscriptionOptions, TopicFilter, TopicName, decode,
};

use crate::vectors::{encoded, packet};

#[test]
fn a_large_announcement_is_refused_before_its_body_whatever_the_packet() {
    let limits = Limits::new().max_packet_size(8 * 1024);
    for first in 0..=u8::MAX {
        let error = decode(&[first, 0xFF, 0xFF, 0xFF, 0x7F], &limits).unwrap_err();
        assert!(error.offset() <= 1, "{first:#04x}");
        assert!([0x81, 0x95].contains(&u8::from(error.reason_code())), "{first:#04x}");
    }
}

#[test]
fn a_stream_decoder_keeps_what_arrived_and_not_what_was_announced() {
    let mut decoder = Decoder::new(Limits::new());
    decoder.feed(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
    for arrived in 5..1_000 {
        assert_eq!(decoder.buffered(), arrived);
        assert_eq!(decoder.next_frame(), Ok(None));
        decoder.feed(&[0x00]);
    }
}

/// A decoder whose work grows with the square of the number of properties would not come back.
#[test]
fn a_million_user_properties_are_checked_in_one_pass() {
    let mut properties = Vec::new();
    for _ in 0..1_000_000 {
        properties.extend_from_slice(&[0x26, 0, 1, b'k', 0, 0]);
    }
    let properties = Properties::from_wire(&properties, PacketType::Publish).unwrap();
    let publish = Publish {
        qos: PublishQos::AtMostOnce,
        retain: false,
        topic: Some(TopicName::new("t").unwrap()),
        properties,
        payload: b"",
    };
    let bytes = encoded(&publish.into());
    let Packet::Publish(received) = packet(&bytes) else { panic!("a PUBLISH") };
    assert_eq!(received.properties.user_properties().count(), 1_000_000);
}

/// Work that grows with the square of the number of filters would not come back either.
#[test]
fn a_million_filters_are_checked_in_one_pass() {
    let filter = (TopicFilter::new("+/#").unwrap(), SubscriptionOptions::default());
    let filters = vec![filter; 1_000_000];
    let subscribe = Subscribe::new(PacketId::MIN, Properties::EMPTY, &filters).unwrap();
    let bytes = encoded(&subscribe.into());
    let Packet::Subscribe(received) = packet(&bytes) else { panic!("a SUBSCRIBE") };
    assert_eq!(received.len(), 1_000_000);
}

/// Proves: [MQTT-4.7.3-3]
#[test]
fn the_deepest_topic_is_read_and_matched_on_a_small_stack() {
    let deep = || {
        let name = "/".repeat(65_535);
        let filter = "+/".repeat(32_767) + "#";
        let topic = TopicName::new(&name).unwrap();
        assert_eq!(topic.levels().count(), 65_536);
        assert!(TopicFilter::new(&filter).unwrap().matches(topic));
        let publish = Publish {
            qos: PublishQos::AtMostOnce,
            retain: false,
            topic: Some(topic),
            properties: Properties::EMPTY,
            payload: b"",
        };
        let bytes = encoded(&publish.into());
        assert_eq!(packet(&bytes), publish.into());
    };
    thread::Builder::new().stack_size(64 * 1024).spawn(deep).unwrap().join().unwrap();
}

#[test]
fn fields_of_the_greatest_length_are_carried_whole() {
    let text = "x".repeat(65_535);
    let mut properties = PropertyBuf::new();
    properties.content_type(&text).unwrap().correlation_data(text.as_bytes()).unwrap();
    properties.user_property(&text, &text).unwrap().topic_alias(NonZeroU16::MAX);
    properties.response_topic(TopicName::new(&text).unwrap());
    let qos = PublishQos::ExactlyOnce { id: PacketId::MAX, dup: true };
    let topic = Some(TopicName::new(&text).unwrap());
    let properties = properties.as_properties();
    let publish = Publish { qos, retain: true, topic, properties, payload: text.as_bytes() };
    let bytes = encoded(&publish.into());
    assert_eq!(packet(&bytes), publish.into());

    let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() };
    let filters = [(TopicFilter::new(&text).unwrap(), options); 2];
    let subscribe = Subscribe::new(PacketId::MAX, Properties::EMPTY, &filters).unwrap();
    let bytes = encoded(&subscribe.into());
    assert_eq!(packet(&bytes), subscribe.into());
}

#[test]
fn packets_that_took_down_others_are_refused() {
    for (what, bytes, code) in [
        ("a topic length beyond the packet", &b"\x30\x07\xFF\xFFABCDE"[..], 0x81),
        ("a filter without its options", b"\x82\x07\x00\x01\x00\x00\x02ab", 0x81),
        ("a share name without a filter", b"\x82\x0F\x00\x01\x00\x00\x09$share/ab\x00", 0x82),
        ("a SUBACK without reason codes", b"\x90\x03\x00\x01\x00", 0x82),
        ("a Property Length of five bytes", b"\x30\x08\x00\x01t\xFF\xFF\xFF\xFF\x7F", 0x81),
        ("a topic of no length", b"\x30\x03\x00\x00\x00", 0x82),
        ("a DISCONNECT with half a property", b"\xE0\x03\x00\x01\x11", 0x81),
    ] {
        let error = decode(bytes, &Limits::new()).expect_err(what);
        assert_eq!(u8::from(error.reason_code()), code, "{what}");
    }
}
