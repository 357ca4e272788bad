//! The readers of messages: whom to wake for which subscription, and the server's answers.
//!
//! What waits for a reader, and what becomes of it when it is slow, is the state machine's affair.

use std::mem;
use std::task::Waker;

use mqtt_codec::{Properties, PubAckReason, QoS, SubAckReason, SubscriptionOptions, TopicFilter};
use mqtt_session::{
    BufferOptions, BufferOverflow, BufferStatus, Delivery, Message, ReceivedMessage, ServerLimit,
    SubscribeError, SubscriptionKey,
};

use crate::shared::{State, Status};
use crate::slab::Slab;

/// Everybody who reads messages of this connection.
#[derive(Debug)]
pub(crate) struct Readers {
    readers: Slab<Reader>,
    /// The place in `readers` for each slot of the session.
    of_slot: Vec<Option<usize>>,
}

impl Readers {
    pub(crate) const fn new() -> Self {
        Self { readers: Slab::new(), of_slot: Vec::new() }
    }

    /// No message comes any more.
    pub(crate) fn end(&mut self, wakers: &mut Vec<Waker>) {
        for reader in self.readers.iter_mut() {
            reader.end(wakers);
            if let Answer::Waiting(waker) = &mut reader.answer {
                wakers.extend(waker.take());
            }
        }
    }

    fn insert(&mut self, reader: Reader) -> usize {
        let slot = reader.key.slot();
        let number = self.readers.insert(reader);
        if self.of_slot.len() <= slot {
            self.of_slot.resize(slot + 1, None);
        }
        if let Some(place) = self.of_slot.get_mut(slot) {
            *place = Some(number);
        }
        number
    }

    /// The reader of a subscription, unless it is gone.
    fn of(&mut self, key: SubscriptionKey) -> Option<&mut Reader> {
        let number = self.of_slot.get(key.slot()).copied().flatten()?;
        self.readers.get_mut(number).filter(|reader| reader.key == key)
    }
}

/// Who reads the messages of a subscription.
#[derive(Debug)]
struct Reader {
    key: SubscriptionKey,
    /// Who waits for the next message.
    waker: Option<Waker>,
    answer: Answer,
    /// Whether no message comes any more.
    has_ended: bool,
}

impl Reader {
    fn end(&mut self, wakers: &mut Vec<Waker>) {
        self.has_ended = true;
        wakers.extend(self.waker.take());
    }
}

/// The server's answer to a SUBSCRIBE.
#[derive(Debug)]
pub(crate) enum Answer {
    Waiting(Option<Waker>),
    Granted(Box<[SubAckReason]>),
    NotAllowed(ServerLimit),
}

impl State {
    /// Subscribes, and returns the place of the reader.
    pub(crate) fn subscribe(
        &mut self,
        filters: &[(TopicFilter<'_>, SubscriptionOptions)],
        properties: Properties<'_>,
        buffer: BufferOptions,
    ) -> Result<usize, SubscribeError> {
        let key = self.session.subscribe(filters, properties, buffer)?;
        self.has_work = true;
        let answer = Answer::Waiting(None);
        Ok(self.readers.insert(Reader { key, waker: None, answer, has_ended: false }))
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
    pub(crate) fn add_unmatched(&mut self, buffer: BufferOptions) -> usize {
        let key = self.session.subscribe_unmatched(buffer);
        self.has_work = true;
        let has_ended = matches!(self.status, Status::Closed(_));
        let answer = Answer::Granted(Box::default());
        self.readers.insert(Reader { key, waker: None, answer, has_ended })
    }

    /// The next message for a reader: `Some(None)` after the last one.
    pub(crate) fn poll_message(
        &mut self,
        number: usize,
        waker: Option<&Waker>,
    ) -> Option<Option<(Message, Option<Delivery>)>> {
        let reader = self.readers.readers.get_mut(number)?;
        let accepted_input = self.session.accepts_input();
        if let Some(ReceivedMessage { message, delivery }) = self.session.poll_message(reader.key) {
            // It is acknowledged by being read, or it was waited for.
            if message.qos() != QoS::AtMostOnce || (!accepted_input && self.session.accepts_input())
            {
                self.has_work = true;
            }
            return Some(Some((message, delivery)));
        }
        if reader.has_ended {
            return Some(None);
        }
        match (&mut reader.waker, waker) {
            (Some(known), Some(waker)) => known.clone_from(waker),
            (known @ None, Some(waker)) => *known = Some(waker.clone()),
            (_, None) => {}
        }
        None
    }

    /// How full a reader's buffer is.
    pub(crate) fn buffer(&mut self, reader: usize) -> BufferStatus {
        let key = self.readers.readers.get_mut(reader).map(|reader| reader.key);
        key.and_then(|key| self.session.buffer(key)).unwrap_or_default()
    }

    /// The subscription of a reader, if it has not ended.
    pub(crate) fn key_of_open_reader(&mut self, reader: usize) -> Option<SubscriptionKey> {
        let reader = self.readers.readers.get_mut(reader)?;
        (!reader.has_ended).then_some(reader.key)
    }

    /// A reader is gone.
    pub(crate) fn drop_reader(&mut self, number: usize) {
        let Some(reader) = self.readers.readers.remove(number) else { return };
        if let Some(place) = self.readers.of_slot.get_mut(reader.key.slot())
            && *place == Some(number)
        {
            *place = None;
        }
        self.session.unsubscribe(reader.key);
        self.has_work = true;
    }

    /// The application has answered a message.
    pub(crate) fn settle(&mut self, delivery: Delivery, reason: PubAckReason) {
        self.session.acknowledge(self.now, delivery, reason);
        self.has_work = true;
    }

    /// The application has dropped a message without an answer.
    pub(crate) fn abandon(&mut self, delivery: Delivery) {
        self.session.abandon(delivery);
    }

    /// Messages wait for a reader.
    pub(crate) fn readable(&mut self, subscription: SubscriptionKey, wakers: &mut Vec<Waker>) {
        if let Some(reader) = self.readers.of(subscription) {
            wakers.extend(reader.waker.take());
        }
    }

    /// A reader is slower than its subscription.
    pub(crate) fn buffer_full(&self, subscription: SubscriptionKey, overflow: BufferOverflow) {
        let waiting = self.session.buffer(subscription).unwrap_or_default().messages;
        let consequence = match overflow {
            BufferOverflow::Dropped => "messages are dropped",
            BufferOverflow::Refused => "messages are refused",
            BufferOverflow::HeldBack | _ => "the server is held back",
        };
        tracing::warn!(waiting, "a reader is slower than its subscription: {consequence}");
    }

    pub(crate) fn answer(
        &mut self,
        subscription: SubscriptionKey,
        answer: Answer,
        has_ended: bool,
        wakers: &mut Vec<Waker>,
    ) {
        let Some(reader) = self.readers.of(subscription) else { return };
        if has_ended {
            reader.end(wakers);
        }
        if let Answer::Waiting(waker) = mem::replace(&mut reader.answer, answer) {
            wakers.extend(waker);
        }
    }
}
