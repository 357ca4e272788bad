//! Leaving: the application's DISCONNECT, and the timers that end a connection.

use core::time::Duration;

use mqtt_codec::{Disconnect, DisconnectReason, EncodeError, PropertyBuf};

use super::Client;
use super::error::{ClientCloseCause, DisconnectError};
use super::keep_alive::Pulse;
use super::link::{Leaving, Link};
use crate::{Deadline, Time, Timer};

/// After its deadline, how long a DISCONNECT may still wait for messages that the transport does
/// not take.
const OVERDUE: Duration = Duration::from_secs(2);

/// How to leave: with which reason, and how long to wait for what is under way.
///
/// ```
/// use core::time::Duration;
/// use mqtt_session::DisconnectOptions;
///
/// let options = DisconnectOptions::default().drain(Duration::from_secs(5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisconnectOptions {
    reason: DisconnectReason,
    drain: Duration,
    properties: PropertyBuf,
}

impl Default for DisconnectOptions {
    fn default() -> Self {
        Self::new(DisconnectReason::NormalDisconnection)
    }
}

impl DisconnectOptions {
    /// Leaves with this reason, at once. `NormalDisconnection` (the default) makes the server drop
    /// the will, every other reason makes it publish it.
    #[must_use]
    pub fn new(reason: DisconnectReason) -> Self {
        Self { reason, drain: Duration::ZERO, properties: PropertyBuf::new() }
    }

    /// Leaves with this reason instead.
    #[must_use]
    pub fn reason(mut self, reason: DisconnectReason) -> Self {
        self.reason = reason;
        self
    }

    /// How long to wait until everything is sent and acknowledged; no longer than needed.
    #[must_use]
    pub fn drain(mut self, at_most: Duration) -> Self {
        self.drain = at_most;
        self
    }

    /// Changes how many seconds the session outlives the connection.
    #[must_use]
    pub fn session_expiry_interval(mut self, seconds: u32) -> Self {
        self.properties.session_expiry_interval(seconds);
        self
    }

    /// Says why in words, for the server's log.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the text cannot be sent.
    pub fn reason_string(mut self, reason: &str) -> Result<Self, EncodeError> {
        self.properties.reason_string(reason)?;
        Ok(self)
    }

    /// A User Property of DISCONNECT; there may be several, and of one name too.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if a text cannot be sent.
    pub fn user_property(mut self, name: &str, value: &str) -> Result<Self, EncodeError> {
        self.properties.user_property(name, value)?;
        Ok(self)
    }

    /// The packet; without properties if it is too large for the server with them.
    pub(super) fn encode(&self, maximum_packet_size: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let disconnect =
            Disconnect { reason: self.reason, properties: self.properties.as_properties() };
        // It fails only where the server takes no packet of three bytes: then it gets none.
        let _fits = disconnect.encode(&mut bytes, maximum_packet_size);
        bytes
    }
}

impl Client {
    /// Leaves: no message is accepted any more, and once everything is sent and acknowledged, or
    /// when the time given for that is over, DISCONNECT is sent and the connection ends. Messages
    /// that could be sent at once are sent before it in any case.
    ///
    /// While the connection is still being made it is given up without a word. No other one
    /// follows: a client that was [started](Self::start) ends.
    ///
    /// # Errors
    ///
    /// See [`DisconnectError`]; nothing has changed then.
    pub fn disconnect(
        &mut self,
        now: Time,
        options: &DisconnectOptions,
    ) -> Result<(), DisconnectError> {
        let now = self.advance(now);
        // [MQTT-3.14.2-1]
        if !options.reason.is_from_client() {
            return Err(DisconnectError::ReasonNotForClients(options.reason));
        }
        let expiry = options.properties.as_properties().session_expiry_interval();
        if expiry.is_some_and(|seconds| seconds > 0) && self.config.session.expiry == 0 {
            return Err(DisconnectError::SessionExpiry);
        }
        self.changed();
        self.reconnecting.leave();
        match &mut self.link {
            Link::Idle if self.reconnecting.is_dialling() => {
                self.give_up();
                Ok(())
            }
            // It ends for another reason, and now no other follows.
            Link::Closing(_) if self.reconnecting.is_managed() => Ok(()),
            Link::Idle | Link::Closing(_) => Err(DisconnectError::NotConnected),
            Link::Connecting(_) => {
                self.connection_ended(ClientCloseCause::Disconnected);
                Ok(())
            }
            Link::Open(open) => {
                if let Some(seconds) = expiry {
                    open.negotiated.session_expiry_interval = seconds;
                }
                let disconnect = options.encode(open.negotiated.maximum_packet_size);
                open.leaving = Some(Leaving { disconnect, deadline: now + options.drain });
                Ok(())
            }
        }
    }

    /// Time has passed. Calling this before the deadline is harmless.
    pub fn handle_timeout(&mut self, now: Time) {
        let now = self.advance(now);
        self.expire(now);
        self.end_patience(now);
        self.time_requests_out(now);
        match &mut self.link {
            Link::Idle => self.dial_timeout(now),
            Link::Connecting(connecting) => {
                if connecting.deadline <= now {
                    self.connection_ended(ClientCloseCause::ConnectTimeout);
                }
            }
            Link::Closing(closing) => {
                if closing.deadline <= now {
                    // It ends with the cause for which it was closed.
                    self.connection_ended(ClientCloseCause::Lost);
                }
            }
            Link::Open(open) => {
                let pulse = open.keep_alive.on_timeout(now);
                if let Some(leaving) = open.leaving.take_if(|left| left.deadline + OVERDUE <= now) {
                    self.close_with(now, leaving.disconnect, ClientCloseCause::Disconnected);
                    return;
                }
                match pulse {
                    Pulse::Steady => {}
                    Pulse::Ping => self.answer(&mqtt_codec::Packet::PingReq),
                    Pulse::Dead => self.connection_ended(ClientCloseCause::KeepAliveTimeout),
                }
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let link = self.link_deadline();
        let expiry = self.session.outbox.next_expiry();
        let expiry = expiry.map(|at| Deadline { at, timer: Timer::MessageExpiry });
        let request = self.request_deadline();
        link.into_iter().chain(expiry).chain(request).min_by_key(|deadline| deadline.at)
    }

    fn link_deadline(&self) -> Option<Deadline> {
        match &self.link {
            Link::Idle => self.reconnecting.deadline(),
            Link::Connecting(connecting) => {
                Some(Deadline { at: connecting.deadline, timer: Timer::Connect })
            }
            Link::Closing(closing) => Some(Deadline { at: closing.deadline, timer: Timer::Close }),
            Link::Open(open) => {
                let keep_alive = open.keep_alive.deadline();
                let drain = open.leaving.as_ref().map(|leaving| {
                    let is_overdue = leaving.deadline <= self.now;
                    let overdue = if is_overdue { OVERDUE } else { Duration::ZERO };
                    Deadline { at: leaving.deadline + overdue, timer: Timer::Drain }
                });
                let reader = self.reader_deadline();
                keep_alive.into_iter().chain(drain).chain(reader).min_by_key(|deadline| deadline.at)
            }
        }
    }
}
