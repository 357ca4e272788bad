//! Messages to groups of shared subscriptions: one member gets each, and which is for the broker to
//! say.
//!
//! Messages that were published alike (the same bytes twice, empty ones, the same client's wills)
//! went to other members, with other options, and expire at other times; a copy that is seen on the
//! wire may be each of those that it fits. So it is given to one of them for the time being, and
//! to another one if a later copy fits no other: as long as there is a way to give them out, the
//! broker has done nothing wrong.

use mqtt_session::Time;

use super::invariants::{self, Check};
use super::model::{Subscription, seconds_left};
use super::names::CLIENTS;
use super::note::{Ids, PublishNote};

/// All messages to groups that somebody may still get.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    messages: Vec<Shared>,
    /// How many of them nobody has got.
    waiting: usize,
    /// Numbers of all messages that ever went to groups.
    numbers: Vec<u32>,
}

/// A message to a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    pub(super) number: u32,
    pub(super) topic: u8,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) expires_at: Option<Time>,
    pub(super) is_large: bool,
    pub(super) members: [Option<Subscription>; CLIENTS],
    /// The member that it was given to may be gone, or may have no right to it.
    pub(super) optional: bool,
    /// The copy on the wire that is taken for it.
    pub(super) given: Option<Given>,
}

/// A copy that a member got.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    to: usize,
    note: PublishNote,
    at: Time,
}

impl Shared {
    fn may_be_missing(&self, now: Time) -> bool {
        self.optional || self.is_large || self.expires_at.is_some_and(|at| at <= now)
    }

    fn is_alike(&self, note: &PublishNote) -> bool {
        (self.number, self.topic) == (note.number, note.topic)
    }

    fn is_for(&self, client: usize, note: &PublishNote) -> bool {
        let Some(with) = self.members[client] else { return false };
        let mut ids = Ids::default();
        with.id.into_iter().for_each(|id| ids.add(id));
        self.is_alike(note)
            && with.qos.min(self.qos) == note.qos
            && (self.retain && with.retain_as_published) == note.retain
            && ids == note.ids
    }

    /// Whether a copy that was seen may have been this message.
    fn fits(&self, given: &Given) -> bool {
        let is_over = !given.note.dup && self.expires_at.is_some_and(|at| at <= given.at);
        self.is_for(given.to, &given.note)
            && !is_over
            && self.expires_at.map(|at| seconds_left(at, given.at)) == given.note.expiry
    }
}

impl Groups {
    /// How many messages nobody has got.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether a message went to a group.
    pub(super) fn had(&self, number: u32) -> bool {
        self.numbers.contains(&number)
    }

    pub(super) fn push(&mut self, message: Shared) {
        self.numbers.push(message.number);
        self.waiting += 1;
        self.messages.push(message);
    }

    /// Nobody can say whether these come.
    pub(super) fn give_up(&mut self, which: impl Fn(&Shared) -> bool) {
        self.messages.iter_mut().filter(|copy| which(copy)).for_each(|copy| copy.optional = true);
    }

    /// A member gets a copy. `None` if it is none of a message to its group.
    pub(super) fn sent(&mut self, to: usize, note: &PublishNote, now: Time) -> Option<Check> {
        let given = Given { to, note: *note, at: now };
        let mut alike: Vec<usize> =
            (0..self.messages.len()).filter(|&at| self.messages[at].is_alike(note)).collect();
        // What must come is taken to have come.
        alike.sort_by_key(|&at| self.messages[at].may_be_missing(now));
        if self.give(given, &alike, &mut Vec::new()) {
            self.waiting -= 1;
            if alike.iter().all(|&at| self.messages[at].given.is_some()) {
                self.messages.retain(|copy| !copy.is_alike(note));
            }
            return Some(Ok(()));
        }
        let mut waiting = self.messages.iter().filter(|copy| copy.given.is_none());
        let late = waiting.find(|copy| copy.is_for(to, note))?;
        Some(invariants::i9_expiry(note, late.expires_at, now))
    }

    /// Gives a copy to a message that has none, if need be by giving others to other messages.
    fn give(&mut self, given: Given, alike: &[usize], tried: &mut Vec<usize>) -> bool {
        let free = alike.iter().find(|&&at| {
            let copy = &self.messages[at];
            copy.given.is_none() && copy.fits(&given)
        });
        if let Some(&at) = free {
            self.messages[at].given = Some(given);
            return true;
        }
        for &at in alike {
            let Some(other) = self.messages[at].given else { continue };
            if tried.contains(&at) || !self.messages[at].fits(&given) {
                continue;
            }
            tried.push(at);
            if self.give(other, alike, tried) {
                self.messages[at].given = Some(given);
                return true;
            }
        }
        false
    }

    /// A message that must have come to a member and did not.
    pub(super) fn lost(&mut self, now: Time) -> Option<Shared> {
        for at in 0..self.messages.len() {
            let copy = self.messages[at];
            let is_owed = copy.given.is_none() && !copy.may_be_missing(now);
            if is_owed && !self.take(at, now, &mut vec![at]) {
                return Some(copy);
            }
        }
        None
    }

    /// Takes a copy for a message from one that may be without, if need be through others.
    fn take(&mut self, at: usize, now: Time, tried: &mut Vec<usize>) -> bool {
        for other in 0..self.messages.len() {
            let Some(given) = self.messages[other].given else { continue };
            if tried.contains(&other) || !self.messages[at].fits(&given) {
                continue;
            }
            tried.push(other);
            if self.messages[other].may_be_missing(now) {
                self.messages[other].given = None;
            } else if !self.take(other, now, tried) {
                continue;
            }
            self.messages[at].given = Some(given);
            return true;
        }
        false
    }
}
