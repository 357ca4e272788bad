//! Who was refused too often of late.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::rates::Rate;
use crate::Time;

/// Refused CONNECT packets by address, within a minute each.
#[derive(Debug, Default)]
pub(super) struct Failures {
    by_address: BTreeMap<IpAddr, Rate>,
}

/// Addresses that are watched at once. If more fail within a minute the newest go unwatched: each
/// connection still has to pass its own check.
const WATCHED: usize = 10_000;

impl Failures {
    /// How often `address` has failed in its current minute.
    pub(super) fn of(&self, now: Time, address: IpAddr) -> u32 {
        self.by_address.get(&address).map_or(0, |rate| rate.of(now))
    }

    /// Counts one more failure.
    pub(super) fn count(&mut self, now: Time, address: IpAddr) {
        if self.by_address.len() >= WATCHED && !self.by_address.contains_key(&address) {
            self.by_address.retain(|_, rate| rate.is_current(now));
            if self.by_address.len() >= WATCHED {
                return;
            }
        }
        self.by_address.entry(address).or_default().count(now);
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn failures_count_for_a_minute_and_for_their_address_alone() {
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let mut failures = Failures::default();
        for _ in 0..3 {
            failures.count(Time::ZERO, one);
        }
        assert_eq!(failures.of(Time::ZERO, one), 3);
        assert_eq!(failures.of(Time::ZERO, other), 0);
        let later = Time::ZERO + MINUTE;
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
        failures.count(Time::ZERO + MINUTE, IpAddr::from([255, 255, 255, 255]));
        assert_eq!(failures.by_address.len(), 1, "what is over makes room");
    }
}
