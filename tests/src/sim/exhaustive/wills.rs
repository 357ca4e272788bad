//! Every will: Will Delay Interval, Session Expiry Interval, how the connection ends, and when and
//! how the client comes back. What must happen is written down apart, in `standard`.

mod standard;

use std::time::Duration;

use mqtt_codec::DisconnectReason;

use super::Tally;
use crate::scripted::{connect, disconnect_with, hex, subscribe, will};
use crate::sim::invariants::{Check, Fault, Invariant, i7_sessions};
use crate::{Peer, Wire};
use standard::{Back, Case, Close, NEVER};

/// Seconds: below, between and above all moments at which a client comes back.
const DELAYS: [u32; 5] = [0, 3, 6, 9, NEVER];
const EXPIRIES: [u32; 5] = [0, 3, 6, 9, NEVER];
const OVERRIDES: [Option<u32>; 5] = [None, Some(0), Some(3), Some(9), Some(NEVER)];
const BACKS: [u32; 4] = [0, 1, 4, 7];

/// The seconds that are watched.
const WATCHED: u32 = 11;

/// The Keep Alive of a client that falls silent.
const KEEP_ALIVE: u16 = 2;

pub(super) fn run(tally: &mut Tally<'_>) {
    for close in closes() {
        for delay in DELAYS {
            for expiry in EXPIRIES {
                for back in backs(close) {
                    let case = Case { delay, expiry, close, back };
                    if tally.takes_next() {
                        tally.run(|| format!("{case:?}"), |events| play(case, events));
                    }
                }
            }
        }
    }
}

/// Each kind of end: DISCONNECT with each reason that a client may give, the others without one.
fn closes() -> Vec<Close> {
    let mut closes = vec![
        Close::Lost,
        Close::Silence,
        Close::Malformed,
        Close::SecondConnect,
        Close::Administrative,
        Close::TakenOver,
        Close::Shutdown,
        Close::Crash,
    ];
    let reasons = (0..=u8::MAX).filter(|reason| {
        DisconnectReason::try_from(*reason).is_ok_and(DisconnectReason::is_from_client)
    });
    for reason in reasons {
        closes.extend(OVERRIDES.map(|expiry| Close::Disconnect { reason, expiry }));
    }
    closes
}

/// Whether, when and how the client comes back.
fn backs(close: Close) -> Vec<Option<Back>> {
    let mut backs = Vec::new();
    if close != Close::TakenOver {
        backs.push(None);
    }
    for after in BACKS {
        // To take over is to come back at once.
        if close == Close::TakenOver && after > 0 {
            continue;
        }
        for clean_start in [false, true] {
            for has_will in [false, true] {
                backs.push(Some(Back { after, clean_start, has_will }));
            }
        }
    }
    backs
}

/// Plays one case and holds what is seen against the table.
fn play(case: Case, events: &mut u64) -> Check {
    let restarts = matches!(case.close, Close::Shutdown | Close::Crash);
    let mut wire = Wire::configured(|config| {
        config.durable = restarts;
        config.session_expiry_ceiling = u32::MAX;
    });
    let mut watcher = wire.connect(connect("watcher").expiry(1000));
    wire.send(watcher, subscribe(1, "w").qos(1));
    let script = connect("c").expiry(case.expiry).keep_alive(KEEP_ALIVE);
    let client = wire.connect(script.will(will("w", "first").qos(1).delay(case.delay)));
    wire.receive(watcher);
    end(&mut wire, client, case.close);
    if restarts {
        wire.crash();
        watcher = wire.connect(connect("watcher").expiry(1000).resume());
    }
    let (mut published, mut present, mut next) = (None, None, None);
    for second in 0..WATCHED {
        if let Some(back) = case.back.filter(|back| back.after == second) {
            let peer = come_back(&mut wire, back);
            present = Some(wire.session_present(peer));
            next = Some(peer);
        }
        for line in wire.receive(watcher) {
            let is_first = line.contains("first") && published.replace(second).is_none();
            require(is_first, || format!("{line} came in second {second}"))?;
        }
        *events += 1;
        wire.advance_secs(1);
    }
    let outcome = case.outcome();
    i7_sessions(present, outcome.present)?;
    let expected = outcome.published.filter(|at| *at < WATCHED);
    require(published == expected, || format!("published {published:?}, not {expected:?}"))?;
    // The next connection has its own will, or none: nothing is left of the first one.
    let (Some(next), Some(back)) = (next, case.back) else { return Ok(()) };
    wire.cut(next);
    let left = wire.receive(watcher);
    let is_fine = match &left[..] {
        [] => !back.has_will,
        [line] => back.has_will && line.contains("second"),
        _ => false,
    };
    require(is_fine, || format!("the next connection left {left:?}"))
}

/// Ends the connection of the client with the will.
fn end(wire: &mut Wire, client: Peer, close: Close) {
    match close {
        Close::Disconnect { reason, expiry } => {
            let reason = DisconnectReason::try_from(reason).expect("a reason");
            wire.send(
                client,
                disconnect_with(reason, |properties| {
                    if let Some(seconds) = expiry {
                        properties.session_expiry_interval(seconds);
                    }
                }),
            );
        }
        Close::Lost => wire.cut(client),
        Close::Silence => wire.advance(Duration::from_secs(KEEP_ALIVE.into()) * 3 / 2),
        Close::Malformed => wire.send(client, hex("c1 00")),
        Close::SecondConnect => wire.send(client, connect("c")),
        Close::Administrative => {
            wire.disconnect(client, DisconnectReason::AdministrativeAction);
        }
        Close::Shutdown => wire.shutdown(),
        // What comes next ends it.
        Close::TakenOver | Close::Crash => return,
    }
    assert!(wire.cause(client).is_some(), "the connection stands");
}

/// The client connects again, for a session that lives on without a connection.
fn come_back(wire: &mut Wire, back: Back) -> Peer {
    let mut script = connect("c").expiry(100);
    if !back.clean_start {
        script = script.resume();
    }
    if back.has_will {
        script = script.will(will("w", "second").qos(1));
    }
    wire.connect(script)
}

fn require(holds: bool, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Fault::new(Invariant::I8, what)) }
}
