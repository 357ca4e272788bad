//! A world: machines, pipes, a clock, a store and the model, and what each event does to them.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use mqtt_codec::{
    DisconnectReason, Properties, PropertyBuf, PubAckReason, QoS, RetainHandling,
    SubscriptionOptions, TopicFilter, TopicName,
};
use mqtt_session::{
    Broker, DisconnectOptions, PeerInfo, Publication, ReadRequest, StoreError, Time, TransmitBuf,
};

use super::disk::Disk;
use super::event::{Body, Event, Publish, Subscribe};
use super::invariants::{Check, Fault, Invariant, i12_wire, i14_durable};
use super::link::{Link, Stage};
use super::model::Model;
use super::names::{FILTERS, FIRST_SHARED, TOPICS};
use super::node::{Node, Owed};
use super::note::EMPTY;
use super::setup::{LARGE, Setup, StoreSetup};

/// Machines and all that is between them.
#[derive(Debug)]
pub struct World {
    pub(super) setup: Setup,
    pub(super) broker: Broker,
    pub(super) now: Time,
    pub(super) nodes: Vec<Node>,
    /// Connections; a free place is used again.
    pub(super) links: Vec<Link>,
    next_link: u32,
    pub(super) model: Model,
    pub(super) disk: Disk,
    /// Questions about rights that are not answered.
    pub(super) reads: VecDeque<Read>,
    /// Whether the model says exactly what must happen: once a commit has failed, what was refused
    /// on account of it may have happened or not.
    pub(super) is_exact: bool,
    pub(super) messages: Vec<Message>,
    pub(super) out: TransmitBuf,
    /// How often the broker was started.
    starts: u64,
    /// What happened, if it is to be told.
    pub(super) story: Option<String>,
}

/// A message that an application published.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// It may come to an application more than once, for its subscriptions or because a session
    /// was lost.
    pub(super) may_repeat: bool,
    /// The broker has got it, and has said so.
    pub(super) is_taken: bool,
    pub(super) is_acknowledged: bool,
    /// If it had to be stored: how many had before it.
    pub(super) stored_behind: Option<u32>,
}

/// A question whether a client may read a topic.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) request: ReadRequest,
    pub(super) client: usize,
    pub(super) topic: u8,
    pub(super) asked_at: Time,
}

impl World {
    /// The world of a setup, before anything has happened.
    pub fn new(setup: Setup) -> Self {
        let nodes = (0..setup.clients.len()).map(|number| Node::new(&setup, number)).collect();
        let model = Model::new(&setup.broker);
        Self {
            broker: Broker::new(setup.broker.config(), seed(setup.seed, 0)),
            setup,
            now: Time::from_nanos(1),
            nodes,
            links: Vec::new(),
            next_link: 0,
            model,
            disk: Disk::default(),
            reads: VecDeque::new(),
            is_exact: true,
            messages: Vec::new(),
            out: TransmitBuf::new(),
            starts: 1,
            story: None,
        }
    }

    /// The broker as it is now; everything else is gone.
    pub(super) fn into_broker(self) -> Broker {
        self.broker
    }

    /// Lets something happen, brings the machines to rest and checks what holds at every moment.
    ///
    /// # Errors
    ///
    /// An invariant does not hold.
    pub fn apply(&mut self, event: &Event) -> Check {
        // No two things happen at the same moment, so that no two timers are due at once.
        self.now = self.now + Duration::from_nanos(1);
        self.act(event)?;
        self.settle()?;
        self.check()
    }

    /// From here on every restart is compared with the broker before it, change by change.
    pub(super) fn compare_restarts(&mut self) {
        self.disk.compare();
    }

    /// Adds a line to the story, if one is told.
    pub(super) fn tell(&mut self, line: std::fmt::Arguments<'_>) {
        if let Some(story) = &mut self.story {
            // Writing to a string cannot fail.
            let _ = writeln!(story, "{line}");
        }
    }

    fn act(&mut self, event: &Event) -> Check {
        let node = |client: u8| self.nodes.get(usize::from(client));
        match *event {
            Event::Connect(client) => self.connect(client.into()),
            Event::Up(client, most) => match node(client).and_then(|node| node.link) {
                Some(link) => self.carry_up(link, all_of(most)),
                None => Ok(()),
            },
            Event::Late(client, most) => match node(client).and_then(|node| node.late) {
                Some(link) => self.carry_up(link, all_of(most)),
                None => Ok(()),
            },
            Event::Down(client, most) => match node(client).and_then(|node| node.link) {
                Some(link) => self.carry_down(link, all_of(most)),
                None => Ok(()),
            },
            Event::Cut(client) => match node(client).and_then(|node| node.link) {
                Some(link) => {
                    self.cut_broker(link)?;
                    self.cut_client(link)
                }
                None => Ok(()),
            },
            Event::CutClient(client) => match node(client).and_then(|node| node.link) {
                Some(link) => self.cut_client(link),
                None => Ok(()),
            },
            Event::CutBroker(client) => match node(client).and_then(|node| node.link) {
                Some(link) => self.cut_broker(link),
                None => Ok(()),
            },
            Event::CutLate(client) => match node(client).and_then(|node| node.late) {
                Some(link) => self.cut_broker(link),
                None => Ok(()),
            },
            Event::Leave(client, with_will) => self.leave(client.into(), with_will),
            Event::Publish(client, publish) => self.publish(client.into(), &publish),
            Event::Subscribe(client, subscribe) => self.subscribe(client.into(), &subscribe),
            Event::Unsubscribe(client, back) => {
                let Some(node) = self.nodes.get_mut(usize::from(client)) else { return Ok(()) };
                let last = node.subscriptions.len().checked_sub(1 + usize::from(back));
                if let Some(at) = last {
                    let subscription = node.subscriptions.remove(at);
                    node.client.unsubscribe(subscription);
                }
                Ok(())
            }
            Event::Answer(client, place, refused) => {
                let Some(node) = self.nodes.get_mut(usize::from(client)) else { return Ok(()) };
                let place = usize::from(place) % node.deliveries.len().max(1);
                if let Some(Owed { delivery, number, .. }) = node.deliveries.remove(place) {
                    let mut reason = PubAckReason::Success;
                    // Whether a refusal that waits for a socket, for its turn or for other readers
                    // has left nobody can see.
                    let is_only = node.deliveries.is_empty();
                    let leaves = |at: usize| {
                        let link = &self.links[at];
                        link.is_open && link.has_broker && !link.is_up_stalled && is_only
                    };
                    if refused && node.link.is_some_and(leaves) {
                        reason = PubAckReason::ImplementationSpecificError;
                        // It is a new message if it comes again [MQTT-4.3.3-9].
                        if let Some(word) = node.seen.get_mut(number as usize / 64) {
                            *word &= !(1 << (number % 64));
                        }
                        node.refused.push(number);
                    }
                    node.client.acknowledge(self.now, delivery, reason);
                }
                Ok(())
            }
            Event::StallDown(client, is_stalled) => {
                if let Some(link) = node(client).and_then(|node| node.link) {
                    self.links[link].is_down_stalled = is_stalled;
                }
                Ok(())
            }
            Event::StallUp(client, is_stalled) => {
                if let Some(link) = node(client).and_then(|node| node.link) {
                    self.links[link].is_up_stalled = is_stalled;
                }
                Ok(())
            }
            Event::Wait(millis) => self.wait(Duration::from_millis(millis.into())),
            Event::Forget(client) => self.forget(client.into()),
            Event::Restart(client) => self.restart(client.into()),
            Event::Crash(is_kept) => self.crash(is_kept),
            Event::Commit => {
                self.disk.commit(&mut self.broker, self.now);
                Ok(())
            }
            Event::Fail => {
                if let Some(token) = self.disk.fail() {
                    self.is_exact = false;
                    self.broker.handle_commit_failed(self.now, token, StoreError::Failed);
                }
                Ok(())
            }
            Event::Compact => {
                self.disk.compact(&mut self.broker, &self.model, self.now);
                Ok(())
            }
            Event::Right(client, topic, allowed) => {
                let number = usize::from(client);
                if self.setup.broker.asks_read && number < self.nodes.len() {
                    self.model.set_right(number, topic, allowed);
                    let name = super::names::CLIENT_IDS[number];
                    self.broker.rights_changed(self.now, Some(name));
                }
                Ok(())
            }
            Event::Reply => {
                if let Some(read) = self.reads.pop_front() {
                    self.reply(read);
                }
                Ok(())
            }
        }
    }

    pub(super) fn reply(&mut self, read: Read) {
        let allowed = self.model.denied[read.client] >> read.topic & 1 == 0;
        self.broker.answer_read(self.now, read.request, allowed);
    }

    fn connect(&mut self, client: usize) -> Check {
        if client >= self.nodes.len() {
            return Ok(());
        }
        if let Some(link) = self.nodes[client].link {
            self.cut_client(link)?;
        }
        if self.nodes[client].is_hopeless {
            self.nodes[client].begin_anew(&self.setup, client);
        }
        let id = self.broker.open(self.now, PeerInfo::default());
        let Ok(id) = id else {
            return Err(Fault::new(Invariant::I11, || format!("no connection: {id:?}")));
        };
        let node = &mut self.nodes[client];
        let link = Link::new(self.next_link, client, id, node.setup.will, self.now);
        self.next_link += 1;
        let at = match self.links.iter().position(Link::is_free) {
            Some(at) => {
                self.links[at].renew(link);
                at
            }
            None => {
                self.links.push(link);
                self.links.len() - 1
            }
        };
        node.link = Some(at);
        node.client.handle_connected(self.now);
        Ok(())
    }

    /// The broker sees the end of a connection; what was on its way to it is lost.
    pub(super) fn cut_broker(&mut self, at: usize) -> Check {
        let link = &mut self.links[at];
        if !link.has_broker {
            return Ok(());
        }
        let (id, client, serial) = (link.id, link.client, link.serial);
        self.broker.handle_eof(id, self.now);
        if self.model.link_of(client) == Some(serial) {
            self.model.leave(client, self.now);
        }
        self.drop_broker_end(at);
        Ok(())
    }

    pub(super) fn drop_broker_end(&mut self, at: usize) {
        let link = &mut self.links[at];
        link.has_broker = false;
        link.up.lose();
        let node = &mut self.nodes[link.client];
        node.may_be_new |= !self.is_exact && matches!(link.stage, Stage::Accepted { .. });
        if node.late == Some(at) {
            node.late = None;
        }
    }

    /// A client sees the end of its connection; what was on its way to it is lost.
    pub(super) fn cut_client(&mut self, at: usize) -> Check {
        let client = self.links[at].client;
        self.nodes[client].client.handle_eof(self.now);
        self.hear_client(client)?;
        self.drop_client_end(at)
    }

    /// The client has no more to do with a connection. Until the broker sees the end of it too it
    /// is the client's late one.
    pub(super) fn drop_client_end(&mut self, at: usize) -> Check {
        let link = &mut self.links[at];
        if !link.has_client {
            return Ok(());
        }
        link.has_client = false;
        link.down.clear();
        let node = &mut self.nodes[link.client];
        node.is_in_doubt |= link.is_new_session && !link.is_open;
        node.has_torn |= link.up.is_torn() || link.is_up_stalled;
        node.link = None;
        let (has_broker, earlier) = (link.has_broker, node.late);
        if has_broker {
            if let Some(earlier) = earlier {
                self.cut_broker(earlier)?;
            }
            let client = self.links[at].client;
            self.nodes[client].late = Some(at);
        }
        Ok(())
    }

    fn leave(&mut self, client: usize, with_will: bool) -> Check {
        let Some(node) = self.nodes.get_mut(client) else { return Ok(()) };
        let reason = match with_will {
            true => DisconnectReason::DisconnectWithWillMessage,
            false => DisconnectReason::NormalDisconnection,
        };
        // Without a connection there is nothing to leave.
        let _not_connected = node.client.disconnect(self.now, &DisconnectOptions::new(reason));
        Ok(())
    }

    fn publish(&mut self, client: usize, what: &Publish) -> Check {
        let Some(node) = self.nodes.get_mut(client) else { return Ok(()) };
        let number = self.messages.len() as u32;
        let bytes = number.to_be_bytes();
        let payload = match what.body {
            Body::Number => Bytes::copy_from_slice(&bytes),
            Body::Empty => Bytes::new(),
            Body::Large => {
                let mut payload = vec![0; LARGE];
                payload[..4].copy_from_slice(&bytes);
                payload.into()
            }
        };
        let topic = TopicName::new(TOPICS[usize::from(what.topic)]).expect("a topic");
        let mut publication = Publication::new(topic, payload);
        publication.qos = QoS::try_from(what.qos).expect("a QoS");
        publication.retain = what.retain;
        let mut properties = PropertyBuf::new();
        if what.expiry > 0 {
            node.has_expiry = true;
            properties.message_expiry_interval(what.expiry.into());
            publication.properties = properties.as_properties();
        }
        // A client without a connection, or with enough to do, takes nothing.
        if let Ok(id) = node.client.publish(self.now, publication) {
            let number = if what.body == Body::Empty { EMPTY } else { number };
            node.published.extend(id.map(|id| (id, number)));
            self.messages.push(Message {
                may_repeat: what.retain,
                is_taken: false,
                is_acknowledged: false,
                stored_behind: None,
            });
            node.note_peak();
        }
        Ok(())
    }

    fn subscribe(&mut self, client: usize, what: &Subscribe) -> Check {
        let Some(node) = self.nodes.get_mut(client) else { return Ok(()) };
        let filter = TopicFilter::new(FILTERS[usize::from(what.filter)]).expect("a filter");
        let options = SubscriptionOptions {
            qos: QoS::try_from(what.qos).expect("a QoS"),
            no_local: what.no_local && usize::from(what.filter) < FIRST_SHARED,
            retain_as_published: what.retain_as_published,
            retain_handling: match what.retain_handling {
                0 => RetainHandling::SendAlways,
                1 => RetainHandling::SendIfNew,
                _ => RetainHandling::DoNotSend,
            },
        };
        let result =
            node.client.subscribe(&[(filter, options)], Properties::EMPTY, node.setup.buffer());
        i12_wire(result.is_ok(), || format!("a subscription is not taken: {result:?}"))?;
        node.subscriptions.extend(result.ok());
        Ok(())
    }

    /// A client's process ends and begins again.
    fn forget(&mut self, client: usize) -> Check {
        let Some(node) = self.nodes.get(client) else { return Ok(()) };
        if let Some(link) = node.link {
            self.drop_client_end(link)?;
        }
        self.nodes[client].forget(&self.setup, client);
        Ok(())
    }

    /// The broker's process ends and begins again.
    fn crash(&mut self, is_kept: bool) -> Check {
        for at in 0..self.links.len() {
            self.drop_broker_end(at);
        }
        self.reads.clear();
        let seed = seed(self.setup.seed, self.starts);
        self.starts += 1;
        let config = self.setup.broker.config();
        let denied = self.model.denied;
        if self.setup.broker.store == StoreSetup::None {
            self.broker = Broker::new(config, seed);
            self.model = Model::empty_like(&self.model);
            return Ok(());
        }
        self.disk.end(is_kept);
        self.disk.check_restart(&self.broker)?;
        let (changes, model) = self.disk.crash(&self.model, self.now);
        let restored = Broker::restore(config, seed, self.now, changes);
        self.broker = match restored {
            Ok(broker) => broker,
            Err(error) => {
                return Err(Fault::new(Invariant::I14, || format!("no restart: {error}")));
            }
        };
        self.model = model;
        self.model.denied = denied;
        self.model.restart(self.now);
        self.check_acknowledged()?;
        for (client, denied) in denied.into_iter().enumerate() {
            for topic in (0..TOPICS.len() as u8).filter(|topic| denied >> topic & 1 == 1) {
                self.model.doubt(client, topic);
            }
        }
        if self.is_exact {
            self.broker.handle_timeout(self.now);
            let published = self.broker.statistics().wills_published;
            self.is_exact &= self.model.resolve_wills(published, self.now);
            let gauges = self.broker.gauges();
            let (sessions, subscriptions) = self.model.counts();
            let retained = self.model.retained.iter().flatten().count();
            let found = (gauges.sessions, gauges.subscriptions, gauges.retained_messages);
            i14_durable(found, (sessions, subscriptions, retained))?;
        }
        Ok(())
    }
}

impl World {
    /// Whatever was acknowledged is there after a restart.
    fn check_acknowledged(&mut self) -> Check {
        let (is_exact, stored) = (self.is_exact, self.model.stored);
        for (number, message) in self.messages.iter_mut().enumerate() {
            if message.stored_behind.take_if(|before| *before >= stored).is_some() {
                let is_lost = message.is_acknowledged && is_exact;
                i14_durable((number, !is_lost), (number, true))?;
            }
        }
        Ok(())
    }
}

fn seed(seed: u64, start: u64) -> [u8; 32] {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&start.to_le_bytes());
    bytes
}

/// How many bytes an event means.
fn all_of(most: u16) -> usize {
    if most == 0 { usize::MAX } else { most.into() }
}
