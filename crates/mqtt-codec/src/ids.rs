//! Packet Identifiers and Subscription Identifiers: numbers that are never 0.

use core::fmt;
use core::num::{NonZeroU16, NonZeroU32};

use crate::varint;

/// The Packet Identifier that ties an acknowledgement to what it acknowledges: 1 to 65,535.
///
/// An `Option<PacketId>` takes two bytes. [MQTT-2.2.1-3] [MQTT-2.2.1-4]
///
/// ```
/// use mqtt_codec::PacketId;
///
/// assert_eq!(PacketId::new(7).map(PacketId::get), Some(7));
/// assert_eq!(PacketId::new(0), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The lowest identifier, 1.
    pub const MIN: Self = Self(NonZeroU16::MIN);
    /// The highest identifier, 65,535.
    pub const MAX: Self = Self(NonZeroU16::MAX);

    /// The identifier of this number, or `None` for 0.
    #[inline]
    #[must_use]
    pub const fn new(id: u16) -> Option<Self> {
        match NonZeroU16::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl From<NonZeroU16> for PacketId {
    fn from(id: NonZeroU16) -> Self {
        Self(id)
    }
}

impl From<PacketId> for NonZeroU16 {
    fn from(id: PacketId) -> Self {
        id.0
    }
}

impl From<PacketId> for u16 {
    fn from(id: PacketId) -> Self {
        id.get()
    }
}

impl fmt::Debug for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketId({})", self.0)
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number that a client gives a subscription, and that a server puts into the messages it
/// sends because of that subscription: 1 to 268,435,455.
///
/// ```
/// use mqtt_codec::SubscriptionId;
///
/// assert_eq!(SubscriptionId::new(7).map(SubscriptionId::get), Some(7));
/// assert_eq!(SubscriptionId::new(0), None);
/// assert_eq!(SubscriptionId::new(268_435_456), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u32", into = "u32"))]
pub struct SubscriptionId(NonZeroU32);

impl SubscriptionId {
    /// The lowest identifier, 1.
    pub const MIN: Self = Self(NonZeroU32::MIN);
    /// The highest identifier, 268,435,455.
    pub const MAX: Self = match Self::new(varint::MAX) {
        Some(id) => id,
        None => Self::MIN,
    };

    /// The identifier of this number, or `None` for 0 and for what four bytes cannot hold.
    #[inline]
    #[must_use]
    pub const fn new(id: u32) -> Option<Self> {
        match NonZeroU32::new(id) {
            Some(number) if id <= varint::MAX => Some(Self(number)),
            _ => None,
        }
    }

    /// The number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// A number that is no Subscription Identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Subscription Identifiers run from 1 to 268,435,455; {0} is none")]
pub struct InvalidSubscriptionId(
    /// The number as it was given.
    pub u32,
);

impl TryFrom<u32> for SubscriptionId {
    type Error = InvalidSubscriptionId;

    fn try_from(id: u32) -> Result<Self, Self::Error> {
        Self::new(id).ok_or(InvalidSubscriptionId(id))
    }
}

impl From<SubscriptionId> for u32 {
    fn from(id: SubscriptionId) -> Self {
        id.get()
    }
}

impl fmt::Debug for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubscriptionId({})", self.0)
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
