//! What CONNECT and CONNACK together have settled, with every default of the standard filled in
//! once.

use core::num::{NonZeroU16, NonZeroU32};

use mqtt_codec::{ConnAck, QoS};

use super::authenticate::AuthenticationData;
use super::config::ClientConfig;

/// No packet is larger: the fixed header cannot say more.
const FORMAT_LIMIT: u32 = 268_435_460;

/// The terms of a connection: what the server allows, and what is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// Whether the server had the session, so that subscriptions and messages under way live on.
    pub session_present: bool,
    /// The Client Identifier: the configured one, or the one that the server assigned.
    pub client_id: Box<str>,
    /// Seconds that the session outlives the connection; `u32::MAX` for ever.
    pub session_expiry_interval: u32,
    /// The Keep Alive in force, in seconds; 0 for none [MQTT-3.2.2-21].
    pub keep_alive: u16,
    /// How many QoS 1 and QoS 2 messages the server takes at once.
    pub receive_maximum: NonZeroU16,
    /// The highest QoS that the server takes in a PUBLISH.
    pub maximum_qos: QoS,
    /// Whether the server takes retained messages.
    pub retain_available: bool,
    /// The largest packet that the server takes, in bytes.
    pub maximum_packet_size: u32,
    /// The highest Topic Alias that the server takes.
    pub topic_alias_maximum: u16,
    /// Whether the server takes `+` and `#` in Topic Filters.
    pub wildcard_subscription_available: bool,
    /// Whether the server takes Subscription Identifiers.
    pub subscription_id_available: bool,
    /// Whether the server takes `$share/...` filters.
    pub shared_subscription_available: bool,
    /// From what response topics are to be made, if the server said so.
    pub response_information: Option<Box<str>>,
    /// The server's last word of enhanced authentication, for the application to check.
    pub authentication_data: AuthenticationData,
}

impl Negotiated {
    /// Resolves a CONNACK that accepts. `client_id` is the one that CONNECT carried.
    pub(super) fn new(config: &ClientConfig, client_id: &str, connack: &ConnAck<'_>) -> Self {
        let properties = &connack.properties;
        Self {
            session_present: connack.session_present,
            client_id: properties.assigned_client_id().unwrap_or(client_id).into(),
            session_expiry_interval: properties
                .session_expiry_interval()
                .unwrap_or(config.session.expiry),
            // [MQTT-3.1.2-21] [MQTT-3.2.2-21]
            keep_alive: properties
                .server_keep_alive()
                .unwrap_or_else(|| config.keep_alive_seconds()),
            receive_maximum: properties.receive_maximum().unwrap_or(NonZeroU16::MAX),
            maximum_qos: properties.maximum_qos().unwrap_or(QoS::ExactlyOnce),
            retain_available: properties.retain_available().unwrap_or(true),
            maximum_packet_size: properties
                .maximum_packet_size()
                .map_or(FORMAT_LIMIT, NonZeroU32::get)
                .min(FORMAT_LIMIT),
            topic_alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            wildcard_subscription_available: properties
                .wildcard_subscription_available()
                .unwrap_or(true),
            subscription_id_available: properties.subscription_id_available().unwrap_or(true),
            shared_subscription_available: properties
                .shared_subscription_available()
                .unwrap_or(true),
            response_information: properties.response_information().map(Into::into),
            authentication_data: AuthenticationData::of(properties),
        }
    }
}
