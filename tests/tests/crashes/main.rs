//! Random scripts of several clients over a broker that crashes and whose commits fail: what was
//! acknowledged is not lost, nothing is delivered twice that must not be, and what was refused
//! stays refused, whatever was committed when.
//!
//! Every commit also compares the broker that the committed changes make with a snapshot of the
//! one that made them, so each script is a crash at every prefix of its batches.
//!
//! The number of scripts is in the environment variable `MQTT_TESTS_SCRIPTS`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on has failed"
)]

mod action;
mod client;
mod contract;
mod world;

use proptest::prelude::*;

use action::{Action, action};
use world::World;

/// How many clients take part.
const CLIENTS: usize = 3;

/// With this environment variable another number of scripts is run than the default.
const SCRIPTS: &str = "MQTT_TESTS_SCRIPTS";

fn scripts() -> u32 {
    std::env::var(SCRIPTS).map_or(256, |number| number.parse().expect("a number of scripts"))
}

/// Carries out a script, then everything that is under way, and holds it against the contract.
///
/// All clients begin with a subscription of the given QoS. If the driver `is_asked` it decides
/// about each message, when the script says so.
fn run(subscriptions: [u8; CLIENTS], is_asked: bool, script: &[Action]) {
    let mut world = World::new(subscriptions, is_asked);
    for action in script {
        world.act(action);
    }
    world.finish();
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: scripts(),
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    /// Proves: [MQTT-4.3.2-1], [MQTT-4.3.3-1], [MQTT-4.3.3-10], [MQTT-4.4.0-1], [MQTT-4.6.0-6]
    #[test]
    fn no_message_is_lost_or_delivered_twice(
        subscriptions in prop::array::uniform3(0..3_u8),
        is_asked in prop::bool::weighted(0.2),
        script in prop::collection::vec(action(), 1..200),
    ) {
        run(subscriptions, is_asked, &script);
    }
}

/// The message is under way to a session whose client comes back before the commit fails, and is
/// refused then: nobody may get it.
#[test]
fn a_message_is_refused_while_its_subscriber_comes_back() {
    use Action::{Commit, Connect, Crash, Cut, Disconnect, Fail, Publish, Slow, Wait};
    let script = [
        Publish(0, 1, false),
        Slow(true),
        Disconnect(2),
        Publish(0, 2, false),
        Cut(1),
        Connect(1, None),
        Commit,
        Fail,
        Wait(1),
        Slow(false),
        Crash,
    ];
    run([0, 2, 0], false, &script);
}

/// A retained message waits for the decision whether its reader may have it, and is replaced: at
/// QoS 0 nobody needs it stored, and at QoS 1 its reader does if it gets it.
#[test]
fn a_retained_message_is_replaced_while_its_reader_is_decided_about() {
    use Action::{Connect, Publish, Subscribe, Unsubscribe};
    for qos in [0, 1] {
        let script = [
            Unsubscribe(0),
            Connect(0, None),
            Unsubscribe(0),
            Publish(0, 2, true),
            Subscribe(0, qos),
            Publish(0, 2, true),
            Unsubscribe(0),
        ];
        run([0, 0, 0], true, &script);
    }
}
