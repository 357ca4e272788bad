//! Which received messages the application still has to answer, and in which order the answers
//! leave.
//!
//! The application may answer in any order; PUBACKs leave in the order of the QoS 1 PUBLISHes
//! [MQTT-4.6.0-2] and PUBRECs in the order of the QoS 2 PUBLISHes [MQTT-4.6.0-3], so an answer
//! waits until those before it were given.

use std::collections::VecDeque;

use mqtt_codec::{PacketId, PubAckReason, QoS};

/// A received QoS 1 or QoS 2 message that awaits the application's answer.
///
/// Given back by value to [`Client::acknowledge`](super::Client::acknowledge), or to
/// [`Client::abandon`](super::Client::abandon) where the application will not answer. Until it is
/// acknowledged, the acknowledgements of all later messages of its QoS wait.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a message that is not acknowledged holds back all later acknowledgements"]
pub struct Delivery(pub(super) Owed);

impl Delivery {
    /// The QoS of the message.
    #[must_use]
    pub const fn qos(&self) -> QoS {
        self.0.qos
    }
}

/// The acknowledgement of a message, owed by everybody who got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owed {
    pub(super) qos: QoS,
    slot: u32,
    generation: u32,
}

/// The answers that are awaited, of one QoS.
#[derive(Debug)]
pub(super) struct Deliveries {
    qos: QoS,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The messages of this connection in the order of their arrival.
    order: VecDeque<Arrival>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// So many readers have not answered yet; one that refuses speaks for all.
    Waiting {
        id: PacketId,
        readers: u32,
        reason: PubAckReason,
    },
    /// A reader will never answer.
    Abandoned(PacketId),
    /// Every reader has answered; the acknowledgement waits for its turn.
    Answered(PacketId, PubAckReason),
}

#[derive(Clone, Copy, Debug)]
enum Arrival {
    /// A message that the application has or had.
    Slot(u32),
    /// A message that needs no answer of the application, with the reason of its acknowledgement.
    Decided(PacketId, PubAckReason),
}

impl Deliveries {
    pub(super) const fn new(qos: QoS) -> Self {
        Self { qos, slots: Vec::new(), free: Vec::new(), order: VecDeque::new() }
    }

    /// A message arrived that so many readers must answer.
    pub(super) fn deliver(&mut self, id: PacketId, readers: u32) -> Owed {
        let state = State::Waiting { id, readers, reason: PubAckReason::Success };
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot { generation: 0, state: State::Free });
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let generation = match self.slots.get_mut(slot as usize) {
            Some(place) => {
                place.state = state;
                place.generation
            }
            None => 0,
        };
        self.order.push_back(Arrival::Slot(slot));
        Owed { qos: self.qos, slot, generation }
    }

    /// A message arrived whose answer is known already.
    pub(super) fn decide(&mut self, id: PacketId, reason: PubAckReason) {
        self.order.push_back(Arrival::Decided(id, reason));
    }

    /// A message arrived again that was delivered before: it is answered in its turn, as the
    /// readers answer the first delivery, or with success if that was long ago.
    pub(super) fn arrived_again(&mut self, id: PacketId) {
        let known = self.slots.iter().position(|slot| match slot.state {
            State::Waiting { id: held, .. } | State::Abandoned(held) | State::Answered(held, _) => {
                held == id
            }
            State::Free => false,
        });
        let known = known.and_then(|slot| u32::try_from(slot).ok());
        let arrival = known.map_or(Arrival::Decided(id, PubAckReason::Success), Arrival::Slot);
        let in_turn = |queued: &Arrival| match (*queued, known) {
            (Arrival::Slot(queued), Some(slot)) => queued == slot,
            (Arrival::Decided(queued, _), _) => queued == id,
            (Arrival::Slot(_), None) => false,
        };
        // The acknowledgement that is still to come answers this packet too.
        if !self.order.iter().any(in_turn) {
            self.order.push_back(arrival);
        }
    }

    /// A reader's answer. One for a message of an earlier session, or of an earlier connection at
    /// QoS 1, has nobody to go to any more and is dropped.
    #[inline]
    pub(super) fn answer(&mut self, owed: Owed, answer: PubAckReason) {
        let Some(slot) = self.slots.get_mut(owed.slot as usize) else { return };
        if slot.generation != owed.generation {
            return;
        }
        if let State::Waiting { id, readers, reason } = &mut slot.state {
            if answer.is_error() || *reason == PubAckReason::Success {
                *reason = answer;
            }
            *readers = readers.saturating_sub(1);
            if *readers == 0 {
                slot.state = State::Answered(*id, *reason);
            }
        }
    }

    /// A reader will not answer: the message stays unacknowledged for as long as the connection
    /// lasts. False if there is nothing to answer any more.
    pub(super) fn abandon(&mut self, owed: Owed) -> bool {
        if let Some(slot) = self.slots.get_mut(owed.slot as usize)
            && slot.generation == owed.generation
            && let State::Waiting { id, .. } = slot.state
        {
            slot.state = State::Abandoned(id);
            return true;
        }
        false
    }

    /// The server wants no answer any more to the message of this identifier.
    pub(super) fn forget(&mut self, id: PacketId) {
        let is_it = |slot: &Slot| match slot.state {
            State::Waiting { id: held, .. } | State::Abandoned(held) | State::Answered(held, _) => {
                held == id
            }
            State::Free => false,
        };
        let known = self.slots.iter().position(is_it).and_then(|slot| u32::try_from(slot).ok());
        if let Some(slot) = known {
            self.order.retain(|arrival| !matches!(arrival, Arrival::Slot(at) if *at == slot));
            self.release(slot);
        }
    }

    /// The next acknowledgement that may leave now.
    pub(super) fn next_ready(&mut self) -> Option<(PacketId, PubAckReason)> {
        match *self.order.front()? {
            Arrival::Decided(id, reason) => {
                self.order.pop_front();
                Some((id, reason))
            }
            Arrival::Slot(slot) => {
                let State::Answered(id, reason) = self.slots.get(slot as usize)?.state else {
                    return None;
                };
                self.order.pop_front();
                self.release(slot);
                Some((id, reason))
            }
        }
    }

    /// Whether an acknowledgement can leave without waiting for any other.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many messages the application has not answered.
    pub(super) fn waiting(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The identifiers of the messages that no reader has answered for.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = PacketId> {
        self.slots.iter().filter_map(|slot| match slot.state {
            State::Waiting { id, .. } | State::Abandoned(id) => Some(id),
            State::Free | State::Answered(..) => None,
        })
    }

    /// The connection is gone, the session is not: the server sends again what it was not
    /// answered, under the same identifiers, and the deliveries stay good. Returns the identifiers
    /// of the messages that nobody will answer: they are new ones when they come again.
    pub(super) fn suspend(&mut self) -> Vec<PacketId> {
        self.order.clear();
        let mut abandoned = Vec::new();
        for slot in 0..self.slots.len() {
            if let Some(Slot { state: State::Abandoned(id), .. }) = self.slots.get(slot) {
                abandoned.push(*id);
                self.release(u32::try_from(slot).unwrap_or(u32::MAX));
            }
        }
        abandoned
    }

    /// Nothing is owed to anybody any more: answers still to come are dropped.
    pub(super) fn clear(&mut self) {
        self.order.clear();
        for slot in 0..self.slots.len() {
            if self.slots.get(slot).is_some_and(|slot| slot.state != State::Free) {
                self.release(u32::try_from(slot).unwrap_or(u32::MAX));
            }
        }
    }

    fn release(&mut self, slot: u32) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.state = State::Free;
            place.generation = place.generation.wrapping_add(1);
            self.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: PubAckReason = PubAckReason::Success;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    fn ready(deliveries: &mut Deliveries) -> Vec<u16> {
        core::iter::from_fn(|| deliveries.next_ready()).map(|(id, _)| id.get()).collect()
    }

    /// Proves: [MQTT-4.6.0-2], [MQTT-4.6.0-3]
    #[test]
    fn answers_given_in_any_order_leave_in_the_order_of_arrival() {
        let mut deliveries = Deliveries::new(QoS::ExactlyOnce);
        let first = deliveries.deliver(id(7), 1);
        let second = deliveries.deliver(id(3), 1);
        deliveries.decide(id(5), PubAckReason::QuotaExceeded);
        let third = deliveries.deliver(id(9), 1);
        deliveries.answer(third, OK);
        deliveries.answer(second, OK);
        assert!(ready(&mut deliveries).is_empty(), "the first is not answered");
        deliveries.answer(first, OK);
        assert_eq!(ready(&mut deliveries), [7, 3, 5, 9]);
        assert_eq!(deliveries.waiting(), 0);
    }

    #[test]
    fn an_answer_counts_once_and_only_for_the_message_it_was_made_for() {
        let mut deliveries = Deliveries::new(QoS::ExactlyOnce);
        let first = deliveries.deliver(id(1), 1);
        deliveries.answer(first, PubAckReason::NotAuthorized);
        deliveries.answer(first, OK);
        assert_eq!(deliveries.next_ready(), Some((id(1), PubAckReason::NotAuthorized)));
        let second = deliveries.deliver(id(2), 1);
        deliveries.answer(first, OK);
        assert_eq!(deliveries.next_ready(), None, "the slot serves another message by now");
        deliveries.answer(second, OK);
        assert_eq!(deliveries.next_ready(), Some((id(2), OK)));
    }

    /// Proves: [MQTT-4.3.3-10], [MQTT-4.6.0-3]
    #[test]
    fn a_message_that_comes_again_is_answered_in_its_turn_by_the_first_delivery() {
        let mut deliveries = Deliveries::new(QoS::ExactlyOnce);
        let first = deliveries.deliver(id(1), 1);
        deliveries.arrived_again(id(1));
        assert!(deliveries.suspend().is_empty());
        assert!(ready(&mut deliveries).is_empty());
        deliveries.arrived_again(id(1));
        deliveries.arrived_again(id(2));
        assert!(ready(&mut deliveries).is_empty());
        deliveries.answer(first, OK);
        assert_eq!(ready(&mut deliveries), [1, 2]);
    }

    #[test]
    fn an_answer_given_between_two_connections_leaves_when_the_message_comes_again() {
        let mut deliveries = Deliveries::new(QoS::ExactlyOnce);
        let first = deliveries.deliver(id(1), 1);
        assert!(deliveries.suspend().is_empty());
        deliveries.answer(first, OK);
        assert!(ready(&mut deliveries).is_empty());
        deliveries.arrived_again(id(1));
        assert_eq!(ready(&mut deliveries), [1]);
    }

    #[test]
    fn a_message_of_several_readers_is_answered_when_all_have_and_one_refusal_speaks_for_all() {
        let mut deliveries = Deliveries::new(QoS::AtLeastOnce);
        let both = deliveries.deliver(id(1), 2);
        let all = deliveries.deliver(id(2), 3);
        deliveries.answer(both, OK);
        assert_eq!(deliveries.next_ready(), None);
        deliveries.answer(both, OK);
        assert_eq!(deliveries.next_ready(), Some((id(1), OK)));
        deliveries.answer(all, OK);
        deliveries.answer(all, PubAckReason::QuotaExceeded);
        deliveries.answer(all, OK);
        assert_eq!(deliveries.next_ready(), Some((id(2), PubAckReason::QuotaExceeded)));
    }

    #[test]
    fn an_abandoned_message_is_never_answered_and_is_new_when_it_comes_again() {
        let mut deliveries = Deliveries::new(QoS::ExactlyOnce);
        let both = deliveries.deliver(id(1), 2);
        let after = deliveries.deliver(id(2), 1);
        assert!(deliveries.abandon(both));
        deliveries.answer(both, OK);
        deliveries.answer(after, OK);
        assert_eq!(deliveries.next_ready(), None);
        assert_eq!(deliveries.suspend(), [id(1)]);
        assert!(!deliveries.abandon(both), "it is forgotten");
        deliveries.arrived_again(id(2));
        assert_eq!(ready(&mut deliveries), [2]);
        assert_eq!(deliveries.waiting(), 0);
    }

    #[test]
    fn the_end_of_the_session_makes_every_delivery_stale() {
        let mut deliveries = Deliveries::new(QoS::ExactlyOnce);
        let old = deliveries.deliver(id(1), 1);
        deliveries.clear();
        assert_eq!(deliveries.waiting(), 0);
        let new = deliveries.deliver(id(1), 1);
        deliveries.answer(old, PubAckReason::NotAuthorized);
        assert_eq!(deliveries.next_ready(), None);
        deliveries.answer(new, OK);
        assert_eq!(deliveries.next_ready(), Some((id(1), OK)));
    }
}
