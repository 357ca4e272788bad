//! The client of one server, without I/O.

mod authenticate;
mod buffer;
mod calls;
mod config;
mod connect;
mod deliveries;
mod disconnect;
mod error;
mod event;
mod input;
mod keep_alive;
mod link;
mod message;
mod negotiated;
mod offline;
mod outbox;
mod policy;
mod publication;
mod readers;
mod ready;
mod receive;
mod reconnect;
mod redirect;
mod requests;
mod retry;
mod saved;
mod session;
mod statistics;
mod subscriptions;
mod transmit;

use std::collections::VecDeque;

pub use authenticate::AuthenticationData;
pub use buffer::{BufferOptions, BufferOverflow, BufferStatus, OnFull, OnFullQos0};
pub use calls::{RequestError, RequestId, RequestOutcome};
pub use config::{ClientConfig, SessionPolicy, Will};
pub use deliveries::Delivery;
pub use disconnect::DisconnectOptions;
pub use error::{
    AuthenticateError, ClientCloseCause, ConfigError, DisconnectError, PublishError, ServerLimit,
    SubscribeError, Unsent, UnsubscribeError, Violation,
};
pub use event::{Acknowledgement, ClientEvent, PublishOutcome};
pub use message::Message;
pub use negotiated::Negotiated;
pub use offline::{Offline, Overflow, Republish, UnsentMessage};
pub use outbox::PublishId;
pub use policy::{Backoff, Jitter, Reconnect};
pub use publication::Publication;
pub use readers::ReceivedMessage;
pub use reconnect::{Attempt, EndReason, Target};
pub use redirect::ServerReference;
pub use retry::{DialFault, Outage};
pub use saved::{SavedSession, SavedSessionError};
pub use statistics::ClientStatistics;
pub use subscriptions::SubscriptionKey;

use self::calls::Calls;
use self::input::Tail;
use self::link::{Closing, Link};
use self::readers::Readers;
use self::reconnect::Reconnecting;
use self::session::Session;
use crate::Time;
use crate::entropy::Entropy;

/// While so many bytes wait to be sent, nothing more should be read.
const READY_HIGH: usize = 64 * 1024;

/// While this many events wait to be taken, nothing more should be read.
const EVENTS_HIGH: usize = 16 * 1024;

/// The state machine of a client: one session with one server, over one network connection at a
/// time.
///
/// It does no I/O and reads no clock: a driver, as `mqtt-client-async`, moves bytes and tells the
/// time. Its methods are of four kinds:
///
/// - `handle_*`: what happened ([`handle_connected`](Self::handle_connected),
///   [`handle_dial_failed`](Self::handle_dial_failed), [`handle_input`](Self::handle_input),
///   [`handle_eof`](Self::handle_eof), [`handle_timeout`](Self::handle_timeout)). They cannot fail: what the server does wrong is
///   answered with DISCONNECT and told by [`ClientEvent::Closed`].
/// - commands: what the application wants ([`start`](Self::start), [`publish`](Self::publish),
///   [`subscribe`](Self::subscribe), [`unsubscribe`](Self::unsubscribe),
///   [`acknowledge`](Self::acknowledge), [`disconnect`](Self::disconnect)). They fail only for the
///   caller's own mistake, and then nothing has changed.
/// - `poll_*`: what to do next ([`poll_transmit`](Self::poll_transmit),
///   [`poll_event`](Self::poll_event), [`poll_timeout`](Self::poll_timeout)), and the messages that
///   came ([`poll_message`](Self::poll_message)).
/// - getters.
///
/// # The driver's contract
///
/// **After every `handle_*` call and every command, poll until there is nothing left**: events
/// until there is none, then bytes to send, then sleep until the deadline or until something
/// happens. Time never goes backwards: an earlier `now` counts as the latest one seen.
///
/// ```
/// use bytes::Buf;
/// use mqtt_session::{Client, ClientConfig, ClientEvent, Time, TransmitBuf};
/// # struct Socket { reads: u32 }
/// # impl Socket {
/// #     fn write(&mut self, bytes: &[u8]) -> usize { bytes.len() }
/// #     fn read_until(&mut self, _: Option<Time>, buffer: &mut [u8]) -> Option<usize> {
/// #         self.reads += 1;
/// #         let connack = [0x20, 0x03, 0x00, 0x00, 0x00];
/// #         if self.reads > 1 { return Some(0) }
/// #         buffer[..5].copy_from_slice(&connack);
/// #         Some(5)
/// #     }
/// # }
/// # let mut socket = Socket { reads: 0 };
/// # let clock = || Time::ZERO;
///
/// let mut client = Client::new(ClientConfig::new().client_id("meter-17"), [7; 32])?;
/// let mut out = TransmitBuf::new();
/// let mut buffer = [0; 4096];
/// client.handle_connected(clock());
/// 'connection: loop {
///     while let Some(event) = client.poll_event() {
///         match event {
///             ClientEvent::Connected(terms) => assert_eq!(&*terms.client_id, "meter-17"),
///             ClientEvent::Closed(_) => break 'connection,
///             _ => {}
///         }
///     }
///     client.poll_transmit(clock(), &mut out, 64 * 1024);
///     while out.has_remaining() {
///         let written = socket.write(out.chunk());
///         out.advance(written);
///     }
///     match socket.read_until(client.poll_timeout().map(|deadline| deadline.at), &mut buffer) {
///         Some(0) => client.handle_eof(clock()),
///         Some(len) => client.handle_input(clock(), &buffer[..len]),
///         None => client.handle_timeout(clock()),
///     }
/// }
/// # Ok::<(), mqtt_session::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    /// The latest time seen.
    now: Time,
    session: Session,
    link: Link,
    reconnecting: Reconnecting,
    tail: Tail,
    events: VecDeque<ClientEvent>,
    statistics: ClientStatistics,
    readers: Readers,
    calls: Calls,
    /// Counts what may have changed what `save` tells.
    revision: u64,
}

impl Client {
    /// A client that has never been connected. The seed makes its choices unpredictable to the
    /// server; the same seed and the same calls give the same client.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if no CONNECT can be made from the configuration.
    pub fn new(config: ClientConfig, seed: [u8; 32]) -> Result<Self, ConfigError> {
        connect::check(&config)?;
        let entropy = Entropy::new(seed);
        Ok(Self {
            session: Session::new(&config, entropy.hash_key()),
            calls: Calls::new(&entropy),
            reconnecting: Reconnecting::new(entropy),
            config,
            now: Time::ZERO,
            link: Link::Idle,
            tail: Tail::default(),
            events: VecDeque::new(),
            statistics: ClientStatistics::default(),
            readers: Readers::default(),
            revision: 0,
        })
    }

    /// The transport has ended: the server closed it, or it failed. Everything that this
    /// connection still had to say is dropped.
    pub fn handle_eof(&mut self, now: Time) {
        self.advance(now);
        self.connection_ended(ClientCloseCause::Lost);
    }

    /// What has happened, oldest first.
    #[must_use = "an event that is not looked at is lost"]
    #[inline]
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        if self.events.is_empty() {
            None
        } else if self.calls.is_used() {
            self.poll_event_beside_calls()
        } else {
            self.events.pop_front()
        }
    }

    /// The next event that is not about a request alone.
    #[inline(never)]
    fn poll_event_beside_calls(&mut self) -> Option<ClientEvent> {
        while let Some(event) = self.events.pop_front() {
            if let Some(event) = self.own_event(event) {
                return Some(event);
            }
        }
        None
    }

    /// Whether more input should be read now. It should not while the owner is behind with
    /// sending answers or taking events, nor for the moment that is given to a reader of QoS 0
    /// messages that lags behind.
    #[must_use]
    pub fn accepts_input(&self) -> bool {
        self.events.len() < EVENTS_HIGH
            && !self.waits_for_reader()
            && self.link.open().is_none_or(|open| open.ready.len() < READY_HIGH)
    }

    /// The terms of the connection, once the server has accepted it and until it ends.
    #[must_use]
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.link.open().map(|open| &open.negotiated)
    }

    /// The Client Identifier: the configured one, or the one that a server assigned.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.session.client_id
    }

    /// Messages that were accepted and have not ended: to be sent, or sent and not acknowledged.
    #[must_use]
    pub fn outgoing_messages(&self) -> usize {
        let ready = self.link.open().map_or(0, |open| open.ready.qos0());
        self.session.outbox.len() + ready
    }

    /// Whether [`publish`](Self::publish) would take another message of `size` bytes of topic,
    /// properties and payload.
    #[must_use]
    pub fn has_room_for(&self, size: usize) -> bool {
        match self.link.open() {
            Some(open) => {
                let (messages, bytes) = (open.ready.qos0(), open.ready.len());
                self.session.outbox.has_room_for(size, messages, bytes)
            }
            None if self.reconnecting.wants_connection() => self.has_room_offline(size),
            None => self.session.outbox.has_room_for(size, 0, 0),
        }
    }

    /// QoS 1 and QoS 2 messages that came and are not acknowledged: nobody has read them yet, or
    /// [`acknowledge`](Self::acknowledge) was not called for them.
    #[must_use]
    pub fn unacknowledged_deliveries(&self) -> usize {
        self.session.qos1.waiting() + self.session.qos2.waiting()
    }

    /// What was counted since the client was made.
    #[must_use]
    pub const fn statistics(&self) -> &ClientStatistics {
        &self.statistics
    }

    /// Grows with everything that changes what [`save`](Self::save) tells, other than by the passing
    /// of time: as long as it is the same, a session that was saved need not be saved again. It may
    /// grow although nothing has changed, and says nothing across [`restore`](Self::restore).
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// What `save` tells has changed, or may have.
    #[inline]
    pub(super) const fn changed(&mut self) {
        self.revision = self.revision.wrapping_add(1);
    }

    /// Time goes on, and never back.
    #[inline]
    fn advance(&mut self, now: Time) -> Time {
        self.now = self.now.max(now);
        self.now
    }

    /// The server broke a rule: it is told, and the connection ends [MQTT-4.13.1-1]
    /// [MQTT5-U-4.13.1-1].
    #[cold]
    fn violated(&mut self, now: Time, violation: Violation) {
        let reason = violation.disconnect_reason();
        let goodbye = DisconnectOptions::new(reason).encode(u32::MAX);
        self.close_with(now, goodbye, ClientCloseCause::Violation(violation));
    }

    /// Ends the connection as soon as `goodbye`, an encoded DISCONNECT, is handed out.
    fn close_with(&mut self, now: Time, goodbye: Vec<u8>, cause: ClientCloseCause) {
        self.changed();
        let (mut last, qos0) = match &mut self.link {
            // Nothing may come before CONNECT [MQTT-3.1.0-1].
            Link::Connecting(connecting) if !connecting.is_connect_sent => {
                self.connection_ended(cause);
                return;
            }
            Link::Idle | Link::Closing(_) => return,
            Link::Connecting(connecting) => (core::mem::take(&mut connecting.ready), 0),
            Link::Open(open) => core::mem::take(&mut open.ready).into_last(),
        };
        last.extend_from_slice(&goodbye);
        self.settle_connection();
        self.link = Link::Closing(Box::new(Closing::new(now, last, qos0, cause)));
    }

    /// What is published again now if the session is lost.
    fn republish(&self) -> Republish {
        // After the last connection nobody would send it.
        if self.reconnecting.is_leaving() { Republish::Nothing } else { self.config.republish }
    }

    /// The connection is gone; nothing more can be sent on it.
    fn connection_ended(&mut self, cause: ClientCloseCause) {
        self.changed();
        self.settle_connection();
        let cause = match core::mem::replace(&mut self.link, Link::Idle) {
            Link::Idle => return,
            Link::Closing(closing) => {
                self.statistics.qos0_lost += closing.qos0 as u64;
                closing.cause
            }
            Link::Connecting(_) | Link::Open(_) => cause,
        };
        self.closed(cause);
    }

    /// Parts what ends with the connection from what outlives it.
    fn settle_connection(&mut self) {
        self.readers.stop_waiting();
        let expiry = match &mut self.link {
            Link::Idle | Link::Closing(_) => return,
            Link::Connecting(_) => None,
            Link::Open(open) => {
                self.statistics.qos0_lost += open.ready.qos0() as u64;
                self.session.take_back(open.ready.unsent());
                Some(open.negotiated.session_expiry_interval)
            }
        };
        self.session.connection_ended();
        let goes_on = self.reconnecting.wants_connection();
        let keeps_qos0 = goes_on && self.config.offline.keeps_qos0;
        for slot in self.session.outbox.take_transient(keeps_qos0) {
            self.dropped(self.now, slot);
        }
        // [MQTT-3.1.2-23]
        if expiry == Some(0) {
            self.session.end(self.republish(), &mut self.events);
        }
    }
}

#[cfg(test)]
mod tests;
