//! CONNECT and CONNACK: who comes in, and what is said to the others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use mqtt_codec::{ConnectReason, QoS};
use mqtt_session::{CloseCause, ConnectAnswer, ConnectGrant};
use mqtt_tests::scripted::{connect, framed, hex, pingreq, properties, publish, subscribe, will};
use mqtt_tests::{Peer, Wire};

/// What a broker with the default configuration says of itself.
const TERMS: &str = "receive_maximum=128, maximum_packet_size=4194304, alias_maximum=16";

/// Sends something as the first bytes of a connection, and returns what comes back.
fn first(wire: &mut Wire, bytes: impl Into<Vec<u8>>) -> (Peer, Vec<String>) {
    let peer = wire.open("x");
    wire.send(peer, bytes);
    let lines = wire.receive(peer);
    (peer, lines)
}

/// A CONNECT of client "a" with these properties, in bytes that no encoder makes.
fn connect_with_properties(properties: &[u8]) -> Vec<u8> {
    let mut body = hex("0004 4d515454 05 02 0000");
    body.push(u8::try_from(properties.len()).unwrap());
    body.extend_from_slice(properties);
    body.extend_from_slice(b"\x00\x01a");
    framed(0x10, &body)
}

/// A CONNECT of client "a" with a will of topic "w" and payload "x" that has these properties.
fn connect_with_will_properties(properties: &[u8]) -> Vec<u8> {
    let mut body = hex("0004 4d515454 05 06 0000 00 0001 61");
    body.push(u8::try_from(properties.len()).unwrap());
    body.extend_from_slice(properties);
    body.extend_from_slice(b"\x00\x01w\x00\x01x");
    framed(0x10, &body)
}

/// Proves: [MQTT-3.1.4-5], [MQTT-3.2.0-1], [MQTT-3.2.0-2], [MQTT-3.2.2-1], [MQTT-3.2.2-2]
#[test]
fn an_accepted_connect_is_answered_once_and_before_everything_else() {
    let mut wire = Wire::new();
    let a = wire.open("a");
    let pipelined =
        [connect("a").into(), subscribe(1, "t").into(), publish("t", "x").into(), pingreq()];
    wire.send_all(a, pipelined);
    assert_eq!(
        wire.receive(a),
        [
            format!("CONNACK 00 Success {{{TERMS}}}"),
            "SUBACK id=1 [00]".to_owned(),
            "PINGRESP".to_owned(),
            r#"PUBLISH q0 "t" "x""#.to_owned(),
        ]
    );
}

/// Proves: [MQTT-3.1.4-6], [MQTT-3.2.2-7], [MQTT-3.2.2-6], [MQTT-4.13.2-1]
#[test]
fn after_a_refused_connect_nothing_that_follows_is_processed() {
    let mut wire = Wire::configured(|config| config.limits.client_id_bytes = 8);
    let other = wire.connect(connect("other"));
    wire.send(other, subscribe(1, "#"));
    wire.receive(other);
    let x = wire.open("x");
    let pipelined = [
        connect("much too long").expiry(100).into(),
        subscribe(1, "t").into(),
        publish("t", "x").retain().into(),
    ];
    wire.send_all(x, pipelined);
    assert_eq!(wire.receive(x), ["CONNACK 85 Client Identifier not valid", "closed"]);
    assert_eq!(wire.receive(other), [""; 0]);
    let gauges = wire.broker().gauges();
    assert_eq!((gauges.sessions, gauges.subscriptions, gauges.retained_messages), (1, 1, 0));
}

/// Proves: [MQTT-3.1.0-2], [MQTT-4.13.1-1]
#[test]
fn a_second_connect_ends_the_connection() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    wire.send(a, connect("a"));
    assert_eq!(wire.receive(a), ["DISCONNECT 82 Protocol Error", "closed"]);
}

/// Proves: [MQTT-3.1.0-1], [MQTT-3.14.0-1], [MQTT-3.2.0-1]
#[test]
fn a_connection_that_does_not_begin_with_connect_is_closed_without_an_answer() {
    for first_byte in (0..=u8::MAX).filter(|&byte| byte != 0x10) {
        for rest in ["", "00", "ff ff ff 7f", "02 00 01"] {
            let mut wire = Wire::new();
            let mut bytes = vec![first_byte];
            bytes.extend(hex(rest));
            let (peer, lines) = first(&mut wire, bytes);
            assert_eq!(lines, ["closed"], "first byte {first_byte:02x}");
            assert_eq!(wire.cause(peer), Some(CloseCause::NotMqtt));
        }
    }
    let mut wire = Wire::new();
    let (_, lines) = first(&mut wire, *b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(lines, ["closed"]);
}

/// Proves: [MQTT-3.1.2-1], [MQTT-3.1.2-2]
#[test]
fn another_protocol_or_version_is_refused() {
    let with_level = |name: &[u8], level: u8| {
        let mut body = vec![0, u8::try_from(name.len()).unwrap()];
        body.extend_from_slice(name);
        body.push(level);
        body.extend(hex("02 0000 00 0001 61"));
        framed(0x10, &body)
    };
    for level in [0, 1, 2, 6, 255] {
        let mut wire = Wire::new();
        let (_, lines) = first(&mut wire, with_level(b"MQTT", level));
        assert_eq!(lines, ["CONNACK 84 Unsupported Protocol Version", "closed"], "level {level}");
    }
    for name in [b"MQTX".as_slice(), b"mqtt", b"MQT"] {
        let mut wire = Wire::new();
        let (_, lines) = first(&mut wire, with_level(name, 5));
        assert_eq!(lines, ["CONNACK 84 Unsupported Protocol Version", "closed"], "{name:?}");
    }
    // Clients of the two older versions understand only their own CONNACK.
    for (name, level) in [(b"MQTT".as_slice(), 4), (b"MQTT", 3), (b"MQIsdp", 3)] {
        let mut wire = Wire::new();
        let (peer, lines) = first(&mut wire, with_level(name, level));
        assert_eq!(lines, ["closed"], "level {level}");
        assert_eq!(wire.bytes(peer), hex("20 02 00 01"));
        assert_eq!(wire.broker().statistics().connects_refused.total(), 1);
    }
}

/// Proves: [MQTT-3.1.2-3], [MQTT-3.1.2-11], [MQTT-3.1.2-12], [MQTT-3.1.2-13], [MQTT-3.1.4-1],
/// [MQTT-1.5.4-1], [MQTT-1.5.4-2], [MQTT-1.5.5-1], [MQTT-2.1.3-1], [MQTT5-U-3.1.2.3-1],
/// [MQTT5-U-3.1.2.6-1], [MQTT5-U-2.2.2.2-1], [MQTT5-U-1.5.4-1], [MQTT5-U-1.5.4-2],
/// [MQTT5-U-1.5.7-1]
#[test]
fn a_malformed_connect_is_refused_with_0x81() {
    let flags = |flags: u8| {
        let mut body = hex("0004 4d515454 05");
        body.push(flags);
        body.extend(hex("0000 00 0001 61 00 0001 77 0001 78"));
        framed(0x10, &body)
    };
    let client_id = |id: &[u8]| {
        let mut body = hex("0004 4d515454 05 02 0000 00");
        body.extend(u16::try_from(id.len()).unwrap().to_be_bytes());
        body.extend_from_slice(id);
        framed(0x10, &body)
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("the reserved connect flag", flags(0x03)),
        ("Will QoS 3", flags(0x1E)),
        ("Will QoS without a will", flags(0x0A)),
        ("Will Retain without a will", flags(0x22)),
        ("U+0000 in the client identifier", client_id(b"a\0b")),
        ("a surrogate in the client identifier", client_id(b"\xED\xA0\x80")),
        ("an over-long form in the client identifier", client_id(b"\xC0\xAF")),
        ("a control character in the client identifier", client_id(b"a\x01")),
        ("a property that nobody knows", connect_with_properties(&hex("7f 00"))),
        ("a property of another packet", connect_with_properties(&hex("23 0001"))),
        ("a property that is cut off", connect_with_properties(&hex("11 0000"))),
        ("a user property of ill-formed text", connect_with_properties(&hex("26 0001 ff 0000"))),
        ("a user property with U+0000", connect_with_properties(&hex("26 0001 61 0001 00"))),
        (
            "a Property Length of five bytes",
            framed(0x10, &hex("0004 4d515454 05 02 0000 ff ff ff ff 7f")),
        ),
        (
            "a Property Length that is not minimal",
            framed(0x10, &hex("0004 4d515454 05 02 0000 80 00 0001 61")),
        ),
        (
            "a Property Length beyond the end",
            framed(0x10, &hex("0004 4d515454 05 02 0000 10 0001 61")),
        ),
        (
            "a User Name that is not there",
            framed(0x10, &hex("0004 4d515454 05 82 0000 00 0001 61")),
        ),
        (
            "bytes behind the last field",
            framed(0x10, &hex("0004 4d515454 05 02 0000 00 0001 61 00")),
        ),
        ("a Remaining Length of five bytes", hex("10 ff ff ff ff 7f")),
        ("a Remaining Length that is not minimal", hex("10 8e 00")),
        (
            "a will topic with a wildcard",
            framed(0x10, &hex("0004 4d515454 05 06 0000 00 0001 61 00 0003 612f23 0000")),
        ),
        (
            "U+0000 in a will topic",
            framed(0x10, &hex("0004 4d515454 05 06 0000 00 0001 61 00 0003 610062 0000")),
        ),
        (
            "a surrogate as User Name",
            framed(0x10, &hex("0004 4d515454 05 82 0000 00 0001 61 0003 eda080")),
        ),
        (
            "ill-formed text as the content type of a will",
            connect_with_will_properties(&hex("03 0001 ff")),
        ),
        ("a will property of another packet", connect_with_will_properties(&hex("11 00000001"))),
    ];
    for (what, bytes) in cases {
        let mut wire = Wire::new();
        let (_, lines) = first(&mut wire, bytes);
        assert_eq!(lines, ["CONNACK 81 Malformed Packet", "closed"], "{what}");
        let gauges = wire.broker().gauges();
        assert_eq!((gauges.connections, gauges.sessions, gauges.messages), (0, 0, 0), "{what}");
    }
}

/// Proves: [MQTT5-U-3.1.2.11.2-1], [MQTT5-U-3.1.2.11.3-1], [MQTT5-U-3.1.2.11.4-1],
/// [MQTT5-U-3.1.2.11.5-1], [MQTT5-U-3.1.2.11.6-1], [MQTT5-U-3.1.2.11.7-1],
/// [MQTT5-U-3.1.2.11.9-1], [MQTT5-U-3.1.2.11.10-1], [MQTT5-U-3.1.3.2.2-1],
/// [MQTT5-U-3.1.3.2.3-1], [MQTT5-U-3.1.3.2.4-1], [MQTT5-U-3.1.3.2.5-1], [MQTT5-U-3.1.3.2.6-1],
/// [MQTT5-U-3.1.3.2.7-1], [MQTT-3.3.2-14]
#[test]
fn a_connect_that_breaks_a_rule_of_its_properties_is_refused_with_0x82() {
    let connect = [
        ("Session Expiry Interval twice", "11 00000001 11 00000001"),
        ("Receive Maximum twice", "21 0001 21 0001"),
        ("Receive Maximum 0", "21 0000"),
        ("Maximum Packet Size twice", "27 00000100 27 00000100"),
        ("Maximum Packet Size 0", "27 00000000"),
        ("Topic Alias Maximum twice", "22 0001 22 0001"),
        ("Request Response Information twice", "19 00 19 00"),
        ("Request Response Information 2", "19 02"),
        ("Request Problem Information twice", "17 00 17 00"),
        ("Request Problem Information 2", "17 02"),
        ("Authentication Method twice", "15 0001 61 15 0001 61"),
        ("Authentication Data twice", "15 0001 61 16 0001 61 16 0001 61"),
        ("Authentication Data without a Method", "16 0001 61"),
    ];
    let will = [
        ("Will Delay Interval twice", "18 00000001 18 00000001"),
        ("Payload Format Indicator twice", "01 00 01 00"),
        ("Payload Format Indicator 2", "01 02"),
        ("Message Expiry Interval twice", "02 00000001 02 00000001"),
        ("Content Type twice", "03 0001 61 03 0001 61"),
        ("Response Topic twice", "08 0001 61 08 0001 61"),
        ("Response Topic with a wildcard", "08 0001 2b"),
        ("Correlation Data twice", "09 0001 61 09 0001 61"),
    ];
    let cases = connect
        .iter()
        .map(|(what, bytes)| (what, connect_with_properties(&hex(bytes))))
        .chain(will.iter().map(|(what, bytes)| (what, connect_with_will_properties(&hex(bytes)))));
    for (what, bytes) in cases {
        let mut wire = Wire::new();
        let (_, lines) = first(&mut wire, bytes);
        assert_eq!(lines, ["CONNACK 82 Protocol Error", "closed"], "{what}");
    }
}

#[test]
fn a_connect_that_breaks_off_anywhere_leaves_nothing_behind() {
    let script = connect("a").expiry(100).will(will("w", "gone")).user_name("u").password(b"p");
    let whole: Vec<u8> = script.into();
    let mut wire = Wire::new();
    let watcher = wire.connect(connect("watcher"));
    wire.send(watcher, subscribe(1, "#"));
    wire.receive(watcher);
    for len in 0..whole.len() {
        let x = wire.open("x");
        wire.send(x, &whole[..len]);
        assert_eq!(wire.receive(x), [""; 0], "{len} bytes");
        wire.cut(x);
        assert_eq!(wire.receive(x), ["closed"], "{len} bytes");
        assert_eq!(wire.cause(x), Some(CloseCause::ConnectionLost));
    }
    assert_eq!(wire.receive(watcher), [""; 0]);
    let gauges = wire.broker().gauges();
    assert_eq!((gauges.connections, gauges.sessions, gauges.messages), (1, 1, 0));
}

/// Proves: [MQTT-3.1.3-6], [MQTT-3.1.3-7], [MQTT-3.2.2-16]
#[test]
fn a_client_without_an_identifier_is_assigned_one_of_its_own() {
    let mut wire = Wire::new();
    let mut assigned = Vec::new();
    for script in [connect(""), connect(""), connect("").resume(), connect("").resume().expiry(9)] {
        let peer = wire.open("x");
        wire.send(peer, script);
        let lines = wire.receive(peer);
        let (_, id) = lines[0].split_once("assigned_client_id=\"").expect("an identifier");
        let (id, _) = id.split_once('"').unwrap();
        assert!(!wire.session_present(peer));
        assigned.push(id.to_owned());
    }
    assigned.sort();
    assigned.dedup();
    assert_eq!(assigned.len(), 4, "each has its own");
    let mut halves: Vec<_> = assigned
        .iter()
        .flat_map(|id| <[&str; 2]>::from(id["auto-".len()..].split_at(16)))
        .collect();
    halves.sort_unstable();
    halves.dedup();
    assert_eq!(halves.len(), 8, "nobody guesses one: all of its 128 bits are drawn");
    assert_eq!(wire.broker().gauges().connections, 4, "and nobody was taken over");
    // The identifier is as good as one that the client had chosen.
    let again = wire.connect(connect(&assigned[0]));
    assert_eq!(wire.broker().statistics().take_overs, 1);
    assert!(!wire.session_present(again));
}

/// Proves: [MQTT-3.1.3-5], [MQTT-3.1.3-2], [MQTT-3.1.3-4]
#[test]
fn identifiers_of_1_to_23_letters_and_digits_and_many_others_are_accepted() {
    const ALL: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut wire = Wire::new();
    for len in 1..=23 {
        for start in [0, 20, ALL.len() - len] {
            wire.connect(connect(&ALL[start..start + len]));
        }
    }
    for id in ["a/b", "+", "#", "$share/g/t", "blank s", "\u{FEFF}", "snow \u{2603}", "../../etc"] {
        wire.connect(connect(id));
    }
    assert_eq!(wire.broker().gauges().connections, 23 * 3 + 8);
}

/// Proves: [MQTT-3.1.3-8], [MQTT-3.2.2-8]
#[test]
fn an_identifier_that_is_too_long_is_refused_with_0x85() {
    let mut wire = Wire::new();
    wire.connect(connect(&"a".repeat(1024)));
    let (_, lines) = first(&mut wire, connect(&"a".repeat(1025)));
    assert_eq!(lines, ["CONNACK 85 Client Identifier not valid", "closed"]);
}

/// Proves: [MQTT-1.5.4-3]
#[test]
fn a_byte_order_mark_is_a_character_like_any_other() {
    let mut wire = Wire::new();
    let plain = wire.connect(connect("a").expiry(100));
    let marked = wire.connect(connect("\u{FEFF}a").resume().expiry(100));
    assert!(!wire.session_present(marked), "another client");
    assert_eq!(wire.cause(plain), None);
}

/// Proves: [MQTT-3.1.2-19]
#[test]
fn a_password_needs_no_user_name() {
    let mut wire = Wire::new();
    wire.connect(connect("a").password(&[0, 0xFF, 0xED, 0xA0]));
    wire.connect(connect("b").user_name("u"));
    wire.connect(connect("c").user_name("u").password(b""));
}

/// Proves: [MQTT-3.1.2-24]
#[test]
fn a_client_that_takes_no_packet_as_large_as_the_connack_is_closed_in_silence() {
    // What the broker has to tell about itself makes a CONNACK of 16 bytes.
    for size in 1..16 {
        let mut wire = Wire::new();
        let (_, lines) = first(&mut wire, connect("a").packet_size(size).expiry(100));
        assert_eq!(lines, ["closed"], "{size} bytes");
    }
    let mut wire = Wire::new();
    wire.connect(connect("a").packet_size(16));
    // The same goes for one that refuses.
    let refused = |size| connect("a").packet_size(size).will(will("$SYS/w", ""));
    let (_, lines) = first(&mut wire, refused(4));
    assert_eq!(lines, ["closed"]);
    let (_, lines) = first(&mut wire, refused(5));
    assert_eq!(lines, ["CONNACK 87 Not authorized", "closed"]);
}

/// Proves: [MQTT-3.2.2-12], [MQTT-3.2.2-13]
#[test]
fn a_will_that_the_broker_cannot_keep_is_refused() {
    let mut wire = Wire::configured(|config| {
        config.maximum_qos = QoS::AtLeastOnce;
        config.retain_available = false;
        config.limits.topic_levels = 3;
        config.limits.topic_bytes = 20;
    });
    let cases = [
        (will("w", "").qos(2), "CONNACK 9B QoS not supported"),
        (will("w", "").retain(), "CONNACK 9A Retain not supported"),
        (will("$SYS/w", ""), "CONNACK 87 Not authorized"),
        (will("$CONTROL/w", ""), "CONNACK 87 Not authorized"),
        (will("a/b/c/d", ""), "CONNACK 90 Topic Name invalid"),
        (will("123456789012345678901", ""), "CONNACK 90 Topic Name invalid"),
    ];
    for (will, refusal) in cases {
        let (_, lines) = first(&mut wire, connect("a").will(will));
        assert_eq!(lines, [refusal, "closed"]);
    }
    wire.connect(connect("a").will(will("a/b/c", "").qos(1)));
}

/// Proves: [MQTT-3.2.2-9]
#[test]
fn what_the_broker_does_not_offer_is_said_in_connack() {
    let mut wire = Wire::configured(|config| {
        config.maximum_qos = QoS::AtLeastOnce;
        config.retain_available = false;
        config.wildcard_subscription_available = false;
        config.subscription_id_available = false;
        config.shared_subscription_available = false;
        config.session_expiry_ceiling = 60;
        config.keep_alive_ceiling = core::num::NonZeroU16::new(30);
        config.limits.receive_maximum = core::num::NonZeroU16::MAX;
        config.limits.topic_alias_maximum = 0;
        config.limits.packet_size = 1000;
    });
    let (_, lines) = first(&mut wire, connect("a").expiry(u32::MAX).keep_alive(31));
    assert_eq!(
        lines,
        ["CONNACK 00 Success {session_expiry=60, maximum_qos=1, retain=false, \
          maximum_packet_size=1000, wildcards=false, subscription_ids=false, shared=false, \
          server_keep_alive=30}"]
    );
    let (_, lines) = first(&mut wire, connect("b").expiry(60).keep_alive(30));
    assert!(!lines[0].contains("session_expiry"), "taken as asked for: {lines:?}");
    assert!(!lines[0].contains("server_keep_alive"), "taken as asked for: {lines:?}");
}

/// Proves: [MQTT-3.1.2-28]
#[test]
fn response_information_is_told_to_those_who_ask() {
    let mut wire = Wire::configured(|config| config.response_information = Some("answers/".into()));
    let asks = |wanted: bool| connect("a").with(|p| _ = p.request_response_information(wanted));
    for (script, told) in [(connect("a"), false), (asks(false), false), (asks(true), true)] {
        let (_, lines) = first(&mut wire, script);
        assert_eq!(lines[0].contains("response_information=\"answers/\""), told);
    }
}

#[test]
fn a_connection_on_which_no_connect_comes_is_closed_when_its_time_is_over() {
    let mut wire = Wire::new();
    let silent = wire.open("silent");
    let trickling = wire.open("trickling");
    let script: Vec<u8> = connect("trickling").into();
    for byte in &script[..4] {
        wire.send(trickling, [*byte]);
        wire.advance_secs(1);
    }
    assert_eq!(wire.cause(silent), None);
    wire.advance_secs(1);
    for peer in [silent, trickling] {
        assert_eq!(wire.receive(peer), ["closed"]);
        assert_eq!(wire.cause(peer), Some(CloseCause::ConnectTimeout));
    }
}

#[test]
fn a_connect_above_8_kib_is_refused_by_its_header() {
    let mut wire = Wire::new();
    let (_, lines) = first(&mut wire, hex("10 ff ff ff 7f"));
    assert_eq!(lines, ["CONNACK 95 Packet too large", "closed"]);
    // The largest that is taken: 8 KiB with the fixed header.
    let exactly = connect("a").password(&vec![0; 8 * 1024 - 19]);
    assert_eq!(Vec::<u8>::from(exactly.clone()).len(), 8 * 1024);
    wire.connect(exactly);
    let (_, lines) = first(&mut wire, connect("a").password(&vec![0; 8 * 1024 - 18]));
    assert_eq!(lines, ["CONNACK 95 Packet too large", "closed"]);
}

#[test]
fn a_thousand_user_properties_in_connect_are_taken() {
    let mut wire = Wire::new();
    wire.connect(connect("a").with(|properties| {
        for _ in 0..1100 {
            properties.user_property("", "ab").unwrap();
        }
    }));
}

/// Proves: [MQTT-4.12.0-1], [MQTT-4.12.0-6], [MQTT-4.13.2-1]
#[test]
fn an_authentication_method_that_is_not_supported_is_refused_with_0x8c() {
    let mut wire = Wire::new();
    let script = connect("a").with(|p| {
        p.authentication_method("SCRAM-SHA-256").unwrap();
        p.authentication_data(b"\0\xFF").unwrap();
    });
    let (_, lines) = first(&mut wire, script);
    assert_eq!(lines, ["CONNACK 8C Bad authentication method", "closed"]);
}

/// Proves: [MQTT-3.14.0-1], [MQTT-3.1.4-2]
#[test]
fn before_the_connect_is_accepted_no_disconnect_is_sent() {
    let mut wire = Wire::configured(|config| config.decisions.connect = true);
    let opened = wire.open("opened");
    let deciding = wire.open("deciding");
    wire.send(deciding, connect("deciding"));
    wire.shutdown();
    assert_eq!(wire.receive(opened), ["closed"]);
    assert_eq!(wire.receive(deciding), ["closed"]);
}

/// Proves: [MQTT-3.1.4-2], [MQTT-3.1.4-6], [MQTT-3.2.2-7]
#[test]
fn a_connect_is_decided_about_before_anything_behind_it_is_read() {
    let mut wire = Wire::configured(|config| config.decisions.connect = true);
    let a = wire.open("a");
    let script = connect("a").user_name("u").password(b"secret").will(will("w", "x"));
    wire.send_all(a, [script.into(), subscribe(1, "t").into(), pingreq()]);
    wire.send(a, publish("t", "x"));
    assert_eq!(wire.receive(a), [""; 0], "nothing is said before the decision");
    assert!(wire.unread(a) > 0, "and nothing more is read");
    let request = wire.next_request().expect("a decision");
    assert_eq!(request.client_id(), "a");
    assert_eq!(request.user_name(), Some("u"));
    assert_eq!(request.password(), Some(b"secret".as_slice()));
    assert_eq!(request.will_topic(), Some("w"));
    assert!(!format!("{request:?}").contains("secret"), "the password stays out of logs");
    wire.answer_connect(request, ConnectAnswer::Accept(ConnectGrant::default()));
    let lines = wire.receive(a);
    assert_eq!(lines[1..], ["SUBACK id=1 [00]", "PINGRESP", r#"PUBLISH q0 "t" "x""#]);

    let b = wire.open("b");
    wire.send_all(b, [connect("b").into(), subscribe(1, "t").into()]);
    let request = wire.next_request().unwrap();
    wire.answer_connect(
        request,
        ConnectAnswer::Refuse(ConnectReason::BadUserNameOrPassword.into()),
    );
    assert_eq!(wire.receive(b), ["CONNACK 86 Bad User Name or Password", "closed"]);
    // A decision that says nothing against the client and still refuses it counts as 0x87.
    let c = wire.open("c");
    wire.send(c, connect("c"));
    let request = wire.next_request().unwrap();
    wire.answer_connect(request, ConnectAnswer::Refuse(ConnectReason::Success.into()));
    assert_eq!(wire.receive(c), ["CONNACK 87 Not authorized", "closed"]);
    assert_eq!(wire.broker().gauges().sessions, 1);
}

#[test]
fn a_decision_that_is_not_taken_in_time_refuses() {
    let mut wire = Wire::configured(|config| config.decisions.connect = true);
    let a = wire.open("a");
    wire.advance_secs(4);
    wire.send(a, connect("a"));
    let request = wire.next_request().unwrap();
    wire.advance(core::time::Duration::from_millis(4_999));
    assert_eq!(wire.receive(a), [""; 0]);
    wire.advance(core::time::Duration::from_millis(1));
    assert_eq!(wire.receive(a), ["CONNACK 87 Not authorized", "closed"]);
    // The answer comes too late, and another connection has the slot.
    let b = wire.open("b");
    wire.answer_connect(request, ConnectAnswer::Accept(ConnectGrant::default()));
    assert_eq!(wire.receive(b), [""; 0]);
    assert_eq!(wire.broker().gauges().sessions, 0);
}

/// Proves: [MQTT-3.2.2-19], [MQTT-3.2.2-20]
#[test]
fn what_explains_a_connack_is_left_out_where_it_does_not_fit() {
    let explained = || {
        let mut grant = ConnectGrant::default();
        grant.properties = properties(|p| {
            p.reason_string("welcome back").unwrap();
            p.user_property("node", "7").unwrap();
        });
        grant
    };
    let answer = |size: Option<u32>| {
        let mut wire = Wire::configured(|config| config.decisions.connect = true);
        let a = wire.open("a");
        let script = connect("a");
        wire.send(
            a,
            match size {
                Some(size) => script.packet_size(size),
                None => script,
            },
        );
        let request = wire.next_request().unwrap();
        wire.answer_connect(request, ConnectAnswer::Accept(explained()));
        wire.receive(a).remove(0)
    };
    assert!(answer(None).ends_with(r#"reason_string="welcome back", "node"="7"}"#));
    assert!(answer(Some(30)).ends_with(r#"alias_maximum=16, "node"="7"}"#));
    assert!(answer(Some(20)).ends_with("alias_maximum=16}"));
}

#[test]
fn a_session_belongs_to_the_identity_that_began_it() {
    let mut wire = Wire::configured(|config| config.decisions.connect = true);
    let mut as_identity = |script, identity: Option<&str>| {
        let peer = wire.open("a");
        wire.send(peer, script);
        let request = wire.next_request().unwrap();
        let mut grant = ConnectGrant::default();
        grant.identity = identity.map(Into::into);
        wire.answer_connect(request, ConnectAnswer::Accept(grant));
        (wire.receive(peer).remove(0), peer, wire.broker().gauges().connections)
    };
    let (lines, _, _) = as_identity(connect("a").expiry(100), Some("alice"));
    assert!(lines.starts_with("CONNACK 00"));
    for (thief, identity) in [(connect("a").resume(), Some("bob")), (connect("a"), None)] {
        let (lines, _, connections) = as_identity(thief, identity);
        assert_eq!(lines, "CONNACK 87 Not authorized");
        assert_eq!(connections, 1, "the owner is not disturbed");
    }
    let (lines, _, _) = as_identity(connect("a").resume(), Some("alice"));
    assert!(lines.contains("session present"));
}
