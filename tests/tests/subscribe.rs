//! SUBSCRIBE and UNSUBSCRIBE: what is granted, what matches, and what ends.

use mqtt_codec::QoS;
use mqtt_tests::scripted::{connect, puback, publish, subscribe, unsubscribe};
use mqtt_tests::{Peer, Wire};

fn joined() -> (Wire, Peer, Peer) {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a"));
    (wire, publisher, a)
}

/// Proves: [MQTT-3.8.4-1], [MQTT-3.8.4-2], [MQTT-3.8.4-5], [MQTT-3.8.4-6], [MQTT-3.8.4-7],
/// [MQTT-3.9.3-1], [MQTT-3.9.3-2], [MQTT-2.2.1-6]
#[test]
fn each_filter_has_its_reason_in_its_place() {
    let (mut wire, publisher, a) = joined();
    let too_deep = "/".repeat(128);
    let script = subscribe(7, "0").and("1").qos(1).and(&too_deep).and("2").qos(2).and("0").qos(1);
    wire.send(a, script);
    assert_eq!(wire.receive(a), ["SUBACK id=7 [00 01 8F 02 01]"]);
    for topic in ["0", "1", "2"] {
        wire.send(publisher, publish(topic, "x").qos2(topic.parse::<u16>().unwrap() + 1));
    }
    assert_eq!(
        wire.receive(a),
        [r#"PUBLISH q1 id=1 "0" "x""#, r#"PUBLISH q1 id=2 "1" "x""#, r#"PUBLISH q2 id=3 "2" "x""#],
        "as if they had come one by one"
    );
    assert_eq!(wire.broker().gauges().subscriptions, 3);
}

/// Proves: [MQTT-3.8.4-3]
#[test]
fn a_subscription_with_the_same_filter_replaces_the_one_before() {
    let (mut wire, publisher, a) = joined();
    wire.send(a, subscribe(1, "t").qos(2).subscription_id(9).retain_as_published());
    wire.send(a, subscribe(2, "t").qos(1));
    assert_eq!(wire.receive(a), ["SUBACK id=1 [02]", "SUBACK id=2 [01]"]);
    wire.send(publisher, publish("t", "x").qos2(1).retain());
    assert_eq!(wire.receive(a), [r#"PUBLISH q1 id=1 "t" "x""#], "one copy, no identifier");
    assert_eq!(wire.broker().gauges().subscriptions, 1);
    wire.send(a, subscribe(3, "t").subscription_id(4));
    wire.receive(a);
    wire.send(publisher, publish("t", "y").qos1(2));
    assert_eq!(wire.receive(a), [r#"PUBLISH q0 "t" "y" {subscription=4}"#]);
}

/// Proves: [MQTT-3.8.4-4]
#[test]
fn replacing_a_subscription_loses_no_message() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").receive_maximum(1));
    wire.send(a, subscribe(1, "t").qos(1));
    for id in 1..=6 {
        wire.send(publisher, publish("t", id.to_string()).qos1(id));
        wire.send(a, subscribe(id + 1, "t").qos(1));
    }
    let mut seen = wire.receive(a);
    for _ in 0..6 {
        wire.send(a, puback(1));
        seen.extend(wire.receive(a));
    }
    let payloads: Vec<_> = seen.iter().filter_map(|line| line.split('"').nth(3)).collect();
    assert_eq!(payloads, ["1", "2", "3", "4", "5", "6"]);
}

/// Proves: [MQTT-3.3.4-2], [MQTT-3.3.4-3], [MQTT-3.3.4-4]
#[test]
fn overlapping_subscriptions_make_one_copy_with_the_highest_qos_and_every_identifier() {
    let (mut wire, publisher, a) = joined();
    wire.send(a, subscribe(1, "a/b").subscription_id(1));
    wire.send(a, subscribe(2, "a/+").qos(2).subscription_id(2));
    wire.send(a, subscribe(3, "a/#").qos(1));
    wire.send(a, subscribe(4, "#").qos(1).subscription_id(268_435_455));
    wire.receive(a);
    wire.send(publisher, publish("a/b", "x").qos2(1));
    let line = wire.receive(a).remove(0);
    assert!(line.starts_with(r#"PUBLISH q2 id=1 "a/b" "x" {"#), "{line}");
    let mut ids: Vec<&str> = line.split(['{', '}']).nth(1).unwrap().split(", ").collect();
    ids.sort_unstable();
    assert_eq!(ids, ["subscription=1", "subscription=2", "subscription=268435455"]);
    wire.send(publisher, publish("a/c/d", "y").qos1(2));
    assert_eq!(wire.receive(a), [r#"PUBLISH q1 id=2 "a/c/d" "y" {subscription=268435455}"#]);
}

#[test]
fn hundreds_of_overlapping_subscriptions_make_one_copy() {
    let (mut wire, publisher, a) = joined();
    // Every filter of eight levels that is made of the level itself and of `+`.
    for number in 0..256_u32 {
        let levels: Vec<&str> =
            (0..8).map(|bit| if number >> bit & 1 == 1 { "+" } else { "x" }).collect();
        wire.send(a, subscribe(1, &levels.join("/")).subscription_id(number + 1));
    }
    wire.receive(a);
    wire.send(publisher, publish("x/x/x/x/x/x/x/x", "y"));
    let lines = wire.receive(a);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].matches("subscription=").count(), 256);
}

/// Proves: [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.2-1], [MQTT-4.7.3-4], [MQTT-3.3.2-3],
/// [MQTT-4.7.3-1]
#[test]
fn a_filter_matches_as_the_standard_says() {
    let cases = [
        ("sport/tennis/#", "sport/tennis", true),
        ("sport/tennis/#", "sport/tennis/player/score", true),
        ("sport/tennis/#", "sport/tennis/", true),
        ("sport/tennis/#", "sport/tennisx", false),
        ("sport/tennis/+", "sport/tennis/player", true),
        ("sport/tennis/+", "sport/tennis/player/score", false),
        ("sport/tennis/+", "sport/tennis", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("+/a", "/a", true),
        ("#", "/", true),
        ("+/+/+", "a//b", true),
        ("a//b", "a//b", true),
        ("a/b", "a//b", false),
        ("a/", "a", false),
        ("a", "a/", false),
        ("A", "a", false),
        ("\u{e4}", "a\u{308}", false),
        ("\u{FEFF}a", "a", false),
        (" a", "a", false),
        ("+/b/#", "a/b", true),
        ("+/b/#", "a/c", false),
        ("a/+/c/#", "a/x/c/d/e", true),
        ("$SYS/a", "SYS/a", false),
    ];
    for (filter, topic, matches) in cases {
        for filter in [filter.to_owned(), format!("$share/g/{filter}")] {
            let (mut wire, publisher, a) = joined();
            wire.send(a, subscribe(1, &filter));
            wire.receive(a);
            wire.send(publisher, publish(topic, "x"));
            let expected = format!("PUBLISH q0 {topic:?} \"x\"");
            let expected: &[String] = if matches { &[expected] } else { &[] };
            assert_eq!(wire.receive(a), expected, "{filter} and {topic}");
            // What is retained is matched by other code, and must match the same.
            if !filter.starts_with('$') {
                wire.send(publisher, publish(topic, "kept").retain());
                let b = wire.connect(connect("b"));
                wire.send(b, subscribe(1, &filter));
                assert_eq!(wire.receive(b).len() == 2, matches, "{filter} and retained {topic}");
            }
        }
    }
}

/// Proves: [MQTT-3.8.3-3]
#[test]
fn no_local_keeps_a_clients_own_messages_back_and_nobody_elses() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").expiry(100));
    let b = wire.connect(connect("b"));
    for peer in [a, b] {
        wire.send(peer, subscribe(1, "t").qos(1).no_local());
        wire.receive(peer);
    }
    wire.send(a, publish("t", "x"));
    assert_eq!(wire.receive(a), [""; 0]);
    assert_eq!(wire.receive(b), [r#"PUBLISH q0 "t" "x""#]);
    // It goes by the client identifier, so that it holds on the next connection too.
    let a = wire.connect(connect("a").resume().expiry(100));
    wire.send(a, publish("t", "y").qos1(1));
    assert_eq!(wire.receive(a), ["PUBACK id=1"]);
    // An overlapping subscription without No Local gets the message.
    wire.send(a, subscribe(2, "+").subscription_id(2));
    wire.send(a, publish("t", "z").qos1(2));
    let lines = wire.receive(a);
    assert_eq!(lines[2..], [r#"PUBLISH q0 "t" "z" {subscription=2}"#]);
}

/// Proves: [MQTT-3.10.4-1], [MQTT-3.10.4-4], [MQTT-3.10.4-5], [MQTT-3.10.4-6], [MQTT-3.11.3-1],
/// [MQTT-3.11.3-2], [MQTT-2.2.1-6]
#[test]
fn unsubscribe_deletes_the_subscription_with_exactly_that_filter() {
    let (mut wire, publisher, a) = joined();
    wire.send(a, subscribe(1, "a/b").and("a/+").and("a/#").and("$share/g/a/b"));
    wire.receive(a);
    wire.send(a, unsubscribe(2, &["a/c", "a/+", "a", "a/#/".trim_end_matches('/'), "a/+"]));
    assert_eq!(wire.receive(a), ["UNSUBACK id=2 [11 00 11 00 11]"]);
    assert_eq!(wire.broker().gauges().subscriptions, 2);
    wire.send(publisher, publish("a/x", "x"));
    assert_eq!(wire.receive(a), [""; 0]);
    wire.send(a, unsubscribe(3, &["a/b", "$share/h/a/b"]));
    assert_eq!(wire.receive(a), ["UNSUBACK id=3 [00 11]"]);
    wire.send(publisher, publish("a/b", "x"));
    assert_eq!(wire.receive(a), [r#"PUBLISH q0 "a/b" "x""#], "as a member of the group");
    wire.send(a, unsubscribe(4, &["$share/g/a/b"]));
    wire.send(publisher, publish("a/b", "x"));
    assert_eq!(wire.receive(a), ["UNSUBACK id=4 [00]"]);
    assert_eq!(wire.broker().gauges().subscriptions, 0);
}

/// Proves: [MQTT-3.10.4-2], [MQTT-3.10.4-3]
#[test]
fn after_unsubscribe_nothing_is_added_and_what_was_queued_still_comes() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").receive_maximum(1));
    wire.send(a, subscribe(1, "t").qos(1));
    for id in 1..=2 {
        wire.send(publisher, publish("t", id.to_string()).qos1(id));
    }
    wire.send(a, unsubscribe(2, &["t"]));
    wire.send(publisher, publish("t", "3").qos1(3));
    wire.receive(a);
    wire.send(a, puback(1));
    assert_eq!(wire.receive(a), [r#"PUBLISH q1 id=1 "t" "2""#]);
    wire.send(a, puback(1));
    assert_eq!(wire.receive(a), [""; 0]);
}

#[test]
fn one_clients_subscriptions_are_nobody_elses() {
    let (mut wire, publisher, a) = joined();
    let b = wire.connect(connect("b"));
    for peer in [a, b] {
        wire.send(peer, subscribe(1, "t"));
        wire.receive(peer);
    }
    wire.send(a, unsubscribe(2, &["t"]));
    wire.send(publisher, publish("t", "x"));
    assert_eq!(wire.receive(a), ["UNSUBACK id=2 [00]"]);
    assert_eq!(wire.receive(b), [r#"PUBLISH q0 "t" "x""#]);
}

/// Proves: [MQTT-3.2.2-10]
#[test]
fn a_broker_with_a_maximum_qos_grants_no_more_and_refuses_no_subscription() {
    let mut wire = Wire::configured(|config| config.maximum_qos = QoS::AtMostOnce);
    let a = wire.connect(connect("a"));
    wire.send(a, subscribe(1, "0").and("1").qos(1).and("2").qos(2));
    assert_eq!(wire.receive(a), ["SUBACK id=1 [00 00 00]"]);
    let mut wire = Wire::configured(|config| config.maximum_qos = QoS::AtLeastOnce);
    let a = wire.connect(connect("a"));
    wire.send(a, subscribe(1, "0").and("1").qos(1).and("2").qos(2));
    assert_eq!(wire.receive(a), ["SUBACK id=1 [00 01 01]"]);
}

#[test]
fn a_filter_that_is_too_long_or_too_deep_is_refused_with_0x8f() {
    let (mut wire, _, a) = joined();
    let filters = [
        ("a".repeat(1024), true),
        ("a".repeat(1025), false),
        ("+/".repeat(127) + "#", true),
        ("+/".repeat(128) + "#", false),
        ("+/".repeat(32_767), false),
        ("/".repeat(65_535), false),
        (format!("$share/g/{}", "a".repeat(1015)), true),
        (format!("$share/g/{}", "a".repeat(1016)), false),
        (format!("$share/g/{}#", "+/".repeat(128)), false),
    ];
    for (filter, is_granted) in filters {
        wire.send(a, subscribe(1, &filter));
        let reason = if is_granted { "00" } else { "8F" };
        assert_eq!(wire.receive(a), [format!("SUBACK id=1 [{reason}]")], "{} bytes", filter.len());
    }
    assert_eq!(wire.broker().gauges().subscriptions, 3);
}

#[test]
fn more_filters_than_one_packet_or_session_may_have_are_refused_with_0x97() {
    let mut wire = Wire::configured(|config| config.limits.subscriptions = 100);
    let a = wire.connect(connect("a").expiry(100));
    let mut script = subscribe(1, "f/0");
    for number in 1..1000 {
        script = script.and(&format!("f/{number}"));
    }
    wire.send(a, script);
    let reasons = wire.receive(a).remove(0);
    assert_eq!(reasons.matches("00").count(), 64);
    assert_eq!(reasons.matches("97").count(), 936);
    let mut granted = 64;
    for number in 0..50 {
        wire.send(a, subscribe(2, &format!("g/{number}")));
        let is_granted = wire.receive(a) == ["SUBACK id=2 [00]"];
        assert_eq!(is_granted, granted < 100);
        granted += usize::from(is_granted);
    }
    // Shared subscriptions count as well; replacing one that exists is always possible.
    wire.send(a, subscribe(3, "$share/g/t").and("f/0").qos(1).and("g/0").qos(2));
    assert_eq!(wire.receive(a), ["SUBACK id=3 [97 01 02]"]);
    wire.send(a, unsubscribe(4, &["f/0"]));
    wire.send(a, subscribe(5, "$share/g/t").and("h"));
    wire.send(a, subscribe(6, "$share/g/t").qos(1));
    let expected = ["UNSUBACK id=4 [00]", "SUBACK id=5 [00 97]", "SUBACK id=6 [01]"];
    assert_eq!(wire.receive(a), expected);
    assert_eq!(wire.broker().gauges().subscriptions, 100);
}

#[test]
fn subscribing_and_unsubscribing_for_long_leaves_nothing_behind() {
    let (mut wire, _, a) = joined();
    for round in 0..2000_u32 {
        let filter = match round % 4 {
            0 => format!("a/{}/+/{round}", round % 7),
            1 => format!("a/+/{round}/#"),
            2 => format!("$share/g{}/b/{round}", round % 3),
            _ => format!("c/{round}"),
        };
        wire.send(a, subscribe(1, &filter));
        if round % 5 == 0 {
            wire.send(a, subscribe(2, &filter).qos(1));
        }
        wire.send(a, unsubscribe(3, &[&filter]));
    }
    assert_eq!(wire.broker().gauges().subscriptions, 0);
    let lines = wire.receive(a);
    assert!(lines.iter().all(|line| !line.contains("11]")), "each was there");
}

#[test]
fn wildcards_that_would_make_every_publish_slow_are_refused_with_0x97() {
    let mut wire = Wire::configured(|config| config.limits.match_steps = 200);
    let a = wire.connect(connect("a"));
    let bomb = |number: u32| {
        let levels: Vec<&str> =
            (0..10).map(|bit| if number >> bit & 1 == 1 { "+" } else { "x" }).collect();
        levels.join("/")
    };
    let mut granted = 0;
    for number in 1..1000 {
        wire.send(a, subscribe(1, &bomb(number)));
        granted += usize::from(wire.receive(a) == ["SUBACK id=1 [00]"]);
    }
    assert!((1..200).contains(&granted), "{granted} filters of as many shapes");
    // Ordinary filters have room, and so have those whose place was given up.
    wire.send(a, subscribe(2, "x/x/x").and("x/#").and("$share/g/y"));
    let more = wire.receive(a);
    assert!(more[0].starts_with("SUBACK id=2 [00"), "{more:?}");
    wire.send(a, unsubscribe(3, &[&bomb(1)]));
    wire.send(a, subscribe(4, &bomb(1)));
    assert_eq!(wire.receive(a), ["UNSUBACK id=3 [00]", "SUBACK id=4 [00]"]);
}
