//! Keep Alive: who is silent for too long is gone.

use core::num::NonZeroU16;
use core::time::Duration;

use mqtt_codec::DisconnectReason;
use mqtt_session::{CloseCause, Time};
use mqtt_tests::Wire;
use mqtt_tests::scripted::{connect, pingreq, puback, publish, subscribe};

const TIMED_OUT: [&str; 2] = ["DISCONNECT 8D Keep Alive timeout", "closed"];

/// Proves: [MQTT-3.1.2-22], [MQTT-3.2.2-22]
#[test]
fn after_one_and_a_half_times_the_keep_alive_without_a_packet_the_connection_ends() {
    for keep_alive in [1, 2, 60, 65_535] {
        let mut wire = Wire::new();
        let a = wire.connect(connect("a").keep_alive(keep_alive));
        let limit = Duration::from_millis(u64::from(keep_alive) * 1500);
        wire.advance(limit - Duration::from_nanos(1));
        assert_eq!(wire.receive(a), [""; 0], "{keep_alive} s");
        wire.advance(Duration::from_nanos(1));
        assert_eq!(wire.receive(a), TIMED_OUT, "{keep_alive} s");
        assert_eq!(wire.cause(a), Some(CloseCause::Ended(DisconnectReason::KeepAliveTimeout)));
    }
}

/// Proves: [MQTT-3.1.2-22]
#[test]
fn every_packet_counts_as_a_sign_of_life() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").keep_alive(10));
    let signs: [Vec<u8>; 4] =
        [pingreq(), publish("t", "x").into(), subscribe(1, "u").into(), puback(9)];
    for sign in signs {
        wire.advance(Duration::from_millis(14_999));
        wire.send(a, sign);
    }
    wire.advance(Duration::from_millis(14_999));
    assert_eq!(wire.cause(a), None);
    wire.advance(Duration::from_millis(1));
    assert_eq!(wire.receive(a).last().unwrap(), "closed");
}

/// Proves: [MQTT-3.1.2-22]
#[test]
fn the_beginning_of_a_packet_is_no_sign_of_life() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").keep_alive(10));
    // A PUBLISH of 1 MiB, a byte every two seconds.
    wire.send(a, [0x30, 0x80, 0x80, 0x40]);
    for _ in 0..7 {
        wire.advance_secs(2);
        wire.send(a, [0]);
    }
    assert_eq!(wire.cause(a), None);
    wire.advance_secs(1);
    assert_eq!(wire.receive(a), TIMED_OUT);
}

#[test]
fn what_is_sent_to_a_client_is_no_sign_of_its_life() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").keep_alive(10));
    wire.send(a, subscribe(1, "t"));
    for _ in 0..14 {
        wire.advance_secs(1);
        wire.send(publisher, publish("t", "x"));
    }
    assert_eq!(wire.receive(a).len(), 15);
    wire.advance_secs(1);
    assert_eq!(wire.receive(a), TIMED_OUT);
}

#[test]
fn without_a_keep_alive_silence_may_last_for_ever() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    wire.advance_secs(10 * 365 * 86_400);
    assert_eq!(wire.cause(a), None);
    wire.send(a, pingreq());
    assert_eq!(wire.receive(a), ["PINGRESP"]);
}

/// Proves: [MQTT-3.1.2-22]
#[test]
fn the_keep_alive_that_the_broker_sets_is_the_one_in_force() {
    for (asked, in_force) in [(0, 30_u64), (29, 29), (30, 30), (31, 30), (65_535, 30)] {
        let mut wire = Wire::configured(|config| config.keep_alive_ceiling = NonZeroU16::new(30));
        let a = wire.open("a");
        wire.send(a, connect("a").keep_alive(asked));
        let connack = wire.receive(a).remove(0);
        assert_eq!(
            connack.contains("server_keep_alive=30"),
            u64::from(asked) != in_force,
            "{asked}"
        );
        wire.advance(Duration::from_millis(in_force * 1500 - 1));
        assert_eq!(wire.cause(a), None, "{asked}");
        wire.advance(Duration::from_millis(1));
        assert_eq!(wire.receive(a), TIMED_OUT, "{asked}");
    }
}

#[test]
fn a_new_connection_begins_with_its_own_keep_alive() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").expiry(100).keep_alive(10));
    wire.advance_secs(14);
    let b = wire.connect(connect("a").resume().expiry(100).keep_alive(20));
    assert_eq!(wire.receive(a).last().unwrap(), "closed");
    wire.advance_secs(29);
    assert_eq!(wire.cause(b), None);
    wire.advance_secs(1);
    assert_eq!(wire.receive(b), TIMED_OUT);
}

#[test]
fn many_clients_are_watched_each_by_its_own_clock() {
    let mut wire = Wire::new();
    let peers: Vec<_> = (1..=200_u16)
        .map(|number| wire.connect(connect(&number.to_string()).keep_alive(number)))
        .collect();
    for second in 1..=300_u64 {
        wire.advance_secs(1);
        let gone = peers.iter().filter(|&&peer| wire.cause(peer).is_some()).count();
        assert_eq!(gone as u64, second * 2 / 3, "after {second} s");
    }
}

#[test]
fn a_clock_that_goes_back_or_leaps_does_no_harm() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a").keep_alive(10));
    wire.advance_secs(14);
    let id = wire.id(a);
    // Once the broker was told that 14 s have passed, an earlier time counts as that.
    wire.call(|broker, now| broker.handle_timeout(now));
    wire.broker_mut().handle_input(id, Time::ZERO, &Vec::from(publish("t", "x")));
    wire.broker_mut().handle_timeout(Time::ZERO);
    wire.settle();
    wire.advance_secs(14);
    assert_eq!(wire.cause(a), None);
    wire.advance_secs(365 * 86_400);
    assert_eq!(wire.receive(a), TIMED_OUT);
    assert_eq!(wire.broker().poll_timeout(), None);
}
