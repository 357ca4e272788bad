//! One raw client of a [`Wire`](crate::Wire): its bytes in both directions.

use std::collections::VecDeque;

use mqtt_codec::{Decoder, Frame, Limits};
use mqtt_session::{CloseCause, ConnectionId};

use crate::referee::Referee;
use crate::transcript;

/// Names a raw client of a [`Wire`](crate::Wire): one network connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer(pub(crate) usize);

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    /// What the transcript calls it.
    pub(crate) name: String,
    /// Sent and not yet read by the broker.
    pub(crate) unread: Vec<u8>,
    /// The client's end is closed once `unread` is read.
    pub(crate) at_eof: bool,
    /// Whether the client reads. While it does not, its socket takes nothing.
    pub(crate) reads: bool,
    /// The broker said that it has something to send while the client did not read.
    pub(crate) is_waiting: bool,
    pub(crate) cause: Option<CloseCause>,
    pub(crate) referee: Referee,
    decoder: Decoder,
    received: VecDeque<Frame>,
    /// Every byte that came.
    bytes: Vec<u8>,
    is_end_told: bool,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, name: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            unread: Vec::new(),
            at_eof: false,
            reads: true,
            is_waiting: false,
            cause: None,
            referee: Referee::new(),
            decoder: Decoder::new(Limits::new()),
            received: VecDeque::new(),
            bytes: Vec::new(),
            is_end_told: false,
        }
    }

    /// Bytes came from the broker: checks every packet and returns their lines.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        assert!(self.cause.is_none(), "{}: bytes after the connection was closed", self.name);
        self.bytes.extend_from_slice(bytes);
        // The answer to a client of an older version is no packet of this one.
        if self.bytes == OLD_REFUSAL {
            return vec![transcript::hex(bytes)];
        }
        self.decoder.feed(bytes);
        let mut lines = Vec::new();
        while let Some(frame) = self.decoder.next_frame().expect("a fixed header") {
            let packet = frame.packet().expect("the broker sends what the decoder takes");
            self.referee.check(&packet, frame.as_bytes().len());
            lines.push(transcript::line(&packet));
            self.received.push_back(frame);
        }
        assert_eq!(self.decoder.buffered(), 0, "{}: a packet that is cut off", self.name);
        lines
    }

    pub(crate) fn take_frames(&mut self) -> Vec<Frame> {
        self.received.drain(..).collect()
    }

    /// The line of the first packet that was not taken yet.
    pub(crate) fn take_first(&mut self) -> Option<String> {
        let frame = self.received.pop_front()?;
        Some(transcript::line(&frame.packet().unwrap()))
    }

    pub(crate) fn take_lines(&mut self) -> Vec<String> {
        let frames = self.take_frames();
        let mut lines: Vec<String> =
            frames.iter().map(|frame| transcript::line(&frame.packet().unwrap())).collect();
        if self.cause.is_some() && !self.is_end_told {
            self.is_end_told = true;
            lines.push("closed".to_owned());
        }
        lines
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// CONNACK of MQTT 3.1.1: unacceptable protocol version.
const OLD_REFUSAL: [u8; 4] = [0x20, 0x02, 0x00, 0x01];
