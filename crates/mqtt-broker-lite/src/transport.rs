//! Connections that are not bare sockets, or not yet: TLS, WebSocket and the PROXY protocol. Each
//! is a task on a small runtime of the server's own, which hands the plain bytes, or the socket
//! itself once its header is read, to the broker's loop.

mod pipe;
mod proxy;
mod relay;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(feature = "websocket")]
pub(crate) mod websocket;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use mqtt_session::PeerInfo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) use pipe::{Found, Pipe};

use crate::config::{Config, Listener};
use crate::error::BindError;
use crate::http;
use crate::inbox::{Command, Inbox};
use crate::listen::Network;
use relay::{Framing, relay};

/// The number of the listener that the embedding program comes by.
const LOCAL: u16 = u16::MAX;

/// What happens to connections of a listener before the loop has their bytes.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Whose PROXY headers are believed, if connections begin with one.
    proxies: Option<Arc<[Network]>>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether the client's certificate says who the client is.
    #[cfg(feature = "tls")]
    takes_identity: bool,
    #[cfg(feature = "websocket")]
    websocket: Option<Arc<websocket::Upgrade>>,
}

impl Route {
    /// Reads the files that `listener` names.
    ///
    /// # Errors
    ///
    /// When a file is not what it should be, or this build lacks what the listener needs.
    pub(crate) fn new(listener: &Listener, config: &Config) -> Result<Self, BindError> {
        let url = &listener.url;
        let lacks = |feature| BindError::Feature { listen: url.clone(), feature };
        if url.is_tls() && cfg!(not(feature = "tls")) {
            return Err(lacks("tls"));
        }
        if url.is_websocket() && cfg!(not(feature = "websocket")) {
            return Err(lacks("websocket"));
        }
        let _ = config;
        Ok(Self {
            proxies: (!listener.proxy_protocol.is_empty())
                .then(|| listener.proxy_protocol.as_slice().into()),
            #[cfg(feature = "tls")]
            tls: if url.is_tls() { Some(tls::server_config(listener)?) } else { None },
            #[cfg(feature = "tls")]
            takes_identity: listener.identity_from_certificate,
            #[cfg(feature = "websocket")]
            websocket: url.is_websocket().then(|| {
                let bytes = |size: u32| usize::try_from(size).unwrap_or(usize::MAX);
                Arc::new(websocket::Upgrade {
                    path: url.path().to_owned(),
                    origins: listener.origins.clone(),
                    first_packets: bytes(config.broker.limits.connect_packet_size),
                    packets: bytes(config.broker.limits.packet_size),
                })
            }),
        })
    }

    /// Whether the loop gets sockets as they were accepted.
    pub(crate) fn is_direct(&self) -> bool {
        !self.is_framed() && self.proxies.is_none()
    }

    /// Whether connections stay with their tasks.
    fn is_framed(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return true;
        }
        #[cfg(feature = "websocket")]
        if self.websocket.is_some() {
            return true;
        }
        false
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.proxies.as_ref().is_some_and(|all| all.iter().any(|net| net.contains(address)))
    }
}

/// The tasks, as the loop sees them.
#[derive(Debug)]
pub(crate) struct Transports {
    /// `None` as long as nothing needs it.
    runtime: Option<Runtime>,
    threads: NonZeroU16,
    inbox: Arc<Inbox>,
    /// Tasks that have not ended.
    tasks: usize,
    /// Of these, those that have not come to an end with their handshakes, by address.
    handshakes: BTreeMap<IpAddr, usize>,
    under_way: usize,
    failed: u64,
    most: usize,
    most_of_address: usize,
    patience: Duration,
    /// Told once handshakes are not waited for any more.
    stop: watch::Sender<bool>,
}

/// Why a connection is not served. It is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("as many handshakes are under way as the configuration allows")]
    TooManyHandshakes,
    #[error("as many handshakes of this address are under way as it may have connections")]
    TooManyOfAddress,
    #[error("the address is not trusted to send PROXY headers")]
    NotTrusted,
}

impl Transports {
    /// No runtime yet.
    pub(crate) fn new(config: &Config, inbox: &Arc<Inbox>) -> Self {
        let limits = &config.broker.limits;
        Self {
            runtime: None,
            threads: config.transport_threads,
            inbox: Arc::clone(inbox),
            tasks: 0,
            handshakes: BTreeMap::new(),
            under_way: 0,
            failed: 0,
            most: config.handshakes.get().into(),
            most_of_address: limits.connections_per_address,
            patience: limits.connect_timeout,
            stop: watch::Sender::new(false),
        }
    }

    /// Makes the runtime, unless it is there.
    ///
    /// # Errors
    ///
    /// When the operating system has no thread or descriptor left.
    pub(crate) fn make_runtime(&mut self) -> Result<&Runtime, BindError> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => Builder::new_multi_thread()
                .worker_threads(self.threads.get().into())
                .thread_name("mqtt-transport")
                .enable_all()
                .build()
                .map_err(BindError::Start)?,
        };
        Ok(self.runtime.insert(runtime))
    }

    /// Serves metrics at `address`; returns the address with the port that was found.
    ///
    /// # Errors
    ///
    /// When the operating system does not let us listen there.
    pub(crate) fn serve_metrics(&mut self, address: SocketAddr) -> Result<SocketAddr, BindError> {
        let failed = |source| BindError::Metrics { address, source };
        let listener = http::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let inbox = Arc::clone(&self.inbox);
        self.make_runtime()?.spawn(http::serve(listener, inbox));
        Ok(bound)
    }

    /// Serves the embedding program, which has the other end of `stream`.
    pub(crate) fn start_local(&mut self, stream: DuplexStream) {
        if *self.stop.borrow() {
            return;
        }
        let inbox = Arc::clone(&self.inbox);
        let task = Task {
            inbox: Arc::clone(&self.inbox),
            handshake: Handshake { counted: None, is_over: true },
            stop: self.stop.subscribe(),
        };
        let started = self.make_runtime().map(|runtime| {
            runtime.spawn(async move {
                // Its end is told when it is dropped.
                let _task = task;
                let pipe = Arc::new(Pipe::new(Arc::clone(&inbox)));
                let peer = PeerInfo { address: None, listener: LOCAL, identity: None };
                inbox.send(Command::OpenPipe(Arc::clone(&pipe), peer, None));
                relay(stream, &pipe, Framing::Plain).await;
            });
        });
        match started {
            Ok(()) => {
                self.tasks += 1;
                // It is taken as one that has been through its handshakes.
                self.under_way += 1;
            }
            Err(error) => tracing::error!(%error, "cannot serve the embedding program"),
        }
    }

    /// Handshakes that failed.
    pub(crate) const fn failed(&self) -> u64 {
        self.failed
    }

    /// Starts the task of a connection.
    ///
    /// # Errors
    ///
    /// When the connection is refused; it is closed.
    pub(crate) fn start(
        &mut self,
        stream: std::net::TcpStream,
        peer: SocketAddr,
        listener: u16,
        route: &Route,
    ) -> Result<(), Refused> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let address = peer.ip().to_canonical();
        if route.proxies.is_some() && !route.trusts(address) {
            return Err(Refused::NotTrusted);
        }
        if self.under_way >= self.most {
            return Err(Refused::TooManyHandshakes);
        }
        // A balancer speaks for many clients.
        let counted = (!address.is_loopback() && route.proxies.is_none()).then_some(address);
        if let Some(address) = counted {
            let of_address = self.handshakes.entry(address).or_default();
            if *of_address >= self.most_of_address {
                return Err(Refused::TooManyOfAddress);
            }
            *of_address += 1;
        }
        self.under_way += 1;
        self.tasks += 1;
        let task = Task {
            inbox: Arc::clone(&self.inbox),
            handshake: Handshake { counted, is_over: false },
            stop: self.stop.subscribe(),
        };
        let (route, patience) = (route.clone(), self.patience);
        let peer = PeerInfo { address: Some(peer), listener, identity: None };
        runtime.spawn(task.run(stream, peer, route, patience));
        Ok(())
    }

    /// A handshake has come to an end, one way or the other.
    pub(crate) fn handshake_over(&mut self, counted: Option<IpAddr>) {
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(address) = counted
            && let Some(number) = self.handshakes.get_mut(&address)
        {
            *number -= 1;
            if *number == 0 {
                self.handshakes.remove(&address);
            }
        }
    }

    /// A task has ended.
    pub(crate) fn task_over(&mut self, handshake: Handshake) {
        self.tasks = self.tasks.saturating_sub(1);
        if !handshake.is_over {
            self.failed += 1;
            self.handshake_over(handshake.counted);
        }
    }

    /// Handshakes are given up, and no new ones begin.
    pub(crate) fn stop(&mut self) {
        self.most = 0;
        self.stop.send_replace(true);
    }

    /// Whether every task has ended.
    pub(crate) const fn is_idle(&self) -> bool {
        self.tasks == 0
    }
}

impl Drop for Transports {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// How far a task is with its handshakes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handshake {
    /// The address that it counts for.
    counted: Option<IpAddr>,
    is_over: bool,
}

/// The task of a connection; the loop hears of its end.
struct Task {
    inbox: Arc<Inbox>,
    handshake: Handshake,
    stop: watch::Receiver<bool>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.inbox.send(Command::TaskOver(self.handshake));
    }
}

/// What the handshakes have brought about.
struct Established {
    stream: Box<dyn Stream>,
    framing: Framing,
    peer: PeerInfo,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Task {
    async fn run(
        mut self,
        stream: std::net::TcpStream,
        peer: PeerInfo,
        route: Route,
        patience: Duration,
    ) {
        let address = peer.address;
        let mut stop = self.stop.clone();
        let established = tokio::select! {
            result = timeout(patience, self.establish(stream, peer, &route)) => result,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let established = match established {
            Ok(Ok(Some(established))) => established,
            // The loop has the socket.
            Ok(Ok(None)) => return,
            Ok(Err(error)) => {
                tracing::debug!(peer = ?address, %error, "handshake failed");
                return;
            }
            Err(_) => {
                tracing::debug!(peer = ?address, "handshake took too long");
                return;
            }
        };
        let Established { stream, framing, peer } = established;
        let pipe = Arc::new(Pipe::new(Arc::clone(&self.inbox)));
        self.handshake.is_over = true;
        self.inbox.send(Command::OpenPipe(Arc::clone(&pipe), peer, self.handshake.counted));
        relay(stream, &pipe, framing).await;
    }

    /// Does every handshake that the route wants.
    async fn establish(
        &mut self,
        stream: std::net::TcpStream,
        mut peer: PeerInfo,
        route: &Route,
    ) -> io::Result<Option<Established>> {
        let mut stream = TcpStream::from_std(stream)?;
        stream.set_nodelay(true)?;
        if route.proxies.is_some()
            && let Some(client) = proxy::read_header(&mut stream).await?
        {
            peer.address = Some(client);
        }
        if !route.is_framed() {
            self.handshake.is_over = true;
            let (stream, counted) = (stream.into_std()?, self.handshake.counted);
            self.inbox.send(Command::OpenSocket(stream, peer, counted));
            return Ok(None);
        }
        let stream: Box<dyn Stream> = Box::new(stream);
        #[cfg(feature = "tls")]
        let stream = match &route.tls {
            Some(config) => encrypt(stream, config, route, &mut peer).await?,
            None => stream,
        };
        #[cfg(feature = "websocket")]
        let mut stream = stream;
        let framing = Framing::Plain;
        #[cfg(feature = "websocket")]
        let framing = match &route.websocket {
            Some(upgrade) => {
                let framer = websocket::accept(&mut stream, upgrade).await?;
                Framing::WebSocket(Box::new(framer))
            }
            None => framing,
        };
        Ok(Some(Established { stream, framing, peer }))
    }
}

/// Does the handshake of TLS, and learns from it who the peer is.
#[cfg(feature = "tls")]
async fn encrypt(
    stream: Box<dyn Stream>,
    config: &Arc<rustls::ServerConfig>,
    route: &Route,
    peer: &mut PeerInfo,
) -> io::Result<Box<dyn Stream>> {
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(config));
    let encrypted = acceptor.accept(stream).await?;
    let certificates = encrypted.get_ref().1.peer_certificates();
    if route.takes_identity
        && let Some(certificate) = certificates.and_then(<[_]>::first)
    {
        let identity = tls::identity(certificate).ok_or_else(|| {
            io::Error::other("the certificate's common name cannot be a user's name")
        })?;
        peer.identity = Some(identity.into());
    }
    Ok(Box::new(encrypted))
}
