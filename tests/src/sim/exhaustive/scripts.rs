//! Scripted sessions of two clients, and the carrying of their bytes up to where a connection is
//! cut.

use std::collections::VecDeque;

use crate::sim::event::{Body, Event, Publish, Subscribe};
use crate::sim::invariants::Check;
use crate::sim::setup::{BrokerSetup, ClientSetup, SessionSetup, Setup, StoreSetup, WillSetup};
use crate::sim::world::World;

/// A scripted session: what the machines are like, and what the applications do.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) setup: Setup,
    pub(super) events: Vec<Event>,
}

/// What makes a script more than a plain exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Receive Maximum 1 and topic aliases.
    Narrow,
    /// Retained messages, one of which was there before the subscription.
    Retained,
    /// The publisher has a will.
    Will,
    /// The subscriber's application answers late, and refuses one message.
    Late,
    /// The broker is durable.
    Durable,
}

/// A script for each QoS of message and of subscription.
pub(super) fn scripts(kinds: &[Kind]) -> Vec<Script> {
    let mut scripts = Vec::new();
    for published in 0..3 {
        for granted in 0..3 {
            scripts.extend(kinds.iter().map(|&kind| script(published, granted, kind)));
        }
    }
    scripts
}

pub(super) fn script(published: u8, granted: u8, kind: Kind) -> Script {
    let mut setup = Setup::default();
    let retain = kind == Kind::Retained;
    let subscribe =
        |filter| Subscribe { retain_as_published: retain, ..subscribe(filter, granted) };
    let publish = |topic| Publish { retain, ..publish(topic, published) };
    let mut events = vec![Event::Connect(0), Event::Connect(1)];
    match kind {
        Kind::Retained => events.push(Event::Publish(1, publish(0))),
        Kind::Will => {
            let will = WillSetup { topic: 0, qos: published, retain: false, delay: 3, expiry: 0 };
            setup.clients[1].will = Some(will);
        }
        Kind::Late => setup.clients[0].manual = true,
        Kind::Durable => {
            setup.broker = BrokerSetup { store: StoreSetup::Fast, ..BrokerSetup::default() };
        }
        Kind::Narrow => {
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
        Event::Answer(0, 1, kind == Kind::Late),
        Event::Answer(0, 0, false),
        Event::Unsubscribe(0, 0),
        Event::Leave(1, true),
        Event::Wait(4_000),
    ]);
    Script { setup, events }
}

pub(super) const fn publish(topic: u8, qos: u8) -> Publish {
    Publish { topic, qos, retain: false, body: Body::Number, expiry: 0 }
}

pub(super) const fn subscribe(filter: u8, qos: u8) -> Subscribe {
    Subscribe { filter, qos, no_local: false, retain_as_published: false, retain_handling: 0 }
}

/// What a client is like that is cut off and comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    /// The Clean Start of its next CONNECT.
    pub(super) clean_start: bool,
    /// What becomes of its process when the connection ends.
    pub(super) process: Process,
}

/// What becomes of a client's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    /// It goes on.
    Stays,
    /// It ends, and the one that comes back knows what was saved.
    Restarts,
    /// It ends, and the one that comes back knows nothing.
    Forgets,
}

impl Process {
    pub(super) const ALL: [Self; 3] = [Self::Stays, Self::Restarts, Self::Forgets];

    /// What happens to the process of a client, if anything does.
    pub(super) const fn end(self, client: u8) -> Option<Event> {
        match self {
            Self::Stays => None,
            Self::Restarts => Some(Event::Restart(client)),
            Self::Forgets => Some(Event::Forget(client)),
        }
    }
}

impl Variant {
    /// All six.
    pub(super) const ALL: [Self; 6] = [
        Self { clean_start: false, process: Process::Stays },
        Self { clean_start: true, process: Process::Stays },
        Self { clean_start: false, process: Process::Restarts },
        Self { clean_start: true, process: Process::Restarts },
        Self { clean_start: false, process: Process::Forgets },
        Self { clean_start: true, process: Process::Forgets },
    ];

    /// The configuration that leads to it.
    pub(super) const fn session(self) -> SessionSetup {
        match (self.clean_start, self.process) {
            (false, Process::Stays | Process::Restarts) => SessionSetup::Resume,
            (true, Process::Stays | Process::Restarts) => SessionSetup::Clean,
            (false, Process::Forgets) => SessionSetup::Rejoin,
            // A new process has no session state and begins with a new session.
            (true, Process::Forgets) => SessionSetup::Resume,
        }
    }
}

/// Who notices that a connection has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides at once; what is under way is lost.
    Both,
    /// The client, which comes back while the broker still believes in its connection; what the
    /// client had sent comes behind that, if the broker still reads it.
    Client,
    /// The broker; the client still reads what is under way to it, and then the end.
    Broker,
}

impl End {
    pub(super) const ALL: [Self; 3] = [Self::Both, Self::Client, Self::Broker];
}

/// A connection that fails: whose, behind how many bytes, in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CutAt {
    pub(super) client: u8,
    pub(super) is_up: bool,
    /// Counted from the cut before, or from when the carrier began to count.
    pub(super) bytes: usize,
}

/// Every place in the pipes of two clients that have carried so much.
pub(super) fn every_cut(carried: [[usize; 2]; 2]) -> impl Iterator<Item = CutAt> {
    let pipes = [(0, false), (0, true), (1, false), (1, true)];
    pipes.into_iter().flat_map(move |(client, is_up)| {
        let most = carried[usize::from(client)][usize::from(is_up)];
        (0..most).map(move |bytes| CutAt { client, is_up, bytes })
    })
}

/// Carries all bytes at once, up to where a connection is cut.
pub(super) struct Carrier {
    variant: Variant,
    end: End,
    cuts: VecDeque<CutAt>,
    /// Bytes in each direction of each client since the last cut.
    pub(super) carried: [[usize; 2]; 2],
    pub(super) events: u64,
}

impl Carrier {
    pub(super) fn new(variant: Variant, end: End) -> Self {
        Self { variant, end, cuts: VecDeque::new(), carried: [[0; 2]; 2], events: 0 }
    }

    /// From here on bytes are counted, and connections cut behind so many.
    pub(super) fn cut(&mut self, cuts: impl IntoIterator<Item = CutAt>) {
        self.carried = [[0; 2]; 2];
        self.cuts = cuts.into_iter().collect();
    }

    /// Lets the applications do what a script says; after each event everything is carried.
    pub(super) fn play(&mut self, world: &mut World, events: &[Event]) -> Check {
        for event in events {
            self.apply(world, event)?;
            self.carry(world)?;
        }
        Ok(())
    }

    fn apply(&mut self, world: &mut World, event: &Event) -> Check {
        self.events += 1;
        world.apply(event)
    }

    /// Carries everything that is under way.
    fn carry(&mut self, world: &mut World) -> Check {
        loop {
            let mut is_busy = false;
            for client in 0..2 {
                for is_up in [true, false] {
                    is_busy |= self.carry_one_way(world, client, is_up)?;
                }
                while world.has_ended(client) {
                    is_busy = true;
                    self.apply(world, &Event::Late(client, 0))?;
                }
            }
            if !is_busy {
                return Ok(());
            }
        }
    }

    fn carry_one_way(
        &mut self,
        world: &mut World,
        client: u8,
        is_up: bool,
    ) -> Result<bool, crate::sim::Fault> {
        let waiting = world.waiting(client, is_up);
        if waiting == 0 {
            return Ok(false);
        }
        let so_far = &mut self.carried[usize::from(client)][usize::from(is_up)];
        let here = self.cuts.front().filter(|cut| (cut.client, cut.is_up) == (client, is_up));
        let most = here.map_or(usize::MAX, |cut| cut.bytes - *so_far);
        let count = waiting.min(most);
        *so_far += count;
        if count > 0 {
            let count = count as u16;
            let event = if is_up { Event::Up(client, count) } else { Event::Down(client, count) };
            self.apply(world, &event)?;
        }
        if waiting > most {
            self.cuts.pop_front();
            self.carried = [[0; 2]; 2];
            self.fail(world, client)?;
        }
        Ok(true)
    }

    /// A connection fails, and its client comes back.
    fn fail(&mut self, world: &mut World, client: u8) -> Check {
        match self.end {
            End::Both => self.apply(world, &Event::Cut(client))?,
            End::Client => self.apply(world, &Event::CutClient(client))?,
            End::Broker => {
                self.apply(world, &Event::CutBroker(client))?;
                // What is under way, and then the end.
                self.apply(world, &Event::Down(client, 0))?;
                self.apply(world, &Event::Down(client, 0))?;
            }
        }
        if let Some(event) = self.variant.process.end(client) {
            self.apply(world, &event)?;
        }
        self.apply(world, &Event::Connect(client))
    }
}
