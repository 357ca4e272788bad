//! The broker, its store, its clients and their messages, as a script drives them.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use mqtt_codec::{Packet, PublishQos};
use mqtt_session::{BrokerEvent, PublishAnswer, StoreError};
use mqtt_tests::scripted::{
    PublishScript, connect, disconnect, puback, pubcomp, publish, pubrec, pubrel, subscribe,
    unsubscribe, will,
};
use mqtt_tests::{Peer, Wire};

use crate::CLIENTS;
use crate::action::Action;
use crate::client::{Asked, Client, Outgoing};

/// Above this are the identifiers of requests whose answers do not matter.
const REQUESTS: u16 = 1000;

/// Seconds between the end of a connection and its will.
const WILL_DELAY: u32 = 5;

/// For how many seconds the sessions of the clients are kept.
const INTERVALS: [u32; CLIENTS] = [3600, 3600, 8];

/// A message that was published, as the test knows it.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) publisher: usize,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) is_will: bool,
    /// It has no payload: it takes what is retained away.
    pub(crate) is_clear: bool,
    pub(crate) expiry: Option<u32>,
    pub(crate) fate: Fate,
    /// When it was sent for the first and for the last time, counted in messages.
    pub(crate) sent: (u64, u64),
    /// The subscribers that must get it if it is taken, with their QoS.
    pub(crate) subscribers: BTreeMap<usize, u8>,
}

/// What its publisher was told of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing.
    Open,
    /// It is in the broker's hands.
    Taken,
    /// The broker does not take it.
    Refused,
}

impl Published {
    pub(crate) fn topic(&self) -> String {
        let Self { publisher, qos, is_will, .. } = self;
        if *is_will { format!("w/{publisher}") } else { format!("t/{publisher}/{qos}") }
    }

    /// The PUBLISH without its packet identifier.
    fn script(&self, message: u32) -> PublishScript {
        let number = message.to_be_bytes();
        let payload = if self.is_clear { &[][..] } else { &number };
        let mut script = publish(&self.topic(), payload);
        if self.retain {
            script = script.retain();
        }
        match self.expiry {
            Some(seconds) => script.expiry(seconds),
            None => script,
        }
    }
}

pub(crate) struct World {
    wire: Wire,
    pub(crate) clients: Vec<Client>,
    pub(crate) published: Vec<Published>,
    sent: u64,
    /// Whether a commit has failed: a message that is refused may come again after later ones.
    pub(crate) has_failed: bool,
    /// What is retained at the end.
    pub(crate) retained: BTreeMap<String, u32>,
}

impl World {
    /// Everybody is connected and subscribes at these QoS.
    pub(crate) fn new(subscriptions: [u8; CLIENTS], is_asked: bool) -> Self {
        let wire = Wire::configured(|config| {
            config.durable = true;
            config.limits.send_maximum = NonZeroU16::new(4).unwrap();
            config.limits.take_overs = u32::MAX;
            config.decisions.publish = is_asked;
            config.decisions.read = is_asked;
            config.decisions.timeout = Duration::from_secs(1_000_000);
        });
        let clients = (0..CLIENTS).map(Client::new).collect();
        let mut world = Self {
            wire,
            clients,
            published: Vec::new(),
            sent: 0,
            has_failed: false,
            retained: BTreeMap::new(),
        };
        for (number, qos) in (0..).zip(subscriptions) {
            for action in [Action::Connect(number, None), Action::Subscribe(number, qos)] {
                world.act(&action);
                world.act(&Action::Handle(number, 1));
            }
        }
        world
    }

    pub(crate) fn act(&mut self, action: &Action) {
        let before = self.wire.now();
        match *action {
            Action::Connect(number, will) => self.connect(number, INTERVALS[number], will),
            Action::TakeOver(number) => {
                self.lost(number);
                self.connect(number, INTERVALS[number], None);
            }
            Action::Clean(number) => self.connect_anew(number),
            Action::Brief(number) => self.connect(number, 0, None),
            Action::Cut(number) => {
                if let Some(peer) = self.live(number) {
                    self.wire.cut(peer);
                    self.lost(number);
                }
            }
            Action::Disconnect(number) => {
                if let Some(peer) = self.open(number) {
                    self.wire.send(peer, disconnect());
                    self.clients[number].will = None;
                    self.lost(number);
                }
            }
            Action::Subscribe(number, qos) => self.subscribe(number, qos),
            Action::Share(number) => {
                let id = self.request_id(number);
                self.send(number, subscribe(id, "$share/g/#").qos(2));
            }
            Action::Unsubscribe(number) => {
                if self.clients[number].asked.is_none() && self.open(number).is_some() {
                    self.clients[number].subscribed = None;
                    self.expect_nothing(number);
                    let id = self.request_id(number);
                    self.send(number, unsubscribe(id, &["#", "$share/g/#"]));
                }
            }
            Action::Publish(number, qos, retain) => {
                let subscribers = self.subscribers();
                self.publish(number, Published { subscribers, retain, ..message(number, qos) });
            }
            Action::Passing(number, qos, seconds) => {
                // It may be gone before anybody gets it.
                let expiry = Some(seconds);
                self.publish(number, Published { expiry, ..message(number, qos) });
            }
            Action::Clear(number, qos) => {
                let published = message(number, qos);
                self.publish(number, Published { retain: true, is_clear: true, ..published });
            }
            Action::Again(number) => self.publish_again(number),
            Action::Handle(number, count) => {
                for _ in 0..count {
                    let _ = self.handle(number);
                }
            }
            Action::Stall(number, stops) => {
                if let Some(peer) = self.live(number) {
                    if stops {
                        self.wire.stop_reading(peer);
                    } else {
                        self.wire.read_again(peer);
                    }
                }
            }
            Action::Decide(count) => {
                for _ in 0..count {
                    self.decide();
                }
            }
            Action::Commit if self.wire.is_committing() => self.wire.commit(),
            Action::Fail if self.wire.is_committing() => {
                self.has_failed = true;
                self.wire.fail_commit(StoreError::Failed);
            }
            Action::Commit | Action::Fail => {}
            Action::Slow(true) => self.wire.hold_commits(),
            Action::Slow(false) => self.wire.commit_at_once(),
            // Not while a batch is out or has just failed.
            Action::Compact => _ = self.wire.compact(),
            Action::Crash => {
                self.wire.crash();
                let now = self.wire.now();
                for number in 0..CLIENTS {
                    self.lost(number);
                    self.clients[number].life.crash(now);
                }
            }
            Action::Wait(seconds) => self.wire.advance_secs(seconds),
        }
        self.note_ends(before);
    }

    /// The network connection of a client, if it has one.
    fn live(&self, number: usize) -> Option<Peer> {
        self.clients[number].peer.filter(|&peer| self.wire.cause(peer).is_none())
    }

    /// The same once its CONNACK has come.
    fn open(&self, number: usize) -> Option<Peer> {
        self.live(number).filter(|_| self.clients[number].is_connected)
    }

    /// A client gives its connection up, or has lost it; what it had not handled is lost.
    fn lost(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.ghosts.extend(client.peer.take());
        client.is_connected = false;
        client.inbox.clear();
        if client.life.is_asked() {
            // Whether that CONNECT has forgotten the will before it is not known.
            client.life.give_up();
            // Nor is it whether a session that is there is the one that the client knows.
            client.is_new |= client.life.may_be_over;
            client.will = None;
            client.will_asked = None;
        }
        client.life.lose(self.wire.now(), self.wire.now());
        if client.asked.take().is_some() {
            // The subscription is there, or not, or as it was before.
            client.subscribed = None;
            self.expect_nothing(number);
        }
    }

    /// Notes which connections the broker has ended since `before`.
    fn note_ends(&mut self, before: mqtt_session::Time) {
        let now = self.wire.now();
        for client in &mut self.clients {
            let wire = &self.wire;
            let is_over = |peer: &Peer| wire.cause(*peer).is_some();
            if client.peer.as_ref().is_some_and(is_over) || client.ghosts.iter().any(is_over) {
                client.life.lose(before, now);
            }
            client.ghosts.retain(|peer| !is_over(peer));
        }
    }

    /// Who must get a message that is published now.
    fn subscribers(&self) -> BTreeMap<usize, u8> {
        (0..CLIENTS).filter_map(|number| Some((number, self.clients[number].subscribed?))).collect()
    }

    /// The subscription of a client changes: what it must get of messages that may not have come
    /// to the broker yet is not known.
    fn expect_nothing(&mut self, number: usize) {
        for message in self.published.iter_mut().filter(|message| message.fate != Fate::Taken) {
            message.subscribers.remove(&number);
        }
    }

    /// The session of a client may be over, and its queue with it.
    fn expect_nothing_at_all(&mut self, number: usize) {
        self.clients[number].subscribed = None;
        for message in &mut self.published {
            message.subscribers.remove(&number);
        }
    }

    /// An identifier for a request whose answer does not matter.
    fn request_id(&mut self, number: usize) -> u16 {
        self.clients[number].requests += 1;
        REQUESTS + self.clients[number].requests
    }

    /// Sends something whose answer does not matter.
    fn send(&mut self, number: usize, packet: impl Into<Vec<u8>>) {
        if let Some(peer) = self.open(number) {
            self.wire.send(peer, packet);
        }
    }

    fn subscribe(&mut self, number: usize, qos: u8) {
        let Some(peer) = self.open(number) else { return };
        let client = &mut self.clients[number];
        if client.asked.is_some() {
            return;
        }
        let id = client.draw_id();
        client.asked = Some(Asked { id, qos, before: client.subscribed.take() });
        self.expect_nothing(number);
        self.wire.send(peer, subscribe(id, "#").qos(qos));
    }

    /// A client begins a new session.
    fn connect_anew(&mut self, number: usize) {
        self.lost(number);
        self.clients[number].forget_session();
        self.expect_nothing_at_all(number);
        let name = self.clients[number].name.clone();
        let peer = self.wire.open(&name);
        let client = &mut self.clients[number];
        client.peer = Some(peer);
        client.is_new = true;
        client.will = None;
        client.life.ask(self.wire.now(), INTERVALS[number], true);
        self.wire.send(peer, connect(&name).expiry(INTERVALS[number]).receive_maximum(3));
    }

    fn connect(&mut self, number: usize, interval: u32, will_qos: Option<u8>) {
        if self.live(number).is_some() {
            return;
        }
        if self.clients[number].is_new {
            self.connect_anew(number);
            return;
        }
        self.lost(number);
        let name = self.clients[number].name.clone();
        let peer = self.wire.open(&name);
        let now = self.wire.now();
        let client = &mut self.clients[number];
        client.peer = Some(peer);
        client.life.ask(now, interval, !client.ghosts.is_empty());
        if client.life.may_be_over {
            self.expect_nothing_at_all(number);
        }
        let mut script = connect(&name).resume().expiry(interval).receive_maximum(3);
        if let Some(qos) = will_qos {
            let subscribers = self.subscribers();
            let published = Published { is_will: true, subscribers, ..message(number, qos) };
            let topic = published.topic();
            let message = self.add(published);
            script = script.will(will(&topic, message.to_be_bytes()).qos(qos).delay(WILL_DELAY));
            self.clients[number].will_asked = Some(message);
        }
        self.wire.send(peer, script);
    }

    /// Gives a message its number.
    fn add(&mut self, published: Published) -> u32 {
        let message = u32::try_from(self.published.len()).unwrap();
        self.published.push(published);
        message
    }

    fn publish(&mut self, number: usize, published: Published) {
        if self.may_publish(number) {
            let message = self.add(published);
            self.begin(number, message);
        }
    }

    fn publish_again(&mut self, number: usize) {
        if self.may_publish(number)
            && let Some(message) = self.clients[number].refused.pop_front()
        {
            let subscribers = self.subscribers();
            let published = &mut self.published[message as usize];
            published.fate = Fate::Open;
            if published.expiry.is_none() && !published.is_clear {
                published.subscribers = subscribers;
            }
            self.begin(number, message);
        }
    }

    fn may_publish(&self, number: usize) -> bool {
        self.open(number).is_some() && self.clients[number].outgoing.len() < 20
    }

    /// Sends a PUBLISH for the first time under an identifier.
    fn begin(&mut self, number: usize, message: u32) {
        let Some(peer) = self.open(number) else { return };
        let qos = self.published[message as usize].qos;
        let client = &mut self.clients[number];
        let id = if qos == 0 { 0 } else { client.draw_id() };
        if qos > 0 {
            client.order.push_back(id);
            client.outgoing.insert(id, Outgoing { message, qos, is_recorded: false });
        }
        let packet = self.packet(message, id);
        self.wire.send(peer, packet);
    }

    /// A PUBLISH that is sent now.
    fn packet(&mut self, message: u32, id: u16) -> PublishScript {
        self.sent += 1;
        let published = &mut self.published[message as usize];
        let first = if published.sent.0 == 0 { self.sent } else { published.sent.0 };
        published.sent = (first, self.sent);
        published.script(message).qos(published.qos, id)
    }

    /// The driver allows the first thing that it was asked about. Returns whether there was one.
    fn decide(&mut self) -> bool {
        match self.wire.next_decision() {
            Some(BrokerEvent::Publish(request)) => {
                self.wire.call(|broker, now| {
                    broker.answer_publish(now, request, PublishAnswer::Allow);
                });
            }
            Some(BrokerEvent::Read(request)) => {
                self.wire.call(|broker, now| broker.answer_read(now, request, true));
            }
            Some(other) => panic!("nobody asks about this: {other:?}"),
            None => return false,
        }
        true
    }

    /// A client handles the next packet that has come. Returns whether there was one.
    fn handle(&mut self, number: usize) -> bool {
        let Some(peer) = self.clients[number].peer else { return false };
        let frames = self.wire.receive_frames(peer);
        self.clients[number].inbox.extend(frames);
        let Some(frame) = self.clients[number].inbox.pop_front() else { return false };
        let answer = self.take(number, &frame.packet().unwrap());
        for packet in answer {
            if self.live(number) == Some(peer) {
                self.wire.send(peer, packet);
            }
        }
        true
    }

    /// What a client does about a packet. Returns what it sends.
    fn take(&mut self, number: usize, packet: &Packet<'_>) -> Vec<Vec<u8>> {
        let client = &mut self.clients[number];
        match packet {
            Packet::ConnAck(ack) if ack.reason.is_error() => {
                client.life.refuse();
                client.will_asked = None;
            }
            Packet::ConnAck(ack) => return self.let_in(number, ack.session_present),
            Packet::SubAck(ack) if ack.packet_id.get() >= REQUESTS => {}
            Packet::SubAck(ack) => {
                let Asked { id, qos, before } = client.asked.take().expect("a SUBSCRIBE is sent");
                assert_eq!(id, ack.packet_id.get());
                let is_granted = ack.reasons().all(|reason| !reason.is_error());
                // A refused one has changed nothing.
                client.subscribed = if is_granted { Some(qos) } else { before };
            }
            Packet::Publish(publish) => return self.deliver(number, publish.qos, publish.payload),
            Packet::PubAck(ack) => {
                let id = ack.packet_id.get();
                if let Some(outgoing) = client.outgoing.get(&id) {
                    assert_eq!(outgoing.qos, 1);
                    self.acknowledge(number, id, ack.reason.is_error());
                    self.clients[number].finish(id);
                }
            }
            Packet::PubRec(ack) => {
                let id = ack.packet_id.get();
                if let Some(outgoing) = client.outgoing.get_mut(&id) {
                    let is_refused = ack.reason.is_error();
                    outgoing.is_recorded = !is_refused;
                    self.acknowledge(number, id, is_refused);
                    if !is_refused {
                        return vec![pubrel(id)];
                    }
                    self.clients[number].finish(id);
                }
            }
            Packet::PubRel(ack) => {
                let id = ack.packet_id.get();
                client.recorded.remove(&id);
                return vec![pubcomp(id)];
            }
            Packet::PubComp(ack) => {
                let id = ack.packet_id.get();
                if client.outgoing.get(&id).is_some_and(|outgoing| outgoing.is_recorded) {
                    client.finish(id);
                }
            }
            other => {
                assert!(matches!(other, Packet::UnsubAck(_) | Packet::Disconnect(_)), "{other:?}");
            }
        }
        Vec::new()
    }

    /// A publisher is told what became of a message.
    fn acknowledge(&mut self, number: usize, id: u16, is_refused: bool) {
        let client = &mut self.clients[number];
        let message = client.outgoing[&id].message;
        self.published[message as usize].fate = match is_refused {
            true => {
                client.refused.push_back(message);
                Fate::Refused
            }
            false => Fate::Taken,
        };
    }

    /// CONNACK has come: what is under way is sent again, or forgotten with the session.
    fn let_in(&mut self, number: usize, session_present: bool) -> Vec<Vec<u8>> {
        let client = &mut self.clients[number];
        client.is_connected = true;
        client.is_new = false;
        client.will = client.will_asked.take();
        if !session_present {
            assert!(client.life.may_be_over, "a session was lost: {client:?}");
            client.forget_session();
            client.life.accept();
            return Vec::new();
        }
        assert!(!client.life.must_be_over, "a session lives on: {client:?}");
        client.life.accept();
        let mut again = Vec::new();
        for id in client.order.clone() {
            let Outgoing { message, is_recorded, .. } = self.clients[number].outgoing[&id];
            again.push(match is_recorded {
                true => pubrel(id),
                false => self.packet(message, id).dup().into(),
            });
        }
        again
    }

    fn deliver(&mut self, number: usize, qos: PublishQos, payload: &[u8]) -> Vec<Vec<u8>> {
        let client = &mut self.clients[number];
        let (level, answer, is_new) = match qos {
            PublishQos::AtMostOnce => (0, Vec::new(), true),
            PublishQos::AtLeastOnce { id, .. } => (1, vec![puback(id.get())], true),
            PublishQos::ExactlyOnce { id, .. } => {
                (2, vec![pubrec(id.get())], client.recorded.insert(id.get()))
            }
        };
        // What clears a topic has no payload.
        if is_new && !payload.is_empty() {
            let message = u32::from_be_bytes(payload.try_into().expect("a number"));
            client.delivered.push((message, level));
        }
        answer
    }

    /// Everybody comes back and all is carried to its end.
    pub(crate) fn finish(&mut self) {
        self.act(&Action::Slow(false));
        // Nobody is closed from here on because it does not read.
        for number in 0..CLIENTS {
            self.act(&Action::Stall(number, false));
        }
        // A commit that has failed is tried again, and wills become due.
        for _ in 0..=2 * WILL_DELAY {
            self.act(&Action::Wait(1));
            while self.decide() {}
        }
        for number in 0..CLIENTS {
            if self.live(number).is_none()
                && let Some(message) = self.clients[number].will.take()
            {
                self.published[message as usize].fate = Fate::Taken;
            }
        }
        let mut is_at_rest = false;
        while !is_at_rest {
            is_at_rest = true;
            for number in 0..CLIENTS {
                self.act(&Action::Connect(number, None));
                while self.handle(number) || self.decide() {
                    is_at_rest = false;
                }
            }
        }
        for client in &self.clients {
            assert!(client.is_connected, "{} does not come in: {client:?}", client.name);
            assert!(client.outgoing.is_empty(), "{} is not answered: {client:?}", client.name);
            assert!(client.recorded.is_empty(), "{} is not released: {client:?}", client.name);
        }
        self.read_retained();
    }

    /// What somebody who subscribes at the end is sent.
    fn read_retained(&mut self) {
        let reader = self.wire.connect(connect("reader"));
        self.wire.send(reader, subscribe(1, "t/#"));
        while self.decide() {}
        for frame in self.wire.receive_frames(reader) {
            if let Packet::Publish(publish) = frame.packet().unwrap() {
                let topic = publish.topic.expect("a topic").as_str().to_owned();
                let message = u32::from_be_bytes(publish.payload.try_into().expect("a number"));
                assert!(publish.retain);
                self.retained.insert(topic, message);
            }
        }
    }
}

/// A message of a client that nobody must get.
fn message(publisher: usize, qos: u8) -> Published {
    Published {
        publisher,
        qos,
        retain: false,
        is_will: false,
        is_clear: false,
        expiry: None,
        fate: Fate::Open,
        sent: (0, 0),
        subscribers: BTreeMap::new(),
    }
}
