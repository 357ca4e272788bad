//! The end of a connection, from either side.

use mqtt_codec::DisconnectReason;
use mqtt_session::{CloseCause, OpenError, PeerInfo};
use mqtt_tests::Wire;
use mqtt_tests::scripted::{
    connect, disconnect, disconnect_with, framed, hex, pingreq, publish, subscribe, will,
};

/// Proves: [MQTT-3.14.4-1], [MQTT-3.14.4-3]
#[test]
fn what_came_before_a_disconnect_is_done_and_what_comes_after_it_is_not() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    let b = wire.connect(connect("b"));
    wire.send(b, subscribe(1, "#"));
    wire.receive(b);
    wire.send_all(
        a,
        [
            publish("t", "before").qos1(1).into(),
            pingreq(),
            disconnect(),
            publish("t", "after").into(),
            pingreq(),
        ],
    );
    assert_eq!(wire.receive(a), ["PUBACK id=1", "PINGRESP", "closed"]);
    assert_eq!(wire.receive(b), [r#"PUBLISH q0 "t" "before""#]);
    assert_eq!(
        wire.cause(a),
        Some(CloseCause::Disconnected(DisconnectReason::NormalDisconnection))
    );
}

#[test]
fn a_message_right_before_the_end_of_the_stream_is_passed_on() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").will(will("w", "gone")));
    let b = wire.connect(connect("b"));
    wire.send(b, subscribe(1, "#"));
    wire.receive(b);
    wire.stop_reading(a);
    wire.send(a, publish("t", "last").qos1(1));
    wire.cut(a);
    assert_eq!(wire.receive(b), [r#"PUBLISH q0 "t" "last""#, r#"PUBLISH q0 "w" "gone""#]);
    assert_eq!(wire.receive(a), ["closed"], "and nothing is sent to who is gone");
    assert_eq!(wire.cause(a), Some(CloseCause::ConnectionLost));
}

/// Proves: [MQTT-3.14.2-1]
#[test]
fn every_form_of_disconnect_is_understood() {
    let long = framed(0xE0, &hex("04 10 11 00000000 1f 0003 627965 26 0000 0000"));
    for (bytes, reason) in [
        (hex("e0 00"), DisconnectReason::NormalDisconnection),
        (hex("e0 01 00"), DisconnectReason::NormalDisconnection),
        (hex("e0 01 04"), DisconnectReason::DisconnectWithWillMessage),
        (hex("e0 02 80 00"), DisconnectReason::UnspecifiedError),
        (long, DisconnectReason::DisconnectWithWillMessage),
        // In one of the standard's two tables, so that it is taken.
        (hex("e0 01 8c"), DisconnectReason::BadAuthenticationMethod),
    ] {
        let mut wire = Wire::new();
        let a = wire.connect(connect("a"));
        wire.send(a, bytes);
        assert_eq!(wire.receive(a), ["closed"]);
        assert_eq!(wire.cause(a), Some(CloseCause::Disconnected(reason)));
    }
}

/// Proves: [MQTT-3.14.4-2], [MQTT-3.14.2-2], [MQTT-4.13.2-1]
#[test]
fn the_driver_can_end_a_connection_with_a_reason() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").expiry(100));
    let b = wire.connect(connect("b"));
    wire.disconnect(a, DisconnectReason::AdministrativeAction);
    assert_eq!(wire.receive(a), ["DISCONNECT 98 Administrative action", "closed"]);
    assert_eq!(wire.cause(a), Some(CloseCause::Ended(DisconnectReason::AdministrativeAction)));
    // A second time there is nothing to end.
    wire.disconnect(a, DisconnectReason::AdministrativeAction);
    assert_eq!(wire.cause(b), None);
    let a = wire.connect(connect("a").resume());
    assert!(wire.session_present(a), "the session lives on");
}

/// Proves: [MQTT-3.14.4-1], [MQTT-3.14.4-2]
#[test]
fn a_client_that_is_being_disconnected_is_not_read_any_more() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    let b = wire.connect(connect("b"));
    wire.send(b, subscribe(1, "#"));
    wire.receive(b);
    wire.stop_reading(a);
    wire.send(a, connect("a"));
    wire.send(a, publish("t", "too late"));
    wire.send(b, publish("t", "x"));
    assert_eq!(wire.receive(b), [r#"PUBLISH q0 "t" "x""#]);
    wire.read_again(a);
    assert_eq!(wire.receive(a), ["DISCONNECT 82 Protocol Error", "closed"]);
}

#[test]
fn a_client_that_does_not_take_its_disconnect_is_given_up() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    wire.stop_reading(a);
    wire.send(a, connect("a"));
    wire.advance_secs(29);
    assert_eq!(wire.cause(a), None);
    wire.advance_secs(1);
    assert_eq!(wire.receive(a), ["closed"]);
    assert_eq!(wire.broker().gauges().connections, 0);
}

#[test]
fn shutdown_tells_everybody_and_lets_nobody_in() {
    let mut wire = Wire::new();
    let watcher = wire.connect(connect("watcher").expiry(100));
    wire.send(watcher, subscribe(1, "w").qos(1));
    let a = wire.connect(connect("a").expiry(100).will(will("w", "gone").qos(1)));
    let opened = wire.open("opened");
    let stuck = wire.connect(connect("stuck"));
    wire.stop_reading(stuck);
    wire.receive(watcher);
    wire.shutdown();
    let goodbye = ["DISCONNECT 8B Server shutting down", "closed"];
    assert_eq!(wire.receive(watcher), goodbye);
    assert_eq!(wire.receive(a), goodbye);
    assert_eq!(wire.receive(opened), ["closed"]);
    assert_eq!(wire.open_from("late", PeerInfo::default()), Err(OpenError::ShuttingDown));
    assert_eq!(wire.cause(stuck), None);
    wire.read_again(stuck);
    assert_eq!(wire.receive(stuck), goodbye);
    assert_eq!(wire.broker().gauges().connections, 0);
    assert_eq!(wire.broker().statistics().wills_published, 1);
}

#[test]
fn the_end_of_a_connection_is_told_once() {
    let mut wire = Wire::new();
    // The wire itself objects to an end that is told twice, and to one that is never told.
    for round in 0..4 {
        let a = wire.connect(connect("a").keep_alive(1));
        match round {
            0 => wire.send(a, disconnect()),
            1 => wire.cut(a),
            2 => wire.send(a, disconnect_with(DisconnectReason::UnspecifiedError, |_| {})),
            _ => wire.send(a, hex("00")),
        }
        wire.cut(a);
        wire.advance_secs(10);
        assert_eq!(wire.receive(a).last().unwrap(), "closed");
    }
    assert_eq!(wire.broker().gauges().connections, 0);
    assert_eq!(wire.broker().poll_timeout(), None, "and no timer is left");
}
