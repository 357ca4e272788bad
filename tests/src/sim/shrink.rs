//! Makes a failure short, and writes it down as a test.

use std::fmt::Write as _;

use super::event::Event;
use super::invariants::Fault;
use super::swarm::{Failure, replay};

/// Schedules that shortening one failure may run.
const MOST_RUNS: usize = 4_000;

/// Leaves out whatever events the failure does not need: the one that is left breaks the same
/// invariant.
#[must_use]
pub fn shorten(failure: &Failure) -> Failure {
    let mut best = failure.clone();
    let mut runs = 0;
    let mut size = best.events.len().div_ceil(2).max(1);
    loop {
        let before = best.events.len();
        let mut at = 0;
        while at < best.events.len() && runs < MOST_RUNS {
            let end = (at + size).min(best.events.len());
            let mut events = best.events.clone();
            events.drain(at..end);
            runs += 1;
            match fails_alike(&best, &events) {
                Some(fault) => {
                    best.events = events;
                    best.fault = fault;
                }
                None => at = end,
            }
        }
        if runs >= MOST_RUNS || (size == 1 && best.events.len() == before) {
            return best;
        }
        if size > 1 {
            size = size.div_ceil(2);
        }
    }
}

fn fails_alike(failure: &Failure, events: &[Event]) -> Option<Fault> {
    let fault = replay(&failure.setup, events).err()?;
    (fault.invariant == failure.fault.invariant).then_some(fault)
}

/// The failure as a test, to be put into `tests/tests/regressions.rs`.
#[must_use]
pub fn as_test(name: &str, failure: &Failure) -> String {
    let mut text = String::new();
    let setup = format!("{:?}", failure.setup)
        .replace("clients: [", "clients: vec![")
        .replace("session: ", "session: SessionSetup::")
        .replace("store: ", "store: StoreSetup::");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "/// {}", failure.fault.to_string().replace('\n', " "));
    let _ = writeln!(text, "#[test]\nfn {name}() {{");
    let _ = writeln!(text, "    let setup = {setup};");
    let _ = writeln!(text, "    holds(&setup, &[");
    for event in &failure.events {
        let event = format!("{event:?}").replace("body: ", "body: Body::");
        let _ = writeln!(text, "        {event},");
    }
    let _ = writeln!(text, "    ]);\n}}");
    text
}

/// What happened in a failure: each event with the packets that were taken and sent.
#[must_use]
pub fn narrate(failure: &Failure) -> String {
    super::swarm::narrate(&failure.setup, &failure.events)
}
