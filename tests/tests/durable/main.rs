//! What waits for the store, and what a restart finds.
//!
//! Every commit of these tests also compares the broker that the committed changes make with a
//! snapshot of the one that made them.

mod every_kind;
mod failing;
mod refused_connects;
mod remaining;
mod restarting;

use mqtt_session::{Change, StoreError};
use mqtt_tests::scripted::{
    connect, disconnect, pingreq, puback, pubcomp, publish, pubrec, pubrel, subscribe, unsubscribe,
    will,
};
use mqtt_tests::{Peer, Wire};

/// A durable broker with a client that has a subscription and a session that lasts.
fn with_subscriber(filter: &str, qos: u8) -> (Wire, Peer) {
    let mut wire = Wire::durable();
    let subscriber = wire.connect(connect("subscriber").expiry(3600));
    wire.send(subscriber, subscribe(1, filter).qos(qos));
    wire.receive(subscriber);
    (wire, subscriber)
}

fn resume(wire: &mut Wire, client_id: &str) -> Peer {
    let peer = wire.connect(connect(client_id).resume().expiry(3600));
    assert!(wire.session_present(peer), "{client_id} finds its session");
    peer
}

/// Proves: [MQTT-4.3.2-4], [MQTT-4.3.3-8], [MQTT-3.3.4-1]
#[test]
fn a_publish_is_acknowledged_once_what_it_changed_is_committed() {
    for (qos, answer) in [(1, "PUBACK id=7"), (2, "PUBREC id=7")] {
        let (mut wire, _) = with_subscriber("a", 1);
        let publisher = wire.connect(connect("publisher").expiry(3600));
        wire.hold_commits();
        wire.send(publisher, publish("a", "x").qos(qos, 7));
        assert!(wire.receive(publisher).is_empty(), "QoS {qos}: not before the commit");
        wire.commit();
        assert_eq!(wire.receive(publisher), [answer]);
    }
}

#[test]
fn a_retained_message_is_acknowledged_once_it_is_committed() {
    let mut wire = Wire::durable();
    let publisher = wire.connect(connect("publisher"));
    wire.hold_commits();
    wire.send(publisher, publish("a", "x").qos1(1).retain());
    assert!(wire.receive(publisher).is_empty());
    wire.commit();
    assert_eq!(wire.receive(publisher), ["PUBACK id=1 10 No matching subscribers"]);
    wire.send(publisher, publish("a", "").qos1(2).retain());
    assert!(wire.receive(publisher).is_empty(), "clearing one has to be stored too");
    wire.commit();
    assert_eq!(wire.receive(publisher), ["PUBACK id=2 10 No matching subscribers"]);
}

/// Otherwise a crash would bring back what both have cleared.
#[test]
fn clearing_a_topic_that_somebody_is_clearing_waits_for_that() {
    for qos in [1, 2] {
        let mut wire = Wire::durable();
        let one = wire.connect(connect("one"));
        wire.send(one, publish("a", "x").qos1(1).retain());
        wire.receive(one);
        let two = wire.connect(connect("two"));
        wire.hold_commits();
        wire.send(one, publish("a", "").qos1(2).retain());
        wire.send(two, publish("a", "").qos(qos, 1).retain());
        assert!(wire.receive(two).is_empty());
        wire.fail_commit(StoreError::Failed);
        assert!(wire.receive(one)[0].starts_with("PUBACK id=2 83"));
        assert!(wire.receive(two).is_empty(), "it has changed nothing, and waits for the next");
        wire.advance_secs(1);
        wire.commit();
        assert_eq!(wire.receive(two).len(), 1);
        wire.send(two, publish("a", "").qos(qos, 2).retain());
        assert_eq!(wire.receive(two).len(), 1, "now there is nothing to wait for");
        assert!(!wire.is_committing());
    }
}

#[test]
fn what_changes_nothing_is_acknowledged_at_once() {
    let mut wire = Wire::durable();
    let subscriber = wire.connect(connect("subscriber"));
    wire.send(subscriber, subscribe(1, "a").qos(2));
    let publisher = wire.connect(connect("publisher"));
    wire.hold_commits();
    wire.receive(subscriber);
    wire.send(publisher, publish("a", "x").qos1(1));
    assert_eq!(wire.receive(publisher), ["PUBACK id=1"]);
    wire.send(publisher, publish("a", "y").qos2(2));
    assert_eq!(wire.receive(publisher), ["PUBREC id=2"]);
    wire.send(publisher, pubrel(2));
    assert_eq!(wire.receive(publisher), ["PUBCOMP id=2"]);
    let received = wire.receive(subscriber);
    assert_eq!(received.len(), 2, "sessions that end with their connection are not stored");
    assert!(!wire.is_committing());
}

/// Proves: [MQTT-4.3.3-11], [MQTT-4.3.3-12]
#[test]
fn pubcomp_leaves_once_the_identifier_is_forgotten_for_good() {
    let mut wire = Wire::durable();
    let publisher = wire.connect(connect("publisher").expiry(3600));
    wire.send(publisher, publish("a", "x").qos2(7));
    assert_eq!(wire.receive(publisher), ["PUBREC id=7 10 No matching subscribers"]);
    wire.hold_commits();
    wire.send(publisher, pubrel(7));
    assert!(wire.receive(publisher).is_empty(), "the identifier might come back as a duplicate");
    wire.commit();
    assert_eq!(wire.receive(publisher), ["PUBCOMP id=7"]);
    wire.commit_at_once();
    wire.crash();
    let publisher = resume(&mut wire, "publisher");
    wire.send(publisher, publish("a", "y").qos2(7));
    let changes = wire.committed().iter();
    let received = changes.filter(|change| matches!(change, Change::Received { .. })).count();
    assert_eq!(received, 2, "a new message under the old identifier");
}

/// Proves: [MQTT-4.3.3-4], [MQTT-4.3.3-6]
#[test]
fn pubrel_leaves_once_the_pubrec_is_committed() {
    let (mut wire, subscriber) = with_subscriber("a", 2);
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, publish("a", "x").qos1(1));
    wire.send(publisher, publish("a", "x").qos2(2));
    let received = wire.receive(subscriber);
    assert_eq!(received, [r#"PUBLISH q1 id=1 "a" "x""#, r#"PUBLISH q2 id=2 "a" "x""#]);
    wire.hold_commits();
    wire.send(subscriber, pubrec(2));
    assert!(wire.receive(subscriber).is_empty(), "a crash now would send the PUBLISH again");
    wire.commit();
    assert_eq!(wire.receive(subscriber), ["PUBREL id=2"]);
    wire.crash();
    let subscriber = resume_slowly(&mut wire, "subscriber");
    assert_eq!(
        wire.receive(subscriber),
        ["PUBREL id=2", r#"PUBLISH q1 id=1 dup "a" "x""#],
        "only the PUBREL of what was recorded"
    );
}

/// Connects while commits wait, and commits.
fn resume_slowly(wire: &mut Wire, client_id: &str) -> Peer {
    let peer = wire.open(client_id);
    wire.send(peer, connect(client_id).resume().expiry(3600));
    assert!(wire.receive(peer).is_empty(), "CONNACK waits");
    wire.commit_all();
    wire.expect_connack(peer);
    assert!(wire.session_present(peer));
    peer
}

/// Proves: [MQTT-4.3.3-2], [MQTT-4.3.3-10]
#[test]
fn a_qos_2_message_is_sent_once_its_identifier_and_all_before_it_are_committed() {
    let (mut wire, subscriber) = with_subscriber("a", 2);
    let publisher = wire.connect(connect("publisher").expiry(3600));
    wire.hold_commits();
    wire.send(publisher, publish("a", "x").qos2(7));
    assert!(wire.receive(subscriber).is_empty());
    let out = wire.uncommitted();
    assert!(out.iter().any(|change| matches!(change, Change::Received { .. })));
    assert!(out.iter().any(|change| matches!(change, Change::Sent { .. })), "one commit for both");
    wire.commit();
    assert_eq!(wire.receive(subscriber), [r#"PUBLISH q2 id=1 "a" "x""#]);
    assert_eq!(wire.receive(publisher), ["PUBREC id=7"]);
}

#[test]
fn a_qos_2_message_waits_for_its_publishers_identifier_whoever_gets_it() {
    let mut wire = Wire::durable();
    let passing = wire.connect(connect("passing"));
    wire.send(passing, subscribe(1, "a").qos(2));
    wire.receive(passing);
    let publisher = wire.connect(connect("publisher").expiry(3600));
    wire.hold_commits();
    wire.send(publisher, publish("a", "x").qos2(7));
    assert!(wire.receive(passing).is_empty(), "its own session is not stored, the publisher's is");
    wire.commit();
    assert_eq!(wire.receive(passing), [r#"PUBLISH q2 id=1 "a" "x""#]);
}

#[test]
fn messages_of_qos_0_and_1_do_not_wait() {
    let mut wire = Wire::durable();
    let subscriber = wire.connect(connect("subscriber").expiry(3600));
    wire.send(subscriber, subscribe(1, "a").qos(1));
    wire.receive(subscriber);
    let publisher = wire.connect(connect("publisher").expiry(3600));
    wire.hold_commits();
    wire.send(publisher, publish("a", "0"));
    wire.send(publisher, publish("a", "1").qos1(1));
    wire.send(publisher, publish("a", "2").qos2(2));
    assert_eq!(
        wire.receive(subscriber),
        [r#"PUBLISH q0 "a" "0""#, r#"PUBLISH q1 id=1 "a" "1""#, r#"PUBLISH q1 id=2 "a" "2""#]
    );
    assert!(wire.receive(publisher).is_empty());
}

/// Proves: [MQTT-3.8.4-1], [MQTT-3.10.4-4]
#[test]
fn suback_and_unsuback_wait_for_the_subscriptions() {
    let mut wire = Wire::durable();
    let client = wire.connect(connect("client").expiry(3600));
    wire.hold_commits();
    wire.send(client, subscribe(1, "a").qos(1).and("$share/g/b").qos(2));
    assert!(wire.receive(client).is_empty());
    wire.commit();
    assert_eq!(wire.receive(client), ["SUBACK id=1 [01 02]"]);
    wire.send(client, unsubscribe(2, &["a", "nothing"]));
    assert!(wire.receive(client).is_empty());
    wire.commit();
    assert_eq!(wire.receive(client), ["UNSUBACK id=2 [00 11]"]);
    wire.send(client, unsubscribe(3, &["nothing"]));
    assert_eq!(wire.receive(client), ["UNSUBACK id=3 [11]"], "nothing was changed");
}

/// Proves: [MQTT-3.2.0-1], [MQTT-3.1.4-5]
#[test]
fn connack_waits_for_the_session_and_everything_waits_for_connack() {
    let (mut wire, subscriber) = with_subscriber("a", 1);
    wire.cut(subscriber);
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, publish("a", "queued").qos1(1));
    wire.hold_commits();
    let subscriber = wire.open("subscriber");
    wire.send(subscriber, connect("subscriber").resume().expiry(60));
    wire.send(subscriber, pingreq());
    wire.send(publisher, publish("a", "live"));
    assert!(wire.receive(subscriber).is_empty());
    assert_ne!(wire.unread(subscriber), 0, "input is not read before CONNACK");
    wire.commit();
    let received = wire.receive(subscriber);
    assert!(wire.session_present(subscriber));
    assert!(received[0].starts_with("CONNACK 00"), "{received:?}");
    let rest = ["PINGRESP", r#"PUBLISH q1 id=1 "a" "queued""#, r#"PUBLISH q0 "a" "live""#];
    assert_eq!(received[1..], rest);
}

#[test]
fn a_connection_whose_session_is_not_stored_is_accepted_at_once() {
    let mut wire = Wire::durable();
    wire.hold_commits();
    let client = wire.connect(connect("client"));
    wire.send(client, pingreq());
    assert_eq!(wire.receive(client), ["PINGRESP"]);
    assert!(!wire.is_committing());
}

/// Proves: [MQTT-3.14.0-1]
#[test]
fn a_client_that_waits_for_its_connack_is_sent_no_disconnect() {
    let mut wire = Wire::durable();
    wire.hold_commits();
    let first = wire.open("client");
    wire.send(first, connect("client").expiry(60));
    let second = wire.open("client");
    wire.send(second, connect("client").expiry(60));
    assert_eq!(wire.receive(first), ["closed"], "taken over before it was let in");
    wire.commit_all();
    assert!(wire.receive(second)[0].starts_with("CONNACK 00"));
}

#[test]
fn answers_of_one_connection_keep_their_order() {
    let (mut wire, _) = with_subscriber("a", 1);
    let client = wire.connect(connect("client").expiry(3600));
    wire.hold_commits();
    wire.send(client, publish("a", "x").qos1(1));
    wire.send(client, publish("nobody", "x").qos1(2));
    wire.send(client, unsubscribe(3, &["nothing"]));
    wire.send(client, subscribe(4, "b"));
    assert!(wire.receive(client).is_empty(), "what changed nothing waits behind what did");
    wire.commit();
    assert_eq!(
        wire.receive(client),
        ["PUBACK id=1", "PUBACK id=2 10 No matching subscribers", "UNSUBACK id=3 [11]"]
    );
    wire.commit();
    assert_eq!(wire.receive(client), ["SUBACK id=4 [00]"]);
}

/// A slow store must not look like a dead network.
#[test]
fn pingresp_waits_for_nothing() {
    let (mut wire, _) = with_subscriber("a", 1);
    let client = wire.connect(connect("client").expiry(3600));
    wire.hold_commits();
    wire.send(client, publish("a", "x").qos1(1));
    wire.send(client, pingreq());
    assert_eq!(wire.receive(client), ["PINGRESP"]);
    wire.commit();
    assert_eq!(wire.receive(client), ["PUBACK id=1"]);
}

/// Proves: [MQTT-3.3.4-7], [MQTT-4.9.0-3]
#[test]
fn a_publish_counts_towards_the_receive_maximum_until_its_answer_leaves() {
    let mut wire = Wire::configured(|config| {
        config.durable = true;
        config.limits.receive_maximum = std::num::NonZeroU16::new(2).unwrap();
    });
    let subscriber = wire.connect(connect("subscriber").expiry(3600));
    wire.send(subscriber, subscribe(1, "a").qos(1));
    let client = wire.connect(connect("client").expiry(3600));
    wire.hold_commits();
    wire.send(client, publish("a", "1").qos1(1));
    wire.send(client, publish("a", "2").qos1(2));
    wire.commit_all();
    assert_eq!(wire.receive(client), ["PUBACK id=1", "PUBACK id=2"]);
    wire.send(client, publish("a", "3").qos2(3));
    wire.commit_all();
    assert_eq!(wire.receive(client), ["PUBREC id=3"]);
    wire.send(client, pubrel(3));
    wire.send(client, publish("a", "4").qos1(4));
    assert_eq!(wire.cause(client), None, "two are under way: a PUBCOMP and a PUBACK wait");
    wire.send(client, publish("a", "5").qos1(5));
    let last = wire.receive(client);
    assert_eq!(last, ["DISCONNECT 93 Receive Maximum exceeded", "closed"]);
}

#[test]
fn a_client_that_goes_before_the_commit_is_not_waited_for() {
    let (mut wire, _) = with_subscriber("a", 1);
    let client = wire.connect(connect("client").expiry(3600));
    wire.hold_commits();
    wire.send(client, publish("a", "x").qos1(1));
    wire.send(client, disconnect());
    assert_eq!(wire.receive(client), ["closed"]);
    wire.commit_all();
}

#[test]
fn one_batch_is_out_and_the_next_gathers_meanwhile() {
    let (mut wire, _) = with_subscriber("a", 1);
    let client = wire.connect(connect("client").expiry(3600));
    wire.hold_commits();
    wire.send(client, publish("a", "1").qos1(1));
    wire.send(client, publish("a", "2").qos1(2));
    wire.send(client, publish("a", "3").qos1(3));
    wire.commit();
    assert_eq!(wire.receive(client), ["PUBACK id=1"]);
    wire.commit();
    assert_eq!(wire.receive(client), ["PUBACK id=2", "PUBACK id=3"], "one commit for the rest");
}

#[test]
fn a_token_that_is_not_out_does_nothing() {
    let (mut wire, _) = with_subscriber("a", 1);
    let client = wire.connect(connect("client").expiry(3600));
    wire.hold_commits();
    wire.send(client, publish("a", "1").qos1(1));
    wire.call(|broker, now| {
        assert!(broker.poll_store(now).is_none(), "one is out");
        assert!(broker.poll_snapshot(now).is_none());
        broker.handle_timeout(now);
    });
    let token = wire.out_token();
    wire.commit();
    wire.send(client, publish("a", "2").qos1(2));
    wire.receive(client);
    wire.call(|broker, now| broker.handle_committed(now, token));
    wire.call(|broker, now| broker.handle_commit_failed(now, token, StoreError::Failed));
    assert!(wire.receive(client).is_empty());
    assert_eq!(wire.broker().statistics().batches_failed, 0);
}

#[test]
fn without_durable_nothing_is_recorded_and_nothing_waits() {
    let mut wire = Wire::configured(|config| config.durable = false);
    let client = wire.connect(connect("client").expiry(3600));
    wire.send(client, subscribe(1, "a").qos(2));
    wire.send(client, publish("a", "x").qos2(7).retain());
    assert_eq!(wire.receive(client).len(), 3);
    assert!(wire.broker().snapshot().is_empty());
    wire.call(|broker, now| assert!(broker.poll_store(now).is_none()));
    wire.call(|broker, now| assert!(broker.poll_snapshot(now).is_none()));
    assert_eq!(wire.broker().gauges().uncommitted_changes, 0);
}
