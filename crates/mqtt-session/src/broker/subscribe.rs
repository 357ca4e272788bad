//! SUBSCRIBE and UNSUBSCRIBE.

use mqtt_codec::{
    DisconnectReason, Packet, PacketId, Properties, QoS, RetainHandling, SubAck, SubAckReason,
    Subscribe, SubscriptionId, SubscriptionOptions, TopicError, TopicFilter, UnsubAck,
    UnsubAckReason, Unsubscribe,
};

use super::Broker;
use super::input::Handled;
use super::replay::Replay;
use super::route::Subscription;

impl Broker {
    /// A client subscribes: each filter as if it had come alone [MQTT-3.8.4-5].
    #[inline(never)]
    pub(super) fn on_subscribe(&mut self, slot: u32, subscribe: &Subscribe<'_>) -> Handled {
        let Some(session) = self.connections.get(slot).and_then(|c| c.session) else {
            return Ok(());
        };
        let id = subscribe.properties.subscription_ids().next();
        self.check_availability(subscribe, id)?;
        if self.config.decisions.subscribe {
            self.ask_subscribe(slot, session, subscribe);
            return Ok(());
        }
        let filters = subscribe.filters().map(|(filter, options)| (Ok(filter), options, None));
        let reasons = self.subscribe_each(session, id, filters);
        self.answer_suback(slot, subscribe.packet_id, &reasons);
        Ok(())
    }

    /// Subscribes a session to each filter that was not denied, and says what became of each.
    pub(super) fn subscribe_each<'a>(
        &mut self,
        session: u32,
        id: Option<SubscriptionId>,
        filters: impl Iterator<
            Item = (Result<TopicFilter<'a>, TopicError>, SubscriptionOptions, Option<SubAckReason>),
        >,
    ) -> Vec<SubAckReason> {
        let limit = self.config.limits.filters_per_subscribe;
        filters
            .enumerate()
            .map(|(number, (filter, options, denied))| match (filter, denied) {
                _ if number >= limit => SubAckReason::QuotaExceeded,
                (_, Some(reason)) => reason,
                (Ok(filter), None) => self.subscribe_recorded(session, &filter, options, id),
                (Err(_), None) => SubAckReason::TopicFilterInvalid,
            })
            .collect()
    }

    /// Answers a SUBSCRIBE [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-6] [MQTT-3.9.3-1]
    /// [MQTT-2.2.1-6].
    pub(super) fn answer_suback(
        &mut self,
        slot: u32,
        packet_id: PacketId,
        reasons: &[SubAckReason],
    ) {
        self.count_denials(slot, reasons);
        if let Ok(packet) = SubAck::new(packet_id, Properties::default(), reasons) {
            self.answer(slot, Packet::SubAck(packet));
        }
        self.mark_if_transmittable(slot);
    }

    /// Counts the filters that are not granted, also for their session.
    fn count_denials(&mut self, slot: u32, reasons: &[SubAckReason]) {
        let session = self.connections.get(slot).and_then(|connection| connection.session);
        for &reason in reasons.iter().filter(|reason| reason.is_error()) {
            self.statistics.subscriptions_refused.count(reason);
            if let Some(session) = session.and_then(|slot| self.sessions.get_mut(slot)) {
                session.losses.get_or_insert_default().subscriptions_refused.count(reason);
            }
        }
    }

    /// What CONNACK said is not available is not asked for.
    fn check_availability(&self, subscribe: &Subscribe<'_>, id: Option<SubscriptionId>) -> Handled {
        let config = &self.config;
        // [MQTT5-U-3.2.2.3.12-2]
        if id.is_some() && !config.subscription_id_available {
            return Err(DisconnectReason::SubscriptionIdentifiersNotSupported);
        }
        // [MQTT5-U-3.2.2.3.13-2]
        if !config.shared_subscription_available
            && subscribe.filters().any(|(filter, _)| filter.is_shared())
        {
            return Err(DisconnectReason::SharedSubscriptionsNotSupported);
        }
        // [MQTT5-U-3.2.2.3.11-2]
        if !config.wildcard_subscription_available
            && subscribe.filters().any(|(filter, _)| filter.has_wildcards())
        {
            return Err(DisconnectReason::WildcardSubscriptionsNotSupported);
        }
        Ok(())
    }

    /// Subscribes a session to one filter and says what was granted [MQTT-3.8.4-7].
    pub(super) fn subscribe(
        &mut self,
        session_slot: u32,
        filter: &TopicFilter<'_>,
        options: SubscriptionOptions,
        id: Option<SubscriptionId>,
    ) -> SubAckReason {
        let limits = &self.config.limits;
        let text = filter.filter();
        let separators = text.bytes().filter(|&byte| byte == b'/').count();
        if filter.as_str().len() > limits.topic_bytes || separators >= limits.topic_levels {
            return SubAckReason::TopicFilterInvalid;
        }
        // [MQTT-3.2.2-10]
        let granted = options.qos.min(self.config.maximum_qos);
        let subscription =
            Subscription { options: SubscriptionOptions { qos: granted, ..options }, id };
        let Some(session) = self.sessions.get(session_slot) else {
            return SubAckReason::UnspecifiedError;
        };
        let count = session.subscriptions.as_ref().map_or(0, |subscriptions| subscriptions.len());
        let has_room =
            count < limits.subscriptions && self.index.match_bound_with(text) <= limits.match_steps;
        if filter.is_shared() {
            if !has_room && !self.is_member(session_slot, filter) {
                return SubAckReason::QuotaExceeded;
            }
            if !self.join_group(session_slot, filter, subscription) {
                return SubAckReason::QuotaExceeded;
            }
            // Retained messages are never sent for a shared subscription.
            return granted_reason(granted);
        }
        if !has_room && self.index.get(text, session_slot).is_none() {
            return SubAckReason::QuotaExceeded;
        }
        // [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4]
        let send_retained = !self.retained.is_empty()
            && match options.retain_handling {
                RetainHandling::SendAlways => true,
                RetainHandling::SendIfNew => self.index.get(text, session_slot).is_none(),
                RetainHandling::DoNotSend => false,
            };
        if send_retained && !self.admit_replay(session_slot) {
            return SubAckReason::QuotaExceeded;
        }
        // [MQTT-3.8.4-3]: one with the same filter is replaced, and nothing is lost meanwhile.
        let (filter_id, previous) = self.index.insert(text, session_slot, subscription);
        if previous.is_none()
            && let Some(session) = self.sessions.get_mut(session_slot)
        {
            let filters = &mut session.subscriptions.get_or_insert_default().filters;
            if let Err(at) = filters.binary_search(&filter_id) {
                filters.insert(at, filter_id);
            }
        }
        if send_retained {
            self.replay(session_slot, text, subscription);
        }
        granted_reason(granted)
    }

    /// Whether a session may have retained messages sent once more. Searching them costs the
    /// broker more than asking costs a client that asks in a loop.
    fn admit_replay(&mut self, session_slot: u32) -> bool {
        let limit = self.config.limits.replays;
        let Some(session) = self.sessions.get_mut(session_slot) else { return false };
        let is_admitted = session.rates.get_or_insert_default().replays.admit(self.now, limit);
        if !is_admitted {
            self.statistics.replays_refused += 1;
        }
        is_admitted
    }

    /// Begins to send the retained messages that match a filter.
    pub(super) fn replay(&mut self, session_slot: u32, filter: &str, subscription: Subscription) {
        let Some(session) = self.sessions.get(session_slot) else { return };
        let own = self.entropy.hash(session.client_id.as_bytes());
        let newest = self.retained_count;
        let Some(flow) = self.flow_mut(session_slot) else { return };
        // One that is under way for the same filter begins anew.
        flow.replays.retain(|replay| replay.filter() != filter);
        flow.replays.push_back(Replay::new(filter, subscription, own, flow.next_order, newest));
        self.record_replay(session_slot, filter, subscription);
    }

    /// A client unsubscribes [MQTT-3.10.4-6].
    #[inline(never)]
    pub(super) fn on_unsubscribe(&mut self, slot: u32, unsubscribe: &Unsubscribe<'_>) -> Handled {
        let Some(session) = self.connections.get(slot).and_then(|c| c.session) else {
            return Ok(());
        };
        let reasons: Vec<UnsubAckReason> = unsubscribe
            .filters()
            .map(|filter| match self.unsubscribe_recorded(session, &filter) {
                true => UnsubAckReason::Success,
                false => UnsubAckReason::NoSubscriptionExisted,
            })
            .collect();
        // [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.11.3-1] [MQTT-3.11.3-2]
        let packet = UnsubAck::new(unsubscribe.packet_id, Properties::default(), &reasons);
        if let Ok(packet) = packet {
            self.answer(slot, Packet::UnsubAck(packet));
        }
        Ok(())
    }

    /// Deletes the subscription with exactly this filter [MQTT-3.10.4-1]. What is under way to the
    /// client goes on [MQTT-3.10.4-3], and nothing is added to it [MQTT-3.10.4-2].
    pub(super) fn unsubscribe(&mut self, session_slot: u32, filter: &TopicFilter<'_>) -> bool {
        if sabotaged!(UnsubscribeIgnored) {
            return true;
        }
        if filter.is_shared() {
            return self.leave_group(session_slot, filter.as_str());
        }
        let Some(filter_id) = self.index.find(filter.filter()) else { return false };
        if self.index.remove_by_id(filter_id, session_slot).is_none() {
            return false;
        }
        if let Some(session) = self.sessions.get_mut(session_slot) {
            if let Some(subscriptions) = &mut session.subscriptions
                && let Ok(at) = subscriptions.filters.binary_search(&filter_id)
            {
                subscriptions.filters.remove(at);
            }
            if let Some(flow) = &mut session.flow {
                flow.replays.retain(|replay| replay.filter() != filter.filter());
            }
        }
        true
    }

    /// Deletes all subscriptions of a session.
    pub(super) fn unsubscribe_all(&mut self, session_slot: u32) {
        let Some(session) = self.sessions.get_mut(session_slot) else { return };
        let Some(subscriptions) = session.subscriptions.take() else { return };
        for filter in subscriptions.filters {
            self.index.remove_by_id(filter, session_slot);
        }
        for group in subscriptions.groups {
            self.remove_member(session_slot, group);
        }
    }
}

const fn granted_reason(qos: QoS) -> SubAckReason {
    match qos {
        QoS::AtMostOnce => SubAckReason::GrantedQos0,
        QoS::AtLeastOnce => SubAckReason::GrantedQos1,
        QoS::ExactlyOnce => SubAckReason::GrantedQos2,
    }
}
