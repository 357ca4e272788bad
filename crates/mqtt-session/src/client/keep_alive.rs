//! Keep-alive: when a PINGREQ is due, and when the server's silence means that it is gone.
//!
//! A ping is due when one direction has been idle for nearly the Keep Alive: nothing was sent, so
//! that the server would soon take the client for dead, or nothing was received, so that the
//! client cannot tell whether the server lives. A busy connection is never pinged. Whatever
//! arrives is a sign of life.

use core::time::Duration;

use crate::{Deadline, Time, Timer};

/// The server has at least this long to give a sign of life after a PINGREQ was due.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(5);

/// The keep-alive state of one connection.
#[derive(Debug)]
pub(super) struct KeepAlive {
    /// The Keep Alive in force; zero turns all of this off.
    interval: Duration,
    last_sent: Time,
    last_received: Time,
    /// A PINGREQ became due then, and nothing was received since. Counted from when it was due,
    /// not from when it could be written, so that a blocked socket does not stretch it.
    unanswered_since: Option<Time>,
    /// A PINGREQ was handed out for sending and has not left yet.
    waits_to_leave: bool,
}

/// What to do when time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulse {
    /// Nothing is due.
    Steady,
    /// A PINGREQ must be sent now.
    Ping,
    /// The server has been silent for too long: the connection is dead.
    Dead,
}

impl KeepAlive {
    /// Starts at `now`, when CONNACK arrived, with the Keep Alive in force: the server's if it
    /// named one, else the client's [MQTT-3.1.2-21] [MQTT-3.2.2-21].
    pub(super) fn new(now: Time, seconds: u16) -> Self {
        Self {
            interval: Duration::from_secs(seconds.into()),
            last_sent: now,
            last_received: now,
            unanswered_since: None,
            waits_to_leave: false,
        }
    }

    /// Bytes arrived.
    pub(super) fn on_received(&mut self, now: Time) {
        self.last_received = now;
        self.unanswered_since = None;
    }

    /// Packets were handed to the transport.
    pub(super) fn on_sent(&mut self, now: Time) {
        self.last_sent = now;
        self.waits_to_leave = false;
    }

    /// When to ask `on_timeout` next; `None` if keep-alive is off.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        if self.interval.is_zero() {
            return None;
        }
        let ping = (!self.waits_to_leave)
            .then(|| Deadline { at: self.ping_due(), timer: Timer::KeepAlive });
        let dead = self.dead_at().map(|at| Deadline { at, timer: Timer::Silence });
        ping.into_iter().chain(dead).min_by_key(|deadline| deadline.at)
    }

    /// What is due at `now`.
    pub(super) fn on_timeout(&mut self, now: Time) -> Pulse {
        if self.interval.is_zero() {
            return Pulse::Steady;
        }
        if self.dead_at().is_some_and(|at| at <= now) {
            return Pulse::Dead;
        }
        if self.waits_to_leave || now < self.ping_due() {
            return Pulse::Steady;
        }
        // [MQTT-3.1.2-20]
        self.waits_to_leave = true;
        self.unanswered_since.get_or_insert(now);
        Pulse::Ping
    }

    /// Sending falls silent a little before the interval ends, so that the ping still arrives
    /// within it; receiving may be silent for the whole interval.
    fn ping_due(&self) -> Time {
        let margin = (self.interval / 4).min(Duration::from_secs(5));
        let sending_idle = self.last_sent + (self.interval - margin);
        if self.unanswered_since.is_some() {
            return sending_idle;
        }
        sending_idle.min(self.last_received + self.interval)
    }

    fn dead_at(&self) -> Option<Time> {
        let patience = (self.interval / 2).max(SHORTEST_PATIENCE);
        self.unanswered_since.map(|since| since + patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn due(keep_alive: &KeepAlive) -> Option<(Time, Timer)> {
        keep_alive.deadline().map(|deadline| (deadline.at, deadline.timer))
    }

    /// Proves: [MQTT-3.1.2-20]
    #[test]
    fn an_idle_connection_is_pinged_before_the_keep_alive_ends() {
        let mut keep_alive = KeepAlive::new(at(0), 60);
        assert_eq!(due(&keep_alive), Some((at(55_000), Timer::KeepAlive)));
        assert_eq!(keep_alive.on_timeout(at(54_999)), Pulse::Steady);
        assert_eq!(keep_alive.on_timeout(at(55_000)), Pulse::Ping);
        assert_eq!(keep_alive.on_timeout(at(55_001)), Pulse::Steady, "one ping at a time");
    }

    #[test]
    fn traffic_both_ways_takes_the_place_of_pings() {
        let mut keep_alive = KeepAlive::new(at(0), 10);
        for second in 1..100 {
            keep_alive.on_sent(at(second * 1000));
            keep_alive.on_received(at(second * 1000));
            assert_eq!(keep_alive.on_timeout(at(second * 1000)), Pulse::Steady);
        }
    }

    #[test]
    fn a_connection_that_only_sends_is_pinged_to_hear_from_the_server() {
        let mut keep_alive = KeepAlive::new(at(0), 10);
        for second in 1..10 {
            keep_alive.on_sent(at(second * 1000));
            assert_eq!(keep_alive.on_timeout(at(second * 1000)), Pulse::Steady);
        }
        assert_eq!(keep_alive.on_timeout(at(10_000)), Pulse::Ping);
    }

    #[test]
    fn silence_after_a_ping_means_a_dead_connection_and_any_byte_means_life() {
        let mut keep_alive = KeepAlive::new(at(0), 60);
        assert_eq!(keep_alive.on_timeout(at(55_000)), Pulse::Ping);
        keep_alive.on_sent(at(55_000));
        assert_eq!(due(&keep_alive), Some((at(85_000), Timer::Silence)));
        keep_alive.on_received(at(84_000));
        assert_eq!(keep_alive.on_timeout(at(85_000)), Pulse::Steady);
        assert_eq!(keep_alive.on_timeout(at(110_000)), Pulse::Ping);
        assert_eq!(keep_alive.on_timeout(at(140_000)), Pulse::Dead);
    }

    #[test]
    fn a_ping_that_cannot_be_written_does_not_stretch_the_patience() {
        let mut keep_alive = KeepAlive::new(at(0), 60);
        assert_eq!(keep_alive.on_timeout(at(55_000)), Pulse::Ping);
        let deadline = due(&keep_alive);
        assert_eq!(deadline, Some((at(85_000), Timer::Silence)), "though nothing was sent");
        assert_eq!(keep_alive.on_timeout(at(85_000)), Pulse::Dead);
    }

    /// Proves: [MQTT-3.1.2-20]
    #[test]
    fn with_a_short_keep_alive_pings_go_on_while_an_answer_is_awaited() {
        let mut keep_alive = KeepAlive::new(at(0), 1);
        let mut pings = 0;
        for tenth in 0..49 {
            match keep_alive.on_timeout(at(tenth * 100)) {
                Pulse::Steady => {}
                Pulse::Ping => {
                    pings += 1;
                    keep_alive.on_sent(at(tenth * 100));
                }
                Pulse::Dead => panic!("the server has five seconds at least"),
            }
        }
        assert_eq!(pings, 6);
        assert_eq!(keep_alive.on_timeout(at(5_800)), Pulse::Dead);
    }

    #[test]
    fn a_keep_alive_of_zero_turns_pings_off() {
        let mut keep_alive = KeepAlive::new(at(0), 0);
        assert_eq!(due(&keep_alive), None);
        assert_eq!(keep_alive.on_timeout(at(u64::from(u32::MAX))), Pulse::Steady);
    }
}
