//! The broker's process ends at every moment of a scripted session over a store, with every prefix
//! of what the store was given.
//!
//! The store commits the first batches as they come, any number of them, and then nothing more: one
//! batch stays out, and whatever happens behind it gathers. After each event from there on the
//! process ends, and what is found is what was committed, or that and the batch that was out. Every
//! packet is an event, so that nothing falls together that a slow network would keep apart.
//! Whatever is found must be what the broker had when the batch was made, and then the clients come
//! back, the script goes on, and everything is compared.

use super::Tally;
use super::cuts::world;
use super::scripts::{Kind, Process, Script, Variant, script};
use crate::sim::event::Event;
use crate::sim::invariants::Check;
use crate::sim::setup::{BrokerSetup, SessionSetup, StoreSetup};
use crate::sim::world::World;

/// When the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CrashAt {
    /// So many batches are committed, and no more, since the process before it began.
    commits: usize,
    /// So many events follow on that.
    events: usize,
    /// The batch that is out is found.
    is_kept: bool,
}

pub(super) fn run(tally: &mut Tally<'_>) {
    let kinds = [Kind::Narrow, Kind::Retained, Kind::Will, Kind::Late];
    for kind in kinds {
        for qos in [(0, 1), (1, 1), (1, 2), (2, 1), (2, 2)] {
            for process in Process::ALL {
                for compacts in [false, true] {
                    let name = format!("{kind:?} {qos:?}, {process:?}, compacts {compacts}");
                    let script = durable(script(qos.0, qos.1, kind), compacts);
                    crash_everywhere(tally, &name, &script, process, false);
                }
            }
        }
    }
    // The process ends once more while it is still busy with coming back.
    for kind in [Kind::Narrow, Kind::Will] {
        for qos in [(1, 1), (2, 2)] {
            let name = format!("{kind:?} {qos:?} twice");
            let script = durable(script(qos.0, qos.1, kind), false);
            crash_everywhere(tally, &name, &script, Process::Stays, true);
        }
    }
}

/// The same over a store; everything is stored anew as a snapshot after each event, if it may be.
fn durable(mut script: Script, compacts: bool) -> Script {
    script.setup.broker = BrokerSetup { store: StoreSetup::Slow, ..script.setup.broker };
    if compacts {
        let events = script.events.into_iter();
        script.events = events.flat_map(|event| [event, Event::Compact]).collect();
    }
    script
}

fn crash_everywhere(
    tally: &mut Tally<'_>,
    name: &str,
    script: &Script,
    process: Process,
    is_twice: bool,
) {
    for commits in 0.. {
        // What happens behind the last commit, if the process does not end.
        let never = CrashAt { commits, events: usize::MAX, is_kept: false };
        let mut player = Player::new(process, [never]);
        let outcome = player.play(script);
        if tally.takes_next() {
            tally.run(|| format!("{name}, {never:?}"), |_| outcome);
        }
        for crash in moments(commits, &player.moments) {
            if !tally.takes_next() {
                continue;
            }
            schedule(tally, name, script, process, &[crash]);
            for again in (0..).take_while(|_| is_twice) {
                let never = CrashAt { commits: again, events: usize::MAX, is_kept: false };
                let after = schedule(tally, name, script, process, &[crash, never]);
                // The first moment at which a batch is out, and the last.
                let out: Vec<_> =
                    moments(again, &after.moments).filter(|again| again.is_kept).collect();
                for again in [out.first(), out.last()].into_iter().flatten() {
                    for is_kept in [false, true] {
                        let again = CrashAt { is_kept, ..*again };
                        schedule(tally, name, script, process, &[crash, again]);
                    }
                }
                if after.committed < again {
                    break;
                }
            }
        }
        if player.committed < commits {
            return;
        }
    }
}

/// The crashes that differ, if these are the moments behind so many commits, and whether a batch is
/// out at each.
fn moments(commits: usize, moments: &[bool]) -> impl Iterator<Item = CrashAt> {
    moments.iter().enumerate().flat_map(move |(events, &is_out)| {
        let kept = [false, true].into_iter().filter(move |&is_kept| is_out || !is_kept);
        kept.map(move |is_kept| CrashAt { commits, events, is_kept })
    })
}

fn schedule(
    tally: &mut Tally<'_>,
    name: &str,
    script: &Script,
    process: Process,
    crashes: &[CrashAt],
) -> Player {
    let mut player = Player::new(process, crashes.iter().copied());
    tally.run(
        || format!("{name}, {crashes:?}"),
        |events| {
            let outcome = player.play(script);
            *events = player.events;
            outcome
        },
    );
    player
}

/// Plays a script packet by packet over a store that stops, up to where the process ends.
struct Player {
    process: Process,
    /// The crashes that are to come, the next one last.
    crashes: Vec<CrashAt>,
    /// Batches that this process has committed.
    committed: usize,
    /// For each event behind the last commit of this process: whether a batch is out after it.
    moments: Vec<bool>,
    events: u64,
}

impl Player {
    fn new(process: Process, crashes: impl IntoIterator<Item = CrashAt>) -> Self {
        let mut crashes: Vec<_> = crashes.into_iter().collect();
        crashes.reverse();
        Self { process, crashes, committed: 0, moments: Vec::new(), events: 0 }
    }

    fn play(&mut self, script: &Script) -> Check {
        let variant = Variant { clean_start: false, process: self.process };
        let mut world = world(script, variant);
        debug_assert_ne!(variant.session(), SessionSetup::Clean);
        world.compare_restarts();
        for event in &script.events {
            self.step(&mut world, event)?;
            self.carry(&mut world)?;
        }
        world.finish()
    }

    /// Carries everything that is under way, a packet at a time.
    fn carry(&mut self, world: &mut World) -> Check {
        loop {
            let mut is_busy = false;
            for client in 0..2 {
                for is_up in [true, false] {
                    let len = world.next_packet(client, is_up) as u16;
                    if len > 0 {
                        is_busy = true;
                        let up = Event::Up(client, len);
                        let event = if is_up { up } else { Event::Down(client, len) };
                        self.step(world, &event)?;
                    }
                }
            }
            if !is_busy {
                return Ok(());
            }
        }
    }

    fn step(&mut self, world: &mut World, event: &Event) -> Check {
        self.apply(world, event)?;
        let limit = self.crashes.last().map_or(usize::MAX, |crash| crash.commits);
        while self.committed < limit && world.is_committing() {
            self.committed += 1;
            self.apply(world, &Event::Commit)?;
        }
        if self.committed < limit {
            return Ok(());
        }
        self.moments.push(world.is_committing());
        match self.crashes.pop_if(|crash| crash.events == self.moments.len() - 1) {
            Some(crash) => self.crash(world, crash),
            None => Ok(()),
        }
    }

    fn apply(&mut self, world: &mut World, event: &Event) -> Check {
        self.events += 1;
        world.apply(event)
    }

    fn crash(&mut self, world: &mut World, crash: CrashAt) -> Check {
        self.apply(world, &Event::Crash(crash.is_kept))?;
        self.committed = 0;
        self.moments.clear();
        for client in 0..2 {
            if !world.is_connected(client) {
                continue;
            }
            self.apply(world, &Event::CutClient(client))?;
            if let Some(event) = self.process.end(client) {
                self.apply(world, &event)?;
            }
            self.step(world, &Event::Connect(client))?;
        }
        Ok(())
    }
}
