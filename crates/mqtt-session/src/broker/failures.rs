//! Who was refused too often of late.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::Time;

/// Refused CONNECT packets by address, within a window each.
#[derive(Debug, Default)]
pub(super) struct Failures {
    by_address: BTreeMap<IpAddr, Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Time,
    count: u32,
}

/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are watched at once. If more fail within a minute the newest go unwatched: each
/// connection still has to pass its own check.
const WATCHED: usize = 10_000;

impl Failures {
    /// How often `address` has failed in its current window.
    pub(super) fn of(&self, now: Time, address: IpAddr) -> u32 {
        match self.by_address.get(&address) {
            Some(window) if now < window.began + WINDOW => window.count,
            _ => 0,
        }
    }

    /// Counts one more failure.
    pub(super) fn count(&mut self, now: Time, address: IpAddr) {
        if self.by_address.len() >= WATCHED && !self.by_address.contains_key(&address) {
            self.by_address.retain(|_, window| now < window.began + WINDOW);
            if self.by_address.len() >= WATCHED {
                return;
            }
        }
        let window = self.by_address.entry(address).or_insert(Window { began: now, count: 0 });
        if now >= window.began + WINDOW {
            *window = Window { began: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_for_a_minute_and_for_their_address_alone() {
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let mut failures = Failures::default();
        for _ in 0..3 {
            failures.count(Time::ZERO, one);
        }
        assert_eq!(failures.of(Time::ZERO, one), 3);
        assert_eq!(failures.of(Time::ZERO, other), 0);
        let later = Time::ZERO + WINDOW;
        assert_eq!(failures.of(later, one), 0);
        failures.count(later, one);
        assert_eq!(failures.of(later, one), 1);
    }

    #[test]
    fn no_more_addresses_are_watched_than_the_bound() {
        let mut failures = Failures::default();
        for number in 0..=u32::try_from(WATCHED).unwrap() {
            failures.count(Time::ZERO, IpAddr::from(number.to_be_bytes()));
        }
        assert_eq!(failures.by_address.len(), WATCHED);
        failures.count(Time::ZERO + WINDOW, IpAddr::from([255, 255, 255, 255]));
        assert_eq!(failures.by_address.len(), 1, "what is over makes room");
    }
}
