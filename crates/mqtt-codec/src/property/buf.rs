//! Building properties.

use alloc::vec::Vec;
use core::fmt;
use core::num::{NonZeroU16, NonZeroU32};

use super::wire::PropertySet;
use super::{PayloadFormat, Properties, PropertyId};
use crate::error::EncodeError;
use crate::ids::SubscriptionId;
use crate::qos::QoS;
use crate::sink::Sink;
use crate::text;
use crate::topic::TopicName;

/// Properties under construction, already in the form that they have on the wire.
///
/// One setter for each property. A setter replaces what was set before, but for
/// [`PropertyBuf::user_property`] and [`PropertyBuf::subscription_id`], which add another one.
/// Which packet they are for shows when they are encoded: a property that may not stand there is
/// refused then.
///
/// ```
/// use mqtt_codec::{PropertyBuf, TopicName};
///
/// let mut properties = PropertyBuf::new();
/// properties
///     .message_expiry_interval(60)
///     .response_topic(TopicName::new("answers/7")?)
///     .content_type("text/plain")?
///     .user_property("room", "kitchen")?;
/// assert_eq!(properties.as_properties().content_type(), Some("text/plain"));
/// # Ok::<(), mqtt_codec::EncodeError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct PropertyBuf {
    bytes: Vec<u8>,
    present: PropertySet,
}

impl PropertyBuf {
    /// No properties.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), present: PropertySet::EMPTY }
    }

    /// The properties set so far, to put into a packet or to read.
    #[inline]
    #[must_use]
    pub fn as_properties(&self) -> Properties<'_> {
        Properties::from_checked(&self.bytes, self.present)
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes everything out, and keeps the memory.
    pub fn clear(&mut self) -> &mut Self {
        self.bytes.clear();
        self.present = PropertySet::EMPTY;
        self
    }

    /// Takes a property out, however often it stands.
    pub fn remove(&mut self, id: PropertyId) -> &mut Self {
        if self.present.contains(id) {
            let omitted = PropertySet::EMPTY.with(id);
            let mut kept = Vec::with_capacity(self.bytes.len());
            self.as_properties().copy_without(omitted, &mut kept);
            self.bytes = kept;
            self.present = self.present.without(omitted);
            if id == PropertyId::SubscriptionIdentifier {
                self.present = self.present.without(PropertySet::REPEATED);
            }
        }
        self
    }

    /// Sets whether the payload is text.
    pub fn payload_format_indicator(&mut self, format: PayloadFormat) -> &mut Self {
        self.flag(PropertyId::PayloadFormatIndicator, format == PayloadFormat::Utf8)
    }

    /// Sets how many seconds the message lives.
    pub fn message_expiry_interval(&mut self, seconds: u32) -> &mut Self {
        self.array(PropertyId::MessageExpiryInterval, seconds.to_be_bytes())
    }

    /// Sets what the payload contains.
    ///
    /// # Errors
    ///
    /// [`EncodeError::StringTooLong`] or [`EncodeError::NulCharacter`]; nothing is changed then.
    pub fn content_type(&mut self, content_type: &str) -> Result<&mut Self, EncodeError> {
        self.text(PropertyId::ContentType, content_type)
    }

    /// Sets where an answer to the message is published to.
    pub fn response_topic(&mut self, topic: TopicName<'_>) -> &mut Self {
        self.prefixed(PropertyId::ResponseTopic, topic.as_bytes())
    }

    /// Sets what tells the sender of a request which one an answer is for.
    ///
    /// # Errors
    ///
    /// [`EncodeError::BinaryTooLong`]; nothing is changed then.
    pub fn correlation_data(&mut self, data: &[u8]) -> Result<&mut Self, EncodeError> {
        self.binary(PropertyId::CorrelationData, data)
    }

    /// Adds a Subscription Identifier: one for SUBSCRIBE, any number for PUBLISH from a server.
    pub fn subscription_id(&mut self, id: SubscriptionId) -> &mut Self {
        if self.present.contains(PropertyId::SubscriptionIdentifier) {
            self.present = self.present.union(PropertySet::REPEATED);
        }
        self.add(PropertyId::SubscriptionIdentifier);
        self.bytes.varint(id.get());
        self
    }

    /// Sets how many seconds the session outlives its connection; 4,294,967,295 means for ever.
    pub fn session_expiry_interval(&mut self, seconds: u32) -> &mut Self {
        self.array(PropertyId::SessionExpiryInterval, seconds.to_be_bytes())
    }

    /// Sets the Client Identifier that the server chose.
    ///
    /// # Errors
    ///
    /// [`EncodeError::StringTooLong`], [`EncodeError::NulCharacter`],
    /// [`EncodeError::ControlCharacter`] or [`EncodeError::NonCharacter`]; nothing is changed then.
    pub fn assigned_client_id(&mut self, client_id: &str) -> Result<&mut Self, EncodeError> {
        text::check_outgoing_identifier(client_id)?;
        Ok(self.prefixed(PropertyId::AssignedClientIdentifier, client_id.as_bytes()))
    }

    /// Sets the Keep Alive that the server wants, in seconds; 0 turns it off.
    pub fn server_keep_alive(&mut self, seconds: u16) -> &mut Self {
        self.array(PropertyId::ServerKeepAlive, seconds.to_be_bytes())
    }

    /// Sets the name of the enhanced authentication.
    ///
    /// # Errors
    ///
    /// [`EncodeError::StringTooLong`] or [`EncodeError::NulCharacter`]; nothing is changed then.
    pub fn authentication_method(&mut self, method: &str) -> Result<&mut Self, EncodeError> {
        self.text(PropertyId::AuthenticationMethod, method)
    }

    /// Sets what the authentication exchanges.
    ///
    /// # Errors
    ///
    /// [`EncodeError::BinaryTooLong`]; nothing is changed then.
    pub fn authentication_data(&mut self, data: &[u8]) -> Result<&mut Self, EncodeError> {
        self.binary(PropertyId::AuthenticationData, data)
    }

    /// Sets whether the client wants Reason Strings and User Properties.
    pub fn request_problem_information(&mut self, wanted: bool) -> &mut Self {
        self.flag(PropertyId::RequestProblemInformation, wanted)
    }

    /// Sets the seconds between the end of the connection and the Will Message.
    pub fn will_delay_interval(&mut self, seconds: u32) -> &mut Self {
        self.array(PropertyId::WillDelayInterval, seconds.to_be_bytes())
    }

    /// Sets whether the client wants Response Information.
    pub fn request_response_information(&mut self, wanted: bool) -> &mut Self {
        self.flag(PropertyId::RequestResponseInformation, wanted)
    }

    /// Sets what a Response Topic may be made from.
    ///
    /// # Errors
    ///
    /// [`EncodeError::StringTooLong`] or [`EncodeError::NulCharacter`]; nothing is changed then.
    pub fn response_information(&mut self, information: &str) -> Result<&mut Self, EncodeError> {
        self.text(PropertyId::ResponseInformation, information)
    }

    /// Sets another server to use.
    ///
    /// # Errors
    ///
    /// [`EncodeError::StringTooLong`] or [`EncodeError::NulCharacter`]; nothing is changed then.
    pub fn server_reference(&mut self, reference: &str) -> Result<&mut Self, EncodeError> {
        self.text(PropertyId::ServerReference, reference)
    }

    /// Sets a reason in words, which is left out where the packet would grow too large by it.
    ///
    /// # Errors
    ///
    /// [`EncodeError::StringTooLong`] or [`EncodeError::NulCharacter`]; nothing is changed then.
    pub fn reason_string(&mut self, reason: &str) -> Result<&mut Self, EncodeError> {
        self.text(PropertyId::ReasonString, reason)
    }

    /// Sets how many QoS 1 and QoS 2 messages may be under way.
    pub fn receive_maximum(&mut self, maximum: NonZeroU16) -> &mut Self {
        self.array(PropertyId::ReceiveMaximum, maximum.get().to_be_bytes())
    }

    /// Sets the highest Topic Alias that is accepted; 0 means none.
    pub fn topic_alias_maximum(&mut self, maximum: u16) -> &mut Self {
        self.array(PropertyId::TopicAliasMaximum, maximum.to_be_bytes())
    }

    /// Sets the number that stands for the Topic Name. [MQTT-3.3.2-8]
    pub fn topic_alias(&mut self, alias: NonZeroU16) -> &mut Self {
        self.array(PropertyId::TopicAlias, alias.get().to_be_bytes())
    }

    /// Sets the highest QoS that the server accepts. The standard has no way to write QoS 2, which
    /// is what the absence of the property means: it is taken out then.
    pub fn maximum_qos(&mut self, maximum: QoS) -> &mut Self {
        match maximum {
            QoS::AtMostOnce => self.flag(PropertyId::MaximumQos, false),
            QoS::AtLeastOnce => self.flag(PropertyId::MaximumQos, true),
            QoS::ExactlyOnce => self.remove(PropertyId::MaximumQos),
        }
    }

    /// Sets whether the server keeps retained messages.
    pub fn retain_available(&mut self, available: bool) -> &mut Self {
        self.flag(PropertyId::RetainAvailable, available)
    }

    /// Adds a User Property. They keep the order in which they are added.
    ///
    /// # Errors
    ///
    /// [`EncodeError::StringTooLong`] or [`EncodeError::NulCharacter`]; nothing is changed then.
    pub fn user_property(&mut self, name: &str, value: &str) -> Result<&mut Self, EncodeError> {
        // [MQTT-1.5.7-1]
        text::check_outgoing(name)?;
        text::check_outgoing(value)?;
        self.add(PropertyId::UserProperty);
        self.bytes.prefixed(name.as_bytes());
        self.bytes.prefixed(value.as_bytes());
        Ok(self)
    }

    /// Sets the largest packet that is accepted, in bytes.
    pub fn maximum_packet_size(&mut self, bytes: NonZeroU32) -> &mut Self {
        self.array(PropertyId::MaximumPacketSize, bytes.get().to_be_bytes())
    }

    /// Sets whether the server accepts wildcards in Topic Filters.
    pub fn wildcard_subscription_available(&mut self, available: bool) -> &mut Self {
        self.flag(PropertyId::WildcardSubscriptionAvailable, available)
    }

    /// Sets whether the server accepts Subscription Identifiers.
    pub fn subscription_id_available(&mut self, available: bool) -> &mut Self {
        self.flag(PropertyId::SubscriptionIdentifierAvailable, available)
    }

    /// Sets whether the server accepts Shared Subscriptions.
    pub fn shared_subscription_available(&mut self, available: bool) -> &mut Self {
        self.flag(PropertyId::SharedSubscriptionAvailable, available)
    }

    /// Writes an identifier behind what is there.
    fn add(&mut self, id: PropertyId) {
        self.present = self.present.with(id);
        self.bytes.push(id as u8);
    }

    /// Writes an identifier for a value that replaces an earlier one.
    fn set(&mut self, id: PropertyId) {
        self.remove(id).add(id);
    }

    fn flag(&mut self, id: PropertyId, value: bool) -> &mut Self {
        self.array(id, [u8::from(value)])
    }

    fn array<const N: usize>(&mut self, id: PropertyId, value: [u8; N]) -> &mut Self {
        self.set(id);
        Sink::array(&mut self.bytes, value);
        self
    }

    fn text(&mut self, id: PropertyId, value: &str) -> Result<&mut Self, EncodeError> {
        text::check_outgoing(value)?;
        Ok(self.prefixed(id, value.as_bytes()))
    }

    fn binary(&mut self, id: PropertyId, value: &[u8]) -> Result<&mut Self, EncodeError> {
        text::check_outgoing_binary(value)?;
        Ok(self.prefixed(id, value))
    }

    /// Writes a value that was checked to fit its length field.
    fn prefixed(&mut self, id: PropertyId, value: &[u8]) -> &mut Self {
        self.set(id);
        Sink::prefixed(&mut self.bytes, value);
        self
    }
}

impl From<Properties<'_>> for PropertyBuf {
    /// A copy that can be changed.
    fn from(properties: Properties<'_>) -> Self {
        Self { bytes: properties.as_bytes().to_vec(), present: properties.present() }
    }
}

impl fmt::Debug for PropertyBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_properties().fmt(f)
    }
}
