//! What the driver knows of each connection, and the table that finds it.

use std::collections::HashMap;
use std::io::{self, IoSlice, Read, Write};
use std::num::NonZeroU8;
use std::sync::Arc;

use mio::net::TcpStream;
use mqtt_session::{ConnectionId, TransmitBuf};

use crate::transport::Pipe;

/// A connection of the broker and its socket.
///
/// There may be very many, and most of them idle: whatever only a busy one needs stands
/// elsewhere and is given back.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    /// The socket, TCP or Unix: once connected, both are served alike. `None` for a connection
    /// whose pipe stands in [`Pipes`].
    pub(super) socket: Option<TcpStream>,
    pub(super) marks: Marks,
    /// What the socket would not take yet.
    pub(super) held: Option<Box<TransmitBuf>>,
}

impl Connection {
    pub(super) const fn new(id: ConnectionId, socket: Option<TcpStream>) -> Self {
        Self { id, socket, marks: Marks::NONE, held: None }
    }
}

/// The pipes of connections that have no socket, by slot.
#[derive(Debug, Default)]
pub(super) struct Pipes(HashMap<usize, Arc<Pipe>>);

impl Pipes {
    pub(super) fn insert(&mut self, id: ConnectionId, pipe: Arc<Pipe>) {
        self.0.insert(id.slot(), pipe);
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Arc<Pipe>> {
        self.0.remove(&id.slot())
    }

    /// The pipe of `id`, which has to be open.
    pub(super) fn find(&self, id: ConnectionId) -> Option<&Pipe> {
        self.0.get(&id.slot()).map(|pipe| &**pipe)
    }

    /// Where the bytes of `connection` come from and go to.
    pub(super) fn stream<'a>(&'a self, connection: &'a Connection) -> Stream<'a> {
        match &connection.socket {
            Some(socket) => Stream::Socket(socket),
            None => Stream::Pipe(self.find(connection.id)),
        }
    }
}

/// Where bytes come from and go to.
#[derive(Debug)]
pub(super) enum Stream<'a> {
    Socket(&'a TcpStream),
    Pipe(Option<&'a Pipe>),
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.read(buffer),
            Self::Pipe(Some(pipe)) => pipe.read(buffer),
            Self::Pipe(None) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.write(bytes),
            Self::Pipe(Some(pipe)) => pipe.write(bytes),
            Self::Pipe(None) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.write_vectored(pieces),
            Self::Pipe(Some(pipe)) => pipe.write_vectored(pieces),
            Self::Pipe(None) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The yes-or-no facts about a connection, one bit each.
///
/// Never zero: a place without a connection is told by that, so that a place takes no more memory
/// than a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks(NonZeroU8);

impl Marks {
    /// No fact is true.
    const NONE: Self = match NonZeroU8::new(1 << 7) {
        Some(none) => Self(none),
        None => Self(NonZeroU8::MAX),
    };
    /// The socket may have something to read.
    pub(super) const READABLE: u8 = 1;
    /// The connection stands in the queue of those to be read.
    pub(super) const QUEUED: u8 = 1 << 1;
    /// The peer has sent its last byte: a read must go on until it says so.
    pub(super) const READ_CLOSED: u8 = 1 << 2;
    /// The last byte was read, or reading failed; nothing is read any more.
    pub(super) const ENDED: u8 = 1 << 3;
    /// Writing failed; what the broker still says goes nowhere.
    pub(super) const WRITE_FAILED: u8 = 1 << 4;
    /// Something was written to the socket.
    pub(super) const WROTE: u8 = 1 << 5;

    pub(super) fn set(&mut self, mark: u8) {
        self.0 |= mark;
    }

    pub(super) fn clear(&mut self, mark: u8) {
        self.0 = Self::NONE.0 | (self.0.get() & !mark);
    }

    pub(super) const fn has(self, mark: u8) -> bool {
        self.0.get() & mark != 0
    }
}

/// Connections by the slot that the broker gave them.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Option<Connection>>,
    count: usize,
}

impl Connections {
    /// Stores `connection` in its slot. The broker reuses a slot only after it has told that the
    /// connection there is closed, so the slot is free.
    pub(super) fn insert(&mut self, connection: Connection) {
        let slot = connection.id.slot();
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.slots.get_mut(slot)
            && place.replace(connection).is_none()
        {
            self.count += 1;
        }
    }

    /// The connection in `slot`, whichever it is.
    pub(super) fn in_slot(&mut self, slot: usize) -> Option<&mut Connection> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// The connection `id`, unless it is closed.
    pub(super) fn find(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.in_slot(id.slot()).filter(|connection| connection.id == id)
    }

    /// Takes the connection `id` out.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let place = self.slots.get_mut(id.slot())?;
        let removed = place.take_if(|connection| connection.id == id)?;
        self.count -= 1;
        Some(removed)
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_takes_few_bytes() {
        if cfg!(all(unix, not(debug_assertions), target_pointer_width = "64")) {
            assert_eq!(size_of::<Option<Connection>>(), 24);
        }
    }

    #[test]
    fn marks_are_independent_of_each_other() {
        let mut marks = Marks::NONE;
        marks.set(Marks::READABLE);
        marks.set(Marks::QUEUED);
        marks.clear(Marks::READABLE);
        assert!(marks.has(Marks::QUEUED));
        assert!(!marks.has(Marks::READABLE));
    }
}
