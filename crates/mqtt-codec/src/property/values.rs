//! Properties as an owned struct, for applications that want to keep or compare them.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::{NonZeroU16, NonZeroU32};

use super::{PayloadFormat, Properties, PropertyBuf};
use crate::error::EncodeError;
use crate::ids::SubscriptionId;
use crate::qos::QoS;
use crate::topic::TopicName;

/// All properties as fields, owned. A convenience: packets are read through [`Properties`] and
/// built through [`PropertyBuf`] without it.
///
/// ```
/// use mqtt_codec::PropertyValues;
///
/// let values = PropertyValues {
///     content_type: Some("text/plain".to_owned()),
///     message_expiry_interval: Some(60),
///     ..PropertyValues::default()
/// };
/// let buf = values.to_buf()?;
/// assert_eq!(PropertyValues::from(buf.as_properties()), values);
/// # Ok::<(), mqtt_codec::EncodeError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct PropertyValues {
    /// Whether the payload is text.
    pub payload_format_indicator: Option<PayloadFormat>,
    /// Seconds that the message lives.
    pub message_expiry_interval: Option<u32>,
    /// What the payload contains.
    pub content_type: Option<String>,
    /// Where an answer to the message is published to.
    pub response_topic: Option<String>,
    /// What tells the sender of a request which one an answer is for.
    pub correlation_data: Option<Vec<u8>>,
    /// The numbers of the subscriptions.
    pub subscription_ids: Vec<SubscriptionId>,
    /// Seconds that the session outlives its connection.
    pub session_expiry_interval: Option<u32>,
    /// The Client Identifier that the server chose.
    pub assigned_client_id: Option<String>,
    /// The Keep Alive that the server sets, in seconds.
    pub server_keep_alive: Option<u16>,
    /// The name of the enhanced authentication.
    pub authentication_method: Option<String>,
    /// What the authentication exchanges.
    pub authentication_data: Option<Vec<u8>>,
    /// Whether the client wants Reason Strings and User Properties.
    pub request_problem_information: Option<bool>,
    /// Seconds between the end of the connection and the Will Message.
    pub will_delay_interval: Option<u32>,
    /// Whether the client wants Response Information.
    pub request_response_information: Option<bool>,
    /// What a Response Topic may be made from.
    pub response_information: Option<String>,
    /// Another server to use.
    pub server_reference: Option<String>,
    /// A reason in words.
    pub reason_string: Option<String>,
    /// How many QoS 1 and QoS 2 messages may be under way.
    pub receive_maximum: Option<NonZeroU16>,
    /// The highest Topic Alias that is accepted.
    pub topic_alias_maximum: Option<u16>,
    /// The number that stands for the Topic Name.
    pub topic_alias: Option<NonZeroU16>,
    /// The highest QoS that the server accepts. QoS 2 is written as no property at all.
    pub maximum_qos: Option<QoS>,
    /// Whether the server keeps retained messages.
    pub retain_available: Option<bool>,
    /// Names and values of the application's choice, in their order.
    pub user_properties: Vec<(String, String)>,
    /// The largest packet that is accepted, in bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// Whether the server accepts wildcards in Topic Filters.
    pub wildcard_subscription_available: Option<bool>,
    /// Whether the server accepts Subscription Identifiers.
    pub subscription_id_available: Option<bool>,
    /// Whether the server accepts Shared Subscriptions.
    pub shared_subscription_available: Option<bool>,
}

impl PropertyValues {
    /// The properties in the form that goes into a packet, in the order of their identifiers, and
    /// the User Properties among themselves in the order that they have here.
    ///
    /// # Errors
    ///
    /// What is wrong with the first text or data that cannot be sent.
    pub fn to_buf(&self) -> Result<PropertyBuf, EncodeError> {
        let mut buf = PropertyBuf::new();
        set(&mut buf, self.payload_format_indicator, PropertyBuf::payload_format_indicator);
        set(&mut buf, self.message_expiry_interval, PropertyBuf::message_expiry_interval);
        try_set(&mut buf, self.content_type.as_deref(), PropertyBuf::content_type)?;
        if let Some(topic) = &self.response_topic {
            buf.response_topic(TopicName::new(topic)?);
        }
        try_set(&mut buf, self.correlation_data.as_deref(), PropertyBuf::correlation_data)?;
        for id in &self.subscription_ids {
            buf.subscription_id(*id);
        }
        set(&mut buf, self.session_expiry_interval, PropertyBuf::session_expiry_interval);
        try_set(&mut buf, self.assigned_client_id.as_deref(), PropertyBuf::assigned_client_id)?;
        set(&mut buf, self.server_keep_alive, PropertyBuf::server_keep_alive);
        try_set(
            &mut buf,
            self.authentication_method.as_deref(),
            PropertyBuf::authentication_method,
        )?;
        try_set(&mut buf, self.authentication_data.as_deref(), PropertyBuf::authentication_data)?;
        set(&mut buf, self.request_problem_information, PropertyBuf::request_problem_information);
        set(&mut buf, self.will_delay_interval, PropertyBuf::will_delay_interval);
        set(&mut buf, self.request_response_information, PropertyBuf::request_response_information);
        try_set(&mut buf, self.response_information.as_deref(), PropertyBuf::response_information)?;
        try_set(&mut buf, self.server_reference.as_deref(), PropertyBuf::server_reference)?;
        try_set(&mut buf, self.reason_string.as_deref(), PropertyBuf::reason_string)?;
        set(&mut buf, self.receive_maximum, PropertyBuf::receive_maximum);
        set(&mut buf, self.topic_alias_maximum, PropertyBuf::topic_alias_maximum);
        set(&mut buf, self.topic_alias, PropertyBuf::topic_alias);
        set(&mut buf, self.maximum_qos, PropertyBuf::maximum_qos);
        set(&mut buf, self.retain_available, PropertyBuf::retain_available);
        for (name, value) in &self.user_properties {
            buf.user_property(name, value)?;
        }
        set(&mut buf, self.maximum_packet_size, PropertyBuf::maximum_packet_size);
        set(
            &mut buf,
            self.wildcard_subscription_available,
            PropertyBuf::wildcard_subscription_available,
        );
        set(&mut buf, self.subscription_id_available, PropertyBuf::subscription_id_available);
        set(
            &mut buf,
            self.shared_subscription_available,
            PropertyBuf::shared_subscription_available,
        );
        Ok(buf)
    }
}

/// Calls a setter that cannot fail, if there is a value.
fn set<T>(
    buf: &mut PropertyBuf,
    value: Option<T>,
    setter: impl FnOnce(&mut PropertyBuf, T) -> &mut PropertyBuf,
) {
    if let Some(value) = value {
        setter(buf, value);
    }
}

/// Calls a setter that checks what it is given, if there is a value.
fn try_set<T: ?Sized>(
    buf: &mut PropertyBuf,
    value: Option<&T>,
    setter: impl for<'a, 'b> FnOnce(
        &'a mut PropertyBuf,
        &'b T,
    ) -> Result<&'a mut PropertyBuf, EncodeError>,
) -> Result<(), EncodeError> {
    if let Some(value) = value {
        setter(buf, value)?;
    }
    Ok(())
}

impl From<Properties<'_>> for PropertyValues {
    fn from(properties: Properties<'_>) -> Self {
        Self {
            payload_format_indicator: properties.payload_format_indicator(),
            message_expiry_interval: properties.message_expiry_interval(),
            content_type: properties.content_type().map(ToOwned::to_owned),
            response_topic: properties.response_topic().map(|topic| topic.as_str().to_owned()),
            correlation_data: properties.correlation_data().map(ToOwned::to_owned),
            subscription_ids: properties.subscription_ids().collect(),
            session_expiry_interval: properties.session_expiry_interval(),
            assigned_client_id: properties.assigned_client_id().map(ToOwned::to_owned),
            server_keep_alive: properties.server_keep_alive(),
            authentication_method: properties.authentication_method().map(ToOwned::to_owned),
            authentication_data: properties.authentication_data().map(ToOwned::to_owned),
            request_problem_information: properties.request_problem_information(),
            will_delay_interval: properties.will_delay_interval(),
            request_response_information: properties.request_response_information(),
            response_information: properties.response_information().map(ToOwned::to_owned),
            server_reference: properties.server_reference().map(ToOwned::to_owned),
            reason_string: properties.reason_string().map(ToOwned::to_owned),
            receive_maximum: properties.receive_maximum(),
            topic_alias_maximum: properties.topic_alias_maximum(),
            topic_alias: properties.topic_alias(),
            maximum_qos: properties.maximum_qos(),
            retain_available: properties.retain_available(),
            user_properties: properties
                .user_properties()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            maximum_packet_size: properties.maximum_packet_size(),
            wildcard_subscription_available: properties.wildcard_subscription_available(),
            subscription_id_available: properties.subscription_id_available(),
            shared_subscription_available: properties.shared_subscription_available(),
        }
    }
}
