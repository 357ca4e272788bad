//! The beginning of a connection: CONNECT, and what CONNACK makes of it.

use mqtt_codec::{
    ConnAck, ConnectOptions, EncodeError, PacketType, PropertyBuf, PropertyId, TopicName,
    Will as ConnectWill,
};

use super::Client;
use super::config::{ClientConfig, FirstConnection, Will};
use super::error::{ClientCloseCause, ConfigError, Violation};
use super::event::ClientEvent;
use super::keep_alive::KeepAlive;
use super::link::{Connecting, Link, Open, Reauthentication};
use super::negotiated::Negotiated;
use super::ready::Ready;
use crate::Time;
use crate::exchange::{IncomingAliases, OutgoingAliases};

impl Client {
    /// A network connection to the server stands: CONNECT is the first thing to be sent on it
    /// [MQTT-3.1.0-1].
    ///
    /// A client that was [started](Self::start) takes this as the answer to
    /// [`ClientEvent::Dial`], and ignores a connection that it did not ask for, or not any more.
    /// To one that was not this may be said at any time; an earlier connection that was not
    /// reported as ended then counts as lost.
    pub fn handle_connected(&mut self, now: Time) {
        let now = self.advance(now);
        if !self.takes_transport() {
            return;
        }
        self.changed();
        self.connection_ended(ClientCloseCause::Lost);
        self.tail.reset();
        let clean_start = match self.config.session.first {
            FirstConnection::AlwaysClean => true,
            FirstConnection::Clean | FirstConnection::Rejoin => !self.session.is_held,
        };
        let mut ready = Vec::new();
        // The configuration was tried out when it was taken, with the one identifier that a
        // server may have replaced since by one that it assigned.
        if encode(&self.config, &self.session.client_id, clean_start, &mut ready).is_err() {
            self.session.client_id = self.config.client_id.as_str().into();
            ready.clear();
            let _checked = encode(&self.config, &self.session.client_id, clean_start, &mut ready);
        }
        self.link = Link::Connecting(Connecting {
            ready,
            is_connect_sent: false,
            is_challenged: false,
            clean_start,
            deadline: now + self.config.connect_timeout,
        });
    }

    pub(super) fn on_connack(&mut self, now: Time, connack: &ConnAck<'_>) -> Result<(), Violation> {
        let Link::Connecting(connecting) = &self.link else {
            return Err(Violation::UnexpectedPacket(PacketType::ConnAck));
        };
        if connack.reason.is_error() {
            // [MQTT-4.13.2-1]
            let properties = connack.properties.into();
            self.connection_ended(ClientCloseCause::Refused { reason: connack.reason, properties });
            return Ok(());
        }
        // [MQTT-4.12.0-5]
        self.check_method(PacketType::ConnAck, &connack.properties)?;
        // [MQTT-3.2.2-4]
        if connack.session_present && (connecting.clean_start || !self.session.is_held) {
            return Err(Violation::SessionPresent);
        }
        // [MQTT-3.2.2-5] [MQTT-3.1.2-4]
        if !connack.session_present {
            self.session.end(self.config.republish, &mut self.events);
        }
        self.settle_unread(connack.session_present);
        let negotiated = Negotiated::new(&self.config, &self.session.client_id, connack);
        self.session.client_id = negotiated.client_id.clone();
        self.session.is_held = true;
        self.reconnecting.accepted(now);
        self.session.exchanges.start_connection(negotiated.receive_maximum);
        self.session.incoming.start_connection(self.config.tolerated_maximum());
        self.events.push_back(ClientEvent::Connected(Box::new(negotiated.clone())));
        self.link = Link::Open(Box::new(Open {
            keep_alive: KeepAlive::new(now, negotiated.keep_alive),
            ready: Ready::default(),
            incoming_aliases: IncomingAliases::default(),
            outgoing_aliases: OutgoingAliases::new(
                negotiated.topic_alias_maximum,
                self.config.outgoing_topic_aliases,
            )
            .replacing(),
            authentication: Reauthentication::None,
            leaving: None,
            negotiated,
        }));
        self.renew_subscriptions();
        Ok(())
    }
}

/// Whether a CONNECT can be made from this configuration.
pub(super) fn check(config: &ClientConfig) -> Result<(), ConfigError> {
    encode(config, &config.client_id, true, &mut Vec::new())
}

/// Appends the CONNECT that the configuration asks for.
fn encode(
    config: &ClientConfig,
    client_id: &str,
    clean_start: bool,
    out: &mut Vec<u8>,
) -> Result<(), ConfigError> {
    let properties = properties(config)?;
    let will_properties = config.will.as_ref().map(will_properties);
    let will = match (&config.will, &will_properties) {
        (Some(will), Some(properties)) => Some(ConnectWill {
            qos: will.qos,
            retain: will.retain,
            properties: properties.as_properties(),
            topic: TopicName::new(&will.topic).map_err(ConfigError::WillTopic)?,
            payload: &will.payload,
        }),
        _ => None,
    };
    let options = ConnectOptions {
        clean_start,
        keep_alive: config.keep_alive_seconds(),
        properties: properties.as_properties(),
        client_id,
        will,
        user_name: config.credentials.user_name.as_deref(),
        password: config.credentials.password.as_deref(),
    };
    Ok(options.encode(out, u32::MAX)?)
}

/// The properties of CONNECT; those whose value is the standard's default are left out.
fn properties(config: &ClientConfig) -> Result<PropertyBuf, EncodeError> {
    let mut properties = PropertyBuf::new();
    if config.session.expiry > 0 {
        properties.session_expiry_interval(config.session.expiry);
    }
    if config.receive_maximum.get() < u16::MAX {
        properties.receive_maximum(config.receive_maximum);
    }
    if let Some(bytes) = config.maximum_packet_size {
        properties.maximum_packet_size(bytes);
    }
    if config.topic_alias_maximum > 0 {
        properties.topic_alias_maximum(config.topic_alias_maximum);
    }
    if config.request_response_information {
        properties.request_response_information(true);
    }
    if !config.request_problem_information {
        properties.request_problem_information(false);
    }
    if let Some(authentication) = &config.authentication {
        properties.authentication_method(&authentication.method)?;
        if !authentication.data.is_empty() {
            properties.authentication_data(&authentication.data)?;
        }
    }
    for (name, value) in &config.user_properties {
        properties.user_property(name, value)?;
    }
    Ok(properties)
}

fn will_properties(will: &Will) -> PropertyBuf {
    let mut properties = will.properties.clone();
    if will.delay > 0 {
        properties.will_delay_interval(will.delay);
    } else {
        properties.remove(PropertyId::WillDelayInterval);
    }
    properties
}
