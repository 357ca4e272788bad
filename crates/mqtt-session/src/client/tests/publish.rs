//! Publishing: exchanges, quota and order.

use core::num::NonZeroU16;

use super::*;

fn with_receive_maximum(maximum: u16) -> Script {
    Script::open_with(
        resuming(),
        &terms(|terms| {
            terms.receive_maximum(NonZeroU16::new(maximum).unwrap());
        }),
    )
}

/// Proves: [MQTT-4.3.1-1], [MQTT-2.2.1-2], [MQTT-3.3.1-2]
#[test]
fn qos_0_is_sent_once_and_forgotten() {
    let mut script = Script::open(resuming());
    assert_eq!(script.publish("a", QoS::AtMostOnce), Ok(None));
    assert_eq!(script.client.outgoing_messages(), 1);
    assert_eq!(script.sent(), ["PUBLISH QoS 0 a"]);
    assert_eq!(script.client.outgoing_messages(), 0);
    assert!(script.sent().is_empty() && script.events().is_empty());
}

/// Proves: [MQTT-4.3.2-1], [MQTT-4.3.2-2], [MQTT-4.3.2-3], [MQTT-2.2.1-3]
#[test]
fn qos_1_ends_with_puback_and_its_reason() {
    let mut script = Script::open(resuming());
    let first = script.publish("a", QoS::AtLeastOnce).unwrap().unwrap();
    let second = script.publish("b", QoS::AtLeastOnce).unwrap().unwrap();
    assert_ne!(first, second);
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 a", "PUBLISH QoS 1 id 2 b"]);
    script.receive(puback(2, PubAckReason::NoMatchingSubscribers));
    script.receive(puback(1, PubAckReason::QuotaExceeded));
    assert_eq!(
        script.events(),
        [
            format!("published {} acknowledged: No matching subscribers", second.slot()),
            format!("published {} refused: Quota exceeded", first.slot()),
        ]
    );
    assert_eq!(script.client.outgoing_messages(), 0);
}

/// Proves: [MQTT-4.3.3-1], [MQTT-4.3.3-2], [MQTT-4.3.3-3], [MQTT-4.3.3-4], [MQTT-4.3.3-5],
/// [MQTT-2.2.1-5]
#[test]
fn qos_2_ends_with_pubcomp_and_the_reason_of_pubrec() {
    let mut script = Script::open(resuming());
    script.publish("a", QoS::ExactlyOnce).unwrap();
    assert_eq!(script.sent(), ["PUBLISH QoS 2 id 1 a"]);
    script.receive(pubrec(1, PubAckReason::NoMatchingSubscribers));
    assert_eq!(script.sent(), ["PUBREL 1 Success"]);
    assert!(script.events().is_empty(), "PUBREC is not the end");
    script.receive(pubcomp(1));
    assert_eq!(script.events(), ["published 0 acknowledged: No matching subscribers"]);
}

/// Proves: [MQTT-4.4.0-2]
#[test]
fn a_refusing_pubrec_ends_the_exchange_without_pubrel() {
    let mut script = with_receive_maximum(1);
    script.publish("a", QoS::ExactlyOnce).unwrap();
    script.publish("b", QoS::ExactlyOnce).unwrap();
    assert_eq!(script.sent(), ["PUBLISH QoS 2 id 1 a"]);
    script.receive(pubrec(1, PubAckReason::NotAuthorized));
    assert_eq!(script.events(), ["published 0 refused: Not authorized"]);
    assert_eq!(script.sent(), ["PUBLISH QoS 2 id 1 b"], "identifier and quota are free again");
}

/// Proves: [MQTT-4.6.0-4]
#[test]
fn pubrels_leave_in_the_order_of_the_pubrecs() {
    let mut script = Script::open(resuming());
    for topic in ["a", "b", "c"] {
        script.publish(topic, QoS::ExactlyOnce).unwrap();
    }
    script.sent();
    for number in [2, 3, 1] {
        script.receive(pubrec(number, PubAckReason::Success));
    }
    assert_eq!(script.sent(), ["PUBREL 2 Success", "PUBREL 3 Success", "PUBREL 1 Success"]);
}

/// Proves: [MQTT-3.3.4-7], [MQTT-3.3.4-8], [MQTT-4.9.0-1], [MQTT-4.9.0-2], [MQTT-4.9.0-3]
#[test]
fn over_the_receive_maximum_messages_wait_and_everything_else_goes_on() {
    let mut script = with_receive_maximum(2);
    for topic in ["a", "b", "c", "d"] {
        script.publish(topic, QoS::AtLeastOnce).unwrap();
    }
    script.publish("zero", QoS::AtMostOnce).unwrap();
    script.subscribe(&["s"]);
    assert_eq!(
        script.sent(),
        [
            "PUBLISH QoS 1 id 1 a",
            "PUBLISH QoS 1 id 2 b",
            "SUBSCRIBE 3 s:02 {Subscription Identifier: 1}",
            "PUBLISH QoS 0 zero",
        ]
    );
    script.receive(puback(2, PubAckReason::Success));
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 2 c"]);
    script.receive(puback(1, PubAckReason::Success));
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 d"]);
}

#[test]
fn messages_leave_in_the_order_in_which_they_were_published() {
    let mut script = Script::open(resuming());
    for (topic, qos) in [
        ("a", QoS::AtLeastOnce),
        ("b", QoS::AtMostOnce),
        ("c", QoS::ExactlyOnce),
        ("d", QoS::AtMostOnce),
    ] {
        script.publish(topic, qos).unwrap();
    }
    assert_eq!(
        script.sent(),
        ["PUBLISH QoS 1 id 1 a", "PUBLISH QoS 0 b", "PUBLISH QoS 2 id 2 c", "PUBLISH QoS 0 d",]
    );
}

#[test]
fn a_budget_is_kept_to_about_a_packet_and_nothing_is_lost() {
    let mut script = Script::open(resuming());
    for _ in 0..100 {
        script.publish("a/topic", QoS::AtMostOnce).unwrap();
    }
    let mut sent = Vec::new();
    let mut calls = 0;
    while script.client.outgoing_messages() > 0 {
        let mut out = TransmitBuf::new();
        script.client.poll_transmit(script.now, &mut out, 100);
        assert!((1..120).contains(&out.len()), "{}", out.len());
        sent.extend_from_slice(out.chunk());
        calls += 1;
    }
    assert_eq!(lines(&sent).len(), 100);
    assert!(calls > 10);
}

#[test]
fn a_large_payload_is_shared_and_not_copied() {
    let mut script = Script::open(resuming());
    let payload = Bytes::from(vec![b'x'; 1 << 20]);
    let publication = Publication::new(TopicName::new("a").unwrap(), payload.clone());
    script.client.publish(script.now, publication).unwrap();
    let mut out = TransmitBuf::new();
    script.client.poll_transmit(script.now, &mut out, usize::MAX);
    assert!(out.capacity() < 1024);
    out.advance(1 + 3 + 2 + 1 + 1);
    assert_eq!(out.chunk().as_ptr(), payload.as_ptr());
}

#[test]
fn properties_leave_as_they_were_given_and_the_expiry_counts_down() {
    let mut script = with_receive_maximum(1);
    let mut properties = PropertyBuf::new();
    properties.message_expiry_interval(10).content_type("text/plain").unwrap();
    properties.user_property("k", "1").unwrap().user_property("k", "2").unwrap();
    for topic in ["a", "b"] {
        let mut publication = message(topic, "payload");
        publication.qos = QoS::AtLeastOnce;
        publication.properties = properties.as_properties();
        script.client.publish(script.now, publication).unwrap();
    }
    let same = "Content Type: \"text/plain\", User Property: \"k\" = \"1\", \
                User Property: \"k\" = \"2\"}";
    assert_eq!(
        script.sent(),
        [format!("PUBLISH QoS 1 id 1 a {{Message Expiry Interval: 10, {same}")]
    );
    script.pass(Duration::from_millis(4_500));
    script.receive(puback(1, PubAckReason::Success));
    assert_eq!(
        script.sent(),
        [format!("PUBLISH QoS 1 id 1 b {{Message Expiry Interval: 6, {same}")]
    );
}

#[test]
fn a_message_that_expires_while_it_waits_is_not_sent() {
    let mut script = with_receive_maximum(1);
    let mut properties = PropertyBuf::new();
    properties.message_expiry_interval(1);
    script.publish("first", QoS::AtLeastOnce).unwrap();
    let mut publication = message("late", "payload");
    publication.properties = properties.as_properties();
    script.client.publish(script.now, publication.clone()).unwrap();
    publication.qos = QoS::ExactlyOnce;
    let late = script.client.publish(script.now, publication).unwrap().unwrap();
    script.now = script.now + Duration::from_secs(1);
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 first"]);
    script.receive(puback(1, PubAckReason::Success));
    assert!(script.sent().is_empty());
    assert_eq!(
        script.events(),
        ["published 0 acknowledged: Success".into(), format!("published {} Expired", late.slot())]
    );
    assert_eq!(script.client.statistics().qos0_expired, 1);
}

#[test]
fn a_full_outbox_gives_the_message_back() {
    let mut script = Script::open(resuming().max_outgoing_messages(2));
    script.publish("a", QoS::AtLeastOnce).unwrap();
    script.publish("b", QoS::AtMostOnce).unwrap();
    assert_eq!(script.publish("c", QoS::AtMostOnce), Err(PublishError::Full));
    script.sent();
    script.publish("c", QoS::AtMostOnce).unwrap();
    assert_eq!(script.publish("d", QoS::AtMostOnce), Err(PublishError::Full));
}

/// Proves: [MQTT-3.3.4-6]
#[test]
fn properties_that_are_not_the_applications_are_refused() {
    let mut script = Script::open(resuming());
    let mut alias = PropertyBuf::new();
    alias.topic_alias(NonZeroU16::MIN);
    let mut identifier = PropertyBuf::new();
    identifier.subscription_id(mqtt_codec::SubscriptionId::new(1).unwrap());
    let mut foreign = PropertyBuf::new();
    foreign.maximum_qos(QoS::AtLeastOnce);
    for properties in [&alias, &identifier, &foreign] {
        let mut publication = message("a", "payload");
        publication.properties = properties.as_properties();
        let unsent = script.client.publish(script.now, publication).unwrap_err();
        assert!(matches!(unsent.error, PublishError::PropertyNotAllowed(_)));
    }
}

#[test]
fn without_a_connection_nothing_is_accepted() {
    let mut script = Script::new(resuming());
    assert_eq!(script.publish("a", QoS::AtLeastOnce), Err(PublishError::NotConnected));
}

/// Proves: [MQTT-3.2.2-17], [MQTT-3.2.2-18], [MQTT-3.3.2-7], [MQTT-3.3.2-8], [MQTT-3.3.2-9]
#[test]
fn topic_aliases_are_used_up_to_what_both_sides_allow_and_die_with_the_connection() {
    let allow = |maximum| {
        terms(|terms| {
            terms.topic_alias_maximum(maximum);
        })
    };
    let mut script = Script::open_with(resuming().outgoing_topic_aliases(10), &allow(1));
    for topic in ["sensor/1", "sensor/1", "sensor/2", "sensor/2"] {
        script.publish(topic, QoS::AtMostOnce).unwrap();
    }
    script.publish("sensor/1", QoS::AtLeastOnce).unwrap();
    assert_eq!(
        script.sent(),
        [
            "PUBLISH QoS 0 sensor/1 {Topic Alias: 1}",
            "PUBLISH QoS 0 - {Topic Alias: 1}",
            "PUBLISH QoS 0 sensor/2 {Topic Alias: 1}",
            "PUBLISH QoS 0 - {Topic Alias: 1}",
            "PUBLISH QoS 1 id 1 sensor/1 {Topic Alias: 1}",
        ],
        "the topic that was not used for longest gives its alias away"
    );
    script.lose();
    script.events();
    script.connect(true, &allow(1));
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 DUP sensor/1 {Topic Alias: 1}"]);
    script.lose();
    script.events();
    script.connect(true, &allow(0));
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 DUP sensor/1"]);
}

/// Proves: [MQTT-2.2.1-3]
#[test]
fn acknowledgements_of_nothing_are_counted_and_harmless() {
    let mut script = Script::open(resuming());
    script.receive(puback(9, PubAckReason::Success));
    script.receive(pubcomp(9));
    script.suback(9, &[SubAckReason::GrantedQos0]);
    assert!(script.sent().is_empty());
    script.receive(pubrec(9, PubAckReason::Success));
    assert_eq!(script.sent(), ["PUBREL 9 Packet Identifier not found"]);
    script.receive(pubrec(9, PubAckReason::QuotaExceeded));
    assert!(script.sent().is_empty());
    assert!(script.events().is_empty());
    assert_eq!(script.client.statistics().unknown_acknowledgements, 5);
}

#[test]
fn a_message_that_its_caller_forgot_leaves_the_protocol_as_if_he_had_not() {
    let mut script = with_receive_maximum(1);
    let first = script.publish("a", QoS::ExactlyOnce).unwrap().unwrap();
    script.publish("b", QoS::AtLeastOnce).unwrap();
    script.sent();
    script.client.forget(first);
    script.receive(pubrec(1, PubAckReason::Success));
    assert_eq!(script.sent(), ["PUBREL 1 Success"]);
    script.receive(pubcomp(1));
    assert_eq!(script.events(), [""; 0]);
    assert_eq!(script.sent(), ["PUBLISH QoS 1 id 1 b"], "its unit of the Receive Maximum is free");
    // It has ended: forgetting it again means nothing to whoever has its place.
    let third = script.publish("c", QoS::AtLeastOnce).unwrap().unwrap();
    assert_eq!(third.slot(), first.slot());
    script.client.forget(first);
    script.receive(puback(1, PubAckReason::Success));
    script.sent();
    script.receive(puback(1, PubAckReason::Success));
    assert_eq!(
        script.events(),
        ["published 1 acknowledged: Success", "published 0 acknowledged: Success"]
    );
}
