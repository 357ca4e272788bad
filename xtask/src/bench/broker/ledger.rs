//! What was sent and what arrived: losses, duplicates and damage, message by message.

use crate::bench::frame::Stamp;

/// Who receives what a publisher sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Routes {
    /// Every subscriber, every message.
    All,
    /// Subscriber N, the messages of publisher N.
    Pairs,
    /// Each message reaches exactly one subscriber, by its topic.
    One,
}

/// The account of one run.
#[derive(Debug)]
pub(super) struct Ledger {
    routes: Routes,
    publishers: usize,
    /// The lowest sequence number still to come, by subscriber, then publisher.
    next: Vec<u64>,
    received: u64,
    written_off: u64,
    /// Messages that did not arrive.
    lost: u64,
    /// Messages that arrived twice, late or at the wrong place.
    misplaced: u64,
    /// Payloads that are not what was sent.
    damaged: u64,
}

/// What went wrong in a run; all zero in a good one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub(super) lost: u64,
    pub(super) misplaced: u64,
    pub(super) damaged: u64,
}

impl Ledger {
    pub(super) fn new(routes: Routes, publishers: usize, subscribers: usize) -> Self {
        Self {
            routes,
            publishers,
            next: vec![0; publishers * subscribers],
            received: 0,
            written_off: 0,
            lost: 0,
            misplaced: 0,
            damaged: 0,
        }
    }

    /// Messages that arrived, all subscribers together.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// A payload arrived that carries this stamp, or a damaged one.
    pub(super) fn record(&mut self, subscriber: usize, stamp: Option<Stamp>) {
        self.received += 1;
        let Some(stamp) = stamp else {
            self.damaged += 1;
            return;
        };
        let publisher = usize::try_from(stamp.publisher).unwrap_or(usize::MAX);
        if publisher >= self.publishers || self.routes == Routes::Pairs && publisher != subscriber {
            self.misplaced += 1;
            return;
        }
        let Some(next) = self.next.get_mut(subscriber * self.publishers + publisher) else {
            self.misplaced += 1;
            return;
        };
        if stamp.sequence < *next {
            self.misplaced += 1;
            return;
        }
        if self.routes != Routes::One {
            self.lost += stamp.sequence - *next;
        }
        *next = stamp.sequence + 1;
    }

    /// How many messages of `publisher` are settled with its slowest subscriber.
    pub(super) fn settled(&self, publisher: usize) -> u64 {
        match self.routes {
            Routes::One => self.received + self.written_off,
            Routes::Pairs => self.at(publisher, publisher),
            Routes::All => {
                let column = self.next.iter().skip(publisher).step_by(self.publishers);
                column.copied().min().unwrap_or(0)
            }
        }
    }

    fn at(&self, subscriber: usize, publisher: usize) -> u64 {
        self.next.get(subscriber * self.publishers + publisher).copied().unwrap_or(0)
    }

    /// Nothing arrives any more: counts all that is still under way as lost. `sent` is what each
    /// publisher sent.
    pub(super) fn write_off(&mut self, sent: &[u64]) {
        if self.routes == Routes::One {
            let open = sent.iter().sum::<u64>().saturating_sub(self.received + self.written_off);
            self.written_off += open;
            self.lost += open;
            return;
        }
        let publishers = self.publishers;
        for (at, next) in self.next.iter_mut().enumerate() {
            let (subscriber, publisher) = (at / publishers, at % publishers);
            if self.routes == Routes::Pairs && subscriber != publisher {
                continue;
            }
            let sent = sent.get(publisher).copied().unwrap_or(0);
            self.lost += sent.saturating_sub(*next);
            *next = sent.max(*next);
        }
    }

    /// What went wrong so far.
    pub(super) fn faults(&self) -> Faults {
        Faults { lost: self.lost, misplaced: self.misplaced, damaged: self.damaged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(publisher: u32, sequence: u64) -> Option<Stamp> {
        Some(Stamp { publisher, sequence })
    }

    #[test]
    fn a_gap_is_a_loss_and_a_repeat_is_misplaced() {
        let mut ledger = Ledger::new(Routes::All, 1, 1);
        for sequence in [0, 1, 4, 4, 3] {
            ledger.record(0, stamp(0, sequence));
        }
        assert_eq!(ledger.faults(), Faults { lost: 2, misplaced: 2, damaged: 0 });
        assert_eq!(ledger.settled(0), 5);
    }

    #[test]
    fn the_slowest_subscriber_settles() {
        let mut ledger = Ledger::new(Routes::All, 2, 2);
        for sequence in 0..5 {
            ledger.record(0, stamp(1, sequence));
        }
        assert_eq!(ledger.settled(1), 0);
        ledger.record(1, stamp(1, 0));
        assert_eq!((ledger.settled(1), ledger.settled(0)), (1, 0));
    }

    #[test]
    fn a_message_for_another_pair_is_misplaced() {
        let mut ledger = Ledger::new(Routes::Pairs, 2, 2);
        ledger.record(0, stamp(1, 0));
        ledger.record(1, stamp(9, 0));
        assert_eq!(ledger.faults().misplaced, 2);
    }

    #[test]
    fn what_never_arrives_is_written_off_once() {
        for routes in [Routes::All, Routes::Pairs, Routes::One] {
            let mut ledger = Ledger::new(routes, 1, 1);
            ledger.record(0, stamp(0, 0));
            ledger.write_off(&[10]);
            ledger.write_off(&[10]);
            assert_eq!(ledger.faults().lost, 9, "{routes:?}");
            assert_eq!(ledger.settled(0), 10, "{routes:?}");
        }
    }

    #[test]
    fn a_payload_without_a_stamp_is_damaged() {
        let mut ledger = Ledger::new(Routes::One, 1, 1);
        ledger.record(0, None);
        assert_eq!(ledger.faults().damaged, 1);
    }
}
