//! What leaves: in which order packets are handed out, and when they may be.

use core::mem;
use std::collections::VecDeque;

use bytes::Bytes;
use mqtt_codec::{
    EncodeError, PacketId, PacketType, Properties, PropertyBuf, PropertyId, PubRel, PubRelReason,
    QoS, SubscriptionOptions, TopicFilter, Unsubscribe,
};

use super::Client;
use super::error::{ClientCloseCause, PublishError, ServerLimit, Unsent};
use super::event::{ClientEvent, PublishOutcome};
use super::link::{Link, Open};
use super::negotiated::Negotiated;
use super::outbox::PublishId;
use super::publication::Publication;
use super::requests::{self, Request};
use super::session::Session;
use super::statistics::ClientStatistics;
use super::subscriptions::SubscriptionKey;
use crate::exchange::{Incoming, OutgoingAlias, Resend};
use crate::transmit::SHARE_FROM;
use crate::{Time, TransmitBuf};

/// Messages are encoded as they are published until so many bytes wait to be sent; the next ones
/// queue, and are encoded when there is room.
const READY_HIGH: usize = 32 * 1024;

impl Client {
    /// Publishes a message: it is sent in its turn, QoS 1 and QoS 2 as the server's Receive
    /// Maximum allows. QoS 0 may pass by messages that wait for it.
    ///
    /// For QoS 1 and QoS 2 an id is returned, and [`ClientEvent::Published`] tells how the message
    /// ended. For QoS 0 nothing more is ever heard.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]; the payload is given back and nothing has changed, except that the
    /// offline queue of a client that was [started](Self::start) may have dropped other messages
    /// first, as [`Offline`](super::Offline) says. While there is no connection the server's
    /// limits are not known: a message that they do not allow then ends as
    /// [`PublishOutcome::NotAllowed`].
    pub fn publish(
        &mut self,
        now: Time,
        mut publication: Publication<'_>,
    ) -> Result<Option<PublishId>, Unsent> {
        let now = self.advance(now);
        match self.take(now, &mut publication) {
            Ok(id) => {
                if id.is_some() {
                    self.changed();
                }
                Ok(id)
            }
            Err(error) => Err(Unsent { payload: publication.payload, error }),
        }
    }

    #[inline(always)]
    fn take(
        &mut self,
        now: Time,
        publication: &mut Publication<'_>,
    ) -> Result<Option<PublishId>, PublishError> {
        if !publication.properties.is_empty()
            && let Some(id) = publication.foreign_property()
        {
            return Err(PublishError::PropertyNotAllowed(id));
        }
        let qos = publication.qos;
        let session = &mut self.session;
        if let Link::Open(open) = &mut self.link
            && open.leaving.is_none()
        {
            allows(&open.negotiated, qos, publication.retain)?;
            let (messages, bytes) = (open.ready.qos0(), open.ready.len());
            if !session.outbox.has_room_for(publication.size(), messages, bytes) {
                return Err(PublishError::Full);
            }
            if leaves_at_once(open, session, publication) {
                return send_at_once(open, session, publication);
            }
            let maximum = open.negotiated.maximum_packet_size;
            return self.queue(now, publication, maximum);
        }
        match &self.link {
            Link::Connecting(_) if !self.reconnecting.wants_connection() => {
                if !session.outbox.has_room_for(publication.size(), 0, 0) {
                    return Err(PublishError::Full);
                }
                self.queue(now, publication, u32::MAX)
            }
            Link::Open(_) => Err(PublishError::NotConnected),
            Link::Idle | Link::Connecting(_) | Link::Closing(_) => {
                self.take_offline(now, publication)
            }
        }
    }

    /// Takes a message over that waits for its turn.
    #[inline(never)]
    pub(super) fn queue(
        &mut self,
        now: Time,
        publication: &mut Publication<'_>,
        maximum: u32,
    ) -> Result<Option<PublishId>, PublishError> {
        // One at QoS 0 that waits counts too.
        self.changed();
        let outbox = &mut self.session.outbox;
        let slot = outbox
            .insert(now, publication, maximum)
            .map_err(|error| PublishError::NotAllowed(too_large(error, maximum)))?;
        outbox.queue(slot);
        Ok((publication.qos != QoS::AtMostOnce).then(|| outbox.id(slot)))
    }

    /// Appends what is to be sent to `out`, until about `budget` bytes are appended or nothing more
    /// may be sent now. Call it again once `out` is written.
    ///
    /// Message Expiry Intervals count down to this moment.
    #[inline]
    pub fn poll_transmit(&mut self, now: Time, out: &mut TransmitBuf, budget: usize) {
        let now = self.advance(now);
        // What most calls find: nothing to send, or only what is encoded already.
        if let Link::Open(open) = &mut self.link
            && open.leaving.is_none()
            && !self.session.has_to_send()
            && !self.calls.has_waiting()
        {
            if !open.ready.is_empty() {
                if open.ready.has_messages() {
                    // From now on they count as sent.
                    self.revision = self.revision.wrapping_add(1);
                }
                open.hand_out(now, out, budget, &mut self.session.incoming);
            }
        } else {
            self.transmit(now, out, budget);
        }
    }

    #[inline(never)]
    fn transmit(&mut self, now: Time, out: &mut TransmitBuf, budget: usize) {
        if self.calls.has_waiting() {
            self.publish_requests();
        }
        match &mut self.link {
            Link::Idle => {}
            Link::Connecting(connecting) => {
                let ready = mem::take(&mut connecting.ready);
                connecting.is_connect_sent = true;
                out.append(|bytes| bytes.extend_from_slice(&ready));
            }
            Link::Open(_) => self.transmit_open(now, out, budget),
            Link::Closing(_) => {}
        }
        if let Link::Closing(_) = self.link
            && let Link::Closing(closing) = mem::replace(&mut self.link, Link::Idle)
        {
            // [MQTT-3.14.4-1] [MQTT-3.14.4-2]
            out.append(|bytes| bytes.extend_from_slice(&closing.last));
            self.closed(closing.cause);
        }
    }

    fn transmit_open(&mut self, now: Time, out: &mut TransmitBuf, budget: usize) {
        let Link::Open(open) = &mut self.link else { return };
        let before = out.len();
        let told = self.events.len();
        let waiting = (self.session.outbox.len(), self.session.requests.len());
        let limit = before.saturating_add(budget);
        open.hand_out(now, out, budget, &mut self.session.incoming);
        if self.session.has_to_send() {
            let mut sender = Sender {
                now,
                limit,
                out,
                open,
                session: &mut self.session,
                events: &mut self.events,
                statistics: &mut self.statistics,
            };
            sender.resend();
            sender.requests(self.config.subscription_identifiers);
            sender.publications();
        }
        let has_sent = out.len() > before;
        if has_sent {
            open.keep_alive.on_sent(now);
        }
        let is_as_before = waiting == (self.session.outbox.len(), self.session.requests.len())
            && told == self.events.len();
        if has_sent || !is_as_before {
            self.revision = self.revision.wrapping_add(1);
        }
        if out.len() < limit
            && open
                .leaving
                .as_ref()
                .is_some_and(|left| left.deadline <= now || self.session.is_settled())
            && let Some(leaving) = open.leaving.take()
        {
            self.close_with(now, leaving.disconnect, ClientCloseCause::Disconnected);
        }
    }
}

impl Open {
    /// Hands out what is encoded already, before all else: acknowledgements and pings wait for
    /// nothing [MQTT-3.3.4-8] [MQTT-4.9.0-3].
    #[inline]
    fn hand_out(
        &mut self,
        now: Time,
        out: &mut TransmitBuf,
        budget: usize,
        incoming: &mut Incoming,
    ) {
        if !self.ready.is_empty() && self.ready.hand_out(out, budget, incoming) {
            self.keep_alive.on_sent(now);
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
    /// What a resumed session still owes, before anything new.
    fn resend(&mut self) {
        while self.out.len() < self.limit {
            match self.session.exchanges.next_resend() {
                None => return,
                Some(Resend::PubRel(id)) => self.pubrel(id),
                Some(Resend::Publish(id, qos, slot)) => {
                    let slot = *slot;
                    // [MQTT-3.3.1-1]: with DUP. An expiry that ended since it was first sent
                    // changes nothing [MQTT-4.3.3-7].
                    if let Err(error) = self.send_again(slot, id) {
                        let _ended = self.session.abandon(id, qos);
                        self.end(slot, PublishOutcome::NotAllowed(error));
                    }
                }
            }
        }
    }

    /// Sends a message again, if the server of this connection takes it: its limits may be others
    /// than those of the connection that the message was first sent on.
    fn send_again(&mut self, slot: u32, id: PacketId) -> Result<(), ServerLimit> {
        if let Some(message) = self.session.outbox.get(slot) {
            allows(&self.open.negotiated, message.qos, message.retain)?;
        }
        self.send(slot, Some(id), true)
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
                Request::Unsubscribe { subscription, filters, properties } => {
                    self.unsubscribe(subscription, filters, properties);
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
        let Some(id) = self.session.exchanges.request(Session::REQUEST) else { return };
        let identifier = subscriptions.subscribing(subscription, with_identifier);
        let wanted: Vec<(TopicFilter<'_>, SubscriptionOptions)> =
            subscriptions.wanted(subscription).collect();
        let filters = wanted.len();
        let properties = subscriptions
            .get(subscription)
            .map_or_else(PropertyBuf::new, |subscription| subscription.properties(identifier));
        let negotiated = &self.open.negotiated;
        let sent = requests::check(negotiated, &wanted).and_then(|()| {
            let properties = properties.as_properties();
            self.out.append(|bytes| requests::encode(negotiated, id, properties, &wanted, bytes))
        });
        match sent {
            Ok(()) => {
                let request = Request::Subscribe { subscription, filters };
                self.session.unanswered.push((id, request));
            }
            Err(error) => {
                // It was made before this server's limits were known.
                let _request = self.session.exchanges.on_reply(id);
                self.session.subscriptions.end(subscription);
                self.events.push_back(ClientEvent::SubscribeFailed { subscription, error });
            }
        }
    }

    fn unsubscribe(
        &mut self,
        subscription: SubscriptionKey,
        mut filters: Vec<Box<str>>,
        properties: Bytes,
    ) {
        // An UNSUBSCRIBE that is made again, because a connection ended before its answer came,
        // must not end what was subscribed to meanwhile.
        filters.retain(|filter| !self.session.subscriptions.is_in_use(filter));
        if filters.is_empty() {
            self.events.push_back(ClientEvent::Unsubscribed {
                subscription,
                results: Box::default(),
                properties: PropertyBuf::new(),
            });
            return;
        }
        let Some(id) = self.session.exchanges.request(Session::REQUEST) else { return };
        let parsed: Vec<TopicFilter<'_>> =
            filters.iter().filter_map(|filter| TopicFilter::new(filter).ok()).collect();
        let maximum = self.open.negotiated.maximum_packet_size;
        // They were taken from checked properties.
        let given = Properties::from_wire(&properties, PacketType::Unsubscribe);
        let given = given.unwrap_or(Properties::EMPTY);
        let out = &mut *self.out;
        let mut send = |properties| {
            Unsubscribe::new(id, properties, &parsed)
                .and_then(|packet| out.append(|bytes| packet.encode(bytes, maximum)))
        };
        if send(given).or_else(|_| send(Properties::EMPTY)).is_ok() {
            let request = Request::Unsubscribe { subscription, filters, properties };
            self.session.unanswered.push((id, request));
        } else {
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
        if let Err(error) = allows(&self.open.negotiated, qos, message.retain) {
            self.end(slot, PublishOutcome::NotAllowed(error));
            return;
        }
        // Without DUP: nobody has seen it [MQTT-4.3.1-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2].
        if qos == QoS::AtMostOnce {
            match self.send(slot, None, false) {
                Ok(()) => {
                    self.session.outbox.release(slot);
                }
                Err(error) => self.end(slot, PublishOutcome::NotAllowed(error)),
            }
        } else if let Some(id) = self.session.exchanges.send(qos, slot)
            && let Err(error) = self.send(slot, Some(id), false)
        {
            let _ended = self.session.abandon(id, qos);
            self.end(slot, PublishOutcome::NotAllowed(error));
        }
    }

    /// Appends the PUBLISH of a message.
    fn send(&mut self, slot: u32, id: Option<PacketId>, dup: bool) -> Result<(), ServerLimit> {
        let Some(message) = self.session.outbox.get(slot) else { return Ok(()) };
        let aliases = &mut self.open.outgoing_aliases;
        // [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-9]
        let alias = if aliases.is_enabled() {
            aliases.assign(message.topic())
        } else {
            OutgoingAlias::None
        };
        // [MQTT-3.2.2-15]
        let maximum = self.open.negotiated.maximum_packet_size;
        let sent = message.send(self.now, id, dup, alias, maximum, self.out);
        sent.map_err(|error| {
            if let OutgoingAlias::Set(alias) = alias {
                self.open.outgoing_aliases.withdraw(alias);
            }
            too_large(error, maximum)
        })
    }

    /// A message ends without the server's answer.
    fn end(&mut self, slot: u32, outcome: PublishOutcome) {
        self.session.end_message(slot, outcome, self.events, self.statistics);
    }
}

/// Whether a message can be encoded right behind what is to be sent next: nothing that was asked
/// for before it waits, nothing about it changes until it is sent, and quota is left for it.
#[inline(always)]
fn leaves_at_once(open: &Open, session: &Session, publication: &Publication<'_>) -> bool {
    open.ready.len() < READY_HIGH
        && publication.payload.len() < SHARE_FROM
        && !session.has_to_send()
        && !open.outgoing_aliases.is_enabled()
        && !publication.properties.contains(PropertyId::MessageExpiryInterval)
        && (publication.qos == QoS::AtMostOnce || session.exchanges.may_send())
}

/// Encodes a message right behind what is to be sent next.
#[inline(always)]
fn send_at_once(
    open: &mut Open,
    session: &mut Session,
    publication: &mut Publication<'_>,
) -> Result<Option<PublishId>, PublishError> {
    let maximum = open.negotiated.maximum_packet_size;
    let too_large = |error| PublishError::NotAllowed(too_large(error, maximum));
    let qos = publication.qos;
    if qos == QoS::AtMostOnce {
        open.ready.push_qos0(publication, maximum).map_err(too_large)?;
        return Ok(None);
    }
    let slot = session.outbox.free_slot();
    let Some(id) = session.exchanges.send(qos, slot) else { return Err(PublishError::Full) };
    match session.outbox.fill(slot, id, publication, maximum) {
        Ok((published, message)) => {
            open.ready.push_message(id, slot, message);
            Ok(Some(published))
        }
        Err(error) => {
            let _ended = session.abandon(id, qos);
            Err(error.map_or(PublishError::Full, too_large))
        }
    }
}

/// Whether the server takes messages of this QoS and with this RETAIN flag.
fn allows(negotiated: &Negotiated, qos: QoS, retain: bool) -> Result<(), ServerLimit> {
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

/// A PUBLISH cannot be encoded: its parts are checked before, so it can only be too large.
#[cold]
fn too_large(error: EncodeError, maximum: u32) -> ServerLimit {
    let size = if let EncodeError::TooLarge { size, .. } = error { size } else { 0 };
    ServerLimit::MaximumPacketSize { size, maximum }
}
