//! What carries the bytes of a connection: a file for each kind.

#[cfg(feature = "rustls")]
pub(crate) mod secure;
mod tcp;
#[cfg(unix)]
mod unix;
#[cfg(feature = "websocket")]
pub(crate) mod websocket;

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use mqtt_session::{DialFault, Target};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::address::{Address, Scheme};
use crate::dial::{self, DialFailure};

/// Everything that can carry the bytes of a connection.
trait Carrier: AsyncRead + AsyncWrite + Send + Sync {}

impl<S: AsyncRead + AsyncWrite + Send + Sync> Carrier for S {}

/// The transport of a connection that the client opens by itself: TCP, TLS, WebSocket or a Unix
/// socket, as the scheme of the address says.
pub struct Transport {
    carrier: Pin<Box<dyn Carrier>>,
    kind: &'static str,
}

impl Transport {
    fn new(kind: &'static str, carrier: impl Carrier + 'static) -> Self {
        Self { carrier: Box::pin(carrier), kind }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transport").field(&self.kind).finish()
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.carrier.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.carrier.as_mut().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.carrier.as_mut().poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.carrier.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.carrier.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.carrier.as_mut().poll_shutdown(cx)
    }
}

/// How the configured server is reached, ready for every attempt.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) address: Address,
    #[cfg(feature = "rustls")]
    pub(crate) tls: Option<tokio_rustls::TlsConnector>,
    #[cfg(feature = "websocket")]
    pub(crate) websocket: websocket::Options,
}

impl Connector {
    /// Opens the transport of one attempt.
    pub(crate) async fn open(self, target: Target) -> Result<Transport, DialFailure> {
        let address = match &target {
            Target::Configured => Ok(self.address.clone()),
            Target::Server(server) => self.address.redirected(server).ok_or(server),
        };
        let address = address.map_err(|server| {
            let text = "a server behind a Unix socket named another one, which is reached by no \
                        Unix socket of this machine";
            Fault::new(DialFault::BadAddress, io::Error::other(text)).at(server.to_string())
        })?;
        let failure = |fault: Fault| fault.at(address.to_string());
        self.carry(&address).await.map_err(failure)
    }

    async fn carry(&self, address: &Address) -> Result<Transport, Fault> {
        #[cfg(unix)]
        if address.scheme == Scheme::Unix {
            return unix::connect(&address.path).await;
        }
        let transport = tcp::connect(address).await?;
        #[cfg(feature = "rustls")]
        let transport = match &self.tls {
            Some(connector) if address.scheme.is_secure() => {
                secure::handshake(connector, transport, &address.host).await?
            }
            _ => transport,
        };
        #[cfg(feature = "websocket")]
        let transport = if address.scheme.is_websocket() {
            websocket::handshake(transport, address, &self.websocket).await?
        } else {
            transport
        };
        Ok(transport)
    }
}

/// Why a transport could not be opened.
#[derive(Debug)]
struct Fault {
    kind: DialFault,
    error: io::Error,
}

impl Fault {
    const fn new(kind: DialFault, error: io::Error) -> Self {
        Self { kind, error }
    }

    fn at(self, address: String) -> DialFailure {
        DialFailure { fault: self.kind, error: self.error, address }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        #[cfg(feature = "rustls")]
        if let Some(kind) = secure::fault_of(&error) {
            return Self::new(kind, error);
        }
        Self::new(dial::fault(&error), error)
    }
}
