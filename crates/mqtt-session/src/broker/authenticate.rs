//! Enhanced authentication: AUTH before CONNACK, and again on an open connection.

use bytes::Bytes;
use mqtt_codec::{Auth, AuthReason, ConnectReason, DisconnectReason, Packet, PropertyBuf};

use super::connection::Phase;
use super::input::Handled;
use super::rates::Rate;
use super::request::{AuthenticateAnswer, AuthenticateRequest, ConnectRequest, Ticket};
use super::{Broker, BrokerEvent, CloseCause, ConnectionId};
use crate::Time;

/// The Authentication Method in force on a connection, and an exchange of it that is under way.
#[derive(Debug)]
pub(super) struct Authentication {
    pub(super) method: Box<str>,
    pub(super) step: Step,
    /// AUTH packets that the client has sent in answer to challenges of this exchange.
    pub(super) round: u32,
    /// How often the client began one of late.
    pub(super) begun: Rate,
}

/// Where an authentication on an open connection stands.
#[derive(Debug)]
pub(super) enum Step {
    /// None is under way.
    None,
    /// The driver decides.
    Deciding { ticket: Ticket, until: Time },
    /// The client has to answer a challenge.
    Challenged { until: Time },
}

impl Authentication {
    /// When the exchange that is under way has to have gone on.
    pub(super) const fn until(&self) -> Option<Time> {
        match self.step {
            Step::None => None,
            Step::Deciding { until, .. } | Step::Challenged { until } => Some(until),
        }
    }
}

impl Broker {
    /// The driver has decided about an authentication on an open connection.
    pub fn answer_authenticate(
        &mut self,
        now: Time,
        request: AuthenticateRequest,
        answer: AuthenticateAnswer,
    ) {
        let now = self.advance(now);
        let ConnectionId(key) = request.id;
        if !self.connections.is_current(key) {
            return;
        }
        let until = now + self.config.limits.connect_timeout;
        let Some(authentication) = self.authentication(key.slot) else { return };
        if !matches!(authentication.step, Step::Deciding { ticket, .. } if ticket == request.ticket)
        {
            return;
        }
        let (reason, data) = match answer {
            AuthenticateAnswer::Accept(data) => {
                authentication.step = Step::None;
                authentication.round = 0;
                (AuthReason::Success, data)
            }
            AuthenticateAnswer::Challenge(data) => {
                authentication.step = Step::Challenged { until };
                (AuthReason::ContinueAuthentication, Some(data))
            }
            AuthenticateAnswer::Refuse(reason) => {
                // [MQTT-4.12.1-2]
                self.end(key.slot, reason);
                return;
            }
        };
        self.send_auth(key.slot, &request.method, reason, data.as_ref());
        self.arm_connection(key.slot);
    }

    /// A client whose CONNECT was accepted sends AUTH.
    #[inline(never)]
    pub(super) fn on_auth(&mut self, slot: u32, auth: &Auth<'_>) -> Handled {
        let ticket = self.draw_ticket();
        let until = self.now + self.config.decisions.timeout;
        let now = self.now;
        let rounds = self.config.limits.authentication_rounds;
        let most = self.config.limits.reauthentications;
        let session = self.connections.get(slot).and_then(|connection| connection.session);
        let Some(key) = self.connections.key(slot) else { return Ok(()) };
        // AUTH although the CONNECT named no method, or another one [MQTT-4.12.1-1]
        // [MQTT5-U-3.15-1] [MQTT5-U-3.15.2.2.2-1].
        let Some(authentication) = self.authentication(slot) else {
            return Err(DisconnectReason::ProtocolError);
        };
        if auth.properties.authentication_method() != Some(&*authentication.method) {
            return Err(DisconnectReason::ProtocolError);
        }
        match (&authentication.step, auth.reason) {
            (Step::None, AuthReason::ReAuthenticate) => {
                authentication.round = 0;
                if !authentication.begun.admit(now, most) {
                    return Err(DisconnectReason::QuotaExceeded);
                }
            }
            (Step::Challenged { .. }, AuthReason::ContinueAuthentication) => {
                authentication.round += 1;
                if authentication.round > rounds {
                    return Err(DisconnectReason::QuotaExceeded);
                }
            }
            _ => return Err(DisconnectReason::ProtocolError),
        }
        authentication.step = Step::Deciding { ticket, until };
        let (method, round) = (authentication.method.clone(), authentication.round);
        let Some(session) = session.and_then(|slot| self.sessions.get(slot)) else {
            return Ok(());
        };
        let request = AuthenticateRequest {
            id: ConnectionId(key),
            ticket,
            client_id: session.client_id.clone(),
            identity: session.identity.clone(),
            method,
            data: auth.properties.authentication_data().map(Bytes::copy_from_slice),
            round,
        };
        self.events.push_back(BrokerEvent::Authenticate(request));
        self.arm_connection(slot);
        Ok(())
    }

    /// Sends a client that wants to connect a challenge [MQTT-4.12.0-2].
    pub(super) fn challenge(&mut self, slot: u32, request: ConnectRequest, data: &Bytes) {
        let Some(method) = request.authentication_method().map(Box::<str>::from) else {
            self.refuse(slot, ConnectReason::BadAuthenticationMethod);
            return;
        };
        self.send_auth(slot, &method, AuthReason::ContinueAuthentication, Some(data));
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.phase = Phase::Challenged(Box::new(request));
        }
        self.arm_connection(slot);
    }

    /// Another packet than CONNECT comes before CONNACK: only AUTH that answers a challenge may
    /// [MQTT-3.1.2-30].
    pub(super) fn on_packet_while_challenged(&mut self, slot: u32, packet: &Packet<'_>) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if let Packet::Disconnect(disconnect) = packet {
            self.close(slot, CloseCause::Disconnected(disconnect.reason));
            return;
        }
        let Packet::Auth(auth) = packet else {
            self.refuse(slot, ConnectReason::ProtocolError);
            return;
        };
        let phase = core::mem::replace(&mut connection.phase, Phase::Opened);
        let Phase::Challenged(mut request) = phase else {
            connection.phase = phase;
            return;
        };
        let rounds = self.config.limits.authentication_rounds;
        // [MQTT-4.12.0-3] [MQTT-4.12.0-5]
        let method = auth.properties.authentication_method();
        let fits = auth.reason == AuthReason::ContinueAuthentication
            && method == request.authentication_method();
        let Some(authentication) = request.authentication.as_mut().filter(|_| fits) else {
            self.refuse(slot, ConnectReason::ProtocolError);
            return;
        };
        authentication.round += 1;
        if authentication.round > rounds {
            self.refuse(slot, ConnectReason::QuotaExceeded);
            return;
        }
        authentication.data = auth.properties.authentication_data().map(Bytes::copy_from_slice);
        self.ask_connect(slot, *request);
    }

    fn send_auth(&mut self, slot: u32, method: &str, reason: AuthReason, data: Option<&Bytes>) {
        let mut properties = PropertyBuf::new();
        // [MQTT-4.12.0-5]; the method came in a packet, so it fits into one, and data that is too
        // long for a packet reaches nobody.
        let _ = properties.authentication_method(method);
        if let Some(data) = data {
            let _ = properties.authentication_data(data);
        }
        let auth = Auth { reason, properties: properties.as_properties() };
        self.answer(slot, Packet::Auth(auth));
    }

    fn authentication(&mut self, slot: u32) -> Option<&mut Authentication> {
        self.connections.get_mut(slot)?.asked.as_deref_mut()?.authentication.as_mut()
    }
}
