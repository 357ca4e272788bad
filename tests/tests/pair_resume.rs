//! Connections that are cut anywhere: what both machines make of it together.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use core::num::NonZeroU16;
use core::time::Duration;
use std::collections::BTreeMap;

use mqtt_session::{ClientConfig, DisconnectOptions, SessionPolicy};
use mqtt_tests::{Cut, Pair, Pieces, Random, Wire};

fn resuming() -> ClientConfig {
    ClientConfig::new()
        .client_id("client")
        .keep_alive(Duration::ZERO)
        .session(SessionPolicy::resume(Duration::from_secs(1000)))
        .outgoing_topic_aliases(4)
        .topic_alias_maximum(4)
}

fn clean() -> ClientConfig {
    resuming().session(SessionPolicy::clean())
}

/// What an application does on a connection: it subscribes and publishes at every QoS, to itself.
///
/// The payload of a QoS 1 or QoS 2 message is its number.
fn act(pair: &mut Pair, published: &mut usize) {
    for qos in [2, 0, 1, 2, 1] {
        if !pair.is_connected() {
            return;
        }
        if qos == 0 {
            pair.publish("echo/topic", "at most once", qos);
        } else {
            *published += 1;
            pair.publish("echo/topic", published.to_string(), qos);
        }
    }
}

/// What the application has seen.
#[derive(Debug, Default)]
struct Seen {
    /// How often each QoS 1 and QoS 2 message came, with its QoS.
    counts: BTreeMap<usize, (u8, usize)>,
    /// How each of them ended.
    outcomes: BTreeMap<usize, String>,
}

impl Seen {
    fn collect(&mut self, pair: &mut Pair) {
        for message in pair.messages() {
            if let Ok(number) = str::from_utf8(message.payload()).unwrap().parse() {
                let qos = message.qos() as u8;
                self.counts.entry(number).or_insert((qos, 0)).1 += 1;
            }
        }
        for line in pair.told() {
            let Some(published) = line.strip_prefix("published ") else { continue };
            let (number, outcome) = published.split_once(' ').unwrap();
            let ended = self.outcomes.insert(number.parse().unwrap(), outcome.to_owned());
            assert_eq!(ended, None, "a message ends once");
        }
    }
}

/// Plays the session over connections that are cut as told, the last one not, and checks what must
/// hold when all is quiet.
fn survive(config: ClientConfig, cuts: &[Cut], pieces: Pieces, resumes: bool) {
    let case = format!("{cuts:?}, resumes: {resumes}");
    let mut pair = Pair::with_broker(config, |config| {
        config.limits.receive_maximum = NonZeroU16::new(4).unwrap();
    });
    pair.cut_into(pieces);
    let mut seen = Seen::default();
    let mut published = 0;
    pair.subscribe("echo/#", 2);
    for &cut in cuts.iter().chain([&Cut::Never]) {
        pair.connect_until(cut);
        act(&mut pair, &mut published);
        seen.collect(&mut pair);
        if cut != Cut::Never && pair.is_connected() {
            // It carried less than the place of the cut.
            pair.lose();
        }
    }
    seen.collect(&mut pair);
    assert!(pair.is_connected(), "{case}");
    // Nothing is under way, on either side.
    assert_eq!(pair.client().outgoing_messages(), 0, "{case}");
    assert_eq!(pair.wire().broker().gauges().messages, 0, "{case}");
    assert!(seen.outcomes.keys().copied().eq(1..=published), "{case}: each has ended: {seen:?}");
    for (number, (qos, count)) in &seen.counts {
        assert!(*qos == 1 || *count == 1, "{case}: {number} came {count} times at QoS 2");
    }
    for (number, outcome) in &seen.outcomes {
        match outcome.as_str() {
            "acknowledged: Success" if resumes => {
                assert!(seen.counts.contains_key(number), "{case}: {number} did not come");
            }
            "acknowledged: Success" => {}
            "SessionLost" => assert!(!resumes, "{case}: {number} lost its session"),
            other => panic!("{case}: {number} ended: {other}"),
        }
    }
}

/// How many bytes the whole session takes on one connection, to the broker and to the client.
fn lengths(config: ClientConfig) -> (usize, usize) {
    let mut pair = Pair::new(config);
    pair.subscribe("echo/#", 2);
    pair.connect();
    act(&mut pair, &mut 0);
    let transcript = pair.wire();
    let to_client = transcript.bytes(pair.peer().unwrap()).len();
    (transcript.broker().statistics().bytes_received as usize, to_client)
}

/// Proves: [MQTT-4.4.0-1], [MQTT-4.3.2-3], [MQTT-4.3.3-3], [MQTT-4.3.3-5], [MQTT-4.3.3-6],
/// [MQTT-4.3.3-10], [MQTT-3.1.2-5], [MQTT-4.1.0-1]
#[test]
fn a_resumed_session_loses_nothing_and_doubles_no_qos_2_message_wherever_it_was_cut() {
    let (to_broker, to_client) = lengths(resuming());
    assert!(to_broker > 100 && to_client > 100, "{to_broker} and {to_client} bytes");
    for at in 0..=to_broker {
        survive(resuming(), &[Cut::ToBroker(at)], Pieces::Whole, true);
    }
    for at in 0..=to_client {
        survive(resuming(), &[Cut::ToClient(at)], Pieces::Whole, true);
    }
}

/// Proves: [MQTT-3.1.2-4], [MQTT-4.4.0-1]
#[test]
fn a_clean_session_tells_what_it_lost_and_repeats_nothing() {
    let (to_broker, to_client) = lengths(clean());
    for at in 0..=to_broker {
        survive(clean(), &[Cut::ToBroker(at)], Pieces::Whole, false);
    }
    for at in 0..=to_client {
        survive(clean(), &[Cut::ToClient(at)], Pieces::Whole, false);
    }
}

/// Proves: [MQTT-4.4.0-1], [MQTT-4.3.3-10]
#[test]
fn a_session_that_is_cut_again_and_again_still_comes_through() {
    let (to_broker, to_client) = lengths(resuming());
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let cuts: Vec<Cut> = (0..1 + random.below(6))
            .map(|_| match random.below(2) {
                0 => Cut::ToBroker(random.below(to_broker + 50)),
                _ => Cut::ToClient(random.below(to_client + 50)),
            })
            .collect();
        let pieces = Pieces::Random { random: Random::new(seed), longest: 1 + random.below(40) };
        survive(resuming(), &cuts, pieces, true);
    }
}

/// Proves: [MQTT-4.4.0-1], [MQTT-3.3.1-1], [MQTT-4.6.0-1], [MQTT-3.2.2-3]
#[test]
fn both_sides_send_again_what_they_owe() {
    let mut pair = Pair::new(resuming().outgoing_topic_aliases(0).topic_alias_maximum(0));
    pair.connect();
    pair.subscribe("t", 2);
    pair.told();
    // What the broker says from here on is lost on the way.
    pair.lose_answers();
    for qos in [1, 2] {
        pair.publish("t", format!("at QoS {qos}"), qos);
    }
    pair.lose();
    pair.on_wire(Wire::clear_transcript);
    pair.connect();
    insta::assert_snapshot!(pair.transcript());
    insta::assert_snapshot!(pair.told().join("\n"));
}

/// Proves: [MQTT-3.2.2-5], [MQTT-3.1.2-6]
#[test]
fn when_the_broker_has_lost_the_session_the_client_begins_anew() {
    let mut pair = Pair::new(resuming());
    pair.connect();
    pair.subscribe("t", 2);
    pair.publish("t", "x", 2);
    pair.lose();
    pair.told();
    pair.advance(Duration::from_secs(1000));
    pair.connect();
    pair.publish("t", "y", 1);
    let told = pair.told();
    assert_eq!(
        told,
        [
            "connected",
            "subscribed 0 [02], renewed",
            "published 2 acknowledged: Success",
            r#"message q1 "t" "y" {subscription=1} to 0"#,
        ]
    );
}

/// Proves: [MQTT-3.1.2-23], [MQTT-3.2.2-3]
#[test]
fn a_client_that_leaves_politely_finds_its_session_again() {
    let mut pair = Pair::new(resuming());
    pair.connect();
    pair.subscribe("t", 1);
    pair.disconnect(&DisconnectOptions::default());
    pair.on_wire(|wire| {
        let other = wire.connect(mqtt_tests::scripted::connect("other"));
        wire.send(other, mqtt_tests::scripted::publish("t", "meanwhile").qos1(1));
    });
    pair.told();
    pair.connect();
    assert_eq!(
        pair.told(),
        ["connected, session present", r#"message q1 "t" "meanwhile" {subscription=1} to 0"#]
    );
}
