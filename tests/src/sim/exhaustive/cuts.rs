//! Every scripted session, cut once behind every byte that either side sends: by either side or
//! both, with Clean Start 0 and 1, and with the client's state kept and lost.

use super::Tally;
use super::scripts::{Carrier, CutAt, End, Kind, Script, Variant, every_cut, scripts};
use crate::sim::invariants::Check;
use crate::sim::world::World;

const KINDS: [Kind; 5] = [Kind::Narrow, Kind::Retained, Kind::Will, Kind::Late, Kind::Durable];

pub(super) fn run(tally: &mut Tally<'_>) {
    for (number, script) in scripts(&KINDS).iter().enumerate() {
        for variant in Variant::ALL {
            for end in End::ALL {
                if tally.takes_next() {
                    cut_everywhere(tally, &format!("script {number}"), script, variant, end);
                }
            }
        }
    }
}

fn cut_everywhere(tally: &mut Tally<'_>, name: &str, script: &Script, variant: Variant, end: End) {
    // Without a cut the world tells how many bytes each pipe carries.
    let mut carried = [[0; 2]; 2];
    let mut schedule = |cut: Option<CutAt>, carried: &mut [[usize; 2]; 2]| {
        let name = || format!("{name}, {variant:?}, {end:?}, {cut:?}");
        tally.run(name, |events| {
            let mut carrier = Carrier::new(variant, end);
            let outcome = play(script, variant, cut, &mut carrier);
            *events = carrier.events;
            *carried = carrier.carried;
            outcome
        });
    };
    schedule(None, &mut carried);
    for cut in every_cut(carried) {
        schedule(Some(cut), &mut [[0; 2]; 2]);
    }
}

fn play(script: &Script, variant: Variant, cut: Option<CutAt>, carrier: &mut Carrier) -> Check {
    let mut world = world(script, variant);
    carrier.cut(cut);
    carrier.play(&mut world, &script.events)?;
    world.finish()
}

/// The world of a script whose clients are like this.
pub(super) fn world(script: &Script, variant: Variant) -> World {
    let mut setup = script.setup.clone();
    for client in &mut setup.clients {
        client.session = variant.session();
    }
    World::new(setup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::exhaustive::scripts::{Process, script};

    /// A client that is cut off in the middle of its exchanges comes back as the variant says: the
    /// broker held a session for it until then, and both know something of each other.
    #[test]
    fn clean_start_and_lost_state_are_varied_independently() {
        for variant in Variant::ALL {
            let script = script(2, 2, Kind::Narrow);
            let mut world = world(&script, variant);
            world.story = Some(String::new());
            let mut carrier = Carrier::new(variant, End::Client);
            // CONNECT, SUBSCRIBE and the PUBREC of the first message have gone up by then.
            carrier.cut([CutAt { client: 0, is_up: true, bytes: 60 }]);
            let outcome = carrier.play(&mut world, &script.events);
            assert!(outcome.is_ok(), "{outcome:?}");
            let story = world.story.take().expect("a story");
            let sent: Vec<&str> =
                story.lines().filter(|line| line.contains("c0 sends: ")).collect();
            let connects: Vec<usize> =
                (0..sent.len()).filter(|&at| sent[at].contains("sends: Connect")).collect();
            let [_, again] = connects[..] else { panic!("{variant:?}: {sent:#?}") };
            let clean = format!("clean: {}", variant.clean_start);
            assert!(sent[again].contains(&clean), "{variant:?}: {}", sent[again]);
            let before = &sent[..again];
            assert!(before.iter().any(|line| line.contains("PubRec")), "{variant:?}: {before:#?}");
            assert_eq!(world.has_forgotten(0), variant.process == Process::Forgets);
        }
    }
}
