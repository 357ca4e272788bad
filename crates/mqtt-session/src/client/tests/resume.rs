//! What becomes of a session when its connection is lost and another one stands.

use core::num::NonZeroU16;

use super::*;

/// Proves: [MQTT-4.4.0-1], [MQTT-4.6.0-1], [MQTT-3.3.1-1], [MQTT-4.3.3-6]
#[test]
fn a_resumed_session_sends_again_what_is_open_in_order_with_the_right_packets() {
    let mut script = Script::open(resuming());
    for (topic, qos) in [
        ("one", QoS::AtLeastOnce),
        ("two", QoS::ExactlyOnce),
        ("three", QoS::ExactlyOnce),
        ("four", QoS::AtLeastOnce),
    ] {
        script.publish(topic, qos).unwrap();
    }
    script.sent();
    script.receive(pubrec(2, PubAckReason::Success));
    script.sent();
    script.receive(puback(1, PubAckReason::Success));
    script.lose();
    script.events();
    assert_eq!(script.publish("x", QoS::AtLeastOnce), Err(PublishError::NotConnected));
    script.connect(true, &PropertyBuf::new());
    script.publish("five", QoS::AtLeastOnce).unwrap();
    assert_eq!(
        script.sent(),
        [
            "PUBREL 2 Success",
            "PUBLISH QoS 2 id 3 DUP three",
            "PUBLISH QoS 1 id 4 DUP four",
            "PUBLISH QoS 1 id 1 five",
        ]
    );
    script.receive(pubcomp(2));
    script.receive(pubrec(3, PubAckReason::Success));
    script.receive(puback(4, PubAckReason::Success));
    script.receive(pubcomp(3));
    script.receive(puback(1, PubAckReason::Success));
    assert_eq!(script.events().len(), 4);
    assert_eq!(script.client.outgoing_messages(), 0);
}

#[test]
fn nothing_is_sent_again_while_the_connection_stands() {
    let mut script = Script::open(resuming());
    script.publish("a", QoS::AtLeastOnce).unwrap();
    script.sent();
    script.pass(Duration::from_secs(100_000));
    assert!(script.sent().is_empty());
}

/// Proves: [MQTT-3.2.2-5]
#[test]
fn of_a_session_that_is_gone_nothing_is_sent_again() {
    let mut script = Script::open_with(
        resuming(),
        &terms(|terms| {
            terms.receive_maximum(NonZeroU16::new(2).unwrap());
        }),
    );
    for topic in ["a", "b", "queued"] {
        script.publish(topic, QoS::ExactlyOnce).unwrap();
    }
    script.sent();
    script.receive(pubrec(2, PubAckReason::Success));
    script.deliver("in", qos2(1));
    script.sent();
    script.lose();
    script.events();
    script.client.handle_connected(script.now);
    script.sent();
    script.receive(ConnAck {
        session_present: false,
        reason: ConnectReason::Success,
        properties: Properties::EMPTY,
    });
    assert_eq!(
        script.events(),
        [
            "published 0 SessionLost",
            "published 1 SessionLost",
            "connected \"c\" session present false",
        ]
    );
    assert_eq!(script.sent(), ["PUBLISH QoS 2 id 1 queued"], "it was never sent, and is new");
    script.deliver("in", qos2(1));
    assert_eq!(script.client.statistics().unmatched, 2, "the identifier means a new message");
}

/// Proves: [MQTT-3.1.2-4], [MQTT-3.1.2-23]
#[test]
fn a_clean_session_ends_with_its_connection() {
    let config = ClientConfig::new().client_id("c").keep_alive(Duration::ZERO);
    let mut script = Script::open(config);
    script.publish("a", QoS::AtLeastOnce).unwrap();
    script.sent();
    script.lose();
    assert_eq!(script.events(), ["closed: the connection was lost"]);
    script.client.handle_connected(script.now);
    assert!(script.sent()[0].contains(" clean "));
    script.receive_bytes(&[0x20, 3, 0, 0, 0]);
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 a"], "a new message of the new session");
}

/// Proves: [MQTT-3.1.2-23]
#[test]
fn a_session_with_time_to_live_is_kept_and_its_first_connection_is_clean() {
    let mut script = Script::new(resuming());
    script.client.handle_connected(script.now);
    assert!(script.sent()[0].contains(" clean "));
    script.lose();
    script.client.handle_connected(script.now);
    assert!(script.sent()[0].contains(" clean "), "the server never took the session up");
    script.receive(ConnAck {
        session_present: false,
        reason: ConnectReason::Success,
        properties: Properties::EMPTY,
    });
    script.lose();
    script.client.handle_connected(script.now);
    assert!(script.sent()[0].contains(" resume "));
}

/// Proves: [MQTT-4.3.3-10]
#[test]
fn a_qos_2_message_received_before_the_loss_is_not_delivered_again() {
    let mut script = Script::manual(resuming());
    script.deliver("a", qos2(1));
    let (_, first) = script.delivery();
    script.deliver("b", qos2(2));
    let (_, second) = script.delivery();
    script.answer(first, PubAckReason::Success);
    assert_eq!(script.sent(), ["PUBREC 1 Success"]);
    script.lose();
    script.events();
    script.connect(true, &PropertyBuf::new());
    // Neither PUBREC arrived as far as the server knows.
    script.deliver("a", PublishQos::ExactlyOnce { id: id(1), dup: true });
    script.deliver("b", PublishQos::ExactlyOnce { id: id(2), dup: true });
    assert!(script.events().is_empty());
    assert_eq!(script.sent(), ["PUBREC 1 Success"], "the application has not answered the other");
    script.answer(second, PubAckReason::Success);
    assert_eq!(script.sent(), ["PUBREC 2 Success"]);
    script.receive(pubrel(2));
    assert_eq!(script.sent(), ["PUBCOMP 2 Success"]);
}

#[test]
fn a_qos_1_message_that_was_not_answered_comes_again_and_the_old_delivery_is_void() {
    let mut script = Script::manual(resuming());
    script.deliver("a", qos1(1));
    let (_, old) = script.delivery();
    script.lose();
    script.events();
    script.connect(true, &PropertyBuf::new());
    script.deliver("a", PublishQos::AtLeastOnce { id: id(1), dup: true });
    let (_, new) = script.delivery();
    script.answer(old, PubAckReason::Success);
    assert!(script.sent().is_empty());
    script.answer(new, PubAckReason::Success);
    assert_eq!(script.sent(), ["PUBACK 1 Success"]);
}

/// Proves: [MQTT-4.9.0-2]
#[test]
fn what_is_sent_again_keeps_to_the_new_receive_maximum() {
    let mut script = Script::open(resuming());
    for topic in ["a", "b", "c"] {
        script.publish(topic, QoS::AtLeastOnce).unwrap();
    }
    script.sent();
    script.lose();
    script.events();
    script.connect(
        true,
        &terms(|terms| {
            terms.receive_maximum(NonZeroU16::MIN);
        }),
    );
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 DUP a"]);
    script.receive(puback(1, PubAckReason::Success));
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 2 DUP b"]);
}

/// Proves: [MQTT-4.3.3-7]
#[test]
fn a_message_that_expires_after_it_was_sent_is_sent_again_all_the_same() {
    let mut script = Script::open(resuming());
    let expires = terms(|properties| {
        properties.message_expiry_interval(1);
    });
    let mut publication = message("a", "payload");
    publication.qos = QoS::ExactlyOnce;
    publication.properties = expires.as_properties();
    script.client.publish(script.now, publication).unwrap();
    assert_eq!(script.sent(), ["PUBLISH QoS 2 id 1 a {Message Expiry Interval: 1}"]);
    script.pass(Duration::from_secs(100));
    script.lose();
    assert_eq!(script.events(), ["closed: the connection was lost"]);
    script.connect(true, &PropertyBuf::new());
    let again = script.sent();
    assert!(again[0].starts_with("PUBLISH QoS 2 id 1 DUP a"), "{again:?}");
    script.receive(pubrec(1, PubAckReason::Success));
    script.receive(pubcomp(1));
    assert_eq!(script.sent(), ["PUBREL 1 Success"]);
    assert_eq!(script.events(), ["published 0 acknowledged: Success"]);
}

#[test]
fn a_message_whose_first_byte_has_left_counts_as_sent() {
    let mut script = Script::open(resuming());
    for topic in ["a", "b", "c"] {
        script.publish(topic, QoS::ExactlyOnce).unwrap();
    }
    let mut out = TransmitBuf::new();
    // One PUBLISH and the first byte of the next: each has 15 bytes.
    script.client.poll_transmit(script.now, &mut out, 16);
    assert_eq!(out.len(), 16);
    script.lose();
    script.events();
    script.connect(true, &PropertyBuf::new());
    assert_eq!(
        script.sent(),
        ["PUBLISH QoS 2 id 1 DUP a", "PUBLISH QoS 2 id 2 DUP b", "PUBLISH QoS 2 id 3 c"]
    );
}

#[test]
fn qos_0_messages_that_did_not_leave_are_lost_with_the_connection_and_counted() {
    let mut script = Script::open(resuming());
    script.publish("a", QoS::AtMostOnce).unwrap();
    script.publish("b", QoS::AtLeastOnce).unwrap();
    script.lose();
    script.events();
    assert_eq!(script.client.statistics().qos0_lost, 1);
    script.connect(true, &PropertyBuf::new());
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 b"], "without DUP: it was never sent");
}

/// A server that acknowledges what was not sent breaks no rule that a client could see, for it
/// may only be early; nothing is sent or told twice for it.
#[test]
fn what_the_server_acknowledged_before_it_was_sent_is_not_sent_again() {
    let mut script = Script::open(resuming());
    script.publish("a", QoS::AtLeastOnce).unwrap();
    script.publish("b", QoS::ExactlyOnce).unwrap();
    script.receive(puback(1, PubAckReason::Success));
    script.receive(pubrec(2, PubAckReason::Success));
    script.lose();
    assert_eq!(
        script.events(),
        ["published 0 acknowledged: Success", "closed: the connection was lost"]
    );
    script.connect(true, &PropertyBuf::new());
    assert_eq!(script.sent(), ["PUBREL 2 Success"]);
    script.receive(pubcomp(2));
    assert_eq!(script.events(), ["published 1 acknowledged: Success"]);
    assert_eq!(script.client.outgoing_messages(), 0);
    script.publish("c", QoS::AtLeastOnce).unwrap();
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 c"]);
}
