//! A stream of bytes means the same in whichever pieces it arrives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use mqtt_tests::scripted::{
    connect, disconnect, hex, pingreq, puback, pubcomp, publish, pubrec, pubrel, subscribe,
    unsubscribe, will,
};
use mqtt_tests::{Peer, Pieces, Random, Wire};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// A session with packets of every kind and of many sizes, one send a step.
fn session() -> Vec<Vec<Vec<u8>>> {
    vec![
        vec![
            connect("a")
                .expiry(100)
                .receive_maximum(3)
                .alias_maximum(2)
                .will(will("w", "gone").qos(1))
                .user_name("u")
                .password(b"p")
                .into(),
            subscribe(1, "t/#").qos(2).subscription_id(300).and("w").into(),
            pingreq(),
        ],
        vec![
            publish("t/1", "").into(),
            publish("t/1", vec![b'x'; 200]).qos1(1).retain().into(),
            publish("t/2", vec![b'y'; 20_000]).qos2(2).expiry(60).into(),
            publish("t/3", "z").alias(1).into(),
            publish("", vec![b'q'; 9_000]).qos1(3).alias(1).into(),
            pubrel(2),
        ],
        vec![puback(1), pubrec(2), pubcomp(2), puback(3), pubrec(9), pubrel(9)],
        vec![
            unsubscribe(4, &["w", "nothing"]),
            publish("t/big", vec![b'b'; 100_000]).qos1(5).into(),
            hex("40 02 0001"),
            hex("40 03 0002 00"),
            pingreq(),
            subscribe(6, "$share/g/t/1").qos(1).into(),
        ],
        vec![publish("t/1", "last").qos1(7).into(), disconnect(), pingreq()],
    ]
}

/// Plays the session and returns what came back, step by step, to the client and to a witness.
fn play(pieces: &Pieces) -> Vec<(Vec<u8>, Vec<String>)> {
    let mut wire = Wire::new();
    let witness = wire.connect(connect("witness"));
    wire.send(witness, subscribe(1, "#"));
    wire.receive(witness);
    wire.cut_into(pieces.clone());
    let a: Peer = wire.open("a");
    let mut seen = Vec::new();
    for step in session() {
        let before = wire.bytes(a).len();
        wire.send_all(a, step);
        seen.push((wire.bytes(a)[before..].to_vec(), wire.receive(witness)));
    }
    assert!(wire.cause(a).is_some(), "the session ends with its DISCONNECT");
    assert_eq!(wire.broker().gauges().connections, 1);
    seen
}

#[test]
fn the_session_in_one_piece_is_what_it_should_be() {
    let lines: Vec<String> = play(&Pieces::Whole).into_iter().flat_map(|step| step.1).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    PUBLISH q0 "t/1" ""
    PUBLISH q0 "t/1" 200 bytes
    PUBLISH q0 "t/2" 20000 bytes {expiry=60}
    PUBLISH q0 "t/3" "z"
    PUBLISH q0 "t/3" 9000 bytes
    PUBLISH q0 "t/big" 100000 bytes
    PUBLISH q0 "t/1" "last"
    "#);
}

#[test]
fn byte_by_byte_it_means_the_same() {
    assert!(play(&Pieces::EveryByte) == play(&Pieces::Whole));
}

#[test]
fn cut_once_at_any_place_it_means_the_same() {
    let whole = play(&Pieces::Whole);
    for at in (0..600).chain((600..21_000).step_by(997)) {
        assert!(play(&Pieces::At(vec![at])) == whole, "cut at {at}");
    }
}

/// The same cases in every run.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 64,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn in_random_pieces_it_means_the_same(seed in any::<u64>(), longest in 1_usize..30_000) {
        let pieces = Pieces::Random { random: Random::new(seed), longest };
        prop_assert!(play(&pieces) == play(&Pieces::Whole));
    }

    /// Bytes that nobody has thought about end a connection at most.
    #[test]
    fn whatever_comes_the_broker_goes_on(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        is_connected in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut wire = Wire::new();
        let other = wire.connect(connect("other"));
        let peer = if is_connected { wire.connect(connect("a")) } else { wire.open("a") };
        wire.cut_into(Pieces::Random { random: Random::new(seed), longest: 20 });
        wire.send(peer, bytes);
        wire.cut(peer);
        wire.send(other, pingreq());
        prop_assert_eq!(wire.receive(other), ["PINGRESP"]);
        prop_assert_eq!(wire.broker().gauges().connections, 1);
    }

    /// A packet with one byte changed is refused or means something; the broker goes on.
    #[test]
    fn whatever_is_changed_in_a_session_the_broker_goes_on(
        step in 0_usize..5,
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
        seed in any::<u64>(),
    ) {
        let mut wire = Wire::new();
        let other = wire.connect(connect("other"));
        let peer = wire.open("a");
        wire.cut_into(Pieces::Random { random: Random::new(seed), longest: 50_000 });
        for (number, packets) in session().into_iter().enumerate() {
            let mut bytes: Vec<u8> = packets.into_iter().flatten().collect();
            if number == step {
                let at = at.index(bytes.len().min(500));
                bytes[at] = value;
            }
            wire.send(peer, bytes);
        }
        wire.cut(peer);
        wire.send(other, pingreq());
        prop_assert_eq!(wire.receive(other).pop(), Some("PINGRESP".to_owned()));
        // Longer than any session expiry that the broker grants.
        wire.advance_secs(100_000);
        let gauges = wire.broker().gauges();
        prop_assert_eq!((gauges.connections, gauges.sessions), (1, 1));
        prop_assert_eq!(gauges.messages, gauges.retained_messages);
    }
}
