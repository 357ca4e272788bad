//! Taking back what was done in memory when its commit has failed and its client is told so.

use mqtt_codec::{PacketId, TopicFilter};

use super::super::Broker;
use super::super::session::{Delivery, Session};
use super::Change;
use super::held::{Before, HeldAnswer, Reached, Undo};
use crate::exchange::Recorded;

impl Broker {
    /// Takes what a CONNECT changes of a session out of it, to be put back if the CONNECT is
    /// refused after all; `None` if the session is not stored.
    pub(in crate::broker) fn take_before(&mut self, slot: u32) -> Option<Box<Before>> {
        self.stored_session(slot)?;
        let session = self.sessions.get_mut(slot)?;
        let Session { expiry_interval, ends_at, .. } = *session;
        let will = session.will.take();
        if will.is_some() {
            self.record_will_discarded(slot);
        }
        Some(Box::new(Before { expiry_interval, ends_at, will }))
    }

    /// What a session was before a CONNECT is of no use any more.
    pub(in crate::broker) fn forget_before(&mut self, before: Option<Box<Before>>) {
        if let Some(will) = before.and_then(|before| before.will) {
            self.will_bytes -= will.size;
            self.messages.release(will.message);
        }
    }

    /// A session is again what it was before a CONNECT that was refused.
    pub(super) fn put_back(&mut self, slot: u32, before: Before) {
        let Before { expiry_interval, ends_at, will } = before;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.expiry_interval = expiry_interval;
        session.ends_at = ends_at;
        session.will = will;
        self.record_will(slot);
        self.rest_session(slot);
    }

    /// Takes back a QoS 2 delivery that was not sent yet: the message was refused after all, and
    /// if its publisher does not hear of that it comes again and is a new one [MQTT-4.3.3-9].
    pub(super) fn withdraw(&mut self, reached: Reached) {
        let Reached { session, order, message: key } = reached;
        let Self { sessions, messages, .. } = self;
        if !sessions.is_current(session) {
            return;
        }
        let state = sessions.get_mut(session.slot);
        let Some(flow) = state.and_then(|state| state.flow.as_deref_mut()) else { return };
        let is_it = |delivery: &Delivery| {
            delivery.order == order
                && !delivery.is_replayed
                && (key.is_none() || delivery.message.and_then(|id| messages.key(id)) == key)
        };
        // What was queued with the batch that failed has not been sent, not even if it has its
        // Packet Identifier and waits on a connection that came later.
        let begun = flow.outgoing.exchanges().find(|(_, _, _, delivery)| is_it(delivery));
        if let Some((id, ..)) = begun {
            if let Recorded::Refused(Delivery { message: Some(message), .. }) =
                flow.outgoing.on_pubrec(id, true)
            {
                self.messages.release(message);
                self.forget_waiting(session.slot, id);
                let packet_id = id;
                self.record_for(session.slot, |session| Change::Finished { session, packet_id });
            }
            return;
        }
        let queued = flow.undecided.take_if(|delivery| is_it(delivery)).or_else(|| {
            let at = flow.acknowledged.iter().position(is_it)?;
            let delivery = flow.acknowledged.remove(at)?;
            let message = delivery.message.and_then(|id| messages.get(id));
            flow.queued_bytes -= message.map_or(0, |message| message.size());
            Some(delivery)
        });
        let Some(id) = queued.and_then(|delivery| delivery.message) else { return };
        if let Some(message) = self.messages.key(id) {
            self.record_for(session.slot, |session| Change::Withdrawn { session, message });
        }
        self.messages.release(id);
    }

    /// A QoS 2 message was refused after it had been recorded [MQTT-4.3.3-9].
    pub(super) fn forget_received(&mut self, slot: u32, id: PacketId) {
        let Some(session_slot) = self.connections.get(slot).and_then(|c| c.session) else { return };
        if let Some(flow) = self.flow_of(slot) {
            flow.incoming.refused(id);
        }
        self.record_forgotten(session_slot, id);
    }

    /// Makes the subscriptions what they were before a SUBSCRIBE that was refused, unless a
    /// `later` one on the same connection decides about them.
    pub(super) fn undo_subscriptions(
        &mut self,
        slot: u32,
        undo: Vec<Undo>,
        later: &mut [(HeldAnswer, Vec<u8>)],
    ) {
        let Some(session_slot) = self.connections.get(slot).and_then(|c| c.session) else { return };
        // The last one first: a filter may stand in the packet twice.
        for Undo { filter, previous } in undo.into_iter().rev() {
            let successor = later.iter_mut().find_map(|(answer, _)| answer.kind.undo_of(&filter));
            if let Some(successor) = successor {
                if successor.previous.is_some() {
                    successor.previous = previous;
                }
                continue;
            }
            let Ok(topic_filter) = TopicFilter::new(&filter) else { continue };
            if self.subscription_of(session_slot, &topic_filter).is_none() {
                continue;
            }
            match previous {
                Some(previous) => {
                    self.restore_subscription(session_slot, &topic_filter, previous);
                }
                None => {
                    self.unsubscribe_recorded(session_slot, &topic_filter);
                }
            }
        }
    }
}
