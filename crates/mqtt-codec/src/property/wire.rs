//! Properties as they stand on the wire, once they have been checked: sets of them, and taking
//! one after the other off a slice.

use core::fmt;

use super::{Kind, PropertyId, lookup};
use crate::text;
use crate::varint;

/// A set of properties. The number of its bit is the identifier of a property; bit 0, which is
/// none, says that Subscription Identifiers stand more than once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct PropertySet(u64);

impl PropertySet {
    pub(crate) const EMPTY: Self = Self(0);
    /// Bit 0: more than one Subscription Identifier.
    pub(crate) const REPEATED: Self = Self(1);
    /// What a server may not pass on as it came: it counts down the expiry, aliases and
    /// Subscription Identifiers belong to one connection, and the delay of a will is over when it
    /// is published. [MQTT-3.3.2-6] [MQTT-3.3.2-7]
    pub(crate) const NOT_FORWARDED: Self = Self::EMPTY
        .with(PropertyId::MessageExpiryInterval)
        .with(PropertyId::SubscriptionIdentifier)
        .with(PropertyId::TopicAlias)
        .with(PropertyId::WillDelayInterval);

    #[inline(always)]
    pub(crate) const fn of_byte(id: u8) -> Self {
        if id < 64 { Self(1 << id) } else { Self::EMPTY }
    }

    #[inline(always)]
    pub(crate) const fn with(self, id: PropertyId) -> Self {
        self.union(Self::of_byte(id as u8))
    }

    #[inline(always)]
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline(always)]
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[inline(always)]
    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    #[inline(always)]
    pub(crate) const fn contains(self, id: PropertyId) -> bool {
        self.intersects(Self::of_byte(id as u8))
    }

    /// The property with the lowest identifier.
    pub(crate) fn first(self) -> Option<PropertyId> {
        PropertyId::ALL.iter().copied().find(|id| self.contains(*id))
    }
}

/// One property of a checked slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) id: PropertyId,
    /// The value as it is written, with its length prefix if it has one.
    pub(crate) value: &'a [u8],
    /// The whole property, with its identifier.
    pub(crate) whole: &'a [u8],
}

/// Takes the first property off a checked slice; `None` at its end.
#[inline]
pub(crate) fn split<'a>(bytes: &mut &'a [u8]) -> Option<Field<'a>> {
    let (&id, behind) = bytes.split_first()?;
    let (id, kind) = lookup(id)?;
    let len = value_len(kind, behind)?;
    let (value, rest) = behind.split_at_checked(len)?;
    let (whole, _) = bytes.split_at_checked(len + 1)?;
    *bytes = rest;
    Some(Field { id, value, whole })
}

/// How many bytes the value takes that `bytes` begin with.
#[inline]
fn value_len(kind: Kind, bytes: &[u8]) -> Option<usize> {
    Some(match kind {
        Kind::Flag => 1,
        Kind::U16 | Kind::NonZeroU16 | Kind::Alias => 2,
        Kind::U32 | Kind::NonZeroU32 => 4,
        Kind::NonZeroVarint => {
            let (_, rest) = varint::read(bytes).ok()?;
            bytes.len() - rest.len()
        }
        Kind::Text | Kind::Identifier | Kind::Topic | Kind::Binary => prefixed_len(bytes)?,
        Kind::Pair => {
            let name = prefixed_len(bytes)?;
            name + prefixed_len(bytes.get(name..)?)?
        }
    })
}

/// How many bytes a length prefix and what it counts take.
#[inline]
fn prefixed_len(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk::<2>().map(|len| 2 + usize::from(u16::from_be_bytes(*len)))
}

/// What stands behind a length prefix, and what is behind that.
#[inline]
pub(crate) fn split_prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, behind) = bytes.split_first_chunk::<2>()?;
    behind.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

/// Hands the value of a property to a `Debug` builder, in the form that people read.
pub(crate) fn value_debug(field: &Field<'_>, show: impl FnOnce(&dyn fmt::Debug)) {
    let Some((_, kind)) = lookup(field.id as u8) else { return };
    match kind {
        Kind::Flag | Kind::U16 | Kind::NonZeroU16 | Kind::Alias | Kind::U32 | Kind::NonZeroU32 => {
            let number =
                field.value.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
            show(&number);
        }
        Kind::NonZeroVarint => show(&varint::read(field.value).map_or(0, |(id, _)| id)),
        Kind::Text | Kind::Identifier | Kind::Topic => {
            show(&text::checked(split_prefixed(field.value).unwrap_or_default().0));
        }
        Kind::Binary => {
            let (data, _) = split_prefixed(field.value).unwrap_or_default();
            show(&format_args!("{} bytes", data.len()));
        }
        Kind::Pair => {
            let (name, value) = split_prefixed(field.value).unwrap_or_default();
            let (value, _) = split_prefixed(value).unwrap_or_default();
            show(&format_args!("{:?} = {:?}", text::checked(name), text::checked(value)));
        }
    }
}
