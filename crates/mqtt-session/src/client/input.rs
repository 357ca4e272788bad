//! From bytes in any fragmentation to whole packets.
//!
//! Packets that stand whole in the driver's read buffer are decoded there. Only the beginning of
//! a packet whose rest has not come is copied, and a large packet is collected in memory of its
//! own, which becomes the message's memory.

use bytes::Bytes;

/// Packets from this size up are handed on in the memory they were collected in.
pub(super) const OWN_FROM: usize = 16 * 1024;

/// Memory is taken for a packet as it arrives: this much ahead, or as much again as has come. What
/// the peer announces is never taken at its word.
const AHEAD: usize = 64 * 1024;

/// The beginning of a packet whose rest has not come.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    /// How many bytes it needs before decoding it again makes sense.
    needed: usize,
}

impl Tail {
    /// Whether no packet has begun.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Keeps the beginning of a packet that needs at least `needed` bytes.
    pub(super) fn begin(&mut self, bytes: &[u8], needed: usize) {
        self.bytes.clear();
        self.needed = needed;
        self.append(bytes);
    }

    /// Takes what the packet needs from the front of `input`. True if it is there now.
    pub(super) fn fill(&mut self, input: &mut &[u8]) -> bool {
        let missing = self.needed.saturating_sub(self.bytes.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.append(taken);
        *input = rest;
        self.bytes.len() >= self.needed
    }

    /// The packet is complete: its memory, to be given back with `restore` if it was not needed.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.needed = 0;
        core::mem::take(&mut self.bytes)
    }

    /// Takes memory back for the next packet.
    pub(super) fn restore(&mut self, mut bytes: Vec<u8>) {
        if bytes.capacity() <= OWN_FROM {
            bytes.clear();
            self.bytes = bytes;
        }
    }

    /// The packet was not complete after all: it needs at least `needed` bytes.
    pub(super) fn resume(&mut self, bytes: Vec<u8>, needed: usize) {
        self.bytes = bytes;
        self.needed = needed;
    }

    /// Forgets everything: another connection begins.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    fn append(&mut self, bytes: &[u8]) {
        let wanted = self.needed.saturating_sub(self.bytes.len()).max(bytes.len());
        let ahead = wanted.min(AHEAD.max(self.bytes.len())).max(bytes.len());
        if self.bytes.capacity() - self.bytes.len() < bytes.len() {
            self.bytes.reserve_exact(ahead);
        }
        self.bytes.extend_from_slice(bytes);
    }
}

/// Where the bytes of a packet lie while it is handled.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// In a buffer that is used again.
    Borrowed,
    /// In memory of its own.
    Owned(&'a Bytes),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_collected_from_pieces_and_what_follows_it_is_left() {
        let mut tail = Tail::default();
        tail.begin(&[1, 2], 5);
        let mut input: &[u8] = &[3];
        assert!(!tail.fill(&mut input));
        let mut input: &[u8] = &[4, 5, 6];
        assert!(tail.fill(&mut input));
        let bytes = tail.take();
        assert_eq!((&bytes[..], input), (&[1, 2, 3, 4, 5][..], &[6][..]));
        tail.restore(bytes);
        assert!(tail.is_empty());
    }

    #[test]
    fn memory_follows_what_has_come_and_not_what_is_announced() {
        let mut tail = Tail::default();
        tail.begin(&[0x30], 200_000_000);
        assert!(tail.bytes.capacity() <= AHEAD + 1);
        let mut whole = 1;
        for _ in 0..100 {
            let chunk = [0; 10_000];
            assert!(!tail.fill(&mut &chunk[..]));
            whole += chunk.len();
            assert!(tail.bytes.capacity() <= 2 * whole + AHEAD, "{}", tail.bytes.capacity());
        }
    }
}
