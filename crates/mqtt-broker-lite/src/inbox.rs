//! How handles talk to the broker's thread.

use std::io;
use std::mem;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use mio::{Registry, Token, Waker};
use mqtt_session::{ConnectionId, PeerInfo};

use crate::access::Answer;
use crate::transport::{Handshake, Pipe};

/// What a handle asks of the broker's thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Say goodbye to every client, then end.
    Stop,
    /// A decision was taken.
    Answer(Answer),
    /// A socket is ready for the loop: its header was read. What counted its handshake follows.
    OpenSocket(std::net::TcpStream, PeerInfo, Option<IpAddr>),
    /// A connection is ready for the loop, through a pipe. What counted its handshake follows.
    OpenPipe(Arc<Pipe>, PeerInfo, Option<IpAddr>),
    /// The pipe of this connection has something, or takes something.
    Look(ConnectionId),
    /// A task has ended.
    TaskOver(Handshake),
    /// What clients may do has changed, for one client identifier or for all.
    RightsChanged(Option<Box<str>>),
}

/// Commands on their way to the broker's thread, and the means to wake it.
#[derive(Debug)]
pub(crate) struct Inbox {
    commands: Mutex<Vec<Command>>,
    waker: Waker,
}

impl Inbox {
    /// An inbox whose arrivals show as events with `token`.
    ///
    /// # Errors
    ///
    /// When the operating system has no descriptor left for the waker.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self { commands: Mutex::new(Vec::new()), waker: Waker::new(registry, token)? })
    }

    /// Hands `command` over and wakes the thread, unless an earlier command already has.
    pub(crate) fn send(&self, command: Command) {
        let first = {
            // A list of commands is whole after every statement, so a panic elsewhere while the
            // lock was held does not matter.
            let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
            commands.push(command);
            commands.len() == 1
        };
        if first && let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake the broker's thread");
        }
    }

    /// Takes everything that has arrived.
    pub(crate) fn take(&self) -> Vec<Command> {
        mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
