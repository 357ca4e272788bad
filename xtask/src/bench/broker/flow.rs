//! The steady load: publishers that keep a stated number of messages under way, subscribers that
//! acknowledge and account for every one.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};

use super::{
    dial,
    ledger::{Faults, Ledger, Routes},
    link::Link,
    meter::{Cores, Meter, Usage},
    process::Broker,
    ring::Ring,
};
use crate::{
    bench::frame::{self, Frame, Protocol, Publish, Published, Stamp},
    error::Error,
};

/// After this long without a delivery, what is under way is lost.
const STALL: Duration = Duration::from_secs(3);

/// How often the clocks are read.
const READING: Duration = Duration::from_millis(50);

/// Every how many messages the whole payload is compared, not only its stamp.
const FULL_CHECK: u64 = 64;

/// A load.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) qos: u8,
    pub(super) payload_len: usize,
    /// The topics of each publisher, used in turn. All have one length.
    pub(super) publishers: Vec<Vec<String>>,
    /// The filters of each subscriber.
    pub(super) subscribers: Vec<Vec<String>>,
    pub(super) routes: Routes,
    /// How many messages a publisher may be ahead of its slowest subscriber.
    pub(super) ahead: u64,
    /// How many QoS 1 and 2 messages a publisher may have unacknowledged.
    pub(super) window: usize,
}

/// How long a load runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    pub(super) warm_up: Duration,
    /// The measured part ends when the broker has worked this long ...
    pub(super) work: Duration,
    /// ... or when this much time has passed.
    pub(super) at_most: Duration,
}

/// What a load showed.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Messages delivered in the measured part.
    pub(super) delivered: u64,
    /// What the measured part cost.
    pub(super) usage: Usage,
    /// What went wrong in the whole run.
    pub(super) faults: Faults,
}

/// A load whose clients are connected and subscribed.
#[derive(Debug)]
pub(super) struct Flow {
    poll: Poll,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    ledger: Ledger,
    ahead: u64,
    window: usize,
    protocol: Protocol,
}

#[derive(Debug)]
struct Publisher {
    link: Link,
    ring: Ring,
    number: u32,
    qos: u8,
    /// Which slots wait for their last acknowledgement.
    open: Vec<bool>,
    unacknowledged: usize,
}

#[derive(Debug)]
struct Subscriber {
    link: Link,
    number: usize,
    payload_len: usize,
}

impl Flow {
    /// Connects and subscribes everybody.
    pub(super) fn connect(
        address: SocketAddr,
        protocol: Protocol,
        plan: &Plan,
    ) -> Result<Self, Error> {
        let poll = Poll::new()?;
        let clients = plan.publishers.len() + plan.subscribers.len();
        let buffer = if clients <= 4 { 512 << 10 } else { (64 << 10).max(4 * plan.payload_len) };
        let mut token = 0;
        let mut link = |client: dial::Client| {
            token += 1;
            Link::new(client.into_stream()?, poll.registry(), Token(token - 1), buffer)
        };
        let mut publishers = Vec::new();
        for (number, topics) in plan.publishers.iter().enumerate() {
            let client = dial::connect(address, protocol, &format!("publisher-{number}"))?;
            publishers.push(Publisher::new(link(client)?, number, protocol, topics, plan)?);
        }
        let mut subscribers = Vec::new();
        for (number, filters) in plan.subscribers.iter().enumerate() {
            let mut client = dial::connect(address, protocol, &format!("subscriber-{number}"))?;
            client.subscribe(filters, plan.qos)?;
            let link = link(client)?;
            subscribers.push(Subscriber { link, number, payload_len: plan.payload_len });
        }
        let ledger = Ledger::new(plan.routes, publishers.len(), subscribers.len());
        let (ahead, window) = (plan.ahead, plan.window);
        Ok(Self { poll, publishers, subscribers, ledger, ahead, window, protocol })
    }

    /// Runs the load and waits until everything under way has arrived.
    pub(super) fn run(
        mut self,
        broker: &Broker,
        cores: Cores,
        length: Length,
    ) -> Result<Outcome, Error> {
        let mut events = Events::with_capacity(1024);
        let started = Instant::now();
        let mut progress = Progress { received: 0, at: started };

        while started.elapsed() < length.warm_up {
            self.turn(&mut events, true)?;
            progress.check(&mut self)?;
        }

        let before = self.ledger.received();
        let meter = Meter::start(broker, cores)?;
        let mut next_reading = Instant::now() + READING;
        let usage = loop {
            self.turn(&mut events, true)?;
            progress.check(&mut self)?;
            if Instant::now() < next_reading {
                continue;
            }
            let usage = meter.read(broker)?;
            if usage.broker >= length.work || usage.wall >= length.at_most {
                break usage;
            }
            next_reading = Instant::now() + READING;
        };
        let delivered = self.ledger.received() - before;

        while self.is_under_way() {
            self.turn(&mut events, false)?;
            progress.check(&mut self)?;
        }
        Ok(Outcome { delivered, usage, faults: self.ledger.faults() })
    }

    fn turn(&mut self, events: &mut Events, publish: bool) -> Result<(), Error> {
        if publish {
            self.publish()?;
        }
        self.poll.poll(events, Some(Duration::from_millis(20)))?;
        for event in events.iter() {
            let Token(at) = event.token();
            if let Some(publisher) = self.publishers.get_mut(at) {
                if event.is_writable() {
                    publisher.link.unblock();
                    publisher.flush()?;
                }
                if event.is_readable() {
                    publisher.read()?;
                }
            } else if let Some(subscriber) = self.subscribers.get_mut(at - self.publishers.len()) {
                if event.is_writable() {
                    subscriber.link.unblock();
                }
                subscriber.read(self.protocol, &mut self.ledger)?;
            }
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), Error> {
        for (at, publisher) in self.publishers.iter_mut().enumerate() {
            let limit = self.ledger.settled(at) + self.ahead;
            publisher.publish(limit, self.window)?;
        }
        Ok(())
    }

    fn is_under_way(&self) -> bool {
        self.publishers.iter().enumerate().any(|(at, publisher)| {
            self.ledger.settled(at) < publisher.ring.stamped() || publisher.unacknowledged > 0
        })
    }

    fn write_off(&mut self) {
        let sent: Vec<_> = self.publishers.iter().map(|p| p.ring.stamped()).collect();
        self.ledger.write_off(&sent);
        for publisher in &mut self.publishers {
            publisher.open.fill(false);
            publisher.unacknowledged = 0;
        }
    }
}

/// Notices that nothing arrives any more.
#[derive(Debug)]
struct Progress {
    received: u64,
    at: Instant,
}

impl Progress {
    fn check(&mut self, flow: &mut Flow) -> Result<(), Error> {
        let received = flow.ledger.received();
        if received != self.received {
            self.received = received;
            self.at = Instant::now();
        } else if self.at.elapsed() > STALL {
            if received == 0 {
                return Err(Error::new("not one message arrived"));
            }
            flow.write_off();
            self.at = Instant::now();
        }
        Ok(())
    }
}

impl Publisher {
    fn new(
        link: Link,
        number: usize,
        protocol: Protocol,
        topics: &[String],
        plan: &Plan,
    ) -> Result<Self, Error> {
        // At least twice what may be unacknowledged, so that a slot is free when it comes round;
        // some MiB of large payloads, so that one write can fill the socket.
        let target = ((1 << 20) / plan.payload_len.max(1)).clamp(32, 2048).max(2 * plan.window);
        let slots = topics.len() * target.div_ceil(topics.len().max(1));
        let frames: Vec<_> = topics
            .iter()
            .cycle()
            .take(slots)
            .enumerate()
            .map(|(slot, topic)| {
                let packet_id = u16::try_from(slot + 1).unwrap_or(0);
                let payload_len = plan.payload_len;
                let qos = plan.qos;
                let publish = Publish { topic, qos, retain: false, packet_id, payload_len };
                frame::publish(protocol, &publish)
            })
            .collect();
        let ring = Ring::new(&frames, plan.payload_len)
            .ok_or_else(|| Error::new("the topics of a publisher differ in length"))?;
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let open = vec![false; slots];
        Ok(Self { link, ring, number, qos: plan.qos, open, unacknowledged: 0 })
    }

    /// Sends messages up to number `limit`.
    fn publish(&mut self, limit: u64, window: usize) -> Result<(), Error> {
        while self.ring.stamped() < limit {
            if self.qos > 0 {
                let slot = self.ring.next_slot();
                if self.unacknowledged >= window || self.open.get(slot) == Some(&true) {
                    break;
                }
                if !self.ring.stamp(self.number) {
                    break;
                }
                if let Some(open) = self.open.get_mut(slot) {
                    *open = true;
                    self.unacknowledged += 1;
                }
            } else if !self.ring.stamp(self.number) {
                break;
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Error> {
        while !self.link.is_blocked() {
            if self.ring.is_between_frames() && !self.link.flush()? {
                break;
            }
            let pending = self.ring.pending();
            if pending.is_empty() {
                break;
            }
            let written = self.link.write(pending)?;
            self.ring.advance(written);
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Error> {
        let mut more = true;
        while more {
            more = self.link.fill()?;
            let mut releases = Vec::new();
            let mut consumed = 0;
            while let Some(found) =
                frame::split(self.link.input().get(consumed..).unwrap_or_default())
            {
                consumed += found.len;
                let id = found.packet_id().unwrap_or(0);
                if found.is_refusal() {
                    return Err(refused(&found));
                }
                match found.kind() {
                    // PUBREC is answered with PUBREL; the message stays open.
                    5 => releases.extend(frame::acknowledgement(0x62, id)),
                    4 | 7 => {
                        let slot = usize::from(id).wrapping_sub(1);
                        match self.open.get_mut(slot) {
                            Some(open) if *open => {
                                *open = false;
                                self.unacknowledged -= 1;
                            }
                            _ => return Err(refused(&found)),
                        }
                    }
                    _ => return Err(refused(&found)),
                }
            }
            self.link.consume(consumed);
            self.link.queue(&releases);
        }
        self.flush()
    }
}

impl Subscriber {
    fn read(&mut self, protocol: Protocol, ledger: &mut Ledger) -> Result<(), Error> {
        let mut answers = Vec::new();
        let mut more = true;
        while more {
            more = self.link.fill()?;
            let mut consumed = 0;
            while let Some(found) =
                frame::split(self.link.input().get(consumed..).unwrap_or_default())
            {
                consumed += found.len;
                match found.kind() {
                    3 => {
                        let published =
                            Published::read(protocol, &found).ok_or_else(|| refused(&found))?;
                        ledger.record(self.number, self.check(published.payload));
                        match published.qos {
                            0 => {}
                            1 => answers.extend(frame::acknowledgement(0x40, published.packet_id)),
                            _ => answers.extend(frame::acknowledgement(0x50, published.packet_id)),
                        }
                    }
                    6 => {
                        let id = found.packet_id().unwrap_or(0);
                        answers.extend(frame::acknowledgement(0x70, id));
                    }
                    _ => return Err(refused(&found)),
                }
            }
            self.link.consume(consumed);
            if !answers.is_empty() {
                self.link.queue(&answers);
                answers.clear();
                self.link.flush()?;
            }
        }
        self.link.flush()?;
        Ok(())
    }

    fn check(&self, payload: &[u8]) -> Option<Stamp> {
        let stamp = Stamp::read(payload)?;
        let whole = stamp.sequence % FULL_CHECK != 0 || frame::is_intact(payload);
        (whole && payload.len() == self.payload_len).then_some(stamp)
    }
}

fn refused(frame: &Frame<'_>) -> Error {
    let start = frame.body.get(..frame.body.len().min(16)).unwrap_or_default();
    Error::new(format!("the broker sent packet type {} with {start:02x?}", frame.kind()))
}
