//! A broker and a client, both of them state machines, joined by a link that can be cut.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Buf;
use mqtt_codec::{Properties, PubAckReason, QoS, SubscriptionOptions, TopicFilter, TopicName};
use mqtt_session::{
    BrokerConfig, BufferOptions, Client, ClientConfig, ClientEvent, Delivery, DisconnectOptions,
    Message, Publication, PublishId, PublishOutcome, ReceivedMessage, SubscriptionKey, Time,
    TransmitBuf,
};

use crate::link::{Cut, Link};
use crate::peer::Peer;
use crate::pieces::Pieces;
use crate::transcript::{self, Transcript};
use crate::wire::Wire;

/// A broker and a client, driven as their contracts say, under one clock.
///
/// After every call both are at rest. The broker stands in a [`Wire`], so that raw clients can
/// talk to it as well, and everything that it sends is checked.
#[derive(Debug)]
pub struct Pair {
    wire: Wire,
    client: Client,
    link: Option<Link>,
    pieces: Pieces,
    out: TransmitBuf,
    published: Vec<PublishId>,
    subscribed: Vec<SubscriptionKey>,
    unmatched: SubscriptionKey,
    buffer: BufferOptions,
    deliveries: VecDeque<Delivery>,
    messages: Vec<Message>,
    told: Vec<String>,
}

impl Pair {
    /// A client, and a broker with the default configuration.
    pub fn new(config: ClientConfig) -> Self {
        Self::with_broker(config, |_| {})
    }

    /// A client, and a broker whose configuration differs from the default.
    pub fn with_broker(config: ClientConfig, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let client = Client::new(config, [9; 32]);
        let mut client = client.expect("a configuration that fits into CONNECT");
        Self {
            wire: Wire::configured(change),
            unmatched: client.subscribe_unmatched(BufferOptions::new()),
            buffer: BufferOptions::new(),
            client,
            link: None,
            pieces: Pieces::Whole,
            out: TransmitBuf::new(),
            published: Vec::new(),
            subscribed: Vec::new(),
            deliveries: VecDeque::new(),
            messages: Vec::new(),
            told: Vec::new(),
        }
    }

    /// From here on, in which pieces bytes arrive at either end.
    pub fn cut_into(&mut self, pieces: Pieces) {
        self.wire.cut_into(pieces.clone());
        self.pieces = pieces;
    }

    /// From here on, how the client's subscriptions buffer and acknowledge.
    pub fn buffer(&mut self, options: BufferOptions) {
        self.buffer = options;
    }

    /// Makes a network connection that lasts, and lets the client connect on it.
    pub fn connect(&mut self) {
        self.connect_until(Cut::Never);
    }

    /// Makes a network connection that fails where `cut` says.
    pub fn connect_until(&mut self, cut: Cut) {
        assert!(self.link.is_none(), "the client has a connection");
        let peer = self.wire.open("client");
        self.link = Some(Link::new(peer, self.pieces.clone(), cut));
        self.client.handle_connected(self.wire.now());
        self.settle();
    }

    /// Whether there is a network connection.
    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// The network connection fails.
    pub fn lose(&mut self) {
        self.fail();
        self.settle();
    }

    /// From here on what the broker sends on this connection is lost on the way.
    pub fn lose_answers(&mut self) {
        self.link.as_mut().expect("a connection").loses_answers = true;
    }

    /// Publishes, and returns the number of the message among those of QoS 1 and 2, from 1.
    pub fn publish(&mut self, topic: &str, payload: impl AsRef<[u8]>, qos: u8) -> usize {
        self.publish_with(topic, payload, qos, |_| {})
    }

    /// Publishes with more than that.
    pub fn publish_with(
        &mut self,
        topic: &str,
        payload: impl AsRef<[u8]>,
        qos: u8,
        change: impl FnOnce(&mut Publication<'_>),
    ) -> usize {
        let topic = TopicName::new(topic).unwrap();
        let mut publication = Publication::new(topic, payload.as_ref().to_vec());
        publication.qos = QoS::try_from(qos).unwrap();
        change(&mut publication);
        let id = self.client.publish(self.wire.now(), publication).expect("the client takes it");
        self.published.extend(id);
        self.settle();
        self.published.len()
    }

    /// Subscribes, and returns the number of the subscription, from 0.
    pub fn subscribe(&mut self, filter: &str, qos: u8) -> usize {
        let options =
            SubscriptionOptions { qos: QoS::try_from(qos).unwrap(), ..Default::default() };
        self.subscribe_with(&[(filter, options)])
    }

    /// Subscribes to several filters.
    pub fn subscribe_with(&mut self, filters: &[(&str, SubscriptionOptions)]) -> usize {
        let filters: Vec<_> = filters
            .iter()
            .map(|(filter, options)| (TopicFilter::new(filter).unwrap(), *options))
            .collect();
        let key = self.client.subscribe(&filters, Properties::EMPTY, self.buffer);
        let key = key.expect("a subscription");
        self.subscribed.push(key);
        self.settle();
        self.subscribed.len() - 1
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, subscription: usize) {
        self.client.unsubscribe(self.subscribed[subscription]);
        self.settle();
    }

    /// Acknowledges the message that came `place` places behind the first one that was not
    /// acknowledged.
    pub fn acknowledge(&mut self, place: usize, reason: PubAckReason) {
        let delivery = self.deliveries.remove(place).expect("a message to acknowledge");
        self.client.acknowledge(self.wire.now(), delivery, reason);
        self.settle();
    }

    /// Leaves.
    pub fn disconnect(&mut self, options: &DisconnectOptions) {
        self.client.disconnect(self.wire.now(), options).expect("a connection to leave");
        self.settle();
    }

    /// Calls the client, and lets both come to rest.
    pub fn call<R>(&mut self, call: impl FnOnce(&mut Client, Time) -> R) -> R {
        let result = call(&mut self.client, self.wire.now());
        self.settle();
        result
    }

    /// Calls the wire, for raw clients of the same broker, and lets both come to rest.
    pub fn on_wire<R>(&mut self, call: impl FnOnce(&mut Wire) -> R) -> R {
        let result = call(&mut self.wire);
        self.settle();
        result
    }

    /// Lets time pass: each machine is told of it at its deadlines on the way.
    pub fn advance(&mut self, duration: Duration) {
        let end = self.wire.now() + duration;
        let mut idle = 0;
        loop {
            let now = self.wire.now();
            let own = self.client.poll_timeout().map(|deadline| deadline.at);
            let other = self.wire.broker().poll_timeout().map(|deadline| deadline.at);
            let next = own.into_iter().chain(other).min().filter(|&at| at <= end);
            let Some(at) = next else { break };
            idle = if at > now { 0 } else { idle + 1 };
            assert!(idle < 10_000, "a timer spins");
            self.wire.advance(at.duration_since(now));
            if own.is_some_and(|own| own <= self.wire.now()) {
                self.client.handle_timeout(self.wire.now());
            }
            self.settle();
        }
        self.wire.advance(end.duration_since(self.wire.now()));
        self.settle();
    }

    /// What the client told since the last call, a line an event.
    pub fn told(&mut self) -> Vec<String> {
        core::mem::take(&mut self.told)
    }

    /// The messages that came to the client since the last call.
    pub fn messages(&mut self) -> Vec<Message> {
        core::mem::take(&mut self.messages)
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The wire in which the broker stands.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// All that was said so far on the network.
    pub fn transcript(&self) -> &Transcript {
        self.wire.transcript()
    }

    /// The broker's end of the network connection.
    pub fn peer(&self) -> Option<Peer> {
        self.link.as_ref().map(|link| link.peer)
    }

    /// Drives both machines until they are at rest.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            let mut is_at_rest = true;
            while let Some(event) = self.client.poll_event() {
                is_at_rest = false;
                self.on_event(event);
            }
            is_at_rest &= !self.send();
            is_at_rest &= !self.receive();
            let now = self.wire.now();
            if self.client.poll_timeout().is_some_and(|deadline| deadline.at <= now) {
                is_at_rest = false;
                self.client.handle_timeout(now);
            }
            if is_at_rest {
                return;
            }
        }
        panic!("the machines do not come to rest");
    }

    /// Carries what the client has to send to the broker. Returns whether there was something.
    fn send(&mut self) -> bool {
        self.client.poll_transmit(self.wire.now(), &mut self.out, 64 * 1024);
        if self.out.is_empty() {
            return false;
        }
        let bytes = self.out.copy_to_bytes(self.out.remaining());
        let Some(link) = &mut self.link else { return true };
        let (carried, has_failed) = link.carry_to_broker(&bytes);
        if !carried.is_empty() {
            self.wire.send(link.peer, carried);
        }
        if has_failed {
            self.fail();
        }
        true
    }

    /// Carries a piece of what the broker has sent to the client. Returns whether something
    /// happened.
    fn receive(&mut self) -> bool {
        let Some(link) = &mut self.link else { return false };
        let waiting = &self.wire.bytes(link.peer)[link.delivered()..];
        if waiting.is_empty() || link.loses_answers {
            if self.wire.cause(link.peer).is_none() {
                return false;
            }
            self.fail();
            return true;
        }
        if !self.client.accepts_input() {
            return false;
        }
        let (piece, has_failed) = link.carry_to_client(waiting);
        let piece = piece.to_vec();
        self.client.handle_input(self.wire.now(), &piece);
        if has_failed {
            self.fail();
        }
        true
    }

    /// Ends the network connection for both.
    fn fail(&mut self) {
        if let Some(link) = self.link.take() {
            if self.wire.cause(link.peer).is_none() {
                self.wire.cut(link.peer);
            }
            self.client.handle_eof(self.wire.now());
        }
    }

    fn on_event(&mut self, event: ClientEvent) {
        let subscription = |key: &SubscriptionKey| {
            self.subscribed.iter().position(|known| known == key).expect("a known subscription")
        };
        let line = match event {
            ClientEvent::Connected(terms) => {
                let present = if terms.session_present { ", session present" } else { "" };
                format!("connected{present}")
            }
            ClientEvent::Readable(reader) => {
                while let Some(ReceivedMessage { message, delivery }) =
                    self.client.poll_message(reader)
                {
                    let line = transcript::message(&message);
                    let to = if reader == self.unmatched {
                        "nobody".to_owned()
                    } else {
                        subscription(&reader).to_string()
                    };
                    self.told.push(format!("{line} to {to}"));
                    self.messages.push(message);
                    self.deliveries.extend(delivery);
                }
                return;
            }
            ClientEvent::Published { id, outcome } => {
                let number = self.published.iter().position(|known| *known == id);
                let number = number.map_or_else(|| "?".to_owned(), |at| (at + 1).to_string());
                let outcome = match outcome {
                    PublishOutcome::Acknowledged(ack) => format!("acknowledged: {}", ack.reason),
                    PublishOutcome::Refused(ack) => format!("refused: {}", ack.reason),
                    other => format!("{other:?}"),
                };
                format!("published {number} {outcome}")
            }
            ClientEvent::Subscribed { subscription: key, results, renewed, .. } => {
                let results: Vec<u8> = results.iter().map(|&result| result.into()).collect();
                let renewed = if renewed { ", renewed" } else { "" };
                format!("subscribed {} {results:02X?}{renewed}", subscription(&key))
            }
            ClientEvent::Unsubscribed { subscription: key, results, .. } => {
                let results: Vec<u8> = results.iter().map(|&result| result.into()).collect();
                format!("unsubscribed {} {results:02X?}", subscription(&key))
            }
            ClientEvent::SubscribeFailed { subscription: key, error } => {
                format!("subscribe {} failed: {error}", subscription(&key))
            }
            ClientEvent::Closed(cause) => {
                self.told.push(format!("closed: {cause}"));
                self.fail_if_open();
                return;
            }
            other => format!("{other:?}"),
        };
        self.told.push(line);
    }

    /// The client has done with its connection: what it handed out before is on its way, and then
    /// the transport is closed.
    fn fail_if_open(&mut self) {
        self.send();
        self.fail();
    }
}
