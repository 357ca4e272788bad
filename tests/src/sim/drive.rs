//! Drives the machines as their contracts say, until nothing more can happen by itself.

use std::time::Duration;

use bytes::Buf;
use mqtt_session::{
    BrokerEvent, ClientCloseCause, ClientEvent, CloseCause, PublishOutcome, ReceivedMessage, Time,
};

use super::invariants::{Check, Fault, Invariant, i2_exactly_once, i7_sessions, i12_wire};
use super::names;
use super::node::Owed;
use super::note::{EMPTY, is_will};
use super::setup::StoreSetup;
use super::world::{Read, World};

/// Turns after which a world that is not at rest never will be: more than there are bytes to be
/// sent one by one.
const TURNS: usize = 1_000_000;

/// How long the broker waits for an answer about a right.
const DECISION: Duration = Duration::from_secs(5);

impl World {
    /// Lets time pass: each machine is told of it at its deadlines on the way.
    pub(super) fn wait(&mut self, duration: Duration) -> Check {
        let end = self.now + duration;
        for _ in 0..TURNS {
            let broker = self.broker.poll_timeout().map(|deadline| deadline.at);
            let clients = self.nodes.iter().filter_map(|node| node.client.poll_timeout());
            let clients = clients.map(|deadline| deadline.at).min();
            let next = [broker, clients, self.model.next_due()].into_iter().flatten().min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = end;
                return self.settle();
            };
            self.now = self.now.max(next);
            self.settle()?;
        }
        Err(Fault::new(Invariant::I11, || "timers never come to rest".to_owned()))
    }

    /// Brings all machines to rest.
    pub(super) fn settle(&mut self) -> Check {
        for _ in 0..TURNS {
            let mut is_busy = self.timers()?;
            // The model that goes with a batch knows of every end that is in it.
            while let Some(event) = self.broker.poll_event() {
                is_busy = true;
                self.on_broker_event(event)?;
            }
            is_busy |=
                self.disk.turn(self.setup.broker.store, &mut self.broker, &self.model, self.now);
            is_busy |= self.transmit_ready()?;
            for client in 0..self.nodes.len() {
                is_busy |= self.drive_client(client)?;
            }
            if !is_busy {
                return Ok(());
            }
        }
        Err(Fault::new(Invariant::I11, || "the machines never come to rest".to_owned()))
    }

    /// Tells the machines whose deadlines have come. Returns whether there was one.
    fn timers(&mut self) -> Result<bool, Fault> {
        let now = self.now;
        let is_due = |at: Time| at <= now;
        let mut is_busy = false;
        if self.broker.poll_timeout().is_some_and(|deadline| is_due(deadline.at)) {
            is_busy = true;
            self.lapse_reads();
            self.broker.handle_timeout(now);
            // Connections that ended by this are over for their sessions.
            for at in 0..self.links.len() {
                let link = &self.links[at];
                if link.has_broker && self.broker.is_closing(link.id) {
                    self.left(at);
                }
            }
        }
        if self.model.next_due().is_some_and(is_due) {
            is_busy = true;
            self.model.advance(now);
        }
        for node in &mut self.nodes {
            if node.client.poll_timeout().is_some_and(|deadline| is_due(deadline.at)) {
                is_busy = true;
                node.client.handle_timeout(now);
            }
        }
        Ok(is_busy)
    }

    /// Questions that were not answered in time: what waited for them is dropped.
    fn lapse_reads(&mut self) {
        while let Some(read) = self.reads.front() {
            if self.now.duration_since(read.asked_at) < DECISION {
                return;
            }
            self.model.doubt(read.client, read.topic);
            self.reads.pop_front();
        }
    }

    /// The session of a connection has lost it.
    fn left(&mut self, at: usize) {
        let link = &self.links[at];
        if self.model.link_of(link.client) == Some(link.serial) {
            self.model.leave(link.client, self.now);
        }
    }

    fn on_broker_event(&mut self, event: BrokerEvent) -> Check {
        match event {
            BrokerEvent::Closed { id, cause } => {
                let is_it = |link: &super::link::Link| link.has_broker && link.id == id;
                let Some(at) = self.links.iter().position(is_it) else { return Ok(()) };
                self.left(at);
                self.drop_broker_end(at);
                match cause {
                    CloseCause::Ended(reason) => self.check_blame(at, reason),
                    CloseCause::Refused(reason) => {
                        i12_wire(!self.is_exact, || format!("a good CONNECT is refused: {reason}"))
                    }
                    CloseCause::NotMqtt => {
                        i12_wire(false, || "a good client does not speak MQTT".to_owned())
                    }
                    _ => Ok(()),
                }
            }
            BrokerEvent::Read(request) => {
                let client = names::client(request.client_id()).expect("a client of this world");
                let topic = names::topic(request.topic()).expect("a topic of this world");
                let read = Read { request, client, topic, asked_at: self.now };
                if self.setup.broker.slow_replies {
                    self.reads.push_back(read);
                } else {
                    self.reply(read);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes what the broker has to send. Returns whether there was anything.
    fn transmit_ready(&mut self) -> Result<bool, Fault> {
        let mut is_busy = false;
        for at in 0..self.links.len() {
            let link = &mut self.links[at];
            if link.is_waiting && !link.is_down_stalled && link.has_broker {
                link.is_waiting = false;
                is_busy = true;
                self.transmit(at)?;
            }
        }
        while let Some(id) = self.broker.poll_ready() {
            is_busy = true;
            let is_it = |link: &super::link::Link| link.has_broker && link.id == id;
            let Some(at) = self.links.iter().position(is_it) else { continue };
            if self.links[at].is_down_stalled && !self.broker.is_closing(id) {
                self.links[at].is_waiting = true;
            } else {
                self.transmit(at)?;
            }
        }
        Ok(is_busy)
    }

    fn transmit(&mut self, at: usize) -> Check {
        let id = self.links[at].id;
        self.broker.poll_transmit(id, self.now, &mut self.out, self.setup.broker.budget);
        let link = &mut self.links[at];
        while self.out.has_remaining() {
            let chunk = self.out.chunk();
            link.down.write(chunk);
            let len = chunk.len();
            self.out.advance(len);
        }
        self.out.reset(1 << 16);
        loop {
            let link = &mut self.links[at];
            let Some(note) = link.down.parse(&mut link.down_reader)? else { break };
            self.broker_sent(at, &note)
                .map_err(|fault| fault.at(format_args!("broker to c{}", self.links[at].client)))?;
        }
        let link = &mut self.links[at];
        i12_wire(!link.down.is_torn(), || "half a packet was sent".to_owned())?;
        if !link.has_client {
            link.down.clear();
        }
        Ok(())
    }

    /// Takes what a client tells its application. Returns whether there was anything.
    pub(super) fn hear_client(&mut self, client: usize) -> Result<bool, Fault> {
        let mut is_busy = false;
        while let Some(event) = self.nodes[client].client.poll_event() {
            is_busy = true;
            self.on_client_event(client, event)
                .map_err(|fault| fault.at(format_args!("c{client}")))?;
        }
        Ok(is_busy)
    }

    /// Drives one client. Returns whether it did anything.
    fn drive_client(&mut self, client: usize) -> Result<bool, Fault> {
        let is_busy = self.hear_client(client)?;
        let Some(at) = self.nodes[client].link else { return Ok(is_busy) };
        if self.links[at].is_up_stalled {
            return Ok(is_busy);
        }
        let node = &mut self.nodes[client];
        node.note_peak();
        let budget = node.setup.budget;
        node.client.poll_transmit(self.now, &mut self.out, budget);
        if self.out.is_empty() {
            return Ok(is_busy);
        }
        let link = &mut self.links[at];
        while self.out.has_remaining() {
            let chunk = self.out.chunk();
            link.up.write(chunk);
            let len = chunk.len();
            self.out.advance(len);
        }
        self.out.reset(1 << 16);
        loop {
            let link = &mut self.links[at];
            let Some(note) = link.up.parse(&mut link.up_reader)? else { break };
            self.client_sent(at, &note)
                .map_err(|fault| fault.at(format_args!("c{client} to broker")))?;
        }
        let link = &mut self.links[at];
        if !link.has_broker {
            link.up.lose();
        }
        if self.nodes[client].setup.saves_late {
            // What was told is not saved.
            self.hear_client(client)?;
            self.nodes[client].save(self.now)?;
        }
        Ok(true)
    }

    fn on_client_event(&mut self, client: usize, event: ClientEvent) -> Check {
        let is_exact = self.is_exact;
        let node = &mut self.nodes[client];
        match event {
            ClientEvent::Readable(reader) => {
                while let Some(received) = self.nodes[client].client.poll_message(reader) {
                    self.on_message(client, received)?;
                }
                Ok(())
            }
            ClientEvent::Published { id, outcome } => {
                let at = node.published.iter().position(|(known, _)| *known == id);
                let Some(at) = at else {
                    return Err(Fault::new(Invariant::I1, || {
                        format!("a message ended twice: {outcome:?}")
                    }));
                };
                let (_, number) = node.published.swap_remove(at);
                match outcome {
                    PublishOutcome::Acknowledged(_) => {
                        let message = self.messages.get(number as usize);
                        let is_taken = message.is_none_or(|message| message.is_taken);
                        if is_taken {
                            return Ok(());
                        }
                        Err(Fault::new(Invariant::I1, || {
                            format!("message {number} is acknowledged and never came")
                        }))
                    }
                    PublishOutcome::Refused(_) => i12_wire(!is_exact || node.has_forgotten, || {
                        format!("message {number} is refused")
                    }),
                    PublishOutcome::SessionLost | PublishOutcome::Expired => Ok(()),
                    other => Err(Fault::new(Invariant::I12, || format!("{number}: {other:?}"))),
                }
            }
            ClientEvent::Connected(negotiated) => {
                let at = node.link.map(|at| self.links[at].is_open);
                let _ = negotiated;
                i7_sessions(at, Some(true))
            }
            ClientEvent::Closed(cause) => {
                self.check_close(client, &cause)?;
                match self.nodes[client].link {
                    // What it handed out before is on its way.
                    Some(at) => self.drop_client_end(at),
                    None => Ok(()),
                }
            }
            ClientEvent::SubscribeFailed { error, .. } => {
                Err(Fault::new(Invariant::I12, || format!("a subscription failed: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// A reader gets a message. Each reader that it is for gets the same one.
    fn on_message(&mut self, client: usize, received: ReceivedMessage) -> Check {
        let node = &mut self.nodes[client];
        let ReceivedMessage { message, delivery } = received;
        let number = message.payload().first_chunk();
        let number = number.map_or(EMPTY, |bytes| u32::from_be_bytes(*bytes));
        let is_it = node.expected.is_some_and(|note| {
            note.number == number
                && note.qos == u8::from(message.qos())
                && note.retain == message.retain()
                && names::topic(message.topic()) == Some(note.topic)
        });
        let is_again = node.expected.is_none() && message.qos() == mqtt_codec::QoS::ExactlyOnce;
        if !is_it {
            return Err(Fault::new(if is_again { Invariant::I2 } else { Invariant::I12 }, || {
                format!("the application is told of {message:?}, and {:?} came", node.expected)
            }));
        }
        let pid = node.expected.filter(|note| note.qos == 2).map(|note| note.pid);
        node.deliveries.extend(delivery.map(|delivery| Owed { delivery, number, pid }));
        if core::mem::replace(&mut node.is_told, true) {
            return Ok(());
        }
        // A retained message comes anew for each subscription, and a will for each end.
        let is_once = message.qos() == mqtt_codec::QoS::ExactlyOnce
            && number != EMPTY
            && !is_will(number)
            && self.messages.get(number as usize).is_some_and(|message| !message.may_repeat);
        if is_once { i2_exactly_once(&mut node.seen, number) } else { Ok(()) }
    }

    fn check_close(&self, client: usize, cause: &ClientCloseCause) -> Check {
        let is_fine = match cause {
            ClientCloseCause::Violation(_) => false,
            ClientCloseCause::Refused { .. } => !self.is_exact,
            _ => true,
        };
        i12_wire(is_fine, || format!("client {client} blames the broker: {cause}"))
    }

    /// Carries bytes of a client to the broker, as far as it takes them.
    pub(super) fn carry_up(&mut self, at: usize, most: usize) -> Check {
        let mut left = most;
        loop {
            let link = &mut self.links[at];
            if !link.has_broker || left == 0 {
                return Ok(());
            }
            if link.up.waiting() == 0 {
                if !link.has_client {
                    return self.cut_broker(at);
                }
                return Ok(());
            }
            if !self.broker.accepts_input(link.id) {
                // A connection that the broker is about to close is not read any more.
                return Ok(());
            }
            let bytes = link.up.next(left);
            let len = bytes.len();
            left -= len;
            let before = self.broker.statistics().packets_received;
            self.broker.handle_input(link.id, self.now, bytes);
            let note = link.up.advance(len);
            let taken = self.broker.statistics().packets_received - before;
            if taken != u64::from(note.is_some()) {
                return Err(Fault::new(Invariant::I11, || {
                    format!("the broker has taken {taken} packets, and {note:?} came whole")
                }));
            }
            if let Some(note) = note {
                self.broker_took(at, &note)?;
            }
        }
    }

    /// Carries bytes of the broker to a client.
    pub(super) fn carry_down(&mut self, at: usize, most: usize) -> Check {
        let mut left = most;
        loop {
            let link = &mut self.links[at];
            if !link.has_client || left == 0 {
                return Ok(());
            }
            if link.down.waiting() == 0 {
                // Whoever has read something looks what to say to it before he reads on.
                if !link.has_broker && left == most {
                    return self.cut_client(at);
                }
                return Ok(());
            }
            let node = &mut self.nodes[link.client];
            let bytes = link.down.next(left);
            let len = bytes.len();
            left -= len;
            let client = link.client;
            // One that is leaving does not listen any more.
            let is_deaf = link.is_open && node.client.negotiated().is_none();
            node.client.handle_input(self.now, bytes);
            if is_deaf {
                link.down.advance(len);
                continue;
            }
            if let Some(note) = link.down.advance(len) {
                self.client_took(at, &note)
                    .map_err(|fault| fault.at(format_args!("broker to c{client}")))?;
            }
            self.hear_client(client)?;
            let node = &mut self.nodes[client];
            let is_told = core::mem::take(&mut node.is_told);
            let expected = node.expected.take();
            // One that was refused is new again, if the refusal has left [MQTT-4.3.3-9].
            let is_known = expected.is_some_and(|note| node.refused.contains(&note.number));
            if is_told && let Some(note) = expected {
                node.refused.retain(|number| *number != note.number);
            }
            i12_wire(is_told == expected.is_some() || is_known, || {
                format!("c{client}: the application is not told of {expected:?}")
            })?;
        }
    }

    /// Whether nothing holds the broker back from sending on a connection.
    pub(super) fn is_sending(&self, at: usize) -> bool {
        let link = &self.links[at];
        let is_stored = self.setup.broker.store == StoreSetup::None
            || (!self.disk.is_out() && self.broker.gauges().uncommitted_changes == 0);
        link.has_broker
            && link.stage == super::link::Stage::Open
            && !link.is_down_stalled
            && is_stored
            && self.reads.iter().all(|read| read.client != link.client)
            && !self.broker.is_closing(link.id)
    }
}
