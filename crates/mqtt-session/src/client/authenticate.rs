//! Enhanced authentication, from the client's side: an exchange of AUTH packets before CONNACK, or
//! later on a connection that stands.

use core::fmt;

use mqtt_codec::{Auth, AuthReason, EncodeError, PacketType, Properties, PropertyBuf, PropertyId};

use super::Client;
use super::config::Authentication;
use super::error::{AuthenticateError, Violation};
use super::event::ClientEvent;
use super::link::{Link, Reauthentication};
use crate::Time;

/// Data of enhanced authentication, which may be secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuthenticationData(Box<[u8]>);

impl AuthenticationData {
    /// The data; empty if there was none.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn of(properties: &Properties<'_>) -> Self {
        Self(properties.authentication_data().unwrap_or_default().into())
    }
}

impl fmt::Debug for AuthenticationData {
    /// Tells the length, never what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl Client {
    /// Answers the server's challenge. Before CONNACK nothing but this is sent [MQTT-3.1.2-30].
    ///
    /// # Errors
    ///
    /// See [`AuthenticateError`]; nothing has changed then.
    pub fn authenticate(&mut self, now: Time, data: &[u8]) -> Result<(), AuthenticateError> {
        let now = self.advance(now);
        // [MQTT-4.12.0-3]
        let reason = AuthReason::ContinueAuthentication;
        match &mut self.link {
            Link::Connecting(connecting) if connecting.is_challenged => {
                let packet = encode(&self.config.authentication, reason, data, u32::MAX)?;
                connecting.ready.extend_from_slice(&packet);
                connecting.is_challenged = false;
                connecting.deadline = now + self.config.connect_timeout;
                Ok(())
            }
            Link::Open(open) if open.authentication == Reauthentication::Challenged => {
                let maximum = open.negotiated.maximum_packet_size;
                let packet = encode(&self.config.authentication, reason, data, maximum)?;
                open.ready.extend(&packet);
                open.authentication = Reauthentication::Awaited;
                Ok(())
            }
            Link::Idle | Link::Connecting(_) | Link::Open(_) | Link::Closing(_) => {
                Err(AuthenticateError::NotChallenged)
            }
        }
    }

    /// Authenticates the client anew on a connection that stands, with the method of CONNECT
    /// [MQTT-4.12.1-1]. Everything else goes on meanwhile. [`ClientEvent::Authenticated`] follows,
    /// perhaps after challenges; if the server is not convinced it ends the connection. An
    /// application that is not convinced by the server [disconnects](Self::disconnect) with a
    /// reason of its own [MQTT-4.12.1-2].
    ///
    /// # Errors
    ///
    /// See [`AuthenticateError`]; nothing has changed then.
    pub fn reauthenticate(&mut self, now: Time, data: &[u8]) -> Result<(), AuthenticateError> {
        self.advance(now);
        let Link::Open(open) = &mut self.link else { return Err(AuthenticateError::NotPossible) };
        // [MQTT-4.12.0-7]
        if self.config.authentication.is_none()
            || open.authentication != Reauthentication::None
            || open.leaving.is_some()
        {
            return Err(AuthenticateError::NotPossible);
        }
        let maximum = open.negotiated.maximum_packet_size;
        let reason = AuthReason::ReAuthenticate;
        let packet = encode(&self.config.authentication, reason, data, maximum)?;
        open.ready.extend(&packet);
        open.authentication = Reauthentication::Awaited;
        Ok(())
    }

    pub(super) fn on_auth(&mut self, now: Time, auth: &Auth<'_>) -> Result<(), Violation> {
        let unexpected = Violation::UnexpectedPacket(PacketType::Auth);
        // [MQTT5-U-3.15-1]
        if self.config.authentication.is_none() {
            return Err(unexpected);
        }
        // [MQTT-4.12.0-5]
        self.check_method(PacketType::Auth, &auth.properties)?;
        let properties = words(&auth.properties);
        self.check_problem_information(PacketType::Auth, &properties.as_properties())?;
        let goes_on = auth.reason == AuthReason::ContinueAuthentication;
        match &mut self.link {
            Link::Connecting(connecting) if goes_on && !connecting.is_challenged => {
                connecting.is_challenged = true;
                // The application has its own time to answer in.
                connecting.deadline = now + self.config.connect_timeout;
            }
            Link::Open(open) if open.authentication == Reauthentication::Awaited => {
                open.authentication = match auth.reason {
                    AuthReason::ContinueAuthentication => Reauthentication::Challenged,
                    AuthReason::Success => Reauthentication::None,
                    // Only a client asks for it.
                    AuthReason::ReAuthenticate => return Err(unexpected),
                };
            }
            Link::Idle | Link::Connecting(_) | Link::Open(_) | Link::Closing(_) => {
                return Err(unexpected);
            }
        }
        let data = AuthenticationData::of(&auth.properties);
        self.events.push_back(if goes_on {
            ClientEvent::Challenged { data, properties }
        } else {
            ClientEvent::Authenticated { data, properties }
        });
        Ok(())
    }

    /// Whether a packet of the server names the Authentication Method that is in force.
    pub(super) fn check_method(
        &self,
        packet: PacketType,
        properties: &Properties<'_>,
    ) -> Result<(), Violation> {
        let method = self.config.authentication.as_ref().map(|it| it.method.as_str());
        if properties.authentication_method() == method {
            Ok(())
        } else {
            Err(Violation::AuthenticationMethod(packet))
        }
    }
}

/// Reason String and User Properties.
fn words(properties: &Properties<'_>) -> PropertyBuf {
    let mut words = PropertyBuf::from(*properties);
    words.remove(PropertyId::AuthenticationMethod);
    words.remove(PropertyId::AuthenticationData);
    words
}

/// An AUTH with the method of CONNECT.
fn encode(
    authentication: &Option<Authentication>,
    reason: AuthReason,
    data: &[u8],
    maximum: u32,
) -> Result<Vec<u8>, EncodeError> {
    let mut properties = PropertyBuf::new();
    if let Some(authentication) = authentication {
        properties.authentication_method(&authentication.method)?;
    }
    if !data.is_empty() {
        properties.authentication_data(data)?;
    }
    let mut packet = Vec::new();
    Auth { reason, properties: properties.as_properties() }.encode(&mut packet, maximum)?;
    Ok(packet)
}
