//! What a schedule begins with: how the broker and the clients are configured. Plain data, so that
//! a failure can be written down as source.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use bytes::Bytes;
use mqtt_codec::{PropertyBuf, QoS};
use mqtt_session::{BrokerConfig, BufferOptions, ClientConfig, SessionPolicy, Will};

use super::names::{CLIENT_IDS, TOPICS};

/// The beginning of a schedule.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Keys the hash maps of all machines.
    pub seed: u64,
    /// The broker.
    pub broker: BrokerSetup,
    /// The clients.
    pub clients: Vec<ClientSetup>,
}

/// How the broker is configured.
#[derive(Clone, Copy, Debug)]
pub struct BrokerSetup {
    /// The Receive Maximum that it announces.
    pub receive_maximum: u16,
    /// How many messages it keeps under way to a client at most.
    pub send_maximum: u16,
    /// The Topic Alias Maximum that it announces, and how many it uses.
    pub aliases: u16,
    /// How many messages may wait for a session.
    pub queue: usize,
    /// What its store is like.
    pub store: StoreSetup,
    /// Whether it asks before a client reads a topic.
    pub asks_read: bool,
    /// Whether these questions wait for [`Event::Reply`](super::Event::Reply).
    pub slow_replies: bool,
    /// About how many bytes are taken from a connection at once.
    pub budget: usize,
    /// How many bytes of answers a client may leave unread.
    pub unread_answers: usize,
}

/// The store of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreSetup {
    /// There is none: a crash loses everything.
    None,
    /// It commits at once.
    Fast,
    /// It commits when [`Event::Commit`](super::Event::Commit) says so.
    Slow,
}

/// How a client is configured.
#[derive(Clone, Copy, Debug)]
pub struct ClientSetup {
    /// What it does about its session.
    pub session: SessionSetup,
    /// The Session Expiry Interval in seconds.
    pub expiry: u32,
    /// The Receive Maximum that it announces.
    pub receive_maximum: u16,
    /// The Maximum Packet Size that it announces; 0 for none.
    pub packet_size: u32,
    /// The Topic Alias Maximum that it announces.
    pub incoming_aliases: u16,
    /// How many topic aliases it uses.
    pub outgoing_aliases: u16,
    /// The Keep Alive in seconds.
    pub keep_alive: u16,
    /// Whether the application acknowledges.
    pub manual: bool,
    /// Whether it gives its subscriptions identifiers.
    pub identifiers: bool,
    /// How many bytes are taken from it at once.
    pub budget: usize,
    /// Its will.
    pub will: Option<WillSetup>,
    /// Whether its session is saved when something leaves, and no earlier: a
    /// [`Restart`](super::Event::Restart) goes back to that. Otherwise it is saved at each change.
    pub saves_late: bool,
}

/// What a client asks for in CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionSetup {
    /// A new session with each connection.
    Clean,
    /// A new session first, and the same one from then on.
    Resume,
    /// The session that it may have, known to it or not.
    Rejoin,
}

/// A will.
#[derive(Clone, Copy, Debug)]
pub struct WillSetup {
    /// The topic's number.
    pub topic: u8,
    /// The QoS.
    pub qos: u8,
    /// Whether it is retained.
    pub retain: bool,
    /// The Will Delay Interval in seconds.
    pub delay: u16,
    /// The Message Expiry Interval in seconds; 0 for none.
    pub expiry: u16,
}

impl Default for Setup {
    fn default() -> Self {
        let client = ClientSetup::default();
        Self { seed: 0, broker: BrokerSetup::default(), clients: vec![client; 2] }
    }
}

impl Default for BrokerSetup {
    fn default() -> Self {
        Self {
            receive_maximum: 128,
            send_maximum: 128,
            aliases: 16,
            queue: 1000,
            store: StoreSetup::None,
            asks_read: false,
            slow_replies: false,
            budget: 64 * 1024,
            unread_answers: 64 * 1024,
        }
    }
}

impl Default for ClientSetup {
    fn default() -> Self {
        Self {
            session: SessionSetup::Resume,
            expiry: 1000,
            receive_maximum: 256,
            packet_size: 0,
            incoming_aliases: 0,
            outgoing_aliases: 0,
            keep_alive: 0,
            manual: false,
            identifiers: true,
            budget: 64 * 1024,
            will: None,
            saves_late: false,
        }
    }
}

/// Payload bytes of a large message: more than any small Maximum Packet Size.
pub(super) const LARGE: usize = 600;

/// A Maximum Packet Size that every packet fits but a large message.
pub(super) const SMALL_PACKETS: u32 = 300;

/// The number of the will of a client.
pub(super) const fn will_number(client: usize) -> u32 {
    0x8000_0000 + client as u32
}

impl BrokerSetup {
    pub(super) fn config(&self) -> BrokerConfig {
        let mut config = BrokerConfig::default();
        config.durable = self.store != StoreSetup::None;
        config.decisions.read = self.asks_read;
        let limits = &mut config.limits;
        limits.receive_maximum = non_zero(self.receive_maximum);
        limits.send_maximum = non_zero(self.send_maximum);
        limits.topic_alias_maximum = self.aliases;
        limits.outgoing_topic_aliases = self.aliases;
        limits.queued_messages = self.queue;
        limits.unread_answers = self.unread_answers;
        // Storms of them are what the simulator makes.
        limits.take_overs = u32::MAX;
        limits.replays = u32::MAX;
        config
    }
}

impl ClientSetup {
    /// How its subscriptions are read.
    pub(super) fn buffer(&self) -> BufferOptions {
        BufferOptions::new().manual_acknowledgement(self.manual)
    }

    pub(super) fn config(&self, number: usize) -> ClientConfig {
        let expiry = Duration::from_secs(self.expiry.into());
        let policy = match self.session {
            SessionSetup::Clean => SessionPolicy::clean(),
            SessionSetup::Resume => SessionPolicy::resume(expiry),
            SessionSetup::Rejoin => SessionPolicy::rejoin(expiry),
        };
        let mut config = ClientConfig::new()
            .client_id(CLIENT_IDS[number])
            .session(policy)
            .keep_alive(Duration::from_secs(self.keep_alive.into()))
            .receive_maximum(non_zero(self.receive_maximum))
            .topic_alias_maximum(self.incoming_aliases)
            .outgoing_topic_aliases(self.outgoing_aliases)
            .subscription_identifiers(self.identifiers);
        if let Some(bytes) = NonZeroU32::new(self.packet_size) {
            config = config.maximum_packet_size(bytes);
        }
        if let Some(will) = &self.will {
            let number = Bytes::copy_from_slice(&will_number(number).to_be_bytes());
            let mut properties = PropertyBuf::new();
            if will.expiry > 0 {
                properties.message_expiry_interval(will.expiry.into());
            }
            config = config.will(
                Will::new(TOPICS[usize::from(will.topic)], number)
                    .qos(QoS::try_from(will.qos).expect("a QoS"))
                    .retain(will.retain)
                    .delay(Duration::from_secs(will.delay.into()))
                    .properties(properties),
            );
        }
        config
    }
}

fn non_zero(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a maximum is not 0")
}
