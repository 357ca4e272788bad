//! Shared subscriptions: groups of sessions of which one gets each message.

use hashbrown::HashTable;
use mqtt_codec::TopicFilter;

use super::Broker;
use super::route::Subscription;
use super::slots::Slots;
use crate::entropy::hash;

/// Marks a subscriber of the index as a group: the rest of the number is its slot.
pub(super) const GROUP: u32 = 1 << 31;

/// All groups of shared subscriptions.
#[derive(Debug)]
pub(super) struct Groups {
    slots: Slots<Group>,
    /// Slots by the whole text of the filter, `$share/` and name included.
    by_text: HashTable<u32>,
    key: [u64; 2],
    members: usize,
}

/// The sessions that share one subscription.
#[derive(Debug)]
struct Group {
    text: Box<str>,
    members: Vec<Member>,
    /// Who is asked first about the next message.
    turn: usize,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    session: u32,
    subscription: Subscription,
}

impl Groups {
    pub(super) fn new(key: [u64; 2]) -> Self {
        Self { slots: Slots::default(), by_text: HashTable::new(), key, members: 0 }
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many members all groups have together.
    pub(super) const fn members(&self) -> usize {
        self.members
    }

    fn find(&self, text: &str) -> Option<u32> {
        self.by_text
            .find(hash(self.key, text.as_bytes()), |&slot| {
                self.slots.get(slot).is_some_and(|group| *group.text == *text)
            })
            .copied()
    }

    fn insert(&mut self, text: &str) -> Option<u32> {
        let group = Group { text: text.into(), members: Vec::new(), turn: 0 };
        let key = self.slots.insert(group).filter(|key| key.slot < GROUP)?;
        let Self { slots, by_text, key: hash_key, .. } = self;
        by_text.insert_unique(hash(*hash_key, text.as_bytes()), key.slot, |&slot| {
            slots.get(slot).map_or(0, |group| hash(*hash_key, group.text.as_bytes()))
        });
        Some(key.slot)
    }

    fn remove(&mut self, slot: u32) -> Option<Box<str>> {
        let group = self.slots.remove(slot)?;
        let hash = hash(self.key, group.text.as_bytes());
        if let Ok(entry) = self.by_text.find_entry(hash, |&other| other == slot) {
            entry.remove();
        }
        Some(group.text)
    }
}

impl Broker {
    /// Makes a session a member of the group of a shared filter; false if there are too many
    /// groups.
    pub(super) fn join_group(
        &mut self,
        session_slot: u32,
        filter: &TopicFilter<'_>,
        subscription: Subscription,
    ) -> bool {
        let slot = match self.groups.find(filter.as_str()) {
            Some(slot) => slot,
            None => {
                let Some(slot) = self.groups.insert(filter.as_str()) else { return false };
                self.index.insert(filter.filter(), GROUP | slot, subscription);
                slot
            }
        };
        let Some(group) = self.groups.slots.get_mut(slot) else { return false };
        match group.members.iter_mut().find(|member| member.session == session_slot) {
            Some(member) => member.subscription = subscription,
            None => {
                group.members.push(Member { session: session_slot, subscription });
                self.groups.members += 1;
                if let Some(session) = self.sessions.get_mut(session_slot) {
                    session.subscriptions.get_or_insert_default().groups.push(slot);
                }
            }
        }
        true
    }

    /// Whether a session is in the group of a shared filter.
    pub(super) fn is_member(&self, session_slot: u32, filter: &TopicFilter<'_>) -> bool {
        let group = self.groups.find(filter.as_str()).and_then(|slot| self.groups.slots.get(slot));
        group.is_some_and(|group| group.members.iter().any(|m| m.session == session_slot))
    }

    /// What a session subscribes to with a shared filter.
    pub(super) fn group_subscription(
        &self,
        session_slot: u32,
        filter: &TopicFilter<'_>,
    ) -> Option<Subscription> {
        let group = self.groups.slots.get(self.groups.find(filter.as_str())?)?;
        let member = group.members.iter().find(|member| member.session == session_slot)?;
        Some(member.subscription)
    }

    /// The shared subscriptions of a session, each with its whole filter.
    pub(super) fn group_subscriptions(
        &self,
        session_slot: u32,
    ) -> impl Iterator<Item = (Box<str>, Subscription)> {
        let session = self.sessions.get(session_slot);
        let subscriptions = session.and_then(|session| session.subscriptions.as_ref());
        let groups = subscriptions.into_iter().flat_map(|subscriptions| &subscriptions.groups);
        groups.filter_map(move |&slot| {
            let group = self.groups.slots.get(slot)?;
            let member = group.members.iter().find(|member| member.session == session_slot)?;
            Some((group.text.clone(), member.subscription))
        })
    }

    /// Takes a session out of the group of a shared filter; false if it was not in it.
    pub(super) fn leave_group(&mut self, session_slot: u32, filter: &str) -> bool {
        let Some(slot) = self.groups.find(filter) else { return false };
        if let Some(session) = self.sessions.get_mut(session_slot)
            && let Some(subscriptions) = &mut session.subscriptions
        {
            subscriptions.groups.retain(|&group| group != slot);
        }
        self.remove_member(session_slot, slot)
    }

    /// Takes a session out of a group.
    pub(super) fn remove_member(&mut self, session_slot: u32, slot: u32) -> bool {
        let Some(group) = self.groups.slots.get_mut(slot) else { return false };
        let Some(at) = group.members.iter().position(|member| member.session == session_slot)
        else {
            return false;
        };
        group.members.remove(at);
        self.groups.members -= 1;
        if group.members.is_empty()
            && let Some(text) = self.groups.remove(slot)
            && let Ok(filter) = TopicFilter::new(&text)
        {
            self.index.remove(filter.filter(), GROUP | slot);
        }
        true
    }

    /// Who gets the next message of a group, with the QoS granted to that member [MQTT-4.8.2-3].
    /// From here on the message is that session's alone: an exchange that breaks off goes on when
    /// the same client is back [MQTT-4.8.2-4], and ends with its session [MQTT-4.8.2-5].
    ///
    /// Whose turn it is: the next member with a connection and room in its queue, else
    /// the next one with room. `None` if all queues are full; the message is then given to the
    /// member whose turn it is, where it is counted as dropped.
    pub(super) fn choose_member(&mut self, subscriber: u32) -> Option<(u32, Subscription)> {
        let limits = &self.config.limits;
        let group = self.groups.slots.get_mut(subscriber & !GROUP)?;
        let count = group.members.len();
        let mut waiting = None;
        for step in 0..count {
            let at = (group.turn + step) % count;
            let Some(&Member { session, subscription }) = group.members.get(at) else { continue };
            let Some(state) = self.sessions.get(session) else { continue };
            let has_room =
                state.flow.as_ref().is_none_or(|flow| flow.queued() < limits.queued_messages);
            if has_room && state.connection.is_some() {
                group.turn = (at + 1) % count;
                return Some((session, subscription));
            }
            if has_room && waiting.is_none() {
                waiting = Some((at, session, subscription));
            }
        }
        let (at, session, subscription) = match waiting {
            Some(waiting) => waiting,
            None => {
                let at = group.turn % count.max(1);
                let member = group.members.get(at)?;
                (at, member.session, member.subscription)
            }
        };
        group.turn = (at + 1) % count.max(1);
        Some((session, subscription))
    }
}
