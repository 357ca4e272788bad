//! Checking the properties of a packet that came in: one pass over the bytes, however many there
//! are.

use super::wire::PropertySet;
use super::{Kind, Place, Properties, PropertyId, lookup};
use crate::error::{DecodeError, DecodeRule};
use crate::reader::Reader;
use crate::topic::{TopicError, has_name_flags};

impl<'a> Properties<'a> {
    /// Reads a Property Length and the properties behind it. [MQTT-2.2.2-1]
    #[inline(always)]
    pub(crate) fn read(reader: &mut Reader<'a>, place: Place) -> Result<Self, DecodeError> {
        let before = reader.rest().len();
        let len = reader.varint()?;
        if len == 0 {
            return Ok(Self::EMPTY);
        }
        let prefix = before - reader.rest().len();
        let part = reader.part(len as usize, prefix)?;
        Self::check(part, place.allowed(), place.repeatable())
    }

    /// Checks properties that stand without their length.
    #[inline(never)]
    pub(crate) fn check(
        mut reader: Reader<'a>,
        allowed: PropertySet,
        repeatable: PropertySet,
    ) -> Result<Self, DecodeError> {
        let bytes = reader.rest();
        let mut present = PropertySet::EMPTY;
        while !reader.is_empty() {
            let byte = reader.u8()?;
            let bit = PropertySet::of_byte(byte);
            // [MQTT5-U-2.2.2.2-1]
            let Some((id, kind)) = lookup(byte) else {
                return Err(reader.fault_before(1, DecodeRule::UnknownProperty { id: byte }));
            };
            if !allowed.intersects(bit) {
                return Err(reader.fault_before(1, DecodeRule::PropertyNotAllowed { id }));
            }
            if present.intersects(bit) {
                if !repeatable.intersects(bit) {
                    return Err(reader.fault_before(1, DecodeRule::DuplicateProperty { id }));
                }
                if id == PropertyId::SubscriptionIdentifier {
                    present = present.union(PropertySet::REPEATED);
                }
            }
            present = present.union(bit);
            check_value(&mut reader, id, kind)?;
        }
        Ok(Self::from_checked(bytes, present))
    }
}

/// Reads the value of a property and checks that it is in its range.
#[inline(always)]
fn check_value(reader: &mut Reader<'_>, id: PropertyId, kind: Kind) -> Result<(), DecodeError> {
    let out_of_range = DecodeRule::PropertyValue { id };
    match kind {
        Kind::Flag => {
            if reader.u8()? > 1 {
                return Err(reader.fault_before(1, out_of_range));
            }
        }
        Kind::U16 => {
            reader.u16()?;
        }
        Kind::NonZeroU16 => {
            if reader.u16()? == 0 {
                return Err(reader.fault_before(2, out_of_range));
            }
        }
        Kind::Alias => {
            // [MQTT-3.3.2-8] [MQTT5-U-3.3.4-1]
            if reader.u16()? == 0 {
                return Err(reader.fault_before(2, DecodeRule::TopicAliasZero));
            }
        }
        Kind::U32 => {
            reader.u32()?;
        }
        Kind::NonZeroU32 => {
            if reader.u32()? == 0 {
                return Err(reader.fault_before(4, out_of_range));
            }
        }
        Kind::NonZeroVarint => {
            if reader.varint()? == 0 {
                return Err(reader.fault_before(1, out_of_range));
            }
        }
        Kind::Text => {
            reader.string()?;
        }
        Kind::Identifier => {
            reader.identifier()?;
        }
        Kind::Topic => {
            // [MQTT-3.3.2-13] [MQTT-3.3.2-14]
            let field = reader.prefixed()?;
            if field.is_empty() {
                return Err(reader.fault(DecodeRule::ResponseTopic(TopicError::Empty)));
            }
            if has_name_flags(field) {
                reader.check_topic(field, DecodeRule::ResponseTopic)?;
            }
        }
        Kind::Binary => {
            reader.prefixed()?;
        }
        Kind::Pair => {
            // [MQTT-1.5.7-1] [MQTT5-U-1.5.7-1]
            reader.string()?;
            reader.string()?;
        }
    }
    Ok(())
}
