//! What a server is started with.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use mqtt_session::{BrokerConfig, Decisions};

use crate::error::BindError;
use crate::listen::{DEFAULT_PORT, Listen, ListenError};

/// A place to listen on, and how. Made from a [`Listen`], or parsed from its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listener {
    /// Where.
    pub url: Listen,
}

impl Listener {
    /// The addresses that the host has, each of which this listener may have. Names are
    /// resolved, which may take time.
    pub(crate) fn resolve(&self, allow_anonymous: bool) -> Result<Vec<SocketAddr>, BindError> {
        let Listen::Tcp { host, port } = &self.url;
        let mut addresses: Vec<SocketAddr> = (host.as_str(), *port)
            .to_socket_addrs()
            .map_err(|source| BindError::Resolve { listen: self.url.clone(), source })?
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        let refused = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback());
        match refused {
            Some(&address) if !allow_anonymous => {
                Err(BindError::AnonymousBeyondLoopback { listen: self.url.clone(), address })
            }
            _ => Ok(addresses),
        }
    }
}

impl Default for Listener {
    /// `mqtt://127.0.0.1:1883`.
    fn default() -> Self {
        Listen::from(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT))).into()
    }
}

impl From<Listen> for Listener {
    fn from(url: Listen) -> Self {
        Self { url }
    }
}

impl FromStr for Listener {
    type Err = ListenError;

    fn from_str(url: &str) -> Result<Self, ListenError> {
        url.parse().map(|url: Listen| url.into())
    }
}

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
    pub listeners: Vec<Listener>,
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

    /// Checks what can be checked without listening: the same errors that
    /// [`Server::bind`](crate::Server::bind) would give for them.
    ///
    /// # Errors
    ///
    /// [`BindError`] names the first thing that is wrong.
    pub fn check(&self) -> Result<(), BindError> {
        if self.listeners.is_empty() {
            return Err(BindError::NoListener);
        }
        let Decisions { connect, publish, subscribe, read, .. } = self.broker.decisions;
        if connect || publish || subscribe || read {
            return Err(BindError::Decisions);
        }
        for listener in &self.listeners {
            listener.resolve(self.allow_anonymous)?;
        }
        Ok(())
    }

    fn listening(address: SocketAddr) -> Self {
        Self {
            listeners: vec![Listener::from(Listen::from(address))],
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
