//! Where encoded bytes go: into a buffer, or into a counter. One piece of code writes a packet and
//! says how long it is, so the two cannot differ.

use alloc::vec::Vec;

use crate::varint;

/// Takes the bytes of a packet in their order.
pub(crate) trait Sink {
    /// Appends bytes.
    fn bytes(&mut self, bytes: &[u8]);

    /// Appends a few bytes whose number the compiler knows.
    fn array<const N: usize>(&mut self, bytes: [u8; N]);

    /// Appends a Two Byte Integer.
    #[inline(always)]
    fn u16(&mut self, value: u16) {
        self.array(value.to_be_bytes());
    }

    /// Appends a Variable Byte Integer of at most [`varint::MAX`]. [MQTT-1.5.5-1]
    #[inline(always)]
    fn varint(&mut self, value: u32) {
        let low = |shift: u32| (value >> shift) as u8 & 0x7F;
        match varint::len(value) {
            1 => self.array([low(0)]),
            2 => self.array([low(0) | 0x80, low(7)]),
            3 => self.array([low(0) | 0x80, low(7) | 0x80, low(14)]),
            _ => self.array([low(0) | 0x80, low(7) | 0x80, low(14) | 0x80, low(21)]),
        }
    }

    /// Appends text or binary data behind its length. The caller has made sure that it fits.
    #[inline(always)]
    fn prefixed(&mut self, bytes: &[u8]) {
        self.u16(bytes.len() as u16);
        self.bytes(bytes);
    }
}

impl Sink for Vec<u8> {
    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        self.extend_from_slice(&bytes);
    }
}

/// Counts instead of writing. 64 bits, so that no sum of slice lengths can overflow.
#[derive(Debug, Default)]
pub(crate) struct Counter(pub(crate) u64);

impl Sink for Counter {
    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self, _: [u8; N]) {
        self.0 += N as u64;
    }
}
