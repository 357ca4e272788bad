//! The rules for text: well-formed UTF-8 without U+0000 everywhere, and without control and
//! non-characters where text is an identifier or a topic.
//!
//! Almost all text in MQTT is ASCII. The checks therefore look at eight bytes at a time for what
//! makes ASCII text wrong, and only then go through characters one by one.

use crate::error::{DecodeRule, EncodeError};
use crate::topic::TopicError;

/// Which rule a text breaks, and at which of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) at: usize,
}

/// The rules a text can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    IllFormedUtf8,
    Nul,
    Control,
    NonCharacter,
}

impl From<FaultKind> for DecodeRule {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::IllFormedUtf8 => Self::IllFormedUtf8,
            FaultKind::Nul => Self::NulCharacter,
            FaultKind::Control => Self::ControlCharacter,
            FaultKind::NonCharacter => Self::NonCharacter,
        }
    }
}

// A `&str` is UTF-8, so the first case of `FaultKind` cannot arise from one; the two targets below
// have no name for it and use that of the other character faults.
impl From<FaultKind> for EncodeError {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::Nul => Self::NulCharacter,
            FaultKind::Control => Self::ControlCharacter,
            FaultKind::NonCharacter | FaultKind::IllFormedUtf8 => Self::NonCharacter,
        }
    }
}

impl From<FaultKind> for TopicError {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::Nul => Self::NulCharacter,
            FaultKind::Control => Self::ControlCharacter,
            FaultKind::NonCharacter | FaultKind::IllFormedUtf8 => Self::NonCharacter,
        }
    }
}

/// The same byte eight times.
pub(crate) const fn repeat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The high bit of each byte.
pub(crate) const HIGH: u64 = repeat(0x80);

/// Joins what `flags` says about all bytes of a text, eight at a time.
///
/// `flags` sets the high bit of at least one byte of its result if a byte of the word is not plain.
/// Bytes may be shown to it twice, and a text of less than eight bytes is filled up with `filler`.
#[inline(always)]
pub(crate) fn any(bytes: &[u8], filler: u8, flags: impl Fn(u64) -> u64) -> bool {
    let found = if let Some(last) = bytes.last_chunk::<8>() {
        let (words, _) = bytes.as_chunks::<8>();
        words.iter().fold(flags(u64::from_le_bytes(*last)), |found, word| {
            found | flags(u64::from_le_bytes(*word))
        })
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let low = u64::from(u32::from_le_bytes(*first));
        let high = u64::from(u32::from_le_bytes(*last));
        flags(low | high << 32)
    } else {
        let f = filler;
        let [a, b, c] = match *bytes {
            [] => [f, f, f],
            [a] => [a, f, f],
            [a, b] => [a, b, f],
            [a, b, c, ..] => [a, b, c],
        };
        flags(u64::from_le_bytes([a, b, c, f, f, f, f, f]))
    };
    found & HIGH != 0
}

/// Non-zero high bits if a byte is not ASCII or is U+0000.
#[inline(always)]
const fn string_flags(word: u64) -> u64 {
    // Subtracting 1 from a byte borrows into its high bit only if the byte is 0.
    word | word.wrapping_sub(repeat(0x01))
}

/// Non-zero high bits if a byte is not ASCII or is a control character.
#[inline(always)]
pub(crate) const fn identifier_flags(word: u64) -> u64 {
    // Below 0x20 the subtraction borrows; for 0x7F the addition reaches the high bit.
    word | word.wrapping_sub(repeat(0x20)) | word.wrapping_add(repeat(0x01))
}

/// Checks a UTF-8 Encoded String. [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT5-U-1.5.4-1]
#[inline(always)]
pub(crate) fn check_string(bytes: &[u8]) -> Result<(), Fault> {
    if any(bytes, b' ', string_flags) { check_characters(bytes, false) } else { Ok(()) }
}

/// Checks a Client Identifier or User Name: a string without control and non-characters.
/// [MQTT5-U-1.5.4-2]
#[inline(always)]
pub(crate) fn check_identifier(bytes: &[u8]) -> Result<(), Fault> {
    if any(bytes, b' ', identifier_flags) { check_characters(bytes, true) } else { Ok(()) }
}

/// Checks text byte by byte, for what is not plain ASCII and to find where a fault is.
#[inline(never)]
pub(crate) fn check_characters(bytes: &[u8], plain: bool) -> Result<(), Fault> {
    // [MQTT-1.5.4-1] surrogates and over-long forms are not UTF-8 for the standard library either.
    // [MQTT-1.5.4-3] U+FEFF is a character as any other.
    let (text, ill_formed) = match core::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let at = error.valid_up_to();
            let valid = bytes.get(..at).and_then(|valid| core::str::from_utf8(valid).ok());
            (valid.unwrap_or_default(), Some(Fault { kind: FaultKind::IllFormedUtf8, at }))
        }
    };
    match first_fault(text, plain) {
        Some(fault) => Err(fault),
        None => ill_formed.map_or(Ok(()), Err),
    }
}

/// The first character that may not stand in a text; in an identifier or topic if `plain`.
pub(crate) fn first_fault(text: &str, plain: bool) -> Option<Fault> {
    text.char_indices().find_map(|(at, character)| {
        let kind = match character {
            // [MQTT-1.5.4-2]
            '\0' => FaultKind::Nul,
            _ if !plain => return None,
            // [MQTT5-U-1.5.4-2]
            '\u{1}'..='\u{1F}' | '\u{7F}'..='\u{9F}' => FaultKind::Control,
            '\u{FDD0}'..='\u{FDEF}' => FaultKind::NonCharacter,
            _ if u32::from(character) & 0xFFFE == 0xFFFE => FaultKind::NonCharacter,
            _ => return None,
        };
        Some(Fault { kind, at })
    })
}

/// Checks text that is to go into a packet as a UTF-8 Encoded String.
pub(crate) fn check_outgoing(text: &str) -> Result<(), EncodeError> {
    check_outgoing_len(text)?;
    check_string(text.as_bytes()).map_err(|fault| fault.kind.into())
}

/// Checks text that is to go into a packet as a Client Identifier or User Name.
pub(crate) fn check_outgoing_identifier(text: &str) -> Result<(), EncodeError> {
    check_outgoing_len(text)?;
    check_identifier(text.as_bytes()).map_err(|fault| fault.kind.into())
}

fn check_outgoing_len(text: &str) -> Result<(), EncodeError> {
    if text.len() > usize::from(u16::MAX) {
        return Err(EncodeError::StringTooLong { len: text.len() });
    }
    Ok(())
}

/// Checks bytes that are to go into a packet as Binary Data.
pub(crate) fn check_outgoing_binary(data: &[u8]) -> Result<(), EncodeError> {
    if data.len() > usize::from(u16::MAX) {
        return Err(EncodeError::BinaryTooLong { len: data.len() });
    }
    Ok(())
}

/// The text of bytes that were checked when they came in.
///
/// Checking again is the price of having no unsafe code; the empty text cannot come out of it.
#[inline]
pub(crate) const fn checked(bytes: &[u8]) -> &str {
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => "",
    }
}

#[cfg(test)]
mod tests;
