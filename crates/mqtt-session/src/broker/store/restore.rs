//! From stored changes to a broker that goes on.

use core::time::Duration;
use std::collections::BTreeMap;

use mqtt_codec::{PacketId, QoS, TopicFilter};

use super::super::messages::{MessageId, NEVER, NewMessage, Payload};
use super::super::replay::Replay;
use super::super::route::Subscription;
use super::super::session::{Delivery, StoredWill, SubscriptionIds};
use super::super::{Broker, BrokerConfig};
use super::image::{AskedImage, DeliveryImage, Image, MessageImage, SessionImage};
use super::{
    Change, MessageKey, MessageKeys, RestoreError, RestoreFault, SessionKey, StoredSession,
};
use crate::Time;
use crate::exchange::Exchange;

impl Broker {
    /// The broker that `changes` make: all that were committed, in their order, or those of the
    /// last [`poll_snapshot`](Self::poll_snapshot) and all that were committed after it.
    ///
    /// Sessions that had a connection lose it `now`: the clocks of their expiry and of their wills
    /// begin to run, for nobody could come back while there was no broker. What else has a time
    /// goes on from where it was; a driver that knows how long there was no broker hands in a
    /// [`Change::Elapsed`] behind the others and stores it with them.
    ///
    /// With [`BrokerConfig::durable`](super::super::BrokerConfig::durable) the first batch of the
    /// new broker says what the restart itself changed.
    ///
    /// `seed` need not be that of the broker before.
    ///
    /// # Errors
    ///
    /// A change does not fit those before it; the error says which one. Whatever the changes are,
    /// no more memory is taken than they took themselves, by a constant factor.
    ///
    /// ```
    /// use mqtt_session::{Broker, BrokerConfig, Time};
    ///
    /// let mut config = BrokerConfig::default();
    /// config.durable = true;
    /// let before = Broker::new(config.clone(), [1; 32]);
    /// let after = Broker::restore(config, [2; 32], Time::ZERO, before.snapshot())?;
    /// assert_eq!(after.snapshot(), before.snapshot());
    /// # Ok::<(), mqtt_session::RestoreError>(())
    /// ```
    pub fn restore(
        config: BrokerConfig,
        seed: [u8; 32],
        now: Time,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<Self, RestoreError> {
        let mut image = Image::default();
        let mut count = 0;
        for change in changes {
            image.apply(change).map_err(|fault| RestoreError { at: count, fault })?;
            count += 1;
        }
        let mut broker = Self::new(config, seed);
        broker.now = now;
        // Nothing is recorded until everything is there.
        let store = broker.store.take();
        let restored = broker.fill(image);
        let (mut recorded, stored) = restored.map_err(|fault| RestoreError { at: count, fault })?;
        broker.store = store;
        if let Some(store) = broker.store.as_deref_mut() {
            store.recorded_at = Some(now);
            store.bytes = recorded.iter().map(Change::size).sum();
            store.changes.append(&mut recorded);
            store.next_session = stored.highest_session + 1;
            for (slot, session) in stored.sessions {
                store.set_session(slot, Some(session));
            }
        }
        broker.ask_again(stored.asked);
        Ok(broker)
    }

    /// Puts everything into its place. Returns what the restart changes, and what the store has to
    /// know.
    fn fill(&mut self, image: Image) -> Result<(Vec<Change>, Stored), RestoreFault> {
        let Image { clock, sessions, messages, retained, asked, .. } = image;
        let mut recorded = Vec::new();
        let mut restoring =
            Restoring { clock, now: self.now, ids: BTreeMap::new(), changes: Vec::new() };
        if let Some(keys) = &mut self.messages.keys {
            **keys = MessageKeys::new(image.highest_message);
        }
        for (key, message) in messages {
            match message.holders {
                0 => recorded.push(Change::MessageForgotten { message: key }),
                _ => restoring.put_message(self, key, message),
            }
        }
        for message in retained.values() {
            if let Some(id) = restoring.id(*message) {
                self.retain(id);
            }
        }
        let mut stored = Stored {
            highest_session: image.highest_session,
            sessions: Vec::new(),
            asked: Vec::new(),
        };
        for (key, session) in sessions {
            let expiry_interval = session.expiry_interval;
            let slot = restoring.put_session(self, key, session)?;
            stored.sessions.push((slot, StoredSession { key, expiry_interval }));
        }
        let mut asked: Vec<_> = asked.into_iter().collect();
        asked.sort_unstable_by_key(|(_, asked)| asked.order);
        for (message, AskedImage { client_id, identity, .. }) in asked {
            if let Some(id) = restoring.id(message) {
                self.messages.hold(id);
                stored.asked.push((id, client_id, identity));
            }
        }
        // Everybody who needs a message holds it now.
        for id in restoring.ids.values() {
            self.messages.release(*id);
        }
        recorded.append(&mut restoring.changes);
        Ok((recorded, stored))
    }

    /// Asks about the wills again that were not decided about.
    fn ask_again(&mut self, asked: Vec<(MessageId, Box<str>, Option<Box<str>>)>) {
        for (message, client_id, identity) in asked {
            let publisher = self.find_session(&client_id).and_then(|slot| self.sessions.key(slot));
            if self.config.decisions.publish {
                self.ask_will(message, client_id, identity, publisher);
            } else {
                self.record_will_answered(message);
                self.statistics.wills_published += 1;
                self.deliver(message, publisher.map(|key| key.slot));
                self.messages.release(message);
            }
        }
    }
}

/// What the store knows of a broker that was restored.
struct Stored {
    highest_session: u64,
    sessions: Vec<(u32, StoredSession)>,
    asked: Vec<(MessageId, Box<str>, Option<Box<str>>)>,
}

/// What is needed to put an image into a broker.
struct Restoring {
    /// What the image's times count to at this moment.
    clock: Duration,
    now: Time,
    ids: BTreeMap<MessageKey, MessageId>,
    /// What the restart changes.
    changes: Vec<Change>,
}

impl Restoring {
    /// A time of the image as one of the broker: what has passed already is now.
    fn time(&self, at: Duration) -> Time {
        self.now + at.saturating_sub(self.clock)
    }

    fn id(&self, message: MessageKey) -> Option<MessageId> {
        self.ids.get(&message).copied()
    }

    fn put_message(&mut self, broker: &mut Broker, key: MessageKey, image: MessageImage) {
        let MessageImage { stored, expires_at, .. } = image;
        let publisher = stored.publisher.as_ref();
        let id = broker.messages.insert(
            self.now,
            NewMessage {
                topic: &stored.topic,
                qos: stored.qos,
                retain: stored.retain,
                expiry: None,
                publisher: publisher
                    .map_or(0, |client_id| broker.entropy.hash(client_id.as_bytes())),
                payload: Payload::Owned(stored.payload),
            },
            |head| head.extend_from_slice(&stored.properties),
        );
        if let Some(at) = expires_at {
            broker.messages.expire_at(id, self.time(at));
        }
        if let Some(keys) = &mut broker.messages.keys {
            keys.put(id.0, key, stored.publisher);
        }
        self.ids.insert(key, id);
    }

    fn put_session(
        &mut self,
        broker: &mut Broker,
        key: SessionKey,
        image: SessionImage,
    ) -> Result<u32, RestoreFault> {
        let SessionImage { client_id, identity, expiry_interval, left, .. } = image;
        let subscriber = broker.hash_client_id(&client_id);
        let slot = broker.create_session(client_id, identity).ok_or(RestoreFault::TooMany)?;
        for (filter, (options, id)) in &image.subscriptions {
            let filter = TopicFilter::new(filter).map_err(RestoreFault::TopicFilter)?;
            let subscription = Subscription { options: *options, id: *id };
            if !broker.put_subscription(slot, &filter, subscription) {
                return Err(RestoreFault::TooMany);
            }
        }
        let ends_at = match left {
            Some(ends_at) => ends_at.map(|at| self.time(at)),
            None => {
                let seconds = Some(expiry_interval).filter(|&seconds| seconds != u32::MAX);
                let ends_in = seconds.map(|seconds| Duration::from_secs(seconds.into()));
                self.changes.push(Change::SessionLeft { session: key, ends_in });
                ends_in.map(|time| self.now + time)
            }
        };
        let will = image.will.and_then(|will| {
            let message = self.id(will.message)?;
            broker.messages.hold(message);
            let due_at = match will.due_at.filter(|_| left.is_some()) {
                Some(at) => self.time(at),
                None => {
                    let due_in = Duration::from_secs(will.delay.into());
                    self.changes.push(Change::WillDue { session: key, due_in });
                    self.now + due_in
                }
            };
            let size = broker.messages.get(message).map_or(0, |message| message.size());
            broker.will_bytes += size;
            let (delay, expiry) = (will.delay, will.expiry);
            let due_at = Some(due_at);
            Some(Box::new(StoredWill { message, delay, expiry, due_at, size }))
        });
        if let Some(session) = broker.sessions.get_mut(slot) {
            session.expiry_interval = expiry_interval;
            session.ends_at = ends_at.unwrap_or(NEVER);
            session.will = will;
        }
        let is_idle = image.queue.is_empty()
            && image.exchanges.is_empty()
            && image.received.is_empty()
            && image.replays.is_empty();
        if !is_idle {
            let queue = image.queue.into_iter();
            let queue: Vec<_> =
                queue.filter_map(|delivery| self.delivery(broker, delivery)).collect();
            let mut exchanges: Vec<_> = image.exchanges.into_iter().collect();
            exchanges.sort_unstable_by_key(|(_, exchange)| exchange.order);
            let mut open = Vec::with_capacity(exchanges.len());
            for (packet_id, exchange) in exchanges {
                let delivery = match exchange.delivery {
                    Some(delivery) => self.delivery(broker, delivery),
                    None => Some(Delivery {
                        message: None,
                        order: 0,
                        qos: QoS::ExactlyOnce,
                        retain: false,
                        is_replayed: false,
                        subscription_ids: SubscriptionIds::None,
                    }),
                };
                let Some(delivery) = delivery else { continue };
                open.push((packet_id, exchange.exchange, exchange.order, delivery));
            }
            // Nobody knows any more which of the messages that are retained now were queued for
            // the client: all are sent.
            let newest = broker.retained_count;
            let replays = image.replays.into_iter().map(|replay| {
                let subscription = Subscription { options: replay.options, id: replay.id };
                let order = order_behind(replay.behind);
                let mut begun =
                    Replay::new(&replay.filter, subscription, subscriber, order, newest);
                begun.pause();
                match replay.after {
                    Some(topic) => begun.after(topic),
                    None => begun,
                }
            });
            broker.put_flow(slot, queue, open, image.received.into_iter(), replays);
        }
        broker.arm_session(slot);
        Ok(slot)
    }

    fn delivery(&self, broker: &mut Broker, image: DeliveryImage) -> Option<Delivery> {
        let id = self.id(image.message)?;
        broker.messages.hold(id);
        let mut subscription_ids = SubscriptionIds::None;
        match *image.subscription_ids {
            [] => {}
            [id] => subscription_ids = SubscriptionIds::One(id),
            _ => subscription_ids = SubscriptionIds::Many(image.subscription_ids),
        }
        Some(Delivery {
            message: Some(id),
            order: 0,
            qos: image.qos,
            retain: image.retain,
            is_replayed: false,
            subscription_ids,
        })
    }
}

impl Broker {
    fn put_flow(
        &mut self,
        slot: u32,
        queue: Vec<Delivery>,
        open: Vec<(PacketId, Exchange, u64, Delivery)>,
        received: impl Iterator<Item = PacketId>,
        replays: impl Iterator<Item = Replay>,
    ) {
        let bytes: usize = queue
            .iter()
            .filter_map(|delivery| self.messages.get(delivery.message?))
            .map(|message| message.size())
            .sum();
        let Some(flow) = self.flow_mut(slot) else { return };
        for packet_id in received {
            flow.incoming.restore(packet_id);
        }
        // Packet Identifiers are keys of the image: none is refused as in use.
        let refused = flow.outgoing.restore(open);
        // What is under way stands before all that is queued from now on.
        flow.next_order = order_behind(queue.len());
        flow.queued_bytes = bytes;
        for (order, mut delivery) in (FIRST_ORDER..).zip(queue) {
            delivery.order = order;
            flow.acknowledged.push_back(delivery);
        }
        flow.replays.extend(replays);
        for message in refused.into_iter().filter_map(|delivery| delivery.message) {
            self.messages.release(message);
        }
    }
}

/// Where the first message stands that a restored session has queued.
const FIRST_ORDER: u32 = 1;

/// Where the next one stands behind so many.
fn order_behind(queued: usize) -> u32 {
    u32::try_from(queued).map_or(u32::MAX, |queued| queued.saturating_add(FIRST_ORDER))
}
