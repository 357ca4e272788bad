//! Client and broker understand each other in whichever pieces their bytes arrive.

use core::time::Duration;

use mqtt_session::{ClientConfig, DisconnectOptions};
use mqtt_tests::{Pair, Pieces, Random};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Plays a session and returns what the client was told.
fn play(pieces: Pieces) -> Vec<String> {
    let config = ClientConfig::new()
        .client_id("client")
        .keep_alive(Duration::from_secs(60))
        .outgoing_topic_aliases(3)
        .topic_alias_maximum(3);
    let mut pair = Pair::new(config);
    pair.cut_into(pieces);
    pair.connect();
    let all = pair.subscribe("t/#", 2);
    for (number, size) in (0..).zip([0, 1, 100, 127, 128, 8_192, 16_384, 20_000, 70_000]) {
        for qos in 0..=2 {
            pair.publish(&format!("t/{}", number % 4), vec![b'x'; size], qos);
        }
    }
    pair.advance(Duration::from_secs(100));
    pair.unsubscribe(all);
    pair.disconnect(&DisconnectOptions::default());
    pair.told()
}

#[test]
fn byte_by_byte_they_say_the_same() {
    assert!(play(Pieces::EveryByte) == play(Pieces::Whole));
}

/// The same cases in every run.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 32,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn in_random_pieces_they_say_the_same(seed in any::<u64>(), longest in 1_usize..30_000) {
        let pieces = Pieces::Random { random: Random::new(seed), longest };
        prop_assert!(play(pieces) == play(Pieces::Whole));
    }
}
