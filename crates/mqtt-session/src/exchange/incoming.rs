//! The receiving side of QoS 1 and QoS 2: which messages are new, and whether the peer keeps to
//! the Receive Maximum.
//!
//! ```text
//!   PUBLISH (QoS 2, new)                    PUBREL
//!  ---------------------> awaiting PUBREL ---------> forgotten
//!                          |   ^   |
//!                          +---+   +--- PUBREC >= 0x80 sent ---> forgotten
//!                     PUBLISH again: a duplicate
//! ```

use mqtt_codec::PacketId;

/// The QoS 2 packet identifiers of the peer that await PUBREL, and how many of the peer's
/// messages this side has not answered for good on this connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incoming {
    /// Identifiers in pages of 64, sorted by number; a page without any is removed.
    pages: Vec<Page>,
    /// Identifiers that await PUBREL.
    awaiting: u16,
    /// PUBLISHes of this connection whose PUBACK, PUBCOMP or refusing PUBREC was not yet sent.
    unfinished: u16,
    /// The Receive Maximum that this side announced.
    maximum: u16,
}

#[derive(Clone, Debug)]
struct Page {
    /// Identifier divided by 64.
    number: u16,
    /// Which of the 64 await PUBREL.
    awaiting: u64,
    /// Which of those count towards the Receive Maximum: their PUBLISH came on this connection.
    counted: u64,
}

/// What a QoS 2 PUBLISH is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A message not seen before: deliver it onward, then answer PUBREC.
    New,
    /// Sent again: answer PUBREC, deliver nothing.
    Duplicate,
}

/// Why a PUBLISH is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// More in flight than this side announced: DISCONNECT 0x93.
    ReceiveMaximumExceeded,
    /// The identifier belongs to an open QoS 2 exchange: PUBACK 0x91.
    PacketIdentifierInUse,
}

impl Incoming {
    /// Nothing is awaited, and nothing may come before `start_connection`.
    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new(), awaiting: 0, unfinished: 0, maximum: 0 }
    }

    /// A new network connection begins: this side announced `receive_maximum`, and nothing counts
    /// towards it yet. Identifiers that await PUBREL stay known.
    pub(crate) fn start_connection(&mut self, receive_maximum: u16) {
        self.maximum = receive_maximum;
        if sabotaged!(ReceivedForgotten) {
            self.clear();
        }
        self.unfinished = 0;
        for page in &mut self.pages {
            page.counted = 0;
        }
    }

    /// A QoS 1 PUBLISH came; every one is a new message [MQTT-4.3.2-5]. It counts until
    /// `puback_sent`.
    pub(crate) fn on_publish_qos1(&mut self, id: PacketId) -> Result<(), Rejected> {
        self.may_take_qos1(id)?;
        self.answer_waits();
        Ok(())
    }

    /// Whether a QoS 1 PUBLISH that came may be taken. It counts only if it is not answered at
    /// once: `answer_waits` then.
    #[inline(always)]
    pub(crate) fn may_take_qos1(&self, id: PacketId) -> Result<(), Rejected> {
        let (number, bit) = place(id);
        if self.awaiting != 0 && self.page(number).is_some_and(|page| page.awaiting & bit != 0) {
            return Err(Rejected::PacketIdentifierInUse);
        }
        if self.has_room() { Ok(()) } else { Err(Rejected::ReceiveMaximumExceeded) }
    }

    /// The PUBACK for a QoS 1 PUBLISH is sent.
    pub(crate) fn puback_sent(&mut self) {
        self.unfinished = self.unfinished.saturating_sub(1);
    }

    /// A PUBLISH of this connection is not answered yet, or its answer is made and does not leave:
    /// until `puback_sent` it counts [MQTT-3.3.4-7].
    pub(crate) const fn answer_waits(&mut self) {
        self.unfinished = self.unfinished.saturating_add(1);
    }

    /// A QoS 2 PUBLISH came.
    pub(crate) fn on_publish_qos2(&mut self, id: PacketId) -> Result<Received, Rejected> {
        let (number, bit) = place(id);
        let at = match self.pages.binary_search_by_key(&number, |page| page.number) {
            Ok(at) => at,
            Err(at) => {
                self.count_new()?;
                self.pages.insert(at, Page { number, awaiting: bit, counted: bit });
                self.awaiting += 1;
                return Ok(Received::New);
            }
        };
        let known =
            self.pages.get(at).map_or((0, 0), |page| (page.awaiting & bit, page.counted & bit));
        match known {
            (0, _) => self.count_new()?,
            (_, 0) => self.count()?,
            _ => {}
        }
        let Some(page) = self.pages.get_mut(at) else { return Ok(Received::New) };
        page.counted |= bit;
        // [MQTT-4.3.3-10]: told by the identifier, not by DUP.
        if page.awaiting & bit != 0 && !sabotaged!(DuplicateIsNew) {
            return Ok(Received::Duplicate);
        }
        page.awaiting |= bit;
        self.awaiting += 1;
        Ok(Received::New)
    }

    /// A PUBREC of 0x80 or above is sent: the next PUBLISH with this identifier is a new message
    /// [MQTT-4.3.3-9].
    pub(crate) fn refused(&mut self, id: PacketId) {
        self.forget(id);
    }

    /// A PUBREL came, and its PUBCOMP is sent. False if the identifier was not awaited, which
    /// PUBCOMP tells with 0x92. Afterwards the identifier means a new message [MQTT-4.3.3-12].
    pub(crate) fn on_pubrel(&mut self, id: PacketId) -> bool {
        self.forget(id)
    }

    /// How many identifiers await PUBREL.
    pub(crate) const fn awaiting(&self) -> u16 {
        self.awaiting
    }

    /// How many PUBLISHes of this connection are not answered for good.
    pub(crate) const fn unfinished(&self) -> u16 {
        self.unfinished
    }

    /// The identifiers that await PUBREL, in ascending order.
    pub(crate) fn awaiting_ids(&self) -> impl Iterator<Item = PacketId> {
        self.pages.iter().flat_map(|page| {
            (0..64u16)
                .filter(|bit| page.awaiting >> bit & 1 == 1)
                .filter_map(|bit| PacketId::new(page.number * 64 + bit))
        })
    }

    /// Awaits the PUBREL of an identifier that was saved.
    pub(crate) fn restore(&mut self, id: PacketId) {
        let (number, bit) = place(id);
        match self.pages.binary_search_by_key(&number, |page| page.number) {
            Ok(at) => {
                if let Some(page) = self.pages.get_mut(at)
                    && page.awaiting & bit == 0
                {
                    page.awaiting |= bit;
                    self.awaiting += 1;
                }
            }
            Err(at) => {
                self.pages.insert(at, Page { number, awaiting: bit, counted: 0 });
                self.awaiting += 1;
            }
        }
    }

    /// Forgets every identifier, as a new session does.
    pub(crate) fn clear(&mut self) {
        self.pages = Vec::new();
        self.awaiting = 0;
        self.unfinished = 0;
    }

    /// Whether the peer may send one more PUBLISH [MQTT-3.3.4-7] [MQTT-3.3.4-9]
    /// [MQTT5-U-3.3.4-4].
    const fn has_room(&self) -> bool {
        self.unfinished < self.maximum
    }

    /// Counts one more PUBLISH of this connection.
    fn count(&mut self) -> Result<(), Rejected> {
        if !self.has_room() {
            return Err(Rejected::ReceiveMaximumExceeded);
        }
        self.unfinished += 1;
        Ok(())
    }

    /// Counts a PUBLISH whose identifier is not awaited.
    ///
    /// Each connection has the whole Receive Maximum for itself, beside what earlier ones left
    /// behind. A peer that does what a resumed session demands [MQTT-4.4.0-1] releases that
    /// before there is as much again.
    fn count_new(&mut self) -> Result<(), Rejected> {
        if u32::from(self.awaiting) >= 2 * u32::from(self.maximum) {
            return Err(Rejected::ReceiveMaximumExceeded);
        }
        self.count()
    }

    #[inline(never)]
    fn page(&self, number: u16) -> Option<&Page> {
        let at = self.pages.binary_search_by_key(&number, |page| page.number).ok()?;
        self.pages.get(at)
    }

    fn forget(&mut self, id: PacketId) -> bool {
        let (number, bit) = place(id);
        let Ok(at) = self.pages.binary_search_by_key(&number, |page| page.number) else {
            return false;
        };
        let Some(page) = self.pages.get_mut(at) else { return false };
        if page.awaiting & bit == 0 {
            return false;
        }
        page.awaiting &= !bit;
        if page.counted & bit != 0 {
            page.counted &= !bit;
            self.unfinished = self.unfinished.saturating_sub(1);
        }
        if page.awaiting == 0 {
            self.pages.remove(at);
        }
        self.awaiting -= 1;
        true
    }
}

/// Page number and bit of an identifier.
fn place(id: PacketId) -> (u16, u64) {
    (id.get() / 64, 1 << (id.get() % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    fn with_maximum(maximum: u16) -> Incoming {
        let mut incoming = Incoming::new();
        incoming.start_connection(maximum);
        incoming
    }

    /// Proves: [MQTT-4.3.3-10], [MQTT-4.3.3-12]
    #[test]
    fn an_identifier_is_a_duplicate_until_its_pubrel_and_new_after_it() {
        let mut incoming = with_maximum(10);
        assert_eq!(incoming.on_publish_qos2(id(7)), Ok(Received::New));
        assert_eq!(incoming.on_publish_qos2(id(7)), Ok(Received::Duplicate));
        assert_eq!(incoming.unfinished(), 1);
        assert!(incoming.on_pubrel(id(7)));
        assert!(!incoming.on_pubrel(id(7)), "the second PUBREL finds nothing");
        assert_eq!(incoming.on_publish_qos2(id(7)), Ok(Received::New));
    }

    /// Proves: [MQTT-4.3.3-9]
    #[test]
    fn after_a_refusing_pubrec_the_identifier_is_new() {
        let mut incoming = with_maximum(1);
        assert_eq!(incoming.on_publish_qos2(id(1)), Ok(Received::New));
        incoming.refused(id(1));
        assert_eq!(incoming.unfinished(), 0);
        assert_eq!(incoming.on_publish_qos2(id(1)), Ok(Received::New));
    }

    /// Proves: [MQTT-4.3.2-5]
    #[test]
    fn a_qos_1_publish_is_always_a_new_message() {
        let mut incoming = with_maximum(10);
        for _ in 0..3 {
            assert_eq!(incoming.on_publish_qos1(id(7)), Ok(()));
            incoming.puback_sent();
        }
        assert_eq!(incoming.unfinished(), 0);
    }

    #[test]
    fn a_qos_1_publish_with_an_identifier_that_awaits_pubrel_is_rejected() {
        let mut incoming = with_maximum(10);
        assert_eq!(incoming.on_publish_qos2(id(7)), Ok(Received::New));
        assert_eq!(incoming.on_publish_qos1(id(7)), Err(Rejected::PacketIdentifierInUse));
        assert_eq!(incoming.unfinished(), 1);
    }

    /// Proves: [MQTT-3.3.4-7], [MQTT-3.3.4-9]
    #[test]
    fn one_message_over_the_receive_maximum_is_rejected() {
        let mut incoming = with_maximum(2);
        assert_eq!(incoming.on_publish_qos1(id(1)), Ok(()));
        assert_eq!(incoming.on_publish_qos2(id(2)), Ok(Received::New));
        assert_eq!(incoming.on_publish_qos2(id(2)), Ok(Received::Duplicate), "counts once");
        assert_eq!(incoming.on_publish_qos1(id(3)), Err(Rejected::ReceiveMaximumExceeded));
        assert_eq!(incoming.on_publish_qos2(id(3)), Err(Rejected::ReceiveMaximumExceeded));
        incoming.puback_sent();
        assert_eq!(incoming.on_publish_qos2(id(3)), Ok(Received::New));
    }

    #[test]
    fn a_new_connection_counts_from_zero_and_still_knows_what_awaits_pubrel() {
        let mut incoming = with_maximum(2);
        assert_eq!(incoming.on_publish_qos2(id(1)), Ok(Received::New));
        assert_eq!(incoming.on_publish_qos2(id(2)), Ok(Received::New));
        incoming.start_connection(2);
        assert_eq!(incoming.unfinished(), 0);
        assert!(incoming.on_pubrel(id(1)), "its PUBREL frees nothing that was not counted");
        assert_eq!(incoming.unfinished(), 0);
        assert_eq!(incoming.on_publish_qos2(id(2)), Ok(Received::Duplicate));
        assert_eq!(incoming.unfinished(), 1, "a PUBLISH sent again counts");
        assert!(incoming.on_pubrel(id(2)));
        assert_eq!(incoming.unfinished(), 0);
    }

    #[test]
    fn identifiers_that_are_never_released_add_up_to_twice_the_receive_maximum() {
        let mut incoming = with_maximum(2);
        for number in 1..=4 {
            if number % 2 == 1 {
                incoming.start_connection(2);
            }
            assert_eq!(incoming.on_publish_qos2(id(number * 100)), Ok(Received::New));
        }
        incoming.start_connection(2);
        let rejected = Err(Rejected::ReceiveMaximumExceeded);
        assert_eq!(incoming.on_publish_qos2(id(500)), rejected);
        assert_eq!(incoming.on_publish_qos2(id(101)), rejected, "on a page that is there");
        assert_eq!(incoming.awaiting(), 4);
        assert_eq!(incoming.on_publish_qos2(id(100)), Ok(Received::Duplicate), "it may go on");
        assert!(incoming.on_pubrel(id(100)));
        assert_eq!(incoming.on_publish_qos2(id(500)), Ok(Received::New));
    }

    #[test]
    fn all_identifiers_can_await_pubrel_and_be_told_apart() {
        let mut incoming = with_maximum(u16::MAX);
        for number in (1..=u16::MAX).rev() {
            assert_eq!(incoming.on_publish_qos2(id(number)), Ok(Received::New));
        }
        assert_eq!(incoming.awaiting(), u16::MAX);
        assert!(incoming.awaiting_ids().map(PacketId::get).eq(1..=u16::MAX));
        let mut restored = Incoming::new();
        for number in incoming.awaiting_ids() {
            restored.restore(number);
        }
        for number in 1..=u16::MAX {
            assert!(restored.on_pubrel(id(number)));
        }
        assert_eq!(restored.awaiting(), 0);
        assert!(restored.pages.is_empty());
    }
}
