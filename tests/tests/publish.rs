//! PUBLISH in both directions at every QoS, as long as the connection lasts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use mqtt_codec::{Packet, PayloadFormat, PubAckReason, QoS, TopicName};
use mqtt_tests::scripted::{
    connect, framed, hex, puback, puback_with, pubcomp, publish, pubrec, pubrec_with, pubrel,
    subscribe,
};
use mqtt_tests::{Peer, Wire};

/// A wire with a publisher, and a subscriber to "#" at QoS 2.
fn joined() -> (Wire, Peer, Peer) {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let subscriber = wire.connect(connect("subscriber"));
    wire.send(subscriber, subscribe(1, "#").qos(2));
    wire.receive(subscriber);
    wire.clear_transcript();
    (wire, publisher, subscriber)
}

/// Proves: [MQTT-3.3.4-1], [MQTT-4.3.1-1], [MQTT-3.3.1-2], [MQTT-2.2.1-2]
#[test]
fn a_qos_0_message_is_passed_on_and_not_answered() {
    let (mut wire, publisher, subscriber) = joined();
    wire.send(publisher, publish("t", "x"));
    assert_eq!(wire.receive(publisher), [""; 0]);
    assert_eq!(wire.receive(subscriber), [r#"PUBLISH q0 "t" "x""#]);
}

/// Proves: [MQTT-4.3.2-2], [MQTT-4.3.2-4], [MQTT-2.2.1-5], [MQTT-3.3.4-1], [MQTT-4.3.2-1],
/// [MQTT-2.2.1-4]
#[test]
fn a_qos_1_message_is_acknowledged_on_both_sides() {
    let (mut wire, publisher, subscriber) = joined();
    wire.send(publisher, publish("t", "x").qos1(7));
    wire.send(subscriber, puback(1));
    assert_eq!(wire.receive(publisher), ["PUBACK id=7"]);
    insta::assert_snapshot!(wire.transcript(), @r#"
    publisher -> PUBLISH q1 id=7 "t" "x"
    subscriber <- PUBLISH q1 id=1 "t" "x"
    publisher <- PUBACK id=7
    subscriber -> PUBACK id=1
    "#);
    assert_eq!(wire.broker().gauges().messages, 0);
}

/// Proves: [MQTT-4.3.3-2], [MQTT-4.3.3-4], [MQTT-4.3.3-8], [MQTT-4.3.3-11], [MQTT-2.2.1-5],
/// [MQTT-4.3.3-1], [MQTT-3.3.4-1]
#[test]
fn a_qos_2_message_goes_through_four_packets_on_both_sides() {
    let (mut wire, publisher, subscriber) = joined();
    wire.send(publisher, publish("t", "x").qos2(7));
    wire.send(publisher, pubrel(7));
    wire.send(subscriber, pubrec(1));
    wire.send(subscriber, pubcomp(1));
    insta::assert_snapshot!(wire.transcript(), @r#"
    publisher -> PUBLISH q2 id=7 "t" "x"
    subscriber <- PUBLISH q2 id=1 "t" "x"
    publisher <- PUBREC id=7
    publisher -> PUBREL id=7
    publisher <- PUBCOMP id=7
    subscriber -> PUBREC id=1
    subscriber <- PUBREL id=1
    subscriber -> PUBCOMP id=1
    "#);
    assert_eq!(wire.broker().gauges().messages, 0);
}

/// Proves: [MQTT-3.4.2-1], [MQTT-3.5.2-1]
#[test]
fn a_message_that_nobody_wants_is_acknowledged_with_0x10() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    wire.send_all(a, [publish("t", "x").qos1(1).into(), publish("t", "x").qos2(2).into()]);
    let answers =
        ["PUBACK id=1 10 No matching subscribers", "PUBREC id=2 10 No matching subscribers"];
    assert_eq!(wire.receive(a), answers);
    // The exchange goes on as after any other PUBREC below 0x80.
    wire.send_all(a, [publish("t", "x").qos2(2).dup().into(), pubrel(2)]);
    assert_eq!(wire.receive(a), ["PUBREC id=2", "PUBCOMP id=2"]);
}

/// Proves: [MQTT-3.8.4-8]
#[test]
fn nothing_is_sent_above_the_maximum_qos_of_the_broker_whoever_publishes_it() {
    for filter in ["t", "$share/g/t"] {
        let mut wire = Wire::configured(|config| config.maximum_qos = QoS::AtLeastOnce);
        let a = wire.connect(connect("a"));
        wire.send(a, subscribe(1, filter).qos(2));
        wire.call(|broker, now| {
            let topic = TopicName::new("t").unwrap();
            broker.publish(now, topic, "x".into(), QoS::ExactlyOnce, false);
        });
        assert_eq!(wire.receive(a), ["SUBACK id=1 [01]", r#"PUBLISH q1 id=1 "t" "x""#]);
    }
}

/// Proves: [MQTT-3.8.4-8], [MQTT-3.8.4-7]
#[test]
fn a_message_is_delivered_at_the_lower_of_its_qos_and_the_one_granted() {
    for published in 0..=2 {
        for granted in 0..=2 {
            let mut wire = Wire::new();
            let a = wire.connect(connect("a"));
            let b = wire.connect(connect("b"));
            wire.send(b, subscribe(1, "t").qos(granted));
            assert_eq!(wire.receive(b), [format!("SUBACK id=1 [0{granted}]")]);
            wire.send(a, publish("t", "x").qos(published, 9));
            let line = match published.min(granted) {
                0 => r#"PUBLISH q0 "t" "x""#,
                1 => r#"PUBLISH q1 id=1 "t" "x""#,
                _ => r#"PUBLISH q2 id=1 "t" "x""#,
            };
            assert_eq!(wire.receive(b), [line], "{published} to {granted}");
        }
    }
}

/// Proves: [MQTT-4.3.2-5]
#[test]
fn after_its_puback_a_qos_1_identifier_means_a_new_message_even_with_dup() {
    let (mut wire, publisher, subscriber) = joined();
    wire.send(publisher, publish("t", "1").qos1(7));
    wire.send(publisher, publish("t", "2").qos1(7).dup());
    assert_eq!(wire.receive(publisher), ["PUBACK id=7", "PUBACK id=7"]);
    assert_eq!(
        wire.receive(subscriber),
        [r#"PUBLISH q1 id=1 "t" "1""#, r#"PUBLISH q1 id=2 "t" "2""#]
    );
}

/// Proves: [MQTT-4.3.3-10], [MQTT-4.3.3-12]
#[test]
fn a_qos_2_identifier_means_the_same_message_until_pubrel_and_a_new_one_after_pubcomp() {
    let (mut wire, publisher, subscriber) = joined();
    wire.send(publisher, publish("t", "1").qos2(7));
    // Told by the identifier: neither DUP nor another payload makes a difference.
    wire.send(publisher, publish("t", "1").qos2(7).dup());
    wire.send(publisher, publish("u", "other").qos2(7));
    assert_eq!(wire.receive(publisher), ["PUBREC id=7"; 3]);
    assert_eq!(wire.receive(subscriber), [r#"PUBLISH q2 id=1 "t" "1""#]);
    wire.send(publisher, pubrel(7));
    wire.send(publisher, publish("t", "2").qos2(7).dup());
    assert_eq!(wire.receive(publisher), ["PUBCOMP id=7", "PUBREC id=7"]);
    assert_eq!(wire.receive(subscriber), [r#"PUBLISH q2 id=2 "t" "2""#]);
}

/// Proves: [MQTT-4.3.3-10], [MQTT-4.3.3-13]
#[test]
fn a_qos_2_message_that_comes_again_on_a_resumed_session_is_not_passed_on_again() {
    let (mut wire, _, subscriber) = joined();
    let a = wire.connect(connect("a").expiry(100));
    wire.send(a, publish("t", "x").qos2(7).expiry(1));
    wire.cut(a);
    wire.advance_secs(50);
    let a = wire.connect(connect("a").resume().expiry(100));
    wire.send(a, publish("t", "x").qos2(7).dup().expiry(1));
    wire.send(a, pubrel(7));
    assert_eq!(wire.receive(a), ["PUBREC id=7", "PUBCOMP id=7"]);
    assert_eq!(wire.receive(subscriber).len(), 1);
    // A new session has never seen it.
    wire.send(a, publish("t", "y").qos2(8));
    let a = wire.connect(connect("a"));
    wire.send(a, publish("t", "y").qos2(8).dup());
    assert_eq!(wire.receive(subscriber).len(), 2);
}

/// Proves: [MQTT-4.3.3-9], [MQTT-4.4.0-2]
#[test]
fn after_a_refusing_pubrec_the_identifier_means_a_new_message() {
    let (mut wire, publisher, subscriber) = joined();
    wire.send(publisher, publish("$SYS/x", "no").qos2(7));
    assert_eq!(wire.receive(publisher), ["PUBREC id=7 87 Not authorized"]);
    wire.send(publisher, publish("t", "yes").qos2(7));
    assert_eq!(wire.receive(publisher), ["PUBREC id=7"]);
    assert_eq!(wire.receive(subscriber), [r#"PUBLISH q2 id=1 "t" "yes""#]);
    wire.send(publisher, publish("$SYS/x", "no").qos2(8));
    wire.send(publisher, pubrel(8));
    assert_eq!(
        wire.receive(publisher),
        ["PUBREC id=8 87 Not authorized", "PUBCOMP id=8 92 Packet Identifier not found"]
    );
}

/// Proves: [MQTT-3.7.2-1], [MQTT-3.6.2-1], [MQTT-4.3.3-11]
#[test]
fn acknowledgements_of_unknown_identifiers_do_no_harm() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    wire.send_all(a, [puback(5), pubcomp(5), pubrel(5), pubrec(5)]);
    assert_eq!(
        wire.receive(a),
        [
            "PUBCOMP id=5 92 Packet Identifier not found",
            "PUBREL id=5 92 Packet Identifier not found"
        ]
    );
    // Refused is refused: that asks for no PUBREL.
    wire.send(a, pubrec_with(5, PubAckReason::QuotaExceeded));
    wire.send(a, puback_with(5, PubAckReason::QuotaExceeded));
    assert_eq!(wire.receive(a), [""; 0]);
    assert_eq!(wire.broker().statistics().unknown_acknowledgements, 6);
}

/// Proves: [MQTT-4.13.1-1]
#[test]
fn an_acknowledgement_of_another_kind_than_the_exchange_needs_is_a_protocol_error() {
    // The identifiers 1 and 2 are a QoS 1 and a QoS 2 message to the subscriber; 3 has its PUBREC.
    let cases: [(&str, Vec<u8>, bool); 8] = [
        ("PUBACK for QoS 2", puback(2), true),
        ("PUBREC for QoS 1", pubrec(1), true),
        ("PUBCOMP for QoS 1", pubcomp(1), true),
        ("PUBCOMP before PUBREC", pubcomp(2), true),
        ("PUBACK after PUBREC", puback(3), true),
        ("PUBREC again", pubrec(3), false),
        ("PUBACK", puback(1), false),
        ("PUBCOMP", pubcomp(3), false),
    ];
    for (what, packet, is_fault) in cases {
        let (mut wire, publisher, subscriber) = joined();
        wire.send(publisher, publish("t", "x").qos1(1));
        wire.send(publisher, publish("t", "y").qos2(2));
        wire.send(publisher, publish("t", "z").qos2(3));
        wire.send(subscriber, pubrec(3));
        wire.receive(subscriber);
        wire.send(subscriber, packet);
        let lines = wire.receive(subscriber);
        if is_fault {
            assert_eq!(lines, ["DISCONNECT 82 Protocol Error", "closed"], "{what}");
        } else {
            assert_eq!(wire.cause(subscriber), None, "{what}");
        }
        assert_eq!(wire.cause(publisher), None);
    }
}

/// Proves: [MQTT-4.3.3-4], [MQTT-4.4.0-2], [MQTT-4.3.3-5]
#[test]
fn a_pubrec_of_0x80_or_above_ends_the_exchange_without_pubrel() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").expiry(100).receive_maximum(1));
    wire.send(a, subscribe(1, "t").qos(2));
    wire.send_all(publisher, [publish("t", "1").qos2(1).into(), publish("t", "2").qos2(2).into()]);
    assert_eq!(wire.receive(a)[1..], [r#"PUBLISH q2 id=1 "t" "1""#]);
    wire.send(a, pubrec_with(1, PubAckReason::QuotaExceeded));
    // Its unit of the Receive Maximum and its identifier are free again.
    assert_eq!(wire.receive(a), [r#"PUBLISH q2 id=1 "t" "2""#]);
    wire.send(a, pubrec(1));
    assert_eq!(wire.receive(a), ["PUBREL id=1"]);
    wire.cut(a);
    let a = wire.connect(connect("a").resume());
    assert_eq!(wire.receive(a), ["PUBREL id=1"], "the refused one is not sent again");
    wire.send(a, pubcomp(1));
    assert_eq!(wire.broker().gauges().messages, 0);
}

/// Proves: [MQTT-4.4.0-2]
#[test]
fn a_puback_of_0x80_or_above_ends_the_exchange() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").expiry(100));
    wire.send(a, subscribe(1, "t").qos(1));
    wire.send(publisher, publish("t", "1").qos1(1));
    wire.send(a, puback_with(1, PubAckReason::UnspecifiedError));
    wire.cut(a);
    let a = wire.connect(connect("a").resume());
    assert_eq!(wire.receive(a), [""; 0]);
    assert_eq!(wire.broker().gauges().messages, 0);
}

/// Proves: [MQTT-2.2.1-4], [MQTT-4.3.2-3], [MQTT-4.3.3-3], [MQTT-4.3.3-5]
#[test]
fn identifiers_towards_a_client_are_in_use_until_the_exchange_is_over() {
    let (mut wire, publisher, subscriber) = joined();
    let ids = |wire: &mut Wire| -> Vec<u16> {
        let frames = wire.receive_frames(subscriber);
        frames
            .iter()
            .filter_map(|frame| {
                let Packet::Publish(publish) = frame.packet().unwrap() else { return None };
                publish.qos.packet_id().map(|id| id.get())
            })
            .collect()
    };
    for _ in 0..3 {
        wire.send(publisher, publish("t", "x").qos2(1));
        wire.send(publisher, pubrel(1));
    }
    assert_eq!(ids(&mut wire), [1, 2, 3]);
    wire.send(subscriber, pubrec(2));
    wire.send(publisher, publish("t", "x").qos1(1));
    assert_eq!(ids(&mut wire), [4], "2 waits for PUBCOMP and is in use");
    wire.send(subscriber, pubcomp(2));
    wire.send(publisher, publish("t", "x").qos1(1));
    assert_eq!(ids(&mut wire), [2]);
}

/// Proves: [MQTT-2.2.1-4]
#[test]
fn both_directions_may_use_the_same_identifier_at_once() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    wire.send(a, subscribe(1, "t").qos(2));
    wire.send(a, publish("t", "x").qos2(1));
    wire.send(a, pubrec(1));
    wire.send(a, pubrel(1));
    wire.send(a, pubcomp(1));
    assert_eq!(
        wire.receive(a),
        [
            "SUBACK id=1 [02]",
            "PUBREC id=1",
            r#"PUBLISH q2 id=1 "t" "x""#,
            "PUBREL id=1",
            "PUBCOMP id=1"
        ]
    );
}

/// Proves: [MQTT-3.3.1-3]
#[test]
fn the_dup_of_a_publisher_is_not_passed_on() {
    let (mut wire, publisher, subscriber) = joined();
    wire.send(publisher, publish("t", "x").qos1(1).dup());
    wire.send(publisher, publish("t", "y").qos2(2).dup());
    assert_eq!(
        wire.receive(subscriber),
        [r#"PUBLISH q1 id=1 "t" "x""#, r#"PUBLISH q2 id=2 "t" "y""#]
    );
}

/// Proves: [MQTT-3.3.2-4], [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-18],
/// [MQTT-3.3.2-20], [MQTT-3.3.2-1], [MQTT-3.3.2-13], [MQTT-3.3.2-19]
#[test]
fn a_message_is_passed_on_with_its_properties_as_they_came() {
    let (mut wire, publisher, subscriber) = joined();
    let script = publish("t", "x").alias(1).expiry(9).with(|p| {
        p.user_property("b", "2").unwrap();
        p.payload_format_indicator(PayloadFormat::Utf8);
        p.user_property("a", "1").unwrap();
        p.response_topic(TopicName::new("answers/7").unwrap());
        p.correlation_data(&[0, 0xFF, 0xED]).unwrap();
        p.content_type("text/\u{FEFF}plain").unwrap();
        p.user_property("b", "1").unwrap();
        p.user_property("", "").unwrap();
    });
    wire.send(publisher, script);
    assert_eq!(
        wire.receive(subscriber),
        [concat!(
            r#"PUBLISH q0 "t" "x" {expiry=9, "b"="2", payload_format=1, "a"="1", "#,
            r#"response_topic="answers/7", correlation_data=3 bytes, "#,
            r#"content_type="text/\u{feff}plain", "b"="1", ""=""}"#
        )]
    );
}

#[test]
fn payloads_of_every_size_arrive_as_they_were() {
    let (mut wire, publisher, subscriber) = joined();
    let sizes = [0, 1, 127, 128, 1000, 8191, 8192, 8193, 16_383, 16_384, 16_400, 65_536, 1_000_000];
    for (round, size) in (1..).zip(sizes) {
        let payload: Vec<u8> = (0..size).map(|at: usize| (at * 7 + size) as u8).collect();
        for qos in 0..=2 {
            wire.send(publisher, publish("t", &payload).qos(qos, round));
            let frames = wire.receive_frames(subscriber);
            let Packet::Publish(received) = frames[0].packet().unwrap() else { panic!() };
            assert_eq!(received.payload, payload, "{size} bytes at QoS {qos}");
            if qos == 1 {
                wire.send(subscriber, puback(received.qos.packet_id().unwrap().get()));
            }
            if let Some(id) = received.qos.packet_id().filter(|_| qos == 2) {
                wire.send_all(subscriber, [pubrec(id.get()), pubcomp(id.get())]);
                wire.send(publisher, pubrel(round));
                wire.receive(subscriber);
            }
        }
    }
    assert_eq!(wire.broker().gauges().messages, 0);
}

#[test]
fn a_payload_that_is_not_the_text_it_claims_to_be_is_passed_on() {
    let (mut wire, publisher, subscriber) = joined();
    let script = publish("t", [0xFF]).qos1(1);
    wire.send(publisher, script.with(|p| _ = p.payload_format_indicator(PayloadFormat::Utf8)));
    assert_eq!(wire.receive(publisher), ["PUBACK id=1"]);
    assert_eq!(wire.receive(subscriber), [r#"PUBLISH q1 id=1 "t" 1 bytes {payload_format=1}"#]);
}

#[test]
fn a_topic_that_is_too_long_or_too_deep_is_refused_and_the_connection_lives_on() {
    let (mut wire, publisher, subscriber) = joined();
    let longest = "a".repeat(1024);
    let deepest = "/".repeat(127);
    for topic in [&longest, &deepest] {
        wire.send(publisher, publish(topic, "x").qos1(1));
        assert_eq!(wire.receive(publisher), ["PUBACK id=1"]);
    }
    wire.receive(subscriber);
    let topics = ["a".repeat(1025), "/".repeat(128), "a/".repeat(32_767), "/".repeat(65_535)];
    for topic in &topics {
        wire.send(publisher, publish(topic, "x"));
        wire.send(publisher, publish(topic, "x").qos1(1));
        wire.send(publisher, publish(topic, "x").qos2(2).retain());
        assert_eq!(
            wire.receive(publisher),
            ["PUBACK id=1 90 Topic Name invalid", "PUBREC id=2 90 Topic Name invalid"]
        );
    }
    assert_eq!(wire.receive(subscriber), [""; 0]);
    assert_eq!(wire.broker().statistics().publishes_refused.total(), 12);
    assert_eq!(wire.broker().gauges().retained_messages, 0);
}

/// Proves: [MQTT-4.7.2-1]
#[test]
fn a_client_does_not_publish_to_the_names_the_broker_keeps_for_itself() {
    let (mut wire, publisher, subscriber) = joined();
    wire.send(subscriber, subscribe(2, "$SYS/#").and("$internal/x").qos(1));
    wire.receive(subscriber);
    for topic in ["$SYS/broker/uptime", "$share/g/t", "$internal/x", "$"] {
        wire.send(publisher, publish(topic, "x"));
        wire.send(publisher, publish(topic, "x").qos1(1).retain());
        wire.send(publisher, publish(topic, "x").qos2(2));
        assert_eq!(
            wire.receive(publisher),
            ["PUBACK id=1 87 Not authorized", "PUBREC id=2 87 Not authorized"]
        );
    }
    assert_eq!(wire.receive(subscriber), [""; 0]);
    assert_eq!(wire.broker().statistics().publishes_refused.total(), 12);
}

#[test]
fn a_qos_1_message_with_an_identifier_of_an_open_qos_2_exchange_is_refused() {
    let (mut wire, publisher, subscriber) = joined();
    wire.send(publisher, publish("t", "x").qos2(7));
    wire.send(publisher, publish("t", "y").qos1(7));
    assert_eq!(wire.receive(publisher), ["PUBREC id=7", "PUBACK id=7 91 Packet Identifier in use"]);
    assert_eq!(wire.receive(subscriber).len(), 1);
}

#[test]
fn a_pubrec_that_comes_twice_is_answered_twice() {
    let (mut wire, publisher, subscriber) = joined();
    wire.send(publisher, publish("t", "x").qos2(7));
    wire.send_all(subscriber, [pubrec(1), pubrec(1), pubcomp(1)]);
    assert_eq!(wire.receive(subscriber)[1..], ["PUBREL id=1", "PUBREL id=1"]);
    wire.send(publisher, pubrel(7));
    wire.send(publisher, pubrel(7));
    assert_eq!(
        wire.receive(publisher)[1..],
        ["PUBCOMP id=7", "PUBCOMP id=7 92 Packet Identifier not found"]
    );
}

#[test]
fn acknowledgements_in_their_short_and_long_forms_mean_the_same() {
    let (mut wire, publisher, subscriber) = joined();
    for _ in 0..3 {
        wire.send(publisher, publish("t", "x").qos1(1));
    }
    wire.receive(subscriber);
    wire.send(subscriber, hex("40 02 0001"));
    wire.send(subscriber, hex("40 03 0002 00"));
    wire.send(subscriber, framed(0x40, &hex("0003 00 0a 1f 0002 6f6b 26 0000 0000")));
    assert_eq!(wire.cause(subscriber), None);
    assert_eq!(wire.broker().gauges().messages, 0);
    assert_eq!(wire.broker().statistics().unknown_acknowledgements, 0);
}

/// Proves: [MQTT-3.12.4-1]
#[test]
fn a_ping_is_answered() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    wire.send(a, hex("c0 00 c0 00"));
    assert_eq!(wire.receive(a), ["PINGRESP", "PINGRESP"]);
}

/// Proves: [MQTT-2.2.2-1], [MQTT-1.5.5-1]
#[test]
fn a_packet_without_properties_says_so_with_a_length_of_0() {
    let (mut wire, publisher, subscriber) = joined();
    let before = wire.bytes(subscriber).len();
    wire.send(publisher, publish("t", "x"));
    wire.send(publisher, publish("t", vec![0; 124]));
    let sent = &wire.bytes(subscriber)[before..];
    assert_eq!(sent[..7], hex("30 05 0001 74 00 78"));
    assert_eq!(sent[7..14], hex("30 80 01 0001 74 00"), "and the length is as short as it can be");
}

/// Proves: [MQTT-2.2.1-4], [MQTT-4.3.2-1]
#[test]
fn an_identifier_that_is_never_acknowledged_is_never_used_again() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").receive_maximum(2));
    wire.send(a, subscribe(1, "t").qos(1));
    wire.send(a, publish("t", "held").qos1(1));
    assert_eq!(wire.receive(a).last().unwrap(), r#"PUBLISH q1 id=1 "t" "held""#);
    for _ in 0..66_000 {
        wire.send(a, publish("t", "x").qos1(1));
        let frames = wire.receive_frames(a);
        let Packet::Publish(publish) = frames.last().unwrap().packet().unwrap() else { panic!() };
        let id = publish.qos.packet_id().unwrap().get();
        assert_ne!(id, 1);
        wire.send(a, puback(id));
    }
}
