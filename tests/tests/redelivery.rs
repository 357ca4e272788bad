//! What is sent again: only on a resumed session, under the old identifiers, in the old order.

use mqtt_codec::PubAckReason;
use mqtt_session::BrokerEvent;
use mqtt_tests::scripted::{
    connect, puback, pubcomp, publish, pubrec, pubrec_with, pubrel, subscribe, unsubscribe,
};
use mqtt_tests::{Peer, Wire};

/// A wire with a publisher, and a session "a" that subscribes to "t" at QoS 2.
fn with_session() -> (Wire, Peer, Peer) {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").expiry(1000));
    wire.send(a, subscribe(1, "t").qos(2));
    wire.receive(a);
    (wire, publisher, a)
}

fn resume(wire: &mut Wire) -> Peer {
    wire.connect(connect("a").resume().expiry(1000))
}

fn publish_all(wire: &mut Wire, publisher: Peer, messages: &[(&str, u8)]) {
    for (id, (payload, qos)) in (1..).zip(messages) {
        wire.send(publisher, publish("t", payload).qos(*qos, id));
        if *qos == 2 {
            wire.send(publisher, pubrel(id));
        }
    }
}

/// Proves: [MQTT-4.4.0-1], [MQTT-3.3.1-1], [MQTT-4.6.0-5], [MQTT-4.3.2-3], [MQTT-4.3.3-3]
#[test]
fn what_was_not_acknowledged_is_sent_again_in_its_order_on_a_resumed_session() {
    let (mut wire, publisher, a) = with_session();
    publish_all(&mut wire, publisher, &[("1", 2), ("2", 1), ("3", 0), ("4", 1), ("5", 2)]);
    assert_eq!(wire.receive(a).len(), 5);
    wire.send(a, puback(2));
    wire.cut(a);
    let a = resume(&mut wire);
    let again = [
        r#"PUBLISH q2 id=1 dup "t" "1""#,
        r#"PUBLISH q1 id=3 dup "t" "4""#,
        r#"PUBLISH q2 id=4 dup "t" "5""#,
    ];
    assert_eq!(wire.receive(a), again);
    // And again, and again.
    for _ in 0..3 {
        wire.cut(a);
        let a = resume(&mut wire);
        assert_eq!(wire.receive(a), again);
    }
}

/// Proves: [MQTT-4.4.0-1]
#[test]
fn nothing_is_sent_again_on_the_same_connection() {
    let (mut wire, publisher, a) = with_session();
    publish_all(&mut wire, publisher, &[("1", 2), ("2", 1)]);
    wire.receive(a);
    wire.send(a, pubrec(1));
    wire.receive(a);
    wire.advance_secs(100_000);
    assert_eq!(wire.receive(a), [""; 0]);
}

/// Proves: [MQTT-4.4.0-1], [MQTT-4.3.3-6], [MQTT-4.3.3-5]
#[test]
fn once_pubrel_was_sent_it_is_the_only_thing_that_is_sent_again() {
    let (mut wire, publisher, a) = with_session();
    publish_all(&mut wire, publisher, &[("1", 2), ("2", 2), ("3", 2)]);
    // In another order than they were sent: PUBRELs come again in the order of the PUBRECs.
    wire.send_all(a, [pubrec(3), pubrec(1)]);
    wire.cut(a);
    let a = resume(&mut wire);
    assert_eq!(wire.receive(a), ["PUBREL id=3", "PUBREL id=1", r#"PUBLISH q2 id=2 dup "t" "2""#]);
    wire.send_all(a, [pubcomp(3), pubcomp(1), pubrec(2), pubcomp(2)]);
    assert_eq!(wire.receive(a), ["PUBREL id=2"]);
    wire.cut(a);
    let a = resume(&mut wire);
    assert_eq!(wire.receive(a), [""; 0]);
    assert_eq!(wire.broker().gauges().messages, 0);
}

/// Proves: [MQTT-3.2.2-2], [MQTT-4.4.0-1]
#[test]
fn a_new_session_is_sent_nothing_of_the_old_one() {
    let (mut wire, publisher, a) = with_session();
    publish_all(&mut wire, publisher, &[("1", 2), ("2", 1), ("3", 2)]);
    wire.send(a, pubrec(1));
    wire.cut(a);
    let a = wire.connect(connect("a").expiry(1000));
    assert_eq!(wire.receive(a), [""; 0]);
    assert_eq!(wire.broker().gauges().messages, 0);
}

/// Proves: [MQTT-4.4.0-1], [MQTT-4.6.0-5]
#[test]
fn what_is_sent_again_comes_before_what_was_never_sent() {
    let (mut wire, publisher, a) = with_session();
    publish_all(&mut wire, publisher, &[("1", 1), ("2", 1)]);
    wire.cut(a);
    publish_all(&mut wire, publisher, &[("3", 1), ("4", 2)]);
    let a = resume(&mut wire);
    assert_eq!(
        wire.receive(a),
        [
            r#"PUBLISH q1 id=1 dup "t" "1""#,
            r#"PUBLISH q1 id=2 dup "t" "2""#,
            r#"PUBLISH q1 id=3 "t" "3""#,
            r#"PUBLISH q2 id=4 "t" "4""#,
        ]
    );
}

/// Proves: [MQTT-3.3.4-9], [MQTT-4.9.0-1], [MQTT-4.9.0-2]
#[test]
fn what_is_sent_again_keeps_to_the_receive_maximum_of_the_new_connection() {
    let (mut wire, publisher, a) = with_session();
    publish_all(&mut wire, publisher, &[("1", 1), ("2", 2), ("3", 1), ("4", 2)]);
    wire.send(a, pubrec(2));
    wire.cut(a);
    publish_all(&mut wire, publisher, &[("5", 1)]);
    let a = wire.connect(connect("a").resume().expiry(1000).receive_maximum(1));
    // PUBREL takes nothing of it, and its PUBCOMP gives nothing back.
    assert_eq!(wire.receive(a), ["PUBREL id=2", r#"PUBLISH q1 id=1 dup "t" "1""#]);
    wire.send(a, pubcomp(2));
    assert_eq!(wire.receive(a), [""; 0]);
    wire.send(a, puback(1));
    assert_eq!(wire.receive(a), [r#"PUBLISH q1 id=3 dup "t" "3""#]);
    wire.send(a, puback(3));
    assert_eq!(wire.receive(a), [r#"PUBLISH q2 id=4 dup "t" "4""#]);
    wire.send(a, pubrec(4));
    assert_eq!(wire.receive(a), ["PUBREL id=4"], "PUBREC below 0x80 gives nothing back");
    wire.send(a, pubcomp(4));
    assert_eq!(wire.receive(a), [r#"PUBLISH q1 id=2 "t" "5""#]);
}

#[test]
fn an_acknowledgement_that_comes_before_the_repetition_saves_it() {
    let (mut wire, publisher, a) = with_session();
    publish_all(&mut wire, publisher, &[("1", 1), ("2", 1), ("3", 2)]);
    wire.cut(a);
    let a = wire.connect(connect("a").resume().expiry(1000).receive_maximum(1));
    // The client remembers what it had received: it acknowledges ahead of the repetition.
    wire.send_all(a, [puback(2), pubrec(3)]);
    assert_eq!(wire.receive(a), [r#"PUBLISH q1 id=1 dup "t" "1""#, "PUBREL id=3"]);
    wire.send_all(a, [puback(1), pubcomp(3)]);
    assert_eq!(wire.receive(a), [""; 0]);
    assert_eq!(wire.broker().gauges().messages, 0);
}

/// Proves: [MQTT-3.1.2-25]
#[test]
fn what_is_too_large_for_the_new_connection_counts_as_delivered() {
    let (mut wire, publisher, a) = with_session();
    let large = "x".repeat(200);
    publish_all(&mut wire, publisher, &[("1", 1), (&large, 1), (&large, 2), ("4", 2)]);
    wire.cut(a);
    let script = connect("a").resume().expiry(1000);
    let a = wire.connect(script.packet_size(100).receive_maximum(2));
    assert_eq!(
        wire.receive(a),
        // The client may have recorded the identifier of the third.
        [r#"PUBLISH q1 id=1 dup "t" "1""#, "PUBREL id=3", r#"PUBLISH q2 id=4 dup "t" "4""#]
    );
    assert_eq!(wire.broker().statistics().dropped.too_large, 2);
    wire.send_all(a, [puback(1), pubcomp(3), pubrec(4), pubcomp(4)]);
    assert_eq!(wire.broker().gauges().messages, 0);
    wire.cut(a);
    let a = resume(&mut wire);
    assert_eq!(wire.receive(a), [""; 0], "not even to a connection that could take it");
}

/// Proves: [MQTT-3.10.4-3], [MQTT-3.10.4-2]
#[test]
fn what_had_begun_before_unsubscribe_is_finished_on_the_next_connection() {
    let (mut wire, publisher, a) = with_session();
    publish_all(&mut wire, publisher, &[("1", 1), ("2", 2)]);
    wire.send(a, unsubscribe(1, &["t"]));
    publish_all(&mut wire, publisher, &[("3", 1)]);
    wire.cut(a);
    let a = resume(&mut wire);
    assert_eq!(
        wire.receive(a),
        [r#"PUBLISH q1 id=1 dup "t" "1""#, r#"PUBLISH q2 id=2 dup "t" "2""#]
    );
}

/// Proves: [MQTT-4.4.0-1]
#[test]
fn a_pubrel_that_is_sent_again_finds_its_exchange_or_is_told_so() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").expiry(100));
    wire.send(a, publish("t", "x").qos2(7));
    wire.cut(a);
    let a = wire.connect(connect("a").resume().expiry(100));
    wire.send(a, pubrel(7));
    // The answer is lost with the connection, and the client asks again on the next one.
    let a2 = wire.connect(connect("a").resume().expiry(100));
    wire.send(a2, pubrel(7));
    assert_eq!(wire.receive(a)[0], "PUBCOMP id=7");
    assert_eq!(wire.receive(a2), ["PUBCOMP id=7 92 Packet Identifier not found"]);
}

/// A client that has recorded a QoS 2 message takes the next one under its identifier for a
/// duplicate, so the identifier is not free before it is released.
///
/// Proves: [MQTT-2.2.1-4], [MQTT-4.3.3-1]
#[test]
fn an_identifier_is_not_used_again_before_it_is_released_although_its_message_is_given_up() {
    let mut wire = Wire::configured(|config| config.decisions.read = true);
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").expiry(1000));
    wire.send(a, subscribe(1, "+").qos(2));
    let decide = |wire: &mut Wire, allowed: bool| {
        let Some(BrokerEvent::Read(request)) = wire.next_decision() else { panic!("no question") };
        wire.call(|broker, now| broker.answer_read(now, request, allowed));
    };
    wire.send(publisher, publish("t", "1").qos2(1));
    decide(&mut wire, true);
    assert_eq!(wire.receive(a)[1..], [r#"PUBLISH q2 id=1 "t" "1""#]);

    // The client loses its right to it before it has answered.
    wire.cut(a);
    wire.call(|broker, now| broker.rights_changed(now, Some("a")));
    let a = wire.connect(connect("a").resume().expiry(1000));
    decide(&mut wire, false);
    assert_eq!(wire.receive(a), ["PUBREL id=1"]);
    wire.send(publisher, publish("another", "2").qos2(2));
    decide(&mut wire, true);
    assert_eq!(wire.receive(a), [r#"PUBLISH q2 id=2 "another" "2""#], "1 is not released");
    wire.send_all(a, [pubcomp(1), pubrec(2), pubcomp(2)]);
    assert_eq!(wire.receive(a), ["PUBREL id=2"]);
    assert_eq!(wire.broker().gauges().messages, 0);
}

#[test]
fn what_a_client_may_not_read_any_more_is_not_sent_again_whatever_it_acknowledged_before() {
    let mut wire = Wire::configured(|config| config.decisions.read = true);
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").expiry(1000));
    wire.send(a, subscribe(1, "+").qos(2));
    let decide = |wire: &mut Wire, allowed: bool| {
        while let Some(BrokerEvent::Read(request)) = wire.next_decision() {
            wire.call(|broker, now| broker.answer_read(now, request, allowed));
        }
    };
    for (id, topic) in [(1, "first"), (2, "second"), (3, "third")] {
        wire.send(publisher, publish(topic, "x").qos2(id));
        decide(&mut wire, true);
    }
    assert_eq!(wire.receive(a).len(), 4);
    wire.cut(a);
    wire.call(|broker, now| broker.rights_changed(now, Some("a")));
    let a = wire.open("a");
    // The first two are settled by the client itself, before anything is sent again.
    let script = connect("a").resume().expiry(1000);
    wire.send_all(a, [script.into(), pubrec_with(1, PubAckReason::QuotaExceeded), pubrec(2)]);
    decide(&mut wire, false);
    assert_eq!(wire.receive(a)[1..], ["PUBREL id=2", "PUBREL id=3"]);
    assert_eq!(wire.broker().statistics().dropped.not_authorized, 1);
    assert_eq!(wire.broker().gauges().messages, 0);
}
