//! QoS 2 messages to one session that have their Packet Identifiers and wait for the store before
//! they are sent.

use std::collections::VecDeque;

use mqtt_codec::PacketId;

/// The exchanges of a connection whose PUBLISH waits, in the order in which they are sent.
#[derive(Debug, Default)]
pub(in crate::broker) struct Waits {
    /// Each with the number of the batch that has to be committed.
    queue: VecDeque<(PacketId, u64)>,
    /// How many of them, from the first one on, wait no longer.
    sendable: usize,
}

impl Waits {
    /// One more waits for the batch `mark`; marks never go down.
    pub(super) fn push(&mut self, packet_id: PacketId, mark: u64) {
        self.queue.push_back((packet_id, mark));
    }

    /// The batch `committed` and all before it are committed. Returns whether something can be
    /// sent.
    pub(super) fn settle(&mut self, committed: u64) -> bool {
        while self.queue.get(self.sendable).is_some_and(|&(_, mark)| mark <= committed) {
            self.sendable += 1;
        }
        self.sendable > 0
    }

    pub(in crate::broker) const fn can_send(&self) -> bool {
        self.sendable > 0
    }

    /// The next one that waits no longer.
    pub(in crate::broker) fn peek(&self) -> Option<PacketId> {
        let (packet_id, _) = self.queue.front().filter(|_| self.sendable > 0)?;
        Some(*packet_id)
    }

    /// Takes the next one that waits no longer.
    pub(in crate::broker) fn next(&mut self) -> Option<PacketId> {
        if self.sendable == 0 {
            return None;
        }
        self.sendable -= 1;
        self.queue.pop_front().map(|(packet_id, _)| packet_id)
    }

    /// The exchange is over before its PUBLISH was sent.
    pub(super) fn forget(&mut self, packet_id: PacketId) {
        if let Some(at) = self.queue.iter().position(|&(id, _)| id == packet_id) {
            self.queue.remove(at);
            if at < self.sendable {
                self.sendable -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    #[test]
    fn what_waits_is_sent_in_order_and_not_before_its_batch_is_committed() {
        let mut waits = Waits::default();
        waits.push(id(1), 4);
        waits.push(id(2), 4);
        waits.push(id(3), 5);
        assert!(!waits.settle(3));
        assert_eq!(waits.next(), None);
        assert!(waits.settle(4));
        assert_eq!((waits.next(), waits.next(), waits.next()), (Some(id(1)), Some(id(2)), None));
        assert!(waits.settle(9));
        assert_eq!(waits.next(), Some(id(3)));
        assert_eq!(waits.next(), None);
    }

    #[test]
    fn what_is_forgotten_is_not_sent_whether_it_waited_or_not() {
        let mut waits = Waits::default();
        for number in 1..=4 {
            waits.push(id(number), u64::from(number));
        }
        assert!(waits.settle(2));
        waits.forget(id(1));
        waits.forget(id(3));
        assert_eq!((waits.next(), waits.next()), (Some(id(2)), None));
        assert!(waits.settle(4));
        assert_eq!((waits.next(), waits.next()), (Some(id(4)), None));
    }
}
