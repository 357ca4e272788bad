//! Hostile input, sections F and H: DISCONNECT, AUTH, what only a server sends, and what time,
//! slow decisions and a shutdown do. Each function begins with the number of its case.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use core::num::NonZeroU16;
use core::time::Duration;

use bytes::Bytes;
use mqtt_codec::{Auth, AuthReason, DisconnectReason};
use mqtt_session::{
    AuthenticateAnswer, BrokerEvent, CloseCause, ConnectAnswer, ConnectGrant, Time,
};
use mqtt_tests::scripted::{
    ConnectScript, connect, disconnect, disconnect_with, hex, pingreq, properties, publish,
    subscribe, will,
};
use mqtt_tests::{Peer, Siege, Wire};

const PROTOCOL_ERROR: [&str; 2] = ["DISCONNECT 82 Protocol Error", "closed"];

/// Proves: [MQTT-4.13.1-1]
#[test]
fn f1_packets_that_only_a_server_sends() {
    let mut siege = Siege::new();
    for bytes in ["20 03 00 00 00", "90 04 0001 00 00", "b0 04 0001 00 00", "d0 00"] {
        assert_eq!(siege.then(hex(bytes)), PROTOCOL_ERROR, "{bytes}");
        assert_eq!(siege.first(hex(bytes)), ["closed"], "{bytes} before CONNECT");
    }
}

/// Proves: [MQTT-3.14.2-1]
#[test]
fn f1_reasons_that_only_a_server_gives() {
    let mut siege = Siege::new();
    let mut refused = 0;
    for &reason in DisconnectReason::ALL {
        if reason == DisconnectReason::BadAuthenticationMethod {
            continue;
        }
        let lines = siege.then([0xE0, 1, reason.into()]);
        if reason.is_from_client() {
            assert_eq!(lines, ["closed"], "{reason}");
        } else {
            assert_eq!(lines, PROTOCOL_ERROR, "{reason}");
            refused += 1;
        }
    }
    assert_eq!(refused, 15);
    assert_eq!(siege.wire.broker().statistics().protocol_faults, 15);
}

/// Proves: [MQTT5-U-3.14.2.2.2-2]
#[test]
fn f2_a_session_that_is_to_be_kept_after_all() {
    let lines = Siege::new().then(disconnect_with(DisconnectReason::NormalDisconnection, |p| {
        p.session_expiry_interval(100);
    }));
    assert_eq!(lines, PROTOCOL_ERROR);
}

/// Proves: [MQTT-3.1.2-8], [MQTT-3.1.2-10]
#[test]
fn f3_wills_by_the_reason_of_the_disconnect() {
    for (code, is_published) in [(0x00, 0), (0x04, 1), (0x7F, 1), (0x8E, 1), (0x80, 1)] {
        let mut siege = Siege::new();
        let peer = siege.wire.connect(connect("attacker").will(will("w", "bye")));
        siege.wire.send(peer, [0xE0, 1, code]);
        assert_eq!(siege.wire.receive(peer).last().unwrap(), "closed");
        let published = siege.wire.broker().statistics().wills_published;
        assert_eq!(published, is_published, "{code:02x}");
    }
    assert_eq!(Siege::new().then(hex("e0 01 7f")), PROTOCOL_ERROR, "a reason that nobody knows");
}

/// Proves: [MQTT-3.14.4-1]
#[test]
fn f4_what_comes_behind_a_disconnect() {
    let mut siege = Siege::new();
    let behind = publish("kept", "x").retain().qos1(1);
    assert_eq!(siege.then([disconnect(), behind.into(), hex("ff ff ff")].concat()), ["closed"]);
    assert_eq!(siege.wire.broker().gauges().retained_messages, 0);
    assert_eq!(siege.wire.broker().statistics().protocol_faults, 0);
}

fn auth(reason: AuthReason, method: &str) -> Vec<u8> {
    let properties = properties(|p| _ = p.authentication_method(method).unwrap());
    let mut bytes = Vec::new();
    Auth { reason, properties: properties.as_properties() }.encode(&mut bytes, u32::MAX).unwrap();
    bytes
}

fn with_method() -> ConnectScript {
    connect("a").with(|p| _ = p.authentication_method("TEST").unwrap())
}

/// A client that has authenticated with a method, at a broker that asks.
fn authenticated() -> (Wire, Peer) {
    let mut wire = Wire::configured(|config| config.decisions.connect = true);
    let a = wire.open("a");
    wire.send(a, with_method());
    let request = wire.next_request().unwrap();
    wire.answer_connect(request, ConnectAnswer::Accept(ConnectGrant::default()));
    wire.expect_connack(a);
    (wire, a)
}

fn answer(wire: &mut Wire, answer: AuthenticateAnswer) -> bool {
    match wire.next_decision() {
        Some(BrokerEvent::Authenticate(request)) => {
            wire.call(|broker, now| broker.answer_authenticate(now, request, answer));
            true
        }
        None => false,
        Some(other) => panic!("not an authentication: {other:?}"),
    }
}

#[test]
fn f5_an_authentication_without_end() {
    let mut wire = Wire::configured(|config| config.decisions.connect = true);
    let a = wire.open("a");
    wire.send(a, with_method());
    let mut rounds = 0;
    while let Some(request) = wire.next_request() {
        rounds += 1;
        let data = Bytes::from_static(b"more");
        wire.answer_connect(request, ConnectAnswer::Challenge(data));
        wire.receive(a);
        wire.send(a, auth(AuthReason::ContinueAuthentication, "TEST"));
    }
    assert_eq!(rounds, 11, "the first one, and ten more");
    assert_eq!(wire.receive(a), ["CONNACK 97 Quota exceeded", "closed"]);

    // However slowly it goes on, the time to connect covers the whole of it.
    let a = wire.open("a");
    wire.send(a, with_method());
    for _ in 0..2 {
        let request = wire.next_request().unwrap();
        let data = Bytes::from_static(b"more");
        wire.answer_connect(request, ConnectAnswer::Challenge(data));
        wire.advance_secs(2);
        wire.send(a, auth(AuthReason::ContinueAuthentication, "TEST"));
    }
    let request = wire.next_request().unwrap();
    wire.answer_connect(request, ConnectAnswer::Challenge(Bytes::from_static(b"more")));
    wire.advance_secs(1);
    assert_eq!(wire.receive(a).last().unwrap(), "closed");

    // The same on an open connection.
    let (mut wire, a) = authenticated();
    wire.send(a, auth(AuthReason::ReAuthenticate, "TEST"));
    let mut rounds = 0;
    while answer(&mut wire, AuthenticateAnswer::Challenge(Bytes::from_static(b"more"))) {
        rounds += 1;
        wire.receive(a);
        wire.send(a, auth(AuthReason::ContinueAuthentication, "TEST"));
    }
    assert_eq!(rounds, 11);
    assert_eq!(wire.receive(a), ["DISCONNECT 97 Quota exceeded", "closed"]);
}

#[test]
fn f5_one_authentication_after_the_other() {
    let (mut wire, a) = authenticated();
    for _ in 0..2 {
        for _ in 0..10 {
            wire.send(a, auth(AuthReason::ReAuthenticate, "TEST"));
            assert!(answer(&mut wire, AuthenticateAnswer::Accept(None)));
        }
        assert_eq!(wire.receive(a).len(), 10);
        wire.advance_secs(60);
    }
    for _ in 0..10 {
        wire.send(a, auth(AuthReason::ReAuthenticate, "TEST"));
        assert!(answer(&mut wire, AuthenticateAnswer::Accept(None)));
    }
    wire.receive(a);
    wire.send(a, auth(AuthReason::ReAuthenticate, "TEST"));
    assert!(!answer(&mut wire, AuthenticateAnswer::Accept(None)), "nobody is asked");
    assert_eq!(wire.receive(a), ["DISCONNECT 97 Quota exceeded", "closed"]);
    let closed = &wire.broker().statistics().closed;
    assert_eq!(closed.by_broker.of(DisconnectReason::QuotaExceeded), 1);
}

/// Proves: [MQTT-4.12.1-1], [MQTT5-U-3.15-1]
#[test]
fn f6_another_method() {
    let (mut wire, a) = authenticated();
    wire.send(a, auth(AuthReason::ReAuthenticate, "OTHER"));
    assert_eq!(wire.receive(a), PROTOCOL_ERROR);
    for reason in [AuthReason::Success, AuthReason::ContinueAuthentication] {
        let (mut wire, a) = authenticated();
        wire.send(a, auth(reason, "TEST"));
        assert_eq!(wire.receive(a), PROTOCOL_ERROR, "{reason} out of the blue");
    }
}

/// Proves: [MQTT5-U-3.15.2.2.2-1]
#[test]
fn f7_auth_of_two_bytes() {
    assert_eq!(Siege::new().then(hex("f0 00")), PROTOCOL_ERROR);
    let (mut wire, a) = authenticated();
    wire.send(a, hex("f0 00"));
    assert_eq!(wire.receive(a), PROTOCOL_ERROR, "it names no method");
}

/// Proves: [MQTT-3.1.2-8]
#[test]
fn f8_the_end_of_the_stream_right_behind_a_message() {
    let mut siege = Siege::new();
    let watcher = siege.wire.connect(connect("watcher"));
    siege.wire.send(watcher, subscribe(1, "t").and("w"));
    siege.wire.receive(watcher);
    let peer = siege.wire.connect(connect("attacker").will(will("w", "gone")));
    siege.wire.send(peer, publish("t", "last").qos1(1));
    siege.wire.cut(peer);
    let lines = siege.wire.receive(watcher);
    assert_eq!(lines, [r#"PUBLISH q0 "t" "last""#, r#"PUBLISH q0 "w" "gone""#]);
    assert_eq!(siege.wire.cause(peer), Some(CloseCause::ConnectionLost));
}

/// The broker knows one clock, which the driver moves and which never goes back.
#[test]
fn h1_a_clock_that_leaps() {
    let mut siege = Siege::new();
    siege.wire.advance_secs(1000);
    let peer = siege.wire.connect(connect("a").keep_alive(10).expiry(100));
    let id = siege.wire.id(peer);
    let packet = Vec::from(publish("t", "x"));
    siege.wire.call(|broker, _| broker.handle_input(id, Time::ZERO, &packet));
    siege.wire.call(|broker, _| broker.handle_timeout(Time::ZERO));
    siege.wire.advance_secs(14);
    assert_eq!(siege.wire.cause(peer), None, "the packet came when it came");
    siege.wire.advance(Duration::from_secs(365 * 24 * 60 * 60));
    assert_eq!(siege.wire.receive(peer), ["DISCONNECT 8D Keep Alive timeout", "closed"]);
    assert_eq!(siege.wire.broker().gauges().sessions, 2, "its session has ended, too");
}

/// Proves: [MQTT-3.2.2-21], [MQTT-3.2.2-22], [MQTT-3.1.2-22]
#[test]
fn h2_a_keep_alive_of_hours_or_none() {
    let mut siege = Siege::configured(|config| config.keep_alive_ceiling = NonZeroU16::new(300));
    for asked in [0, 301, u16::MAX] {
        let peer = siege.wire.open("a");
        siege.wire.send(peer, connect("a").keep_alive(asked));
        assert!(siege.wire.receive(peer)[0].contains("server_keep_alive=300"), "{asked}");
        // The two bystanders asked for none and are held to the same.
        for _ in 0..2 {
            siege.wire.advance_secs(200);
            siege.check();
        }
        siege.wire.advance_secs(50);
        let lines = siege.wire.receive(peer);
        assert_eq!(lines, ["DISCONNECT 8D Keep Alive timeout", "closed"], "{asked}");
    }
}

#[test]
fn h7_a_shutdown_with_many_clients_one_of_which_does_not_read() {
    let mut wire = Wire::new();
    let peers: Vec<Peer> = (0..1000).map(|n| wire.connect(connect(&n.to_string()))).collect();
    wire.stop_reading(peers[7]);
    wire.shutdown();
    for (number, &peer) in peers.iter().enumerate() {
        let lines = wire.receive(peer);
        match number {
            7 => assert_eq!(lines, [""; 0]),
            _ => assert_eq!(lines, ["DISCONNECT 8B Server shutting down", "closed"]),
        }
    }
    wire.advance_secs(30);
    assert_eq!(wire.receive(peers[7]), ["closed"]);
    assert_eq!(wire.broker().gauges().connections, 0);
    let closed = &wire.broker().statistics().closed;
    assert_eq!(closed.by_broker.of(DisconnectReason::ServerShuttingDown), 1000);
}

#[test]
fn h10_a_decision_that_takes_too_long() {
    let mut wire = Wire::configured(|config| {
        config.decisions.publish = true;
        config.decisions.timeout = Duration::from_secs(5);
    });
    let slow = wire.connect(connect("slow"));
    wire.send(slow, publish("t", "x").qos1(1));
    let late = wire.next_decision();
    assert!(matches!(late, Some(BrokerEvent::Publish(_))));
    // Nobody else waits for it.
    let other = wire.connect(connect("other"));
    wire.send(other, pingreq());
    assert_eq!(wire.receive(other), ["PINGRESP"]);
    wire.advance_secs(5);
    assert_eq!(wire.receive(slow), ["PUBACK id=1 87 Not authorized"]);
    assert_eq!(wire.cause(slow), None, "and its connection goes on");
}
