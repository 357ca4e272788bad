//! Enhanced authentication: AUTH before CONNACK, and again on an open connection.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use bytes::Bytes;
use mqtt_codec::{Auth, AuthReason, ConnectReason, DisconnectReason};
use mqtt_session::{
    AuthenticateAnswer, AuthenticateRequest, BrokerEvent, ConnectAnswer, ConnectGrant,
};
use mqtt_tests::scripted::{ConnectScript, connect, pingreq, properties, publish, subscribe};
use mqtt_tests::{Peer, Wire};

fn asking() -> Wire {
    Wire::configured(|config| config.decisions.connect = true)
}

fn with_method(client_id: &str, data: &[u8]) -> ConnectScript {
    connect(client_id).with(|p| {
        p.authentication_method("TEST").unwrap();
        p.authentication_data(data).unwrap();
    })
}

fn auth(reason: AuthReason, method: Option<&str>, data: &[u8]) -> Vec<u8> {
    let properties = properties(|p| {
        if let Some(method) = method {
            p.authentication_method(method).unwrap();
            p.authentication_data(data).unwrap();
        }
    });
    let mut bytes = Vec::new();
    Auth { reason, properties: properties.as_properties() }.encode(&mut bytes, u32::MAX).unwrap();
    bytes
}

fn go_on(data: &[u8]) -> Vec<u8> {
    auth(AuthReason::ContinueAuthentication, Some("TEST"), data)
}

fn again(data: &[u8]) -> Vec<u8> {
    auth(AuthReason::ReAuthenticate, Some("TEST"), data)
}

/// The AUTH of a broker that wants more.
fn challenge(data: &str) -> String {
    let properties = format!(r#"authentication_method="TEST", authentication_data="{data}""#);
    format!("AUTH 18 Continue authentication {{{properties}}}")
}

/// A client that has authenticated.
fn authenticated(wire: &mut Wire) -> Peer {
    let a = wire.open("a");
    wire.send(a, with_method("a", b"1"));
    let request = wire.next_request().unwrap();
    wire.answer_connect(request, ConnectAnswer::Accept(ConnectGrant::to("alice")));
    wire.receive(a);
    a
}

fn authenticate_request(wire: &mut Wire) -> AuthenticateRequest {
    match wire.next_decision() {
        Some(BrokerEvent::Authenticate(request)) => request,
        other => panic!("no authentication to decide about: {other:?}"),
    }
}

/// Proves: [MQTT-4.12.0-2], [MQTT-4.12.0-5], [MQTT-3.15.2-1]
#[test]
fn a_challenge_and_its_answer_go_on_until_the_connack_with_the_same_method() {
    let mut wire = asking();
    let a = wire.open("a");
    wire.send(a, with_method("a", b"1"));
    let request = wire.next_request().unwrap();
    assert_eq!(request.authentication_method(), Some("TEST"));
    assert_eq!(request.authentication_data(), Some(b"1".as_slice()));
    assert_eq!(request.authentication_round(), 0);
    wire.answer_connect(request, ConnectAnswer::Challenge(Bytes::from_static(b"2")));
    assert_eq!(wire.receive(a), [challenge("2")]);
    wire.send(a, go_on(b"3"));
    let request = wire.next_request().unwrap();
    assert_eq!(request.authentication_data(), Some(b"3".as_slice()));
    assert_eq!(request.authentication_round(), 1);
    let mut grant = ConnectGrant::to("alice");
    grant.authentication_data = Some(Bytes::from_static(b"4"));
    wire.answer_connect(request, ConnectAnswer::Accept(grant));
    let lines = wire.receive(a);
    assert!(lines[0].starts_with("CONNACK"), "{lines:?}");
    let told = r#"authentication_method="TEST", authentication_data="4""#;
    assert!(lines[0].contains(told), "{lines:?}");
}

/// Proves: [MQTT-4.12.0-1]
#[test]
fn a_method_that_nobody_decides_about_is_refused() {
    let mut wire = Wire::new();
    let a = wire.open("a");
    wire.send(a, with_method("a", b"1"));
    assert_eq!(wire.receive(a), ["CONNACK 8C Bad authentication method", "closed"]);
}

/// Proves: [MQTT-4.12.0-4]
#[test]
fn a_client_that_fails_a_challenge_is_refused() {
    let mut wire = asking();
    let a = wire.open("a");
    wire.send(a, with_method("a", b"1"));
    let request = wire.next_request().unwrap();
    wire.answer_connect(request, ConnectAnswer::Challenge(Bytes::from_static(b"2")));
    wire.receive(a);
    wire.send(a, go_on(b"wrong"));
    let request = wire.next_request().unwrap();
    wire.answer_connect(request, ConnectAnswer::Refuse(ConnectReason::NotAuthorized.into()));
    assert_eq!(wire.receive(a), ["CONNACK 87 Not authorized", "closed"]);
}

/// Proves: [MQTT-3.1.2-30], [MQTT-4.12.0-3], [MQTT-4.12.0-5]
#[test]
fn anything_but_the_fitting_auth_in_answer_to_a_challenge_is_a_protocol_error() {
    let wrong = [
        publish("t", "x").into(),
        pingreq(),
        Vec::from(connect("a")),
        auth(AuthReason::ContinueAuthentication, Some("OTHER"), b"3"),
        auth(AuthReason::ReAuthenticate, Some("TEST"), b"3"),
        auth(AuthReason::Success, Some("TEST"), b"3"),
        vec![0xF0, 0x00],
    ];
    for bytes in wrong {
        let mut wire = asking();
        let a = wire.open("a");
        wire.send(a, with_method("a", b"1"));
        let request = wire.next_request().unwrap();
        wire.answer_connect(request, ConnectAnswer::Challenge(Bytes::from_static(b"2")));
        wire.receive(a);
        wire.send(a, bytes.clone());
        assert_eq!(wire.receive(a), ["CONNACK 82 Protocol Error", "closed"], "{bytes:02x?}");
        assert!(wire.next_decision().is_none());
    }
}

#[test]
fn an_authentication_without_end_is_ended() {
    let mut wire = asking();
    let a = wire.open("a");
    wire.send(a, with_method("a", b"1"));
    for _ in 0..10 {
        let request = wire.next_request().unwrap();
        wire.answer_connect(request, ConnectAnswer::Challenge(Bytes::from_static(b"2")));
        wire.receive(a);
        wire.send(a, go_on(b"3"));
    }
    let request = wire.next_request().unwrap();
    assert_eq!(request.authentication_round(), 10);
    wire.answer_connect(request, ConnectAnswer::Challenge(Bytes::from_static(b"2")));
    wire.receive(a);
    wire.send(a, go_on(b"3"));
    assert_eq!(wire.receive(a), ["CONNACK 97 Quota exceeded", "closed"]);
}

#[test]
fn a_client_that_does_not_answer_a_challenge_is_refused_when_its_time_to_connect_is_over() {
    let mut wire = asking();
    let a = wire.open("a");
    wire.send(a, with_method("a", b"1"));
    let request = wire.next_request().unwrap();
    wire.answer_connect(request, ConnectAnswer::Challenge(Bytes::from_static(b"2")));
    wire.receive(a);
    wire.advance_secs(5);
    assert_eq!(wire.receive(a), ["CONNACK 87 Not authorized", "closed"]);
}

/// Proves: [MQTT-4.12.1-1], [MQTT-4.12.0-5]
#[test]
fn a_client_authenticates_again_while_messages_flow_on() {
    let mut wire = asking();
    let a = authenticated(&mut wire);
    wire.send(a, again(b"5"));
    let request = authenticate_request(&mut wire);
    assert_eq!((request.client_id(), request.identity()), ("a", Some("alice")));
    assert_eq!(request.authentication_method(), "TEST");
    assert_eq!(request.authentication_data(), Some(b"5".as_slice()));
    wire.send_all(a, [subscribe(1, "t").into(), publish("t", "x").into(), pingreq()]);
    let lines = wire.receive(a);
    assert_eq!(lines, ["SUBACK id=1 [00]", "PINGRESP", r#"PUBLISH q0 "t" "x""#]);
    wire.call(|broker, now| {
        let answer = AuthenticateAnswer::Challenge(Bytes::from_static(b"6"));
        broker.answer_authenticate(now, request, answer);
    });
    assert_eq!(wire.receive(a), [challenge("6")]);
    wire.send(a, go_on(b"7"));
    let request = authenticate_request(&mut wire);
    assert_eq!(request.authentication_round(), 1);
    wire.call(|broker, now| {
        broker.answer_authenticate(now, request, AuthenticateAnswer::Accept(None));
    });
    assert_eq!(wire.receive(a), [r#"AUTH 00 Success {authentication_method="TEST"}"#]);
}

/// Proves: [MQTT-4.12.1-2]
#[test]
fn a_client_that_fails_to_authenticate_again_is_disconnected() {
    let mut wire = asking();
    let a = authenticated(&mut wire);
    wire.send(a, again(b"5"));
    let request = authenticate_request(&mut wire);
    wire.call(|broker, now| {
        let answer = AuthenticateAnswer::Refuse(DisconnectReason::NotAuthorized);
        broker.answer_authenticate(now, request, answer);
    });
    assert_eq!(wire.receive(a), ["DISCONNECT 87 Not authorized", "closed"]);

    // So is one about whom nothing is decided in time.
    let a = authenticated(&mut wire);
    wire.send(a, again(b"5"));
    let _late = authenticate_request(&mut wire);
    wire.advance_secs(5);
    assert_eq!(wire.receive(a), ["DISCONNECT 87 Not authorized", "closed"]);
}

/// Proves: [MQTT-4.12.1-1]
#[test]
fn auth_that_does_not_fit_on_an_open_connection_is_a_protocol_error() {
    let wrong = [
        go_on(b"5"),
        auth(AuthReason::ReAuthenticate, Some("OTHER"), b"5"),
        auth(AuthReason::Success, Some("TEST"), b"5"),
        vec![0xF0, 0x00],
    ];
    for bytes in wrong {
        let mut wire = asking();
        let a = authenticated(&mut wire);
        wire.send(a, bytes.clone());
        assert_eq!(wire.receive(a), ["DISCONNECT 82 Protocol Error", "closed"], "{bytes:02x?}");
    }
    // Nor may one begin while another is under way.
    let mut wire = asking();
    let a = authenticated(&mut wire);
    wire.send_all(a, [again(b"5"), again(b"6")]);
    assert_eq!(wire.receive(a), ["DISCONNECT 82 Protocol Error", "closed"]);
}

/// Proves: [MQTT-4.12.0-6]
#[test]
fn without_a_method_in_the_connect_auth_is_a_protocol_error() {
    let mut wire = Wire::new();
    let a = wire.open("a");
    wire.send(a, connect("a"));
    let lines = wire.receive(a);
    assert!(!lines[0].contains("method"), "{lines:?}");
    wire.send(a, again(b"1"));
    assert_eq!(wire.receive(a), ["DISCONNECT 82 Protocol Error", "closed"]);
}

#[test]
fn an_address_that_was_refused_too_often_is_not_asked_about_any_more() {
    let mut wire = asking();
    let from = |number: u8| mqtt_session::PeerInfo {
        address: Some(core::net::SocketAddr::from(([192, 0, 2, number], 1000))),
        ..Default::default()
    };
    for _ in 0..10 {
        let a = wire.open_from("a", from(1)).unwrap();
        wire.send(a, connect("a"));
        let request = wire.next_request().unwrap();
        let refusal = ConnectReason::BadUserNameOrPassword.into();
        wire.answer_connect(request, ConnectAnswer::Refuse(refusal));
    }
    let a = wire.open_from("a", from(1)).unwrap();
    wire.send(a, connect("a"));
    assert!(wire.next_decision().is_none());
    assert_eq!(wire.receive(a), ["CONNACK 9F Connection rate exceeded", "closed"]);
    let b = wire.open_from("b", from(2)).unwrap();
    wire.send(b, connect("b"));
    assert!(wire.next_request().is_some(), "another address is not concerned");
    wire.advance_secs(60);
    let a = wire.open_from("a", from(1)).unwrap();
    wire.send(a, connect("a"));
    assert!(wire.next_request().is_some(), "and a minute later this one is heard again");
}

#[test]
fn a_refusal_for_another_reason_than_who_a_client_is_does_not_count_against_its_address() {
    let mut wire = asking();
    let peer = || mqtt_session::PeerInfo {
        address: Some(core::net::SocketAddr::from(([192, 0, 2, 1], 1000))),
        ..Default::default()
    };
    for _ in 0..11 {
        let a = wire.open_from("a", peer()).unwrap();
        wire.send(a, connect("a"));
        let request = wire.next_request().expect("the next one is asked about all the same");
        let refusal = ConnectReason::ServerBusy.into();
        wire.answer_connect(request, ConnectAnswer::Refuse(refusal));
        assert_eq!(wire.receive(a), ["CONNACK 89 Server busy", "closed"]);
    }
}
