//! What a client identifier stands for: sessions that begin, go on, are taken over and expire.

use mqtt_codec::DisconnectReason;
use mqtt_session::CloseCause;
use mqtt_tests::scripted::{
    connect, disconnect, disconnect_with, puback, publish, subscribe, unsubscribe,
};
use mqtt_tests::{Peer, Wire};

/// A wire with a publisher, and a session "a" that subscribes to "t" at QoS 1.
fn with_subscriber(expiry: u32) -> (Wire, Peer, Peer) {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").expiry(expiry));
    wire.send(a, subscribe(1, "t").qos(1));
    wire.receive(a);
    (wire, publisher, a)
}

fn resume(wire: &mut Wire, expiry: u32) -> (Peer, bool) {
    let peer = wire.connect(connect("a").resume().expiry(expiry));
    (peer, wire.session_present(peer))
}

/// Proves: [MQTT-3.1.2-5], [MQTT-3.2.2-3], [MQTT-3.1.2-23], [MQTT-4.5.0-1], [MQTT-3.1.3-2]
#[test]
fn a_resumed_session_has_its_subscriptions_and_what_came_meanwhile() {
    let (mut wire, publisher, a) = with_subscriber(100);
    wire.send(a, disconnect());
    wire.send_all(publisher, [publish("t", "away").qos1(1).into(), publish("t", "lost").into()]);
    assert_eq!(wire.receive(publisher), ["PUBACK id=1"]);
    let (a, session_present) = resume(&mut wire, 100);
    assert!(session_present);
    assert_eq!(wire.receive(a), [r#"PUBLISH q1 id=1 "t" "away""#]);
    wire.send(publisher, publish("t", "here"));
    assert_eq!(wire.receive(a), [r#"PUBLISH q0 "t" "here""#]);
}

/// Proves: [MQTT-3.1.2-4], [MQTT-3.1.4-4], [MQTT-3.2.2-2]
#[test]
fn clean_start_throws_the_session_away_and_begins_a_new_one() {
    let (mut wire, publisher, a) = with_subscriber(100);
    wire.cut(a);
    wire.send(publisher, publish("t", "x").qos1(1));
    wire.receive(publisher);
    assert_eq!(wire.broker().gauges().messages, 1);
    let a = wire.connect(connect("a").expiry(100));
    assert!(!wire.session_present(a));
    assert_eq!(wire.broker().gauges().messages, 0);
    assert_eq!(wire.broker().gauges().subscriptions, 0);
    wire.send(publisher, publish("t", "y").qos1(2));
    assert_eq!(wire.receive(publisher), ["PUBACK id=2 10 No matching subscribers"]);
    assert_eq!(wire.receive(a), [""; 0]);
}

/// Proves: [MQTT-3.1.2-6], [MQTT-3.2.2-3]
#[test]
fn a_client_that_wants_to_resume_and_is_not_known_begins_a_new_session() {
    let mut wire = Wire::new();
    assert!(!resume(&mut wire, 100).1);
    assert!(resume(&mut wire, 100).1);
}

/// Proves: [MQTT-3.1.3-2]
#[test]
fn sessions_are_told_apart_by_the_exact_client_identifier() {
    let mut wire = Wire::new();
    for id in ["a", "A", "a ", "\u{e4}", "a\u{308}"] {
        let peer = wire.connect(connect(id).resume().expiry(100));
        assert!(!wire.session_present(peer), "{id:?}");
    }
    assert_eq!(wire.broker().gauges().sessions, 5);
    assert_eq!(wire.broker().statistics().take_overs, 0);
}

/// Proves: [MQTT-4.1.0-2], [MQTT-3.1.2-23]
#[test]
fn a_session_ends_when_its_interval_has_run_out_after_the_connection() {
    for (interval, away, survives) in
        [(0, 0, false), (10, 9, true), (10, 10, false), (86_400, 86_399, true)]
    {
        let (mut wire, publisher, a) = with_subscriber(interval);
        // The interval begins with the end of the connection, however long that lasts.
        wire.advance_secs(50);
        wire.cut(a);
        wire.advance_secs(away);
        let gauges = wire.broker().gauges();
        assert_eq!(gauges.sessions, if survives { 2 } else { 1 }, "{interval} after {away}");
        assert_eq!(gauges.subscriptions, usize::from(survives));
        wire.send(publisher, publish("t", "x").qos1(1));
        let answer =
            if survives { "PUBACK id=1" } else { "PUBACK id=1 10 No matching subscribers" };
        assert_eq!(wire.receive(publisher), [answer]);
        assert_eq!(resume(&mut wire, interval).1, survives);
    }
}

#[test]
fn a_session_without_end_outlives_years() {
    let mut wire = Wire::configured(|config| config.session_expiry_ceiling = u32::MAX);
    let a = wire.connect(connect("a").expiry(u32::MAX));
    wire.cut(a);
    assert_eq!(wire.broker().poll_timeout(), None, "nothing becomes due");
    wire.advance_secs(200 * 365 * 86_400);
    assert!(resume(&mut wire, u32::MAX).1);
}

/// Proves: [MQTT-4.1.0-1]
#[test]
fn a_session_does_not_end_while_it_is_connected() {
    let (mut wire, publisher, a) = with_subscriber(1);
    wire.advance_secs(1000);
    wire.send(publisher, publish("t", "x"));
    assert_eq!(wire.receive(a), [r#"PUBLISH q0 "t" "x""#]);
    wire.cut(a);
    wire.advance(core::time::Duration::from_millis(999));
    let (a, session_present) = resume(&mut wire, 1);
    assert!(session_present, "and a new connection stops the clock");
    wire.advance_secs(1000);
    assert_eq!(wire.cause(a), None);
    wire.send(publisher, publish("t", "y"));
    assert_eq!(wire.receive(a), [r#"PUBLISH q0 "t" "y""#]);
}

#[test]
fn each_connect_sets_the_interval_anew() {
    let (mut wire, _, a) = with_subscriber(1000);
    wire.cut(a);
    let (a, session_present) = resume(&mut wire, 0);
    assert!(session_present);
    wire.cut(a);
    assert!(!resume(&mut wire, 1000).1, "the last CONNECT said 0");
}

#[test]
fn the_interval_is_at_most_the_ceiling() {
    let (mut wire, _, a) = with_subscriber(u32::MAX);
    wire.cut(a);
    wire.advance_secs(24 * 60 * 60 - 1);
    let (a, session_present) = resume(&mut wire, u32::MAX);
    assert!(session_present);
    let forever = |p: &mut mqtt_codec::PropertyBuf| _ = p.session_expiry_interval(u32::MAX);
    wire.send(a, disconnect_with(DisconnectReason::NormalDisconnection, forever));
    wire.advance_secs(24 * 60 * 60);
    assert!(!resume(&mut wire, 0).1);
}

#[test]
fn disconnect_may_shorten_and_lengthen_the_interval() {
    for (asked, said, away, survives) in
        [(100, 0, 0, false), (100, 5, 4, true), (100, 5, 5, false), (5, 100, 99, true)]
    {
        let (mut wire, _, a) = with_subscriber(asked);
        let change = |p: &mut mqtt_codec::PropertyBuf| _ = p.session_expiry_interval(said);
        wire.send(a, disconnect_with(DisconnectReason::NormalDisconnection, change));
        assert_eq!(
            wire.cause(a),
            Some(CloseCause::Disconnected(DisconnectReason::NormalDisconnection))
        );
        wire.advance_secs(away);
        assert_eq!(resume(&mut wire, 0).1, survives, "{asked} then {said}, after {away}");
    }
}

/// Proves: [MQTT5-U-3.14.2.2.2-2], [MQTT-4.13.1-1]
#[test]
fn disconnect_may_not_give_an_interval_to_a_session_that_had_none() {
    let (mut wire, _, a) = with_subscriber(0);
    let change = |p: &mut mqtt_codec::PropertyBuf| _ = p.session_expiry_interval(1);
    wire.send(a, disconnect_with(DisconnectReason::NormalDisconnection, change));
    assert_eq!(wire.receive(a), ["DISCONNECT 82 Protocol Error", "closed"]);
    assert!(!resume(&mut wire, 0).1);
    // 0 again is no change.
    let (a, _) = resume(&mut wire, 0);
    let same = |p: &mut mqtt_codec::PropertyBuf| _ = p.session_expiry_interval(0);
    wire.send(a, disconnect_with(DisconnectReason::NormalDisconnection, same));
    assert_eq!(wire.receive(a), ["closed"]);
}

#[test]
fn what_counts_for_disconnect_is_the_interval_of_connect_not_the_one_granted() {
    let mut wire = Wire::configured(|config| config.session_expiry_ceiling = 0);
    let a = wire.connect(connect("a").expiry(100));
    let change = |p: &mut mqtt_codec::PropertyBuf| _ = p.session_expiry_interval(50);
    wire.send(a, disconnect_with(DisconnectReason::NormalDisconnection, change));
    assert_eq!(wire.receive(a), ["closed"], "no rule was broken");
    assert_eq!(wire.broker().gauges().sessions, 0, "and no session is kept");
}

#[test]
fn a_disconnect_that_breaks_a_rule_changes_nothing() {
    let (mut wire, _, a) = with_subscriber(100);
    // Only a server names another server.
    let both = |p: &mut mqtt_codec::PropertyBuf| {
        p.session_expiry_interval(1).server_reference("elsewhere").unwrap();
    };
    wire.send(a, disconnect_with(DisconnectReason::NormalDisconnection, both));
    assert_eq!(wire.receive(a), ["DISCONNECT 82 Protocol Error", "closed"]);
    wire.advance_secs(99);
    assert!(resume(&mut wire, 0).1);
}

/// Proves: [MQTT-3.1.4-3], [MQTT-3.2.2-3], [MQTT-3.14.4-2]
#[test]
fn a_second_connection_of_a_client_takes_the_session_over() {
    let (mut wire, publisher, first) = with_subscriber(100);
    wire.send(publisher, publish("t", "x").qos1(1));
    assert_eq!(wire.receive(first), [r#"PUBLISH q1 id=1 "t" "x""#]);
    let (second, session_present) = resume(&mut wire, 100);
    assert!(session_present);
    assert_eq!(wire.receive(first), ["DISCONNECT 8E Session taken over", "closed"]);
    assert_eq!(wire.cause(first), Some(CloseCause::Ended(DisconnectReason::SessionTakenOver)));
    assert_eq!(wire.receive(second), [r#"PUBLISH q1 id=1 dup "t" "x""#]);
    wire.send(second, puback(1));
    wire.send(publisher, publish("t", "y"));
    assert_eq!(wire.receive(second), [r#"PUBLISH q0 "t" "y""#]);
    let gauges = wire.broker().gauges();
    assert_eq!((gauges.connections, gauges.sessions, gauges.messages), (2, 2, 0));
    assert_eq!(wire.cause(publisher), None, "nobody else is disturbed");
}

/// Proves: [MQTT-3.1.4-3], [MQTT-3.2.2-2], [MQTT-3.2.2-3]
#[test]
fn what_is_taken_over_ends_as_the_end_of_its_connection_would_end_it() {
    // With an interval of 0 the session ends with the first connection.
    let (mut wire, _, first) = with_subscriber(0);
    let (second, session_present) = resume(&mut wire, 0);
    assert!(!session_present);
    assert_eq!(wire.receive(first), ["DISCONNECT 8E Session taken over", "closed"]);
    assert_eq!(wire.broker().gauges().subscriptions, 0);
    // Clean Start ends it in any case.
    let third = wire.connect(connect("a").expiry(100));
    assert!(!wire.session_present(third));
    assert_eq!(wire.receive(second), ["DISCONNECT 8E Session taken over", "closed"]);
}

#[test]
fn a_storm_of_take_overs_leaves_one_session_and_nothing_else() {
    let mut wire = Wire::configured(|config| config.limits.take_overs = 200);
    let publisher = wire.connect(connect("publisher"));
    let mut latest = wire.connect(connect("a").expiry(100));
    wire.send(latest, subscribe(1, "t").qos(2));
    for round in 1..=200 {
        wire.send(publisher, publish("t", "x").qos(round % 3, 1));
        let script = connect("a").expiry(if round % 7 == 0 { 0 } else { 100 });
        let next = wire.connect(if round % 5 == 0 { script } else { script.resume() });
        assert_eq!(wire.receive(latest).last().unwrap(), "closed");
        if round % 3 == 0 {
            wire.send_all(next, [unsubscribe(1, &["t"]), subscribe(2, "t").qos(1).into()]);
        }
        latest = next;
    }
    let gauges = wire.broker().gauges();
    assert_eq!((gauges.connections, gauges.sessions), (2, 2));
    assert!(gauges.subscriptions <= 1);
    wire.send(latest, disconnect());
    wire.connect(connect("a"));
    let gauges = wire.broker().gauges();
    assert_eq!((gauges.messages, gauges.subscriptions, gauges.sessions), (0, 0, 2));
}

#[test]
fn a_connection_that_is_over_hears_nothing_and_says_nothing() {
    let (mut wire, publisher, a) = with_subscriber(100);
    wire.send_all(a, [disconnect(), subscribe(2, "u").into(), publish("t", "late").into()]);
    assert_eq!(wire.receive(a), ["closed"]);
    assert_eq!(wire.broker().gauges().subscriptions, 1, "what follows DISCONNECT is not read");
    let id = wire.id(a);
    let now = wire.now();
    wire.broker_mut().handle_input(id, now, &Vec::from(publish("t", "later")));
    wire.broker_mut().handle_eof(id, now);
    wire.settle();
    wire.send(publisher, publish("t", "x").qos1(1));
    assert_eq!(wire.receive(a), [""; 0]);
    let (a, _) = resume(&mut wire, 100);
    assert_eq!(wire.receive(a), [r#"PUBLISH q1 id=1 "t" "x""#], "one, and it is the right one");
}
