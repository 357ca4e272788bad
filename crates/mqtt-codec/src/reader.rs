//! A bounded cursor over the bytes of one packet. What comes in is checked through it and nothing
//! else, and every fault it finds carries its offset.

use crate::error::{DecodeError, DecodeRule};
use crate::ids::PacketId;
use crate::packet::PacketType;
use crate::text;
use crate::topic::{self, TopicError};
use crate::varint::{self, Fault};

/// What is left of a packet, or of a part of one.
// Copied into what makes a fault of it: a reader that is only read from stays in registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// How many bytes of the packet lie before the end of `rest`.
    end: usize,
    packet_type: PacketType,
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`, the last of which is byte `end - 1` of the packet.
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8], end: usize, packet_type: PacketType) -> Self {
        Self { rest: bytes, end, packet_type }
    }

    #[inline(always)]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The offset of the next byte in the packet.
    #[inline(always)]
    pub(crate) fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    #[inline(always)]
    pub(crate) fn packet_type(&self) -> PacketType {
        self.packet_type
    }

    /// A fault at the next byte.
    #[cold]
    #[inline(never)]
    pub(crate) fn fault(self, rule: DecodeRule) -> DecodeError {
        DecodeError::new(rule, Some(self.packet_type), self.offset())
    }

    /// A fault at a byte that was read already, so many bytes before the next one.
    #[cold]
    #[inline(never)]
    pub(crate) fn fault_before(self, bytes: usize, rule: DecodeRule) -> DecodeError {
        DecodeError::new(rule, Some(self.packet_type), self.offset() - bytes)
    }

    /// A fault inside `field`, which was read last.
    #[cold]
    #[inline(never)]
    pub(crate) fn fault_in(self, field: &[u8], at: usize, rule: DecodeRule) -> DecodeError {
        DecodeError::new(rule, Some(self.packet_type), self.offset() - field.len() + at)
    }

    #[inline(always)]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        let Some((&value, rest)) = self.rest.split_first() else {
            return Err(self.fault(DecodeRule::FieldPastEnd));
        };
        self.rest = rest;
        Ok(value)
    }

    #[inline(always)]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((value, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.fault(DecodeRule::FieldPastEnd));
        };
        self.rest = rest;
        Ok(*value)
    }

    #[inline(always)]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline(always)]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A Packet Identifier, which is not 0. [MQTT-2.2.1-3] [MQTT-2.2.1-4]
    #[inline(always)]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        match PacketId::new(self.u16()?) {
            Some(id) => Ok(id),
            None => Err(self.fault_before(2, DecodeRule::PacketIdZero)),
        }
    }

    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        match varint::read(self.rest) {
            Ok((value, rest)) => {
                self.rest = rest;
                Ok(value)
            }
            Err(fault) => Err(self.varint_fault(fault)),
        }
    }

    #[cold]
    #[inline(never)]
    fn varint_fault(self, fault: Fault) -> DecodeError {
        let (rule, at) = match fault {
            Fault::Incomplete => (DecodeRule::FieldPastEnd, 0),
            Fault::TooLong => (DecodeRule::VariableByteIntegerTooLong, 3),
            Fault::NotMinimal(at) => (DecodeRule::VariableByteIntegerNotMinimal, at),
        };
        DecodeError::new(rule, Some(self.packet_type), self.offset() + at)
    }

    /// The next `len` bytes as a reader of their own; `prefix` is the size of the length field
    /// that was just read, where a part that is too long is reported.
    #[inline(always)]
    pub(crate) fn part(&mut self, len: usize, prefix: usize) -> Result<Self, DecodeError> {
        let Some((part, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.fault_before(prefix, DecodeRule::FieldPastEnd));
        };
        self.rest = rest;
        Ok(Self { rest: part, end: self.offset(), packet_type: self.packet_type })
    }

    /// Binary Data, or the bytes of a string: a Two Byte Integer and as many bytes.
    #[inline(always)]
    pub(crate) fn prefixed(&mut self) -> Result<&'a [u8], DecodeError> {
        let Some((len, behind)) = self.rest.split_first_chunk::<2>() else {
            return Err(self.fault(DecodeRule::FieldPastEnd));
        };
        let len = usize::from(u16::from_be_bytes(*len));
        let Some((field, rest)) = behind.split_at_checked(len) else {
            return Err(self.fault(DecodeRule::FieldPastEnd));
        };
        self.rest = rest;
        Ok(field)
    }

    /// A UTF-8 Encoded String, checked. [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT5-U-1.5.4-1]
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<&'a [u8], DecodeError> {
        let field = self.prefixed()?;
        match text::check_string(field) {
            Ok(()) => Ok(field),
            Err(fault) => Err(self.text_fault(field, fault)),
        }
    }

    /// A Client Identifier or User Name: a string without control characters.
    #[inline(always)]
    pub(crate) fn identifier(&mut self) -> Result<&'a [u8], DecodeError> {
        let field = self.prefixed()?;
        match text::check_identifier(field) {
            Ok(()) => Ok(field),
            Err(fault) => Err(self.text_fault(field, fault)),
        }
    }

    /// The Topic Name of a Will, or of a PUBLISH, where it may be empty.
    #[inline(always)]
    pub(crate) fn topic(&mut self) -> Result<&'a [u8], DecodeError> {
        let field = self.prefixed()?;
        if topic::has_name_flags(field) {
            self.check_topic(field, DecodeRule::TopicName)?;
        }
        Ok(field)
    }

    /// Checks the characters of a name that is not plain ASCII, or wrong. The field was read last.
    #[cold]
    #[inline(never)]
    pub(crate) fn check_topic(
        self,
        field: &[u8],
        rule: fn(TopicError) -> DecodeRule,
    ) -> Result<(), DecodeError> {
        text::check_characters(field, true).map_err(|fault| self.text_fault(field, fault))?;
        match topic::name_fault(text::checked(field)) {
            Some((error, at)) => Err(self.fault_in(field, at, rule(error))),
            None => Ok(()),
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn text_fault(self, field: &[u8], fault: text::Fault) -> DecodeError {
        self.fault_in(field, fault.at, fault.kind.into())
    }

    /// All that is left.
    #[inline(always)]
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        let (all, none) = self.rest.split_at(self.rest.len());
        self.rest = none;
        all
    }

    /// The end of the packet: nothing may be left over.
    #[inline(always)]
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.fault(DecodeRule::TrailingBytes)) }
    }
}
