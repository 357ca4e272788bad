//! Decisions about messages, subscriptions and reading: asked once, answered in time or not, and
//! binding on every path.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use core::time::Duration;

use mqtt_codec::{PubAckReason, SubAckReason};
use mqtt_session::{BrokerEvent, PublishAnswer, PublishRequest, ReadRequest, SubscribeRequest};
use mqtt_tests::scripted::{
    connect, disconnect, pingreq, properties, puback, publish, pubrel, subscribe, will,
};
use mqtt_tests::{Peer, Wire};

fn asking_about_publish() -> Wire {
    Wire::configured(|config| config.decisions.publish = true)
}

fn asking_about_reading() -> Wire {
    Wire::configured(|config| config.decisions.read = true)
}

fn publish_request(wire: &mut Wire) -> PublishRequest {
    match wire.next_decision() {
        Some(BrokerEvent::Publish(request)) => request,
        other => panic!("no message to decide about: {other:?}"),
    }
}

fn subscribe_request(wire: &mut Wire) -> SubscribeRequest {
    match wire.next_decision() {
        Some(BrokerEvent::Subscribe(request)) => request,
        other => panic!("no subscription to decide about: {other:?}"),
    }
}

fn read_request(wire: &mut Wire) -> ReadRequest {
    match wire.next_decision() {
        Some(BrokerEvent::Read(request)) => request,
        other => panic!("nothing to read to decide about: {other:?}"),
    }
}

fn answer(wire: &mut Wire, request: PublishRequest, reason: PubAckReason) {
    wire.call(|broker, now| broker.answer_publish(now, request, PublishAnswer::from(reason)));
}

fn connected(wire: &mut Wire, name: &str) -> Peer {
    let peer = wire.connect(connect(name));
    wire.receive(peer);
    peer
}

/// A client with a session that lives on, subscribed to "t" at QoS 1.
fn durable_reader(wire: &mut Wire) -> Peer {
    let peer = wire.connect(connect("reader").resume().expiry(600));
    wire.send(peer, subscribe(1, "t").qos(1));
    wire.receive(peer);
    peer
}

#[test]
fn a_message_is_decided_about_before_anything_behind_it_is_read() {
    let mut wire = asking_about_publish();
    let reader = connected(&mut wire, "reader");
    wire.send(reader, subscribe(1, "t"));
    wire.receive(reader);
    let a = connected(&mut wire, "a");
    wire.send_all(a, [publish("t", "1").qos1(1).into(), pingreq()]);
    assert_eq!(wire.receive(a), [""; 0]);
    let request = publish_request(&mut wire);
    assert_eq!((request.client_id(), request.topic()), ("a", "t"));
    assert_eq!(&request.payload()[..], b"1");
    assert!(!request.is_will());
    answer(&mut wire, request, PubAckReason::Success);
    assert_eq!(wire.receive(a), ["PUBACK id=1", "PINGRESP"]);
    assert_eq!(wire.receive(reader), [r#"PUBLISH q0 "t" "1""#]);
}

/// Proves: [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-4.3.3-9]
#[test]
fn a_denied_message_goes_nowhere_and_its_publisher_is_told_why() {
    let mut wire = asking_about_publish();
    let reader = connected(&mut wire, "reader");
    wire.send(reader, subscribe(1, "t"));
    wire.receive(reader);
    let a = connected(&mut wire, "a");
    wire.send(a, publish("t", "1").qos1(1));
    let request = publish_request(&mut wire);
    let properties = properties(|p| _ = p.reason_string("quota").unwrap());
    wire.call(|broker, now| {
        let reason = PubAckReason::QuotaExceeded;
        broker.answer_publish(now, request, PublishAnswer::Deny { reason, properties });
    });
    assert_eq!(wire.receive(a), [r#"PUBACK id=1 97 Quota exceeded {reason_string="quota"}"#]);
    wire.send(a, publish("t", "2").qos2(2));
    let request = publish_request(&mut wire);
    answer(&mut wire, request, PubAckReason::NotAuthorized);
    assert_eq!(wire.receive(a), ["PUBREC id=2 87 Not authorized"]);
    // The identifier means a new message now.
    wire.send(a, publish("t", "3").qos2(2));
    let request = publish_request(&mut wire);
    answer(&mut wire, request, PubAckReason::Success);
    assert_eq!(wire.receive(a), ["PUBREC id=2"]);
    assert_eq!(wire.receive(reader), [r#"PUBLISH q0 "t" "3""#]);
    assert_eq!(wire.broker().statistics().publishes_refused.total(), 2);
}

/// Proves: [MQTT-3.1.2-29]
#[test]
fn a_client_that_wants_no_problem_information_gets_the_reason_code_alone() {
    let mut wire = asking_about_publish();
    let a = wire.connect(connect("a").with(|p| _ = p.request_problem_information(false)));
    wire.receive(a);
    wire.send(a, publish("t", "1").qos1(1));
    let request = publish_request(&mut wire);
    let properties = properties(|p| _ = p.reason_string("quota").unwrap());
    wire.call(|broker, now| {
        let reason = PubAckReason::QuotaExceeded;
        broker.answer_publish(now, request, PublishAnswer::Deny { reason, properties });
    });
    assert_eq!(wire.receive(a), ["PUBACK id=1 97 Quota exceeded"]);
}

#[test]
fn a_message_that_is_not_decided_in_time_is_refused_and_a_late_answer_does_nothing() {
    let mut wire = asking_about_publish();
    let a = connected(&mut wire, "a");
    wire.send(a, publish("t", "1").qos1(1));
    let request = publish_request(&mut wire);
    wire.advance(Duration::from_millis(4_999));
    assert_eq!(wire.receive(a), [""; 0]);
    wire.advance(Duration::from_millis(1));
    assert_eq!(wire.receive(a), ["PUBACK id=1 87 Not authorized"]);
    answer(&mut wire, request, PubAckReason::Success);
    assert_eq!(wire.receive(a), [""; 0]);
    assert_eq!(wire.broker().gauges().messages, 0);
}

/// Proves: [MQTT-4.3.3-8]
#[test]
fn a_qos_2_message_whose_publisher_left_before_the_decision_is_new_when_it_comes_again() {
    let mut wire = asking_about_publish();
    let reader = connected(&mut wire, "reader");
    wire.send(reader, subscribe(1, "t"));
    wire.receive(reader);
    let a = wire.connect(connect("a").resume().expiry(600));
    wire.send(a, publish("t", "1").qos2(7));
    let late = publish_request(&mut wire);
    wire.cut(a);
    let a = wire.connect(connect("a").resume().expiry(600));
    wire.receive(a);
    answer(&mut wire, late, PubAckReason::Success);
    assert_eq!(wire.receive(reader), [""; 0], "the answer came too late");
    wire.send(a, publish("t", "1").qos2(7).dup());
    let request = publish_request(&mut wire);
    answer(&mut wire, request, PubAckReason::Success);
    wire.send(a, pubrel(7));
    assert_eq!(wire.receive(a), ["PUBREC id=7", "PUBCOMP id=7"]);
    assert_eq!(wire.receive(reader), [r#"PUBLISH q0 "t" "1""#]);
}

/// Proves: [MQTT-3.1.2-8]
#[test]
fn a_will_is_decided_about_when_it_is_due() {
    for (allowed, expected) in [(true, vec![r#"PUBLISH q0 "w" "bye""#]), (false, vec![])] {
        let mut wire = asking_about_publish();
        let reader = connected(&mut wire, "reader");
        wire.send(reader, subscribe(1, "w"));
        wire.receive(reader);
        let a = wire.connect(connect("a").will(will("w", "bye")));
        wire.cut(a);
        let request = publish_request(&mut wire);
        assert!(request.is_will());
        assert_eq!((request.client_id(), request.topic()), ("a", "w"));
        let reason = if allowed { PubAckReason::Success } else { PubAckReason::NotAuthorized };
        answer(&mut wire, request, reason);
        assert_eq!(wire.receive(reader), expected);
        assert_eq!(wire.broker().gauges().messages, 0);
    }
}

#[test]
fn a_will_that_is_not_decided_in_time_is_not_published() {
    let mut wire = asking_about_publish();
    let a = wire.connect(connect("a").will(will("w", "bye")));
    wire.cut(a);
    let _request = publish_request(&mut wire);
    wire.advance_secs(5);
    assert_eq!(wire.broker().gauges().messages, 0);
    assert_eq!(wire.broker().statistics().wills_published, 0);
}

/// Proves: [MQTT-3.9.3-1], [MQTT-3.9.3-2], [MQTT-3.8.4-7]
#[test]
fn each_filter_of_a_subscribe_is_granted_or_denied() {
    let mut wire = Wire::configured(|config| config.decisions.subscribe = true);
    let a = connected(&mut wire, "a");
    wire.send_all(a, [subscribe(1, "open").qos(1).and("secret").into(), pingreq()]);
    assert_eq!(wire.receive(a), [""; 0]);
    let mut request = subscribe_request(&mut wire);
    let filters: Vec<&str> = request.filters().map(|(filter, _)| filter).collect();
    assert_eq!(filters, ["open", "secret"]);
    request.deny(1, SubAckReason::NotAuthorized);
    wire.call(|broker, now| broker.answer_subscribe(now, request));
    assert_eq!(wire.receive(a), ["SUBACK id=1 [01 87]", "PINGRESP"]);
    wire.send_all(a, [publish("open", "1"), publish("secret", "2")].map(Into::into));
    assert_eq!(wire.receive(a), [r#"PUBLISH q0 "open" "1""#]);
}

#[test]
fn subscriptions_that_are_not_decided_in_time_are_denied() {
    let mut wire = Wire::configured(|config| config.decisions.subscribe = true);
    let a = connected(&mut wire, "a");
    wire.send(a, subscribe(1, "t").and("u"));
    let late = subscribe_request(&mut wire);
    wire.advance_secs(5);
    assert_eq!(wire.receive(a), ["SUBACK id=1 [87 87]"]);
    wire.call(|broker, now| broker.answer_subscribe(now, late));
    assert_eq!(wire.receive(a), [""; 0]);
    assert_eq!(wire.broker().gauges().subscriptions, 0);
}

#[test]
fn reading_is_asked_about_once_a_topic_and_order_is_kept_meanwhile() {
    let mut wire = asking_about_reading();
    let reader = durable_reader(&mut wire);
    let a = connected(&mut wire, "a");
    for payload in ["1", "2"] {
        wire.send(a, publish("t", payload));
    }
    assert_eq!(wire.receive(reader), [""; 0]);
    let request = read_request(&mut wire);
    assert_eq!((request.client_id(), request.topic()), ("reader", "t"));
    assert!(wire.next_decision().is_none(), "asked once");
    wire.call(|broker, now| broker.answer_read(now, request, true));
    assert_eq!(wire.receive(reader), [r#"PUBLISH q0 "t" "1""#, r#"PUBLISH q0 "t" "2""#]);
    wire.send(a, publish("t", "3"));
    assert_eq!(wire.receive(reader), [r#"PUBLISH q0 "t" "3""#]);
}

#[test]
fn what_may_not_be_read_is_dropped_and_counted() {
    let mut wire = asking_about_reading();
    let reader = durable_reader(&mut wire);
    let a = connected(&mut wire, "a");
    wire.send(a, publish("t", "1").qos1(1));
    let request = read_request(&mut wire);
    wire.call(|broker, now| broker.answer_read(now, request, false));
    wire.send(a, publish("t", "2"));
    assert_eq!(wire.receive(reader), [""; 0]);
    assert_eq!(wire.broker().statistics().dropped.not_authorized, 2);
    assert_eq!(wire.broker().gauges().messages, 0);
}

#[test]
fn without_an_answer_one_message_is_dropped_and_the_next_is_asked_about_again() {
    let mut wire = asking_about_reading();
    let reader = durable_reader(&mut wire);
    let a = connected(&mut wire, "a");
    wire.send(a, publish("t", "1"));
    let late = read_request(&mut wire);
    wire.advance_secs(5);
    wire.call(|broker, now| broker.answer_read(now, late, true));
    assert_eq!(wire.receive(reader), [""; 0]);
    assert_eq!(wire.broker().statistics().dropped.not_authorized, 1);
    wire.send(a, publish("t", "2"));
    let request = read_request(&mut wire);
    wire.call(|broker, now| broker.answer_read(now, request, true));
    assert_eq!(wire.receive(reader), [r#"PUBLISH q0 "t" "2""#]);
}

/// The paths on which a message can reach a client; a right that was taken away holds on each.
#[test]
fn a_revoked_right_holds_for_live_retained_queued_resent_and_will_messages() {
    // Live.
    let mut wire = asking_about_reading();
    let reader = durable_reader(&mut wire);
    let a = connected(&mut wire, "a");
    wire.send(a, publish("t", "before").qos1(1));
    let request = read_request(&mut wire);
    wire.call(|broker, now| broker.answer_read(now, request, true));
    assert_eq!(wire.receive(reader), [r#"PUBLISH q1 id=1 "t" "before""#]);
    let revoke = |wire: &mut Wire| {
        wire.call(|broker, now| broker.rights_changed(now, Some("reader")));
    };
    let deny = |wire: &mut Wire| {
        let request = read_request(wire);
        wire.call(|broker, now| broker.answer_read(now, request, false));
    };
    revoke(&mut wire);
    wire.send(a, publish("t", "live"));
    deny(&mut wire);
    assert_eq!(wire.receive(reader), [""; 0], "live");

    // Queued while offline, and sent before without an acknowledgement.
    wire.cut(reader);
    wire.send(a, publish("t", "queued").qos1(2));
    revoke(&mut wire);
    let reader = wire.connect(connect("reader").resume().expiry(600));
    deny(&mut wire);
    assert_eq!(wire.receive(reader), [""; 0], "neither the queued nor the resent message");
    wire.send(reader, puback(1));
    assert_eq!(wire.receive(reader), [""; 0]);

    // Retained.
    wire.send(a, publish("t", "kept").retain());
    revoke(&mut wire);
    wire.send(reader, subscribe(2, "#").qos(1));
    deny(&mut wire);
    assert_eq!(wire.receive(reader), ["SUBACK id=2 [01]"], "retained");

    // Will.
    let b = wire.connect(connect("b").will(will("t", "bye")));
    wire.receive(b);
    revoke(&mut wire);
    wire.cut(b);
    deny(&mut wire);
    assert_eq!(wire.receive(reader), [""; 0], "will");
    wire.send(reader, disconnect());
}

#[test]
fn a_client_that_left_while_it_was_asked_about_gets_its_message_when_it_is_back() {
    let mut wire = asking_about_reading();
    let reader = durable_reader(&mut wire);
    let a = connected(&mut wire, "a");
    wire.send_all(a, [publish("t", "1").qos1(1), publish("t", "2").qos1(2)].map(Into::into));
    let request = read_request(&mut wire);
    wire.cut(reader);
    wire.call(|broker, now| broker.answer_read(now, request, true));
    let reader = wire.connect(connect("reader").resume().expiry(600));
    assert_eq!(wire.receive(reader), [r#"PUBLISH q1 id=1 "t" "1""#, r#"PUBLISH q1 id=2 "t" "2""#]);
}

#[test]
fn a_qos_0_message_that_may_be_read_does_not_wait_for_quota_either() {
    let mut wire = asking_about_reading();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").receive_maximum(1));
    wire.send(a, subscribe(1, "t/#").qos(1));
    wire.send(publisher, publish("t/1", "one").qos1(1));
    let request = read_request(&mut wire);
    wire.call(|broker, now| broker.answer_read(now, request, true));
    assert_eq!(wire.receive(a), ["SUBACK id=1 [01]", r#"PUBLISH q1 id=1 "t/1" "one""#]);
    // Its one place is taken, and the question about the next message comes all the same.
    wire.send(publisher, publish("t/0", "nought"));
    let request = read_request(&mut wire);
    wire.call(|broker, now| broker.answer_read(now, request, true));
    assert_eq!(wire.receive(a), [r#"PUBLISH q0 "t/0" "nought""#]);
    wire.send(a, puback(1));
    assert_eq!(wire.receive(a), [""; 0]);
}
