//! Message Expiry Interval: what is left is passed on, and what is over is not.

use core::time::Duration;

use mqtt_tests::scripted::{connect, puback, pubcomp, publish, pubrec, pubrel, subscribe};
use mqtt_tests::{Peer, Wire};

/// A wire with a publisher, and a session "a" that subscribes to "t" and is away.
fn away() -> (Wire, Peer) {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").expiry(1000));
    wire.send(a, subscribe(1, "t").qos(2));
    wire.cut(a);
    (wire, publisher)
}

fn back(wire: &mut Wire) -> Peer {
    wire.connect(connect("a").resume().expiry(1000))
}

/// Proves: [MQTT-3.3.2-6]
#[test]
fn a_message_is_passed_on_with_the_time_that_is_left() {
    let (mut wire, publisher) = away();
    wire.send(publisher, publish("t", "x").qos1(1).expiry(100));
    wire.send(publisher, publish("t", "for ever").qos1(2));
    wire.send(publisher, publish("t", "nearly").qos1(3).expiry(u32::MAX));
    wire.advance_secs(40);
    let a = back(&mut wire);
    assert_eq!(
        wire.receive(a),
        [
            r#"PUBLISH q1 id=1 "t" "x" {expiry=60}"#,
            r#"PUBLISH q1 id=2 "t" "for ever""#,
            r#"PUBLISH q1 id=3 "t" "nearly" {expiry=4294967255}"#,
        ]
    );
}

/// Proves: [MQTT-3.3.2-6]
#[test]
fn the_time_that_is_left_is_that_of_the_moment_of_sending() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").receive_maximum(1));
    wire.send(a, subscribe(1, "t").qos(1));
    wire.send_all(publisher, [1, 2].map(|id| publish("t", "x").qos1(id).expiry(100).into()));
    assert_eq!(wire.receive(a)[1..], [r#"PUBLISH q1 id=1 "t" "x" {expiry=100}"#]);
    wire.advance(Duration::from_millis(30_500));
    wire.send(a, puback(1));
    assert_eq!(wire.receive(a), [r#"PUBLISH q1 id=1 "t" "x" {expiry=70}"#]);
}

/// Proves: [MQTT-3.3.2-5]
#[test]
fn a_message_whose_time_is_over_is_not_delivered_and_is_counted() {
    for (waited, is_delivered) in [(9_999, true), (10_000, false), (500_000, false)] {
        let (mut wire, publisher) = away();
        wire.send(publisher, publish("t", "x").qos2(1).expiry(10));
        wire.send(publisher, publish("t", "y").qos1(2));
        wire.advance(Duration::from_millis(waited));
        let a = back(&mut wire);
        let lines = wire.receive(a);
        assert_eq!(lines.len() == 2, is_delivered, "after {waited} ms: {lines:?}");
        assert_eq!(wire.broker().statistics().dropped.expired, u64::from(!is_delivered));
        assert_eq!(wire.broker().gauges().messages, lines.len(), "its memory is free");
    }
}

/// Proves: [MQTT-3.3.2-5]
#[test]
fn a_message_that_expires_in_a_full_queue_takes_no_place_of_the_receive_maximum() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").receive_maximum(1));
    wire.send(a, subscribe(1, "t").qos(2));
    for id in 1..=4 {
        let script = publish("t", id.to_string()).qos1(id);
        wire.send(publisher, if id == 4 { script } else { script.expiry(10) });
    }
    wire.advance_secs(10);
    wire.receive(a);
    wire.send(a, puback(1));
    assert_eq!(wire.receive(a), [r#"PUBLISH q1 id=1 "t" "4""#]);
    assert_eq!(wire.broker().statistics().dropped.expired, 2);
}

/// Proves: [MQTT-4.3.3-7], [MQTT-4.3.3-13]
#[test]
fn once_it_was_sent_a_message_does_not_expire_any_more() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").expiry(1000));
    wire.send(a, subscribe(1, "t").qos(2));
    wire.send(publisher, publish("t", "1").qos1(1).expiry(10));
    for id in [2, 3] {
        wire.send_all(publisher, [publish("t", "2").qos2(id).expiry(10).into(), pubrel(id)]);
    }
    wire.send(a, pubrec(3));
    wire.receive(a);
    wire.cut(a);
    wire.advance_secs(100);
    let a = back(&mut wire);
    assert_eq!(
        wire.receive(a),
        [
            "PUBREL id=3",
            r#"PUBLISH q1 id=1 dup "t" "1" {expiry=0}"#,
            r#"PUBLISH q2 id=2 dup "t" "2" {expiry=0}"#,
        ]
    );
    wire.send_all(a, [pubcomp(3), puback(1), pubrec(2), pubcomp(2)]);
    assert_eq!(wire.receive(a), ["PUBREL id=2"]);
    assert_eq!(wire.broker().gauges().messages, 0);
    assert_eq!(wire.broker().statistics().dropped.expired, 0);
}

/// Proves: [MQTT-4.3.3-13], [MQTT-4.3.3-10]
#[test]
fn the_exchange_with_the_publisher_is_finished_though_the_message_is_over() {
    let (mut wire, publisher) = away();
    wire.send(publisher, publish("t", "x").qos2(1).expiry(1));
    wire.advance_secs(50);
    wire.send_all(publisher, [publish("t", "x").qos2(1).dup().expiry(1).into(), pubrel(1)]);
    assert_eq!(wire.receive(publisher), ["PUBREC id=1", "PUBREC id=1", "PUBCOMP id=1"]);
}

/// Proves: [MQTT-3.3.2-5], [MQTT-3.3.2-6]
#[test]
fn a_retained_message_expires_in_the_store() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, publish("t", "x").retain().expiry(10));
    wire.send(publisher, publish("u", "yes").retain());
    wire.advance_secs(4);
    let a = wire.connect(connect("a"));
    wire.send(a, subscribe(1, "t"));
    assert_eq!(wire.receive(a)[1..], [r#"PUBLISH q0 retain "t" "x" {expiry=6}"#]);
    wire.advance(Duration::from_millis(5_999));
    assert_eq!(wire.broker().gauges().retained_messages, 2);
    // Nobody has to look for it.
    wire.advance(Duration::from_millis(1));
    let gauges = wire.broker().gauges();
    assert_eq!((gauges.retained_messages, gauges.retained_bytes, gauges.messages), (1, 4, 1));
    wire.send(a, subscribe(2, "#"));
    assert_eq!(wire.receive(a)[1..], [r#"PUBLISH q0 retain "u" "yes""#]);
}

#[test]
fn a_retained_message_that_is_replaced_takes_its_expiry_along() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a"));
    wire.send(publisher, publish("t", "1").retain().expiry(10));
    wire.send(publisher, publish("t", "2").retain());
    wire.send(publisher, publish("u", "3").retain().expiry(10));
    wire.send(publisher, publish("u", "4").retain().expiry(20));
    wire.send(publisher, publish("v", "5").retain().expiry(10));
    wire.send(publisher, publish("v", "").retain());
    wire.send(publisher, publish("v", "6").retain().expiry(30));
    wire.advance_secs(15);
    wire.send(a, subscribe(1, "#"));
    assert_eq!(
        wire.receive(a)[1..],
        [
            r#"PUBLISH q0 retain "t" "2""#,
            r#"PUBLISH q0 retain "u" "4" {expiry=5}"#,
            r#"PUBLISH q0 retain "v" "6" {expiry=15}"#,
        ]
    );
    wire.advance_secs(100);
    assert_eq!(wire.broker().gauges().retained_messages, 1);
    assert_eq!(wire.broker().poll_timeout(), None);
}

#[test]
fn a_flood_of_short_lived_retained_messages_leaves_nothing_behind() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    for round in 0..50 {
        let flood = (0..100)
            .map(|number| publish(&format!("t/{round}/{number}"), "x").retain().expiry(1).into());
        wire.send_all(publisher, flood.collect::<Vec<Vec<u8>>>());
        wire.advance(Duration::from_millis(100));
    }
    assert_eq!(wire.broker().gauges().retained_messages, 900);
    wire.advance_secs(1);
    let gauges = wire.broker().gauges();
    assert_eq!((gauges.retained_messages, gauges.messages, gauges.message_bytes), (0, 0, 0));
}

#[test]
fn an_interval_of_0_has_run_out_at_once() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    wire.send(a, subscribe(1, "t").qos(1));
    wire.send(a, publish("t", "x").qos1(1).retain().expiry(0));
    assert_eq!(wire.receive(a), ["SUBACK id=1 [01]", "PUBACK id=1"]);
    assert_eq!(wire.broker().gauges().messages, 0);
}
