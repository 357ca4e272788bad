//! Messages that wait for the reader of one subscription, and what happens when it is slow.

use std::collections::VecDeque;

use mqtt_codec::QoS;

use super::deliveries::Owed;
use super::message::Message;

/// What becomes of a QoS 0 message for a subscription whose buffer is full. It is counted in any
/// case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFullQos0 {
    /// The oldest QoS 0 message in the buffer makes room.
    #[default]
    DropOldest,
    /// The message that just came is dropped.
    DropNewest,
}

/// What becomes of a QoS 1 or QoS 2 message for a subscription whose buffer is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFull {
    /// It waits beside the buffer. What is not read is not acknowledged, so the server stops
    /// sending QoS 1 and QoS 2 at the Receive Maximum, and nothing is lost. Acknowledgements leave
    /// in the order of arrival [MQTT-4.6.0-2] [MQTT-4.6.0-3]: in the end the QoS 1 and QoS 2
    /// messages of all other subscriptions wait for this reader too. QoS 0, pings, and the
    /// acknowledgements of what this client publishes never do.
    #[default]
    HoldBack,
    /// It is refused with 0x97 (Quota exceeded) and counted.
    Refuse,
}

/// What a full buffer has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BufferOverflow {
    /// A message was dropped.
    Dropped,
    /// A QoS 1 or QoS 2 message was refused with 0x97 (Quota exceeded).
    Refused,
    /// A QoS 1 or QoS 2 message waits beside the buffer: until some are read, the server is held
    /// back.
    HeldBack,
}

/// How much waits for the reader of a subscription, what happens beyond, and who acknowledges.
///
/// ```
/// use mqtt_session::{BufferOptions, OnFull};
///
/// let options = BufferOptions::new().messages(100).on_full(OnFull::Refuse);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferOptions {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) on_full_qos0: OnFullQos0,
    pub(super) on_full: OnFull,
    pub(super) manual: bool,
}

impl Default for BufferOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl BufferOptions {
    /// Room for 8,192 messages of 8 MiB together; beyond, the oldest QoS 0 message is dropped and
    /// QoS 1 and QoS 2 are held back. Reading a message acknowledges it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            messages: 8192,
            bytes: 8 * 1024 * 1024,
            on_full_qos0: OnFullQos0::DropOldest,
            on_full: OnFull::HoldBack,
            manual: false,
        }
    }

    /// How many messages wait for the reader; at least 1.
    #[must_use]
    pub const fn messages(mut self, maximum: usize) -> Self {
        self.messages = maximum;
        self
    }

    /// How many bytes of memory those messages may take together. A message that is larger alone
    /// waits when no other does.
    #[must_use]
    pub const fn bytes(mut self, maximum: usize) -> Self {
        self.bytes = maximum;
        self
    }

    /// What becomes of QoS 0 messages beyond.
    #[must_use]
    pub const fn on_full_qos0(mut self, on_full: OnFullQos0) -> Self {
        self.on_full_qos0 = on_full;
        self
    }

    /// What becomes of QoS 1 and QoS 2 messages beyond.
    #[must_use]
    pub const fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// Whether a QoS 1 or QoS 2 message is acknowledged only when
    /// [`Client::acknowledge`](super::Client::acknowledge) is called for it, instead of by being
    /// read.
    #[must_use]
    pub const fn manual_acknowledgement(mut self, manual: bool) -> Self {
        self.manual = manual;
        self
    }
}

/// How full the buffer of a subscription is, and what that has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferStatus {
    /// Messages that wait for the reader.
    pub messages: usize,
    /// The memory that they take, in bytes.
    pub bytes: usize,
    /// Messages that were dropped because the buffer was full.
    pub dropped: u64,
    /// QoS 1 and QoS 2 messages that were refused because the buffer was full.
    pub refused: u64,
    /// Whether QoS 1 or QoS 2 messages wait beside the buffer: the reader holds the server back.
    pub holds_back: bool,
}

/// Bytes of messages that wait before their reader should have its turn: about what is read at
/// once, so that messages are read while they are in the cache.
const AHEAD: usize = 64 * 1024;

/// The messages that wait for one reader.
///
/// A message is of one of three kinds: QoS 0; QoS 1 or QoS 2 whose acknowledgement is owed; and
/// lapsed, a QoS 1 or QoS 2 message of a session that has ended, which nobody can acknowledge and
/// nobody will send again.
#[derive(Debug)]
pub(super) struct Buffer {
    waiting: VecDeque<Waiting>,
    /// Bytes of the waiting messages.
    bytes: usize,
    /// QoS 0 messages among the waiting.
    qos0: usize,
    /// Lapsed messages among the waiting.
    lapsed: usize,
    options: BufferOptions,
    dropped: u64,
    refused: u64,
    /// What was told of it being full.
    told: [bool; 3],
    /// Whether it was waited for in vain, and has not caught up since.
    pub(super) is_late: bool,
}

/// A message and what is owed for it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) message: Message,
    pub(super) owed: Option<Owed>,
}

impl Buffer {
    pub(super) const fn new(options: BufferOptions) -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            qos0: 0,
            lapsed: 0,
            options,
            dropped: 0,
            refused: 0,
            told: [false; 3],
            is_late: false,
        }
    }

    pub(super) const fn options(&self) -> BufferOptions {
        self.options
    }

    pub(super) const fn is_manual(&self) -> bool {
        self.options.manual
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn status(&self) -> BufferStatus {
        BufferStatus {
            messages: self.waiting.len(),
            bytes: self.bytes,
            dropped: self.dropped,
            refused: self.refused,
            holds_back: self.holds_back(),
        }
    }

    /// Whether QoS 1 or QoS 2 messages wait beside the buffer.
    pub(super) fn holds_back(&self) -> bool {
        self.waiting.len() > self.qos0 + self.lapsed
            && self.waiting.len() > 1
            && (self.waiting.len() > self.options.messages || self.bytes > self.options.bytes)
    }

    /// A message came for the reader.
    ///
    /// # Errors
    ///
    /// What the full buffer led to; the message is not in it if it was refused.
    pub(super) fn push(
        &mut self,
        message: Message,
        owed: Option<Owed>,
    ) -> Result<(), BufferOverflow> {
        let size = message.memory();
        let is_full = !self.waiting.is_empty()
            && (self.waiting.len() >= self.options.messages
                || self.bytes.saturating_add(size) > self.options.bytes);
        if is_full {
            return Err(self.overflow(message, owed, size));
        }
        self.put(message, owed, size);
        Ok(())
    }

    #[cold]
    fn overflow(&mut self, message: Message, owed: Option<Owed>, size: usize) -> BufferOverflow {
        if owed.is_none() {
            self.dropped += 1;
            if self.options.on_full_qos0 == OnFullQos0::DropOldest && self.drop_oldest_qos0() {
                self.put(message, owed, size);
            }
            return BufferOverflow::Dropped;
        }
        if self.options.on_full == OnFull::Refuse {
            self.refused += 1;
            return BufferOverflow::Refused;
        }
        // What is owed is bounded by the Receive Maximum; what lapsed before it was read would add
        // up with every session that is lost, so it makes room.
        let drops = self.drop_oldest_lapsed();
        self.put(message, owed, size);
        if drops { BufferOverflow::Dropped } else { BufferOverflow::HeldBack }
    }

    /// Whether this is told for the first time.
    pub(super) fn is_news(&mut self, overflow: BufferOverflow) -> bool {
        let told = match overflow {
            BufferOverflow::Dropped => &mut self.told[0],
            BufferOverflow::Refused => &mut self.told[1],
            BufferOverflow::HeldBack => &mut self.told[2],
        };
        !core::mem::replace(told, true)
    }

    /// The next message for the reader.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.account_for(&waiting);
        Some(waiting)
    }

    /// Whether the reader lags so far behind that it should have a moment to catch up.
    pub(super) fn is_behind(&self) -> bool {
        self.qos0 > 0 && self.exceeds(1)
    }

    /// Whether a reader that lagged behind has read most of what waited for it.
    pub(super) fn has_caught_up(&self) -> bool {
        !self.exceeds(4)
    }

    /// Whether more waits than one part in `parts` of what is in order.
    fn exceeds(&self, parts: usize) -> bool {
        self.bytes > AHEAD.min(self.options.bytes / 2) / parts
            || self.qos0 > self.options.messages / 2 / parts
    }

    /// The session is resumed: QoS 1 messages that nobody has read come again
    /// [MQTT-4.4.0-1], as new ones [MQTT-4.3.2-5]. Those of QoS 2 come again too and are known.
    pub(super) fn drop_repeated(&mut self) {
        self.waiting.retain(|waiting| {
            let is_repeated = waiting.owed.is_some() && waiting.message.qos() == QoS::AtLeastOnce;
            if is_repeated {
                self.bytes -= waiting.message.memory();
            }
            !is_repeated
        });
    }

    /// The session has ended: nothing can be acknowledged any more.
    pub(super) fn lapse(&mut self) {
        for waiting in &mut self.waiting {
            if waiting.owed.take().is_some() {
                self.lapsed += 1;
            }
        }
    }

    fn put(&mut self, message: Message, owed: Option<Owed>, size: usize) {
        self.bytes += size;
        if owed.is_none() {
            if message.qos() == QoS::AtMostOnce {
                self.qos0 += 1;
            } else {
                self.lapsed += 1;
            }
        }
        self.waiting.push_back(Waiting { message, owed });
    }

    /// Frees a place by dropping a QoS 0 message; false if there is none.
    fn drop_oldest_qos0(&mut self) -> bool {
        self.qos0 > 0 && self.drop_first(|waiting| waiting.message.qos() == QoS::AtMostOnce)
    }

    /// Frees a place by dropping a lapsed message, and counts it; false if there is none.
    fn drop_oldest_lapsed(&mut self) -> bool {
        let drops = self.lapsed > 0
            && self.drop_first(|waiting| {
                waiting.owed.is_none() && waiting.message.qos() != QoS::AtMostOnce
            });
        self.dropped += u64::from(drops);
        drops
    }

    fn drop_first(&mut self, is_it: impl Fn(&Waiting) -> bool) -> bool {
        let first = self.waiting.iter().position(is_it);
        let Some(dropped) = first.and_then(|first| self.waiting.remove(first)) else {
            return false;
        };
        self.account_for(&dropped);
        true
    }

    /// A message has left.
    fn account_for(&mut self, waiting: &Waiting) {
        self.bytes -= waiting.message.memory();
        if waiting.owed.is_none() {
            if waiting.message.qos() == QoS::AtMostOnce {
                self.qos0 -= 1;
            } else {
                self.lapsed -= 1;
            }
        }
    }
}
