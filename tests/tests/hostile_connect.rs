//! Hostile input, section B: CONNECT, and who may come in how often. Each function begins with the
//! number of its case; what sockets alone can show stands with the broker program's tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::net::SocketAddr;

use mqtt_codec::ConnectReason;
use mqtt_session::{CloseCause, ConnectAnswer, ConnectGrant, ConnectRefusal, OpenError, PeerInfo};
use mqtt_tests::scripted::{connect, framed, hex, publish, subscribe, will};
use mqtt_tests::{Peer, Siege, Wire};

const MALFORMED: [&str; 2] = ["CONNACK 81 Malformed Packet", "closed"];
const PROTOCOL_ERROR: [&str; 2] = ["CONNACK 82 Protocol Error", "closed"];

/// A CONNECT with this behind its protocol name and version.
fn connect_of(rest: &str) -> Vec<u8> {
    framed(0x10, &[&b"\0\x04MQTT\x05"[..], &hex(rest)].concat())
}

/// A CONNECT with these properties, of a client called "a".
fn with_properties(properties: &str) -> Vec<u8> {
    let properties = hex(properties);
    let mut rest = hex("02 003c");
    rest.push(u8::try_from(properties.len()).unwrap());
    framed(0x10, &[&b"\0\x04MQTT\x05"[..], &rest, &properties, &hex("0001 61")].concat())
}

fn from(address: &str) -> PeerInfo {
    let address: SocketAddr = address.parse().unwrap();
    PeerInfo { address: Some(address), ..PeerInfo::default() }
}

#[test]
fn b1_a_connect_that_breaks_off_anywhere() {
    let mut siege = Siege::new();
    let script = connect("a").expiry(100).user_name("u").password(b"p").will(will("w", "gone"));
    let bytes = Vec::from(script);
    for len in 0..bytes.len() {
        let peer = siege.wire.open("cut");
        siege.wire.send(peer, &bytes[..len]);
        siege.wire.cut(peer);
        assert_eq!(siege.wire.receive(peer), ["closed"], "{len} bytes");
    }
    let gauges = siege.wire.broker().gauges();
    assert_eq!((gauges.sessions, gauges.connections, gauges.will_bytes), (2, 2, 0));
    assert_eq!(siege.wire.broker().statistics().wills_published, 0);
}

/// Proves: [MQTT-3.1.2-1], [MQTT-3.1.2-2]
#[test]
fn b2_other_protocols_and_versions() {
    let mut siege = Siege::new();
    let refused = ["CONNACK 84 Unsupported Protocol Version", "closed"];
    for level in [0, 1, 2, 6, 255] {
        let body = [b"\0\x04MQTT".as_slice(), &[level], &hex("02 003c 00 0001 61")].concat();
        assert_eq!(siege.first(framed(0x10, &body)), refused, "level {level}");
    }
    let body = [b"\0\x04MQTX\x05".as_slice(), &hex("02 003c 00 0001 61")].concat();
    assert_eq!(siege.first(framed(0x10, &body)), refused);
    for old in ["0004 4d515454 04 02 003c 0001 61", "0006 4d5149736470 03 02 003c 0001 61"] {
        let peer = siege.wire.open("old");
        siege.wire.send(peer, framed(0x10, &hex(old)));
        assert_eq!(siege.wire.bytes(peer), hex("20 02 00 01"), "{old}");
        assert_eq!(siege.wire.receive(peer), ["closed"]);
    }
}

/// Proves: [MQTT-3.1.2-3], [MQTT5-U-3.1.2.3-1]
#[test]
fn b3_the_reserved_connect_flag() {
    assert_eq!(Siege::new().first(connect_of("03 003c 00 0001 61")), MALFORMED);
}

/// Proves: [MQTT-3.1.2-11], [MQTT-3.1.2-13], [MQTT5-U-3.1.2.6-1]
#[test]
fn b4_will_flags_that_contradict_each_other() {
    let mut siege = Siege::new();
    for (what, rest) in [
        ("Will QoS 1 without a will", "0a 003c 00 0001 61"),
        ("Will QoS 2 without a will", "12 003c 00 0001 61"),
        ("Will Retain without a will", "22 003c 00 0001 61"),
        ("Will QoS 3", "1e 003c 00 0001 61 00 0001 77 0000"),
    ] {
        assert_eq!(siege.first(connect_of(rest)), MALFORMED, "{what}");
    }
}

/// Proves: [MQTT5-U-2.2.2.2-1], [MQTT5-U-3.1.2.11.2-1]
#[test]
fn b5_properties_that_are_there_twice_or_have_no_place_here() {
    let mut siege = Siege::new();
    assert_eq!(siege.first(with_properties("11 00000001 11 00000001")), PROTOCOL_ERROR);
    for (what, properties) in [
        ("an unknown property", "7f 00"),
        ("Topic Alias", "23 0001"),
        ("Server Keep Alive", "13 0001"),
        ("Subscription Identifier", "0b 01"),
    ] {
        assert_eq!(siege.first(with_properties(properties)), MALFORMED, "{what}");
    }
}

#[test]
fn b6_a_property_length_that_lies() {
    let mut siege = Siege::new();
    for (what, rest) in [
        ("longer than the packet", "02 003c 7f 0001 61"),
        ("five bytes long", "02 003c 80 80 80 80 01 0001 61"),
        ("longer than it has to be", "02 003c 80 00 0001 61"),
        ("in the middle of a property", "02 003c 03 11 0000 0001 61"),
        ("in the middle of a string", "02 003c 04 26 0001 61 0001 61"),
    ] {
        assert_eq!(siege.first(connect_of(rest)), MALFORMED, "{what}");
    }
}

/// Proves: [MQTT5-U-3.1.2.11.3-1], [MQTT5-U-3.1.2.11.4-1], [MQTT5-U-3.1.2.11.7-1]
#[test]
fn b7_values_out_of_range() {
    let mut siege = Siege::new();
    for properties in ["21 0000", "27 00000000", "17 02", "19 02"] {
        assert_eq!(siege.first(with_properties(properties)), PROTOCOL_ERROR, "{properties}");
    }
}

/// Proves: [MQTT-3.1.2-24]
#[test]
fn b8_a_client_that_takes_no_packet() {
    let mut siege = Siege::new();
    for size in 1..4 {
        assert_eq!(siege.first(connect("a").packet_size(size)), ["closed"], "{size} bytes");
        // Neither does it hear why it is refused.
        let refused = connect("a").packet_size(size).will(will("$SYS", ""));
        assert_eq!(siege.first(refused), ["closed"], "{size} bytes");
    }
    let refused = &siege.wire.broker().statistics().connects_refused;
    assert_eq!(refused.of(ConnectReason::PacketTooLarge), 3);
}

#[test]
fn b9_very_many_user_properties() {
    let mut siege = Siege::new();
    let script = connect("a").with(|properties| {
        for _ in 0..1100 {
            properties.user_property("", "ab").unwrap();
        }
    });
    assert!(siege.first(script)[0].starts_with("CONNACK 00"));
    let many = hex("26 0000 0000").repeat(65_535);
    let body = [&b"\0\x04MQTT\x05"[..], &hex("02 003c ff ff 13"), &many].concat();
    assert_eq!(siege.first(framed(0x10, &body)), ["CONNACK 95 Packet too large", "closed"]);
}

/// Proves: [MQTT-3.1.3-6], [MQTT-3.1.3-7]
#[test]
fn b10_no_client_identifier() {
    let mut siege = Siege::new();
    for script in [connect(""), connect("").resume(), connect("").expiry(100).resume()] {
        let lines = siege.first(script);
        assert!(lines[0].starts_with("CONNACK 00"), "{lines:?}");
        assert!(lines[0].contains(r#"assigned_client_id="auto-"#), "{lines:?}");
    }
    let peer = siege.wire.open("old");
    siege.wire.send(peer, framed(0x10, &hex("0004 4d515454 04 00 003c 0000")));
    assert_eq!(siege.wire.receive(peer), ["closed"]);
}

/// Proves: [MQTT-3.1.3-4], [MQTT-3.1.3-8], [MQTT5-U-1.5.4-1], [MQTT5-U-1.5.4-2], [MQTT-1.5.4-3]
#[test]
fn b11_client_identifiers() {
    let mut siege = Siege::new();
    let long = [hex("02 003c 00 ffff"), vec![b'a'; 65_535]].concat();
    let lines = siege.first(framed(0x10, &[&b"\0\x04MQTT\x05"[..], &long].concat()));
    assert_eq!(lines, ["CONNACK 95 Packet too large", "closed"]);
    let lines = siege.first(connect(&"a".repeat(1025)));
    assert_eq!(lines, ["CONNACK 85 Client Identifier not valid", "closed"]);
    for (what, text) in [
        ("U+0000", "00"),
        ("a new line", "0a"),
        ("a surrogate", "eda080"),
        ("an overlong form", "c0af"),
        ("no text at all", "ff"),
    ] {
        let len = hex(text).len();
        let rest = format!("02 003c 00 {len:04x} {text}");
        assert_eq!(siege.first(connect_of(&rest)), MALFORMED, "{what}");
    }
    // They mean nothing but themselves.
    for name in ["#", "+", "a/b", "$share/g/t", "../../etc/passwd", "\u{FEFF}", "%c"] {
        assert!(siege.first(connect(name))[0].starts_with("CONNACK 00"), "{name:?}");
    }
    assert_eq!(siege.wire.broker().gauges().sessions, 2 + 7);
}

#[test]
fn b12_topics_of_wills() {
    let mut siege = Siege::new();
    let script = |topic: &str| {
        let mut rest = hex("06 003c 00 0001 61 00");
        rest.extend_from_slice(&u16::try_from(topic.len()).unwrap().to_be_bytes());
        rest.extend_from_slice(topic.as_bytes());
        rest.extend_from_slice(&[0, 0]);
        framed(0x10, &[&b"\0\x04MQTT\x05"[..], &rest].concat())
    };
    for (topic, reason) in [
        ("a/#", "81 Malformed Packet"),
        ("+", "81 Malformed Packet"),
        ("", "81 Malformed Packet"),
        ("$SYS/x", "87 Not authorized"),
        ("$CONTROL/x", "87 Not authorized"),
        (&"a/".repeat(199), "90 Topic Name invalid"),
        (&"a".repeat(1025), "90 Topic Name invalid"),
    ] {
        let lines = siege.first(script(topic));
        assert_eq!(lines, [format!("CONNACK {reason}"), "closed".to_owned()], "{topic}");
    }
    assert_eq!(siege.wire.broker().gauges().will_bytes, 0);
}

#[test]
fn b13_a_flood_of_wills() {
    let mut siege = Siege::configured(|config| config.limits.will_bytes = 100_000);
    let script = |number: u32| connect(&number.to_string()).will(will("w", vec![0; 4999]));
    let mut refused = 0;
    for number in 0..50 {
        let lines = siege.first(script(number));
        refused += usize::from(lines == ["CONNACK 97 Quota exceeded", "closed"]);
    }
    assert_eq!(refused, 30);
    assert_eq!(siege.wire.broker().gauges().will_bytes, 100_000);
    assert_eq!(
        siege.wire.broker().statistics().connects_refused.of(ConnectReason::QuotaExceeded),
        30
    );
    // A client takes its own place again, without more room than it had.
    assert!(siege.first(script(3))[0].starts_with("CONNACK 00"));
    assert_eq!(siege.wire.broker().gauges().will_bytes, 100_000);
}

/// Wills of clients that all wait for a decision are not in the store of wills yet.
#[test]
fn b13_a_flood_of_wills_that_are_decided_about_at_once() {
    let mut wire = Wire::configured(|config| {
        config.decisions.connect = true;
        config.limits.will_bytes = 10_000;
    });
    let peers: Vec<Peer> = (0..20)
        .map(|number| {
            let peer = wire.open("client");
            wire.send(peer, connect(&number.to_string()).will(will("w", vec![0; 999])));
            peer
        })
        .collect();
    let mut accepted = 0;
    for peer in peers {
        let request = wire.next_request().unwrap();
        wire.answer_connect(request, ConnectAnswer::Accept(ConnectGrant::default()));
        let lines = wire.receive(peer);
        match lines[0].as_str() {
            "CONNACK 97 Quota exceeded" => assert_eq!(lines[1], "closed"),
            _ => accepted += 1,
        }
    }
    assert_eq!(accepted, 10);
    assert_eq!(wire.broker().gauges().will_bytes, 10_000);
}

#[test]
fn b14_the_longest_delays() {
    let mut siege = Siege::new();
    let script = connect("a").expiry(u32::MAX).will(will("w", "x").delay(u32::MAX));
    let peer = siege.wire.open("a");
    siege.wire.send(peer, script);
    let lines = siege.wire.receive(peer);
    assert!(lines[0].contains("session_expiry=86400"), "{lines:?}");
    siege.wire.cut(peer);
    siege.wire.advance_secs(24 * 60 * 60);
    let broker = siege.wire.broker();
    assert_eq!((broker.gauges().sessions, broker.gauges().will_bytes), (2, 0));
    assert_eq!(broker.statistics().wills_published, 1);
}

#[test]
fn b15_flags_and_payload_that_do_not_fit() {
    let mut siege = Siege::new();
    for (what, rest) in [
        ("a user name that is not there", "82 003c 00 0001 61"),
        ("a password that is not there", "42 003c 00 0001 61"),
        ("a will that is not there", "06 003c 00 0001 61"),
        ("bytes behind the payload", "02 003c 00 0001 61 00"),
        ("a user name without its flag", "02 003c 00 0001 61 0001 75"),
    ] {
        assert_eq!(siege.first(connect_of(rest)), MALFORMED, "{what}");
    }
}

#[test]
fn b16_no_credentials_where_they_are_needed() {
    let mut wire = Wire::configured(|config| config.decisions.connect = true);
    let a = wire.open("a");
    wire.send(a, connect("a"));
    let request = wire.next_request().unwrap();
    assert_eq!((request.user_name(), request.password()), (None, None));
    let refusal = ConnectRefusal::from(ConnectReason::BadUserNameOrPassword);
    wire.answer_connect(request, ConnectAnswer::Refuse(refusal));
    assert_eq!(wire.receive(a), ["CONNACK 86 Bad User Name or Password", "closed"]);
    // Who decides nothing lets nobody in.
    let b = wire.open("b");
    wire.send(b, connect("b"));
    let request = wire.next_request().unwrap();
    wire.advance_secs(5);
    assert_eq!(wire.receive(b), ["CONNACK 87 Not authorized", "closed"]);
    wire.answer_connect(request, ConnectAnswer::Accept(ConnectGrant::default()));
    assert_eq!(wire.broker().gauges().sessions, 0);
}

#[test]
fn b17_guessing_passwords() {
    let mut wire = Wire::configured(|config| config.decisions.connect = true);
    let mut asked = 0;
    let mut lines = Vec::new();
    for number in 0..1000 {
        // All of one network: another address each time is no way round.
        let peer = wire.open_from("guess", from(&format!("[2001:db8::{number:x}]:1883"))).unwrap();
        wire.send(peer, connect("a").user_name("u").password(format!("{number}").as_bytes()));
        if let Some(request) = wire.next_request() {
            asked += 1;
            let refusal = ConnectRefusal::from(ConnectReason::BadUserNameOrPassword);
            wire.answer_connect(request, ConnectAnswer::Refuse(refusal));
        }
        lines = wire.receive(peer);
    }
    assert_eq!(asked, 10);
    assert_eq!(lines, ["CONNACK 9F Connection rate exceeded", "closed"]);
    let refused = &wire.broker().statistics().connects_refused;
    assert_eq!(refused.of(ConnectReason::ConnectionRateExceeded), 990);
}

/// Proves: [MQTT-4.12.0-1], [MQTT5-U-3.1.2.11.10-1], [MQTT5-U-3.15-1]
#[test]
fn b18_authentication_that_nobody_offers() {
    let mut siege = Siege::new();
    let lines = siege.first(with_properties("15 0001 61"));
    assert_eq!(lines, ["CONNACK 8C Bad authentication method", "closed"]);
    assert_eq!(siege.first(with_properties("16 0001 61")), PROTOCOL_ERROR);
    let protocol_error = ["DISCONNECT 82 Protocol Error", "closed"];
    assert_eq!(siege.then(hex("f0 06 18 04 15 0001 61")), protocol_error);
}

/// Proves: [MQTT-3.1.0-2]
#[test]
fn b19_a_second_connect() {
    let lines = Siege::new().then(connect("other"));
    assert_eq!(lines, ["DISCONNECT 82 Protocol Error", "closed"]);
}

/// Proves: [MQTT-3.1.4-6]
#[test]
fn b20_packets_right_behind_the_connect() {
    let mut siege = Siege::new();
    let behind: Vec<u8> = [Vec::from(subscribe(1, "t")), publish("t", "x").qos1(1).into()].concat();
    let lines = siege.first([Vec::from(connect("a")), behind.clone()].concat());
    assert!(lines[0].starts_with("CONNACK 00"));
    assert_eq!(lines[1..], ["SUBACK id=1 [00]", "PUBACK id=1", r#"PUBLISH q0 "t" "x""#]);
    let refused = Vec::from(connect("b").will(will("$SYS", "")));
    let lines = siege.first([refused, behind].concat());
    assert_eq!(lines, ["CONNACK 87 Not authorized", "closed"]);
    assert_eq!(siege.wire.broker().statistics().received.total().messages, 1);
}

#[test]
fn b21_a_megabyte_behind_a_connect_that_waits() {
    let mut wire = Wire::configured(|config| config.decisions.connect = true);
    let peer = wire.open("a");
    wire.send(peer, connect("a"));
    let request = wire.next_request().unwrap();
    wire.send(peer, publish("t", vec![0; 1024 * 1024]).qos1(1));
    assert!(wire.unread(peer) > 1024 * 1024, "nothing of it is read");
    wire.answer_connect(request, ConnectAnswer::Accept(ConnectGrant::default()));
    assert_eq!(wire.unread(peer), 0);
    assert_eq!(wire.receive(peer)[1], "PUBACK id=1 10 No matching subscribers");
}

/// Proves: [MQTT-3.1.4-3]
#[test]
fn b22_two_clients_with_one_identifier() {
    for (what, expiry, clean) in
        [("kept", 100, false), ("kept and begun anew", 100, true), ("never kept", 0, true)]
    {
        let mut siege = Siege::configured(|config| config.limits.take_overs = 20);
        let script = || match clean {
            true => connect("twin").expiry(expiry),
            false => connect("twin").expiry(expiry).resume(),
        };
        let mut latest = siege.wire.connect(script().will(will("w", "old")));
        for _ in 0..20 {
            let next = siege.wire.connect(script());
            assert_eq!(
                siege.wire.receive(latest),
                ["DISCONNECT 8E Session taken over", "closed"],
                "{what}"
            );
            latest = next;
        }
        for _ in 0..1000 {
            let lines = siege.first(script());
            assert_eq!(lines, ["CONNACK 9F Connection rate exceeded", "closed"], "{what}");
        }
        assert_eq!(siege.wire.cause(latest), None, "who was there stays");
        let statistics = siege.wire.broker().statistics();
        assert_eq!((statistics.take_overs, statistics.take_overs_refused), (20, 1000), "{what}");
        assert_eq!(siege.wire.broker().gauges().sessions, 3, "{what}");
        // One that lost its network is there again after a while, and at once if it is gone.
        siege.wire.advance_secs(60);
        let next = siege.wire.connect(script());
        assert!(siege.wire.cause(latest).is_some(), "{what}");
        siege.wire.cut(next);
        siege.wire.connect(script());
    }
}

#[test]
fn b22_without_a_connection_to_take_over_nothing_is_counted() {
    let mut siege = Siege::configured(|config| config.limits.take_overs = 0);
    for _ in 0..100 {
        let peer = siege.wire.connect(connect("a").resume().expiry(100));
        siege.wire.cut(peer);
    }
    assert_eq!(siege.wire.broker().statistics().take_overs_refused, 0);
}

#[test]
fn b23_the_session_of_somebody_else() {
    let mut wire = Wire::configured(|config| config.decisions.connect = true);
    let mut come = |script, identity: &str| {
        let peer = wire.open("a");
        wire.send(peer, script);
        let request = wire.next_request().unwrap();
        let mut grant = ConnectGrant::default();
        grant.identity = Some(identity.into());
        wire.answer_connect(request, ConnectAnswer::Accept(grant));
        (wire.receive(peer), wire.broker().gauges().connected)
    };
    assert!(come(connect("a").expiry(100), "alice").0[0].starts_with("CONNACK 00"));
    for script in [connect("a"), connect("a").resume().expiry(100)] {
        let (lines, connected) = come(script, "mallory");
        assert_eq!(lines, ["CONNACK 87 Not authorized", "closed"]);
        assert_eq!(connected, 1, "its owner is not disturbed");
    }
}

#[test]
fn b24_sessions_that_are_to_be_kept_for_ever() {
    let mut siege = Siege::configured(|config| config.limits.sessions = 500);
    let mut refused = 0;
    for number in 0..2000 {
        let peer = siege.wire.open("x");
        siege.wire.send(peer, connect(&format!("client-{number}")).expiry(u32::MAX));
        let lines = siege.wire.receive(peer);
        refused += usize::from(lines == ["CONNACK 97 Quota exceeded", "closed"]);
        siege.wire.cut(peer);
    }
    assert_eq!((refused, siege.wire.broker().gauges().sessions), (1502, 500));
    // Those that are known still come back.
    let peer = siege.wire.connect(connect("client-7").resume().expiry(100));
    assert!(siege.wire.session_present(peer));
}

#[test]
fn b25_more_connections_than_there_is_room_for() {
    let mut siege = Siege::configured(|config| {
        config.limits.connections = 50;
        config.limits.connections_per_address = 10;
    });
    let mut taken = Vec::new();
    for number in 0..200 {
        // 5 networks of 40 addresses each.
        let (network, address) = (number % 5, number / 5);
        let info = from(&format!("[2001:db8:{network}:0:{address:x}::{address:x}]:1000"));
        match siege.wire.open_from("flood", info) {
            Ok(peer) => taken.push(peer),
            Err(OpenError::TooManyConnections { limit }) => assert_eq!(limit, 50),
            Err(OpenError::TooManyFromAddress { limit }) => assert_eq!(limit, 10),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(taken.len(), 48);
    let statistics = siege.wire.broker().statistics();
    assert_eq!(statistics.connections_refused, 152);
    // Those that say nothing make room.
    siege.wire.advance_secs(5);
    assert!(taken.iter().all(|&peer| siege.wire.cause(peer) == Some(CloseCause::ConnectTimeout)));
    siege.wire.open_from("later", from("[2001:db8:0:0:9::9]:1000")).unwrap();
}

#[test]
fn b25_what_counts_as_one_address() {
    let mut siege = Siege::configured(|config| config.limits.connections_per_address = 1);
    let refused = Err(OpenError::TooManyFromAddress { limit: 1 });
    for (first, same, other) in [
        ("192.0.2.1:1", "[::ffff:192.0.2.1]:2", "192.0.2.2:1"),
        ("[2001:db8::1]:1", "[2001:db8::ffff:ffff:ffff:ffff]:2", "[2001:db8:0:1::1]:1"),
        // Everybody on a local network has this prefix.
        ("[fe80::1]:1", "[fe80::1]:2", "[fe80::2]:1"),
    ] {
        siege.wire.open_from("first", from(first)).unwrap();
        assert_eq!(siege.wire.open_from("same", from(same)), refused, "{same}");
        siege.wire.open_from("other", from(other)).unwrap();
    }
    for local in ["127.0.0.1:1", "127.0.0.1:2", "[::1]:1", "[::1]:2"] {
        siege.wire.open_from("local", from(local)).unwrap();
    }
    assert_eq!(siege.wire.broker().statistics().connections_refused_for_address, 3);
}
