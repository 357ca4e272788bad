//! Maximum Packet Size in both directions.

use mqtt_codec::{DisconnectReason, Packet, PubAckReason};
use mqtt_session::{BrokerEvent, PublishAnswer};
use mqtt_tests::Wire;
use mqtt_tests::scripted::{
    connect, framed, hex, properties, puback, publish, pubrec_with, subscribe,
};

/// Proves: [MQTT-3.1.2-24], [MQTT-3.1.2-25]
#[test]
fn a_message_too_large_for_one_client_is_dropped_for_that_client_alone() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let small = wire.connect(connect("small").packet_size(50).receive_maximum(1).expiry(100));
    let large = wire.connect(connect("large"));
    for peer in [small, large] {
        wire.send(peer, subscribe(1, "t").qos(2));
        wire.receive(peer);
    }
    // At every QoS the packet has 50 bytes with the first payload and 51 with the second.
    for (qos, overhead) in [(0, 6), (1, 8), (2, 8)] {
        wire.send(publisher, publish("t", vec![0; 50 - overhead]).qos(qos, 1));
        let frames = wire.receive_frames(small);
        assert_eq!(frames[0].as_bytes().len(), 50);
        let Packet::Publish(received) = frames[0].packet().unwrap() else { panic!() };
        if let Some(id) = received.qos.packet_id() {
            let answer = match qos {
                1 => puback(id.get()),
                _ => pubrec_with(id.get(), PubAckReason::QuotaExceeded),
            };
            wire.send(small, answer);
        }
        for id in 2..5 {
            wire.send(publisher, publish("t", vec![0; 51 - overhead]).qos(qos, id));
        }
        assert_eq!(wire.receive(small), [""; 0]);
        assert_eq!(wire.receive(large).len(), 4);
    }
    assert_eq!(wire.broker().statistics().dropped.too_large, 9);
    // It took no place of the Receive Maximum, and nothing is sent again.
    wire.send(publisher, publish("t", "x").qos1(9));
    assert_eq!(wire.receive(small), [r#"PUBLISH q1 id=1 "t" "x""#]);
    wire.cut(small);
    let small = wire.connect(connect("small").resume());
    assert_eq!(wire.receive(small), [r#"PUBLISH q1 id=1 dup "t" "x""#]);
}

#[test]
fn a_message_that_fits_only_without_a_topic_alias_is_sent_without() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").packet_size(50).alias_maximum(10));
    wire.send(a, subscribe(1, "#"));
    wire.receive(a);
    // 5 bytes of topic, 5 of framing; the alias would take 3 more.
    wire.send(a, publish("topic", vec![0; 40]));
    wire.send(a, publish("topic", vec![0; 37]));
    wire.send(a, publish("topic", vec![0; 41]));
    wire.send(a, publish("topic", vec![0; 43]));
    assert_eq!(
        wire.receive(a),
        [
            r#"PUBLISH q0 "topic" 40 bytes"#,
            r#"PUBLISH q0 "topic" 37 bytes {alias=1}"#,
            r#"PUBLISH q0 "" 41 bytes {alias=1}"#,
        ]
    );
    assert_eq!(wire.broker().statistics().dropped.too_large, 1);
}

/// Proves: [MQTT-3.1.2-24], [MQTT-3.1.2-25]
#[test]
fn a_retained_message_too_large_for_a_client_is_passed_over() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").packet_size(60));
    for topic in ["r/1", "r/2", "r/3"] {
        let size = if topic == "r/2" { 100 } else { 10 };
        wire.send(a, publish(topic, vec![b'x'; size]).retain());
    }
    wire.send(a, subscribe(1, "r/#").qos(1));
    assert_eq!(
        wire.receive(a),
        [
            "SUBACK id=1 [01]",
            r#"PUBLISH q0 retain "r/1" "xxxxxxxxxx""#,
            r#"PUBLISH q0 retain "r/3" "xxxxxxxxxx""#,
        ]
    );
}

/// Proves: [MQTT5-U-3.2.2.3.6-2], [MQTT-4.13.1-1]
#[test]
fn a_packet_above_the_brokers_own_maximum_is_refused_by_its_header() {
    let mut wire = Wire::configured(|config| config.limits.packet_size = 100);
    let a = wire.connect(connect("a"));
    wire.send(a, publish("t", vec![b'x'; 94]));
    assert_eq!(wire.cause(a), None, "100 bytes are taken");
    wire.send(a, hex("30 63"));
    assert_eq!(wire.receive(a), ["DISCONNECT 95 Packet too large", "closed"]);
    for header in ["32 ff ff ff 7f", "82 ff ff ff 7f", "62 ff ff 7f", "e0 ff 01"] {
        let a = wire.connect(connect("a"));
        wire.send(a, hex(header));
        assert_eq!(wire.receive(a), ["DISCONNECT 95 Packet too large", "closed"], "{header}");
    }
    // The default is the one that CONNACK tells: 4 MiB.
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    wire.send(a, framed(0x30, &[&[0, 1, b't', 0][..], &vec![0; 4 * 1024 * 1024 - 9]].concat()));
    assert_eq!(wire.cause(a), None);
    wire.send(a, hex("30 fd ff ff 01"));
    assert_eq!(wire.receive(a), ["DISCONNECT 95 Packet too large", "closed"]);
}

/// Proves: [MQTT-3.1.2-24], [MQTT-3.8.4-1]
#[test]
fn an_answer_that_a_client_cannot_take_ends_its_connection() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").packet_size(20));
    let mut script = subscribe(1, "t/0");
    for number in 1..15 {
        script = script.and(&format!("t/{number}"));
    }
    wire.send(a, script.clone());
    assert_eq!(wire.receive(a).len(), 1, "a SUBACK of 20 bytes");
    wire.send(a, script.and("t/15"));
    assert_eq!(wire.receive(a), ["DISCONNECT 95 Packet too large", "closed"]);
}

/// Proves: [MQTT-3.4.2-2], [MQTT-3.4.2-3], [MQTT-3.5.2-2], [MQTT-3.5.2-3], [MQTT-3.14.2-3],
/// [MQTT-3.14.2-4]
#[test]
fn what_explains_an_answer_is_left_out_where_it_does_not_fit() {
    let explained = || {
        properties(|p| {
            p.reason_string("not at this time of day").unwrap();
            p.user_property("try", "tomorrow").unwrap();
        })
    };
    for (size, expected) in [
        (100, r#" {reason_string="not at this time of day", "try"="tomorrow"}"#),
        (25, r#" {"try"="tomorrow"}"#),
        (19, ""),
    ] {
        let mut wire = Wire::configured(|config| config.decisions.publish = true);
        let a = wire.connect(connect("a").packet_size(size));
        for (qos, name) in [(1, "PUBACK"), (2, "PUBREC")] {
            wire.send(a, publish("t", "x").qos(qos, 1));
            let Some(BrokerEvent::Publish(request)) = wire.next_decision() else { panic!() };
            let reason = PubAckReason::QuotaExceeded;
            let answer = PublishAnswer::Deny { reason, properties: explained() };
            wire.call(|broker, now| broker.answer_publish(now, request, answer));
            assert_eq!(wire.receive(a), [format!("{name} id=1 97 Quota exceeded{expected}")]);
        }
        let id = wire.id(a);
        let reason = DisconnectReason::ServerBusy;
        wire.call(|broker, now| broker.disconnect(id, now, reason, &explained()));
        assert_eq!(
            wire.receive(a),
            [format!("DISCONNECT 89 Server busy{expected}"), "closed".into()]
        );
    }
}
