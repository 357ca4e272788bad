//! A publisher's prepared frames: written again and again, only their stamps change.

use crate::bench::frame::Stamp;

/// Frames of one length, one behind the other.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: Vec<u8>,
    frame_len: usize,
    payload_at: usize,
    slots: usize,
    /// Frames that were stamped for sending, ever.
    stamped: u64,
    /// Bytes that the socket took, ever.
    written: u64,
}

impl Ring {
    /// Puts `frames` into a ring; all must have the length of the first.
    pub(super) fn new(frames: &[Vec<u8>], payload_len: usize) -> Option<Self> {
        let frame_len = frames.first()?.len();
        if frames.iter().any(|frame| frame.len() != frame_len) {
            return None;
        }
        Some(Self {
            bytes: frames.concat(),
            frame_len,
            payload_at: frame_len.checked_sub(payload_len)?,
            slots: frames.len(),
            stamped: 0,
            written: 0,
        })
    }

    /// How many messages were taken for sending so far.
    pub(super) fn stamped(&self) -> u64 {
        self.stamped
    }

    /// The slot of the next message.
    pub(super) fn next_slot(&self) -> usize {
        slot(self.stamped, self.slots)
    }

    /// Takes the next message for sending. `false`: its slot has bytes that are still to be
    /// written.
    pub(super) fn stamp(&mut self, publisher: u32) -> bool {
        let unwritten = self.end() - self.written;
        let size = self.bytes.len() as u64;
        if unwritten + self.frame_len as u64 > size {
            return false;
        }
        let at = self.next_slot() * self.frame_len;
        let Some(payload) = self.bytes.get_mut(at + self.payload_at..at + self.frame_len) else {
            return false;
        };
        Stamp { publisher, sequence: self.stamped }.write(payload);
        self.stamped += 1;
        true
    }

    /// The bytes to write next, as many as lie together; empty when all are written.
    pub(super) fn pending(&self) -> &[u8] {
        let start = slot(self.written, self.bytes.len());
        let unwritten = self.end() - self.written;
        let end = start + usize::try_from(unwritten).unwrap_or(usize::MAX);
        self.bytes.get(start..end.min(self.bytes.len())).unwrap_or_default()
    }

    /// The socket took `len` bytes of [`Self::pending`].
    pub(super) fn advance(&mut self, len: usize) {
        self.written += len as u64;
    }

    /// Whether other bytes may be written now without splitting a frame.
    pub(super) fn is_between_frames(&self) -> bool {
        self.written.is_multiple_of(self.frame_len as u64)
    }

    fn end(&self) -> u64 {
        self.stamped * self.frame_len as u64
    }
}

/// `count` modulo a length in memory.
fn slot(count: u64, len: usize) -> usize {
    usize::try_from(count % len as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::frame::{self, Protocol, Publish, Published};

    fn ring() -> Ring {
        let frames: Vec<_> = (1..=3)
            .map(|packet_id| {
                frame::publish(
                    Protocol::V5,
                    &Publish { topic: "t", qos: 1, retain: false, packet_id, payload_len: 32 },
                )
            })
            .collect();
        Ring::new(&frames, 32).unwrap()
    }

    #[test]
    fn a_slot_is_taken_again_only_after_its_bytes_were_written() {
        let mut ring = ring();
        assert!(ring.stamp(0) && ring.stamp(0) && ring.stamp(0));
        assert!(!ring.stamp(0), "all three wait to be written");
        let frame_len = ring.pending().len() / 3;
        ring.advance(frame_len - 1);
        assert!(!ring.stamp(0), "one byte of the first is missing");
        assert!(!ring.is_between_frames());
        ring.advance(1);
        assert!(ring.stamp(0));
        assert!(ring.is_between_frames());
    }

    #[test]
    fn what_is_written_is_one_frame_behind_the_other_with_rising_numbers() {
        let mut ring = ring();
        let mut wire = Vec::new();
        while wire.len() < 500 {
            while ring.stamp(4) {}
            // An odd length: pieces end inside frames.
            let piece = ring.pending().iter().copied().take(37).collect::<Vec<_>>();
            ring.advance(piece.len());
            wire.extend(piece);
        }
        let mut rest = wire.as_slice();
        let mut sequence = 0;
        while let Some(found) = frame::split(rest) {
            let published = Published::read(Protocol::V5, &found).unwrap();
            assert_eq!(u64::from(published.packet_id), sequence % 3 + 1);
            assert_eq!(Stamp::read(published.payload), Some(Stamp { publisher: 4, sequence }));
            sequence += 1;
            rest = &rest[found.len..];
        }
        assert!(sequence > 5);
    }
}
