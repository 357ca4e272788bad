//! Answers of one connection that wait for the store.
//!
//! They leave in the order in which they were made: one that depends on nothing waits behind one
//! that waits for a commit.

use std::collections::VecDeque;

use mqtt_codec::PacketId;

use super::super::BrokerEvent;
use super::super::route::Subscription;
use super::super::session::StoredWill;
use super::super::slots::Key;
use super::MessageKey;
use crate::Time;

/// The answers that wait.
#[derive(Debug, Default)]
pub(in crate::broker) struct Held {
    answers: VecDeque<HeldAnswer>,
    /// The packets of `answers`, one behind the other.
    bytes: Vec<u8>,
    /// What the driver is told once the CONNACK leaves.
    pub(super) connected: Option<BrokerEvent>,
    /// What the session was before the CONNECT, as long as the CONNACK waits.
    pub(super) before: Option<Box<Before>>,
}

/// A session without a connection, as a CONNECT found it.
#[derive(Debug)]
pub(in crate::broker) struct Before {
    pub(super) expiry_interval: u32,
    pub(super) ends_at: Time,
    /// The will whose delay was still running; its message is held.
    pub(super) will: Option<Box<StoredWill>>,
}

/// One answer that waits.
#[derive(Debug)]
pub(super) struct HeldAnswer {
    /// The number of the batch that has to be committed before it leaves.
    pub(super) mark: u64,
    /// Its bytes.
    pub(super) len: usize,
    /// Whether the packet that it answers counts towards the Receive Maximum until it leaves.
    pub(super) is_counted: bool,
    pub(super) kind: Kind,
}

/// What becomes of an answer if its batch is not committed.
#[derive(Debug)]
pub(super) enum Kind {
    /// The CONNECT is refused.
    ConnAck,
    /// The message is refused.
    PubAck(PacketId),
    /// The message is refused, its Packet Identifier is forgotten, and nobody gets it at QoS 2.
    PubRec(PacketId, Vec<Reached>),
    /// The filters are refused, and the subscriptions are what they were before.
    SubAck(Vec<Undo>),
    /// It waits until the changes are committed with a later batch.
    Other,
}

/// A QoS 2 delivery that the answer to a PUBLISH has made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reached {
    pub(super) session: Key,
    /// Where it stands among all that was queued for the session.
    pub(super) order: u32,
    /// The message, if the session is stored: places are given out anew once a session without a
    /// connection has nothing under way.
    pub(super) message: Option<MessageKey>,
}

/// A filter of a SUBSCRIBE, and the subscription that it replaced.
#[derive(Debug)]
pub(in crate::broker) struct Undo {
    /// The whole filter.
    pub(super) filter: Box<str>,
    pub(super) previous: Option<Subscription>,
}

/// What left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// How many answers gave back what they counted towards the Receive Maximum.
    pub(super) counted: u16,
    /// Whether a CONNACK did, and what is done then.
    pub(super) connack: Option<(Option<BrokerEvent>, Option<Box<Before>>)>,
}

/// How large a list may be that is kept for the next connection.
const SPARE_BYTES: usize = 4096;
const SPARE_ANSWERS: usize = 256;

impl Kind {
    /// What a SUBSCRIBE that waits did to this filter.
    pub(super) fn undo_of(&mut self, filter: &str) -> Option<&mut Undo> {
        match self {
            Self::SubAck(undo) => undo.iter_mut().find(|undo| *undo.filter == *filter),
            Self::ConnAck | Self::PubAck(_) | Self::PubRec(..) | Self::Other => None,
        }
    }
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Forgets everything. Returns whether the memory is worth keeping.
    pub(super) fn reset(&mut self) -> bool {
        self.answers.clear();
        self.bytes.clear();
        self.connected = None;
        self.bytes.capacity() <= SPARE_BYTES && self.answers.capacity() <= SPARE_ANSWERS
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the first answer is a CONNACK: before it nothing may be sent.
    pub(super) fn has_connack(&self) -> bool {
        self.answers.front().is_some_and(|first| matches!(first.kind, Kind::ConnAck))
    }

    /// The mark of the last answer.
    pub(super) fn last_mark(&self) -> Option<u64> {
        self.answers.back().map(|last| last.mark)
    }

    /// Where the next packet is encoded to.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Adds an answer; its packet stands at the end of the buffer.
    pub(super) fn push(&mut self, answer: HeldAnswer) {
        self.answers.push_back(answer);
    }

    /// Appends the answers to `out` that wait for nothing more than the batch `committed`.
    pub(super) fn release(&mut self, committed: u64, out: &mut Vec<u8>) -> Left {
        let mut left = Left::default();
        let mut len = 0;
        while let Some(answer) = self.answers.pop_front_if(|first| first.mark <= committed) {
            len += answer.len;
            left.counted += u16::from(answer.is_counted);
            if matches!(answer.kind, Kind::ConnAck) {
                left.connack = Some((self.connected.take(), self.before.take()));
            }
        }
        out.extend_from_slice(self.bytes.get(..len).unwrap_or_default());
        self.bytes.drain(..len.min(self.bytes.len()));
        left
    }

    /// Takes everything out, to be put back changed: each answer with its packet.
    pub(super) fn take(&mut self) -> Vec<(HeldAnswer, Vec<u8>)> {
        let mut at = 0;
        let mut taken = Vec::with_capacity(self.answers.len());
        for answer in core::mem::take(&mut self.answers) {
            let end = at + answer.len;
            let packet = self.bytes.get(at..end).unwrap_or_default().to_vec();
            at = end;
            taken.push((answer, packet));
        }
        self.bytes.clear();
        taken
    }

    /// Puts an answer back behind the others.
    pub(super) fn put_back(&mut self, mut answer: HeldAnswer, packet: &[u8]) {
        answer.len = packet.len();
        self.bytes.extend_from_slice(packet);
        self.answers.push_back(answer);
    }
}
