//! Requests and their responses: a response topic of this client's own, and Correlation Data that
//! tells which response belongs to which request.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use mqtt_codec::{
    Properties, PropertyBuf, PropertyId, PubAckReason, QoS, SubAckReason, SubscriptionOptions,
    TopicFilter, TopicName,
};

use super::Client;
use super::buffer::BufferOptions;
use super::error::{PublishError, SubscribeError};
use super::event::{ClientEvent, PublishOutcome};
use super::message::Message;
use super::outbox::PublishId;
use super::publication::Publication;
use super::subscriptions::SubscriptionKey;
use crate::entropy::Entropy;
use crate::{Deadline, Time, Timer};

/// A request that was made with [`Client::request`](super::Client::request) and whose outcome is
/// to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

/// How a request ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// The response.
    Response(Message),
    /// None came in time.
    TimedOut,
    /// The server said that nobody subscribes to what the request was published to.
    NoResponder,
    /// The server did not take the request; how it ended.
    NotPublished(PublishOutcome),
    /// The request could not be published.
    NotSent(PublishError),
    /// The response topic could not be subscribed to.
    NoResponseTopic(SubscribeError),
    /// The server refused the subscription to the response topic.
    ResponseTopicRefused(SubAckReason),
}

/// Why [`Client::request`](super::Client::request) refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// As many requests wait for their response as the configuration allows.
    #[error("{maximum} requests wait for their response, the limit; raise `max_requests`")]
    Full {
        /// The configured limit.
        maximum: usize,
    },
    /// The requests that wait to be sent have as many bytes as outgoing messages may have.
    #[error("the requests that wait to be sent are at the limit of `max_outgoing_bytes`")]
    FullOfBytes,
    /// A property that is not for the application to set in a request: those of any message, and
    /// Response Topic and Correlation Data.
    #[error("the property {0} is not for an application to set in a request")]
    PropertyNotAllowed(PropertyId),
}

/// All requests that have not ended.
#[derive(Debug)]
pub(super) struct Calls {
    entropy: Entropy,
    /// The response topic, made once.
    topic: Option<Box<str>>,
    /// The subscription to it.
    pub(super) subscription: Option<SubscriptionKey>,
    calls: BTreeMap<u64, Call>,
    deadlines: BTreeSet<(Time, u64)>,
    /// Those that are to be published, in order.
    waiting: VecDeque<(u64, Unpublished)>,
    /// Bytes of those.
    waiting_bytes: usize,
    /// What was published for a request, also for one that was abandoned.
    published: BTreeMap<PublishId, u64>,
    next: u64,
}

/// A request that has not ended.
#[derive(Debug)]
struct Call {
    /// The part of its Correlation Data that nobody can guess.
    token: u64,
    deadline: Time,
}

/// A request that is to be published.
#[derive(Debug)]
struct Unpublished {
    topic: Box<str>,
    properties: PropertyBuf,
    payload: Bytes,
    qos: QoS,
    retain: bool,
}

impl Unpublished {
    fn size(&self) -> usize {
        self.topic.len() + self.properties.as_properties().as_bytes().len() + self.payload.len()
    }
}

impl Calls {
    /// None at all. The numbers that are drawn are no others than this client's.
    pub(super) fn new(entropy: &Entropy) -> Self {
        let mut seed = [0; 32];
        for (number, word) in (0u8..).zip(seed.as_chunks_mut::<8>().0) {
            *word = entropy.hash(&[b'r', b'e', b'q', number]).to_le_bytes();
        }
        Self {
            entropy: Entropy::new(seed),
            topic: None,
            subscription: None,
            calls: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            published: BTreeMap::new(),
            next: 0,
        }
    }

    /// Whether an event may be about a request.
    #[inline]
    pub(super) fn is_used(&self) -> bool {
        self.subscription.is_some() || !self.published.is_empty()
    }

    #[inline]
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The topic on which responses come, and under which others can be made: below what the server
    /// said, if it said anything that a topic can be made of.
    fn make_topic(&mut self, information: Option<&str>) -> &str {
        let entropy = &mut self.entropy;
        self.topic.get_or_insert_with(|| {
            let name = format!("{:016x}{:016x}", entropy.next(), entropy.next());
            let below = information.map(|root| format!("{}/{name}", root.trim_end_matches('/')));
            let usable = below.filter(|topic| TopicName::new(topic).is_ok());
            usable.unwrap_or_else(|| format!("response/{name}")).into()
        })
    }

    /// The request that a message answers.
    fn answered_by(&self, message: &Message) -> Option<u64> {
        let data = message.properties().correlation_data()?;
        let (words, []) = data.as_chunks::<8>() else { return None };
        let [number, token] = words else { return None };
        let number = u64::from_be_bytes(*number);
        let call = self.calls.get(&number)?;
        (call.token == u64::from_be_bytes(*token)).then_some(number)
    }

    /// A request has ended; false if it had before.
    fn end(&mut self, number: u64) -> bool {
        let Some(call) = self.calls.remove(&number) else { return false };
        self.deadlines.remove(&(call.deadline, number));
        self.waiting.retain(|(waiting, unpublished)| {
            let stays = *waiting != number;
            if !stays {
                self.waiting_bytes -= unpublished.size();
            }
            stays
        });
        true
    }
}

impl Client {
    /// Publishes a request, and waits for its response until `timeout` is over;
    /// [`ClientEvent::Responded`] tells the outcome, exactly once.
    ///
    /// The request carries a Response Topic and Correlation Data. The topic is made once: below the
    /// server's Response Information if the client
    /// [asked for it](super::ClientConfig::request_response_information) and got it, and otherwise
    /// of random digits. It is subscribed to, at QoS 1, before the first request is published. A
    /// message on it that answers no request, because it has foreign Correlation Data or none, or
    /// because the request has ended, counts as
    /// [unmatched](Self::subscribe_unmatched).
    ///
    /// A request that is made while there is no connection is published when there is one. When the
    /// connection is lost, a request that was published goes on waiting: its response comes if the
    /// session is resumed. If the session is lost, it ends with what becomes of its message; one at
    /// QoS 1 is published again as [`republish`](super::ClientConfig::republish) says, after the
    /// response topic was subscribed to again. A responder can then see it twice.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub fn request(
        &mut self,
        now: Time,
        publication: Publication<'_>,
        timeout: core::time::Duration,
    ) -> Result<RequestId, RequestError> {
        let now = self.advance(now);
        let own =
            |id: &PropertyId| matches!(id, PropertyId::ResponseTopic | PropertyId::CorrelationData);
        let foreign = publication.foreign_property();
        if let Some(id) = publication.properties.ids().find(own).or(foreign) {
            return Err(RequestError::PropertyNotAllowed(id));
        }
        let maximum = self.config.max_requests;
        let calls = &mut self.calls;
        if calls.calls.len() >= maximum {
            return Err(RequestError::Full { maximum });
        }
        let waiting = Unpublished {
            topic: publication.topic.as_str().into(),
            properties: publication.properties.into(),
            payload: publication.payload,
            qos: publication.qos,
            retain: publication.retain,
        };
        let bytes = calls.waiting_bytes.saturating_add(waiting.size());
        if calls.has_waiting() && bytes > self.config.max_outgoing_bytes {
            return Err(RequestError::FullOfBytes);
        }
        calls.waiting_bytes = bytes;
        calls.next += 1;
        let number = calls.next;
        let (token, deadline) = (calls.entropy.next(), now + timeout);
        calls.calls.insert(number, Call { token, deadline });
        calls.deadlines.insert((deadline, number));
        calls.waiting.push_back((number, waiting));
        Ok(RequestId(number))
    }

    /// Nobody waits for the outcome of a request any more, and none is told. If it was not published
    /// yet it never is; a response that still comes counts as
    /// [unmatched](Self::subscribe_unmatched).
    pub fn abandon_request(&mut self, request: RequestId) {
        self.calls.end(request.0);
        self.events.retain(|event| {
            !matches!(event, ClientEvent::Responded { request: told, .. } if *told == request)
        });
    }

    /// Requests that were made and have not ended.
    #[must_use]
    pub fn outstanding_requests(&self) -> usize {
        self.calls.calls.len()
    }

    /// The topic on which responses come; `None` before the first request is published.
    #[must_use]
    pub fn response_topic(&self) -> Option<&str> {
        self.calls.topic.as_deref()
    }

    /// When something is to be done about a request: at once if one can be published that had to
    /// wait for room.
    pub(super) fn request_deadline(&self) -> Option<Deadline> {
        let at =
            if self.may_publish_request() { self.now } else { self.calls.deadlines.first()?.0 };
        Some(Deadline { at, timer: Timer::Request })
    }

    fn may_publish_request(&self) -> bool {
        /// Identifiers and lengths of both properties, and the Correlation Data.
        const OVERHEAD: usize = 3 + 3 + 16;
        let Some((_, request)) = self.calls.waiting.front() else { return false };
        let is_open = self.link.open().is_some_and(|open| open.leaving.is_none());
        let Some(subscription) = self.calls.subscription else { return is_open };
        let topic = self.calls.topic.as_deref().unwrap_or_default();
        is_open
            && self.session.subscriptions.is_confirmed(subscription)
            && self.has_room_for(request.size() + topic.len() + OVERHEAD)
    }

    /// Publishes the requests that wait, as soon as their responses can come.
    #[inline(never)]
    pub(super) fn publish_requests(&mut self) {
        let Some(open) = self.link.open().filter(|open| open.leaving.is_none()) else { return };
        let Some(subscription) = self.calls.subscription else {
            let topic = self.calls.make_topic(open.negotiated.response_information.as_deref());
            let topic = topic.to_owned();
            return self.subscribe_to_responses(&topic);
        };
        if !self.session.subscriptions.is_confirmed(subscription) {
            return;
        }
        while let Some((number, request)) = self.calls.waiting.pop_front() {
            match self.publish_request(number, &request) {
                Err(PublishError::Full) => {
                    self.calls.waiting.push_front((number, request));
                    return;
                }
                Err(error) => self.respond(number, RequestOutcome::NotSent(error)),
                Ok(id) => {
                    if let Some(id) = id {
                        self.calls.published.insert(id, number);
                    }
                }
            }
            self.calls.waiting_bytes -= request.size();
        }
    }

    fn publish_request(
        &mut self,
        number: u64,
        request: &Unpublished,
    ) -> Result<Option<PublishId>, PublishError> {
        let token = self.calls.calls.get(&number).map_or(0, |call| call.token);
        let mut correlation = [0; 16];
        let (words, _) = correlation.as_chunks_mut::<8>();
        for (word, value) in words.iter_mut().zip([number, token]) {
            *word = value.to_be_bytes();
        }
        let mut properties = request.properties.clone();
        let response_topic = self.calls.topic.as_deref().unwrap_or_default();
        // Both topics were checked when they were made or given, and 16 bytes fit.
        let (Ok(response_topic), Ok(topic)) =
            (TopicName::new(response_topic), TopicName::new(&request.topic))
        else {
            return Err(PublishError::PropertyNotAllowed(PropertyId::ResponseTopic));
        };
        let _fits = properties.response_topic(response_topic).correlation_data(&correlation);
        let mut publication = Publication::new(topic, request.payload.clone());
        publication.qos = request.qos;
        publication.retain = request.retain;
        publication.properties = properties.as_properties();
        self.publish(self.now, publication).map_err(|unsent| unsent.error)
    }

    fn subscribe_to_responses(&mut self, topic: &str) {
        let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..Default::default() };
        let Ok(filter) = TopicFilter::new(topic) else { return };
        let filters = [(filter, options)];
        match self.subscribe(&filters, Properties::EMPTY, BufferOptions::new()) {
            Ok(subscription) => self.calls.subscription = Some(subscription),
            Err(error) => self.fail_waiting(|| RequestOutcome::NoResponseTopic(error)),
        }
    }

    /// Tells the outcome of a request, unless it has ended before.
    fn respond(&mut self, number: u64, outcome: RequestOutcome) {
        if self.calls.end(number) {
            let request = RequestId(number);
            self.events.push_back(ClientEvent::Responded { request, outcome });
        }
    }

    fn fail_waiting(&mut self, outcome: impl Fn() -> RequestOutcome) {
        let waiting: Vec<u64> = self.calls.waiting.iter().map(|(number, _)| *number).collect();
        for number in waiting {
            self.respond(number, outcome());
        }
    }

    /// A message on the response topic. True if it answers a request.
    pub(super) fn take_response(&mut self, message: &Message) -> bool {
        let Some(number) = self.calls.answered_by(message) else { return false };
        self.respond(number, RequestOutcome::Response(message.clone()));
        true
    }

    /// Ends the requests whose time is over.
    pub(super) fn time_requests_out(&mut self, now: Time) {
        while let Some(&(at, number)) = self.calls.deadlines.first()
            && at <= now
        {
            self.respond(number, RequestOutcome::TimedOut);
        }
    }

    /// Keeps what happens to requests and their subscription from the application; the others are
    /// passed on.
    pub(super) fn own_event(&mut self, event: ClientEvent) -> Option<ClientEvent> {
        if let ClientEvent::Published { id, .. } = &event {
            let Some(number) = self.calls.published.remove(id) else { return Some(event) };
            if let ClientEvent::Published { outcome, .. } = event {
                self.request_published(number, outcome);
            }
            return None;
        }
        if let ClientEvent::Subscribed { subscription, results, .. } = &event
            && self.calls.subscription == Some(*subscription)
        {
            if let Some(&refused) = results.iter().find(|reason| reason.is_error()) {
                // The next request tries again.
                self.calls.subscription = None;
                self.fail_waiting(|| RequestOutcome::ResponseTopicRefused(refused));
            }
            return None;
        }
        if let ClientEvent::SubscribeFailed { subscription, error } = &event
            && self.calls.subscription == Some(*subscription)
        {
            self.calls.subscription = None;
            let error = SubscribeError::NotAllowed(*error);
            self.fail_waiting(|| RequestOutcome::NoResponseTopic(error));
            return None;
        }
        Some(event)
    }

    /// The message of a request has ended.
    fn request_published(&mut self, number: u64, outcome: PublishOutcome) {
        let PublishOutcome::Acknowledged(word) = outcome else {
            return self.respond(number, RequestOutcome::NotPublished(outcome));
        };
        if word.reason == PubAckReason::NoMatchingSubscribers {
            self.respond(number, RequestOutcome::NoResponder);
        }
    }
}
