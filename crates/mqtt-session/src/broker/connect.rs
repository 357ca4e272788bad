//! CONNECT: who may come in, which session it continues, and what CONNACK says.

use core::num::NonZeroU16;

use mqtt_codec::{ConnAck, Connect, ConnectReason, DisconnectReason, Packet, PropertyBuf};

use super::authenticate::{Authentication, Step};
use super::connection::{Deciding, Phase};
use super::messages::{NEVER, NewMessage, Payload};
use super::rates::Rate;
use super::request::{WillRequest, told};
use super::session::{FlowStart, Session, StoredWill};
use super::{
    Broker, BrokerEvent, ConnectAnswer, ConnectGrant, ConnectRequest, ConnectionId, PeerInfo,
};
use crate::Time;
use crate::exchange::OutgoingAliases;

impl Broker {
    /// The driver has decided about a CONNECT.
    ///
    /// An answer that comes after the connection is over, or after the decision's time, does
    /// nothing.
    pub fn answer_connect(&mut self, now: Time, request: ConnectRequest, answer: ConnectAnswer) {
        self.advance(now);
        let ConnectionId(key) = request.id;
        if !self.connections.is_current(key) {
            return;
        }
        let Some(connection) = self.connections.get(key.slot) else { return };
        if !matches!(&connection.phase, Phase::Deciding(asked) if asked.ticket == request.ticket) {
            return;
        }
        match answer {
            ConnectAnswer::Accept(grant) => self.accept(key.slot, request, grant),
            ConnectAnswer::Challenge(data) => self.challenge(key.slot, request, &data),
            ConnectAnswer::Refuse(refusal) => {
                let reason = if refusal.reason.is_error() {
                    refusal.reason
                } else {
                    ConnectReason::NotAuthorized
                };
                if is_about_identity(reason)
                    && let Some(address) = connection.counted
                {
                    self.failures.count(self.now, address);
                }
                self.refuse_with(key.slot, reason, &told(&refusal.properties, true));
            }
        }
        self.resume_input(key.slot, |paused| paused.for_decision = false);
    }

    /// A CONNECT came as the first packet.
    pub(super) fn on_connect(&mut self, slot: u32, connect: &Connect<'_>) {
        let Some(key) = self.connections.key(slot) else { return };
        if let Err(reason) = self.check_connect(connect) {
            // What the client can take is known from here on.
            self.note_packet_size(slot, connect);
            self.refuse(slot, reason);
            return;
        }
        let (now, ticket) = (self.now, self.draw_ticket());
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if let Some(address) = connection.counted
            && self.failures.of(now, address) >= self.config.limits.authentication_failures
        {
            self.note_packet_size(slot, connect);
            self.refuse(slot, ConnectReason::ConnectionRateExceeded);
            return;
        }
        let peer = connection.peer.take().map_or_else(PeerInfo::default, |peer| *peer);
        let request = ConnectRequest::new(ConnectionId(key), ticket, now, peer, connect);
        connection.packet_size = request.packet_size.map_or(u32::MAX, u32::from);
        if self.config.decisions.connect {
            self.ask_connect(slot, request);
        } else {
            self.accept(slot, request, ConnectGrant::default());
        }
    }

    /// Asks about a CONNECT, or about the next step of its authentication, and reads nothing more
    /// from the client until that is decided.
    pub(super) fn ask_connect(&mut self, slot: u32, mut request: ConnectRequest) {
        let until = self.now + self.config.decisions.timeout;
        let ticket = self.draw_ticket();
        request.ticket = ticket;
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.phase = Phase::Deciding(Box::new(Deciding { ticket, until }));
            connection.paused.for_decision = true;
        }
        self.arm_connection(slot);
        self.events.push_back(BrokerEvent::Connect(request));
    }

    fn note_packet_size(&mut self, slot: u32, connect: &Connect<'_>) {
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.packet_size =
                connect.properties().maximum_packet_size().map_or(u32::MAX, u32::from);
        }
    }

    /// What can be refused without asking anybody [MQTT-3.1.4-2].
    fn check_connect(&self, connect: &Connect<'_>) -> Result<(), ConnectReason> {
        let limits = &self.config.limits;
        if self.is_shutting_down {
            return Err(ConnectReason::ServerUnavailable);
        }
        if connect.properties().authentication_method().is_some() && !self.config.decisions.connect
        {
            // [MQTT-4.12.0-1]
            return Err(ConnectReason::BadAuthenticationMethod);
        }
        // [MQTT-3.1.3-5] [MQTT-3.1.3-8]
        if connect.client_id().len() > limits.client_id_bytes {
            return Err(ConnectReason::ClientIdentifierNotValid);
        }
        if let Some(will) = connect.will() {
            // [MQTT-3.2.2-12] [MQTT-3.2.2-13]
            if will.qos > self.config.maximum_qos {
                return Err(ConnectReason::QosNotSupported);
            }
            if will.retain && !self.config.retain_available {
                return Err(ConnectReason::RetainNotSupported);
            }
            if let Err(refusal) = self.check_topic_name(will.topic.as_bytes()) {
                return Err(refusal.connect_reason());
            }
        }
        Ok(())
    }

    /// Whether a will of `size` bytes can be kept, in the place of the one that the session of
    /// this client may have.
    fn has_room_for_will(&self, client_id: &str, size: usize) -> bool {
        let session = self.find_session(client_id).and_then(|slot| self.sessions.get(slot));
        let replaced =
            session.and_then(|session| session.will.as_ref()).map_or(0, |will| will.size);
        self.will_bytes - replaced + size <= self.config.limits.will_bytes
    }

    /// Lets a client in [MQTT-3.1.4-5].
    fn accept(&mut self, slot: u32, mut request: ConnectRequest, grant: ConnectGrant) {
        let assigned = request.client_id.is_empty();
        if assigned {
            request.client_id = self.assign_client_id();
        }
        let existing = self.find_session(&request.client_id);
        if let Some(session) = existing.and_then(|slot| self.sessions.get(slot))
            && session.identity != grant.identity
        {
            // Nobody takes over what is another's.
            self.refuse(slot, ConnectReason::NotAuthorized);
            return;
        }
        // Not before it is decided who comes in: many may wait for that, with room for one.
        if let Some(will) = &request.will
            && !self.has_room_for_will(&request.client_id, will.size())
        {
            self.refuse(slot, ConnectReason::QuotaExceeded);
            return;
        }
        if existing.is_some_and(|session| !self.may_take_over(session)) {
            self.statistics.take_overs_refused += 1;
            self.refuse(slot, ConnectReason::ConnectionRateExceeded);
            return;
        }
        // [MQTT-3.1.4-3]: one connection a client identifier.
        let rate = existing.map(|session| self.take_over(session));
        // [MQTT-3.1.2-4] [MQTT-3.1.4-4]
        if request.clean_start
            && let Some(session) = self.find_session(&request.client_id)
        {
            self.end_session(session);
        }
        // [MQTT-3.1.2-5] [MQTT-3.1.2-6]
        let resumed = self.find_session(&request.client_id);
        let session_slot = match resumed {
            Some(session) => session,
            None => {
                if self.sessions.len() >= self.config.limits.sessions {
                    self.refuse(slot, ConnectReason::QuotaExceeded);
                    return;
                }
                match self.create_session(request.client_id.clone(), grant.identity.clone()) {
                    Some(session) => session,
                    None => {
                        self.refuse(slot, ConnectReason::QuotaExceeded);
                        return;
                    }
                }
            }
        };
        if let Some(rate) = rate.filter(|rate| rate.of(self.now) > 0)
            && let Some(session) = self.sessions.get_mut(session_slot)
        {
            session.rates.get_or_insert_default().take_overs = rate;
        }
        let properties = self.connack_properties(&request, assigned, &grant);
        let before = resumed.and_then(|session| self.take_before(session));
        self.bind(slot, session_slot, &request);
        self.record_connected(session_slot, resumed.is_some());
        // [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT-3.2.0-1] [MQTT-3.2.0-2]
        let accepted = ConnAck {
            session_present: resumed.is_some() || sabotaged!(SessionPresentAlways),
            reason: ConnectReason::Success,
            properties: properties.as_properties(),
        };
        self.answer(slot, Packet::ConnAck(accepted));
        if !self.has_answer(slot) {
            // The client's Maximum Packet Size has no room for a CONNACK that tells it what it
            // must know: it cannot be served [MQTT-3.1.2-24].
            self.forget_before(before);
            self.close(slot, super::CloseCause::Refused(ConnectReason::PacketTooLarge));
            return;
        }
        let will = request.will.take();
        self.store_will(session_slot, will);
        if let Some(key) = self.connections.key(slot) {
            let session_present = resumed.is_some();
            let (id, client_id) = (ConnectionId(key), request.client_id);
            let event = BrokerEvent::Connected { id, client_id, session_present };
            self.announce(slot, event, before);
        }
        self.arm_connection(slot);
    }

    /// Whether one more connection may end the one that a session has, if it has one: two clients
    /// with the same identifier would do nothing else.
    fn may_take_over(&self, session: u32) -> bool {
        self.sessions.get(session).is_none_or(|session| {
            let count = session.rates.as_ref().map_or(0, |rates| rates.take_overs.of(self.now));
            session.connection.is_none() || count < self.config.limits.take_overs
        })
    }

    /// Ends the connection that a session has [MQTT-3.1.4-3]. Returns how often that was done of
    /// late, which has to outlive the session if this ends it.
    fn take_over(&mut self, session: u32) -> Rate {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(session) else { return Rate::default() };
        let mut rate = session.rates.as_ref().map_or_else(Rate::default, |rates| rates.take_overs);
        if let Some(connection) = session.connection {
            rate.count(now);
            self.statistics.take_overs += 1;
            self.end(connection, DisconnectReason::SessionTakenOver);
        }
        rate
    }

    pub(super) fn create_session(
        &mut self,
        client_id: Box<str>,
        identity: Option<Box<str>>,
    ) -> Option<u32> {
        let hash = self.hash_client_id(&client_id);
        let key = self.sessions.insert(Session::new(client_id, identity))?;
        let Self { sessions, entropy, by_client_id, .. } = self;
        by_client_id.insert_unique(hash, key.slot, |&slot| {
            sessions.get(slot).map_or(0, |session| entropy.hash(session.client_id.as_bytes()))
        });
        Some(key.slot)
    }

    /// Joins a connection and a session, each to the other.
    fn bind(&mut self, slot: u32, session_slot: u32, request: &ConnectRequest) {
        let keep_alive = self.keep_alive(request.keep_alive);
        let send_maximum = request.receive_maximum.min(self.config.limits.send_maximum);
        let start = FlowStart { receive_maximum: self.config.limits.receive_maximum, send_maximum };
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.phase = Phase::Open;
            connection.session = Some(session_slot);
            // [MQTT-3.1.2-22] [MQTT-3.2.2-22]
            connection.keep_alive_millis = u32::from(keep_alive) * 1500;
            connection.send_maximum = send_maximum;
            connection.problem_information = request.problem_information;
            if let Some(method) = request.authentication_method() {
                connection.asked.get_or_insert_default().authentication = Some(Authentication {
                    method: method.into(),
                    step: Step::None,
                    round: 0,
                    begun: Rate::default(),
                });
            }
            connection.asked_expiry = request.session_expiry_interval > 0;
            let aliases = OutgoingAliases::new(
                request.topic_alias_maximum,
                self.config.limits.outgoing_topic_aliases,
            );
            if aliases.is_enabled() {
                connection.aliases.get_or_insert_default().outgoing = Some(aliases);
            }
        }
        if let Some(session) = self.sessions.get_mut(session_slot) {
            session.connection = Some(slot);
            self.connected += 1;
            session.ends_at = NEVER;
            session.expiry_interval =
                request.session_expiry_interval.min(self.config.session_expiry_ceiling);
            if let Some(flow) = &mut session.flow {
                flow.start_connection(start);
                let newest = self.retained_count;
                flow.replays.iter_mut().for_each(|replay| replay.resume(newest));
            }
        }
        self.disarm_session(session_slot);
        // [MQTT-3.1.3-9]: a will whose delay was still running is cancelled.
        self.discard_will(session_slot);
    }

    /// The Keep Alive in force, in seconds; 0 for none.
    fn keep_alive(&self, asked: u16) -> u16 {
        match self.config.keep_alive_ceiling {
            Some(ceiling) if asked == 0 || asked > ceiling.get() => ceiling.get(),
            _ => asked,
        }
    }

    fn connack_properties(
        &self,
        request: &ConnectRequest,
        assigned: bool,
        grant: &ConnectGrant,
    ) -> PropertyBuf {
        let config = &self.config;
        let limits = &config.limits;
        let mut properties = PropertyBuf::new();
        if request.session_expiry_interval > config.session_expiry_ceiling {
            properties.session_expiry_interval(config.session_expiry_ceiling);
        }
        if limits.receive_maximum != NonZeroU16::MAX {
            properties.receive_maximum(limits.receive_maximum);
        }
        if config.maximum_qos < mqtt_codec::QoS::ExactlyOnce {
            // [MQTT-3.2.2-9]
            properties.maximum_qos(config.maximum_qos);
        }
        if !config.retain_available {
            properties.retain_available(false);
        }
        if let Some(size) = core::num::NonZeroU32::new(limits.packet_size) {
            properties.maximum_packet_size(size);
        }
        if assigned {
            // [MQTT-3.1.3-7] [MQTT-3.2.2-16]; an assigned identifier always fits.
            let _ = properties.assigned_client_id(&request.client_id);
        }
        if limits.topic_alias_maximum > 0 {
            properties.topic_alias_maximum(limits.topic_alias_maximum);
        }
        if !config.wildcard_subscription_available {
            properties.wildcard_subscription_available(false);
        }
        if !config.subscription_id_available {
            properties.subscription_id_available(false);
        }
        if !config.shared_subscription_available {
            properties.shared_subscription_available(false);
        }
        let keep_alive = self.keep_alive(request.keep_alive);
        if keep_alive != request.keep_alive {
            properties.server_keep_alive(keep_alive);
        }
        // [MQTT-3.1.2-28]
        if request.wants_response_information
            && let Some(information) = &config.response_information
        {
            let _ = properties.response_information(information);
        }
        // [MQTT-4.12.0-5] [MQTT-4.12.0-6]
        if let Some(method) = request.authentication_method() {
            let _ = properties.authentication_method(method);
            if let Some(data) = &grant.authentication_data {
                let _ = properties.authentication_data(data);
            }
        }
        let granted = grant.properties.as_properties();
        if let Some(reason) = granted.reason_string() {
            let _ = properties.reason_string(reason);
        }
        for (name, value) in granted.user_properties() {
            let _ = properties.user_property(name, value);
        }
        properties
    }

    /// A client identifier that no session has [MQTT-3.1.3-6] [MQTT-3.2.2-16].
    fn assign_client_id(&mut self) -> Box<str> {
        loop {
            let number = (u128::from(self.entropy.next()) << 64) | u128::from(self.entropy.next());
            let client_id = format!("auto-{number:032x}").into_boxed_str();
            if self.find_session(&client_id).is_none() {
                return client_id;
            }
        }
    }

    /// Keeps the will of a connection with its session [MQTT-3.1.2-7].
    fn store_will(&mut self, session_slot: u32, will: Option<WillRequest>) {
        let Some(will) = will else { return };
        let Some(session) = self.sessions.get(session_slot) else { return };
        let publisher = self.entropy.hash(session.client_id.as_bytes());
        let message = self.messages.insert(
            self.now,
            NewMessage {
                topic: &will.topic,
                qos: will.qos,
                retain: will.retain,
                expiry: None,
                publisher,
                payload: Payload::Owned(will.payload),
            },
            // [MQTT-3.1.3-10]: in the order they came.
            |head| head.extend_from_slice(&will.properties),
        );
        self.messages.shrink(message);
        let size = self.messages.get(message).map_or(0, |message| message.size());
        self.will_bytes += size;
        if let Some(session) = self.sessions.get_mut(session_slot) {
            session.will = Some(Box::new(StoredWill {
                message,
                delay: will.delay,
                expiry: will.expiry,
                due_at: None,
                size,
            }));
        }
        self.record_will(session_slot);
    }
}

/// Whether a refusal says that a client is not who it claims to be, and not that the broker is
/// busy or that the request is wrong: only guesses count against an address.
const fn is_about_identity(reason: ConnectReason) -> bool {
    matches!(
        reason,
        ConnectReason::BadUserNameOrPassword
            | ConnectReason::NotAuthorized
            | ConnectReason::BadAuthenticationMethod
            | ConnectReason::Banned
    )
}
