//! What happens when the store does not commit.

use super::*;

/// Proves: [MQTT-4.3.3-9]
#[test]
fn a_publish_is_refused_and_its_identifier_means_a_new_message() {
    let (mut wire, subscriber) = with_subscriber("a", 0);
    let other = wire.connect(connect("other").expiry(3600));
    wire.send(other, subscribe(1, "a").qos(2));
    wire.receive(other);
    let client = wire.connect(connect("client").expiry(3600));
    wire.hold_commits();
    wire.send(client, publish("a", "1").qos1(1));
    wire.send(client, publish("a", "2").qos2(2));
    wire.fail_commit(StoreError::Failed);
    assert_eq!(
        wire.receive(client),
        ["PUBACK id=1 83 Implementation specific error"],
        "the second is in the next batch"
    );
    wire.advance_secs(1);
    wire.fail_commit(StoreError::Full);
    assert_eq!(wire.receive(client), ["PUBREC id=2 97 Quota exceeded"]);
    wire.send(client, publish("a", "2 again").qos2(2));
    wire.advance_secs(1);
    wire.commit_all();
    assert_eq!(wire.receive(client), ["PUBREC id=2"], "not a duplicate");
    assert_eq!(wire.broker().statistics().batches_failed, 2);
    assert_eq!(wire.broker().statistics().refused_for_store, 2);
    assert_eq!(wire.receive(subscriber).len(), 3, "QoS 0 goes on");
    assert_eq!(
        wire.receive(other),
        [r#"PUBLISH q1 id=1 "a" "1""#, r#"PUBLISH q2 id=2 "a" "2 again""#],
        "what was refused is not delivered at QoS 2, so that it may come again"
    );
}

/// Proves: [MQTT-4.3.3-9]
#[test]
fn a_refused_message_comes_once_although_its_subscriber_came_back_meanwhile() {
    let (mut wire, subscriber) = with_subscriber("a", 2);
    let publisher = wire.connect(connect("publisher").expiry(3600));
    wire.hold_commits();
    wire.send(publisher, subscribe(9, "other"));
    wire.send(publisher, publish("a", "x").qos2(1));
    wire.cut(subscriber);
    let subscriber = wire.open("subscriber");
    wire.send(subscriber, connect("subscriber").resume().expiry(3600));
    wire.commit();
    wire.fail_commit(StoreError::Failed);
    let refused = ["SUBACK id=9 [00]", "PUBREC id=1 83 Implementation specific error"];
    assert_eq!(wire.receive(publisher), refused);
    wire.send(publisher, publish("a", "x").qos2(1));
    wire.advance_secs(1);
    wire.commit_all();
    let subscriber = resume_slowly(&mut wire, "subscriber");
    assert_eq!(wire.receive(subscriber), [r#"PUBLISH q2 id=1 "a" "x""#]);
}

#[test]
fn what_was_under_way_before_a_restart_is_not_withdrawn() {
    let (mut wire, subscriber) = with_subscriber("a", 2);
    let publisher = wire.connect(connect("publisher").expiry(3600));
    wire.send(publisher, publish("a", "before").qos2(1));
    assert_eq!(wire.receive(subscriber).len(), 1);
    wire.crash();
    let subscriber = resume(&mut wire, "subscriber");
    assert_eq!(wire.receive(subscriber), [r#"PUBLISH q2 id=1 dup "a" "before""#]);
    let publisher = resume(&mut wire, "publisher");
    wire.hold_commits();
    wire.send(publisher, publish("a", "refused").qos2(2));
    wire.fail_commit(StoreError::Failed);
    wire.send(subscriber, pubrec(1));
    wire.advance_secs(1);
    wire.commit_all();
    assert_eq!(wire.receive(subscriber), ["PUBREL id=1"]);
}

/// A session without a connection and with nothing under way counts its messages anew.
#[test]
fn a_message_is_not_withdrawn_for_one_that_had_its_place_before() {
    let (mut wire, subscriber) = with_subscriber("a", 2);
    wire.cut(subscriber);
    let subscriber = resume(&mut wire, "subscriber");
    let publisher = wire.connect(connect("publisher").expiry(3600));
    wire.hold_commits();
    wire.send(publisher, publish("a", "expired at once").qos2(1).expiry(0));
    wire.cut(subscriber);
    wire.send(publisher, publish("a", "another").qos2(2));
    wire.fail_commit(StoreError::Failed);
    wire.advance_secs(1);
    wire.commit_all();
    let answers = ["PUBREC id=1 83 Implementation specific error", "PUBREC id=2"];
    assert_eq!(wire.receive(publisher), answers);
    let subscriber = resume_slowly(&mut wire, "subscriber");
    assert_eq!(wire.receive(subscriber), [r#"PUBLISH q2 id=1 "a" "another""#]);
}

#[test]
fn a_batch_that_fails_for_long_does_not_grow() {
    let (mut wire, _) = with_subscriber("a", 1);
    let client = wire.connect(connect("client").expiry(3600));
    wire.hold_commits();
    wire.send(client, publish("a", "1").qos1(1));
    let mut sizes = Vec::new();
    for _ in 0..100 {
        wire.fail_commit(StoreError::Failed);
        wire.advance_secs(1);
        sizes.push((wire.uncommitted().len(), wire.broker().gauges().uncommitted_bytes));
    }
    assert_eq!(sizes[1], sizes[99]);
    wire.commit_all();
}

#[test]
fn the_changes_go_to_the_front_of_the_next_batch_after_a_while() {
    let (mut wire, _) = with_subscriber("a", 1);
    let client = wire.connect(connect("client").expiry(3600));
    wire.hold_commits();
    wire.send(client, publish("a", "1").qos1(1));
    let failed = wire.uncommitted().to_vec();
    wire.send(client, publish("a", "2").qos1(2));
    wire.fail_commit(StoreError::Failed);
    assert!(!wire.is_committing(), "not tried again at once");
    let deadline = wire.broker().poll_timeout().unwrap();
    assert_eq!(deadline.timer, mqtt_session::Timer::Store);
    wire.advance_secs(1);
    assert!(wire.uncommitted().starts_with(&failed));
    wire.commit_all();
    wire.commit_at_once();
    wire.crash();
    let subscriber = resume(&mut wire, "subscriber");
    let again = wire.receive(subscriber);
    assert_eq!(
        again,
        [r#"PUBLISH q1 id=1 dup "a" "1""#, r#"PUBLISH q1 id=2 dup "a" "2""#],
        "in the end store and memory agree"
    );
}

#[test]
fn a_new_subscription_is_deleted_and_a_replaced_one_comes_back() {
    let mut wire = Wire::durable();
    let client = wire.connect(connect("client").expiry(3600));
    wire.send(client, subscribe(1, "old").qos(1).and("$share/g/old").qos(1));
    wire.receive(client);
    wire.hold_commits();
    let filters = subscribe(2, "old").qos(0).and("new").qos(1).and("$share/g/old").qos(0);
    wire.send(client, filters.and("$share/g/new"));
    wire.fail_commit(StoreError::Failed);
    assert_eq!(wire.receive(client), ["SUBACK id=2 [83 83 83 83]"]);
    wire.advance_secs(1);
    wire.commit_all();
    wire.send(client, publish("old", "x").qos1(3));
    wire.send(client, publish("new", "x").qos1(4));
    wire.commit_all();
    let received = wire.receive(client);
    let copies: Vec<_> = received.iter().filter(|line| line.starts_with("PUBLISH")).collect();
    assert_eq!(copies, [r#"PUBLISH q1 id=1 "old" "x""#], "at the QoS of before");
    wire.send(client, unsubscribe(5, &["new", "$share/g/new", "old", "$share/g/old"]));
    wire.commit_all();
    assert_eq!(wire.receive(client), ["UNSUBACK id=5 [11 11 00 00]"]);
}

#[test]
fn a_later_subscribe_for_the_same_filter_decides() {
    let mut wire = Wire::durable();
    let client = wire.connect(connect("client").expiry(3600));
    wire.hold_commits();
    wire.send(client, subscribe(1, "a").qos(0));
    wire.send(client, subscribe(2, "a").qos(1));
    wire.fail_commit(StoreError::Failed);
    assert_eq!(wire.receive(client), ["SUBACK id=1 [83]"]);
    wire.advance_secs(1);
    wire.commit_all();
    assert_eq!(wire.receive(client), ["SUBACK id=2 [01]"], "granted, and in force");
    wire.send(client, unsubscribe(3, &["a"]));
    wire.commit_all();
    assert_eq!(wire.receive(client), ["UNSUBACK id=3 [00]"]);

    wire.send(client, subscribe(4, "b").qos(0));
    wire.send(client, subscribe(5, "b").qos(1));
    wire.fail_commit(StoreError::Failed);
    wire.advance_secs(1);
    wire.fail_commit(StoreError::Failed);
    assert_eq!(wire.receive(client), ["SUBACK id=4 [83]", "SUBACK id=5 [83]"]);
    wire.advance_secs(1);
    wire.send(client, unsubscribe(6, &["b"]));
    wire.commit_all();
    assert_eq!(wire.receive(client), ["UNSUBACK id=6 [11]"], "neither is in force");
}

/// Proves: [MQTT-3.2.2-7], [MQTT-3.1.4-6]
#[test]
fn a_connect_is_refused_and_leaves_nothing() {
    let mut wire = Wire::durable();
    let watcher = wire.connect(connect("watcher"));
    wire.send(watcher, subscribe(1, "#"));
    wire.receive(watcher);
    wire.hold_commits();
    let client = wire.open("client");
    wire.send(client, connect("client").expiry(60).will(will("gone", "client")));
    wire.send(client, publish("a", "behind the CONNECT"));
    wire.fail_commit(StoreError::Failed);
    let refusal = wire.receive(client);
    assert_eq!(refusal, ["CONNACK 83 Implementation specific error", "closed"]);
    let statistics = wire.broker().statistics();
    assert_eq!((statistics.connects_accepted, statistics.connects_refused.total()), (1, 1));
    wire.advance_secs(1);
    wire.commit_all();
    wire.advance_secs(100);
    assert!(wire.receive(watcher).is_empty(), "no will, and nothing behind the CONNECT");
    let again = wire.open("client");
    wire.send(again, connect("client").resume().expiry(60));
    wire.commit_all();
    assert!(!wire.session_present(again));
}

#[test]
fn a_session_that_was_there_survives_a_refused_connect() {
    let (mut wire, subscriber) = with_subscriber("a", 1);
    wire.cut(subscriber);
    wire.hold_commits();
    let client = wire.open("subscriber");
    wire.send(client, connect("subscriber").resume().expiry(60));
    wire.fail_commit(StoreError::Full);
    assert_eq!(wire.receive(client), ["CONNACK 97 Quota exceeded", "closed"]);
    wire.advance_secs(1);
    wire.commit_all();
    let client = resume_slowly(&mut wire, "subscriber");
    wire.send(client, unsubscribe(1, &["a"]));
    wire.commit_all();
    assert_eq!(wire.receive(client), ["UNSUBACK id=1 [00]"]);
}

#[test]
fn what_cannot_be_refused_waits_for_the_next_try() {
    let (mut wire, subscriber) = with_subscriber("a", 2);
    let publisher = wire.connect(connect("publisher").expiry(3600));
    wire.send(publisher, publish("a", "1").qos2(1));
    wire.receive(publisher);
    assert_eq!(wire.receive(subscriber), [r#"PUBLISH q2 id=1 "a" "1""#]);
    wire.hold_commits();
    wire.send(publisher, pubrel(1));
    wire.fail_commit(StoreError::Failed);
    assert!(wire.receive(publisher).is_empty(), "PUBCOMP");
    wire.send(subscriber, pubrec(1));
    wire.advance_secs(1);
    wire.fail_commit(StoreError::Failed);
    assert!(wire.receive(subscriber).is_empty(), "PUBREL");
    wire.send(subscriber, unsubscribe(9, &["b", "a"]));
    wire.send(publisher, publish("a", "2").qos2(2));
    wire.advance_secs(1);
    wire.fail_commit(StoreError::Failed);
    assert!(wire.receive(subscriber).is_empty(), "UNSUBACK");
    assert!(wire.receive(publisher).is_empty(), "the PUBREC behind the PUBCOMP");
    wire.advance_secs(1);
    wire.commit_all();
    assert_eq!(
        wire.receive(publisher),
        ["PUBCOMP id=1", "PUBREC id=2 83 Implementation specific error"]
    );
    assert_eq!(wire.receive(subscriber), ["PUBREL id=1", "UNSUBACK id=9 [11 00]"]);
}

#[test]
fn publishers_wait_while_too_much_is_uncommitted() {
    let mut wire = Wire::configured(|config| {
        config.durable = true;
        config.limits.uncommitted_bytes = 10_000;
    });
    let subscriber = wire.connect(connect("subscriber").expiry(3600));
    wire.send(subscriber, subscribe(1, "a").qos(1));
    wire.receive(subscriber);
    let publisher = wire.connect(connect("publisher").expiry(3600).keep_alive(10));
    let passing = wire.connect(connect("passing").keep_alive(10));
    wire.hold_commits();
    for id in 1..=50 {
        wire.send(publisher, publish("a", [0; 1000]).qos1(id));
    }
    assert_ne!(wire.unread(publisher), 0);
    let held = wire.broker().gauges().uncommitted_bytes;
    assert!((10_000..13_000).contains(&held), "{held} bytes");
    assert!(wire.broker().gauges().uncommitted_changes > 10);
    wire.send(passing, publish("a", "x"));
    assert_eq!(wire.unread(passing), 0, "who adds nothing is read on");
    wire.advance_secs(14);
    wire.send(passing, pingreq());
    wire.advance_secs(14);
    assert_eq!(wire.cause(publisher), None, "its silence is not its fault");
    wire.commit_all();
    assert_eq!(wire.unread(publisher), 0);
    assert_eq!(wire.receive(publisher).len(), 50);
    assert_eq!(wire.broker().gauges().uncommitted_bytes, 0);
    wire.advance_secs(16);
    assert!(wire.cause(publisher).is_some(), "now it is");
}

#[test]
fn answers_that_wait_are_bounded_too() {
    let (mut wire, _) = with_subscriber("a", 1);
    let client = wire.connect(connect("client").expiry(3600));
    wire.hold_commits();
    wire.send(client, publish("a", "x").qos1(1));
    // Each is answered with six bytes, and 64 KiB may wait.
    for id in 1..=20_000 {
        wire.send(client, unsubscribe(id, &["nothing"]));
    }
    assert_ne!(wire.unread(client), 0);
    wire.commit_all();
    assert_eq!(wire.unread(client), 0);
    assert_eq!(wire.receive(client).len(), 20_001);
}
