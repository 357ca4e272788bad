//! Random scripts of several clients over a broker that crashes: no message is delivered twice or
//! lost, whatever was committed when.
//!
//! Every commit also compares the broker that the committed changes make with a snapshot of the
//! one that made them, so each script is a crash at every prefix of its batches.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mqtt_codec::{Frame, Packet, PublishQos};
use mqtt_session::StoreError;
use mqtt_tests::scripted::{
    connect, disconnect, puback, pubcomp, publish, pubrec, pubrel, subscribe, unsubscribe, will,
};
use mqtt_tests::{Peer, Wire};
use proptest::prelude::*;

const CLIENTS: usize = 3;

/// Above this are the identifiers of requests whose answers do not matter.
const REQUESTS: u16 = 1000;

/// What happens next in a script. Clients are named by their numbers.
#[derive(Clone, Debug)]
enum Action {
    /// Connects, going on with its session, with or without a will.
    Connect(usize, bool),
    /// Connects although it is connected, or although it was not told that it is not.
    TakeOver(usize),
    /// Connects with Clean Start 1: what was is forgotten on both sides.
    Clean(usize),
    /// The network connection fails.
    Cut(usize),
    /// DISCONNECT with 0x00.
    Disconnect(usize),
    /// Subscribes to everything at a QoS.
    Subscribe(usize, u8),
    /// Subscribes to everything in a group, beside its other subscription.
    Share(usize),
    /// Unsubscribes from everything.
    Unsubscribe(usize),
    /// Publishes a message of its own at a QoS, retained or not.
    Publish(usize, u8, bool),
    /// Publishes a message that expires after so many seconds.
    Passing(usize, u8, u32),
    /// Handles so many of the packets that have come.
    Handle(usize, usize),
    /// Stops reading, or reads again.
    Stall(usize, bool),
    /// A batch is committed.
    Commit,
    /// A batch is not committed.
    Fail,
    /// From here on commits are slow, or not.
    Slow(bool),
    /// The store is replaced by a snapshot.
    Compact,
    /// The broker crashes and starts again.
    Crash,
    /// Time passes.
    Wait(u64),
}

fn action() -> impl Strategy<Value = Action> {
    let client = 0..CLIENTS;
    prop_oneof![
        3 => (client.clone(), any::<bool>()).prop_map(|(c, will)| Action::Connect(c, will)),
        1 => client.clone().prop_map(Action::TakeOver),
        1 => client.clone().prop_map(Action::Clean),
        1 => client.clone().prop_map(Action::Share),
        1 => client.clone().prop_map(Action::Unsubscribe),
        1 => (client.clone(), 0..3_u8, 1..8_u32)
            .prop_map(|(c, qos, expiry)| Action::Passing(c, qos, expiry)),
        1 => client.clone().prop_map(Action::Cut),
        1 => client.clone().prop_map(Action::Disconnect),
        2 => (client.clone(), 0..3_u8).prop_map(|(c, qos)| Action::Subscribe(c, qos)),
        8 => (client.clone(), 0..3_u8, prop::bool::weighted(0.2))
            .prop_map(|(c, qos, retain)| Action::Publish(c, qos, retain)),
        8 => (client.clone(), 1..8_usize).prop_map(|(c, count)| Action::Handle(c, count)),
        1 => (client, any::<bool>()).prop_map(|(c, stops)| Action::Stall(c, stops)),
        6 => Just(Action::Commit),
        1 => Just(Action::Fail),
        1 => any::<bool>().prop_map(Action::Slow),
        1 => Just(Action::Compact),
        2 => Just(Action::Crash),
        1 => (0..10_u64).prop_map(Action::Wait),
    ]
}

/// A message that was published, as the test knows it.
#[derive(Debug)]
struct Published {
    publisher: usize,
    qos: u8,
    retain: bool,
    /// Whether the publisher was told that it is in the broker's hands.
    is_taken: bool,
    /// The subscribers that must get it if it is taken, with their QoS.
    subscribers: BTreeMap<usize, u8>,
}

/// What a client owes for a message of its own.
#[derive(Clone, Debug)]
struct Outgoing {
    number: u32,
    qos: u8,
    retain: bool,
    /// PUBREC has come.
    is_recorded: bool,
}

/// A client that keeps its session state across connections and crashes of the broker.
#[derive(Debug)]
struct Client {
    name: String,
    peer: Option<Peer>,
    is_connected: bool,
    /// Whether it asked for a new session and was not told yet that it has one: then it asks again.
    is_new: bool,
    inbox: VecDeque<Frame>,
    /// Its own exchanges by packet identifier, and the order in which they began.
    outgoing: BTreeMap<u16, Outgoing>,
    order: VecDeque<u16>,
    /// QoS 2 identifiers of the broker that it has delivered and that are not released.
    recorded: BTreeSet<u16>,
    /// What its application got: number and the QoS it came with.
    delivered: Vec<(u32, u8)>,
    /// The QoS of its subscription, once SUBACK has come.
    subscribed: Option<u8>,
    /// How many requests whose answers do not matter.
    requests: u16,
    /// The SUBSCRIBE that is under way.
    asked: Option<(u16, u8)>,
}

struct World {
    wire: Wire,
    clients: Vec<Client>,
    published: Vec<Published>,
    /// Whether a commit has failed: a message that is refused may come again after later ones.
    has_failed: bool,
}

impl World {
    /// Everybody is connected and subscribes at these QoS.
    fn new(subscriptions: [u8; CLIENTS]) -> Self {
        let wire = Wire::configured(|config| {
            config.durable = true;
            config.limits.send_maximum = std::num::NonZeroU16::new(4).unwrap();
        });
        let clients = (0..CLIENTS)
            .map(|number| Client {
                name: format!("client {number}"),
                peer: None,
                is_connected: false,
                is_new: false,
                inbox: VecDeque::new(),
                outgoing: BTreeMap::new(),
                order: VecDeque::new(),
                recorded: BTreeSet::new(),
                delivered: Vec::new(),
                subscribed: None,
                requests: 0,
                asked: None,
            })
            .collect();
        let mut world = Self { wire, clients, published: Vec::new(), has_failed: false };
        for (number, qos) in (0..).zip(subscriptions) {
            for action in [Action::Connect(number, false), Action::Subscribe(number, qos)] {
                world.act(&action);
                world.act(&Action::Handle(number, 1));
            }
        }
        world
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Connect(number, has_will) => self.connect(number, has_will),
            Action::Cut(number) => {
                if let Some(peer) = self.live(number) {
                    self.wire.cut(peer);
                    self.lost(number);
                }
            }
            Action::Disconnect(number) => {
                if let Some(peer) = self.open(number) {
                    self.wire.send(peer, disconnect());
                    self.lost(number);
                }
            }
            Action::Subscribe(number, qos) => {
                if let Some(peer) = self.open(number)
                    && self.clients[number].asked.is_none()
                {
                    let id = self.draw_id(number);
                    self.clients[number].asked = Some((id, qos));
                    self.clients[number].subscribed = None;
                    self.expect_nothing(number);
                    self.wire.send(peer, subscribe(id, "#").qos(qos));
                }
            }
            Action::TakeOver(number) => {
                self.lost(number);
                self.connect(number, false);
            }
            Action::Clean(number) => self.connect_anew(number),
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
            Action::Publish(number, qos, retain) => self.publish(number, qos, retain, None),
            Action::Passing(number, qos, expiry) => self.publish(number, qos, false, Some(expiry)),
            Action::Handle(number, count) => {
                for _ in 0..count {
                    self.handle(number);
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
                (0..CLIENTS).for_each(|number| self.lost(number));
            }
            Action::Wait(seconds) => self.wire.advance_secs(seconds),
        }
    }

    /// The network connection of a client, if it has one.
    fn live(&self, number: usize) -> Option<Peer> {
        self.clients[number].peer.filter(|&peer| self.wire.cause(peer).is_none())
    }

    /// The same once its CONNACK has come.
    fn open(&self, number: usize) -> Option<Peer> {
        self.live(number).filter(|_| self.clients[number].is_connected)
    }

    /// A client has no connection any more; what it had not handled is lost.
    fn lost(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.peer = None;
        client.is_connected = false;
        client.inbox.clear();
        if client.asked.take().is_some() {
            // The subscription is there, or not, or as it was before.
            client.subscribed = None;
            self.expect_nothing(number);
        }
    }

    /// The subscription of a client changes: what it must get of messages that may not have come
    /// to the broker yet is not known.
    fn expect_nothing(&mut self, number: usize) {
        for message in self.published.iter_mut().filter(|message| !message.is_taken) {
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

    /// A client begins a new session.
    fn connect_anew(&mut self, number: usize) {
        self.lost(number);
        let client = &mut self.clients[number];
        client.outgoing.clear();
        client.order.clear();
        client.recorded.clear();
        client.subscribed = None;
        for message in &mut self.published {
            message.subscribers.remove(&number);
        }
        let name = self.clients[number].name.clone();
        let peer = self.wire.open(&name);
        self.clients[number].peer = Some(peer);
        self.clients[number].is_new = true;
        self.wire.send(peer, connect(&name).expiry(3600).receive_maximum(3));
    }

    fn connect(&mut self, number: usize, has_will: bool) {
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
        self.clients[number].peer = Some(peer);
        let mut script = connect(&name).resume().expiry(3600).receive_maximum(3);
        if has_will {
            script = script.will(will("will", "gone").qos(1).delay(5));
        }
        self.wire.send(peer, script);
    }

    /// The lowest identifier that is not in use: they come back soon.
    fn draw_id(&self, number: usize) -> u16 {
        let client = &self.clients[number];
        let asked = client.asked.map(|(id, _)| id);
        let is_free = |id: &u16| !client.outgoing.contains_key(id) && Some(*id) != asked;
        (1..).find(is_free).unwrap()
    }

    fn publish(&mut self, number: usize, qos: u8, retain: bool, expiry: Option<u32>) {
        let Some(peer) = self.open(number) else { return };
        if self.clients[number].outgoing.len() >= 20 {
            return;
        }
        let message = u32::try_from(self.published.len()).unwrap();
        // One that expires may be gone before anybody gets it.
        let subscribers = (0..CLIENTS)
            .filter(|_| expiry.is_none())
            .filter_map(|other| Some((other, self.clients[other].subscribed?)))
            .collect();
        let publisher = number;
        self.published.push(Published { publisher, qos, retain, is_taken: false, subscribers });
        let topic = format!("t/{number}/{qos}");
        let mut script = publish(&topic, message.to_be_bytes());
        if retain {
            script = script.retain();
        }
        if let Some(seconds) = expiry {
            script = script.expiry(seconds);
        }
        let id = if qos == 0 { 0 } else { self.draw_id(number) };
        if qos > 0 {
            let client = &mut self.clients[number];
            client.order.push_back(id);
            let outgoing = Outgoing { number: message, qos, retain, is_recorded: false };
            client.outgoing.insert(id, outgoing);
        }
        self.wire.send(peer, script.qos(qos, id));
    }

    /// A client handles the next packet that has come.
    fn handle(&mut self, number: usize) {
        let Some(peer) = self.clients[number].peer else { return };
        let frames = self.wire.receive_frames(peer);
        self.clients[number].inbox.extend(frames);
        let Some(frame) = self.clients[number].inbox.pop_front() else { return };
        let answer = self.take(number, &frame.packet().unwrap());
        if self.live(number).is_some() {
            for packet in answer {
                if self.live(number) == Some(peer) {
                    self.wire.send(peer, packet);
                }
            }
        }
    }

    /// What a client does about a packet. Returns what it sends.
    fn take(&mut self, number: usize, packet: &Packet<'_>) -> Vec<Vec<u8>> {
        let client = &mut self.clients[number];
        match packet {
            Packet::ConnAck(ack) if ack.reason.is_error() => {
                client.is_connected = false;
                Vec::new()
            }
            Packet::ConnAck(ack) => {
                client.is_connected = true;
                client.is_new = false;
                self.resend(number, ack.session_present)
            }
            Packet::SubAck(ack) if ack.packet_id.get() >= REQUESTS => Vec::new(),
            Packet::SubAck(ack) => {
                let (id, qos) = client.asked.take().expect("a SUBSCRIBE is under way");
                assert_eq!(id, ack.packet_id.get());
                let is_granted = ack.reasons().all(|reason| !reason.is_error());
                client.subscribed = is_granted.then_some(qos);
                if !is_granted {
                    // The subscription is as it was before, which the test does not follow.
                    self.expect_nothing(number);
                }
                Vec::new()
            }
            Packet::Publish(publish) => self.deliver(number, publish.qos, publish.payload),
            Packet::PubAck(ack) => {
                let id = ack.packet_id.get();
                let Some(outgoing) = client.outgoing.remove(&id) else { return Vec::new() };
                assert_eq!(outgoing.qos, 1);
                client.order.retain(|&other| other != id);
                self.published[outgoing.number as usize].is_taken = !ack.reason.is_error();
                Vec::new()
            }
            Packet::PubRec(ack) => {
                let id = ack.packet_id.get();
                let Some(outgoing) = client.outgoing.get_mut(&id) else { return Vec::new() };
                let message = &mut self.published[outgoing.number as usize];
                if ack.reason.is_error() {
                    client.outgoing.remove(&id);
                    client.order.retain(|&other| other != id);
                    return Vec::new();
                }
                message.is_taken = true;
                outgoing.is_recorded = true;
                vec![pubrel(id)]
            }
            Packet::PubRel(ack) => {
                let id = ack.packet_id.get();
                client.recorded.remove(&id);
                vec![pubcomp(id)]
            }
            Packet::PubComp(ack) => {
                let id = ack.packet_id.get();
                if client.outgoing.get(&id).is_some_and(|outgoing| outgoing.is_recorded) {
                    client.outgoing.remove(&id);
                    client.order.retain(|&other| other != id);
                }
                Vec::new()
            }
            other => {
                assert!(matches!(other, Packet::UnsubAck(_) | Packet::Disconnect(_)), "{other:?}");
                Vec::new()
            }
        }
    }

    /// CONNACK has come: what is under way is sent again, or forgotten with the session.
    fn resend(&mut self, number: usize, session_present: bool) -> Vec<Vec<u8>> {
        let client = &mut self.clients[number];
        if !session_present {
            // The broker has never committed the session, so it took nothing.
            assert!(client.recorded.is_empty(), "a session was lost");
            assert!(client.subscribed.is_none(), "a session was lost");
            client.outgoing.clear();
            client.order.clear();
            return Vec::new();
        }
        let mut again = Vec::new();
        for &id in &client.order {
            let Outgoing { number: message, qos, retain, is_recorded } = client.outgoing[&id];
            if is_recorded {
                again.push(pubrel(id));
                continue;
            }
            let topic = format!("t/{number}/{qos}");
            let mut script = publish(&topic, message.to_be_bytes()).qos(qos, id).dup();
            if retain {
                script = script.retain();
            }
            again.push(script.into());
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
        // A will has another payload.
        if is_new && let Ok(message) = payload.try_into() {
            let message = u32::from_be_bytes(message);
            if usize::try_from(message).unwrap() < self.published.len() {
                client.delivered.push((message, level));
            }
        }
        answer
    }

    /// Everybody comes back and all is carried to its end.
    fn finish(&mut self) {
        self.wire.commit_at_once();
        self.wire.advance_secs(2);
        for _ in 0..200 {
            for number in 0..CLIENTS {
                if let Some(peer) = self.live(number) {
                    self.wire.read_again(peer);
                }
                self.connect(number, false);
                for _ in 0..50 {
                    self.handle(number);
                }
            }
        }
        for client in &self.clients {
            assert!(client.outgoing.is_empty(), "{} is not answered: {client:?}", client.name);
            assert!(client.recorded.is_empty(), "{} is not released: {client:?}", client.name);
        }
    }

    /// What must be true at the end.
    fn check(&self) {
        for (number, client) in self.clients.iter().enumerate() {
            let mut times: BTreeMap<u32, usize> = BTreeMap::new();
            for (message, _) in &client.delivered {
                *times.entry(*message).or_default() += 1;
            }
            for (message, published) in (0..).zip(&self.published) {
                let count = times.get(&message).copied().unwrap_or_default();
                let subscribed = published.subscribers.get(&number).copied();
                let qos = subscribed.map(|granted| granted.min(published.qos));
                // At least once, exactly once.
                if published.is_taken && qos.is_some_and(|qos| qos > 0) {
                    assert_ne!(count, 0, "{} did not get {message}: {published:?}", client.name);
                }
                let came_at_2 = client
                    .delivered
                    .iter()
                    .filter(|&&(other, qos)| other == message && qos == 2)
                    .count();
                // A retained message is sent anew for each new subscription.
                if published.qos == 2 && !published.retain {
                    assert!(came_at_2 <= 1, "{} got {message} twice", client.name);
                }
            }
            if !self.has_failed {
                self.check_order(client);
            }
        }
    }

    /// QoS 2 messages of one publisher come in the order in which they were published
    /// [MQTT-4.6.0-6].
    fn check_order(&self, client: &Client) {
        let mut last = BTreeMap::new();
        for &(message, qos) in &client.delivered {
            let published = &self.published[message as usize];
            if qos != 2 || published.retain {
                continue;
            }
            if let Some(before) = last.insert(published.publisher, message) {
                assert!(before < message, "{}: {message} came after {before}", client.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    /// Proves: [MQTT-4.3.2-1], [MQTT-4.3.3-1], [MQTT-4.3.3-10], [MQTT-4.4.0-1], [MQTT-4.6.0-6]
    #[test]
    fn no_message_is_lost_or_delivered_twice(
        subscriptions in prop::array::uniform3(0..3_u8),
        script in prop::collection::vec(action(), 1..200),
    ) {
        let mut world = World::new(subscriptions);
        for action in &script {
            world.act(action);
        }
        world.finish();
        world.check();
    }
}
