//! What a sequence of changes makes: plain tables, before they become a broker.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mqtt_codec::{
    PacketId, PacketType, Properties, PropertyId, QoS, SubscriptionId, SubscriptionOptions,
    TopicFilter, TopicName,
};

use super::{Change, MessageKey, RestoreFault, SessionKey, StoredMessage};
use crate::exchange::Exchange;

/// The state that changes make. Times count from the first change.
#[derive(Debug, Default)]
pub(super) struct Image {
    pub(super) clock: Duration,
    pub(super) sessions: BTreeMap<SessionKey, SessionImage>,
    clients: BTreeMap<Box<str>, SessionKey>,
    pub(super) messages: BTreeMap<MessageKey, MessageImage>,
    pub(super) retained: BTreeMap<Box<str>, MessageKey>,
    /// Wills that the driver was asked about.
    pub(super) asked: BTreeMap<MessageKey, AskedImage>,
    next_asked: u64,
    /// The highest keys.
    pub(super) highest_session: u64,
    pub(super) highest_message: u64,
}

#[derive(Debug)]
pub(super) struct SessionImage {
    pub(super) client_id: Box<str>,
    pub(super) identity: Option<Box<str>>,
    pub(super) expiry_interval: u32,
    /// Set while it has no connection: when it ends, if ever.
    pub(super) left: Option<Option<Duration>>,
    pub(super) subscriptions: BTreeMap<Box<str>, (SubscriptionOptions, Option<SubscriptionId>)>,
    pub(super) will: Option<WillImage>,
    pub(super) queue: VecDeque<DeliveryImage>,
    pub(super) exchanges: BTreeMap<PacketId, ExchangeImage>,
    next_order: u64,
    pub(super) received: BTreeSet<PacketId>,
    pub(super) replays: VecDeque<ReplayImage>,
}

#[derive(Debug)]
pub(super) struct WillImage {
    pub(super) message: MessageKey,
    pub(super) delay: u32,
    pub(super) expiry: Option<u32>,
    pub(super) due_at: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct AskedImage {
    /// Where it stands among those that the driver was asked about.
    pub(super) order: u64,
    pub(super) client_id: Box<str>,
    pub(super) identity: Option<Box<str>>,
}

#[derive(Debug)]
pub(super) struct DeliveryImage {
    pub(super) message: MessageKey,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) subscription_ids: Box<[SubscriptionId]>,
}

#[derive(Debug)]
pub(super) struct ExchangeImage {
    pub(super) exchange: Exchange,
    pub(super) order: u64,
    /// Nothing once PUBREC has come.
    pub(super) delivery: Option<DeliveryImage>,
}

#[derive(Debug)]
pub(super) struct ReplayImage {
    pub(super) filter: Box<str>,
    pub(super) options: SubscriptionOptions,
    pub(super) id: Option<SubscriptionId>,
    /// The topic that it has come to.
    pub(super) after: Option<Box<str>>,
    /// How many messages of the queue come before it.
    pub(super) behind: usize,
}

#[derive(Debug)]
pub(super) struct MessageImage {
    /// Its `expires_in` is what was left when it was stored.
    pub(super) stored: Box<StoredMessage>,
    pub(super) expires_at: Option<Duration>,
    /// How many hold it.
    pub(super) holders: usize,
}

/// The most time that a broker can count: 584 years.
const LONGEST: Duration = Duration::from_nanos(u64::MAX);

type Applied = Result<(), RestoreFault>;

impl Image {
    /// Makes one more change.
    pub(super) fn apply(&mut self, change: Change) -> Applied {
        match change {
            Change::Elapsed(time) => {
                let clock = self.clock.saturating_add(time);
                if clock > LONGEST {
                    return Err(RestoreFault::TooLong);
                }
                self.clock = clock;
            }
            Change::SessionBegun { session, client_id, identity, expiry_interval } => {
                self.begin_session(session, client_id, identity, expiry_interval)?;
            }
            Change::SessionChanged { session, expiry_interval } => {
                self.session(session)?.expiry_interval = expiry_interval;
            }
            Change::SessionLeft { session, ends_in } => {
                let ends_at = ends_in.map(|time| self.clock.saturating_add(time));
                self.session(session)?.left = Some(ends_at);
            }
            Change::SessionResumed { session } => self.session(session)?.left = None,
            Change::SessionEnded { session } => self.end_session(session)?,
            Change::Subscribed { session, filter, options, id } => {
                TopicFilter::new(&filter).map_err(RestoreFault::TopicFilter)?;
                self.session(session)?.subscriptions.insert(filter, (options, id));
            }
            Change::Unsubscribed { session, filter } => {
                let session = self.session(session)?;
                session.subscriptions.remove(&filter).ok_or(RestoreFault::NotSubscribed)?;
                session.replays.retain(|replay| replay.filter != filter);
            }
            Change::WillStored { session, message, delay, expiry } => {
                self.session(session)?;
                self.hold(message)?;
                let will = WillImage { message, delay, expiry, due_at: None };
                if let Some(previous) = self.session(session)?.will.replace(will) {
                    self.release(previous.message);
                }
            }
            Change::WillDiscarded { session } => {
                let will = self.session(session)?.will.take().ok_or(RestoreFault::NoWill)?;
                self.release(will.message);
            }
            Change::WillDue { session, due_in } => {
                let due_at = self.clock.saturating_add(due_in);
                let will = self.session(session)?.will.as_mut().ok_or(RestoreFault::NoWill)?;
                will.due_at = Some(due_at);
            }
            Change::WillPublished { session } => {
                let will = self.session(session)?.will.take().ok_or(RestoreFault::NoWill)?;
                let expiry = will.expiry.map(|seconds| Duration::from_secs(seconds.into()));
                let expires_at = expiry.map(|expiry| self.clock.saturating_add(expiry));
                if let Some(message) = self.messages.get_mut(&will.message)
                    && expires_at.is_some()
                {
                    message.expires_at = expires_at;
                }
                self.release(will.message);
            }
            Change::WillAsked { message, client_id, identity } => {
                self.hold(message)?;
                let asked = AskedImage { order: self.next_asked, client_id, identity };
                self.next_asked += 1;
                if self.asked.insert(message, asked).is_some() {
                    self.release(message);
                }
            }
            Change::WillAnswered { message } => {
                self.asked.remove(&message).ok_or(RestoreFault::NoWill)?;
                self.release(message);
            }
            Change::MessageStored(stored) => self.store(stored)?,
            Change::MessageForgotten { message } => {
                let held = self.messages.get(&message).map(|message| message.holders);
                match held.ok_or(RestoreFault::UnknownMessage(message))? {
                    0 => self.messages.remove(&message),
                    _ => return Err(RestoreFault::MessageNeeded(message)),
                };
            }
            Change::Retained { message } => self.retain(message)?,
            Change::RetainedCleared { topic } => {
                let message = self.retained.remove(&topic).ok_or(RestoreFault::NotRetained)?;
                self.release(message);
            }
            Change::Queued { session, message, qos, retain, subscription_ids } => {
                if qos == QoS::AtMostOnce {
                    return Err(RestoreFault::UnqueuedQos);
                }
                self.session(session)?;
                self.hold(message)?;
                let delivery = DeliveryImage { message, qos, retain, subscription_ids };
                self.session(session)?.queue.push_back(delivery);
            }
            Change::Dropped { session } => {
                let dropped = self.take_queued(session)?;
                self.release(dropped.message);
            }
            Change::Withdrawn { session, message } => {
                let SessionImage { queue, replays, .. } = self.session(session)?;
                let at = queue.iter().rposition(|delivery| delivery.message == message);
                let at = at.ok_or(RestoreFault::EmptyQueue(session))?;
                queue.remove(at);
                for replay in replays.iter_mut().filter(|replay| replay.behind > at) {
                    replay.behind -= 1;
                }
                self.release(message);
            }
            Change::Sent { session, packet_id } => {
                self.session(session)?.expect_free(packet_id)?;
                let delivery = self.take_queued(session)?;
                self.session(session)?.begin_exchange(packet_id, delivery);
            }
            Change::ReplayBegun { session, filter, options, id } => {
                let behind = self.session(session)?.queue.len();
                let replay = ReplayImage { filter, options, id, after: None, behind };
                self.begin_replay(session, replay)?;
            }
            Change::ReplayedUpTo { session, filter, topic } => {
                self.advance_replay(session, &filter, topic)?;
            }
            Change::Replayed { session, packet_id, message, qos, id, filter } => {
                if qos == QoS::AtMostOnce {
                    return Err(RestoreFault::UnqueuedQos);
                }
                self.session(session)?.expect_free(packet_id)?;
                if let Some(filter) = filter {
                    let stored = self.messages.get(&message);
                    let stored = stored.ok_or(RestoreFault::UnknownMessage(message))?;
                    let topic = stored.stored.topic.clone();
                    self.advance_replay(session, &filter, topic)?;
                }
                self.hold(message)?;
                let subscription_ids = id.into_iter().collect();
                let delivery = DeliveryImage { message, qos, retain: true, subscription_ids };
                self.session(session)?.begin_exchange(packet_id, delivery);
            }
            Change::ReplayEnded { session, filter } => {
                let replays = &mut self.session(session)?.replays;
                let at = replays.iter().position(|replay| replay.filter == filter);
                replays.remove(at.ok_or(RestoreFault::NotSubscribed)?);
            }
            Change::Released { session, packet_id } => {
                if let Some(delivery) = self.session(session)?.release_exchange(packet_id)? {
                    self.release(delivery.message);
                }
            }
            Change::Finished { session, packet_id } => {
                let finished = self.session(session)?.exchanges.remove(&packet_id);
                let finished = finished.ok_or(RestoreFault::UnknownPacketId(packet_id))?;
                if let Some(delivery) = finished.delivery {
                    self.release(delivery.message);
                }
            }
            Change::Received { session, packet_id } => {
                if !self.session(session)?.received.insert(packet_id) {
                    return Err(RestoreFault::PacketIdInUse(packet_id));
                }
            }
            Change::Forgotten { session, packet_id } => {
                if !self.session(session)?.received.remove(&packet_id) {
                    return Err(RestoreFault::UnknownPacketId(packet_id));
                }
            }
        }
        Ok(())
    }

    fn session(&mut self, session: SessionKey) -> Result<&mut SessionImage, RestoreFault> {
        self.sessions.get_mut(&session).ok_or(RestoreFault::UnknownSession(session))
    }

    fn begin_session(
        &mut self,
        session: SessionKey,
        client_id: Box<str>,
        identity: Option<Box<str>>,
        expiry_interval: u32,
    ) -> Applied {
        if session.get() == u64::MAX {
            return Err(RestoreFault::KeyTooLarge);
        }
        if self.sessions.contains_key(&session) {
            return Err(RestoreFault::SessionExists(session));
        }
        if self.clients.contains_key(&client_id) {
            return Err(RestoreFault::ClientIdInUse);
        }
        self.highest_session = self.highest_session.max(session.get());
        self.clients.insert(client_id.clone(), session);
        self.sessions.insert(
            session,
            SessionImage {
                client_id,
                identity,
                expiry_interval,
                left: None,
                subscriptions: BTreeMap::new(),
                will: None,
                queue: VecDeque::new(),
                exchanges: BTreeMap::new(),
                next_order: 0,
                received: BTreeSet::new(),
                replays: VecDeque::new(),
            },
        );
        Ok(())
    }

    fn end_session(&mut self, session: SessionKey) -> Applied {
        let ended = self.sessions.remove(&session).ok_or(RestoreFault::UnknownSession(session))?;
        self.clients.remove(&ended.client_id);
        let in_flight = ended.exchanges.into_values().filter_map(|exchange| exchange.delivery);
        for delivery in ended.queue.into_iter().chain(in_flight) {
            self.release(delivery.message);
        }
        if let Some(will) = ended.will {
            self.release(will.message);
        }
        Ok(())
    }

    fn store(&mut self, stored: Box<StoredMessage>) -> Applied {
        let key = stored.message;
        if key.get() == u64::MAX {
            return Err(RestoreFault::KeyTooLarge);
        }
        if self.messages.contains_key(&key) {
            return Err(RestoreFault::MessageExists(key));
        }
        TopicName::new(&stored.topic).map_err(RestoreFault::TopicName)?;
        // They are passed on unseen, beside some that the broker adds itself.
        let properties = Properties::from_wire(&stored.properties, PacketType::Publish)
            .map_err(|_| RestoreFault::Properties)?;
        let own = [
            PropertyId::MessageExpiryInterval,
            PropertyId::TopicAlias,
            PropertyId::SubscriptionIdentifier,
        ];
        if own.into_iter().any(|id| properties.contains(id)) {
            return Err(RestoreFault::Properties);
        }
        self.highest_message = self.highest_message.max(key.get());
        let expires_at = stored.expires_in.map(|time| self.clock.saturating_add(time));
        self.messages.insert(key, MessageImage { stored, expires_at, holders: 0 });
        Ok(())
    }

    fn retain(&mut self, message: MessageKey) -> Applied {
        let stored = self.messages.get(&message).ok_or(RestoreFault::UnknownMessage(message))?;
        if stored.stored.payload.is_empty() {
            return Err(RestoreFault::EmptyRetained);
        }
        let topic = stored.stored.topic.clone();
        self.hold(message)?;
        if let Some(previous) = self.retained.insert(topic, message) {
            self.release(previous);
        }
        Ok(())
    }

    fn begin_replay(&mut self, session: SessionKey, replay: ReplayImage) -> Applied {
        let session = self.session(session)?;
        let filter = TopicFilter::new(&replay.filter).map_err(RestoreFault::TopicFilter)?;
        if filter.is_shared() || !session.subscriptions.contains_key(&replay.filter) {
            return Err(RestoreFault::NotSubscribed);
        }
        session.replays.retain(|other| other.filter != replay.filter);
        session.replays.push_back(replay);
        Ok(())
    }

    /// The replay of a filter has come to a topic.
    fn advance_replay(&mut self, session: SessionKey, filter: &str, topic: Box<str>) -> Applied {
        let parsed = TopicFilter::new(filter).map_err(RestoreFault::TopicFilter)?;
        if !parsed.matches(TopicName::new(&topic).map_err(RestoreFault::TopicName)?) {
            return Err(RestoreFault::NotSubscribed);
        }
        let replays = &mut self.session(session)?.replays;
        let replay = replays.iter_mut().find(|replay| *replay.filter == *filter);
        replay.ok_or(RestoreFault::NotSubscribed)?.after = Some(topic);
        Ok(())
    }

    fn take_queued(&mut self, session: SessionKey) -> Result<DeliveryImage, RestoreFault> {
        let SessionImage { queue, replays, .. } = self.session(session)?;
        let first = queue.pop_front().ok_or(RestoreFault::EmptyQueue(session))?;
        for replay in replays {
            replay.behind = replay.behind.saturating_sub(1);
        }
        Ok(first)
    }

    fn hold(&mut self, message: MessageKey) -> Applied {
        match self.messages.get_mut(&message) {
            Some(held) => held.holders += 1,
            None => return Err(RestoreFault::UnknownMessage(message)),
        }
        Ok(())
    }

    fn release(&mut self, message: MessageKey) {
        if let Some(held) = self.messages.get_mut(&message) {
            held.holders = held.holders.saturating_sub(1);
        }
    }
}

impl SessionImage {
    fn expect_free(&self, packet_id: PacketId) -> Applied {
        match self.exchanges.contains_key(&packet_id) {
            true => Err(RestoreFault::PacketIdInUse(packet_id)),
            false => Ok(()),
        }
    }

    fn begin_exchange(&mut self, packet_id: PacketId, delivery: DeliveryImage) {
        let exchange = match delivery.qos {
            QoS::AtMostOnce | QoS::AtLeastOnce => Exchange::Publish1,
            QoS::ExactlyOnce => Exchange::Publish2,
        };
        self.put_exchange(packet_id, exchange, Some(delivery));
    }

    /// PUBREC has come. Returns the delivery that is not needed any more.
    fn release_exchange(
        &mut self,
        packet_id: PacketId,
    ) -> Result<Option<DeliveryImage>, RestoreFault> {
        let delivery = match self.exchanges.remove(&packet_id) {
            None => None,
            Some(ExchangeImage { exchange: Exchange::Publish2, delivery, .. }) => delivery,
            Some(_) => return Err(RestoreFault::UnknownPacketId(packet_id)),
        };
        self.put_exchange(packet_id, Exchange::Released, None);
        Ok(delivery)
    }

    fn put_exchange(
        &mut self,
        packet_id: PacketId,
        exchange: Exchange,
        delivery: Option<DeliveryImage>,
    ) {
        let order = self.next_order;
        self.next_order += 1;
        self.exchanges.insert(packet_id, ExchangeImage { exchange, order, delivery });
    }
}
