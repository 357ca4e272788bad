//! What a server is started with.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use mqtt_session::{BrokerConfig, Decisions};

use crate::access::{Authenticator, Authorizer, Chain, DynAuthenticator, DynAuthorizer};
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
    /// The addresses that the host has, each of which this listener may have. `is_guarded` says that
    /// strangers are kept out, or are wanted. Names are resolved, which may take time.
    pub(crate) fn resolve(&self, is_guarded: bool) -> Result<Vec<SocketAddr>, BindError> {
        let Listen::Tcp { host, port } = &self.url;
        let mut addresses: Vec<SocketAddr> = (host.as_str(), *port)
            .to_socket_addrs()
            .map_err(|source| BindError::Resolve { listen: self.url.clone(), source })?
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        let refused = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback());
        match refused {
            Some(&address) if !is_guarded => {
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
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; at least one. Default: `mqtt://127.0.0.1:1883`.
    pub listeners: Vec<Listener>,
    /// Whether clients that prove no identity may come in. Default: no. Then they may do so only
    /// where nobody asks who they are, with no password file and no [`Authenticator`], and such a
    /// server is refused a listener beyond the loopback interface.
    pub allow_anonymous: bool,
    /// The password file, if clients prove who they are by user name and password: lines as
    /// [`set_password`](crate::set_password) writes them, or mosquitto 2. Default: none.
    #[cfg(feature = "files")]
    pub password_file: Option<PathBuf>,
    /// Passwords that are checked at the same time; each takes a thread, 19 MiB and tens of
    /// milliseconds. Default: 2.
    pub password_threads: NonZeroU16,
    /// Passwords that are checked or wait for it. Over it: CONNACK 0x89 (Server busy).
    /// Default: 256.
    pub password_checks: NonZeroU16,
    /// The access control list, in mosquitto's format: what clients may publish and read. What
    /// no line allows is denied, so that an empty list denies everything. Default: none.
    pub acl_file: Option<PathBuf>,
    /// Threads of the runtime on which hooks run. It is made only if there is something to run.
    /// Default: 2.
    pub hook_threads: NonZeroU16,
    /// Who says who clients are, in order.
    pub(crate) authenticators: Vec<Arc<dyn DynAuthenticator>>,
    /// Who says what clients may do, in order.
    pub(crate) authorizers: Vec<Arc<dyn DynAuthorizer>>,
    /// The protocol's own settings and limits. Its decisions are asked for as files and hooks
    /// need them.
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
        let chain = Chain::load(self)?;
        self.check_with(&chain)
    }

    /// Checks everything but the files, which `chain` was made from.
    pub(crate) fn check_with(&self, chain: &Chain) -> Result<(), BindError> {
        if self.listeners.is_empty() {
            return Err(BindError::NoListener);
        }
        let Decisions { connect, publish, subscribe, read, .. } = self.broker.decisions;
        let answered = (!connect || chain.authenticates())
            && (!(publish || subscribe || read) || chain.authorizes());
        if !answered {
            return Err(BindError::Decisions);
        }
        for listener in &self.listeners {
            listener.resolve(self.allow_anonymous || chain.authenticates())?;
        }
        Ok(())
    }

    /// Asks `authenticator` who clients are, after those that were registered before it.
    pub fn authenticate_with(&mut self, authenticator: impl Authenticator) {
        self.authenticators.push(Arc::new(authenticator));
    }

    /// Asks `authorizer` what clients may do, after those that were registered before it.
    pub fn authorize_with(&mut self, authorizer: impl Authorizer) {
        self.authorizers.push(Arc::new(authorizer));
    }

    fn listening(address: SocketAddr) -> Self {
        Self {
            listeners: vec![Listener::from(Listen::from(address))],
            allow_anonymous: false,
            #[cfg(feature = "files")]
            password_file: None,
            password_threads: TWO,
            password_checks: MOST_CHECKS,
            acl_file: None,
            hook_threads: TWO,
            authenticators: Vec::new(),
            authorizers: Vec::new(),
            broker: BrokerConfig::default(),
            shutdown_timeout: Duration::from_secs(5),
            linger_timeout: Duration::from_secs(1),
        }
    }
}

/// Both of the small numbers of threads.
const TWO: NonZeroU16 = NonZeroU16::MIN.saturating_add(1);
const MOST_CHECKS: NonZeroU16 = NonZeroU16::MIN.saturating_add(255);

impl fmt::Debug for Config {
    /// Tells how many hooks there are, and everything else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Config");
        all.field("listeners", &self.listeners).field("allow_anonymous", &self.allow_anonymous);
        #[cfg(feature = "files")]
        all.field("password_file", &self.password_file);
        all.field("acl_file", &self.acl_file)
            .field("password_threads", &self.password_threads)
            .field("password_checks", &self.password_checks)
            .field("hook_threads", &self.hook_threads)
            .field("authenticators", &self.authenticators.len())
            .field("authorizers", &self.authorizers.len())
            .field("broker", &self.broker)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("linger_timeout", &self.linger_timeout)
            .finish()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::listening(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)))
    }
}
