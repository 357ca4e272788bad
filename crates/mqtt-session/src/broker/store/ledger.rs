//! What sending messages to one session changes.

use mqtt_codec::{PacketId, QoS};

use super::super::messages::Messages;
use super::super::replay::Replay;
use super::super::session::{Delivery, Flow};
use super::super::slots::Key;
use super::{Change, SessionKey, Store};

/// Records what is sent to one session; does nothing without a store.
#[derive(Debug)]
pub(in crate::broker) struct Ledger<'a> {
    store: Option<&'a mut Store>,
    /// The session.
    slot: Key,
    /// Its key, if it is stored.
    session: Option<SessionKey>,
}

impl<'a> Ledger<'a> {
    /// The ledger of the session in this slot.
    #[inline]
    pub(in crate::broker) fn new(store: Option<&'a mut Store>, slot: Key) -> Self {
        let session =
            store.as_ref().and_then(|store| store.session(slot.slot)).map(|session| session.key);
        Self { store, slot, session }
    }

    /// A delivery has got its Packet Identifier.
    #[inline]
    pub(in crate::broker) fn sent(
        &mut self,
        packet_id: PacketId,
        flow: &mut Flow,
        messages: &Messages,
    ) {
        if let Some(session) = self.session
            && let Some(store) = self.store.as_deref_mut()
        {
            store.record_sent(session, packet_id, flow, messages);
        }
    }

    /// A delivery that was taken from the queue is not sent.
    pub(in crate::broker) fn dropped(&mut self, delivery: &Delivery) {
        if delivery.qos != QoS::AtMostOnce
            && !delivery.is_replayed
            && let (Some(store), Some(session)) = (self.store.as_deref_mut(), self.session)
        {
            store.record(Change::Dropped { session });
        }
    }

    /// An exchange is over although the client did not end it.
    pub(in crate::broker) fn finished(&mut self, packet_id: PacketId) {
        if let (Some(store), Some(session)) = (self.store.as_deref_mut(), self.session) {
            store.record(Change::Finished { session, packet_id });
        }
    }

    /// The PUBREL of an exchange is sent although no PUBREC asked for it.
    pub(in crate::broker) fn released(&mut self, packet_id: PacketId) {
        if let (Some(store), Some(session)) = (self.store.as_deref_mut(), self.session) {
            store.record(Change::Released { session, packet_id });
        }
    }

    /// All retained messages for a new subscription were sent.
    pub(in crate::broker) fn replay_ended(&mut self, replay: &Replay) {
        if let (Some(store), Some(session)) = (self.store.as_deref_mut(), self.session) {
            store.record(Change::ReplayEnded { session, filter: replay.filter().into() });
        }
    }

    /// Whether a message has to wait for the store before it is sent for the first time.
    ///
    /// A QoS 2 message waits for all that was recorded before it. If it left earlier and the
    /// broker crashed, it would be sent again under another identifier, or its publisher would
    /// send it again and it would be taken for a new one: delivered twice [MQTT-4.3.3-10].
    #[inline]
    pub(in crate::broker) fn must_wait(&self, qos: QoS) -> bool {
        qos == QoS::ExactlyOnce
            && self.store.as_ref().is_some_and(|store| self.session.is_some() || store.mark() != 0)
    }

    /// A message that has its Packet Identifier waits.
    pub(in crate::broker) fn wait(&mut self, packet_id: PacketId, flow: &mut Flow) {
        let Some(store) = self.store.as_deref_mut() else { return };
        let mark = store.mark();
        flow.waits.get_or_insert_default().push(packet_id, mark);
        if store.waiting.back() != Some(&(mark, self.slot)) {
            store.waiting.push_back((mark, self.slot));
        }
    }
}

impl Store {
    #[inline(never)]
    fn record_sent(
        &mut self,
        session: SessionKey,
        packet_id: PacketId,
        flow: &mut Flow,
        messages: &Messages,
    ) {
        let Flow { outgoing, replays, .. } = flow;
        let Some(delivery) = outgoing.item(packet_id) else { return };
        if !delivery.is_replayed {
            self.record(Change::Sent { session, packet_id });
            return;
        }
        let Some(id) = delivery.message else { return };
        // A retained message is stored as long as it is retained.
        let (Some(key), Some(message)) = (messages.key(id), messages.get(id)) else { return };
        let filter = replays.front_mut().filter(|replay| replay.taken == Some(id)).map(|replay| {
            replay.taken = None;
            replay.stored_up_to = Some(message.topic().into());
            replay.filter().into()
        });
        self.record(Change::Replayed {
            session,
            packet_id,
            message: key,
            qos: delivery.qos,
            id: delivery.subscription_ids.as_slice().first().copied(),
            filter,
        });
    }
}
