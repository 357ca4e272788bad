//! Hostile input, section C: PUBLISH. Each function begins with the number of its case.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use core::num::NonZeroU16;

use mqtt_codec::{PubAckReason, QoS};
use mqtt_session::{CloseCause, Timer};
use mqtt_tests::Siege;
use mqtt_tests::scripted::{connect, framed, hex, publish, pubrel, subscribe};

const MALFORMED: [&str; 2] = ["DISCONNECT 81 Malformed Packet", "closed"];
const PROTOCOL_ERROR: [&str; 2] = ["DISCONNECT 82 Protocol Error", "closed"];

fn each(cases: &[(&str, &str)], answer: [&str; 2]) {
    let mut siege = Siege::new();
    for (what, bytes) in cases {
        assert_eq!(siege.then(hex(bytes)), answer, "{what}");
        siege.check();
    }
}

/// A PUBLISH without properties that no builder makes.
fn publish_to(first: u8, topic: &[u8], rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(topic.len()).unwrap().to_be_bytes();
    framed(first, &[&len[..], topic, rest].concat())
}

#[test]
fn c1_a_topic_that_is_cut_off() {
    let cases = [("nothing", "30 00"), ("half a length", "30 01 00"), ("no topic", "30 02 0005")];
    each(&cases, MALFORMED);
}

#[test]
fn c2_a_topic_that_is_longer_than_the_packet() {
    each(&[("65,535 bytes in 7", "30 07 ffff 41 42 43 44 45")], MALFORMED);
}

/// Proves: [MQTT-3.3.1-2], [MQTT-3.3.1-4], [MQTT5-U-3.3.1.2-1]
#[test]
fn c3_qos_3_and_dup_at_qos_0() {
    let cases = [
        ("QoS 3", "36 06 0001 74 0001 00"),
        ("QoS 3 with DUP", "3e 06 0001 74 0001 00"),
        ("DUP at QoS 0", "38 04 0001 74 00"),
    ];
    each(&cases, MALFORMED);
}

/// Proves: [MQTT-2.2.1-3]
#[test]
fn c4_packet_identifiers_that_are_none() {
    let zero = [("QoS 1", "32 06 0001 74 0000 00"), ("QoS 2", "34 06 0001 74 0000 00")];
    each(&zero, PROTOCOL_ERROR);
    each(&[("half a one", "32 04 0001 74 00"), ("none", "34 03 0001 74")], MALFORMED);
}

/// Proves: [MQTT-3.3.2-1], [MQTT-3.3.2-2], [MQTT-4.7.3-2], [MQTT5-U-3.3.2.1-1]
#[test]
fn c5_topics_that_are_none() {
    let mut siege = Siege::new();
    for topic in [&b"a/#"[..], b"+", b"#", b"a/+/b", b"a\0b", b"\xC0\xAF", b"\xED\xA0\x80", b"\xFF"]
    {
        assert_eq!(siege.then(publish_to(0x30, topic, &[0])), MALFORMED, "{topic:02x?}");
    }
    assert_eq!(siege.then(publish_to(0x30, b"", &[0])), PROTOCOL_ERROR, "neither topic nor alias");
}

#[test]
fn c6_topics_of_tens_of_thousands_of_levels() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    siege.wire.send(peer, subscribe(1, "#"));
    siege.wire.receive(peer);
    for topic in ["/".repeat(65_535), "a/".repeat(32_767), "a/".repeat(128)] {
        siege.wire.send(peer, publish_to(0x30, topic.as_bytes(), &[0]));
        siege.wire.send(peer, publish_to(0x32, topic.as_bytes(), &[0, 1, 0]));
        siege.wire.send(peer, publish_to(0x34, topic.as_bytes(), &[0, 2, 0]));
        let invalid = ["PUBACK id=1 90 Topic Name invalid", "PUBREC id=2 90 Topic Name invalid"];
        assert_eq!(siege.wire.receive(peer), invalid);
    }
    let refused = &siege.wire.broker().statistics().publishes_refused;
    assert_eq!(refused.of(PubAckReason::TopicNameInvalid), 9);
    let own = siege.wire.broker().session_statistics("attacker").unwrap();
    assert_eq!(own.publishes_refused.of(PubAckReason::TopicNameInvalid), 9);
}

/// Proves: [MQTT-4.7.2-1]
#[test]
fn c7_names_that_the_broker_keeps_for_itself() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    siege.wire.send(peer, subscribe(1, "#").and("$SYS/#").and("+/broker/uptime"));
    siege.wire.receive(peer);
    for topic in ["$SYS/broker/uptime", "$share/g/t", "$internal/x", "$"] {
        siege.wire.send(peer, publish(topic, "x"));
        siege.wire.send(peer, publish(topic, "x").qos1(1).retain());
        siege.wire.send(peer, publish(topic, "x").qos2(2));
        let refused = ["PUBACK id=1 87 Not authorized", "PUBREC id=2 87 Not authorized"];
        assert_eq!(siege.wire.receive(peer), refused, "{topic}");
    }
    assert_eq!(siege.wire.broker().gauges().retained_messages, 0);
    let refused = &siege.wire.broker().statistics().publishes_refused;
    assert_eq!(refused.of(PubAckReason::NotAuthorized), 12);
}

/// Proves: [MQTT-3.3.2-8], [MQTT-3.3.2-9], [MQTT5-U-3.3.4-1], [MQTT5-U-3.3.4-2]
#[test]
fn c8_topic_aliases_that_cannot_be_used() {
    let invalid = ["DISCONNECT 94 Topic Alias invalid", "closed"];
    let cases = [
        ("alias 0", "30 07 0001 74 03 23 0000"),
        ("one above the maximum", "30 07 0001 74 03 23 0011"),
        ("the highest there is, without a topic", "30 06 0000 03 23 ffff"),
    ];
    each(&cases, invalid);
    each(&[("one that stands for nothing", "30 06 0000 03 23 0001")], PROTOCOL_ERROR);
}

#[test]
fn c9_long_topics_behind_aliases() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    let long = "a".repeat(60_000);
    for alias in 1..=16 {
        siege.wire.send(peer, publish(&long, "x").qos1(1).alias(alias));
        siege.wire.send(peer, publish("", "x").qos1(2).alias(alias));
        let refused = [1, 2].map(|id| format!("PUBACK id={id} 90 Topic Name invalid"));
        assert_eq!(siege.wire.receive(peer), refused);
    }
    siege.wire.send(peer, publish(&long, "x").alias(17));
    assert_eq!(siege.wire.receive(peer), ["DISCONNECT 94 Topic Alias invalid", "closed"]);
}

/// Proves: [MQTT-3.3.4-6], [MQTT-3.3.2-14], [MQTT5-U-3.3.2.3.9-1]
#[test]
fn c10_properties_that_a_client_does_not_send() {
    let cases = [
        ("Subscription Identifier", "30 06 0001 74 02 0b 01"),
        ("Response Topic with a wildcard", "30 08 0001 74 04 08 0001 23"),
        ("Content Type twice", "30 0c 0001 74 08 03 0001 61 03 0001 61"),
        ("Payload Format Indicator 2", "30 06 0001 74 02 01 02"),
    ];
    each(&cases, PROTOCOL_ERROR);
}

/// Checking every payload would cost every publisher: receivers do it, as the standard lets them.
#[test]
fn c11_text_that_is_none_is_passed_on() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    siege.wire.send(peer, subscribe(1, "t"));
    siege.wire.receive(peer);
    siege.wire.send(peer, hex("32 0a 0001 74 0001 02 01 01 ff fe"));
    assert_eq!(
        siege.wire.receive(peer),
        ["PUBACK id=1", r#"PUBLISH q0 "t" 2 bytes {payload_format=1}"#]
    );
}

/// Proves: [MQTT5-U-3.2.2.3.4-2], [MQTT5-U-3.2.2.3.5-2]
#[test]
fn c12_what_connack_said_is_not_taken() {
    let mut siege = Siege::configured(|config| {
        config.maximum_qos = QoS::AtLeastOnce;
        config.retain_available = false;
    });
    let lines = siege.then(publish("t", "x").retain());
    assert_eq!(lines, ["DISCONNECT 9A Retain not supported", "closed"]);
    let lines = siege.then(publish("t", "x").qos2(1));
    assert_eq!(lines, ["DISCONNECT 9B QoS not supported", "closed"]);
}

#[test]
fn c13_a_flood_of_retained_messages() {
    let mut siege = Siege::configured(|config| {
        config.limits.retained_messages = 100;
        config.limits.retained_bytes = 100_000;
    });
    let peer = siege.attacker();
    for number in 0..1000 {
        siege.wire.send(peer, publish(&format!("flood/{number}"), "x").retain());
    }
    assert_eq!(siege.wire.broker().gauges().retained_messages, 100);
    let refused = |siege: &Siege| {
        let statistics = siege.wire.broker().statistics();
        statistics.publishes_refused.of(PubAckReason::QuotaExceeded)
    };
    assert_eq!(refused(&siege), 900);
    siege.wire.send(peer, publish("flood/x", "x").retain().qos1(1));
    siege.wire.send(peer, publish("flood/y", "x").retain().qos2(2));
    let quota = ["PUBACK id=1 97 Quota exceeded", "PUBREC id=2 97 Quota exceeded"];
    assert_eq!(siege.wire.receive(peer), quota);
    // One topic, over and over: what it replaces makes room for it.
    for _ in 0..100 {
        siege.wire.send(peer, publish("flood/1", vec![0; 90_000]).retain());
    }
    assert_eq!(refused(&siege), 902);
    siege.wire.send(peer, publish("flood/2", vec![0; 90_000]).retain());
    assert_eq!(refused(&siege), 903);
    assert!(siege.wire.broker().gauges().retained_bytes <= 100_000);
}

/// As many as the broker keeps, gone within the second without anybody asking for them. What they
/// cost in memory is in the test of memory.
#[test]
fn c14_retained_messages_of_a_second() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    let flood: Vec<u8> = (0..10_000)
        .flat_map(|number| Vec::from(publish(&format!("brief/{number}"), "x").retain().expiry(1)))
        .collect();
    siege.wire.send(peer, flood);
    assert_eq!(siege.wire.broker().gauges().retained_messages, 10_000);
    siege.wire.advance_secs(1);
    let gauges = siege.wire.broker().gauges();
    assert_eq!((gauges.retained_messages, gauges.retained_bytes, gauges.messages), (0, 0, 0));
    let next = siege.wire.broker().poll_timeout();
    assert!(next.is_none_or(|deadline| deadline.timer != Timer::RetainedMessage), "{next:?}");
}

/// Proves: [MQTT5-U-3.3.4-4], [MQTT-3.3.4-7]
#[test]
fn c15_more_messages_than_the_receive_maximum() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    for id in 1..=128 {
        siege.wire.send(peer, publish("t", "x").qos2(id));
    }
    assert_eq!(siege.wire.receive(peer).len(), 128);
    siege.wire.send(peer, publish("t", "x").qos2(129));
    assert_eq!(siege.wire.receive(peer), ["DISCONNECT 93 Receive Maximum exceeded", "closed"]);
}

/// Identifiers that await PUBREL outlive the connection. Each connection has the whole Receive
/// Maximum for itself, but who never releases anything is not let go on.
#[test]
fn c16_identifiers_that_are_never_released() {
    let eight = NonZeroU16::new(8).unwrap();
    let mut siege = Siege::configured(|config| config.limits.receive_maximum = eight);
    let script = || connect("attacker").resume().expiry(1000);
    let mut id = 0;
    let mut taken = 0;
    for _ in 0..100 {
        let peer = siege.wire.connect(script());
        for _ in 0..8 {
            id += 1;
            siege.wire.send(peer, publish("t", "x").qos2(id));
        }
        let lines = siege.wire.receive(peer);
        taken += lines.iter().filter(|line| line.starts_with("PUBREC")).count();
        siege.wire.cut(peer);
    }
    assert_eq!(taken, 16, "twice the Receive Maximum");
    // What it began may go on all the same, and then it is as any other client.
    let peer = siege.wire.connect(script());
    siege.wire.send(peer, publish("t", "x").qos2(1).dup());
    assert_eq!(siege.wire.receive(peer), ["PUBREC id=1"]);
    for id in 1..=16 {
        siege.wire.send(peer, pubrel(id));
    }
    let released: Vec<String> = (1..=16).map(|id| format!("PUBCOMP id={id}")).collect();
    assert_eq!(siege.wire.receive(peer), released);
    siege.wire.send(peer, publish("t", "x").qos2(999));
    assert_eq!(siege.wire.receive(peer), ["PUBREC id=999 10 No matching subscribers"]);
}

/// Proves: [MQTT-4.3.3-10]
#[test]
fn c17_the_same_identifier_with_another_message() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    siege.wire.send(peer, subscribe(1, "t"));
    siege.wire.receive(peer);
    siege.wire.send(peer, publish("t", "first").qos2(1));
    siege.wire.send(peer, publish("t", "second").qos2(1));
    assert_eq!(
        siege.wire.receive(peer),
        ["PUBREC id=1", r#"PUBLISH q0 "t" "first""#, "PUBREC id=1"]
    );
    // One of QoS 1 is another flow's.
    siege.wire.send(peer, publish("t", "third").qos1(1));
    assert_eq!(siege.wire.receive(peer), ["PUBACK id=1 91 Packet Identifier in use"]);
}

/// However much comes at once, one call of the broker does a bounded part of it, and the others
/// have their turn before the rest.
#[test]
fn c18_a_flood_from_one_client() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    for number in 0..100 {
        let reader = siege.wire.connect(connect(&format!("reader-{number}")));
        siege.wire.send(reader, subscribe(1, "flood").qos(1));
    }
    let flood: Vec<u8> = (0..1000).flat_map(|_| Vec::from(publish("flood", "x"))).collect();
    let (id, now) = (siege.wire.id(peer), siege.wire.now());
    siege.wire.broker_mut().handle_input(id, now, &flood);
    let done = siege.wire.broker().statistics().received.of(QoS::AtMostOnce).messages;
    assert!((100..200).contains(&done), "{done} messages to 100 clients in one call");
    assert!(!siege.wire.broker().accepts_input(id));
    siege.wire.settle();
    assert_eq!(siege.wire.broker().statistics().received.at_most_once.messages, 1000);
    assert!(siege.wire.broker().statistics().held_back.for_backlog > 0);
}

/// What it costs in memory is in the test of memory.
#[test]
fn c19_a_megabyte_for_everybody() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    let readers: Vec<_> = (0..100)
        .map(|number| {
            let reader = siege.wire.connect(connect(&format!("reader-{number}")));
            siege.wire.send(reader, subscribe(1, "large"));
            siege.wire.receive(reader);
            siege.wire.stop_reading(reader);
            reader
        })
        .collect();
    siege.wire.send(peer, publish("large", vec![7; 1024 * 1024]).qos1(1));
    let gauges = siege.wire.broker().gauges();
    assert_eq!(gauges.messages, 1, "kept once");
    assert!(gauges.message_bytes < 1024 * 1024 + 100);
    for reader in readers {
        siege.wire.read_again(reader);
        assert_eq!(siege.wire.receive(reader), [r#"PUBLISH q0 "large" 1048576 bytes"#]);
    }
    assert_eq!(siege.wire.broker().gauges().messages, 0);
}

/// Proves: [MQTT-3.8.3-3]
#[test]
fn c20_a_client_in_a_loop_with_itself() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    siege.wire.send(peer, subscribe(1, "#").no_local());
    siege.wire.receive(peer);
    siege.wire.send(peer, publish("t", "x").qos1(1));
    let lines = siege.wire.receive(peer);
    assert_eq!(lines, ["PUBACK id=1 10 No matching subscribers"], "nothing comes back to it");
    // Without No Local one message is one message: only the client can make it more.
    siege.wire.send(peer, subscribe(2, "#"));
    siege.wire.receive(peer);
    for _ in 0..100 {
        siege.wire.send(peer, publish("t", "x"));
        assert_eq!(siege.wire.receive(peer), [r#"PUBLISH q0 "t" "x""#]);
    }
    siege.wire.cut(peer);
    assert_eq!(siege.wire.cause(peer), Some(CloseCause::ConnectionLost));
}
