//! The one place that says whether a client may read a topic. Live, retained, queued and resent
//! messages and wills all pass it at the moment of sending, so that a right that was taken away
//! holds for each of them.

use std::collections::BTreeMap;

use super::request::{ReadRequest, Ticket};
use super::session::Delivery;
use super::slots::Key;
use super::timers::TimerKey;
use super::{Broker, BrokerEvent};
use crate::Time;
use crate::deadlines::{DeadlineHandle, Deadlines};
use crate::entropy::{Entropy, hash};

/// What is known of the topics that a session may read.
#[derive(Debug, Default)]
pub(super) struct Permissions {
    /// Answers by the keyed hash of the topic.
    known: BTreeMap<u64, bool>,
    asked: Option<AskedRead>,
    /// The topic of the question that was not answered: its next message is dropped.
    lapsed: Option<u64>,
}

impl Permissions {
    /// The connection has ended, and what was to be dropped may be gone with it: the next message
    /// of its topic is another.
    pub(super) fn forget_lapsed(&mut self) {
        self.lapsed = None;
    }
}

#[derive(Debug)]
struct AskedRead {
    ticket: Ticket,
    topic: u64,
    timer: DeadlineHandle,
}

/// Answers that are remembered for a session; more begin anew.
const REMEMBERED: usize = 1024;

/// What may become of a message on its way to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Allowed,
    Denied,
    /// Not known yet: it has been asked.
    Asked,
}

/// What asking needs of the broker while a connection is served.
pub(super) struct Asker<'a> {
    pub(super) until: Time,
    pub(super) entropy: &'a Entropy,
    pub(super) tickets: &'a mut u64,
    pub(super) deadlines: &'a mut Deadlines<TimerKey>,
    pub(super) events: &'a mut std::collections::VecDeque<BrokerEvent>,
}

impl Asker<'_> {
    /// Whether a session may read a topic now.
    pub(super) fn may_read(
        &mut self,
        key: Key,
        permissions: &mut Option<Box<Permissions>>,
        reader: Reader<'_>,
        topic: &str,
    ) -> Access {
        let permissions = permissions.get_or_insert_default();
        let topic_hash = hash(self.entropy.hash_key(), topic.as_bytes());
        if permissions.lapsed == Some(topic_hash) {
            permissions.lapsed = None;
            return Access::Denied;
        }
        match permissions.known.get(&topic_hash) {
            Some(true) => return Access::Allowed,
            Some(false) => return Access::Denied,
            None if permissions.asked.is_some() => return Access::Asked,
            None => {}
        }
        *self.tickets += 1;
        let ticket = Ticket(*self.tickets);
        let timer = self.deadlines.insert(self.until.as_nanos(), TimerKey::Read(key, ticket));
        permissions.asked = Some(AskedRead { ticket, topic: topic_hash, timer });
        self.events.push_back(BrokerEvent::Read(ReadRequest {
            session: key,
            ticket,
            client_id: reader.client_id.into(),
            identity: reader.identity.map(Into::into),
            topic: topic.into(),
        }));
        Access::Asked
    }
}

/// Who reads.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) client_id: &'a str,
    pub(super) identity: Option<&'a str>,
}

impl Broker {
    /// The driver has decided whether a client may read a topic.
    pub fn answer_read(&mut self, now: Time, request: ReadRequest, allowed: bool) {
        self.advance(now);
        self.settle_read(request.session, request.ticket, allowed);
    }

    /// Rights have changed: what is known of them is forgotten, for the session of one client
    /// identifier or for all. Whatever is sent from now on is asked about again, also what was
    /// queued or sent before.
    pub fn rights_changed(&mut self, now: Time, client_id: Option<&str>) {
        self.advance(now);
        if sabotaged!(RightsRemembered) {
            return;
        }
        let slots: Vec<u32> = match client_id {
            Some(client_id) => self.find_session(client_id).into_iter().collect(),
            None => self.sessions.iter().map(|(slot, _)| slot).collect(),
        };
        for slot in slots {
            let Some(key) = self.sessions.key(slot) else { continue };
            self.forget_permissions(key);
            self.mark_session_ready(slot);
        }
    }

    /// The time for an answer about reading is over: what waits for it is dropped, and the next
    /// message is asked about again.
    pub(super) fn lapse_read(&mut self, key: Key, ticket: Ticket) {
        if !self.sessions.is_current(key) {
            return;
        }
        let Some(session) = self.sessions.get_mut(key.slot) else { return };
        let Some(permissions) = session.permissions.as_deref_mut() else { return };
        let Some(asked) = permissions.asked.take_if(|asked| asked.ticket == ticket) else { return };
        // What was asked about may be gone with its connection: the next message of its topic is
        // another, and not to be dropped for it.
        let (messages, entropy) = (&self.messages, &self.entropy);
        let is_it = |delivery: &Delivery| {
            let message = delivery.message.and_then(|id| messages.get(id));
            message.is_some_and(|message| {
                hash(entropy.hash_key(), message.topic().as_bytes()) == asked.topic
            })
        };
        let waits = session.flow.as_deref_mut().is_some_and(|flow| {
            flow.undecided.as_ref().is_some_and(is_it)
                || flow.unacknowledged.front().is_some_and(is_it)
                || flow.peek_again().is_some_and(is_it)
        });
        if waits && session.connection.is_some() {
            permissions.lapsed = Some(asked.topic);
        }
        self.mark_session_ready(key.slot);
    }

    /// The answer to a question about reading has come.
    fn settle_read(&mut self, key: Key, ticket: Ticket, allowed: bool) {
        if !self.sessions.is_current(key) {
            return;
        }
        let Some(session) = self.sessions.get_mut(key.slot) else { return };
        let Some(permissions) = session.permissions.as_deref_mut() else { return };
        let Some(asked) = permissions.asked.take_if(|asked| asked.ticket == ticket) else {
            return;
        };
        self.deadlines.cancel(asked.timer, TimerKey::Read(key, ticket));
        if permissions.known.len() >= REMEMBERED {
            permissions.known.clear();
        }
        permissions.known.insert(asked.topic, allowed);
        self.mark_session_ready(key.slot);
    }

    /// Nothing is known any more of what a session may read.
    pub(super) fn forget_permissions(&mut self, key: Key) {
        let permissions =
            self.sessions.get_mut(key.slot).and_then(|session| session.permissions.take());
        if let Some(asked) = permissions.and_then(|permissions| permissions.asked) {
            self.deadlines.cancel(asked.timer, TimerKey::Read(key, asked.ticket));
        }
    }

    fn mark_session_ready(&mut self, slot: u32) {
        if let Some(connection) = self.sessions.get(slot).and_then(|session| session.connection) {
            self.mark_if_transmittable(connection);
        }
    }
}
