//! Will Messages: when they are published, when they are not, and how.

use mqtt_codec::{DisconnectReason, PayloadFormat};
use mqtt_tests::scripted::{
    WillScript, connect, disconnect, disconnect_with, hex, publish, subscribe, will,
};
use mqtt_tests::{Peer, Wire};

/// A wire with a client that watches "w" and everything below it.
fn watched() -> (Wire, Peer) {
    let mut wire = Wire::new();
    let watcher = wire.connect(connect("watcher").expiry(100));
    wire.send(watcher, subscribe(1, "w/#").qos(2).retain_as_published());
    wire.receive(watcher);
    (wire, watcher)
}

const GONE: &str = r#"PUBLISH q0 "w" "gone""#;

/// Proves: [MQTT-3.1.2-7], [MQTT-3.1.2-8], [MQTT-3.1.2-10], [MQTT-3.1.2-14], [MQTT-3.1.2-15]
#[test]
fn a_will_is_published_once_as_it_was_given_when_the_connection_is_lost() {
    for (script, line, retained) in [
        (will("w", "gone"), GONE, 0),
        (will("w", "gone").qos(1), r#"PUBLISH q1 id=1 "w" "gone""#, 0),
        (will("w", "gone").qos(2).retain(), r#"PUBLISH q2 id=1 retain "w" "gone""#, 1),
    ] {
        let (mut wire, watcher) = watched();
        let a = wire.connect(connect("a").expiry(100).will(script));
        assert_eq!(wire.receive(watcher), [""; 0]);
        wire.cut(a);
        assert_eq!(wire.receive(watcher), [line]);
        assert_eq!(wire.broker().gauges().retained_messages, retained);
        // Neither the end of the session nor another connection publishes it again.
        wire.advance_secs(200);
        let a = wire.connect(connect("a"));
        wire.cut(a);
        assert_eq!(wire.receive(watcher), [""; 0]);
        assert_eq!(wire.broker().statistics().wills_published, 1);
    }
}

/// Proves: [MQTT-3.14.4-3], [MQTT-3.1.2-8], [MQTT-3.1.2-10]
#[test]
fn only_disconnect_0x00_deletes_the_will() {
    use DisconnectReason as Reason;
    for reason in [
        Reason::NormalDisconnection,
        Reason::DisconnectWithWillMessage,
        Reason::UnspecifiedError,
        Reason::MalformedPacket,
        Reason::ProtocolError,
        Reason::ImplementationSpecificError,
        Reason::TopicNameInvalid,
        Reason::ReceiveMaximumExceeded,
        Reason::TopicAliasInvalid,
        Reason::PacketTooLarge,
        Reason::MessageRateTooHigh,
        Reason::QuotaExceeded,
        Reason::AdministrativeAction,
        Reason::PayloadFormatInvalid,
    ] {
        let (mut wire, watcher) = watched();
        let a = wire.connect(connect("a").expiry(100).will(will("w", "gone")));
        wire.send(a, disconnect_with(reason, |_| {}));
        let deleted = reason == Reason::NormalDisconnection;
        let expected: &[&str] = if deleted { &[] } else { &[GONE] };
        assert_eq!(wire.receive(watcher), expected, "{reason}");
        wire.advance_secs(200);
        assert_eq!(wire.receive(watcher), [""; 0], "{reason}");
        assert_eq!(wire.broker().gauges().messages, 0);
    }
}

/// Proves: [MQTT-3.1.2-8], [MQTT-3.1.2-22]
#[test]
fn whatever_ends_the_connection_but_disconnect_publishes_the_will() {
    type End = fn(&mut Wire, Peer);
    let ends: [(&str, End); 6] = [
        ("a protocol error", |wire, a| wire.send(a, connect("a"))),
        ("a malformed packet", |wire, a| wire.send(a, hex("c1 00"))),
        ("silence", |wire, _| wire.advance_secs(90)),
        ("a take-over", |wire, _| _ = wire.connect(connect("a").resume().expiry(100))),
        ("the broker's driver", |wire, a| {
            wire.disconnect(a, DisconnectReason::AdministrativeAction);
        }),
        ("a client that does not read", |wire, a| {
            wire.stop_reading(a);
            wire.send(a, hex("c0 00"));
            wire.advance_secs(30);
        }),
    ];
    for (what, end) in ends {
        let (mut wire, watcher) = watched();
        let script = connect("a").expiry(100).keep_alive(60).will(will("w", "gone"));
        let a = wire.connect(script);
        end(&mut wire, a);
        assert_eq!(wire.receive(watcher), [GONE], "{what}");
    }
}

/// What comes of a will, by the rules: seconds after the end of the connection, or never.
fn published_after(delay: u32, expiry: u32, back: Option<(u32, bool)>) -> Option<u32> {
    let due = delay.min(expiry);
    match back {
        // A reconnect before it is due cancels it, unless that ends the session.
        Some((at, clean)) if at < due => clean.then_some(at),
        _ => Some(due),
    }
}

/// Proves: [MQTT-3.1.2-8], [MQTT-3.1.3-9], [MQTT-3.1.2-10], [MQTT-4.1.0-2]
#[test]
fn a_will_is_published_after_its_delay_or_with_the_end_of_the_session() {
    let backs = [None]
        .into_iter()
        .chain([0, 1, 3, 4, 7].into_iter().flat_map(|at| [Some((at, false)), Some((at, true))]));
    for back in backs {
        for delay in [0, 2, 5, 100] {
            for expiry in [0, 2, 5, 8] {
                let expected = published_after(delay, expiry, back);
                let (mut wire, watcher) = watched();
                let gone = will("w", "gone").delay(delay);
                let a = wire.connect(connect("a").expiry(expiry).will(gone));
                wire.cut(a);
                let mut seen = None;
                for second in 0..12 {
                    if let Some((at, clean)) = back
                        && at == second
                    {
                        let script = connect("a").expiry(100);
                        wire.connect(if clean { script } else { script.resume() });
                    }
                    if !wire.receive(watcher).is_empty() {
                        assert_eq!(seen.replace(second), None, "published twice");
                    }
                    wire.advance_secs(1);
                }
                let case = format!("delay {delay}, expiry {expiry}, back {back:?}");
                assert_eq!(seen, expected.filter(|&second| second < 12), "{case}");
            }
        }
    }
}

/// Proves: [MQTT-3.1.4-3], [MQTT-3.1.2-8], [MQTT-3.1.3-9]
#[test]
fn a_take_over_publishes_the_old_will_unless_its_delay_lets_it_be_cancelled() {
    for (delay, clean, published) in
        [(0, false, true), (0, true, true), (5, false, false), (5, true, true)]
    {
        let (mut wire, watcher) = watched();
        wire.connect(connect("a").expiry(100).will(will("w", "gone").delay(delay)));
        let script = connect("a").expiry(100);
        wire.connect(if clean { script } else { script.resume() });
        wire.advance_secs(50);
        let expected: &[&str] = if published { &[GONE] } else { &[] };
        assert_eq!(wire.receive(watcher), expected, "delay {delay}, clean start {clean}");
    }
}

#[test]
fn a_shorter_interval_in_disconnect_brings_the_will_forward() {
    let (mut wire, watcher) = watched();
    let a = wire.connect(connect("a").expiry(100).will(will("w", "gone").delay(50)));
    let reason = DisconnectReason::DisconnectWithWillMessage;
    wire.send(a, disconnect_with(reason, |p| _ = p.session_expiry_interval(3)));
    wire.advance_secs(2);
    assert_eq!(wire.receive(watcher), [""; 0]);
    wire.advance_secs(1);
    assert_eq!(wire.receive(watcher), [GONE]);
}

/// Proves: [MQTT-3.1.2-7]
#[test]
fn each_connection_has_its_own_will() {
    let (mut wire, watcher) = watched();
    let first = wire.connect(connect("a").expiry(100).will(will("w", "first").delay(5)));
    wire.cut(first);
    let second = wire.connect(connect("a").resume().expiry(100).will(will("w", "second")));
    wire.cut(second);
    assert_eq!(wire.receive(watcher), [r#"PUBLISH q0 "w" "second""#]);
    let third = wire.connect(connect("a").resume().expiry(100));
    wire.cut(third);
    wire.advance_secs(200);
    assert_eq!(wire.receive(watcher), [""; 0], "the third has none");
}

/// Proves: [MQTT-3.1.3-10], [MQTT-3.3.2-18], [MQTT-3.3.2-6]
#[test]
fn a_will_is_published_with_its_properties_in_their_order() {
    let (mut wire, watcher) = watched();
    let script = will("w", "gone").delay(3).with(|p| {
        p.payload_format_indicator(PayloadFormat::Utf8).message_expiry_interval(20);
        p.user_property("b", "2").unwrap();
        p.content_type("text/plain").unwrap();
        p.user_property("a", "1").unwrap();
        p.user_property("b", "1").unwrap();
        p.correlation_data(b"7").unwrap();
    });
    let a = wire.connect(connect("a").expiry(100).will(script));
    wire.advance_secs(30);
    wire.cut(a);
    wire.advance_secs(3);
    // Its expiry runs from the publishing on, and the delay is nobody else's business.
    assert_eq!(
        wire.receive(watcher),
        [concat!(
            r#"PUBLISH q0 "w" "gone" {expiry=20, payload_format=1, "b"="2", "#,
            r#"content_type="text/plain", "a"="1", "b"="1", correlation_data="7"}"#
        )]
    );
}

/// Proves: [MQTT-3.3.2-5]
#[test]
fn the_expiry_of_a_will_counts_from_its_publishing() {
    let (mut wire, watcher) = watched();
    wire.cut(watcher);
    let script = will("w", "gone").qos(1).with(|p| _ = p.message_expiry_interval(20));
    let a = wire.connect(connect("a").will(script));
    wire.advance_secs(30);
    wire.cut(a);
    wire.advance_secs(19);
    let watcher = wire.connect(connect("watcher").resume().expiry(100));
    assert_eq!(wire.receive(watcher), [r#"PUBLISH q1 id=1 "w" "gone" {expiry=1}"#]);
}

#[test]
fn a_retained_will_without_payload_clears_the_retained_message() {
    let (mut wire, watcher) = watched();
    wire.send(watcher, publish("w", "state").retain());
    wire.receive(watcher);
    assert_eq!(wire.broker().gauges().retained_messages, 1);
    let a = wire.connect(connect("a").will(will("w", "").retain()));
    wire.cut(a);
    assert_eq!(wire.receive(watcher), [r#"PUBLISH q0 retain "w" """#]);
    assert_eq!(wire.broker().gauges().retained_messages, 0);
    assert_eq!(wire.broker().gauges().messages, 0);
}

/// Proves: [MQTT-3.8.3-3]
#[test]
fn a_will_is_the_clients_own_message_for_no_local() {
    let (mut wire, watcher) = watched();
    let script = connect("a").expiry(100).will(will("w", "gone").qos(1));
    let a = wire.connect(script.clone());
    wire.send(a, subscribe(1, "w").qos(1).no_local());
    wire.cut(a);
    assert_eq!(wire.receive(watcher), [r#"PUBLISH q1 id=1 "w" "gone""#]);
    let a = wire.connect(connect("a").resume().expiry(100));
    assert_eq!(wire.receive(a), [""; 0], "its own will does not come back to it");
    // Without No Local it does.
    let a = wire.connect(script);
    wire.send(a, subscribe(1, "w").qos(1));
    wire.cut(a);
    let a = wire.connect(connect("a").resume().expiry(100));
    assert_eq!(wire.receive(a), [r#"PUBLISH q1 id=1 "w" "gone""#]);
}

#[test]
fn a_retained_will_that_finds_no_room_is_published_and_not_retained() {
    for limit in ["messages", "bytes"] {
        let mut wire = Wire::configured(|config| {
            if limit == "messages" {
                config.limits.retained_messages = 1;
            } else {
                config.limits.retained_bytes = 10;
            }
        });
        let watcher = wire.connect(connect("watcher"));
        wire.send(watcher, subscribe(1, "#"));
        wire.send(watcher, publish("first", "").retain());
        wire.send(watcher, publish("first", "12345").retain());
        wire.receive(watcher);
        for round in 0..3 {
            let a = wire.connect(connect("a").will(will(&format!("w/{round}"), "gone").retain()));
            wire.cut(a);
            let line = format!(r#"PUBLISH q0 "w/{round}" "gone""#);
            assert_eq!(wire.receive(watcher), [line]);
        }
        let gauges = wire.broker().gauges();
        assert_eq!((gauges.retained_messages, gauges.retained_bytes), (1, 10), "{limit}");
        assert_eq!(gauges.messages, 1, "{limit}");
        assert_eq!(wire.broker().statistics().publishes_refused.total(), 3, "{limit}");
    }
}

#[test]
fn a_will_reaches_the_clients_own_session_as_any_other() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").expiry(10).will(will("w", "gone").qos(1).delay(10)));
    wire.send(a, subscribe(1, "w").qos(1));
    wire.cut(a);
    // Session and will end in the same moment: the message has nowhere to go.
    wire.advance_secs(10);
    let gauges = wire.broker().gauges();
    assert_eq!((gauges.sessions, gauges.messages, gauges.subscriptions), (0, 0, 0));
    assert_eq!(wire.broker().statistics().wills_published, 1);
}

#[test]
fn a_will_that_was_cancelled_or_published_frees_its_memory() {
    let (mut wire, watcher) = watched();
    for _ in 0..3 {
        let script = will("w", vec![0; 4000]).delay(50);
        let a = wire.connect(connect("a").expiry(100).will(script));
        assert_eq!(wire.broker().gauges().messages, 1);
        wire.send(a, disconnect());
        assert_eq!(wire.broker().gauges().messages, 0);
    }
    let script: WillScript = will("w", vec![0; 4000]).delay(50);
    let a = wire.connect(connect("a").expiry(100).will(script));
    wire.cut(a);
    assert_eq!(wire.broker().gauges().messages, 1);
    wire.connect(connect("a").resume());
    assert_eq!(wire.broker().gauges().messages, 0);
    assert_eq!(wire.broker().gauges().message_bytes, 0);
    assert_eq!(wire.receive(watcher), [""; 0]);
}

#[test]
fn the_longest_delay_and_the_longest_session_are_bounded_by_the_broker() {
    let (mut wire, watcher) = watched();
    let gone = will("w", "gone").delay(u32::MAX);
    let a = wire.connect(connect("a").expiry(u32::MAX).will(gone));
    wire.cut(a);
    wire.advance_secs(24 * 60 * 60 - 1);
    wire.connect(connect("watcher").resume());
    assert_eq!(wire.broker().statistics().wills_published, 0);
    wire.advance_secs(1);
    assert_eq!(wire.broker().statistics().wills_published, 1);
    assert_eq!(wire.receive(watcher).last().unwrap(), "closed");
}
