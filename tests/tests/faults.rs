//! What a client does wrong ends its own connection with the code that the standard has for it,
//! and disturbs nobody and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use mqtt_codec::QoS;
use mqtt_session::BrokerConfig;
use mqtt_tests::Wire;
use mqtt_tests::scripted::{connect, framed, hex, publish, subscribe, will};

const MALFORMED: &str = "DISCONNECT 81 Malformed Packet";
const PROTOCOL_ERROR: &str = "DISCONNECT 82 Protocol Error";

/// Sends a packet that must not come, on a connection that was in order, and checks that all else
/// goes on: another client's messages, the offender's own session, and its will.
fn offend(what: &str, configure: impl FnOnce(&mut BrokerConfig), bytes: &[u8], answer: &str) {
    let mut wire = Wire::configured(configure);
    let watcher = wire.connect(connect("watcher").expiry(100));
    wire.send(watcher, subscribe(1, "t").and("w").qos(1));
    let script = || connect("offender").expiry(100);
    let offender = wire.connect(script().will(will("w", "offended")));
    wire.send(offender, subscribe(1, "t").qos(1));
    wire.receive(offender);
    let faults = wire.broker().statistics().protocol_faults;
    // What stands before the fault in the same segment counts, and what stands behind it doesn't.
    let before = Vec::from(publish("t", "before"));
    let behind = Vec::from(publish("t", "behind"));
    wire.send_all(offender, [before, bytes.to_vec(), behind]);
    // The message before the fault is handed out to its own publisher only if it still can be.
    let lines = wire.receive(offender);
    assert_eq!(lines[lines.len() - 2..], [answer, "closed"], "{what}");
    assert!(lines[..lines.len() - 2].iter().all(|line| line.starts_with("PUBLISH")), "{what}");
    assert_eq!(
        wire.receive(watcher),
        ["SUBACK id=1 [00 01]", r#"PUBLISH q0 "t" "before""#, r#"PUBLISH q0 "w" "offended""#],
        "{what}"
    );
    assert_eq!(wire.broker().statistics().protocol_faults, faults + 1, "{what}");
    let offender = wire.connect(script().resume());
    assert!(wire.session_present(offender), "{what}");
    wire.send(watcher, publish("t", "on it goes").qos1(1));
    assert_eq!(wire.receive(offender), [r#"PUBLISH q1 id=1 "t" "on it goes""#], "{what}");
}

fn offend_each(answer: &str, cases: &[(&str, &str)]) {
    for (what, bytes) in cases {
        offend(what, |_| {}, &hex(bytes), answer);
    }
}

/// Proves: [MQTT-2.1.3-1], [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1], [MQTT-3.14.1-1],
/// [MQTT-3.15.1-1], [MQTT5-U-2.1.3-1], [MQTT5-U-3.3.1.2-1], [MQTT-3.3.1-2], [MQTT-3.3.1-4],
/// [MQTT-4.13.1-1]
#[test]
fn a_fixed_header_with_other_flags_is_malformed() {
    offend_each(
        MALFORMED,
        &[
            ("packet type 0", "00 00"),
            ("PUBLISH of QoS 3", "36 06 0001 74 0001 00"),
            ("PUBLISH of QoS 0 with DUP", "38 04 0001 74 00"),
            ("PUBACK with flags", "41 02 0001"),
            ("PUBREC with flags", "52 02 0001"),
            ("PUBREL without its flag", "60 02 0001"),
            ("PUBREL with another flag", "61 02 0001"),
            ("PUBREL with one flag more", "63 02 0001"),
            ("PUBCOMP with flags", "78 02 0001"),
            ("SUBSCRIBE without its flag", "80 07 0001 00 0001 74 00"),
            ("SUBSCRIBE with one flag more", "83 07 0001 00 0001 74 00"),
            ("UNSUBSCRIBE without its flag", "a0 06 0001 00 0001 74"),
            ("UNSUBSCRIBE with one flag more", "aa 06 0001 00 0001 74"),
            ("PINGREQ with flags", "c1 00"),
            ("DISCONNECT with flags", "e1 00"),
            ("AUTH with flags", "f1 00"),
            ("CONNECT with flags", "11 00"),
            ("CONNACK with flags", "24 00"),
        ],
    );
}

/// Proves: [MQTT-1.5.5-1], [MQTT-4.13.1-1]
#[test]
fn a_length_that_is_not_written_as_it_has_to_be_is_malformed() {
    offend_each(
        MALFORMED,
        &[
            ("a Remaining Length in more bytes than needed", "c0 80 00"),
            ("a Remaining Length of five bytes", "30 ff ff ff ff 7f"),
            ("a Property Length in more bytes than needed", "30 05 0001 74 80 00"),
            ("a Property Length of five bytes", "30 08 0001 74 ff ff ff ff 7f"),
            ("a Property Length beyond the end", "30 04 0001 74 05"),
            (
                "a Subscription Identifier in more bytes than needed",
                "82 0a 0001 03 0b 81 00 0001 74 00",
            ),
            (
                "a Subscription Identifier of five bytes",
                "82 0d 0001 06 0b 80 80 80 80 01 0001 74 00",
            ),
            ("PINGREQ with a body", "c0 01 00"),
            ("a topic beyond the end", "30 07 ffff 41 42 43 44 45"),
            ("PUBLISH without a topic length", "30 00"),
            ("PUBLISH with half a topic length", "30 01 00"),
            ("PUBLISH with a topic that is cut off", "30 02 00 05"),
            ("PUBLISH of QoS 1 without room for an identifier", "32 04 0001 74 00"),
            ("PUBACK without an identifier", "40 01 00"),
            ("PUBACK with bytes behind it", "40 05 0001 00 00 00"),
            ("SUBSCRIBE that ends before its options", "82 06 0001 00 0001 74"),
            ("UNSUBSCRIBE with a filter that is cut off", "a2 06 0001 00 0002 74"),
            ("DISCONNECT with bytes behind it", "e0 03 00 00 00"),
        ],
    );
}

/// Proves: [MQTT-1.5.4-1], [MQTT-1.5.4-2], [MQTT-1.5.7-1], [MQTT-4.7.3-2], [MQTT5-U-1.5.4-1],
/// [MQTT5-U-1.5.4-2], [MQTT5-U-1.5.7-1], [MQTT-3.3.2-1], [MQTT-3.8.3-1], [MQTT-3.10.3-1]
#[test]
fn text_that_is_not_text_is_malformed() {
    offend_each(
        MALFORMED,
        &[
            ("U+0000 in a topic", "30 06 0003 61 00 62 00"),
            ("a surrogate in a topic", "30 06 0003 ed a0 80 00"),
            ("an over-long form in a topic", "30 05 0002 c0 af 00"),
            ("a byte that begins nothing in a topic", "30 04 0001 ff 00"),
            ("a character that is cut off in a topic", "30 05 0002 e2 98 00"),
            ("a code point above the last in a topic", "30 07 0004 f4 90 80 80 00"),
            ("a control character in a topic", "30 04 0001 07 00"),
            ("a non-character in a topic", "30 06 0003 ef bf bf 00"),
            ("U+0000 in a filter", "82 09 0001 00 0003 61 00 62 00"),
            ("ill-formed text in a filter", "82 07 0001 00 0001 ff 00"),
            ("ill-formed text in a filter to unsubscribe", "a2 06 0001 00 0001 ff"),
            ("ill-formed text in the name of a User Property", "30 0a 0001 74 06 26 0001 ff 0000"),
            ("U+0000 in the value of a User Property", "30 0a 0001 74 06 26 0000 0001 00"),
            ("ill-formed text as Content Type", "30 08 0001 74 04 03 0001 ff"),
            ("ill-formed text as Response Topic", "30 08 0001 74 04 08 0001 ff"),
            ("ill-formed text as Reason String", "40 08 0001 00 04 1f 0001 ff"),
        ],
    );
}

/// Proves: [MQTT-3.3.2-2], [MQTT-4.7.0-1], [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1]
#[test]
fn a_topic_or_filter_that_can_not_be_one_is_malformed() {
    let subscribe = |filter: &str| {
        let mut body = hex("0001 00");
        body.extend(u16::try_from(filter.len()).unwrap().to_be_bytes());
        body.extend_from_slice(filter.as_bytes());
        body.push(0);
        framed(0x82, &body)
    };
    for filter in ["", "a#", "a/#/b", "#/", "##", "a/b#", "a+", "+a", "a/b+/c", "++", "a/+b"] {
        offend(&format!("the filter {filter:?}"), |_| {}, &subscribe(filter), MALFORMED);
    }
    for filter in ["$share/g/a#", "$share/g/a+/b"] {
        offend(&format!("the filter {filter:?}"), |_| {}, &subscribe(filter), MALFORMED);
    }
    let publish = |topic: &str| {
        let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
        body.extend_from_slice(topic.as_bytes());
        body.push(0);
        framed(0x30, &body)
    };
    for topic in ["#", "+", "a/#", "a/+/b", "a+", "a#b"] {
        offend(&format!("the topic {topic:?}"), |_| {}, &publish(topic), MALFORMED);
    }
    // A filter to unsubscribe obeys the same rules.
    offend("UNSUBSCRIBE from a#", |_| {}, &hex("a2 07 0001 00 0002 6123"), MALFORMED);
}

/// Proves: [MQTT-4.8.2-1], [MQTT-4.8.2-2], [MQTT-3.8.3-4]
#[test]
fn a_shared_filter_without_a_name_or_a_filter_is_a_protocol_error() {
    let subscribe = |filter: &str, options: u8| {
        let mut body = hex("0001 00");
        body.extend(u16::try_from(filter.len()).unwrap().to_be_bytes());
        body.extend_from_slice(filter.as_bytes());
        body.push(options);
        framed(0x82, &body)
    };
    for filter in [
        "$share",
        "$share/",
        "$share/g",
        "$share//t",
        "$share/g/",
        "$share/+/t",
        "$share/#/t",
        "$share/g+/t",
        "$share/g#/t",
    ] {
        offend(&format!("{filter:?}"), |_| {}, &subscribe(filter, 0), PROTOCOL_ERROR);
    }
    offend("No Local", |_| {}, &subscribe("$share/g/t", 0x04), PROTOCOL_ERROR);
}

/// Proves: [MQTT5-U-2.2.2.2-1]
#[test]
fn a_property_that_has_no_place_in_its_packet_is_malformed() {
    offend_each(
        MALFORMED,
        &[
            ("one that nobody knows, in PUBLISH", "30 06 0001 74 02 7f 00"),
            ("one that nobody knows, in PUBACK", "40 06 0001 00 02 2b 00"),
            ("Session Expiry Interval in PUBLISH", "30 09 0001 74 05 11 00000001"),
            ("Topic Alias in SUBSCRIBE", "82 0a 0001 03 23 0001 0001 74 00"),
            ("Subscription Identifier in UNSUBSCRIBE", "a2 08 0001 02 0b 01 0001 74"),
            ("Content Type in PUBREL", "62 08 0001 00 04 03 0001 61"),
            ("Receive Maximum in DISCONNECT", "e0 05 00 03 21 0001"),
            ("one that is cut off", "30 07 0001 74 03 02 0000"),
        ],
    );
}

/// Proves: [MQTT5-U-3.3.2.3.4-1], [MQTT5-U-3.3.2.3.5-1], [MQTT5-U-3.3.2.3.6-1],
/// [MQTT5-U-3.3.2.3.9-1], [MQTT5-U-3.8.2.1.2-1], [MQTT5-U-3.8.3-1], [MQTT5-U-3.8.3.1-1],
/// [MQTT5-U-3.10.3-1], [MQTT5-U-3.14.2.2.2-1], [MQTT5-U-3.15.2.2.2-1], [MQTT5-U-3.15.2.2.3-1],
/// [MQTT-3.3.4-6], [MQTT-3.3.2-14], [MQTT-3.8.3-2], [MQTT-3.10.3-2], [MQTT-2.2.1-3],
/// [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1], [MQTT-3.14.2-1],
/// [MQTT-3.15.2-1], [MQTT5-U-3.15-1]
#[test]
fn a_packet_that_can_be_read_and_is_not_allowed_is_a_protocol_error() {
    offend_each(
        PROTOCOL_ERROR,
        &[
            ("Payload Format Indicator twice", "30 08 0001 74 04 01 00 01 00"),
            ("Payload Format Indicator 2", "30 06 0001 74 02 01 02"),
            ("Message Expiry Interval twice", "30 0e 0001 74 0a 02 00000001 02 00000001"),
            ("Content Type twice", "30 0c 0001 74 08 03 0001 61 03 0001 61"),
            ("Response Topic twice", "30 0c 0001 74 08 08 0001 61 08 0001 61"),
            ("Response Topic with a wildcard", "30 08 0001 74 04 08 0001 23"),
            ("Correlation Data twice", "30 0c 0001 74 08 09 0001 61 09 0001 61"),
            ("Topic Alias twice", "30 0a 0001 74 06 23 0001 23 0001"),
            ("Subscription Identifier from a client", "30 06 0001 74 02 0b 01"),
            ("PUBLISH with identifier 0", "32 06 0001 74 0000 00"),
            ("PUBACK with identifier 0", "40 02 0000"),
            ("PUBREC with identifier 0", "50 02 0000"),
            ("PUBREL with identifier 0", "62 02 0000"),
            ("PUBCOMP with identifier 0", "70 02 0000"),
            ("SUBSCRIBE with identifier 0", "82 07 0000 00 0001 74 00"),
            ("UNSUBSCRIBE with identifier 0", "a2 06 0000 00 0001 74"),
            ("SUBSCRIBE without a filter", "82 03 0001 00"),
            ("UNSUBSCRIBE without a filter", "a2 03 0001 00"),
            ("a subscription of QoS 3", "82 07 0001 00 0001 74 03"),
            ("Retain Handling 3", "82 07 0001 00 0001 74 30"),
            ("Subscription Identifier 0", "82 09 0001 02 0b 00 0001 74 00"),
            ("Subscription Identifier twice", "82 0b 0001 04 0b 01 0b 02 0001 74 00"),
            ("PUBACK with a reason of SUBACK", "40 03 0001 01"),
            ("PUBREC with a reason of PUBREL", "50 03 0001 92"),
            ("PUBREL with a reason of PUBACK", "62 03 0001 10"),
            ("PUBCOMP with a reason that nobody knows", "70 03 0001 7f"),
            ("Reason String twice", "40 0a 0001 00 06 1f 0000 1f 0000"),
            ("DISCONNECT with a reason that nobody knows", "e0 01 7f"),
            ("DISCONNECT with a reason of PUBACK", "e0 01 10"),
            ("Session Expiry Interval twice in DISCONNECT", "e0 0c 00 0a 11 00000001 11 00000001"),
            ("a second CONNECT", "10 0e 0004 4d515454 05 02 003c 00 0001 61"),
            ("AUTH", "f0 00"),
            ("AUTH with a method", "f0 06 18 04 15 0001 61"),
            ("AUTH without a method", "f0 06 18 04 16 0001 61"),
            ("AUTH with two methods", "f0 0a 18 08 15 0001 61 15 0001 61"),
            ("AUTH with data twice", "f0 0e 18 0c 15 0001 61 16 0001 61 16 0001 61"),
            ("AUTH with a reason of another packet", "f0 06 01 04 15 0001 61"),
        ],
    );
    offend_each(MALFORMED, &[("reserved Subscription Options", "82 07 0001 00 0001 74 40")]);
}

/// Proves: [MQTT-3.8.3-5]
#[test]
fn reserved_subscription_options_are_malformed() {
    for options in ["40", "80", "c0", "c2"] {
        offend(options, |_| {}, &hex(&format!("82 07 0001 00 0001 74 {options}")), MALFORMED);
    }
}

/// Proves: [MQTT-4.13.1-1]
#[test]
fn what_only_a_server_sends_is_a_protocol_error() {
    offend_each(
        PROTOCOL_ERROR,
        &[
            ("CONNACK", "20 03 00 00 00"),
            ("CONNACK that refuses", "20 03 00 87 00"),
            ("CONNACK with Session Present", "20 03 01 00 00"),
            ("SUBACK", "90 04 0001 00 00"),
            ("UNSUBACK", "b0 04 0001 00 00"),
            ("PINGRESP", "d0 00"),
            ("DISCONNECT with a Server Reference", "e0 06 9c 04 1c 0001 61"),
        ],
    );
}

/// Proves: [MQTT5-U-3.2.2.3.4-2], [MQTT5-U-3.2.2.3.5-2], [MQTT5-U-3.2.2.3.11-2],
/// [MQTT5-U-3.2.2.3.12-2], [MQTT5-U-3.2.2.3.13-2]
#[test]
fn what_connack_said_is_not_offered_must_not_be_used() {
    type Configure = fn(&mut BrokerConfig);
    let cases: [(&str, Configure, Vec<u8>, &str); 7] = [
        (
            "QoS 2 where QoS 1 is the maximum",
            |config| config.maximum_qos = QoS::AtLeastOnce,
            publish("t", "x").qos2(1).into(),
            "DISCONNECT 9B QoS not supported",
        ),
        (
            "QoS 2 where QoS 1 is the maximum, though the topic is refused anyway",
            |config| config.maximum_qos = QoS::AtLeastOnce,
            publish("$SYS/x", "x").qos2(1).into(),
            "DISCONNECT 9B QoS not supported",
        ),
        (
            "RETAIN",
            |config| config.retain_available = false,
            publish("t", "x").retain().into(),
            "DISCONNECT 9A Retain not supported",
        ),
        (
            "a wildcard",
            |config| config.wildcard_subscription_available = false,
            subscribe(2, "u").and("+/v").into(),
            "DISCONNECT A2 Wildcard Subscriptions not supported",
        ),
        (
            "a wildcard of a group",
            |config| config.wildcard_subscription_available = false,
            subscribe(2, "$share/g/#").into(),
            "DISCONNECT A2 Wildcard Subscriptions not supported",
        ),
        (
            "a Subscription Identifier",
            |config| config.subscription_id_available = false,
            subscribe(2, "u").subscription_id(1).into(),
            "DISCONNECT A1 Subscription Identifiers not supported",
        ),
        (
            "a Shared Subscription",
            |config| config.shared_subscription_available = false,
            subscribe(2, "u").and("$share/g/u").into(),
            "DISCONNECT 9E Shared Subscriptions not supported",
        ),
    ];
    for (what, configure, packet, answer) in cases {
        offend(what, configure, &packet, answer);
    }
}

#[test]
fn a_packet_that_breaks_off_anywhere_does_nothing() {
    let packets: [Vec<u8>; 7] = [
        publish("t", "x").qos2(1).retain().expiry(9).into(),
        subscribe(2, "u/+").qos(1).subscription_id(7).into(),
        mqtt_tests::scripted::unsubscribe(3, &["t"]),
        mqtt_tests::scripted::pubrel(4),
        mqtt_tests::scripted::pubrec(5),
        framed(0x40, &hex("0003 00 09 1f 0002 6f6b 26 0000 0000")[..14]),
        mqtt_tests::scripted::disconnect_with(
            mqtt_codec::DisconnectReason::UnspecifiedError,
            |p| _ = p.session_expiry_interval(0),
        ),
    ];
    for packet in packets {
        for len in 1..packet.len() {
            let mut wire = Wire::new();
            let a = wire.connect(connect("a").expiry(100));
            wire.send(a, subscribe(1, "t"));
            wire.receive(a);
            wire.send(a, &packet[..len]);
            assert_eq!(wire.receive(a), [""; 0], "{len} bytes of {packet:02x?}");
            wire.cut(a);
            let gauges = wire.broker().gauges();
            let left = (gauges.subscriptions, gauges.retained_messages, gauges.messages);
            assert_eq!(left, (1, 0, 0), "{len} bytes of {packet:02x?}");
            assert_eq!(gauges.sessions, 1);
        }
    }
}

/// Proves: [MQTT5-U-3.2.2.3.6-2], [MQTT-4.13.1-1]
#[test]
fn a_packet_of_256_mib_is_refused_by_its_header_whatever_its_first_byte() {
    for first in 0..=u8::MAX {
        let mut wire = Wire::new();
        let a = wire.connect(connect("a"));
        wire.send(a, [first, 0xFF, 0xFF, 0xFF, 0x7F]);
        let lines = wire.receive(a);
        assert_eq!(lines.len(), 2, "first byte {first:02x}: {lines:?}");
        assert_eq!(lines[1], "closed");
        let is_too_large = lines[0] == "DISCONNECT 95 Packet too large";
        assert!(is_too_large || lines[0] == MALFORMED, "first byte {first:02x}: {lines:?}");
    }
}
