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
use crate::listen::{DEFAULT_PORT, Listen, ListenError, Network};
use crate::transport::Route;

/// A place to listen on, and how. Made from a [`Listen`], or parsed from its URL.
///
/// ```
/// use mqtt_broker_lite::{Config, Listener};
///
/// let mut listener: Listener = "mqtts://0.0.0.0:8883".parse()?;
/// listener.certificate = Some("broker.pem".into());
/// listener.key = Some("broker.key".into());
/// let mut config = Config::default();
/// config.listeners.push(listener);
/// # Ok::<(), mqtt_broker_lite::ListenError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Listener {
    /// Where.
    pub url: Listen,
    /// For TLS: the file with the broker's certificate, followed by those that lead to its root,
    /// in PEM.
    pub certificate: Option<PathBuf>,
    /// For TLS: the file with the certificate's private key, in PEM.
    pub key: Option<PathBuf>,
    /// For TLS: the file with the roots, in PEM, that certificates of clients lead to. With it,
    /// clients have to show one.
    pub client_ca: Option<PathBuf>,
    /// For TLS: the file with lists of certificates of clients that were revoked, in PEM.
    pub client_crl: Option<PathBuf>,
    /// Whether clients without a certificate are let through the handshake although there is a
    /// `client_ca`. Default: no.
    pub client_certificate_optional: bool,
    /// Whether the common name in a client's certificate says who the client is. It takes the
    /// place of user name and password then. Certificates without a common name, or with one that
    /// has wildcards or control characters in it, are refused. Default: no.
    pub identity_from_certificate: bool,
    /// For TLS: a configuration made elsewhere. It takes the place of all files.
    #[cfg(feature = "tls")]
    pub tls_config: Option<Arc<rustls::ServerConfig>>,
    /// Addresses of balancers. If there are any, every connection has to come from one of them
    /// and to begin with a header of the PROXY protocol, version 1 or 2, which says who the
    /// client is. Default: none.
    pub proxy_protocol: Vec<Network>,
    /// For WebSocket: the origins of pages whose scripts may connect. Default: none, and requests
    /// of any origin are taken.
    pub origins: Vec<String>,
    /// For Unix sockets: the mode of the socket in the file system. Default: `0o660`.
    pub mode: u32,
}

impl From<Listen> for Listener {
    fn from(url: Listen) -> Self {
        Self {
            url,
            certificate: None,
            key: None,
            client_ca: None,
            client_crl: None,
            client_certificate_optional: false,
            identity_from_certificate: false,
            #[cfg(feature = "tls")]
            tls_config: None,
            proxy_protocol: Vec::new(),
            origins: Vec::new(),
            mode: 0o660,
        }
    }
}

impl FromStr for Listener {
    type Err = ListenError;

    fn from_str(url: &str) -> Result<Self, ListenError> {
        url.parse().map(|url: Listen| url.into())
    }
}

impl Listener {
    /// The addresses that the host has, each of which this listener may have; none for a Unix
    /// socket. `is_guarded` says that strangers are kept out, or are wanted. Names are resolved,
    /// which may take time.
    pub(crate) fn resolve(&self, is_guarded: bool) -> Result<Vec<SocketAddr>, BindError> {
        let Listen::Host { host, port, .. } = &self.url else { return Ok(Vec::new()) };
        let mut addresses: Vec<SocketAddr> = (host.as_str(), *port)
            .to_socket_addrs()
            .map_err(|source| BindError::Resolve { listen: self.url.clone(), source })?
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        let refused = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback());
        match refused {
            Some(&address) if !is_guarded && !self.demands_certificates() => {
                Err(BindError::AnonymousBeyondLoopback { listen: self.url.clone(), address })
            }
            _ => Ok(addresses),
        }
    }

    /// Whether nobody comes in without a certificate.
    fn demands_certificates(&self) -> bool {
        self.url.is_tls() && self.client_ca.is_some() && !self.client_certificate_optional
    }

    /// Checks that the settings belong to the kind of listener and to each other.
    fn check(&self) -> Result<(), BindError> {
        let has_ready_config = self.has_ready_config();
        let has_tls = has_ready_config || self.certificate.is_some() || self.key.is_some();
        let has_clients = has_ready_config || self.client_ca.is_some();
        let needs_clients = self.client_crl.is_some()
            || self.client_certificate_optional
            || self.identity_from_certificate;
        let rules = [
            (
                !self.url.is_tls()
                    || has_ready_config
                    || (self.certificate.is_some() && self.key.is_some()),
                "it needs a certificate and a key",
            ),
            (
                self.url.is_tls() || !(has_tls || has_clients || needs_clients),
                "only mqtts and wss have certificates",
            ),
            (!needs_clients || has_clients, "without client_ca no client shows a certificate"),
            (
                self.proxy_protocol.is_empty() || !matches!(self.url, Listen::Unix { .. }),
                "no balancer speaks to a Unix socket",
            ),
            (self.origins.is_empty() || self.url.is_websocket(), "only ws and wss have origins"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            None => Ok(()),
            Some((_, reason)) => {
                Err(BindError::Listener { listen: self.url.clone(), reason: reason.to_owned() })
            }
        }
    }

    #[cfg(feature = "tls")]
    const fn has_ready_config(&self) -> bool {
        self.tls_config.is_some()
    }

    #[cfg(not(feature = "tls"))]
    const fn has_ready_config(&self) -> bool {
        false
    }
}

impl Default for Listener {
    /// `mqtt://127.0.0.1:1883`.
    fn default() -> Self {
        Listen::from(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT))).into()
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
    /// Threads of the runtime on which TLS, WebSocket and the PROXY protocol are spoken. It is
    /// made only if a listener needs it. Default: 2.
    pub transport_threads: NonZeroU16,
    /// Connections whose handshakes of TLS, WebSocket and the PROXY protocol are under way. One
    /// more is closed at once. Default: 1,024.
    pub handshakes: NonZeroU16,
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
    /// How often the broker publishes what has changed in its `$SYS/broker/` topics. Zero
    /// publishes nothing. Default: zero. Whoever may read them learns much about the broker, and
    /// they count as retained messages.
    pub sys_interval: Duration,
    /// Where HTTP requests are answered: `/metrics` in the text form of Prometheus, and `/healthz`
    /// while the broker lives. Whoever reaches it may read them. Default: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Whether a server without listeners is wanted.
    is_in_memory: bool,
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

    /// Listens nowhere and opens no socket at all: clients come by
    /// [`Server::connect`](crate::Server::connect).
    pub fn in_memory() -> Self {
        let mut config = Self::free_port();
        config.listeners.clear();
        config.is_in_memory = true;
        config
    }

    /// Whether clients are asked who they are.
    pub(crate) fn authenticates(&self) -> bool {
        #[cfg(feature = "files")]
        if self.password_file.is_some() {
            return true;
        }
        !self.authenticators.is_empty()
            || self.listeners.iter().any(|listener| listener.identity_from_certificate)
    }

    /// Whether strangers are kept out, or are wanted.
    pub(crate) fn is_guarded(&self) -> bool {
        self.allow_anonymous || self.authenticates()
    }

    /// Whether somebody says what clients may do.
    pub(crate) fn authorizes(&self) -> bool {
        self.acl_file.is_some() || !self.authorizers.is_empty()
    }

    /// Checks what can be checked without listening: the same errors that
    /// [`Server::bind`](crate::Server::bind) would give for them.
    ///
    /// # Errors
    ///
    /// [`BindError`] names the first thing that is wrong.
    pub fn check(&self) -> Result<(), BindError> {
        self.check_settings()?;
        Chain::load(self)?;
        for listener in &self.listeners {
            Route::new(listener, self)?;
        }
        Ok(())
    }

    /// Checks everything but the files.
    pub(crate) fn check_settings(&self) -> Result<(), BindError> {
        if self.listeners.is_empty() && !self.is_in_memory {
            return Err(BindError::NoListener);
        }
        let Decisions { connect, publish, subscribe, read, .. } = self.broker.decisions;
        let answered = (!connect || self.authenticates())
            && (!(publish || subscribe || read) || self.authorizes());
        if !answered {
            return Err(BindError::Decisions);
        }
        for listener in &self.listeners {
            listener.check()?;
            listener.resolve(self.is_guarded())?;
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
            transport_threads: TWO,
            handshakes: MOST_HANDSHAKES,
            hook_threads: TWO,
            authenticators: Vec::new(),
            authorizers: Vec::new(),
            broker: BrokerConfig::default(),
            sys_interval: Duration::ZERO,
            metrics: None,
            is_in_memory: false,
            shutdown_timeout: Duration::from_secs(5),
            linger_timeout: Duration::from_secs(1),
        }
    }
}

/// Both of the small numbers of threads.
const TWO: NonZeroU16 = NonZeroU16::MIN.saturating_add(1);
const MOST_HANDSHAKES: NonZeroU16 = NonZeroU16::MIN.saturating_add(1023);
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
            .field("transport_threads", &self.transport_threads)
            .field("handshakes", &self.handshakes)
            .field("hook_threads", &self.hook_threads)
            .field("authenticators", &self.authenticators.len())
            .field("authorizers", &self.authorizers.len())
            .field("broker", &self.broker)
            .field("sys_interval", &self.sys_interval)
            .field("metrics", &self.metrics)
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
