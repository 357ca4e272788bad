//! Publishing: a builder, and the futures of what it sends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use mqtt_codec::{
    EncodeError, PayloadFormat, PropertyBuf, PropertyId, PubAckReason, QoS, TopicError, TopicName,
};
use mqtt_session::{Acknowledgement, Publication, PublishError as Refusal, PublishOutcome};

use crate::Client;
use crate::error::{ConnectionError, EnqueueError, PublishError};
use crate::shared::{Shared, State};

/// The payload of a message: made from bytes or text, owned or `'static`, without a copy.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload(pub(crate) Bytes);

impl std::fmt::Debug for Payload {
    /// Tells the length, never what is in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

macro_rules! payload_from {
    ($($from:ty),+) => {
        $(impl From<$from> for Payload {
            fn from(payload: $from) -> Self {
                Self(Bytes::from(payload))
            }
        })+
    };
}
payload_from!(Bytes, Vec<u8>, Box<[u8]>, String, &'static str, &'static [u8]);

impl<const N: usize> From<&'static [u8; N]> for Payload {
    fn from(payload: &'static [u8; N]) -> Self {
        Self(Bytes::from_static(payload))
    }
}

/// A message to be published, made by [`Client::publish`].
#[must_use = "a message is published by `send` (awaited) or `enqueue`"]
#[derive(Clone, Debug)]
pub struct Publish<'a> {
    client: &'a Client,
    topic: &'a str,
    payload: Payload,
    qos: QoS,
    retain: bool,
    properties: PropertyBuf,
    only_online: bool,
    /// The first property that could not be set.
    fault: Option<EncodeError>,
}

impl<'a> Publish<'a> {
    pub(crate) fn new(client: &'a Client, topic: &'a str, payload: Payload) -> Self {
        Self {
            client,
            topic,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            properties: PropertyBuf::new(),
            only_online: false,
            fault: None,
        }
    }

    /// How surely it reaches the server; QoS 0 by default.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// Whether the server keeps it for later subscribers; no by default.
    pub fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// Does not let it wait for another connection: without one it fails at once, and if it could
    /// not be sent before the connection ended it is dropped.
    pub fn only_online(mut self) -> Self {
        self.only_online = true;
        self
    }

    /// How long it is worth delivering, in whole seconds (rounded up). It counts down from now.
    pub fn expiry(mut self, expiry: Duration) -> Self {
        let seconds = expiry.as_nanos().div_ceil(1_000_000_000);
        self.properties.message_expiry_interval(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    /// What the payload contains, as a MIME type for example.
    pub fn content_type(self, content_type: &str) -> Self {
        self.set(|properties| properties.content_type(content_type).map(|_| ()))
    }

    /// Says that the payload is text in UTF-8.
    pub fn text(mut self) -> Self {
        self.properties.payload_format_indicator(PayloadFormat::Utf8);
        self
    }

    /// Where an answer is to be published to.
    pub fn response_topic(self, topic: &str) -> Self {
        self.set(|properties| {
            properties.response_topic(TopicName::new(topic)?);
            Ok(())
        })
    }

    /// What an answer is to carry, so that it is known which message it is for.
    pub fn correlation_data(self, data: &[u8]) -> Self {
        self.set(|properties| properties.correlation_data(data).map(|_| ()))
    }

    /// Adds a User Property. They keep the order in which they are added.
    pub fn user_property(self, name: &str, value: &str) -> Self {
        self.set(|properties| properties.user_property(name, value).map(|_| ()))
    }

    /// Publishes the message, and resolves with the server's final word on it: PUBACK at QoS 1,
    /// PUBCOMP (or a refusing PUBREC) at QoS 2. At QoS 0 there is no such word: it resolves when
    /// the message is on its way. If as many messages wait as the options allow, it waits first.
    ///
    /// ```no_run
    /// # async fn example(client: &mqtt_client_async::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use mqtt_client_async::{PubAckReason, QoS};
    ///
    /// let word = client.publish("meter/17/kwh", "1234.5").qos(QoS::AtLeastOnce).send().await?;
    /// if word.reason() == PubAckReason::NoMatchingSubscribers {
    ///     println!("nobody listens");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropped before it was polled, or while it waits for room, nothing is published. Dropped
    /// later, the message is published all the same, exactly as if it had been awaited; only the
    /// server's word is lost.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]. A reason of 0x80 or above is an error;
    /// [`PubAckReason::NoMatchingSubscribers`] is not.
    pub fn send(self) -> Sending<'a> {
        Sending { publish: self, step: Step::New }
    }

    /// Publishes the message at once, or not at all: [`EnqueueError::Full`] gives it back if as
    /// many messages wait as the options allow. The [`Pending`] that is returned resolves as
    /// [`send`](Self::send) does; it may be dropped.
    ///
    /// ```no_run
    /// # async fn example(client: &mqtt_client_async::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use mqtt_client_async::{EnqueueError, QoS};
    ///
    /// let mut pending = Vec::new();
    /// for reading in ["20.9", "21.0", "21.2"] {
    ///     match client.publish("sensor/7", reading).qos(QoS::AtLeastOnce).enqueue() {
    ///         Ok(word) => pending.push(word),
    ///         Err(EnqueueError::Full(message)) => drop(message.send().await?),
    ///         Err(EnqueueError::Failed(error)) => return Err(error.into()),
    ///     }
    /// }
    /// for word in pending {
    ///     word.await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`EnqueueError`].
    pub fn enqueue(mut self) -> Result<Pending, EnqueueError<'a>> {
        let client = self.client;
        match client.shared().call(|state| self.hand_over(state)) {
            Ok(waiter) => Ok(Pending { shared: Arc::clone(client.shared()), waiter }),
            Err(Some(error)) => Err(EnqueueError::Failed(error)),
            Err(None) => Err(EnqueueError::Full(Box::new(self))),
        }
    }

    fn set(mut self, set: impl FnOnce(&mut PropertyBuf) -> Result<(), EncodeError>) -> Self {
        if let Err(fault) = set(&mut self.properties) {
            self.fault.get_or_insert(fault);
        }
        self
    }

    pub(crate) const fn client(&self) -> &'a Client {
        self.client
    }

    /// The message, with the payload taken out of here.
    pub(crate) fn publication(&mut self) -> Result<Publication<'_>, PublishError> {
        let topic: Result<TopicName<'_>, TopicError> = TopicName::new(self.topic);
        let topic = topic?;
        if let Some(fault) = self.fault {
            return Err(fault.into());
        }
        let mut publication = Publication::new(topic, std::mem::take(&mut self.payload.0));
        publication.qos = self.qos;
        publication.retain = self.retain;
        publication.properties = self.properties.as_properties();
        publication.only_online = self.only_online;
        Ok(publication)
    }

    /// Gives the message to the session. `Err(None)` if it is full: the message is still here.
    fn hand_over(&mut self, state: &mut State) -> Result<Option<usize>, Option<PublishError>> {
        let client = self.client;
        let publication = self.publication().map_err(Some)?;
        // Only what counts down needs to know the time; the rest is spared the look at the clock.
        let now = publication
            .properties
            .contains(PropertyId::MessageExpiryInterval)
            .then(|| client.shared().now());
        let (payload, error) = match state.publish(now, publication) {
            Ok(waiter) => return Ok(waiter),
            Err(unsent) => unsent,
        };
        self.payload.0 = payload;
        Err(match error {
            Refusal::Full => None,
            Refusal::NotAllowed(limit) => Some(limit.into()),
            Refusal::PropertyNotAllowed(id) => {
                let place = mqtt_codec::PacketType::Publish.into();
                Some(EncodeError::PropertyNotAllowed { id, place }.into())
            }
            Refusal::NotConnected | _ => Some(state.closed().into()),
        })
    }
}

/// The server's final word on a message that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    reason: PubAckReason,
    properties: PropertyBuf,
    republished: bool,
}

impl Published {
    /// The reason of PUBACK at QoS 1, and of PUBREC at QoS 2: `Success`, or
    /// `NoMatchingSubscribers` if the server says that nobody is there to get it. `Success` at
    /// QoS 0, which has no answer.
    #[must_use]
    pub const fn reason(&self) -> PubAckReason {
        self.reason
    }

    /// What else the server said: a Reason String, User Properties.
    #[must_use]
    pub const fn properties(&self) -> &PropertyBuf {
        &self.properties
    }

    /// Whether the message was sent twice because the server lost the session in which it was
    /// sent first: the server may have it twice.
    #[must_use]
    pub const fn republished(&self) -> bool {
        self.republished
    }

    const SENT: Self =
        Self { reason: PubAckReason::Success, properties: PropertyBuf::new(), republished: false };
}

pub(crate) fn final_word(
    outcome: Result<PublishOutcome, ConnectionError>,
) -> Result<Published, PublishError> {
    match outcome? {
        PublishOutcome::Acknowledged(word) => {
            let Acknowledgement { reason, properties, republished, .. } = word;
            Ok(Published { reason, properties, republished })
        }
        PublishOutcome::Refused(word) => Err(PublishError::Refused(word)),
        PublishOutcome::Expired => Err(PublishError::Expired),
        PublishOutcome::Dropped(message) => Err(PublishError::Dropped(message)),
        PublishOutcome::NotAllowed(limit) => Err(PublishError::NotAllowed(limit)),
        PublishOutcome::SessionLost | _ => Err(PublishError::SessionLost),
    }
}

/// The future of [`Publish::send`].
#[must_use = "nothing is published unless this is awaited"]
#[derive(Debug)]
pub struct Sending<'a> {
    publish: Publish<'a>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    New,
    /// Waits until the session takes another message, with a place in the queue.
    Room(u64),
    /// Waits for the server's word, found at this place.
    Word(usize),
    Done,
}

impl Future for Sending<'_> {
    type Output = Result<Published, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { publish, step } = &mut *self;
        let shared = publish.client.shared();
        let (ready, next) = shared.call(|state| {
            let ticket = match *step {
                Step::New => None,
                Step::Room(ticket) => Some(ticket),
                Step::Word(waiter) => {
                    let outcome = state.poll_publish(waiter, cx.waker());
                    let result = outcome.map(final_word);
                    let is_done = result.is_some();
                    return (result, if is_done { Step::Done } else { Step::Word(waiter) });
                }
                Step::Done => return (None, Step::Done),
            };
            // Those who came earlier go first.
            let handed_over =
                if state.may_enter_room(ticket) { publish.hand_over(state) } else { Err(None) };
            if let Err(None) = handed_over {
                return (None, Step::Room(state.wait_for_room(ticket, cx.waker())));
            }
            if let Some(ticket) = ticket {
                state.leave_room(ticket);
            }
            match handed_over {
                Ok(None) => (Some(Ok(Published::SENT)), Step::Done),
                Ok(Some(waiter)) => match state.poll_publish(waiter, cx.waker()) {
                    Some(outcome) => (Some(final_word(outcome)), Step::Done),
                    None => (None, Step::Word(waiter)),
                },
                Err(error) => (error.map(Err), Step::Done),
            }
        });
        *step = next;
        ready.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        match self.step {
            Step::New | Step::Done => {}
            Step::Room(ticket) => {
                self.publish.client.shared().call(|state| state.leave_room(ticket));
            }
            Step::Word(waiter) => {
                self.publish.client.shared().call(|state| state.abandon_publish(waiter));
            }
        }
    }
}

/// The future of a message that was published by [`Publish::enqueue`].
///
/// # Cancel safety
///
/// Dropping it loses the server's word and nothing else.
#[derive(Debug)]
pub struct Pending {
    shared: Arc<Shared>,
    /// Where the server's word will be found; `None` at QoS 0, and once it was found.
    waiter: Option<usize>,
}

impl Future for Pending {
    type Output = Result<Published, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(waiter) = self.waiter else { return Poll::Ready(Ok(Published::SENT)) };
        match self.shared.call(|state| state.poll_publish(waiter, cx.waker())) {
            Some(outcome) => {
                self.waiter = None;
                Poll::Ready(final_word(outcome))
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.shared.call(|state| state.abandon_publish(waiter));
        }
    }
}
