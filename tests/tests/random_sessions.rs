//! Many clients do whatever they like, and every session gets what a plain model of a broker says.
//!
//! The model is deliberately simple: sessions with their subscriptions in maps, and a list of what
//! each is owed. It knows nothing of indexes, queues or cursors.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};

use mqtt_codec::{Packet, Properties, TopicFilter, TopicName};
use mqtt_tests::scripted::{
    connect, disconnect, puback, pubcomp, publish, pubrec, pubrel, subscribe, unsubscribe,
};
use mqtt_tests::{Peer, Pieces, Random, Wire};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const TOPICS: [&str; 6] = ["x", "x/y", "x/y/z", "long/topic/one", "long/topic/two", "/"];
const FILTERS: [&str; 9] =
    ["x", "x/+", "x/#", "#", "+/topic/+", "long/topic/one", "+", "/+", "x/y/z"];

#[derive(Clone, Copy, Debug)]
struct Subscription {
    qos: u8,
    no_local: bool,
    retain_as_published: bool,
    id: Option<u32>,
}

/// A message that a session is owed, or has got.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Copy {
    number: u32,
    topic: String,
    qos: u8,
    retain: bool,
    ids: BTreeSet<u32>,
}

#[derive(Debug)]
struct Owed {
    copy: Copy,
    /// The filter of the subscription for which a retained message is replayed.
    replay: Option<&'static str>,
    /// It may have been replaced, or its replay ended, before it was sent.
    is_optional: bool,
}

#[derive(Debug, Default)]
struct Session {
    peer: Option<Peer>,
    expiry: u32,
    ends_at: Option<u64>,
    subscriptions: BTreeMap<&'static str, Subscription>,
    owed: Vec<Owed>,
    got: Vec<Copy>,
    /// What the client remembers: QoS 2 messages whose PUBREL has not come.
    recorded: BTreeSet<u16>,
    /// Topics by alias, for this connection.
    aliases: BTreeMap<u16, String>,
    /// Acknowledgements that the client has not sent.
    unsent: Vec<Vec<u8>>,
    /// The client does not read for now.
    is_stuck: bool,
    /// Whether a replay may have been interrupted, so that newer messages may be replayed too.
    was_away: bool,
}

struct World {
    wire: Wire,
    random: Random,
    seconds: u64,
    sessions: BTreeMap<&'static str, Session>,
    /// Number, QoS and publisher of the retained message of each topic.
    retained: BTreeMap<&'static str, (u32, u8, &'static str)>,
    /// The publisher of each message.
    publishers: Vec<&'static str>,
    /// The last packet identifier that a client used.
    last_id: u16,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut wire = Wire::new();
        // Some brokers read and write in small pieces.
        if seed % 2 == 1 {
            wire.cut_into(Pieces::Random { random: Random::new(seed), longest: 7 });
            wire.set_budget(1 + seed as usize % 50);
        }
        Self {
            wire,
            random: Random::new(seed),
            seconds: 0,
            sessions: BTreeMap::new(),
            retained: BTreeMap::new(),
            publishers: Vec::new(),
            last_id: 0,
        }
    }

    fn next_id(&mut self) -> u16 {
        self.last_id += 1;
        self.last_id
    }

    fn pick<T: core::marker::Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len())]
    }

    fn step(&mut self) {
        let name = self.pick(&NAMES);
        let is_connected = self.sessions.get(name).is_some_and(|session| session.peer.is_some());
        match self.random.below(20) {
            0 => self.connect(name),
            _ if !is_connected => {
                if self.random.below(4) == 0 {
                    self.connect(name);
                }
            }
            1 => self.leave(name),
            2..5 => self.subscribe(name),
            5 => self.unsubscribe(name),
            6..13 => self.publish(name),
            13..18 => self.acknowledge(name),
            18 => self.read_or_not(name),
            _ => self.pass(),
        }
        self.receive_all();
    }

    fn connect(&mut self, name: &'static str) {
        let is_clean = self.random.below(4) == 0;
        let expiry = self.pick(&[0, 30, 1000, 1000]);
        let mut script = connect(name).expiry(expiry);
        if !is_clean {
            script = script.resume();
        }
        script = script.receive_maximum(1 + self.random.below(4) as u16);
        script = script.alias_maximum(self.random.below(3) as u16);
        // A connection that is there is taken over: it ends as any other.
        self.connection_ended(name);
        if is_clean {
            self.end(name);
        }
        let peer = self.wire.connect(script);
        let was_there = self.sessions.contains_key(name);
        assert_eq!(self.wire.session_present(peer), was_there, "{name}");
        let session = self.sessions.entry(name).or_default();
        session.peer = Some(peer);
        session.expiry = expiry;
        session.ends_at = None;
    }

    fn leave(&mut self, name: &'static str) {
        let peer = self.sessions[name].peer.unwrap();
        match self.random.below(2) {
            0 => self.wire.cut(peer),
            _ => self.wire.send(peer, disconnect()),
        }
        self.connection_ended(name);
    }

    fn connection_ended(&mut self, name: &'static str) {
        self.receive(name);
        let Some(session) = self.sessions.get_mut(name) else { return };
        if session.peer.take().is_none() {
            return;
        }
        if core::mem::take(&mut session.is_stuck) | session.may_hold_back() {
            // QoS 0 messages that were not sent are gone with the connection.
            for owed in session.owed.iter_mut().filter(|owed| owed.replay.is_none()) {
                owed.is_optional |= owed.copy.qos == 0;
            }
        }
        session.aliases.clear();
        session.unsent.clear();
        session.was_away = true;
        session.ends_at = Some(self.seconds + u64::from(session.expiry));
        if session.expiry == 0 {
            self.end(name);
        }
    }

    fn end(&mut self, name: &'static str) {
        if let Some(session) = self.sessions.remove(name) {
            session.check(name, false, &self.publishers);
        }
    }

    fn read_or_not(&mut self, name: &'static str) {
        let session = self.sessions.get_mut(name).unwrap();
        session.is_stuck = !session.is_stuck;
        match session.is_stuck {
            true => self.wire.stop_reading(session.peer.unwrap()),
            false => self.wire.read_again(session.peer.unwrap()),
        }
    }

    fn read_all_again(&mut self) {
        for session in self.sessions.values_mut() {
            if core::mem::take(&mut session.is_stuck) {
                self.wire.read_again(session.peer.unwrap());
            }
        }
    }

    fn subscribe(&mut self, name: &'static str) {
        let filter = self.pick(&FILTERS);
        let subscription = Subscription {
            qos: self.random.below(3) as u8,
            no_local: self.random.below(4) == 0,
            retain_as_published: self.random.below(2) == 0,
            id: (self.random.below(2) == 0).then(|| 1 + self.random.below(5) as u32),
        };
        let handling = self.random.below(3) as u8;
        let mut script =
            subscribe(self.next_id(), filter).qos(subscription.qos).retain_handling(handling);
        if subscription.no_local {
            script = script.no_local();
        }
        if subscription.retain_as_published {
            script = script.retain_as_published();
        }
        if let Some(id) = subscription.id {
            script = script.subscription_id(id);
        }
        let session = self.sessions.get_mut(name).unwrap();
        let is_new = session.subscriptions.insert(filter, subscription).is_none();
        if handling == 0 || (handling == 1 && is_new) {
            session.forget_replay(filter);
            for (topic, &(number, qos, publisher)) in &self.retained {
                let is_own = subscription.no_local && publisher == name;
                if matches(filter, topic) && !is_own {
                    let copy = Copy {
                        number,
                        topic: (*topic).to_owned(),
                        qos: qos.min(subscription.qos),
                        retain: true,
                        ids: subscription.id.into_iter().collect(),
                    };
                    session.owed.push(Owed { copy, replay: Some(filter), is_optional: false });
                }
            }
        }
        self.wire.send(session.peer.unwrap(), script);
    }

    fn unsubscribe(&mut self, name: &'static str) {
        let filter = self.pick(&FILTERS);
        let id = self.next_id();
        let session = self.sessions.get_mut(name).unwrap();
        session.subscriptions.remove(filter);
        session.forget_replay(filter);
        self.wire.send(session.peer.unwrap(), unsubscribe(id, &[filter]));
    }

    fn publish(&mut self, name: &'static str) {
        let topic = self.pick(&TOPICS);
        let qos = self.random.below(3) as u8;
        let retain = self.random.below(4) == 0;
        let number = self.publishers.len() as u32;
        self.publishers.push(name);
        for (reader, session) in &mut self.sessions {
            session.owe(name, reader, topic, qos, retain, number);
        }
        if retain {
            self.retained.insert(topic, (number, qos, name));
            // Whoever has not got the replaced one yet may not get it any more.
            for owed in self.sessions.values_mut().flat_map(|session| &mut session.owed) {
                owed.is_optional |= owed.replay.is_some() && owed.copy.topic == topic;
            }
        }
        let id = self.next_id();
        let mut script = publish(topic, number.to_string()).qos(qos, id);
        if retain {
            script = script.retain();
        }
        let peer = self.sessions[name].peer.unwrap();
        self.wire.send(peer, script);
        if qos == 2 {
            self.wire.send(peer, pubrel(id));
        }
    }

    /// Sends the first few acknowledgements that are due, in their order.
    fn acknowledge(&mut self, name: &'static str) {
        let session = self.sessions.get_mut(name).unwrap();
        let count = session.unsent.len().min(1 + self.random.below(3));
        let packets: Vec<_> = session.unsent.drain(..count).collect();
        self.wire.send_all(session.peer.unwrap(), packets);
    }

    fn pass(&mut self) {
        // Who does not read for long is thrown out.
        self.read_all_again();
        let seconds = self.pick(&[1, 10, 40]);
        self.seconds += seconds;
        self.wire.advance_secs(seconds);
        self.receive_all();
        let over: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.ends_at.is_some_and(|at| at <= self.seconds))
            .map(|(name, _)| *name)
            .collect();
        for name in over {
            self.end(name);
        }
        assert_eq!(self.wire.broker().gauges().sessions, self.sessions.len());
    }

    fn receive_all(&mut self) {
        for name in NAMES {
            self.receive(name);
        }
    }

    /// Takes what has come to a client, as a good client does.
    fn receive(&mut self, name: &'static str) {
        let Some(session) = self.sessions.get_mut(name) else { return };
        let Some(peer) = session.peer else { return };
        for frame in self.wire.receive_frames(peer) {
            match frame.packet().unwrap() {
                Packet::Publish(publish) => session.take(&publish),
                Packet::PubRel(ack) => {
                    session.recorded.remove(&ack.packet_id.get());
                    session.unsent.push(pubcomp(ack.packet_id.get()));
                }
                _ => {}
            }
        }
    }

    /// Lets everybody come back and acknowledge everything, and compares.
    fn finish(mut self) {
        self.read_all_again();
        let names: Vec<_> = self.sessions.keys().copied().collect();
        for name in &names {
            if self.sessions[name].peer.is_none() {
                let peer = self.wire.connect(connect(name).resume());
                assert!(self.wire.session_present(peer));
                self.sessions.get_mut(name).unwrap().peer = Some(peer);
            }
        }
        loop {
            self.receive_all();
            let mut is_quiet = true;
            for name in &names {
                let session = self.sessions.get_mut(name).unwrap();
                let packets = core::mem::take(&mut session.unsent);
                is_quiet &= packets.is_empty();
                self.wire.send_all(session.peer.unwrap(), packets);
            }
            if is_quiet {
                break;
            }
        }
        for name in names {
            let session = self.sessions.remove(name).unwrap();
            session.check(name, true, &self.publishers);
            self.wire.send(session.peer.unwrap(), disconnect());
        }
        self.wire.advance_secs(10_000);
        let gauges = self.wire.broker().gauges();
        assert_eq!((gauges.connections, gauges.sessions, gauges.subscriptions), (0, 0, 0));
        assert_eq!(gauges.retained_messages, self.retained.len());
        assert_eq!(gauges.messages, self.retained.len(), "nothing else is left");
        let dropped = &self.wire.broker().statistics().dropped;
        let of_sessions_that_ended = dropped.not_connected + dropped.session_ended;
        assert_eq!(dropped.total(), of_sessions_that_ended, "{dropped:?}");
        assert_eq!(self.wire.broker().statistics().protocol_faults, 0);
        assert_eq!(self.wire.broker().poll_timeout(), None);
    }
}

impl Session {
    /// A message is published: what does this session get of it?
    fn owe(
        &mut self,
        publisher: &str,
        reader: &str,
        topic: &str,
        published: u8,
        retain: bool,
        number: u32,
    ) {
        let matching: Vec<Subscription> = self
            .subscriptions
            .iter()
            .filter(|(filter, with)| {
                matches(filter, topic) && !(with.no_local && publisher == reader)
            })
            .map(|(_, with)| *with)
            .collect();
        let Some(qos) = matching.iter().map(|with| with.qos.min(published)).max() else { return };
        if qos == 0 && self.peer.is_none() {
            return;
        }
        let copy = Copy {
            number,
            topic: topic.to_owned(),
            qos,
            retain: retain && matching.iter().any(|with| with.retain_as_published),
            ids: matching.iter().filter_map(|with| with.id).collect(),
        };
        self.owed.push(Owed { copy, replay: None, is_optional: false });
    }

    fn forget_replay(&mut self, filter: &str) {
        for owed in &mut self.owed {
            owed.is_optional |= owed.replay == Some(filter);
        }
    }

    /// A PUBLISH came.
    fn take(&mut self, publish: &mqtt_codec::Publish<'_>) {
        let alias = publish.properties.topic_alias().map(|alias| alias.get());
        let topic = match (&publish.topic, alias) {
            (Some(topic), _) => topic.as_str().to_owned(),
            (None, Some(alias)) => self.aliases[&alias].clone(),
            (None, None) => unreachable!("the decoder refuses it"),
        };
        if let Some(alias) = alias {
            self.aliases.insert(alias, topic.clone());
        }
        let copy = Copy {
            number: str::from_utf8(publish.payload).unwrap().parse().unwrap(),
            topic,
            qos: publish.qos.qos() as u8,
            retain: publish.retain,
            ids: ids(&publish.properties),
        };
        let is_known = self.got.contains(&copy);
        match publish.qos.packet_id().map(|id| id.get()) {
            None => self.got.push(copy),
            Some(id) if copy.qos == 1 => {
                self.unsent.push(puback(id));
                if !(publish.qos.dup() && is_known) {
                    self.got.push(copy);
                }
            }
            Some(id) => {
                self.unsent.push(pubrec(id));
                if self.recorded.insert(id) {
                    self.got.push(copy);
                } else {
                    assert!(publish.qos.dup() && is_known, "identifier {id} is in use: {copy:?}");
                }
            }
        }
    }

    /// Whether QoS 0 messages may wait behind an older retained one of their topic, which itself
    /// waits behind others that need quota. One that was away is sent what was retained meanwhile
    /// too, which this model does not know.
    fn may_hold_back(&self) -> bool {
        let is_one = |owed: &Owed| owed.copy.qos == 0 && owed.replay.is_some();
        self.was_away || self.owed.iter().any(is_one)
    }

    /// Compares what came with what was owed.
    fn check(&self, name: &str, is_complete: bool, publishers: &[&str]) {
        let mut missing: Vec<&Owed> = self.owed.iter().collect();
        let mut extra = Vec::new();
        for copy in &self.got {
            // One that has to come is taken before one that only may.
            let found = missing
                .iter()
                .position(|owed| owed.copy == *copy && !owed.is_optional)
                .or_else(|| missing.iter().position(|owed| owed.copy == *copy));
            match found {
                Some(at) => _ = missing.remove(at),
                // An interrupted replay may show what was retained meanwhile.
                None if copy.retain && self.was_away => {}
                None => extra.push(copy),
            }
        }
        assert!(extra.is_empty(), "{name} got what it was not owed: {extra:?}");
        missing.retain(|owed| !owed.is_optional && is_complete);
        assert!(missing.is_empty(), "{name} did not get {missing:?}");
        let mut last = BTreeMap::new();
        for copy in self.got.iter().filter(|copy| !copy.retain) {
            let key = (publishers[copy.number as usize], &copy.topic, copy.qos);
            let before = last.insert(key, copy.number);
            assert!(before.is_none_or(|before| before < copy.number), "{name}: order of {copy:?}");
        }
    }
}

fn ids(properties: &Properties<'_>) -> BTreeSet<u32> {
    properties.subscription_ids().map(|id| id.get()).collect()
}

fn matches(filter: &str, topic: &str) -> bool {
    TopicFilter::new(filter).unwrap().matches(TopicName::new(topic).unwrap())
}

/// Proves: [MQTT-4.5.0-1], [MQTT-3.3.4-2], [MQTT-3.3.4-3], [MQTT-3.3.4-4], [MQTT-3.8.3-3],
/// [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11], [MQTT-3.3.1-12], [MQTT-3.3.1-13],
/// [MQTT-4.4.0-1], [MQTT-4.3.3-10], [MQTT-4.6.0-5], [MQTT-3.3.4-9], [MQTT-3.2.2-3],
/// [MQTT-4.1.0-2]
#[test]
fn whatever_clients_do_each_session_gets_what_it_is_owed() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.step();
        }
        world.finish();
    }
}
