//! Hostile input, section E: SUBSCRIBE and UNSUBSCRIBE. Each function begins with the number of its
//! case.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use mqtt_codec::SubAckReason;
use mqtt_tests::scripted::{
    connect, disconnect, framed, hex, puback, publish, subscribe, unsubscribe,
};
use mqtt_tests::{Random, Siege};

const MALFORMED: [&str; 2] = ["DISCONNECT 81 Malformed Packet", "closed"];
const PROTOCOL_ERROR: [&str; 2] = ["DISCONNECT 82 Protocol Error", "closed"];

fn each(cases: &[(&str, &str)], answer: [&str; 2]) {
    let mut siege = Siege::new();
    for (what, bytes) in cases {
        assert_eq!(siege.then(hex(bytes)), answer, "{what}");
        siege.check();
    }
}

/// A SUBSCRIBE for a filter that no builder takes.
fn subscribe_to(filter: &[u8], options: u8) -> Vec<u8> {
    let len = u16::try_from(filter.len()).unwrap().to_be_bytes();
    framed(0x82, &[&hex("0001 00"), &len[..], filter, &[options]].concat())
}

/// Proves: [MQTT-3.8.3-2], [MQTT5-U-3.8.3-1], [MQTT-2.2.1-3]
#[test]
fn e1_a_subscribe_that_is_not_whole() {
    let protocol_error =
        [("no filter", "82 03 0001 00"), ("identifier 0", "82 07 0000 00 0001 74 00")];
    each(&protocol_error, PROTOCOL_ERROR);
    let malformed = [
        ("no options", "82 06 0001 00 0001 74"),
        ("half a filter", "82 06 0001 00 0003 74"),
        ("no options behind the second filter", "82 0a 0001 00 0001 74 00 0001 74"),
        ("nothing", "82 00"),
    ];
    each(&malformed, MALFORMED);
}

/// Proves: [MQTT-3.8.3-5], [MQTT5-U-3.8.3.1-1]
#[test]
fn e2_options_that_are_none() {
    let mut siege = Siege::new();
    for options in [0x03, 0x30, 0x33] {
        assert_eq!(siege.then(subscribe_to(b"t", options)), PROTOCOL_ERROR, "{options:02x}");
    }
    for options in [0x40, 0x80, 0xC0] {
        assert_eq!(siege.then(subscribe_to(b"t", options)), MALFORMED, "{options:02x}");
    }
}

/// Proves: [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1], [MQTT-4.7.3-2]
#[test]
fn e3_filters_that_are_none() {
    let mut siege = Siege::new();
    for filter in [&b"a#"[..], b"a/#/b", b"a+/b", b"#/a", b"a/+b", b"", b"a\0b", b"\xFF"] {
        assert_eq!(siege.then(subscribe_to(filter, 0)), MALFORMED, "{filter:02x?}");
    }
}

/// Proves: [MQTT-4.8.2-1], [MQTT-4.8.2-2], [MQTT-3.8.3-4]
#[test]
fn e4_shared_filters_that_are_none() {
    let mut siege = Siege::new();
    for filter in ["$share", "$share/", "$share/g", "$share/g/", "$share//t", "$share/+/t"] {
        assert_eq!(siege.then(subscribe_to(filter.as_bytes(), 0)), PROTOCOL_ERROR, "{filter}");
    }
    assert_eq!(siege.then(subscribe_to(b"$share/g#/t", 0)), PROTOCOL_ERROR);
    assert_eq!(siege.then(subscribe_to(b"$share/g/t", 0x04)), PROTOCOL_ERROR, "No Local");
}

/// Proves: [MQTT5-U-3.8.2.1.2-1]
#[test]
fn e5_subscription_identifiers_that_are_none() {
    let cases = [
        ("0", "82 09 0001 02 0b 00 0001 74 00"),
        ("two of them", "82 0b 0001 04 0b 01 0b 02 0001 74 00"),
    ];
    each(&cases, PROTOCOL_ERROR);
    each(&[("five bytes", "82 0d 0001 06 0b 80 80 80 80 01 0001 74 00")], MALFORMED);
}

#[test]
fn e6_filters_of_tens_of_thousands_of_levels() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    for filter in ["+/".repeat(32_767), "/".repeat(65_535), "a/".repeat(128) + "#"] {
        siege.wire.send(peer, subscribe_to(filter.as_bytes(), 0));
        assert_eq!(siege.wire.receive(peer), ["SUBACK id=1 [8F]"]);
    }
    assert_eq!(siege.wire.broker().gauges().subscriptions, 1);
    let own = siege.wire.broker().session_statistics("attacker").unwrap();
    assert_eq!(own.subscriptions_refused.of(SubAckReason::TopicFilterInvalid), 3);
}

#[test]
fn e7_sixty_thousand_filters_in_one_packet() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    let mut body = hex("0001 00");
    for number in 0..60_000_u32 {
        body.extend_from_slice(&hex("0008"));
        body.extend_from_slice(format!("{number:08}").as_bytes());
        body.push(0);
    }
    siege.wire.send(peer, framed(0x82, &body));
    let lines = siege.wire.receive(peer);
    let expected =
        format!("SUBACK id=1 [{}{}]", "00 ".repeat(64), vec!["97"; 60_000 - 64].join(" "));
    assert_eq!(lines, [expected]);
    let refused = &siege.wire.broker().statistics().subscriptions_refused;
    assert_eq!(refused.of(SubAckReason::QuotaExceeded), 60_000 - 64);
    // In many packets it has as many as a session may have.
    for packet in 0..100 {
        let mut script = subscribe(2, &format!("more/{packet}"));
        for number in 1..64 {
            script = script.and(&format!("more/{packet}/{number}"));
        }
        siege.wire.send(peer, script);
    }
    assert_eq!(siege.wire.broker().gauges().subscriptions, 1 + 1024);
}

/// As many shapes of twenty levels as there are: what a topic costs to match is bounded, and so is
/// what the broker takes.
#[test]
fn e8_an_explosion_of_wildcards() {
    let mut siege = Siege::configured(|config| config.limits.subscriptions = 100_000);
    let bound = siege.wire.broker().config().limits.match_steps;
    let peer = siege.attacker();
    let mut random = Random::new(8);
    let mut granted = 0;
    for _ in 0..5_000 {
        let shape = random.number();
        let levels: Vec<&str> =
            (0..20).map(|bit| if shape >> bit & 1 == 1 { "+" } else { "x" }).collect();
        siege.wire.send(peer, subscribe(1, &levels.join("/")));
        granted += usize::from(siege.wire.receive(peer) == ["SUBACK id=1 [00]"]);
    }
    assert!(granted < bound, "{granted} filters");
    let refused = &siege.wire.broker().statistics().subscriptions_refused;
    assert!(refused.of(SubAckReason::QuotaExceeded) > 0, "{granted} filters");
    // Twenty levels of nothing but `+`, and the deepest match there is.
    siege.wire.send(peer, subscribe(2, &["+"; 20].join("/")));
    siege.wire.receive(peer);
    siege.wire.send(peer, publish(&["x"; 20].join("/"), "deep").qos1(9));
    let lines = siege.wire.receive(peer);
    assert_eq!(lines.len(), 2, "one copy, and its acknowledgement");
}

#[test]
fn e9_subscribing_in_a_loop_to_a_large_store() {
    let mut siege = Siege::configured(|config| config.limits.replays = 50);
    let publisher = siege.wire.connect(connect("publisher"));
    let store: Vec<u8> = (0..2000)
        .flat_map(|number| Vec::from(publish(&format!("store/{number}"), "x").retain()))
        .collect();
    siege.wire.send(publisher, store);
    let peer = siege.attacker();
    siege.wire.stop_reading(peer);
    for id in 1..=200 {
        siege.wire.send(peer, subscribe(id, "store/#"));
    }
    let gauges = siege.wire.broker().gauges();
    assert_eq!(gauges.messages, 2000, "nothing is copied ahead");
    siege.wire.read_again(peer);
    let lines = siege.wire.receive(peer);
    let answers = |answer: &str| lines.iter().filter(|line| line.ends_with(answer)).count();
    assert_eq!((answers(" [00]"), answers(" [97]")), (50, 150));
    let sent = lines.iter().filter(|line| line.starts_with("PUBLISH")).count();
    assert_eq!(sent, 2000, "a subscription that is replaced begins its replay anew");
    assert_eq!(siege.wire.broker().statistics().replays_refused, 150);
    let own = siege.wire.broker().session_statistics("attacker").unwrap();
    assert_eq!(own.subscriptions_refused.of(SubAckReason::QuotaExceeded), 150);
    // Who wants no retained messages is not held up, and neither is who waits.
    siege.wire.send(peer, subscribe(2, "store/#").retain_handling(2));
    siege.wire.send(peer, subscribe(3, "store/#").retain_handling(1));
    assert_eq!(siege.wire.receive(peer), ["SUBACK id=2 [00]", "SUBACK id=3 [00]"]);
    siege.wire.advance_secs(60);
    siege.wire.send(peer, subscribe(4, "store/#"));
    assert_eq!(siege.wire.receive(peer).len(), 2001);
}

/// What it leaves in memory is in the test of memory.
#[test]
fn e10_subscribing_and_unsubscribing_for_long() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    let mut random = Random::new(10);
    for _ in 0..5_000 {
        let number = random.number();
        let filter = match number % 3 {
            0 => format!("{number}/+/{number}"),
            1 => format!("$share/g{number}/{number}/#"),
            _ => format!("{number}"),
        };
        siege.wire.send(peer, subscribe(1, &filter));
        siege.wire.send(peer, unsubscribe(2, &[&filter]));
        assert_eq!(siege.wire.receive(peer), ["SUBACK id=1 [00]", "UNSUBACK id=2 [00]"]);
    }
    assert_eq!(siege.wire.broker().gauges().subscriptions, 1);
}

/// Proves: [MQTT-4.8.2-6]
#[test]
fn e11_a_group_whose_members_take_nothing() {
    let mut siege = Siege::configured(|config| config.limits.queued_messages = 10);
    let join = |siege: &mut Siege, name: &str| {
        let peer = siege.wire.connect(connect(name).expiry(1000).receive_maximum(2));
        siege.wire.send(peer, subscribe(1, "$share/g/t").qos(1));
        siege.wire.receive(peer);
        peer
    };
    let publisher = siege.wire.connect(connect("publisher"));
    // All are away.
    for name in ["a", "b"] {
        let peer = join(&mut siege, name);
        siege.wire.cut(peer);
    }
    for _ in 0..100 {
        siege.wire.send(publisher, publish("t", "x").qos1(1));
    }
    assert_eq!(siege.wire.broker().gauges().messages, 20, "each queue is full");
    assert_eq!(siege.wire.broker().statistics().dropped.queue_full, 80);
    // One is there and reads nothing; one is there and leaves with messages under way.
    let stuck = join(&mut siege, "c");
    siege.wire.stop_reading(stuck);
    let leaving = join(&mut siege, "d");
    for _ in 0..100 {
        siege.wire.send(publisher, publish("t", "x").qos1(1));
    }
    assert!(siege.wire.broker().gauges().messages <= 4 * 12);
    assert_eq!(siege.wire.receive(leaving).len(), 2);
    siege.wire.cut(leaving);
    siege.wire.advance_secs(10_000);
    assert_eq!(siege.wire.broker().gauges().messages, 0);
}

/// Proves: [MQTT-4.7.2-1]
#[test]
fn e12_wildcards_do_not_reach_what_begins_with_a_dollar() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    siege.wire.send(peer, subscribe(1, "#").and("+/x").and("+/#"));
    siege.wire.receive(peer);
    let publisher = siege.wire.connect(connect("publisher"));
    siege.wire.send(publisher, publish("$SYS/x", "secret").qos1(1));
    assert_eq!(siege.wire.receive(peer), [""; 0]);
    siege.wire.send(publisher, publish("SYS/x", "open").qos1(1));
    assert_eq!(siege.wire.receive(peer).len(), 1);
}

/// Proves: [MQTT-3.3.4-2], [MQTT-3.3.4-3], [MQTT-3.3.4-4]
#[test]
fn e13_hundreds_of_subscriptions_to_one_topic() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    let topic = ["x"; 8].join("/");
    for shape in 0..256_u32 {
        let levels: Vec<&str> =
            (0..8).map(|bit| if shape >> bit & 1 == 1 { "+" } else { "x" }).collect();
        siege.wire.send(peer, subscribe(1, &levels.join("/")).subscription_id(shape + 1).qos(1));
    }
    siege.wire.receive(peer);
    siege.wire.send(peer, publish(&topic, "once").qos1(3));
    let lines = siege.wire.receive(peer);
    assert_eq!(lines.len(), 2, "{lines:?}");
    let line = lines.iter().find(|line| line.starts_with("PUBLISH")).unwrap();
    assert_eq!(line.matches("subscription=").count(), 256);
    siege.wire.send(peer, [puback(1), disconnect()].concat());
    assert_eq!(siege.wire.broker().gauges().messages, 0);
}

/// Proves: [MQTT-3.10.3-2], [MQTT5-U-3.10.3-1], [MQTT-3.10.4-5]
#[test]
fn e14_unsubscribing_from_nothing() {
    let mut siege = Siege::new();
    assert_eq!(siege.then(hex("a2 03 0001 00")), PROTOCOL_ERROR);
    let lines = siege.then(unsubscribe(7, &["t", "#", "$share/g/t"]));
    assert_eq!(lines, ["UNSUBACK id=7 [11 11 11]"]);
}
