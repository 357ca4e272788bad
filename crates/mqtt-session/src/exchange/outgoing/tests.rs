//! The sender of QoS 1 and QoS 2, step by step.

use core::num::NonZeroU16;

use mqtt_codec::{PacketId, QoS};

use super::*;

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn with_quota(receive_maximum: u16) -> Outgoing<&'static str> {
    let mut outgoing = Outgoing::new();
    outgoing.start_connection(NonZeroU16::new(receive_maximum).unwrap());
    outgoing
}

fn resent(outgoing: &mut Outgoing<&'static str>) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(resend) = outgoing.next_resend() {
        seen.push(match resend {
            Resend::Publish(id, qos, item) => format!("PUBLISH {} {qos:?} {item}", id.get()),
            Resend::PubRel(id) => format!("PUBREL {}", id.get()),
        });
    }
    seen
}

/// Proves: [MQTT-4.3.2-1], [MQTT-4.3.2-3], [MQTT-2.2.1-4]
#[test]
fn an_identifier_is_in_use_until_its_puback() {
    let mut outgoing = with_quota(10);
    assert_eq!(outgoing.send(QoS::AtLeastOnce, "a"), Some(id(1)));
    assert_eq!(outgoing.send(QoS::AtLeastOnce, "b"), Some(id(2)));
    assert_eq!(outgoing.on_puback(id(1)), Acknowledged::Done("a"));
    assert_eq!(outgoing.on_puback(id(1)), Acknowledged::Unknown);
    assert_eq!(outgoing.send(QoS::AtLeastOnce, "c"), Some(id(1)));
    assert_eq!(outgoing.open(), 2);
}

/// Proves: [MQTT-4.3.3-3], [MQTT-4.3.3-4], [MQTT-4.3.3-5]
#[test]
fn a_qos_2_exchange_ends_with_its_pubcomp() {
    let mut outgoing = with_quota(1);
    assert_eq!(outgoing.send(QoS::ExactlyOnce, "a"), Some(id(1)));
    assert_eq!(outgoing.on_pubrec(id(1), false), Recorded::Release(&mut "a"));
    assert_eq!(outgoing.quota, 0, "PUBREC below 0x80 gives nothing back");
    assert_eq!(outgoing.on_pubrec(id(1), false), Recorded::ReleaseAgain);
    assert_eq!(outgoing.on_pubcomp(id(1)), Acknowledged::Done("a"));
    assert_eq!(outgoing.quota, 1);
    assert_eq!(outgoing.open(), 0);
}

/// Proves: [MQTT-4.4.0-2]
#[test]
fn a_refusing_pubrec_ends_the_exchange_and_frees_identifier_and_quota() {
    let mut outgoing = with_quota(1);
    assert_eq!(outgoing.send(QoS::ExactlyOnce, "a"), Some(id(1)));
    assert_eq!(outgoing.on_pubrec(id(1), true), Recorded::Refused("a"));
    assert_eq!((outgoing.quota, outgoing.open()), (1, 0));
    assert_eq!(outgoing.on_pubrec(id(1), false), Recorded::Unknown);
    outgoing.start_connection(NonZeroU16::MIN);
    assert!(resent(&mut outgoing).is_empty());
}

#[test]
fn an_answer_of_the_wrong_kind_is_a_mismatch_and_changes_nothing() {
    let mut outgoing = with_quota(10);
    assert_eq!(outgoing.send(QoS::AtLeastOnce, "one"), Some(id(1)));
    assert_eq!(outgoing.send(QoS::ExactlyOnce, "two"), Some(id(2)));
    assert_eq!(outgoing.request("request"), Some(id(3)));
    assert_eq!(outgoing.on_pubrec(id(1), false), Recorded::Mismatch);
    assert_eq!(outgoing.on_pubcomp(id(1)), Acknowledged::Mismatch);
    assert_eq!(outgoing.on_puback(id(2)), Acknowledged::Mismatch);
    assert_eq!(outgoing.on_pubcomp(id(2)), Acknowledged::Mismatch, "PUBCOMP before PUBREC");
    assert_eq!(outgoing.on_puback(id(3)), Acknowledged::Mismatch);
    assert_eq!((outgoing.open(), outgoing.quota), (3, 8));
    assert_eq!(outgoing.on_reply(id(3)), Acknowledged::Done("request"));
}

/// Proves: [MQTT-4.9.0-1], [MQTT-4.9.0-2], [MQTT-4.9.0-3]
#[test]
fn at_quota_zero_no_message_leaves_and_requests_still_do() {
    let mut outgoing = with_quota(2);
    assert!(outgoing.send(QoS::AtLeastOnce, "a").is_some());
    assert!(outgoing.send(QoS::ExactlyOnce, "b").is_some());
    assert_eq!(outgoing.send(QoS::AtLeastOnce, "c"), None);
    assert_eq!(outgoing.request("subscribe"), Some(id(3)));
    assert_eq!(outgoing.on_puback(id(1)), Acknowledged::Done("a"));
    assert!(outgoing.may_send());
}

/// Proves: [MQTT-4.6.0-1], [MQTT-4.6.0-4], [MQTT-4.3.3-6]
#[test]
fn a_resumed_session_sends_again_in_order_and_after_pubrec_only_the_pubrel() {
    let mut outgoing = with_quota(10);
    for item in ["a", "b", "c", "d"] {
        assert!(outgoing.send(QoS::ExactlyOnce, item).is_some());
    }
    assert_eq!(outgoing.send(QoS::AtLeastOnce, "e"), Some(id(5)));
    // Identifier 1 ends and is taken by a newer message.
    assert_eq!(outgoing.on_pubrec(id(1), true), Recorded::Refused("a"));
    assert_eq!(outgoing.send(QoS::AtLeastOnce, "f"), Some(id(1)));
    assert!(matches!(outgoing.on_pubrec(id(3), false), Recorded::Release(_)));
    assert!(matches!(outgoing.on_pubrec(id(2), false), Recorded::Release(_)));
    outgoing.start_connection(NonZeroU16::new(10).unwrap());
    assert!(!outgoing.may_send(), "nothing new before what must be sent again");
    assert_eq!(
        resent(&mut outgoing),
        [
            "PUBREL 3",
            "PUBREL 2",
            "PUBLISH 4 ExactlyOnce d",
            "PUBLISH 5 AtLeastOnce e",
            "PUBLISH 1 AtLeastOnce f",
        ]
    );
    assert!(outgoing.may_send());
}

/// Proves: [MQTT-4.9.0-2]
#[test]
fn what_is_sent_again_uses_quota_and_a_pubrel_does_not() {
    let mut outgoing = with_quota(10);
    for item in ["a", "b", "c"] {
        assert!(outgoing.send(QoS::ExactlyOnce, item).is_some());
    }
    assert!(matches!(outgoing.on_pubrec(id(1), false), Recorded::Release(_)));
    outgoing.start_connection(NonZeroU16::MIN);
    assert_eq!(resent(&mut outgoing), ["PUBREL 1", "PUBLISH 2 ExactlyOnce b"]);
    assert!(outgoing.must_resend());
    assert_eq!(outgoing.on_pubcomp(id(1)), Acknowledged::Done("a"));
    assert_eq!(outgoing.quota, 0, "its PUBREL took no quota, its PUBCOMP gives none");
    assert!(matches!(outgoing.on_pubrec(id(2), false), Recorded::Release(_)));
    assert_eq!(outgoing.on_pubcomp(id(2)), Acknowledged::Done("b"));
    assert_eq!(resent(&mut outgoing), ["PUBLISH 3 ExactlyOnce c"]);
}

/// Proves: [MQTT-4.4.0-1]
#[test]
fn a_pubrel_whose_pubrec_came_on_this_connection_is_not_sent_again() {
    let mut outgoing = with_quota(10);
    assert_eq!(outgoing.send(QoS::ExactlyOnce, "a"), Some(id(1)));
    assert_eq!(outgoing.send(QoS::ExactlyOnce, "b"), Some(id(2)));
    outgoing.start_connection(NonZeroU16::new(1).unwrap());
    assert!(matches!(outgoing.on_pubrec(id(2), false), Recorded::Release(_)));
    assert_eq!(resent(&mut outgoing), ["PUBLISH 1 ExactlyOnce a"]);
    outgoing.start_connection(NonZeroU16::new(1).unwrap());
    assert_eq!(resent(&mut outgoing), ["PUBREL 2", "PUBLISH 1 ExactlyOnce a"]);
}

#[test]
fn all_65535_identifiers_can_be_in_use_and_then_none_is_left() {
    let mut outgoing = with_quota(u16::MAX);
    for number in 1..=u16::MAX {
        assert_eq!(outgoing.send(QoS::AtLeastOnce, "x"), Some(id(number)));
    }
    assert_eq!(outgoing.request("y"), None);
    assert_eq!(outgoing.on_puback(id(400)), Acknowledged::Done("x"));
    assert_eq!(outgoing.request("y"), Some(id(400)));
}

#[test]
fn saved_exchanges_go_on_where_they_were() {
    let mut outgoing = with_quota(10);
    for (qos, item) in [(QoS::AtLeastOnce, "a"), (QoS::ExactlyOnce, "b"), (QoS::ExactlyOnce, "c")] {
        assert!(outgoing.send(qos, item).is_some());
    }
    assert_eq!(outgoing.on_puback(id(1)), Acknowledged::Done("a"));
    assert!(matches!(outgoing.on_pubrec(id(3), false), Recorded::Release(_)));
    let saved: Vec<_> = outgoing
        .exchanges()
        .map(|(id, exchange, order, item)| (id, exchange, order, *item))
        .collect();
    let mut restored = Outgoing::new();
    assert!(restored.restore(saved).is_empty());
    assert_eq!(restored.next_order, outgoing.next_order);
    restored.start_connection(NonZeroU16::new(10).unwrap());
    assert_eq!(resent(&mut restored), ["PUBREL 3", "PUBLISH 2 ExactlyOnce b"]);
    assert_eq!(restored.send(QoS::AtLeastOnce, "d"), Some(id(1)));
    assert_eq!(restored.restore([(id(2), Exchange::Publish1, 9, "e")]), ["e"]);
}

#[test]
fn requests_die_with_their_connection_and_messages_do_not() {
    let mut outgoing = with_quota(10);
    assert!(outgoing.send(QoS::AtLeastOnce, "message").is_some());
    assert!(outgoing.request("subscribe").is_some());
    assert_eq!(outgoing.clear_requests(), ["subscribe"]);
    assert_eq!(outgoing.open(), 1);
    assert_eq!(outgoing.clear().collect::<Vec<_>>(), ["message"]);
    assert_eq!((outgoing.open(), outgoing.quota), (0, 10));
}

#[test]
fn free_identifiers_are_used_in_the_order_that_was_saved_beside_those_in_use() {
    let mut outgoing = with_quota(10);
    for item in ["a", "b", "c", "d"] {
        assert!(outgoing.send(QoS::AtLeastOnce, item).is_some());
    }
    assert_eq!(outgoing.on_puback(id(3)), Acknowledged::Done("c"));
    assert_eq!(outgoing.on_puback(id(1)), Acknowledged::Done("a"));
    let free: Vec<_> = outgoing.free_ids().collect();
    assert_eq!(free, [3, 1]);
    let saved: Vec<_> = outgoing
        .exchanges()
        .map(|(id, exchange, order, item)| (id, exchange, order, *item))
        .collect();
    let mut restored = Outgoing::new();
    assert!(restored.restore(saved).is_empty());
    restored.order_free(&free);
    assert_eq!(restored.free_ids().collect::<Vec<_>>(), free);
    // An order that names an identifier in use, or not all that are free, is none.
    for wrong in [&[3, 2][..], &[3]] {
        restored.order_free(wrong);
        assert_eq!(restored.free_ids().collect::<Vec<_>>(), [1, 3], "{wrong:?}");
        assert_eq!(restored.exchanges().count(), 2, "{wrong:?}");
    }
}
