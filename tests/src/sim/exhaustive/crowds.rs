//! Several connections that are open at once and all speak for the same client identifier: every
//! order in which their packets arrive, with each mix of Clean Start.
//!
//! Each connection sends CONNECT and then a message; with three connections each then ends too. A
//! message waits for the client, sent and not acknowledged, before it begins. What must come of it
//! is told by the order alone: the last CONNECT that has arrived stands, nobody else is heard, and a
//! QoS 2 message that the next connection sends again is no new one.

use super::Tally;
use super::orders::every_order;
use crate::Wire;
use crate::scripted::{PublishScript, connect, publish, subscribe, will};
use crate::sim::invariants::{Check, Fault, Invariant};

/// What the connections of a crowd have in common.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    connections: usize,
    /// Whether each of them ends, with the network, after its message.
    ends: bool,
    qos: u8,
    /// The Session Expiry Interval.
    expiry: u32,
    /// The Will Delay Interval, if they have wills.
    will: Option<u32>,
    /// The Clean Start of each, a bit each.
    clean: u8,
}

fn crowds() -> Vec<Crowd> {
    let mut crowds = Vec::new();
    for (connections, ends) in [(3, true), (4, false)] {
        // Four connections have 2,520 orders: they do with the mixes that matter most.
        let is_full = connections == 3;
        for clean in 0..1 << connections {
            for (qos, expiry, will) in [
                (1, 100, None),
                (2, 100, Some(0)),
                (2, 100, Some(5)),
                (1, 0, Some(5)),
                (2, 0, Some(0)),
                (1, 100, Some(5)),
            ] {
                if is_full || (qos, expiry, will) == (2, 100, Some(5)) {
                    crowds.push(Crowd { connections, ends, qos, expiry, will, clean });
                }
            }
        }
    }
    crowds
}

pub(super) fn run(tally: &mut Tally<'_>) {
    for crowd in crowds() {
        let steps = if crowd.ends { 3 } else { 2 };
        let things: Vec<_> = (0..crowd.connections).map(|number| (number, steps)).collect();
        every_order(&things, |order| {
            if tally.takes_next() {
                tally.run(|| format!("{crowd:?}, {order:?}"), |events| play(crowd, order, events));
            }
        });
    }
}

/// What must come of the order: a connection stands or none does, and what the others get.
#[derive(Debug, Default)]
struct Expected {
    standing: Option<usize>,
    /// There is a session.
    has_session: bool,
    /// It is the one that was there before.
    is_unbroken: bool,
    /// The QoS 2 messages of this session, none of which is released.
    recorded: Vec<usize>,
    /// Wills that wait for their delay: one at most.
    waiting: Option<usize>,
    /// What a watcher gets, in order.
    seen: Vec<String>,
}

impl Expected {
    /// The connection that stands ends: its will is published, or waits.
    fn leave(&mut self, crowd: Crowd) {
        let Some(number) = self.standing.take() else { return };
        match crowd.will {
            Some(delay) if delay > 0 && crowd.expiry > 0 => self.waiting = Some(number),
            Some(_) => self.seen.push(format!("will {number}")),
            None => {}
        }
        if crowd.expiry == 0 {
            self.end();
        }
    }

    fn end(&mut self) {
        self.has_session = false;
        self.is_unbroken = false;
        self.recorded.clear();
    }

    /// A CONNECT arrives. Returns whether it finds a session.
    fn connect(&mut self, crowd: Crowd, number: usize) -> bool {
        self.leave(crowd);
        let waiting = self.waiting.take();
        if crowd.clean >> number & 1 == 1 {
            // The session ends, and its will is published at the latest then.
            self.seen.extend(waiting.map(|number| format!("will {number}")));
            self.end();
        }
        self.standing = Some(number);
        core::mem::replace(&mut self.has_session, true)
    }
}

fn play(crowd: Crowd, order: &[usize], events: &mut u64) -> Check {
    let mut wire = Wire::configured(|config| {
        config.limits.take_overs = u32::MAX;
    });
    let watcher = wire.connect(connect("watcher"));
    wire.send(watcher, subscribe(1, "up/#").qos(0));
    let first = wire.connect(connect("c").expiry(100));
    wire.send(first, subscribe(1, "down").qos(crowd.qos));
    wire.send(watcher, publish("down", "kept").qos(crowd.qos, 1));
    wire.cut(first);
    wire.receive(watcher);
    let peers: Vec<_> = (0..crowd.connections).map(|_| wire.open("c")).collect();
    let mut steps = vec![0; crowd.connections];
    let mut expected = Expected { has_session: true, is_unbroken: true, ..Expected::default() };
    for &number in order {
        *events += 1;
        let peer = peers[number];
        match steps[number] {
            0 => {
                let mut script = connect("c").expiry(crowd.expiry);
                if crowd.clean >> number & 1 == 0 {
                    script = script.resume();
                }
                if let Some(delay) = crowd.will {
                    script = script.will(will("up/will", format!("will {number}")).delay(delay));
                }
                wire.send(peer, script);
                let is_there = expected.connect(crowd, number);
                let present = wire.session_present(peer);
                require(present == is_there, || {
                    format!("{number} finds a session: {present}, {expected:?}")
                })?;
                let is_kept = wire.receive(peer).iter().any(|line| line.contains("kept"));
                // Nobody acknowledges it: each connection of the session gets it.
                require(is_kept == expected.is_unbroken, || {
                    format!("{number} got what was kept: {is_kept}, {expected:?}")
                })?;
                // What the session has recorded is sent again, and is nothing new.
                for &earlier in &expected.recorded {
                    wire.send(peer, message(crowd, earlier).dup());
                    let answers = wire.receive(peer);
                    require(answers.len() == 1, || format!("again, answered {answers:?}"))?;
                }
            }
            1 if wire.cause(peer).is_none() => {
                wire.send(peer, message(crowd, number));
                let answers = wire.receive(peer);
                require(answers.len() == 1, || format!("{number} is answered {answers:?}"))?;
                expected.seen.push(format!("from {number}"));
                expected.recorded.extend((crowd.qos == 2).then_some(number));
            }
            1 => {}
            _ if wire.cause(peer).is_none() => {
                wire.cut(peer);
                expected.leave(crowd);
            }
            _ => {}
        }
        steps[number] += 1;
        // Whoever has connected and does not stand has been told why, and is gone.
        for (other, &peer) in peers.iter().enumerate() {
            let is_open = wire.cause(peer).is_none();
            let should_be = steps[other] == 0 || expected.standing == Some(other);
            require(is_open == should_be, || {
                format!("{other} is open: {is_open}, behind {steps:?}, {expected:?}")
            })?;
        }
    }
    // Whatever will waits comes once, and nothing else.
    expected.seen.extend(expected.waiting.map(|number| format!("will {number}")));
    wire.advance_secs(10);
    let seen = wire.receive(watcher);
    let is_same = seen.len() == expected.seen.len()
        && seen.iter().zip(&expected.seen).all(|(line, text)| line.contains(text.as_str()));
    require(is_same, || format!("a watcher saw {seen:?}, not {:?}", expected.seen))?;
    let gauges = wire.broker().gauges();
    let standing = 1 + usize::from(expected.standing.is_some());
    require(gauges.connections == standing, || format!("{} connections stand", gauges.connections))
}

/// What a connection publishes.
fn message(crowd: Crowd, number: usize) -> PublishScript {
    publish("up/message", format!("from {number}")).qos(crowd.qos, 10 + number as u16)
}

fn require(holds: bool, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Fault::new(Invariant::I7, what)) }
}
