//! Receiving: acknowledgements, duplicates, order, aliases.

use core::num::NonZeroU16;

use super::*;

/// Proves: [MQTT-3.3.4-1], [MQTT-4.3.2-4], [MQTT-4.3.3-8], [MQTT-4.3.3-11], [MQTT-4.5.0-2]
#[test]
fn every_message_is_answered_as_its_qos_demands_whether_anybody_wants_it_or_not() {
    let mut script = Script::open(resuming());
    script.deliver("a", PublishQos::AtMostOnce);
    script.deliver("b", qos1(7));
    script.deliver("c", qos2(7 + 1));
    script.receive(pubrel(8));
    assert_eq!(script.sent(), ["PUBACK 7 Success", "PUBREC 8 Success", "PUBCOMP 8 Success"]);
    assert!(script.events().is_empty());
    assert_eq!(script.client.statistics().unmatched, 3);

    let mut script = Script::receiving(resuming());
    script.deliver("a", PublishQos::AtMostOnce);
    script.deliver("b", qos1(7));
    script.deliver("c", qos2(7 + 1));
    assert!(script.sent().is_empty(), "what is not read is not acknowledged");
    assert_eq!(
        script.events(),
        ["message QoS 0 a -> []", "message QoS 1 b -> []", "message QoS 2 c -> []"]
    );
    assert_eq!(script.sent(), ["PUBACK 7 Success", "PUBREC 8 Success"]);
}

#[test]
fn a_message_tells_what_was_sent() {
    let mut script = Script::receiving(resuming());
    let mut properties = PropertyBuf::new();
    properties.content_type("text/plain").unwrap().user_property("k", "v").unwrap();
    script.receive(Publish {
        qos: PublishQos::AtLeastOnce { id: id(1), dup: true },
        retain: true,
        topic: TopicName::new("some/topic").ok(),
        properties: properties.as_properties(),
        payload: b"payload",
    });
    let (message, _) = script.delivery();
    assert_eq!(message.topic(), "some/topic");
    assert_eq!(message.payload(), b"payload");
    assert_eq!(message.payload_bytes(), "payload");
    assert_eq!(message.properties(), properties.as_properties());
    assert!(message.retain() && message.dup());
    assert_eq!(message.qos(), QoS::AtLeastOnce);
    let shown = format!("{message:?}");
    assert!(shown.contains("payload_len: 7") && !shown.contains("112, 97"), "{shown}");
    assert_eq!(message.into_payload(), "payload");
}

#[test]
fn a_large_message_is_kept_in_the_memory_it_was_collected_in() {
    let mut script = Script::receiving(resuming());
    let payload: Vec<u8> = (0..100_000u32).map(|byte| byte as u8).collect();
    let mut properties = PropertyBuf::new();
    properties.content_type("application/octet-stream").unwrap();
    let mut bytes = Vec::new();
    Publish {
        qos: qos1(1),
        retain: false,
        topic: TopicName::new("large").ok(),
        properties: properties.as_properties(),
        payload: &payload,
    }
    .encode(&mut bytes, u32::MAX)
    .unwrap();
    for chunk in bytes.chunks(4096) {
        script.receive_bytes(chunk);
    }
    let (message, _) = script.delivery();
    assert_eq!(message.topic(), "large");
    assert_eq!(message.payload(), payload);
    assert_eq!(message.properties(), properties.as_properties());
    let shared = message.payload_bytes();
    assert_eq!(shared.as_ptr(), message.payload().as_ptr(), "no copy");
}

/// Proves: [MQTT-4.3.3-10], [MQTT-4.3.3-12]
#[test]
fn a_qos_2_message_is_delivered_once_until_its_pubrel() {
    let mut script = Script::receiving(resuming());
    script.deliver("a", qos2(5));
    assert_eq!(script.events().len(), 1);
    script.deliver("a", PublishQos::ExactlyOnce { id: id(5), dup: true });
    assert!(script.events().is_empty());
    assert_eq!(script.sent(), ["PUBREC 5 Success", "PUBREC 5 Success"]);
    script.receive(pubrel(5));
    assert_eq!(script.sent(), ["PUBCOMP 5 Success"]);
    script.deliver("a", PublishQos::ExactlyOnce { id: id(5), dup: true });
    assert_eq!(script.events().len(), 1, "a new message, whatever DUP says");
    assert_eq!(script.client.statistics().duplicates, 1);
    script.receive(pubrel(99));
    assert_eq!(script.sent()[1], "PUBCOMP 99 Packet Identifier not found");
}

/// Proves: [MQTT-4.3.3-13]
#[test]
fn an_exchange_is_completed_though_its_message_has_expired() {
    let mut script = Script::manual(resuming());
    let expires = terms(|properties| {
        properties.message_expiry_interval(1);
    });
    script.deliver_with("a", qos2(1), expires.as_properties());
    let (_, delivery) = script.delivery();
    script.pass(Duration::from_secs(100));
    script.answer(delivery, PubAckReason::Success);
    assert_eq!(script.sent(), ["PUBREC 1 Success"]);
    script.pass(Duration::from_secs(100));
    script.receive(pubrel(1));
    assert_eq!(script.sent(), ["PUBCOMP 1 Success"]);
}

/// Proves: [MQTT-4.3.2-5]
#[test]
fn after_its_puback_a_qos_1_identifier_means_a_new_message() {
    let mut script = Script::receiving(resuming());
    for dup in [false, true, true] {
        script.deliver("a", PublishQos::AtLeastOnce { id: id(5), dup });
        assert_eq!(script.events().len(), 1);
        assert_eq!(script.sent(), ["PUBACK 5 Success"]);
    }
}

/// Proves: [MQTT-4.6.0-2], [MQTT-4.6.0-3]
#[test]
fn manual_acknowledgements_leave_in_the_order_of_arrival() {
    let mut script = Script::manual(resuming());
    let mut deliveries = Vec::new();
    for (number, topic) in [(1, "a"), (2, "b"), (3, "c")] {
        script.deliver(topic, qos1(number));
        deliveries.push(script.delivery().1);
        script.deliver(topic, qos2(10 + number));
        deliveries.push(script.delivery().1);
    }
    assert!(script.sent().is_empty());
    for _ in 0..4 {
        let last = deliveries.pop().unwrap();
        script.answer(last, PubAckReason::Success);
    }
    assert!(script.sent().is_empty(), "the first of each QoS is not answered");
    script.answer(deliveries.pop().unwrap(), PubAckReason::NotAuthorized);
    assert_eq!(
        script.sent(),
        ["PUBREC 11 Not authorized", "PUBREC 12 Success", "PUBREC 13 Success"]
    );
    script.answer(deliveries.pop().unwrap(), PubAckReason::QuotaExceeded);
    assert_eq!(script.sent(), ["PUBACK 1 Quota exceeded", "PUBACK 2 Success", "PUBACK 3 Success"]);
}

/// Proves: [MQTT-4.3.3-9]
#[test]
fn after_a_refusal_the_identifier_means_a_new_message() {
    let mut script = Script::manual(resuming());
    script.deliver("a", qos2(1));
    let (_, delivery) = script.delivery();
    script.answer(delivery, PubAckReason::QuotaExceeded);
    assert_eq!(script.sent(), ["PUBREC 1 Quota exceeded"]);
    script.deliver("b", qos2(1));
    assert_eq!(script.events(), ["message QoS 2 b -> [] owed"]);
}

#[test]
fn a_message_that_waits_for_its_answer_is_not_delivered_again() {
    let mut script = Script::manual(resuming());
    script.deliver("a", qos2(1));
    let (_, delivery) = script.delivery();
    script.deliver("a", PublishQos::ExactlyOnce { id: id(1), dup: true });
    assert!(script.events().is_empty() && script.sent().is_empty());
    script.answer(delivery, PubAckReason::Success);
    assert_eq!(script.sent(), ["PUBREC 1 Success"]);
}

/// Proves: [MQTT-3.3.4-7], [MQTT-3.3.4-9]
#[test]
fn the_receive_maximum_counts_until_the_acknowledgement_has_left() {
    let two = NonZeroU16::new(2).unwrap();
    let config = resuming().receive_maximum(two).receive_maximum_tolerance(0);
    let mut script = Script::manual(config.clone());
    script.deliver("a", qos1(1));
    let (_, first) = script.delivery();
    script.deliver("a", qos2(2));
    script.events();
    script.answer(first, PubAckReason::Success);
    assert_eq!(script.sent(), ["PUBACK 1 Success"]);
    script.deliver("a", qos1(1));
    assert_eq!(script.events().len(), 1);
    script.deliver("a", qos1(3));
    assert_eq!(script.sent(), ["DISCONNECT 0x93"]);

    // Three in one segment are one too many even though each is answered at once.
    let mut script = Script::open(config);
    for number in 1..=3 {
        script.deliver("a", qos1(number));
    }
    assert_eq!(script.sent(), ["PUBACK 1 Success", "PUBACK 2 Success", "DISCONNECT 0x93"]);
}

/// Proves: [MQTT-3.3.4-9]
#[test]
fn a_server_that_exceeds_the_receive_maximum_is_tolerated_as_far_as_configured() {
    let four = NonZeroU16::new(4).unwrap();
    for (tolerance, taken) in [(None, 6), (Some(1), 5), (Some(0), 4), (Some(u16::MAX), 65_535)] {
        let mut config = resuming().receive_maximum(four);
        if let Some(tolerance) = tolerance {
            config = config.receive_maximum_tolerance(tolerance);
        }
        let mut script = Script::receiving(config);
        for number in 1..=taken {
            script.deliver("a", qos1(number));
        }
        assert!(script.sent().is_empty());
        let statistics = script.client.statistics();
        assert_eq!(statistics.above_receive_maximum, u64::from(taken) - 4);
        assert_eq!(script.client.unacknowledged_deliveries(), usize::from(taken));
        script.deliver("a", qos2(1));
        assert_eq!(script.sent(), ["DISCONNECT 0x93"]);
    }
}

/// Proves: [MQTT-3.3.2-10]
#[test]
fn topic_aliases_are_resolved_up_to_the_announced_maximum() {
    let mut script = Script::receiving(resuming().topic_alias_maximum(2));
    let with = |alias| {
        terms(|properties| {
            properties.topic_alias(NonZeroU16::new(alias).unwrap());
        })
    };
    script.deliver_with("first", PublishQos::AtMostOnce, with(1).as_properties());
    script.deliver_with("second", PublishQos::AtMostOnce, with(2).as_properties());
    script.deliver_with("", PublishQos::AtMostOnce, with(1).as_properties());
    script.deliver_with("third", PublishQos::AtMostOnce, with(1).as_properties());
    script.deliver_with("", qos1(1), with(1).as_properties());
    assert_eq!(
        script.events(),
        [
            "message QoS 0 first -> []",
            "message QoS 0 second -> []",
            "message QoS 0 first -> []",
            "message QoS 0 third -> []",
            "message QoS 1 third -> []",
        ]
    );
}

#[test]
fn input_is_not_accepted_while_answers_pile_up() {
    let mut script = Script::open(resuming().receive_maximum(NonZeroU16::MAX));
    let mut number = 0;
    while script.client.accepts_input() {
        number += 1;
        script.deliver("a", qos1(number));
        script.events();
    }
    assert_eq!(number, 16 * 1024);
    script.sent();
    assert!(script.client.accepts_input());
}

/// The server has lost the session, and the CONNACK that said so was lost too: to close the
/// connection would bring the same message again and again.
#[test]
fn a_qos_1_message_under_an_identifier_that_awaits_pubrel_is_refused_and_nothing_else_happens() {
    let mut script = Script::manual(resuming());
    script.deliver("a", qos2(1));
    script.deliver("b", qos1(2));
    let (_, first) = script.delivery();
    let (_, second) = script.delivery();
    script.deliver("c", qos1(1));
    assert!(script.sent().is_empty(), "its turn comes behind b");
    script.client.acknowledge(script.now, second.unwrap(), PubAckReason::Success);
    assert_eq!(script.sent(), ["PUBACK 2 Success", "PUBACK 1 Packet Identifier in use"]);
    script.client.acknowledge(script.now, first.unwrap(), PubAckReason::Success);
    assert_eq!(script.sent(), ["PUBREC 1 Success"]);
    assert!(script.events().is_empty());
}

/// A server that may not send a message again, because the client's rights have changed, ends the
/// exchange with PUBREL.
#[test]
fn a_message_that_is_released_before_it_was_answered_needs_no_answer() {
    let mut script = Script::manual(resuming());
    script.deliver("a", qos2(1));
    script.deliver("b", qos2(2));
    let (_, first) = script.delivery();
    let (_, second) = script.delivery();
    script.client.acknowledge(script.now, second.unwrap(), PubAckReason::Success);
    assert!(script.sent().is_empty(), "the first is not answered");
    script.receive(pubrel(1));
    assert_eq!(script.sent(), ["PUBREC 2 Success", "PUBCOMP 1 Success"]);
    assert_eq!(script.client.unacknowledged_deliveries(), 0);
    script.client.acknowledge(script.now, first.unwrap(), PubAckReason::Success);
    assert!(script.sent().is_empty());
}
