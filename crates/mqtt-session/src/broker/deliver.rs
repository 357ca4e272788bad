//! What goes out: answers first, then messages, encoded at the moment of sending.

use mqtt_codec::{Forward, Packet, PacketId, Properties, PubRel, PubRelReason, PublishQos, QoS};

use super::connection::{Connection, Phase};
use super::messages::{Message, Messages};
use super::read::{Access, Asker, Reader};
use super::replay::{Replayed, is_before};
use super::route::Retained;
use super::session::{Delivery, Flow, Session};
use super::statistics::DropReason;
use super::store::Ledger;
use super::{Broker, ConnectionId};
use crate::exchange::{OutgoingAlias, Resend};
use crate::retained::RetainedTree;
use crate::{Time, TransmitBuf};

impl Broker {
    /// Appends what a connection has to send, up to about `budget` bytes: the last packet may go
    /// over it. What is left makes the connection ready again.
    ///
    /// Messages are encoded now, so that their expiry counts down to this moment
    /// [MQTT-3.3.2-6].
    pub fn poll_transmit(
        &mut self,
        id: ConnectionId,
        now: Time,
        out: &mut TransmitBuf,
        budget: usize,
    ) {
        self.advance(now);
        let slot = id.0.slot;
        let Some(connection) = self.connections.current_mut(id.0) else { return };
        let before = out.len();
        connection.is_ready = false;
        self.answers.hand_out(&mut connection.answers, out);
        let is_held_back = connection.paused.for_answers;
        let session = connection.session;
        let is_open = matches!(connection.phase, Phase::Open);
        if connection.is_closing() {
            self.forget_connection(slot);
        } else if is_open && !self.awaits_connack(slot) {
            if session
                .and_then(|session| self.flow_of_session(session))
                .is_some_and(|flow| flow.can_transmit())
                && self.transmit_messages(slot, out, before.saturating_add(budget))
            {
                self.mark_ready(slot);
            }
            if is_held_back {
                self.resume_after_answers(slot);
            }
        }
        self.statistics.bytes_sent += (out.len() - before) as u64;
    }

    /// Whether there are messages for a connection that may be sent now.
    #[inline]
    pub(super) fn can_transmit(&mut self, slot: u32) -> bool {
        self.flow_of(slot).is_some_and(|flow| flow.can_transmit())
    }

    /// Appends messages until `out` holds `limit` bytes. Returns whether more could follow.
    #[inline(never)]
    fn transmit_messages(&mut self, slot: u32, out: &mut TransmitBuf, limit: usize) -> bool {
        let now = self.now;
        let timeout = self.config.decisions.timeout;
        let is_asked = self.config.decisions.read;
        let Self { connections, sessions, messages, retained, statistics, .. } = self;
        let Some(connection) = connections.get_mut(slot) else { return false };
        let Some(key) = connection.session.and_then(|slot| sessions.key(slot)) else {
            return false;
        };
        let mut ledger = Ledger::new(self.store.as_deref_mut(), key);
        let Some(session) = sessions.get_mut(key.slot) else { return false };
        let Session { flow, permissions, client_id, identity, losses, .. } = session;
        let Some(flow) = flow.as_deref_mut() else { return false };
        let reader = Reader { client_id, identity: identity.as_deref() };
        let mut asker = Asker {
            until: now + timeout,
            entropy: &self.entropy,
            tickets: &mut self.tickets,
            deadlines: &mut self.deadlines,
            events: &mut self.events,
        };
        let mut may_read = |messages: &Messages, delivery: &Delivery| {
            if !is_asked || (sabotaged!(ReadCheckSkipped) && !delivery.is_replayed) {
                return Access::Allowed;
            }
            let message = delivery.message.and_then(|id| messages.get(id));
            message.map_or(Access::Allowed, |message| {
                asker.may_read(key, permissions, reader, message.topic())
            })
        };
        loop {
            if out.len() >= limit {
                return flow.can_transmit();
            }
            if flow.goes_again() {
                let access = match flow.peek_again() {
                    Some(delivery) => may_read(messages, delivery),
                    None => Access::Allowed,
                };
                if access == Access::Asked {
                    return false;
                }
                match transmit_again(now, connection, flow, messages, access, &mut ledger, out) {
                    Some(Sent::Packet | Sent::Later) => continue,
                    Some(Sent::Message(qos, payload)) => {
                        statistics.sent.count(qos, payload);
                        continue;
                    }
                    Some(Sent::Dropped(reason)) => {
                        statistics.dropped.count(reason);
                        losses.get_or_insert_default().dropped.count(reason);
                        continue;
                    }
                    None => {}
                }
            }
            let next = match flow.next_undecided() {
                None if flow.replays.is_empty() => flow.next_queued(messages),
                None => match flow.next_in_turn(now, retained, messages, &mut ledger) {
                    // Bounded work a call: the rest of the store comes next time.
                    Replayed::Searching => return true,
                    Replayed::Delivery(delivery) => Some(delivery),
                    Replayed::Done => None,
                },
                undecided => undecided,
            };
            let Some(delivery) = next else { return false };
            let sent = match may_read(messages, &delivery) {
                Access::Allowed => {
                    send(now, connection, flow, messages, delivery, &mut ledger, out)
                }
                Access::Denied => {
                    ledger.dropped(&delivery);
                    if let Some(message) = delivery.message {
                        messages.release(message);
                    }
                    Err(DropReason::NotAuthorized)
                }
                Access::Asked => {
                    flow.await_decision(delivery, messages);
                    return false;
                }
            };
            match sent {
                Ok(Sent::Message(qos, payload)) => statistics.sent.count(qos, payload),
                Ok(Sent::Packet | Sent::Later | Sent::Dropped(_)) => {}
                Err(reason) => {
                    statistics.dropped.count(reason);
                    losses.get_or_insert_default().dropped.count(reason);
                }
            }
        }
    }

    /// Answers that were too many have been taken.
    #[cold]
    fn resume_after_answers(&mut self, slot: u32) {
        let is_full = self.holds_too_much(slot);
        self.resume_input(slot, |paused| paused.for_answers = is_full);
    }

    /// Takes back a reason for not reading a connection, and goes on with what waited.
    pub(super) fn resume_input(
        &mut self,
        slot: u32,
        change: impl FnOnce(&mut super::connection::Paused),
    ) {
        let Some(key) = self.connections.key(slot) else { return };
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let was_paused = connection.paused.any();
        change(&mut connection.paused);
        if was_paused && !connection.paused.any() && !connection.is_closing() {
            self.process_tail(slot);
            if self.accepts_input(ConnectionId(key)) {
                self.events.push_back(super::BrokerEvent::Resume(ConnectionId(key)));
            }
        }
    }
}

enum Sent {
    Packet,
    /// Its QoS, and the bytes of its payload.
    Message(QoS, usize),
    /// It has its Packet Identifier and waits for the store.
    Later,
    Dropped(DropReason),
}

impl Flow {
    /// Whether something is sent again, or now that it is stored.
    fn goes_again(&self) -> bool {
        self.outgoing.must_resend() || self.waits.as_ref().is_some_and(|waits| waits.can_send())
    }

    /// The PUBLISH that is sent before all others, if there is one: again on a resumed session,
    /// or now that it is stored.
    pub(super) fn peek_again(&mut self) -> Option<&Delivery> {
        match self.outgoing.must_resend() {
            true => self.outgoing.peek_resend(),
            false => self.outgoing.item(self.waits.as_ref()?.peek()?),
        }
    }

    /// Takes the message whose decision was awaited, if it may be sent now.
    fn next_undecided(&mut self) -> Option<Delivery> {
        let may_send = self.outgoing.may_send();
        self.undecided.take_if(|delivery| delivery.qos == QoS::AtMostOnce || may_send)
    }

    /// Keeps a message until it is known whether the client may read it.
    fn await_decision(&mut self, delivery: Delivery, messages: &Messages) {
        if self.undecided.is_none() {
            self.undecided = Some(delivery);
            return;
        }
        // The one that waits already has no quota, so that this one is of QoS 0.
        let size = delivery.message.and_then(|id| messages.get(id)).map_or(0, Message::size);
        self.queued_bytes += size;
        self.unacknowledged.push_front(delivery);
    }

    /// Takes the message that was queued first among those that may be sent now. Without quota
    /// those of QoS 0 still are, and so is every answer [MQTT-3.3.4-10].
    #[inline]
    fn next_queued(&mut self, messages: &Messages) -> Option<Delivery> {
        let first = self.unacknowledged.front().map(|delivery| delivery.order);
        let second = self
            .acknowledged
            .front()
            .filter(|_| self.outgoing.may_send())
            .map(|delivery| delivery.order);
        self.take_first(first, second, messages)
    }

    /// The same while new subscriptions are still to be sent retained messages: some of those that
    /// are queued have to wait for them.
    fn next_queued_behind(
        &mut self,
        now: Time,
        retained: &RetainedTree<Retained>,
        messages: &Messages,
    ) -> Option<Delivery> {
        let is_next =
            |delivery: &&Delivery| !self.is_behind_replay(delivery, now, retained, messages);
        let first = self.unacknowledged.front().filter(is_next).map(|delivery| delivery.order);
        let second = self
            .acknowledged
            .front()
            .filter(|_| self.outgoing.may_send())
            .filter(is_next)
            .map(|delivery| delivery.order);
        self.take_first(first, second, messages)
    }

    /// Takes the message that has the first order of those at the front of the two queues; no
    /// order where that one has to wait.
    #[inline]
    fn take_first(
        &mut self,
        first: Option<u32>,
        second: Option<u32>,
        messages: &Messages,
    ) -> Option<Delivery> {
        let is_unacknowledged = match (first, second) {
            (Some(first), Some(second)) => is_before(first, second),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return None,
        };
        let delivery = if is_unacknowledged {
            self.unacknowledged.pop_front()
        } else {
            if sabotaged!(QueueSwapped) {
                self.acknowledged.pop_back()
            } else {
                self.acknowledged.pop_front()
            }
        }?;
        let size = delivery.message.and_then(|id| messages.get(id)).map_or(0, Message::size);
        self.queued_bytes -= size;
        Some(delivery)
    }
}

impl Flow {
    /// Takes the next message where new subscriptions and what was queued for old ones take turns.
    #[inline(never)]
    fn next_in_turn(
        &mut self,
        now: Time,
        retained: &RetainedTree<Retained>,
        messages: &mut Messages,
        ledger: &mut Ledger<'_>,
    ) -> Replayed {
        let replays_next = self.replays_next;
        self.replays_next = !replays_next;
        if !replays_next && let Some(queued) = self.next_queued_behind(now, retained, messages) {
            return Replayed::Delivery(queued);
        }
        // One that had to wait for a decision could not be put back.
        if self.undecided.is_none() {
            let replayed = self.step_replays(now, retained, messages, ledger);
            if !matches!(replayed, Replayed::Done) {
                return replayed;
            }
        }
        let queued = self.next_queued_behind(now, retained, messages);
        queued.map_or(Replayed::Done, Replayed::Delivery)
    }

    /// Takes the next retained message that may be sent now.
    fn step_replays(
        &mut self,
        now: Time,
        retained: &RetainedTree<Retained>,
        messages: &mut Messages,
        ledger: &mut Ledger<'_>,
    ) -> Replayed {
        loop {
            let Some(replay) = self.replays.front() else { return Replayed::Done };
            let has_room = replay.qos() == QoS::AtMostOnce || self.outgoing.may_send();
            if !has_room || self.is_replay_behind(replay) {
                return Replayed::Done;
            }
            let Some(replay) = self.replays.front_mut() else { return Replayed::Done };
            let step = replay.step(now, retained, messages);
            if !matches!(step, Replayed::Done) {
                return step;
            }
            ledger.replay_ended(replay);
            self.replays.pop_front();
        }
    }
}

/// Sends again what a resumed session still owes [MQTT-4.4.0-1], and for the first time what had
/// to be stored before.
fn transmit_again(
    now: Time,
    connection: &mut Connection,
    flow: &mut Flow,
    messages: &mut Messages,
    access: Access,
    ledger: &mut Ledger<'_>,
    out: &mut TransmitBuf,
) -> Option<Sent> {
    let (id, qos, dup) = match flow.outgoing.next_resend() {
        Some(Resend::PubRel(packet_id)) => {
            append_pubrel(packet_id, connection, out);
            return Some(Sent::Packet);
        }
        // [MQTT-3.3.1-1]
        Some(Resend::Publish(id, qos, _)) => (id, qos, true),
        None => {
            let id = flow.waits.as_mut()?.next()?;
            if flow.outgoing.is_released(id) {
                append_pubrel(id, connection, out);
                return Some(Sent::Packet);
            }
            (id, QoS::ExactlyOnce, false)
        }
    };
    let delivery = flow.outgoing.item(id)?;
    let message = delivery.message.and_then(|id| messages.get(id));
    let payload = message.map_or(0, Message::payload_len);
    let sent = match message {
        _ if access == Access::Denied => Err(DropReason::NotAuthorized),
        // [MQTT-3.3.2-5]: it waited for the store, and its onward delivery has not begun.
        Some(message) if !dup && message.is_expired(now) => Err(DropReason::Expired),
        // [MQTT-4.3.3-7] [MQTT-4.3.3-13]: however old the message is.
        Some(message) => encode(now, connection, message, with_id(qos, id, dup), delivery, out),
        None => {
            cancel(flow, qos, id);
            ledger.finished(id);
            return Some(Sent::Packet);
        }
    };
    let Err(reason) = sent else { return Some(Sent::Message(qos, payload)) };
    // This connection takes only smaller packets, or the client may not read the topic any more:
    // it counts as delivered [MQTT-3.1.2-25]. A QoS 2 message may have come to the client before,
    // who then remembers its identifier: that is not free before it is released. Otherwise the
    // next message under it would be taken for this one sent again [MQTT-4.3.3-10].
    if dup && qos == QoS::ExactlyOnce {
        if let Some(delivery) = flow.outgoing.give_up(id) {
            if let Some(message) = delivery.message.take() {
                messages.release(message);
            }
            ledger.released(id);
            // The client forgets the identifier with PUBREL. If the broker crashed before that it
            // gave the message up was stored, it would send it once more, and the client would
            // take it for a new one.
            if ledger.must_wait(qos) {
                ledger.wait(id, flow);
            } else {
                append_pubrel(id, connection, out);
            }
        }
        return Some(Sent::Dropped(reason));
    }
    if let Some(message) = cancel(flow, qos, id).and_then(|d| d.message) {
        messages.release(message);
    }
    ledger.finished(id);
    Some(Sent::Dropped(reason))
}

fn append_pubrel(packet_id: PacketId, connection: &Connection, out: &mut TransmitBuf) {
    let reason = PubRelReason::Success;
    let packet = PubRel { packet_id, reason, properties: Properties::default() };
    // It has four bytes: no client that could connect is too small for it.
    let _ = out.append(|bytes| Packet::PubRel(packet).encode(bytes, connection.packet_size));
}

/// Sends a message for the first time, or drops it.
fn send(
    now: Time,
    connection: &mut Connection,
    flow: &mut Flow,
    messages: &mut Messages,
    delivery: Delivery,
    ledger: &mut Ledger<'_>,
    out: &mut TransmitBuf,
) -> Result<Sent, DropReason> {
    let Some(id) = delivery.message else { return Ok(Sent::Packet) };
    let Some(message) = messages.get(id) else { return Ok(Sent::Packet) };
    if message.is_expired(now) {
        ledger.dropped(&delivery);
        messages.release(id);
        return Err(DropReason::Expired);
    }
    let payload = message.payload_len();
    let (qos, result) = match delivery.qos {
        QoS::AtMostOnce => {
            // [MQTT-4.3.1-1]
            let result = encode(now, connection, message, PublishQos::AtMostOnce, &delivery, out);
            messages.release(id);
            return result.map(|()| Sent::Message(QoS::AtMostOnce, payload));
        }
        qos @ (QoS::AtLeastOnce | QoS::ExactlyOnce) => {
            // Whoever took the delivery from its queue saw that it may be sent.
            let Some(packet_id) = flow.outgoing.send(qos, delivery) else {
                return Ok(Sent::Packet);
            };
            if ledger.must_wait(qos) {
                ledger.sent(packet_id, flow, messages);
                ledger.wait(packet_id, flow);
                return Ok(Sent::Later);
            }
            let Some(delivery) = flow.outgoing.item(packet_id) else { return Ok(Sent::Packet) };
            // [MQTT-4.3.2-2] [MQTT-4.3.3-2] [MQTT-3.3.1-3]
            let result =
                encode(now, connection, message, with_id(qos, packet_id, false), delivery, out);
            if result.is_ok() {
                ledger.sent(packet_id, flow, messages);
            } else if let Some(delivery) = cancel(flow, qos, packet_id) {
                ledger.dropped(&delivery);
            }
            (qos, result)
        }
    };
    if result.is_err() {
        messages.release(id);
    }
    result.map(|()| Sent::Message(qos, payload))
}

/// Ends an exchange whose PUBLISH was not sent after all.
fn cancel(flow: &mut Flow, qos: QoS, id: PacketId) -> Option<Delivery> {
    use crate::exchange::{Acknowledged, Recorded};
    match qos {
        QoS::AtMostOnce => None,
        QoS::AtLeastOnce => match flow.outgoing.on_puback(id) {
            Acknowledged::Done(delivery) => Some(delivery),
            Acknowledged::Unknown | Acknowledged::Mismatch => None,
        },
        QoS::ExactlyOnce => match flow.outgoing.on_pubrec(id, true) {
            Recorded::Refused(delivery) => Some(delivery),
            Recorded::Release(_)
            | Recorded::ReleaseAgain
            | Recorded::Unknown
            | Recorded::Mismatch => None,
        },
    }
}

const fn with_id(qos: QoS, id: PacketId, dup: bool) -> PublishQos {
    match qos {
        QoS::AtMostOnce => PublishQos::AtMostOnce,
        QoS::AtLeastOnce => PublishQos::AtLeastOnce { id, dup },
        QoS::ExactlyOnce => PublishQos::ExactlyOnce { id, dup },
    }
}

/// Appends a PUBLISH, or nothing if it is too large for the client [MQTT-3.1.2-24]
/// [MQTT-3.1.2-25].
fn encode(
    now: Time,
    connection: &mut Connection,
    message: &Message,
    qos: PublishQos,
    delivery: &Delivery,
    out: &mut TransmitBuf,
) -> Result<(), DropReason> {
    let mut alias = OutgoingAlias::None;
    let mut aliases = connection.aliases.as_mut().and_then(|both| both.outgoing.as_mut());
    if let Some(aliases) = &mut aliases {
        alias = aliases.assign(message.topic());
    }
    let (topic, topic_alias) = match alias {
        OutgoingAlias::None => (Some(message.topic_bytes()), None),
        OutgoingAlias::Set(alias) => (Some(message.topic_bytes()), Some(alias)),
        OutgoingAlias::Known(alias) => (None, Some(alias)),
    };
    // [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18]
    // [MQTT-3.3.2-20]: all of these are passed on in the bytes they came in.
    let mut forward = Forward {
        qos,
        retain: delivery.retain,
        topic,
        topic_alias,
        message_expiry_interval: message.expires_at().map(|at| now.secs_until(at)),
        subscription_ids: delivery.subscription_ids.as_slice(),
        forwardable: message.properties(),
        payload_len: message.payload_len(),
    };
    let mut append = |forward: &Forward<'_>| {
        let most = if sabotaged!(PacketTooLarge) { u32::MAX } else { connection.packet_size };
        out.append(|bytes| {
            forward.encode_header(bytes, most)?;
            bytes.extend_from_slice(message.small_payload());
            Ok::<_, mqtt_codec::EncodeError>(())
        })
    };
    let mut encoded = append(&forward);
    if encoded.is_err()
        && let (OutgoingAlias::Set(alias), Some(aliases)) = (alias, &mut aliases)
    {
        // An alias makes the first packet that has it larger: it may fit without.
        aliases.withdraw(alias);
        forward.topic_alias = None;
        encoded = append(&forward);
    }
    if encoded.is_err() {
        return Err(DropReason::TooLarge);
    }
    let shared = message.shared_payload();
    if !shared.is_empty() {
        out.append_payload(shared);
    }
    Ok(())
}
