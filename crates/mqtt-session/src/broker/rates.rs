//! How often something happened of late.

use core::time::Duration;

use crate::Time;

/// How long an occurrence counts.
const WINDOW: Duration = Duration::from_secs(60);

/// Occurrences within a minute, which begins with the first of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    /// `None` as long as nothing happened.
    began: Option<Time>,
    count: u32,
}

impl Rate {
    /// How often it has happened in the current minute.
    pub(super) fn of(self, now: Time) -> u32 {
        if self.is_current(now) { self.count } else { 0 }
    }

    /// Counts one more occurrence.
    pub(super) fn count(&mut self, now: Time) {
        if !self.is_current(now) {
            *self = Self { began: Some(now), count: 0 };
        }
        self.count = self.count.saturating_add(1);
    }

    /// Counts one more occurrence unless there were `limit` already. Returns whether it was
    /// counted.
    pub(super) fn admit(&mut self, now: Time, limit: u32) -> bool {
        let is_admitted = self.of(now) < limit;
        if is_admitted {
            self.count(now);
        }
        is_admitted
    }

    /// Whether the minute is not over.
    pub(super) fn is_current(self, now: Time) -> bool {
        self.began.is_some_and(|began| now < began + WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_count_for_a_minute_from_the_first_one() {
        let mut rate = Rate::default();
        assert_eq!(rate.of(Time::ZERO), 0);
        rate.count(Time::ZERO);
        rate.count(Time::ZERO + WINDOW / 2);
        assert_eq!(rate.of(Time::ZERO + WINDOW / 2), 2);
        assert_eq!(rate.of(Time::ZERO + WINDOW), 0);
        rate.count(Time::ZERO + WINDOW);
        assert_eq!(rate.of(Time::ZERO + WINDOW), 1);
    }

    #[test]
    fn what_is_not_admitted_does_not_count() {
        let mut rate = Rate::default();
        assert!(rate.admit(Time::ZERO, 2));
        assert!(rate.admit(Time::ZERO, 2));
        assert!(!rate.admit(Time::ZERO, 2));
        assert_eq!(rate.of(Time::ZERO), 2);
        assert!(rate.admit(Time::ZERO + WINDOW, 2));
        assert!(!Rate::default().admit(Time::ZERO, 0));
    }
}
