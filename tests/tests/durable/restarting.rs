//! What a restart finds.

use super::*;

#[test]
fn subscriptions_and_queued_messages_are_there() {
    let (mut wire, subscriber) = with_subscriber("a/+", 1);
    wire.send(subscriber, subscribe(2, "$share/g/b").qos(2).subscription_id(5));
    wire.cut(subscriber);
    let publisher = wire.connect(connect("publisher"));
    wire.send(
        publisher,
        publish("a/1", "one").qos1(1).with(|properties| {
            properties.user_property("room", "kitchen").unwrap();
        }),
    );
    wire.send(publisher, publish("b", "two").qos2(2));
    wire.send(publisher, publish("a/0", "gone"));
    wire.crash();
    let subscriber = resume(&mut wire, "subscriber");
    assert_eq!(
        wire.receive(subscriber),
        [
            r#"PUBLISH q1 id=1 "a/1" "one" {"room"="kitchen"}"#,
            r#"PUBLISH q2 id=2 "b" "two" {subscription=5}"#,
        ]
    );
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, publish("a/2", "three"));
    assert_eq!(wire.receive(subscriber), [r#"PUBLISH q0 "a/2" "three""#]);
}

/// Proves: [MQTT-4.4.0-1], [MQTT-3.3.1-1]
#[test]
fn what_was_under_way_goes_on_with_its_identifiers() {
    let (mut wire, subscriber) = with_subscriber("a", 2);
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, publish("a", "1").qos1(1));
    wire.send(publisher, publish("a", "2").qos2(2));
    wire.send(publisher, publish("a", "3").qos2(3));
    wire.send(publisher, publish("a", "4").qos1(4));
    assert_eq!(wire.receive(subscriber).len(), 4);
    wire.send(subscriber, pubrec(3));
    wire.send(subscriber, puback(4));
    wire.send(subscriber, pubrec(2));
    wire.crash();
    let subscriber = resume(&mut wire, "subscriber");
    assert_eq!(
        wire.receive(subscriber),
        ["PUBREL id=3", "PUBREL id=2", r#"PUBLISH q1 id=1 dup "a" "1""#]
    );
    wire.send(subscriber, pubcomp(2));
    wire.send(subscriber, pubcomp(3));
    wire.send(subscriber, puback(1));
    wire.crash();
    let subscriber = resume(&mut wire, "subscriber");
    assert!(wire.receive(subscriber).is_empty());
}

#[test]
fn retained_messages_are_there_with_their_publisher_and_their_time() {
    let mut wire = Wire::durable();
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, publish("a", "kept").qos1(1).retain().expiry(100));
    wire.send(publisher, publish("b", "short").qos1(2).retain().expiry(10));
    wire.send(publisher, publish("c", "cleared").qos1(3).retain());
    wire.send(publisher, publish("c", "").qos1(4).retain());
    wire.advance_secs(40);
    wire.crash();
    let reader = wire.connect(connect("reader"));
    wire.send(reader, subscribe(1, "#").qos(1));
    assert_eq!(
        wire.receive(reader),
        ["SUBACK id=1 [01]", r#"PUBLISH q1 id=1 retain "a" "kept" {expiry=60}"#]
    );
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, subscribe(1, "#").no_local());
    assert_eq!(wire.receive(publisher), ["SUBACK id=1 [00]"], "its own are not sent to it");
}

/// Proves: [MQTT-3.1.2-8], [MQTT-3.1.2-10]
#[test]
fn a_will_is_published_as_if_the_connection_had_been_lost() {
    let mut wire = Wire::durable();
    let client = wire.connect(
        connect("client").expiry(100).will(will("gone", "client").qos(1).delay(20).retain()),
    );
    let polite = wire.connect(connect("polite").expiry(100).will(will("gone", "polite")));
    wire.send(polite, disconnect());
    wire.crash();
    let watcher = wire.connect(connect("watcher"));
    wire.send(watcher, subscribe(1, "gone").qos(1));
    wire.receive(watcher);
    wire.advance_secs(19);
    assert!(wire.receive(watcher).is_empty());
    wire.crash();
    let watcher = wire.connect(connect("watcher"));
    wire.send(watcher, subscribe(1, "gone").qos(1));
    wire.receive(watcher);
    wire.advance_secs(1);
    assert_eq!(wire.receive(watcher), [r#"PUBLISH q1 id=1 "gone" "client""#]);
    wire.crash();
    let watcher = wire.connect(connect("watcher"));
    wire.send(watcher, subscribe(1, "gone").qos(1));
    assert_eq!(wire.receive(watcher).len(), 2, "and it is retained");
    let _ = client;
}

/// Proves: [MQTT-4.1.0-2], [MQTT-3.1.2-23]
#[test]
fn sessions_end_when_their_time_is_over() {
    let mut wire = Wire::configured(|config| {
        config.durable = true;
        config.session_expiry_ceiling = u32::MAX;
    });
    let left = wire.connect(connect("left").expiry(60));
    wire.connect(connect("there").expiry(60));
    wire.connect(connect("forever").expiry(u32::MAX));
    wire.connect(connect("passing"));
    wire.cut(left);
    wire.advance_secs(30);
    wire.crash();
    assert_eq!(wire.broker().gauges().sessions, 3);
    wire.advance_secs(30);
    assert_eq!(wire.broker().gauges().sessions, 2, "the one that was left before the crash");
    wire.crash();
    wire.advance_secs(30);
    assert_eq!(wire.broker().gauges().sessions, 1, "the first crash counts for the second");
    wire.advance_secs(1_000_000);
    wire.crash();
    assert!(resume_of(&mut wire, "forever"));
}

fn resume_of(wire: &mut Wire, client_id: &str) -> bool {
    let peer = wire.connect(connect(client_id).resume().expiry(60));
    wire.session_present(peer)
}

#[test]
fn a_session_that_will_end_with_its_connection_is_not_found() {
    let mut wire = Wire::durable();
    let client = wire.connect(connect("client").expiry(60));
    wire.send(client, subscribe(1, "a").qos(1));
    wire.cut(client);
    let client = wire.connect(connect("client").resume());
    assert!(wire.session_present(client));
    wire.crash();
    assert!(!resume_of(&mut wire, "client"));
}

/// Otherwise its new messages could be taken for duplicates of those of before.
///
/// Proves: [MQTT-3.2.2-2]
#[test]
fn a_client_that_is_told_of_a_new_session_does_not_find_the_old_one_after_a_crash() {
    let mut wire = Wire::durable();
    let client = wire.connect(connect("client").expiry(60));
    wire.send(client, publish("a", "x").qos2(7));
    wire.cut(client);
    wire.advance_secs(59);
    wire.hold_commits();
    wire.advance_secs(1);
    assert_eq!(wire.broker().gauges().sessions, 0, "it is over in memory");
    let client = wire.open("client");
    wire.send(client, connect("client").resume());
    let other = wire.connect(connect("other"));
    wire.send(other, pingreq());
    assert_eq!(wire.receive(other), ["PINGRESP"], "who has nothing to do with it does not wait");
    assert!(wire.receive(client).is_empty(), "CONNACK waits");
    wire.commit_all();
    wire.expect_connack(client);
    assert!(!wire.session_present(client));
    wire.commit_at_once();
    wire.crash();
    assert!(!resume_of(&mut wire, "client"));
}

#[test]
fn retained_messages_for_a_new_subscription_go_on_where_they_were() {
    let mut wire = Wire::durable();
    let publisher = wire.connect(connect("publisher"));
    for number in 1..=6 {
        wire.send(publisher, publish(&format!("a/{number}"), "x").qos(2, number).retain());
        wire.send(publisher, pubrel(number));
    }
    let subscriber = wire.connect(connect("subscriber").expiry(60).receive_maximum(2));
    wire.send(subscriber, subscribe(1, "a/#").qos(2));
    assert_eq!(wire.receive(subscriber).len(), 3, "SUBACK and as many as it takes");
    for id in [1, 2] {
        wire.send(subscriber, pubrec(id));
        wire.send(subscriber, pubcomp(id));
    }
    wire.receive(subscriber);
    wire.crash();
    let subscriber = resume(&mut wire, "subscriber");
    let mut topics = Vec::new();
    for frame in wire.receive_frames(subscriber) {
        if let Ok(mqtt_codec::Packet::Publish(publish)) = frame.packet() {
            topics.push(publish.topic.unwrap().as_str().to_owned());
        }
    }
    assert_eq!(topics, ["a/3", "a/4", "a/5", "a/6"], "each exactly once");
}

#[test]
fn a_message_that_is_not_decided_about_is_new_after_the_restart() {
    let mut wire = Wire::configured(|config| {
        config.durable = true;
        config.decisions.publish = true;
    });
    let client = wire.connect(connect("client").expiry(60));
    wire.send(client, publish("a", "x").qos2(7));
    assert!(wire.next_decision().is_some());
    assert!(wire.compact());
    wire.crash();
    let client = wire.connect(connect("client").resume().expiry(60));
    wire.send(client, publish("a", "x").qos2(7).dup());
    assert!(wire.next_decision().is_some(), "asked about again, not taken for a duplicate");
}

#[test]
fn a_will_that_is_not_decided_about_is_asked_about_again() {
    let mut wire = Wire::configured(|config| {
        config.durable = true;
        config.decisions.publish = true;
    });
    let client = wire.connect(connect("client").expiry(60).will(will("gone", "x").qos(1)));
    wire.cut(client);
    assert!(matches!(wire.next_decision(), Some(mqtt_session::BrokerEvent::Publish(_))));
    wire.crash();
    let Some(mqtt_session::BrokerEvent::Publish(request)) = wire.next_decision() else {
        panic!("the will is forgotten");
    };
    assert_eq!((request.client_id(), request.topic()), ("client", "gone"));
    let watcher = wire.connect(connect("watcher"));
    wire.call(|broker, now| {
        broker.answer_publish(now, request, mqtt_session::PublishAnswer::Allow);
    });
    let _ = watcher;
    wire.crash();
    assert!(wire.next_decision().is_none());
}

#[test]
fn a_snapshot_takes_the_place_of_all_that_was_stored() {
    let (mut wire, subscriber) = with_subscriber("a", 2);
    let publisher = wire.connect(connect("publisher").expiry(60));
    for id in 1..=100 {
        wire.send(publisher, publish("a", "x").qos2(id));
        wire.send(publisher, pubrel(id));
        wire.send(subscriber, pubrec(1));
        wire.send(subscriber, pubcomp(1));
    }
    wire.hold_commits();
    wire.send(publisher, publish("a", "last").qos2(101));
    wire.commit_all();
    wire.send(publisher, publish("a", "open").qos2(102));
    wire.commit_all();
    let before = wire.committed().len();
    assert!(wire.compact());
    assert!(wire.is_committing());
    wire.fail_commit(StoreError::Failed);
    assert_eq!(wire.committed().len(), before, "nothing is lost if it fails");
    wire.advance_secs(1);
    wire.commit_all();
    wire.commit_at_once();
    assert!(wire.compact());
    assert!(wire.committed().len() < 20, "{:#?}", wire.committed());
    wire.crash();
    let subscriber = resume(&mut wire, "subscriber");
    assert_eq!(wire.receive(subscriber).len(), 2);
}
