//! What leaves: in which order packets are handed out, and when they may be.

use core::mem;
use std::collections::VecDeque;

use mqtt_codec::{
    EncodeError, Forward, PacketId, Properties, PropertyBuf, PropertyId, PubRel, PubRelReason,
    Publish, PublishQos, QoS, SubscriptionOptions, TopicFilter, TopicName, Unsubscribe,
};

use super::Client;
use super::error::{ClientCloseCause, PublishError, ServerLimit, Unsent};
use super::event::{ClientEvent, PublishOutcome};
use super::link::{Link, Open};
use super::negotiated::Negotiated;
use super::outbox::{Publication, PublishId};
use super::requests::{self, Request};
use super::session::{Item, Session};
use super::statistics::ClientStatistics;
use super::subscriptions::SubscriptionKey;
use crate::exchange::{OutgoingAlias, Resend};
use crate::{Time, TransmitBuf};

impl Client {
    /// Publishes a message: it is sent in its turn, QoS 1 and QoS 2 as the server's Receive
    /// Maximum allows. QoS 0 may pass by messages that wait for it.
    ///
    /// For QoS 1 and QoS 2 an id is returned, and [`ClientEvent::Published`] tells how the message
    /// ended. For QoS 0 nothing more is ever heard.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]; the payload is given back and nothing has changed. While the
    /// connection is being made the server's limits are not known: a message that they do not
    /// allow then ends as [`PublishOutcome::NotAllowed`].
    pub fn publish(
        &mut self,
        now: Time,
        publication: Publication<'_>,
    ) -> Result<Option<PublishId>, Unsent> {
        let now = self.advance(now);
        match self.check_publication(&publication) {
            Ok(()) => {
                let qos = publication.qos;
                let id = self.session.outbox.push(now, publication);
                Ok((qos != QoS::AtMostOnce).then_some(id))
            }
            Err(error) => Err(Unsent { payload: publication.payload, error }),
        }
    }

    fn check_publication(&self, publication: &Publication<'_>) -> Result<(), PublishError> {
        match &self.link {
            Link::Open(open) if open.leaving.is_none() => allows(&open.negotiated, publication)?,
            Link::Connecting(_) => {}
            Link::Idle | Link::Open(_) | Link::Closing(_) => {
                return Err(PublishError::NotConnected);
            }
        }
        // [MQTT-3.3.4-6]
        if !publication.properties.is_empty()
            && let Some(id) = publication.properties.ids().find(|id| !is_for_publish(*id))
        {
            return Err(PublishError::PropertyNotAllowed(id));
        }
        if !self.session.outbox.has_room_for(publication.size()) {
            return Err(PublishError::Full);
        }
        Ok(())
    }

    /// Appends what is to be sent to `out`, until about `budget` bytes are appended or nothing more
    /// may be sent now. Call it again once `out` is written.
    ///
    /// Packets are encoded here, so that Message Expiry Intervals count down to the moment of
    /// sending.
    pub fn poll_transmit(&mut self, now: Time, out: &mut TransmitBuf, budget: usize) {
        let now = self.advance(now);
        match &mut self.link {
            Link::Idle => {}
            Link::Connecting(connecting) => {
                let connect = mem::take(&mut connecting.connect);
                out.append(|bytes| bytes.extend_from_slice(&connect));
            }
            Link::Open(_) => self.transmit_open(now, out, budget),
            Link::Closing(_) => {}
        }
        if let Link::Closing(_) = self.link
            && let Link::Closing(closing) = mem::replace(&mut self.link, Link::Idle)
        {
            // [MQTT-3.14.4-1] [MQTT-3.14.4-2]
            out.append(|bytes| bytes.extend_from_slice(&closing.last));
            self.events.push_back(ClientEvent::Closed(Box::new(closing.cause)));
        }
    }

    fn transmit_open(&mut self, now: Time, out: &mut TransmitBuf, budget: usize) {
        let Link::Open(open) = &mut self.link else { return };
        let before = out.len();
        let limit = before.saturating_add(budget);
        let mut sender = Sender {
            now,
            limit,
            out,
            open,
            session: &mut self.session,
            events: &mut self.events,
            statistics: &mut self.statistics,
        };
        sender.answers();
        sender.resend();
        sender.requests(self.config.subscription_identifiers);
        sender.publications();
        let is_all = out.len() < limit;
        if out.len() > before {
            open.keep_alive.on_sent(now);
        }
        let is_settled = self.session.is_settled();
        if is_all
            && open.leaving.as_ref().is_some_and(|left| is_settled || left.deadline <= now)
            && let Some(leaving) = open.leaving.take()
        {
            self.close_with(now, leaving.disconnect, ClientCloseCause::Disconnected);
        }
    }
}

/// One call of `poll_transmit` on an open connection.
struct Sender<'a> {
    now: Time,
    /// Nothing more is begun once `out` holds this much.
    limit: usize,
    out: &'a mut TransmitBuf,
    open: &'a mut Open,
    session: &'a mut Session,
    events: &'a mut VecDeque<ClientEvent>,
    statistics: &'a mut ClientStatistics,
}

impl Sender<'_> {
    /// Acknowledgements and pings; they wait for nothing [MQTT-3.3.4-8] [MQTT-4.9.0-3].
    fn answers(&mut self) {
        let open = &mut *self.open;
        if open.answers.is_empty() {
            return;
        }
        self.out.append(|bytes| bytes.extend_from_slice(&open.answers));
        open.answers.clear();
        for _ in 0..mem::take(&mut open.pubacks) {
            self.session.incoming.puback_sent();
        }
    }

    /// What a resumed session still owes, before anything new.
    fn resend(&mut self) {
        while self.out.len() < self.limit {
            match self.session.exchanges.next_resend() {
                None => return,
                Some(Resend::PubRel(id)) => self.pubrel(id),
                Some(Resend::Publish(id, qos, Item::Message(slot))) => {
                    let slot = *slot;
                    // [MQTT-3.3.1-1]: with DUP. An expiry that ended since it was first sent
                    // changes nothing [MQTT-4.3.3-7].
                    if let Err(error) = self.encode(slot, publish_qos(qos, id, true)) {
                        self.abandon(id, qos);
                        self.end(slot, PublishOutcome::NotAllowed(error));
                    }
                }
                Some(Resend::Publish(_, _, Item::Request(_))) => {}
            }
        }
    }

    fn pubrel(&mut self, packet_id: PacketId) {
        let reason = PubRelReason::Success;
        let pubrel = PubRel { packet_id, reason, properties: Properties::EMPTY };
        let maximum = self.open.negotiated.maximum_packet_size;
        // Four bytes: a server that takes none of that size has not taken the PUBLISH either.
        let _fits = self.out.append(|bytes| pubrel.encode(bytes, maximum));
    }

    fn requests(&mut self, with_identifiers: bool) {
        while self.out.len() < self.limit
            && self.session.exchanges.open() < u16::MAX
            && let Some(request) = self.session.requests.pop_front()
        {
            match request {
                Request::Subscribe { subscription, .. } => {
                    let with_identifier =
                        with_identifiers && self.open.negotiated.subscription_id_available;
                    self.subscribe(subscription, with_identifier);
                }
                Request::Unsubscribe { subscription, filters } => {
                    self.unsubscribe(subscription, filters);
                }
            }
        }
    }

    fn subscribe(&mut self, subscription: SubscriptionKey, with_identifier: bool) {
        let subscriptions = &mut self.session.subscriptions;
        // It may have ended while its SUBSCRIBE waited.
        if subscriptions.get(subscription).is_none() {
            return;
        }
        let identifier = subscriptions.subscribing(subscription, with_identifier);
        let wanted: Vec<(TopicFilter<'_>, SubscriptionOptions)> =
            subscriptions.wanted(subscription).collect();
        let filters = wanted.len();
        let request = Item::Request(Box::new(Request::Subscribe { subscription, filters }));
        let Some(id) = self.session.exchanges.request(request) else { return };
        let properties = subscriptions
            .get(subscription)
            .map_or_else(PropertyBuf::new, |subscription| subscription.properties(identifier));
        let negotiated = &self.open.negotiated;
        let sent = requests::check(negotiated, &wanted).and_then(|()| {
            let properties = properties.as_properties();
            self.out.append(|bytes| requests::encode(negotiated, id, properties, &wanted, bytes))
        });
        if let Err(error) = sent {
            // It was made before this server's limits were known.
            let _request = self.session.exchanges.on_reply(id);
            let _orphans = self.session.subscriptions.remove(subscription);
            self.events.push_back(ClientEvent::SubscribeFailed { subscription, error });
        }
    }

    fn unsubscribe(&mut self, subscription: SubscriptionKey, filters: Vec<Box<str>>) {
        let request = Item::Request(Box::new(Request::Unsubscribe { subscription, filters }));
        let Some(id) = self.session.exchanges.request(request) else { return };
        let Some(Item::Request(request)) = self.session.exchanges.item(id) else { return };
        let Request::Unsubscribe { filters, .. } = &**request else { return };
        let filters: Vec<TopicFilter<'_>> =
            filters.iter().filter_map(|filter| TopicFilter::new(filter).ok()).collect();
        let maximum = self.open.negotiated.maximum_packet_size;
        let sent = Unsubscribe::new(id, Properties::EMPTY, &filters)
            .and_then(|packet| self.out.append(|bytes| packet.encode(bytes, maximum)));
        if sent.is_err() {
            // The server took the larger SUBSCRIBE on an earlier connection and takes less now:
            // it goes on sending, and the messages match no subscription.
            let _request = self.session.exchanges.on_reply(id);
            self.events.push_back(ClientEvent::Unsubscribed {
                subscription,
                results: Box::default(),
                properties: PropertyBuf::new(),
            });
        }
    }

    fn publications(&mut self) {
        while self.out.len() < self.limit
            && let Some(slot) = self.session.outbox.next(self.session.exchanges.may_send())
        {
            self.session.outbox.take_from_queue(slot);
            self.publication(slot);
        }
    }

    /// Sends a message for the first time.
    fn publication(&mut self, slot: u32) {
        let Some(message) = self.session.outbox.get(slot) else { return };
        let qos = message.qos;
        if message.expiry(self.now) == Some(0) {
            self.end(slot, PublishOutcome::Expired);
            return;
        }
        // What was accepted while the connection was being made meets the server's limits here.
        if let Err(error) = allows_kind(&self.open.negotiated, qos, message.retain) {
            self.end(slot, PublishOutcome::NotAllowed(error));
            return;
        }
        let id = self.session.exchanges.send(qos, Item::Message(slot));
        let Some(publish_qos) = id.map_or_else(
            || (qos == QoS::AtMostOnce).then_some(PublishQos::AtMostOnce),
            |id| Some(publish_qos(qos, id, false)),
        ) else {
            return;
        };
        match (self.encode(slot, publish_qos), id) {
            (Ok(()), Some(_)) => {}
            (Ok(()), None) => self.session.outbox.release(slot),
            (Err(error), id) => {
                if let Some(id) = id {
                    self.abandon(id, qos);
                }
                self.end(slot, PublishOutcome::NotAllowed(error));
            }
        }
    }

    /// Appends the PUBLISH of a message.
    fn encode(&mut self, slot: u32, qos: PublishQos) -> Result<(), ServerLimit> {
        let Some(message) = self.session.outbox.get(slot) else { return Ok(()) };
        let Ok(topic) = TopicName::new(&message.topic) else { return Ok(()) };
        // [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-9]
        let alias = self.open.outgoing_aliases.assign(&message.topic);
        let (topic, topic_alias) = match alias {
            OutgoingAlias::None => (Some(topic), None),
            OutgoingAlias::Set(alias) => (Some(topic), Some(alias)),
            OutgoingAlias::Known(alias) => (None, Some(alias)),
        };
        let header = Forward {
            qos,
            retain: message.retain,
            topic,
            topic_alias,
            // A message that has been sent lives on, though for no whole second any more.
            message_expiry_interval: message.expiry(self.now).map(|seconds| seconds.max(1)),
            subscription_ids: &[],
            forwardable: &message.properties,
            payload_len: message.payload.len(),
        };
        // [MQTT-3.2.2-15]
        let maximum = self.open.negotiated.maximum_packet_size;
        match self.out.append(|bytes| header.encode_header(bytes, maximum)) {
            Ok(()) => {
                self.out.append_payload(&message.payload);
                Ok(())
            }
            Err(error) => {
                if let OutgoingAlias::Set(alias) = alias {
                    self.open.outgoing_aliases.withdraw(alias);
                }
                let size = if let EncodeError::TooLarge { size, .. } = error { size } else { 0 };
                Err(ServerLimit::MaximumPacketSize { size, maximum })
            }
        }
    }

    /// An exchange ends without the server: its packet could not be sent.
    fn abandon(&mut self, id: PacketId, qos: QoS) {
        if qos == QoS::AtLeastOnce {
            let _item = self.session.exchanges.on_puback(id);
        } else {
            let _item = self.session.exchanges.on_pubrec(id, true);
        }
    }

    /// A message ends without the server's answer.
    fn end(&mut self, slot: u32, outcome: PublishOutcome) {
        let Some(message) = self.session.outbox.get(slot) else { return };
        if message.qos != QoS::AtMostOnce {
            let id = self.session.outbox.id(slot);
            self.events.push_back(ClientEvent::Published { id, outcome });
        } else if outcome == PublishOutcome::Expired {
            self.statistics.qos0_expired += 1;
        } else {
            self.statistics.qos0_not_allowed += 1;
        }
        self.session.outbox.release(slot);
    }
}

/// Whether the server takes the message.
fn allows(negotiated: &Negotiated, publication: &Publication<'_>) -> Result<(), ServerLimit> {
    allows_kind(negotiated, publication.qos, publication.retain)?;
    let maximum = negotiated.maximum_packet_size;
    // The fixed header, three length fields and the packet identifier take no more than this.
    if publication.size().saturating_add(16) <= maximum as usize {
        return Ok(());
    }
    let qos = publish_qos(publication.qos, PacketId::MIN, false);
    let header = Publish {
        qos,
        retain: publication.retain,
        topic: Some(publication.topic),
        properties: publication.properties,
        payload: &[],
    };
    match header.encode_header(publication.payload.len(), &mut Vec::new(), maximum) {
        // [MQTT-3.2.2-15]
        Err(EncodeError::TooLarge { size, limit }) => {
            Err(ServerLimit::MaximumPacketSize { size, maximum: limit })
        }
        // Properties that do not belong there are told apart from limits of the server.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether the server takes messages of this QoS and with this RETAIN flag.
fn allows_kind(negotiated: &Negotiated, qos: QoS, retain: bool) -> Result<(), ServerLimit> {
    // [MQTT-3.2.2-11]
    if qos > negotiated.maximum_qos {
        return Err(ServerLimit::MaximumQos { maximum: negotiated.maximum_qos });
    }
    // [MQTT-3.2.2-14]
    if retain && !negotiated.retain_available {
        return Err(ServerLimit::RetainNotAvailable);
    }
    Ok(())
}

/// Whether an application may set this property in PUBLISH.
const fn is_for_publish(id: PropertyId) -> bool {
    matches!(
        id,
        PropertyId::PayloadFormatIndicator
            | PropertyId::MessageExpiryInterval
            | PropertyId::ContentType
            | PropertyId::ResponseTopic
            | PropertyId::CorrelationData
            | PropertyId::UserProperty
    )
}

fn publish_qos(qos: QoS, id: PacketId, dup: bool) -> PublishQos {
    match qos {
        QoS::AtMostOnce => PublishQos::AtMostOnce,
        QoS::AtLeastOnce => PublishQos::AtLeastOnce { id, dup },
        QoS::ExactlyOnce => PublishQos::ExactlyOnce { id, dup },
    }
}
