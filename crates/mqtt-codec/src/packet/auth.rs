//! AUTH.

use alloc::vec::Vec;

use super::encode::{self, Body};
use super::{PacketType, Reader, ack};
use crate::error::{DecodeError, DecodeRule, EncodeError};
use crate::property::{Properties, PropertyId, PropertySet};
use crate::reason::AuthReason;
use crate::sink::Sink;

/// A step of enhanced authentication.
///
/// The standard lets AUTH be cut down to its fixed header, and demands an Authentication Method in
/// every AUTH. The two bytes `f0 00` decode to [`AuthReason::Success`] without properties, and it
/// is left to the session to refuse that; every longer AUTH has to name the method.
///
/// ```
/// use mqtt_codec::{Auth, AuthReason, EncodeError, PropertyBuf};
///
/// let mut properties = PropertyBuf::new();
/// properties.authentication_method("SCRAM-SHA-256")?.authentication_data(b"n,,n=user")?;
/// let auth = Auth {
///     reason: AuthReason::ContinueAuthentication,
///     properties: properties.as_properties(),
/// };
/// let mut bytes = Vec::new();
/// auth.encode(&mut bytes, u32::MAX)?;
/// assert_eq!(bytes[..3], [0xF0, 0x1E, 0x18]);
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Where the exchange stands. [MQTT-3.15.2-1]
    pub reason: AuthReason,
    /// Authentication Method and Data, Reason String and User Properties.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    pub(super) fn decode(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        if reader.is_empty() {
            return Ok(Self { reason: AuthReason::Success, properties: Properties::EMPTY });
        }
        let reason = ack::reason(&mut reader)?;
        let start = reader.offset();
        let properties = Properties::read(&mut reader, PacketType::Auth.into())?;
        reader.finish()?;
        // [MQTT5-U-3.15.2.2.2-1]
        if !properties.contains(PropertyId::AuthenticationMethod) {
            return Err(DecodeError::new(
                DecodeRule::NoAuthenticationMethod,
                Some(PacketType::Auth),
                start,
            ));
        }
        Ok(Self { reason, properties })
    }

    /// Appends the packet: two bytes for Success without properties.
    ///
    /// Where the packet would be larger than `max_packet_size`, the Reason String and then the User
    /// Properties are left out.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NoAuthenticationMethod`], [`EncodeError::TooLarge`] or
    /// [`EncodeError::PropertyNotAllowed`]; `out` is unchanged then.
    #[inline(never)]
    pub fn encode(&self, out: &mut Vec<u8>, max_packet_size: u32) -> Result<(), EncodeError> {
        encode::check_properties(self.properties, PacketType::Auth.into())?;
        if !self.properties.contains(PropertyId::AuthenticationMethod)
            && (self.reason != AuthReason::Success || !self.properties.is_empty())
        {
            return Err(EncodeError::NoAuthenticationMethod);
        }
        encode::packet(self, out, max_packet_size)
    }
}

impl Body for Auth<'_> {
    fn first_byte(&self) -> u8 {
        0xF0
    }

    fn write<S: Sink>(&self, out: &mut S, omitted: PropertySet) {
        encode::reason_and_properties(out, self.reason.into(), self.properties, omitted);
    }

    fn shrinkable(&self) -> Properties<'_> {
        self.properties
    }
}
