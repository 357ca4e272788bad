//! Variable Byte Integers: seven bits a byte, the lowest first, at most four bytes.

/// The largest value that four bytes hold.
pub(crate) const MAX: u32 = 268_435_455;

/// Why bytes do not begin with a Variable Byte Integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes end inside it.
    Incomplete,
    /// The fourth byte says that a fifth follows.
    TooLong,
    /// The last byte, which is this many bytes from the first, adds nothing. [MQTT-1.5.5-1]
    NotMinimal(usize),
}

/// Reads one from the front, and returns what is behind it.
#[inline(always)]
pub(crate) fn read(bytes: &[u8]) -> Result<(u32, &[u8]), Fault> {
    match bytes.split_first() {
        Some((&byte, rest)) if byte < 0x80 => Ok((u32::from(byte), rest)),
        Some(_) => read_long(bytes),
        None => Err(Fault::Incomplete),
    }
}

/// Reads one that may have more than one byte.
#[inline(never)]
fn read_long(bytes: &[u8]) -> Result<(u32, &[u8]), Fault> {
    let mut value = 0;
    let mut rest = bytes;
    for index in 0..4 {
        let Some((&byte, behind)) = rest.split_first() else {
            return Err(Fault::Incomplete);
        };
        rest = behind;
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte < 0x80 {
            // [MQTT-1.5.5-1]
            if byte == 0 && index > 0 {
                return Err(Fault::NotMinimal(index));
            }
            return Ok((value, rest));
        }
    }
    Err(Fault::TooLong)
}

/// How many bytes a value takes. [MQTT-1.5.5-1]
#[inline]
pub(crate) const fn len(value: u32) -> usize {
    if value < 1 << 7 {
        1
    } else if value < 1 << 14 {
        2
    } else if value < 1 << 21 {
        3
    } else {
        4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Sink;

    /// Proves: [MQTT-1.5.5-1]
    #[test]
    fn the_values_at_each_border_take_the_fewest_bytes() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xFF, 0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (MAX, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ] {
            let mut written = Vec::new();
            written.varint(value);
            assert_eq!(written, bytes);
            assert_eq!(len(value), bytes.len());
            assert_eq!(read(bytes), Ok((value, &[][..])));
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut]), Err(Fault::Incomplete));
            }
        }
    }

    /// Proves: [MQTT-1.5.5-1]
    #[test]
    fn a_longer_form_than_needed_is_refused_at_its_last_byte() {
        assert_eq!(read(&[0x80, 0x00]), Err(Fault::NotMinimal(1)));
        assert_eq!(read(&[0xFF, 0x80, 0x00]), Err(Fault::NotMinimal(2)));
        assert_eq!(read(&[0xFF, 0xFF, 0xFF, 0x00]), Err(Fault::NotMinimal(3)));
    }

    #[test]
    fn a_fifth_byte_is_refused_as_soon_as_the_fourth_announces_it() {
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80]), Err(Fault::TooLong));
        assert_eq!(read(&[0xFF, 0xFF, 0xFF, 0xFF, 0x01]), Err(Fault::TooLong));
    }
}
