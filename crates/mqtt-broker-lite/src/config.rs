//! What a server is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mqtt_session::BrokerConfig;

use crate::listen::{DEFAULT_PORT, Listen};

/// What a [`Server`](crate::Server) is started with.
///
/// The default listens on `mqtt://127.0.0.1:1883`, which only programs of the same machine
/// reach. Fields are public: start from [`Config::default`] or [`Config::free_port`] and change
/// what should differ.
///
/// ```
/// use std::time::Duration;
/// use mqtt_broker_lite::Config;
///
/// let mut config = Config::default();
/// config.listeners = vec!["mqtt://127.0.0.1:2883".parse()?];
/// config.shutdown_timeout = Duration::from_secs(2);
/// # Ok::<(), mqtt_broker_lite::ListenError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; at least one. Default: `mqtt://127.0.0.1:1883`.
    pub listeners: Vec<Listen>,
    /// Whether clients that prove no identity may reach listeners beyond the loopback
    /// interface. Default: no, and such a listener is refused at the start.
    pub allow_anonymous: bool,
    /// The protocol's own settings and limits.
    pub broker: BrokerConfig,
    /// How long a shutdown may take: what was not sent to a client by then is lost to it.
    /// Default: 5 seconds.
    pub shutdown_timeout: Duration,
    /// How long a socket stays open after its connection has ended, so that a last packet that
    /// says why reaches the peer. Default: 1 second.
    pub linger_timeout: Duration,
}

impl Config {
    /// Listens on a free port of `127.0.0.1`, as tests want it: ask the running server for
    /// [`local_addr`](crate::Server::local_addr).
    pub fn free_port() -> Self {
        Self::listening(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    fn listening(address: SocketAddr) -> Self {
        Self {
            listeners: vec![Listen::from(address)],
            allow_anonymous: false,
            broker: BrokerConfig::default(),
            shutdown_timeout: Duration::from_secs(5),
            linger_timeout: Duration::from_secs(1),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::listening(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)))
    }
}
