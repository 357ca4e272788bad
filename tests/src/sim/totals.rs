//! How much was run, and what came of it.

use std::fmt;
use std::ops::AddAssign;

/// The sums of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Schedules that were run.
    pub schedules: u64,
    /// Events in all of them.
    pub events: u64,
    /// How long they took, by the clock on the wall.
    pub seconds: f64,
    /// Schedules that broke an invariant.
    pub violations: u64,
}

/// The sums of two runs, one after the other.
impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.events += other.events;
        self.seconds += other.seconds;
        self.violations += other.violations;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schedules, events, seconds, violations } = *self;
        let rate = if seconds > 0.0 { (schedules as f64 / seconds) as u64 } else { 0 };
        write!(
            f,
            "schedules: {schedules}  events: {events}  per second: {rate}  violations: {violations}"
        )
    }
}
