//! A network connection between a client and the broker: two pipes of bytes, and what each end has
//! seen of them.

use std::collections::VecDeque;

use mqtt_session::{ConnectionId, Time};

use super::exchanges::Due;
use super::invariants::Fault;
use super::note::{Note, Reader};
use super::setup::WillSetup;

/// Bytes on their way in one direction, and the packets in them.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    bytes: Vec<u8>,
    /// How many bytes have come out.
    read: usize,
    /// How many bytes are read as packets.
    parsed: usize,
    /// The packets that have not come out whole, each with the place of its end.
    pub(super) notes: VecDeque<(usize, Note)>,
}

impl Pipe {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.read = 0;
        self.parsed = 0;
        self.notes.clear();
    }

    /// Whatever has not come out is lost.
    pub(super) fn lose(&mut self) {
        self.read = self.bytes.len();
        self.notes.clear();
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.read == self.bytes.len() && self.parsed == self.read {
            self.clear();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next packet that was written and not looked at.
    pub(super) fn parse(&mut self, reader: &mut Reader) -> Result<Option<Note>, Fault> {
        if self.parsed == self.bytes.len() {
            return Ok(None);
        }
        let Some((note, len)) = reader.read(&self.bytes[self.parsed..])? else { return Ok(None) };
        self.parsed += len;
        self.notes.push_back((self.parsed, note));
        Ok(Some(note))
    }

    /// Bytes that have not come out.
    pub(super) fn waiting(&self) -> usize {
        self.bytes.len() - self.read
    }

    /// Whether the last packet was not written whole.
    pub(super) fn is_torn(&self) -> bool {
        self.parsed < self.bytes.len()
    }

    /// The bytes up to the end of the next packet, `most` at most.
    pub(super) fn next(&self, most: usize) -> &[u8] {
        let end = self.notes.front().map_or(self.bytes.len(), |(end, _)| *end);
        let len = (end - self.read).min(most);
        &self.bytes[self.read..self.read + len]
    }

    /// So many bytes have come out. Returns the packet that they complete.
    pub(super) fn advance(&mut self, len: usize) -> Option<Note> {
        self.read += len;
        let read = self.read;
        self.notes.pop_front_if(|(end, _)| *end <= read).map(|(_, note)| note)
    }
}

/// How far a connection is for the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has read no CONNECT.
    Opened,
    /// It has accepted the CONNECT; CONNACK must say whether the session is present.
    Accepted { present: bool },
    /// CONNACK has left.
    Open,
    /// DISCONNECT or a refusal has left.
    Over,
}

/// A network connection.
#[derive(Debug)]
pub(super) struct Link {
    /// No other connection has this number.
    pub(super) serial: u32,
    pub(super) client: usize,
    pub(super) id: ConnectionId,
    pub(super) up: Pipe,
    pub(super) down: Pipe,
    pub(super) up_reader: Reader,
    pub(super) down_reader: Reader,
    /// Whether the client, and the broker, still hold their ends.
    pub(super) has_client: bool,
    pub(super) has_broker: bool,
    pub(super) stage: Stage,
    /// Its client has sent more than the broker has to take, and nothing of it is good any more.
    pub(super) is_at_fault: bool,
    /// The broker has made a new session for it.
    pub(super) is_new_session: bool,
    /// What CONNECT brought.
    pub(super) will: Option<WillSetup>,
    pub(super) keep_alive: u16,
    /// When the broker took a packet last.
    pub(super) heard_at: Time,
    /// Whether CONNECT has left the client, CONNACK has come to it, and its DISCONNECT has left.
    pub(super) is_connecting: bool,
    pub(super) is_open: bool,
    pub(super) has_left: bool,
    /// The most messages under way in each direction.
    pub(super) most_down: u16,
    pub(super) most_up: u16,
    /// The answers that each side owes.
    pub(super) due_broker: Due,
    pub(super) due_client: Due,
    /// Sockets that take nothing.
    pub(super) is_down_stalled: bool,
    pub(super) is_up_stalled: bool,
    /// The broker has something to send, and the client takes nothing.
    pub(super) is_waiting: bool,
}

impl Link {
    pub(super) fn new(
        serial: u32,
        client: usize,
        id: ConnectionId,
        will: Option<WillSetup>,
        now: Time,
    ) -> Self {
        Self {
            serial,
            client,
            id,
            up: Pipe::default(),
            down: Pipe::default(),
            up_reader: Reader::new(),
            down_reader: Reader::new(),
            has_client: true,
            has_broker: true,
            stage: Stage::Opened,
            is_at_fault: false,
            is_new_session: false,
            will,
            keep_alive: 0,
            heard_at: now,
            is_connecting: false,
            is_open: false,
            has_left: false,
            most_down: 0,
            most_up: 0,
            due_broker: Due::default(),
            due_client: Due::default(),
            is_down_stalled: false,
            is_up_stalled: false,
            is_waiting: false,
        }
    }

    /// The same memory for another connection.
    pub(super) fn renew(&mut self, other: Self) {
        let old = core::mem::replace(self, other);
        self.up = old.up;
        self.down = old.down;
        self.due_broker = old.due_broker;
        self.due_client = old.due_client;
        self.up.clear();
        self.down.clear();
        self.due_broker.clear();
        self.due_client.clear();
    }

    pub(super) fn is_free(&self) -> bool {
        !self.has_client && !self.has_broker
    }
}
