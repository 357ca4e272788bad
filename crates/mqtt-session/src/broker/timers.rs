//! What time does: Keep Alive, expiry, wills, and decisions that were not taken.

use mqtt_codec::{ConnectReason, DisconnectReason};

use super::connection::Phase;
use super::messages::MessageId;
use super::request::Ticket;
use super::slots::Key;
use super::{Broker, CloseCause};
use crate::{Deadline, Time, Timer};

/// What a timer of the broker is for. A connection, a session and a retained message have one at
/// most. A connection's looks at the clock when it fires, so that moving a deadline away costs
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKey {
    Connection(Key),
    Session(Key),
    Retained(MessageId),
    Will(Ticket),
    Read(Key, Ticket),
}

impl Broker {
    /// Time has passed. Early and late calls are harmless.
    pub fn handle_timeout(&mut self, now: Time) {
        let now = self.advance(now);
        self.end_store_retry();
        for _ in 0..self.backlog.len() {
            let Some(slot) = self.backlog.pop_front() else { break };
            self.work = 0;
            self.resume_input(slot, |paused| paused.for_backlog = false);
        }
        while let Some(key) = self.deadlines.pop_due(now.as_nanos()) {
            match key {
                TimerKey::Connection(key) if self.connections.is_current(key) => {
                    self.on_connection_timer(key.slot);
                }
                TimerKey::Session(key) if self.sessions.is_current(key) => {
                    self.on_session_timer(key.slot);
                }
                TimerKey::Connection(_) | TimerKey::Session(_) => {}
                TimerKey::Retained(message) => self.expire_retained(message),
                TimerKey::Will(ticket) => self.settle_will(ticket, false),
                TimerKey::Read(session, ticket) => self.lapse_read(session, ticket),
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Deadline> {
        if !self.backlog.is_empty() {
            return Some(Deadline { at: self.now, timer: Timer::Backlog });
        }
        let retry = self.store.as_ref().and_then(|store| store.retry_at());
        let (at, key) = match (self.deadlines.peek(), retry) {
            (Some((at, key)), None) => (at, key),
            (Some((at, key)), Some(retry)) if at <= retry.as_nanos() => (at, key),
            (_, Some(at)) => return Some(Deadline { at, timer: Timer::Store }),
            (None, None) => return None,
        };
        let timer = match key {
            TimerKey::Connection(_) => Timer::Connection,
            TimerKey::Session(_) => Timer::Session,
            TimerKey::Retained(_) => Timer::RetainedMessage,
            TimerKey::Will(_) | TimerKey::Read(..) => Timer::Decision,
        };
        Some(Deadline { at: Time::from_nanos(at), timer })
    }

    /// Makes sure that a connection is looked at when its next deadline comes.
    #[inline(never)]
    pub(super) fn arm_connection(&mut self, slot: u32) {
        let Some(at) = self.connection_deadline(slot) else { return };
        let Some(key) = self.connections.key(slot) else { return };
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let key = TimerKey::Connection(key);
        match connection.timer {
            Some((armed, _)) if armed <= at => return,
            Some((_, handle)) => {
                self.deadlines.cancel(handle, key);
            }
            None => {}
        }
        connection.timer = Some((at, self.deadlines.insert(at.as_nanos(), key)));
    }

    /// Makes sure that a session without a connection is looked at when it ends.
    pub(super) fn arm_session(&mut self, slot: u32) {
        let Some(at) = self.sessions.get(slot).and_then(|session| session.next_deadline()) else {
            return;
        };
        self.disarm_session(slot);
        if let (Some(key), Some(session)) = (self.sessions.key(slot), self.sessions.get_mut(slot)) {
            let key = TimerKey::Session(key);
            session.timer = Some(self.deadlines.insert(at.as_nanos(), key));
        }
    }

    /// Nothing becomes due for a session any more.
    pub(super) fn disarm_session(&mut self, slot: u32) {
        if let (Some(key), Some(session)) = (self.sessions.key(slot), self.sessions.get_mut(slot))
            && let Some(handle) = session.timer.take()
        {
            self.deadlines.cancel(handle, TimerKey::Session(key));
        }
    }

    fn connection_deadline(&self, slot: u32) -> Option<Time> {
        let limits = &self.config.limits;
        let connection = self.connections.get(slot)?;
        let stall = connection.is_ready.then(|| connection.ready_since + limits.write_stall);
        match connection.phase {
            Phase::Opened => Some(connection.last_packet + limits.connect_timeout),
            Phase::Deciding(ref deciding) => Some(deciding.until),
            Phase::Challenged(ref request) => Some(request.began + limits.connect_timeout),
            Phase::Closing(_) => stall,
            Phase::Open => {
                // What is not read cannot be missed.
                let silence = silence_ends(connection.last_packet, connection.keep_alive_millis)
                    .filter(|_| !connection.paused.for_store);
                let (pending, authentication) = connection.awaited();
                [stall, silence, pending, authentication].into_iter().flatten().min()
            }
        }
    }

    fn on_connection_timer(&mut self, slot: u32) {
        let now = self.now;
        let write_stall = self.config.limits.write_stall;
        let due = self.connection_deadline(slot).is_some_and(|at| at <= now);
        let Some(connection) = self.connections.get_mut(slot) else { return };
        connection.timer = None;
        if !due {
            self.arm_connection(slot);
            return;
        }
        let stalled = connection.is_ready && connection.ready_since + write_stall <= now;
        match connection.phase {
            Phase::Opened => self.close(slot, CloseCause::ConnectTimeout),
            // [MQTT-4.12.0-4]
            Phase::Deciding(_) | Phase::Challenged(_) => {
                connection.paused.for_decision = false;
                self.refuse(slot, ConnectReason::NotAuthorized);
            }
            Phase::Open | Phase::Closing(_) if stalled => {
                // A peer that does not read would not read a DISCONNECT either.
                self.answers.forget(&mut connection.answers);
                if connection.is_closing() {
                    self.forget_connection(slot);
                } else {
                    self.close(slot, CloseCause::WriteStall);
                }
            }
            Phase::Open if connection.awaited().0.is_some_and(|until| until <= now) => {
                self.refuse_pending(slot);
                self.arm_connection(slot);
            }
            Phase::Open if connection.awaited().1.is_some_and(|until| until <= now) => {
                // [MQTT-4.12.1-2]
                self.end(slot, DisconnectReason::NotAuthorized);
            }
            // [MQTT-3.1.2-22]
            Phase::Open => self.end(slot, DisconnectReason::KeepAliveTimeout),
            Phase::Closing(_) => {}
        }
    }

    /// Something is due for a session. It has no connection: one that has is never armed
    /// [MQTT-4.1.0-1].
    fn on_session_timer(&mut self, slot: u32) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.timer = None;
        if session.ends_at <= now {
            // [MQTT-4.1.0-2]
            self.statistics.sessions_expired += 1;
            self.end_session(slot);
            return;
        }
        let will = session.will.as_ref().and_then(|will| will.due_at);
        if will.is_some_and(|due| due <= now) {
            self.publish_will(slot);
            self.arm_session(slot);
        }
    }
}

/// When a client that was last heard at `last_packet` has been silent for too long.
fn silence_ends(last_packet: Time, keep_alive_millis: u32) -> Option<Time> {
    (keep_alive_millis > 0)
        .then(|| last_packet + core::time::Duration::from_millis(u64::from(keep_alive_millis)))
}
