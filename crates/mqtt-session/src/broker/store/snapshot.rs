//! All that a broker keeps across restarts, as the changes that make it.

use std::collections::BTreeMap;

use mqtt_codec::{PacketId, QoS};

use super::super::Broker;
use super::super::messages::MessageId;
use super::super::replay::Replay;
use super::super::route::Subscription;
use super::super::session::{Delivery, Flow};
use super::record::{remaining, session_begun, stored_message};
use super::{Change, MessageKey, SessionKey, Store};
use crate::exchange::Exchange;
use crate::index::FilterId;

/// The messages that something stored holds.
pub(super) type Held = BTreeMap<MessageKey, MessageId>;

impl Broker {
    /// All that a restart would find if everything was committed, as the shortest sequence of
    /// changes that makes it: messages, then retained messages by topic, then sessions, each in
    /// the order of their keys. Two brokers that would go on alike after a restart have equal
    /// snapshots, so tests can compare them.
    ///
    /// Nothing without [`BrokerConfig::durable`](crate::BrokerConfig::durable). To replace what is
    /// in a store take [`poll_snapshot`](Self::poll_snapshot), which knows what is not yet
    /// committed.
    pub fn snapshot(&self) -> Vec<Change> {
        match &self.store {
            Some(store) => self.changes_of_everything(store).1,
            None => Vec::new(),
        }
    }

    /// The changes, and the messages in them.
    pub(super) fn changes_of_everything(&self, store: &Store) -> (Held, Vec<Change>) {
        let mut held = Held::new();
        let mut behind = Vec::new();
        self.retained.for_each(|_, kept| {
            if let Some(message) = self.hold(Some(kept.message), &mut held) {
                behind.push(Change::Retained { message });
            }
        });
        let mut sessions: Vec<(SessionKey, u32)> = (0..)
            .zip(&store.sessions)
            .filter_map(|(slot, session)| Some((session.as_ref()?.key, slot)))
            .collect();
        sessions.sort_unstable();
        for asked in self.asked_wills.values() {
            if let Some(message) = self.hold(Some(asked.message), &mut held) {
                let (client_id, identity) = (asked.client_id.clone(), asked.identity.clone());
                behind.push(Change::WillAsked { message, client_id, identity });
            }
        }
        for (session, slot) in sessions {
            self.changes_of_session(session, slot, &mut held, &mut behind);
        }
        let messages = held.values().filter_map(|&id| stored_message(&self.messages, id, self.now));
        let changes = messages.map(Change::MessageStored).chain(behind).collect();
        (held, changes)
    }

    fn changes_of_session(
        &self,
        session: SessionKey,
        slot: u32,
        held: &mut Held,
        out: &mut Vec<Change>,
    ) {
        let Some(state) = self.sessions.get(slot) else { return };
        out.push(session_begun(session, state));
        if state.connection.is_none() {
            let ends_in = remaining(state.ends_at, self.now);
            out.push(Change::SessionLeft { session, ends_in });
        }
        let mut subscriptions: Vec<(Box<str>, _)> = state
            .subscriptions
            .iter()
            .flat_map(|subscriptions| &subscriptions.filters)
            .filter_map(|&id| Some((self.filter_text(id)?, self.index.get_by_id(id, slot)?)))
            .collect();
        subscriptions.extend(self.group_subscriptions(slot));
        subscriptions.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        out.extend(subscriptions.into_iter().map(|(filter, subscription)| Change::Subscribed {
            session,
            filter,
            options: subscription.options,
            id: subscription.id,
        }));
        if let Some(will) = &state.will
            && let Some(message) = self.hold(Some(will.message), held)
        {
            let (delay, expiry) = (will.delay, will.expiry);
            out.push(Change::WillStored { session, message, delay, expiry });
            if let Some(due_at) = will.due_at {
                let due_in = due_at.duration_since(self.now);
                out.push(Change::WillDue { session, due_in });
            }
        }
        if let Some(flow) = &state.flow {
            let undecided = state.connection.and_then(|slot| self.undecided_id(slot));
            self.changes_of_flow(session, flow, undecided, held, out);
        }
    }

    fn changes_of_flow(
        &self,
        session: SessionKey,
        flow: &Flow,
        undecided: Option<PacketId>,
        held: &mut Held,
        out: &mut Vec<Change>,
    ) {
        // A message that is not decided about has not come as far as a restart knows.
        for packet_id in flow.incoming.awaiting_ids().filter(|&id| Some(id) != undecided) {
            out.push(Change::Received { session, packet_id });
        }
        let mut exchanges: Vec<_> = flow.outgoing.exchanges().collect();
        exchanges.sort_unstable_by_key(|&(_, _, order, _)| order);
        for (packet_id, exchange, _, delivery) in exchanges {
            match exchange {
                Exchange::Released => out.push(Change::Released { session, packet_id }),
                Exchange::Publish1 | Exchange::Publish2 => {
                    if let Some(queued) = self.queued(session, delivery, held) {
                        out.push(queued);
                        out.push(Change::Sent { session, packet_id });
                    }
                }
            }
        }
        // A retained message that waits for a decision may be replaced before it is sent, and has to
        // be there when its Packet Identifier is stored.
        if let Some(delivery) = &flow.undecided
            && delivery.is_replayed
            && delivery.qos != QoS::AtMostOnce
        {
            self.hold(delivery.message, held);
        }
        // What waits for a decision has left its queue in memory alone.
        let undecided = flow
            .undecided
            .iter()
            .filter(|delivery| delivery.qos != QoS::AtMostOnce && !delivery.is_replayed);
        let mut replays = flow.replays.iter().peekable();
        for delivery in undecided.chain(&flow.acknowledged) {
            while let Some(replay) = replays.next_if(|replay| replay.is_before(delivery)) {
                replay_changes(session, replay, out);
            }
            out.extend(self.queued(session, delivery, held));
        }
        replays.for_each(|replay| replay_changes(session, replay, out));
    }

    fn queued(&self, session: SessionKey, delivery: &Delivery, held: &mut Held) -> Option<Change> {
        Some(Change::Queued {
            session,
            message: self.hold(delivery.message, held)?,
            qos: delivery.qos,
            retain: delivery.retain,
            subscription_ids: delivery.subscription_ids.as_slice().into(),
        })
    }

    /// Notes that a message is needed, if it is stored.
    fn hold(&self, message: Option<MessageId>, held: &mut Held) -> Option<MessageKey> {
        let id = message?;
        let key = self.messages.key(id)?;
        held.insert(key, id);
        Some(key)
    }

    fn filter_text(&self, id: FilterId) -> Option<Box<str>> {
        let mut text = String::new();
        self.index.filter_text(id, &mut text).then(|| text.into())
    }
}

fn replay_changes(session: SessionKey, replay: &Replay, out: &mut Vec<Change>) {
    let Subscription { options, id } = replay.subscription();
    let filter: Box<str> = replay.filter().into();
    out.push(Change::ReplayBegun { session, filter: filter.clone(), options, id });
    if let Some(topic) = replay.stored_up_to.clone() {
        out.push(Change::ReplayedUpTo { session, filter, topic });
    }
}
