//! What a client is told once, before it connects.

use core::fmt;
use core::num::{NonZeroU16, NonZeroU32};
use core::time::Duration;

use bytes::Bytes;
use mqtt_codec::{PropertyBuf, QoS};

use super::offline::{Offline, Republish};
use super::policy::Policy;

/// The largest packet that is accepted from a server that was told no Maximum Packet Size.
pub(super) const UNANNOUNCED_PACKET_SIZE: u32 = 16 * 1024 * 1024;

/// Everything that a [`Client`](super::Client) is configured with. Setters take and return the
/// value; what is wrong with it is told by [`Client::new`](super::Client::new).
///
/// ```
/// use core::time::Duration;
/// use mqtt_session::{ClientConfig, SessionPolicy};
///
/// let config = ClientConfig::new()
///     .client_id("meter-17")
///     .session(SessionPolicy::resume(Duration::from_secs(3600)))
///     .keep_alive(Duration::from_secs(30));
/// ```
#[derive(Clone)]
pub struct ClientConfig {
    pub(super) client_id: String,
    pub(super) session: SessionPolicy,
    pub(super) keep_alive: Duration,
    pub(super) credentials: Credentials,
    pub(super) will: Option<Will>,
    pub(super) receive_maximum: NonZeroU16,
    pub(super) maximum_packet_size: Option<NonZeroU32>,
    pub(super) topic_alias_maximum: u16,
    pub(super) outgoing_topic_aliases: u16,
    pub(super) request_problem_information: bool,
    pub(super) request_response_information: bool,
    pub(super) user_properties: Vec<(String, String)>,
    pub(super) authentication: Option<Authentication>,
    pub(super) connect_timeout: Duration,
    pub(super) receive_maximum_tolerance: Option<u16>,
    pub(super) reader_patience: Duration,
    pub(super) subscription_identifiers: bool,
    pub(super) max_outgoing_messages: usize,
    pub(super) max_outgoing_bytes: usize,
    pub(super) max_filters: usize,
    pub(super) max_requests: usize,
    pub(super) policy: Policy,
    pub(super) offline: Offline,
    pub(super) republish: Republish,
}

/// User name and password of a CONNECT.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    pub(super) user_name: Option<String>,
    pub(super) password: Option<Bytes>,
}

impl fmt::Debug for Credentials {
    /// Never shows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user_name", &self.user_name)
            .field("password", &self.password.as_ref().map(|_| "..."))
            .finish()
    }
}

/// How enhanced authentication begins.
#[derive(Clone)]
pub(super) struct Authentication {
    pub(super) method: String,
    pub(super) data: Bytes,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientConfig {
    /// A client without an identifier of its own, that starts a clean session at each connection,
    /// with a Keep Alive of 60 seconds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            client_id: String::new(),
            session: SessionPolicy::clean(),
            keep_alive: Duration::from_secs(60),
            credentials: Credentials::default(),
            will: None,
            receive_maximum: NonZeroU16::new(256).unwrap_or(NonZeroU16::MAX),
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            outgoing_topic_aliases: 0,
            request_problem_information: true,
            request_response_information: false,
            user_properties: Vec::new(),
            authentication: None,
            connect_timeout: Duration::from_secs(10),
            receive_maximum_tolerance: None,
            reader_patience: Duration::from_millis(20),
            subscription_identifiers: true,
            max_outgoing_messages: 1024,
            max_outgoing_bytes: 16 * 1024 * 1024,
            max_filters: 65_536,
            max_requests: 1024,
            policy: Policy::default(),
            offline: Offline::default(),
            republish: Republish::default(),
        }
    }

    /// The Client Identifier, by which the server knows the session [MQTT-3.1.3-2]. Empty (the
    /// default): the server assigns one, which then stands for this client until it is dropped.
    #[must_use]
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = client_id.into();
        self
    }

    /// What becomes of the session between connections.
    #[must_use]
    pub fn session(mut self, policy: SessionPolicy) -> Self {
        self.session = policy;
        self
    }

    /// The longest time that the connection may be idle, in whole seconds up to 65,535 (rounded
    /// up). Zero turns keep-alive off: a dead connection is then noticed by nobody. The server may
    /// set another value [MQTT-3.1.2-21].
    #[must_use]
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = interval;
        self
    }

    /// The user name to log in with.
    #[must_use]
    pub fn user_name(mut self, user_name: impl Into<String>) -> Self {
        self.credentials.user_name = Some(user_name.into());
        self
    }

    /// The password, or whatever secret the server wants there; it needs no user name.
    #[must_use]
    pub fn password(mut self, password: impl Into<Bytes>) -> Self {
        self.credentials.password = Some(password.into());
        self
    }

    /// The message that the server publishes when this client is gone without a goodbye.
    #[must_use]
    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }

    /// How many QoS 1 and QoS 2 messages the server may send without having their acknowledgement;
    /// 256 by default. This bounds what an application that does not read leaves lying here.
    #[must_use]
    pub fn receive_maximum(mut self, maximum: NonZeroU16) -> Self {
        self.receive_maximum = maximum;
        self
    }

    /// How many messages above [`receive_maximum`](Self::receive_maximum) are taken all the same
    /// from a server that exceeds it; by default half as many as that, rounded down. Each is
    /// counted in [`ClientStatistics`](super::ClientStatistics), and one beyond ends the connection
    /// with 0x93 [MQTT-3.3.4-9]. Zero is strict.
    ///
    /// There are servers in wide use that now and then send more than they may. What they send is
    /// bounded all the same, and a client that answers with the end of the connection only gets it
    /// again.
    #[must_use]
    pub fn receive_maximum_tolerance(mut self, messages: u16) -> Self {
        self.receive_maximum_tolerance = Some(messages);
        self
    }

    /// How long nothing is read from the network for the sake of a reader of QoS 0 messages that
    /// lags behind; 20 milliseconds by default. It has this moment to catch up before messages are
    /// dropped, and no other before it has. Zero: nothing ever waits.
    #[must_use]
    pub fn reader_patience(mut self, patience: Duration) -> Self {
        self.reader_patience = patience;
        self
    }

    /// The largest packet that the server may send, in bytes. By default none is announced, and a
    /// packet above 16 MiB ends the connection.
    #[must_use]
    pub fn maximum_packet_size(mut self, bytes: NonZeroU32) -> Self {
        self.maximum_packet_size = Some(bytes);
        self
    }

    /// How many topic aliases the server may use; none by default.
    #[must_use]
    pub fn topic_alias_maximum(mut self, maximum: u16) -> Self {
        self.topic_alias_maximum = maximum;
        self
    }

    /// How many topic aliases this client uses if the server allows as many; none by default, 64
    /// at most. A topic without one takes that of the topic that was not published to for longest.
    /// Aliases save bytes, and cost some time for each message.
    #[must_use]
    pub fn outgoing_topic_aliases(mut self, maximum: u16) -> Self {
        self.outgoing_topic_aliases = maximum;
        self
    }

    /// Whether the server may explain refusals with Reason Strings and User Properties; yes by
    /// default. A server that does so although it may not breaks the protocol.
    #[must_use]
    pub fn request_problem_information(mut self, wanted: bool) -> Self {
        self.request_problem_information = wanted;
        self
    }

    /// Whether the server is asked for Response Information, from which response topics are made;
    /// no by default.
    #[must_use]
    pub fn request_response_information(mut self, wanted: bool) -> Self {
        self.request_response_information = wanted;
        self
    }

    /// Adds a User Property to CONNECT. They are sent in the order in which they are added.
    #[must_use]
    pub fn user_property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.user_properties.push((name.into(), value.into()));
        self
    }

    /// Has the client log in by enhanced authentication, with `method` and the data that begin it.
    /// The server's challenges come as [`ClientEvent::Challenged`](super::ClientEvent::Challenged).
    #[must_use]
    pub fn authentication(mut self, method: impl Into<String>, data: impl Into<Bytes>) -> Self {
        self.authentication = Some(Authentication { method: method.into(), data: data.into() });
        self
    }

    /// How long a transport may take to stand, and then how long the server may take to answer
    /// CONNECT, or an AUTH before CONNACK; 10 seconds by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Whether SUBSCRIBE carries Subscription Identifiers where the server supports them, so that
    /// messages find their subscription by them; yes by default.
    #[must_use]
    pub fn subscription_identifiers(mut self, used: bool) -> Self {
        self.subscription_identifiers = used;
        self
    }

    /// How many messages [`Client::publish`](super::Client::publish) holds that were not sent, or
    /// were sent and not acknowledged; 1,024 by default, at least 1.
    #[must_use]
    pub fn max_outgoing_messages(mut self, maximum: usize) -> Self {
        self.max_outgoing_messages = maximum;
        self
    }

    /// How many bytes of topics, properties and payloads those messages may have together; 16 MiB
    /// by default. A message that is larger alone is taken when no other is held.
    #[must_use]
    pub fn max_outgoing_bytes(mut self, maximum: usize) -> Self {
        self.max_outgoing_bytes = maximum;
        self
    }

    /// How many Topic Filters all subscriptions together may hold; 65,536 by default.
    #[must_use]
    pub fn max_filters(mut self, maximum: usize) -> Self {
        self.max_filters = maximum;
        self
    }

    /// How many requests may wait for their response; 1,024 by default.
    #[must_use]
    pub fn max_requests(mut self, maximum: usize) -> Self {
        self.max_requests = maximum;
        self
    }

    /// The Client Identifier that was set; empty if the server is to assign one.
    #[must_use]
    pub fn client_identifier(&self) -> &str {
        &self.client_id
    }

    /// What was said about the session.
    #[must_use]
    pub const fn session_policy(&self) -> SessionPolicy {
        self.session
    }

    /// The Keep Alive in whole seconds, as CONNECT carries it.
    pub(super) fn keep_alive_seconds(&self) -> u16 {
        u16::try_from(self.keep_alive.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u16::MAX)
    }

    /// How many messages are taken before the first is acknowledged.
    pub(super) fn tolerated_maximum(&self) -> u16 {
        let maximum = self.receive_maximum.get();
        maximum.saturating_add(self.receive_maximum_tolerance.unwrap_or(maximum / 2))
    }

    /// The largest packet that is accepted from the server, in bytes: what was set with
    /// [`maximum_packet_size`](Self::maximum_packet_size), or else 16 MiB.
    #[must_use]
    pub fn accepted_packet_size(&self) -> u32 {
        self.maximum_packet_size.map_or(UNANNOUNCED_PACKET_SIZE, NonZeroU32::get)
    }
}

impl fmt::Debug for ClientConfig {
    /// Shows neither the password nor the will's payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("client_id", &self.client_id)
            .field("session", &self.session)
            .field("keep_alive", &self.keep_alive)
            .field("credentials", &self.credentials)
            .field("will", &self.will)
            .finish_non_exhaustive()
    }
}

/// What becomes of the session when a connection ends and another begins.
///
/// Session state is what both sides remember of each other: subscriptions, and QoS 1 and QoS 2
/// messages under way [MQTT-3.1.2-23].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    pub(super) first: FirstConnection,
    /// The Session Expiry Interval in seconds; `u32::MAX` for never.
    pub(super) expiry: u32,
}

/// How the first connection of a client treats a session that the server may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstConnection {
    /// Clean Start, as every later connection.
    AlwaysClean,
    /// Clean Start, since this client has no session state yet.
    Clean,
    /// The application vouches that this client's session state goes with the server's.
    Rejoin,
}

impl SessionPolicy {
    /// Every connection starts a new session, which ends with it [MQTT-3.1.2-4].
    #[must_use]
    pub const fn clean() -> Self {
        Self { first: FirstConnection::AlwaysClean, expiry: 0 }
    }

    /// The session outlives a lost connection by `expiry` (whole seconds, rounded up; from
    /// 136 years on it never ends), and the client's next connection resumes it.
    ///
    /// The first connection starts a new session: a client that has just been made holds no
    /// session state, and may not go on with one that the server holds [MQTT-3.2.2-4].
    #[must_use]
    pub fn resume(expiry: Duration) -> Self {
        Self { first: FirstConnection::Clean, expiry: seconds(expiry) }
    }

    /// Like [`resume`](Self::resume), and the first connection too resumes a session that the
    /// server holds, as one of an earlier run of the program.
    ///
    /// The application vouches for what the client cannot know: that the earlier run left nothing
    /// unfinished. Messages that were queued for it are then delivered. A QoS 2 message that the
    /// earlier run had received may be delivered a second time, and one that it had sent without
    /// seeing the answer is not sent again.
    #[must_use]
    pub fn rejoin(expiry: Duration) -> Self {
        Self { first: FirstConnection::Rejoin, expiry: seconds(expiry) }
    }

    /// Whether the first connection already may resume a session, as [`rejoin`](Self::rejoin) says.
    #[must_use]
    pub fn rejoins(&self) -> bool {
        self.first == FirstConnection::Rejoin
    }

    /// Whether the server is asked to keep the session when its connection ends.
    #[must_use]
    pub const fn outlives_connections(&self) -> bool {
        self.expiry > 0
    }
}

/// The message that the server publishes when a client is gone without a goodbye.
#[derive(Clone)]
pub struct Will {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) delay: u32,
    pub(super) properties: PropertyBuf,
}

impl Will {
    /// A will at QoS 0, not retained, published as soon as the connection is lost.
    #[must_use]
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            delay: 0,
            properties: PropertyBuf::new(),
        }
    }

    /// The QoS it is published with.
    #[must_use]
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// Whether it is retained.
    #[must_use]
    pub fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// How long the server waits for the client to come back before it publishes the will; whole
    /// seconds, rounded up. It never waits longer than the session lasts.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = seconds(delay);
        self
    }

    /// Its other properties: those of an application message. A Will Delay Interval in there is
    /// overwritten by [`delay`](Self::delay).
    #[must_use]
    pub fn properties(mut self, properties: PropertyBuf) -> Self {
        self.properties = properties;
        self
    }
}

impl fmt::Debug for Will {
    /// Tells the payload's length, never what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Will")
            .field("topic", &self.topic)
            .field("payload_len", &self.payload.len())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("delay", &self.delay)
            .finish_non_exhaustive()
    }
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u32::MAX)
}
