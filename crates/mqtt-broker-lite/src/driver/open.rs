//! New connections: from listeners, and from tasks that are through with their handshakes.

use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Interest, Token};
use mqtt_session::{ConnectionId, PeerInfo};

use super::connection::{Connection, Marks};
use super::listeners::Accepted;
use super::{Driver, enqueue};
use crate::transport::{Found, Pipe};

impl Driver {
    /// Takes connections that wait at the listeners.
    pub(super) fn accept(&mut self) {
        let mut accepted = Vec::new();
        self.listeners.accept(self.now, |connection| accepted.push(connection));
        for Accepted { stream, peer, route, listener } in accepted {
            match peer {
                Some(peer) if !route.is_direct() => {
                    let started = self.transports.start(stream.into(), peer, listener, &route);
                    if let Err(refused) = started {
                        self.handshakes_refused += 1;
                        tracing::debug!(%peer, %refused, "connection refused");
                    }
                }
                address => {
                    self.open_socket(stream, PeerInfo { address, listener, identity: None });
                }
            }
        }
    }

    /// The broker's name for a connection, if it takes it.
    fn admit(&mut self, peer: PeerInfo) -> Option<ConnectionId> {
        let address = peer.address;
        match self.broker.open(self.now, peer) {
            Ok(id) => {
                tracing::debug!(
                    connection = id.slot(),
                    peer = shown(address),
                    "connection accepted"
                );
                Some(id)
            }
            Err(refused) => {
                tracing::debug!(peer = shown(address), %refused, "connection refused");
                None
            }
        }
    }

    /// Serves a socket.
    pub(super) fn open_socket(&mut self, mut stream: TcpStream, peer: PeerInfo) {
        let is_tcp = peer.address.is_some();
        let Some(id) = self.admit(peer) else { return };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let nodelay = if is_tcp { stream.set_nodelay(true) } else { Ok(()) };
        let registry = self.poll.registry();
        match nodelay.and_then(|()| registry.register(&mut stream, Token(id.slot()), interest)) {
            Ok(()) => self.connections.insert(Connection::new(id, Some(stream))),
            Err(error) => {
                tracing::debug!(connection = id.slot(), %error, "connection lost at once");
                self.broker.handle_eof(id, self.now);
            }
        }
    }

    /// Serves a pipe.
    pub(super) fn open_pipe(&mut self, pipe: Arc<Pipe>, peer: PeerInfo) {
        let Some(id) = self.admit(peer) else {
            pipe.finish(None, self.linger_timeout);
            return;
        };
        self.connections.insert(Connection::new(id, None));
        let found = pipe.attach(id);
        self.pipes.insert(id, pipe);
        self.found(id, found);
    }

    /// The pipe of a connection has something, or takes something.
    pub(super) fn look(&mut self, id: ConnectionId) {
        if self.connections.find(id).is_some()
            && let Some(pipe) = self.pipes.find(id)
        {
            let found = pipe.look();
            self.found(id, found);
        }
    }

    fn found(&mut self, id: ConnectionId, found: Found) {
        let Some(connection) = self.connections.find(id) else { return };
        if found.is_readable {
            connection.marks.set(Marks::READABLE);
            if found.is_ended {
                connection.marks.set(Marks::READ_CLOSED);
            }
            enqueue(connection, &mut self.readable);
        }
        if found.is_writable && connection.held.is_some() {
            self.write_held(id);
        }
    }
}

fn shown(address: Option<std::net::SocketAddr>) -> Option<impl tracing::Value> {
    address.map(tracing::field::display)
}
