//! SUBSCRIBE and UNSUBSCRIBE: from the application's wish to the server's answer.

use bytes::Bytes;
use mqtt_codec::{
    EncodeError, PacketId, PacketType, Properties, PropertyBuf, PropertyId, SubAck, SubAckReason,
    Subscribe, SubscriptionOptions, TopicFilter, UnsubAck, UnsubAckReason,
};

use super::Client;
use super::buffer::BufferOptions;
use super::error::{ServerLimit, SubscribeError, UnsubscribeError, Violation};
use super::event::ClientEvent;
use super::negotiated::Negotiated;
use super::subscriptions::{Kind, SubscriptionKey};
use crate::exchange::Acknowledged;

/// A SUBSCRIBE or UNSUBSCRIBE that is to be sent or waits for its answer.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// Subscribe to what this subscription holds.
    Subscribe {
        subscription: SubscriptionKey,
        /// How many filters were sent.
        filters: usize,
    },
    /// Unsubscribe from filters that nobody holds since this subscription has ended.
    Unsubscribe {
        subscription: SubscriptionKey,
        filters: Vec<Box<str>>,
        /// User Properties in wire form.
        properties: Bytes,
    },
}

impl Request {
    /// What is to be unsubscribed from, with which properties, if that is what it is.
    pub(super) fn unsubscribes(&self) -> Option<(SubscriptionKey, &[Box<str>], &Bytes)> {
        match self {
            Self::Unsubscribe { subscription, filters, properties } => {
                Some((*subscription, filters, properties))
            }
            Self::Subscribe { .. } => None,
        }
    }

    pub(super) const fn is_unsubscribe(&self) -> bool {
        matches!(self, Self::Unsubscribe { .. })
    }
}

impl Client {
    /// Subscribes to one or more Topic Filters. The result comes as
    /// [`ClientEvent::Subscribed`]; messages are routed to the subscription from now on.
    ///
    /// A subscription belongs to the client, not to a connection: made while there is none, it is
    /// sent when there is one, and it is made again when the server has lost the session. Several
    /// subscriptions may hold the same filter. The server is then told the broadest options that
    /// they want, and sends retained messages again as `options` of this call say.
    ///
    /// Messages wait in a buffer of the subscription, as `buffer` says, until
    /// [`poll_message`](Self::poll_message) takes them; among them those of a session of an earlier
    /// run that nobody has claimed yet and that match.
    ///
    /// Only User Properties may stand in `properties`.
    ///
    /// # Errors
    ///
    /// See [`SubscribeError`]; server limits are checked here if they are known already, and
    /// otherwise come as [`ClientEvent::SubscribeFailed`]. Nothing has changed then.
    pub fn subscribe(
        &mut self,
        filters: &[(TopicFilter<'_>, SubscriptionOptions)],
        properties: Properties<'_>,
        buffer: BufferOptions,
    ) -> Result<SubscriptionKey, SubscribeError> {
        // [MQTT-3.8.3-2]
        if filters.is_empty() {
            return Err(SubscribeError::NoTopicFilter);
        }
        // [MQTT-3.8.3-4]
        if filters.iter().any(|(filter, options)| filter.is_shared() && options.no_local) {
            return Err(SubscribeError::NoLocalOnSharedSubscription);
        }
        if let Some(id) = properties.ids().find(|&id| id != PropertyId::UserProperty) {
            return Err(SubscribeError::PropertyNotAllowed(id));
        }
        let maximum = self.config.max_filters;
        if self.session.subscriptions.held().saturating_add(filters.len()) > maximum {
            return Err(SubscribeError::Full { maximum });
        }
        if let Some(open) = self.link.open() {
            check(&open.negotiated, filters)?;
            let mut properties = PropertyBuf::from(properties);
            if self.config.subscription_identifiers && open.negotiated.subscription_id_available {
                // The one it gets stands as far behind as requests wait before it.
                let ahead = self.session.requests.len();
                if let Some(identifier) = self.session.subscriptions.highest_identifier(ahead) {
                    properties.subscription_id(identifier);
                }
            }
            let properties = properties.as_properties();
            encode(&open.negotiated, PacketId::MIN, properties, filters, &mut Vec::new())?;
        }
        self.changed();
        let subscriptions = &mut self.session.subscriptions;
        let subscription = subscriptions.insert(filters, properties.as_bytes(), buffer);
        self.claim(subscription, |topic| filters.iter().any(|(filter, _)| filter.matches(topic)));
        if self.link.open().is_some() {
            self.session.requests.push_back(Request::Subscribe { subscription, filters: 0 });
        }
        Ok(subscription)
    }

    /// Ends a subscription: no message is routed to it any more, and the server is told to end
    /// those of its filters that no other subscription holds. [`ClientEvent::Unsubscribed`]
    /// follows, except where the subscription has ended already or has no filters.
    ///
    /// Messages that wait in its buffer are dropped, and acknowledged: nobody will read them.
    /// Those that were read and wait for [`acknowledge`](Self::acknowledge) still do.
    pub fn unsubscribe(&mut self, subscription: SubscriptionKey) {
        self.end_subscription(subscription, Bytes::new());
    }

    /// Ends a subscription like [`unsubscribe`](Self::unsubscribe), with these properties in
    /// UNSUBSCRIBE if there is one: only User Properties may stand there. They are left out if the
    /// packet would be larger with them than the server takes.
    ///
    /// # Errors
    ///
    /// See [`UnsubscribeError`].
    pub fn unsubscribe_with(
        &mut self,
        subscription: SubscriptionKey,
        properties: Properties<'_>,
    ) -> Result<(), UnsubscribeError> {
        if let Some(id) = properties.ids().find(|&id| id != PropertyId::UserProperty) {
            return Err(UnsubscribeError::PropertyNotAllowed(id));
        }
        self.end_subscription(subscription, Bytes::copy_from_slice(properties.as_bytes()));
        Ok(())
    }

    fn end_subscription(&mut self, subscription: SubscriptionKey, properties: Bytes) {
        let Some((removed, orphans)) = self.session.subscriptions.remove(subscription) else {
            return;
        };
        let kind = removed.kind;
        self.changed();
        self.discard(subscription, removed.buffer);
        if kind != Kind::Filters {
            return;
        }
        if orphans.is_empty() || (self.link.open().is_none() && !self.session.is_held) {
            self.unsubscribed(subscription, Box::default(), PropertyBuf::new());
            return;
        }
        let filters = orphans;
        let request = Request::Unsubscribe { subscription, filters, properties };
        self.session.requests.push_back(request);
    }

    /// A connection stands: everything that its server does not know of is asked for.
    pub(super) fn renew_subscriptions(&mut self) {
        let session = &mut self.session;
        for subscription in session.subscriptions.keys() {
            if !session.subscriptions.is_confirmed(subscription) {
                session.requests.push_back(Request::Subscribe { subscription, filters: 0 });
            }
        }
    }

    pub(super) fn on_suback(&mut self, suback: &SubAck<'_>) -> Result<(), Violation> {
        self.check_problem_information(PacketType::SubAck, &suback.properties)?;
        let received = suback.reasons().count();
        let Some((subscription, expected)) = self.answered(PacketType::SubAck, suback.packet_id)?
        else {
            return Ok(());
        };
        if received != expected {
            let packet = PacketType::SubAck;
            return Err(Violation::ReasonCodeCount { packet, expected, received });
        }
        let subscriptions = &mut self.session.subscriptions;
        let Some(known) = subscriptions.get(subscription) else { return Ok(()) };
        let renewed = known.reported;
        let results: Box<[SubAckReason]> = suback.reasons().collect();
        subscriptions.subscribed(subscription, &results);
        self.events.push_back(ClientEvent::Subscribed {
            subscription,
            results,
            renewed,
            properties: suback.properties.into(),
        });
        Ok(())
    }

    pub(super) fn on_unsuback(&mut self, unsuback: &UnsubAck<'_>) -> Result<(), Violation> {
        self.check_problem_information(PacketType::UnsubAck, &unsuback.properties)?;
        let received = unsuback.reasons().count();
        let Some((subscription, expected)) =
            self.answered(PacketType::UnsubAck, unsuback.packet_id)?
        else {
            return Ok(());
        };
        if received != expected {
            let packet = PacketType::UnsubAck;
            return Err(Violation::ReasonCodeCount { packet, expected, received });
        }
        let results = unsuback.reasons().collect();
        self.unsubscribed(subscription, results, unsuback.properties.into());
        Ok(())
    }

    /// The request that a SUBACK or UNSUBACK answers: its subscription, and how many filters it
    /// named.
    fn answered(
        &mut self,
        packet: PacketType,
        id: PacketId,
    ) -> Result<Option<(SubscriptionKey, usize)>, Violation> {
        let mismatch = Violation::AcknowledgementMismatch { packet, id: id.get() };
        match self.session.exchanges.on_reply(id) {
            Acknowledged::Done(_) => {}
            Acknowledged::Unknown => {
                self.statistics.unknown_acknowledgements += 1;
                return Ok(None);
            }
            Acknowledged::Mismatch => return Err(mismatch),
        }
        let unanswered = &mut self.session.unanswered;
        let Some(at) = unanswered.iter().position(|(sent, _)| *sent == id) else {
            return Err(mismatch);
        };
        let (_, request) = unanswered.remove(at);
        match (request, packet) {
            (Request::Subscribe { subscription, filters }, PacketType::SubAck) => {
                Ok(Some((subscription, filters)))
            }
            (Request::Unsubscribe { subscription, filters, .. }, PacketType::UnsubAck) => {
                Ok(Some((subscription, filters.len())))
            }
            (request, _) => {
                // The connection ends, and the request is made again on the next one.
                unanswered.push((id, request));
                Err(mismatch)
            }
        }
    }

    pub(super) fn unsubscribed(
        &mut self,
        subscription: SubscriptionKey,
        results: Box<[UnsubAckReason]>,
        properties: PropertyBuf,
    ) {
        self.events.push_back(ClientEvent::Unsubscribed { subscription, results, properties });
    }
}

/// Whether the server takes subscriptions of this kind.
pub(super) fn check(
    negotiated: &Negotiated,
    filters: &[(TopicFilter<'_>, SubscriptionOptions)],
) -> Result<(), ServerLimit> {
    if !negotiated.wildcard_subscription_available
        && filters.iter().any(|(filter, _)| filter.has_wildcards())
    {
        return Err(ServerLimit::WildcardSubscriptionNotAvailable);
    }
    if !negotiated.shared_subscription_available
        && filters.iter().any(|(filter, _)| filter.is_shared())
    {
        return Err(ServerLimit::SharedSubscriptionNotAvailable);
    }
    Ok(())
}

/// Appends a SUBSCRIBE, if the server takes one of that size [MQTT-3.2.2-15].
pub(super) fn encode(
    negotiated: &Negotiated,
    packet_id: PacketId,
    properties: Properties<'_>,
    filters: &[(TopicFilter<'_>, SubscriptionOptions)],
    out: &mut Vec<u8>,
) -> Result<(), ServerLimit> {
    let maximum = negotiated.maximum_packet_size;
    let subscribe = Subscribe::new(packet_id, properties, filters);
    match subscribe.and_then(|subscribe| subscribe.encode(out, maximum)) {
        Err(EncodeError::TooLarge { size, limit }) => {
            Err(ServerLimit::MaximumPacketSize { size, maximum: limit })
        }
        // Everything else was checked when the subscription was made.
        Ok(()) | Err(_) => Ok(()),
    }
}
