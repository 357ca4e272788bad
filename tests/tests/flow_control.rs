//! Receive Maximum in both directions, and what happens to those who don't keep up.

use mqtt_codec::PubAckReason;
use mqtt_session::{BrokerConfig, CloseCause};
use mqtt_tests::scripted::{
    connect, disconnect, pingreq, puback, pubcomp, publish, pubrec, pubrec_with, pubrel, subscribe,
    unsubscribe,
};
use mqtt_tests::{Peer, Wire};

/// A wire with a publisher, and a subscriber to "t" at QoS 2 with this Receive Maximum.
fn joined(receive_maximum: u16) -> (Wire, Peer, Peer) {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").expiry(100).receive_maximum(receive_maximum));
    wire.send(a, subscribe(1, "t").qos(2));
    wire.receive(a);
    (wire, publisher, a)
}

/// Proves: [MQTT-3.3.4-9], [MQTT-4.9.0-1], [MQTT-4.9.0-2]
#[test]
fn no_more_messages_are_under_way_than_the_client_allows() {
    let (mut wire, publisher, a) = joined(3);
    for id in 1..=5 {
        wire.send(publisher, publish("t", id.to_string()).qos1(id));
    }
    assert_eq!(wire.receive(a).len(), 3);
    for (acknowledged, next) in
        [(2, r#"PUBLISH q1 id=2 "t" "4""#), (1, r#"PUBLISH q1 id=1 "t" "5""#)]
    {
        wire.send(a, puback(acknowledged));
        assert_eq!(wire.receive(a), [next]);
    }
    // An acknowledgement that comes twice frees one place, not two.
    for id in 6..=8 {
        wire.send(publisher, publish("t", id.to_string()).qos1(id));
    }
    wire.send_all(a, [puback(3), puback(3), puback(3)]);
    assert_eq!(wire.receive(a), [r#"PUBLISH q1 id=3 "t" "6""#]);
}

/// Proves: [MQTT-3.3.4-9], [MQTT-4.9.0-2]
#[test]
fn at_qos_2_a_place_is_free_with_pubcomp_or_a_refusing_pubrec_and_not_before() {
    let (mut wire, publisher, a) = joined(1);
    for id in 1..=3 {
        wire.send(publisher, publish("t", id.to_string()).qos2(id));
    }
    assert_eq!(wire.receive(a), [r#"PUBLISH q2 id=1 "t" "1""#]);
    wire.send(a, pubrec(1));
    assert_eq!(wire.receive(a), ["PUBREL id=1"]);
    wire.send(a, pubcomp(1));
    assert_eq!(wire.receive(a), [r#"PUBLISH q2 id=1 "t" "2""#]);
    wire.send(a, pubrec_with(1, PubAckReason::QuotaExceeded));
    assert_eq!(wire.receive(a), [r#"PUBLISH q2 id=1 "t" "3""#]);
    wire.send_all(a, [pubrec(1), pubcomp(1), pubcomp(1), pubcomp(1)]);
    for id in 4..=6 {
        wire.send(publisher, publish("t", id.to_string()).qos2(id));
    }
    assert_eq!(wire.receive(a)[1..], [r#"PUBLISH q2 id=1 "t" "4""#], "one place, whatever came");
}

/// Proves: [MQTT-3.3.4-10], [MQTT-4.9.0-3], [MQTT-3.10.4-2], [MQTT-3.10.4-3]
#[test]
fn without_a_free_place_everything_but_qos_1_and_2_messages_goes_on() {
    let (mut wire, publisher, a) = joined(1);
    wire.send_all(publisher, [publish("t", "1").qos1(1).into(), publish("t", "2").qos1(2).into()]);
    assert_eq!(wire.receive(a).len(), 1);
    wire.send(publisher, publish("t", "now"));
    wire.send_all(
        a,
        [
            pingreq(),
            subscribe(2, "u").into(),
            unsubscribe(3, &["u"]),
            publish("v", "x").qos1(4).into(),
            publish("v", "x").qos2(5).into(),
            pubrel(5),
        ],
    );
    assert_eq!(
        wire.receive(a),
        [
            r#"PUBLISH q0 "t" "now""#,
            "PINGRESP",
            "SUBACK id=2 [00]",
            "UNSUBACK id=3 [00]",
            "PUBACK id=4 10 No matching subscribers",
            "PUBREC id=5 10 No matching subscribers",
            "PUBCOMP id=5",
        ]
    );
}

/// Proves: [MQTT-4.9.0-1], [MQTT-4.9.0-2]
#[test]
fn every_connection_begins_with_the_whole_of_its_own_receive_maximum() {
    let (mut wire, publisher, a) = joined(2);
    for id in 1..=6 {
        wire.send(publisher, publish("t", id.to_string()).qos1(id));
    }
    assert_eq!(wire.receive(a).len(), 2);
    wire.cut(a);
    let a = wire.connect(connect("a").resume().expiry(100).receive_maximum(5));
    assert_eq!(wire.receive(a).len(), 5, "two of them again");
    wire.cut(a);
    let a = wire.connect(connect("a").resume().expiry(100));
    assert_eq!(wire.receive(a).len(), 6);
}

#[test]
fn the_broker_keeps_fewer_under_way_than_a_client_allows_if_it_is_told_to() {
    let mut wire = Wire::configured(|config| {
        config.limits.send_maximum = core::num::NonZeroU16::new(4).unwrap();
    });
    let a = wire.connect(connect("a"));
    wire.send(a, subscribe(1, "t").qos(1));
    wire.receive(a);
    for id in 1..=9 {
        wire.send(a, publish("t", id.to_string()).qos1(id));
    }
    let messages = wire.receive(a).iter().filter(|line| line.starts_with("PUBLISH")).count();
    assert_eq!(messages, 4);
}

/// Proves: [MQTT5-U-3.3.4-4], [MQTT-4.13.1-1]
#[test]
fn one_message_more_than_the_broker_allows_ends_the_connection() {
    let mut wire = Wire::configured(|config| {
        config.limits.receive_maximum = core::num::NonZeroU16::new(20).unwrap();
    });
    let a = wire.connect(connect("a"));
    for id in 1..=20 {
        wire.send(a, publish("t", "x").qos2(id));
    }
    assert_eq!(wire.receive(a).len(), 20);
    // A message that comes again counts once, and one that was answered for good no more.
    wire.send_all(a, [publish("t", "x").qos2(20).dup().into(), pubrel(1)]);
    wire.send(a, publish("t", "x").qos2(1));
    assert_eq!(wire.cause(a), None);
    wire.receive(a);
    wire.send(a, publish("t", "x").qos2(21));
    assert_eq!(wire.receive(a), ["DISCONNECT 93 Receive Maximum exceeded", "closed"]);
    let a = wire.connect(connect("a"));
    for id in 1..=20 {
        wire.send(a, publish("t", "x").qos2(id));
    }
    wire.receive(a);
    wire.send(a, publish("t", "x").qos1(21));
    assert_eq!(wire.receive(a), ["DISCONNECT 93 Receive Maximum exceeded", "closed"]);
}

#[test]
fn qos_1_messages_are_answered_at_once_and_never_exceed_anything() {
    let (mut wire, publisher, _) = joined(1);
    let burst: Vec<Vec<u8>> = (1..=1000).map(|id| publish("u", "x").qos1(id).into()).collect();
    wire.send_all(publisher, burst);
    assert_eq!(wire.cause(publisher), None);
    assert_eq!(wire.receive(publisher).len(), 1000);
}

#[test]
fn refused_qos_2_messages_do_not_count() {
    let mut wire = Wire::configured(|config| {
        config.limits.receive_maximum = core::num::NonZeroU16::new(2).unwrap();
    });
    let a = wire.connect(connect("a"));
    for id in 1..=10 {
        wire.send(a, publish("$SYS/x", "x").qos2(id));
    }
    assert_eq!(wire.cause(a), None);
}

#[test]
fn a_session_that_never_acknowledges_keeps_its_queue_within_its_bounds_and_counts_the_rest() {
    let mut wire = Wire::configured(|config| config.limits.queued_messages = 10);
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").expiry(100).receive_maximum(2));
    let other = wire.connect(connect("other"));
    for peer in [a, other] {
        wire.send(peer, subscribe(1, "t").qos(1));
        wire.receive(peer);
    }
    for id in 1..=20 {
        wire.send(publisher, publish("t", id.to_string()).qos1(id));
    }
    assert_eq!(
        wire.receive(publisher),
        (1..=20).map(|id| format!("PUBACK id={id}")).collect::<Vec<_>>()
    );
    assert_eq!(wire.receive(other).len(), 20, "nobody else is held up");
    assert_eq!(wire.broker().statistics().dropped.queue_full, 8);
    // The newest are the ones that are lost.
    let mut got = wire.receive(a);
    for _ in 0..10 {
        wire.send_all(a, [puback(1), puback(2)]);
        got.extend(wire.receive(a));
    }
    let payloads: Vec<_> = got.iter().map(|line| line.split('"').nth(3).unwrap()).collect();
    assert_eq!(payloads, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]);
    for id in 1..=20 {
        wire.send(other, puback(id));
    }
    assert_eq!(wire.broker().gauges().messages, 0);
}

#[test]
fn the_bytes_of_a_queue_are_bounded_too() {
    let mut wire = Wire::configured(|config| config.limits.queued_bytes = 10_000);
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").expiry(100));
    wire.send(a, subscribe(1, "t").qos(1));
    wire.send(a, disconnect());
    for id in 1..=20 {
        wire.send(publisher, publish("t", vec![0; 999]).qos1(id));
    }
    assert_eq!(wire.broker().statistics().dropped.queue_bytes, 10);
    assert_eq!(wire.broker().gauges().message_bytes, 10_000);
    // A smaller one still finds room when one has gone.
    let a = wire.connect(connect("a").resume().expiry(100).receive_maximum(1));
    assert_eq!(wire.receive(a).len(), 1);
    wire.send(publisher, publish("t", vec![0; 999]).qos1(1));
    assert_eq!(wire.broker().statistics().dropped.queue_bytes, 10);
    // One only.
    wire.send(publisher, publish("t", vec![0; 999]).qos1(2));
    assert_eq!(wire.broker().statistics().dropped.queue_bytes, 11);
}

#[test]
fn what_waits_at_qos_0_when_the_connection_ends_is_counted_and_leaves_its_room() {
    let mut wire = Wire::configured(|config| config.limits.queued_bytes = 10_005);
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").expiry(100));
    wire.send(a, subscribe(1, "t").qos(1));
    wire.receive(a);
    wire.stop_reading(a);
    for _ in 0..10 {
        wire.send(publisher, publish("t", vec![0; 999]));
    }
    wire.send(publisher, publish("t", "kept").qos1(11));
    assert_eq!(wire.broker().gauges().message_bytes, 10_005);
    wire.cut(a);
    assert_eq!(wire.broker().statistics().dropped.not_connected, 10);
    for id in 1..=10 {
        wire.send(publisher, publish("t", vec![0; 999]).qos1(id));
    }
    assert_eq!(wire.broker().statistics().dropped.queue_bytes, 0);
    assert_eq!(wire.broker().gauges().message_bytes, 10_005);
}

#[test]
fn a_burst_waits_for_readers_that_take_it_before_it_overflows_their_queues() {
    let limits: [fn(&mut BrokerConfig); 2] =
        [|config| config.limits.queued_bytes = 10_000, |config| config.limits.queued_messages = 10];
    for limit in limits {
        let mut wire = Wire::configured(limit);
        let publisher = wire.connect(connect("publisher"));
        let a = wire.connect(connect("a"));
        wire.send(a, subscribe(1, "t"));
        wire.receive(a);
        // Four times what the queue takes, in one piece.
        wire.send_all(publisher, (0..40).map(|_| publish("t", vec![0; 999]).into()));
        assert_eq!(wire.receive(a).len(), 40);
        let dropped = &wire.broker().statistics().dropped;
        assert_eq!((dropped.queue_bytes, dropped.queue_full), (0, 0));
    }
}

#[test]
fn a_client_that_does_not_read_holds_nobody_else_up_and_is_closed_after_a_while() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let stuck = wire.connect(connect("stuck"));
    let reader = wire.connect(connect("reader"));
    for peer in [stuck, reader] {
        wire.send(peer, subscribe(1, "#"));
        wire.receive(peer);
    }
    wire.stop_reading(stuck);
    for _ in 0..3000 {
        wire.send(publisher, publish("t", "x"));
    }
    assert_eq!(wire.receive(reader).len(), 3000);
    assert_eq!(wire.broker().statistics().dropped.queue_full, 2000);
    wire.advance_secs(29);
    assert_eq!(wire.cause(stuck), None);
    wire.advance_secs(1);
    assert_eq!(wire.cause(stuck), Some(CloseCause::WriteStall));
    assert_eq!(wire.receive(stuck), ["closed"]);
    assert_eq!(wire.broker().gauges().messages, 0);
}

#[test]
fn a_client_that_reads_now_and_then_is_not_closed() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    for _ in 0..10 {
        wire.stop_reading(a);
        wire.send(a, pingreq());
        wire.advance_secs(29);
        wire.read_again(a);
        assert_eq!(wire.receive(a), ["PINGRESP"]);
        wire.advance_secs(100);
    }
    assert_eq!(wire.cause(a), None);
}

#[test]
fn a_client_that_does_not_read_its_answers_is_not_read_either() {
    // An answer takes two bytes: the bound is met exactly, or stepped over.
    for bound in [1000, 1001] {
        let mut wire = Wire::configured(|config| config.limits.unread_answers = bound);
        let a = wire.connect(connect("a"));
        let b = wire.connect(connect("b"));
        wire.stop_reading(a);
        let flood = pingreq().repeat(100_000);
        wire.send(a, &flood[..1000]);
        assert!(wire.broker().accepts_input(wire.id(a)), "no more than the bound");
        wire.send(a, &flood[1000..2000]);
        assert!(wire.broker().accepts_input(wire.id(b)));
        assert!(!wire.broker().accepts_input(wire.id(a)));
        wire.send(a, &flood[2000..]);
        assert_eq!(wire.unread(a), flood.len() - 2000, "nothing more is taken");
        // Once it reads, everything is answered, and nothing is lost.
        wire.read_again(a);
        assert_eq!(wire.unread(a), 0);
        assert_eq!(wire.receive(a).len(), 100_000);
        assert_eq!(wire.cause(a), None);
    }
}

#[test]
fn a_flood_to_many_clients_is_taken_in_portions_and_delivered_whole() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let readers: Vec<_> = (0..300)
        .map(|number| {
            let peer = wire.connect(connect(&number.to_string()));
            wire.send(peer, subscribe(1, "t"));
            wire.receive(peer);
            peer
        })
        .collect();
    // 60,000 deliveries: one call of the broker does only part of it.
    let flood: Vec<u8> =
        (0..200).flat_map(|number: u32| Vec::from(publish("t", number.to_string()))).collect();
    let (id, now) = (wire.id(publisher), wire.now());
    wire.broker_mut().handle_input(id, now, &flood);
    assert!(!wire.broker().accepts_input(id), "the rest waits until this is sent");
    assert!(wire.broker().poll_timeout().is_some_and(|deadline| deadline.at <= now));
    wire.settle();
    for reader in readers {
        let lines = wire.receive(reader);
        let payloads: Vec<_> = lines.iter().map(|line| line.split('"').nth(3).unwrap()).collect();
        let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        assert_eq!(payloads, expected);
    }
    assert!(wire.broker().accepts_input(id));
    assert_eq!(wire.broker().statistics().dropped.total(), 0);
}

/// Proves: [MQTT5-U-3.3.4-4], [MQTT-4.9.0-1]
#[test]
fn on_a_new_connection_the_broker_counts_what_comes_on_it_and_nothing_else() {
    let two = core::num::NonZeroU16::new(2).unwrap();
    let wire = || {
        let mut wire = Wire::configured(|config| config.limits.receive_maximum = two);
        let a = wire.connect(connect("a").expiry(100));
        for id in [1, 2] {
            wire.send(a, publish("t", "x").qos2(id));
        }
        wire.cut(a);
        let a = wire.connect(connect("a").resume().expiry(100));
        (wire, a)
    };
    // What is sent again counts.
    let (mut again, a) = wire();
    for id in [1, 2] {
        again.send(a, publish("t", "x").qos2(id).dup());
    }
    assert_eq!(again.receive(a), ["PUBREC id=1", "PUBREC id=2"]);
    again.send(a, publish("t", "x").qos2(3));
    assert_eq!(again.receive(a), ["DISCONNECT 93 Receive Maximum exceeded", "closed"]);
    // What is only released frees nothing.
    let (mut released, a) = wire();
    for id in [3, 4] {
        released.send(a, publish("t", "x").qos2(id));
    }
    released.send_all(a, [pubrel(1), pubrel(2)]);
    assert_eq!(released.receive(a).len(), 4);
    released.send(a, publish("t", "x").qos2(5));
    assert_eq!(released.receive(a), ["DISCONNECT 93 Receive Maximum exceeded", "closed"]);
}
