//! Messages on their way to a reader, and what happens when the reader is slow.

use std::collections::VecDeque;
use std::task::Waker;

use mqtt_codec::QoS;
use mqtt_session::{Delivery, Message};

/// What becomes of a QoS 0 message for a reader whose buffer is full. It is counted in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFullQos0 {
    /// The oldest QoS 0 message in the buffer makes room.
    #[default]
    DropOldest,
    /// The message that just came is dropped.
    DropNewest,
}

/// What becomes of a QoS 1 or QoS 2 message for a reader whose buffer is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFull {
    /// It waits beside the buffer. What is not read is not acknowledged, so the server stops
    /// sending QoS 1 and QoS 2 at the Receive Maximum, and nothing is lost. Acknowledgements leave
    /// in the order of arrival: in the end the QoS 1 and QoS 2 messages of all other subscriptions
    /// wait for this reader too. QoS 0, pings, and the acknowledgements of what this client
    /// publishes never do.
    #[default]
    HoldBack,
    /// It is refused with 0x97 (Quota exceeded) and counted.
    Refuse,
}

/// How much waits for a reader, and what happens beyond.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) on_full_qos0: OnFullQos0,
    pub(crate) on_full: OnFull,
    pub(crate) manual: bool,
}

/// Bytes of messages that are put into a queue before its reader has its turn: about what is read
/// at once, so that messages are read while they are in the cache.
const AHEAD: usize = 64 * 1024;

/// The messages that wait for one reader.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: VecDeque<Queued>,
    /// Bytes of the waiting messages.
    bytes: usize,
    /// QoS 0 messages among the waiting.
    qos0: usize,
    pub(crate) limits: Limits,
    /// Messages that were dropped or refused because the buffer was full.
    pub(crate) dropped: u64,
    reader: Option<Waker>,
}

/// A message and what is owed for it.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) message: Message,
    pub(crate) owed: Owed,
}

/// The acknowledgement that a message still needs.
#[derive(Debug)]
pub(crate) enum Owed {
    /// None: QoS 0.
    Nothing,
    /// By this reader alone.
    Alone(Delivery),
    /// By all readers that got it: the number of their joint account.
    Together(usize),
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// It waits for the reader.
    Waiting,
    /// One was dropped: this one, or an older one.
    Dropped,
    /// It is to be refused.
    Refused(Owed),
}

impl Queue {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, qos0: 0, limits, dropped: 0, reader: None }
    }

    /// A message came for the reader.
    pub(crate) fn push(&mut self, queued: Queued) -> Pushed {
        let size = queued.message.memory();
        let is_full = !self.waiting.is_empty()
            && (self.waiting.len() >= self.limits.messages
                || self.bytes.saturating_add(size) > self.limits.bytes);
        if !is_full {
            self.put(queued, size);
            return Pushed::Waiting;
        }
        if queued.message.qos() == QoS::AtMostOnce {
            self.dropped += 1;
            if self.limits.on_full_qos0 == OnFullQos0::DropOldest && self.drop_oldest_qos0() {
                self.put(queued, size);
            }
            return Pushed::Dropped;
        }
        match self.limits.on_full {
            OnFull::HoldBack => {
                self.put(queued, size);
                Pushed::Waiting
            }
            OnFull::Refuse => {
                self.dropped += 1;
                Pushed::Refused(queued.owed)
            }
        }
    }

    /// The next message for the reader.
    pub(crate) fn pop(&mut self) -> Option<Queued> {
        let queued = self.waiting.pop_front()?;
        self.account_for(&queued.message);
        Some(queued)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the reader lags so far behind that it should have a moment to catch up.
    pub(crate) fn is_behind(&self) -> bool {
        self.qos0 > 0 && self.exceeds(1)
    }

    /// Whether a reader that lagged behind has read most of what waited for it.
    pub(crate) fn has_caught_up(&self) -> bool {
        !self.exceeds(4)
    }

    /// Whether more waits than one part in `parts` of what is in order.
    fn exceeds(&self, parts: usize) -> bool {
        self.bytes > AHEAD.min(self.limits.bytes / 2) / parts
            || self.qos0 > self.limits.messages / 2 / parts
    }

    /// The reader waits for a message.
    pub(crate) fn wait(&mut self, waker: &Waker) {
        match &mut self.reader {
            Some(reader) => reader.clone_from(waker),
            None => self.reader = Some(waker.clone()),
        }
    }

    /// The reader, if it waits.
    pub(crate) fn take_reader(&mut self) -> Option<Waker> {
        self.reader.take()
    }

    fn put(&mut self, queued: Queued, size: usize) {
        self.bytes += size;
        if queued.message.qos() == QoS::AtMostOnce {
            self.qos0 += 1;
        }
        self.waiting.push_back(queued);
    }

    /// Frees a place by dropping a QoS 0 message; false if there is none.
    fn drop_oldest_qos0(&mut self) -> bool {
        if self.qos0 == 0 {
            return false;
        }
        let oldest = self.waiting.iter().position(|queued| queued.message.qos() == QoS::AtMostOnce);
        if let Some(dropped) = oldest.and_then(|oldest| self.waiting.remove(oldest)) {
            self.account_for(&dropped.message);
        }
        true
    }

    /// A message has left.
    fn account_for(&mut self, message: &Message) {
        self.bytes -= message.memory();
        if message.qos() == QoS::AtMostOnce {
            self.qos0 -= 1;
        }
    }
}
