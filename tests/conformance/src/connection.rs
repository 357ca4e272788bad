//! A raw connection to the implementation under test.
//!
//! What comes is kept in the order of its coming until somebody asks for it, so that no answer can
//! be missed: whoever waits for a packet finds it, whether it came before or comes later.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use mqtt_codec::{Decoded, Decoder, Frame, Limits, Packet, PacketType, decode};
use mqtt_tests::scripted;

use crate::{
    client::Watch,
    finding::{Finding, Outcome, fail},
    journal::{Direction, Journal},
    message::Message,
    referee::Referee,
};

/// How long the other side may take to close what it has to close, before it is asked whether it
/// is still there. An earlier question could make the operating system throw a last packet away.
const GRACE: Duration = Duration::from_millis(250);

/// One network connection.
#[derive(Debug)]
pub(crate) struct Connection {
    name: String,
    stream: TcpStream,
    journal: Journal,
    watcher: Watcher,
    decoder: Decoder,
    pending: VecDeque<Frame>,
    /// Every byte that came, up to a few.
    first: Vec<u8>,
    is_closed: bool,
    patience: Duration,
}

/// Who looks at every packet, according to who is on the other side.
#[derive(Debug)]
enum Watcher {
    Broker(Referee),
    Client(Watch),
}

/// How a connection ended, as far as its last words go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// The reason of a CONNACK or DISCONNECT.
    Reason(PacketType, u8),
    /// Closed without one.
    Silent,
}

impl Connection {
    pub(crate) fn new(
        stream: TcpStream,
        name: &str,
        journal: Journal,
        patience: Duration,
    ) -> Outcome<Self> {
        let watcher = Watcher::Broker(Referee::new(journal.clone()));
        Self::watched(stream, name, journal, patience, watcher)
    }

    /// A connection that a client has made to us.
    pub(crate) fn of_client(
        stream: TcpStream,
        name: &str,
        journal: Journal,
        patience: Duration,
    ) -> Outcome<Self> {
        let watcher = Watcher::Client(Watch::new(journal.clone()));
        Self::watched(stream, name, journal, patience, watcher)
    }

    fn watched(
        stream: TcpStream,
        name: &str,
        journal: Journal,
        patience: Duration,
        watcher: Watcher,
    ) -> Outcome<Self> {
        stream.set_nodelay(true).map_err(|error| io_fault(&error))?;
        let name = journal.name(name);
        Ok(Self {
            name,
            stream,
            journal,
            watcher,
            decoder: Decoder::new(Limits::new()),
            pending: VecDeque::new(),
            first: Vec::new(),
            is_closed: false,
            patience,
        })
    }

    /// How long an answer may take.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Sends bytes, whatever they are.
    pub(crate) fn send(&mut self, bytes: impl Into<Vec<u8>>) -> Outcome {
        let bytes = bytes.into();
        self.journal.bytes(&self.name, Direction::Ours, &bytes);
        let mut rest = bytes.as_slice();
        while let Ok(Decoded::Packet(packet, len)) = decode(rest, &Limits::new()) {
            self.journal.residue(&packet);
            match &mut self.watcher {
                Watcher::Broker(referee) => referee.sent(&packet),
                Watcher::Client(watch) => watch.sent(&packet),
            }
            rest = rest.get(len..).unwrap_or_default();
        }
        if let (Watcher::Broker(referee), false) = (&mut self.watcher, rest.is_empty()) {
            referee.sent_wild();
        }
        match self.stream.write_all(&bytes) {
            Ok(()) => Ok(()),
            // It has closed; what it said before that is still to be read.
            Err(error) if is_end(error.kind()) => Ok(()),
            Err(error) => Err(io_fault(&error)),
        }
    }

    /// Reads once, until `deadline` at most; whether anything came or the end.
    fn read(&mut self, deadline: Instant) -> Outcome<bool> {
        if self.is_closed {
            return Ok(false);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        self.stream.set_read_timeout(Some(left)).map_err(|error| io_fault(&error))?;
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.end("closed"),
            Ok(count) => self.take(buffer.get(..count).unwrap_or_default())?,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_end(error.kind()) => self.end("reset"),
            Err(error) => return Err(io_fault(&error)),
        }
        Ok(true)
    }

    fn end(&mut self, how: &str) {
        self.is_closed = true;
        self.journal.line(&self.name, Direction::Theirs, how);
    }

    fn take(&mut self, bytes: &[u8]) -> Outcome {
        if self.first.len() < 64 {
            self.first.extend_from_slice(bytes);
        }
        self.decoder.feed(bytes);
        loop {
            let frame = match self.decoder.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.journal.bytes(&self.name, Direction::Theirs, bytes);
                    return fail(self.malformed(&error));
                }
            };
            self.journal.bytes(&self.name, Direction::Theirs, frame.as_bytes());
            match frame.packet() {
                Ok(packet) => {
                    self.journal.residue(&packet);
                    let size = frame.as_bytes().len();
                    match &mut self.watcher {
                        Watcher::Broker(referee) => referee.received(&packet, size),
                        Watcher::Client(watch) => watch.received(&packet, size),
                    }
                }
                // The refusal that clients of MQTT 3.1.1 expect is not of this version.
                Err(_) if self.first == OLD_REFUSAL => return Ok(()),
                Err(error) => return fail(self.malformed(&error)),
            }
            self.pending.push_back(frame);
        }
    }

    fn malformed(&self, error: &mqtt_codec::DecodeError) -> String {
        match &self.watcher {
            Watcher::Broker(referee) => referee.malformed(error),
            Watcher::Client(watch) => watch.malformed(error),
        }
    }

    /// Waits for a packet that `pick` takes; others stay for whoever asks for them.
    pub(crate) fn wait<T>(
        &mut self,
        what: &str,
        pick: impl FnMut(&Packet<'_>) -> Option<T>,
    ) -> Outcome<T> {
        let patience = self.patience;
        self.wait_for(what, patience, pick)
    }

    /// As [`wait`](Self::wait), with another patience.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut pick: impl FnMut(&Packet<'_>) -> Option<T>,
    ) -> Outcome<T> {
        let deadline = Instant::now() + patience;
        let mut seen = 0;
        loop {
            while let Some(frame) = self.pending.get(seen) {
                if let Some(found) = frame.packet().ok().and_then(|packet| pick(&packet)) {
                    self.pending.remove(seen);
                    return Ok(found);
                }
                seen += 1;
            }
            if self.is_closed {
                return fail(format!("{}: closed, and {what} was due", self.name));
            }
            if !self.read(deadline)? {
                let seconds = patience.as_secs_f64();
                return fail(format!("{}: no {what} within {seconds:.1} s", self.name));
            }
        }
    }

    /// The reason code of the CONNACK, or `None` where the connection was closed without one.
    pub(crate) fn answer(&mut self) -> Outcome<Option<u8>> {
        let answered = self.wait("an answer to CONNECT", |packet| match packet {
            Packet::ConnAck(connack) => Some(u8::from(connack.reason)),
            _ => None,
        });
        match answered {
            Ok(reason) => Ok(Some(reason)),
            Err(_) if self.is_closed() => Ok(None),
            Err(finding) => Err(finding),
        }
    }

    /// Everything that came so far and nobody asked for, by type.
    pub(crate) fn left(&self) -> Vec<PacketType> {
        self.pending.iter().map(Frame::packet_type).collect()
    }

    /// The bytes that came first.
    pub(crate) fn first_bytes(&self) -> &[u8] {
        &self.first
    }

    /// Takes the PUBLISHes that came so far.
    pub(crate) fn arrived(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        self.pending.retain(|frame| match frame.packet() {
            Ok(Packet::Publish(publish)) => {
                messages.push(Message::from(&publish));
                false
            }
            _ => true,
        });
        messages
    }

    /// PINGREQ and PINGRESP: what the other side had to answer before is here now.
    pub(crate) fn fence(&mut self) -> Outcome {
        self.send(scripted::pingreq())?;
        self.wait("PINGRESP", |packet| matches!(packet, Packet::PingResp).then_some(()))
    }

    /// The next PUBLISH, without answering it.
    pub(crate) fn publication(&mut self) -> Outcome<Message> {
        self.wait("PUBLISH", |packet| match packet {
            Packet::Publish(publish) => Some(Message::from(publish)),
            _ => None,
        })
    }

    /// The next PUBLISH, answered as its QoS demands.
    pub(crate) fn message(&mut self) -> Outcome<Message> {
        let message = self.publication()?;
        self.acknowledge(&message)?;
        Ok(message)
    }

    /// Answers a PUBLISH as its QoS demands, to the end of the exchange.
    pub(crate) fn acknowledge(&mut self, message: &Message) -> Outcome {
        match message.qos {
            0 => Ok(()),
            1 => self.send(scripted::puback(message.id)),
            _ => {
                self.send(scripted::pubrec(message.id))?;
                self.pubrel(message.id)?;
                self.send(scripted::pubcomp(message.id))
            }
        }
    }

    pub(crate) fn pubrel(&mut self, id: u16) -> Outcome {
        self.wait(&format!("PUBREL {id}"), |packet| match packet {
            Packet::PubRel(pubrel) if pubrel.packet_id.get() == id => Some(()),
            _ => None,
        })
    }

    pub(crate) fn puback(&mut self, id: u16) -> Outcome<u8> {
        self.wait(&format!("PUBACK {id}"), |packet| match packet {
            Packet::PubAck(puback) if puback.packet_id.get() == id => Some(puback.reason.into()),
            _ => None,
        })
    }

    pub(crate) fn pubrec(&mut self, id: u16) -> Outcome<u8> {
        self.wait(&format!("PUBREC {id}"), |packet| match packet {
            Packet::PubRec(pubrec) if pubrec.packet_id.get() == id => Some(pubrec.reason.into()),
            _ => None,
        })
    }

    pub(crate) fn pubcomp(&mut self, id: u16) -> Outcome<u8> {
        self.wait(&format!("PUBCOMP {id}"), |packet| match packet {
            Packet::PubComp(pubcomp) if pubcomp.packet_id.get() == id => {
                Some(pubcomp.reason.into())
            }
            _ => None,
        })
    }

    /// Publishes and waits for the end of the exchange; the reason code that the message got.
    pub(crate) fn publish(&mut self, publish: impl Into<Vec<u8>>) -> Outcome<u8> {
        let bytes = publish.into();
        let Ok(Decoded::Packet(Packet::Publish(packet), _)) = decode(&bytes, &Limits::new()) else {
            return fail("the suite built something that is no PUBLISH");
        };
        let (qos, id) = (packet.qos.qos() as u8, packet.qos.packet_id().map_or(0, |id| id.get()));
        self.send(bytes)?;
        match qos {
            0 => Ok(0),
            1 => self.puback(id),
            _ => {
                let reason = self.pubrec(id)?;
                if reason < 0x80 {
                    self.send(scripted::pubrel(id))?;
                    self.pubcomp(id)?;
                }
                Ok(reason)
            }
        }
    }

    /// Sends a SUBSCRIBE and waits for its SUBACK; the reason codes.
    pub(crate) fn subscribe(&mut self, subscribe: scripted::SubscribeScript) -> Outcome<Vec<u8>> {
        let bytes = Vec::from(subscribe);
        let id = packet_id(&bytes);
        self.send(bytes)?;
        self.wait(&format!("SUBACK {id}"), |packet| match packet {
            Packet::SubAck(suback) if suback.packet_id.get() == id => {
                Some(suback.reasons().map(u8::from).collect())
            }
            _ => None,
        })
    }

    /// As [`subscribe`](Self::subscribe), and every filter has to be granted.
    pub(crate) fn subscribed(&mut self, subscribe: scripted::SubscribeScript) -> Outcome {
        let reasons = self.subscribe(subscribe)?;
        match reasons.iter().find(|&&reason| reason >= 0x80) {
            None => Ok(()),
            Some(reason) => fail(format!("a SUBSCRIBE was refused with 0x{reason:02X}")),
        }
    }

    /// Sends an UNSUBSCRIBE and waits for its UNSUBACK; the reason codes.
    pub(crate) fn unsubscribe(&mut self, unsubscribe: Vec<u8>) -> Outcome<Vec<u8>> {
        let id = packet_id(&unsubscribe);
        self.send(unsubscribe)?;
        self.wait(&format!("UNSUBACK {id}"), |packet| match packet {
            Packet::UnsubAck(unsuback) if unsuback.packet_id.get() == id => {
                Some(unsuback.reasons().map(u8::from).collect())
            }
            _ => None,
        })
    }

    /// DISCONNECT 0x00, then the end from this side.
    pub(crate) fn disconnect(mut self) -> Outcome {
        self.send(scripted::disconnect())?;
        self.wait_closed("after DISCONNECT")
    }

    /// Cuts the connection, as a network does that fails.
    pub(crate) fn cut(mut self) {
        self.shut();
    }

    /// Cuts the connection and stays, to be replaced by the next one.
    pub(crate) fn shut(&mut self) {
        self.journal.line(&self.name, Direction::Ours, "the connection is cut");
        // It may be gone already.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        self.is_closed = true;
    }

    /// Waits until the other side has closed; what came before stays.
    pub(crate) fn wait_closed(&mut self, when: &str) -> Outcome {
        let patience = self.patience;
        self.wait_closed_for(patience, when)
    }

    /// As [`wait_closed`](Self::wait_closed), with another patience.
    pub(crate) fn wait_closed_for(&mut self, patience: Duration, when: &str) -> Outcome {
        let deadline = Instant::now() + patience;
        while !self.is_closed {
            if !self.read(deadline)? {
                return fail(format!("{}: the connection stays open {when}", self.name));
            }
        }
        Ok(())
    }

    /// Whether the other side has closed, as far as was read.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Waits for the end that a fault brings, and returns its last words.
    ///
    /// A broker that does not notice the fault answers a PINGREQ; that is known soon. One that says
    /// nothing at all is given the whole patience.
    pub(crate) fn farewell(&mut self, asks: bool) -> Outcome<Farewell> {
        let grace = Instant::now() + GRACE.min(self.patience / 2);
        while !self.is_closed && self.read(grace)? {}
        if !self.is_closed && asks {
            self.send(scripted::pingreq())?;
        }
        let deadline = Instant::now() + self.patience;
        while !self.is_closed {
            if self.left().contains(&PacketType::PingResp) {
                return fail(format!("{}: the connection stays open and serves on", self.name));
            }
            if !self.read(deadline)? {
                return fail(format!("{}: the connection stays open", self.name));
            }
        }
        Ok(self.last_words())
    }

    fn last_words(&self) -> Farewell {
        let words = self.pending.iter().rev().find_map(|frame| match frame.packet() {
            Ok(Packet::Disconnect(packet)) => {
                Some(Farewell::Reason(PacketType::Disconnect, packet.reason.into()))
            }
            Ok(Packet::ConnAck(packet)) if packet.reason.is_error() => {
                Some(Farewell::Reason(PacketType::ConnAck, packet.reason.into()))
            }
            _ => None,
        });
        words.unwrap_or(Farewell::Silent)
    }

    /// The last words of a connection that a fault ended have to be DISCONNECT with one of `codes`.
    /// Another reason and silence are weak; going on is a failure.
    pub(crate) fn refused(&mut self, codes: &[u8]) -> Outcome {
        match self.farewell(true)? {
            Farewell::Reason(_, reason) => {
                self.compare(reason, codes);
                Ok(())
            }
            Farewell::Silent => {
                self.journal.weak(format!("closed without DISCONNECT {}", listed(codes)));
                Ok(())
            }
        }
    }

    /// As [`refused`](Self::refused), of a CONNECT: whether there is a CONNACK is the server's
    /// choice.
    pub(crate) fn turned_away(&mut self, codes: &[u8]) -> Outcome {
        match self.farewell(false)? {
            Farewell::Reason(PacketType::ConnAck, reason) => {
                self.compare(reason, codes);
                Ok(())
            }
            Farewell::Reason(..) => fail("DISCONNECT in answer to a CONNECT"),
            Farewell::Silent if self.left().contains(&PacketType::ConnAck) => {
                fail("the CONNECT was accepted")
            }
            Farewell::Silent => Ok(()),
        }
    }

    /// As [`refused`](Self::refused), of a client: whatever it sends before it leaves, it leaves.
    pub(crate) fn left_by_client(&mut self, codes: &[u8]) -> Outcome {
        self.wait_closed("after a fault of the server")?;
        match self.last_words() {
            Farewell::Reason(_, reason) => self.compare(reason, codes),
            Farewell::Silent => {
                self.journal.weak(format!("closed without DISCONNECT {}", listed(codes)));
            }
        }
        Ok(())
    }

    fn compare(&self, reason: u8, codes: &[u8]) {
        if !codes.contains(&reason) {
            self.journal.weak(format!("reason 0x{reason:02X}, not {}", listed(codes)));
        }
    }
}

/// What a broker answers to a CONNECT of MQTT 3.1.1 that it does not serve.
pub(crate) const OLD_REFUSAL: &[u8] = &[0x20, 0x02, 0x00, 0x01];

fn listed(codes: &[u8]) -> String {
    codes.iter().map(|code| format!("0x{code:02X}")).collect::<Vec<_>>().join(" or ")
}

fn packet_id(bytes: &[u8]) -> u16 {
    match decode(bytes, &Limits::new()) {
        Ok(Decoded::Packet(Packet::Subscribe(packet), _)) => packet.packet_id.get(),
        Ok(Decoded::Packet(Packet::Unsubscribe(packet), _)) => packet.packet_id.get(),
        _ => 0,
    }
}

fn is_end(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
    )
}

/// A fault of the socket that says nothing about the protocol.
pub(crate) fn io_fault(error: &std::io::Error) -> Finding {
    Finding::Fail(format!("the connection failed: {error}"))
}
