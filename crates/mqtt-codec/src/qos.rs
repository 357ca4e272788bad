//! Quality of Service: the level of a message, and what a PUBLISH carries because of it.

use core::fmt;

use crate::ids::PacketId;

/// How often a message may arrive.
///
/// ```
/// use mqtt_codec::QoS;
///
/// // A message is delivered at the lower of its own QoS and that of the subscription.
/// assert_eq!(QoS::ExactlyOnce.min(QoS::AtLeastOnce), QoS::AtLeastOnce);
/// assert!(QoS::try_from(3).is_err());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u8", into = "u8"))]
#[repr(u8)]
pub enum QoS {
    /// Once or not at all.
    #[default]
    AtMostOnce = 0,
    /// Once or more often.
    AtLeastOnce = 1,
    /// Once.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS of two bits of a packet; `None` for 3.
    #[inline]
    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0b11 {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// A number that is no QoS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("QoS is 0, 1 or 2, not {0}")]
pub struct InvalidQoS(
    /// The number as it was given.
    pub u8,
);

impl TryFrom<u8> for QoS {
    type Error = InvalidQoS;

    #[inline]
    fn try_from(qos: u8) -> Result<Self, Self::Error> {
        match qos {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            _ => Err(InvalidQoS(qos)),
        }
    }
}

impl From<QoS> for u8 {
    #[inline]
    fn from(qos: QoS) -> Self {
        qos as Self
    }
}

impl fmt::Display for QoS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QoS {}", *self as u8)
    }
}

/// The QoS of a PUBLISH together with what only that QoS has, so that a QoS 1 message without a
/// Packet Identifier, or a QoS 0 message with DUP, cannot be written.
/// [MQTT-2.2.1-2] [MQTT-3.3.1-2] [MQTT-3.3.1-4]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum PublishQos {
    /// QoS 0.
    #[default]
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce {
        /// The identifier that PUBACK will repeat.
        id: PacketId,
        /// Whether this packet may have been sent before. [MQTT-3.3.1-1]
        dup: bool,
    },
    /// QoS 2.
    ExactlyOnce {
        /// The identifier that PUBREC, PUBREL and PUBCOMP will repeat.
        id: PacketId,
        /// Whether this packet may have been sent before. [MQTT-3.3.1-1]
        dup: bool,
    },
}

impl PublishQos {
    /// The level alone.
    #[inline]
    #[must_use]
    pub const fn qos(self) -> QoS {
        match self {
            Self::AtMostOnce => QoS::AtMostOnce,
            Self::AtLeastOnce { .. } => QoS::AtLeastOnce,
            Self::ExactlyOnce { .. } => QoS::ExactlyOnce,
        }
    }

    /// The Packet Identifier; `None` for QoS 0. [MQTT-2.2.1-2]
    #[inline]
    #[must_use]
    pub const fn packet_id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce { id, .. } | Self::ExactlyOnce { id, .. } => Some(id),
        }
    }

    /// Whether the packet may have been sent before; never for QoS 0. [MQTT-3.3.1-2]
    #[inline]
    #[must_use]
    pub const fn dup(self) -> bool {
        match self {
            Self::AtMostOnce => false,
            Self::AtLeastOnce { dup, .. } | Self::ExactlyOnce { dup, .. } => dup,
        }
    }
}
