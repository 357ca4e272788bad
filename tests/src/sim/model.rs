//! What a broker must do, in plain lists: sessions, what each subscribes to, and what each is owed.
//!
//! The model knows no index, queue, cursor or timer. It takes the packets that the broker takes,
//! at the same moments, and says what every session must get; [`Model::sent`] holds what the
//! broker sends against that. Where the standard leaves the broker a choice (which member of a
//! group, whether a retained message that is just being replaced still goes out) the model allows
//! each.

use std::time::Duration;

use mqtt_session::Time;

use super::exchanges::{Receiver, Sender};
use super::groups::{Groups, Shared};
use super::invariants::{self, Check};
use super::names::{CLIENTS, FILTERS, FIRST_SHARED, TOPICS, matching};
use super::note::{ConnectNote, FilterNote, Ids, PublishNote, SubscribeNote};
use super::owed::{Copy, Twin};
use super::setup::{BrokerSetup, LARGE, StoreSetup, WillSetup, will_number};

/// The specification of a broker, with its state.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) sessions: [Option<Box<Session>>; CLIENTS],
    pub(super) retained: [Option<Kept>; TOPICS.len()],
    /// Messages to groups.
    pub(super) groups: Groups,
    /// Numbers of messages that were ever retained, where they may come late.
    were_retained: Vec<u32>,
    /// Wills published since the broker began.
    pub(super) wills: u64,
    /// Wills that a restart may have found or not.
    doubtful_wills: Vec<(usize, WillSetup)>,
    /// How many messages had to be stored: retained, or queued for a session that is.
    pub(super) stored: u32,
    /// Messages dropped because a queue was full.
    pub(super) overflows: u64,
    /// How many messages may wait for a session.
    pub(super) queue: usize,
    /// Whether it is asked who may read what.
    pub(super) asks_read: bool,
    /// Whether there is a store.
    is_durable: bool,
    /// The topics that each client may not read, a bit each.
    pub(super) denied: [u8; CLIENTS],
}

/// A session.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    /// The number of its connection.
    pub(super) link: Option<u32>,
    expiry: u32,
    ends_at: Option<Time>,
    pub(super) packet_size: u32,
    will: Option<Will>,
    /// It had an expiry interval once.
    was_stored: bool,
    subscribed: u16,
    subscriptions: [Subscription; FILTERS.len()],
    /// What was not sent, in the order in which it came.
    pub(super) owed: Vec<Copy>,
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    /// Filters whose retained messages were still being sent when a connection ended: newer ones
    /// may come too then.
    caught_up: u16,
    /// Filters whose retained messages may still be on their way.
    pub(super) replaying: u16,
    /// It was found by a restart.
    pub(super) restored: bool,
    /// The most messages that it was ever owed at once, those under way included.
    pub(super) peak: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subscription {
    pub(super) qos: u8,
    no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) id: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Will {
    setup: WillSetup,
    due: Option<Time>,
}

/// A retained message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    publisher: usize,
    number: u32,
    qos: u8,
    is_large: bool,
    pub(super) expires_at: Option<Time>,
}

/// A message on its way into the broker.
#[derive(Clone, Copy, Debug)]
struct Message {
    publisher: usize,
    number: u32,
    topic: u8,
    qos: u8,
    retain: bool,
    is_empty: bool,
    is_large: bool,
    expires_at: Option<Time>,
}

impl Session {
    pub(super) fn subscriptions(&self) -> usize {
        self.subscribed.count_ones() as usize
    }

    /// Messages that wait in its queue.
    fn queued(&self) -> usize {
        self.owed.iter().filter(|copy| copy.replay.is_none()).count()
    }

    /// What must come before the copy at this place.
    fn ahead_of(&self, at: usize, now: Time) -> impl Iterator<Item = &Copy> {
        let copy = self.owed[at];
        let ahead = self.owed[..at].iter().filter(move |other| other.goes_before(&copy));
        ahead.filter(move |other| !other.may_be_missing(self, now))
    }

    /// The place up to which messages of QoS 0 need no quota: the next one has an older retained
    /// message of its topic in front of it, which may be behind others that do.
    pub(super) fn free_of_quota(&self) -> usize {
        let is_held = |at: usize| {
            let copy = &self.owed[at];
            let holds = |other: &Copy| {
                other.may_be_replay() && (other.topic, other.qos) == (copy.topic, copy.qos)
            };
            // What it is caught up with is not among what it is owed.
            let is_caught_up = self.caught_up & matching()[usize::from(copy.topic)] != 0;
            let is_behind = is_caught_up || self.owed[..at].iter().any(holds);
            copy.replay.is_none() && copy.qos == 0 && is_behind
        };
        (0..self.owed.len()).find(|at| is_held(*at)).unwrap_or(usize::MAX)
    }

    fn give_up(&mut self, which: impl Fn(&Copy) -> bool) {
        for copy in self.owed.iter_mut().filter(|copy| which(copy)) {
            copy.optional = true;
        }
    }

    /// `to_groups` messages may be its own too.
    pub(super) fn note_peak(&mut self, to_groups: usize) {
        self.peak = self.peak.max(self.owed.len() + self.sender.open.len() + to_groups);
    }
}

impl Model {
    /// How many sessions there are, and how many subscriptions they have.
    pub(super) fn counts(&self) -> (usize, usize) {
        let sessions = self.sessions.iter().flatten();
        sessions.fold((0, 0), |(count, sum), session| (count + 1, sum + session.subscriptions()))
    }

    /// The connection that a client's session has.
    pub(super) fn link_of(&self, client: usize) -> Option<u32> {
        self.sessions[client].as_ref().and_then(|session| session.link)
    }

    /// At most how many messages sessions hold: what they are owed, what is under way, and wills.
    pub(super) fn held(&self) -> usize {
        let sessions = self.sessions.iter().flatten();
        let held = sessions.map(|session| {
            // One that is caught up with may wait for a decision.
            let own = usize::from(session.will.is_some()) + usize::from(session.caught_up != 0);
            session.owed.len() + session.sender.open.len() + own
        });
        held.sum()
    }

    /// What is known before anything has happened.
    pub(super) fn new(setup: &BrokerSetup) -> Self {
        let is_durable = setup.store != StoreSetup::None;
        Self { queue: setup.queue, asks_read: setup.asks_read, is_durable, ..Self::default() }
    }

    /// A broker without state, of the same kind.
    pub(super) fn empty_like(other: &Self) -> Self {
        let Self { queue, asks_read, is_durable, denied, .. } = *other;
        Self { queue, asks_read, is_durable, denied, ..Self::default() }
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Time> {
        let of_sessions = self.sessions.iter().flatten().flat_map(|session| {
            let will = session.will.and_then(|will| will.due);
            [session.ends_at, will].into_iter().flatten()
        });
        let of_retained = self.retained.iter().flatten().filter_map(|kept| kept.expires_at);
        of_sessions.chain(of_retained).min()
    }

    /// Time has passed: wills are published, sessions and retained messages end.
    pub(super) fn advance(&mut self, now: Time) {
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            for kept in &mut self.retained {
                kept.take_if(|kept| kept.expires_at.is_some_and(|at| at <= due));
            }
            for client in 0..CLIENTS {
                let Some(session) = &self.sessions[client] else { continue };
                if session.ends_at.is_some_and(|at| at <= due) {
                    self.end(client, due);
                } else if session.will.is_some_and(|will| will.due.is_some_and(|at| at <= due)) {
                    self.publish_will(client, due);
                }
            }
        }
    }

    /// A CONNECT is accepted. Returns whether the session was there.
    pub(super) fn connect(
        &mut self,
        client: usize,
        link: u32,
        note: &ConnectNote,
        will: Option<WillSetup>,
        now: Time,
    ) -> bool {
        self.leave(client, now);
        if note.clean {
            self.end(client, now);
        }
        let was_there = self.sessions[client].is_some();
        let session = self.sessions[client].get_or_insert_default();
        session.link = Some(link);
        session.ends_at = None;
        session.expiry = note.expiry.min(SESSION_EXPIRY_CEILING);
        session.was_stored |= session.expiry > 0;
        session.packet_size = note.packet_size;
        // A will that was waiting is cancelled [MQTT-3.1.3-9].
        session.will = will.filter(|_| note.has_will).map(|setup| Will { setup, due: None });
        session.sender.resume();
        if session.packet_size < LARGE as u32 {
            session.give_up(|copy| copy.is_large);
            let open = session.sender.open.iter_mut();
            open.filter(|other| other.is_large).for_each(|other| other.optional = true);
        }
        was_there
    }

    /// A DISCONNECT came, which is the end of the connection.
    pub(super) fn disconnect(
        &mut self,
        client: usize,
        is_normal: bool,
        expiry: Option<u32>,
        now: Time,
    ) {
        if let Some(session) = &mut self.sessions[client] {
            if is_normal {
                session.will = None;
            }
            if let Some(expiry) = expiry {
                session.expiry = expiry.min(SESSION_EXPIRY_CEILING);
            }
        }
        self.leave(client, now);
    }

    /// The connection of a session has ended, if it had one.
    pub(super) fn leave(&mut self, client: usize, now: Time) {
        let asks_read = self.asks_read;
        let Some(session) = &mut self.sessions[client] else { return };
        if session.link.take().is_none() {
            return;
        }
        if session.expiry > 0 {
            session.owed.retain(|copy| copy.qos > 0 || copy.replay.is_some());
        }
        session.give_up(|copy| copy.qos == 0 && asks_read);
        session.caught_up |= session.replaying;
        if let Some(will) = &mut session.will {
            will.due = Some(now + Duration::from_secs(will.setup.delay.into()));
        }
        let expiry = session.expiry;
        session.ends_at = (expiry != u32::MAX).then(|| now + Duration::from_secs(expiry.into()));
        let is_acknowledged =
            |copy: &Shared| copy.members[client].is_none_or(|with| with.qos.min(copy.qos) > 0);
        self.groups.give_up(|copy| !is_acknowledged(copy));
        // What has no delay is due at once.
        self.advance(now);
    }

    /// A session ends, if it is there [MQTT-3.1.2-8].
    fn end(&mut self, client: usize, now: Time) {
        self.publish_will(client, now);
        if self.sessions[client].take().is_some() {
            self.groups.give_up(|copy| copy.members[client].is_some());
        }
    }

    fn publish_will(&mut self, client: usize, now: Time) {
        let Some(session) = &mut self.sessions[client] else { return };
        let Some(Will { setup, .. }) = session.will.take() else { return };
        self.route_will(client, &setup, now);
    }

    fn route_will(&mut self, client: usize, setup: &WillSetup, now: Time) {
        self.wills += 1;
        self.route(Message {
            publisher: client,
            number: will_number(client),
            topic: setup.topic,
            qos: setup.qos,
            retain: setup.retain,
            is_empty: false,
            is_large: false,
            expires_at: (setup.expiry > 0).then(|| now + Duration::from_secs(setup.expiry.into())),
        });
    }

    /// A new message is taken from a client.
    pub(super) fn publish(&mut self, publisher: usize, note: &PublishNote, now: Time) {
        self.route(Message {
            publisher,
            number: note.number,
            topic: note.topic,
            qos: note.qos,
            retain: note.retain,
            is_empty: note.number == super::note::EMPTY,
            is_large: note.is_large,
            expires_at: note.expiry.map(|left| now + Duration::from_secs(left.into())),
        });
    }

    fn route(&mut self, message: Message) {
        let Message { publisher, number, topic, expires_at, is_large, .. } = message;
        let matching = matching()[usize::from(topic)];
        let to_groups = self.groups.waiting();
        let mut is_stored = message.retain && !message.is_empty;
        if message.retain {
            self.retain(&message);
        }
        for (client, session) in self.sessions.iter_mut().enumerate() {
            let Some(session) = session else { continue };
            let (mut qos, mut retain, mut ids) = (None, false, Ids::default());
            let mut left = session.subscribed & matching & PLAIN;
            while left != 0 {
                let with = session.subscriptions[left.trailing_zeros() as usize];
                left &= left - 1;
                // [MQTT-3.8.3-3]
                if with.no_local && publisher == client {
                    continue;
                }
                qos = qos.max(Some(with.qos.min(message.qos)));
                retain |= message.retain && with.retain_as_published;
                with.id.into_iter().for_each(|id| ids.add(id));
            }
            let Some(qos) = qos.filter(|qos| *qos > 0 || session.link.is_some()) else { continue };
            if session.owed.len() >= self.queue && session.queued() >= self.queue {
                self.overflows += 1;
                continue;
            }
            let optional = self.denied[client] >> topic & 1 == 1
                || (is_large && session.packet_size < LARGE as u32);
            let replay = None;
            session.owed.push(Copy {
                publisher,
                number,
                topic,
                qos,
                retain,
                ids,
                expires_at,
                is_large,
                replay,
                optional,
                twin: None,
            });
            is_stored |= qos > 0 && session.expiry > 0;
            session.note_peak(to_groups);
        }
        self.stored += u32::from(is_stored);
        for filter in FIRST_SHARED..FILTERS.len() {
            if matching >> filter & 1 == 1 {
                self.share(filter, &message);
            }
        }
    }

    fn share(&mut self, filter: usize, message: &Message) {
        let mut members = [None; CLIENTS];
        let mut optional = false;
        for (client, place) in members.iter_mut().enumerate() {
            let Some(session) = &mut self.sessions[client] else { continue };
            if session.subscribed >> filter & 1 == 1 {
                let waiting = session.owed.len() + self.groups.waiting() + 1;
                session.peak = session.peak.max(session.sender.open.len() + waiting);
                let with = session.subscriptions[filter];
                *place = Some(with);
                optional |= session.link.is_none() && with.qos.min(message.qos) == 0;
                optional |= self.denied[client] >> message.topic & 1 == 1;
            }
        }
        if members.iter().all(Option::is_none) {
            return;
        }
        let Message { number, topic, qos, retain, expires_at, is_large, .. } = *message;
        self.groups.push(Shared {
            number,
            topic,
            qos,
            retain,
            expires_at,
            is_large,
            members,
            optional,
            given: None,
        });
    }

    fn retain(&mut self, message: &Message) {
        let Message { publisher, number, topic, qos, is_large, expires_at, .. } = *message;
        let kept = Kept { publisher, number, qos, is_large, expires_at };
        if self.asks_read || self.is_durable {
            self.were_retained.push(number);
        }
        self.retained[usize::from(topic)] = (!message.is_empty).then_some(kept);
        for session in self.sessions.iter_mut().flatten() {
            // Whoever has not got the one before may not get it any more.
            session.give_up(|copy| copy.replay.is_some() && copy.topic == topic);
        }
    }

    /// A client subscribes.
    pub(super) fn subscribe(&mut self, client: usize, note: &SubscribeNote, now: Time) {
        for wanted in note.filters.iter().flatten() {
            self.subscribe_one(client, wanted, note.id, now);
        }
    }

    fn subscribe_one(&mut self, client: usize, wanted: &FilterNote, id: Option<u32>, now: Time) {
        let Some(session) = &mut self.sessions[client] else { return };
        let filter = usize::from(wanted.filter);
        let is_new = session.subscribed >> filter & 1 == 0;
        session.subscribed |= 1 << filter;
        let FilterNote { qos, no_local, retain_as_published, .. } = *wanted;
        session.subscriptions[filter] = Subscription { qos, no_local, retain_as_published, id };
        let is_sent = wanted.handling == 0 || (wanted.handling == 1 && is_new);
        if filter >= FIRST_SHARED || !is_sent {
            return;
        }
        session.give_up(|copy| copy.replay == Some(wanted.filter));
        session.replaying |= 1 << filter;
        for (topic, kept) in self.retained.iter().enumerate() {
            let Some(kept) = kept else { continue };
            let is_own = no_local && kept.publisher == client;
            if matching()[topic] >> filter & 1 == 0 || is_own {
                continue;
            }
            let mut ids = Ids::default();
            id.into_iter().for_each(|id| ids.add(id));
            session.owed.push(Copy {
                publisher: kept.publisher,
                number: kept.number,
                topic: topic as u8,
                qos: kept.qos.min(qos),
                retain: true,
                ids,
                expires_at: kept.expires_at,
                is_large: kept.is_large,
                replay: Some(wanted.filter),
                optional: self.denied[client] >> topic & 1 == 1
                    || (kept.is_large && session.packet_size < LARGE as u32)
                    || kept.expires_at.is_some_and(|at| at <= now),
                twin: None,
            });
        }
        session.note_peak(0);
    }

    /// A client unsubscribes from filters, a bit each.
    pub(super) fn unsubscribe(&mut self, client: usize, filters: u16) {
        if let Some(session) = &mut self.sessions[client] {
            session.subscribed &= !filters;
            let is_over = |copy: &Copy| copy.replay.is_some_and(|at| filters >> at & 1 == 1);
            session.give_up(is_over);
        }
    }

    /// A client may read a topic from now on, or may not any more.
    pub(super) fn set_right(&mut self, client: usize, topic: u8, allowed: bool) {
        self.denied[client] &= !(1 << topic);
        self.denied[client] |= u8::from(!allowed) << topic;
        if !allowed {
            self.doubt(client, topic);
        }
    }

    /// Nobody can say whether what a client is owed of a topic is still sent.
    pub(super) fn doubt(&mut self, client: usize, topic: u8) {
        if let Some(session) = &mut self.sessions[client] {
            session.give_up(|copy| copy.topic == topic);
            let open = session.sender.open.iter_mut();
            open.filter(|other| other.topic == topic).for_each(|other| other.optional = true);
        }
        self.groups.give_up(|copy| copy.topic == topic && copy.members[client].is_some());
    }

    /// The broker sends a message to a client for the first time: is the client owed it?
    pub(super) fn sent(&mut self, client: usize, note: &PublishNote, now: Time) -> Check {
        invariants::i13_rights(self.denied[client], note)?;
        let is_caught_up = self.is_caught_up(client, note, now);
        let Some(session) = &mut self.sessions[client] else {
            return Err(invariants::unexpected(self, client, note));
        };
        // Alike are a client's wills, messages without a payload, and what is retained and was
        // asked for twice: what must come is taken to have come.
        let left = |at: Time| seconds_left(at, now);
        let alike = || (0..session.owed.len()).filter(|at| session.owed[*at].is_for(note));
        let as_long = |at: &usize| session.owed[*at].expiry_in(note, now).map(left) == note.expiry;
        let must_come = |at: &usize| !session.owed[*at].may_be_missing(session, now);
        let in_order = |at: &usize| session.ahead_of(*at, now).next().is_none();
        let found = alike().filter(as_long).filter(must_come).find(in_order);
        let found = found.or_else(|| alike().filter(as_long).find(in_order));
        if found.is_none() && is_caught_up {
            // It is sent for a new subscription, and once more in its order.
            return Ok(());
        }
        let found = found.or_else(|| alike().find(in_order));
        let first = alike().next();
        if let Some(at) = found.or(first) {
            let copy = session.owed[at];
            invariants::i9_expiry(note, copy.expiry_in(note, now), now)?;
            invariants::i3_order(session.ahead_of(at, now), note)?;
            let twins: Vec<usize> = alike().filter(as_long).filter(|other| *other != at).collect();
            let (expires_at, is_replay) = (copy.expires_at, copy.replay.is_some());
            for twin in twins.into_iter().filter(|twin| *twin < at) {
                session.owed[twin].twin = Some(Twin { expires_at, is_replay });
            }
            session.owed.remove(at);
            // What has expired will not come any more, unless it was one alike that has come, and
            // is in front of it.
            let mut passed = first.unwrap_or(at);
            session.owed.retain(|other| {
                let is_passed = passed > 0 && other.goes_before(&copy);
                passed = passed.saturating_sub(1);
                !(is_passed && other.expires_at.is_some_and(|at| at <= now))
            });
            return Ok(());
        }
        if let Some(check) = self.groups.sent(client, note, now) {
            return check;
        }
        if is_caught_up {
            return Ok(());
        }
        Err(invariants::unexpected(self, client, note))
    }

    /// A retained message that is newer than the subscription for which it is sent: the client was
    /// away, so that at QoS 0 it would not have got it, or nobody knows any more what it got.
    fn is_caught_up(&self, client: usize, note: &PublishNote, now: Time) -> bool {
        let Some(session) = &self.sessions[client] else { return false };
        let filters = session.caught_up & matching()[usize::from(note.topic)];
        let kept = self.retained[usize::from(note.topic)];
        // It may have been replaced while it waited for an answer, or while it was queued too.
        let is_kept = kept.is_some_and(|kept| {
            let left = kept.expires_at.map(|at| seconds_left(at, now));
            kept.number == note.number && left == note.expiry
        });
        let is_kept = is_kept || self.were_retained.contains(&note.number);
        filters != 0 && (note.qos == 0 || session.restored) && note.retain && is_kept
    }

    /// The broker was started again with what it had when this model was copied.
    pub(super) fn restart(&mut self, now: Time) {
        self.wills = 0;
        self.overflows = 0;
        // What became due while there was no broker is done now: an expiry that begins with it
        // begins now too.
        for session in self.sessions.iter_mut().flatten() {
            session.ends_at = session.ends_at.map(|at| at.max(now));
            let due = session.will.as_mut().and_then(|will| will.due.as_mut());
            due.into_iter().for_each(|due| *due = now.max(*due));
        }
        for client in 0..CLIENTS {
            let Some(session) = &mut self.sessions[client] else { continue };
            if session.expiry == 0 {
                // It ended with the process. Nothing of it was stored, unless it was an older
                // session that its client took over so that it ends with the connection: then
                // until its CONNACK left, and nobody knows whether it did.
                let will = session.will.take().filter(|_| session.was_stored);
                self.doubtful_wills.extend(will.map(|will| (client, will.setup)));
                self.end(client, now);
                continue;
            }
            session.restored = true;
            session.caught_up |= session.replaying;
        }
        for client in 0..CLIENTS {
            self.leave(client, now);
        }
        self.advance(now);
    }

    /// A restart has published so many wills. Returns whether that says which of those that were
    /// in doubt.
    pub(super) fn resolve_wills(&mut self, published: u64, now: Time) -> bool {
        let doubtful = core::mem::take(&mut self.doubtful_wills);
        let found = published.saturating_sub(self.wills);
        if found == doubtful.len() as u64 {
            doubtful.iter().for_each(|(client, setup)| self.route_will(*client, setup, now));
            return true;
        }
        found == 0
    }

    /// Whether a message went to a group.
    pub(super) fn was_shared(&self, number: u32) -> bool {
        self.groups.had(number)
    }
}

/// The Message Expiry Interval that is sent: what is begun counts as a second.
pub(super) fn seconds_left(expires_at: Time, now: Time) -> u32 {
    expires_at.duration_since(now).as_nanos().div_ceil(1_000_000_000) as u32
}

/// The filters that are not shared.
const PLAIN: u16 = (1 << FIRST_SHARED) - 1;

/// The longest Session Expiry Interval that the broker grants, in seconds.
const SESSION_EXPIRY_CEILING: u32 = 24 * 60 * 60;
