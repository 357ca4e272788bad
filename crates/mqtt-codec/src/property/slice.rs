//! Properties as a packet has them: a checked slice with a typed accessor for each.

use alloc::vec::Vec;
use core::fmt;
use core::num::{NonZeroU16, NonZeroU32};

use super::iter::{PropertyIds, SubscriptionIds, UserProperties};
use super::wire::{self, PropertySet, split_prefixed};
use super::{Place, PropertyId};
use crate::error::DecodeError;
use crate::qos::QoS;
use crate::reader::Reader;
use crate::sink::Sink;
use crate::text;
use crate::topic::TopicName;

/// What a Payload Format Indicator says of a payload. Nothing checks that it is true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PayloadFormat {
    /// Bytes of no particular form; also the meaning of no indicator.
    #[default]
    Unspecified,
    /// Text in UTF-8.
    Utf8,
}

/// The properties of a packet: the bytes as they stand on the wire, without their length, and
/// checked.
///
/// A `Properties` is a slice and a set of what is in it. Asking for a property that is absent
/// costs one comparison; asking for one that is there walks to it. Those with a default in the
/// standard answer `None` when absent, so that what the peer said can be told from what follows.
///
/// They come out of a packet, or out of a [`PropertyBuf`](super::PropertyBuf):
///
/// ```
/// use mqtt_codec::{PropertyBuf, PropertyId};
///
/// let mut buf = PropertyBuf::new();
/// buf.message_expiry_interval(60).user_property("room", "kitchen")?;
/// let properties = buf.as_properties();
///
/// assert_eq!(properties.message_expiry_interval(), Some(60));
/// assert_eq!(properties.content_type(), None);
/// assert_eq!(properties.user_properties().next(), Some(("room", "kitchen")));
/// assert!(properties.contains(PropertyId::UserProperty));
/// # Ok::<(), mqtt_codec::EncodeError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Properties<'a> {
    bytes: &'a [u8],
    present: PropertySet,
}

impl<'a> Properties<'a> {
    /// No properties at all.
    pub const EMPTY: Self = Self { bytes: &[], present: PropertySet::EMPTY };

    #[inline(always)]
    pub(crate) const fn from_checked(bytes: &'a [u8], present: PropertySet) -> Self {
        Self { bytes, present }
    }

    /// Checks bytes that were kept from [`Properties::as_bytes`] or
    /// [`Properties::copy_forwardable`], and makes them readable again.
    ///
    /// # Errors
    ///
    /// The first rule for properties of this place that the bytes break. Its offset counts from
    /// the first of the bytes.
    ///
    /// ```
    /// use mqtt_codec::{PacketType, Properties};
    ///
    /// let properties = Properties::from_wire(&[0x23, 0x00, 0x05], PacketType::Publish)?;
    /// assert_eq!(properties.topic_alias().map(|alias| alias.get()), Some(5));
    /// # Ok::<(), mqtt_codec::DecodeError>(())
    /// ```
    pub fn from_wire(bytes: &'a [u8], place: impl Into<Place>) -> Result<Self, DecodeError> {
        let place = place.into();
        let reader = Reader::new(bytes, bytes.len(), place.packet_type());
        Self::check(reader, place.allowed(), place.repeatable())
    }

    /// The bytes as they stand on the wire, without the Property Length.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there is no property.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether this property is there.
    #[inline]
    #[must_use]
    pub const fn contains(&self, id: PropertyId) -> bool {
        self.present.contains(id)
    }

    /// The identifiers of all properties, in the order and as often as they stand.
    #[must_use]
    pub const fn ids(&self) -> PropertyIds<'a> {
        PropertyIds(self.bytes)
    }

    #[inline(always)]
    pub(crate) const fn present(&self) -> PropertySet {
        self.present
    }

    /// Whether the payload is text; `None` means [`PayloadFormat::Unspecified`].
    #[must_use]
    pub fn payload_format_indicator(&self) -> Option<PayloadFormat> {
        self.flag(PropertyId::PayloadFormatIndicator)
            .map(|text| if text { PayloadFormat::Utf8 } else { PayloadFormat::Unspecified })
    }

    /// Seconds that the message lives; `None` means for ever.
    #[inline]
    #[must_use]
    pub fn message_expiry_interval(&self) -> Option<u32> {
        self.u32(PropertyId::MessageExpiryInterval)
    }

    /// What the payload contains: text like any other [MQTT-3.3.2-19].
    #[must_use]
    pub fn content_type(&self) -> Option<&'a str> {
        self.text(PropertyId::ContentType)
    }

    /// Where an answer to the message is published to.
    #[must_use]
    pub fn response_topic(&self) -> Option<TopicName<'a>> {
        self.text(PropertyId::ResponseTopic).map(|text| TopicName::from_checked(text.as_bytes()))
    }

    /// What tells the sender of a request which one an answer is for.
    #[must_use]
    pub fn correlation_data(&self) -> Option<&'a [u8]> {
        self.binary(PropertyId::CorrelationData)
    }

    /// The Subscription Identifiers: at most one in SUBSCRIBE, any number in PUBLISH.
    #[must_use]
    pub fn subscription_ids(&self) -> SubscriptionIds<'a> {
        SubscriptionIds(self.bytes_if(PropertyId::SubscriptionIdentifier))
    }

    /// Seconds that the session outlives its connection; 4,294,967,295 means for ever, and `None`
    /// in CONNECT means 0.
    #[must_use]
    pub fn session_expiry_interval(&self) -> Option<u32> {
        self.u32(PropertyId::SessionExpiryInterval)
    }

    /// The Client Identifier that the server chose.
    #[must_use]
    pub fn assigned_client_id(&self) -> Option<&'a str> {
        self.text(PropertyId::AssignedClientIdentifier)
    }

    /// The Keep Alive that the server sets, in seconds; `None` leaves that of CONNECT in force.
    #[must_use]
    pub fn server_keep_alive(&self) -> Option<u16> {
        self.u16(PropertyId::ServerKeepAlive)
    }

    /// The name of the enhanced authentication.
    #[must_use]
    pub fn authentication_method(&self) -> Option<&'a str> {
        self.text(PropertyId::AuthenticationMethod)
    }

    /// What the authentication exchanges.
    #[must_use]
    pub fn authentication_data(&self) -> Option<&'a [u8]> {
        self.binary(PropertyId::AuthenticationData)
    }

    /// Whether the client wants Reason Strings and User Properties; `None` means yes.
    #[must_use]
    pub fn request_problem_information(&self) -> Option<bool> {
        self.flag(PropertyId::RequestProblemInformation)
    }

    /// Seconds between the end of the connection and the Will Message; `None` means 0.
    #[must_use]
    pub fn will_delay_interval(&self) -> Option<u32> {
        self.u32(PropertyId::WillDelayInterval)
    }

    /// Whether the client wants Response Information; `None` means no.
    #[must_use]
    pub fn request_response_information(&self) -> Option<bool> {
        self.flag(PropertyId::RequestResponseInformation)
    }

    /// What a Response Topic may be made from.
    #[must_use]
    pub fn response_information(&self) -> Option<&'a str> {
        self.text(PropertyId::ResponseInformation)
    }

    /// Another server to use.
    #[must_use]
    pub fn server_reference(&self) -> Option<&'a str> {
        self.text(PropertyId::ServerReference)
    }

    /// A reason in words, for people and logs.
    #[must_use]
    pub fn reason_string(&self) -> Option<&'a str> {
        self.text(PropertyId::ReasonString)
    }

    /// How many QoS 1 and QoS 2 messages may be under way; `None` means 65,535.
    #[must_use]
    pub fn receive_maximum(&self) -> Option<NonZeroU16> {
        self.u16(PropertyId::ReceiveMaximum).and_then(NonZeroU16::new)
    }

    /// The highest Topic Alias that is accepted; `None` means 0, so none.
    #[must_use]
    pub fn topic_alias_maximum(&self) -> Option<u16> {
        self.u16(PropertyId::TopicAliasMaximum)
    }

    /// The number that stands for the Topic Name.
    #[inline]
    #[must_use]
    pub fn topic_alias(&self) -> Option<NonZeroU16> {
        self.u16(PropertyId::TopicAlias).and_then(NonZeroU16::new)
    }

    /// The highest QoS that the server accepts in PUBLISH, 0 or 1; `None` means 2.
    #[must_use]
    pub fn maximum_qos(&self) -> Option<QoS> {
        self.flag(PropertyId::MaximumQos)
            .map(|one| if one { QoS::AtLeastOnce } else { QoS::AtMostOnce })
    }

    /// Whether the server keeps retained messages; `None` means yes.
    #[must_use]
    pub fn retain_available(&self) -> Option<bool> {
        self.flag(PropertyId::RetainAvailable)
    }

    /// The User Properties, in their order. The same name may come more than once.
    #[must_use]
    pub fn user_properties(&self) -> UserProperties<'a> {
        UserProperties(self.bytes_if(PropertyId::UserProperty))
    }

    /// The largest packet that is accepted, in bytes; `None` means that there is no limit.
    #[must_use]
    pub fn maximum_packet_size(&self) -> Option<NonZeroU32> {
        self.u32(PropertyId::MaximumPacketSize).and_then(NonZeroU32::new)
    }

    /// Whether the server accepts wildcards in Topic Filters; `None` means yes.
    #[must_use]
    pub fn wildcard_subscription_available(&self) -> Option<bool> {
        self.flag(PropertyId::WildcardSubscriptionAvailable)
    }

    /// Whether the server accepts Subscription Identifiers; `None` means yes.
    #[must_use]
    pub fn subscription_id_available(&self) -> Option<bool> {
        self.flag(PropertyId::SubscriptionIdentifierAvailable)
    }

    /// Whether the server accepts Shared Subscriptions; `None` means yes.
    #[must_use]
    pub fn shared_subscription_available(&self) -> Option<bool> {
        self.flag(PropertyId::SharedSubscriptionAvailable)
    }

    /// Appends the properties that a server passes on with a message or will as they came: all but
    /// the Message Expiry Interval, which counts down, Subscription Identifiers and the Topic
    /// Alias, which belong to one connection, and the Will Delay Interval. The order stays.
    /// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18]
    /// [MQTT-3.3.2-20]
    ///
    /// The bytes go into [`Forward::forwardable`](crate::Forward::forwardable).
    #[inline]
    pub fn copy_forwardable(&self, out: &mut Vec<u8>) {
        self.copy_without(PropertySet::NOT_FORWARDED, out);
    }

    /// Appends all properties but those of a set.
    #[inline]
    pub(crate) fn copy_without(&self, omitted: PropertySet, out: &mut impl Sink) {
        if !self.present.intersects(omitted) {
            out.bytes(self.bytes);
            return;
        }
        let mut rest = self.bytes;
        while let Some(field) = wire::split(&mut rest) {
            if !omitted.contains(field.id) {
                out.bytes(field.whole);
            }
        }
    }

    /// How many bytes stand before the first property of this kind.
    pub(crate) fn offset_of(&self, id: PropertyId) -> usize {
        let mut rest = self.bytes;
        let mut before = 0;
        while let Some(field) = wire::split(&mut rest) {
            if field.id == id {
                break;
            }
            before += field.whole.len();
        }
        before
    }

    #[inline]
    fn bytes_if(&self, id: PropertyId) -> &'a [u8] {
        if self.contains(id) { self.bytes } else { &[] }
    }

    /// The value of a property as it is written.
    #[inline]
    fn find(&self, id: PropertyId) -> Option<&'a [u8]> {
        if !self.contains(id) {
            return None;
        }
        self.walk_to(id)
    }

    fn walk_to(&self, id: PropertyId) -> Option<&'a [u8]> {
        let mut rest = self.bytes;
        loop {
            let field = wire::split(&mut rest)?;
            if field.id == id {
                return Some(field.value);
            }
        }
    }

    #[inline]
    fn flag(&self, id: PropertyId) -> Option<bool> {
        self.find(id)?.first().map(|value| *value != 0)
    }

    #[inline]
    fn u16(&self, id: PropertyId) -> Option<u16> {
        self.find(id)?.first_chunk().map(|value| u16::from_be_bytes(*value))
    }

    #[inline]
    fn u32(&self, id: PropertyId) -> Option<u32> {
        self.find(id)?.first_chunk().map(|value| u32::from_be_bytes(*value))
    }

    #[inline]
    fn binary(&self, id: PropertyId) -> Option<&'a [u8]> {
        split_prefixed(self.find(id)?).map(|(value, _)| value)
    }

    #[inline]
    fn text(&self, id: PropertyId) -> Option<&'a str> {
        self.binary(id).map(text::checked)
    }
}

/// Shows every property by its name. Authentication Data may be a secret: only its length is
/// shown, and that of Correlation Data, which is nobody's business.
impl fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        let mut rest = self.bytes;
        while let Some(field) = wire::split(&mut rest) {
            map.key(&format_args!("{}", field.id));
            wire::value_debug(&field, |value| {
                map.value(value);
            });
        }
        map.finish()
    }
}
