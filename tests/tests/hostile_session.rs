//! Hostile input, section D: acknowledgements, and clients that do not take what they are sent.
//! Each function begins with the number of its case.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use mqtt_codec::PubAckReason;
use mqtt_session::{BrokerEvent, CloseCause};
use mqtt_tests::scripted::{
    connect, hex, puback, pubcomp, publish, pubrec, pubrec_with, pubrel, subscribe,
};
use mqtt_tests::{Peer, Siege, Wire};

const PROTOCOL_ERROR: [&str; 2] = ["DISCONNECT 82 Protocol Error", "closed"];

/// A client with one message under way to it, at this QoS and with packet identifier 1.
fn attacker_with_message(siege: &mut Siege, qos: u8) -> Peer {
    let peer = siege.wire.connect(connect("attacker").receive_maximum(1));
    siege.wire.send(peer, subscribe(1, "t").qos(2));
    siege.wire.receive(peer);
    siege.wire.send(peer, publish("t", "x").qos(qos, 9));
    if qos == 2 {
        siege.wire.send(peer, pubrel(9));
    }
    let lines = siege.wire.receive(peer);
    assert!(lines.contains(&format!(r#"PUBLISH q{qos} id=1 "t" "x""#)), "{lines:?}");
    peer
}

#[test]
fn d1_acknowledgements_of_nothing() {
    let mut siege = Siege::new();
    let unknown =
        || [puback(1), pubcomp(2), pubrec(3), pubrec_with(4, PubAckReason::QuotaExceeded)];
    let lines = siege.then(unknown().concat());
    assert_eq!(lines, ["PUBREL id=3 92 Packet Identifier not found"]);
    assert_eq!(siege.wire.broker().statistics().unknown_acknowledgements, 4);
}

#[test]
fn d2_pubrel_of_nothing() {
    let lines = Siege::new().then(pubrel(77));
    assert_eq!(lines, ["PUBCOMP id=77 92 Packet Identifier not found"]);
}

#[test]
fn d3_acknowledgements_of_another_kind() {
    let mut siege = Siege::new();
    for (qos, wrong) in [(2, puback(1)), (2, pubcomp(1)), (1, pubrec(1)), (1, pubcomp(1))] {
        let peer = attacker_with_message(&mut siege, qos);
        siege.wire.send(peer, wrong);
        assert_eq!(siege.wire.receive(peer), PROTOCOL_ERROR);
    }
}

/// Proves: [MQTT-4.9.0-1]
#[test]
fn d4_acknowledgements_that_come_twice_make_no_room() {
    let mut siege = Siege::new();
    let peer = attacker_with_message(&mut siege, 1);
    for id in 10..13 {
        siege.wire.send(peer, publish("t", "more").qos1(id));
    }
    siege.wire.receive(peer);
    siege.wire.send(peer, [puback(1), puback(1), puback(1)].concat());
    assert_eq!(siege.wire.receive(peer), [r#"PUBLISH q1 id=1 "t" "more""#], "one at a time");
    siege.wire.cut(peer);
    let peer = attacker_with_message(&mut siege, 2);
    siege.wire.send(
        peer,
        [publish("t", "a").qos1(10), publish("t", "b").qos1(11)].map(Vec::from).concat(),
    );
    siege.wire.receive(peer);
    siege.wire.send(peer, [pubrec(1), pubrec(1), pubcomp(1), pubcomp(1)].concat());
    let lines = siege.wire.receive(peer);
    assert_eq!(lines, ["PUBREL id=1", "PUBREL id=1", r#"PUBLISH q1 id=1 "t" "a""#]);
}

/// Proves: [MQTT-4.3.3-4]
#[test]
fn d5_a_client_refuses_a_message() {
    let mut siege = Siege::new();
    let peer = attacker_with_message(&mut siege, 2);
    siege.wire.send(peer, pubrec_with(1, PubAckReason::QuotaExceeded));
    assert_eq!(siege.wire.receive(peer), [""; 0], "no PUBREL");
    assert_eq!(siege.wire.broker().gauges().messages, 0);
    siege.wire.send(peer, publish("t", "next").qos1(5));
    assert_eq!(siege.wire.receive(peer).len(), 2, "and there is room for the next one");
}

#[test]
fn d6_a_client_that_never_acknowledges() {
    let mut siege = Siege::configured(|config| config.limits.queued_messages = 10);
    let peer = siege.wire.connect(connect("attacker").receive_maximum(2));
    siege.wire.send(peer, subscribe(1, "t").qos(1));
    siege.wire.receive(peer);
    let publisher = siege.wire.connect(connect("publisher"));
    for _ in 0..100 {
        siege.wire.send(publisher, publish("t", "x").qos1(1));
        assert_eq!(siege.wire.receive(publisher), ["PUBACK id=1"]);
    }
    assert_eq!(siege.wire.receive(peer).len(), 2);
    let own = siege.wire.broker().session_statistics("attacker").unwrap();
    assert_eq!((own.dropped.queue_full, own.dropped.total()), (88, 88));
    let others = siege.wire.broker().session_statistics("publisher").unwrap();
    assert_eq!(others.dropped.total(), 0);
    assert_eq!(siege.wire.broker().statistics().dropped.queue_full, 88);
}

/// Proves: [MQTT-2.2.1-4]
#[test]
fn d7_an_identifier_that_stays_in_use_for_more_messages_than_there_are_identifiers() {
    let mut siege = Siege::new();
    let peer = siege.wire.connect(connect("attacker").receive_maximum(2));
    siege.wire.send(peer, subscribe(1, "t").qos(1));
    let publisher = siege.wire.connect(connect("publisher"));
    siege.wire.send(publisher, publish("t", "held"));
    siege.wire.receive(peer);
    siege.wire.send(publisher, publish("t", "held").qos1(1));
    assert_eq!(siege.wire.receive(peer), [r#"PUBLISH q1 id=1 "t" "held""#]);
    for _ in 0..66_000 {
        siege.wire.send(publisher, publish("t", "x").qos1(1));
        assert_eq!(siege.wire.receive(peer), [r#"PUBLISH q1 id=2 "t" "x""#]);
        siege.wire.send(peer, puback(2));
        siege.wire.clear_transcript();
    }
}

#[test]
fn d8_acknowledgements_with_reasons_and_bytes_that_are_none() {
    let mut siege = Siege::new();
    for code in 0x01..=0x0F_u8 {
        for first in [0x40, 0x50, 0x62, 0x70] {
            let lines = siege.then([first, 3, 0, 1, code]);
            assert_eq!(lines, PROTOCOL_ERROR, "{first:02x} with reason {code:02x}");
        }
    }
    let malformed = ["DISCONNECT 81 Malformed Packet", "closed"];
    for bytes in ["40 05 0001 00 00 00", "40 01 00", "50 04 0001 00 01", "62 00", "40 03 0001"] {
        let mut bytes = hex(bytes);
        // The last one has no reason where its length says there is one.
        if bytes.len() < usize::from(bytes[1]) + 2 {
            bytes[1] -= 2;
        }
        assert_eq!(siege.then(bytes.clone()), malformed, "{bytes:02x?}");
    }
}

/// What only a server says.
///
/// Proves: [MQTT-3.4.2-1], [MQTT-3.5.2-1]
#[test]
fn d8_acknowledgements_with_the_reason_of_a_server() {
    let mut siege = Siege::new();
    for qos in [1, 2] {
        let peer = attacker_with_message(&mut siege, qos);
        let first = if qos == 1 { 0x40 } else { 0x50 };
        siege.wire.send(peer, [first, 3, 0, 1, 0x10]);
        assert_eq!(siege.wire.receive(peer), PROTOCOL_ERROR, "QoS {qos}");
    }
}

/// Proves: [MQTT-3.3.4-10]
#[test]
fn d9_qos_0_is_not_held_up_by_the_receive_maximum() {
    let mut siege = Siege::configured(|config| config.limits.queued_messages = 100);
    let peer = attacker_with_message(&mut siege, 1);
    siege.wire.receive(peer);
    for _ in 0..1000 {
        siege.wire.send(peer, publish("t", "x"));
    }
    assert_eq!(siege.wire.receive(peer).len(), 1000);
    // As long as it reads: then its queue is full, and nobody else's.
    siege.wire.stop_reading(peer);
    let publisher = siege.wire.connect(connect("publisher"));
    for _ in 0..1000 {
        siege.wire.send(publisher, publish("t", "x"));
    }
    let own = siege.wire.broker().session_statistics("attacker").unwrap();
    assert_eq!(own.dropped.queue_full, 900);
}

/// Proves: [MQTT-3.1.2-24], [MQTT-3.1.2-25]
#[test]
fn d10_messages_that_are_too_large_for_one_client() {
    let mut siege = Siege::new();
    let peer = siege.wire.connect(connect("attacker").packet_size(50));
    siege.wire.send(peer, subscribe(1, "t").qos(1));
    siege.wire.receive(peer);
    let publisher = siege.wire.connect(connect("publisher"));
    for _ in 0..200 {
        siege.wire.send(publisher, publish("t", vec![0; 100]).qos1(1));
        assert_eq!(siege.wire.receive(publisher), ["PUBACK id=1"]);
    }
    assert_eq!(siege.wire.receive(peer), [""; 0]);
    let own = siege.wire.broker().session_statistics("attacker").unwrap();
    assert_eq!(own.dropped.too_large, 200);
    siege.wire.send(publisher, publish("t", "small").qos1(1));
    assert_eq!(siege.wire.receive(peer).len(), 1, "they take no place of the Receive Maximum");
}

#[test]
fn d11_a_client_that_never_reads() {
    let mut siege = Siege::new();
    let peer = siege.attacker();
    siege.wire.send(peer, subscribe(1, "#").qos(1));
    siege.wire.stop_reading(peer);
    let publisher = siege.wire.connect(connect("publisher"));
    for number in 0..3000_u32 {
        siege.wire.send(publisher, publish("t", "x").qos((number % 2) as u8, 1));
    }
    siege.check();
    let own = siege.wire.broker().session_statistics("attacker").unwrap();
    assert!(own.dropped.queue_full >= 2000, "{own:?}");
    siege.wire.advance_secs(30);
    assert_eq!(siege.wire.cause(peer), Some(CloseCause::WriteStall));
    assert_eq!(siege.wire.broker().statistics().closed.write_stall, 1);
    assert_eq!(siege.wire.broker().gauges().messages, 0);
}

/// A client that takes a little now and then keeps its connection and loses what its queue cannot
/// hold.
#[test]
fn d12_a_client_that_reads_very_slowly() {
    let mut siege = Siege::configured(|config| config.limits.queued_messages = 100);
    siege.wire.set_budget(1);
    let peer = siege.attacker();
    siege.wire.send(peer, subscribe(1, "t"));
    siege.wire.receive(peer);
    let publisher = siege.wire.connect(connect("publisher"));
    let mut got = 0;
    for _ in 0..20 {
        siege.wire.stop_reading(peer);
        for _ in 0..200 {
            siege.wire.send(publisher, publish("t", "x"));
        }
        siege.wire.advance_secs(20);
        siege.check();
        siege.wire.read_again(peer);
        got += siege.wire.receive(peer).len();
    }
    assert_eq!(siege.wire.cause(peer), None);
    let own = siege.wire.broker().session_statistics("attacker").unwrap();
    assert_eq!(got as u64 + own.dropped.queue_full, 20 * 200);
}

/// Rights that change while a session is away hold for what it finds on its return; each path has
/// its own case in the tests of decisions.
#[test]
fn d13_rights_that_are_gone_when_a_session_is_resumed() {
    let mut wire = Wire::configured(|config| config.decisions.read = true);
    let script = || connect("reader").resume().expiry(100);
    let reader = wire.connect(script());
    wire.send(reader, subscribe(1, "t").qos(1));
    let publisher = wire.connect(connect("publisher"));
    wire.cut(reader);
    wire.send(publisher, publish("t", "secret").qos1(1).retain());
    let reader = wire.connect(script());
    wire.send(reader, subscribe(2, "t").qos(1));
    let Some(BrokerEvent::Read(request)) = wire.next_decision() else { panic!("not asked") };
    wire.call(|broker, now| broker.answer_read(now, request, false));
    assert_eq!(wire.receive(reader), ["SUBACK id=2 [01]"]);
    let own = wire.broker().session_statistics("reader").unwrap();
    assert_eq!(own.dropped.not_authorized, 2, "the queued one and the retained one");
}
