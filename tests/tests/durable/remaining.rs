//! What is left of times and of what is under way, restart after restart.

use std::time::Duration;

use super::*;

/// Proves: [MQTT-3.3.2-5], [MQTT-3.3.2-6]
#[test]
fn a_queued_message_expires_as_if_there_had_been_no_restart() {
    let (mut wire, subscriber) = with_subscriber("a", 2);
    wire.cut(subscriber);
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, publish("a", "long").qos1(1).expiry(100));
    wire.send(publisher, publish("a", "short").qos1(2).expiry(10));
    wire.send(publisher, publish("a", "for ever").qos2(3));
    wire.advance_secs(4);
    wire.crash();
    wire.advance_secs(5);
    assert!(wire.compact());
    wire.advance_secs(1);
    wire.crash();
    wire.advance_secs(30);
    let subscriber = resume(&mut wire, "subscriber");
    assert_eq!(
        wire.receive(subscriber),
        [r#"PUBLISH q1 id=1 "a" "long" {expiry=60}"#, r#"PUBLISH q2 id=2 "a" "for ever""#]
    );
}

#[test]
fn a_retained_message_expires_as_if_there_had_been_no_restart() {
    let mut wire = Wire::durable();
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, publish("a", "x").qos1(1).retain().expiry(10));
    wire.advance_secs(4);
    wire.crash();
    wire.advance_secs(5);
    assert_eq!(wire.broker().gauges().retained_messages, 1);
    wire.advance_secs(1);
    assert_eq!(wire.broker().gauges().retained_messages, 0);
    let reader = wire.connect(connect("reader"));
    wire.send(reader, subscribe(1, "a"));
    assert_eq!(wire.receive(reader), ["SUBACK id=1 [00]"]);
    let cleared = wire.committed().iter();
    let cleared = cleared.filter(|change| matches!(change, Change::RetainedCleared { .. }));
    assert_eq!(cleared.count(), 1);
}

/// Proves: [MQTT-3.1.2-23]
#[test]
fn the_time_without_a_broker_counts_if_the_store_tells_of_it() {
    let mut wire = Wire::durable();
    let watcher = wire.connect(connect("watcher").expiry(3600));
    wire.send(watcher, subscribe(1, "gone").qos(1));
    let client = wire.connect(connect("client").expiry(60).will(will("gone", "x").delay(58)));
    wire.cut(client);
    wire.advance_secs(5);
    let mut stored = wire.committed().to_vec();
    stored.push(Change::Elapsed(Duration::from_secs(50)));
    wire.put_stored(stored);
    wire.crash();
    let watcher = resume(&mut wire, "watcher");
    wire.advance_secs(2);
    assert!(wire.receive(watcher).is_empty(), "after 57 s");
    wire.advance_secs(1);
    assert_eq!(wire.receive(watcher), [r#"PUBLISH q0 "gone" "x""#], "after 58 s");
    wire.advance_secs(1);
    assert_eq!(wire.broker().gauges().sessions, 2, "after 59 s");
    wire.advance_secs(1);
    assert_eq!(wire.broker().gauges().sessions, 1, "after 60 s");
}

/// Proves: [MQTT-3.1.2-15]
#[test]
fn a_retained_will_expires_from_its_publishing_on_over_restarts() {
    let mut wire = Wire::durable();
    let will = will("gone", "x").qos(1).retain().delay(10).with(|properties| {
        properties.message_expiry_interval(100);
    });
    let client = wire.connect(connect("client").expiry(3600).will(will));
    wire.advance_secs(1000);
    wire.cut(client);
    wire.advance_secs(3);
    wire.crash();
    wire.advance_secs(6);
    assert_eq!(wire.broker().gauges().retained_messages, 0, "9 s after the cut");
    wire.advance_secs(1);
    assert_eq!(wire.broker().gauges().retained_messages, 1, "10 s after the cut");
    wire.advance_secs(40);
    wire.crash();
    let reader = wire.connect(connect("reader"));
    wire.send(reader, subscribe(1, "gone").qos(1));
    let retained = r#"PUBLISH q1 id=1 retain "gone" "x" {expiry=60}"#;
    assert_eq!(wire.receive(reader), ["SUBACK id=1 [01]", retained]);
}

/// Proves: [MQTT-4.8.2-4], [MQTT-4.8.2-5]
#[test]
fn a_message_of_a_group_stays_with_the_member_that_was_given_it() {
    let mut wire = Wire::durable();
    let members = ["one", "two"].map(|name| {
        let member = wire.connect(connect(name).expiry(60));
        wire.send(member, subscribe(1, "$share/g/a").qos(2));
        wire.receive(member);
        member
    });
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, publish("a", "1").qos2(1));
    wire.send(publisher, publish("a", "2").qos2(2));
    let given = members.map(|member| wire.receive(member));
    assert_eq!(given[0], [r#"PUBLISH q2 id=1 "a" "1""#]);
    assert_eq!(given[1], [r#"PUBLISH q2 id=1 "a" "2""#]);
    wire.send(members[0], pubrec(1));
    wire.crash();
    let two = resume(&mut wire, "two");
    assert_eq!(wire.receive(two), [r#"PUBLISH q2 id=1 dup "a" "2""#]);
    wire.advance_secs(60);
    wire.crash();
    let two = resume(&mut wire, "two");
    assert_eq!(wire.receive(two), [r#"PUBLISH q2 id=1 dup "a" "2""#], "what one had is over");
    wire.send(two, pubrec(1));
    wire.send(two, pubcomp(1));
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, publish("a", "3").qos2(1));
    wire.send(publisher, publish("a", "4").qos2(2));
    let given = wire.receive(two);
    let new: Vec<_> = given.iter().filter(|line| line.starts_with("PUBLISH")).collect();
    assert_eq!(new.len(), 2, "it is alone in the group: {given:?}");
}

/// Proves: [MQTT-4.3.3-10], [MQTT-4.3.3-12]
#[test]
fn an_identifier_is_a_duplicate_until_its_pubrel_over_restarts() {
    let (mut wire, subscriber) = with_subscriber("a", 2);
    let publisher = wire.connect(connect("publisher").expiry(3600));
    wire.send(publisher, publish("a", "1").qos2(7));
    assert_eq!(wire.receive(publisher), ["PUBREC id=7"]);
    assert_eq!(wire.receive(subscriber).len(), 1);
    wire.send(subscriber, pubrec(1));
    wire.send(subscriber, pubcomp(1));
    for _ in 0..2 {
        assert!(wire.compact());
        wire.crash();
        let publisher = resume(&mut wire, "publisher");
        wire.send(publisher, publish("a", "1").qos2(7).dup());
        assert_eq!(wire.receive(publisher), ["PUBREC id=7"]);
    }
    wire.crash();
    let publisher = resume(&mut wire, "publisher");
    wire.send(publisher, pubrel(7));
    assert_eq!(wire.receive(publisher), ["PUBCOMP id=7"]);
    wire.crash();
    let publisher = resume(&mut wire, "publisher");
    wire.send(publisher, publish("a", "2").qos2(7));
    let subscriber = resume(&mut wire, "subscriber");
    assert_eq!(wire.receive(subscriber), [r#"PUBLISH q2 id=1 "a" "2""#], "once each");
}

/// Proves: [MQTT-4.6.0-1], [MQTT-4.6.0-6]
#[test]
fn messages_keep_their_order_over_restarts() {
    let mut wire = Wire::durable();
    let subscriber = wire.connect(connect("subscriber").expiry(3600).receive_maximum(2));
    wire.send(subscriber, subscribe(1, "a").qos(2));
    for round in 0..3_u8 {
        let publisher = wire.connect(connect("publisher"));
        for number in 1..=4_u16 {
            let payload = format!("{}", u16::from(round) * 4 + number);
            wire.send(publisher, publish("a", payload).qos2(number));
        }
        if round == 1 {
            assert!(wire.compact());
        }
        wire.crash();
    }
    let mut came = Vec::new();
    while came.len() < 12 {
        let subscriber =
            wire.connect(connect("subscriber").resume().expiry(3600).receive_maximum(2));
        let first = wire.receive_frames(subscriber).into_iter().next().expect("a message");
        let Ok(mqtt_codec::Packet::Publish(publish)) = first.packet() else {
            panic!("no message: {first:?}");
        };
        let mqtt_codec::PublishQos::ExactlyOnce { id, .. } = publish.qos else {
            panic!("not QoS 2: {publish:?}");
        };
        came.push(String::from_utf8(publish.payload.to_vec()).unwrap());
        wire.send(subscriber, pubrec(id.get()));
        wire.send(subscriber, pubcomp(id.get()));
        wire.crash();
    }
    let numbers: Vec<String> = (1..=12).map(|number: u8| number.to_string()).collect();
    assert_eq!(came, numbers);
}

#[test]
fn what_gathers_while_a_snapshot_is_out_comes_behind_it() {
    let (mut wire, subscriber) = with_subscriber("a", 2);
    let publisher = wire.connect(connect("publisher").expiry(3600));
    wire.send(publisher, publish("a", "1").qos2(1));
    wire.receive(publisher);
    wire.hold_commits();
    assert!(wire.compact());
    wire.send(subscriber, pubrec(1));
    wire.send(publisher, pubrel(1));
    wire.send(publisher, publish("a", "2").qos2(2));
    wire.commit();
    assert!(wire.receive(publisher).is_empty(), "that was the snapshot");
    wire.commit();
    assert_eq!(wire.receive(publisher), ["PUBCOMP id=1", "PUBREC id=2"]);
    wire.commit_at_once();
    wire.crash();
    let subscriber = resume(&mut wire, "subscriber");
    let received = wire.receive(subscriber);
    assert_eq!(received, ["PUBREL id=1", r#"PUBLISH q2 id=2 dup "a" "2""#]);
}

/// Messages that only QoS 0 needs are left out of it, and must not be forgotten a second time.
#[test]
fn a_snapshot_leaves_out_what_only_memory_needs() {
    let mut wire = Wire::durable();
    let reader = wire.connect(connect("reader").expiry(3600));
    wire.send(reader, subscribe(1, "a"));
    let keeper = wire.connect(connect("keeper").expiry(3600));
    wire.send(keeper, subscribe(1, "a").qos(1));
    wire.receive(keeper);
    wire.stop_reading(reader);
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, publish("a", "x").qos1(1));
    wire.receive(keeper);
    wire.send(keeper, puback(1));
    assert!(wire.compact());
    let stored = wire.committed().iter();
    let stored = stored.filter(|change| matches!(change, Change::MessageStored(_)));
    assert_eq!(stored.count(), 0);
    wire.read_again(reader);
    assert_eq!(wire.receive(reader).last().map(String::as_str), Some(r#"PUBLISH q0 "a" "x""#));
    wire.send(publisher, publish("a", "y").qos1(2));
    wire.crash();
    let keeper = resume(&mut wire, "keeper");
    assert_eq!(wire.receive(keeper), [r#"PUBLISH q1 id=1 dup "a" "y""#]);
}
