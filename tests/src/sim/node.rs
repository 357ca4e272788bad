//! A simulated client: its machine, its application, and what the wire has shown of it.

use std::collections::VecDeque;

use mqtt_session::{Client, Delivery, PublishId, SubscriptionKey};

use super::exchanges::{Receiver, Sender};
use super::note::PublishNote;
use super::saved::Saved;
use super::setup::{ClientSetup, SessionSetup, Setup};

/// A message that the application has to answer.
#[derive(Debug)]
pub(super) struct Owed {
    pub(super) delivery: Delivery,
    pub(super) number: u32,
    /// The identifier at QoS 2, until the broker releases it or the session ends.
    pub(super) pid: Option<u16>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) client: Client,
    pub(super) setup: ClientSetup,
    /// How often its process has begun.
    incarnation: usize,
    /// The connection that it has, and the one that it has given up and the broker has not.
    pub(super) link: Option<usize>,
    pub(super) late: Option<usize>,
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    /// The message that has just come to it whole and is new, and whether the application was
    /// told of it.
    pub(super) expected: Option<PublishNote>,
    pub(super) is_told: bool,
    /// Messages that the application has refused, and that are not known to have been refused
    /// before the server: the refusal may wait for a connection on which the message comes again,
    /// and end with that one before it leaves.
    pub(super) refused: Vec<u32>,
    /// What the application has not answered.
    pub(super) deliveries: VecDeque<Owed>,
    pub(super) subscriptions: Vec<SubscriptionKey>,
    /// QoS 1 and 2 messages that were accepted and have not ended.
    pub(super) published: Vec<(PublishId, u32)>,
    /// The QoS 2 messages that have come to the application.
    pub(super) seen: Vec<u64>,
    /// The last message that was sent first at each topic and QoS.
    pub(super) last_sent: [[u32; 3]; 8],
    /// How often its session was to be saved and was as before.
    pub(super) unchanged: u32,
    /// The most messages and requests that it ever had under way or waiting.
    pub(super) peak: usize,
    /// Part of a packet has left, or was about to: it may be sent again though it never left
    /// whole.
    pub(super) has_torn: bool,
    /// The broker has a new session for it, and the CONNACK that said so was lost: whatever it
    /// keeps of the old one is of no use, and it can't know.
    pub(super) is_in_doubt: bool,
    /// It began again without what it knew.
    pub(super) has_forgotten: bool,
    /// Its session holds so much that it has forgotten that it can't go on with it.
    pub(super) is_hopeless: bool,
    /// Some of its messages expire.
    pub(super) has_expiry: bool,
    /// What its process would leave behind, if it saves late.
    pub(super) saved: Option<Box<Saved>>,
    /// A commit failed, and the broker may have begun a new session for it in which no CONNACK
    /// left.
    pub(super) may_be_new: bool,
}

impl Node {
    pub(super) fn new(setup: &Setup, number: usize) -> Self {
        let own = setup.clients[number];
        Self {
            client: client(setup, &own, number, 0),
            setup: own,
            incarnation: 0,
            link: None,
            late: None,
            sender: Sender::default(),
            receiver: Receiver::default(),
            expected: None,
            is_told: false,
            refused: Vec::new(),
            deliveries: VecDeque::new(),
            subscriptions: Vec::new(),
            published: Vec::new(),
            seen: Vec::new(),
            last_sent: [[0; 3]; 8],
            unchanged: 0,
            peak: 0,
            has_torn: false,
            is_in_doubt: false,
            has_forgotten: false,
            is_hopeless: false,
            has_expiry: false,
            saved: None,
            may_be_new: false,
        }
    }

    /// The process begins again and knows nothing; every other time with the configuration of the
    /// next client.
    pub(super) fn forget(&mut self, setup: &Setup, number: usize) {
        self.incarnation += 1;
        let of = (number + self.incarnation % 2) % setup.clients.len();
        self.setup = setup.clients[of];
        // Wills that a restart makes due at the same moment come in any order: each that is
        // retained keeps a topic of its own.
        if let Some(will) = self.setup.will.as_mut().filter(|will| will.retain) {
            will.topic = number as u8;
        }
        self.client = client(setup, &self.setup, number, self.incarnation);
        self.sender.clear();
        self.receiver.clear();
        self.expected = None;
        self.refused.clear();
        self.deliveries.clear();
        self.subscriptions.clear();
        self.published.clear();
        self.seen.clear();
        self.peak = 0;
        self.has_torn = false;
        self.is_in_doubt = false;
        self.has_forgotten = true;
        self.is_hopeless = false;
        self.saved = None;
    }

    /// The process begins again with a new session: somebody has looked after it.
    pub(super) fn begin_anew(&mut self, setup: &Setup, number: usize) {
        self.forget(setup, number);
        self.setup.session = SessionSetup::Clean;
        self.client = client(setup, &self.setup, number, self.incarnation);
    }

    /// Nobody waits for the answers to these any more, whose messages will not come again.
    pub(super) fn let_go(&mut self, which: impl Fn(u16) -> bool) {
        for owed in &mut self.deliveries {
            owed.pid.take_if(|pid| which(*pid));
        }
    }

    /// The process begins again: the seed of its machine is another one.
    pub(super) fn next_seed(&mut self, setup: &Setup, number: usize) -> [u8; 32] {
        self.incarnation += 1;
        seed(setup, number, self.incarnation)
    }

    pub(super) fn note_peak(&mut self) {
        let requests = self.sender.requests.len();
        self.peak = self.peak.max(self.client.outgoing_messages() + requests).max(self.sender.peak);
    }
}

fn client(setup: &Setup, own: &ClientSetup, number: usize, incarnation: usize) -> Client {
    let client = Client::new(own.config(number), seed(setup, number, incarnation));
    let mut client = client.expect("a configuration that fits into CONNECT");
    // Somebody reads also what comes for a subscription that has ended.
    client.subscribe_unmatched(own.buffer());
    client
}

fn seed(setup: &Setup, number: usize, incarnation: usize) -> [u8; 32] {
    let mut seed = [number as u8; 32];
    seed[..8].copy_from_slice(&setup.seed.to_le_bytes());
    seed[8..16].copy_from_slice(&(incarnation as u64).to_le_bytes());
    seed
}
