//! Answers that wait for the store.

use mqtt_codec::{
    ConnectReason, Decoded, DisconnectReason, Limits, Packet, PacketId, Properties, PubAck,
    PubAckReason, PubRec, SubAck, SubAckReason, decode,
};

use super::super::{Broker, BrokerEvent};
use super::held::{Before, HeldAnswer, Kind};
use super::{Store, StoreError};

/// How many lists of answers are kept for the next connections that need one.
const SPARE: usize = 256;

impl Broker {
    /// Keeps an answer back if it, or one before it, depends on what is not committed. Returns
    /// whether it did.
    #[inline(never)]
    pub(in crate::broker) fn hold_answer(&mut self, slot: u32, packet: &Packet<'_>) -> bool {
        let limit = self.config.limits.unread_answers;
        let replaces = matches!(packet, Packet::ConnAck(_)) && self.replaces_uncommitted(slot);
        let Some(store) = self.store.as_deref_mut() else { return false };
        let Some(key) = self.connections.key(slot) else { return false };
        let Some(connection) = self.connections.get_mut(slot) else { return false };
        if connection.is_closing() {
            return false;
        }
        let depends = store.has_changed;
        let before = store.held(slot).and_then(|held| held.last_mark());
        let earlier = if replaces || store.relies_on_earlier { store.mark() } else { 0 };
        let mark = match before {
            _ if depends => store.open,
            Some(mark) => mark.max(earlier),
            None if earlier > 0 => earlier,
            None => return false,
        };
        let (kind, is_counted) = match packet {
            // It tells that the connection lives, and nothing of what came before: a client must
            // not give up because a disk is slow.
            Packet::PubAck(_) | Packet::PubRec(_) if sabotaged!(AcknowledgedEarly) => return false,
            Packet::PingResp => return false,
            // After it nothing is sent, so it waits for nothing.
            Packet::Disconnect(_) => return false,
            Packet::ConnAck(ack) if ack.reason.is_error() => return false,
            Packet::ConnAck(_) => (Kind::ConnAck, false),
            Packet::PubAck(ack) if depends && !ack.reason.is_error() => {
                (Kind::PubAck(ack.packet_id), true)
            }
            Packet::PubAck(ack) => (Kind::Other, ack.reason != PubAckReason::PacketIdentifierInUse),
            Packet::PubRec(ack) if ack.reason.is_error() => (Kind::Other, true),
            Packet::PubRec(ack) if depends => {
                let reached = core::mem::take(&mut store.reached);
                (Kind::PubRec(ack.packet_id, reached), false)
            }
            Packet::PubComp(_) => (Kind::Other, store.is_counted),
            Packet::SubAck(_) if depends => (Kind::SubAck(core::mem::take(&mut store.undo)), false),
            Packet::SubAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::UnsubAck(_)
            | Packet::Auth(_)
            | Packet::Publish(_)
            | Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq => (Kind::Other, false),
        };
        let is_connack = matches!(kind, Kind::ConnAck);
        let Some(held) = store.held_or_new(slot) else { return false };
        let len = held.len();
        // What does not fit the client's Maximum Packet Size is not sent [MQTT-3.1.2-24]
        // [MQTT-3.1.2-25].
        if packet.encode(held.buffer(), connection.packet_size).is_ok() {
            let len = held.len() - len;
            held.push(HeldAnswer { mark, len, is_counted, kind });
        } else {
            if held.is_empty() {
                store.let_go(slot);
            }
            // One that waits for an answer it cannot take is not left waiting.
            if !is_connack {
                self.end(slot, DisconnectReason::PacketTooLarge);
            }
            return true;
        }
        if self.answers.len(&connection.answers) + held.len() > limit
            && !connection.paused.for_answers
        {
            connection.paused.for_answers = true;
            self.statistics.held_back.for_answers += 1;
        }
        if store.holding.back() != Some(&(mark, key)) {
            store.holding.push_back((mark, key));
        }
        if is_connack {
            // [MQTT-3.1.4-6]: if it is refused after all, nothing behind the CONNECT is handled.
            self.pause_until_committed(slot);
        }
        if is_counted && let Some(flow) = self.flow_of(slot) {
            // [MQTT-3.3.4-7]: what is not answered yet counts.
            flow.incoming.answer_waits();
        }
        true
    }

    /// Whether the session of a connection comes after one of the same client whose end is not
    /// committed.
    fn replaces_uncommitted(&self, slot: u32) -> bool {
        let session = self.connections.get(slot).and_then(|connection| connection.session);
        let session = session.and_then(|slot| self.sessions.get(slot));
        self.store.as_deref().filter(|store| !store.ended.is_empty()).is_some_and(|store| {
            session.is_some_and(|state| {
                store.ended.contains_key(&self.hash_client_id(&state.client_id))
            })
        })
    }

    /// Whether the CONNACK of a connection waits: nothing may be sent before it [MQTT-3.2.0-1].
    #[inline]
    pub(in crate::broker) fn awaits_connack(&self, slot: u32) -> bool {
        let Some(store) = &self.store else { return false };
        store.held(slot).is_some_and(|held| held.has_connack())
    }

    /// Whether so many answers wait for the store that nothing more is read.
    #[inline]
    pub(in crate::broker) fn holds_too_much(&self, slot: u32) -> bool {
        let Some(store) = &self.store else { return false };
        store.held(slot).is_some_and(|held| held.len() > self.config.limits.unread_answers)
    }

    /// Whether a connection has an answer to send, now or once it is stored.
    pub(in crate::broker) fn has_answer(&self, slot: u32) -> bool {
        self.awaits_connack(slot)
            || self
                .connections
                .get(slot)
                .is_some_and(|connection| self.answers.len(&connection.answers) > 0)
    }

    /// Answers that wait when their connection is closed are not sent any more: to the client it
    /// is as if the network had failed before.
    pub(in crate::broker) fn forget_held(&mut self, slot: u32) {
        let Some(store) = &mut self.store else { return };
        let before = store.held_mut(slot).and_then(|held| held.before.take());
        store.let_go(slot);
        self.forget_before(before);
    }

    /// Counts an accepted client and tells the driver of it, once the CONNACK leaves. Until then
    /// what the session was `before` is kept.
    pub(in crate::broker) fn announce(
        &mut self,
        slot: u32,
        event: BrokerEvent,
        before: Option<Box<Before>>,
    ) {
        let held = self.store.as_deref_mut().and_then(|store| store.held_mut(slot));
        if let Some(held) = held.filter(|held| held.has_connack()) {
            held.connected = Some(event);
            held.before = before;
        } else {
            self.note_connected(event);
            self.forget_before(before);
        }
    }

    fn note_connected(&mut self, event: BrokerEvent) {
        self.statistics.connects_accepted += 1;
        self.events.push_back(event);
    }

    /// Answers that waited for the last commit leave.
    pub(super) fn release_answers(&mut self) {
        loop {
            let Some(store) = self.store.as_deref_mut() else { return };
            let committed = store.committed;
            let Some((_, key)) = store.holding.pop_front_if(|&mut (mark, _)| mark <= committed)
            else {
                return;
            };
            if self.connections.is_current(key) {
                self.release_answers_of(key.slot);
            }
        }
    }

    /// The first answers of a connection leave if they wait for nothing any more.
    fn release_answers_of(&mut self, slot: u32) {
        let Some(store) = self.store.as_deref_mut() else { return };
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let committed = store.committed;
        let Some(held) = store.held_mut(slot) else { return };
        let Some(answers) = self.answers.of(&mut connection.answers) else { return };
        let before = answers.len();
        let left = held.release(committed, answers);
        let has_more = answers.len() > before;
        if held.is_empty() {
            store.let_go(slot);
        }
        let session = connection.session;
        if let Some((event, before)) = left.connack {
            event.into_iter().for_each(|event| self.note_connected(event));
            self.forget_before(before);
            session.into_iter().for_each(|session| self.record_accepted(session));
        }
        if let Some(flow) = self.flow_of(slot) {
            for _ in 0..left.counted {
                // [MQTT-4.9.0-1]
                flow.incoming.puback_sent();
            }
        }
        if has_more {
            self.mark_ready(slot);
        }
    }

    /// The batch `failed` was not committed: refuses what it held.
    pub(super) fn refuse_answers(&mut self, failed: u64, error: StoreError) {
        let Some(store) = self.store.as_deref_mut() else { return };
        let connections: Vec<_> = store
            .holding
            .iter()
            .take_while(|&&(mark, _)| mark <= failed)
            .map(|&(_, key)| key)
            .collect();
        for key in connections {
            if self.connections.is_current(key) && self.refuse_answers_of(key.slot, failed, error) {
                self.release_answers_of(key.slot);
            }
        }
    }

    /// Returns whether the connection lives on.
    fn refuse_answers_of(&mut self, slot: u32, failed: u64, error: StoreError) -> bool {
        let Some(limit) = self.connections.get(slot).map(|c| c.packet_size) else { return false };
        let held = self.store.as_deref_mut().and_then(|store| store.held_mut(slot));
        let Some(held) = held else { return true };
        if held.has_connack() {
            self.refuse_connect(slot, error);
            return false;
        }
        let mut answers = held.take();
        for at in 0..answers.len() {
            let Some((answer, packet)) = answers.get_mut(at).filter(|(a, _)| a.mark <= failed)
            else {
                continue;
            };
            let kind = core::mem::replace(&mut answer.kind, Kind::Other);
            match kind {
                Kind::PubAck(id) => refuse_puback(id, error, limit, packet),
                Kind::PubRec(id, reached) => {
                    refuse_pubrec(id, error, limit, packet);
                    self.forget_received(slot, id);
                    reached.into_iter().for_each(|reached| self.withdraw(reached));
                }
                Kind::SubAck(undo) => {
                    refuse_suback(error, limit, packet);
                    let (_, later) = answers.split_at_mut(at + 1);
                    self.undo_subscriptions(slot, undo, later);
                }
                Kind::ConnAck | Kind::Other => continue,
            }
            self.statistics.refused_for_store += 1;
            if let Some((answer, _)) = answers.get_mut(at) {
                answer.mark = 0;
            }
        }
        if let Some(held) = self.store.as_deref_mut().and_then(|store| store.held_mut(slot)) {
            for (answer, packet) in answers {
                held.put_back(answer, &packet);
            }
        }
        true
    }

    /// A CONNECT whose session could not be stored is refused.
    fn refuse_connect(&mut self, slot: u32, error: StoreError) {
        let held = self.store.as_deref_mut().and_then(|store| store.held_mut(slot));
        let before = held.and_then(|held| held.before.take());
        self.forget_held(slot);
        self.statistics.refused_for_store += 1;
        self.begin_changes();
        let session = self.connections.get_mut(slot).and_then(|c| c.session.take());
        if let Some(session_slot) = session {
            // A client that was not let in has no will.
            self.discard_will(session_slot);
            self.unbind(session_slot);
            match before {
                Some(before) => self.put_back(session_slot, *before),
                None => self.end_session(session_slot),
            }
        }
        self.refuse(
            slot,
            match error {
                StoreError::Failed => ConnectReason::ImplementationSpecificError,
                StoreError::Full => ConnectReason::QuotaExceeded,
            },
        );
    }
}

impl Store {
    /// A connection has no answers any more that wait.
    fn let_go(&mut self, slot: u32) {
        if let Some(mut held) = self.held.get_mut(slot as usize).and_then(Option::take)
            && self.spare.len() < SPARE
            && held.reset()
        {
            self.spare.push(held);
        }
    }
}

fn puback_reason(error: StoreError) -> PubAckReason {
    match error {
        StoreError::Failed => PubAckReason::ImplementationSpecificError,
        StoreError::Full => PubAckReason::QuotaExceeded,
    }
}

/// Puts `refusal` in the place of `packet`. With a reason it takes one byte more than without:
/// every client that got a CONNACK has room for it.
fn replace(refusal: Packet<'_>, limit: u32, packet: &mut Vec<u8>) {
    packet.clear();
    if refusal.encode(packet, limit).is_err() {
        packet.clear();
    }
}

fn refuse_puback(packet_id: PacketId, error: StoreError, limit: u32, packet: &mut Vec<u8>) {
    let reason = puback_reason(error);
    let refusal = PubAck { packet_id, reason, properties: Properties::default() };
    replace(Packet::PubAck(refusal), limit, packet);
}

fn refuse_pubrec(packet_id: PacketId, error: StoreError, limit: u32, packet: &mut Vec<u8>) {
    let reason = puback_reason(error);
    let refusal = PubRec { packet_id, reason, properties: Properties::default() };
    replace(Packet::PubRec(refusal), limit, packet);
}

/// Replaces every granted filter in a SUBACK by a refused one; the others stay what they were.
fn refuse_suback(error: StoreError, limit: u32, packet: &mut Vec<u8>) {
    let refused = match error {
        StoreError::Failed => SubAckReason::ImplementationSpecificError,
        StoreError::Full => SubAckReason::QuotaExceeded,
    };
    let Ok(Decoded::Packet(Packet::SubAck(granted), _)) = decode(packet, &Limits::new()) else {
        return;
    };
    let reasons: Vec<SubAckReason> =
        granted.reasons().map(|reason| if reason.is_error() { reason } else { refused }).collect();
    if let Ok(ack) = SubAck::new(granted.packet_id, Properties::default(), &reasons) {
        let mut refusal = Vec::with_capacity(packet.len());
        replace(Packet::SubAck(ack), limit, &mut refusal);
        *packet = refusal;
    }
}
