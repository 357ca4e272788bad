//! Where the broker's decisions become changes.
//!
//! Each of these does nothing without a store, or for a session that is not stored.

use core::time::Duration;

use mqtt_codec::{
    PacketId, PubAckReason, PublishQos, QoS, SubAckReason, SubscriptionId, SubscriptionOptions,
    TopicFilter,
};

use super::super::Broker;
use super::super::messages::{MessageId, Messages, NEVER};
use super::super::route::Subscription;
use super::super::session::{Delivery, Flow, Session};
use super::held::Reached;
use super::{Change, Ledger, MessageKey, SessionKey, Store, StoredMessage, StoredSession, Undo};
use crate::Time;

impl Broker {
    /// The packet or call at hand begins: what it changes is told from what others changed.
    #[inline(always)]
    pub(in crate::broker) fn begin_changes(&mut self) {
        if let Some(store) = &mut self.store {
            store.begin();
        }
    }

    /// A client was let in.
    pub(in crate::broker) fn record_connected(&mut self, slot: u32, is_resumed: bool) {
        let Self { store, sessions, .. } = self;
        let (Some(store), Some(state)) = (store.as_deref_mut(), sessions.get(slot)) else {
            return;
        };
        let interval = state.expiry_interval;
        match store.session(slot) {
            Some(session) => {
                if is_resumed {
                    store.record(Change::SessionResumed { session: session.key });
                }
                store.record_interval(slot, session, interval);
            }
            None if interval == 0 => {}
            None => {
                if let Some(session) = store.add_session(slot, interval) {
                    store.record(session_begun(session, state));
                }
            }
        }
    }

    /// The client of a session has its CONNACK: if the session ends with this connection, it need
    /// not be stored any more. Until now the CONNECT could have been refused.
    pub(super) fn record_accepted(&mut self, slot: u32) {
        let ends = self.sessions.get(slot).filter(|session| session.expiry_interval == 0);
        let Some(session) = ends else { return };
        // Its will is another message from here on: when it is published, with its expiry, nothing
        // would tell the store of that.
        if let Some(will) = &session.will
            && let Some(keys) = &mut self.messages.keys
        {
            keys.release(will.message.0);
        }
        self.record_ended(slot);
    }

    /// A session has lost its connection and lives on.
    pub(in crate::broker) fn record_left(&mut self, slot: u32) {
        let now = self.now;
        let Self { store, sessions, .. } = self;
        let (Some(store), Some(state)) = (store.as_deref_mut(), sessions.get(slot)) else {
            return;
        };
        let Some(session) = store.session(slot) else { return };
        store.record_interval(slot, session, state.expiry_interval);
        store.record_time(now);
        let session = session.key;
        let ends_in = remaining(state.ends_at, now);
        store.record(Change::SessionLeft { session, ends_in });
        if let Some(due_at) = state.will.as_ref().and_then(|will| will.due_at) {
            let due_in = due_at.duration_since(now);
            store.record(Change::WillDue { session, due_in });
        }
    }

    /// A session is over.
    pub(in crate::broker) fn record_ended(&mut self, slot: u32) {
        let Some(session) = self.stored_session(slot) else { return };
        let client = self.sessions.get(slot).map(|state| self.hash_client_id(&state.client_id));
        let Some(store) = self.store.as_deref_mut() else { return };
        if !sabotaged!(EndNotStored) {
            store.record(Change::SessionEnded { session });
        }
        store.set_session(slot, None);
        store.ended.extend(client.map(|client| (client, store.open)));
    }

    /// A session has a will.
    pub(in crate::broker) fn record_will(&mut self, slot: u32) {
        if self.stored_session(slot).is_none() {
            return;
        }
        let Some(will) = self.sessions.get(slot).and_then(|session| session.will.as_ref()) else {
            return;
        };
        let (message, delay, expiry) = (will.message, will.delay, will.expiry);
        let Some(message) = self.store_message(message) else { return };
        self.record_for(slot, |session| Change::WillStored { session, message, delay, expiry });
    }

    /// The will of a session is deleted.
    pub(in crate::broker) fn record_will_discarded(&mut self, slot: u32) {
        self.record_for(slot, |session| Change::WillDiscarded { session });
    }

    /// The will of a session is published.
    pub(in crate::broker) fn record_will_published(&mut self, slot: u32) {
        let now = self.now;
        if let Some(store) = self.store.as_deref_mut()
            && let Some(session) = store.session(slot)
        {
            store.record_time(now);
            store.record(Change::WillPublished { session: session.key });
        }
    }

    /// The driver is asked about the will of a session.
    pub(in crate::broker) fn record_will_asked(&mut self, slot: u32, message: MessageId) {
        let Self { store, sessions, messages, .. } = self;
        if let Some(store) = store.as_deref_mut()
            && store.session(slot).is_some()
            && let (Some(message), Some(session)) = (messages.key(message), sessions.get(slot))
        {
            let (client_id, identity) = (session.client_id.clone(), session.identity.clone());
            store.record(Change::WillAsked { message, client_id, identity });
        }
    }

    /// The driver has decided about a will.
    pub(in crate::broker) fn record_will_answered(&mut self, message: MessageId) {
        if let Some(store) = self.store.as_deref_mut()
            && let Some(message) = self.messages.key(message)
        {
            store.record(Change::WillAnswered { message });
        }
    }

    /// What a stored session subscribes to with a filter.
    pub(super) fn subscription_of(
        &self,
        slot: u32,
        filter: &TopicFilter<'_>,
    ) -> Option<Subscription> {
        self.stored_session(slot)?;
        if filter.is_shared() {
            self.group_subscription(slot, filter)
        } else {
            self.index.get(filter.filter(), slot)
        }
    }

    /// Subscribes a session, and records it.
    pub(in crate::broker) fn subscribe_recorded(
        &mut self,
        slot: u32,
        filter: &TopicFilter<'_>,
        options: SubscriptionOptions,
        id: Option<SubscriptionId>,
    ) -> SubAckReason {
        let Some(session) = self.stored_session(slot) else {
            return self.subscribe(slot, filter, options, id);
        };
        let previous = self.subscription_of(slot, filter);
        let replays = self.store.as_ref().map_or(0, |store| store.changes.len());
        let reason = self.subscribe(slot, filter, options, id);
        if !reason.is_error()
            && let Some(Subscription { options, id }) = self.subscription_of(slot, filter)
            && let Some(store) = &mut self.store
        {
            let filter: Box<str> = filter.as_str().into();
            // In front of the replay that it may have begun.
            let change = Change::Subscribed { session, filter: filter.clone(), options, id };
            store.record_at(replays, change);
            store.undo.push(Undo { filter, previous });
        }
        reason
    }

    /// Unsubscribes a session, and records it.
    pub(in crate::broker) fn unsubscribe_recorded(
        &mut self,
        slot: u32,
        filter: &TopicFilter<'_>,
    ) -> bool {
        let was_subscribed = self.unsubscribe(slot, filter);
        if was_subscribed {
            let filter = filter.as_str();
            self.record_for(slot, |session| Change::Unsubscribed {
                session,
                filter: filter.into(),
            });
        }
        was_subscribed
    }

    /// Gives a session a subscription that it had before; false if there are too many groups.
    pub(super) fn put_subscription(
        &mut self,
        slot: u32,
        filter: &TopicFilter<'_>,
        subscription: Subscription,
    ) -> bool {
        if filter.is_shared() {
            return self.join_group(slot, filter, subscription);
        }
        let (id, _) = self.index.insert(filter.filter(), slot, subscription);
        if let Some(session) = self.sessions.get_mut(slot) {
            let filters = &mut session.subscriptions.get_or_insert_default().filters;
            if let Err(at) = filters.binary_search(&id) {
                filters.insert(at, id);
            }
        }
        true
    }

    /// Gives a session back the subscription that it had before the one with the same filter.
    pub(super) fn restore_subscription(
        &mut self,
        slot: u32,
        filter: &TopicFilter<'_>,
        subscription: Subscription,
    ) {
        self.put_subscription(slot, filter, subscription);
        let Subscription { options, id } = subscription;
        let text: Box<str> = filter.as_str().into();
        let change = |session| Change::Subscribed { session, filter: text, options, id };
        self.record_for(slot, change);
        let flow = self.sessions.get(slot).and_then(|session| session.flow.as_ref());
        let mut replays = flow.into_iter().flat_map(|flow| &flow.replays);
        if replays.any(|replay| replay.filter() == filter.as_str()) {
            // Whichever of the two it was begun for, this one needs it.
            self.replay(slot, filter.as_str(), subscription);
        }
    }

    /// The retained messages for a subscription begin to be sent.
    pub(in crate::broker) fn record_replay(
        &mut self,
        slot: u32,
        filter: &str,
        subscription: Subscription,
    ) {
        let Subscription { options, id } = subscription;
        let change = |session| Change::ReplayBegun { session, filter: filter.into(), options, id };
        self.record_for(slot, change);
    }

    /// A message is the retained one of its topic.
    pub(in crate::broker) fn record_retained(&mut self, message: MessageId) {
        if self.store.is_none() || sabotaged!(RetainedNotStored) {
            return;
        }
        let Some(message) = self.store_message(message) else { return };
        if let Some(store) = &mut self.store {
            store.record(Change::Retained { message });
        }
    }

    /// The topic of a message has no retained message, as was asked for: since when is not known.
    pub(in crate::broker) fn rely_on_cleared(&mut self) {
        if let Some(store) = &mut self.store {
            store.relies_on_earlier = true;
        }
    }

    /// The topic of a message has no retained message any more.
    pub(in crate::broker) fn record_cleared(&mut self, message: MessageId) {
        if let Some(store) = &mut self.store
            && let Some(message) = self.messages.get(message)
        {
            store.record(Change::RetainedCleared { topic: message.topic().into() });
        }
    }

    /// A message was appended to the queue of a session.
    #[inline]
    pub(in crate::broker) fn record_queued(&mut self, slot: u32, message: MessageId, qos: QoS) {
        if self.store.is_some() && qos != QoS::AtMostOnce {
            self.queue_recorded(slot, message, qos);
        }
    }

    #[inline(never)]
    fn queue_recorded(&mut self, slot: u32, message: MessageId, qos: QoS) {
        if self.stored_session(slot).is_none() {
            if qos == QoS::ExactlyOnce {
                self.note_reached(slot, None);
            }
            return;
        }
        let Some(message) = self.store_message(message) else { return };
        if qos == QoS::ExactlyOnce {
            self.note_reached(slot, Some(message));
        }
        let Self { store, sessions, .. } = self;
        let (Some(store), Some(state)) = (store.as_deref_mut(), sessions.get(slot)) else {
            return;
        };
        let Some(session) = store.session(slot) else { return };
        let Some(queued) = state.flow.as_ref().and_then(|flow| flow.acknowledged.back()) else {
            return;
        };
        store.record(Change::Queued {
            session: session.key,
            message,
            qos,
            retain: queued.retain,
            subscription_ids: queued.subscription_ids.as_slice().into(),
        });
        if qos == QoS::ExactlyOnce {
            self.begin_exchange(slot);
        }
    }

    /// The message at hand goes to a session at QoS 2.
    fn note_reached(&mut self, slot: u32, message: Option<MessageKey>) {
        let Some(session) = self.sessions.key(slot) else { return };
        let flow = self.sessions.get(slot).and_then(|session| session.flow.as_ref());
        if let Some(queued) = flow.and_then(|flow| flow.acknowledged.back())
            && let Some(store) = &mut self.store
        {
            store.reached.push(Reached { session, order: queued.order, message });
        }
    }

    /// Gives the one message in the queue of a session its Packet Identifier, if it could be sent
    /// now: then one commit covers both and it is sent after the first, not after the second.
    fn begin_exchange(&mut self, slot: u32) {
        let now = self.now;
        let Some(key) = self.sessions.key(slot) else { return };
        let Self { store, sessions, messages, .. } = self;
        let Some(session) = sessions.get_mut(slot).filter(|s| s.connection.is_some()) else {
            return;
        };
        let Some(flow) = session.flow.as_deref_mut() else { return };
        let may_have_to_wait = flow.undecided.is_some() || !flow.replays.is_empty();
        if flow.acknowledged.len() != 1 || may_have_to_wait || !flow.outgoing.may_send() {
            return;
        }
        let first = flow.acknowledged.front().and_then(|delivery| messages.get(delivery.message?));
        if first.is_none_or(|message| message.is_expired(now)) {
            return;
        }
        let Some(delivery) = flow.take_acknowledged(messages) else { return };
        let Some(packet_id) = flow.outgoing.send(delivery.qos, delivery) else { return };
        let mut ledger = Ledger::new(store.as_deref_mut(), key);
        ledger.sent(packet_id, flow, messages);
        ledger.wait(packet_id, flow);
    }

    /// The client of a connection has recorded a QoS 2 message.
    #[inline]
    pub(in crate::broker) fn record_released(&mut self, connection: u32, packet_id: PacketId) {
        if self.store.is_some() {
            self.went_on(connection, packet_id, |session| Change::Released { session, packet_id });
        }
    }

    /// An exchange with the client of a connection is over.
    #[inline]
    pub(in crate::broker) fn record_finished(&mut self, connection: u32, packet_id: PacketId) {
        if self.store.is_some() {
            self.went_on(connection, packet_id, |session| Change::Finished { session, packet_id });
        }
    }

    #[inline(never)]
    fn went_on(
        &mut self,
        connection: u32,
        packet_id: PacketId,
        change: impl FnOnce(SessionKey) -> Change,
    ) {
        if let Some(slot) = self.connections.get(connection).and_then(|c| c.session) {
            self.forget_waiting(slot, packet_id);
            self.record_for(slot, change);
        }
    }

    /// An exchange has gone on before its PUBLISH was sent: a client may answer what it was not
    /// sent yet. Then that is not sent.
    pub(super) fn forget_waiting(&mut self, slot: u32, packet_id: PacketId) {
        if self.store.is_some()
            && let Some(session) = self.sessions.get_mut(slot)
            && let Some(flow) = session.flow.as_deref_mut()
            && let Some(waits) = &mut flow.waits
        {
            waits.forget(packet_id);
        }
    }

    /// A message came from the client of a session and was answered for the first time.
    #[inline(always)]
    pub(in crate::broker) fn record_received(
        &mut self,
        slot: u32,
        qos: PublishQos,
        reason: PubAckReason,
    ) {
        if self.store.is_some()
            && let PublishQos::ExactlyOnce { id: packet_id, .. } = qos
            && !reason.is_error()
        {
            self.record_for(slot, |session| Change::Received { session, packet_id });
        }
    }

    /// The client of a connection has released a QoS 2 message; `before` PUBLISHes were unfinished
    /// until then.
    pub(in crate::broker) fn record_pubrel(
        &mut self,
        connection: u32,
        packet_id: PacketId,
        before: Option<u16>,
    ) {
        if self.store.is_none() {
            return;
        }
        let after = self.flow_of(connection).map(|flow| flow.incoming.unfinished());
        if let Some(store) = &mut self.store {
            store.is_counted = after < before;
        }
        if let Some(slot) = self.connections.get(connection).and_then(|c| c.session) {
            self.record_forgotten(slot, packet_id);
        }
    }

    /// A QoS 2 message is released, or was refused after all.
    pub(super) fn record_forgotten(&mut self, slot: u32, packet_id: PacketId) {
        self.record_for(slot, |session| Change::Forgotten { session, packet_id });
    }

    #[inline]
    pub(super) fn stored_session(&self, slot: u32) -> Option<SessionKey> {
        Some(self.store.as_deref()?.session(slot)?.key)
    }

    #[inline]
    pub(super) fn record_for(&mut self, slot: u32, change: impl FnOnce(SessionKey) -> Change) {
        if let Some(store) = self.store.as_deref_mut()
            && let Some(session) = store.session(slot)
        {
            store.record(change(session.key));
        }
    }

    /// The key of a message; it is stored now if it was not yet.
    fn store_message(&mut self, id: MessageId) -> Option<MessageKey> {
        if let Some(key) = self.messages.key(id) {
            return Some(key);
        }
        let publisher = self.client_of(self.messages.get(id)?.publisher);
        let now = self.now;
        let key = self.messages.keys.as_mut()?.assign(id.0, publisher)?;
        let stored = stored_message(&self.messages, id, now)?;
        let store = self.store.as_deref_mut()?;
        if stored.expires_in.is_some() {
            store.record_time(now);
        }
        store.record(Change::MessageStored(stored));
        Some(key)
    }

    /// The client identifier with this keyed hash, if it has a session.
    fn client_of(&self, hash: u64) -> Option<Box<str>> {
        let slot = self.by_client_id.find(hash, |&slot| {
            self.sessions
                .get(slot)
                .is_some_and(|session| self.hash_client_id(&session.client_id) == hash)
        });
        Some(self.sessions.get(*slot?)?.client_id.clone())
    }
}

impl Flow {
    /// Takes the first message out of the queue of QoS 1 and QoS 2 messages.
    fn take_acknowledged(&mut self, messages: &Messages) -> Option<Delivery> {
        let delivery = self.acknowledged.pop_front()?;
        let message = delivery.message.and_then(|id| messages.get(id));
        self.queued_bytes -= message.map_or(0, |message| message.size());
        Some(delivery)
    }
}

impl Store {
    fn add_session(&mut self, slot: u32, expiry_interval: u32) -> Option<SessionKey> {
        let key = SessionKey::new(self.next_session)?;
        self.next_session += 1;
        self.set_session(slot, Some(StoredSession { key, expiry_interval }));
        Some(key)
    }

    /// Records the Session Expiry Interval of a session if it is another one than before.
    fn record_interval(&mut self, slot: u32, session: StoredSession, expiry_interval: u32) {
        if session.expiry_interval != expiry_interval {
            let StoredSession { key, .. } = session;
            self.set_session(slot, Some(StoredSession { key, expiry_interval }));
            self.record(Change::SessionChanged { session: key, expiry_interval });
        }
    }
}

/// How long it is until `at`; `None` for ever.
pub(super) fn remaining(at: Time, now: Time) -> Option<Duration> {
    (at != NEVER).then(|| at.duration_since(now))
}

pub(super) fn session_begun(session: SessionKey, state: &Session) -> Change {
    Change::SessionBegun {
        session,
        client_id: state.client_id.clone(),
        identity: state.identity.clone(),
        expiry_interval: state.expiry_interval,
    }
}

/// A message as it is stored at this moment; `None` if it has no key.
pub(super) fn stored_message(
    messages: &Messages,
    id: MessageId,
    now: Time,
) -> Option<Box<StoredMessage>> {
    let keys = messages.keys.as_ref()?;
    let (key, publisher) = (keys.get(id.0)?, keys.publisher(id.0));
    let message = messages.get(id)?;
    let payload = if message.shared_payload().is_empty() {
        bytes::Bytes::copy_from_slice(message.small_payload())
    } else {
        message.shared_payload().clone()
    };
    Some(Box::new(StoredMessage {
        message: key,
        topic: message.topic().into(),
        qos: message.qos,
        retain: message.retain,
        expires_in: message.expires_at().map(|at| at.duration_since(now)),
        publisher: publisher.map(Into::into),
        properties: bytes::Bytes::copy_from_slice(message.properties()),
        payload,
    }))
}
