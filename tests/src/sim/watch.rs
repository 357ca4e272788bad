//! What each machine takes and sends, packet by packet: the state of both ends of every exchange is
//! kept from the bytes alone, and what is sent is held against it and against the model.

use mqtt_codec::DisconnectReason;

use super::exchanges::Order;
use super::invariants::{
    Check, Fault, Invariant, i4_identifiers, i4_released, i7_sessions, i12_wire,
};
use super::invariants::{i3_order, i13_rights};
use super::link::Stage;
use super::note::{EMPTY, Kind, Note, Outcome, PublishNote};
use super::setup::StoreSetup;
use super::world::World;

impl World {
    /// The broker has taken a packet of a client.
    pub(super) fn broker_took(&mut self, at: usize, note: &Note) -> Check {
        let told = self.links[at].client;
        self.tell(format_args!("    broker takes of c{told}: {note:?}"));
        let now = self.now;
        let link = &mut self.links[at];
        let client = link.client;
        link.heard_at = now;
        if let Note::Connect(connect) = note {
            let (will, serial) = (link.will, link.serial);
            let present = self.model.connect(client, serial, connect, will, now);
            let link = &mut self.links[at];
            link.stage = Stage::Accepted { present };
            link.is_new_session = !present;
            if !present {
                self.nodes[client].is_in_doubt |= !link.has_client;
                // Should its CONNACK be lost, the client sends these again to a broker that has
                // forgotten them.
                for exchange in &self.nodes[client].sender.open {
                    if let Some(message) = self.messages.get_mut(exchange.number as usize) {
                        message.may_repeat = true;
                    }
                }
            }
            link.keep_alive = connect.keep_alive;
            link.most_down = connect.receive_maximum.min(self.setup.broker.send_maximum);
            return Ok(());
        }
        let serial = link.serial;
        let is_current = |session: &&mut Box<super::model::Session>| session.link == Some(serial);
        let Some(session) = self.model.sessions[client].as_mut().filter(is_current) else {
            return Ok(());
        };
        match note {
            // A client that forgets what it has under way, over and over, leaves identifiers behind
            // in a session that goes on: twice the Receive Maximum is enough.
            Note::Publish(publish)
                if self.nodes[client].has_forgotten
                    && publish.qos == 2
                    && !session.receiver.awaits(publish.pid)
                    && session.receiver.awaited()
                        >= 2 * usize::from(self.setup.broker.receive_maximum) =>
            {
                link.is_at_fault = true;
            }
            Note::Publish(publish) => {
                link.due_broker.push_for(publish);
                let is_refused = publish.qos == 1 && session.receiver.awaits(publish.pid);
                let is_new = !is_refused && session.receiver.published(publish);
                let before = self.model.stored;
                if is_new {
                    self.model.publish(client, publish, now);
                }
                if let Some(message) = self.messages.get_mut(publish.number as usize) {
                    message.is_taken = true;
                    if is_new {
                        // At QoS 1 it may come more than once, and be for other sessions each
                        // time: an acknowledgement is for the last time.
                        message.is_acknowledged = false;
                        message.stored_behind = (self.model.stored > before).then_some(before);
                    }
                }
            }
            Note::Ack(kind @ (Kind::PubAck | Kind::PubComp), pid, outcome) => {
                session.sender.answered(*kind, *pid, *outcome);
            }
            Note::Ack(Kind::PubRec, pid, outcome) => {
                session.sender.answered(Kind::PubRec, *pid, *outcome);
                if *outcome == Outcome::Fine {
                    link.due_broker.push(Kind::PubRel, *pid);
                }
            }
            Note::Ack(Kind::PubRel, pid, _) => {
                session.receiver.released(*pid);
                link.due_broker.push(Kind::PubComp, *pid);
            }
            Note::Subscribe(subscribe) => {
                link.due_broker.push(Kind::SubAck, subscribe.pid);
                self.model.subscribe(client, subscribe, now);
            }
            Note::Unsubscribe { pid, filters } => {
                link.due_broker.push(Kind::UnsubAck, *pid);
                self.model.unsubscribe(client, *filters);
            }
            Note::PingReq => link.due_broker.pings += 1,
            Note::Disconnect { reason, expiry } => {
                let is_normal = *reason == DisconnectReason::NormalDisconnection;
                self.model.disconnect(client, is_normal, *expiry, now);
            }
            Note::Connect(_)
            | Note::ConnAck { .. }
            | Note::PingResp
            | Note::Ack(Kind::SubAck | Kind::UnsubAck, ..) => {}
        }
        Ok(())
    }

    /// The broker sends a packet.
    pub(super) fn broker_sent(&mut self, at: usize, note: &Note) -> Check {
        let told = self.links[at].client;
        self.tell(format_args!("    broker sends to c{told}: {note:?}"));
        let link = &mut self.links[at];
        let (client, is_exact) = (link.client, self.is_exact);
        match (link.stage, note) {
            (Stage::Accepted { present: expected }, Note::ConnAck { present, refused, .. }) => {
                i12_wire(!refused || !is_exact, || "a good CONNECT was refused".to_owned())?;
                if *refused {
                    link.stage = Stage::Over;
                    return Ok(());
                }
                link.stage = Stage::Open;
                if is_exact {
                    i7_sessions(*present, expected)?;
                } else if let Some(session) = &mut self.model.sessions[client] {
                    if !present {
                        session.sender.clear();
                        session.receiver.clear();
                    } else if self.nodes[client].may_be_new {
                        session.sender.open.iter_mut().for_each(|other| other.optional = true);
                        // The client can't know either, and goes on with what the broker forgot.
                        let node = &mut self.nodes[client];
                        node.is_in_doubt = true;
                        for exchange in &node.sender.open {
                            if let Some(message) = self.messages.get_mut(exchange.number as usize) {
                                message.may_repeat = true;
                            }
                        }
                    }
                    self.nodes[client].may_be_new = false;
                }
                return Ok(());
            }
            (Stage::Open, Note::ConnAck { .. }) | (Stage::Opened | Stage::Over, _) => {
                return Err(misplaced(note));
            }
            (Stage::Accepted { .. }, Note::Disconnect { .. }) => {}
            (Stage::Accepted { .. }, _) => return Err(misplaced(note)),
            (Stage::Open, _) => {}
        }
        match note {
            Note::Publish(publish) => self.broker_published(at, publish),
            Note::Ack(Kind::PubRel, pid, _) => {
                if link.due_broker.answer(Kind::PubRel, *pid)? {
                    return Ok(());
                }
                let session = self.model.sessions[client].as_mut();
                let session = session.filter(|session| session.link == Some(link.serial));
                let Some(session) = session else { return Err(misplaced(note)) };
                let sender = &mut session.sender;
                if sender.released_again(*pid)? || sender.given_up(*pid) {
                    return Ok(());
                }
                // Its PUBLISH waited for the store, and is given up.
                let has_waited = self.setup.broker.store != StoreSetup::None;
                i12_wire(has_waited || !is_exact, || format!("nobody asked for {note:?}"))?;
                if sender.find(*pid).is_none() {
                    sender.given_up_unsent(*pid);
                }
                Ok(())
            }
            Note::Ack(kind, pid, outcome) => {
                if matches!(kind, Kind::PubAck | Kind::PubRec)
                    && let Some(number) = link.due_broker.message_of(*kind, *pid)
                    && let Some(message) = self.messages.get_mut(number as usize)
                {
                    message.is_acknowledged = true;
                }
                let is_due = link.due_broker.answer(*kind, *pid)?;
                i12_wire(is_due, || format!("nobody asked for {note:?}"))?;
                // It is a new message if it comes again [MQTT-4.3.3-9].
                if (*kind, *outcome) == (Kind::PubRec, Outcome::Error)
                    && let Some(session) = &mut self.model.sessions[client]
                    && session.link == Some(link.serial)
                {
                    session.receiver.released(*pid);
                }
                let has_forgotten = self.nodes[client].has_forgotten;
                let is_fine = *outcome == Outcome::Fine || has_forgotten || !is_exact;
                i12_wire(is_fine || *kind == Kind::PubComp, || format!("good, and yet {note:?}"))
            }
            Note::PingResp => {
                let is_due = link.due_broker.pings > 0;
                link.due_broker.pings -= u32::from(is_due);
                i12_wire(is_due, || "PINGRESP without its PINGREQ".to_owned())
            }
            Note::Disconnect { reason, .. } => {
                link.stage = Stage::Over;
                self.nodes[client].is_hopeless |= link.is_at_fault;
                self.check_blame(at, *reason)
            }
            Note::ConnAck { .. }
            | Note::Connect(_)
            | Note::Subscribe(_)
            | Note::Unsubscribe { .. }
            | Note::PingReq => Err(misplaced(note)),
        }
    }

    fn broker_published(&mut self, at: usize, note: &PublishNote) -> Check {
        let (now, is_exact) = (self.now, self.is_exact);
        let link = &self.links[at];
        let (client, most, serial) = (link.client, link.most_down, link.serial);
        let session = self.model.sessions[client].as_mut();
        let Some(session) = session.filter(|session| session.link == Some(serial)) else {
            return Err(misplaced(&Note::Publish(*note)));
        };
        if note.dup {
            i13_rights(self.model.denied[client], note)?;
            if session.sender.published_again(note, most, Order::Topic)? {
                return Ok(());
            }
            // Its identifier was to be stored, and it did not leave before the connection ended.
            i12_wire(self.setup.broker.store != StoreSetup::None, || {
                format!("{note:?} was never sent before")
            })?;
            // The identifier was free again: the message that had it before is given up.
            session.sender.forget_given_up_of(note.pid);
            session.sender.adopt(note, most)?;
        } else {
            session.sender.published(note, most, Order::Topic)?;
        }
        session.note_peak(self.model.groups.waiting());
        if is_exact {
            i4_identifiers(&[], &[], note.pid, session.peak)?;
            self.model.sent(client, note, now)?;
        }
        Ok(())
    }

    /// A client has taken a packet of the broker.
    pub(super) fn client_took(&mut self, at: usize, note: &Note) -> Check {
        let told = self.links[at].client;
        self.tell(format_args!("    c{told} takes: {note:?}"));
        let link = &mut self.links[at];
        let node = &mut self.nodes[link.client];
        match note {
            Note::ConnAck { present, refused: false, receive_maximum, packet_size } => {
                link.is_open = true;
                node.is_in_doubt &= *present;
                link.most_up = *receive_maximum;
                link.up_reader.packet_size = *packet_size;
                link.up_reader.alias_maximum = self.setup.broker.aliases;
                if *present {
                    node.sender.resume();
                } else {
                    node.sender.clear();
                    node.receiver.clear();
                    node.let_go(|_| true);
                    node.saved.iter_mut().for_each(|saved| saved.is_over = true);
                    node.has_torn = false;
                    // What the lost session had not acknowledged is published anew.
                    node.last_sent = [[0; 3]; 8];
                }
            }
            Note::Publish(publish) => {
                link.due_client.push_for(publish);
                let is_reused =
                    publish.qos == 2 && !publish.dup && node.receiver.awaits(publish.pid);
                let is_known = node.is_in_doubt || node.has_forgotten || !self.is_exact;
                i4_released(!is_reused || is_known, publish)?;
                // A QoS 1 message under an identifier of a session that is gone is refused.
                let is_refused = publish.qos == 1 && node.receiver.awaits(publish.pid);
                let is_new = !is_refused && node.receiver.published(publish);
                if is_new {
                    node.refused.retain(|number| *number != publish.number);
                }
                if is_new || node.refused.contains(&publish.number) {
                    node.expected = Some(*publish);
                }
            }
            Note::Ack(kind @ (Kind::SubAck | Kind::UnsubAck), pid, _) => {
                node.sender.requests.retain(|other| *other != (*kind, *pid));
            }
            Note::Ack(Kind::PubRel, pid, _) => {
                node.receiver.released(*pid);
                node.let_go(|other| other == *pid);
                link.due_client.push(Kind::PubComp, *pid);
            }
            Note::Ack(Kind::PubRec, pid, outcome) => {
                node.sender.answered(Kind::PubRec, *pid, *outcome);
                if *outcome == Outcome::Fine {
                    link.due_client.push(Kind::PubRel, *pid);
                }
            }
            Note::Ack(kind @ (Kind::PubAck | Kind::PubComp), pid, outcome) => {
                node.sender.answered(*kind, *pid, *outcome);
            }
            Note::ConnAck { .. }
            | Note::PingResp
            | Note::Disconnect { .. }
            | Note::Connect(_)
            | Note::Subscribe(_)
            | Note::Unsubscribe { .. }
            | Note::PingReq => {}
        }
        Ok(())
    }

    /// A client sends a packet.
    pub(super) fn client_sent(&mut self, at: usize, note: &Note) -> Check {
        let told = self.links[at].client;
        self.tell(format_args!("    c{told} sends: {note:?}"));
        let link = &mut self.links[at];
        let node = &mut self.nodes[link.client];
        if let Note::Connect(connect) = note {
            i12_wire(!link.is_connecting, || "a second CONNECT".to_owned())?;
            link.is_connecting = true;
            link.down_reader.packet_size = connect.packet_size;
            link.down_reader.alias_maximum = node.setup.incoming_aliases;
            return Ok(());
        }
        let is_early = !link.is_open && !matches!(note, Note::Disconnect { .. });
        i12_wire(!is_early && !link.has_left, || format!("{note:?} is out of place"))?;
        match note {
            Note::Publish(publish) => {
                let (most, peak) = (link.most_up, node.peak);
                if publish.dup {
                    if node.sender.published_again(publish, most, Order::All)? {
                        return Ok(());
                    }
                    // Its first bytes had left before, or it waited for a socket.
                    i12_wire(node.has_torn, || format!("{note:?} was never sent before"))?;
                    let mut torn = *publish;
                    torn.dup = false;
                    return node.sender.adopt(&torn, most);
                }
                node.sender.published(publish, most, Order::All)?;
                if publish.qos > 0 {
                    i4_identifiers(&[], &[], publish.pid, peak.max(node.sender.peak))?;
                }
                let topic = usize::from(publish.topic);
                let last = &mut node.last_sent[topic][usize::from(publish.qos)];
                if publish.number != EMPTY {
                    let later = Some(*last).filter(|last| *last > publish.number);
                    i3_order(later.into_iter(), publish)?;
                    *last = publish.number;
                }
                Ok(())
            }
            Note::Ack(Kind::PubRel, pid, _) => {
                let is_due = link.due_client.answer(Kind::PubRel, *pid)?
                    || node.sender.released_again(*pid)?;
                i12_wire(is_due, || format!("nobody asked for {note:?}"))
            }
            Note::Ack(kind, pid, outcome) => {
                let is_due = link.due_client.answer(*kind, *pid)?;
                if *kind == Kind::PubRec && *outcome == Outcome::Error {
                    node.receiver.released(*pid);
                }
                i12_wire(is_due, || format!("nobody asked for {note:?}"))
            }
            Note::Subscribe(subscribe) => {
                let pid = subscribe.pid;
                i4_identifiers(&node.sender.open, &node.sender.requests, pid, usize::MAX)?;
                node.sender.requests.push((Kind::SubAck, pid));
                Ok(())
            }
            Note::Unsubscribe { pid, .. } => {
                i4_identifiers(&node.sender.open, &node.sender.requests, *pid, usize::MAX)?;
                node.sender.requests.push((Kind::UnsubAck, *pid));
                Ok(())
            }
            Note::PingReq => Ok(()),
            Note::Disconnect { .. } => {
                link.has_left = true;
                Ok(())
            }
            Note::Connect(_) | Note::ConnAck { .. } | Note::PingResp => Err(misplaced(note)),
        }
    }

    /// Whether a reason for which the broker ends a connection is one that a good client gives.
    pub(super) fn check_blame(&self, at: usize, reason: DisconnectReason) -> Check {
        let link = &self.links[at];
        let silence = self.now.duration_since(link.heard_at).as_millis();
        let is_fine = match reason {
            DisconnectReason::SessionTakenOver | DisconnectReason::ServerShuttingDown => true,
            DisconnectReason::KeepAliveTimeout => {
                link.keep_alive > 0 && silence >= u128::from(link.keep_alive) * 1500
            }
            DisconnectReason::ReceiveMaximumExceeded => link.is_at_fault || !self.is_exact,
            _ => !self.is_exact,
        };
        i12_wire(is_fine, || format!("a good client is disconnected: {reason}"))
    }
}

fn misplaced(note: &Note) -> Fault {
    Fault::new(Invariant::I12, || format!("{note:?} is out of place"))
}
