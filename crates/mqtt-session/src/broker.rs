//! A whole broker without I/O: connections, sessions, subscriptions, retained messages, wills,
//! expiry and limits.
//!
//! [`Broker`] is driven from outside; its documentation has the driver's contract.

mod answers;
mod authenticate;
mod close;
mod config;
mod connect;
mod connection;
mod decide;
mod deliver;
mod event;
mod failures;
mod host;
mod input;
mod messages;
mod publish;
mod rates;
mod read;
mod ready;
mod replay;
mod request;
mod route;
mod session;
mod shared;
mod slots;
mod statistics;
mod store;
mod subscribe;
mod timers;

use core::net::{IpAddr, Ipv6Addr};
use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashTable;

pub use config::{BrokerConfig, BrokerLimits, Decisions};
pub use connection::ConnectionId;
pub use event::{BrokerEvent, CloseCause, OpenError, PeerInfo};
pub use request::{
    AuthenticateAnswer, AuthenticateRequest, ConnectAnswer, ConnectGrant, ConnectRefusal,
    ConnectRequest, PublishAnswer, PublishRequest, ReadRequest, SubscribeRequest,
};
pub use statistics::{
    Closed, Counts, Dropped, Gauges, HeldBack, SessionStatistics, Statistics, Traffic, Volume,
};
pub use store::{
    Change, CommitToken, MessageKey, RestoreError, RestoreFault, STORE_FORMAT, SessionKey,
    StoreBatch, StoreError, StoredMessage,
};

use answers::AnswerBuffers;
use connection::Connection;
use decide::AskedWill;
use messages::Messages;
use ready::ReadyQueue;
use request::Ticket;
use route::{Retained, Subscription};
use session::Session;
use shared::Groups;
use slots::Slots;
use store::Store;
use timers::TimerKey;

use crate::deadlines::Deadlines;
use crate::entropy::Entropy;
use crate::index::SubscriptionIndex;
use crate::retained::RetainedTree;
use crate::{Deadline, Time};

/// An MQTT 5 server without sockets, clock or threads.
///
/// Its methods come in four kinds:
///
/// - `handle_*` and [`open`](Self::open) tell it what happened: bytes came, a connection ended,
///   time passed. They cannot fail on account of a peer: what a peer does wrong ends that
///   peer's connection, with the reason code that the standard has for it.
/// - Answers and commands ([`answer_connect`](Self::answer_connect),
///   [`disconnect`](Self::disconnect), [`shutdown`](Self::shutdown)) are the driver's own wishes.
/// - `poll_*` tell what to do next.
/// - Getters look and change nothing.
///
/// # The driver's contract: handle, then drain, then sleep
///
/// After any call of the first two kinds the driver takes every event from
/// [`poll_event`](Self::poll_event) and every connection from [`poll_ready`](Self::poll_ready),
/// writes what [`poll_transmit`](Self::poll_transmit) hands out for it, and then waits for input
/// or for [`poll_timeout`](Self::poll_timeout), whichever comes first. It may handle the input of
/// many connections before it drains.
///
/// A connection whose socket takes no more keeps its buffer with the driver, who polls it again
/// once the buffer has room; nothing is handed out unasked. Polling a connection that has nothing
/// to send is harmless.
///
/// With [`BrokerConfig::durable`] the driver also takes every batch from
/// [`poll_store`](Self::poll_store), before and after it sends, and answers each with
/// [`handle_committed`](Self::handle_committed) or
/// [`handle_commit_failed`](Self::handle_commit_failed), at once or later: what depends on the
/// batch is ready to be sent after that.
///
/// `now` never goes backwards: an earlier one counts as the latest that was seen.
///
/// ```
/// use mqtt_session::{Broker, BrokerConfig, BrokerEvent, PeerInfo, Time, TransmitBuf};
/// use bytes::Buf;
///
/// let mut broker = Broker::new(BrokerConfig::default(), [7; 32]);
/// let id = broker.open(Time::ZERO, PeerInfo::default())?;
///
/// // CONNECT from a client called "a".
/// let connect = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a";
/// broker.handle_input(id, Time::ZERO, connect);
///
/// let mut sent = Vec::new();
/// while let Some(event) = broker.poll_event() {
///     assert!(matches!(event, BrokerEvent::Connected { .. }));
/// }
/// while let Some(ready) = broker.poll_ready() {
///     let mut out = TransmitBuf::new();
///     broker.poll_transmit(ready, Time::ZERO, &mut out, 64 * 1024);
///     sent.extend_from_slice(&out.copy_to_bytes(out.remaining()));
/// }
/// assert_eq!(sent[0], 0x20, "a CONNACK");
/// assert_eq!(sent[3], 0x00, "that accepts");
/// assert!(broker.poll_timeout().is_some(), "the keep alive is watched over");
/// # Ok::<(), mqtt_session::OpenError>(())
/// ```
#[derive(Debug)]
pub struct Broker {
    config: BrokerConfig,
    /// The latest moment seen.
    now: Time,
    entropy: Entropy,
    connections: Slots<Connection>,
    /// Open connections by address as [`counted_as`] has it.
    per_address: BTreeMap<IpAddr, usize>,
    sessions: Slots<Session>,
    /// Sessions with a connection.
    connected: usize,
    /// The slots of sessions by client identifier.
    by_client_id: HashTable<u32>,
    /// Who subscribes to what: sessions, and groups of shared subscriptions.
    index: SubscriptionIndex<u32, Subscription>,
    groups: Groups,
    retained: RetainedTree<Retained>,
    retained_bytes: usize,
    /// Messages that were ever retained.
    retained_count: u64,
    will_bytes: usize,
    messages: Messages,
    deadlines: Deadlines<TimerKey>,
    /// What is still to be stored, if anything is.
    store: Option<Box<Store>>,
    /// The connections with something to send.
    ready: ReadyQueue,
    /// [`BrokerLimits::write_stall`] in nanoseconds.
    write_stall: u64,
    events: VecDeque<BrokerEvent>,
    /// Scratch lists of the routing, kept for their memory.
    matched: Vec<(u32, Subscription)>,
    targets: Vec<route::Target>,
    /// How many decisions were asked for.
    tickets: u64,
    /// Will Messages whose publishing is not decided.
    asked_wills: BTreeMap<Ticket, AskedWill>,
    failures: failures::Failures,
    answers: AnswerBuffers,
    /// Scratch text for the topic of an alias.
    topic: String,
    /// The number of the current routing.
    routing: u32,
    /// Messages given to sessions by the current call.
    work: usize,
    /// Whether input has to wait until what it brought about is sent.
    is_pressed: bool,
    /// The slots of connections whose input waits for that.
    backlog: VecDeque<u32>,
    is_shutting_down: bool,
    statistics: Statistics,
}

/// Bytes in the tail of a connection that grows into a buffer of its own, so that a large payload
/// need not be copied again.
const OWN_BUFFER_FROM: usize = 16 * 1024;

/// Messages that one call gives to sessions before input has to wait for the driver to drain:
/// what a call does is bounded however many subscribers there are.
const WORK_PER_CALL: usize = 16 * 1024;

/// What the connections of an address are counted as; `None` for loopback addresses, which have no
/// bound.
///
/// Who has one IPv6 address has the 2^64 others of its network too, so these count as one. An IPv4
/// address is the same when a socket of both families gives it as one of IPv6.
fn counted_as(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    match address {
        _ if address.is_loopback() => None,
        IpAddr::V4(_) => Some(address),
        // The whole of a local network has the same prefix.
        IpAddr::V6(local) if local.is_unicast_link_local() => Some(address),
        IpAddr::V6(global) => {
            let network = global.to_bits() & (u128::MAX << 64);
            Some(IpAddr::V6(Ipv6Addr::from_bits(network)))
        }
    }
}

impl Broker {
    /// A broker without connections or state.
    ///
    /// `seed` is the only randomness it uses: it keys the hash maps and makes the client
    /// identifiers that the broker assigns. Take it from the operating system, or fix it for a
    /// run that can be repeated.
    pub fn new(config: BrokerConfig, seed: [u8; 32]) -> Self {
        let entropy = Entropy::new(seed);
        let is_durable = config.durable;
        let write_stall = (Time::ZERO + config.limits.write_stall).as_nanos();
        Self {
            config,
            now: Time::ZERO,
            connections: Slots::default(),
            per_address: BTreeMap::new(),
            sessions: Slots::default(),
            connected: 0,
            by_client_id: HashTable::new(),
            index: SubscriptionIndex::new(entropy.hash_key()),
            groups: Groups::new(entropy.hash_key()),
            retained: RetainedTree::new(),
            retained_bytes: 0,
            retained_count: 0,
            will_bytes: 0,
            messages: Messages::new(is_durable),
            deadlines: Deadlines::new(),
            store: is_durable.then(|| Box::new(Store::new())),
            ready: ReadyQueue::default(),
            write_stall,
            events: VecDeque::new(),
            matched: Vec::new(),
            targets: Vec::new(),
            tickets: 0,
            asked_wills: BTreeMap::new(),
            failures: failures::Failures::default(),
            answers: AnswerBuffers::default(),
            topic: String::new(),
            routing: 0,
            work: 0,
            is_pressed: false,
            backlog: VecDeque::new(),
            is_shutting_down: false,
            statistics: Statistics::default(),
            entropy,
        }
    }

    /// A network connection was made.
    ///
    /// # Errors
    ///
    /// A bound on connections is reached; the driver closes the socket.
    pub fn open(&mut self, now: Time, peer: PeerInfo) -> Result<ConnectionId, OpenError> {
        let now = self.advance(now);
        let result = self.admit(now, peer);
        match result {
            Ok(_) => self.statistics.connections_opened += 1,
            Err(error) => {
                self.statistics.connections_refused += 1;
                if matches!(error, OpenError::TooManyFromAddress { .. }) {
                    self.statistics.connections_refused_for_address += 1;
                }
            }
        }
        result
    }

    fn admit(&mut self, now: Time, peer: PeerInfo) -> Result<ConnectionId, OpenError> {
        if self.is_shutting_down {
            return Err(OpenError::ShuttingDown);
        }
        let limit = self.config.limits.connections;
        if self.connections.len() >= limit {
            return Err(OpenError::TooManyConnections { limit });
        }
        let counted = peer.address.and_then(|address| counted_as(address.ip()));
        let of_address = counted.and_then(|address| self.per_address.get(&address)).copied();
        let limit_of_address = self.config.limits.connections_per_address;
        if counted.is_some() && of_address.unwrap_or_default() >= limit_of_address {
            return Err(OpenError::TooManyFromAddress { limit: limit_of_address });
        }
        let connection = Connection::new(now, peer, counted);
        let key =
            self.connections.insert(connection).ok_or(OpenError::TooManyConnections { limit })?;
        if let Some(address) = counted {
            *self.per_address.entry(address).or_default() += 1;
        }
        self.arm_connection(key.slot);
        Ok(ConnectionId(key))
    }

    /// The driver wants to end a connection: DISCONNECT with `reason` if its CONNECT was accepted,
    /// then it is closed. Nothing happens if it is over already.
    ///
    /// Of `properties` the Reason String, the User Properties and the Server Reference are sent
    /// along.
    pub fn disconnect(
        &mut self,
        id: ConnectionId,
        now: Time,
        reason: mqtt_codec::DisconnectReason,
        properties: &mqtt_codec::PropertyBuf,
    ) {
        self.advance(now);
        if self.connections.is_current(id.0) {
            self.end_with(id.0.slot, reason, &request::told(properties, true));
        }
    }

    /// Ends every connection with DISCONNECT 0x8B (Server shutting down) and takes no new ones.
    ///
    /// The driver goes on draining until every connection has had its
    /// [`BrokerEvent::Closed`]. With [`BrokerConfig::durable`] it commits what is out first:
    /// acknowledgements that wait for a commit when their connection ends are not sent, and their
    /// clients will publish again.
    pub fn shutdown(&mut self, now: Time) {
        self.advance(now);
        self.is_shutting_down = true;
        let open: Vec<u32> = self.connections.iter().map(|(slot, _)| slot).collect();
        for slot in open {
            self.end(slot, mqtt_codec::DisconnectReason::ServerShuttingDown);
        }
    }

    /// The next thing to know or to decide.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<BrokerEvent> {
        self.events.pop_front()
    }

    /// The next connection with something to send; each is told once until
    /// [`poll_transmit`](Self::poll_transmit) was called for it.
    #[must_use]
    pub fn poll_ready(&mut self) -> Option<ConnectionId> {
        while let Some(slot) = self.ready.pop() {
            if let Some(key) = self.connections.key_if(slot, |connection| connection.is_ready) {
                return Some(ConnectionId(key));
            }
        }
        None
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        self.next_deadline()
    }

    /// Whether input of this connection is taken. While it is not, the driver leaves the socket
    /// unread, so that the peer is held back; [`BrokerEvent::Resume`] tells when it is taken again.
    pub fn accepts_input(&self, id: ConnectionId) -> bool {
        self.connections.is_current(id.0)
            && self
                .connections
                .get(id.0.slot)
                .is_some_and(|connection| !connection.paused.any() && !connection.is_closing())
    }

    /// Whether a connection has nothing more to send than its last answers: its driver polls it
    /// however much it holds for it already, so that it can be closed.
    pub fn is_closing(&self, id: ConnectionId) -> bool {
        self.connections.is_current(id.0)
            && self.connections.get(id.0.slot).is_some_and(Connection::is_closing)
    }

    /// The configuration.
    pub const fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// What happened since the broker was made.
    pub const fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// What was dropped and refused for the session of a client identifier; `None` if there is no
    /// such session.
    pub fn session_statistics(&self, client_id: &str) -> Option<SessionStatistics> {
        let session = self.sessions.get(self.find_session(client_id)?)?;
        Some(session.losses.as_deref().cloned().unwrap_or_default())
    }

    /// What the broker holds now.
    pub fn gauges(&self) -> Gauges {
        Gauges {
            connections: self.connections.len(),
            connected: self.connected,
            sessions: self.sessions.len(),
            subscriptions: self.index.len() - self.groups.len() + self.groups.members(),
            shared_subscriptions: self.groups.members(),
            retained_messages: self.retained.len(),
            retained_bytes: self.retained_bytes,
            will_bytes: self.will_bytes,
            messages: self.messages.len(),
            message_bytes: self.messages.bytes(),
            uncommitted_changes: self.store.as_ref().map_or(0, |store| store.uncommitted_changes()),
            uncommitted_bytes: self.store.as_ref().map_or(0, |store| store.uncommitted_bytes()),
        }
    }

    /// Takes the time that a caller gives; it never goes backwards.
    fn advance(&mut self, now: Time) -> Time {
        self.now = self.now.max(now);
        self.begin_changes();
        self.now
    }

    /// Puts a connection into the ready queue, unless it stands there.
    fn mark_ready(&mut self, slot: u32) {
        if sabotaged!(WakeUpLost) && !slot.is_multiple_of(2) {
            return;
        }
        if let Some(connection) = self.connections.get_mut(slot)
            && let Some(armed) = connection.become_ready(self.now)
        {
            self.queue_ready(slot, armed);
        }
    }

    /// Puts a connection that has become ready into the queue; its timer is armed for `armed`.
    #[inline(always)]
    fn queue_ready(&mut self, slot: u32, armed: Time) {
        self.ready.push(slot);
        // One timer in that time at the most, however often the connection becomes ready.
        if armed > self.now.plus_nanos(self.write_stall) {
            self.arm_connection(slot);
        }
    }

    /// The keyed hash of a client identifier.
    fn hash_client_id(&self, client_id: &str) -> u64 {
        self.entropy.hash(client_id.as_bytes())
    }

    /// The slot of the session of a client identifier.
    fn find_session(&self, client_id: &str) -> Option<u32> {
        let hash = self.hash_client_id(client_id);
        self.by_client_id
            .find(hash, |&slot| {
                self.sessions.get(slot).is_some_and(|session| *session.client_id == *client_id)
            })
            .copied()
    }
}
