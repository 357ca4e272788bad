//! Being connected as a wish: when to dial, which server, and when to give up.
//!
//! ```text
//!              start                 handle_connected
//!  Unmanaged ---------> Dialling --------------------> Connected
//!                       ^  |  ^                            |
//!         the time came |  |  | another server             | closed
//!                       |  |  +----------------------------+
//!                       |  | failed                        |
//!                     Waiting <----------------------------+
//!                          |                               |
//!                          | final, or left                | final, or left
//!                          +------------> Ended <----------+
//! ```
//!
//! What happens on the connection, from CONNECT to DISCONNECT, is the business of `Link`.

use core::fmt;
use std::collections::VecDeque;

use bytes::Bytes;
use mqtt_codec::{PropertyBuf, ReasonCode};

use super::error::{ClientCloseCause, ConfigError};
use super::event::ClientEvent;
use super::link::Link;
use super::policy::{Policy, Reconnect};
use super::redirect::ServerReference;
use super::retry::{DialFault, Outage};
use super::{Client, connect};
use crate::entropy::Entropy;
use crate::{Deadline, Time, Timer};

/// A connection to be opened, from [`ClientEvent::Dial`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Which attempt this is since the last connection that stood for long enough; from 1.
    pub number: u32,
    /// Where to.
    pub target: Target,
}

/// Where a connection is to be opened to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// The server that the driver was configured with.
    #[default]
    Configured,
    /// A server that another one named; the transport, TLS and all, is that of the configured one.
    Server(ServerReference),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured => f.write_str("the configured server"),
            Self::Server(reference) => reference.fmt(f),
        }
    }
}

/// Why a client makes no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The application disconnected.
    Disconnected,
    /// Another attempt would end in the same way.
    Final,
    /// The first attempt failed, and [`keep_trying`](super::ClientConfig::keep_trying) was not
    /// asked for.
    FirstAttempt,
    /// The attempts that [`Reconnect::AtMost`] allows are used up, or
    /// [`Reconnect::Never`] allows none.
    NoAttemptsLeft,
}

/// How far a client is with being connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Whoever drives the client opens connections by himself.
    Unmanaged,
    /// The next attempt is made then.
    Waiting { until: Time },
    /// A transport is being opened, and must stand by then.
    Dialling { deadline: Time },
    /// There is a transport; `Link` knows more.
    Connected,
    /// No attempt is made any more.
    Ended,
}

/// The attempts to connect.
#[derive(Debug)]
pub(super) struct Reconnecting {
    phase: Phase,
    /// Attempts since the last stable connection.
    attempts: u32,
    /// Waits since the last stable connection.
    waits: u32,
    /// Redirects since the last stable connection, or since the last wait.
    hops: u8,
    /// Where the server has moved for good; empty for the configured one.
    moved_to: Vec<ServerReference>,
    /// Other servers that stand for the present target.
    alternatives: VecDeque<ServerReference>,
    /// CONNECTs since the last stable connection that got no answer. A network may hold one back and
    /// deliver it when a later one was accepted: the client then takes its own session over.
    unanswered: u32,
    /// When the server accepted the connection that stands.
    accepted_at: Option<Time>,
    /// Whether a server ever accepted a connection since the start.
    was_accepted: bool,
    /// Whether the present attempt logs in with something that was given for it.
    has_fresh_credentials: bool,
    /// The application wants to leave.
    is_leaving: bool,
    entropy: Entropy,
}

impl Reconnecting {
    pub(super) const fn new(entropy: Entropy) -> Self {
        Self {
            phase: Phase::Unmanaged,
            attempts: 0,
            waits: 0,
            hops: 0,
            moved_to: Vec::new(),
            alternatives: VecDeque::new(),
            unanswered: 0,
            accepted_at: None,
            was_accepted: false,
            has_fresh_credentials: false,
            is_leaving: false,
            entropy,
        }
    }

    /// Whether another connection is made if the present one ends, or if there is none.
    pub(super) const fn wants_connection(&self) -> bool {
        match self.phase {
            Phase::Waiting { .. } | Phase::Dialling { .. } | Phase::Connected => !self.is_leaving,
            Phase::Unmanaged | Phase::Ended => false,
        }
    }

    /// Where the server has moved for good.
    pub(super) fn moved_to(&self) -> &[ServerReference] {
        &self.moved_to
    }

    /// It had moved in an earlier run.
    pub(super) fn restore_moved_to(&mut self, servers: Vec<ServerReference>) {
        self.moved_to = servers;
    }

    /// Whether the application wants to leave.
    pub(super) const fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// Whether there is no connection, and one is wanted.
    pub(super) const fn is_dialling(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. } | Phase::Dialling { .. })
    }

    /// Whether the client decides what follows the connection that there is.
    pub(super) fn is_managed(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// The server has accepted the connection.
    pub(super) fn accepted(&mut self, now: Time) {
        self.accepted_at = Some(now);
        self.was_accepted = true;
        self.alternatives.clear();
    }

    /// The application leaves: whatever happens, no other connection follows.
    pub(super) const fn leave(&mut self) {
        self.is_leaving = true;
    }

    /// The name of the state while there is no connection.
    #[cfg(test)]
    pub(super) const fn name(&self) -> &'static str {
        match self.phase {
            Phase::Unmanaged => "unmanaged",
            Phase::Waiting { .. } => "waiting",
            Phase::Dialling { .. } => "dialling",
            Phase::Connected => "connected",
            Phase::Ended => "ended",
        }
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        match self.phase {
            Phase::Waiting { until } => Some(Deadline { at: until, timer: Timer::Reconnect }),
            Phase::Dialling { deadline } => Some(Deadline { at: deadline, timer: Timer::Dial }),
            Phase::Unmanaged | Phase::Connected | Phase::Ended => None,
        }
    }

    /// What a connection that ends leaves behind for the next attempt.
    fn connection_ended(&mut self, now: Time, policy: &Policy, outage: &Outage) {
        let stood = self.accepted_at.take().map(|at| now.duration_since(at));
        if stood.is_some_and(|stood| stood >= policy.backoff.reset_after) {
            self.attempts = 0;
            self.waits = 0;
            self.hops = 0;
            self.unanswered = 0;
        }
        if let (None, Outage::Closed(cause)) = (stood, outage)
            && cause.servers_words().is_none()
        {
            self.unanswered = self.unanswered.saturating_add(1);
        }
    }

    /// The session was taken over: whether a CONNECT of this very client may have done it. Each is
    /// held responsible once, so that two clients do not take it from each other for ever.
    const fn may_have_taken_over(&mut self) -> bool {
        let may_have = self.unanswered > 0;
        self.unanswered = self.unanswered.saturating_sub(1);
        may_have
    }

    /// The server that is to be dialled instead, if the one that was dialled named any.
    fn redirect(&mut self, outage: &Outage, policy: &Policy) -> Option<Target> {
        let (is_for_good, properties) = redirection(outage)?;
        if self.hops >= policy.max_redirects {
            return None;
        }
        let servers =
            ServerReference::list(properties.as_properties().server_reference().unwrap_or(""));
        let (first, others) = servers.split_first()?;
        self.hops += 1;
        self.alternatives = others.iter().cloned().collect();
        let target = Target::Server(first.clone());
        if is_for_good {
            self.moved_to = servers;
        }
        Some(target)
    }

    /// Where an attempt goes that follows a wait.
    fn home(&mut self) -> Target {
        match self.moved_to.split_first() {
            Some((first, others)) => {
                self.alternatives = others.iter().cloned().collect();
                Target::Server(first.clone())
            }
            None => Target::Configured,
        }
    }
}

impl Client {
    /// Makes the client want a connection, and keep one: [`ClientEvent::Dial`] follows at once.
    ///
    /// From now on the client decides when a connection is opened, and to which server; every
    /// [`ClientEvent::Dial`] is answered once, with [`handle_connected`](Self::handle_connected)
    /// or [`handle_dial_failed`](Self::handle_dial_failed). A client that is never started leaves
    /// all of this to its owner, who calls `handle_connected` whenever there is a transport.
    ///
    /// While the client waits for its next attempt this makes the attempt at once: the network is
    /// there again, say. After [`ClientEvent::Ended`] it begins anew, with the session and the
    /// messages that are left. Otherwise it does nothing.
    pub fn start(&mut self, now: Time) {
        let now = self.advance(now);
        self.changed();
        let reconnecting = &mut self.reconnecting;
        match reconnecting.phase {
            Phase::Unmanaged | Phase::Ended => {
                reconnecting.attempts = 0;
                reconnecting.waits = 0;
                reconnecting.hops = 0;
                reconnecting.was_accepted = false;
                reconnecting.is_leaving = false;
                match &self.link {
                    Link::Idle => self.dial_home(now),
                    Link::Open(_) => {
                        self.reconnecting.phase = Phase::Connected;
                        self.reconnecting.accepted(now);
                    }
                    Link::Connecting(_) | Link::Closing(_) => {
                        self.reconnecting.phase = Phase::Connected;
                    }
                }
            }
            Phase::Waiting { .. } => self.dial_home(now),
            Phase::Dialling { .. } | Phase::Connected => {}
        }
    }

    /// The transport that [`ClientEvent::Dial`] asked for could not be opened.
    pub fn handle_dial_failed(&mut self, now: Time, fault: DialFault) {
        let now = self.advance(now);
        if let Phase::Dialling { .. } = self.reconnecting.phase {
            self.go_on_after(now, Outage::Dial(fault));
        }
    }

    /// Has the attempt that was asked for log in with these, instead of what the configuration or
    /// an earlier call says: to be called before [`handle_connected`](Self::handle_connected).
    /// A refusal of an attempt with credentials of its own is not final, since the next one may
    /// have better ones.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if CONNECT cannot carry them; nothing has changed then.
    pub fn set_credentials(
        &mut self,
        user_name: Option<String>,
        password: Option<Bytes>,
    ) -> Result<(), ConfigError> {
        let mut config = self.config.clone();
        config.credentials.user_name = user_name;
        config.credentials.password = password;
        connect::check(&config)?;
        self.config = config;
        self.reconnecting.has_fresh_credentials = true;
        Ok(())
    }

    /// Has the attempt that was asked for begin enhanced authentication with these data, instead
    /// of those of the configuration or an earlier call; like
    /// [`set_credentials`](Self::set_credentials). Without enhanced authentication this has no
    /// effect.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if CONNECT cannot carry them; nothing has changed then.
    pub fn set_authentication_data(&mut self, data: impl Into<Bytes>) -> Result<(), ConfigError> {
        let mut config = self.config.clone();
        let Some(authentication) = &mut config.authentication else { return Ok(()) };
        authentication.data = data.into();
        connect::check(&config)?;
        self.config = config;
        self.reconnecting.has_fresh_credentials = true;
        Ok(())
    }

    /// Has the attempt that was asked for begin enhanced authentication with these data, which are
    /// new without being a new proof of who the client is, as a nonce is: unlike after
    /// [`set_authentication_data`](Self::set_authentication_data) a refusal is final. Without
    /// enhanced authentication this has no effect.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if CONNECT cannot carry them; nothing has changed then.
    pub fn begin_authentication(&mut self, data: impl Into<Bytes>) -> Result<(), ConfigError> {
        let has_fresh_credentials = self.reconnecting.has_fresh_credentials;
        self.set_authentication_data(data)?;
        self.reconnecting.has_fresh_credentials = has_fresh_credentials;
        Ok(())
    }

    /// Whether the transport that stands is one that the client asked for, or would have used.
    pub(super) fn takes_transport(&mut self) -> bool {
        match self.reconnecting.phase {
            Phase::Unmanaged => {
                self.reconnecting.is_leaving = false;
                true
            }
            Phase::Dialling { .. } => {
                self.reconnecting.phase = Phase::Connected;
                true
            }
            Phase::Waiting { .. } | Phase::Connected | Phase::Ended => false,
        }
    }

    /// A connection has ended: its owner is told, and what follows.
    pub(super) fn closed(&mut self, cause: ClientCloseCause) {
        self.changed();
        if self.reconnecting.phase == Phase::Connected {
            self.events.push_back(ClientEvent::Closed(Box::new(cause.clone())));
            self.go_on_after(self.now, Outage::Closed(cause));
        } else {
            self.events.push_back(ClientEvent::Closed(Box::new(cause)));
        }
    }

    /// Time has passed without a connection.
    pub(super) fn dial_timeout(&mut self, now: Time) {
        match self.reconnecting.phase {
            Phase::Waiting { until } if until <= now => self.dial_home(now),
            Phase::Dialling { deadline } if deadline <= now => {
                self.go_on_after(now, Outage::Dial(DialFault::TimedOut));
            }
            Phase::Waiting { .. }
            | Phase::Dialling { .. }
            | Phase::Unmanaged
            | Phase::Connected
            | Phase::Ended => {}
        }
    }

    /// The application leaves while there is no connection.
    pub(super) fn give_up(&mut self) {
        self.end(EndReason::Disconnected, Outage::Closed(ClientCloseCause::Disconnected));
    }

    /// There is no connection: dials another server, waits, or ends.
    fn go_on_after(&mut self, now: Time, outage: Outage) {
        let policy = self.config.policy;
        let reconnecting = &mut self.reconnecting;
        reconnecting.connection_ended(now, &policy, &outage);
        if reconnecting.is_leaving || outage == Outage::Closed(ClientCloseCause::Disconnected) {
            return self.end(EndReason::Disconnected, outage);
        }
        if let Some(target) = reconnecting.redirect(&outage, &policy) {
            return self.dial(now, target);
        }
        let is_taken_over = matches!(&outage, Outage::Closed(cause) if cause.is_taken_over());
        let is_retryable = outage.is_retryable_with(reconnecting.has_fresh_credentials)
            || (is_taken_over && (policy.retries_taken_over || reconnecting.may_have_taken_over()));
        if !is_retryable {
            return self.end(EndReason::Final, outage);
        }
        if let Some(next) = reconnecting.alternatives.pop_front() {
            return self.dial(now, Target::Server(next));
        }
        if !reconnecting.was_accepted && !policy.keeps_trying {
            return self.end(EndReason::FirstAttempt, outage);
        }
        let is_last = match policy.reconnect {
            Reconnect::Always => false,
            Reconnect::AtMost(attempts) => reconnecting.attempts >= attempts.get(),
            Reconnect::Never => true,
        };
        if is_last {
            return self.end(EndReason::NoAttemptsLeft, outage);
        }
        let wait = policy.backoff.wait(reconnecting.waits, &mut reconnecting.entropy);
        reconnecting.waits = reconnecting.waits.saturating_add(1);
        reconnecting.hops = 0;
        let until = now + wait;
        reconnecting.phase = Phase::Waiting { until };
        self.events.push_back(ClientEvent::Waiting { until, cause: Box::new(outage) });
    }

    fn dial_home(&mut self, now: Time) {
        let target = self.reconnecting.home();
        self.dial(now, target);
    }

    fn dial(&mut self, now: Time, target: Target) {
        let reconnecting = &mut self.reconnecting;
        reconnecting.attempts = reconnecting.attempts.saturating_add(1);
        reconnecting.has_fresh_credentials = false;
        reconnecting.phase = Phase::Dialling { deadline: now + self.config.connect_timeout };
        let attempt = Attempt { number: reconnecting.attempts, target };
        self.events.push_back(ClientEvent::Dial(Box::new(attempt)));
    }

    fn end(&mut self, reason: EndReason, cause: Outage) {
        self.changed();
        self.reconnecting.phase = Phase::Ended;
        self.reconnecting.alternatives.clear();
        self.events.push_back(ClientEvent::Ended { reason, cause: Box::new(cause) });
    }
}

/// Whether the server sends its client away for good, and what it said, if it sends it away.
fn redirection(outage: &Outage) -> Option<(bool, &PropertyBuf)> {
    let Outage::Closed(cause) = outage else { return None };
    let (reason, properties) = cause.servers_words()?;
    let is_for_good = reason == ReasonCode::ServerMoved;
    (is_for_good || reason == ReasonCode::UseAnotherServer).then_some((is_for_good, properties))
}
