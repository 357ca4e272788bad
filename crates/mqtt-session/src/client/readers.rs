//! From a message that has come to those who read it, and back to its acknowledgement.

use core::mem;

use mqtt_codec::{PacketId, PubAckReason, QoS, TopicName};

use super::Client;
use super::buffer::{Buffer, BufferOptions, BufferOverflow, BufferStatus, Waiting};
use super::deliveries::{Deliveries, Delivery, Owed};
use super::event::ClientEvent;
use super::message::Message;
use super::session::Session;
use super::subscriptions::{Kind, SubscriptionKey};
use crate::{Deadline, Time, Timer};

/// A message that was taken from the buffer of a subscription.
#[derive(Debug)]
pub struct ReceivedMessage {
    /// The message.
    pub message: Message,
    /// At QoS 1 and QoS 2 with manual acknowledgement: what to give back to
    /// [`Client::acknowledge`](super::Client::acknowledge). A message that several subscriptions
    /// got is acknowledged when all have done so.
    pub delivery: Option<Delivery>,
}

/// What is known of all readers together.
#[derive(Debug, Default)]
pub(super) struct Readers {
    /// Messages of a session of an earlier run that match no subscription, until one claims them.
    unclaimed: Option<Buffer>,
    /// The reader of QoS 0 messages that nothing is read for.
    waits_for: Option<Patience>,
}

/// A moment for a reader to catch up.
#[derive(Clone, Copy, Debug)]
struct Patience {
    reader: SubscriptionKey,
    until: Time,
}

impl Readers {
    /// The connection has ended: there is nothing to read that could wait.
    pub(super) const fn stop_waiting(&mut self) {
        self.waits_for = None;
    }
}

impl Client {
    /// The next message for the reader of a subscription, oldest first; `None` if none waits, or
    /// there is no such subscription any more.
    ///
    /// Taking a QoS 1 or QoS 2 message acknowledges it, unless
    /// [`manual_acknowledgement`](BufferOptions::manual_acknowledgement) was asked for.
    /// Acknowledgements leave in the order in which the messages came, QoS 1 and QoS 2 each for
    /// itself [MQTT-4.6.0-2] [MQTT-4.6.0-3].
    ///
    /// Messages can be taken also when there is no connection any more. If the session is resumed
    /// the server sends again what it was not acknowledged: QoS 1 messages that wait here are then
    /// dropped for those that come, and QoS 2 messages stay.
    #[must_use = "a message that is not looked at is lost"]
    pub fn poll_message(&mut self, subscription: SubscriptionKey) -> Option<ReceivedMessage> {
        let subscriptions = &mut self.session.subscriptions;
        let found = subscriptions.get_mut(subscription)?;
        let waiting = found.buffer.pop();
        if (found.buffer.is_late || self.readers.waits_for.is_some())
            && found.buffer.has_caught_up()
        {
            found.buffer.is_late = false;
            self.readers.waits_for.take_if(|waits_for| waits_for.reader == subscription);
        }
        let Waiting { message, owed } = waiting?;
        let is_manual = found.buffer.is_manual();
        if found.kind == Kind::Ended {
            subscriptions.free_if_done(subscription);
            self.revision = self.revision.wrapping_add(1);
        }
        let delivery = match owed {
            Some(owed) if is_manual => Some(Delivery(owed)),
            Some(owed) => {
                self.settle(owed, PubAckReason::Success);
                None
            }
            None => None,
        };
        Some(ReceivedMessage { message, delivery })
    }

    /// A subscription to the messages that match no other: those of a session that an earlier run
    /// of the program left, and those that were on their way when their subscription ended. Every
    /// such subscription gets all of them; while there is none they are acknowledged and dropped
    /// [MQTT-4.5.0-2]. [`unsubscribe`](Self::unsubscribe) ends it.
    pub fn subscribe_unmatched(&mut self, buffer: BufferOptions) -> SubscriptionKey {
        self.changed();
        let subscription = self.session.subscriptions.insert_unmatched(buffer);
        self.claim(subscription, |_| true);
        self.readers.unclaimed = None;
        subscription
    }

    /// Acknowledges a message that was read with manual acknowledgement.
    ///
    /// Acknowledgements leave in the order in which the messages came, QoS 1 and QoS 2 each for
    /// itself [MQTT-4.6.0-2] [MQTT-4.6.0-3]: this one may wait for earlier ones. A `reason` of 0x80
    /// or above tells the server that the message is refused; it is not sent again.
    ///
    /// One that has nobody to go to any more, because the session or (at QoS 1) the connection it
    /// came by has ended, is dropped: a QoS 1 message then comes again as a new delivery.
    pub fn acknowledge(&mut self, now: Time, delivery: Delivery, reason: PubAckReason) {
        self.advance(now);
        self.settle(delivery.0, reason);
    }

    /// Lets a message go that was read with manual acknowledgement, without an answer: it stays
    /// unacknowledged, counts towards the Receive Maximum, and holds back the acknowledgements of
    /// all later messages of its QoS for as long as the connection lasts. When the session is
    /// resumed it comes again, as a new delivery to all its subscriptions.
    pub fn abandon(&mut self, delivery: Delivery) {
        if deliveries(&mut self.session, delivery.qos()).abandon(delivery.0) {
            self.statistics.abandoned += 1;
        }
    }

    /// How full the buffer of a subscription is; `None` if there is no such subscription any more.
    #[must_use]
    pub fn buffer(&self, subscription: SubscriptionKey) -> Option<BufferStatus> {
        self.session.subscriptions.get(subscription).map(|found| found.buffer.status())
    }

    /// The first subscription, if any, whose full buffer holds back QoS 1 and QoS 2 messages: those
    /// of all subscriptions in the end.
    #[must_use]
    pub fn held_back_by(&self) -> Option<SubscriptionKey> {
        let subscriptions = &self.session.subscriptions;
        subscriptions.keys().find(|key| {
            subscriptions.get(*key).is_some_and(|subscription| subscription.buffer.holds_back())
        })
    }

    /// Messages of a session of an earlier run that match no subscription and wait for one.
    #[must_use]
    pub fn unclaimed_messages(&self) -> usize {
        self.readers.unclaimed.as_ref().map_or(0, Buffer::len)
    }

    /// Gives a new message to everybody that it was routed to.
    pub(super) fn deliver(&mut self, message: Message, id: Option<PacketId>) {
        let found = mem::take(&mut self.session.subscriptions.found);
        match found.as_slice() {
            readers if self.calls.subscription.is_some_and(|own| readers.contains(&own)) => {
                self.deliver_response(readers, message, id);
            }
            [] => self.deliver_unmatched(message, id),
            [reader] => {
                let owed = self.owe(&message, id, 1);
                self.push(*reader, message, owed);
            }
            readers => self.deliver_to(readers, &message, id),
        }
        self.session.subscriptions.found = found;
    }

    fn deliver_to(&mut self, readers: &[SubscriptionKey], message: &Message, id: Option<PacketId>) {
        let owed = self.owe(message, id, readers.len());
        for reader in readers {
            self.push(*reader, message.clone(), owed);
        }
    }

    /// A message on the response topic, to which the application may have subscribed too.
    fn deliver_response(
        &mut self,
        readers: &[SubscriptionKey],
        message: Message,
        id: Option<PacketId>,
    ) {
        let own = self.calls.subscription;
        let others: Vec<_> =
            readers.iter().copied().filter(|reader| Some(*reader) != own).collect();
        let is_response = self.take_response(&message);
        if !others.is_empty() {
            self.deliver_to(&others, &message, id);
        } else if is_response {
            self.acknowledge_at_once(message.qos(), id);
        } else {
            self.deliver_unmatched(message, id);
        }
    }

    #[cold]
    fn deliver_unmatched(&mut self, message: Message, id: Option<PacketId>) {
        let readers = self.session.subscriptions.unmatched().to_vec();
        if !readers.is_empty() {
            return self.deliver_to(&readers, &message, id);
        }
        if self.session.is_vouched_for {
            let owed = self.owe(&message, id, 1);
            let unclaimed = &mut self.readers.unclaimed;
            let unclaimed = unclaimed.get_or_insert_with(|| Buffer::new(BufferOptions::new()));
            if unclaimed.push(message, owed) == Err(BufferOverflow::Dropped) {
                self.statistics.dropped += 1;
            }
            return;
        }
        self.statistics.unmatched += 1;
        // [MQTT-4.5.0-2]
        self.acknowledge_at_once(message.qos(), id);
    }

    /// Acknowledges a message that no reader gets.
    fn acknowledge_at_once(&mut self, qos: QoS, id: Option<PacketId>) {
        let Some(id) = id else { return };
        let deliveries = deliveries(&mut self.session, qos);
        if deliveries.is_empty() {
            self.send_acknowledgement(qos, id, PubAckReason::Success);
        } else {
            deliveries.decide(id, PubAckReason::Success);
        }
    }

    /// So many readers owe the acknowledgement of a new message.
    fn owe(&mut self, message: &Message, id: Option<PacketId>, readers: usize) -> Option<Owed> {
        let readers = u32::try_from(readers).unwrap_or(u32::MAX);
        Some(deliveries(&mut self.session, message.qos()).deliver(id?, readers))
    }

    fn push(&mut self, reader: SubscriptionKey, message: Message, owed: Option<Owed>) {
        let Some(found) = self.session.subscriptions.get_mut(reader) else { return };
        let buffer = &mut found.buffer;
        let was_empty = buffer.is_empty();
        let pushed = buffer.push(message, owed);
        if was_empty {
            self.events.push_back(ClientEvent::Readable(reader));
        }
        if buffer.is_behind() && !buffer.is_late && self.readers.waits_for.is_none() {
            let until = self.now + self.config.reader_patience;
            self.readers.waits_for = Some(Patience { reader, until });
        }
        if let Err(overflow) = pushed {
            self.overflowed(reader, overflow, owed);
        }
    }

    #[cold]
    fn overflowed(
        &mut self,
        subscription: SubscriptionKey,
        overflow: BufferOverflow,
        owed: Option<Owed>,
    ) {
        match overflow {
            BufferOverflow::Dropped => self.statistics.dropped += 1,
            BufferOverflow::Refused => {
                self.statistics.refused += 1;
                if let Some(owed) = owed {
                    self.settle(owed, PubAckReason::QuotaExceeded);
                }
            }
            BufferOverflow::HeldBack => {}
        }
        let found = self.session.subscriptions.get_mut(subscription);
        if found.is_some_and(|found| found.buffer.is_news(overflow)) {
            self.events.push_back(ClientEvent::BufferFull { subscription, overflow });
        }
    }

    /// A reader has answered a message.
    fn settle(&mut self, owed: Owed, reason: PubAckReason) {
        // What was received at QoS 1 leaves no trace.
        if owed.qos == QoS::ExactlyOnce && !sabotaged!(AnswerNotCounted) {
            self.changed();
        }
        deliveries(&mut self.session, owed.qos).answer(owed, reason);
        self.acknowledge_ready();
    }

    /// Gives a new subscription the messages that came before it, and that nobody has claimed.
    pub(super) fn claim(
        &mut self,
        subscription: SubscriptionKey,
        is_wanted: impl Fn(TopicName<'_>) -> bool,
    ) {
        let Some(mut unclaimed) = self.readers.unclaimed.take() else { return };
        for _ in 0..unclaimed.len() {
            let Some(Waiting { message, owed }) = unclaimed.pop() else { break };
            if TopicName::new(message.topic()).is_ok_and(&is_wanted) {
                self.push(subscription, message, owed);
            } else {
                // It has just left as much room as it takes.
                let _fits = unclaimed.push(message, owed);
            }
        }
        self.readers.unclaimed = Some(unclaimed);
    }

    /// Nobody will read what waits in the buffer of a subscription that is gone.
    pub(super) fn discard(&mut self, subscription: SubscriptionKey, mut buffer: Buffer) {
        while let Some(Waiting { owed, .. }) = buffer.pop() {
            if let Some(owed) = owed {
                self.settle(owed, PubAckReason::Success);
            }
        }
        self.readers.waits_for.take_if(|waits_for| waits_for.reader == subscription);
    }

    /// A connection begins: what becomes of the messages of the one before that nobody has read.
    pub(super) fn settle_unread(&mut self, session_present: bool) {
        let unclaimed = self.readers.unclaimed.as_mut();
        for buffer in self.session.subscriptions.buffers_mut().chain(unclaimed) {
            if session_present {
                buffer.drop_repeated();
            } else {
                buffer.lapse();
            }
        }
    }

    /// Whether nothing is read for the sake of a reader.
    pub(super) fn waits_for_reader(&self) -> bool {
        self.readers.waits_for.is_some_and(|waits_for| waits_for.until > self.now)
    }

    /// Until when nothing is read for the sake of a reader.
    pub(super) fn reader_deadline(&self) -> Option<Deadline> {
        let waits_for = self.readers.waits_for?;
        Some(Deadline { at: waits_for.until, timer: Timer::Reader })
    }

    /// A reader that was waited for in vain is not waited for again before it has caught up.
    pub(super) fn end_patience(&mut self, now: Time) {
        if let Some(late) = self.readers.waits_for.take_if(|waits_for| waits_for.until <= now)
            && let Some(found) = self.session.subscriptions.get_mut(late.reader)
        {
            found.buffer.is_late = true;
        }
    }
}

fn deliveries(session: &mut Session, qos: QoS) -> &mut Deliveries {
    match qos {
        QoS::AtMostOnce | QoS::AtLeastOnce => &mut session.qos1,
        QoS::ExactlyOnce => &mut session.qos2,
    }
}
