//! Sockets that listen: binding them, and accepting in batches without ever spinning.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use mqtt_session::Time;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::config::{self, Config};
use crate::error::BindError;
use crate::listen::{Address, Listen};
use crate::transport::Route;

/// Connections that the kernel completes and keeps for us until they are accepted.
pub(super) const BACKLOG: i32 = 1024;
/// Silence after which the kernel asks whether a peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(300);
/// Connections that are accepted in one turn, so that a storm of them does not keep the others
/// waiting.
const BATCH: usize = 128;
/// How long accepting rests when the system has no descriptor or memory for another connection.
const REST: Duration = Duration::from_millis(100);
/// How long the log is spared the next message about it.
const QUIET: Duration = Duration::from_secs(60);

/// Everything a server listens on.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    all: Vec<Listener>,
    /// Accepting rests until then.
    resting: Option<Time>,
    /// Rests so far.
    rests: u64,
    /// Until then, rests are not logged.
    quiet: Option<Time>,
}

#[derive(Debug)]
struct Listener {
    socket: Listening,
    address: Address,
    /// The number of the configured listener.
    configured: usize,
    /// What happens to its connections.
    route: Arc<Route>,
    /// Connections may be waiting.
    waiting: bool,
}

/// A socket that listens.
#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(super::unix::Listener),
}

impl Listening {
    /// The next connection, and where it comes from, if its transport has addresses.
    fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => listener.accept().map(|(stream, peer)| (stream, Some(peer))),
            #[cfg(unix)]
            Self::Unix(listener) => listener.accept().map(|stream| (stream, None)),
        }
    }

    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            #[cfg(unix)]
            Self::Unix(listener) => listener.register(registry, token),
        }
    }
}

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    /// Where it comes from, if its transport has addresses.
    pub(super) peer: Option<SocketAddr>,
    pub(super) route: Arc<Route>,
    /// Which listener it came by, counted from 0 in the order of the addresses.
    pub(super) listener: u16,
}

impl Listeners {
    /// Binds every listener of `config` and resolves names, which may take time. The listener
    /// that stands first shows its events with `last_token`, the next with the token before it.
    pub(super) fn bind(
        config: &Config,
        registry: &Registry,
        last_token: usize,
    ) -> Result<Self, BindError> {
        let mut listeners = Self::default();
        for (configured, listen) in config.listeners.iter().enumerate() {
            let route = Arc::new(Route::new(listen, config)?);
            for mut listener in bind_one(listen, &route, config.is_guarded())? {
                listener.configured = configured;
                let token = Token(last_token - listeners.all.len());
                listener.socket.register(registry, token).map_err(BindError::Start)?;
                listeners.all.push(listener);
            }
        }
        Ok(listeners)
    }

    /// The addresses that are listened on.
    pub(super) fn addresses(&self) -> Vec<Address> {
        self.all.iter().map(|listener| listener.address.clone()).collect()
    }

    /// Notes that the listener with this `index` has connections waiting.
    pub(super) fn handle_event(&mut self, index: usize) {
        if let Some(listener) = self.all.get_mut(index) {
            listener.waiting = true;
        }
    }

    /// Passes waiting connections to `take`, at most a batch of them.
    pub(super) fn accept(&mut self, now: Time, mut take: impl FnMut(Accepted)) {
        if self.resting.is_some_and(|until| now < until) {
            return;
        }
        self.resting = None;
        let mut left = BATCH;
        for (index, listener) in self.all.iter_mut().enumerate() {
            while listener.waiting && left > 0 {
                left -= 1;
                match listener.socket.accept() {
                    Ok((stream, peer)) => {
                        let number = u16::try_from(index).unwrap_or(u16::MAX);
                        take(Accepted {
                            stream,
                            peer,
                            route: Arc::clone(&listener.route),
                            listener: number,
                        });
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        listener.waiting = false;
                    }
                    // The peer gave up while it waited, or a signal came: the next may be fine.
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        self.rests += 1;
                        self.resting = Some(now + REST);
                        if self.quiet.is_none_or(|until| until <= now) {
                            self.quiet = Some(now + QUIET);
                            tracing::warn!(
                                %error,
                                listener = %listener.address,
                                rests = self.rests,
                                "cannot accept connections; trying again every {REST:?}"
                            );
                        }
                        return;
                    }
                }
            }
        }
    }

    /// What happens to new connections from here on, for each configured listener.
    #[cfg(feature = "files")]
    pub(super) fn replace_routes(&mut self, routes: &[Arc<Route>]) {
        for listener in &mut self.all {
            if let Some(route) = routes.get(listener.configured) {
                listener.route = Arc::clone(route);
            }
        }
    }

    /// Whether some connections are not the loop's own from the beginning.
    pub(super) fn need_tasks(&self) -> bool {
        self.all.iter().any(|listener| !listener.route.is_direct())
    }

    /// Whether connections may be waiting that could be accepted at once.
    pub(super) fn has_more(&self) -> bool {
        self.resting.is_none() && self.all.iter().any(|listener| listener.waiting)
    }

    /// When a rest ends.
    pub(super) const fn next_deadline(&self) -> Option<Time> {
        self.resting
    }

    /// Listens no more.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Binds every address that the host of `listen` has.
fn bind_one(
    listener: &config::Listener,
    route: &Arc<Route>,
    is_guarded: bool,
) -> Result<Vec<Listener>, BindError> {
    let failed = |source| BindError::Listen { listen: listener.url.clone(), source };
    let (transport, path) = match &listener.url {
        Listen::Host { transport, path, .. } => (*transport, path),
        #[cfg(unix)]
        Listen::Unix { path } => {
            let socket = super::unix::Listener::bind(path, listener.mode).map_err(failed)?;
            let address = Address::Unix { path: path.clone() };
            let (socket, route) = (Listening::Unix(socket), Arc::clone(route));
            return Ok(vec![Listener { socket, address, configured: 0, route, waiting: false }]);
        }
        #[cfg(not(unix))]
        Listen::Unix { .. } => return Err(failed(io::ErrorKind::Unsupported.into())),
    };
    let addresses = listener.resolve(is_guarded)?;
    let mut bound = Vec::new();
    let mut unavailable = None;
    for address in addresses {
        match bind_address(address) {
            Ok((socket, address)) => bound.push(Listener {
                socket: Listening::Tcp(socket),
                address: Address::Socket { transport, address, path: path.clone() },
                configured: 0,
                route: Arc::clone(route),
                waiting: false,
            }),
            // A name may well have an IPv6 address on a machine without IPv6.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                unavailable = Some(error);
            }
            Err(source) => return Err(failed(source)),
        }
    }
    match unavailable {
        Some(source) if bound.is_empty() => Err(failed(source)),
        _ => Ok(bound),
    }
}

fn bind_address(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    // [MQTT-4.2.0-1]: TCP carries every byte, in order, in both directions.
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // On Unix this lets a broker start again at once; on Windows it would let anyone take the
    // port away.
    if cfg!(unix) {
        socket.set_reuse_address(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Accepted connections inherit it: a client that asked for no Keep Alive and is gone without
    // a word would otherwise hold its place for ever.
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let socket = TcpListener::from_std(socket.into());
    let address = socket.local_addr()?;
    Ok((socket, address))
}
