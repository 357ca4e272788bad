//! Every state of the sender and of the receiver, met by every event: a changed transition is a
//! changed snapshot.

use core::fmt::Write;
use core::num::NonZeroU16;

use mqtt_codec::{PacketId, QoS};

use super::*;

const ID: PacketId = PacketId::MIN;
const TWO: NonZeroU16 = NonZeroU16::MIN.saturating_add(1);

type Make<T> = (&'static str, fn() -> T);
type Event<T> = (&'static str, fn(&mut T) -> String);

/// One line for each state and event: what the event answered, and what is left behind.
fn table<T>(states: &[Make<T>], events: &[Event<T>], left: fn(&mut T) -> String) -> String {
    let mut lines = String::new();
    for (state, make) in states {
        for (event, act) in events {
            let mut machine = make();
            let answer = act(&mut machine);
            writeln!(lines, "{state:<14} {event:<14} {answer:<34} {}", left(&mut machine)).unwrap();
        }
        lines.push('\n');
    }
    lines
}

fn outgoing() -> Outgoing<&'static str> {
    let mut outgoing = Outgoing::new();
    outgoing.start_connection(TWO);
    outgoing
}

fn published(qos: QoS) -> Outgoing<&'static str> {
    let mut outgoing = outgoing();
    assert_eq!(outgoing.send(qos, "m"), Some(ID));
    outgoing
}

fn released() -> Outgoing<&'static str> {
    let mut outgoing = published(QoS::ExactlyOnce);
    assert!(matches!(outgoing.on_pubrec(ID, false), Recorded::Release(_)));
    outgoing
}

fn resumed(mut outgoing: Outgoing<&'static str>) -> Outgoing<&'static str> {
    outgoing.start_connection(TWO);
    outgoing
}

/// Proves: [MQTT-4.3.2-1], [MQTT-4.3.2-3], [MQTT-4.3.3-1], [MQTT-4.3.3-3], [MQTT-4.3.3-5],
/// [MQTT-4.3.3-6]
#[test]
fn the_sender_in_every_state_meets_every_event() {
    let states: [Make<Outgoing<&'static str>>; 8] = [
        ("free", outgoing),
        ("request", || {
            let mut outgoing = outgoing();
            assert_eq!(outgoing.request("r"), Some(ID));
            outgoing
        }),
        ("publish 1", || published(QoS::AtLeastOnce)),
        ("publish 2", || published(QoS::ExactlyOnce)),
        ("released", released),
        ("resumed p1", || resumed(published(QoS::AtLeastOnce))),
        ("resumed p2", || resumed(published(QoS::ExactlyOnce))),
        ("resumed rel", || resumed(released())),
    ];
    let events: [Event<Outgoing<&'static str>>; 9] = [
        ("send QoS 1", |o| format!("{:?}", o.send(QoS::AtLeastOnce, "n").map(PacketId::get))),
        ("send QoS 2", |o| format!("{:?}", o.send(QoS::ExactlyOnce, "n").map(PacketId::get))),
        ("send again", |o| format!("{:?}", o.next_resend())),
        ("PUBACK", |o| format!("{:?}", o.on_puback(ID))),
        ("PUBREC", |o| format!("{:?}", o.on_pubrec(ID, false))),
        ("PUBREC 0x80", |o| format!("{:?}", o.on_pubrec(ID, true))),
        ("PUBCOMP", |o| format!("{:?}", o.on_pubcomp(ID))),
        ("answer", |o| format!("{:?}", o.on_reply(ID))),
        ("connection", |o| {
            o.start_connection(TWO);
            format!("must resend: {}", o.must_resend())
        }),
    ];
    insta::assert_snapshot!(table(&states, &events, |o| {
        let exchange = o.exchanges().next().map(|(_, exchange, _, _)| exchange);
        format!("open {} may send {:<5} {exchange:?}", o.open(), o.may_send())
    }));
}

/// Proves: [MQTT-4.3.2-5], [MQTT-4.3.3-9], [MQTT-4.3.3-10], [MQTT-4.3.3-12]
#[test]
fn the_receiver_in_every_state_meets_every_event() {
    fn incoming() -> Incoming {
        let mut incoming = Incoming::new();
        incoming.start_connection(1);
        incoming
    }
    fn awaiting() -> Incoming {
        let mut incoming = incoming();
        assert_eq!(incoming.on_publish_qos2(ID), Ok(Received::New));
        incoming
    }
    let states: [Make<Incoming>; 4] = [
        ("unknown", incoming),
        ("QoS 1 held", || {
            let mut incoming = incoming();
            assert_eq!(incoming.on_publish_qos1(ID), Ok(()));
            incoming
        }),
        ("awaiting rel", awaiting),
        ("resumed", || {
            let mut incoming = awaiting();
            incoming.start_connection(1);
            incoming
        }),
    ];
    let events: [Event<Incoming>; 6] = [
        ("PUBLISH QoS 1", |i| format!("{:?}", i.on_publish_qos1(ID))),
        ("PUBLISH QoS 2", |i| format!("{:?}", i.on_publish_qos2(ID))),
        ("PUBACK sent", |i| {
            i.puback_sent();
            "-".to_owned()
        }),
        ("refused", |i| {
            i.refused(ID);
            "-".to_owned()
        }),
        ("PUBREL", |i| format!("known: {}", i.on_pubrel(ID))),
        ("connection", |i| {
            i.start_connection(1);
            "-".to_owned()
        }),
    ];
    insta::assert_snapshot!(table(&states, &events, |i| {
        // What the maximum of one leaves room for tells how many are unfinished.
        let has_room = i.on_publish_qos1(PacketId::MAX).is_ok();
        format!("awaiting {} has room {has_room}", i.awaiting())
    }));
}
