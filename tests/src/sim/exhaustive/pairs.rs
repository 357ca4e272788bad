//! A QoS 2 message from publisher to broker to subscriber, with every pair of cuts: the first
//! behind every byte of the exchange, in each direction of each client, and the second behind every
//! byte that either client's connections carry after that.

use super::Tally;
use super::cuts::world;
use super::scripts::{Carrier, CutAt, End, Script, Variant, every_cut, publish, subscribe};
use crate::sim::event::Event;
use crate::sim::invariants::Check;
use crate::sim::setup::{BrokerSetup, Setup, StoreSetup};

pub(super) fn run(tally: &mut Tally<'_>) {
    for (name, script) in exchanges() {
        for variant in Variant::ALL {
            for end in End::ALL {
                // Every share has to know the first cuts. What breaks without one is told by the
                // share that has the first of them.
                let mut carrier = Carrier::new(variant, end);
                let outcome = play(&script, variant, &[], &mut carrier);
                if tally.takes_next() {
                    tally.run(|| format!("{name}, {variant:?}"), |_| outcome);
                }
                for first in every_cut(carrier.carried) {
                    if tally.takes_next() {
                        cut_again(tally, name, &script, (variant, end), first);
                    }
                }
            }
        }
    }
}

/// One QoS 2 message, as it mostly goes; with an application that answers late; over a store.
fn exchanges() -> Vec<(&'static str, Script)> {
    let events =
        vec![Event::Publish(1, publish(0, 2)), Event::Answer(0, 0, false), Event::Wait(4_000)];
    let mut late = Setup::default();
    late.clients[0].manual = true;
    let broker = BrokerSetup { store: StoreSetup::Fast, ..BrokerSetup::default() };
    let durable = Setup { broker, ..Setup::default() };
    [("plain", Setup::default()), ("late", late), ("durable", durable)]
        .map(|(name, setup)| (name, Script { setup, events: events.clone() }))
        .into()
}

/// Every second cut behind a first one.
fn cut_again(
    tally: &mut Tally<'_>,
    name: &str,
    script: &Script,
    (variant, end): (Variant, End),
    first: CutAt,
) {
    let mut carried = [[0; 2]; 2];
    let mut schedule = |cuts: &[CutAt], carried: &mut [[usize; 2]; 2]| {
        let name = || format!("{name}, {variant:?}, {end:?}, {cuts:?}");
        tally.run(name, |events| {
            let mut carrier = Carrier::new(variant, end);
            let outcome = play(script, variant, cuts, &mut carrier);
            *events = carrier.events;
            *carried = carrier.carried;
            outcome
        });
    };
    schedule(&[first], &mut carried);
    for second in every_cut(carried) {
        schedule(&[first, second], &mut [[0; 2]; 2]);
    }
}

fn play(script: &Script, variant: Variant, cuts: &[CutAt], carrier: &mut Carrier) -> Check {
    let mut world = world(script, variant);
    let before = [Event::Connect(0), Event::Connect(1), Event::Subscribe(0, subscribe(0, 2))];
    carrier.play(&mut world, &before)?;
    carrier.cut(cuts.iter().copied());
    carrier.play(&mut world, &script.events)?;
    world.finish()
}
