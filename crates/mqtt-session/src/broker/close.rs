//! The end of connections and of sessions, and what becomes of wills.

use mqtt_codec::{ConnAck, ConnectReason, Disconnect, DisconnectReason, Packet, PropertyBuf, QoS};

use super::connection::Phase;
use super::input::Handled;
use super::replay::Replay;
use super::session::Session;
use super::statistics::DropReason;
use super::timers::TimerKey;
use super::{Broker, BrokerEvent, CloseCause, ConnectionId};

impl Broker {
    /// A DISCONNECT came [MQTT-3.14.4-3].
    #[inline(never)]
    pub(super) fn on_disconnect(&mut self, slot: u32, disconnect: &Disconnect<'_>) -> Handled {
        let Some(connection) = self.connections.get(slot) else { return Ok(()) };
        let Some(session_slot) = connection.session else { return Ok(()) };
        let interval = disconnect.properties.session_expiry_interval();
        let is_raised = interval.is_some_and(|interval| interval > 0) && !connection.asked_expiry;
        // The standard's normative table has no sender for 0x8C: from either it is taken.
        let is_for_clients = disconnect.reason.is_from_client()
            || disconnect.reason == DisconnectReason::BadAuthenticationMethod;
        // [MQTT5-U-3.14.2.2.2-2], and what only a server may say [MQTT-3.14.2-1].
        if is_raised || !is_for_clients || disconnect.properties.server_reference().is_some() {
            return Err(DisconnectReason::ProtocolError);
        }
        let ceiling = self.config.session_expiry_ceiling;
        if let Some(session) = self.sessions.get_mut(session_slot)
            && let Some(interval) = interval
        {
            session.expiry_interval = interval.min(ceiling);
        }
        // [MQTT-3.1.2-10]: 0x00 and no other reason deletes the will.
        if disconnect.reason == DisconnectReason::NormalDisconnection
            && !sabotaged!(WillAfterDisconnect)
        {
            self.discard_will(session_slot);
        }
        self.close(slot, CloseCause::Disconnected(disconnect.reason));
        Ok(())
    }

    /// Ends a connection from this side: DISCONNECT if its CONNECT was accepted
    /// [MQTT-3.14.0-1], otherwise nothing; then it is closed [MQTT-3.14.4-2].
    #[inline(never)]
    pub(super) fn end(&mut self, slot: u32, reason: DisconnectReason) {
        self.end_with(slot, reason, &PropertyBuf::new());
    }

    /// Like `end`, with properties for the DISCONNECT.
    pub(super) fn end_with(
        &mut self,
        slot: u32,
        reason: DisconnectReason,
        properties: &PropertyBuf,
    ) {
        let Some(connection) = self.connections.get(slot) else { return };
        match connection.phase {
            // [MQTT-3.14.0-1]
            Phase::Open if self.awaits_connack(slot) => {
                self.close(slot, CloseCause::Ended(reason));
            }
            Phase::Open => {
                // [MQTT-3.14.2-2]: no Session Expiry Interval.
                let packet = Disconnect { reason, properties: properties.as_properties() };
                self.answer(slot, Packet::Disconnect(packet));
                self.close(slot, CloseCause::Ended(reason));
            }
            Phase::Opened | Phase::Deciding(_) | Phase::Challenged(_) => {
                self.close(slot, CloseCause::Ended(reason));
            }
            Phase::Closing(_) => {}
        }
    }

    /// Answers a CONNECT with a reason of 0x80 or above and closes the connection
    /// [MQTT-3.2.2-7] [MQTT-3.2.2-6].
    pub(super) fn refuse(&mut self, slot: u32, reason: ConnectReason) {
        self.refuse_with(slot, reason, &PropertyBuf::new());
    }

    /// Like `refuse`, with properties for the CONNACK.
    pub(super) fn refuse_with(
        &mut self,
        slot: u32,
        reason: ConnectReason,
        properties: &PropertyBuf,
    ) {
        let refusal =
            ConnAck { session_present: false, reason, properties: properties.as_properties() };
        self.answer(slot, Packet::ConnAck(refusal));
        self.close(slot, CloseCause::Refused(reason));
    }

    /// Lets a connection go once its answers are sent. Its session lives on or ends as it may.
    #[inline(never)]
    pub(super) fn close(&mut self, slot: u32, cause: CloseCause) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.is_closing() {
            return;
        }
        self.abandon_pending(slot);
        self.forget_held(slot);
        let Some(connection) = self.connections.get_mut(slot) else { return };
        self.statistics.count_close(cause);
        // [MQTT-3.14.4-1]: after this nothing is queued for the connection.
        connection.phase = Phase::Closing(cause);
        connection.tail = None;
        connection.aliases = None;
        let session = connection.session.take();
        if self.answers.len(&connection.answers) == 0 {
            self.forget_connection(slot);
        } else {
            // Also a driver whose buffer for this connection is full has to hear of the end.
            connection.is_ready = false;
            self.mark_ready(slot);
            self.arm_connection(slot);
        }
        if let Some(session) = session {
            self.leave_session(session);
        }
    }

    /// The network connection ended without our doing.
    pub(super) fn lose(&mut self, slot: u32) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        self.answers.forget(&mut connection.answers);
        if connection.is_closing() {
            self.forget_connection(slot);
        } else {
            self.close(slot, CloseCause::ConnectionLost);
        }
    }

    /// Frees the slot of a connection that is closing and has nothing more to send.
    #[cold]
    pub(super) fn forget_connection(&mut self, slot: u32) {
        let Some(key) = self.connections.key(slot) else { return };
        let Some(mut connection) = self.connections.remove(slot) else { return };
        self.answers.forget(&mut connection.answers);
        if let Some((_, timer)) = connection.timer {
            self.deadlines.cancel(timer, TimerKey::Connection(key));
        }
        if let Some(address) = connection.counted
            && let Some(open) = self.per_address.get_mut(&address)
        {
            *open -= 1;
            if *open == 0 {
                self.per_address.remove(&address);
            }
        }
        if let Phase::Closing(cause) = connection.phase {
            self.events.push_back(BrokerEvent::Closed { id: ConnectionId(key), cause });
        }
    }

    /// A session has lost its connection: the clocks of its expiry and of its will begin to run.
    fn leave_session(&mut self, session_slot: u32) {
        let now = self.now;
        self.unbind(session_slot);
        let Some(session) = self.sessions.get_mut(session_slot) else { return };
        if let Some(will) = &mut session.will {
            // [MQTT-3.1.2-8]: after the delay, or when the session ends.
            will.due_at =
                Some(now.plus_secs(if sabotaged!(WillTooEarly) { 0 } else { will.delay }));
        }
        match session.expiry_interval {
            0 => {
                self.end_session(session_slot);
                return;
            }
            // [MQTT-3.1.2-23]: state is kept while the interval runs.
            u32::MAX => {}
            seconds => session.ends_at = now.plus_secs(seconds),
        }
        self.rest_session(session_slot);
    }

    /// A session has no connection any more.
    pub(super) fn unbind(&mut self, session_slot: u32) {
        if let Some(session) = self.sessions.get_mut(session_slot) {
            session.connection = None;
            self.connected -= 1;
            if let Some(permissions) = &mut session.permissions {
                permissions.forget_lapsed();
            }
        }
    }

    /// A session lives on without a connection.
    pub(super) fn rest_session(&mut self, session_slot: u32) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(session_slot) else { return };
        let dropped = session.drop_unacknowledged(&mut self.messages);
        let will_is_due =
            session.will.as_ref().is_some_and(|will| will.due_at.is_some_and(|due| due <= now));
        for _ in 0..dropped {
            self.count_drop(session_slot, DropReason::NotConnected);
        }
        self.record_left(session_slot);
        if will_is_due {
            self.publish_will(session_slot);
        }
        self.arm_session(session_slot);
    }

    /// Ends a session: its will is published, its subscriptions and messages are gone.
    pub(super) fn end_session(&mut self, session_slot: u32) {
        // [MQTT-3.1.2-8]: at the end of the session at the latest.
        self.publish_will(session_slot);
        self.unsubscribe_all(session_slot);
        self.disarm_session(session_slot);
        self.record_ended(session_slot);
        if let Some(key) = self.sessions.key(session_slot) {
            self.forget_permissions(key);
        }
        let Some(session) = self.sessions.remove(session_slot) else { return };
        let hash = self.hash_client_id(&session.client_id);
        if let Ok(entry) = self.by_client_id.find_entry(hash, |&slot| slot == session_slot) {
            entry.remove();
        }
        let Session { flow, .. } = session;
        if let Some(mut flow) = flow {
            let waiting = flow.unacknowledged.drain(..).chain(flow.acknowledged.drain(..));
            for delivery in waiting.chain(flow.undecided.take()).chain(flow.outgoing.clear()) {
                if let Some(message) = delivery.message {
                    self.statistics.dropped.count(DropReason::SessionEnded);
                    self.messages.release(message);
                }
            }
        }
    }

    /// Forgets a will unpublished.
    pub(super) fn discard_will(&mut self, session_slot: u32) {
        if let Some(will) = self.sessions.get_mut(session_slot).and_then(|s| s.will.take()) {
            self.will_bytes -= will.size;
            self.record_will_discarded(session_slot);
            self.messages.release(will.message);
        }
    }

    /// Publishes the will of a session, if it has one [MQTT-3.1.2-10].
    pub(super) fn publish_will(&mut self, session_slot: u32) {
        let Some(session) = self.sessions.get_mut(session_slot) else { return };
        let Some(will) = session.will.take() else { return };
        self.will_bytes -= will.size;
        self.record_will_published(session_slot);
        // [MQTT-3.1.2-14] [MQTT-3.1.2-15]: retained if its Will Retain says so. Its expiry counts
        // from the moment of publishing.
        if let Some(expiry) = will.expiry {
            self.messages.start_expiry(will.message, self.now, expiry);
        }
        self.publish_due_will(will.message, session_slot);
    }
}

impl Session {
    /// Without a connection QoS 0 messages are not kept. Returns how many were dropped.
    fn drop_unacknowledged(&mut self, messages: &mut super::Messages) -> usize {
        let Some(flow) = &mut self.flow else { return 0 };
        let undecided = flow.undecided.take_if(|delivery| delivery.qos == QoS::AtMostOnce);
        let dropped = flow.unacknowledged.len() + usize::from(undecided.is_some());
        if let Some(message) = undecided.and_then(|delivery| delivery.message) {
            messages.release(message);
        }
        for delivery in core::mem::take(&mut flow.unacknowledged) {
            if let Some(message) = delivery.message {
                flow.queued_bytes -= messages.get(message).map_or(0, |message| message.size());
                messages.release(message);
            }
        }
        flow.replays.iter_mut().for_each(Replay::pause);
        let idle = flow.queued() == 0
            && flow.undecided.is_none()
            && flow.replays.is_empty()
            && flow.incoming.awaiting() == 0
            && flow.outgoing.exchanges().next().is_none();
        if idle {
            self.flow = None;
        }
        dropped
    }
}
