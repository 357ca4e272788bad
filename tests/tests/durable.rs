//! What waits for the store, and what a restart finds.
//!
//! Every commit of these tests also compares the broker that the committed changes make with a
//! snapshot of the one that made them.

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
        assert!(broker.poll_store().is_none(), "one is out");
        assert!(broker.poll_snapshot().is_none());
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
    wire.call(|broker, _| assert!(broker.poll_store().is_none()));
    wire.call(|broker, _| assert!(broker.poll_snapshot().is_none()));
    assert_eq!(wire.broker().gauges().uncommitted_changes, 0);
}

mod failing {
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
}

mod restarting {
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
}
