//! Saved state as bytes: little-endian numbers of fixed size, and lists with their count in front.
//!
//! Reading trusts nothing: a count is compared with the bytes that are left before any memory is
//! taken for it.

use bytes::Bytes;

/// What is left to read.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

/// A part of the saved state.
pub(super) trait Form: Sized {
    /// The fewest bytes that it takes.
    const LEAST: usize;

    fn write(&self, out: &mut Vec<u8>);

    fn read(input: &mut Input<'_>) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty),+) => {
        $(impl Form for $number {
            const LEAST: usize = size_of::<Self>();

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn read(input: &mut Input<'_>) -> Option<Self> {
                let bytes = input.take(size_of::<Self>())?;
                Some(Self::from_le_bytes(bytes.try_into().ok()?))
            }
        })+
    };
}
numbers!(u8, u16, u32, u64);

impl Form for bool {
    const LEAST: usize = 1;

    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        match u8::read(input)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Form for Bytes {
    const LEAST: usize = 4;

    fn write(&self, out: &mut Vec<u8>) {
        count(self.len(), out);
        out.extend_from_slice(self);
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        let len = u32::read(input)?;
        Some(Self::copy_from_slice(input.take(usize::try_from(len).ok()?)?))
    }
}

impl Form for Box<str> {
    const LEAST: usize = 4;

    fn write(&self, out: &mut Vec<u8>) {
        count(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        let len = u32::read(input)?;
        let bytes = input.take(usize::try_from(len).ok()?)?;
        Some(str::from_utf8(bytes).ok()?.into())
    }
}

impl<T: Form> Form for Option<T> {
    const LEAST: usize = 1;

    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        Some(if bool::read(input)? { Some(T::read(input)?) } else { None })
    }
}

impl<T: Form> Form for Vec<T> {
    const LEAST: usize = 4;

    fn write(&self, out: &mut Vec<u8>) {
        count(self.len(), out);
        for item in self {
            item.write(out);
        }
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        let count = usize::try_from(u32::read(input)?).ok()?;
        if count > input.0.len() / T::LEAST {
            return None;
        }
        let mut items = Self::with_capacity(count);
        for _ in 0..count {
            items.push(T::read(input)?);
        }
        Some(items)
    }
}

/// No list has more items than 32 bits can count: memory ends before.
fn count(len: usize, out: &mut Vec<u8>) {
    u32::try_from(len).unwrap_or(u32::MAX).write(out);
}

/// Implements [`Form`] for a struct: its fields, in this order.
macro_rules! form {
    ($name:ident { $($field:ident: $kind:ty),+ $(,)? }) => {
        impl Form for $name {
            const LEAST: usize = 0 $(+ <$kind as Form>::LEAST)+;

            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.write(out);)+
            }

            fn read(input: &mut Input<'_>) -> Option<Self> {
                $(let $field = <$kind>::read(input)?;)+
                Some(Self { $($field),+ })
            }
        }
    };
}
pub(super) use form;
