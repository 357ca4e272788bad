//! What is checked after every event, and how a schedule ends.

use super::event::Event;
use super::invariants::{
    Check, Fault, Invariant, i1_at_least_once, i4_at_rest, i6_memory, i7_sessions, i8_wills,
    i9_retained, i10_one_member, i11_nothing_waits,
};
use super::setup::{LARGE, StoreSetup};
use super::world::World;

/// Rounds after which a world whose clients are all back should be at rest.
const ROUNDS: usize = 10_000;

/// Bytes of a message that is not large, topic, properties and payload.
const SMALL: usize = 64;

impl World {
    /// What holds at every moment.
    pub(super) fn check(&mut self) -> Check {
        for at in 0..self.links.len() {
            self.check_client_side(at)?;
        }
        if !self.is_exact {
            return Ok(());
        }
        let gauges = self.broker.gauges();
        i7_sessions((gauges.sessions, gauges.subscriptions), self.model.counts())?;
        let statistics = self.broker.statistics();
        i8_wills(statistics.wills_published, self.model.wills)?;
        let retained = self.model.retained.iter().flatten().count();
        i9_retained(gauges.retained_messages, retained)?;
        let held = retained + self.model.groups.waiting() + self.model.held();
        // What a commit that fails would bring back is held until it is committed.
        if gauges.uncommitted_changes == 0 {
            i6_memory(&gauges, held, held * (LARGE + SMALL))?;
        }
        if statistics.dropped.queue_full != self.model.overflows {
            let (told, model) = (statistics.dropped.queue_full, self.model.overflows);
            return Err(Fault::new(Invariant::I1, || {
                format!("{told} messages are counted as dropped from full queues, {model} were")
            }));
        }
        self.check_waiting()
    }

    /// The broker has sent what it may.
    fn check_waiting(&mut self) -> Check {
        for at in 0..self.links.len() {
            let link = &self.links[at];
            let Some(session) = &self.model.sessions[link.client] else { continue };
            if session.link == Some(link.serial)
                && session.replaying != 0
                && session.sender.in_flight < link.most_down
                && !session.owed.iter().any(|copy| copy.needs_room())
                && self.is_sending(at)
            {
                let session = self.model.sessions[self.links[at].client].as_mut();
                session.into_iter().for_each(|session| session.replaying = 0);
                continue;
            }
            if session.link == Some(link.serial)
                && !(session.owed.is_empty() && session.sender.open.is_empty())
                && self.is_sending(at)
            {
                let has_room = session.sender.in_flight < link.most_down;
                i11_nothing_waits(session, has_room, self.now)
                    .map_err(|fault| fault.at(format_args!("c{}", link.client)))?;
            }
        }
        Ok(())
    }

    /// A client that may send has sent.
    fn check_client_side(&self, at: usize) -> Check {
        let link = &self.links[at];
        if !link.has_client || !link.is_open || link.is_up_stalled || link.has_left {
            return Ok(());
        }
        let node = &self.nodes[link.client];
        let has_room = node.sender.in_flight < link.most_up;
        let waits = node.client.outgoing_messages() > node.sender.open.len();
        let again = node.sender.open.iter().any(|exchange| exchange.again);
        if has_room && (waits || again) && !link.up.is_torn() {
            return Err(Fault::new(Invariant::I11, || {
                format!("c{} does not send what it may: {:?}", link.client, node.sender)
            }));
        }
        Ok(())
    }

    /// Lets everybody come back and everything be carried to its end, and checks what holds at
    /// rest; then lets every session end, and checks that nothing is left.
    ///
    /// # Errors
    ///
    /// An invariant does not hold.
    pub fn finish(&mut self) -> Check {
        self.setup.broker.slow_replies = false;
        self.come_to_rest()?;
        self.check_at_rest()?;
        self.end_everything()
    }

    fn come_to_rest(&mut self) -> Check {
        while !self.reads.is_empty() {
            self.apply(&Event::Reply)?;
        }
        if self.setup.broker.store == StoreSetup::Slow {
            // The store has become fast.
            self.setup.broker.store = StoreSetup::Fast;
            self.apply(&Event::Commit)?;
            self.apply(&Event::Wait(2000))?;
        }
        for client in 0..self.nodes.len() as u8 {
            self.apply(&Event::StallUp(client, false))?;
            self.apply(&Event::StallDown(client, false))?;
            self.apply(&Event::CutLate(client))?;
        }
        for _ in 0..ROUNDS {
            if !self.round()? {
                return Ok(());
            }
        }
        Err(Fault::new(Invariant::I11, || "the world never comes to rest".to_owned()))
    }

    /// Everybody is connected, everything is carried, everything is answered. Returns whether
    /// there was anything to do.
    fn round(&mut self) -> Result<bool, Fault> {
        let mut is_busy = false;
        for client in 0..self.nodes.len() as u8 {
            let number = usize::from(client);
            if self.nodes[number].late.is_some() {
                is_busy = true;
                self.apply(&Event::CutLate(client))?;
            }
            match self.nodes[number].link {
                None => {
                    is_busy = true;
                    self.apply(&Event::Connect(client))?;
                }
                Some(at) => {
                    if self.links[at].up.waiting() > 0 {
                        is_busy = true;
                        self.apply(&Event::Up(client, 0))?;
                    }
                    let link = &self.links[at];
                    if link.down.waiting() > 0 || !link.has_broker {
                        is_busy = true;
                        self.apply(&Event::Down(client, 0))?;
                    }
                }
            }
            while !self.nodes[number].deliveries.is_empty() {
                is_busy = true;
                self.apply(&Event::Answer(client, 0, false))?;
            }
        }
        Ok(is_busy)
    }

    fn check_at_rest(&mut self) -> Check {
        for session in self.model.sessions.iter_mut().flatten() {
            session.sender.forget_given_up();
        }
        for (number, node) in self.nodes.iter().enumerate() {
            let place = |fault: Fault| fault.at(format_args!("c{number} at rest"));
            i4_at_rest(&node.sender).map_err(place)?;
            let unanswered = match node.is_in_doubt {
                true => 0,
                false => node.client.unacknowledged_deliveries(),
            };
            let waiting = (node.client.outgoing_messages(), unanswered);
            if waiting != (0, 0) || !node.published.is_empty() {
                return Err(place(Fault::new(Invariant::I1, || {
                    format!("{waiting:?} messages, and {:?} are not answered", node.published)
                })));
            }
            let at = node.link.ok_or_else(|| {
                Fault::new(Invariant::I11, || format!("c{number} is not connected at rest"))
            })?;
            let link = &self.links[at];
            if !link.due_broker.is_empty() || !link.due_client.is_empty() {
                return Err(place(Fault::new(Invariant::I11, || {
                    format!("not answered: {:?}, {:?}", link.due_broker, link.due_client)
                })));
            }
            if let Some(session) = &self.model.sessions[number]
                && self.is_exact
            {
                i1_at_least_once(session, self.now).map_err(place)?;
                i4_at_rest(&session.sender).map_err(place)?;
            }
        }
        if self.is_exact { i10_one_member(self.model.groups.lost(self.now)) } else { Ok(()) }
    }

    fn end_everything(&mut self) -> Check {
        for client in 0..self.nodes.len() as u8 {
            self.apply(&Event::Leave(client, false))?;
            self.apply(&Event::Late(client, 0))?;
            self.apply(&Event::Late(client, 0))?;
        }
        // Longer than any session and any message lives.
        self.apply(&Event::Wait(100_000_000))?;
        let gauges = self.broker.gauges();
        let left = (gauges.connections, gauges.sessions, gauges.subscriptions);
        i7_sessions(left, (0, 0, 0))?;
        i6_memory(&gauges, gauges.retained_messages, gauges.retained_bytes)?;
        let timer = self.broker.poll_timeout();
        if timer.is_some() && self.is_exact {
            return Err(Fault::new(Invariant::I6, || format!("a timer is left: {timer:?}")));
        }
        if gauges.uncommitted_changes + gauges.uncommitted_bytes > 0 {
            return Err(Fault::new(Invariant::I6, || format!("not stored at rest: {gauges:?}")));
        }
        Ok(())
    }
}

/// What whoever draws events wants to know.
impl World {
    /// Whether a client has a connection.
    pub(super) fn is_connected(&self, client: u8) -> bool {
        self.nodes[usize::from(client)].link.is_some()
    }

    /// How many bytes of a client, or for it, are under way.
    pub(super) fn waiting(&self, client: u8, is_up: bool) -> usize {
        let Some(at) = self.nodes[usize::from(client)].link else { return 0 };
        let link = &self.links[at];
        if is_up { link.up.waiting() } else { link.down.waiting() }
    }

    /// How long the packet is that comes next, or as much of it as was sent.
    pub(super) fn next_packet(&self, client: u8, is_up: bool) -> usize {
        let Some(at) = self.nodes[usize::from(client)].link else { return 0 };
        let link = &self.links[at];
        let pipe = if is_up { &link.up } else { &link.down };
        pipe.next(usize::MAX).len()
    }

    /// Whether a batch is out.
    pub(super) fn is_committing(&self) -> bool {
        self.disk.is_out()
    }

    /// Whether a client's process has begun again without what it knew.
    #[cfg(test)]
    pub(super) fn has_forgotten(&self, client: u8) -> bool {
        self.nodes[usize::from(client)].has_forgotten
    }

    /// How many connections the broker has, those of one client that are open included.
    pub(super) fn standing(&self, client: u8) -> (usize, usize) {
        let is_its = |link: &&super::link::Link| {
            link.client == usize::from(client)
                && link.has_broker
                && link.stage == super::link::Stage::Open
        };
        (self.broker.gauges().connections, self.links.iter().filter(is_its).count())
    }

    /// Whether the broker has not seen the end of a connection that its client has given up.
    pub(super) fn has_ended(&self, client: u8) -> bool {
        self.nodes[usize::from(client)].late.is_some()
    }

    /// Whether an application has messages to answer.
    pub(super) fn has_deliveries(&self, client: u8) -> bool {
        !self.nodes[usize::from(client)].deliveries.is_empty()
    }

    /// Whether something is on its way: to the broker, to the client, to the broker on the
    /// connection that the client has given up.
    pub(super) fn has_waiting(&self, client: u8) -> (bool, bool, bool) {
        let node = &self.nodes[usize::from(client)];
        let current = node.link.map(|at| &self.links[at]);
        let up =
            current.is_some_and(|link| link.up.waiting() > 0 && self.broker.accepts_input(link.id));
        let down = current.is_some_and(|link| link.down.waiting() > 0 || !link.has_broker);
        (up, down, node.late.is_some())
    }
}
