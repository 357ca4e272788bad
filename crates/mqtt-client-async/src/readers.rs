//! The readers of messages: which message goes to whom, and when it is acknowledged.

use std::mem;
use std::task::Waker;
use std::time::Duration;

use mqtt_codec::{
    Properties, PubAckReason, SubAckReason, SubscriptionOptions, TopicFilter, TopicName,
};
use mqtt_session::{Delivery, Message, ServerLimit, SubscribeError, SubscriptionKey, Time};

use crate::queue::{Limits, Owed, Pushed, Queue, Queued};
use crate::shared::{State, Status};
use crate::slab::Slab;
use crate::subscribe::LIMITS;

/// How long the transport is not read for the sake of a reader that lags behind.
const PATIENCE: Duration = Duration::from_millis(20);

/// Everybody who reads messages of this connection.
#[derive(Debug)]
pub(crate) struct Readers {
    readers: Slab<Reader>,
    /// The place in `readers` for each slot of the session.
    of_slot: Vec<Option<usize>>,
    /// The places in `readers` that take what no subscription does.
    unmatched: Vec<usize>,
    /// Messages of a session that was rejoined, until somebody reads what they are about.
    unclaimed: Option<Queue>,
    /// Messages that several readers got, and that are acknowledged when all have read them.
    accounts: Slab<Account>,
    /// The reader that the transport is not read for, since when.
    waits_for: Option<(usize, Option<Time>)>,
}

impl Readers {
    pub(crate) const fn new() -> Self {
        Self {
            readers: Slab::new(),
            of_slot: Vec::new(),
            unmatched: Vec::new(),
            unclaimed: None,
            accounts: Slab::new(),
            waits_for: None,
        }
    }

    /// Keeps messages that match no subscription until somebody reads what they are about.
    pub(crate) fn keep_unclaimed(&mut self) {
        self.unclaimed = Some(Queue::new(LIMITS));
    }

    /// No message comes any more.
    pub(crate) fn end(&mut self, wakers: &mut Vec<Waker>) {
        for reader in self.readers.iter_mut() {
            reader.has_ended = true;
            wakers.extend(reader.queue.take_reader());
            if let Answer::Waiting(waker) = &mut reader.answer {
                wakers.extend(waker.take());
            }
        }
    }
}

/// Who reads the messages of a subscription.
#[derive(Debug)]
struct Reader {
    key: Option<SubscriptionKey>,
    queue: Queue,
    answer: Answer,
    /// Whether no message comes any more.
    has_ended: bool,
    /// Whether a full buffer was logged.
    is_logged: bool,
    /// Whether it was waited for in vain, and has not caught up since.
    is_late: bool,
}

/// The server's answer to a SUBSCRIBE.
#[derive(Debug)]
pub(crate) enum Answer {
    Waiting(Option<Waker>),
    Granted(Box<[SubAckReason]>),
    NotAllowed(ServerLimit),
}

/// A message that several readers got.
#[derive(Debug)]
struct Account {
    delivery: Delivery,
    /// How many have not read it.
    readers: usize,
    reason: PubAckReason,
}

impl State {
    /// Subscribes, and returns the place of the reader.
    pub(crate) fn subscribe(
        &mut self,
        filters: &[(TopicFilter<'_>, SubscriptionOptions)],
        properties: Properties<'_>,
        limits: Limits,
    ) -> Result<usize, SubscribeError> {
        let key = self.session.subscribe(filters, properties)?;
        let reader = self.readers.readers.insert(Reader {
            key: Some(key),
            queue: Queue::new(limits),
            answer: Answer::Waiting(None),
            has_ended: false,
            is_logged: false,
            is_late: false,
        });
        self.claim(reader, |topic| filters.iter().any(|(filter, _)| filter.matches(topic)));
        if self.readers.of_slot.len() <= key.slot() {
            self.readers.of_slot.resize(key.slot() + 1, None);
        }
        if let Some(place) = self.readers.of_slot.get_mut(key.slot()) {
            *place = Some(reader);
        }
        self.has_work = true;
        Ok(reader)
    }

    /// The server's answer to a SUBSCRIBE, or `None` if it has not come.
    pub(crate) fn poll_subscribe(
        &mut self,
        reader: usize,
        waker: &Waker,
    ) -> Option<Result<Box<[SubAckReason]>, Option<ServerLimit>>> {
        let reader = self.readers.readers.get_mut(reader)?;
        match &mut reader.answer {
            Answer::Granted(results) => Some(Ok(mem::take(results))),
            Answer::NotAllowed(limit) => Some(Err(Some(*limit))),
            Answer::Waiting(_) if reader.has_ended => Some(Err(None)),
            Answer::Waiting(waiting) => {
                *waiting = Some(waker.clone());
                None
            }
        }
    }

    /// Adds a reader of what no subscription takes.
    pub(crate) fn add_unmatched(&mut self, limits: Limits) -> usize {
        let reader = self.readers.readers.insert(Reader {
            key: None,
            queue: Queue::new(limits),
            answer: Answer::Granted(Box::default()),
            has_ended: matches!(self.status, Status::Closed(_)),
            is_logged: false,
            is_late: false,
        });
        self.readers.unmatched.push(reader);
        self.claim(reader, |_| true);
        self.readers.unclaimed = None;
        reader
    }

    /// Gives a new reader the messages that came before it, and that nobody has claimed.
    fn claim(&mut self, number: usize, is_wanted: impl Fn(TopicName<'_>) -> bool) {
        let Some(unclaimed) = &mut self.readers.unclaimed else { return };
        let Some(reader) = self.readers.readers.get_mut(number) else { return };
        let mut refused = Vec::new();
        for _ in 0..unclaimed.len() {
            let Some(queued) = unclaimed.pop() else { break };
            let to = match TopicName::new(queued.message.topic()) {
                Ok(topic) if is_wanted(topic) => &mut reader.queue,
                _ => &mut *unclaimed,
            };
            if let Pushed::Refused(owed) = to.push(queued) {
                refused.push(owed);
            }
        }
        for owed in refused {
            self.settle(owed, PubAckReason::QuotaExceeded);
        }
    }

    /// The next message for a reader: `Some(None)` after the last one.
    pub(crate) fn poll_message(
        &mut self,
        number: usize,
        waker: Option<&Waker>,
    ) -> Option<Option<(Message, Owed)>> {
        let reader = self.readers.readers.get_mut(number)?;
        let popped = reader.queue.pop();
        if (reader.is_late
            || self.readers.waits_for.is_some_and(|(waits_for, _)| waits_for == number))
            && reader.queue.has_caught_up()
        {
            self.caught_up(number);
        }
        let Some(Queued { message, owed }) = popped else {
            let reader = self.readers.readers.get_mut(number)?;
            if reader.has_ended {
                return Some(None);
            }
            if let Some(waker) = waker {
                reader.queue.wait(waker);
            }
            return None;
        };
        if self.readers.readers.get_mut(number)?.queue.limits.manual {
            return Some(Some((message, owed)));
        }
        self.settle(owed, PubAckReason::Success);
        Some(Some((message, Owed::Nothing)))
    }

    /// A reader that lagged behind has read most of what waited for it.
    fn caught_up(&mut self, number: usize) {
        if let Some(reader) = self.readers.readers.get_mut(number) {
            reader.is_late = false;
        }
        if self.readers.waits_for.is_some_and(|(waits_for, _)| waits_for == number) {
            self.readers.waits_for = None;
            self.has_work = true;
        }
    }

    /// Until when the transport is not read, for the sake of a reader that lags behind: it has a
    /// moment to catch up before QoS 0 messages are dropped, and then no other before it has.
    pub(crate) fn waits_until(&mut self) -> Option<Time> {
        let (number, since) = self.readers.waits_for?;
        let until = since.unwrap_or(self.now) + PATIENCE;
        if until > self.now {
            self.readers.waits_for = Some((number, Some(since.unwrap_or(self.now))));
            return Some(until);
        }
        self.readers.waits_for = None;
        if let Some(reader) = self.readers.readers.get_mut(number) {
            reader.is_late = true;
        }
        None
    }

    /// How many messages wait for a reader, and how many were dropped.
    pub(crate) fn reader_counts(&mut self, reader: usize) -> (usize, u64) {
        self.readers.readers.get_mut(reader).map_or((0, 0), |it| (it.queue.len(), it.queue.dropped))
    }

    /// A reader is gone. What waits for it is acknowledged: nobody will read it.
    pub(crate) fn drop_reader(&mut self, number: usize) {
        let Some(mut reader) = self.readers.readers.remove(number) else { return };
        if let Some(key) = reader.key {
            if let Some(place) = self.readers.of_slot.get_mut(key.slot())
                && *place == Some(number)
            {
                *place = None;
            }
            self.session.unsubscribe(key);
            self.has_work = true;
        }
        self.readers.unmatched.retain(|unmatched| *unmatched != number);
        self.caught_up(number);
        while let Some(queued) = reader.queue.pop() {
            self.settle(queued.owed, PubAckReason::Success);
        }
    }

    /// A reader has answered a message.
    pub(crate) fn settle(&mut self, owed: Owed, reason: PubAckReason) {
        let (delivery, reason) = match owed {
            Owed::Nothing => return,
            Owed::Alone(delivery) => (delivery, reason),
            Owed::Together(number) => {
                let Some(account) = self.readers.accounts.get_mut(number) else { return };
                account.readers -= 1;
                // One reader that refuses speaks for all.
                if reason.is_error() {
                    account.reason = reason;
                }
                if account.readers > 0 {
                    return;
                }
                match self.readers.accounts.remove(number) {
                    Some(account) => (account.delivery, account.reason),
                    None => return,
                }
            }
        };
        self.session.acknowledge(self.now, delivery, reason);
        self.has_work = true;
    }

    pub(crate) fn deliver(
        &mut self,
        message: Message,
        subscriptions: &[SubscriptionKey],
        delivery: Option<Delivery>,
        wakers: &mut Vec<Waker>,
    ) {
        if let [subscription] = subscriptions {
            let reader = self.readers.of_slot.get(subscription.slot()).copied().flatten();
            let owed = delivery.map_or(Owed::Nothing, Owed::Alone);
            match reader {
                Some(reader) => self.push(reader, Queued { message, owed }, wakers),
                None => self.settle(owed, PubAckReason::Success),
            }
            return;
        }
        let mut readers: Vec<usize> = subscriptions
            .iter()
            .filter_map(|key| self.readers.of_slot.get(key.slot()).copied().flatten())
            .collect();
        if subscriptions.is_empty() {
            readers.extend_from_slice(&self.readers.unmatched);
        }
        if readers.is_empty() {
            let owed = delivery.map_or(Owed::Nothing, Owed::Alone);
            match &mut self.readers.unclaimed {
                Some(unclaimed) => {
                    unclaimed.push(Queued { message, owed });
                }
                // [MQTT-4.5.0-2]
                None => self.settle(owed, PubAckReason::Success),
            }
            return;
        }
        let account = delivery.map(|delivery| {
            self.readers.accounts.insert(Account {
                delivery,
                readers: readers.len(),
                reason: PubAckReason::Success,
            })
        });
        for reader in readers {
            let owed = account.map_or(Owed::Nothing, Owed::Together);
            self.push(reader, Queued { message: message.clone(), owed }, wakers);
        }
    }

    fn push(&mut self, number: usize, queued: Queued, wakers: &mut Vec<Waker>) {
        let Some(reader) = self.readers.readers.get_mut(number) else { return };
        let pushed = reader.queue.push(queued);
        if !matches!(pushed, Pushed::Waiting) && !mem::replace(&mut reader.is_logged, true) {
            tracing::warn!(
                waiting = reader.queue.len(),
                "a reader is slower than its subscription: messages are dropped or refused"
            );
        }
        if reader.queue.is_behind() && !reader.is_late {
            self.readers.waits_for.get_or_insert((number, None));
        }
        wakers.extend(reader.queue.take_reader());
        if let Pushed::Refused(owed) = pushed {
            self.settle(owed, PubAckReason::QuotaExceeded);
        }
    }

    pub(crate) fn answer(
        &mut self,
        subscription: SubscriptionKey,
        answer: Answer,
        has_ended: bool,
        wakers: &mut Vec<Waker>,
    ) {
        let Some(place) = self.readers.of_slot.get_mut(subscription.slot()) else { return };
        let Some(number) = *place else { return };
        if has_ended {
            *place = None;
        }
        let Some(reader) = self.readers.readers.get_mut(number) else { return };
        if has_ended {
            reader.key = None;
            reader.has_ended = true;
            wakers.extend(reader.queue.take_reader());
        }
        if let Answer::Waiting(waker) = mem::replace(&mut reader.answer, answer) {
            wakers.extend(waker);
        }
    }
}
