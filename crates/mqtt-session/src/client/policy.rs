//! How persistently a client connects: waiting times between attempts, and when it gives up.

use core::num::NonZeroU32;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::config::ClientConfig;
use crate::entropy::Entropy;

/// The shortest wait that can be configured: a client whose server is gone must not spin.
const SHORTEST: Duration = Duration::from_millis(10);

/// How long a client waits before it connects again: twice as long each time, up to a maximum.
///
/// ```
/// use core::time::Duration;
/// use mqtt_session::{Backoff, Jitter};
///
/// let backoff = Backoff::exponential(Duration::from_secs(1)..=Duration::from_secs(60))
///     .jitter(Jitter::Full)
///     .reset_after(Duration::from_secs(30));
/// assert_eq!(backoff, Backoff::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    jitter: Jitter,
    pub(super) reset_after: Duration,
}

/// What chance adds to the waiting times, so that the clients of a server that was gone do not all
/// come back at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// Nothing: each wait is as long as [`Backoff::exponential`] says.
    None,
    /// Each wait is drawn evenly from between nothing and that length.
    Full,
}

impl Default for Backoff {
    /// From 1 to 60 seconds with full jitter, and from the start again after a connection that
    /// stood for 30 seconds.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(60),
            jitter: Jitter::Full,
            reset_after: Duration::from_secs(30),
        }
    }
}

impl Backoff {
    /// The first wait is as long as the start of the range (at least 10 ms), each further one twice
    /// as long as the one before, none longer than the end of the range. Jitter and the time of
    /// reset are those of the default.
    #[must_use]
    pub fn exponential(waits: RangeInclusive<Duration>) -> Self {
        let first = (*waits.start()).max(SHORTEST);
        Self { first, longest: (*waits.end()).max(first), ..Self::default() }
    }

    /// What chance adds; [`Jitter::Full`] by default.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// How long a connection must have stood, from CONNACK on, for the waits to begin anew and for
    /// earlier failures to be forgotten. A server that accepts and hangs up is so not tried faster
    /// than one that does not answer.
    #[must_use]
    pub const fn reset_after(mut self, stood: Duration) -> Self {
        self.reset_after = stood;
        self
    }

    /// The wait after `waits` others.
    pub(super) fn wait(&self, waits: u32, entropy: &mut Entropy) -> Duration {
        let factor = 1u32.checked_shl(waits).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(factor).min(self.longest);
        match self.jitter {
            Jitter::None => whole,
            Jitter::Full => {
                // The high half of the product of a length and a fraction of 64 bits.
                let drawn = (whole.as_nanos() * u128::from(entropy.next())) >> 64;
                Duration::from_nanos(u64::try_from(drawn).unwrap_or(u64::MAX))
            }
        }
    }
}

/// Whether a client that was started connects again by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reconnect {
    /// As long as the cause may pass.
    #[default]
    Always,
    /// Until so many attempts in a row have failed. A connection that did not stand for as long as
    /// [`Backoff::reset_after`] says counts as one that failed.
    AtMost(NonZeroU32),
    /// Not at all: the client ends with its first connection.
    Never,
}

/// What decides about attempts to connect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) reconnect: Reconnect,
    pub(super) backoff: Backoff,
    pub(super) keeps_trying: bool,
    pub(super) retries_taken_over: bool,
    pub(super) max_redirects: u8,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            reconnect: Reconnect::Always,
            backoff: Backoff::default(),
            keeps_trying: false,
            retries_taken_over: false,
            max_redirects: 3,
        }
    }
}

/// What matters only to a client that was [started](super::Client::start).
impl ClientConfig {
    /// Whether the client connects again when a connection has ended; always by default.
    #[must_use]
    pub fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.policy.reconnect = reconnect;
        self
    }

    /// How long it waits before it does.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.policy.backoff = backoff;
        self
    }

    /// Whether the first attempt is made again like every later one if it fails. By default it is
    /// not: an address or a password that never worked is better told at once.
    #[must_use]
    pub fn keep_trying(mut self, keep: bool) -> Self {
        self.policy.keeps_trying = keep;
        self
    }

    /// Whether the client connects again when the server says that another connection has taken
    /// its session over (0x8E); no by default. Two clients with one Client Identifier that both
    /// did so would take the session from each other for ever.
    ///
    /// In any case it does once for each CONNECT of its own that has got no answer since the last
    /// connection that stood for as long as [`Backoff::reset_after`] says: a network may have held
    /// that back, and it has taken over what a later one was given.
    #[must_use]
    pub fn reconnect_when_taken_over(mut self, reconnect: bool) -> Self {
        self.policy.retries_taken_over = reconnect;
        self
    }

    /// How many times in a row the client lets a server send it to another one (0x9C, 0x9D); 3 by
    /// default, 0 to follow none. It logs in there with the same credentials.
    #[must_use]
    pub fn max_redirects(mut self, maximum: u8) -> Self {
        self.policy.max_redirects = maximum;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn waits_double_from_the_first_up_to_the_longest() {
        let backoff = Backoff::exponential(secs(1)..=secs(60)).jitter(Jitter::None);
        let mut entropy = Entropy::new([1; 32]);
        let waits: Vec<u64> = (0..9).map(|n| backoff.wait(n, &mut entropy).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.wait(u32::MAX, &mut entropy), secs(60));
    }

    #[test]
    fn full_jitter_spreads_over_the_whole_wait_and_follows_the_seed() {
        let backoff = Backoff::exponential(secs(8)..=secs(8));
        let draw = |seed| {
            let mut entropy = Entropy::new([seed; 32]);
            (0..1000).map(|_| backoff.wait(5, &mut entropy)).collect::<Vec<_>>()
        };
        let waits = draw(1);
        assert!(waits.iter().all(|wait| *wait < secs(8)));
        for eighth in 0..8 {
            let hits = waits.iter().filter(|wait| wait.as_secs() == eighth).count();
            assert!((80..170).contains(&hits), "{hits} of 1000 in second {eighth}");
        }
        assert_eq!(waits, draw(1));
        assert_ne!(waits, draw(2));
    }

    #[test]
    fn no_configuration_makes_a_client_spin() {
        let mut entropy = Entropy::new([1; 32]);
        let wait = |from, to, entropy: &mut Entropy| {
            Backoff::exponential(from..=to).jitter(Jitter::None).wait(0, entropy)
        };
        assert_eq!(wait(Duration::ZERO, Duration::ZERO, &mut entropy), SHORTEST);
        assert_eq!(wait(secs(9), secs(1), &mut entropy), secs(9), "a range the wrong way round");
    }
}
