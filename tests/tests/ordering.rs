//! In which order messages arrive.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use mqtt_codec::Packet;
use mqtt_tests::scripted::{connect, puback, pubcomp, publish, pubrec, pubrel, subscribe};
use mqtt_tests::{Peer, Random, Wire};

/// What a subscriber has seen: QoS, topic and payload of each message that is not sent again.
fn messages(wire: &mut Wire, peer: Peer) -> Vec<(u8, String, u32)> {
    let mut seen = Vec::new();
    loop {
        let frames = wire.receive_frames(peer);
        if frames.is_empty() {
            return seen;
        }
        for frame in frames {
            let Packet::Publish(publish) = frame.packet().unwrap() else { continue };
            let payload = str::from_utf8(publish.payload).unwrap().parse().unwrap();
            let topic = publish.topic.unwrap().as_str().to_owned();
            let qos = publish.qos.qos() as u8;
            if !publish.qos.dup() {
                seen.push((qos, topic, payload));
            }
            match (qos, publish.qos.packet_id()) {
                (1, Some(id)) => wire.send(peer, puback(id.get())),
                (2, Some(id)) => wire.send_all(peer, [pubrec(id.get()), pubcomp(id.get())]),
                _ => {}
            }
        }
    }
}

fn publish_one(wire: &mut Wire, peer: Peer, topic: &str, qos: u8, number: u32) {
    wire.send(peer, publish(topic, number.to_string()).qos(qos, 1));
    if qos == 2 {
        wire.send(peer, pubrel(1));
    }
}

/// Proves: [MQTT-4.6.0-5], [MQTT-4.6.0-6]
#[test]
fn messages_of_one_publisher_topic_and_qos_arrive_in_the_order_of_publishing() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut wire = Wire::new();
        let publishers = ["p", "q"].map(|name| wire.connect(connect(name)));
        let receive_maximum = 1 + random.below(5) as u16;
        let script = || connect("a").expiry(1000).receive_maximum(receive_maximum);
        let mut a = wire.connect(script());
        wire.send(a, subscribe(1, "t/#").qos(2));
        let mut seen = Vec::new();
        for number in 0..200 {
            let from = random.below(2);
            let topic = format!("t/{from}/{}", random.below(2));
            publish_one(&mut wire, publishers[from], &topic, random.below(3) as u8, number);
            match random.below(10) {
                0 => {
                    wire.cut(a);
                    a = wire.connect(script().resume());
                }
                1..4 => seen.extend(messages(&mut wire, a)),
                _ => {}
            }
        }
        seen.extend(messages(&mut wire, a));
        let mut last = std::collections::BTreeMap::new();
        for (qos, topic, number) in &seen {
            let before = last.insert((qos, topic), number);
            assert!(before.is_none_or(|before| before < number), "seed {seed}: {topic} {number}");
        }
        // Every message that may not be lost has come.
        assert_eq!(wire.broker().statistics().dropped.total(), 0);
        assert_eq!(wire.broker().gauges().messages, 0, "seed {seed}");
    }
}

/// Proves: [MQTT-4.6.0-5]
#[test]
fn while_places_are_free_messages_of_all_qos_keep_their_order() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a"));
    wire.send(a, subscribe(1, "t").qos(2));
    wire.receive(a);
    wire.stop_reading(a);
    let kinds = [0, 2, 1, 1, 0, 2, 2, 0, 1, 0, 0, 1];
    for (number, qos) in (0..).zip(kinds) {
        publish_one(&mut wire, publisher, "t", qos, number);
    }
    wire.read_again(a);
    let seen: Vec<_> = messages(&mut wire, a).into_iter().map(|(qos, _, n)| (qos, n)).collect();
    let expected: Vec<_> = kinds.into_iter().zip(0..).collect();
    assert_eq!(seen, expected);
}

/// Proves: [MQTT-4.6.0-5]
#[test]
fn a_queue_keeps_its_order_across_connections() {
    let mut wire = Wire::new();
    let publisher = wire.connect(connect("publisher"));
    let a = wire.connect(connect("a").expiry(100).receive_maximum(2));
    wire.send(a, subscribe(1, "t").qos(2));
    for number in 0..10 {
        publish_one(&mut wire, publisher, "t", 1 + (number % 2) as u8, number);
    }
    wire.cut(a);
    for number in 10..20 {
        publish_one(&mut wire, publisher, "t", 1 + (number % 2) as u8, number);
    }
    let a = wire.connect(connect("a").resume().expiry(100).receive_maximum(3));
    let mut seen = messages(&mut wire, a);
    seen.sort_by_key(|message| message.0);
    let numbers: Vec<_> = seen.iter().map(|message| message.2).collect();
    // The first two were sent before, and come again with DUP.
    let expected: Vec<_> = (2..20).step_by(2).chain((3..20).step_by(2)).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn acknowledgements_go_out_in_the_order_of_what_they_answer() {
    let mut wire = Wire::new();
    let a = wire.connect(connect("a"));
    let packets: Vec<Vec<u8>> = [(1, 5), (2, 9), (1, 3), (2, 2), (1, 7)]
        .into_iter()
        .map(|(qos, id)| publish("t", "x").qos(qos, id).into())
        .chain([9, 2].map(pubrel))
        .collect();
    wire.send_all(a, packets);
    let ids: Vec<_> = wire
        .receive(a)
        .iter()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        ids,
        [
            "PUBACK id=5",
            "PUBREC id=9",
            "PUBACK id=3",
            "PUBREC id=2",
            "PUBACK id=7",
            "PUBCOMP id=9",
            "PUBCOMP id=2"
        ]
    );
}
