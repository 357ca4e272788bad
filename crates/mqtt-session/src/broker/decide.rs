//! Decisions about messages and subscriptions: asking, answering, and what happens without an
//! answer.

use mqtt_codec::{
    PacketId, PropertyBuf, PubAckReason, Publish, PublishQos, QoS, SubAckReason, Subscribe,
};

use super::connection::Asked;
use super::messages::MessageId;
use super::request::{AskedFilter, PublishAnswer, PublishRequest, SubscribeRequest, Ticket, told};
use super::slots::Key;
use super::timers::TimerKey;
use super::{Broker, BrokerEvent, ConnectionId};
use crate::Time;
use crate::deadlines::DeadlineHandle;

/// A decision that a connection waits for.
#[derive(Debug)]
pub(super) struct Pending {
    ticket: Ticket,
    pub(super) until: Time,
    what: Awaited,
}

#[derive(Debug)]
enum Awaited {
    Publish { message: MessageId, qos: PublishQos },
    Subscribe { packet_id: PacketId, filters: usize },
}

impl Broker {
    /// The driver has decided about a message.
    pub fn answer_publish(&mut self, now: Time, request: PublishRequest, answer: PublishAnswer) {
        self.advance(now);
        self.work = 0;
        match request.id {
            Some(ConnectionId(key)) if self.connections.is_current(key) => {
                self.settle(key.slot, request.ticket, Answer::Publish(answer));
            }
            Some(_) => {}
            None => self.settle_will(request.ticket, matches!(answer, PublishAnswer::Allow)),
        }
    }

    /// The driver has decided about subscriptions.
    pub fn answer_subscribe(&mut self, now: Time, request: SubscribeRequest) {
        self.advance(now);
        let ConnectionId(key) = request.id;
        if self.connections.is_current(key) {
            self.settle(key.slot, request.ticket, Answer::Subscribe(request));
        }
    }

    /// A new ticket.
    pub(super) fn draw_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Asks about a message and reads nothing more from its publisher until that is decided.
    pub(super) fn ask_publish(
        &mut self,
        slot: u32,
        session_slot: u32,
        message: MessageId,
        publish: &Publish<'_>,
    ) {
        let ticket = self.draw_ticket();
        let Some(key) = self.connections.key(slot) else { return };
        let Some(session) = self.sessions.get(session_slot) else { return };
        let Some(stored) = self.messages.get(message) else { return };
        let request = PublishRequest {
            id: Some(ConnectionId(key)),
            ticket,
            client_id: session.client_id.clone(),
            identity: session.identity.clone(),
            topic: stored.topic().into(),
            payload: stored.payload(),
            qos: stored.qos,
            retain: stored.retain,
        };
        self.wait(slot, ticket, Awaited::Publish { message, qos: publish.qos });
        self.events.push_back(BrokerEvent::Publish(request));
    }

    /// Asks about subscriptions and reads nothing more from the client until that is decided.
    pub(super) fn ask_subscribe(
        &mut self,
        slot: u32,
        session_slot: u32,
        subscribe: &Subscribe<'_>,
    ) {
        let ticket = self.draw_ticket();
        let Some(key) = self.connections.key(slot) else { return };
        let Some(session) = self.sessions.get(session_slot) else { return };
        let filters: Vec<AskedFilter> = subscribe
            .filters()
            .map(|(filter, options)| AskedFilter {
                filter: filter.as_str().into(),
                options,
                denied: None,
            })
            .collect();
        let packet_id = subscribe.packet_id;
        let awaited = Awaited::Subscribe { packet_id, filters: filters.len() };
        let request = SubscribeRequest {
            id: ConnectionId(key),
            ticket,
            client_id: session.client_id.clone(),
            identity: session.identity.clone(),
            packet_id,
            subscription_id: subscribe.properties.subscription_ids().next(),
            filters,
        };
        self.wait(slot, ticket, awaited);
        self.events.push_back(BrokerEvent::Subscribe(request));
    }

    fn wait(&mut self, slot: u32, ticket: Ticket, what: Awaited) {
        let until = self.now + self.config.decisions.timeout;
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.paused.for_decision = true;
            let asked = connection.asked.get_or_insert_default();
            asked.pending = Some(Pending { ticket, until, what });
        }
        self.arm_connection(slot);
    }

    /// Carries out a decision, if it is still awaited.
    fn settle(&mut self, slot: u32, ticket: Ticket, answer: Answer) {
        let Some(pending) = self.take_pending(slot, Some(ticket)) else { return };
        match (pending.what, answer) {
            (Awaited::Publish { message, qos }, Answer::Publish(answer)) => {
                self.finish_publish(slot, message, qos, answer);
            }
            (Awaited::Subscribe { .. }, Answer::Subscribe(request)) => {
                self.finish_subscribe(slot, &request);
            }
            // A ticket belongs to one kind of request.
            (Awaited::Publish { .. }, Answer::Subscribe(_))
            | (Awaited::Subscribe { .. }, Answer::Publish(_)) => {}
        }
        self.resume_input(slot, |paused| paused.for_decision = false);
    }

    /// The time for a decision is over: the safe answer is given.
    pub(super) fn refuse_pending(&mut self, slot: u32) {
        let Some(pending) = self.take_pending(slot, None) else { return };
        match pending.what {
            Awaited::Publish { message, qos } => {
                let answer = PublishAnswer::from(PubAckReason::NotAuthorized);
                self.finish_publish(slot, message, qos, answer);
            }
            Awaited::Subscribe { packet_id, filters } => {
                let reasons = vec![SubAckReason::NotAuthorized; filters];
                self.answer_suback(slot, packet_id, &reasons);
            }
        }
        self.resume_input(slot, |paused| paused.for_decision = false);
    }

    /// The connection is over before a decision came. What the client is not told of has not
    /// happened: a QoS 2 message comes again on a resumed session, and is new then.
    pub(super) fn abandon_pending(&mut self, slot: u32) {
        let session = self.connections.get(slot).and_then(|connection| connection.session);
        let Some(pending) = self.take_pending(slot, None) else { return };
        if let Awaited::Publish { message, qos } = pending.what {
            self.messages.release(message);
            if let (PublishQos::ExactlyOnce { id, .. }, Some(session)) = (qos, session)
                && let Some(flow) = self.flow_mut(session)
            {
                flow.incoming.refused(id);
            }
        }
    }

    /// The Packet Identifier of the QoS 2 message of a connection that is not decided about.
    pub(super) fn undecided_id(&self, slot: u32) -> Option<PacketId> {
        let pending = self.connections.get(slot)?.asked.as_deref()?.pending.as_ref()?;
        match pending.what {
            Awaited::Publish { qos: PublishQos::ExactlyOnce { id, .. }, .. } => Some(id),
            Awaited::Publish { .. } | Awaited::Subscribe { .. } => None,
        }
    }

    fn take_pending(&mut self, slot: u32, ticket: Option<Ticket>) -> Option<Pending> {
        let asked: &mut Asked = self.connections.get_mut(slot)?.asked.as_deref_mut()?;
        asked.pending.take_if(|pending| ticket.is_none_or(|ticket| ticket == pending.ticket))
    }

    fn finish_publish(
        &mut self,
        slot: u32,
        message: MessageId,
        qos: PublishQos,
        answer: PublishAnswer,
    ) {
        let session = self.connections.get(slot).and_then(|connection| connection.session);
        let (reason, properties) = match answer {
            PublishAnswer::Allow => (self.deliver(message, session), PropertyBuf::new()),
            PublishAnswer::Deny { reason, properties } => {
                let reason = if reason.is_error() { reason } else { PubAckReason::NotAuthorized };
                self.count_refusal(session, reason);
                (reason, told(&properties, false))
            }
        };
        self.messages.release(message);
        if let Some(session) = session {
            self.record_received(session, qos, reason);
            if qos.qos() == QoS::AtLeastOnce
                && let Some(flow) = self.flow_of_session(session)
            {
                flow.incoming.puback_sent();
            }
            self.acknowledge(slot, session, qos, reason, properties.as_properties());
        }
    }

    fn finish_subscribe(&mut self, slot: u32, request: &SubscribeRequest) {
        let Some(session) = self.connections.get(slot).and_then(|c| c.session) else { return };
        let reasons = self.subscribe_each(
            session,
            request.subscription_id,
            request.filters.iter().map(|asked| {
                (mqtt_codec::TopicFilter::new(&asked.filter), asked.options, asked.denied)
            }),
        );
        self.answer_suback(slot, request.packet_id, &reasons);
    }

    /// Publishes a Will Message, after asking if publishing is asked about.
    pub(super) fn publish_due_will(&mut self, message: MessageId, session_slot: u32) {
        if !self.config.decisions.publish {
            self.statistics.wills_published += 1;
            self.deliver(message, Some(session_slot));
            self.messages.release(message);
            return;
        }
        self.record_will_asked(session_slot, message);
        let Some(session) = self.sessions.get(session_slot) else { return };
        let (client_id, identity) = (session.client_id.clone(), session.identity.clone());
        let publisher = self.sessions.key(session_slot);
        self.ask_will(message, client_id, identity, publisher);
    }

    /// Asks whether a Will Message may be published.
    pub(super) fn ask_will(
        &mut self,
        message: MessageId,
        client_id: Box<str>,
        identity: Option<Box<str>>,
        publisher: Option<Key>,
    ) {
        let ticket = self.draw_ticket();
        let Some(stored) = self.messages.get(message) else { return };
        let request = PublishRequest {
            id: None,
            ticket,
            client_id: client_id.clone(),
            identity: identity.clone(),
            topic: stored.topic().into(),
            payload: stored.payload(),
            qos: stored.qos,
            retain: stored.retain,
        };
        let until = self.now + self.config.decisions.timeout;
        let timer = self.deadlines.insert(until.as_nanos(), TimerKey::Will(ticket));
        let asked = AskedWill { message, timer, publisher, client_id, identity };
        self.asked_wills.insert(ticket, asked);
        self.events.push_back(BrokerEvent::Publish(request));
    }

    /// Carries out the decision about a Will Message.
    pub(super) fn settle_will(&mut self, ticket: Ticket, allowed: bool) {
        let Some(asked) = self.asked_wills.remove(&ticket) else { return };
        let AskedWill { message, timer, publisher, .. } = asked;
        self.deadlines.cancel(timer, TimerKey::Will(ticket));
        self.record_will_answered(message);
        let publisher = publisher.filter(|&key| self.sessions.is_current(key)).map(|key| key.slot);
        if allowed {
            self.statistics.wills_published += 1;
            self.deliver(message, publisher);
        } else {
            self.count_refusal(publisher, PubAckReason::NotAuthorized);
        }
        self.messages.release(message);
    }
}

/// A Will Message whose publishing is not decided.
#[derive(Debug)]
pub(super) struct AskedWill {
    pub(super) message: MessageId,
    timer: DeadlineHandle,
    /// The session it was left by, which No Local may concern.
    publisher: Option<Key>,
    /// Whose will it is.
    pub(super) client_id: Box<str>,
    pub(super) identity: Option<Box<str>>,
}

enum Answer {
    Publish(PublishAnswer),
    Subscribe(SubscribeRequest),
}
