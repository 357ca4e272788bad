//! A CONNECT whose session cannot be stored: what it leaves is what was there before.

use super::*;

/// Refuses a CONNECT because its commit fails, and lets a second pass until the next one may
/// succeed.
fn refuse(wire: &mut Wire, script: impl Into<Vec<u8>>) {
    wire.hold_commits();
    let client = wire.open("refused");
    wire.send(client, script);
    wire.fail_commit(StoreError::Failed);
    assert_eq!(wire.receive(client), ["CONNACK 83 Implementation specific error", "closed"]);
    wire.advance_secs(1);
    wire.commit_at_once();
}

/// Proves: [MQTT-3.2.2-7]
#[test]
fn the_session_keeps_its_messages_although_it_was_to_end_with_the_connection() {
    let (mut wire, subscriber) = with_subscriber("a", 2);
    wire.cut(subscriber);
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, publish("a", "1").qos2(1));
    wire.send(publisher, publish("a", "2").qos1(2));
    assert_eq!(wire.receive(publisher), ["PUBREC id=1", "PUBACK id=2"]);
    refuse(&mut wire, connect("subscriber").resume().expiry(0));
    wire.crash();
    let subscriber = resume(&mut wire, "subscriber");
    // QoS 2 waits for a commit, and QoS 1 does not wait for QoS 2.
    let received = wire.receive(subscriber);
    assert_eq!(received, [r#"PUBLISH q1 id=2 "a" "2""#, r#"PUBLISH q2 id=1 "a" "1""#]);
}

#[test]
fn the_session_ends_when_it_would_have_ended_without_it() {
    for (asked, crashes) in [(0, false), (0, true), (5, false), (1000, false), (1000, true)] {
        let mut wire = Wire::durable();
        let client = wire.connect(connect("client").expiry(60));
        wire.cut(client);
        wire.advance_secs(30);
        refuse(&mut wire, connect("client").resume().expiry(asked));
        if crashes {
            wire.crash();
        }
        wire.advance_secs(28);
        assert_eq!(wire.broker().gauges().sessions, 1, "{asked} s, after 59 s");
        wire.advance_secs(1);
        assert_eq!(wire.broker().gauges().sessions, 0, "{asked} s, after 60 s");
    }
}

/// Proves: [MQTT-3.1.2-8]
#[test]
fn a_will_that_waits_is_published_in_its_time_and_the_new_one_is_not() {
    for crashes in [false, true] {
        let mut wire = Wire::durable();
        let watcher = wire.connect(connect("watcher").expiry(3600));
        wire.send(watcher, subscribe(1, "gone").qos(2));
        wire.receive(watcher);
        let old = will("gone", "old").qos(2).delay(20);
        let client = wire.connect(connect("client").expiry(60).will(old));
        wire.cut(client);
        wire.advance_secs(10);
        let new = will("gone", "new").qos(2);
        refuse(&mut wire, connect("client").resume().expiry(60).will(new));
        if crashes {
            wire.crash();
        }
        let watcher = if crashes { resume(&mut wire, "watcher") } else { watcher };
        wire.advance_secs(8);
        assert!(wire.receive(watcher).is_empty(), "after 19 s");
        wire.advance_secs(1);
        assert_eq!(wire.receive(watcher), [r#"PUBLISH q2 id=1 "gone" "old""#], "after 20 s");
        wire.advance_secs(100);
        assert!(wire.receive(watcher).is_empty());
    }
}

/// Proves: [MQTT-3.1.3-9]
#[test]
fn a_will_that_waited_is_forgotten_once_the_client_is_let_in() {
    let mut wire = Wire::durable();
    let watcher = wire.connect(connect("watcher"));
    wire.send(watcher, subscribe(1, "gone"));
    wire.receive(watcher);
    let client = wire.connect(connect("client").expiry(60).will(will("gone", "x").delay(20)));
    wire.cut(client);
    wire.hold_commits();
    let client = wire.open("client");
    wire.send(client, connect("client").resume().expiry(60));
    wire.advance_secs(30);
    wire.commit_all();
    wire.expect_connack(client);
    assert!(wire.receive(watcher).is_empty());
    assert_eq!(wire.broker().gauges().messages, 0, "nothing keeps the will");
    wire.cut(client);
    wire.commit_at_once();
    wire.crash();
    wire.advance_secs(59);
    assert_eq!(wire.broker().gauges().messages, 0);
}

/// A client that goes while its CONNACK waits has been there: so is its next CONNECT judged.
#[test]
fn a_client_that_goes_before_its_connack_leaves_no_will_behind() {
    let mut wire = Wire::durable();
    let client = wire.connect(connect("client").expiry(60).will(will("gone", "x").delay(20)));
    wire.cut(client);
    wire.hold_commits();
    let client = wire.open("client");
    wire.send(client, connect("client").resume().expiry(60));
    wire.disconnect(client, mqtt_codec::DisconnectReason::ServerBusy);
    wire.commit_all();
    assert_eq!(wire.receive(client), ["closed"]);
    assert_eq!(wire.broker().gauges().messages, 0);
}

#[test]
fn what_a_clean_start_ended_does_not_come_back() {
    let (mut wire, subscriber) = with_subscriber("a", 1);
    wire.cut(subscriber);
    refuse(&mut wire, connect("subscriber").expiry(60));
    assert_eq!(wire.broker().gauges().sessions, 0);
    wire.crash();
    assert_eq!(wire.broker().gauges().sessions, 0);
}

#[test]
fn a_connect_waits_while_too_much_is_uncommitted() {
    let mut wire = Wire::configured(|config| {
        config.durable = true;
        config.limits.uncommitted_bytes = 10_000;
    });
    let subscriber = wire.connect(connect("subscriber").expiry(3600));
    wire.send(subscriber, subscribe(1, "a").qos(1));
    wire.receive(subscriber);
    let publisher = wire.connect(connect("publisher"));
    wire.hold_commits();
    wire.send(publisher, publish("a", [0; 11_000]).qos1(1));
    let changes = wire.broker().gauges().uncommitted_changes;
    let client = wire.open("client");
    wire.send(client, connect("client").expiry(60));
    assert_eq!(wire.broker().gauges().uncommitted_changes, changes);
    wire.commit_all();
    assert_eq!(wire.receive(publisher), ["PUBACK id=1"]);
    wire.expect_connack(client);
}

/// A store that fails for long must not fill the memory.
#[test]
fn clients_that_come_while_the_store_fails_add_nothing_over_the_bound() {
    let mut wire = Wire::configured(|config| {
        config.durable = true;
        config.limits.uncommitted_bytes = 10_000;
    });
    wire.hold_commits();
    for round in 0..300 {
        let client = wire.open("client");
        wire.send(client, connect(&format!("client {round}")).expiry(60));
        if wire.is_committing() {
            wire.fail_commit(StoreError::Full);
        }
        wire.advance_secs(1);
        let gauges = wire.broker().gauges();
        assert!(gauges.uncommitted_bytes < 11_000, "{gauges:?}");
        assert!(gauges.connections < 30, "who waits for too long is let go: {gauges:?}");
    }
    wire.commit_all();
    let client = wire.open("client");
    wire.send(client, connect("client").expiry(60));
    wire.commit_all();
    wire.expect_connack(client);
}
