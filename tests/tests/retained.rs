//! Retained messages: what is kept, and who gets it when.

use core::num::NonZeroU16;

use mqtt_tests::scripted::{connect, disconnect, puback, publish, subscribe, unsubscribe};
use mqtt_tests::{Peer, Wire};

/// A client "a" on a wire where "r" has the retained message "kept".
fn with_retained() -> (Wire, Peer) {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    wire.send(publisher, publish("r", "kept").retain());
    wire.send(publisher, disconnect());
    let a = wire.connect(connect("a").expiry(100));
    (wire, a)
}

const KEPT: &str = r#"PUBLISH q0 retain "r" "kept""#;

/// Proves: [MQTT-3.3.1-5], [MQTT-3.3.1-9], [MQTT-3.3.1-13]
#[test]
fn a_new_subscription_is_sent_the_retained_message_with_retain_set() {
    let (mut wire, a) = with_retained();
    wire.send(a, subscribe(1, "r"));
    assert_eq!(wire.receive(a), ["SUBACK id=1 [00]", KEPT]);
    let b = wire.connect(connect("b"));
    wire.send(b, subscribe(1, "#").retain_as_published());
    assert_eq!(wire.receive(b), ["SUBACK id=1 [00]", KEPT], "whatever Retain As Published says");
    let c = wire.connect(connect("c"));
    wire.send(c, subscribe(1, "r/x").and("s"));
    assert_eq!(wire.receive(c), ["SUBACK id=1 [00 00]"]);
}

/// Proves: [MQTT-3.3.1-5], [MQTT-3.3.1-8]
#[test]
fn the_last_message_with_retain_is_the_one_that_is_kept() {
    let (mut wire, a) = with_retained();
    wire.send(a, publish("r", "newer").qos1(1).retain());
    wire.send(a, publish("r", "newest").qos2(2).retain());
    wire.send(a, publish("r", "not kept").qos1(3));
    wire.send(a, publish("r", ""));
    wire.receive(a);
    assert_eq!(wire.broker().gauges().retained_messages, 1);
    wire.send(a, subscribe(4, "r").qos(1));
    assert_eq!(wire.receive(a), ["SUBACK id=4 [01]", r#"PUBLISH q1 id=1 retain "r" "newest""#]);
}

/// Proves: [MQTT-3.3.1-6], [MQTT-3.3.1-7]
#[test]
fn a_retained_message_without_payload_is_passed_on_and_clears_the_kept_one() {
    for (qos, line) in [(0, r#"PUBLISH q0 retain "r" """#), (1, r#"PUBLISH q1 id=1 retain "r" """#)]
    {
        let (mut wire, a) = with_retained();
        let watcher = wire.connect(connect("watcher"));
        wire.send(watcher, subscribe(1, "r").qos(1).retain_as_published());
        wire.receive(watcher);
        wire.send(a, publish("r", "").qos(qos, 1).retain());
        assert_eq!(wire.receive(watcher), [line]);
        wire.receive(a);
        wire.send(a, subscribe(2, "r"));
        assert_eq!(wire.receive(a), ["SUBACK id=2 [00]"]);
        let gauges = wire.broker().gauges();
        assert_eq!((gauges.retained_messages, gauges.retained_bytes), (0, 0));
        // Clearing what is not there does nothing.
        wire.send(a, publish("r", "").retain());
        assert_eq!(wire.broker().gauges().retained_messages, 0);
    }
}

/// Proves: [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11], [MQTT-3.8.4-4]
#[test]
fn retain_handling_says_when_retained_messages_are_sent() {
    for (handling, to_new, to_existing) in [(0, true, true), (1, true, false), (2, false, false)] {
        let (mut wire, a) = with_retained();
        for (id, is_sent) in [(1, to_new), (2, to_existing), (3, to_existing)] {
            wire.send(a, subscribe(id, "r").retain_handling(handling));
            let lines = wire.receive(a);
            assert_eq!(lines.get(1).is_some(), is_sent, "handling {handling}: {lines:?}");
        }
        // A subscription of the session exists also on a later connection.
        wire.cut(a);
        let a = wire.connect(connect("a").resume().expiry(100));
        assert_eq!(wire.receive(a), [""; 0], "and resuming is not subscribing");
        wire.send(a, subscribe(4, "r").retain_handling(handling));
        assert_eq!(wire.receive(a).len() == 2, to_existing, "handling {handling}");
        // Once it is deleted it is new.
        wire.send(a, unsubscribe(5, &["r"]));
        wire.send(a, subscribe(6, "r").retain_handling(handling));
        assert_eq!(wire.receive(a).len() == 3, to_new, "handling {handling}");
    }
}

/// Proves: [MQTT-3.3.1-12], [MQTT-3.3.1-13]
#[test]
fn retain_as_published_is_about_live_messages_alone() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let clears = wire.connect(connect("clears"));
    let keeps = wire.connect(connect("keeps"));
    wire.send(clears, subscribe(1, "r").qos(1));
    wire.send(keeps, subscribe(1, "r").qos(1).retain_as_published());
    for peer in [clears, keeps] {
        wire.receive(peer);
    }
    wire.send(publisher, publish("r", "1").retain());
    wire.send(publisher, publish("r", "2"));
    assert_eq!(wire.receive(clears), [r#"PUBLISH q0 "r" "1""#, r#"PUBLISH q0 "r" "2""#]);
    assert_eq!(wire.receive(keeps), [r#"PUBLISH q0 retain "r" "1""#, r#"PUBLISH q0 "r" "2""#]);
}

#[test]
fn shared_subscriptions_are_sent_no_retained_messages() {
    let (mut wire, a) = with_retained();
    wire.send(a, subscribe(1, "$share/g/r").and("$share/g/#").retain_handling(0));
    assert_eq!(wire.receive(a), ["SUBACK id=1 [00 00]"]);
}

/// Proves: [MQTT-3.8.3-3]
#[test]
fn a_client_with_no_local_is_not_sent_what_it_retained_itself() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    let b = wire.connect(connect("b"));
    wire.send(a, publish("r/a", "x").retain());
    wire.send(b, publish("r/b", "x").retain());
    wire.send(a, disconnect());
    // It is the client identifier that counts, not the connection or the session.
    let a = wire.connect(connect("a"));
    wire.send(a, subscribe(1, "r/#").no_local());
    assert_eq!(wire.receive(a), ["SUBACK id=1 [00]", r#"PUBLISH q0 retain "r/b" "x""#]);
    wire.send(a, subscribe(2, "r/#"));
    assert_eq!(wire.receive(a).len(), 3);
}

/// Proves: [MQTT-3.3.4-3], [MQTT-3.3.2-4], [MQTT-3.3.2-17], [MQTT-3.8.4-8]
#[test]
fn retained_messages_come_with_their_properties_and_the_identifier_of_the_subscription() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    wire.send(
        a,
        publish("r", "x").qos2(1).retain().with(|p| {
            p.user_property("b", "2").unwrap().user_property("a", "1").unwrap();
        }),
    );
    wire.receive(a);
    wire.send(a, subscribe(2, "r").qos(1).subscription_id(7));
    assert_eq!(
        wire.receive(a),
        [
            "SUBACK id=2 [01]",
            r#"PUBLISH q1 id=1 retain "r" "x" {subscription=7, "b"="2", "a"="1"}"#
        ]
    );
}

/// Proves: [MQTT-3.3.4-5]
#[test]
fn a_copy_for_one_subscription_carries_the_identifier_of_that_one() {
    let (mut wire, a) = with_retained();
    wire.send(a, subscribe(1, "r").subscription_id(3));
    wire.send(a, subscribe(2, "#").subscription_id(4));
    wire.send(a, subscribe(3, "+"));
    assert_eq!(
        wire.receive(a),
        [
            "SUBACK id=1 [00]",
            r#"PUBLISH q0 retain "r" "kept" {subscription=3}"#,
            "SUBACK id=2 [00]",
            r#"PUBLISH q0 retain "r" "kept" {subscription=4}"#,
            "SUBACK id=3 [00]",
            r#"PUBLISH q0 retain "r" "kept""#,
        ]
    );
}

/// Proves: [MQTT-3.3.4-5], [MQTT-3.3.1-9]
#[test]
fn each_of_two_overlapping_subscriptions_is_sent_the_retained_messages_with_its_identifier() {
    let (mut wire, a) = with_retained();
    let second = Vec::from(subscribe(2, "#").and("+").subscription_id(4));
    wire.send_all(a, [subscribe(1, "r").subscription_id(3).into(), second]);
    let line = |id: u32| format!(r#"PUBLISH q0 retain "r" "kept" {{subscription={id}}}"#);
    assert_eq!(wire.receive(a)[2..], [line(3), line(4), line(4)]);
}

#[test]
fn a_large_store_is_sent_whole_however_little_is_taken_at_once() {
    for (qos, budget, receive_maximum) in [(0, 1, 10), (0, 100_000, 10), (1, 1, 1), (1, 100, 7)] {
        let mut wire = Wire::new();
        wire.set_budget(budget);
        let publisher = wire.connect(connect("publisher"));
        for number in 0..500 {
            let topic = format!("{}/{number:03}", if number % 5 == 0 { "wanted" } else { "other" });
            wire.send(publisher, publish(&topic, "x").qos1(1).retain());
        }
        let a = wire.connect(connect("a").receive_maximum(receive_maximum));
        wire.send(a, subscribe(1, "wanted/+").qos(qos));
        let mut lines = wire.receive(a);
        assert_eq!(lines.remove(0), format!("SUBACK id=1 [0{qos}]"));
        let mut at = 0;
        while qos == 1 && at < lines.len() {
            let id = lines[at].split("id=").nth(1).unwrap().split(' ').next().unwrap();
            wire.send(a, puback(id.parse().unwrap()));
            lines.extend(wire.receive(a));
            at += 1;
        }
        let topics: Vec<_> = lines.iter().map(|line| line.split('"').nth(1).unwrap()).collect();
        let expected: Vec<_> =
            (0..500).step_by(5).map(|number| format!("wanted/{number:03}")).collect();
        assert_eq!(topics, expected, "QoS {qos}, {budget} bytes, {receive_maximum} under way");
    }
}

#[test]
fn live_messages_are_not_held_up_by_a_large_store() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    for number in 0..1000 {
        wire.send(publisher, publish(&format!("r/{number:04}"), "kept").qos1(1).retain());
    }
    let a = wire.connect(connect("a").receive_maximum(1));
    wire.send(a, subscribe(1, "live").qos(1));
    wire.send(a, subscribe(2, "r/#").qos(1));
    wire.receive(a);
    wire.send_all(publisher, [1, 2, 3].map(|id| publish("live", "now").qos1(id).into()));
    let mut live = 0;
    for _ in 0..8 {
        wire.send(a, puback(1));
        live += wire.receive(a).iter().filter(|line| line.contains("live")).count();
    }
    assert_eq!(live, 3, "they take turns with what is replayed");
}

/// Proves: [MQTT-4.6.0-5], [MQTT-4.6.0-6]
#[test]
fn a_message_retained_after_the_subscription_comes_once_and_in_its_order() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    for topic in ["r/1", "r/2", "r/3"] {
        wire.send(publisher, publish(topic, "old").qos1(1).retain());
    }
    let a = wire.connect(connect("a").receive_maximum(1));
    wire.send(a, subscribe(1, "r/#").qos(1));
    // While the first retained message is under way, the last one is replaced twice.
    wire.send(publisher, publish("r/3", "newer").qos1(1).retain());
    wire.send(publisher, publish("r/3", "newest").qos1(2).retain());
    let mut lines = wire.receive(a);
    for _ in 0..8 {
        wire.send(a, puback(1));
        lines.extend(wire.receive(a));
    }
    let last: Vec<_> = lines.iter().filter(|line| line.contains("r/3")).collect();
    assert_eq!(
        last,
        [r#"PUBLISH q1 id=1 "r/3" "newer""#, r#"PUBLISH q1 id=1 "r/3" "newest""#],
        "{lines:#?}"
    );
}

#[test]
fn what_is_left_of_a_replay_comes_on_the_next_connection() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    for number in 0..10 {
        wire.send(publisher, publish(&format!("r/{number}"), "x").qos1(1).retain());
    }
    let a = wire.connect(connect("a").expiry(100).receive_maximum(3));
    wire.send(a, subscribe(1, "r/#").qos(1));
    assert_eq!(wire.receive(a).len(), 4);
    wire.cut(a);
    let a = wire.connect(connect("a").resume().expiry(100));
    let lines = wire.receive(a);
    assert_eq!(lines.len(), 10);
    assert_eq!(lines.iter().filter(|line| line.contains(" dup ")).count(), 3);
}

#[test]
fn a_replay_that_was_interrupted_sends_what_is_retained_when_it_goes_on() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    for topic in ["r/1", "r/2"] {
        wire.send(publisher, publish(topic, "old").qos1(1).retain());
    }
    let a = wire.connect(connect("a").expiry(100).receive_maximum(1));
    wire.send(a, subscribe(1, "r/#").qos(1));
    wire.cut(a);
    // At QoS 0 nothing is queued for a client that is away: the store is all it can learn from.
    wire.send(publisher, publish("r/2", "new").retain());
    let a = wire.connect(connect("a").resume().expiry(100));
    assert_eq!(
        wire.receive(a),
        [r#"PUBLISH q1 id=1 dup retain "r/1" "old""#, r#"PUBLISH q0 retain "r/2" "new""#]
    );
}

/// Proves: [MQTT-3.10.4-2], [MQTT-3.10.4-3]
#[test]
fn unsubscribe_ends_a_replay() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    for number in 0..10 {
        wire.send(publisher, publish(&format!("r/{number}"), "x").qos1(1).retain());
    }
    let a = wire.connect(connect("a").receive_maximum(1));
    wire.send(a, subscribe(1, "r/#").qos(1));
    assert_eq!(wire.receive(a).len(), 2);
    wire.send(a, unsubscribe(2, &["r/#"]));
    wire.send(a, puback(1));
    assert_eq!(wire.receive(a), ["UNSUBACK id=2 [00]"]);
}

#[test]
fn a_store_that_is_full_refuses_with_0x97_and_still_takes_what_makes_it_no_fuller() {
    let mut wire = Wire::configured(|config| {
        config.limits.retained_messages = 2;
        config.limits.retained_bytes = 100;
    });
    let a = wire.connect(connect("a"));
    let b = wire.connect(connect("b"));
    wire.send(b, subscribe(1, "#"));
    wire.receive(b);
    let mut answer = |topic: &str, len: usize| {
        wire.send(a, publish(topic, vec![b'x'; len]).qos1(1).retain());
        let answer = wire.receive(a).remove(0);
        let is_passed_on = wire.receive(b).len() == 1;
        let gauges = wire.broker().gauges();
        (answer, is_passed_on, gauges.retained_messages, gauges.retained_bytes)
    };
    let taken = || "PUBACK id=1".to_owned();
    let full = || "PUBACK id=1 97 Quota exceeded".to_owned();
    assert_eq!(answer("1", 9), (taken(), true, 1, 10));
    assert_eq!(answer("2", 9), (taken(), true, 2, 20));
    assert_eq!(answer("3", 9), (full(), false, 2, 20), "one message too many");
    assert_eq!(answer("1", 89), (taken(), true, 2, 100), "one is replaced");
    assert_eq!(answer("1", 90), (full(), false, 2, 100), "a byte too many");
    assert_eq!(answer("1", 0), (taken(), true, 1, 10), "clearing makes room");
    assert_eq!(answer("3", 89), (taken(), true, 2, 100));
    // At QoS 0 there is no answer: it is dropped and counted.
    wire.send(a, publish("4", "x").retain());
    assert_eq!(wire.receive(b), [""; 0]);
    assert_eq!(wire.broker().statistics().publishes_refused.total(), 3);
    assert_eq!(wire.broker().gauges().messages, 2);
}

#[test]
fn messages_under_way_and_retained_are_stored_once() {
    let mut wire = Wire::configured(|config| {
        config.limits.send_maximum = NonZeroU16::MIN;
    });
    let publisher = wire.connect(connect("publisher"));
    for name in ["a", "b", "c"] {
        let peer = wire.connect(connect(name).expiry(100));
        wire.send(peer, subscribe(1, "#").qos(1));
        wire.cut(peer);
    }
    wire.send(publisher, publish("r", vec![0; 999]).qos1(1).retain());
    let gauges = wire.broker().gauges();
    assert_eq!((gauges.messages, gauges.message_bytes, gauges.retained_bytes), (1, 1000, 1000));
    wire.advance_secs(100);
    assert_eq!(wire.broker().gauges().messages, 1);
    wire.send(publisher, publish("r", "").retain());
    assert_eq!(wire.broker().gauges().messages, 0);
}

#[test]
fn subscribing_over_and_over_makes_one_replay() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    for number in 0..300 {
        wire.send(publisher, publish(&format!("r/{number}"), "kept").retain());
    }
    let a = wire.connect(connect("a"));
    wire.stop_reading(a);
    for id in 1..=200 {
        wire.send(a, subscribe(id, "#").and("r/#"));
    }
    assert_eq!(wire.broker().gauges().messages, 300, "nothing is queued");
    wire.read_again(a);
    let lines = wire.receive(a);
    assert_eq!(lines.iter().filter(|line| line.starts_with("SUBACK")).count(), 200);
    assert_eq!(lines.iter().filter(|line| line.starts_with("PUBLISH")).count(), 600);
}
