//! Schedules drawn from a seed. Each seed picks its own few faults and how often they come, and
//! its own machines: a world in which everything goes wrong at once hides what a world with one
//! fault shows.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mqtt_session::Broker;

use super::event::{Body, Event, Publish, Subscribe};
use super::invariants::{Fault, Invariant};
use super::names::{CLIENTS, FILTERS, FIRST_SHARED, TOPICS};
use super::setup::{
    BrokerSetup, ClientSetup, SMALL_PACKETS, SessionSetup, Setup, StoreSetup, WillSetup,
};
use super::world::World;
use crate::Random;

/// A schedule that broke an invariant.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What does not hold.
    pub fault: Fault,
    /// How the world began.
    pub setup: Setup,
    /// What happened, the last event being the one behind which the fault was found; if it was
    /// found at rest, all of them.
    pub events: Vec<Event>,
}

/// Runs the schedule of a seed. Returns how many events it had.
///
/// # Errors
///
/// An invariant does not hold.
pub fn run(seed: u64) -> Result<usize, Box<Failure>> {
    let mut draw = Draw::new(seed);
    let setup = draw.setup();
    let count = draw.length();
    let mut events = Vec::with_capacity(count);
    let outcome = guarded(|| {
        let mut world = World::new(setup.clone());
        for _ in 0..count {
            let event = draw.event(&world);
            events.push(event);
            world.apply(&event)?;
        }
        world.finish()
    });
    match outcome {
        Ok(()) => Ok(count),
        Err(fault) => Err(Box::new(Failure { fault, setup: draw.setup_again(seed), events })),
    }
}

/// Runs the schedule of a seed up to its event number `until`, or to its end and until every session
/// is over. Returns what the broker is then, without the rest of the world.
///
/// # Errors
///
/// An invariant does not hold.
pub fn broker_after(seed: u64, until: Option<usize>) -> Result<Broker, Fault> {
    let mut draw = Draw::new(seed);
    let mut world = World::new(draw.setup());
    let count = draw.length();
    for _ in 0..until.unwrap_or(count).min(count) {
        let event = draw.event(&world);
        world.apply(&event)?;
    }
    if until.is_none() {
        world.finish()?;
    }
    Ok(world.into_broker())
}

/// Runs a list of events in a world of its own.
///
/// # Errors
///
/// An invariant does not hold.
pub fn replay(setup: &Setup, events: &[Event]) -> Result<(), Fault> {
    guarded(|| {
        let mut world = World::new(setup.clone());
        for event in events {
            world.apply(event)?;
        }
        world.finish()
    })
}

/// Tells what happens in the world of a setup: each event, and the packets that it moves.
#[must_use]
pub fn narrate(setup: &Setup, events: &[Event]) -> String {
    let mut world = World::new(setup.clone());
    world.story = Some(String::new());
    let outcome = guarded(|| {
        for event in events {
            let now = world.now;
            world.tell(format_args!("{now} {event:?}"));
            world.apply(event)?;
        }
        world.tell(format_args!("at rest"));
        world.finish()
    });
    let mut story = world.story.unwrap_or_default();
    if let Err(fault) = outcome {
        story.push_str(&fault.to_string());
    }
    story
}

/// A machine that panics breaks the invariant that all work is done.
pub(super) fn guarded(run: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
        Err(Fault::new(Invariant::I11, || format!("panicked: {text}")))
    })
}

/// What a schedule does, each with its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Carry,
    Connect,
    Publish,
    Subscribe,
    Unsubscribe,
    Answer,
    Cut,
    CutClient,
    CutBroker,
    CutLate,
    TakeOver,
    Leave,
    StallDown,
    StallUp,
    Wait,
    WaitLong,
    Forget,
    Restart,
    Crash,
    Commit,
    Fail,
    Compact,
    Right,
    Reply,
}

#[derive(Debug)]
struct Draw {
    random: Random,
    weights: Vec<(Kind, usize)>,
    total: usize,
    setup: Traits,
}

/// What of a setup the drawing of events has to know.
#[derive(Clone, Copy, Debug, Default)]
struct Traits {
    clients: usize,
    has_expiry: bool,
    has_large: bool,
    has_shared: bool,
    retains: bool,
    most_bytes: usize,
}

impl Draw {
    fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), weights: Vec::new(), total: 0, setup: Traits::default() }
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.random.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len())]
    }

    /// Mostly the shortest that is of use, some long.
    fn length(&mut self) -> usize {
        match self.random.below(100) {
            0 => 200 + self.random.below(1801),
            1..10 => 200 + self.random.below(500),
            _ => 200 + self.random.below(100),
        }
    }

    fn setup_again(&self, seed: u64) -> Setup {
        Self::new(seed).setup()
    }

    fn setup(&mut self) -> Setup {
        let clients = 2 + self.random.below(CLIENTS - 1);
        // A full queue is counted exactly, which needs a world where nothing else is dropped.
        let has_small_queue = self.one_in(6);
        let store = match self.random.below(8) {
            _ if has_small_queue => StoreSetup::None,
            0 => StoreSetup::Fast,
            1 => StoreSetup::Slow,
            _ => StoreSetup::None,
        };
        let asks_read = !has_small_queue && self.one_in(6);
        self.setup = Traits {
            clients,
            has_expiry: !has_small_queue && self.one_in(4),
            has_large: !has_small_queue && self.one_in(5),
            has_shared: !has_small_queue && self.one_in(3),
            retains: !has_small_queue && self.one_in(2),
            most_bytes: self.pick(&[1, 7, 50, 50, 1000]),
        };
        let broker = BrokerSetup {
            receive_maximum: self.pick(&[1, 2, 5, 128]),
            send_maximum: self.pick(&[1, 2, 5, 128]),
            aliases: self.pick(&[0, 2, 16]),
            queue: if has_small_queue { 1 + self.random.below(8) } else { 1000 },
            store,
            asks_read,
            slow_replies: asks_read && self.one_in(2),
            budget: self.pick(&[1, 40, 64 * 1024, 64 * 1024]),
            unread_answers: self.pick(&[10, 64 * 1024, 64 * 1024]),
        };
        let has_wills = self.one_in(2);
        let mut clients: Vec<ClientSetup> =
            (0..clients).map(|number| self.client(number, has_wills)).collect();
        self.weigh(&broker);
        // To save takes time, which schedules without a restart do not spend.
        if self.weights.iter().any(|(kind, _)| *kind == Kind::Restart) {
            clients.iter_mut().for_each(|client| client.saves_late = self.one_in(2));
        }
        Setup { seed: self.random.number(), broker, clients }
    }

    fn client(&mut self, number: usize, has_wills: bool) -> ClientSetup {
        // Wills that a restart makes due at the same moment come in any order: each that is
        // retained has a topic of its own.
        let retain = self.setup.retains && self.one_in(3);
        let will = (has_wills && self.one_in(2)).then(|| WillSetup {
            topic: if retain { number as u8 } else { self.pick(&[0, 1, 5, 5, 6]) },
            qos: self.random.below(3) as u8,
            retain,
            delay: self.pick(&[0, 0, 3, 20, 5000]),
            expiry: if self.setup.has_expiry { self.pick(&[0, 0, 4]) } else { 0 },
        });
        ClientSetup {
            session: self.pick(&[
                SessionSetup::Clean,
                SessionSetup::Resume,
                SessionSetup::Resume,
                SessionSetup::Resume,
                SessionSetup::Rejoin,
            ]),
            expiry: self.pick(&[0, 10, 100, 5000, 5000]),
            receive_maximum: self.pick(&[1, 2, 3, 20, 256]),
            packet_size: if self.setup.has_large { self.pick(&[0, SMALL_PACKETS]) } else { 0 },
            incoming_aliases: self.pick(&[0, 0, 1, 3]),
            outgoing_aliases: self.pick(&[0, 0, 1, 3]),
            keep_alive: self.pick(&[0, 0, 10, 60]),
            manual: self.one_in(3),
            identifiers: !self.one_in(3),
            budget: self.pick(&[1, 64 * 1024, 64 * 1024]),
            will,
            saves_late: false,
        }
    }

    /// Which faults this schedule has, and how often each.
    fn weigh(&mut self, broker: &BrokerSetup) {
        let mut weights = vec![
            (Kind::Carry, 100 + self.random.below(100)),
            (Kind::Connect, 10 + self.random.below(20)),
            (Kind::Publish, 20 + self.random.below(60)),
            (Kind::Subscribe, 5 + self.random.below(20)),
            (Kind::Answer, 10 + self.random.below(30)),
        ];
        for (kind, most) in [
            (Kind::Unsubscribe, 6),
            (Kind::Cut, 8),
            (Kind::CutClient, 8),
            (Kind::CutBroker, 8),
            (Kind::CutLate, 5),
            (Kind::TakeOver, 8),
            (Kind::Leave, 8),
            (Kind::StallDown, 8),
            (Kind::StallUp, 8),
            (Kind::Wait, 15),
            (Kind::WaitLong, 4),
            (Kind::Forget, 3),
            (Kind::Restart, 5),
            (Kind::Crash, 3),
        ] {
            if self.one_in(3) {
                weights.push((kind, 1 + self.random.below(most)));
            }
        }
        if broker.store == StoreSetup::Slow {
            weights.push((Kind::Commit, 5 + self.random.below(60)));
            if self.one_in(3) {
                weights.push((Kind::Compact, 1 + self.random.below(4)));
            }
            if self.one_in(4) {
                weights.push((Kind::Fail, 1 + self.random.below(4)));
            }
        }
        if broker.asks_read {
            weights.push((Kind::Right, 1 + self.random.below(10)));
            weights.push((Kind::Reply, if broker.slow_replies { 20 } else { 1 }));
        }
        self.total = weights.iter().map(|(_, weight)| weight).sum();
        self.weights = weights;
    }

    fn kind(&mut self) -> Kind {
        let mut at = self.random.below(self.total);
        for (kind, weight) in &self.weights {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return *kind,
            }
        }
        Kind::Carry
    }

    fn event(&mut self, world: &World) -> Event {
        let client = self.random.below(self.setup.clients) as u8;
        let is_connected = world.is_connected(client);
        match self.kind() {
            Kind::Carry => self.carry(world),
            Kind::Connect if !is_connected => Event::Connect(client),
            Kind::Publish if is_connected => Event::Publish(client, self.publish()),
            Kind::Subscribe if is_connected => Event::Subscribe(client, self.subscribe()),
            Kind::Connect | Kind::Publish | Kind::Subscribe => self.carry(world),
            Kind::Answer if world.has_deliveries(client) => {
                Event::Answer(client, self.random.below(3) as u8, self.one_in(10))
            }
            Kind::Answer => self.carry(world),
            Kind::Unsubscribe => Event::Unsubscribe(client, self.random.below(3) as u8),
            Kind::Cut => Event::Cut(client),
            Kind::CutClient => Event::CutClient(client),
            Kind::CutBroker => Event::CutBroker(client),
            Kind::CutLate => Event::CutLate(client),
            Kind::TakeOver => Event::Connect(client),
            Kind::Leave => Event::Leave(client, self.one_in(3)),
            Kind::StallDown => Event::StallDown(client, !self.one_in(3)),
            Kind::StallUp => Event::StallUp(client, !self.one_in(3)),
            Kind::Wait => Event::Wait(self.random.below(4000) as u32),
            Kind::WaitLong => {
                Event::Wait(self.pick(&[6_000, 16_000, 100_000, 6_000_000, 90_000_000]))
            }
            Kind::Forget => Event::Forget(client),
            Kind::Restart => Event::Restart(client),
            Kind::Crash => Event::Crash(self.one_in(2)),
            Kind::Commit => Event::Commit,
            Kind::Fail => Event::Fail,
            Kind::Compact => Event::Compact,
            Kind::Right => {
                Event::Right(client, self.random.below(TOPICS.len()) as u8, self.one_in(2))
            }
            Kind::Reply => Event::Reply,
        }
    }

    /// Bytes that are under way arrive, some or all of them.
    fn carry(&mut self, world: &World) -> Event {
        let most = match self.one_in(2) {
            true => 0,
            false => 1 + self.random.below(self.setup.most_bytes) as u16,
        };
        let start = self.random.below(self.setup.clients * 3);
        for step in 0..self.setup.clients * 3 {
            let at = (start + step) % (self.setup.clients * 3);
            let client = (at / 3) as u8;
            let (up, down, late) = world.has_waiting(client);
            match at % 3 {
                0 if up => return Event::Up(client, most),
                1 if down => return Event::Down(client, most),
                2 if late => return Event::Late(client, most),
                _ => {}
            }
        }
        let client = (start / 3) as u8;
        match world.is_connected(client) {
            true => Event::Publish(client, self.publish()),
            false => Event::Connect(client),
        }
    }

    fn publish(&mut self) -> Publish {
        let topics = if self.setup.has_shared { TOPICS.len() } else { TOPICS.len() - 2 };
        Publish {
            topic: self.random.below(topics) as u8,
            qos: self.random.below(3) as u8,
            retain: self.setup.retains && self.one_in(4),
            body: match self.random.below(16) {
                0 if self.setup.retains => Body::Empty,
                1..4 if self.setup.has_large => Body::Large,
                _ => Body::Number,
            },
            expiry: if self.setup.has_expiry { self.pick(&[0, 1, 5, 60]) } else { 0 },
        }
    }

    fn subscribe(&mut self) -> Subscribe {
        let filters = if self.setup.has_shared { FILTERS.len() } else { FIRST_SHARED };
        Subscribe {
            filter: self.random.below(filters) as u8,
            qos: self.random.below(3) as u8,
            no_local: self.one_in(4),
            retain_as_published: self.one_in(2),
            retain_handling: self.random.below(3) as u8,
        }
    }
}
