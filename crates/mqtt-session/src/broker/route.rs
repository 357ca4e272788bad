//! From a message to the sessions that want it, and the retained messages.

use mqtt_codec::{QoS, SubscriptionId, SubscriptionOptions};

use super::Broker;
use super::messages::MessageId;
use super::publish::lower;
use super::session::{Delivery, SubscriptionIds};
use super::shared::GROUP;
use super::statistics::DropReason;
use super::timers::TimerKey;
use crate::deadlines::DeadlineHandle;

/// What a session, or a member of a group, asked for with a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) options: SubscriptionOptions,
    pub(super) id: Option<SubscriptionId>,
}

/// The retained message of a topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retained {
    pub(super) message: MessageId,
    /// Its number among all that were ever retained.
    pub(super) number: u64,
    /// Its timer, if it expires.
    timer: Option<DeadlineHandle>,
}

/// A session that a message goes to, with what all its matching subscriptions make of it.
#[derive(Debug)]
pub(super) struct Target {
    session: u32,
    qos: QoS,
    retain: bool,
    subscription_ids: SubscriptionIds,
}

impl Broker {
    /// Finds the sessions that a message of this topic goes to, each once.
    ///
    /// Overlapping subscriptions make one copy with the highest QoS among them [MQTT-3.3.4-2] and
    /// all their identifiers [MQTT-3.3.4-3] [MQTT-3.3.4-4].
    #[inline(always)]
    pub(super) fn find_targets(
        &mut self,
        topic: &[u8],
        publisher: Option<u32>,
        qos: QoS,
        retain: bool,
    ) {
        // Both lists are empty: what was found before has been delivered.
        // [MQTT-3.3.2-3] [MQTT-4.7.3-4]
        self.index.for_each_match(topic, |_, subscriber, subscription| {
            self.matched.push((subscriber, *subscription));
        });
        if !self.matched.is_empty() {
            self.merge_matches(publisher, qos, retain);
        }
    }

    /// Makes one target of all subscriptions of a session that match.
    #[inline(never)]
    fn merge_matches(&mut self, publisher: Option<u32>, qos: QoS, retain: bool) {
        self.routing = self.routing.wrapping_add(1);
        let mut matched = core::mem::take(&mut self.matched);
        for (subscriber, subscription) in matched.drain(..) {
            if subscriber & GROUP == 0 {
                // [MQTT-3.8.3-3]
                if subscription.options.no_local && publisher == Some(subscriber) {
                    continue;
                }
                self.add_target(subscriber, subscription, qos, retain);
            } else if sabotaged!(SharedToNobody) {
                continue;
            } else if let Some((member, subscription)) = self.choose_member(subscriber) {
                self.add_target(member, subscription, qos, retain);
                if sabotaged!(SharedToAll)
                    && let Some((another, subscription)) = self.choose_member(subscriber)
                    && another != member
                {
                    self.add_target(another, subscription, qos, retain);
                }
            }
        }
        self.matched = matched;
    }

    fn add_target(&mut self, session: u32, subscription: Subscription, qos: QoS, retain: bool) {
        let routing = self.routing;
        let Some(state) = self.sessions.get_mut(session) else { return };
        let qos = lower(qos, subscription.options.qos);
        // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
        let retain = retain && subscription.options.retain_as_published;
        // Numbers of routings come round again: the place is asked whose it is.
        if state.routed.0 == routing
            && let Some(target) = self.targets.get_mut(state.routed.1 as usize)
            && target.session == session
        {
            target.qos = target.qos.max(qos);
            target.retain |= retain;
            if let Some(id) = subscription.id {
                target.subscription_ids.push(id);
            }
            return;
        }
        state.routed = (routing, u32::try_from(self.targets.len()).unwrap_or(u32::MAX));
        let subscription_ids = subscription.id.map_or(SubscriptionIds::None, SubscriptionIds::One);
        self.targets.push(Target { session, qos, retain, subscription_ids });
    }

    /// Gives a message to every session that `find_targets` found [MQTT-4.5.0-1].
    pub(super) fn deliver_to_targets(&mut self, message: MessageId) {
        let mut targets = core::mem::take(&mut self.targets);
        for target in targets.drain(..) {
            let Target { session, qos, retain, subscription_ids } = target;
            self.enqueue(session, message, qos, retain, subscription_ids);
        }
        self.targets = targets;
    }

    /// Appends a message to the queue of a session, if there is room.
    ///
    /// A queue keeps the order in which messages came, and whatever is dropped is the newest: one
    /// publisher's messages of one QoS reach a client in their order [MQTT-4.6.0-5]
    /// [MQTT-4.6.0-6].
    fn enqueue(
        &mut self,
        session_slot: u32,
        message: MessageId,
        qos: QoS,
        retain: bool,
        subscription_ids: SubscriptionIds,
    ) {
        let Some(session) = self.sessions.get(session_slot) else { return };
        let connection = session.connection;
        if qos == QoS::AtMostOnce && connection.is_none() {
            self.count_drop(session_slot, DropReason::NotConnected);
            return;
        }
        let size = self.messages.get(message).map_or(0, |message| message.size());
        let queued_messages = self.config.limits.queued_messages;
        let queued_bytes = self.config.limits.queued_bytes;
        let Some(flow) = self.flow_mut(session_slot) else { return };
        let reason = if flow.queued() + usize::from(sabotaged!(QueueShorter)) >= queued_messages {
            Some(DropReason::QueueFull)
        } else if flow.queued_bytes + size > queued_bytes {
            Some(DropReason::QueueBytes)
        } else {
            None
        };
        if let Some(reason) = reason {
            if sabotaged!(OverflowNotCounted) {
                return;
            }
            self.count_drop(session_slot, reason);
            return;
        }
        let order = flow.next_order;
        flow.next_order = order.wrapping_add(1);
        flow.queued_bytes += size;
        let delivery = Delivery {
            message: Some(message),
            order,
            qos,
            retain,
            is_replayed: false,
            subscription_ids,
        };
        let sendable = match qos {
            QoS::AtMostOnce => {
                flow.unacknowledged.push_back(delivery);
                true
            }
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                flow.acknowledged.push_back(delivery);
                flow.outgoing.may_send()
            }
        };
        let is_filling = flow.queued() > queued_messages - queued_messages / 4
            || flow.queued_bytes > queued_bytes - queued_bytes / 4;
        self.messages.hold(message);
        self.record_queued(session_slot, message, qos);
        self.work += 1;
        if let Some(slot) = connection
            && sendable
        {
            self.mark_ready(slot);
            // The driver has not come round to a client that takes what it is sent: rather than
            // overflow its queue the input waits. A client that does not read holds nobody back.
            let waits_for_driver =
                self.connections.get(slot).is_some_and(|c| c.ready_since == self.now);
            self.is_pressed |= is_filling && waits_for_driver;
        }
        self.is_pressed |= self.work >= super::WORK_PER_CALL;
    }

    pub(super) fn count_drop(&mut self, session_slot: u32, reason: DropReason) {
        self.statistics.dropped.count(reason);
        if let Some(session) = self.sessions.get_mut(session_slot) {
            session.losses.get_or_insert_default().dropped.count(reason);
        }
    }

    /// Makes a message the retained one of its topic [MQTT-3.3.1-5], or, if it has no payload,
    /// forgets the one there is [MQTT-3.3.1-6] [MQTT-3.3.1-7].
    pub(super) fn retain(&mut self, message: MessageId) {
        let Some(stored) = self.messages.get(message) else { return };
        let is_cleared = stored.payload_len() == 0;
        if sabotaged!(RetainedNotReplaced)
            && !is_cleared
            && self.retained.get(stored.topic()).is_some()
        {
            return;
        }
        let previous = if is_cleared {
            self.retained.remove(stored.topic())
        } else {
            let timer = stored
                .expires_at()
                .filter(|_| !sabotaged!(RetainedNotExpired))
                .map(|at| self.deadlines.insert(at.as_nanos(), TimerKey::Retained(message)));
            self.retained_bytes += stored.size();
            self.retained_count += 1;
            let retained = Retained { message, number: self.retained_count, timer };
            let previous = self.retained.insert(stored.topic(), retained);
            self.messages.hold(message);
            self.messages.shrink(message);
            previous
        };
        if !is_cleared {
            self.record_retained(message);
        } else if previous.is_some() {
            self.record_cleared(message);
        } else {
            self.rely_on_cleared();
        }
        if let Some(Retained { message, timer, .. }) = previous {
            if let Some(timer) = timer {
                self.deadlines.cancel(timer, TimerKey::Retained(message));
            }
            self.retained_bytes -= self.messages.get(message).map_or(0, |m| m.size());
            self.messages.release(message);
        }
    }

    /// Forgets a retained message whose time is over.
    pub(super) fn expire_retained(&mut self, message: MessageId) {
        let Some(stored) = self.messages.get(message) else { return };
        let size = stored.size();
        if self.retained.remove(stored.topic()).is_some() {
            self.retained_bytes -= size;
            self.record_cleared(message);
            self.messages.release(message);
        }
    }
}
