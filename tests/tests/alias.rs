//! Topic aliases in both directions.

use mqtt_tests::Wire;
use mqtt_tests::scripted::{connect, hex, puback, publish, subscribe};

/// Proves: [MQTT-3.3.2-12]
#[test]
fn every_alias_up_to_the_announced_maximum_is_taken() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    let b = wire.connect(connect("b"));
    wire.send(b, subscribe(1, "#"));
    wire.receive(b);
    for alias in 1..=16 {
        wire.send(a, publish(&format!("topic/{alias}"), "set").alias(alias));
    }
    assert_eq!(wire.receive(b).len(), 16);
    for alias in (1..=16).rev() {
        wire.send(a, publish("", "used").alias(alias));
        assert_eq!(wire.receive(b), [format!(r#"PUBLISH q0 "topic/{alias}" "used""#)]);
    }
}

#[test]
fn a_topic_that_comes_with_an_alias_replaces_the_one_it_stood_for() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    wire.send(a, subscribe(1, "#"));
    wire.receive(a);
    for script in [
        publish("first", "1").alias(3),
        publish("", "2").alias(3),
        publish("second", "3").alias(3),
        publish("first", "4"),
        publish("", "5").alias(3),
    ] {
        wire.send(a, script);
    }
    assert_eq!(
        wire.receive(a),
        [
            r#"PUBLISH q0 "first" "1""#,
            r#"PUBLISH q0 "first" "2""#,
            r#"PUBLISH q0 "second" "3""#,
            r#"PUBLISH q0 "first" "4""#,
            r#"PUBLISH q0 "second" "5""#,
        ]
    );
}

/// Proves: [MQTT5-U-3.3.4-1], [MQTT5-U-3.3.4-2], [MQTT5-U-3.3.2.1-1], [MQTT5-U-3.3.2.3.4-1]
#[test]
fn an_alias_that_cannot_be_used_ends_the_connection() {
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("0", hex("30 07 0001 74 03 23 0000"), "DISCONNECT 94 Topic Alias invalid"),
        (
            "above the maximum",
            publish("t", "").alias(17).into(),
            "DISCONNECT 94 Topic Alias invalid",
        ),
        ("far above", publish("t", "").alias(65_535).into(), "DISCONNECT 94 Topic Alias invalid"),
        ("never set", publish("", "").alias(1).into(), "DISCONNECT 82 Protocol Error"),
        ("neither topic nor alias", hex("30 03 0000 00"), "DISCONNECT 82 Protocol Error"),
        ("twice", hex("30 0a 0001 74 06 23 0001 23 0001"), "DISCONNECT 82 Protocol Error"),
    ];
    for (what, packet, answer) in cases {
        let mut wire = Wire::new();
        let a = wire.connect(connect("a"));
        wire.send(a, packet);
        assert_eq!(wire.receive(a), [answer, "closed"], "{what}");
    }
    let mut wire = Wire::configured(|config| config.limits.topic_alias_maximum = 0);
    let a = wire.connect(connect("a"));
    wire.send(a, publish("t", "").alias(1));
    assert_eq!(wire.receive(a), ["DISCONNECT 94 Topic Alias invalid", "closed"]);
}

/// Proves: [MQTT-3.3.2-7]
#[test]
fn an_alias_means_nothing_on_another_connection() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").expiry(100));
    wire.send(a, publish("topic", "x").alias(1));
    let other = wire.connect(connect("other"));
    wire.send(other, publish("", "x").alias(1));
    assert_eq!(wire.receive(other), ["DISCONNECT 82 Protocol Error", "closed"]);
    let a = wire.connect(connect("a").resume().expiry(100));
    wire.send(a, publish("", "x").alias(1));
    assert_eq!(wire.receive(a), ["DISCONNECT 82 Protocol Error", "closed"]);
}

#[test]
fn an_alias_is_set_even_by_a_message_that_is_refused() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    wire.send(a, publish("$SYS/x", "x").qos1(1).alias(1));
    wire.send(a, publish("", "x").qos1(2).alias(1));
    assert_eq!(wire.receive(a), ["PUBACK id=1 87 Not authorized", "PUBACK id=2 87 Not authorized"]);
}

/// Proves: [MQTT-3.1.2-26], [MQTT-3.3.2-8], [MQTT-3.3.2-11]
#[test]
fn a_client_is_sent_aliases_up_to_its_own_maximum() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").alias_maximum(2));
    wire.send(a, subscribe(1, "#"));
    wire.receive(a);
    for round in ["1", "2"] {
        for topic in ["topic/1", "topic/2", "topic/3"] {
            wire.send(a, publish(topic, round));
        }
    }
    assert_eq!(
        wire.receive(a),
        [
            r#"PUBLISH q0 "topic/1" "1" {alias=1}"#,
            r#"PUBLISH q0 "topic/2" "1" {alias=2}"#,
            r#"PUBLISH q0 "topic/3" "1""#,
            r#"PUBLISH q0 "" "2" {alias=1}"#,
            r#"PUBLISH q0 "" "2" {alias=2}"#,
            r#"PUBLISH q0 "topic/3" "2""#,
        ]
    );
}

/// Proves: [MQTT-3.1.2-27]
#[test]
fn a_client_that_takes_no_aliases_is_sent_none() {
    for script in [connect("a"), connect("a").alias_maximum(0)] {
        let mut wire = Wire::new();
        let a = wire.connect(script);
        wire.send(a, subscribe(1, "#"));
        wire.receive(a);
        for _ in 0..3 {
            wire.send(a, publish("a/long/topic", "x"));
        }
        assert_eq!(wire.receive(a), [r#"PUBLISH q0 "a/long/topic" "x""#; 3]);
    }
}

/// Proves: [MQTT-3.3.2-7]
#[test]
fn what_is_sent_again_on_another_connection_names_its_topic() {
    let mut wire = Wire::new();
    let script = || connect("a").expiry(100).alias_maximum(10);
    let a = wire.connect(script());
    wire.send(a, subscribe(1, "#").qos(1));
    wire.receive(a);
    for id in 1..=3 {
        wire.send(a, publish("topic", id.to_string()).qos1(id));
    }
    let published = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().filter(|line| line.starts_with("PUBLISH")).collect()
    };
    assert_eq!(
        published(wire.receive(a)),
        [
            r#"PUBLISH q1 id=1 "topic" "1" {alias=1}"#,
            r#"PUBLISH q1 id=2 "" "2" {alias=1}"#,
            r#"PUBLISH q1 id=3 "" "3" {alias=1}"#,
        ]
    );
    wire.send(a, puback(1));
    wire.cut(a);
    let a = wire.connect(script().resume());
    assert_eq!(
        wire.receive(a),
        [r#"PUBLISH q1 id=2 dup "topic" "2" {alias=1}"#, r#"PUBLISH q1 id=3 dup "" "3" {alias=1}"#]
    );
    wire.cut(a);
    let a = wire.connect(connect("a").resume());
    assert_eq!(
        wire.receive(a),
        [r#"PUBLISH q1 id=2 dup "topic" "2""#, r#"PUBLISH q1 id=3 dup "topic" "3""#]
    );
}

#[test]
fn the_aliases_of_the_two_directions_have_nothing_to_do_with_each_other() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").alias_maximum(1));
    wire.send(a, subscribe(1, "#"));
    wire.receive(a);
    wire.send(a, publish("topic/1", "x").alias(2));
    wire.send(a, publish("topic/2", "x").alias(1));
    wire.send(a, publish("", "y").alias(1));
    assert_eq!(
        wire.receive(a),
        [
            r#"PUBLISH q0 "topic/1" "x" {alias=1}"#,
            r#"PUBLISH q0 "topic/2" "x""#,
            r#"PUBLISH q0 "topic/2" "y""#,
        ]
    );
}
