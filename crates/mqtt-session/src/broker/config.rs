//! What a broker offers, and every bound it keeps.

use core::num::NonZeroU16;
use core::time::Duration;

use mqtt_codec::QoS;

/// How a [`Broker`](super::Broker) behaves: what it offers to clients and what it takes from them.
///
/// ```
/// use mqtt_session::BrokerConfig;
///
/// let mut config = BrokerConfig::default();
/// config.retain_available = false;
/// config.limits.connections = 100;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BrokerConfig {
    /// The highest QoS at which clients may publish; CONNACK tells it [MQTT-3.2.2-9].
    /// Default: QoS 2.
    pub maximum_qos: QoS,
    /// Whether messages are retained; CONNACK tells it. Default: true.
    pub retain_available: bool,
    /// Whether filters may have wildcards; CONNACK tells it. Default: true.
    pub wildcard_subscription_available: bool,
    /// Whether subscriptions may have identifiers; CONNACK tells it. Default: true.
    pub subscription_id_available: bool,
    /// Whether `$share/` filters are served; CONNACK tells it. Default: true.
    pub shared_subscription_available: bool,
    /// The longest Keep Alive in seconds: a client that asks for more, or for none, is told this
    /// one in CONNACK and held to it. `None` takes what clients ask for. Default: none.
    pub keep_alive_ceiling: Option<NonZeroU16>,
    /// The longest Session Expiry Interval in seconds: a client that asks for more is told this
    /// one in CONNACK. Default: one day.
    pub session_expiry_ceiling: u32,
    /// Response Information for clients that ask for it. Default: none.
    pub response_information: Option<Box<str>>,
    /// Whether what has to survive a restart is recorded for
    /// [`Broker::poll_store`](super::Broker::poll_store), and acknowledgements wait until it is
    /// committed. Default: false, nothing survives and nothing waits.
    pub durable: bool,
    /// Which decisions are asked of the driver. Default: none, everything is allowed.
    pub decisions: Decisions,
    /// The bounds.
    pub limits: BrokerLimits,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            wildcard_subscription_available: true,
            subscription_id_available: true,
            shared_subscription_available: true,
            keep_alive_ceiling: None,
            session_expiry_ceiling: 24 * 60 * 60,
            response_information: None,
            durable: false,
            decisions: Decisions::default(),
            limits: BrokerLimits::default(),
        }
    }
}

/// Which decisions a [`Broker`](super::Broker) asks of its driver.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decisions {
    /// Whether each CONNECT is asked about, by
    /// [`BrokerEvent::Connect`](super::BrokerEvent::Connect). Default: false.
    pub connect: bool,
    /// Whether each message that a client publishes, and each Will Message that is due, is asked
    /// about, by [`BrokerEvent::Publish`](super::BrokerEvent::Publish). Default: false.
    pub publish: bool,
    /// Whether each SUBSCRIBE is asked about, by
    /// [`BrokerEvent::Subscribe`](super::BrokerEvent::Subscribe). Default: false.
    pub subscribe: bool,
    /// Whether sending a message to a client is asked about, once for each topic, by
    /// [`BrokerEvent::Read`](super::BrokerEvent::Read). Default: false.
    pub read: bool,
    /// How long a decision may take; after it the safe answer is given: refused. Default: 5 s.
    pub timeout: Duration,
}

impl Default for Decisions {
    fn default() -> Self {
        Self {
            connect: false,
            publish: false,
            subscribe: false,
            read: false,
            timeout: Duration::from_secs(5),
        }
    }
}

/// The bounds of a [`Broker`](super::Broker). Everything that a peer can make grow has one; what
/// happens at each is said beside it, and what is dropped is counted in
/// [`Statistics`](super::Statistics).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BrokerLimits {
    /// Open connections. Over it [`Broker::open`](super::Broker::open) refuses. Default: 10,000.
    pub connections: usize,
    /// Open connections from one address that is not a loopback address; all IPv6 addresses of a
    /// /64 network count as one. Over it [`Broker::open`](super::Broker::open) refuses.
    /// Default: 100.
    pub connections_per_address: usize,
    /// Sessions, with and without a connection. Over it: CONNACK 0x97. Default: 10,000.
    pub sessions: usize,
    /// From the opening of a connection to its accepted CONNECT. Default: 5 s.
    pub connect_timeout: Duration,
    /// AUTH packets of a client in one authentication. Over it: CONNACK or DISCONNECT 0x97.
    /// Default: 10.
    pub authentication_rounds: u32,
    /// CONNECT packets from one address, loopback addresses left out, that may be refused within a
    /// minute for who they claim to be. Over it: CONNACK 0x9F without asking anybody.
    /// Default: 10.
    pub authentication_failures: u32,
    /// Times within a minute that a client authenticates again on an open connection. Over it:
    /// DISCONNECT 0x97. Default: 10.
    pub reauthentications: u32,
    /// Times within a minute that a connection takes a session over from another open connection.
    /// Over it the newer one is refused: CONNACK 0x9F. Default: 60.
    pub take_overs: u32,
    /// Bytes of a packet before the CONNECT is accepted. Over it the connection is closed.
    /// Default: 8 KiB.
    pub connect_packet_size: u32,
    /// Bytes of a packet afterwards; CONNACK tells it. Over it: DISCONNECT 0x95. Default: 4 MiB.
    pub packet_size: u32,
    /// QoS 1 and QoS 2 messages that a client may have unanswered; CONNACK tells it. Over it:
    /// DISCONNECT 0x93, and so for QoS 2 messages whose PUBREL did not come, on any connection of
    /// the session, over twice as many. Default: 128.
    pub receive_maximum: NonZeroU16,
    /// QoS 1 and QoS 2 messages under way to one client, if its Receive Maximum is not lower.
    /// More wait in the session's queue. Default: 128.
    pub send_maximum: NonZeroU16,
    /// Topic aliases that a client may set; CONNACK tells it. Over it: DISCONNECT 0x94.
    /// Default: 16.
    pub topic_alias_maximum: u16,
    /// Topic aliases set towards a client, if it allows as many; never more than 64.
    /// Default: 16.
    pub outgoing_topic_aliases: u16,
    /// Levels of a topic name or filter. Over it: 0x90 or 0x8F in the acknowledgement.
    /// Default: 128.
    pub topic_levels: usize,
    /// Bytes of a topic name or filter. Over it: 0x90 or 0x8F in the acknowledgement.
    /// Default: 1,024.
    pub topic_bytes: usize,
    /// Bytes of a client identifier. Over it: CONNACK 0x85. Default: 1,024.
    pub client_id_bytes: usize,
    /// Subscriptions of one session. Over it: 0x97 in SUBACK. Default: 1,024.
    pub subscriptions: usize,
    /// Steps that matching one topic may take at the worst, which wildcard filters of many shapes
    /// drive up. A filter that would go over it gets 0x97 in SUBACK. Default: 16,384, about a
    /// third of a millisecond.
    pub match_steps: usize,
    /// Filters in one SUBSCRIBE. Those over it get 0x97 in SUBACK. Default: 64.
    pub filters_per_subscribe: usize,
    /// Filters of one session within a minute for which retained messages are sent, again or for
    /// the first time. Over it: 0x97 in SUBACK. Default: 1,024.
    pub replays: u32,
    /// Messages that wait for one session. Over it the newest is dropped and counted.
    /// Default: 1,000.
    pub queued_messages: usize,
    /// Bytes of the messages that wait for one session. Over it the newest is dropped and
    /// counted. Default: 8 MiB.
    pub queued_bytes: usize,
    /// Retained messages. Over it: 0x97 in the acknowledgement. Default: 100,000.
    pub retained_messages: usize,
    /// Bytes of retained messages, topics included. Over it: 0x97 in the acknowledgement.
    /// Default: 64 MiB.
    pub retained_bytes: usize,
    /// Bytes of all Will Messages of all sessions. Over it: CONNACK 0x97. Default: 64 MiB.
    pub will_bytes: usize,
    /// Bytes of acknowledgements that wait for one client. Over it nothing more is read from that
    /// client until it has read some. Default: 64 KiB.
    pub unread_answers: usize,
    /// How long a connection may have something to write that the driver cannot take, because the
    /// peer does not read. After it the connection is closed. Default: 30 s.
    pub write_stall: Duration,
    /// Bytes of changes that are recorded and not committed. Over it nothing more is read from
    /// clients whose packets add to them, and no CONNECT, until commits catch up. Default: 8 MiB.
    pub uncommitted_bytes: usize,
    /// How long a batch that the store did not commit is not offered again. Default: 1 s.
    pub store_retry: Duration,
}

impl Default for BrokerLimits {
    fn default() -> Self {
        const fn non_zero(value: u16) -> NonZeroU16 {
            match NonZeroU16::new(value) {
                Some(value) => value,
                None => NonZeroU16::MIN,
            }
        }
        Self {
            connections: 10_000,
            connections_per_address: 100,
            sessions: 10_000,
            connect_timeout: Duration::from_secs(5),
            authentication_rounds: 10,
            authentication_failures: 10,
            reauthentications: 10,
            take_overs: 60,
            connect_packet_size: 8 * 1024,
            packet_size: 4 * 1024 * 1024,
            receive_maximum: non_zero(128),
            send_maximum: non_zero(128),
            topic_alias_maximum: 16,
            outgoing_topic_aliases: 16,
            topic_levels: 128,
            topic_bytes: 1_024,
            client_id_bytes: 1_024,
            subscriptions: 1_024,
            match_steps: 16 * 1024,
            filters_per_subscribe: 64,
            replays: 1_024,
            queued_messages: 1_000,
            queued_bytes: 8 * 1024 * 1024,
            retained_messages: 100_000,
            retained_bytes: 64 * 1024 * 1024,
            will_bytes: 64 * 1024 * 1024,
            unread_answers: 64 * 1024,
            write_stall: Duration::from_secs(30),
            uncommitted_bytes: 8 * 1024 * 1024,
            store_retry: Duration::from_secs(1),
        }
    }
}
