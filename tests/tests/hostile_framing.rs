//! Hostile input, section A: what comes before and around packets. Each function begins with the
//! number of its case; what sockets alone can show stands with the broker program's tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use core::time::Duration;

use bytes::Buf;
use mqtt_session::{Broker, BrokerConfig, CloseCause, PeerInfo, Time, TransmitBuf};
use mqtt_tests::scripted::{connect, hex, pingreq, publish};
use mqtt_tests::{Random, Siege};

const MALFORMED: [&str; 2] = ["DISCONNECT 81 Malformed Packet", "closed"];

#[test]
fn a1_silence_is_closed_after_the_time_to_connect() {
    let mut siege = Siege::new();
    let peer = siege.wire.open("silent");
    siege.wire.advance(Duration::from_millis(4999));
    assert_eq!(siege.wire.cause(peer), None);
    siege.wire.advance(Duration::from_millis(1));
    assert_eq!(siege.wire.cause(peer), Some(CloseCause::ConnectTimeout));
    assert_eq!(siege.wire.bytes(peer), [0_u8; 0]);
    assert_eq!(siege.wire.broker().statistics().closed.connect_timeout, 1);
}

#[test]
fn a2_packet_type_0_is_closed_in_silence() {
    assert_eq!(Siege::new().first(hex("00 00")), ["closed"]);
}

/// Proves: [MQTT-3.1.0-1]
#[test]
fn a3_another_packet_before_connect_is_closed_in_silence() {
    let mut siege = Siege::new();
    for bytes in ["f0 00", "c0 00", "30 03 0001 74", "e0 00", "82 07 0001 00 0001 74 00"] {
        assert_eq!(siege.first(hex(bytes)), ["closed"], "{bytes}");
    }
    assert_eq!(siege.wire.broker().statistics().closed.not_mqtt, 5);
}

/// Whatever the first byte is, 256 MiB are refused by five bytes: of nothing that is announced a
/// byte is read.
#[test]
fn a4_any_first_byte_before_256_mib() {
    let mut siege = Siege::new();
    for first in 0..=u8::MAX {
        let header = [first, 0xFF, 0xFF, 0xFF, 0x7F];
        let expected: &[&str] = match first {
            0x10 => &["CONNACK 95 Packet too large", "closed"],
            _ => &["closed"],
        };
        assert_eq!(siege.first(header), expected, "{first:02x} before CONNECT");
        let lines = siege.then(header);
        let is_refused = lines == ["DISCONNECT 95 Packet too large", "closed"];
        assert!(is_refused || lines == MALFORMED, "{first:02x} after CONNECT: {lines:?}");
    }
}

#[test]
fn a5_announced_256_mib() {
    let lines = Siege::new().first(hex("10 ff ff ff 7f"));
    assert_eq!(lines, ["CONNACK 95 Packet too large", "closed"]);
}

/// Proves: [MQTT-1.5.5-1]
#[test]
fn a6_a_length_of_five_bytes() {
    let mut siege = Siege::new();
    let lines = siege.first(hex("10 ff ff ff ff 7f"));
    assert_eq!(lines.last().unwrap(), "closed");
    assert_eq!(siege.then(hex("30 ff ff ff ff 7f")), MALFORMED);
}

/// Proves: [MQTT-1.5.5-1]
#[test]
fn a7_a_length_that_is_longer_than_it_has_to_be() {
    assert_eq!(Siege::new().then(hex("c0 80 00")), MALFORMED);
}

/// Proves: [MQTT5-U-2.1.3-1], [MQTT-2.1.3-1]
#[test]
fn a8_wrong_flags() {
    let mut siege = Siege::new();
    let wrong = [
        "c1 00",
        "41 02 0001",
        "61 02 0001",
        "60 02 0001",
        "80 07 0001 00 0001 74 00",
        "83 07 0001 00 0001 74 00",
        "a0 06 0001 00 0001 74",
        "e1 00",
        "f1 00",
    ];
    for bytes in wrong {
        assert_eq!(siege.then(hex(bytes)), MALFORMED, "{bytes}");
    }
}

#[test]
fn a9_a_packet_cut_anywhere_means_the_same() {
    let mut siege = Siege::new();
    let packets = [publish("t", "whole").qos1(1).into(), pingreq()].concat();
    let expected = ["PUBACK id=1 10 No matching subscribers", "PINGRESP"];
    for cut in 0..=packets.len() {
        let peer = siege.attacker();
        siege.wire.send(peer, &packets[..cut]);
        siege.wire.send(peer, &packets[cut..]);
        assert_eq!(siege.wire.receive(peer), expected, "cut behind {cut} bytes");
        for byte in &packets {
            siege.wire.send(peer, [*byte]);
        }
        assert_eq!(siege.wire.receive(peer), expected, "byte by byte");
        siege.wire.cut(peer);
    }
}

/// Proves: [MQTT-3.1.2-22]
#[test]
fn a10_a_trickle_is_no_sign_of_life() {
    let mut siege = Siege::new();
    let peer = siege.wire.connect(connect("slow").keep_alive(20));
    siege.wire.send(peer, hex("30 80 80 40 0001 74 00"));
    for _ in 0..2 {
        siege.wire.advance_secs(10);
        siege.wire.send(peer, [b'x']);
    }
    assert_eq!(siege.wire.cause(peer), None);
    siege.wire.advance_secs(10);
    assert_eq!(siege.wire.receive(peer), ["DISCONNECT 8D Keep Alive timeout", "closed"]);
}

/// Proves: [MQTT5-U-3.2.2.3.6-2]
#[test]
fn a11_one_byte_above_the_maximum_packet_size() {
    let mut siege = Siege::configured(|config| config.limits.packet_size = 1000);
    // 1,000 bytes with the fixed header of three.
    let lines = siege.then(publish("t", vec![0; 1000 - 3 - 4]));
    assert_eq!(lines, [""; 0]);
    let lines = siege.then(&Vec::from(publish("t", vec![0; 1001 - 3 - 4]))[..3]);
    assert_eq!(lines, ["DISCONNECT 95 Packet too large", "closed"], "by the header alone");
}

/// A million pings from a client that does not read, and then all their answers.
#[test]
fn a12_pings_from_a_client_that_does_not_read() {
    const PIECE: usize = 16 * 1024;
    let config = BrokerConfig::default();
    let bound = config.limits.unread_answers + PIECE;
    let mut broker = Broker::new(config, [7; 32]);
    let id = broker.open(Time::ZERO, PeerInfo::default()).unwrap();
    broker.handle_input(id, Time::ZERO, &Vec::from(connect("a")));
    let mut out = TransmitBuf::new();
    broker.poll_transmit(id, Time::ZERO, &mut out, usize::MAX);
    out.advance(out.remaining());

    let pings = pingreq().repeat(1_000_000);
    let mut rest = &pings[..];
    let mut answered = 0;
    let mut rounds = 0;
    while answered < pings.len() {
        while !rest.is_empty() && broker.accepts_input(id) {
            let (piece, behind) = rest.split_at(rest.len().min(PIECE));
            broker.handle_input(id, Time::ZERO, piece);
            rest = behind;
        }
        broker.poll_transmit(id, Time::ZERO, &mut out, usize::MAX);
        assert!((1..=bound).contains(&out.remaining()), "{} bytes wait", out.remaining());
        answered += out.remaining();
        out.advance(out.remaining());
        rounds += 1;
    }
    assert_eq!(answered, pings.len());
    // It was not read again before it had read itself.
    assert!(broker.statistics().held_back.for_answers >= rounds - 1);
    assert!(rounds >= 20, "{rounds} rounds");
}

#[test]
fn a13_other_protocols() {
    let mut siege = Siege::new();
    let hello = hex("16 03 01 00 f8 01 00 00 f4 03 03");
    let cases: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
        b"POST /mqtt HTTP/1.1\r\n\r\n",
        &hello,
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a",
    ];
    for bytes in cases {
        assert_eq!(siege.first(bytes)[..], ["closed"], "{bytes:02x?}");
    }
}

/// Any bytes, as the first ones and after a CONNECT: the connection ends or waits for more.
#[test]
fn a14_garbage() {
    let mut siege = Siege::new();
    let mut random = Random::new(14);
    for round in 0..4_000 {
        let mut bytes: Vec<u8> = (0..random.below(60)).map(|_| random.number() as u8).collect();
        if round % 2 == 0 && bytes.len() > 2 {
            // Plausible headers reach further.
            bytes[0] = [0x10, 0x30, 0x32, 0x34, 0x82, 0xA2, 0x62, 0xE0, 0xF0][random.below(9)];
            bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
        }
        let peer = siege.wire.open("garbage");
        if round % 4 < 2 {
            siege.wire.send(peer, connect("attacker"));
        }
        siege.wire.send(peer, bytes);
        siege.wire.cut(peer);
    }
    let gauges = siege.wire.broker().gauges();
    assert_eq!((gauges.connections, gauges.connected, gauges.sessions), (2, 2, 2));
    assert_eq!(gauges.messages, gauges.retained_messages);
}
