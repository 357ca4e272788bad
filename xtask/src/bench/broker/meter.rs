//! What a stretch of a run cost: processor time of the broker, of the load and of everybody else.

use std::time::{Duration, Instant};

use super::process::{self, Broker};
use crate::{bench, error::Error};

/// The cores of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cores {
    pub(super) load: usize,
    pub(super) broker: usize,
}

/// A reading of every clock.
#[derive(Debug)]
pub(super) struct Meter {
    cores: Cores,
    at: Instant,
    broker: Duration,
    load: Duration,
    busy: Duration,
}

/// The difference of two readings.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) wall: Duration,
    /// User and system time of the broker.
    pub(super) broker: Duration,
    /// User and system time of the load generator.
    pub(super) load: Duration,
    /// What anybody else used of the two cores, to the 10 ms of the kernel's ticks.
    pub(super) others: Duration,
}

impl Meter {
    pub(super) fn start(broker: &Broker, cores: Cores) -> Result<Self, Error> {
        Ok(Self {
            cores,
            at: Instant::now(),
            broker: broker.cpu()?,
            load: bench::cpu_of("self")?,
            busy: process::busy(&[cores.load, cores.broker])?,
        })
    }

    /// What was used since the start.
    pub(super) fn read(&self, broker: &Broker) -> Result<Usage, Error> {
        let now = Self::start(broker, self.cores)?;
        let broker = now.broker.saturating_sub(self.broker);
        let load = now.load.saturating_sub(self.load);
        let busy = now.busy.saturating_sub(self.busy);
        Ok(Usage {
            wall: now.at.duration_since(self.at),
            broker,
            load,
            others: busy.saturating_sub(broker + load),
        })
    }
}

impl Usage {
    /// `part` as a share of the wall time, in percent.
    pub(super) fn share(&self, part: Duration) -> f64 {
        if self.wall.is_zero() { 0.0 } else { 100.0 * part.as_secs_f64() / self.wall.as_secs_f64() }
    }

    /// Microseconds of the broker for each of `count` messages.
    pub(super) fn broker_micros_per(&self, count: u64) -> f64 {
        self.broker.as_secs_f64() * 1e6 / count.max(1) as f64
    }
}
