//! A broker with a virtual clock and any number of raw clients, without sockets.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Buf;
use mqtt_codec::{Decoded, DisconnectReason, Frame, Limits, PropertyBuf, decode};
use mqtt_session::{
    Broker, BrokerConfig, BrokerEvent, CloseCause, ConnectAnswer, ConnectRequest, ConnectionId,
    OpenError, PeerInfo, Time, TransmitBuf,
};

use crate::disk::Disk;
use crate::peer::{Connection, Peer};
use crate::pieces::Pieces;
use crate::scripted::ConnectScript;
use crate::transcript::{self, Transcript};

/// With this environment variable every test runs over a durable broker, whose store checks what a
/// restart would find at each commit.
const DURABLE: &str = "MQTT_TESTS_DURABLE";

/// A broker, driven as its contract says, and the raw clients that talk to it.
///
/// After every call the broker is at rest: its events are taken, and what it has to send has come
/// to the clients that read, decoded and checked. Nothing waits for real time; the same calls
/// give the same bytes.
#[derive(Debug)]
pub struct Wire {
    broker: Broker,
    now: Time,
    peers: Vec<Connection>,
    by_id: BTreeMap<ConnectionId, Peer>,
    decisions: VecDeque<BrokerEvent>,
    pieces: Pieces,
    budget: usize,
    transcript: Transcript,
    pub(crate) disk: Disk,
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

impl Wire {
    /// A broker with the default configuration.
    pub fn new() -> Self {
        Self::configured(|_| {})
    }

    /// A broker whose configuration differs from the default.
    pub fn configured(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let mut config = BrokerConfig::default();
        config.durable = std::env::var_os(DURABLE).is_some();
        change(&mut config);
        Self {
            broker: Broker::new(config, [7; 32]),
            now: Time::ZERO,
            peers: Vec::new(),
            by_id: BTreeMap::new(),
            decisions: VecDeque::new(),
            pieces: Pieces::Whole,
            budget: 64 * 1024,
            transcript: Transcript::default(),
            disk: Disk::default(),
        }
    }

    /// A durable broker, whose batches are committed at once.
    pub fn durable() -> Self {
        Self::configured(|config| config.durable = true)
    }

    /// From here on, where the bytes of each send are cut before the broker gets them.
    pub fn cut_into(&mut self, pieces: Pieces) {
        self.pieces = pieces;
    }

    /// From here on, about how many bytes are taken from a connection at once.
    pub fn set_budget(&mut self, bytes: usize) {
        self.budget = bytes;
    }

    /// Makes a network connection; `name` is for the transcript.
    pub fn open(&mut self, name: &str) -> Peer {
        self.open_from(name, PeerInfo::default()).expect("the broker takes the connection")
    }

    /// Makes a network connection from somewhere.
    ///
    /// # Errors
    ///
    /// The broker does not take it.
    pub fn open_from(&mut self, name: &str, info: PeerInfo) -> Result<Peer, OpenError> {
        let id = self.broker.open(self.now, info)?;
        let peer = Peer(self.peers.len());
        let earlier = self.peers.iter().filter(|other| other.name.starts_with(name)).count();
        let name = if earlier == 0 { name.to_owned() } else { format!("{name}/{}", earlier + 1) };
        self.transcript.note(format_args!("{name} connected"));
        self.peers.push(Connection::new(id, &name));
        self.by_id.insert(id, peer);
        self.settle();
        Ok(peer)
    }

    /// Makes a network connection and an MQTT connection on it.
    ///
    /// # Panics
    ///
    /// If the broker does not accept the CONNECT.
    pub fn connect(&mut self, script: ConnectScript) -> Peer {
        let peer = self.open(script.client_id());
        self.send(peer, script);
        self.expect_connack(peer);
        peer
    }

    /// Takes the CONNACK out of what came to a client.
    ///
    /// # Panics
    ///
    /// If something else came first, or a refusal.
    pub fn expect_connack(&mut self, peer: Peer) {
        let answer = self.peers[peer.0].take_first();
        assert!(answer.as_deref().is_some_and(|line| line.starts_with("CONNACK 00")), "{answer:?}");
    }

    /// Sends bytes; they are cut as [`cut_into`](Self::cut_into) says.
    pub fn send(&mut self, peer: Peer, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.note_sent(peer, &bytes);
        let connection = &mut self.peers[peer.0];
        connection.referee.note_sent(&bytes);
        connection.unread.extend_from_slice(&bytes);
        self.feed(peer);
        self.settle();
    }

    /// Sends several packets in one go.
    pub fn send_all(&mut self, peer: Peer, packets: impl IntoIterator<Item = Vec<u8>>) {
        let bytes: Vec<u8> = packets.into_iter().flatten().collect();
        self.send(peer, bytes);
    }

    /// Ends a connection from the client's side without a DISCONNECT.
    pub fn cut(&mut self, peer: Peer) {
        self.transcript.note(format_args!("{} cut", self.peers[peer.0].name));
        self.peers[peer.0].at_eof = true;
        self.feed(peer);
        self.settle();
    }

    /// The client stops reading: its socket takes nothing more.
    pub fn stop_reading(&mut self, peer: Peer) {
        self.peers[peer.0].reads = false;
    }

    /// The client reads again, and gets what waits for it.
    pub fn read_again(&mut self, peer: Peer) {
        self.peers[peer.0].reads = true;
        if core::mem::take(&mut self.peers[peer.0].is_waiting) {
            self.transmit(peer);
        }
        self.settle();
    }

    /// Lets time pass: the broker is told of it at each of its deadlines on the way.
    pub fn advance(&mut self, duration: Duration) {
        self.transcript.note(format_args!("{duration:?} pass"));
        let end = self.now + duration;
        let mut idle = 0;
        while let Some(deadline) = self.broker.poll_timeout().filter(|next| next.at <= end) {
            idle = if deadline.at > self.now { 0 } else { idle + 1 };
            assert!(idle < 10_000, "the timer {:?} spins at {}", deadline.timer, deadline.at);
            self.now = self.now.max(deadline.at);
            self.broker.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// Lets whole seconds pass.
    pub fn advance_secs(&mut self, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
    }

    /// What came to a client since the last call, a line a packet, then `closed` if the connection
    /// has ended.
    pub fn receive(&mut self, peer: Peer) -> Vec<String> {
        self.peers[peer.0].take_lines()
    }

    /// What came to a client since the last call, as packets.
    pub fn receive_frames(&mut self, peer: Peer) -> Vec<Frame> {
        self.peers[peer.0].take_frames()
    }

    /// Every byte that came to a client.
    pub fn bytes(&self, peer: Peer) -> &[u8] {
        self.peers[peer.0].bytes()
    }

    /// Whether the CONNACK said that the session was there.
    pub fn session_present(&self, peer: Peer) -> bool {
        self.peers[peer.0].referee.session_present()
    }

    /// Why the connection has ended; `None` while it has not.
    pub fn cause(&self, peer: Peer) -> Option<CloseCause> {
        self.peers[peer.0].cause
    }

    /// How many bytes the client sent that the broker does not read for now.
    pub fn unread(&self, peer: Peer) -> usize {
        self.peers[peer.0].unread.len()
    }

    /// The next CONNECT that the broker wants a decision about.
    pub fn next_request(&mut self) -> Option<ConnectRequest> {
        match self.decisions.pop_front() {
            Some(BrokerEvent::Connect(request)) => Some(request),
            Some(other) => panic!("not a CONNECT to decide about: {other:?}"),
            None => None,
        }
    }

    /// The next decision of any kind that the broker asks for.
    pub fn next_decision(&mut self) -> Option<BrokerEvent> {
        self.decisions.pop_front()
    }

    /// Calls the broker as its driver would, and lets it come to rest.
    pub fn call(&mut self, call: impl FnOnce(&mut Broker, Time)) {
        call(&mut self.broker, self.now);
        self.settle();
    }

    /// Decides about a CONNECT.
    pub fn answer_connect(&mut self, request: ConnectRequest, answer: ConnectAnswer) {
        self.broker.answer_connect(self.now, request, answer);
        self.settle();
    }

    /// Ends a connection from the broker's side.
    pub fn disconnect(&mut self, peer: Peer, reason: DisconnectReason) {
        self.broker.disconnect(self.peers[peer.0].id, self.now, reason, &PropertyBuf::new());
        self.settle();
    }

    /// Shuts the broker down.
    pub fn shutdown(&mut self) {
        self.transcript.note("shutdown");
        self.broker.shutdown(self.now);
        self.settle();
    }

    /// The broker.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The broker, to be called past its driver. Call [`settle`](Self::settle) afterwards.
    pub fn broker_mut(&mut self) -> &mut Broker {
        &mut self.broker
    }

    /// The identifier that the broker gave to a connection.
    pub fn id(&self, peer: Peer) -> ConnectionId {
        self.peers[peer.0].id
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// All that was said so far.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Forgets what was said so far, so that a transcript begins with what matters.
    pub fn clear_transcript(&mut self) {
        self.transcript = Transcript::default();
    }

    /// Drives the broker until it is at rest.
    ///
    /// # Panics
    ///
    /// If it never is.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            let mut is_at_rest = !self.disk.turn(&mut self.broker, self.now);
            while let Some(event) = self.broker.poll_event() {
                is_at_rest = false;
                self.on_event(event);
            }
            while let Some(id) = self.broker.poll_ready() {
                is_at_rest = false;
                let peer = self.by_id[&id];
                if self.peers[peer.0].reads {
                    self.transmit(peer);
                } else {
                    self.peers[peer.0].is_waiting = true;
                }
            }
            if self.broker.poll_timeout().is_some_and(|deadline| deadline.at <= self.now) {
                is_at_rest = false;
                self.broker.handle_timeout(self.now);
            }
            if is_at_rest {
                return;
            }
        }
        panic!("the broker does not come to rest");
    }

    pub(crate) fn disk_and_broker(&mut self) -> (&mut Disk, &mut Broker) {
        (&mut self.disk, &mut self.broker)
    }

    pub(crate) fn note(&mut self, line: &str) {
        self.transcript.note(line);
    }

    /// Another broker is there, and no connection of the one before.
    pub(crate) fn replace_broker(&mut self, broker: Broker) {
        self.broker = broker;
        self.by_id.clear();
        self.decisions.clear();
        for peer in self.peers.iter_mut().filter(|peer| peer.cause.is_none()) {
            peer.cause = Some(CloseCause::ConnectionLost);
            peer.unread.clear();
        }
    }

    fn on_event(&mut self, event: BrokerEvent) {
        match event {
            BrokerEvent::Connect(_)
            | BrokerEvent::Authenticate(_)
            | BrokerEvent::Publish(_)
            | BrokerEvent::Subscribe(_)
            | BrokerEvent::Read(_) => self.decisions.push_back(event),
            BrokerEvent::Resume(id) => {
                assert!(self.broker.accepts_input(id), "Resume for what is not read");
                self.feed(self.by_id[&id]);
            }
            BrokerEvent::Closed { id, cause } => {
                let peer = self.by_id.remove(&id).expect("a connection is closed once");
                let connection = &mut self.peers[peer.0];
                connection.cause = Some(cause);
                connection.unread.clear();
                self.transcript.note(format_args!("{} closed: {cause:?}", connection.name));
            }
            _ => {}
        }
    }

    /// Hands the broker what a client has sent, as far as it takes it.
    fn feed(&mut self, peer: Peer) {
        let connection = &mut self.peers[peer.0];
        let id = connection.id;
        let bytes = core::mem::take(&mut connection.unread);
        let mut rest = &bytes[..];
        while !rest.is_empty() && self.broker.accepts_input(id) {
            let (piece, behind) = self.pieces.split(bytes.len() - rest.len(), rest);
            self.broker.handle_input(id, self.now, piece);
            rest = behind;
        }
        let connection = &mut self.peers[peer.0];
        connection.unread = rest.to_vec();
        if connection.at_eof && connection.unread.is_empty() {
            connection.at_eof = false;
            self.broker.handle_eof(id, self.now);
        }
    }

    fn transmit(&mut self, peer: Peer) {
        let mut out = TransmitBuf::new();
        let connection = &mut self.peers[peer.0];
        self.broker.poll_transmit(connection.id, self.now, &mut out, self.budget);
        let bytes = out.copy_to_bytes(out.remaining());
        if bytes.is_empty() {
            return;
        }
        for line in connection.take(&bytes) {
            self.transcript.note(format_args!("{} <- {line}", connection.name));
        }
    }

    fn note_sent(&mut self, peer: Peer, mut bytes: &[u8]) {
        let name = &self.peers[peer.0].name;
        while !bytes.is_empty() {
            match decode(bytes, &Limits::new()) {
                Ok(Decoded::Packet(packet, len)) => {
                    self.transcript.note(format_args!("{name} -> {}", transcript::line(&packet)));
                    bytes = &bytes[len..];
                }
                Ok(Decoded::NeedMore(_)) | Err(_) => {
                    self.transcript.note(format_args!("{name} -> {}", transcript::hex(bytes)));
                    return;
                }
            }
        }
    }
}
