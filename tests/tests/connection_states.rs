//! Every state of a connection meets every packet and every other event: a changed answer is a
//! changed snapshot.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::fmt::Write;

use bytes::Bytes;
use mqtt_codec::{DisconnectReason, PubAckReason};
use mqtt_session::{ConnectAnswer, ConnectGrant};
use mqtt_tests::scripted::{
    connect, disconnect, hex, pingreq, puback, pubcomp, publish, pubrec, pubrel, subscribe,
    unsubscribe, will,
};
use mqtt_tests::{Peer, Wire};

type State = (&'static str, fn() -> (Wire, Peer));
type Event = (&'static str, fn(&mut Wire, Peer));

fn deciding() -> Wire {
    Wire::configured(|config| config.decisions.connect = true)
}

/// The CONNECT of a client with a will and an Authentication Method.
fn with_method() -> Vec<u8> {
    let script = connect("a").will(will("w", "bye"));
    script.with(|p| _ = p.authentication_method("M").unwrap()).into()
}

/// A client whose CONNECT was accepted, with an Authentication Method in force.
fn authenticated() -> (Wire, Peer) {
    let mut wire = deciding();
    let a = wire.open("a");
    wire.send(a, with_method());
    let request = wire.next_request().unwrap();
    wire.answer_connect(request, ConnectAnswer::Accept(ConnectGrant::default()));
    wire.receive(a);
    (wire, a)
}

const STATES: [State; 7] = [
    ("opened", || {
        let mut wire = Wire::new();
        let a = wire.open("a");
        (wire, a)
    }),
    ("deciding", || {
        let mut wire = deciding();
        let a = wire.open("a");
        wire.send(a, with_method());
        (wire, a)
    }),
    ("challenged", || {
        let mut wire = deciding();
        let a = wire.open("a");
        wire.send(a, with_method());
        let request = wire.next_request().unwrap();
        wire.answer_connect(request, ConnectAnswer::Challenge(Bytes::from_static(b"?")));
        wire.receive(a);
        (wire, a)
    }),
    ("open", || {
        let mut wire = Wire::new();
        let a = wire.connect(connect("a").will(will("w", "bye")));
        wire.receive(a);
        (wire, a)
    }),
    ("authenticated", authenticated),
    ("a message is decided about", || {
        let mut wire = Wire::configured(|config| config.decisions.publish = true);
        let a = wire.connect(connect("a").will(will("w", "bye")));
        wire.send(a, publish("t", "x").qos1(9));
        wire.receive(a);
        (wire, a)
    }),
    ("closing", || {
        let mut wire = Wire::new();
        let a = wire.connect(connect("a").will(will("w", "bye")));
        wire.receive(a);
        wire.stop_reading(a);
        wire.disconnect(a, DisconnectReason::AdministrativeAction);
        (wire, a)
    }),
];

const EVENTS: [Event; 27] = [
    ("CONNECT", |wire, a| wire.send(a, connect("a"))),
    ("CONNACK", |wire, a| wire.send(a, hex("20 03 00 00 00"))),
    ("PUBLISH q0", |wire, a| wire.send(a, publish("t", "x"))),
    ("PUBLISH q1", |wire, a| wire.send(a, publish("t", "x").qos1(1))),
    ("PUBLISH q2", |wire, a| wire.send(a, publish("t", "x").qos2(1))),
    ("PUBACK", |wire, a| wire.send(a, puback(1))),
    ("PUBREC", |wire, a| wire.send(a, pubrec(1))),
    ("PUBREL", |wire, a| wire.send(a, pubrel(1))),
    ("PUBCOMP", |wire, a| wire.send(a, pubcomp(1))),
    ("SUBSCRIBE", |wire, a| wire.send(a, subscribe(1, "t"))),
    ("SUBACK", |wire, a| wire.send(a, hex("90 04 00 01 00 00"))),
    ("UNSUBSCRIBE", |wire, a| wire.send(a, unsubscribe(1, &["t"]))),
    ("UNSUBACK", |wire, a| wire.send(a, hex("b0 04 00 01 00 00"))),
    ("PINGREQ", |wire, a| wire.send(a, pingreq())),
    ("PINGRESP", |wire, a| wire.send(a, hex("d0 00"))),
    ("DISCONNECT", |wire, a| wire.send(a, disconnect())),
    ("AUTH 0x00", |wire, a| wire.send(a, hex("f0 00"))),
    ("AUTH 0x18", |wire, a| wire.send(a, hex("f0 06 18 04 15 00 01 4d"))),
    ("AUTH 0x19", |wire, a| wire.send(a, hex("f0 06 19 04 15 00 01 4d"))),
    ("type 0", |wire, a| wire.send(a, hex("00 00"))),
    ("bad flags", |wire, a| wire.send(a, hex("c1 00"))),
    ("too large", |wire, a| wire.send(a, hex("30 ff ff ff 7f"))),
    ("end of stream", Wire::cut),
    ("5 s", |wire, _| wire.advance_secs(5)),
    ("30 s", |wire, _| wire.advance_secs(30)),
    ("driver ends it", |wire, a| wire.disconnect(a, DisconnectReason::ServerBusy)),
    ("shutdown", |wire, _| wire.shutdown()),
];

/// Proves: [MQTT-3.1.0-1], [MQTT-3.1.0-2], [MQTT-3.1.4-6], [MQTT-3.2.0-1], [MQTT-3.14.0-1],
/// [MQTT-3.14.4-1], [MQTT-4.13.1-1]
#[test]
fn a_connection_in_every_state_meets_every_event() {
    let mut table = String::new();
    for (state, make) in STATES {
        for (event, act) in EVENTS {
            let (mut wire, a) = make();
            act(&mut wire, a);
            wire.read_again(a);
            let mut answers = wire.receive(a);
            for answer in &mut answers {
                // What a CONNACK tells of the broker is shown elsewhere.
                if let Some(at) = answer.find(" {") {
                    answer.truncate(at);
                }
            }
            let asked = match wire.next_decision() {
                Some(_) => ", asks",
                None => "",
            };
            let said = if answers.is_empty() { "-".to_owned() } else { answers.join(", ") };
            let cause = wire.cause(a).map_or_else(String::new, |cause| format!(" ({cause:?})"));
            writeln!(table, "{state:<27} {event:<15} {said}{asked}{cause}").unwrap();
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[test]
fn the_answer_to_a_decision_is_taken_while_nothing_else_is() {
    let mut wire = Wire::configured(|config| config.decisions.publish = true);
    let a = wire.connect(connect("a"));
    wire.send(a, publish("t", "x").qos1(9));
    wire.receive(a);
    let Some(mqtt_session::BrokerEvent::Publish(request)) = wire.next_decision() else {
        panic!("no message to decide about");
    };
    wire.call(|broker, now| {
        broker.answer_publish(now, request, PubAckReason::ImplementationSpecificError.into());
    });
    assert_eq!(wire.receive(a), ["PUBACK id=9 83 Implementation specific error"]);
}
