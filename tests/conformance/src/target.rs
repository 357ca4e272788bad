//! The broker under test: where it is, what it offers, what its owner says of it.

use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use mqtt_codec::{Packet, PropertyValues};
use mqtt_tests::scripted::{ConnectScript, connect};
use serde::Deserialize;

use crate::{
    connection::{Connection, io_fault},
    finding::{Outcome, fail},
    journal::Journal,
};

/// What the owner of a broker says of it, in a TOML file. Everything may be left out; tests that
/// need what is not there are skipped.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Profile {
    /// The User Name of every CONNECT.
    pub user_name: Option<String>,
    /// The Password of every CONNECT.
    pub password: Option<String>,
    /// How long an answer may take, in milliseconds; 5000 unless set.
    pub patience: Option<u64>,
    /// What the topics of the suite begin with; `conformance` unless set.
    pub topic_prefix: Option<String>,
    /// A topic that the broker lets nobody publish to.
    pub denied_topic: Option<String>,
    /// A filter that the broker lets nobody subscribe to.
    pub denied_filter: Option<String>,
    /// A User Name that the broker turns away, whatever the Password.
    pub refused_user_name: Option<String>,
    /// A Client Identifier that the broker turns away.
    pub refused_client_id: Option<String>,
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as a text.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }
}

/// The Keep Alive of tests that are not about it, in seconds: longer than any test takes.
const KEEP_ALIVE: u16 = 300;

/// A broker that tests are run against.
#[derive(Debug, Clone)]
pub struct Target {
    address: SocketAddr,
    pub(crate) profile: Profile,
    pub(crate) offer: Offer,
    /// What tells this run from every other one.
    pub(crate) run: String,
}

/// What a broker says of itself in CONNACK.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Offer {
    /// The highest QoS of a PUBLISH.
    pub maximum_qos: u8,
    /// Whether it retains messages.
    pub retain: bool,
    /// Whether filters may have wildcards.
    pub wildcards: bool,
    /// Whether subscriptions may have identifiers.
    pub subscription_ids: bool,
    /// Whether it serves Shared Subscriptions.
    pub shared: bool,
    /// How many QoS 1 and QoS 2 publications it takes at once.
    pub receive_maximum: u16,
    /// How many Topic Aliases it takes.
    pub alias_maximum: u16,
    /// The largest packet that it takes.
    pub packet_size: u32,
    /// The Keep Alive that it sets, in seconds.
    pub server_keep_alive: Option<u16>,
    /// The longest Session Expiry Interval, where it set a shorter one than was asked for.
    pub session_expiry: Option<u32>,
}

impl Offer {
    fn of(properties: &PropertyValues) -> Self {
        let yes = |value: Option<bool>| value.unwrap_or(true);
        Self {
            maximum_qos: properties.maximum_qos.map_or(2, |qos| qos as u8),
            retain: yes(properties.retain_available),
            wildcards: yes(properties.wildcard_subscription_available),
            subscription_ids: yes(properties.subscription_id_available),
            shared: yes(properties.shared_subscription_available),
            receive_maximum: properties.receive_maximum.map_or(u16::MAX, u16::from),
            alias_maximum: properties.topic_alias_maximum.unwrap_or(0),
            packet_size: properties.maximum_packet_size.map_or(268_435_460, u32::from),
            server_keep_alive: properties.server_keep_alive,
            session_expiry: properties.session_expiry_interval,
        }
    }
}

/// The facts of a CONNACK.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) session_present: bool,
    pub(crate) properties: PropertyValues,
}

impl Target {
    /// Connects once and learns what the broker offers. `run` is a word of at most six letters and
    /// digits that no other run uses.
    ///
    /// # Errors
    ///
    /// Why there is nobody to be tested, as a text.
    pub fn reach(address: &str, profile: Profile, run: &str) -> Result<Self, String> {
        let address = address.strip_prefix("mqtt://").unwrap_or(address).trim_end_matches('/');
        let with_port =
            if address.contains(':') { address.to_owned() } else { format!("{address}:1883") };
        let resolved = with_port
            .to_socket_addrs()
            .map_err(|error| format!("{with_port}: {error}"))?
            .next()
            .ok_or_else(|| format!("{with_port}: the name has no address"))?;
        let nothing = Offer::of(&PropertyValues::default());
        let mut target = Self { address: resolved, profile, offer: nothing, run: run.to_owned() };
        let journal = Journal::new();
        let id = format!("mc{run}probe");
        let probed = target.connect(&journal, connect(&id).expiry(u32::MAX));
        let (connection, accepted) = probed.map_err(|finding| {
            format!("{with_port}: {finding:?}\n{}", journal.take().transcript.join("\n"))
        })?;
        target.offer = Offer::of(&accepted.properties);
        connection.cut();
        // Nothing of the probe stays.
        let gone = target.connect(&journal, connect(&id)).and_then(|(last, _)| last.disconnect());
        gone.map_err(|finding| format!("{with_port}: {finding:?}"))?;
        Ok(target)
    }

    /// The same broker at another address: behind a proxy.
    #[must_use]
    pub fn behind(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// The same broker for another run, whose names are its own.
    #[must_use]
    pub fn renamed(&self, run: &str) -> Self {
        Self { run: run.to_owned(), ..self.clone() }
    }

    /// The same broker, for tests that wait no longer than this for an answer.
    #[must_use]
    pub fn impatient(&self, patience: Duration) -> Self {
        let mut target = self.clone();
        target.profile.patience = u64::try_from(patience.as_millis()).ok();
        target
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How long an answer may take.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.profile.patience.unwrap_or(5000))
    }

    /// A connection on which nothing was said.
    pub(crate) fn open(&self, journal: &Journal, name: &str) -> Outcome<Connection> {
        let stream = TcpStream::connect_timeout(&self.address, self.patience())
            .map_err(|error| io_fault(&error))?;
        Connection::new(stream, name, journal.clone(), self.patience())
    }

    /// A connection whose CONNECT was accepted.
    pub(crate) fn connect(
        &self,
        journal: &Journal,
        script: ConnectScript,
    ) -> Outcome<(Connection, Accepted)> {
        let mut connection = self.open(journal, &short(script.client_id()))?;
        connection.send(self.completed(script))?;
        let (reason, accepted) = connection.wait("CONNACK", |packet| match packet {
            Packet::ConnAck(connack) => {
                let properties = PropertyValues::from(connack.properties);
                let session_present = connack.session_present;
                Some((u8::from(connack.reason), Accepted { session_present, properties }))
            }
            _ => None,
        })?;
        if reason >= 0x80 {
            return fail(format!("a CONNECT was refused with 0x{reason:02X}"));
        }
        Ok((connection, accepted))
    }

    /// A CONNECT with what every one of the suite has: the credentials of the profile, and a Keep
    /// Alive, because there are brokers that take no client without.
    pub(crate) fn completed(&self, script: ConnectScript) -> ConnectScript {
        let mut script = script.or_keep_alive(KEEP_ALIVE);
        if let Some(name) = &self.profile.user_name {
            script = script.user_name(name);
        }
        if let Some(password) = &self.profile.password {
            script = script.password(password.as_bytes());
        }
        script
    }
}

/// What the transcript calls a client: its identifier without what all have in common.
fn short(client_id: &str) -> String {
    let short: String = client_id.chars().skip(11).collect();
    if short.is_empty() { "client".to_owned() } else { short }
}
