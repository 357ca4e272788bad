//! Retained messages on their way to a new subscription, taken from the store one by one as the
//! client can take them.
//!
//! They have a place among the messages that are queued: behind those that were queued before the
//! subscription was made, and in front of any later one of the same topic and QoS. So no client
//! gets an older message of a publisher behind a newer one [MQTT-4.6.0-5] [MQTT-4.6.0-6].

use mqtt_codec::QoS;

use super::messages::{Message, MessageId, Messages};
use super::publish::lower;
use super::route::{Retained, Subscription};
use super::session::{Delivery, Flow, SubscriptionIds};
use crate::Time;
use crate::retained::{Cursor, RetainedTree, Step};

/// Where the replay of one subscription stands.
#[derive(Debug)]
pub(super) struct Replay {
    filter: Box<str>,
    wanted: Wanted,
    /// The order of the first message that was queued since the subscription was made.
    order: u32,
    cursor: Cursor,
    /// The message that was taken last, as long as it is not sent.
    pub(super) taken: Option<MessageId>,
    /// The topic up to which the store knows what was sent.
    pub(super) stored_up_to: Option<Box<str>>,
}

/// Which of the retained messages that a filter matches are sent.
#[derive(Debug)]
struct Wanted {
    subscription: Subscription,
    /// The subscriber, by the keyed hash of its client identifier.
    subscriber: u64,
    /// The number of the newest message that was retained when the subscription was made.
    newest: u64,
    /// The number of the newest message that was retained while the client was away since then.
    missed: u64,
}

/// What comes next where retained messages are to be sent.
#[derive(Debug)]
pub(super) enum Replayed {
    /// A message to send; it is held for this.
    Delivery(Delivery),
    /// Nothing yet: the store is being searched.
    Searching,
    /// Nothing more.
    Done,
}

/// Topics looked at in one step.
const STEP: usize = 64;

impl Replay {
    pub(super) fn new(
        filter: &str,
        subscription: Subscription,
        subscriber: u64,
        order: u32,
        newest: u64,
    ) -> Self {
        Self {
            filter: filter.into(),
            wanted: Wanted { subscription, subscriber, newest, missed: 0 },
            order,
            cursor: Cursor::new(),
            taken: None,
            stored_up_to: None,
        }
    }

    /// The client goes away: messages of QoS 0 that are retained from here on are not queued for
    /// it, and are sent as well.
    pub(super) fn pause(&mut self) {
        self.wanted.missed = u64::MAX;
    }

    /// The client is back, and gets what is retained from here on as it is published: `newest` is
    /// the number of the last message before.
    pub(super) fn resume(&mut self, newest: u64) {
        self.wanted.missed = self.wanted.missed.min(newest);
    }

    /// A replay that goes on behind a topic.
    pub(super) fn after(mut self, topic: Box<str>) -> Self {
        self.cursor = Cursor::after(&topic);
        self.stored_up_to = Some(topic);
        self
    }

    /// The subscription that it was begun for; it may have been replaced meanwhile.
    pub(super) const fn subscription(&self) -> Subscription {
        self.wanted.subscription
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    /// The QoS granted: what is replayed may have less.
    pub(super) const fn qos(&self) -> QoS {
        self.wanted.subscription.options.qos
    }

    /// Whether its subscription was made before a message was queued.
    pub(super) const fn is_before(&self, delivery: &Delivery) -> bool {
        !is_before(delivery.order, self.order)
    }

    /// The next retained message.
    pub(super) fn step(
        &mut self,
        now: Time,
        retained: &RetainedTree<Retained>,
        messages: &mut Messages,
    ) -> Replayed {
        let mut scan = retained.scan(&self.filter, &mut self.cursor, STEP);
        loop {
            let (id, number) = match scan.step() {
                Step::Entry(_, kept) => (kept.message, kept.number),
                Step::ComeAgain => return Replayed::Searching,
                Step::Done => return Replayed::Done,
            };
            let Some(message) = messages.get(id) else { continue };
            let Some(qos) = self.wanted.qos_of(now, number, message) else { continue };
            // [MQTT-3.3.4-5]: a copy of its own for each new subscription.
            let subscription_ids =
                self.wanted.subscription.id.map_or(SubscriptionIds::None, SubscriptionIds::One);
            messages.hold(id);
            self.taken = Some(id);
            return Replayed::Delivery(Delivery {
                message: Some(id),
                order: self.order,
                qos,
                // Sent because of a new subscription, whatever Retain As Published says.
                retain: true,
                is_replayed: true,
                subscription_ids,
            });
        }
    }
}

impl Wanted {
    /// At which QoS a retained message is sent, if it is.
    fn qos_of(&self, now: Time, number: u64, message: &Message) -> Option<QoS> {
        // [MQTT-3.8.3-3] [MQTT-3.3.2-5]
        let is_own = self.subscription.options.no_local && message.publisher == self.subscriber;
        if is_own || message.is_expired(now) {
            return None;
        }
        let qos = lower(message.qos, self.subscription.options.qos);
        // The subscription gets a newer one as it is published, in its order, and need not get it
        // twice.
        let was_missed = qos == QoS::AtMostOnce && number <= self.missed;
        (number <= self.newest || was_missed).then_some(qos)
    }
}

impl Flow {
    /// Whether the first replay has to wait for messages that were queued before its subscription
    /// was made.
    pub(super) fn is_replay_behind(&self, replay: &Replay) -> bool {
        let is_older = |delivery: &Delivery| !replay.is_before(delivery);
        self.unacknowledged.front().is_some_and(is_older)
            || (replay.qos() != QoS::AtMostOnce && self.acknowledged.front().is_some_and(is_older))
    }

    /// Whether a message that is queued has to wait for an older one of its topic and QoS, which is
    /// retained and still to be sent for a new subscription. Whether both are of one publisher, as
    /// they mostly are, only retained messages know.
    pub(super) fn is_behind_replay(
        &self,
        delivery: &Delivery,
        now: Time,
        retained: &RetainedTree<Retained>,
        messages: &Messages,
    ) -> bool {
        let Some(message) = delivery.message.and_then(|id| messages.get(id)) else { return false };
        let Some(kept) = retained.get(message.topic()) else { return false };
        let Some(older) = messages.get(kept.message) else { return false };
        self.replays.iter().any(|replay| {
            replay.is_before(delivery)
                && replay.wanted.qos_of(now, kept.number, older) == Some(delivery.qos)
                && replay.cursor.is_to_meet(&replay.filter, message.topic())
        })
    }
}

/// Orders wrap; two that wait at the same time are never half the range apart.
pub(super) const fn is_before(order: u32, other: u32) -> bool {
    order.wrapping_sub(other) > u32::MAX / 2
}
