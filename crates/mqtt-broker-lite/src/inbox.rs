//! How handles talk to the broker's thread.

use std::io;
use std::mem;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::{Registry, Token, Waker};
use mqtt_session::{ConnectionId, PeerInfo};
use tokio::io::DuplexStream;
use tokio::sync::oneshot;

use crate::access::Answer;
#[cfg(feature = "files")]
use crate::reload::Reload;
use crate::status::Status;
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
    /// Somebody wants to know how the broker is.
    Status(oneshot::Sender<Status>),
    /// The embedding program connects, without a socket.
    Connect(DuplexStream),
    /// Another configuration holds from here on.
    #[cfg(feature = "files")]
    Reload(Box<Reload>, oneshot::Sender<()>),
    /// A task has ended.
    TaskOver(Handshake),
    /// What clients may do has changed, for one client identifier or for all.
    RightsChanged(Option<Box<str>>),
}

/// Commands on their way to the broker's thread, and the means to wake it.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// `None` once nobody takes them any more.
    commands: Mutex<Option<Vec<Command>>>,
    waker: Waker,
}

impl Inbox {
    /// An inbox whose arrivals show as events with `token`.
    ///
    /// # Errors
    ///
    /// When the operating system has no descriptor left for the waker.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self { commands: Mutex::new(Some(Vec::new())), waker: Waker::new(registry, token)? })
    }

    /// Hands `command` over and wakes the thread, unless an earlier command already has. Once the
    /// thread has ended, the command is dropped, and whoever waits for its answer hears of it.
    pub(crate) fn send(&self, command: Command) {
        let first = {
            let mut commands = self.commands();
            let Some(commands) = &mut *commands else { return };
            commands.push(command);
            commands.len() == 1
        };
        if first && let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake the broker's thread");
        }
    }

    /// Takes everything that has arrived.
    pub(crate) fn take(&self) -> Vec<Command> {
        self.commands().as_mut().map(mem::take).unwrap_or_default()
    }

    /// Takes nothing any more.
    pub(crate) fn close(&self) {
        // Dropped without the lock: a command may hold what sends another one when it is dropped.
        let rest = self.commands().take();
        drop(rest);
    }

    fn commands(&self) -> MutexGuard<'_, Option<Vec<Command>>> {
        // A list of commands is whole after every statement, so a panic elsewhere while the
        // lock was held does not matter.
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
