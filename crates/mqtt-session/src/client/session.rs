//! What outlives a network connection: the Session State of the client, and what its application
//! still expects.

use std::collections::VecDeque;

use mqtt_codec::{PacketId, PropertyBuf, QoS};

use super::config::{ClientConfig, FirstConnection};
use super::deliveries::Deliveries;
use super::event::{ClientEvent, PublishOutcome};
use super::offline::Republish;
use super::outbox::Outbox;
use super::requests::Request;
use super::statistics::ClientStatistics;
use super::subscriptions::Subscriptions;
use crate::exchange::{Acknowledged, Exchange, Incoming, Outgoing, Recorded};

/// The part of a client that outlives its connections. It ends between two of them, or when the
/// server says that it has none, and never while one stands [MQTT-4.1.0-1].
#[derive(Debug)]
pub(super) struct Session {
    /// The Client Identifier: the configured one, or the one that a server assigned.
    pub(super) client_id: Box<str>,
    /// Whether this side holds session state that the server may hold too.
    pub(super) is_held: bool,
    /// Whether the application vouched for state that this client has not seen.
    pub(super) is_vouched_for: bool,
    /// Exchanges that this side began:
    /// messages by their slot in the outbox, requests as [`Session::REQUEST`].
    pub(super) exchanges: Outgoing<u32>,
    /// Exchanges that the server began.
    pub(super) incoming: Incoming,
    pub(super) qos1: Deliveries,
    pub(super) qos2: Deliveries,
    pub(super) outbox: Outbox,
    pub(super) subscriptions: Subscriptions,
    /// SUBSCRIBEs and UNSUBSCRIBEs to be sent, in order.
    pub(super) requests: VecDeque<Request>,
    /// Those that were sent on this connection and wait for their answer.
    pub(super) unanswered: Vec<(PacketId, Request)>,
}

impl Session {
    /// Stands in `exchanges` for a request, of which more is in `unanswered`.
    pub(super) const REQUEST: u32 = u32::MAX;

    pub(super) fn new(config: &ClientConfig, hash_key: [u64; 2]) -> Self {
        let vouched = config.session.first == FirstConnection::Rejoin;
        Self {
            client_id: config.client_id.as_str().into(),
            is_held: vouched,
            is_vouched_for: vouched,
            exchanges: Outgoing::new(),
            incoming: Incoming::new(),
            qos1: Deliveries::new(QoS::AtLeastOnce),
            qos2: Deliveries::new(QoS::ExactlyOnce),
            outbox: Outbox::new(config.max_outgoing_messages, config.max_outgoing_bytes),
            subscriptions: Subscriptions::new(hash_key),
            requests: VecDeque::new(),
            unanswered: Vec::new(),
        }
    }

    /// Messages that were encoded for the connection and never left it are to be sent for the
    /// first time again; except those that the server acknowledged all the same, knowing nothing
    /// of them but that their identifiers would come.
    pub(super) fn take_back(&mut self, last_first: impl Iterator<Item = (PacketId, u32)>) {
        for (id, slot) in last_first {
            let qos = self.outbox.get(slot).map_or(QoS::AtLeastOnce, |message| message.qos);
            if self.exchanges.item(id) == Some(&slot) && self.abandon(id, qos) {
                self.outbox.queue_first(slot);
            }
        }
    }

    /// Ends an exchange whose PUBLISH was not sent. False if it has gone on as if it had been.
    pub(super) fn abandon(&mut self, id: PacketId, qos: QoS) -> bool {
        if qos == QoS::ExactlyOnce {
            matches!(self.exchanges.on_pubrec(id, true), Recorded::Refused(_))
        } else {
            matches!(self.exchanges.on_puback(id), Acknowledged::Done(_))
        }
    }

    /// The connection is gone.
    ///
    /// SUBSCRIBEs are made again from what is not confirmed when the next connection stands;
    /// UNSUBSCRIBEs are kept, for nothing else remembers them.
    pub(super) fn connection_ended(&mut self) {
        self.qos1.clear();
        for id in self.qos2.suspend() {
            self.incoming.refused(id);
        }
        let _requests = self.exchanges.clear_requests();
        let unanswered = self.unanswered.drain(..).map(|(_, request)| request);
        let waiting = self.requests.drain(..);
        let kept = unanswered.chain(waiting).filter(Request::is_unsubscribe).collect();
        self.requests = kept;
    }

    /// The session is over, at the server too: nothing of it is ever sent again
    /// [MQTT-3.1.2-4] [MQTT-3.2.2-5]. Messages that were not sent yet stay, and `republish` says
    /// which others become new messages.
    pub(super) fn end(&mut self, republish: Republish, events: &mut VecDeque<ClientEvent>) {
        self.is_held = false;
        self.is_vouched_for = false;
        // No request is among them: those went with their connection.
        let mut sent: Vec<(u64, Exchange, u32)> = self
            .exchanges
            .exchanges()
            .map(|(_, state, order, slot)| (order, state, *slot))
            .collect();
        drop(self.exchanges.clear());
        sent.sort_unstable_by_key(|(order, ..)| *order);
        let is_published_again = |state: Exchange| match state {
            Exchange::Publish1 => republish >= Republish::Qos1,
            Exchange::Publish2 => republish >= Republish::Qos1AndQos2,
            // The message itself is the server's since its PUBREC.
            Exchange::Released => false,
        };
        for &(_, state, slot) in &sent {
            if !is_published_again(state) {
                self.publish_ended(slot, PublishOutcome::SessionLost, events);
            }
        }
        for &(_, state, slot) in sent.iter().rev() {
            if is_published_again(state) {
                self.outbox.republish(slot);
            }
        }
        self.incoming.clear();
        self.qos1.clear();
        self.qos2.clear();
        self.subscriptions.session_lost();
        for request in self.requests.drain(..) {
            if let Request::Unsubscribe { subscription, .. } = request {
                events.push_back(ClientEvent::Unsubscribed {
                    subscription,
                    results: Box::default(),
                    properties: PropertyBuf::new(),
                });
            }
        }
    }

    /// A message that stands in no queue any more ends without the server's answer.
    pub(super) fn end_message(
        &mut self,
        slot: u32,
        outcome: PublishOutcome,
        events: &mut VecDeque<ClientEvent>,
        statistics: &mut ClientStatistics,
    ) {
        let Some(message) = self.outbox.get(slot) else { return };
        if message.qos != QoS::AtMostOnce {
            let is_unsure = message.is_republished && outcome == PublishOutcome::Expired;
            let outcome = if is_unsure { PublishOutcome::SessionLost } else { outcome };
            self.publish_ended(slot, outcome, events);
            return;
        }
        if outcome == PublishOutcome::Expired {
            statistics.qos0_expired += 1;
        } else {
            statistics.qos0_not_allowed += 1;
        }
        self.outbox.release(slot);
    }

    /// A QoS 1 or QoS 2 message has ended: whoever published it is told, unless he wants to know
    /// nothing.
    pub(super) fn publish_ended(
        &mut self,
        slot: u32,
        outcome: PublishOutcome,
        events: &mut VecDeque<ClientEvent>,
    ) {
        if let Some(message) = self.outbox.release(slot)
            && !message.is_forgotten
        {
            events.push_back(ClientEvent::Published { id: message.id, outcome });
        }
    }

    /// Whether anything waits to be encoded.
    #[inline]
    pub(super) fn has_to_send(&self) -> bool {
        self.outbox.queued() + self.requests.len() + self.exchanges.to_resend() > 0
    }

    /// Whether nothing waits to be sent or acknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.outbox.len() == 0 && self.exchanges.open() == 0 && self.requests.is_empty()
    }
}
