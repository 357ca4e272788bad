//! Every place at which something can fail: what seeds draw is sampled here in whole.
//!
//! Each part counts up all cases of one kind and runs each of them in a world of its own. Nothing is
//! drawn, so that a case that was run once is run each time, and a part that has run has left out
//! nothing of its kind.

mod crashes;
mod crowds;
mod cuts;
mod orders;
mod pairs;
mod scripts;
mod storms;
mod wills;

use super::invariants::{Check, Fault};
use super::swarm::guarded;
use super::totals::Totals;

/// Every case of one kind.
struct Part {
    name: &'static str,
    run: fn(&mut Tally<'_>),
}

const PARTS: [Part; 6] = [
    Part { name: "single cuts", run: cuts::run },
    Part { name: "pairs of cuts", run: pairs::run },
    Part { name: "crashes", run: crashes::run },
    Part { name: "wills", run: wills::run },
    Part { name: "take-over storms", run: storms::run },
    Part { name: "take-over crowds", run: crowds::run },
];

/// Which schedules of all are run: those whose group has the number `number`, `number + of` and so
/// on. The shares of one division together run everything once.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// The number of the share, from 0.
    pub number: u64,
    /// How many shares there are.
    pub of: u64,
}

impl Share {
    /// All that there is.
    pub const WHOLE: Self = Self { number: 0, of: 1 };
}

/// What is run, and what came of it.
struct Tally<'a> {
    share: Share,
    groups: u64,
    totals: Totals,
    report: &'a mut dyn FnMut(&str, &Fault),
}

impl Tally<'_> {
    /// Whether the next group of schedules belongs to this share.
    fn takes_next(&mut self) -> bool {
        self.groups += 1;
        (self.groups - 1) % self.share.of == self.share.number
    }

    /// Runs a schedule, which adds to the number of its events.
    fn run(&mut self, name: impl FnOnce() -> String, schedule: impl FnOnce(&mut u64) -> Check) {
        self.totals.schedules += 1;
        let mut events = 0;
        let outcome = guarded(|| schedule(&mut events));
        self.totals.events += events;
        if let Err(fault) = outcome {
            self.totals.violations += 1;
            (self.report)(&name(), &fault);
        }
    }
}

/// Runs a share of every part. Calls `done` with the name and the sums of each part, and `report`
/// with the name of each schedule that breaks an invariant.
pub fn run(
    share: Share,
    mut report: impl FnMut(&str, &Fault),
    mut done: impl FnMut(&'static str, &Totals),
) -> Totals {
    let mut all = Totals::default();
    for Part { name, run } in PARTS {
        let began = std::time::Instant::now();
        let mut named =
            |schedule: &str, fault: &Fault| report(&format!("{name}: {schedule}"), fault);
        let mut tally = Tally { share, groups: 0, totals: Totals::default(), report: &mut named };
        run(&mut tally);
        let mut totals = tally.totals;
        totals.seconds = began.elapsed().as_secs_f64();
        done(name, &totals);
        all += totals;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part that is cut into shares runs each group of schedules once.
    #[test]
    fn shares_of_one_division_run_everything_once() {
        let mut taken = Vec::new();
        for number in 0..3 {
            let share = Share { number, of: 3 };
            let report = &mut |_: &str, _: &Fault| {};
            let mut tally = Tally { share, groups: 0, totals: Totals::default(), report };
            taken.extend((0..10).filter(|_| tally.takes_next()));
        }
        taken.sort_unstable();
        assert_eq!(taken, (0..10).collect::<Vec<_>>());
    }
}
