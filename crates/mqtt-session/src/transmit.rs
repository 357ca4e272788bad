//! Bytes on their way to the network.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Payloads of at least this many bytes are shared with the message they belong to; smaller ones
/// are copied, so that many small packets leave in one write call.
pub(crate) const SHARE_FROM: usize = 8 * 1024;

/// What a state machine wants written, in order.
///
/// A driver keeps one for each connection that has something to write (or takes one from a pool),
/// passes it to `poll_transmit`, and writes from it with the methods of [`bytes::Buf`]: headers
/// and small packets stand together in contiguous memory, large payloads are shared, not copied,
/// and [`Buf::chunks_vectored`] gathers both for one vectored write.
///
/// ```
/// use bytes::Buf;
/// use mqtt_session::TransmitBuf;
///
/// let mut out = TransmitBuf::new();
/// assert!(!out.has_remaining());
/// // client.poll_transmit(now, &mut out, 64 * 1024);
/// // let written = socket.write_vectored(..)?;
/// // out.advance(written);
/// ```
#[derive(Debug, Default)]
pub struct TransmitBuf {
    /// Bytes copied in, those already written included: `copied[start..]` is still to go.
    copied: Vec<u8>,
    /// How much of `copied` has been written.
    start: usize,
    /// Shared payloads, each with the position in `copied` that it stands in front of.
    shared: VecDeque<Shared>,
    /// Bytes that wait, copied and shared.
    remaining: usize,
}

#[derive(Debug)]
struct Shared {
    /// Stands before this position of `copied`.
    before: usize,
    bytes: Bytes,
}

impl TransmitBuf {
    /// An empty buffer; it takes no memory until something is put into it.
    pub const fn new() -> Self {
        Self { copied: Vec::new(), start: 0, shared: VecDeque::new(), remaining: 0 }
    }

    /// Bytes that wait to be written.
    pub const fn len(&self) -> usize {
        self.remaining
    }

    /// Whether nothing waits to be written.
    pub const fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    /// Bytes of memory held for copies, used or not.
    pub fn capacity(&self) -> usize {
        self.copied.capacity()
    }

    /// Forgets what was not written and keeps at most `capacity` bytes of memory for reuse.
    pub fn reset(&mut self, capacity: usize) {
        self.copied.clear();
        self.copied.shrink_to(capacity);
        self.shared.clear();
        if self.shared.capacity() > 64 {
            self.shared = VecDeque::new();
        }
        self.start = 0;
        self.remaining = 0;
    }

    /// Lets `encode` append to the copied bytes and accounts for what it appended.
    #[inline]
    pub(crate) fn append<R>(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        // Written bytes in front are dropped once they outweigh what waits: each byte moves at
        // most once for each byte written.
        if self.start > 64 * 1024 && self.start > self.copied.len() / 2 {
            self.compact();
        }
        let before = self.copied.len();
        let result = encode(&mut self.copied);
        self.remaining += self.copied.len().saturating_sub(before);
        result
    }

    /// Takes all of `bytes` over. If there is nothing yet, it gives its own memory for theirs,
    /// unless that is more than `most` bytes.
    #[inline]
    pub(crate) fn append_all(&mut self, bytes: &mut Vec<u8>, most: usize) {
        if self.copied.is_empty() && self.copied.capacity() <= most {
            core::mem::swap(&mut self.copied, bytes);
            self.remaining += self.copied.len();
        } else {
            self.append_copy(bytes);
        }
    }

    #[inline(never)]
    fn append_copy(&mut self, bytes: &mut Vec<u8>) {
        self.append(|copied| copied.append(bytes));
    }

    /// Appends `payload`, shared if it is large.
    pub(crate) fn append_payload(&mut self, payload: &Bytes) {
        if payload.len() < SHARE_FROM {
            self.copied.extend_from_slice(payload);
        } else {
            self.shared.push_back(Shared { before: self.copied.len(), bytes: payload.clone() });
        }
        self.remaining += payload.len();
    }

    #[cold]
    fn compact(&mut self) {
        self.copied.drain(..self.start);
        for shared in &mut self.shared {
            shared.before = shared.before.saturating_sub(self.start);
        }
        self.start = 0;
    }
}

impl Buf for TransmitBuf {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        match self.shared.front() {
            Some(shared) if shared.before <= self.start => &shared.bytes,
            Some(shared) => self.copied.get(self.start..shared.before).unwrap_or_default(),
            None => self.copied.get(self.start..).unwrap_or_default(),
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let mut put = |bytes: &'a [u8]| match slices.get_mut(filled) {
            Some(slice) if !bytes.is_empty() => {
                *slice = IoSlice::new(bytes);
                filled += 1;
                true
            }
            Some(_) => true,
            None => false,
        };
        let mut at = self.start;
        for shared in &self.shared {
            if !put(self.copied.get(at..shared.before).unwrap_or_default()) || !put(&shared.bytes) {
                return filled;
            }
            at = shared.before;
        }
        put(self.copied.get(at..).unwrap_or_default());
        filled
    }

    fn advance(&mut self, mut count: usize) {
        // Most writes take all.
        if count >= self.remaining {
            self.copied.clear();
            if !self.shared.is_empty() {
                self.shared.clear();
            }
            self.start = 0;
            self.remaining = 0;
            return;
        }
        self.remaining -= count;
        while count > 0 {
            match self.shared.front_mut() {
                Some(shared) if shared.before <= self.start => {
                    let step = count.min(shared.bytes.len());
                    shared.bytes.advance(step);
                    count -= step;
                    if shared.bytes.is_empty() {
                        self.shared.pop_front();
                    }
                }
                Some(shared) => {
                    let step = count.min(shared.before - self.start);
                    self.start += step;
                    count -= step;
                }
                None => {
                    self.start += count;
                    count = 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> (TransmitBuf, Vec<u8>) {
        let large: Bytes = (0..SHARE_FROM).map(|i| i as u8).collect();
        let mut out = TransmitBuf::new();
        let mut expected = Vec::new();
        for round in 0..3u8 {
            out.append(|bytes| bytes.extend_from_slice(&[round; 5]));
            expected.extend_from_slice(&[round; 5]);
            out.append_payload(&large);
            expected.extend_from_slice(&large);
            out.append_payload(&Bytes::from_static(b"small"));
            expected.extend_from_slice(b"small");
        }
        (out, expected)
    }

    #[test]
    fn what_was_put_in_comes_out_in_order_however_it_is_taken() {
        for step in [1, 2, 7, 4096, usize::MAX] {
            let (mut out, expected) = filled();
            let mut taken = Vec::new();
            while out.has_remaining() {
                let chunk = out.chunk();
                let take = chunk.len().min(step);
                taken.extend_from_slice(&chunk[..take]);
                out.advance(take);
            }
            assert_eq!(taken, expected, "in steps of {step}");
            assert!(out.is_empty());
        }
    }

    #[test]
    fn a_vectored_write_sees_every_byte_once() {
        let (mut out, expected) = filled();
        out.advance(3);
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = out.chunks_vectored(&mut slices);
        let seen: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(seen, expected[3..]);
        let mut few = [IoSlice::new(&[]); 2];
        assert_eq!(out.chunks_vectored(&mut few), 2);
    }

    #[test]
    fn bytes_already_written_do_not_pile_up_under_a_buffer_that_never_drains() {
        let mut out = TransmitBuf::new();
        out.append(|bytes| bytes.extend_from_slice(b"x"));
        for _ in 0..10_000 {
            out.append(|bytes| bytes.extend_from_slice(&[0; 100]));
            out.advance(100);
        }
        assert_eq!(out.len(), 1);
        assert!(out.capacity() < 512 * 1024, "{} bytes held", out.capacity());
    }

    #[test]
    fn a_reset_buffer_is_empty_and_holds_no_more_than_asked() {
        let (mut out, _) = filled();
        out.reset(16);
        assert!(out.is_empty());
        assert!(out.capacity() <= 16);
        assert_eq!(out.chunk(), b"");
    }
}
