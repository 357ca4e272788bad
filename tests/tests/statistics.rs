//! Counters and gauges: what a driver shows of its broker.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use mqtt_codec::{ConnectReason, DisconnectReason, PubAckReason, QoS, SubAckReason};
use mqtt_session::CloseCause;
use mqtt_tests::Wire;
use mqtt_tests::scripted::{
    connect, disconnect, disconnect_with, hex, puback, publish, pubrel, subscribe, will,
};

#[test]
fn messages_and_their_bytes_are_counted_by_qos_in_both_directions() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let reader = wire.connect(connect("reader"));
    wire.send(reader, subscribe(1, "t").qos(1));
    wire.send(publisher, publish("t", "12345"));
    wire.send(publisher, publish("t", "123").qos1(1));
    wire.send(publisher, publish("t", "1234567").qos2(2));
    // It comes again, and so it is counted again; it is not sent again.
    wire.send(publisher, publish("t", "1234567").qos2(2).dup());
    wire.send(publisher, pubrel(2));
    let statistics = wire.broker().statistics();
    let counts = |volume: mqtt_session::Volume| (volume.messages, volume.payload_bytes);
    assert_eq!(counts(statistics.received.of(QoS::AtMostOnce)), (1, 5));
    assert_eq!(counts(statistics.received.of(QoS::AtLeastOnce)), (1, 3));
    assert_eq!(counts(statistics.received.of(QoS::ExactlyOnce)), (2, 14));
    assert_eq!(counts(statistics.received.total()), (4, 22));
    assert_eq!(counts(statistics.sent.of(QoS::AtMostOnce)), (1, 5));
    assert_eq!(counts(statistics.sent.of(QoS::AtLeastOnce)), (2, 10));
    assert_eq!(counts(statistics.sent.of(QoS::ExactlyOnce)), (0, 0));
    let (received, sent) = (statistics.bytes_received, statistics.bytes_sent);
    assert!(received > 22 && sent > 15, "{received} and {sent} bytes, headers and all");
}

#[test]
fn refused_clients_are_counted_by_reason() {
    let mut wire = Wire::configured(|config| config.limits.sessions = 1);
    wire.connect(connect("a"));
    for script in [
        connect("b"),
        connect("c"),
        connect("a").will(will("$SYS", "")),
        connect(&"x".repeat(2000)),
    ] {
        let peer = wire.open("refused");
        wire.send(peer, script);
    }
    let refused = &wire.broker().statistics().connects_refused;
    assert_eq!(
        refused.iter().collect::<Vec<_>>(),
        [
            (ConnectReason::ClientIdentifierNotValid, 1),
            (ConnectReason::NotAuthorized, 1),
            (ConnectReason::QuotaExceeded, 2),
        ]
    );
    assert_eq!((refused.total(), refused.of(ConnectReason::Banned)), (4, 0));
    assert_eq!(wire.broker().statistics().connects_accepted, 1);
}

#[test]
fn every_end_of_a_connection_is_counted_once_by_its_cause() {
    let mut wire = Wire::new();
    let left = wire.connect(connect("left"));
    wire.send(left, disconnect());
    let left = wire.connect(connect("left"));
    wire.send(left, disconnect_with(DisconnectReason::DisconnectWithWillMessage, |_| {}));
    let lost = wire.connect(connect("lost"));
    wire.cut(lost);
    let silent = wire.connect(connect("silent").keep_alive(2));
    wire.open("never");
    let stranger = wire.open("stranger");
    wire.send(stranger, hex("c0 00"));
    let wrong = wire.connect(connect("wrong"));
    wire.send(wrong, hex("ff"));
    let stuck = wire.connect(connect("stuck"));
    wire.stop_reading(stuck);
    wire.send(stuck, hex("c0 00"));
    wire.advance_secs(40);
    assert_eq!(wire.cause(silent), Some(CloseCause::Ended(DisconnectReason::KeepAliveTimeout)));
    let statistics = wire.broker().statistics();
    let closed = &statistics.closed;
    assert_eq!(
        closed.by_client.iter().collect::<Vec<_>>(),
        [
            (DisconnectReason::NormalDisconnection, 1),
            (DisconnectReason::DisconnectWithWillMessage, 1),
        ]
    );
    assert_eq!(
        closed.by_broker.iter().collect::<Vec<_>>(),
        [(DisconnectReason::MalformedPacket, 1), (DisconnectReason::KeepAliveTimeout, 1)]
    );
    assert_eq!((closed.lost, closed.not_mqtt), (1, 1));
    assert_eq!((closed.connect_timeout, closed.write_stall), (1, 1));
    assert_eq!(statistics.connections_opened, 8);
    assert_eq!(wire.broker().gauges().connections, 0);
}

#[test]
fn what_a_session_loses_is_counted_for_it_and_for_the_broker() {
    let mut wire = Wire::configured(|config| {
        config.limits.queued_messages = 2;
        config.limits.subscriptions = 2;
        config.limits.retained_messages = 0;
    });
    let publisher = wire.connect(connect("publisher"));
    let script = || connect("a").resume().expiry(100).receive_maximum(1).packet_size(100);
    let a = wire.connect(script());
    wire.send(a, subscribe(1, "t").qos(1).and("u").and("v").and("w"));
    wire.receive(a);
    wire.cut(a);
    // QoS 0 without a connection, one message too many, one that expires, one that is too large.
    wire.send(publisher, publish("t", "x"));
    wire.send(publisher, publish("t", "brief").qos1(1).expiry(1));
    wire.send(publisher, publish("t", vec![0; 200]).qos1(1));
    wire.send(publisher, publish("t", "late").qos1(1));
    wire.send(publisher, publish("t", "kept").qos1(1).retain());
    wire.advance_secs(2);
    let a = wire.connect(script());
    assert_eq!(wire.receive(a), [""; 0]);

    let own = wire.broker().session_statistics("a").unwrap();
    let dropped = &own.dropped;
    assert_eq!((dropped.not_connected, dropped.queue_full), (1, 1));
    assert_eq!((dropped.expired, dropped.too_large), (1, 1));
    assert_eq!(dropped.total(), 4);
    assert_eq!(own.subscriptions_refused.of(SubAckReason::QuotaExceeded), 2);
    assert_eq!(own.publishes_refused.total(), 0);
    let publishers = wire.broker().session_statistics("publisher").unwrap();
    assert_eq!(publishers.publishes_refused.of(PubAckReason::QuotaExceeded), 1);
    assert_eq!(publishers.dropped.total(), 0);
    let all = wire.broker().statistics();
    assert_eq!(&all.dropped, dropped);
    assert_eq!(all.subscriptions_refused, own.subscriptions_refused);
    assert_eq!(all.publishes_refused, publishers.publishes_refused);

    // With the session its own counters go; the broker's stay.
    wire.send(publisher, publish("t", "waits").qos1(1));
    wire.send(publisher, publish("t", "waits").qos1(1));
    wire.receive(a);
    wire.cut(a);
    wire.advance_secs(100);
    assert_eq!(wire.broker().session_statistics("a"), None);
    let all = wire.broker().statistics();
    assert_eq!((all.dropped.session_ended, all.dropped.total()), (2, 6));
    assert_eq!(all.sessions_expired, 1);
}

#[test]
fn gauges_tell_what_is_there() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").expiry(100).will(will("will", "12345678")));
    wire.open("not yet a client");
    wire.send(a, subscribe(1, "t").qos(1).and("$share/g/t").and("$share/h/#").qos(1));
    wire.send(a, publish("kept", "12345678").retain());
    wire.receive(a);
    let gauges = wire.broker().gauges();
    assert_eq!((gauges.connections, gauges.connected, gauges.sessions), (2, 1, 1));
    assert_eq!((gauges.subscriptions, gauges.shared_subscriptions), (3, 2));
    assert_eq!((gauges.retained_messages, gauges.retained_bytes), (1, 12));
    assert_eq!(gauges.will_bytes, 12);
    assert_eq!((gauges.messages, gauges.message_bytes), (2, 24));
    wire.send(a, puback(1));
    wire.send(a, disconnect());
    let gauges = wire.broker().gauges();
    assert_eq!((gauges.connections, gauges.connected, gauges.sessions), (1, 0, 1));
    assert_eq!(gauges.will_bytes, 0);
    wire.advance_secs(100);
    let gauges = wire.broker().gauges();
    assert_eq!((gauges.connections, gauges.sessions, gauges.subscriptions), (0, 0, 0));
    assert_eq!(gauges.messages, 1, "the retained one");
}
