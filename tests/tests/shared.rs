//! Shared subscriptions: one member of the group gets each message.

use mqtt_codec::PubAckReason;
use mqtt_tests::scripted::{
    connect, disconnect, puback, puback_with, pubcomp, publish, pubrec, pubrec_with, subscribe,
    unsubscribe,
};
use mqtt_tests::{Peer, Wire};

/// A wire with a publisher and members of "$share/g/t", each with its QoS.
fn group(members: &[(&str, u8)]) -> (Wire, Peer, Vec<Peer>) {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let peers = members
        .iter()
        .map(|(name, qos)| {
            let peer = wire.connect(connect(name).expiry(100));
            wire.send(peer, subscribe(1, "$share/g/t").qos(*qos));
            wire.receive(peer);
            peer
        })
        .collect();
    (wire, publisher, peers)
}

fn publish_many(wire: &mut Wire, publisher: Peer, qos: u8, count: u16) {
    for id in 1..=count {
        wire.send(publisher, publish("t", id.to_string()).qos(qos, id));
        if qos == 2 {
            wire.send(publisher, mqtt_tests::scripted::pubrel(id));
        }
    }
}

#[test]
fn each_message_goes_to_one_member_and_all_members_have_their_turn() {
    let (mut wire, publisher, members) = group(&[("a", 0), ("b", 1), ("c", 2)]);
    publish_many(&mut wire, publisher, 1, 30);
    let mut seen: Vec<u16> = Vec::new();
    for member in members {
        let lines = wire.receive(member);
        assert_eq!(lines.len(), 10);
        seen.extend(
            lines.iter().map(|line| line.split('"').nth(3).unwrap().parse::<u16>().unwrap()),
        );
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=30).collect::<Vec<u16>>());
}

/// Proves: [MQTT-4.8.2-3], [MQTT-3.8.4-8]
#[test]
fn each_member_gets_its_messages_at_the_qos_granted_to_it() {
    let (mut wire, publisher, members) = group(&[("a", 0), ("b", 1), ("c", 2)]);
    publish_many(&mut wire, publisher, 2, 3);
    let lines: Vec<_> = members.into_iter().map(|member| wire.receive(member).remove(0)).collect();
    assert_eq!(
        lines,
        [r#"PUBLISH q0 "t" "1""#, r#"PUBLISH q1 id=1 "t" "2""#, r#"PUBLISH q2 id=1 "t" "3""#]
    );
}

#[test]
fn each_group_and_each_subscription_beside_it_gets_the_message() {
    let (mut wire, publisher, members) = group(&[("a", 0), ("b", 0)]);
    let other = wire.connect(connect("other"));
    wire.send(other, subscribe(1, "$share/h/t"));
    let plain = wire.connect(connect("plain"));
    wire.send(plain, subscribe(1, "t"));
    let wider = wire.connect(connect("wider"));
    wire.send(wider, subscribe(1, "$share/g/+"));
    for peer in [other, plain, wider] {
        wire.receive(peer);
    }
    wire.send(publisher, publish("t", "x"));
    for peer in [other, plain, wider] {
        assert_eq!(wire.receive(peer).len(), 1, "another name or filter is another group");
    }
    assert_eq!(members.into_iter().map(|member| wire.receive(member).len()).sum::<usize>(), 1);
}

#[test]
fn a_client_with_a_shared_and_a_plain_subscription_gets_a_copy_that_serves_both() {
    let (mut wire, publisher, members) = group(&[("a", 2)]);
    wire.send(members[0], subscribe(2, "t").subscription_id(1));
    wire.send(members[0], subscribe(3, "$share/g/t").qos(1).subscription_id(2));
    wire.receive(members[0]);
    wire.send(publisher, publish("t", "x").qos2(1));
    let lines = wire.receive(members[0]);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with(r#"PUBLISH q1 id=1 "t" "x""#), "{lines:?}");
    for id in ["subscription=1", "subscription=2"] {
        assert!(lines[0].contains(id), "{lines:?}");
    }
}

#[test]
fn a_member_that_is_away_is_passed_over_while_another_is_there() {
    let (mut wire, publisher, members) = group(&[("a", 1), ("b", 1)]);
    wire.cut(members[0]);
    publish_many(&mut wire, publisher, 1, 4);
    assert_eq!(wire.receive(members[1]).len(), 4);
    wire.cut(members[1]);
    // With all away their sessions keep the messages, each one of them.
    publish_many(&mut wire, publisher, 1, 4);
    let a = wire.connect(connect("a").resume().expiry(100));
    let b = wire.connect(connect("b").resume().expiry(100));
    assert_eq!((wire.receive(a).len(), wire.receive(b).len()), (2, 4 + 2));
}

#[test]
fn a_member_whose_queue_is_full_is_passed_over() {
    let mut wire = Wire::configured(|config| config.limits.queued_messages = 2);
    let publisher = wire.connect(connect("publisher"));
    let members = ["a", "b"].map(|name| {
        let peer = wire.connect(connect(name).receive_maximum(1));
        wire.send(peer, subscribe(1, "$share/g/t").qos(1));
        wire.receive(peer);
        peer
    });
    // One under way and two queued for each: the seventh finds no room.
    publish_many(&mut wire, publisher, 1, 7);
    assert_eq!(wire.broker().statistics().dropped.queue_full, 1);
    let mut seen = 0;
    for _ in 0..3 {
        for member in members {
            seen += wire.receive(member).len();
            wire.send(member, puback(1));
        }
    }
    assert_eq!(seen, 6);
    for number in 0..6 {
        wire.send(members[0], puback(1));
        wire.send(publisher, publish("t", "x").qos1(number + 1));
    }
    assert!(wire.receive(members[0]).len() >= 3, "the one that keeps up gets more");
}

/// Proves: [MQTT-4.8.2-4]
#[test]
fn a_qos_2_message_that_was_interrupted_is_finished_with_the_same_member() {
    let (mut wire, publisher, members) = group(&[("a", 2), ("b", 2)]);
    publish_many(&mut wire, publisher, 2, 1);
    assert_eq!(wire.receive(members[0]), [r#"PUBLISH q2 id=1 "t" "1""#]);
    wire.cut(members[0]);
    assert_eq!(wire.receive(members[1]), [""; 0]);
    let a = wire.connect(connect("a").resume().expiry(100));
    assert_eq!(wire.receive(a), [r#"PUBLISH q2 id=1 dup "t" "1""#]);
    wire.send(a, pubrec(1));
    wire.cut(a);
    let a = wire.connect(connect("a").resume().expiry(100));
    assert_eq!(wire.receive(a), ["PUBREL id=1"]);
    wire.send(a, pubcomp(1));
    assert_eq!(wire.receive(members[1]), [""; 0]);
    assert_eq!(wire.broker().gauges().messages, 0);
}

/// Proves: [MQTT-4.8.2-5]
#[test]
fn a_qos_2_message_whose_member_does_not_come_back_goes_to_nobody_else() {
    let (mut wire, publisher, members) = group(&[("a", 2), ("b", 2)]);
    publish_many(&mut wire, publisher, 2, 1);
    wire.cut(members[0]);
    wire.advance_secs(100);
    assert_eq!(wire.broker().statistics().sessions_expired, 1);
    assert_eq!(wire.receive(members[1]), [""; 0]);
    assert_eq!(wire.broker().gauges().messages, 0);
    // What comes from now on is for who is left.
    publish_many(&mut wire, publisher, 2, 2);
    assert_eq!(wire.receive(members[1]).len(), 2);
}

/// Proves: [MQTT-4.8.2-6]
#[test]
fn a_message_that_a_member_refuses_is_offered_to_nobody_else() {
    for qos in [1, 2] {
        let (mut wire, publisher, members) = group(&[("a", 2), ("b", 2)]);
        publish_many(&mut wire, publisher, qos, 1);
        assert_eq!(wire.receive(members[0]).len(), 1);
        let refusal = if qos == 1 { puback_with } else { pubrec_with };
        wire.send(members[0], refusal(1, PubAckReason::QuotaExceeded));
        assert_eq!(wire.receive(members[0]), [""; 0]);
        assert_eq!(wire.receive(members[1]), [""; 0]);
        assert_eq!(wire.broker().gauges().messages, 0);
    }
}

#[test]
fn members_come_and_go() {
    let (mut wire, publisher, members) = group(&[("a", 0), ("b", 0), ("c", 0)]);
    publish_many(&mut wire, publisher, 0, 2);
    wire.send(members[2], unsubscribe(2, &["$share/g/t"]));
    publish_many(&mut wire, publisher, 0, 4);
    wire.send(members[0], disconnect());
    wire.advance_secs(100);
    publish_many(&mut wire, publisher, 0, 2);
    let counts: Vec<_> = members.iter().map(|&member| wire.receive(member).len()).collect();
    // 2 + 4 + 2 messages; with the lines for UNSUBACK and for the end of a connection.
    assert_eq!(counts.iter().sum::<usize>(), 8 + 1 + 1);
    assert_eq!(counts[2], 1, "the third had not had its turn yet when it left");
    wire.send(members[1], unsubscribe(3, &["$share/g/t"]));
    assert_eq!(wire.broker().gauges().subscriptions, 0);
    wire.send(publisher, publish("t", "x").qos1(1));
    assert_eq!(wire.receive(publisher), ["PUBACK id=1 10 No matching subscribers"]);
}

#[test]
fn a_group_ends_with_the_sessions_of_its_members() {
    let (mut wire, _, members) = group(&[("a", 0), ("b", 0)]);
    for member in members {
        wire.cut(member);
    }
    wire.connect(connect("a"));
    assert_eq!(wire.broker().gauges().subscriptions, 1);
    wire.advance_secs(100);
    assert_eq!(wire.broker().gauges().subscriptions, 0);
}

/// Proves: [MQTT-4.7.2-1]
#[test]
fn a_shared_wildcard_is_matched_like_any_other() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a"));
    wire.send(a, subscribe(1, "$share/g/#").and("$share/h//+"));
    wire.receive(a);
    wire.send(publisher, publish("/x", "x"));
    assert_eq!(wire.receive(a).len(), 1);
}
