//! Encoded packets that wait to be sent, in order: acknowledgements, pings, and messages that could
//! be encoded when they were published.

use core::mem;

use mqtt_codec::{EncodeError, Packet, PacketId};

use super::publication::{Outgoing, Publication};
use crate::TransmitBuf;
use crate::exchange::Incoming;

/// What leaves with the next call of `poll_transmit`.
#[derive(Debug, Default)]
pub(super) struct Ready {
    bytes: Vec<u8>,
    /// How many PUBACKs are in there: each frees a unit of the Receive Maximum when it leaves.
    pubacks: u16,
    /// How many QoS 0 messages are in there.
    qos0: usize,
    /// The QoS 1 and QoS 2 messages in there, in order.
    messages: Vec<Encoded>,
}

/// A QoS 1 or QoS 2 message that is encoded and has not left.
#[derive(Debug)]
struct Encoded {
    id: PacketId,
    slot: u32,
    /// Where its PUBLISH begins.
    start: usize,
}

impl Ready {
    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether a QoS 1 or QoS 2 message waits.
    pub(super) const fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// How many QoS 0 messages wait.
    pub(super) const fn qos0(&self) -> usize {
        self.qos0
    }

    /// Appends an answer.
    pub(super) fn push(&mut self, packet: &Packet<'_>, maximum: u32) {
        // At most five bytes: a server whose Maximum Packet Size is below that cannot be answered
        // at all, and takes nothing amiss that it does not get.
        let _fits = packet.encode(&mut self.bytes, maximum);
        if let Packet::PubAck(_) = packet {
            self.pubacks = self.pubacks.saturating_add(1);
        }
    }

    /// Appends a packet that is encoded.
    pub(super) fn extend(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
    }

    /// Appends the PUBLISH of a QoS 0 message, if it is not larger than `maximum`.
    pub(super) fn push_qos0(
        &mut self,
        publication: &Publication<'_>,
        maximum: u32,
    ) -> Result<(), EncodeError> {
        publication.append(&mut self.bytes, maximum)?;
        self.qos0 += 1;
        Ok(())
    }

    /// Appends the PUBLISH of a QoS 1 or QoS 2 message.
    #[inline(always)]
    pub(super) fn push_message(&mut self, id: PacketId, slot: u32, message: &Outgoing) {
        self.messages.push(Encoded { id, slot, start: self.bytes.len() });
        self.bytes.extend_from_slice(message.header());
        self.bytes.extend_from_slice(message.payload());
    }

    /// Hands out as much as fits into `room` bytes. Returns whether that was anything.
    #[inline(never)]
    pub(super) fn hand_out(
        &mut self,
        out: &mut TransmitBuf,
        room: usize,
        incoming: &mut Incoming,
    ) -> bool {
        if room < self.bytes.len() {
            self.hand_out_some(out, room);
            return room > 0;
        }
        out.append_all(&mut self.bytes, usize::MAX);
        self.messages.clear();
        self.qos0 = 0;
        for _ in 0..mem::take(&mut self.pubacks) {
            incoming.puback_sent();
        }
        true
    }

    /// Hands out so many bytes, of more.
    #[inline(never)]
    fn hand_out_some(&mut self, out: &mut TransmitBuf, room: usize) {
        out.append(|bytes| bytes.extend(self.bytes.drain(..room)));
        // A message whose beginning has left counts as sent.
        self.messages.retain_mut(|message| {
            let is_unsent = message.start >= room;
            message.start = message.start.saturating_sub(room);
            is_unsent
        });
    }

    /// The bytes, to be sent whatever happens, with the number of QoS 0 messages in them.
    pub(super) fn into_last(self) -> (Vec<u8>, usize) {
        (self.bytes, self.qos0)
    }

    /// The QoS 1 and QoS 2 messages that have not left, last first, by packet identifier and slot.
    pub(super) fn unsent(&self) -> impl Iterator<Item = (PacketId, u32)> {
        self.messages.iter().rev().map(|message| (message.id, message.slot))
    }
}
