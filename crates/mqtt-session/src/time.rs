//! Time as the state machines know it: a number that the driver gives.
//!
//! [`Time`] is eight bytes, can be made without a clock, and means the same on every platform, so
//! a test or a simulator invents it freely. A driver picks an origin once (its own start, say)
//! and passes the nanoseconds since then.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

/// A moment: nanoseconds since an origin that the driver picks.
///
/// Moments only ever grow for a state machine: an earlier `now` counts as the latest one it has
/// seen. 64 bits of nanoseconds last for 584 years.
///
/// ```
/// use core::time::Duration;
/// use mqtt_session::Time;
///
/// let later = Time::ZERO + Duration::from_secs(90);
/// assert_eq!(later.duration_since(Time::ZERO), Duration::from_secs(90));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// The moment that is `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was at this moment; zero if it was not earlier.
    pub const fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment and `nanos` nanoseconds more, at most the last one that can be told.
    pub(crate) const fn plus_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// This moment and `seconds` more, at most the last one that can be told.
    pub(crate) const fn plus_secs(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds as u64 * 1_000_000_000))
    }

    /// Whole seconds from here until `later`, rounded up; zero if `later` has come.
    pub(crate) const fn secs_until(self, later: Self) -> u32 {
        let secs = later.0.saturating_sub(self.0).div_ceil(1_000_000_000);
        if secs > u32::MAX as u64 { u32::MAX } else { secs as u32 }
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Saturates at the last moment that can be told.
    fn add(self, duration: Duration) -> Self {
        let nanos = duration.as_secs().saturating_mul(1_000_000_000);
        Self(self.0.saturating_add(nanos).saturating_add(u64::from(duration.subsec_nanos())))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09} s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// When a state machine wants to be told the time, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The moment. It may have passed already.
    pub at: Time,
    /// What becomes due then, for logs.
    pub timer: Timer,
}

/// What a [`Deadline`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Timer {
    /// Nothing more than a look at one of the broker's connections: Keep Alive, a CONNECT that has
    /// to come, a decision that has to be taken, a peer that has to read.
    Connection,
    /// A session of the broker ends, or its Will Message is due.
    Session,
    /// A batch that the broker's store did not commit is tried again.
    Store,
    /// Input that had to wait until the driver had sent what earlier input brought about.
    Backlog,
    /// A decision has to be taken.
    Decision,
    /// A retained message expires.
    RetainedMessage,
    /// The client sends PINGREQ unless it sends something else before.
    KeepAlive,
    /// The server must have answered by then.
    Silence,
    /// The client's next attempt to connect is due.
    Reconnect,
    /// The transport that the client asked for must stand by then.
    Dial,
    /// The server must have answered the client's CONNECT by then.
    Connect,
    /// A message that waits in the client expires.
    MessageExpiry,
    /// The response to a request must have come by then.
    Request,
    /// The client reads on, whether or not a slow reader of messages has caught up.
    Reader,
    /// The client that is leaving waits no longer for messages under way.
    Drain,
    /// The transport must have taken the client's DISCONNECT by then.
    Close,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_beyond_the_end_of_time_saturates() {
        let end = Time::from_nanos(u64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(end.plus_secs(u32::MAX), end);
    }

    #[test]
    fn what_is_left_is_rounded_up_to_whole_seconds() {
        let now = Time::from_nanos(500);
        assert_eq!(now.secs_until(now), 0);
        assert_eq!(now.secs_until(now + Duration::from_nanos(1)), 1);
        assert_eq!(now.secs_until(now.plus_secs(7)), 7);
        assert_eq!(now.plus_secs(7).secs_until(now), 0);
    }
}
