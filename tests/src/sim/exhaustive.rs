//! Every place at which a connection can fail: scripted sessions, each cut once behind every byte
//! in either direction, with both kinds of sessions, and with the client's state kept and lost.

use super::event::{Body, Event, Publish, Subscribe};
use super::invariants::{Check, Fault};
use super::setup::{BrokerSetup, ClientSetup, SessionSetup, Setup, StoreSetup, WillSetup};
use super::swarm::guarded;
use super::world::World;

/// A connection that fails: whose, behind how many bytes, in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CutAt {
    client: u8,
    is_up: bool,
    bytes: usize,
}

/// What a client is like that is cut off.
#[derive(Clone, Copy, Debug)]
struct Variant {
    session: SessionSetup,
    forgets: bool,
}

const VARIANTS: [Variant; 4] = [
    Variant { session: SessionSetup::Resume, forgets: false },
    Variant { session: SessionSetup::Clean, forgets: false },
    Variant { session: SessionSetup::Resume, forgets: true },
    Variant { session: SessionSetup::Rejoin, forgets: true },
];

/// Runs every single cut of every script. Calls `report` with the schedule's name for each one
/// that breaks an invariant, and returns how many schedules and events there were.
pub fn single_cuts(mut report: impl FnMut(&str, &Fault)) -> (u64, u64) {
    let (mut schedules, mut events) = (0, 0);
    for (number, script) in scripts().iter().enumerate() {
        for variant in VARIANTS {
            // Without a cut the world tells how many bytes each pipe carries.
            let mut carried = [[0; 2]; 2];
            let outcome = run(script, variant, None, &mut carried);
            let mut count = |cut: Option<CutAt>, outcome: Result<u64, Fault>| {
                schedules += 1;
                match outcome {
                    Ok(count) => events += count,
                    Err(fault) => report(&format!("script {number}, {variant:?}, {cut:?}"), &fault),
                }
            };
            count(None, outcome);
            for client in 0..2 {
                for is_up in [true, false] {
                    for bytes in 0..carried[usize::from(client)][usize::from(is_up)] {
                        let cut = Some(CutAt { client, is_up, bytes });
                        count(cut, run(script, variant, cut, &mut [[0; 2]; 2]));
                    }
                }
            }
        }
    }
    (schedules, events)
}

/// A scripted session: what the clients are like, and what they do.
#[derive(Clone, Debug)]
struct Script {
    setup: Setup,
    events: Vec<Event>,
}

/// All scripts: each QoS of message and subscription, plain, retained, with a will, with slow
/// answers, with a durable broker.
fn scripts() -> Vec<Script> {
    let mut scripts = Vec::new();
    for published in 0..3 {
        for granted in 0..3 {
            for kind in 0..5 {
                scripts.push(script(published, granted, kind));
            }
        }
    }
    scripts
}

fn script(published: u8, granted: u8, kind: u8) -> Script {
    let mut setup = Setup::default();
    let retain = kind == 1;
    let subscribe = |filter| Subscribe {
        filter,
        qos: granted,
        no_local: false,
        retain_as_published: retain,
        retain_handling: 0,
    };
    let publish = |topic| Publish { topic, qos: published, retain, body: Body::Number, expiry: 0 };
    let mut events = vec![Event::Connect(0), Event::Connect(1)];
    match kind {
        1 => events.push(Event::Publish(1, publish(0))),
        2 => {
            let will = WillSetup { topic: 0, qos: published, retain: false, delay: 3, expiry: 0 };
            setup.clients[1].will = Some(will);
        }
        3 => setup.clients[0].manual = true,
        4 => {
            setup.broker = BrokerSetup { store: StoreSetup::Fast, ..BrokerSetup::default() };
        }
        _ => {
            let limits = ClientSetup { receive_maximum: 1, ..ClientSetup::default() };
            setup.clients[0] = ClientSetup { incoming_aliases: 2, ..limits };
            setup.clients[1].outgoing_aliases = 2;
        }
    }
    events.extend([
        Event::Subscribe(0, subscribe(2)),
        Event::Publish(1, publish(0)),
        Event::Publish(1, publish(1)),
        Event::Publish(0, publish(0)),
        Event::Answer(0, 1, false),
        Event::Answer(0, 0, false),
        Event::Unsubscribe(0, 0),
        Event::Leave(1, true),
        Event::Wait(4_000),
    ]);
    Script { setup, events }
}

/// Runs a script with a cut. Returns how many events there were.
fn run(
    script: &Script,
    variant: Variant,
    cut: Option<CutAt>,
    carried: &mut [[usize; 2]; 2],
) -> Result<u64, Fault> {
    let mut setup = script.setup.clone();
    for client in &mut setup.clients {
        client.session = variant.session;
    }
    let mut events = 0;
    guarded(|| {
        let mut world = World::new(setup.clone());
        let mut cut = cut;
        for event in &script.events {
            events += 1;
            world.apply(event)?;
            carry(&mut world, variant, &mut cut, carried, &mut events)?;
        }
        world.finish()
    })?;
    Ok(events)
}

/// Carries everything that is under way, up to the cut; behind it the client comes back.
fn carry(
    world: &mut World,
    variant: Variant,
    cut: &mut Option<CutAt>,
    carried: &mut [[usize; 2]; 2],
    events: &mut u64,
) -> Check {
    loop {
        let mut is_busy = false;
        for client in 0..2u8 {
            for is_up in [true, false] {
                let waiting = world.waiting(client, is_up);
                let so_far = &mut carried[usize::from(client)][usize::from(is_up)];
                let here = cut.filter(|cut| (cut.client, cut.is_up) == (client, is_up));
                let most = here.map_or(usize::MAX, |cut| cut.bytes - *so_far);
                let count = waiting.min(most);
                if count > 0 {
                    is_busy = true;
                    *so_far += count;
                    *events += 1;
                    let count = count as u16;
                    world.apply(&match is_up {
                        true => Event::Up(client, count),
                        false => Event::Down(client, count),
                    })?;
                }
                if waiting > most {
                    is_busy = true;
                    *cut = None;
                    world.apply(&Event::Cut(client))?;
                    if variant.forgets {
                        world.apply(&Event::Forget(client))?;
                    }
                    world.apply(&Event::Connect(client))?;
                    *events += 2;
                }
            }
            while world.has_ended(client) {
                is_busy = true;
                world.apply(&Event::Late(client, 0))?;
            }
        }
        if !is_busy {
            return Ok(());
        }
    }
}
