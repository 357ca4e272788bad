//! For those who read from a stream: keeping the bytes of an incomplete packet.

use bytes::{Bytes, BytesMut};
use core::fmt;

use crate::error::{DecodeError, DecodeRule};
use crate::frame::{Decoded, FixedHeader, Limits};
use crate::packet::{self, Packet, PacketType};

/// Cuts a stream into packets.
///
/// Bytes go in with [`feed`](Decoder::feed) as they come, in pieces of any size, and complete
/// packets come out of [`next_frame`](Decoder::next_frame). The fixed header is judged when it is
/// there; the body when [`Frame::packet`] is asked for.
///
/// Memory grows with what has arrived and never with what a peer announces.
///
/// ```
/// use mqtt_codec::{Decoder, Limits, Packet};
///
/// let mut decoder = Decoder::new(Limits::new());
/// decoder.feed(&[0x40, 0x02, 0x00]);
/// assert!(decoder.next_frame()?.is_none());
/// decoder.feed(&[0x07, 0xD0, 0x00]);
///
/// let frame = decoder.next_frame()?.expect("the PUBACK is complete");
/// assert!(matches!(frame.packet()?, Packet::PubAck(ack) if ack.packet_id.get() == 7));
/// let frame = decoder.next_frame()?.expect("the PINGRESP is complete");
/// assert_eq!(frame.packet()?, Packet::PingResp);
/// assert!(decoder.next_frame()?.is_none());
/// # Ok::<(), mqtt_codec::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    buffer: BytesMut,
}

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, buffer: BytesMut::new() }
    }

    /// Takes over bytes of the stream.
    pub fn feed(&mut self, input: &[u8]) {
        self.buffer.extend_from_slice(input);
    }

    /// How many bytes are kept that belong to no frame yet.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The limits that packets are judged by.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Sets other limits, from the next packet on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes out the next complete packet; `None` if more bytes are needed.
    ///
    /// # Errors
    ///
    /// What is wrong with the fixed header. Where the next packet would begin is not known then,
    /// so every further call answers the same.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        let Some(header) = FixedHeader::read(&self.buffer, &self.limits)? else {
            return Ok(None);
        };
        if self.buffer.len() < header.packet_len {
            return Ok(None);
        }
        let bytes = self.buffer.split_to(header.packet_len).freeze();
        Ok(Some(Frame { bytes, header }))
    }
}

/// The bytes of one whole packet, owned. Made by [`Decoder::next_frame`].
///
/// A frame shares memory with those beside it in the stream, which stays as long as one of them
/// does: copy what is to be kept for long.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
    header: FixedHeader,
}

impl Frame {
    /// The packet, which borrows from the frame.
    ///
    /// # Errors
    ///
    /// What is wrong with the body. Offsets count from the start of the frame.
    pub fn packet(&self) -> Result<Packet<'_>, DecodeError> {
        let body = self.bytes.get(self.header.len..).unwrap_or_default();
        let FixedHeader { packet_type, first, packet_len, .. } = self.header;
        match packet::decode(packet_type, first, body, packet_len)? {
            Decoded::Packet(packet, _) => Ok(packet),
            // A frame is a whole packet; less than one would be a field that runs past its end.
            Decoded::NeedMore(_) => Err(DecodeError::new(
                DecodeRule::FieldPastEnd,
                Some(self.header.packet_type),
                self.bytes.len(),
            )),
        }
    }

    /// The type of the packet.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        self.header.packet_type
    }

    /// The bytes of the packet, fixed header included.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes of the packet, fixed header included.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("packet_type", &self.header.packet_type)
            .field("len", &self.bytes.len())
            .finish()
    }
}
