//! PUBLISH from clients, and the acknowledgements of both directions.

use core::num::NonZeroU16;

use bytes::Bytes;
use mqtt_codec::{
    ConnectReason, DisconnectReason, PacketId, Properties, PropertyId, PubAck, PubAckReason,
    PubComp, PubRec, PubRel, PubRelReason, Publish, PublishQos, QoS, TopicName,
};

use super::Broker;
use super::config::BrokerLimits;
use super::connection::Connection;
use super::input::Handled;
use super::messages::{MessageId, NewMessage, Payload};
use super::session::{Flow, FlowStart, Session};
use super::slots::Slots;
use crate::exchange::{Acknowledged, AliasFault, Received, Recorded, Rejected};
use crate::transmit::SHARE_FROM;

/// Why a topic name is not taken. The connection lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopicRefusal {
    /// Longer or deeper than the configuration allows: 0x90.
    Invalid,
    /// The broker keeps it for itself: 0x87.
    Reserved,
}

impl TopicRefusal {
    pub(super) const fn connect_reason(self) -> ConnectReason {
        match self {
            Self::Invalid => ConnectReason::TopicNameInvalid,
            Self::Reserved => ConnectReason::NotAuthorized,
        }
    }

    const fn publish_reason(self) -> PubAckReason {
        match self {
            Self::Invalid => PubAckReason::TopicNameInvalid,
            Self::Reserved => PubAckReason::NotAuthorized,
        }
    }
}

impl Broker {
    /// A client publishes a message of any size.
    #[inline(never)]
    pub(super) fn on_any_publish(
        &mut self,
        slot: u32,
        session_slot: u32,
        publish: &Publish<'_>,
        shared: Option<&Bytes>,
    ) -> Handled {
        self.on_publish(slot, session_slot, publish, shared)
    }

    /// A client publishes.
    // What rarely happens is handed a copy of the packet, which then need not lie in memory.
    #[inline(always)]
    pub(super) fn on_publish(
        &mut self,
        slot: u32,
        session_slot: u32,
        publish: &Publish<'_>,
        shared: Option<&Bytes>,
    ) -> Handled {
        let qos = publish.qos.qos();
        self.statistics.received.count(qos, publish.payload.len());
        // [MQTT5-U-3.2.2.3.4-2]
        if qos > self.config.maximum_qos {
            return Err(DisconnectReason::QosNotSupported);
        }
        // [MQTT5-U-3.2.2.3.5-2]
        if publish.retain && !self.config.retain_available {
            return Err(DisconnectReason::RetainNotSupported);
        }
        // [MQTT-3.3.4-6]
        if publish.properties.contains(PropertyId::SubscriptionIdentifier) {
            return Err(DisconnectReason::ProtocolError);
        }
        if let Some(topic) = publish.topic
            && !publish.properties.contains(PropertyId::TopicAlias)
        {
            return self.on_message(slot, session_slot, topic, publish, shared);
        }
        self.on_aliased(slot, session_slot, *publish, shared)
    }

    /// A client publishes to the topic that an alias stands for.
    #[inline(never)]
    fn on_aliased(
        &mut self,
        slot: u32,
        session_slot: u32,
        publish: Publish<'_>,
        shared: Option<&Bytes>,
    ) -> Handled {
        // [MQTT5-U-3.3.2.1-1]
        let alias = publish.properties.topic_alias().ok_or(DisconnectReason::ProtocolError)?;
        let resolved = self.resolve_alias(slot, alias, publish.topic)?;
        let handled = match TopicName::new(&resolved) {
            Ok(topic) => self.on_message(slot, session_slot, topic, &publish, shared),
            // It was a Topic Name when the alias was set.
            Err(_) => Err(DisconnectReason::TopicNameInvalid),
        };
        self.topic = resolved;
        handled
    }

    /// A client publishes to `topic`, whichever way it named it.
    #[inline(always)]
    fn on_message(
        &mut self,
        slot: u32,
        session_slot: u32,
        topic: TopicName<'_>,
        publish: &Publish<'_>,
        shared: Option<&Bytes>,
    ) -> Handled {
        let id = match publish.qos {
            PublishQos::AtMostOnce => None,
            PublishQos::AtLeastOnce { id, .. } => Some(id),
            PublishQos::ExactlyOnce { id, .. } => {
                return self.on_exactly_once(slot, session_slot, id, topic, *publish, shared);
            }
        };
        if let Some(id) = id {
            let Some(flow) = self.flow_mut(session_slot) else { return Ok(()) };
            // Most are answered below, before the next one is looked at.
            if let Err(rejected) = flow.incoming.may_take_qos1(id) {
                return self.reject(slot, session_slot, id, rejected);
            }
        }
        let reason = self.publish_from(slot, session_slot, topic, publish, shared);
        let Some(packet_id) = id else { return Ok(()) };
        if let Some(reason) = reason {
            self.acknowledge_qos1(
                slot,
                PubAck { packet_id, reason, properties: Properties::EMPTY },
            );
        } else if let Some(flow) = self.flow_of_session(session_slot) {
            flow.incoming.answer_waits();
        }
        Ok(())
    }

    /// A message of QoS 1 is not taken.
    #[cold]
    fn reject(
        &mut self,
        slot: u32,
        session_slot: u32,
        id: PacketId,
        rejected: Rejected,
    ) -> Handled {
        match rejected {
            Rejected::PacketIdentifierInUse => {
                let reason = PubAckReason::PacketIdentifierInUse;
                self.count_refusal(Some(session_slot), reason);
                self.send_puback(slot, id, reason);
                Ok(())
            }
            Rejected::ReceiveMaximumExceeded => Err(DisconnectReason::ReceiveMaximumExceeded),
        }
    }

    /// A client publishes a message of QoS 2, or publishes it again.
    #[inline(never)]
    fn on_exactly_once(
        &mut self,
        slot: u32,
        session_slot: u32,
        id: PacketId,
        topic: TopicName<'_>,
        publish: Publish<'_>,
        shared: Option<&Bytes>,
    ) -> Handled {
        let Some(flow) = self.flow_mut(session_slot) else { return Ok(()) };
        let reason = match flow.incoming.on_publish_qos2(id) {
            Ok(Received::New) => {
                let reason = self.publish_from(slot, session_slot, topic, &publish, shared);
                let Some(reason) = reason else { return Ok(()) };
                self.record_received(session_slot, publish.qos, reason);
                reason
            }
            // [MQTT-4.3.3-10]: answered again and not delivered again.
            Ok(Received::Duplicate) => PubAckReason::Success,
            Err(_) => return Err(DisconnectReason::ReceiveMaximumExceeded),
        };
        self.acknowledge(slot, session_slot, publish.qos, reason, Properties::EMPTY);
        Ok(())
    }

    /// Answers a PUBLISH as its QoS demands [MQTT-3.3.4-1]. Whoever let one of QoS 1 wait for this
    /// counts it no more.
    pub(super) fn acknowledge(
        &mut self,
        slot: u32,
        session_slot: u32,
        qos: PublishQos,
        reason: PubAckReason,
        mut properties: Properties<'_>,
    ) {
        // [MQTT-3.1.2-29]
        if !properties.is_empty()
            && !self.connections.get(slot).is_some_and(|c| c.problem_information)
        {
            properties = Properties::EMPTY;
        }
        match qos {
            PublishQos::AtMostOnce => {}
            PublishQos::AtLeastOnce { id, .. } => {
                self.acknowledge_qos1(slot, PubAck { packet_id: id, reason, properties });
            }
            PublishQos::ExactlyOnce { id, .. } => {
                // [MQTT-4.3.3-8] [MQTT-4.3.3-9]
                if reason.is_error()
                    && let Some(flow) = self.flow_mut(session_slot)
                {
                    flow.incoming.refused(id);
                }
                let packet = PubRec { packet_id: id, reason, properties };
                self.answer_with(slot, packet);
            }
        }
    }

    #[inline(always)]
    fn acknowledge_qos1(&mut self, slot: u32, packet: PubAck<'_>) {
        // [MQTT-4.3.2-4]
        if sabotaged!(AcknowledgedTwice) {
            self.answer_with(slot, packet);
        }
        self.answer_with(slot, packet);
    }

    /// The topic that an alias stands for; sets it if a topic came along.
    fn resolve_alias(
        &mut self,
        slot: u32,
        alias: NonZeroU16,
        topic: Option<TopicName<'_>>,
    ) -> Result<String, DisconnectReason> {
        let maximum = self.config.limits.topic_alias_maximum;
        // A topic that is too long is refused whenever its alias is used: for that it need not be
        // kept whole.
        let too_long = self.config.limits.topic_bytes.saturating_add(1);
        let topic = topic.map(|topic| {
            let topic = topic.as_str();
            topic.get(..topic.ceil_char_boundary(too_long)).unwrap_or(topic)
        });
        let Some(connection) = self.connections.get_mut(slot) else {
            return Err(DisconnectReason::ProtocolError);
        };
        let aliases = &mut connection.aliases.get_or_insert_default().incoming;
        match aliases.resolve(alias, topic, maximum) {
            Ok(topic) => {
                let mut resolved = core::mem::take(&mut self.topic);
                resolved.clear();
                resolved.push_str(topic);
                Ok(resolved)
            }
            // [MQTT5-U-3.3.4-1] [MQTT5-U-3.3.4-2]
            Err(AliasFault::AboveMaximum) => Err(DisconnectReason::TopicAliasInvalid),
            Err(AliasFault::Unknown) => Err(DisconnectReason::ProtocolError),
        }
    }

    /// Takes a new message from the client of a session and says how it fared; `None` if that is
    /// still to be decided.
    #[inline(always)]
    fn publish_from(
        &mut self,
        slot: u32,
        session_slot: u32,
        topic: TopicName<'_>,
        publish: &Publish<'_>,
        shared: Option<&Bytes>,
    ) -> Option<PubAckReason> {
        if let Err(refusal) = self.check_topic_name(topic.as_bytes()) {
            self.count_refusal(Some(session_slot), refusal.publish_reason());
            return Some(refusal.publish_reason());
        }
        if publish.retain && !publish.payload.is_empty() {
            let topic = topic.as_str();
            let size = topic.len() + publish.properties.as_bytes().len() + publish.payload.len();
            if !self.can_retain(topic, size) {
                self.count_refusal(Some(session_slot), PubAckReason::QuotaExceeded);
                return Some(PubAckReason::QuotaExceeded);
            }
        }
        if !self.config.decisions.publish {
            let (topic, qos) = (topic.as_bytes(), publish.qos.qos());
            self.find_targets(topic, Some(session_slot), qos, publish.retain);
            if self.targets.is_empty() && !publish.retain {
                return Some(PubAckReason::NoMatchingSubscribers);
            }
        }
        self.take_message(slot, session_slot, topic, *publish, shared)
    }

    /// Keeps a message that somebody wants, and gives it to them or asks about it.
    #[inline(never)]
    fn take_message(
        &mut self,
        slot: u32,
        session_slot: u32,
        topic: TopicName<'_>,
        publish: Publish<'_>,
        shared: Option<&Bytes>,
    ) -> Option<PubAckReason> {
        let publisher = match self.sessions.get(session_slot) {
            Some(session) if publish.retain => self.entropy.hash(session.client_id.as_bytes()),
            _ => 0,
        };
        let payload = match shared {
            Some(bytes) if publish.payload.len() >= SHARE_FROM => {
                Payload::Owned(bytes.slice_ref(publish.payload))
            }
            _ => Payload::Borrowed(publish.payload),
        };
        let message = self.messages.insert(
            self.now,
            NewMessage {
                topic: topic.as_str(),
                qos: publish.qos.qos(),
                retain: publish.retain,
                expiry: publish.properties.message_expiry_interval(),
                publisher,
                payload,
            },
            |head| publish.properties.copy_forwardable(head),
        );
        if self.config.decisions.publish {
            self.ask_publish(slot, session_slot, message, &publish);
            return None;
        }
        let reason = self.deliver_found(message);
        self.messages.release(message);
        Some(reason)
    }

    /// Gives a message to everybody who wants it, and retains it if it says so. `publisher` is the
    /// session that does not get what it subscribed to with No Local.
    pub(super) fn deliver(&mut self, message: MessageId, publisher: Option<u32>) -> PubAckReason {
        let Some(stored) = self.messages.get(message) else {
            return PubAckReason::NoMatchingSubscribers;
        };
        let (qos, retain) = (stored.qos, stored.retain);
        let topic = stored.topic().to_owned();
        self.find_targets(topic.as_bytes(), publisher, qos, retain);
        self.deliver_found(message)
    }

    fn deliver_found(&mut self, message: MessageId) -> PubAckReason {
        if let Some(stored) = self.messages.get(message)
            && stored.retain
        {
            // [MQTT-3.3.1-8]: no other message touches what is retained. There was room when this
            // one came; a will may find none any more.
            if stored.payload_len() == 0 || self.can_retain(stored.topic(), stored.size()) {
                self.retain(message);
            } else {
                self.count_refusal(None, PubAckReason::QuotaExceeded);
            }
        }
        let reached = !self.targets.is_empty();
        self.deliver_to_targets(message);
        if reached { PubAckReason::Success } else { PubAckReason::NoMatchingSubscribers }
    }

    /// Whether a client may publish to a topic at all.
    #[inline(always)]
    pub(super) fn check_topic_name(&self, topic: &[u8]) -> Result<(), TopicRefusal> {
        let limits = &self.config.limits;
        if topic.len() > limits.topic_bytes {
            return Err(TopicRefusal::Invalid);
        }
        // Each level but the first needs a separator: a short topic cannot be too deep.
        if topic.len() >= limits.topic_levels
            && topic.iter().filter(|&&byte| byte == b'/').count() >= limits.topic_levels
        {
            return Err(TopicRefusal::Invalid);
        }
        if topic.first() == Some(&b'$') {
            return Err(TopicRefusal::Reserved);
        }
        Ok(())
    }

    /// Counts a message that was not taken, or not retained, and for its session if it is known.
    #[cold]
    pub(super) fn count_refusal(&mut self, session_slot: Option<u32>, reason: PubAckReason) {
        self.statistics.publishes_refused.count(reason);
        if let Some(session) = session_slot.and_then(|slot| self.sessions.get_mut(slot)) {
            session.losses.get_or_insert_default().publishes_refused.count(reason);
        }
    }

    #[cold]
    fn send_puback(&mut self, slot: u32, packet_id: PacketId, reason: PubAckReason) {
        let packet = PubAck { packet_id, reason, properties: Properties::default() };
        self.answer_with(slot, packet);
    }

    /// A client acknowledges a QoS 1 message.
    #[inline(never)]
    pub(super) fn on_puback(&mut self, slot: u32, ack: &PubAck<'_>) -> Handled {
        // [MQTT-3.4.2-1]: only a server says that nobody subscribes.
        if ack.reason == PubAckReason::NoMatchingSubscribers {
            return Err(DisconnectReason::ProtocolError);
        }
        let acknowledged = self.flow_of(slot).map(|flow| flow.outgoing.on_puback(ack.packet_id));
        self.finish(slot, ack.packet_id, acknowledged)
    }

    /// A client ends the exchange of a QoS 2 message.
    #[inline(never)]
    pub(super) fn on_pubcomp(&mut self, slot: u32, ack: &PubComp<'_>) -> Handled {
        let acknowledged = self.flow_of(slot).map(|flow| flow.outgoing.on_pubcomp(ack.packet_id));
        self.finish(slot, ack.packet_id, acknowledged)
    }

    #[inline]
    fn finish(
        &mut self,
        slot: u32,
        id: PacketId,
        acknowledged: Option<Acknowledged<super::session::Delivery>>,
    ) -> Handled {
        match acknowledged {
            Some(Acknowledged::Done(delivery)) => {
                if let Some(message) = delivery.message {
                    self.messages.release(message);
                }
                self.record_finished(slot, id);
                self.mark_if_transmittable(slot);
                Ok(())
            }
            Some(Acknowledged::Mismatch) => Err(DisconnectReason::ProtocolError),
            Some(Acknowledged::Unknown) | None => {
                self.statistics.unknown_acknowledgements += 1;
                Ok(())
            }
        }
    }

    /// A client has recorded a QoS 2 message, or refuses it.
    #[inline(never)]
    pub(super) fn on_pubrec(&mut self, slot: u32, ack: &PubRec<'_>) -> Handled {
        // [MQTT-3.5.2-1]: as in PUBACK.
        if ack.reason == PubAckReason::NoMatchingSubscribers {
            return Err(DisconnectReason::ProtocolError);
        }
        let refused = ack.reason.is_error();
        let (reason, released) =
            match self.flow_of(slot).map(|flow| flow.outgoing.on_pubrec(ack.packet_id, refused)) {
                // [MQTT-4.3.3-4]
                Some(Recorded::Release(delivery)) => {
                    let message = delivery.message.take();
                    self.record_released(slot, ack.packet_id);
                    (PubRelReason::Success, message)
                }
                Some(Recorded::ReleaseAgain) => (PubRelReason::Success, None),
                Some(Recorded::Refused(delivery)) => {
                    // [MQTT-4.8.2-6]: nobody else is offered the message.
                    if let Some(message) = delivery.message {
                        self.messages.release(message);
                    }
                    self.record_finished(slot, ack.packet_id);
                    self.mark_if_transmittable(slot);
                    return Ok(());
                }
                Some(Recorded::Mismatch) => return Err(DisconnectReason::ProtocolError),
                Some(Recorded::Unknown) | None => {
                    self.statistics.unknown_acknowledgements += 1;
                    if refused {
                        return Ok(());
                    }
                    (PubRelReason::PacketIdentifierNotFound, None)
                }
            };
        if let Some(message) = released {
            self.messages.release(message);
        }
        let packet = PubRel { packet_id: ack.packet_id, reason, properties: Properties::default() };
        self.answer_with(slot, packet);
        Ok(())
    }

    /// A client releases a QoS 2 packet identifier [MQTT-4.3.3-11].
    #[inline(never)]
    pub(super) fn on_pubrel(&mut self, slot: u32, ack: &PubRel<'_>) -> Handled {
        let before = self.flow_of(slot).map(|flow| flow.incoming.unfinished());
        let known = self.flow_of(slot).is_some_and(|flow| flow.incoming.on_pubrel(ack.packet_id));
        let reason = if known {
            self.record_pubrel(slot, ack.packet_id, before);
            PubRelReason::Success
        } else {
            self.statistics.unknown_acknowledgements += 1;
            PubRelReason::PacketIdentifierNotFound
        };
        let packet =
            PubComp { packet_id: ack.packet_id, reason, properties: Properties::default() };
        self.answer_with(slot, packet);
        Ok(())
    }

    /// What is under way in the session of a connection, if there is anything.
    #[inline]
    pub(super) fn flow_of(&mut self, slot: u32) -> Option<&mut Flow> {
        let session = self.connections.get(slot)?.session?;
        self.flow_of_session(session)
    }

    /// What is under way in a session, if there is anything.
    #[inline]
    pub(super) fn flow_of_session(&mut self, session_slot: u32) -> Option<&mut Flow> {
        self.sessions.get_mut(session_slot)?.flow.as_deref_mut()
    }

    /// What is under way in a session, made if there is nothing yet.
    #[inline(always)]
    pub(super) fn flow_mut(&mut self, session_slot: u32) -> Option<&mut Flow> {
        let Self { sessions, connections, config, .. } = self;
        let Session { flow, connection, .. } = sessions.get_mut(session_slot)?;
        if flow.is_none() {
            *flow = Some(make_flow(&config.limits, connections, *connection));
        }
        flow.as_deref_mut()
    }

    /// Puts a connection into the ready queue if its session has something that can be sent.
    pub(super) fn mark_if_transmittable(&mut self, slot: u32) {
        if sabotaged!(StuckAfterAck) {
            return;
        }
        if self.can_transmit(slot) {
            self.mark_ready(slot);
        }
    }

    /// Whether there is room to retain a message of `size` bytes; replacing one always fits if it
    /// takes no more than before.
    pub(super) fn can_retain(&self, topic: &str, size: usize) -> bool {
        let limits = &self.config.limits;
        let replaced = self.retained.get(topic).and_then(|kept| self.messages.get(kept.message));
        let fewer = replaced.map_or(0, |message| message.size());
        let count = self.retained.len() + usize::from(replaced.is_none());
        count <= limits.retained_messages
            && self.retained_bytes - fewer + size <= limits.retained_bytes
    }
}

/// What is under way in a session with this connection, if any: nothing.
#[cold]
#[inline(never)]
fn make_flow(
    limits: &BrokerLimits,
    connections: &Slots<Connection>,
    slot: Option<u32>,
) -> Box<Flow> {
    let send_maximum = slot
        .and_then(|slot| connections.get(slot))
        .map_or(limits.send_maximum, |connection| connection.send_maximum);
    Box::new(Flow::new(FlowStart { receive_maximum: limits.receive_maximum, send_maximum }))
}

/// The lower of the QoS of a message and of a subscription [MQTT-3.8.4-8].
pub(super) fn lower(published: QoS, granted: QoS) -> QoS {
    published.min(granted)
}
