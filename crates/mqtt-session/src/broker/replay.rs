//! Retained messages on their way to a new subscription, taken from the store one by one as the
//! client can take them.

use mqtt_codec::QoS;

use super::messages::{MessageId, Messages};
use super::publish::lower;
use super::route::{Retained, Subscription};
use super::session::{Delivery, SubscriptionIds};
use crate::Time;
use crate::retained::{Cursor, RetainedTree, Step};

/// Where the replay of one subscription stands.
#[derive(Debug)]
pub(super) struct Replay {
    filter: Box<str>,
    subscription: Subscription,
    /// The subscriber, by the keyed hash of its client identifier.
    subscriber: u64,
    /// The number of the newest message that was retained when the subscription was made.
    newest: u64,
    /// The number of the newest message that was retained while the client was away since then.
    missed: u64,
    cursor: Cursor,
    /// The message that was taken last, as long as it is not sent.
    pub(super) taken: Option<MessageId>,
    /// The topic up to which the store knows what was sent.
    pub(super) stored_up_to: Option<Box<str>>,
}

/// One step of a replay.
#[derive(Debug)]
pub(super) enum Replayed {
    /// A message to send; the message is held for it.
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
        newest: u64,
    ) -> Self {
        Self {
            filter: filter.into(),
            subscription,
            subscriber,
            newest,
            missed: 0,
            cursor: Cursor::new(),
            taken: None,
            stored_up_to: None,
        }
    }

    /// The client goes away: messages of QoS 0 that are retained from here on are not queued for
    /// it, and are sent as well.
    pub(super) fn pause(&mut self) {
        self.missed = u64::MAX;
    }

    /// The client is back, and gets what is retained from here on as it is published: `newest` is
    /// the number of the last message before.
    pub(super) fn resume(&mut self, newest: u64) {
        self.missed = self.missed.min(newest);
    }

    /// Nobody knows any more what was queued for the client: what the store holds now is sent,
    /// however new.
    pub(super) fn send_all(&mut self) {
        self.newest = u64::MAX;
    }

    /// A replay that goes on behind a topic.
    pub(super) fn after(mut self, topic: Box<str>) -> Self {
        self.cursor = Cursor::after(&topic);
        self.stored_up_to = Some(topic);
        self
    }

    /// The subscription that it was begun for; it may have been replaced meanwhile.
    pub(super) const fn subscription(&self) -> Subscription {
        self.subscription
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    /// The QoS granted: what is replayed may have less.
    pub(super) const fn qos(&self) -> QoS {
        self.subscription.options.qos
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
            // [MQTT-3.8.3-3] [MQTT-3.3.2-5]
            let is_own = self.subscription.options.no_local && message.publisher == self.subscriber;
            if is_own || message.is_expired(now) {
                continue;
            }
            let qos = lower(message.qos, self.subscription.options.qos);
            // [MQTT-4.6.0-5] [MQTT-4.6.0-6]: the subscription gets a newer one as it is published,
            // in its order, and need not get it twice.
            let was_missed = qos == QoS::AtMostOnce && number <= self.missed;
            if number > self.newest && !was_missed {
                continue;
            }
            // [MQTT-3.3.4-5]: a copy of its own for each new subscription.
            let subscription_ids =
                self.subscription.id.map_or(SubscriptionIds::None, SubscriptionIds::One);
            messages.hold(id);
            self.taken = Some(id);
            return Replayed::Delivery(Delivery {
                message: Some(id),
                order: 0,
                qos,
                // Sent because of a new subscription, whatever Retain As Published says.
                retain: true,
                is_replayed: true,
                subscription_ids,
            });
        }
    }
}
