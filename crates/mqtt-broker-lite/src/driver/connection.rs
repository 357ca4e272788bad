//! What the driver knows of each connection, and the table that finds it.

use mio::net::TcpStream;
use mqtt_session::{ConnectionId, TransmitBuf};

/// A connection of the broker and its socket.
///
/// There may be very many, and most of them idle: whatever only a busy one needs stands
/// elsewhere and is given back.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) stream: TcpStream,
    pub(super) marks: Marks,
    /// What the socket would not take yet.
    pub(super) held: Option<Box<TransmitBuf>>,
}

impl Connection {
    pub(super) const fn new(id: ConnectionId, stream: TcpStream) -> Self {
        Self { id, stream, marks: Marks(0), held: None }
    }
}

/// The yes-or-no facts about a connection, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks(u8);

impl Marks {
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

    pub(super) const fn set(&mut self, mark: u8) {
        self.0 |= mark;
    }

    pub(super) const fn clear(&mut self, mark: u8) {
        self.0 &= !mark;
    }

    pub(super) const fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
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
        let mut marks = Marks(0);
        marks.set(Marks::READABLE);
        marks.set(Marks::QUEUED);
        marks.clear(Marks::READABLE);
        assert!(marks.has(Marks::QUEUED));
        assert!(!marks.has(Marks::READABLE));
    }
}
