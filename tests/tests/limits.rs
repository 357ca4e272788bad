//! Bounds on connections, sessions and wills, and what happens at each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::net::SocketAddr;

use mqtt_session::{OpenError, PeerInfo};
use mqtt_tests::Wire;
use mqtt_tests::scripted::{connect, disconnect, will};

fn from(address: &str) -> PeerInfo {
    let address: SocketAddr = address.parse().unwrap();
    PeerInfo { address: Some(address), ..PeerInfo::default() }
}

#[test]
fn one_connection_more_than_allowed_is_not_taken() {
    let mut wire = Wire::configured(|config| config.limits.connections = 3);
    let first = wire.open("1");
    wire.open("2");
    wire.connect(connect("3"));
    let refused = wire.open_from("4", PeerInfo::default());
    assert_eq!(refused, Err(OpenError::TooManyConnections { limit: 3 }));
    wire.cut(first);
    wire.open("5");
    let statistics = wire.broker().statistics();
    assert_eq!((statistics.connections_opened, statistics.connections_refused), (4, 1));
}

#[test]
fn one_address_has_its_own_bound_and_loopback_has_none() {
    let mut wire = Wire::configured(|config| config.limits.connections_per_address = 2);
    for round in 0..3 {
        let first = wire.open_from("a", from("192.0.2.1:1000")).unwrap();
        let second = wire.open_from("b", from("192.0.2.1:1001")).unwrap();
        let third = wire.open_from("c", from("192.0.2.1:1002"));
        assert_eq!(third, Err(OpenError::TooManyFromAddress { limit: 2 }), "round {round}");
        let other = wire.open_from("d", from("[2001:db8::1]:1000")).unwrap();
        // Counted down however the connections end.
        wire.cut(first);
        wire.send(second, connect("b"));
        wire.send(second, disconnect());
        wire.cut(other);
    }
    for port in 1..10 {
        wire.open_from("l", from(&format!("127.0.0.1:{port}"))).unwrap();
        wire.open_from("l", from(&format!("[::1]:{port}"))).unwrap();
        wire.open_from("u", PeerInfo::default()).unwrap();
    }
}

#[test]
fn a_connection_that_ends_makes_room_for_one_of_its_address() {
    let mut wire = Wire::configured(|config| config.limits.connections_per_address = 2);
    let first = wire.open_from("a", from("192.0.2.1:1000")).unwrap();
    wire.open_from("b", from("192.0.2.1:1001")).unwrap();
    wire.cut(first);
    wire.open_from("c", from("192.0.2.1:1002")).unwrap();
    let fourth = wire.open_from("d", from("192.0.2.1:1003"));
    assert_eq!(fourth, Err(OpenError::TooManyFromAddress { limit: 2 }));
}

#[test]
fn an_address_is_the_same_however_it_is_written() {
    let mut wire = Wire::configured(|config| config.limits.connections_per_address = 2);
    wire.open_from("a", from("192.0.2.1:1000")).unwrap();
    wire.open_from("b", from("[::ffff:192.0.2.1]:1001")).unwrap();
    let third = wire.open_from("c", from("[::ffff:192.0.2.1]:1002"));
    assert_eq!(third, Err(OpenError::TooManyFromAddress { limit: 2 }));
    for port in 1..10 {
        wire.open_from("l", from(&format!("[::ffff:127.0.0.1]:{port}"))).unwrap();
    }
}

#[test]
fn one_session_more_than_allowed_is_refused_with_0x97() {
    let mut wire = Wire::configured(|config| config.limits.sessions = 2);
    let a = wire.connect(connect("a").expiry(100));
    let b = wire.connect(connect("b"));
    wire.cut(a);
    let c = wire.open("c");
    wire.send(c, connect("c"));
    assert_eq!(wire.receive(c), ["CONNACK 97 Quota exceeded", "closed"]);
    // Those that are there go on, also with Clean Start.
    let a = wire.connect(connect("a").resume().expiry(100));
    assert!(wire.session_present(a));
    let a = wire.connect(connect("a").expiry(100));
    wire.cut(b);
    wire.connect(connect("c"));
    wire.cut(a);
    wire.advance_secs(100);
    wire.connect(connect("d"));
    assert_eq!(wire.broker().gauges().sessions, 2);
}

#[test]
fn ten_thousand_clients_that_come_once_and_want_to_be_remembered_are_bounded() {
    let mut wire = Wire::configured(|config| config.limits.sessions = 1000);
    let mut accepted = 0;
    for number in 0..3000 {
        let peer = wire.open("x");
        wire.send(peer, connect(&format!("client-{number}")).expiry(u32::MAX));
        accepted += usize::from(wire.receive(peer)[0].starts_with("CONNACK 00"));
        wire.cut(peer);
    }
    assert_eq!(accepted, 1000);
    assert_eq!(wire.broker().statistics().connects_refused.total(), 2000);
    wire.advance_secs(24 * 60 * 60);
    assert_eq!(wire.broker().gauges().sessions, 0);
    assert_eq!(wire.broker().poll_timeout(), None);
}

#[test]
fn wills_that_take_too_much_memory_are_refused_with_0x97() {
    let mut wire = Wire::configured(|config| config.limits.will_bytes = 10_000);
    let mut peers = Vec::new();
    for number in 0..12 {
        let peer = wire.open("x");
        let script = connect(&number.to_string()).expiry(100);
        wire.send(peer, script.will(will("w", vec![0; 994]).delay(50)));
        let lines = wire.receive(peer);
        assert_eq!(lines[0].starts_with("CONNACK 00"), number < 10, "{lines:?}");
        if number >= 10 {
            assert_eq!(lines, ["CONNACK 97 Quota exceeded", "closed"]);
        }
        peers.push(peer);
    }
    // A will that waits for its delay counts, and one that is over does not.
    let refused = |wire: &mut Wire| {
        let peer = wire.open("y");
        wire.send(peer, connect("y").will(will("w", vec![0; 999])));
        let lines = wire.receive(peer);
        wire.send(peer, disconnect());
        lines.last().unwrap() == "closed"
    };
    wire.cut(peers[0]);
    assert!(refused(&mut wire));
    wire.advance_secs(50);
    assert!(!refused(&mut wire));
    wire.send(peers[1], disconnect());
    assert!(!refused(&mut wire));
    // Properties count as well.
    let full = will("w", vec![0; 1]).with(|p| _ = p.user_property("n", &"v".repeat(3000)).unwrap());
    let z = wire.open("z");
    wire.send(z, connect("z").will(full));
    assert_eq!(wire.receive(z), ["CONNACK 97 Quota exceeded", "closed"]);
}
