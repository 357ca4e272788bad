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
/// Given back by value to [`Client::acknowledge`](super::Client::acknowledge). One that is never
/// given back holds back the acknowledgements of all later messages of its QoS.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a message that is not acknowledged holds back all later acknowledgements"]
pub struct Delivery {
    qos: QoS,
    slot: u32,
    generation: u32,
}

impl Delivery {
    /// The QoS of the message.
    #[must_use]
    pub const fn qos(&self) -> QoS {
        self.qos
    }
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
    /// The application has the message.
    Waiting(PacketId),
    /// The application has answered; the acknowledgement waits for its turn.
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

    /// A message arrived that the application must answer.
    pub(super) fn deliver(&mut self, id: PacketId) -> Delivery {
        let state = State::Waiting(id);
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
        Delivery { qos: self.qos, slot, generation }
    }

    /// A message arrived whose answer is known already.
    pub(super) fn decide(&mut self, id: PacketId, reason: PubAckReason) {
        self.order.push_back(Arrival::Decided(id, reason));
    }

    /// A message arrived again that was delivered before: it is answered in its turn, as the
    /// application answers the first delivery, or with success if that was long ago.
    pub(super) fn arrived_again(&mut self, id: PacketId) {
        let known = self.slots.iter().position(|slot| match slot.state {
            State::Waiting(held) | State::Answered(held, _) => held == id,
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

    /// The application's answer. One for a message of an earlier session, or of an earlier
    /// connection at QoS 1, has nobody to go to any more and is dropped.
    pub(super) fn answer(&mut self, delivery: &Delivery, reason: PubAckReason) {
        if let Some(slot) = self.slots.get_mut(delivery.slot as usize)
            && slot.generation == delivery.generation
            && let State::Waiting(id) = slot.state
        {
            slot.state = State::Answered(id, reason);
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

    /// The connection is gone, the session is not: the server sends again what it was not
    /// answered, under the same identifiers, and the deliveries stay good.
    pub(super) fn suspend(&mut self) {
        self.order.clear();
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
        let first = deliveries.deliver(id(7));
        let second = deliveries.deliver(id(3));
        deliveries.decide(id(5), PubAckReason::QuotaExceeded);
        let third = deliveries.deliver(id(9));
        deliveries.answer(&third, OK);
        deliveries.answer(&second, OK);
        assert!(ready(&mut deliveries).is_empty(), "the first is not answered");
        deliveries.answer(&first, OK);
        assert_eq!(ready(&mut deliveries), [7, 3, 5, 9]);
        assert_eq!(deliveries.waiting(), 0);
    }

    #[test]
    fn an_answer_counts_once_and_only_for_the_message_it_was_made_for() {
        let mut deliveries = Deliveries::new(QoS::ExactlyOnce);
        let first = deliveries.deliver(id(1));
        deliveries.answer(&first, PubAckReason::NotAuthorized);
        deliveries.answer(&first, OK);
        assert_eq!(deliveries.next_ready(), Some((id(1), PubAckReason::NotAuthorized)));
        let second = deliveries.deliver(id(2));
        deliveries.answer(&first, OK);
        assert_eq!(deliveries.next_ready(), None, "the slot serves another message by now");
        deliveries.answer(&second, OK);
        assert_eq!(deliveries.next_ready(), Some((id(2), OK)));
    }

    /// Proves: [MQTT-4.3.3-10], [MQTT-4.6.0-3]
    #[test]
    fn a_message_that_comes_again_is_answered_in_its_turn_by_the_first_delivery() {
        let mut deliveries = Deliveries::new(QoS::ExactlyOnce);
        let first = deliveries.deliver(id(1));
        deliveries.arrived_again(id(1));
        deliveries.suspend();
        assert!(ready(&mut deliveries).is_empty());
        deliveries.arrived_again(id(1));
        deliveries.arrived_again(id(2));
        assert!(ready(&mut deliveries).is_empty());
        deliveries.answer(&first, OK);
        assert_eq!(ready(&mut deliveries), [1, 2]);
    }

    #[test]
    fn an_answer_given_between_two_connections_leaves_when_the_message_comes_again() {
        let mut deliveries = Deliveries::new(QoS::ExactlyOnce);
        let first = deliveries.deliver(id(1));
        deliveries.suspend();
        deliveries.answer(&first, OK);
        assert!(ready(&mut deliveries).is_empty());
        deliveries.arrived_again(id(1));
        assert_eq!(ready(&mut deliveries), [1]);
    }

    #[test]
    fn the_end_of_the_session_makes_every_delivery_stale() {
        let mut deliveries = Deliveries::new(QoS::ExactlyOnce);
        let old = deliveries.deliver(id(1));
        deliveries.clear();
        assert_eq!(deliveries.waiting(), 0);
        let new = deliveries.deliver(id(1));
        deliveries.answer(&old, PubAckReason::NotAuthorized);
        assert_eq!(deliveries.next_ready(), None);
        deliveries.answer(&new, OK);
        assert_eq!(deliveries.next_ready(), Some((id(1), OK)));
    }
}
