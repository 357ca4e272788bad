//! A client that keeps its session state across connections and crashes of the broker, and what it
//! can know of its session in the broker.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use mqtt_codec::Frame;
use mqtt_session::Time;
use mqtt_tests::Peer;

/// A message of its own that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// Which one.
    pub(crate) message: u32,
    pub(crate) qos: u8,
    /// PUBREC has come.
    pub(crate) is_recorded: bool,
}

/// A SUBSCRIBE to everything that is under way.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: u16,
    pub(crate) qos: u8,
    /// The QoS of the subscription that it replaces.
    pub(crate) before: Option<u8>,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) peer: Option<Peer>,
    pub(crate) is_connected: bool,
    /// Connections that it has given up and that the broker may not have.
    pub(crate) ghosts: Vec<Peer>,
    /// Whether it asked for a new session and was not told yet that it has one: then it asks again.
    pub(crate) is_new: bool,
    pub(crate) life: Life,
    pub(crate) inbox: VecDeque<Frame>,
    /// Its own exchanges by packet identifier, and the order in which they began.
    pub(crate) outgoing: BTreeMap<u16, Outgoing>,
    pub(crate) order: VecDeque<u16>,
    /// Messages of its own that were refused.
    pub(crate) refused: VecDeque<u32>,
    /// QoS 2 identifiers of the broker that it has delivered and that are not released.
    pub(crate) recorded: BTreeSet<u16>,
    /// What its application got: number and the QoS it came with.
    pub(crate) delivered: Vec<(u32, u8)>,
    /// The QoS of its subscription to everything, as far as it is known.
    pub(crate) subscribed: Option<u8>,
    pub(crate) asked: Option<Asked>,
    /// How many requests whose answers do not matter.
    pub(crate) requests: u16,
    /// The will that is published if it does not come back.
    pub(crate) will: Option<u32>,
    /// The will of the CONNECT that is not answered.
    pub(crate) will_asked: Option<u32>,
}

impl Client {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            name: format!("client {number}"),
            peer: None,
            is_connected: false,
            ghosts: Vec::new(),
            is_new: false,
            life: Life::default(),
            inbox: VecDeque::new(),
            outgoing: BTreeMap::new(),
            order: VecDeque::new(),
            refused: VecDeque::new(),
            recorded: BTreeSet::new(),
            delivered: Vec::new(),
            subscribed: None,
            asked: None,
            requests: 0,
            will: None,
            will_asked: None,
        }
    }

    /// The lowest identifier that is not in use: they come back soon.
    pub(crate) fn draw_id(&self) -> u16 {
        let asked = self.asked.as_ref().map(|asked| asked.id);
        let is_free = |id: &u16| !self.outgoing.contains_key(id) && Some(*id) != asked;
        (1..).find(is_free).unwrap()
    }

    /// An exchange of its own is over.
    pub(crate) fn finish(&mut self, id: u16) {
        self.outgoing.remove(&id);
        self.order.retain(|&other| other != id);
    }

    /// Its session is over, and what belonged to it.
    pub(crate) fn forget_session(&mut self) {
        self.outgoing.clear();
        self.order.clear();
        self.recorded.clear();
        self.subscribed = None;
        self.life = Life { asked: self.life.asked, ..Life::default() };
    }
}

/// What a client can know of how long its session lives in the broker.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// CONNACK has said that there is a session.
    is_told: bool,
    /// What the Session Expiry Interval may be, in seconds.
    shortest: u32,
    longest: u32,
    /// That of a CONNECT that is not answered.
    asked: Option<u32>,
    /// Since when the session may have had no connection, at the earliest and at the latest.
    gone: Option<(Time, Time)>,
    /// Whether the session may be over, or must be, when the CONNECT came.
    pub(crate) may_be_over: bool,
    pub(crate) must_be_over: bool,
}

impl Life {
    /// A CONNECT is sent.
    pub(crate) fn ask(&mut self, now: Time, interval: u32, has_ghosts: bool) {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        self.may_be_over =
            !self.is_told || self.gone.is_some_and(|(at, _)| at + seconds(self.shortest) <= now);
        self.must_be_over = self.is_told
            && !has_ghosts
            && self.gone.is_some_and(|(_, at)| at + seconds(self.longest) <= now);
        self.asked = Some(interval);
    }

    /// Whether a CONNECT is not answered.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// The CONNECT was accepted.
    pub(crate) fn accept(&mut self) {
        let interval = self.asked.take().expect("a CONNECT was sent");
        (self.shortest, self.longest) = (interval, interval);
        self.is_told = true;
        self.gone = None;
    }

    /// The CONNECT was refused: everything is as before.
    pub(crate) fn refuse(&mut self) {
        self.asked = None;
    }

    /// The broker has lost a connection of the client, between these moments.
    pub(crate) fn lose(&mut self, first: Time, last: Time) {
        self.gone = Some((self.gone.map_or(first, |(before, _)| before), last));
    }

    /// The client does not know whether its CONNECT was accepted, and never will.
    pub(crate) fn give_up(&mut self) {
        if let Some(interval) = self.asked.take() {
            self.shortest = self.shortest.min(interval);
            self.longest = self.longest.max(interval);
        }
    }

    /// The broker has crashed: a session that has no connection may be without one only now.
    pub(crate) fn crash(&mut self, now: Time) {
        self.lose(now, now);
    }
}
