//! A client that connects again and again while its connections stand: every order of connecting,
//! of what comes to each side and of what comes late, with messages of QoS 1 and 2 under way in
//! both directions, with and without a will, and with other processes under the same client
//! identifier that resume its session or discard it.

use super::Tally;
use super::orders::every_order;
use super::scripts::{publish, subscribe};
use crate::sim::event::Event;
use crate::sim::invariants::{Check, Fault, Invariant};
use crate::sim::setup::{SessionSetup, Setup, WillSetup};
use crate::sim::world::World;

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The client connects, whether it has a connection or not.
    Connect,
    /// Another process connects under the same client identifier, and knows nothing.
    Other,
    /// What the client has sent comes to the broker.
    Up,
    /// What the broker has sent comes to the client.
    Down,
    /// What the client sent on the connection before comes to the broker.
    Late,
}

const STORMS: [&[(Step, usize)]; 3] = [
    &[(Step::Connect, 3), (Step::Up, 2), (Step::Down, 2), (Step::Late, 1)],
    &[(Step::Connect, 2), (Step::Other, 1), (Step::Up, 2), (Step::Down, 1), (Step::Late, 1)],
    &[(Step::Connect, 1), (Step::Other, 2), (Step::Up, 2), (Step::Down, 1), (Step::Late, 1)],
];

/// What the world of a storm is like.
#[derive(Clone, Copy, Debug)]
struct Mix {
    qos: u8,
    /// The will's delay, if there is one.
    will: Option<u16>,
    /// What the client does about its session, and what the other processes do.
    sessions: [SessionSetup; 2],
    manual: bool,
}

fn mixes() -> Vec<Mix> {
    use SessionSetup::{Clean, Rejoin, Resume};
    let mut mixes = Vec::new();
    for qos in [1, 2] {
        for will in [None, Some(0), Some(3)] {
            for sessions in [[Resume, Resume], [Resume, Rejoin], [Clean, Rejoin], [Rejoin, Clean]] {
                for manual in [false, true] {
                    mixes.push(Mix { qos, will, sessions, manual });
                }
            }
        }
    }
    mixes
}

pub(super) fn run(tally: &mut Tally<'_>) {
    for storm in STORMS {
        for mix in mixes() {
            every_order(storm, |order| {
                if tally.takes_next() {
                    tally.run(|| format!("{mix:?}, {order:?}"), |events| play(mix, order, events));
                }
            });
        }
    }
}

fn play(mix: Mix, order: &[Step], events: &mut u64) -> Check {
    let mut setup = Setup::default();
    for (client, session) in setup.clients.iter_mut().zip(mix.sessions) {
        client.session = session;
        client.manual = mix.manual;
        client.will = mix.will.map(|delay| WillSetup {
            topic: 1,
            qos: mix.qos,
            retain: false,
            delay,
            expiry: 0,
        });
    }
    let mut world = World::new(setup);
    let mut apply = |world: &mut World, event: &Event| {
        *events += 1;
        world.apply(event)
    };
    for client in [0, 1] {
        // Each hears of what the other publishes, wills included.
        for event in [
            Event::Connect(client),
            Event::Up(client, 0),
            Event::Down(client, 0),
            Event::Subscribe(client, subscribe(2, mix.qos)),
            Event::Up(client, 0),
            Event::Down(client, 0),
        ] {
            apply(&mut world, &event)?;
        }
    }
    // Two messages in each direction are under way when it begins.
    for topic in [0, 1] {
        apply(&mut world, &Event::Publish(1, publish(topic, mix.qos)))?;
        apply(&mut world, &Event::Up(1, 0))?;
        apply(&mut world, &Event::Publish(0, publish(topic, mix.qos)))?;
    }
    for step in order {
        match step {
            Step::Connect => apply(&mut world, &Event::Connect(0))?,
            Step::Other => {
                apply(&mut world, &Event::Forget(0))?;
                apply(&mut world, &Event::Connect(0))?;
            }
            Step::Up => apply(&mut world, &Event::Up(0, 0))?,
            Step::Down => apply(&mut world, &Event::Down(0, 0))?,
            Step::Late => apply(&mut world, &Event::Late(0, 0))?,
        }
    }
    // Whatever was sent arrives. A CONNECT that comes late takes over too, and what it ends is
    // the connection that the client believes in.
    for event in [Event::Late(0, 0), Event::Late(0, 0), Event::Up(0, 0), Event::Down(0, 0)] {
        apply(&mut world, &event)?;
    }
    if !world.is_connected(0) {
        for event in [Event::Connect(0), Event::Up(0, 0), Event::Down(0, 0)] {
            apply(&mut world, &event)?;
        }
    }
    let standing = world.standing(0);
    if standing != (2, 1) {
        return Err(Fault::new(Invariant::I7, || {
            format!("of all connections and of the client's {standing:?} stand, not (2, 1)")
        }));
    }
    world.finish()
}
