//! Plain bytes between the broker's loop and the task of a connection that is not a bare socket.
//!
//! The loop reads and writes a pipe as it does a socket that never blocks; the task waits for it.
//! Each side is woken only if it has something to do that it has not been told of.

use std::io::{self, IoSlice, Read, Write};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use mqtt_session::{ConnectionId, TransmitBuf};
use tokio::sync::Notify;

use crate::inbox::{Command, Inbox};

/// Bytes that wait in one direction before the other side has to stop.
const ROOM: usize = 64 * 1024;

/// Both directions of one connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    state: Mutex<State>,
    /// The task has something to write, or has to end.
    to_write: Notify,
    /// The task may read on.
    has_room: Notify,
    /// The loop is through with the connection.
    is_finished: Notify,
    inbox: Arc<Inbox>,
}

#[derive(Debug, Default)]
struct State {
    /// The loop's name for it, once the broker has taken the connection.
    id: Option<ConnectionId>,
    /// From the peer.
    incoming: BytesMut,
    /// The peer sends no more.
    is_ended: bool,
    /// To the peer.
    outgoing: BytesMut,
    /// The peer cannot be written to any more.
    is_broken: bool,
    /// The loop has something that did not fit.
    is_blocked: bool,
    /// The loop was told that it has something to do here, and has not looked yet.
    is_told: bool,
    /// A CONNECT of the peer was accepted.
    is_accepted: bool,
    /// The loop is through: what waits is still written, for this long.
    linger: Option<Duration>,
}

/// What the loop finds when it looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) is_readable: bool,
    pub(crate) is_ended: bool,
    pub(crate) is_writable: bool,
}

impl Pipe {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self {
            state: Mutex::default(),
            to_write: Notify::new(),
            has_room: Notify::new(),
            is_finished: Notify::new(),
            inbox,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop's side.
impl Pipe {
    /// The broker has taken the connection.
    pub(crate) fn attach(&self, id: ConnectionId) -> Found {
        self.state().id = Some(id);
        self.look()
    }

    /// What there is to do, after the loop was told.
    pub(crate) fn look(&self) -> Found {
        let mut state = self.state();
        state.is_told = false;
        Found {
            is_readable: !state.incoming.is_empty() || state.is_ended,
            is_ended: state.is_ended,
            is_writable: state.outgoing.len() < ROOM || state.is_broken,
        }
    }

    /// The CONNECT was accepted.
    pub(crate) fn accept(&self) {
        self.state().is_accepted = true;
    }

    /// Nothing more comes from the loop but `rest`; the task has `linger` to bring it to the peer.
    pub(crate) fn finish(&self, rest: Option<Box<TransmitBuf>>, linger: Duration) {
        let mut state = self.state();
        if let Some(mut rest) = rest {
            while rest.has_remaining() {
                let chunk = rest.chunk();
                state.outgoing.extend_from_slice(chunk);
                let length = chunk.len();
                rest.advance(length);
            }
        }
        state.linger = Some(linger);
        state.incoming = BytesMut::new();
        drop(state);
        self.to_write.notify_one();
        self.has_room.notify_one();
        self.is_finished.notify_waiters();
    }
}

impl Read for &Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        if state.incoming.is_empty() {
            return if state.is_ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let was_full = state.incoming.len() >= ROOM;
        let count = state.incoming.len().min(buffer.len());
        if let Some(buffer) = buffer.get_mut(..count) {
            state.incoming.copy_to_slice(buffer);
        }
        if state.incoming.is_empty() {
            // An idle connection keeps no buffer.
            state.incoming = BytesMut::new();
        }
        let has_room = was_full && state.incoming.len() < ROOM;
        drop(state);
        if has_room {
            self.has_room.notify_one();
        }
        Ok(count)
    }
}

impl Write for &Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state();
        if state.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let offered: usize = pieces.iter().map(|piece| piece.len()).sum();
        let count = offered.min(ROOM.saturating_sub(state.outgoing.len()));
        state.is_blocked = count < offered;
        if count == 0 {
            return if offered == 0 { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let was_empty = state.outgoing.is_empty();
        let mut left = count;
        for piece in pieces {
            let part = piece.get(..left.min(piece.len())).unwrap_or_default();
            state.outgoing.extend_from_slice(part);
            left -= part.len();
        }
        drop(state);
        if was_empty {
            self.to_write.notify_one();
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The task's side.
impl Pipe {
    fn tell(&self, mut state: MutexGuard<'_, State>) {
        if let Some(id) = state.id
            && !state.is_told
        {
            state.is_told = true;
            drop(state);
            self.inbox.send(Command::Look(id));
        }
    }

    /// Hands over what the peer has sent. It may be more than there was room for.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut state = self.state();
        if state.linger.is_none() && !bytes.is_empty() {
            state.incoming.extend_from_slice(bytes);
            self.tell(state);
        }
    }

    /// The peer sends no more.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.is_ended = true;
        self.tell(state);
    }

    /// The peer cannot be written to any more.
    pub(super) fn fail(&self) {
        let mut state = self.state();
        state.is_broken = true;
        self.tell(state);
    }

    /// Waits until the loop has taken enough of what was pushed.
    pub(super) async fn room(&self) {
        while {
            let state = self.state();
            state.linger.is_none() && state.incoming.len() >= ROOM
        } {
            self.has_room.notified().await;
        }
    }

    /// Waits for something to write; `None` once that was all.
    pub(super) async fn take(&self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.state();
                if !state.outgoing.is_empty() {
                    let bytes = std::mem::take(&mut state.outgoing).freeze();
                    if state.is_blocked {
                        state.is_blocked = false;
                        self.tell(state);
                    }
                    return Some(bytes);
                }
                if state.linger.is_some() {
                    return None;
                }
            }
            self.to_write.notified().await;
        }
    }

    /// Waits until the loop is through; how long the rest may take.
    pub(super) async fn finished(&self) -> Duration {
        loop {
            // Both halves of a task may wait here, so all are told; and those that are told
            // nothing any more have to be listening before they look.
            let mut told = pin!(self.is_finished.notified());
            told.as_mut().enable();
            if let Some(linger) = self.state().linger {
                return linger;
            }
            told.await;
        }
    }

    /// Whether a CONNECT of the peer was accepted.
    #[cfg(feature = "websocket")]
    pub(super) fn is_accepted(&self) -> bool {
        self.state().is_accepted
    }
}
